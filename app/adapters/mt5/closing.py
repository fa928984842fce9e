"""When the newest bar of a list is closed: once the terminal is seen to have seen its close.

By our clock alone a bar closes too early: it may be ahead of the server's, and a terminal may lag
or hang while what it lists is forming still. The newest bar is closed

1. when a later one is listed: the terminal opened it at a tick after the close;
2. when, before the bars were asked for, the symbol had shown a tick or bar at or after the close;
3. when another symbol had, and two seconds have passed since the close by our clock: this one is
   quiet, in a terminal that goes on. All prices reach a terminal over one line, in their order;
4. when the terminal says that it is connected (or says nothing of it) and the symbol's tick, older
   than the close, has not changed for two minutes: the last bar of a session has nothing after it.
   That is longer than a terminal takes to notice that its line is dead, and costs nothing: at a
   price so old no position is opened unless `broker.max_quote_age` was made longer, and a tick ends
   the wait by 1. A bar that closed a quarter of an hour before it is first looked at needs no
   second look: the market was closed when we came;
5. when the terminal is connected as in 4, the bridge refuses to tell the symbol's tick, and the
   close is a quarter of an hour ago: there are bridges without that call.

Until then it is not given. A tick from the future shows nothing: it would close all bars to come.
Ticks are asked for from two seconds after the close on, and only of symbols whose bar is not closed
by 1 to 3. A tick that came after the close came after the bars, too, which may lack what
moved between them: they are asked for once more. A terminal that hangs for longer than two minutes
and calls itself connected cannot be told from a market that is quiet.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from app.adapters.mt5.client import BridgeClient, MaybeSentError, NotSentError
from app.adapters.mt5.dialect import WireTick
from app.domain.errors import SourceError
from app.domain.market import Candle

_SETTLED = timedelta(seconds=2)
_QUIET = timedelta(minutes=2)
_LONG_QUIET = timedelta(minutes=15)
EARLY = timedelta(minutes=1)
"""How far ahead of our clock a bar or tick may be before it is said to come from the future."""
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


class Listed(NamedTuple):
    """What was listed of a series: the candles `closed` by the clock, and when the newest opened.

    Oldest first; `newest` is ``None`` when nothing was listed.
    """

    closed: list[Candle]
    newest: datetime | None

    @property
    def open_end(self) -> datetime | None:
        """When the newest closes, where nothing but our clock says that it has."""
        last = self.closed[-1] if self.closed else None
        return last.close_time if last and last.time == self.newest else None


class Question(NamedTuple):
    """A question for the bars of a symbol; `ask` raises SourceError."""

    symbol: str
    ask: Callable[[], Listed]


class _Still(NamedTuple):
    """The newest tick of a symbol, and since when it has been that."""

    tick: WireTick
    since: datetime


class Closing:
    """Asks for bars, and leaves the newest of a list out until it is seen to be closed.

    Args:
        client: of the bridge.
        now: the market's now, aware UTC.

    """

    def __init__(self, client: BridgeClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._over: dict[str, datetime] = {}
        """Up to when the bars of each symbol are closed."""
        self._shown = _NEVER
        """The latest time that any symbol has shown."""
        self._still: dict[str, _Still] = {}

    def closed(self, questions: Sequence[Question]) -> list[list[Candle] | SourceError]:
        """Ask all of these at once; return the closed candles of each, or why there are none."""
        over, shown = dict(self._over), self._shown
        answers = self._client.together(*(question.ask for question in questions))
        now = self._now()
        in_doubt: dict[int, datetime] = {}
        for at, answer in enumerate(answers):
            close = None if isinstance(answer, SourceError) else answer.open_end
            if close is None or over.get(questions[at].symbol, _NEVER) >= close:
                continue
            if shown < close or now - close < _SETTLED:
                in_doubt[at] = close
        if any(now - close >= _SETTLED for close in in_doubt.values()):
            self._settle(questions, answers, in_doubt, now)
        for (symbol, _), answer in zip(questions, answers, strict=True):
            if not isinstance(answer, SourceError) and answer.newest is not None:
                self._show(symbol, answer.newest)
        return [
            answer
            if isinstance(answer, SourceError)
            else answer.closed[: -1 if at in in_doubt else None]
            for at, answer in enumerate(answers)
        ]

    def _settle(
        self,
        questions: Sequence[Question],
        answers: list[Listed | SourceError],
        in_doubt: dict[int, datetime],
        now: datetime,
    ) -> None:
        """Look at the terminal; take what is closed out of `in_doubt`, its answer made whole."""
        due = {at: close for at, close in in_doubt.items() if now - close >= _SETTLED}
        ticks = self._ticks(questions, due, now)
        past = [at for at, close in due.items() if self._is_over(questions[at].symbol, close)]
        again = self._client.together(*(questions[at].ask for at in past))
        for at, answer in zip(past, again, strict=True):
            if isinstance(answer, SourceError):
                continue
            answers[at] = answer
            if answer.open_end is None or self._is_over(questions[at].symbol, answer.open_end):
                del in_doubt[at]
        quiet = [
            at
            for at in due.keys() - past
            if self._is_quiet(ticks[questions[at].symbol], questions[at].symbol, due[at], now)
        ]
        if quiet and self._is_connected():
            for at in quiet:
                symbol = questions[at].symbol
                self._over[symbol] = max(self._over.get(symbol, _NEVER), in_doubt.pop(at))

    def _ticks(
        self, questions: Sequence[Question], due: Mapping[int, datetime], now: datetime
    ) -> dict[str, WireTick | SourceError]:
        """Ask for the ticks of the symbols in question and take in what they show."""
        closes: dict[str, datetime] = {}
        for at, close in due.items():
            symbol = questions[at].symbol
            closes[symbol] = max(close, closes.get(symbol, close))
        told = self._client.together(*(partial(self._client.tick, symbol) for symbol in closes))
        answers = dict(zip(closes, told, strict=True))
        for symbol, tick in answers.items():
            if isinstance(tick, SourceError):
                continue
            self._show(symbol, tick.time)
            before = self._still.get(symbol)
            if before is None:
                closed_long_ago = now - closes[symbol] >= _LONG_QUIET
                self._still[symbol] = _Still(tick, closes[symbol] if closed_long_ago else now)
            elif before.tick != tick:
                self._still[symbol] = _Still(tick, now)
        return answers

    def _is_quiet(
        self, tick: WireTick | SourceError, symbol: str, close: datetime, now: datetime
    ) -> bool:
        """Say whether nothing has come for so long that the bar will not change any more."""
        if isinstance(tick, NotSentError | MaybeSentError):
            return False
        if isinstance(tick, SourceError):
            return now - close >= _LONG_QUIET
        return now - self._still[symbol].since >= _QUIET

    def _is_connected(self) -> bool:
        try:
            return self._client.health().connected is not False
        except SourceError:
            return False

    def _is_over(self, symbol: str, close: datetime) -> bool:
        return self._over.get(symbol, _NEVER) >= close

    def _show(self, symbol: str, time: datetime) -> None:
        """Take in that a symbol has shown a time of the market, if it can be one."""
        if time > self._now() + EARLY:
            return
        self._over[symbol] = max(self._over.get(symbol, _NEVER), time)
        self._shown = max(self._shown, time)
