"""When what was refused is asked for again: soon, then after twice as long each time."""

from collections.abc import Container, Hashable
from datetime import datetime, timedelta
from typing import NamedTuple

_FIRST = timedelta(seconds=5)
_LONGEST = timedelta(minutes=15)


class _Pause(NamedTuple):
    """Until when nothing is asked, and for how long not after that."""

    until: datetime
    length: timedelta


class Pauses:
    """The pauses of what is asked for again and again."""

    def __init__(self) -> None:
        self._pauses: dict[Hashable, _Pause] = {}

    def keep(self, wanted: Container[Hashable]) -> None:
        """Forget those of what is not `wanted` any more."""
        if self._pauses:
            self._pauses = {what: it for what, it in self._pauses.items() if what in wanted}

    def is_over(self, what: Hashable, now: datetime) -> bool:
        """Say whether the pause of `what` is over, and begin the next one."""
        pause = self._pauses.get(what, _Pause(now, _FIRST))
        if now < pause.until and pause.until - now <= pause.length:
            return False
        self._pauses[what] = _Pause(now + pause.length, min(2 * pause.length, _LONGEST))
        return True
