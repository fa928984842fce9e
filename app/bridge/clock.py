"""The simulated market's time: so many times faster than the real one, or stepped by hand."""

from datetime import datetime, timedelta
from time import monotonic


class MarketClock:
    """The market's now, which never goes back.

    Args:
        start: aware UTC, the first now.
        speed: market seconds in a real one; at 0 the clock stands until it is stepped.
        end: aware UTC, where the data end; never passed.

    """

    def __init__(self, start: datetime, speed: float, *, end: datetime | None = None) -> None:
        self.speed = speed
        self._start = start
        self._end = end
        self._began = monotonic()

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        passed = timedelta(seconds=(monotonic() - self._began) * self.speed)
        now = self._start + passed
        return now if self._end is None or now < self._end else self._end

    def step(self, by: timedelta) -> None:
        """Let `by` of market time pass at once."""
        self._start += max(by, timedelta())
