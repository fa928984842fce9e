"""How many requests a minute may leave for the broker: a token bucket, in the market's time."""

from datetime import UTC, datetime, timedelta

_MINUTE = timedelta(minutes=1)


class OrderPace:
    """Refuses entries when requests come too fast; exits, stops and withdrawals always leave.

    They count all the same. No minute sees more than `per_minute` entries: about half of them may
    come at once, the other half is what the bucket refills in a minute
    (https://en.wikipedia.org/wiki/Token_bucket).
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._most = (per_minute + 2) // 2
        self._refill_a_minute = per_minute + 1 - self._most
        self._left = float(self._most)
        self._at = datetime.min.replace(tzinfo=UTC)

    def count(self, at: datetime) -> None:
        """Count a request that leaves at `at`."""
        self._refill(at)
        self._left = max(self._left - 1, -self._refill_a_minute)

    def allows_entry(self, at: datetime) -> bool:
        """Say whether an entry may leave at `at`."""
        self._refill(at)
        return self._left >= 1

    def too_fast(self, at: datetime) -> None:
        """Take in that the broker found it too fast: entries wait a minute."""
        self._refill(at)
        self._left = 1.0 - self._refill_a_minute

    def _refill(self, at: datetime) -> None:
        """Let the time since the last request refill it; a clock that was set back begins anew."""
        if at > self._at:
            refilled = self._left + (at - self._at) / _MINUTE * self._refill_a_minute
            self._left = min(refilled, float(self._most))
        self._at = at
