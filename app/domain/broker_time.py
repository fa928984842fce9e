"""The broker server's wall clock: its days, its candles, and back to UTC.

A server's offset from UTC is constant between two transitions, so everything here is integer
arithmetic on epoch seconds over one small table, the same for one instant and for a whole column.

Where wall clocks misbehave, one rule decides: a wall time is *reached* at the first instant the
clock shows it or has gone past it. An hour that occurs twice belongs to its first occurrence, one
that is skipped to the instant of the jump, and so days tile time, 23, 24 or 25 hours long.
"""

import re
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Seconds: TypeAlias = NDArray[np.int64]
"""Epoch seconds UTC, one an element."""

_HOUR = 3600
_DAY = 86_400
_WEEK = 7 * _DAY
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_SUNDAY = 3 * _DAY
_END_OF_TIME = 1 << 60
_FIRST_YEAR, _LAST_YEAR = 1970, 2069
_RULE = re.compile(r"(NY|UTC)([+-](?:1[0-4]|\d))")
_RULE_ZONES = {"NY": "America/New_York", "UTC": "UTC"}


class ServerTime:
    """A broker server's wall clock, by IANA zone name or by rule.

    ``"NY+7"`` is New York's wall clock plus seven hours, whose day ends at 17:00 New York, the
    close of the FX day; ``"UTC+2"`` never changes. Offsets are tabulated for 1970 to 2069.

    Intraday candles stand on the server's midnight (up to an hour, on its full hours), D1 is the
    server's day, W1 begins on Sunday as in MetaTrader 5.

    Raises:
        ConfigurationError: the text names no time zone.

    """

    __slots__ = ("_ends", "_offsets", "_reached", "_starts", "name")

    name: str
    """The text it was made of."""

    def __init__(self, text: str) -> None:
        self.name = text.strip()
        starts, offsets = _offset_table(self.name)
        self._starts = starts
        """When each constant offset begins, epoch seconds; the first stands for all before."""
        self._offsets = offsets
        self._ends = (*starts[1:], _END_OF_TIME)
        reached = [-_END_OF_TIME]
        for end, offset in zip(self._ends, offsets, strict=True):
            reached.append(max(reached[-1], end + offset))
        self._reached = tuple(reached)
        """The wall time that was reached before each offset began."""

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"ServerTime({self.name!r})"

    def wall(self, utc: datetime) -> datetime:
        """Return what the server's clock shows at `utc`, as a naive time."""
        offset = self._offsets[bisect_right(self._starts, epoch_second(utc)) - 1]
        return utc.replace(tzinfo=None) + timedelta(seconds=offset)

    def to_utc(self, wall: datetime) -> datetime:
        """Return the first instant at which the server's clock shows or has passed `wall`."""
        second, micro = divmod(wall.replace(tzinfo=UTC) - EPOCH, timedelta(seconds=1))
        return instant(self._when_reached(second)) + micro

    def day(self, utc: datetime) -> date:
        """Return the trading day `utc` lies in."""
        return date.fromordinal(_EPOCH_DAY + self._furthest_wall(epoch_second(utc)) // _DAY)

    def day_start(self, utc: datetime) -> datetime:
        """Return when the trading day of `utc` began, aware UTC."""
        wall = self._furthest_wall(epoch_second(utc))
        return instant(self._when_reached(wall - wall % _DAY))

    def next_day_start(self, utc: datetime) -> datetime:
        """Return when the trading day after that of `utc` begins, aware UTC."""
        wall = self._furthest_wall(epoch_second(utc))
        return instant(self._when_reached(wall - wall % _DAY + _DAY))

    def candle_open(self, timeframe: Timeframe, utc: datetime) -> datetime:
        """Return when the candle of `timeframe` that `utc` lies in opened, aware UTC."""
        second = epoch_second(utc)
        length = timeframe.minutes * 60
        if length <= _HOUR:
            at = bisect_right(self._starts, second) - 1
            opened = second - (second + self._offsets[at]) % length
            return instant(max(opened, self._starts[at]))
        wall = self._furthest_wall(second)
        return instant(self._when_reached(wall - (wall - _anchor(length)) % length))

    def candle_close(self, timeframe: Timeframe, opened: datetime) -> datetime:
        """Return when the candle of `timeframe` that opened at `opened` closes, aware UTC."""
        second = epoch_second(opened)
        length = timeframe.minutes * 60
        if length <= _HOUR:
            at = bisect_right(self._starts, second) - 1
            closed = second + length - (second + self._offsets[at]) % length
            return instant(min(closed, self._ends[at]))
        wall = self._furthest_wall(second)
        return instant(self._when_reached(wall + length - (wall - _anchor(length)) % length))

    def to_seconds(self, walls: Seconds) -> Seconds:
        """Return :meth:`to_utc` of wall clocks given as seconds since 1970-01-01 00:00."""
        starts, offsets, _, reached = self._columns()
        at = np.minimum(np.searchsorted(reached[1:], walls, "right"), len(starts) - 1)
        instants: Seconds = np.maximum(starts[at], walls - offsets[at])
        return instants

    def candle_opens(self, timeframe: Timeframe, times: Seconds) -> Seconds:
        """Return :meth:`candle_open` of each time."""
        length = timeframe.minutes * 60
        starts, offsets, _, reached = self._columns()
        at = np.searchsorted(starts, times, "right") - 1
        walls = times + offsets[at]
        if length <= _HOUR:
            return np.maximum(times - walls % length, starts[at])
        walls = np.maximum(walls, reached[at] - 1)
        return self.to_seconds(walls - (walls - _anchor(length)) % length)

    def candle_closes(self, timeframe: Timeframe, opens: Seconds) -> Seconds:
        """Return :meth:`candle_close` of each opening time."""
        length = timeframe.minutes * 60
        starts, offsets, ends, reached = self._columns()
        at = np.searchsorted(starts, opens, "right") - 1
        walls = opens + offsets[at]
        if length <= _HOUR:
            return np.minimum(opens + length - walls % length, ends[at])
        walls = np.maximum(walls, reached[at] - 1)
        return self.to_seconds(walls + length - (walls - _anchor(length)) % length)

    def _furthest_wall(self, second: int) -> int:
        at = bisect_right(self._starts, second) - 1
        return max(second + self._offsets[at], self._reached[at] - 1)

    def _when_reached(self, wall: int) -> int:
        at = bisect_right(self._reached, wall) - 1
        return max(self._starts[at], wall - self._offsets[at])

    def _columns(self) -> tuple[Seconds, Seconds, Seconds, Seconds]:
        starts, offsets, ends, reached = (
            np.array(part, np.int64)
            for part in (self._starts, self._offsets, self._ends, self._reached)
        )
        return starts, offsets, ends, reached


def _anchor(length: int) -> int:
    """Return a wall time at which a candle of `length` seconds opens."""
    return _FIRST_SUNDAY if length == _WEEK else 0


def epoch_second(utc: datetime) -> int:
    """Return the full seconds since 1970 at an aware time."""
    return int(utc.timestamp() // 1)


def instant(second: int) -> datetime:
    """Return the aware UTC time of an epoch second."""
    return EPOCH + timedelta(seconds=second)


def instants(seconds: Seconds) -> list[datetime]:
    """Return :func:`instant` of each epoch second."""
    deltas: list[timedelta] = seconds.astype("timedelta64[s]").tolist()
    return [EPOCH + delta for delta in deltas]


@lru_cache(maxsize=32)
def _offset_table(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return when each offset begins (epoch seconds) and the offset (seconds east of UTC)."""
    zone, shift = _zone(name)

    def offset(second: int) -> int:
        ahead = instant(second).astimezone(zone).utcoffset() or timedelta()
        return int(ahead.total_seconds()) + shift

    if zone.key == "UTC":
        return (-_END_OF_TIME,), (shift,)
    first = int(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(_LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
    starts, offsets = [-_END_OF_TIME], [offset(first)]
    for before, after in pairwise(range(first, last + _WEEK, _WEEK)):
        if offset(after) == offsets[-1]:
            continue
        low, high = before, after
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
        starts.append(high)
        offsets.append(offset(high))
    return tuple(starts), tuple(offsets)


def _zone(name: str) -> tuple[ZoneInfo, int]:
    """Return a zone and the seconds to add to its wall clock."""
    rule = _RULE.fullmatch(name.upper())
    zone, shift = (_RULE_ZONES[rule[1]], int(rule[2])) if rule else (name, 0)
    try:
        return ZoneInfo(zone), shift * _HOUR
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = [*available_timezones(), "NY+7"]
        raise ConfigurationError(
            f"unknown time zone '{name}': expected an IANA name such as Europe/Athens "
            f"or a rule such as NY+7{nearest(name, known)}"
        ) from None
