"""The paths a daemon is killed on, each from a daemon at its beginning to what it does then."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.proofs.held_daemon import CYCLE, START, TERMINATE, HeldDaemon
from tests.proofs.play import ENTERS, LEAVES, RESTS, TAKES_PARTS, TRAILS, Run, after_close

PAUSE = 5
"""Market seconds between two cycles, or a kill and the start after it."""


class Scene(NamedTuple):
    """One way along a path: `prepare` brings a daemon to its beginning, `play` goes through it.

    It happens at the close of a `minute` of the play.
    """

    path: str
    name: str
    minute: int
    prepare: Callable[[Run], HeldDaemon]
    play: Callable[[Run, HeldDaemon], object]

    def __str__(self) -> str:
        return f"{self.path} {self.name}".rstrip()


def _trading(run: Run, until: int, trouble: Callable[[Run], object] = lambda _: None) -> HeldDaemon:
    """Return a daemon that has seen all candles before that of minute `until`."""
    daemon = run.daemon()
    daemon.go(START)
    for minute in range(until):
        run.cycle(daemon, after_close(minute))
    trouble(run)
    return daemon


def _cycle(run: Run, daemon: HeldDaemon, minute: int) -> bool:
    return run.cycle(daemon, after_close(minute))


def _in_a_cycle(
    path: str, name: str, minute: int, trouble: Callable[[Run], object] = lambda _: None
) -> Scene:
    return Scene(
        path,
        name,
        minute,
        partial(_trading, until=minute, trouble=trouble),
        partial(_cycle, minute=minute),
    )


def _executed_unheard(run: Run) -> None:
    """Let the next order be executed and its connection be cut before the reply."""
    run.bridge.faults({"what": "reset_after", "call": "orders/create"})


def _closed_by_hand(run: Run) -> None:
    """Let a person close a position, for the daemon to find out."""
    held = run.bridge.ledger()["positions"][0]
    run.bridge.control("manual/close", ticket=held["ticket"])


def _born_in_doubt(run: Run) -> HeldDaemon:
    """Return a new daemon after one that was killed when its order was executed, unheard."""
    earlier = _trading(run, ENTERS)
    run.bridge.faults({"what": "lose_reply", "call": "orders/create"})
    earlier.tell(run.pass_to(after_close(ENTERS)), CYCLE)
    while not run.bridge.ledger()["positions"]:
        time.sleep(0.002)
    earlier.kill()
    run.pass_to(run.second + PAUSE)
    return run.daemon()


def _start(run: Run, daemon: HeldDaemon) -> bool:
    """Start, and run the cycle that makes durable what the start has noted."""
    return daemon.go(START) and run.cycle(daemon, run.second + PAUSE)


def _lose(run: Run, daemon: HeldDaemon) -> None:
    """Send an order that never arrives, and look for it until it is proven lost."""
    run.bridge.faults({"what": "reset", "call": "orders/create"})
    going = run.cycle(daemon, after_close(ENTERS))
    while going and run.second < after_close(ENTERS) + 3 * PAUSE:
        going = run.cycle(daemon, run.second + PAUSE)


def _stop_in_a_cycle(run: Run, daemon: HeldDaemon) -> bool:
    """Ask for the end as the cycle begins in which the strategy leaves."""
    return daemon.go(run.pass_to(after_close(LEAVES)), CYCLE, TERMINATE)


AT_THE_START = Scene("reconcile", "at the start", ENTERS, _born_in_doubt, _start)
ENTRY = _in_a_cycle("entry", "", ENTERS)
EXIT = _in_a_cycle("exit", "by signal", LEAVES)
PARTS = _in_a_cycle("exit", "of two parts", TAKES_PARTS)
SCENES = (
    ENTRY,
    EXIT,
    PARTS,
    _in_a_cycle("modify", "", TRAILS),
    AT_THE_START,
    _in_a_cycle("reconcile", "while running", ENTERS, _executed_unheard),
    Scene("reconcile", "what is lost", ENTERS, partial(_trading, until=ENTERS), _lose),
    _in_a_cycle("checkpoint", "", RESTS, _closed_by_hand),
    Scene("checkpoint", "of a first start", ENTERS, Run.daemon, _start),
    Scene("shutdown", "", LEAVES, partial(_trading, until=LEAVES), _stop_in_a_cycle),
)
PATHS = tuple(dict.fromkeys(scene.path for scene in SCENES))
