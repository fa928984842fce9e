"""Daemons that start at once on one account: ``python tests/proofs/double_start.py --times 1000``.

Each time several processes begin at the same moment to hold the account and to open its journal, as
a daemon does. Exactly one must hold it and admit an order; every other must be refused with exit
code 75 and name the holder; and when the holder is killed the next one must get in (I17). Exit code
0 when all of it was so; else every failure is a line. With ``--url`` the journal is that one, with
another account each time, and every process has lock files of its own, as on another machine.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app.adapters.journal import lock, migrations  # noqa: E402, F401 - found by the path above
from app.adapters.journal.sql import open_journal  # noqa: E402
from app.domain.errors import AccountHeldError  # noqa: E402
from tests.journals import MONDAY, entry  # noqa: E402

HELD = 75
WAIT = 60
"""Seconds until a process that does not answer is a fault, and until an orphan ends."""

processes = multiprocessing.get_context("fork" if sys.platform != "win32" else "spawn")


class Started(NamedTuple):
    """A daemon, as far as its account goes: it begins when told, and answers how it went."""

    process: BaseProcess
    line: Connection

    def begin(self) -> None:
        """Let it begin."""
        self.line.send(None)

    def answer(self) -> tuple[int, str]:
        """Return its exit code, 0 while it holds the account, and what it said."""
        return self.line.recv() if self.line.poll(WAIT) else (-1, "it does not answer")


def daemon(account: str, url: str, locks: Path, line: Connection) -> None:
    """Hold the account and admit an order, then stay until killed; or say why not."""
    lock.PATIENCE = 0.2
    line.recv()
    try:
        held = lock.hold(account, url, locks)
        journal = open_journal(url, account, now=MONDAY)
        journal.admit(entry(f"of {os.getpid()}"), MONDAY)
    except AccountHeldError as error:
        line.send((error.exit_code, str(error)))
        return
    line.send((0, ""))
    line.poll(WAIT)
    held.release()


def double_start(account: str, daemons: int, url: str | None, folder: Path) -> Iterator[str]:
    """Start `daemons` at once on one account; give what was not as it must be."""
    address = url or f"sqlite:///{folder}/journal.db"

    def start(number: int) -> Started:
        ours, theirs = processes.Pipe()
        locks = folder / (f"host {number}" if url else "locks")
        process = processes.Process(target=daemon, args=(account, address, locks, theirs))
        process.start()
        return Started(process, ours)

    started = [start(number) for number in range(daemons)]
    try:
        for one in started:
            one.begin()
        answers = [one.answer() for one in started]
        holders = [one for one, (code, _) in zip(started, answers, strict=True) if code == 0]
        if len(holders) != 1:
            yield f"{len(holders)} of {daemons} hold the account: {answers}"
            return
        named = f"pid {holders[0].process.pid} on "
        for code, said in answers:
            if code and (code != HELD or named not in said):
                yield f"the holder is {named}, another ended with {code}: {said}"
        holders[0].process.kill()
        started.append(start(0))
        started[-1].begin()
        if (answer := started[-1].answer()) != (0, ""):
            yield f"after the holder was killed the next one got {answer}"
    finally:
        for one in started:
            one.process.kill()
            one.process.join()


def main() -> int:
    """Do it so many times; return 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--daemons", type=int, default=2, help="starts at once")
    parser.add_argument("--url", help="a journal in PostgreSQL (default: a new file each time)")
    options = parser.parse_args()
    faults = 0
    for number in range(options.times):
        account = f"Demo:{os.getpid()}-{number}"
        with TemporaryDirectory() as folder:
            for fault in double_start(account, options.daemons, options.url, Path(folder)):
                faults += 1
                print(f"start {number}: {fault}", flush=True)
    print(f"{options.times} double starts of {options.daemons}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
