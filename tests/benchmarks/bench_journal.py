"""The journal in a file on this disk: what an order waits for, and what a candle costs."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app.adapters.journal.sql import open_journal  # noqa: E402 - found by the path above
from app.domain.orders import IntentState  # noqa: E402
from tests.journals import ACCOUNT, M1, MONDAY, entry, plan  # noqa: E402

TIMES = 500
FOLDER = os.environ.get("BENCHMARK_FOLDER")
"""Where the journal is made, for another disk than that of temporary files."""


def _median(act: Callable[[int], object], calls: int = 1) -> float:
    """Return the microseconds of one call; `calls` of them are measured at once."""
    taken = []
    for number in range(TIMES):
        start = time.perf_counter()
        for call in range(calls):
            act(number * calls + call)
        taken.append((time.perf_counter() - start) / calls)
    return sorted(taken)[TIMES // 2] * 1e6


def _synced(file: Path) -> float:
    with file.open("wb") as raw:

        def append(_: int) -> None:
            raw.write(bytes(4096))
            raw.flush()
            os.fsync(raw.fileno())

        return _median(append)


def _opened(url: str) -> float:
    start = time.perf_counter()
    open_journal(url, ACCOUNT, now=MONDAY).close()
    return (time.perf_counter() - start) * 1e3


def rows() -> Iterator[tuple[str, float, str]]:
    """Yield the medians."""
    with TemporaryDirectory(dir=FOLDER) as folder:
        url = f"sqlite:///{folder}/journal.db"
        yield "open: make it", _opened(url), "ms"
        yield "open: as it is", _opened(url), "ms"
        yield "4 KiB appended to a file and synced", _synced(Path(folder) / "raw"), "us"
        intents = [entry(f"A{number}") for number in range(TIMES)]
        kept = plan(5)
        with closing(open_journal(url, ACCOUNT, now=MONDAY)) as journal:
            yield (
                "admit an order: committed and synced",
                _median(lambda number: journal.admit(intents[number], MONDAY)),
                "us",
            )
            yield (
                "settle it: noted",
                _median(lambda number: journal.settle(f"A{number}", IntentState.FILLED, MONDAY)),
                "us",
            )
            yield (
                "announce a candle: noted",
                _median(lambda _: journal.candle_announced("EURUSD", M1, MONDAY), 1000),
                "us",
            )
            yield "save a plan: noted", _median(lambda _: journal.save_plan(kept), 1000), "us"
            journal.flush()
            yield "flush with nothing noted", _median(lambda _: journal.flush(), 1000), "us"

            def cycle(number: int) -> None:
                journal.candle_announced("EURUSD", M1, MONDAY + number * M1.delta)
                journal.flush()

            yield "flush a candle: committed and synced", _median(cycle), "us"
