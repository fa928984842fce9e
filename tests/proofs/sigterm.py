"""SIGTERM at random moments: ``python tests/proofs/sigterm.py --times 1000`` (I24).

Each time a daemon of its own, on the simulated market, is told to stop: one half somewhere in the
first two seconds of the process, the other in the first second of trading, a quarter of each twice.
It must be gone within five seconds; say that it ended in order, with an account that adds up, or
that it had not begun to trade, and nothing else; and leave journals that are whole. Exit code 0
when all of them did, else a line for every failure that says what to repeat it with.
"""

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
LIMIT = 5.0
"""Seconds from the signal to the end of the process."""
STARTING = 2.0
TRADING = 1.0
"""Seconds in which the signal comes, after the start of the process or of its first cycle."""
TRADES = "=== STARTING TRADING LOOP"
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Moment:
    """When a daemon is told to stop, in seconds, and how fast its market goes."""

    number: int
    trading: bool
    """Whether it trades by then; else the seconds count from the start of the process."""
    after: float
    speed: str
    again_after: float | None

    def __str__(self) -> str:
        """Say what to repeat it with."""
        again = "" if self.again_after is None else f" and {self.again_after:.3f} s later"
        since = "its first cycle" if self.trading else "its start"
        return f"moment {self.number}: {self.after:.3f} s after {since}{again}, speed {self.speed}"


@dataclass(frozen=True)
class Ending:
    """How it ended."""

    moment: Moment
    seconds: float
    faults: tuple[str, ...]


def moments(times: int, seed: int) -> Iterator[Moment]:
    """Choose when; the same for the same seed."""
    chosen = random.Random(seed)
    for number in range(times):
        trading = number % 2 == 1
        after = chosen.uniform(0, TRADING if trading else STARTING)
        again = chosen.uniform(0, 0.2) if number % 8 > 5 else None
        yield Moment(number, trading, after, chosen.choice(["0", "600", "36000"]), again)


def stopped(moment: Moment) -> Ending:
    """Start a daemon, stop it at that moment, and look at what it left."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "conf").symlink_to(ROOT / "conf")
        environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        environ |= {"PYTHONPATH": str(ROOT), "MARKET_DATA_SPEED": moment.speed}
        with (Path(folder) / "out").open("w+") as out, (Path(folder) / "err").open("w+") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.main_orchestrated"],
                cwd=folder,
                env=environ,
                stdout=out,
                stderr=err,
            )
            while moment.trading and process.poll() is None and not _trades(Path(out.name)):
                time.sleep(0.02)
            time.sleep(moment.after)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            if moment.again_after is not None:
                time.sleep(moment.again_after)
                process.send_signal(signal.SIGTERM)
            code = process.wait()
            seconds = time.monotonic() - began
            out.seek(0)
            err.seek(0)
            said, complained = out.read(), err.read()
        faults = [*_faults(moment, code, said, complained), *_torn_journals(Path(folder))]
    if seconds > LIMIT:
        faults.append(f"it took {seconds:.2f} s")
    return Ending(moment, seconds, tuple(faults))


def _trades(output: Path) -> bool:
    return TRADES in output.read_text()


def _faults(moment: Moment, code: int, said: str, complained: str) -> Iterator[str]:
    early = complained == "stopped before trading began\n"
    if complained and not early:
        yield f"standard error: {complained.strip()}"
    if "Traceback" in said:
        yield f"a traceback: {said[said.index('Traceback') :][:500]}"
    if early and not code and TRADES not in said:
        return
    if code == -signal.SIGTERM and (not said or moment.again_after is not None):
        return  # by the signal itself: before it was taken over, or by the second one
    if code:
        yield f"exit code {code}"
    if "Shutdown complete" not in said:
        yield "it did not end in order"
    elif "(adds up)" not in said:
        yield "the account does not add up"


def _torn_journals(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*.db"):
        with closing(sqlite3.connect(file)) as journal:
            (found,) = journal.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            yield f"{file.name}: {found}"


def main() -> int:
    """Stop so many daemons; return 1 when one of them did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="daemons at a time")
    options = parser.parse_args()
    endings = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for ending in pool.map(stopped, moments(options.times, options.seed)):
            endings.append(ending)
            for fault in ending.faults:
                print(f"{ending.moment}: {fault}", flush=True)
    took = sorted(ending.seconds for ending in endings)
    bad = sum(bool(ending.faults) for ending in endings)
    print(
        f"SIGTERM at {len(took)} moments (seed {options.seed}): {len(took) - bad} ended as they "
        f"must, {bad} did not; median {took[len(took) // 2]:.2f} s, slowest {took[-1]:.2f} s"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
