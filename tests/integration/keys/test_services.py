"""services.* and orchestrator.*: the keys that no other test shows."""

import pytest

from app.domain.errors import ConfigurationError, SourceError
from app.domain.orders import BlockReason
from app.events import (
    CycleStartedEvent,
    IndicatorsCalculatedEvent,
    NewCandleEvent,
    OrderPlacedEvent,
    RegimeChangedEvent,
    ServiceRestartedEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)


class UnreliableSource:
    """A source that answers only when `answers(timeframe, now)`."""

    name = "unreliable source"

    def __init__(self, source, answers):
        self._source = source
        self._answers = answers

    def open(self):
        self._source.open()

    def close(self):
        self._source.close()

    def expect(self, asks):
        pass

    def latest(self, symbol, timeframe, count, now):
        self._answer(timeframe, now)
        return self._source.latest(symbol, timeframe, count, now)

    def after(self, symbol, timeframe, last, now):
        self._answer(timeframe, now)
        return self._source.after(symbol, timeframe, last, now)

    def _answer(self, timeframe, now):
        if not self._answers(timeframe, now):
            raise SourceError("no answer")


@pytest.fixture
def unreliable(simulated):
    """Make a run of the simulated market whose source answers when `answers(timeframe, now)`."""

    def make(answers, **names):
        # Without history nothing is asked of the source before the first cycle.
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "0", **names}
        source = simulated(**names).parts.source
        return simulated(parts={"source": UnreliableSource(source, answers)}, **names)

    return make


class TestDataFetching:
    @pytest.mark.parametrize(("seconds", "waited"), [("0", 0), ("120", 2), ("3600", 4)])
    def test_hold_back(self, unreliable, seconds, waited):
        """E2: a minute candle waits so long for the slower one that closed with it."""
        run = unreliable(
            lambda timeframe, now: timeframe == "1" or not 5 <= now.minute < 9,
            TRADING_TIMEFRAMES="1,5",
            SERVICES_DATA_FETCHING_HOLD_BACK=seconds,
        ).to_the_end()
        now, announced = None, {}
        for event in run.of(CycleStartedEvent, NewCandleEvent):
            if isinstance(event, CycleStartedEvent):
                now = event.time
            else:
                key = (str(event.timeframe), event.candle.close_time.minute)
                announced[key] = now.minute
        assert announced["1", 4] == 4, "no slower candle closes with it"
        assert announced["1", 5] == 5 + waited
        assert announced["5", 5] == 9, "when it came"


class TestIndicatorCalculation:
    def test_track_regime_changes(self, simulated):
        """C8, E4: on, each change is an event; off, none is, and rows are the same."""
        on = simulated().to_the_end()
        off = simulated(SERVICES_INDICATOR_CALCULATION_TRACK_REGIME_CHANGES="false").to_the_end()
        assert on.of(RegimeChangedEvent)
        assert not off.of(RegimeChangedEvent)
        told, kept = (
            [event.view["1"][-1].regime for event in run.of(IndicatorsCalculatedEvent)]
            for run in (on, off)
        )
        assert told == kept
        assert "warming_up" not in kept

    @pytest.mark.parametrize(
        ("bars", "first_ready"), [("3000", 1), ("19", 1), ("10", 10), ("0", 20)]
    )
    def test_history_bars(self, simulated, bars, first_ready):
        """C6: an average of twenty candles is ready when history and candles make twenty."""
        run = simulated(
            indicators={"1": "sma_20: {period: 20}"},
            SERVICES_INDICATOR_CALCULATION_HISTORY_BARS=bars,
        ).to_the_end()
        averages = [e.view["1"][-1]["sma_20"] for e in run.of(IndicatorsCalculatedEvent)]
        assert [value is None for value in averages].index(False) == first_ready - 1


class TestStrategyEvaluation:
    def test_facts(self, flat):
        """C9: of signals only, or on the decision of every evaluation."""
        for kept, counts in (("signals", {0}), ("all", {1})):
            run = flat(SERVICES_STRATEGY_EVALUATION_FACTS=kept).to_the_end()
            decisions = [e.decisions[0] for e in run.of(StrategiesEvaluatedEvent)]
            assert {len(decision.facts) for decision in decisions} == counts


class TestTradeExecution:
    @pytest.mark.parametrize("allowed", [1, 3])
    def test_positions_per_direction(self, flat, allowed):
        """E8: a strategy that always buys opens that many positions and is then refused."""
        names = {"SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION": str(allowed)}
        run = flat(10, **names).to_the_end()
        assert len(run.of(OrderPlacedEvent)) == len(run.parts.broker.positions()) == allowed
        assert {e.reason for e in run.of(TradingBlockedEvent)} == {BlockReason.POSITION_OPEN}


class TestEventBus:
    def test_mode(self, flat):
        """C14: synchronous, the one mode: all is done when publish() returns."""
        run = flat(EVENT_BUS_MODE="synchronous").started()
        order = []
        run.bus.subscribe(CycleStartedEvent, lambda _event: order.append("handled"))
        run.orchestrator.run(max_cycles=1)
        run.bus.publish(CycleStartedEvent(cycle=9, time=run.parts.clock.now()))
        order.append("returned")
        assert order == ["handled", "handled", "returned"]
        with pytest.raises(ConfigurationError, match=r"EVENT_BUS_MODE.*synchronous"):
            flat(EVENT_BUS_MODE="asynchronous")


class TestOrchestrator:
    def test_restart_window(self, unreliable):
        """C17, P13: restarts longer ago than the window do not count against the budget."""
        names = {
            "ORCHESTRATOR_RESTART_BUDGET": "2",
            "SERVICES_DATA_FETCHING_MAX_FAILURES": "2",
            "SERVICES_DATA_FETCHING_RETRY_ATTEMPTS": "0",
        }
        never = lambda _timeframe, _now: False  # noqa: E731 - it is an argument
        day = unreliable(never, ORCHESTRATOR_RESTART_WINDOW="86400", **names).to_the_end()
        assert len(day.of(ServiceRestartedEvent)) == 2
        minute = unreliable(never, ORCHESTRATOR_RESTART_WINDOW="60", **names).to_the_end()
        assert len(minute.of(ServiceRestartedEvent)) > 10
