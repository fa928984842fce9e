"""Killing a daemon at one of the calls it makes, and what becomes of its trading after that."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

from tests.proofs import books
from tests.proofs.books import Fault
from tests.proofs.held_daemon import START, TERMINATE, HeldDaemon, HungError, Strace
from tests.proofs.play import CLOSES, LEAVES, LOTS, TAKES_PARTS, Run, after_close
from tests.proofs.scenes import PAUSE, SCENES

LOOKS = 7
"""At the account, after which no fate may be open."""
MAIN, WORKER = "main", "worker"
SEEN = "%file,%desc,%network"
RECOVERY = "recovery"

_CALL = re.compile(r"(\d+) +(\w+)\(")
_NO_ACT = "mmap"
"""Of memory, as a rule, and as often as the allocator likes."""


class Point(NamedTuple):
    """The `nth` such call of a thread in a scene; `again` are points of the starts after it."""

    scene: int
    thread: str
    call: str
    nth: int
    again: tuple["Point", ...] = ()

    def __str__(self) -> str:
        said = f"{SCENES[self.scene]}, {self.thread} thread, {self.call} {self.nth}"
        return "; again at ".join((said, *map(str, self.again)))

    @property
    def path(self) -> str:
        """What it is counted under."""
        return RECOVERY if self.again else SCENES[self.scene].path


class Outcome(NamedTuple):
    """What a kill led to.

    `kills` says how many of the calls were come to, `missed` how many entries were not made,
    `ready` how many real seconds the next start took.
    """

    point: Point
    kills: int
    missed: int
    ready: float
    faults: tuple[Fault, ...]


def recorded(number: int, run: Run) -> list[Point]:
    """Play a scene to its end under strace; return its calls in their order."""
    scene = SCENES[number]
    daemon = scene.prepare(run)
    file = run.folder / "calls"
    with Strace(daemon.pid, "-f", "-e", f"trace={SEEN}", "-o", str(file)):
        scene.play(run, daemon)
    daemon.kill()
    threads = {daemon.pid: MAIN, daemon.worker: WORKER}
    counts: Counter[tuple[str, str]] = Counter()
    points = []
    for thread, call in _CALL.findall(file.read_text(errors="replace")):
        if call != _NO_ACT:
            called = (threads[int(thread)], call)
            counts[called] += 1
            points.append(Point(number, *called, counts[called]))
    return points


def killed(point: Point, run: Run, prepare: Callable[[Run], HeldDaemon]) -> bool:
    """Play a scene and end the daemon before it makes the call; ``False`` when it never does."""
    daemon = prepare(run)
    with ExitStack() as attached:

        def attach(thread: int) -> None:
            inject = f"inject={point.call}:signal=SIGKILL:when={point.nth}"
            options = ("-e", f"trace={point.call}", "-e", inject, "-o", os.devnull)
            attached.enter_context(Strace(thread, *options))

        if point.thread == MAIN:
            attach(daemon.pid)
        elif daemon.worker:
            attach(daemon.worker)
        else:
            daemon.on_worker = attach
        SCENES[point.scene].play(run, daemon)
    reached = daemon.code == -signal.SIGKILL
    daemon.kill()
    return reached


def outcome(point: Point, run: Run) -> Outcome:
    """Kill a daemon, as often as the point says; start it, let it trade on, and look."""
    scene = SCENES[point.scene]
    kills, ready = 0, 0.0
    faults: list[Fault] = []
    try:
        kills += killed(point, run, scene.prepare)
        for again in point.again:
            run.pass_to(run.second + PAUSE)
            kills += killed(again, run, Run.daemon)
        run.pass_to(run.second + PAUSE)
        began = time.monotonic()
        daemon = run.daemon()
        daemon.go(START)
        ready = time.monotonic() - began
        faults += _traded_on(run, daemon, managed=scene.minute <= TAKES_PARTS)
    except HungError as error:
        faults.append(Fault("wrong", str(error)))
    missed = len(LOTS) - books.read(run).bought
    return Outcome(point, kills, missed, ready, tuple(dict.fromkeys(faults)))


def _traded_on(run: Run, daemon: HeldDaemon, *, managed: bool) -> Iterator[Fault]:
    """Play on to the end with a daemon that was started again; yield what goes wrong."""
    for _ in range(LOOKS):
        _cycle(run, daemon, run.second + PAUSE)
    yield from books.differences(books.read(run))
    for minute in range(len(CLOSES) - 1):
        if after_close(minute) > run.second:
            _cycle(run, daemon, after_close(minute))
        if managed and minute == LEAVES - 1:
            yield from books.unmanaged(books.read(run))
    if daemon.code is None:
        daemon.go(run.pass_to(run.second + PAUSE), TERMINATE)
    at_the_end = books.read(run)
    yield from books.differences(at_the_end)
    yield from books.unfinished(at_the_end)
    if daemon.code:
        yield Fault("wrong", f"exit code {daemon.code}")
    yield from books.said_wrong(run.said())


def _cycle(run: Run, daemon: HeldDaemon, second: int) -> None:
    if daemon.code is None:
        run.cycle(daemon, second)
