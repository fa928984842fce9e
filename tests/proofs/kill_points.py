"""kill -9 at every call of six paths: ``python tests/proofs/kill_points.py --path all`` (strace).

The paths are those of `scenes`: an entry, exits, a moved stop, reconciliation (of an order in doubt
at the start and while running, of one that is lost), the end of a cycle and SIGTERM. Each is played
once under strace, then once for every system call in it that touches a file, a descriptor or the
network: the daemon is killed before that call is made. So the states it can leave are those
after each one of its acts.

What is killed is the real daemon, signals and watchdog and all, on the real journal and, over HTTP,
a bridge in a process of its own; only the waits between its cycles are ours (`held_daemon`). It is
then started as always, and the market goes on. Within seven looks at the account and without a
hand's turn the bridge's book and the journal must agree (`books`): nothing was executed twice (I1),
nothing executed is unknown, no fate open (I3, I5), every position managed. In the rest of the play
it must take the parts, trail the stop, leave, and end in order. A further path kills it five times
in a row while it recovers.

Exit code 0 when all of that was so at every point; else every fault is a line, with its point.
Shown red by an `OrderDesk.submit` that asks the journal after it has sent (I2): entries that were
executed are then in no journal.
"""

import argparse
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory

BEGAN = time.monotonic()
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.proofs.books import KINDS, Fault  # noqa: E402 - found by the path above
from tests.proofs.kills import RECOVERY, Outcome, Point, outcome, recorded  # noqa: E402
from tests.proofs.play import Run, Venue  # noqa: E402
from tests.proofs.scenes import AT_THE_START, ENTRY, EXIT, PARTS, PATHS, SCENES, Scene  # noqa: E402

IMPORTS = time.monotonic() - BEGAN
"""Real seconds of a start that one forked from this process does not take."""
READY_WITHIN = 5.0
TIMES_AGAIN = 5


def points_of(paths: Sequence[str], run: Callable[[], Run]) -> Iterator[Point]:
    """Yield every point of some paths; `run` makes the runs in which they are found."""

    @cache
    def points(scene: Scene) -> list[Point]:
        return recorded(SCENES.index(scene), run())

    for scene in SCENES:
        if scene.path in paths:
            yield from points(scene)
    if RECOVERY in paths:
        first = [point for scene in (ENTRY, EXIT, PARTS) for point in points(scene)]
        yield from _killed_again(first, points(AT_THE_START))


def _killed_again(first: Sequence[Point], starts: Sequence[Point]) -> Iterator[Point]:
    """Yield some of `first`, each with points of the starts after it; all of these are in one."""
    many = -(-len(starts) // TIMES_AGAIN)
    for number in range(many):
        point = first[number * len(first) // many]
        yield point._replace(again=tuple(starts[number::many]))


def slice_of(points: Sequence[Point], most: int | None, seed: int) -> list[Point]:
    """Return about `most` points, evenly spread over every path; another seed takes others."""
    step = -(-len(points) // most) if most else 1
    of_paths: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        of_paths[point.path].append(point)
    return [
        point for mine in of_paths.values() for point in mine[seed % min(step, len(mine)) :: step]
    ]


def outcomes(points: Sequence[Point], venues: Sequence[Venue]) -> Iterator[Outcome]:
    """Kill at every point, in as many processes as there are venues."""
    context = get_context("fork")
    results: list[Connection] = []
    for number, venue in enumerate(venues):
        reads, writes = context.Pipe(duplex=False)
        share = points[number :: len(venues)]
        context.Process(target=_kill_all, args=(share, venue, writes)).start()
        writes.close()
        results.append(reads)
    while results:
        for reads in wait(results):
            try:
                yield reads.recv()
            except EOFError:
                results.remove(reads)


def _kill_all(points: Sequence[Point], venue: Venue, results: Connection) -> None:
    with closing(venue):
        for point in points:
            run = venue.run()
            found = outcome(point, run)
            if not found.faults:
                shutil.rmtree(run.folder)
            results.send(found)


class Report:
    """What the kills led to, by path; says every fault as it is found."""

    def __init__(self, ready_within: float) -> None:
        self._ready_within = ready_within
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._slowest = 0.0

    def add(self, found: Outcome) -> None:
        """Take in what came of one."""
        ready = IMPORTS + found.ready
        self._slowest = max(self._slowest, ready)
        faults = found.faults
        if ready > self._ready_within:
            faults += (Fault("wrong", f"it was ready after {ready:.1f} s"),)
        for fault in faults:
            print(f"{found.point}: {fault}", flush=True)
        counts = self._counts[found.point.path]
        unmet = 1 + len(found.point.again) - found.kills
        counts.update({"tried": 1, "kills": found.kills, "unmet": unmet, "missed": found.missed})
        counts.update({fault.kind for fault in faults})

    def end(self, points: int) -> int:
        """Say the sums; return 1 unless so many points were tried and none led to a fault."""
        for path, counts in self._counts.items():
            kinds = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
            print(
                f"{path}: killed at {counts['kills']:,} calls: {kinds} ({counts['missed']:,} "
                f"entries not made, {counts['unmet']:,} calls not come to)"
            )
        print(f"ready after {self._slowest:.2f} s at most, {IMPORTS:.2f} s of it imports")
        tried = sum(counts["tried"] for counts in self._counts.values())
        if tried != points:
            print(f"of {points:,} points {tried:,} were tried")
        faulty = sum(counts[kind] for counts in self._counts.values() for kind in KINDS)
        return 1 if faulty or tried != points or not points else 0


def main() -> int:
    """Kill and look; return 1 when anything was not as it must be."""
    every = (*PATHS, RECOVERY)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--path", choices=(*every, "all"), default="all")
    parser.add_argument("--points", type=int, help="about how many, evenly spread")
    parser.add_argument("--seed", type=int, default=0, help="which ones then")
    parser.add_argument("--jobs", type=int, default=1, help="daemons at a time")
    parser.add_argument(
        "--journal", help="an empty PostgreSQL database; without one each has a file"
    )
    parser.add_argument(
        "--ready-within", type=float, default=READY_WITHIN, help="real seconds of a start"
    )
    parser.add_argument("--folder", type=Path, help="where runs with a fault are left to look at")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed")
        return 1
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        with closing(Venue(folder / "recorded", options.journal)) as venue:
            paths = every if options.path == "all" else (options.path,)
            points = slice_of(list(points_of(paths, venue.run)), options.points, options.seed)
        venues = [
            Venue(folder / f"job-{number}", options.journal) for number in range(options.jobs)
        ]
        report = Report(options.ready_within)
        for found in outcomes(points, venues):
            report.add(found)
    return report.end(len(points))


if __name__ == "__main__":
    sys.exit(main())
