"""The bars of a symbol and timeframe as a terminal shows them: closed ones and a forming one."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from app.bridge.values import Bar
from app.domain.aggregation import Bars, aggregate
from app.domain.broker_time import ServerTime, epoch_second, instant, instants
from app.domain.market import Timeframe

Path: TypeAlias = list[float]
"""The prices of a base bar so far: at its open, then at each quarter."""

_WEEK = 7 * 86_400
_STEP = 8 * _WEEK
_W1 = Timeframe("W1")
_MOST_KEPT = 200_000


class Base(msgspec.Struct, frozen=True, gc=False):
    """The base bar of now: when it opened, its prices so far, its ticks so far and its spread."""

    opened: int
    path: Path
    ticks: int
    spread: int


class Series:
    """The bars of one symbol and timeframe, made of base bars as far back as they are asked for.

    Args:
        base_bars: those that opened in ``[since, before)``, epoch seconds UTC.
        timeframe: a multiple of theirs.
        server_time: the grid the bars stand on.
        digits: of prices.
        first: epoch seconds UTC before which there is no history.
        base: the base bar at a time, ``None`` before the first.

    """

    def __init__(
        self,
        base_bars: Callable[[int, int], Bars],
        timeframe: Timeframe,
        server_time: ServerTime,
        digits: int,
        *,
        first: int,
        base: Callable[[int], Base | None],
    ) -> None:
        self._base_bars = base_bars
        self._timeframe = timeframe
        self._server_time = server_time
        self._digits = digits
        self._first = first
        self._base = base
        self._bars: list[Bar] = []
        self._since = self._until = 0
        self._whole: tuple[int, int, Bars] | None = None

    def dig(self, now: datetime, *, count: int = 0, since: datetime | None = None) -> bool:
        """Go eight weeks further back if that is needed; false when enough is there or no more."""
        self._reach(now)
        enough = len(self._bars) >= count if since is None else instant(self._since) <= since
        if enough or self._since <= self._first:
            return False
        self._extend_back()
        return True

    def bars(
        self,
        now: datetime,
        *,
        count: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Bar]:
        """Return the newest `count` bars, or those that opened in ``[since, until]``.

        There are as many as have been dug for.
        """
        self._reach(now)
        forming = self._forming(now)
        if since is None:
            wanted = max(count - len(forming), 0)
            return self._bars[max(len(self._bars) - wanted, 0) :] + forming[:count]
        low = bisect_left(self._bars, since, key=_opened)
        high = len(self._bars) if until is None else bisect_right(self._bars, until, key=_opened)
        inside = [bar for bar in forming if since <= bar.time and (not until or bar.time <= until)]
        return self._bars[low:high] + inside

    def _reach(self, now: datetime) -> None:
        """Take in the bars that have closed since the last call."""
        opened = epoch_second(self._server_time.candle_open(self._timeframe, now))
        if not self._until:
            self._since = self._until = epoch_second(self._server_time.candle_open(_W1, now))
        if opened > self._until:
            self._bars += self._made(self._until, opened)
            self._until = opened
        if len(self._bars) > _MOST_KEPT:
            del self._bars[: _MOST_KEPT // 2]
            self._since = epoch_second(self._bars[0].time)

    def _extend_back(self) -> None:
        week = self._server_time.candle_open(_W1, instant(self._since - _STEP + _WEEK // 2))
        since = epoch_second(week)
        self._bars[:0] = self._made(max(since, self._first), self._since)
        self._since = since

    def _made(self, since: int, before: int) -> list[Bar]:
        return self._rows(self._aggregated(since, before))

    def _aggregated(self, since: int, before: int) -> Bars:
        return aggregate(self._base_bars(since, before), self._timeframe, self._server_time)

    def _rows(self, bars: Bars) -> list[Bar]:
        prices = (column.round(self._digits).tolist() for column in bars.columns()[:4])
        counts = (bars.volume.astype(int).tolist(), bars.spread.astype(int).tolist())
        return list(map(Bar, instants(bars.time), *prices, *counts))

    def _forming(self, now: datetime) -> list[Bar]:
        """Return the bar that `now` lies in, made of its ticks so far; none before the first."""
        opened = epoch_second(self._server_time.candle_open(self._timeframe, now))
        base = self._base(epoch_second(now))
        if base is None or base.opened < opened:
            return []
        path, digits = base.path, self._digits
        bar = Bar(
            instant(opened),
            round(path[0], digits),
            round(max(path), digits),
            round(min(path), digits),
            round(path[-1], digits),
            base.ticks,
            base.spread,
        )
        if base.opened == opened:
            return [bar]
        if self._whole is None or self._whole[:2] != (opened, base.opened):
            self._whole = (opened, base.opened, self._aggregated(opened, base.opened))
        whole = self._rows(self._whole[2])
        return [_joined(whole[0], bar)] if whole else [bar]


def _joined(whole: Bar, rest: Bar) -> Bar:
    return Bar(
        whole.time,
        whole.open,
        max(whole.high, rest.high),
        min(whole.low, rest.low),
        rest.close,
        whole.tick_volume + rest.tick_volume,
        max(whole.spread, rest.spread),
    )


def _opened(bar: Bar) -> datetime:
    return bar.time
