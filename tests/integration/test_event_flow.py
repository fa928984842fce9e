"""Publish in, assert events out: the way of a candle through all four services."""

from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from time import perf_counter

import pytest

from app.domain.market import Candle, Timeframe
from app.domain.orders import BlockReason, CloseReason
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    DataFetchedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    IndicatorsCalculatedEvent,
    NewCandleEvent,
    OrderFilledEvent,
    OrderPlacedEvent,
    PositionClosedEvent,
    RegimeChangedEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)

THRESHOLD = """
name: threshold
timeframes: ["1"]
entry:
  long: {conditions: [{signal: close, operator: ">", value: 1.1010}]}
exit:
  long: {conditions: [{signal: close, operator: "<", value: 1.1000}]}
risk:
  position_sizing: {type: fixed, value: 0.1}
  sl: {type: fixed, value: 50}
  tp: {type: fixed, value: 80}
"""
SLOWER = THRESHOLD.replace("threshold", "slower").replace('["1"]', '["5"]')
CLOSES = [1.1004] * 4 + [1.1020, 1.1022, 1.1023] + [1.0995, 1.0996, 1.0996]
ENTRY_CYCLE, EXIT_CYCLE = 5, 8
ONE_MINUTE = {"TRADING_TIMEFRAMES": "1", "MARKET_DATA_SOURCE": "file"}


@pytest.fixture
def threshold_run(configuration, bars_file, connect):
    """Make a run of the threshold strategy over one-minute closes."""

    def make(closes=CLOSES, strategies=(THRESHOLD,), **names):
        configuration({f"s{at}": text for at, text in enumerate(strategies)})
        path = bars_file(closes)
        return connect({**ONE_MINUTE, "MARKET_DATA_PATH": str(path), **names})

    return make


def _cycles(run):
    """Return cycle number -> the events of that cycle."""
    cycles, number = {}, 0
    for event in run.events:
        if isinstance(event, CycleStartedEvent):
            number = event.cycle
        cycles.setdefault(number, []).append(event)
    return cycles


def _names(events):
    return [type(event).__name__.removesuffix("Event") for event in events]


class TestTheWayOfACandle:
    def test_each_step_is_an_event_after_its_cause(self, threshold_run):
        """E1, E2, E3, E5, E6, E7, E8, P16: from the fetch to the closed position, in order."""
        cycles = _cycles(threshold_run().to_the_end())
        before = ["CycleStarted", "DataFetched", "NewCandle", "IndicatorsCalculated"]
        evaluated, end = "StrategiesEvaluated", "CycleCompleted"
        assert _names(cycles[1]) == [*before, evaluated, end]
        assert _names(cycles[ENTRY_CYCLE]) == [
            *before, evaluated, "EntrySignal", "OrderPlaced", end,
        ]  # fmt: skip
        filled = _names(cycles[ENTRY_CYCLE + 1])
        assert sorted(filled) == sorted(
            [*before, "OrderFilled", evaluated, "EntrySignal", "TradingBlocked", end]
        )
        assert filled.index("OrderFilled") < filled.index("StrategiesEvaluated")
        assert _names(cycles[EXIT_CYCLE]) == [*before, evaluated, "ExitSignal", "OrderPlaced", end]
        closed = _names(cycles[EXIT_CYCLE + 1])
        assert closed.index("PositionClosed") < closed.index("StrategiesEvaluated")

    def test_the_events_carry_the_trade(self, threshold_run):
        """E2, E5, E7, E8: the candle, the facts, the order, the refusal, the result."""
        run = threshold_run().to_the_end()
        candle = run.of(NewCandleEvent)[ENTRY_CYCLE - 1]
        assert (candle.symbol, candle.timeframe) == ("EURUSD", Timeframe("1"))
        assert (candle.candle.close, candle.late) == (1.1020, False)
        entry = run.of(EntrySignalEvent)[0].signal
        assert entry.candle is candle.candle
        assert [str(fact) for fact in entry.facts] == ["close 1.102 > 1.101"]
        placed, exit_order = (event.intent for event in run.of(OrderPlacedEvent))
        assert (placed.strategy, placed.volume) == ("threshold", Decimal("0.1"))
        assert placed.candle_time == candle.candle.time
        filled = run.of(OrderFilledEvent)[0].deal
        assert filled.time >= candle.candle.close_time, "filled after the decision, not before"
        assert exit_order.ticket == filled.position
        blocked = run.of(TradingBlockedEvent)
        assert {event.reason for event in blocked} == {BlockReason.POSITION_OPEN}
        (closed,) = run.of(PositionClosedEvent)
        assert closed.reason is CloseReason.SIGNAL
        assert closed.profit < 0
        account = run.parts.broker.account()
        assert account.balance == 10_000 + closed.profit

    def test_exits_are_acted_on_before_entries(self, threshold_run):
        """E5, E6: a candle that ends one side and begins the other closes first."""
        turning = THRESHOLD.replace(
            "exit:", '  short: {conditions: [{signal: close, operator: "<", value: 1.1000}]}\nexit:'
        )
        cycles = _cycles(threshold_run(strategies=[turning]).to_the_end())
        names = _names(cycles[EXIT_CYCLE])
        assert names.index("ExitSignal") < names.index("EntrySignal")
        placed = [e.intent for e in cycles[EXIT_CYCLE] if isinstance(e, OrderPlacedEvent)]
        assert [intent.action.value for intent in placed] == ["exit", "entry"]

    def test_a_published_candle_is_enough_to_trade(self, threshold_run):
        """P1, P2, P16: services talk only by events, so anybody's candle drives them."""
        run = threshold_run(SERVICES_DATA_FETCHING_ENABLED="false").started()
        opened = run.parts.clock.now()
        for close in CLOSES:
            closes = opened + timedelta(minutes=1)
            candle = Candle("EURUSD", Timeframe("1"), opened, closes, close, close, close, close)
            run.bus.publish(NewCandleEvent(candle=candle))
            opened = closes
        assert not run.of(DataFetchedEvent, CycleStartedEvent)
        assert len(run.of(IndicatorsCalculatedEvent)) == len(CLOSES)
        assert len(run.of(PositionClosedEvent)) == 1

    def test_a_candle_published_twice_is_evaluated_once(self, threshold_run):
        """P16: what is in already is ignored."""
        run = threshold_run(SERVICES_DATA_FETCHING_ENABLED="false").started()
        opened = run.parts.clock.now()
        candle = Candle("EURUSD", Timeframe("1"), opened, opened + timedelta(minutes=1), *[1.1] * 4)
        run.bus.publish(NewCandleEvent(candle=candle))
        run.bus.publish(NewCandleEvent(candle=candle))
        assert len(run.of(StrategiesEvaluatedEvent)) == 1
        assert run.metrics("services", "indicator_calculation", "candles_ignored") == 1


