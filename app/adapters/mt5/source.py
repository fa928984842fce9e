"""Candles from the bridge: closed ones only, whatever it mixes in.

The bridge's last row may be forming, and what it lists may be doubled, out of order, off the grid
or from the future. What is left out is counted and said. A closed bar that the bridge gives
differently later is given so: whoever has announced it does not look at it again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import RefusalError, WireBar
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError, SourceError, UnavailableError, nearest
from app.domain.market import Candle, Timeframe
from app.log_setup import get_logger
from app.ports import Ask

_PAGE = 1000
"""Bars asked for at a time where a gap is filled."""
_MOST_PAGES = 500
_LAST_SECOND = timedelta(seconds=1)
"""Of all pages but the last: so that a bridge that counts the end in gives no bar twice."""
_MOST_AT_ONCE = 50_000
"""Bars; a reply with more of them is too long."""
_LONGEST_BREAK = timedelta(days=14)
"""How long a market may be closed; two fifths of a week are weekend besides."""
_OLDEST = datetime(1971, 1, 1, tzinfo=UTC)
_EARLY = timedelta(minutes=1)
"""How far ahead of our clock a bar may open before it is said to come from the future."""
_SETTLED = timedelta(seconds=2)
_SUGGESTED = 5


class BridgeSource:
    """Candles of `symbols` through a bridge.

    Args:
        client: of the bridge; closed by whoever made it.
        symbols: those that will be asked for.
        server_time: the grid candles stand on.
        now: the market's now, aware UTC.

    """

    def __init__(
        self,
        client: BridgeClient,
        symbols: Sequence[str],
        server_time: ServerTime,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._symbols = tuple(symbols)
        self._server_time = server_time
        self._now = now
        self._expected: dict[Ask, Sequence[Candle] | SourceError] = {}
        self._wrong: Counter[tuple[str, Timeframe, str]] = Counter()
        self._log = get_logger("bridge")

    @property
    def name(self) -> str:
        """What it is, for the operator."""
        return f"bridge at {self._client.address}"

    def open(self) -> None:
        """See that the bridge answers and knows the symbols, and have its terminal watch them.

        Raises:
            UnavailableError: it does not answer.
            ConfigurationError: it has no such symbol; names those it may be.

        """
        try:
            self._client.health()
            known = self._client.symbols()
            self._check_names(known)
            self._watch()
        except SourceError as error:
            raise UnavailableError(f"the {self.name} does not answer: {error}") from None

    def expect(self, asks: Sequence[Ask]) -> None:
        """Ask all of these at once; `latest` gives each answer once, a failure until the next."""
        answers = self._client.together(
            *(partial(self._newest, a.symbol, a.timeframe, a.count, a.now) for a in asks)
        )
        self._expected = dict(zip(asks, answers, strict=True))

    def latest(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        """Return up to `count` newest candles closed at `now`, oldest first.

        Raises SourceError when the bridge gives no answer that can be true.
        """
        ask = Ask(symbol, timeframe, count, now)
        answer = self._expected.get(ask)
        if isinstance(answer, SourceError):
            raise answer
        if answer is None:
            return self._newest(symbol, timeframe, count, now)
        del self._expected[ask]
        return answer

    def after(
        self, symbol: str, timeframe: Timeframe, last: datetime, now: datetime
    ) -> Sequence[Candle]:
        """Return every candle that opened after `last` and is closed at `now`, oldest first.

        It is asked for page by page; half a million candles are the most.
        """
        page = timeframe.delta * _PAGE
        start = last
        if now - last > page * _MOST_PAGES:
            start = now - page * _MOST_PAGES
            self._log.warning("%s %s: candles before %s UTC are lost", symbol, timeframe, start)
        bars: list[WireBar] = []
        for end in _page_ends(start, now, page):
            last_second = end if end == now else end - _LAST_SECOND
            bars += self._client.bars(symbol, timeframe, start=start, end=last_second)
            start = end
        candles = self._closed(self._candles(symbol, timeframe, bars), now)
        return [candle for candle in candles if candle.time > last]

    def close(self) -> None:
        """Forget what was asked ahead."""
        self._expected.clear()

    def _check_names(self, known: Sequence[str]) -> None:
        if not known:
            raise UnavailableError(f"the {self.name} lists no symbols: log its terminal in")
        for symbol in self._symbols:
            if symbol not in known:
                raise ConfigurationError(
                    f"the broker has no symbol '{symbol}'{_alike(symbol, known)}"
                )

    def _watch(self) -> None:
        """Have the terminal watch the symbols; one that it does watch already may be refused."""
        answers = self._client.together(
            *(partial(self._client.select, symbol) for symbol in self._symbols)
        )
        for symbol, answer in zip(self._symbols, answers, strict=True):
            if isinstance(answer, RefusalError) or answer is False:
                self._log.warning("the terminal was not made to watch %s: %s", symbol, answer)
            elif isinstance(answer, SourceError):
                raise answer

    def _newest(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        """Ask for so many bars that `count` of them are closed at `now`, which may lie back."""
        count = min(count, _MOST_AT_ONCE)
        if count <= 0:
            return []
        newer = max(0, (self._now() - now) // timeframe.delta) + 2
        if newer < _PAGE:
            bars = self._client.bars(symbol, timeframe, count=count + newer)
            closed = self._closed(self._candles(symbol, timeframe, bars), now)
            if len(closed) >= count or len(bars) < count + newer:
                return closed[-count:]
        return self._before(symbol, timeframe, count, now)

    def _before(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        """Ask for the bars up to `now`, as far back as it takes for `count` closed ones."""
        span = timeframe.delta * (count + 2)
        furthest = 2 * span + _LONGEST_BREAK
        while True:
            start = max(now - span, _OLDEST)
            bars = self._client.bars(symbol, timeframe, start=start, end=now)
            closed = self._closed(self._candles(symbol, timeframe, bars), now)
            if len(closed) >= count or span >= furthest:
                return closed[-count:]
            span = min(2 * span, furthest)

    def _closed(self, candles: Sequence[Candle], now: datetime) -> list[Candle]:
        """Return the candles closed at `now`, of the newest one only what is settled.

        Our clock may be ahead of the server's, and what seems closed be forming still. A bar after
        it shows that it is not; without one it is taken two seconds later.
        """
        closed = [candle for candle in candles if candle.close_time <= now]
        unsettled = closed and closed[-1] is candles[-1]
        if unsettled and closed[-1].close_time > self._now() - _SETTLED:
            del closed[-1]
        return closed

    def _candles(self, symbol: str, timeframe: Timeframe, bars: Sequence[WireBar]) -> list[Candle]:
        """Return the bars that stand on the grid, each once, oldest first.

        Raises:
            SourceError: none of them does.

        """
        latest = self._now() + _EARLY
        good: dict[datetime, WireBar] = {}
        wrong: Counter[str] = Counter()
        for bar in bars:
            if bar.time > latest:
                wrong["from the future"] += 1
            elif self._server_time.candle_open(timeframe, bar.time) != bar.time:
                wrong["off the grid"] += 1
            else:
                wrong["twice"] += bar.time in good
                good[bar.time] = bar
        if bars and wrong["off the grid"] == len(bars):
            raise SourceError(
                f"{symbol} {timeframe.title_name}: no bar stands on the candles of "
                f"{self._server_time}: check broker.server_timezone"
            )
        times = sorted(good)
        wrong["out of order"] += times != list(good)
        self._report(symbol, timeframe, +wrong)
        return [self._candle(symbol, timeframe, good[time]) for time in times]

    def _candle(self, symbol: str, timeframe: Timeframe, bar: WireBar) -> Candle:
        return Candle(
            symbol,
            timeframe,
            bar.time,
            self._server_time.candle_close(timeframe, bar.time),
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.tick_volume,
            bar.spread,
        )

    def _report(self, symbol: str, timeframe: Timeframe, wrong: Mapping[str, int]) -> None:
        """Say what was wrong with bars: the first time, then whenever its count has doubled."""
        for kind, count in wrong.items():
            key = symbol, timeframe, kind
            before, self._wrong[key] = self._wrong[key], self._wrong[key] + count
            if self._wrong[key].bit_length() > before.bit_length():
                self._log.warning(
                    "%s %s: bars %s: %d so far",
                    symbol,
                    timeframe.title_name,
                    kind,
                    self._wrong[key],
                    symbol=symbol,
                    timeframe=timeframe,
                )


def _page_ends(start: datetime, now: datetime, page: timedelta) -> Iterator[datetime]:
    """Yield where pages from `start` on end; there is one at least, and the last ends at `now`."""
    while start + page < now:
        start += page
        yield start
    yield now


def _alike(symbol: str, known: Sequence[str]) -> str:
    """Return how the broker may spell a symbol: with a suffix, or almost so."""
    folded = symbol.casefold()
    alike = [name for name in known if name.casefold().startswith(folded)]
    return f": expected one of {', '.join(alike[:_SUGGESTED])}" if alike else nearest(symbol, known)
