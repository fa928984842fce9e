"""A thread that looks on, and ends the process when it hangs: a hung loop cannot see its own hang.

The time of a cycle is counted in the thread's own looks, not read from a clock: a process that was
stopped or frozen with its machine has not hung, and the loop pays two assignments a cycle. The
thread needs the interpreter; a hang inside a library that never lets go of it is left to the
service manager.

Only the standard library is imported: this is there before anything else is.
"""

import logging
import math
import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from traceback import format_stack
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from app.ports import Clock

EXIT_CODE: Final = 70
STOP_BUDGET: Final = 4.0
"""Real seconds from a request to stop to the end of the process; what is left of the five that
are promised belongs to the stacks."""

_LOOKS: Final = 32
"""Looks within a budget."""
_SLOW: Final = _LOOKS // 4
_PATIENCE: Final = 0.4
"""Real seconds that what is said at the end may take: its reader may be what hangs."""
_WAITING: Final = 1 << 62


class Watchdog:
    """Ends the process with code 70 when a cycle, or the end that was asked for, takes too long.

    It says so in one CRITICAL line and writes the stack of every thread to standard error. Orders
    in flight are what the journal is for: they are looked for at the next start.
    """

    def __init__(self) -> None:
        self.looks = 0
        """How often the thread has looked."""
        self.began = _WAITING
        """The look at which the running cycle began; far in the future while the loop waits."""
        self._budget = math.inf
        self._stopping = False
        self._closed = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread = Thread(target=self._look_on, name="watchdog", daemon=True)

    def start(self) -> Self:
        """Begin to look on."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Look on no longer."""
        self._closed = True
        self._wake.put(None)
        self._thread.join()

    def watch(self, clock: "Clock", budget: float) -> "WatchedClock":
        """Return `clock` for a loop whose cycles may take `budget` real seconds between its waits.

        The process ends between one and two budgets after the wait that was the last to return.
        """
        self._budget = budget
        self._wake.put(None)
        return WatchedClock(clock, self)

    def stop_soon(self) -> None:
        """Give the process `STOP_BUDGET` seconds to end; safe from a signal handler."""
        self._stopping = True
        self._wake.put(None)

    def slow(self, looks: int) -> None:
        """Report a cycle that ended after more than a quarter of its budget."""
        logging.getLogger("watchdog").warning(
            "a cycle took about %.1f s: orchestrator.cycle_budget ends the process after %g s",
            looks * self._budget / _LOOKS,
            self._budget,
        )

    def _look_on(self) -> None:
        while not (self._stopping or self._closed):
            if self._slept(self._budget / _LOOKS):
                self.looks += 1
            if self.looks - self.began > _LOOKS:
                self._end_process(f"a cycle has been running for {self._budget:g} s")
        ends = monotonic() + STOP_BUDGET
        while not self._closed:
            if self._slept(ends - monotonic()):
                self._end_process(
                    f"the process did not end within {STOP_BUDGET:g} s of being asked to"
                )

    def _slept(self, seconds: float) -> bool:
        """Let real seconds pass; ``False`` when woken."""
        try:
            self._wake.get(timeout=None if seconds == math.inf else max(seconds, 0))
        except Empty:
            return True
        return False

    def _end_process(self, why: str) -> None:
        line = f"{why}: ending it with code {EXIT_CODE}, stacks on standard error"
        try:
            for say in (partial(logging.getLogger("watchdog").critical, line), _write_stacks):
                _within_patience(say)
        finally:
            os._exit(EXIT_CODE)


class WatchedClock:
    """A clock whose watchdog knows whether its loop waits or works.

    Args:
        clock: the clock itself.
        watchdog: told.

    """

    def __init__(self, clock: "Clock", watchdog: Watchdog) -> None:
        self.now: Callable[[], datetime] = clock.now
        self.stop: Callable[[], None] = clock.stop
        self._wait = clock.wait
        self._watchdog = watchdog

    def wait(self, seconds: float) -> bool:
        """Let `seconds` of market time pass; ``False`` when stopped or nothing more will come."""
        watchdog = self._watchdog
        if (looks := watchdog.looks - watchdog.began) > _SLOW:
            watchdog.slow(looks)
        watchdog.began = _WAITING
        going = self._wait(seconds)
        watchdog.began = watchdog.looks
        return going


def _within_patience(say: Callable[[], object]) -> None:
    """Say something in a thread that may be left behind; in this one where none can begin any more.

    From Python 3.12 on no thread begins once the interpreter waits for its threads to end.
    """
    saying = Thread(target=say, daemon=True)
    try:
        saying.start()
    except RuntimeError:
        say()
    else:
        saying.join(_PATIENCE)


def _write_stacks() -> None:
    # Not by faulthandler: it would hold the interpreter while nobody reads what it writes.
    if sys.stderr is None:
        return
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the one way to see them all
        sys.stderr.write(f"Thread {names.get(ident, ident)}:\n{''.join(format_stack(frame))}")
    sys.stderr.flush()
