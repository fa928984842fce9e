"""The market's now: the real time, or a replay's at any speed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from time import monotonic

_PAUSE = timedelta(minutes=10)
_MINUTE = timedelta(minutes=1)


class Stop:
    """A wish to stop that wakes the thread that waits, and that others may look at.

    `SimpleQueue.put` is reentrant; `threading.Event.set` is not and can deadlock in a signal
    handler that interrupts its own thread's `wait`.
    """

    def __init__(self) -> None:
        self.wished = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def wish(self) -> None:
        """Wish to stop; safe from a signal handler."""
        self.wished = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Say whether stopping is wished."""
        return self.wished

    def came_within(self, seconds: float) -> bool:
        """Wait real seconds; return at once, true, when stopping is wished."""
        if not self.wished and seconds > 0:
            try:
                self._wake.get(timeout=seconds)
            except Empty:
                return self.wished
        return self.wished


class SystemClock:
    """The real time; a wait takes as long as it says, whatever is done to the wall clock."""

    def __init__(self) -> None:
        self._stop = Stop()

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float) -> bool:
        """Let real seconds pass; ``False`` as soon as it is stopped."""
        return not self._stop.came_within(seconds)

    def stop(self) -> None:
        """End the current and every later wait at once; safe from a signal handler."""
        self._stop.wish()


class ReplayClock:
    """The time of a market played again.

    It steps from one closing candle to the next, by at least the seconds asked, and stays put when
    nothing more will close. The pace is held against the monotonic clock, so that neither the time
    a cycle takes nor rounding adds up; behind schedule it does not sleep at all. Where nothing
    closes for longer than ten minutes and a base candle, as at the weekend, it jumps: that takes
    no longer than one base candle.

    Args:
        next_close: the instant after a given one at which the next candle closes, or ``None``.
        start: aware UTC, the market's now until the first wait.
        speed: market seconds in one real second; 0 is as fast as possible.
        end: aware UTC, never passed.
        candle: how long a base candle is.

    """

    def __init__(
        self,
        next_close: Callable[[datetime], datetime | None],
        start: datetime,
        speed: float,
        *,
        end: datetime | None = None,
        candle: timedelta = _MINUTE,
    ) -> None:
        self._next_close = next_close
        self._now = start
        self._speed = speed
        self._end = end
        self._candle = candle
        self._due: float | None = None
        self._asked, self._step = 0.0, timedelta()
        self._stop = Stop()

    def now(self) -> datetime:
        """Return the market's time, aware UTC."""
        return self._now

    def wait(self, seconds: float) -> bool:
        """Go on to the next candle, `seconds` of market time at least; ``False`` at the end."""
        if self._stop.wished:
            return False
        now = self._now
        closes = self._next_close(now)
        if closes is None:
            return False
        if seconds != self._asked:
            self._asked, self._step = seconds, timedelta(seconds=seconds)
        target = max(closes, now + self._step)
        if self._end is not None and target > self._end:
            target = max(closes, self._end)
        if self._speed > 0 and self._slept_through(closes - now, target - now):
            return False
        self._now = target
        return True

    def stop(self) -> None:
        """End the current and every later wait at once; safe from a signal handler."""
        self._stop.wish()

    def _slept_through(self, quiet: timedelta, step: timedelta) -> bool:
        """Sleep until `step` of market time is due; true when stopped meanwhile."""
        market = self._candle if quiet > max(_PAUSE, self._candle) else step
        began = monotonic()
        self._due = (
            began if self._due is None else self._due
        ) + market.total_seconds() / self._speed
        return self._stop.came_within(self._due - began)
