"""The runs of `bench_backtest` on 500,000 bars, each in a process of its own: its peak of memory.

The peak is that of the whole process: Python, imports, the bars from the file, the run. What a run
traded is held to the plain loop's trades here too, after it.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import own_process
from bench_backtest import PLAIN, Trade, agree, installed, write

BARS = 500_000


def rows(count: int = BARS) -> Iterator[tuple[str, float, str]]:
    """Yield the peak and the speed of every tool that is installed."""
    with TemporaryDirectory() as folder:
        file = write(Path(folder), count)
        wanted: list[Trade] = []
        for name in installed():
            ended = own_process.run(__file__, name, str(file))
            took, *lines = ended.said
            found = [Trade.read(line) for line in lines]
            if name == PLAIN:
                wanted = found
            agree(name, found, wanted)
            yield f"{name}, {count:,} bars", ended.peak, "MB"
            yield "  the same run", count / float(took), "bars/s"


def main(name: str, file: str) -> None:
    """Run one tool; say how long it took, seconds, and then its trades."""
    run = installed()[name](Path(file))
    began = time.perf_counter()
    trades = run()
    print(time.perf_counter() - began)
    for trade in trades:
        print(trade.line())


if __name__ == "__main__":
    main(*sys.argv[1:])