class TestCorrelation:
    def test_all_events_of_a_cycle_share_one_id(self, threshold_run):
        """P6, F12: from fetch to order one id, another one in the next cycle."""
        run = threshold_run().to_the_end()
        ids = [{event.correlation_id for event in events} for events in _cycles(run).values()]
        assert all(len(of_cycle) == 1 for of_cycle in ids)
        different = set().union(*ids)
        assert len(different) == len(CLOSES)
        assert all(len(one) == 8 and int(one, 16) >= 0 for one in different)

    def test_outside_a_cycle_there_is_none(self, threshold_run):
        """P6: an event of nobody's cycle says so."""
        run = threshold_run().started()
        run.orchestrator.restart_service("strategy_evaluation")
        assert run.events[-1].correlation_id == "-"


class TestHandlers:
    def test_join_before_or_after_the_start(self, threshold_run):
        """A9, P26: a user's handler receives its event type, whenever it was subscribed."""
        run = threshold_run()
        early, late, everything = [], [], []
        run.bus.subscribe(NewCandleEvent, early.append)
        run.started()
        run.orchestrator.run(max_cycles=2)
        run.bus.subscribe(NewCandleEvent, late.append)
        run.bus.subscribe(Event, everything.append)
        run.orchestrator.run()
        assert len(early) == len(CLOSES)
        assert late == early[2:]
        assert everything == run.events[run.events.index(everything[0]) :]
        assert {type(event) for event in everything} >= {CycleCompletedEvent, OrderPlacedEvent}

    def test_one_that_fails_hurts_nobody(self, threshold_run):
        """P12: its error is counted and every other handler gets its events."""
        run = threshold_run()

        def broken(_event):
            raise RuntimeError("on purpose")

        run.bus.subscribe(NewCandleEvent, broken)
        run.to_the_end()
        assert len(run.of(PositionClosedEvent)) == 1
        assert run.metrics("event_bus", "handler_errors") == len(CLOSES)
        assert run.metrics("orchestrator", "services_healthy") == 4

    def test_an_event_costs_microseconds(self, threshold_run):
        """P23: on the bus of a running system, history and a handler for all events included."""
        run = threshold_run().started()
        event = DataFetchedEvent(symbol="EURUSD", timeframe=Timeframe("1"), bars=3, newest=None)
        for _ in range(3):
            run.bus.subscribe(DataFetchedEvent, lambda _event: None)

        def seconds():
            began = perf_counter()
            for _ in range(1000):
                run.bus.publish(event)
            return (perf_counter() - began) / 1000

        assert min(seconds() for _ in range(7)) < 100e-6


