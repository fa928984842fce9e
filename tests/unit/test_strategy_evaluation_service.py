"""Which strategies a candle triggers, what is published about them, and that none hurts another."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from app.bus import EventBus
from app.domain.market import Candle, Timeframe
from app.domain.rows import BASE_COLUMNS, Column, Columns, Row, View
from app.domain.rules import ColumnRef
from app.domain.signals import Decision, Direction, Fact
from app.events import (
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    IndicatorsCalculatedEvent,
    StrategiesEvaluatedEvent,
    StrategyFailedEvent,
)
from app.services.strategy_evaluation import StrategyEvaluationService
from app.strategies.evaluate import Strategy
from app.strategies.schema import StrategyFile

M1, M5 = Timeframe(1), Timeframe(5)
NOON = datetime(2025, 1, 6, 12, 0, tzinfo=UTC)
COLUMNS = Columns((*BASE_COLUMNS, Column("pace")))


def rows(*paces: float | None, timeframe: Timeframe = M1, symbol: str = "EURUSD") -> Sequence[Row]:
    """Return rows of these paces, the newest closing at noon."""
    made = []
    for at, pace in enumerate(paces, start=1 - len(paces)):
        closed = NOON + at * timeframe.delta
        candle = Candle(symbol, timeframe, closed - timeframe.delta, closed, 1.1, 1.2, 1.0, 1.1)
        base = (candle.time.timestamp(), 1.1, 1.2, 1.0, 1.1, 9.0, "bull_expansion", 0.8, False)
        made.append(Row(candle, COLUMNS, (*base, pace)))
    return tuple(made)


def above(level: float, timeframe: int = 1) -> dict[str, object]:
    condition = {"signal": "pace", "operator": ">", "value": level, "timeframe": str(timeframe)}
    return {"conditions": [condition]}


def data(name: str, timeframes: Sequence[int], **blocks: object) -> StrategyFile:
    blocks = {"entry": {"long": above(10, min(timeframes))}, **blocks}
    risk = {"position_sizing": {"type": "fixed", "value": 0.1}}
    return StrategyFile.model_validate(
        {"name": name, "timeframes": list(timeframes), "risk": risk, **blocks}
    )


def strategy(
    name: str,
    *,
    timeframes: Sequence[int] = (1,),
    symbol: str = "EURUSD",
    kind: type[Strategy] = Strategy,
    **blocks: object,
) -> Strategy:
    file = data(name, timeframes, **blocks)
    columns = dict.fromkeys(file.timeframes, COLUMNS)
    return kind.compiled(file, symbol, 7, columns, lambda _: f"{name}.yaml:1")


class Broken(Strategy):
    """A strategy whose evaluation raises."""

    def evaluate(self, view: View, min_rows: int = 1) -> Decision:
        raise ZeroDivisionError("no range")


class Mute(Strategy):
    """A strategy that decides, but raises when it says why it enters."""

    def explain(self, view: View, part: str | None = None) -> tuple[Fact, ...]:
        if part == "entry.long":
            raise ZeroDivisionError("no words")
        return super().explain(view, part)


class Desk:
    """The service on a real bus, with what it said."""

    def __init__(
        self,
        strategies: Mapping[str, Sequence[Strategy]] | Sequence[Strategy],
        *,
        min_rows: int = 1,
        all_facts: bool = False,
    ) -> None:
        if not isinstance(strategies, Mapping):
            strategies = {"EURUSD": strategies}
        self.events: list[Event] = []
        bus = EventBus()
        self.service = StrategyEvaluationService(
            bus, strategies, min_rows=min_rows, all_facts=all_facts
        )
        bus.subscribe(IndicatorsCalculatedEvent, self.service.on_indicators)
        bus.subscribe(Event, self.events.append)
        self._bus = bus

    def calculated(
        self,
        view: Mapping[Timeframe, Sequence[Row]] | Sequence[Row],
        *,
        timeframe: Timeframe = M1,
        symbol: str = "EURUSD",
        late: bool = False,
    ) -> list[Event]:
        """Publish rows; return what the service published about them."""
        if not isinstance(view, Mapping):
            view = {timeframe: view}
        self.events.clear()
        self._bus.publish(
            IndicatorsCalculatedEvent(symbol=symbol, timeframe=timeframe, view=view, late=late)  # type: ignore[arg-type]
        )
        return self.events[1:]


def decisions(events: Sequence[Event]) -> list[str]:
    return [
        decision.strategy
        for event in events
        if isinstance(event, StrategiesEvaluatedEvent)
        for decision in event.decisions
    ]


def signals(events: Sequence[Event]) -> list[tuple[str, str, str]]:
    return [
        (type(event).__name__[:-11].lower(), event.signal.strategy, event.signal.direction.value)
        for event in events
        if isinstance(event, EntrySignalEvent | ExitSignalEvent)
    ]


def test_a_strategy_is_evaluated_on_its_trigger_timeframe_only() -> None:
    """C10."""
    desk = Desk(
        [strategy("fast"), strategy("slow", timeframes=(5,)), strategy("both", timeframes=(5, 1))]
    )
    view = {M1: rows(1), M5: rows(1, timeframe=M5)}
    assert decisions(desk.calculated(view, timeframe=M1)) == ["fast", "both"]
    assert decisions(desk.calculated(view, timeframe=M5)) == ["slow"]


def test_a_candle_that_triggers_nothing_publishes_nothing() -> None:
    desk = Desk([strategy("slow", timeframes=(5,))])
    assert desk.calculated(rows(99)) == []
    assert desk.service.handled == 1


def test_strategies_belong_to_their_symbol() -> None:
    desk = Desk(
        {
            "EURUSD": [strategy("euro")],
            "GBPUSD": [strategy("pound", symbol="GBPUSD")],
        }
    )
    events = desk.calculated(rows(99, symbol="GBPUSD"), symbol="GBPUSD")
    assert decisions(events) == ["pound"]
    (signal,) = (event.signal for event in events if isinstance(event, EntrySignalEvent))
    assert (signal.symbol, signal.candle.symbol) == ("GBPUSD", "GBPUSD")


def test_the_decision_comes_first_then_exits_then_entries_of_all_strategies() -> None:
    """E5, E6."""
    turning = {"entry": {"short": above(10)}, "exit": {"long": above(10)}}
    desk = Desk([strategy("a", **turning), strategy("b"), strategy("c", **turning)])
    events = desk.calculated(rows(11))
    assert isinstance(events[0], StrategiesEvaluatedEvent)
    assert decisions(events) == ["a", "b", "c"]
    assert signals(events) == [
        ("exit", "a", "long"),
        ("exit", "c", "long"),
        ("entry", "a", "short"),
        ("entry", "b", "long"),
        ("entry", "c", "short"),
    ]


def test_all_four_parts_of_a_strategy_can_signal_at_once() -> None:
    both = {"long": above(10), "short": above(10)}
    desk = Desk([strategy("a", entry=both, exit=both)])
    assert signals(desk.calculated(rows(11))) == [
        ("exit", "a", "long"),
        ("exit", "a", "short"),
        ("entry", "a", "long"),
        ("entry", "a", "short"),
    ]


def test_a_signal_carries_the_candle_and_the_facts_that_made_it_so() -> None:
    """E5."""
    desk = Desk([strategy("a", exit={"long": above(5)})])
    newest = rows(8, 11)
    events = desk.calculated(newest)
    entry = next(event.signal for event in events if isinstance(event, EntrySignalEvent))
    assert (entry.strategy, entry.timeframe, entry.direction) == ("a", M1, Direction.LONG)
    assert entry.candle is newest[-1].candle
    assert [(fact.signal, fact.left, fact.right, fact.truth) for fact in entry.facts] == [
        ("pace", 11, 10, True)
    ]
    leave = next(event.signal for event in events if isinstance(event, ExitSignalEvent))
    assert [fact.right for fact in leave.facts] == [5]


def test_facts_are_kept_on_decisions_only_when_all_are_asked_for() -> None:
    for all_facts, kept in ((False, []), (True, [10, 5])):
        desk = Desk([strategy("a", exit={"long": above(5)})], all_facts=all_facts)
        event = desk.calculated(rows(1))[0]
        assert isinstance(event, StrategiesEvaluatedEvent)
        assert [fact.right for fact in event.decisions[0].facts] == kept


def test_too_few_rows_decide_nothing_and_are_counted_as_not_ready() -> None:
    """C11."""
    desk = Desk([strategy("a")], min_rows=3)
    assert signals(desk.calculated(rows(11, 12))) == []
    assert desk.service.metrics()["not_ready"] == 1
    assert signals(desk.calculated(rows(11, 12, 13))) == [("entry", "a", "long")]
    assert desk.service.metrics()["not_ready"] == 1


def test_a_column_that_still_warms_up_never_signals() -> None:
    desk = Desk([strategy("a")])
    assert signals(desk.calculated(rows(None))) == []
    assert desk.service.metrics()["not_ready"] == 1


def test_a_late_candle_says_so_on_decisions_and_entries() -> None:
    desk = Desk([strategy("a", exit={"short": above(10)})])
    evaluated, leave, entry = desk.calculated(rows(11), late=True)
    assert isinstance(evaluated, StrategiesEvaluatedEvent)
    assert isinstance(entry, EntrySignalEvent)
    assert isinstance(leave, ExitSignalEvent)
    assert (evaluated.late, entry.late) == (True, True)
    assert evaluated.candle is entry.signal.candle


def test_a_failing_strategy_never_touches_another(caplog: pytest.LogCaptureFixture) -> None:
    """P12, P22."""
    desk = Desk([strategy("bad", kind=Broken), strategy("good")])
    events = desk.calculated(rows(11))
    assert (
        StrategyFailedEvent(symbol="EURUSD", strategy="bad", error="ZeroDivisionError: no range")
        in events
    )
    assert decisions(events) == ["bad", "good"]
    assert signals(events) == [("entry", "good", "long")]
    (line,) = (r.msg for r in caplog.records if r.levelno == logging.ERROR)
    assert isinstance(line, dict)
    assert line["event"] == "Strategy bad failed: ZeroDivisionError: no range"
    assert (line["strategy"], line["symbol"]) == ("bad", "EURUSD")
    assert desk.service.handled == 1


@pytest.mark.parametrize("kind", [Broken, Mute])
def test_a_failing_strategy_is_undecided_so_that_its_positions_are_still_managed(
    kind: type[Strategy],
) -> None:
    """No signal of it is sent, not even one that could still be explained."""
    risk = {
        "position_sizing": {"type": "fixed", "value": 0.1},
        "sl": {"type": "indicator", "source": "pace", "timeframe": "1"},
    }
    desk = Desk([strategy("bad", kind=kind, risk=risk, exit={"short": above(10)})])
    newest = rows(11)
    failed, evaluated = desk.calculated(newest)
    assert isinstance(failed, StrategyFailedEvent)
    assert isinstance(evaluated, StrategiesEvaluatedEvent)
    (decision,) = evaluated.decisions
    assert decision.candle is newest[-1].candle
    assert decision.levels == {ColumnRef(M1, "pace"): 11}
    assert (decision.entry_long, decision.entry_short) == (None, None)
    assert (decision.exit_long, decision.exit_short) == (None, None)


def test_the_service_counts_what_it_did() -> None:
    """A6, P14."""
    desk = Desk(
        [strategy("a"), strategy("b", exit={"long": above(5)}), strategy("bad", kind=Broken)]
    )
    desk.calculated(rows(11))
    desk.calculated(rows(6))
    assert desk.service.metrics() == {
        "strategies_evaluated": 4,
        "entry_signals": 2,
        "exit_signals": 2,
        "not_ready": 0,
        "strategies_failed": 2,
    }


def test_a_signal_that_lasts_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """L34: each evaluation is a line, a signal one more when it begins."""
    caplog.set_level(logging.INFO)
    desk = Desk([strategy("a")])
    for pace in (11, 12, 1, 13):
        caplog.clear()
        desk.calculated(rows(pace))
        told = [str(r.msg["event"]) for r in caplog.records if isinstance(r.msg, dict)]
        entries = int(pace > 10)
        assert told[0] == f"Evaluated strategies: {entries} entries, 0 exits"
        because = f"Entry signal: long EURUSD by a because pace {pace} > 10"
        assert told[1:] == ([because] if pace in (11, 13) else [])


def test_a_strategy_explains_itself_on_the_newest_rows() -> None:
    desk = Desk({"EURUSD": [strategy("a")], "GBPUSD": [strategy("b", symbol="GBPUSD")]})
    assert [fact.left for fact in desk.service.explain("a")] == [None]
    desk.calculated(rows(3, 4))
    assert [(fact.left, fact.truth) for fact in desk.service.explain("a")] == [(4, False)]
    assert [fact.truth for fact in desk.service.explain("b")] == [None]
    with pytest.raises(KeyError, match="nobody"):
        desk.service.explain("nobody")
