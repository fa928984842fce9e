"""Whether a backtest can be trusted: what it decides must hang on nothing but the candles before.

Two runs are compared row by row and decision by decision. One that knows less of the future must
see and decide the same up to where it ends, to the last bit. One that knows more of the past may
see a column a little otherwise, which is what too short a warm-up looks like, but must decide the
same. A strategy that was never ready, or was shown no more of the past, has passed nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from app.backtest.coverage import Gaps, Readiness, deepened, lacks
from app.backtest.play import Play
from app.domain.market import Timeframe
from app.domain.rows import ColumnKind, Row, Value
from app.domain.signals import Decision, Truth
from app.events import IndicatorsCalculatedEvent, StrategiesEvaluatedEvent

CUTS = 8
"""How often the future is cut off."""
LOOKED_AT = 200
"""Candles of the fastest trigger compared before each cut, and from the first one on."""

_Moment: TypeAlias = tuple[datetime, str, str]
"""When something is decided, on which symbol and by which strategy."""
_UNDECIDED = frozenset(["it decided nothing"])


class _Span(NamedTuple):
    """Candles that close after `after` and not after `until`."""

    after: datetime
    until: datetime

    def holds(self, time: datetime) -> bool:
        return self.after < time <= self.until


class _Witness:
    """Remembers the rows and decisions of some spans of a run."""

    def __init__(self, play: Play, spans: Sequence[_Span]) -> None:
        self._spans = spans
        self.rows: dict[tuple[datetime, str, Timeframe], Row] = {}
        self.decisions: dict[_Moment, Decision] = {}
        self.waiting: dict[_Moment, frozenset[str]] = {}
        self._strategies = play.strategies
        bus = play.orchestrator.event_bus
        bus.subscribe(IndicatorsCalculatedEvent, self._on_row, owner="honesty")
        bus.subscribe(StrategiesEvaluatedEvent, self._on_decisions, owner="honesty")
        play.run()

    def _on_row(self, event: IndicatorsCalculatedEvent) -> None:
        row = event.view[event.timeframe][-1]
        closed = row.candle.close_time
        if any(span.holds(closed) for span in self._spans):
            self.rows[closed, event.symbol, event.timeframe] = row
            for one in self._strategies:
                if (one.rules.symbol, one.rules.trigger) == (event.symbol, event.timeframe):
                    moment = closed, event.symbol, one.rules.name
                    self.waiting[moment] = lacks(one, event.view)

    def _on_decisions(self, event: StrategiesEvaluatedEvent) -> None:
        for decision in event.decisions:
            if any(span.holds(decision.time) for span in self._spans):
                self.decisions[decision.time, decision.symbol, decision.strategy] = decision

    def of(self, span: _Span) -> "_Seen":
        """Return what was seen in one span, in the order of time."""
        return _Seen(
            {key: row for key, row in self.rows.items() if span.holds(key[0])},
            {key: one for key, one in self.decisions.items() if span.holds(key[0])},
            self.waiting,
        )


class _Seen(NamedTuple):
    rows: Mapping[tuple[datetime, str, Timeframe], Row]
    decisions: Mapping[_Moment, Decision]
    waiting: Mapping[_Moment, frozenset[str]]

    def lacks(self, moment: _Moment) -> frozenset[str]:
        """Return what kept the decision from being a ready one."""
        lacked = self.waiting.get(moment, _UNDECIDED)
        undecided = None in _truths(self.decisions[moment])
        return _UNDECIDED if undecided and not lacked else lacked


def looks_ahead(play: Callable[[datetime | None], Play], gaps: Gaps | None = None) -> Iterator[str]:
    """Yield each column and strategy that is otherwise when the future is cut off.

    `play` makes a run that ends at a time, or with its data; `gaps` is told what could not be
    compared.
    """
    gaps = Gaps() if gaps is None else gaps
    whole = play(None)
    looked_at = whole.step * LOOKED_AT
    spans = [_Span(cut - looked_at, cut) for cut in _cuts(whole, looked_at)]
    witness = _Witness(whole, spans)
    told: set[str] = set()
    readiness = Readiness()
    for span in spans:
        future, cut_off = witness.of(span), _Witness(play(span.until), [span]).of(span)
        _compare(readiness, future, cut_off)
        yield from _new(told, _differences(future, cut_off, "with the future"))
    gaps.wholly += readiness.gaps(whole.strategies)


def _cuts(play: Play, looked_at: timedelta) -> Sequence[datetime]:
    """Return when the future is cut off, each time once and before the end."""
    began, until = play.span
    step = (until - began) / CUTS
    cuts = (_past_gap(play, began + step * number, looked_at) for number in range(1, CUTS))
    return [cut for cut in dict.fromkeys(cuts) if cut < until]


def _past_gap(play: Play, time: datetime, looked_at: timedelta) -> datetime:
    """Return `time`, or where it lies in a gap of the data, `looked_at` after that gap."""
    closes = play.next_close(time)
    if closes is None or closes - time <= play.step:
        return time
    return closes - play.step + looked_at


def warms_up_too_late(play: Callable[[int], Play], gaps: Gaps | None = None) -> Iterator[str]:
    """Yield each strategy that decides otherwise with more history, and the columns behind it.

    `play` makes a run with so many times the configured candles of warm-up; `gaps` is told what
    could not be compared. Raises ConfigurationError when there is no more history at all.
    """
    gaps = Gaps() if gaps is None else gaps
    once, twice = play(1), play(2)
    strategies = deepened(once, twice, gaps)
    began, looked_at = once.first_close - once.step, once.step * LOOKED_AT
    span = _Span(began, _past_gap(once, began + looked_at, looked_at))
    short, long = _Witness(once, [span]).of(span), _Witness(twice, [span]).of(span)
    told: set[tuple[str, str]] = set()
    for moment, decision in short.decisions.items():
        other = long.decisions.get(moment)
        if other is None or _truths(decision) == _truths(other):
            continue
        columns = _unsettled(short, long, decision)
        time, symbol, strategy = moment
        if (symbol, strategy) not in told:
            told.add((symbol, strategy))
            yield (
                f"{strategy} at {_said(time)}: {_of(decision)}, with twice the history "
                f"{_of(other)}: {', '.join(columns) or 'no column'} not settled"
            )
    readiness = Readiness()
    _compare(readiness, short, long)
    gaps.wholly += readiness.gaps(
        one for one in strategies if (one.rules.symbol, one.rules.name) not in told
    )


def _compare(readiness: Readiness, one: _Seen, other: _Seen) -> None:
    """Tell `readiness` of every decision that both runs made."""
    for moment in one.decisions.keys() & other.decisions.keys():
        _, symbol, strategy = moment
        readiness.compared(symbol, strategy, one.lacks(moment) | other.lacks(moment))


def _differences(with_future: _Seen, without: _Seen, when: str) -> Iterator[tuple[str, str]]:
    """Yield what is guilty, and how, of every row and decision that differs; columns first."""
    for key, row in with_future.rows.items():
        other = without.rows.get(key)
        time, symbol, timeframe = key
        place = f"{symbol} {timeframe.title_name}"
        if other is None:
            yield place, f"{place} at {_said(time)}: there is no such candle without the future"
            continue
        for column, value, cut in zip(row.columns, row.values, other.values, strict=True):
            if value != cut:
                guilty = f"{place} column '{column.name}'"
                yield guilty, f"{guilty} at {_said(time)}: {value} {when}, {cut} without"
    for moment, decision in with_future.decisions.items():
        time, _, name = moment
        found = without.decisions.get(moment)
        if found is None or _truths(decision) != _truths(found):
            said = "nothing" if found is None else _of(found)
            yield name, f"{name} at {_said(time)}: {_of(decision)} {when}, {said} without"


def _new(told: set[str], found: Iterator[tuple[str, str]]) -> Iterator[str]:
    for guilty, text in found:
        if guilty not in told:
            told.add(guilty)
            yield text


def _unsettled(short: _Seen, long: _Seen, decision: Decision) -> list[str]:
    """Return the columns that differ on the rows a decision was made on, the furthest off first."""
    off: dict[str, float] = {}
    for key, row in short.rows.items():
        closed, symbol, timeframe = key
        other = long.rows.get(key)
        if symbol != decision.symbol or closed > decision.time or other is None:
            continue
        for column, value, settled in zip(row.columns, row.values, other.values, strict=True):
            if column.kind is ColumnKind.TIME or column.anchored or value == settled:
                continue
            name = f"{timeframe.title_name} {column.name}"
            off[name] = max(off.get(name, 0.0), _distance(value, settled))
    return sorted(off, key=lambda name: -off[name])[:5]


def _distance(value: Value, other: Value) -> float:
    if isinstance(value, float) and isinstance(other, float):
        return abs(value - other) / max(abs(value), abs(other))
    return 1.0


def _truths(decision: Decision) -> tuple[Truth, ...]:
    return decision.entry_long, decision.entry_short, decision.exit_long, decision.exit_short


def _of(decision: Decision) -> str:
    names, truths = ("entry long", "entry short", "exit long", "exit short"), _truths(decision)
    signals = " and ".join(name for name, truth in zip(names, truths, strict=True) if truth)
    return signals or ("not ready" if None in truths else "no signal")


def _said(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}Z"
