"""The wall clock a bridge speaks in: how its naive times become UTC, and how that is measured.

MetaTrader gives times as its server's wall clock shows them. How far that is from UTC is seen from
a price that has just come; a market that is closed tells nothing.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.ports import Clock

_STEP = timedelta(minutes=15)
"""What all offsets from UTC are multiples of."""
_FRESH = timedelta(minutes=2)
"""How old a new price may be, or the clocks apart: so near is its time to a multiple of `_STEP`."""
_FURTHEST_WEST, _FURTHEST_EAST = timedelta(hours=-12), timedelta(hours=14)
_LOOKS = 10
_USUAL = ("NY+7", "Europe/Athens", "Europe/London", "Europe/Berlin", "Europe/Moscow", "NY+0")
"""Clocks of brokers' servers, most common first."""
_NONE = timedelta()
_SECOND = timedelta(seconds=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ServerClock(msgspec.Struct, frozen=True):
    """How times without a zone are meant.

    MetaTrader gives them as the broker server's wall clock; a bridge with `naive_is_utc` has
    converted them already.
    """

    server_time: ServerTime
    naive_is_utc: bool = False

    def utc(self, naive: datetime) -> datetime:
        """Return the instant, aware UTC, that a time without a zone names."""
        return naive.replace(tzinfo=UTC) if self.naive_is_utc else self.server_time.to_utc(naive)

    def around(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return what to ask for so that all from `start` to `end` (aware) is in the answer.

        Requests are in UTC, but some bridges take the numbers for their server's wall clock. Of a
        server behind UTC that is later than was meant, of one ahead of it earlier: both ends are
        set so that nothing is missed either way, and some hours more may be listed.
        """
        first = min(start, self.server_time.wall(start).replace(tzinfo=UTC))
        last = max(end, self.server_time.wall(end).replace(tzinfo=UTC))
        return first - _SECOND, last + _SECOND


UTC_CLOCK = ServerClock(ServerTime("UTC"))
"""Takes every time as it stands: what prices are read by to measure the server's clock."""


class Measured(msgspec.Struct, frozen=True):
    """What prices tell of the server's clock.

    `offset` is how far it is ahead of UTC, ``None`` when that could not be measured and the setting
    is trusted; `skew` how many seconds the newest price is ahead of our clock, negative when it is
    old; `text` says it all to the operator.
    """

    clock: ServerClock
    offset: timedelta | None
    skew: float
    text: str


def measure(
    tick_walls: Sequence[datetime],
    now: datetime,
    configured: ServerTime | None,
    *,
    moving: bool = True,
) -> Measured:
    """Return the clock the prices speak for.

    Args:
        tick_walls: when prices came, as `UTC_CLOCK` reads their times.
        now: the market's now when they were read, aware UTC.
        configured: ``broker.server_timezone``; ``None`` lets the prices decide, and the most usual
            clock where they cannot.
        moving: whether a price came between two looks; else only agreement counts.

    Raises:
        ConfigurationError: the server's clock is another one; names those that fit.

    """
    assumed = configured or ServerTime(_USUAL[0])
    expected = _offset(assumed, now)
    trusted = ServerClock(assumed)
    ahead = max(tick_walls, default=_LONG_AGO) - now
    offset = round(ahead / _STEP) * _STEP
    skew = (ahead - offset).total_seconds()
    if offset == expected:
        text = f"server clock {assumed}, {_said(offset)} now; newest price {skew:+.1f} s"
        return Measured(trusted, offset, skew, text)
    fresh = abs(ahead - offset) <= _FRESH and _FURTHEST_WEST <= offset <= _FURTHEST_EAST
    if not (moving and fresh):
        text = f"no new price to measure the server's clock by: {assumed} is trusted"
        return Measured(trusted, None, 0.0, text)
    fitting = [name for name in _candidates(offset) if _offset(ServerTime(name), now) == offset]
    if configured is None and fitting:
        text = f"server clock measured as {fitting[0]}, {_said(offset)} now"
        return Measured(ServerClock(ServerTime(fitting[0])), offset, skew, text)
    if offset == _NONE:
        text = f"the bridge gives UTC; candles stand on the clock of {assumed}"
        return Measured(ServerClock(assumed, naive_is_utc=True), offset, skew, text)
    raise ConfigurationError(
        f"broker.server_timezone: {assumed} is {_said(expected)} now, but the server's clock is "
        f"{_said(offset)}: expected {' or '.join(fitting) or 'a zone with that offset'}"
    )


def look(
    ticks: Callable[[], Sequence[datetime]], clock: Clock, configured: ServerTime | None
) -> Measured:
    """Return the clock the prices speak for, waiting some seconds for new ones if they disagree.

    Args:
        ticks: asks when the latest prices came, as `UTC_CLOCK` reads their times.
        clock: the market's now.
        configured: ``broker.server_timezone``, ``None`` when it is not set.

    Raises:
        ConfigurationError: the server's clock is another one.

    """
    first = ticks()
    measured = measure(first, clock.now(), configured, moving=False)
    looks = 0
    while measured.offset is None and looks < _LOOKS and clock.wait(1.0):
        latest = ticks()
        moving = bool(set(latest) - set(first))
        measured = measure(latest, clock.now(), configured, moving=moving)
        looks += 1
    return measured


class ClockWatch:
    """Notices that new prices go on coming by another clock than was measured.

    Zones that agree when a daemon starts may change to summer time weeks apart.
    """

    def __init__(self) -> None:
        self._offset = _NONE
        self._row = 0

    def moved(self, ahead: timedelta) -> str:
        """Take in how far a new price is ahead of our clock; say it once they are all so far off.

        Empty while they are not, and once it was said.
        """
        offset = round(ahead / _STEP) * _STEP
        if abs(ahead - offset) > _FRESH:
            return ""
        if offset != self._offset:
            self._offset, self._row = offset, 0
        self._row += 1
        if not offset or self._row != _LOOKS:
            return ""
        way = "old" if offset < _NONE else "ahead of our clock"
        return f"{abs(offset) // timedelta(minutes=1)} minutes {way}"


def _offset(server: ServerTime, now: datetime) -> timedelta:
    return server.wall(now) - now.replace(tzinfo=None)


def _candidates(offset: timedelta) -> tuple[str, ...]:
    hours, rest = divmod(offset, timedelta(hours=1))
    if not offset:
        return ("UTC", *_USUAL)
    return _USUAL if rest else (*_USUAL, f"UTC{hours:+d}")


def _said(offset: timedelta) -> str:
    sign = "-" if offset < _NONE else "+"
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"UTC{sign}{hours:02d}:{minutes:02d}"
