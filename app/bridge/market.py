"""The market of one symbol: bars become ticks, the same ones every time.

A bar of a minute is four ticks, one every quarter: its open, its two extremes, its close. The low
comes first in a bar that rises and the high in one that falls. Between the ticks of a bar the
market walks, from one bar to the next it may jump. Between two ticks the price is confirmed every
second, as in a market where somebody is always there.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal

import msgspec
import numpy as np

from app.adapters.replay import BarFeed
from app.bridge.bars import Base, Path, Series
from app.bridge.values import Bar, Symbol, Tick
from app.domain.aggregation import Bars, check_aggregates
from app.domain.broker_time import Seconds, ServerTime, epoch_second, instant
from app.domain.market import Timeframe

_NEW_YORK = ServerTime("NY+7")
_D1 = Timeframe("D1")
_SATURDAY = 5
_WEEK = 7 * 86_400
_BLOCKS_KEPT = 4
_QUARTERS = 4


class Block(msgspec.Struct, frozen=True):
    """A week of base bars, a column a list: when each opened, its four prices, ticks and spread."""

    times: list[int]
    paths: list[Path]
    ticks: list[int]
    spreads: list[int]


class Market:
    """Ticks and bars of one symbol, and when it is open.

    Args:
        symbol: what it is.
        feed: its base bars.
        server_time: the grid bars stand on.
        holidays: days, ending at 17:00 New York, on which nothing is traded.

    """

    def __init__(
        self,
        symbol: Symbol,
        feed: BarFeed,
        server_time: ServerTime,
        holidays: Sequence[date] = (),
    ) -> None:
        self._symbol = symbol
        self._feed = feed
        self._server_time = server_time
        self._holidays = frozenset(holidays)
        self._closed_days = _day_starts(holidays)
        self._quarter = feed.timeframe.minutes * 60 // _QUARTERS
        self._blocks: dict[int, Block] = {}
        self._series: dict[Timeframe, Series] = {}
        self._newest: tuple[int, Tick] | None = None

    @property
    def symbol(self) -> Symbol:
        """What is traded."""
        return self._symbol

    @symbol.setter
    def symbol(self, symbol: Symbol) -> None:
        """Change it under way, as brokers do."""
        self._symbol = symbol
        self._series.clear()
        self._newest = None

    def is_open(self, now: datetime) -> bool:
        """Say whether its session is on: crypto always, others Sunday to Friday 17:00 New York."""
        day = _NEW_YORK.day(now)
        return (self._symbol.always_open or day.weekday() < _SATURDAY) and day not in self._holidays

    def tick(self, now: datetime) -> Tick | None:
        """Return the newest tick at `now`, ``None`` before the first."""
        second = epoch_second(now)
        found = self._bar_at(second)
        if found is None:
            return None
        block, at = found
        last = block.times[at] + _QUARTERS * self._quarter - 1
        return self._tick(block, at, self._quarter_of(block, at, second), min(second, last))

    def ticks(self, after: datetime, upto: datetime) -> Iterator[Tick]:
        """Yield the ticks in ``(after, upto]``, oldest first."""
        low, high = epoch_second(after), epoch_second(upto)
        found = self._bar_at(low)
        start = low if found is None else found[0].times[found[1]]
        for number in range(start // _WEEK, high // _WEEK + 1):
            block = self._block(number)
            for at in range(bisect_right(block.times, start - 1), len(block.times)):
                opened = block.times[at]
                if opened > high:
                    return
                for quarter in range(_QUARTERS):
                    second = opened + quarter * self._quarter
                    if low < second <= high:
                        yield self._tick(block, at, quarter, second)

    def dig(
        self,
        timeframe: Timeframe,
        now: datetime,
        *,
        count: int = 0,
        since: datetime | None = None,
    ) -> bool:
        """Get a stretch more of history; false when `count` bars, or those from `since`, are there.

        Raises ConfigurationError for a timeframe that the base bars cannot make.
        """
        return self._series_of(timeframe).dig(now, count=count, since=since)

    def bars(
        self,
        timeframe: Timeframe,
        now: datetime,
        *,
        count: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Bar]:
        """Return the newest `count` bars, or those that opened in ``[since, until]``.

        Raises ConfigurationError for a timeframe that the base bars cannot make.
        """
        return self._series_of(timeframe).bars(now, count=count, since=since, until=until)

    def _series_of(self, timeframe: Timeframe) -> Series:
        series = self._series.get(timeframe)
        if series is None:
            check_aggregates(self._symbol.name, self._feed.timeframe, timeframe)
            series = self._series[timeframe] = Series(
                self._base_bars,
                timeframe,
                self._server_time,
                self._symbol.digits,
                first=self._feed.first,
                base=self._base,
            )
        return series

    def _base_bars(self, since: int, before: int) -> Bars:
        bars = self._feed.bars(since, before)
        if not len(self._closed_days):
            return bars
        days = _NEW_YORK.candle_opens(_D1, bars.time)
        return bars.rows(~np.isin(days, self._closed_days))

    def _base(self, second: int) -> Base | None:
        found = self._bar_at(second)
        if found is None:
            return None
        block, at = found
        quarters = self._quarter_of(block, at, second) + 1
        ticks = block.ticks[at] * quarters // _QUARTERS
        return Base(block.times[at], block.paths[at][:quarters], ticks, block.spreads[at])

    def _quarter_of(self, block: Block, at: int, second: int) -> int:
        return min((second - block.times[at]) // self._quarter, _QUARTERS - 1)

    def _tick(self, block: Block, at: int, quarter: int, second: int) -> Tick:
        if self._newest is None or self._newest[0] != second:
            point = self._symbol.point
            bid = Decimal(str(block.paths[at][quarter])).quantize(point)
            tick = Tick(
                self._symbol.name,
                instant(second),
                bid,
                bid + block.spreads[at] * point,
                block.ticks[at],
                continuous=quarter > 0,
            )
            self._newest = (second, tick)
        return self._newest[1]

    def _bar_at(self, second: int) -> tuple[Block, int] | None:
        """Return where the newest bar that opened at `second` or before stands."""
        number = second // _WEEK
        while number >= self._feed.first // _WEEK:
            block = self._block(number)
            at = bisect_right(block.times, second) - 1
            if at >= 0:
                return block, at
            number -= 1
        return None

    def _block(self, number: int) -> Block:
        if number not in self._blocks:
            while len(self._blocks) >= _BLOCKS_KEPT:
                del self._blocks[next(iter(self._blocks))]
            bars = self._base_bars(number * _WEEK, (number + 1) * _WEEK)
            self._blocks[number] = self._block_of(bars)
        return self._blocks[number]

    def _block_of(self, bars: Bars) -> Block:
        rises = bars.close >= bars.open
        first = np.where(rises, bars.low, bars.high)
        second = np.where(rises, bars.high, bars.low)
        spreads = np.where(bars.spread > 0, bars.spread, self._symbol.spread)
        return Block(
            bars.time.tolist(),
            np.stack((bars.open, first, second, bars.close), axis=1).tolist(),
            np.maximum(bars.volume, 1).astype(int).tolist(),
            spreads.astype(int).tolist(),
        )


def _day_starts(days: Sequence[date]) -> Seconds:
    """Return when each of these days begins at 17:00 New York, epoch seconds UTC."""
    starts = (_NEW_YORK.to_utc(datetime.combine(day, time())) for day in days)
    return np.array([epoch_second(start) for start in starts], np.int64)
