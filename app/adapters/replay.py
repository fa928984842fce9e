"""A market played again: base bars, recorded or generated, as closed candles.

Bars become candles a block of server weeks at a time, about ten thousand base bars each, so memory
grows with the block and not with the run.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Protocol

import numpy as np

from app.domain.aggregation import Bars, aggregate, check_aggregates
from app.domain.broker_time import ServerTime, epoch_second, instant, instants
from app.domain.errors import ConfigurationError, SourceError
from app.domain.market import Candle, Timeframe
from app.ports import Ask

_NEVER = datetime.max.replace(tzinfo=UTC)
_ENDLESS = 1 << 60
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_W1 = Timeframe("W1")
_KEPT = 256
_ASKED_BY = " in trading.timeframes and in the symbol's strategies"


class BarFeed(Protocol):
    """Base bars of one symbol. Instants are epoch seconds UTC; only `open` may be called first."""

    def open(self) -> None:
        """Get ready; raises ConfigurationError."""
        ...

    @property
    def timeframe(self) -> Timeframe:
        """How long a base bar is."""
        ...

    @property
    def first(self) -> int:
        """When the oldest bar opened."""
        ...

    @property
    def end(self) -> int | None:
        """When the newest bar closed; ``None`` for an endless feed."""
        ...

    def bars(self, since: int, before: int) -> Bars:
        """Return the bars that opened in ``[since, before)``."""
        ...

    def report(self) -> Sequence[str]:
        """Say what was read."""
        ...

    def warnings(self) -> Sequence[str]:
        """Say what was wrong with it."""
        ...


class ReplaySource:
    """A data source over feeds of base bars, for `DataSource` and `ReplayClock`.

    A candle counts as closed when its time has come *and* the data reach that far: the last, cut
    candle of a file is never given. Bars before the start are history, given by `latest` and
    `after` and never by `next_close`.

    Args:
        name: what it is, for the operator.
        feeds: symbol -> its base bars.
        timeframes: symbol -> the timeframes asked of it.
        server_time: the grid slower candles stand on.
        start: aware UTC; ``None`` is the oldest bar of all feeds.
        until: aware UTC: nothing closes after it; ``None`` is the end of the data.

    """

    def __init__(
        self,
        name: str,
        feeds: Mapping[str, BarFeed],
        timeframes: Mapping[str, Sequence[Timeframe]],
        server_time: ServerTime,
        *,
        start: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._name = name
        self._feeds = feeds
        self._timeframes = timeframes
        self._server_time = server_time
        self._start = start
        self._until = until
        self._series: dict[tuple[str, Timeframe], _Series] = {}

    @property
    def name(self) -> str:
        """What it is, for the operator."""
        return self._name

    @property
    def start_time(self) -> datetime:
        """Where the run begins, aware UTC; known once it is open."""
        return self._start or self._span()[0]

    @property
    def end_time(self) -> datetime | None:
        """When the last candle can close, aware UTC; ``None`` for an endless run."""
        limits = (self._span()[1], self._until)
        return min((limit for limit in limits if limit is not None), default=None)

    def open(self) -> None:
        """Open every feed; raises ConfigurationError for bad data, timeframes or limits."""
        for symbol, feed in self._feeds.items():
            feed.open()
            for timeframe in self._timeframes[symbol]:
                check_aggregates(symbol, feed.timeframe, timeframe, _ASKED_BY)
        self._check_limits()
        for symbol, feed in self._feeds.items():
            end = _ENDLESS if feed.end is None else feed.end
            if self._until is not None:
                end = min(end, epoch_second(self._until))
            for timeframe in self._timeframes[symbol]:
                self._series[symbol, timeframe] = _Series(
                    symbol,
                    timeframe,
                    feed,
                    server_time=self._server_time,
                    start=self.start_time,
                    end=end,
                )

    def expect(self, asks: Sequence[Ask]) -> None:
        """Do nothing: every answer is at hand."""

    def latest(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        """Return up to `count` newest candles closed at `now`, oldest first."""
        series = self._series.get((symbol, timeframe))
        if series is None:
            raise self._unknown(symbol, timeframe)
        return series.latest(count, now)

    def after(
        self, symbol: str, timeframe: Timeframe, last: datetime, now: datetime
    ) -> Sequence[Candle]:
        """Return every candle that opened after `last` and is closed at `now`, oldest first."""
        series = self._series.get((symbol, timeframe))
        if series is None:
            raise self._unknown(symbol, timeframe)
        return series.after(last, now)

    def next_close(self, after: datetime) -> datetime | None:
        """Return when the next candle of any series closes; ``None`` when none will."""
        soonest = _NEVER
        for series in self._series.values():
            closes = series.next_close(after)
            if closes < soonest:  # noqa: PLR1730 - asked once a candle, and min() takes twice as long
                soonest = closes
        return None if soonest is _NEVER else soonest

    def report(self) -> list[str]:
        """Say what was read and what will be played, a line each."""
        until = self.end_time
        ending = f"to {_said(until)} UTC" if until else "without end"
        run = f"Replay from {_said(self.start_time)} UTC {ending}"
        return [*chain.from_iterable(feed.report() for feed in self._feeds.values()), run]

    def warnings(self) -> list[str]:
        """Say what was wrong with what was read, a line each."""
        return list(chain.from_iterable(feed.warnings() for feed in self._feeds.values()))

    def close(self) -> None:
        """Let go of the candles."""
        self._series.clear()

    def _unknown(self, symbol: str, timeframe: Timeframe) -> SourceError:
        return SourceError(f"{self._name} gives no {symbol} {timeframe.title_name}")

    def _span(self) -> tuple[datetime, datetime | None]:
        """Return when the data of all feeds begin and end."""
        first = min(feed.first for feed in self._feeds.values())
        ends = [_ENDLESS if feed.end is None else feed.end for feed in self._feeds.values()]
        last = max(ends)
        return instant(first), None if last == _ENDLESS else instant(last)

    def _check_limits(self) -> None:
        first, last = self._span()
        start, until = self.start_time, self.end_time
        span = f"{_said(first)} to {_said(last) if last else 'any later time'} UTC"
        if start < first or (last and start >= last):
            raise ConfigurationError(
                f"market_data.start (--from) {_said(start)} UTC lies outside the data: "
                f"expected a time in {span}"
            )
        if until and until <= start:
            raise ConfigurationError(
                f"market_data.until (--to) {_said(until)} UTC is not after the start, "
                f"{_said(start)} UTC: expected a later time in {span}"
            )


class _Series:
    """The candles of one symbol and timeframe around the market's now.

    Held: the candles of one block and a short tail of those before it. `_at` of them are closed at
    `_now`, the last instant sought. Unless the run is over, the next to close is always held.
    """

    _candles: list[Candle]
    _closes: list[datetime]
    """When each closes, and at last never."""

    __slots__ = (
        "_at",
        "_candles",
        "_closes",
        "_end",
        "_feed",
        "_next",
        "_now",
        "_server_time",
        "_span",
        "_symbol",
        "_timeframe",
    )

    def __init__(
        self,
        symbol: str,
        timeframe: Timeframe,
        feed: BarFeed,
        *,
        server_time: ServerTime,
        start: datetime,
        end: int,
    ) -> None:
        self._symbol = symbol
        self._timeframe = timeframe
        self._feed = feed
        self._server_time = server_time
        self._end = end
        self._span = min(feed.timeframe.minutes, 1440) * _WEEK
        self._now = start
        self._begin(start)
        self._seek(start)

    def latest(self, count: int, now: datetime) -> list[Candle]:
        at = self._at
        if self._closes[at] <= now or now < self._now:
            at = self._seek(now)
        if count <= at:
            return self._candles[at - count : at]
        parts = [self._candles[:at]]
        for part in self._backwards(now):
            parts.append(part)
            at += len(part)
            if at >= count:
                break
        return list(chain.from_iterable(reversed(parts)))[-count:]

    def after(self, last: datetime, now: datetime) -> list[Candle]:
        at = self._at
        if self._closes[at] <= now or now < self._now:
            at = self._seek(now)
        candles = self._candles
        low = at
        while low and candles[low - 1].time > last:
            low -= 1
        parts = [candles[low:at]]
        for part in self._backwards(now) if not low else ():
            parts.append([candle for candle in part if candle.time > last])
            if len(parts[-1]) < len(part):
                break
        return list(chain.from_iterable(reversed(parts)))

    def next_close(self, after: datetime) -> datetime:
        at = self._at
        if self._closes[at] <= after or after < self._now:
            at = self._seek(after)
        return self._closes[at]

    def _begin(self, now: datetime) -> None:
        """Hold nothing but the way to the block of `now`."""
        self._candles, self._closes, self._at = [], [_NEVER], 0
        self._next = self._server_time.candle_open(_W1, max(now, instant(self._feed.first)))

    def _seek(self, now: datetime) -> int:
        """Make `now` the market's time; return how many of the candles held are closed."""
        if now < self._now:
            if now < self._closes[0]:
                self._begin(now)
            self._at = bisect_right(self._closes, now)
        self._now = now
        at = self._at
        while True:
            closes = self._closes
            while closes[at] <= now:
                at += 1
            if at < len(self._candles) or epoch_second(self._next) >= self._end:
                self._at = at
                return at
            at = self._load()

    def _load(self) -> int:
        """Take in the next block; return how many of the candles held before are kept."""
        since = self._next
        # A day more than whole weeks lands in the week after whatever daylight saving does.
        self._next = self._server_time.candle_open(_W1, since + self._span + _DAY)
        kept = self._candles[-_KEPT:]
        self._candles = kept + self._between(epoch_second(since), epoch_second(self._next))
        self._closes = [candle.close_time for candle in self._candles]
        self._closes.append(_NEVER)
        return len(kept)

    def _backwards(self, now: datetime) -> Iterator[list[Candle]]:
        """Yield the candles before those held, closed at `now`, a block at a time, newest first."""
        before = self._candles[0].time if self._candles else self._next
        first = instant(self._feed.first)
        while before > first:
            inside = max(first, before - self._span + _WEEK - timedelta(seconds=1))
            since = self._server_time.candle_open(_W1, inside)
            block = self._between(epoch_second(since), epoch_second(before))
            yield block if before <= now else [c for c in block if c.close_time <= now]
            before = since

    def _between(self, since: int, before: int) -> list[Candle]:
        bars = self._feed.bars(since, min(before, self._end))
        if self._timeframe != self._feed.timeframe:
            bars = aggregate(bars, self._timeframe, self._server_time)
        closes = self._server_time.candle_closes(self._timeframe, bars.time)
        complete = slice(int(np.searchsorted(closes, self._end, "right")))
        columns = (column.tolist() for column in bars.rows(complete).columns())
        opened, closed = instants(bars.time[complete]), instants(closes[complete])
        symbols, timeframes = repeat(self._symbol), repeat(self._timeframe)
        return list(map(Candle, symbols, timeframes, opened, closed, *columns))


def _said(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
