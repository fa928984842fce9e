"""A journal killed at every write: ``python tests/proofs/journal_kills.py`` (Linux, needs strace).

A process makes a journal, admits orders, notes what came of them, and closes it, which folds the
log into the file. It is killed at its first, second, ... call of everything that changes a file.
Each time the next start must open the journal without help, know every order that was admitted and
what was noted with it, and leave nothing else lying about (I2). Exit code 0 when all of it was so.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app.adapters.journal.sql import open_journal  # noqa: E402 - found by the path above
from tests.journals import ACCOUNT, M1, MONDAY  # noqa: E402

CHANGING = ("pwrite64", "fdatasync", "fsync", "link", "unlink", "ftruncate", "mkdir")

TRACED = ("strace", "-qq", "-o", os.devnull)

TRADE = """
import sys
from app.adapters.journal.sql import open_journal
from app.domain.orders import IntentState
from tests.journals import *

journal = open_journal(sys.argv[1], ACCOUNT, now=MONDAY)
for number in range(3):
    journal.candle_announced("EURUSD", M1, MONDAY + number * M1.delta)
    journal.admit(entry(f"A{number}"), MONDAY)
    print(f"A{number}", flush=True)
    journal.settle(f"A{number}", IntentState.FILLED, MONDAY, ticket=number + 1)
journal.close()
print("closed", flush=True)
"""


def kill_at(call: str, number: int) -> tuple[bool, list[str]]:
    """Kill a trading process at that call; return whether it came to it, and every fault."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/state/journal.db"
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        ended = subprocess.run(
            [*TRACED, "-e", f"trace={call}", "-e", inject, sys.executable, "-c", TRADE, url],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        killed = ended.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
        if not killed and ended.returncode:
            return False, [f"strace ended with {ended.returncode}: {ended.stderr}"]
        return killed, list(_faults(url, ended.stdout.split(), Path(folder)))


def _faults(url: str, said: list[str], folder: Path) -> Iterator[str]:
    admitted = [name for name in said if name != "closed"]
    with closing(open_journal(url, ACCOUNT, now=MONDAY)) as journal:
        known = [name for name in ("A0", "A1", "A2") if journal.record(name)]
        if known[: len(admitted)] != admitted or len(known) > len(admitted) + 1:
            yield f"admitted {admitted}, known {known}"
        open_ = [record.intent.client_id for record in journal.unsettled()]
        if "closed" in said and open_:
            yield f"closed, and {open_} is not settled"
        newest, seen = MONDAY + 2 * M1.delta, journal.last_candle("EURUSD", M1)
        if seen not in {newest, newest if "closed" in said else None}:
            yield f"said {said}, last candle {seen}"
        if len(open_) > 1:
            yield f"more than the last is open: {open_}"
    left = [path.name for path in (folder / "state").iterdir()]
    if left != ["journal.db"]:
        yield f"left lying about: {left}"


def main() -> int:
    """Kill at every call, or at each `--every`; return 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="kill only at each so manieth call")
    parser.add_argument("--calls", default=",".join(CHANGING), help="system calls, by comma")
    options = parser.parse_args()
    kills = faults = 0
    for call in options.calls.split(","):
        number, killed = 1, True
        while killed:
            killed, found = kill_at(call, number)
            kills += killed
            for fault in found:
                faults += 1
                print(f"{call} {number}: {fault}", flush=True)
            number += options.every
    print(f"killed at {kills} calls: {faults} faults")
    return 1 if faults or not kills else 0


if __name__ == "__main__":
    sys.exit(main())
