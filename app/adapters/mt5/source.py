"""Candles from the bridge: closed ones only, whatever it mixes in.

The bridge's last row may be forming (`Closing` tells), and what it lists may be doubled, out of
order, off the grid, from the future or impossible. What is left out is counted and said. A closed
bar that the bridge gives differently later is given so: whoever has announced it does not look at
it again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.closing import EARLY, Closing, Listed, Question
from app.adapters.mt5.dialect import WireBar, WireBars
from app.adapters.mt5.market_watch import MarketWatch
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError, UnavailableError
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


class BridgeSource:
    """Candles of `symbols` through a bridge.

    Args:
        client: of the bridge; closed by whoever made it.
        symbols: those that will be asked for.
        server_time: the grid candles stand on.
        now: the market's now, aware UTC.
        watch: shared with whoever else wants symbols of that bridge.

    """

    def __init__(
        self,
        client: BridgeClient,
        symbols: Sequence[str],
        server_time: ServerTime,
        now: Callable[[], datetime],
        *,
        watch: MarketWatch | None = None,
    ) -> None:
        self._client = client
        self._watch = watch or MarketWatch(client)
        self._symbols = tuple(symbols)
        self._server_time = server_time
        self._now = now
        self._closing = Closing(client, now)
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
            self._watch.add(self._symbols)
        except SourceError as error:
            raise UnavailableError(f"the {self.name} does not answer: {error}") from None

    def expect(self, asks: Sequence[Ask]) -> None:
        """Ask all of these at once; `latest` gives each answer once, a failure until the next."""
        self._expected = dict(zip(asks, self._answered(asks), strict=True))

    def latest(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        """Return up to `count` newest candles closed at `now`, oldest first.

        Raises SourceError when the bridge gives no answer that can be true.
        """
        ask = Ask(symbol, timeframe, count, now)
        answer = self._expected.get(ask)
        if answer is None:
            [answer] = self._answered([ask])
        elif not isinstance(answer, SourceError):
            del self._expected[ask]
        if isinstance(answer, SourceError):
            raise answer
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
        start, until = self._client.clock.around(start, now)
        bars: list[WireBar] = []
        impossible = 0
        *ends, _ = _page_ends(start, until, page)
        for end in ends:
            told = self._client.bars(symbol, timeframe, start=start, end=end - _LAST_SECOND)
            bars += told.bars
            impossible += told.impossible
            start = end

        def to_the_end() -> Listed:
            told = self._client.bars(symbol, timeframe, start=start, end=until)
            whole = WireBars(bars + told.bars, impossible + told.impossible)
            return self._listed(symbol, timeframe, whole, now)

        [answer] = self._closing.closed([Question(symbol, to_the_end)])
        if isinstance(answer, SourceError):
            raise answer
        return [candle for candle in answer if candle.time > last]

    def close(self) -> None:
        """Forget what was asked ahead."""
        self._expected.clear()

    def _answered(self, asks: Sequence[Ask]) -> list[Sequence[Candle] | SourceError]:
        """Ask all of these at once; return what to answer to each."""
        wanted = [msgspec.structs.replace(it, count=min(it.count, _MOST_AT_ONCE)) for it in asks]
        questions = [Question(ask.symbol, partial(self._newest, ask)) for ask in wanted]
        answers = self._closing.closed(questions)
        return [
            answer if isinstance(answer, SourceError) else answer[max(0, len(answer) - ask.count) :]
            for ask, answer in zip(wanted, answers, strict=True)
        ]

    def _newest(self, ask: Ask) -> Listed:
        """Ask for so many bars that enough are closed at the time asked for, which may lie back."""
        symbol, timeframe, count, now = ask.symbol, ask.timeframe, ask.count, ask.now
        if count <= 0:
            return Listed([], None)
        newer = max(0, (self._now() - now) // timeframe.delta) + 2
        if newer < _PAGE:
            told = self._client.bars(symbol, timeframe, count=count + newer)
            listed = self._listed(symbol, timeframe, told, now)
            enough = len(listed.closed) + told.impossible >= count
            if enough or told.listed < count + newer:
                return listed
        return self._before(ask)

    def _before(self, ask: Ask) -> Listed:
        """Ask for the bars up to that time, as far back as it takes for enough closed ones."""
        span = ask.timeframe.delta * (ask.count + 2)
        furthest = 2 * span + _LONGEST_BREAK
        while True:
            start, end = self._client.clock.around(max(ask.now - span, _OLDEST), ask.now)
            told = self._client.bars(ask.symbol, ask.timeframe, start=start, end=end)
            listed = self._listed(ask.symbol, ask.timeframe, told, ask.now)
            if len(listed.closed) + told.impossible >= ask.count or span >= furthest:
                return listed
            span = min(2 * span, furthest)

    def _listed(self, symbol: str, timeframe: Timeframe, told: WireBars, now: datetime) -> Listed:
        """Return the bars that stand on the grid, each once, oldest first, as candles.

        Raises:
            SourceError: none of them does.

        """
        latest = self._now() + EARLY
        good: dict[datetime, WireBar] = {}
        wrong = Counter({"that cannot be true": told.impossible})
        for bar in told.bars:
            if bar.time > latest:
                wrong["from the future"] += 1
            elif self._server_time.candle_open(timeframe, bar.time) != bar.time:
                wrong["off the grid"] += 1
            else:
                wrong["twice"] += bar.time in good
                good[bar.time] = bar
        if told.bars and wrong["off the grid"] == len(told.bars):
            raise SourceError(
                f"{symbol} {timeframe.title_name}: no bar stands on the candles of "
                f"{self._server_time}: check broker.server_timezone"
            )
        times = sorted(good)
        wrong["out of order"] += times != list(good)
        self._report(symbol, timeframe, +wrong)
        candles = [self._candle(symbol, timeframe, good[time]) for time in times]
        return Listed(
            [candle for candle in candles if candle.close_time <= now],
            times[-1] if times else None,
        )

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


def _page_ends(start: datetime, end: datetime, page: timedelta) -> Iterator[datetime]:
    """Yield where pages from `start` on end; there is one at least, and the last ends at `end`."""
    while start + page < end:
        start += page
        yield start
    yield end
