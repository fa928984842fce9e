"""From the source to `NewCandleEvent`: each closed candle announced once, in order."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from app.bus import EventBus
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from app.domain.market import Candle, Timeframe
from app.events import CycleStartedEvent, DataFetchedEvent, DataFetchFailedEvent, NewCandleEvent
from app.ports import Ask, DataSource, Journal
from app.services.base import Health, Service

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
NO_TIME = timedelta()
HOUR = 60


class _Series:
    """One symbol and timeframe: the newest candle known, and when the next one can have closed."""

    __slots__ = (
        "awaited",
        "due",
        "failing",
        "fastest",
        "lag",
        "last",
        "others",
        "symbol",
        "timeframe",
        "unfilled",
    )

    def __init__(self, symbol: str, timeframe: Timeframe) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.others: tuple[_Series, ...] = ()
        """The symbol's other series, slowest first."""
        self.fastest = False
        self.lag = NO_TIME
        """How far behind the market's now the symbol is seen: that of all its series alike."""
        self.last = BEGINNING
        self.due = BEGINNING
        self.unfilled = 0
        """How often the gap before what the source shows could not be filled."""
        self.failing = False
        self.awaited = True
        """Whether other candles wait for its; ended by waiting in vain, until it answers again."""


def _series_of(symbol: str, timeframes: Sequence[Timeframe], candle_index: int) -> list[_Series]:
    """Return the series of one symbol, slowest first."""
    slowest_first = sorted(timeframes, key=lambda t: t.minutes, reverse=True)
    made = [_Series(symbol, timeframe) for timeframe in slowest_first]
    for series in made:
        series.others = tuple(other for other in made if other is not series)
        series.fastest = series is made[-1]
        series.lag = made[-1].timeframe.delta * (candle_index - 1)
    return made


def _announcing_order(candle: Candle) -> tuple[datetime, int]:
    return candle.close_time, -candle.timeframe.minutes


