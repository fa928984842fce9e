"""The market's now behind a bridge: the real time, or that of a simulated market."""

from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic
from typing import NamedTuple

from app.adapters.clocks import Stop

_LOOK = 0.05
"""Real seconds between two looks at a market that stands still."""


class _Told(NamedTuple):
    """The market showed `time` at `at` (monotonic), passing `speed` of its seconds in one."""

    time: datetime
    at: float
    speed: float

    def now(self) -> datetime:
        return self.time + timedelta(seconds=(monotonic() - self.at) * self.speed)


class BridgeClock:
    """The real time until the bridge tells another one; then its market's, which never goes back.

    A market that starts over is waited for until it is where it was.

    Attributes:
        stopping: set from `stop` on; for whoever waits for the bridge.

    """

    def __init__(self) -> None:
        self.stopping = Stop()
        self._told: _Told | None = None
        self._latest: datetime | None = None
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the market's time, aware UTC."""
        with self._lock:
            if self._told is None:
                return datetime.now(UTC)
            now = self._told.now()
            if self._latest is None or now > self._latest:
                self._latest = now
            return self._latest

    def told(self, time: datetime | None, speed: float | None) -> None:
        """Take in what the bridge's health says: its market's time and market seconds a second.

        Without both, as with a real terminal, the clock stays as it is. A speed of 0 is a market
        that is stepped: it stands where it was told to be.
        """
        if time is None or speed is None:
            return
        with self._lock:
            self._told = _Told(time, monotonic(), speed)

    def wait(self, seconds: float) -> bool:
        """Let `seconds` of market time pass; ``False`` as soon as it is stopped.

        In a market that stands still that is the time to the next look at it.
        """
        told = self._told
        speed = 1.0 if told is None else told.speed
        return not self.stopping.came_within(seconds / speed if speed > 0 else _LOOK)

    def stop(self) -> None:
        """End the current and every later wait at once; safe from a signal handler."""
        self.stopping.wish()
