"""When to replace a failed service, and when to give up. Pure: times in, a verdict out."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum

import msgspec


class Verdict(Enum):
    """What to do about an unhealthy service."""

    WAIT = "wait"
    RESTART = "restart"
    GIVE_UP = "give up"


class RestartPolicy(msgspec.Struct, frozen=True):
    """How often a service may be replaced.

    A further replacement waits ``backoff * 2**(n-1)`` after the last of the n within `window`. The
    service is given up when `budget` replacements within `window` did not help, or as many in a row
    finished nothing at all, however long they took over it.
    """

    backoff: timedelta
    budget: int
    window: timedelta

    def recent(self, restarts: Sequence[datetime], now: datetime) -> list[datetime]:
        """Return the restarts that still count at `now`."""
        return [at for at in restarts if now - at < self.window]

    def verdict(self, restarts: Sequence[datetime], now: datetime, futile: int = 0) -> Verdict:
        """Say what to do at `now` about a failing service that was replaced at `restarts`.

        `futile` of its newest replacements in a row finished nothing.
        """
        recent = self.recent(restarts, now)
        if max(len(recent), futile) >= self.budget:
            return Verdict.GIVE_UP
        if recent and now - recent[-1] < self.backoff * 2 ** (len(recent) - 1):
            return Verdict.WAIT
        return Verdict.RESTART