class DataFetchingService(Service):
    """Asks the source for closed candles once a cycle and announces the new ones.

    The fastest timeframe of a symbol is asked every cycle, a slower one when its next candle can
    have closed. Candles are announced by closing time, slower timeframes first, so that whoever
    sees a fast candle has seen every slower one that closed with it. When a slower one is missing,
    or the source failed to give what may come first, a candle is held back up to `hold_back`.

    Args:
        bus: where candles are announced.
        source: where they come from.
        journal: remembers the last candle announced, across restarts.
        series: symbol -> its timeframes.
        server_time: aligns slow candles.
        nbr_bars: bars asked for; a wider gap is fetched until it is closed, or given up after
            `max_failures` failures.
        candle_index: 1 takes everything up to the most recent closed candle; with 2 the market is
            seen one candle of the symbol's fastest timeframe later, and so on.
        hold_back: market time a candle waits for those that come before it.
        max_failures: failed cycles in a row from which on the service is unhealthy.

    """

    name: ClassVar[str] = "data_fetching"
    gauges: ClassVar[frozenset[str]] = frozenset({"failed_cycles_in_a_row", "held_back"})

    def __init__(
        self,
        bus: EventBus,
        source: DataSource,
        journal: Journal,
        series: Mapping[str, Sequence[Timeframe]],
        server_time: ServerTime,
        *,
        nbr_bars: int,
        candle_index: int,
        hold_back: timedelta,
        max_failures: int,
    ) -> None:
        super().__init__(bus)
        self.max_failures = max_failures
        self._source = source
        self._journal = journal
        self._server_time = server_time
        self._bars = nbr_bars
        self._hold_back = hold_back
        self._series = [
            s for symbol, frames in series.items() for s in _series_of(symbol, frames, candle_index)
        ]
        self._by_key = {(s.symbol, s.timeframe): s for s in self._series}
        self._held: list[Candle] = []
        self._failed_cycles = 0
        self._failure = ""
        self._fetches = 0
        self._failed_fetches = 0
        self._candles = 0
        self._late = 0

    def start(self, now: datetime) -> None:
        """Go on after the last candle announced; at the very first start, with what closes next.

        Where the very first start was is remembered, so that a restart loses nothing either. A
        clock that was ahead then, or is behind now, is said: a candle is never evaluated twice.
        """
        for series in self._series:
            symbol, timeframe, seen = series.symbol, series.timeframe, now - series.lag
            last = self._journal.last_candle(symbol, timeframe)
            if last is None:
                forming = self._server_time.candle_open(timeframe, seen)
                last = self._server_time.candle_open(timeframe, forming - INSTANT)
                self._journal.candle_announced(symbol, timeframe, last)
            elif last > now:
                self.log.warning(
                    "%s %s: a candle that opened %s was seen before, our clock has not come to it:"
                    " none is announced until then",
                    symbol,
                    timeframe.title_name,
                    f"{last:%Y-%m-%d %H:%M} UTC",
                )
            series.last = last

    def on_cycle(self, event: CycleStartedEvent) -> None:
        """Fetch what can be new at the cycle's `time` and announce it."""
        now = event.time
        candles = self._held
        failed_before = self._failed_fetches
        due = []
        for series in self._series:
            seen = now - series.lag if series.lag else now
            if series.fastest or seen >= series.due:
                due.append((series, seen))
        if len(due) > 1:
            self._source.expect([Ask(s.symbol, s.timeframe, self._bars, seen) for s, seen in due])
        for series, seen in due:
            try:
                candles.extend(self._fetch(series, seen))
                series.failing, series.awaited = False, True
            except SourceError as error:
                series.failing = True
                self._fetch_failed(series, error)
        failed = self._failed_fetches > failed_before
        self._failed_cycles = self._failed_cycles + 1 if failed else 0
        if candles:
            if len(candles) > 1:
                candles.sort(key=_announcing_order)
            self._announce(candles, now)
        self.handled += 1

    def ailment(self) -> Health | None:
        """Return that too many cycles in a row failed to fetch."""
        if self._failed_cycles < self.max_failures:
            return None
        reason = f"{self._failed_cycles} failed cycles in a row: {self._failure}"
        return Health(False, reason, foreign=True)

    def metrics(self) -> dict[str, int | float]:
        """Return the counts of fetches and candles."""
        return {
            "data_fetches": self._fetches,
            "failed_fetches": self._failed_fetches,
            "failed_cycles_in_a_row": self._failed_cycles,
            "new_candles": self._candles,
            "late_candles": self._late,
            "held_back": len(self._held),
        }

    def _fetch(self, series: _Series, now: datetime) -> Sequence[Candle]:
        """Return the candles of a series that are new at `now`, oldest first."""
        symbol, timeframe, last = series.symbol, series.timeframe, series.last
        candles = self._source.latest(symbol, timeframe, self._bars, now)
        if candles and candles[0].time > last:
            candles = self._fill(series, candles, now)
        bars = at = len(candles)
        newest = candles[-1] if candles else None
        self._fetches += 1
        self.bus.publish(
            DataFetchedEvent(
                symbol=symbol,
                timeframe=timeframe,
                bars=bars,
                newest=newest.time if newest else None,
            )
        )
        if self.tells:
            self.log.info(
                "Fetched data for %s %s: %d bars",
                symbol,
                timeframe,
                bars,
                symbol=symbol,
                timeframe=timeframe,
                bars=bars,
            )
        if newest is None:
            return ()
        series.due = self._next_close(timeframe, newest.close_time)
        while at and candles[at - 1].time > last:
            at -= 1
        if at < bars:
            series.last = newest.time
        return candles[at:]

    def _fill(self, series: _Series, shown: Sequence[Candle], now: datetime) -> Sequence[Candle]:
        """Return every candle since the last announced, those the source has `shown` among them.

        At the last of `max_failures` failures it is what was shown: the others are lost, and said
        to be.
        """
        try:
            candles = self._since(series, shown[-1].time, now)
        except SourceError as error:
            series.unfilled += 1
            if series.unfilled < self.max_failures:
                raise
            self._fetch_failed(series, error)
            self.log.warning(
                "%s %s: candles after %s and before %s are lost",
                series.symbol,
                series.timeframe,
                series.last,
                shown[0].time,
                symbol=series.symbol,
                timeframe=series.timeframe,
            )
            candles = shown
        series.unfilled = 0
        return candles

    def _since(self, series: _Series, newest: datetime, now: datetime) -> Sequence[Candle]:
        """Return every candle since the last announced; SourceError if it ends before `newest`."""
        candles = self._source.after(series.symbol, series.timeframe, series.last, now)
        if candles and candles[-1].time >= newest:
            return candles
        end = candles[-1].time if candles else "nothing"
        raise SourceError(
            f"asked for the candles after {series.last} it ends with {end}, but has {newest}"
        )

    def _next_close(self, timeframe: Timeframe, closed: datetime) -> datetime:
        """Return when the candle after the one that closed at `closed` can be taken, at best."""
        if timeframe.minutes <= HOUR:
            return closed + timeframe.delta
        return self._server_time.candle_close(timeframe, closed)

    def _fetch_failed(self, series: _Series, error: SourceError) -> None:
        self._failed_fetches += 1
        self._failure = str(error)
        self.log.error(
            "Fetching %s %s failed: %s",
            series.symbol,
            series.timeframe,
            error,
            symbol=series.symbol,
            timeframe=series.timeframe,
        )
        self.bus.publish(
            DataFetchFailedEvent(
                symbol=series.symbol,
                timeframe=series.timeframe,
                error=str(error),
                consecutive=self._failed_cycles + 1,
            )
        )

    def _announce(self, candles: list[Candle], now: datetime) -> None:
        """Announce what need not wait; keep the rest, also when something raises midway."""
        held: list[Candle] = []
        done = 0
        try:
            for candle in candles:
                symbol, timeframe = candle.symbol, candle.timeframe
                series = self._by_key[symbol, timeframe]
                seen = now - series.lag if series.lag else now
                if (held and any(it.symbol == symbol for it in held)) or (
                    series.others and self._must_wait(series, candle, seen)
                ):
                    held.append(candle)
                    done += 1
                    continue
                self._journal.candle_announced(symbol, timeframe, candle.time)
                done += 1
                self._publish(candle, seen)
        finally:
            self._held = held + candles[done:]

    def _publish(self, candle: Candle, now: datetime) -> None:
        late = now - candle.close_time >= candle.timeframe.delta
        self._candles += 1
        self._late += late
        self.bus.publish(NewCandleEvent(candle=candle, late=late))
        if self.tells:
            self._tell(candle, late=late)

    def _tell(self, candle: Candle, *, late: bool) -> None:
        symbol, timeframe = candle.symbol, candle.timeframe
        self.log.info(
            "New candle detected for %s %s",
            symbol,
            timeframe,
            symbol=symbol,
            timeframe=timeframe,
            opened=candle.time,
            late=late,
        )
        if self._by_key[symbol, timeframe].fastest:
            self.log.info(
                "%s %s %s: open %s, high %s, low %s, close %s",
                symbol,
                timeframe.title_name,
                f"{candle.time:%Y-%m-%d %H:%M}",
                candle.open,
                candle.high,
                candle.low,
                candle.close,
                symbol=symbol,
                timeframe=timeframe,
            )

    def _must_wait(self, series: _Series, candle: Candle, now: datetime) -> bool:
        """Say whether a candle that comes before this one is still missing and awaited."""
        closed = candle.close_time
        for other in series.others:
            if closed < other.due or not other.awaited or not self._is_missing(other, candle):
                continue
            if now - closed < self._hold_back:
                return True
            other.awaited = False
            self.log.warning(
                "Candle of %s %s announced without waiting longer for %s",
                candle.symbol,
                candle.timeframe,
                other.timeframe.title_name,
                symbol=candle.symbol,
                timeframe=candle.timeframe,
            )
        return False

    def _is_missing(self, other: _Series, candle: Candle) -> bool:
        """Say whether a candle of `other`, due by now, may still come and belongs before this."""
        closed = candle.close_time
        is_slower = other.timeframe.minutes > candle.timeframe.minutes
        if other.failing:
            return is_slower or other.due < closed
        if not is_slower:
            return False
        opened = self._server_time.candle_open(other.timeframe, candle.time)
        return self._server_time.candle_close(other.timeframe, opened) == closed