class TestModes:
    def test_monitor_publishes_signals_and_sends_nothing(self, threshold_run):
        """P18, C12, E8: each entry is answered by the reason why nothing was sent."""
        run = threshold_run(TRADE_MODE="monitor").to_the_end()
        blocked = run.of(TradingBlockedEvent)
        assert run.of(ExitSignalEvent)
        assert len(run.of(EntrySignalEvent)) == len(blocked) > 0
        assert {event.reason for event in blocked} == {BlockReason.MONITOR_MODE}
        assert not run.of(OrderPlacedEvent)
        assert run.parts.broker.account().balance == 10_000

    def test_without_execution_there_are_signals_and_no_trades(self, threshold_run):
        """C12, P24."""
        run = threshold_run(SERVICES_TRADE_EXECUTION_ENABLED="false").to_the_end()
        assert run.of(EntrySignalEvent)
        assert not run.of(OrderPlacedEvent, TradingBlockedEvent)

    @pytest.mark.parametrize(("mode", "placed_before_end"), [("immediate", True), ("batch", False)])
    def test_execution_mode_says_when_signals_are_acted_on(
        self, threshold_run, mode, placed_before_end
    ):
        """C13: at once, or when the cycle has ended."""
        run = threshold_run(SERVICES_TRADE_EXECUTION_EXECUTION_MODE=mode).to_the_end()
        names = _names(_cycles(run)[ENTRY_CYCLE])
        assert (names.index("OrderPlaced") < names.index("CycleCompleted")) is placed_before_end
        assert len(run.of(PositionClosedEvent)) == 1

    @pytest.mark.parametrize(
        ("mode", "order"), [("immediate", ["entry", "exit"]), ("batch", ["exit", "entry"])]
    )
    def test_batch_sends_the_exits_of_a_cycle_first(self, threshold_run, mode, order):
        """C13: also where a slower strategy, evaluated before, wants to enter."""
        contrary = """
name: contrary
timeframes: ["5"]
entry: {long: {conditions: [{signal: close, operator: "<", value: 1.1000}]}}
risk: {position_sizing: {type: fixed, value: 0.1}, sl: {type: fixed, value: 50}}
"""
        run = threshold_run(
            [1.1004] * 4 + [1.1020] * 5 + [1.0995] * 2,
            [contrary, THRESHOLD],
            SERVICES_TRADE_EXECUTION_EXECUTION_MODE=mode,
            SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED="1",
        ).to_the_end()
        turning = [event for event in _cycles(run)[10] if isinstance(event, OrderPlacedEvent)]
        assert [event.intent.action for event in turning] == order

    @pytest.mark.parametrize(
        ("mode", "evaluated", "times"), [("on_new_candle", "5", 4), ("on_any_candle", "1", 20)]
    )
    def test_evaluation_mode_says_which_candles_count(self, threshold_run, mode, evaluated, times):
        """C10: those of the strategy's own trigger, or each that it could see."""
        both = THRESHOLD.replace('["1"]', '["1", "5"]\ntrigger: "5"')
        both = both.replace("1.1010}", '1.1010, timeframe: "1"}')
        both = both.replace("1.1000}", '1.1000, timeframe: "1"}')
        run = threshold_run(
            [1.1] * 20, [both], SERVICES_STRATEGY_EVALUATION_EVALUATION_MODE=mode
        ).to_the_end()
        assert [e.timeframe for e in run.of(StrategiesEvaluatedEvent)] == [evaluated] * times


class TestSlowAndFastCandles:
    def test_slower_candles_come_first(self, connect):
        """E2, E3: whoever sees a minute candle has seen all that closed with it."""
        run = connect({"MARKET_DATA_UNTIL": "2025-01-06T09:00Z"}).to_the_end()
        for _, group in groupby(run.of(NewCandleEvent), key=lambda e: e.candle.close_time):
            minutes = [event.timeframe.minutes for event in group]
            assert minutes == sorted(minutes, reverse=True)
            assert minutes[-1] == 1
        together = [e for e in run.of(IndicatorsCalculatedEvent) if e.timeframe == "1"][-1]
        assert {rows[-1].candle.close_time for rows in together.view.values()} == {
            together.view[Timeframe("1")][-1].candle.close_time
        }

    def test_a_slow_decision_is_not_filled_at_prices_from_before_it(self, threshold_run):
        """E7: an order from a five-minute candle leaves once the minute candle is in."""
        rising = [1.1004] * 14 + [1.1030] * 8
        run = threshold_run(rising, [SLOWER, THRESHOLD], TRADING_TIMEFRAMES="1,5").to_the_end()
        slow = next(e for e in run.of(OrderPlacedEvent) if e.intent.strategy == "slower")
        deal = next(e.deal for e in run.of(OrderFilledEvent) if e.strategy == "slower")
        assert slow.intent.timeframe == "5"
        assert deal.time >= slow.intent.candle_time + timedelta(minutes=5)

    def test_a_change_of_regime_is_told_before_its_row(self, connect):
        """E4, C8: old and new label, and nothing when tracking is off."""
        day = {"MARKET_DATA_UNTIL": "2025-01-06T20:00Z"}
        run = connect(day).to_the_end()
        changes = run.of(RegimeChangedEvent)
        assert changes
        for event in changes:
            assert event.old_regime != event.new_regime
            assert 0 <= event.confidence <= 1
            after = run.events[run.events.index(event) :]
            row = next(e for e in after if isinstance(e, IndicatorsCalculatedEvent))
            assert row.view[event.timeframe][-1].regime == event.new_regime
        off = {"SERVICES_INDICATOR_CALCULATION_TRACK_REGIME_CHANGES": "false"}
        assert not connect({**day, **off}).to_the_end().of(RegimeChangedEvent)
