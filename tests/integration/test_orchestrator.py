"""The orchestrator: life cycle, cycles, metrics, and the keys that steer them."""

import dataclasses
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from app.bus import EventBus
from app.domain.errors import ConfigurationError
from app.domain.orders import BlockReason
from app.events import (
    CycleStartedEvent,
    DataFetchedEvent,
    EntrySignalEvent,
    IndicatorsCalculatedEvent,
    NewCandleEvent,
    OrderPlacedEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)
from app.orchestrator import State, TradingOrchestrator
from app.services.base import HEALTHY, Health, Service

PIPELINE = ["data_fetching", "indicator_calculation", "strategy_evaluation", "trade_execution"]
ALWAYS = """
name: always-long
timeframes: ["1"]
entry: {long: {conditions: [{signal: close, operator: ">", value: 0}]}}
risk: {position_sizing: {type: fixed, value: 0.1}, sl: {type: fixed, value: 50}}
"""


class Recorder(Service):
    """A service that writes down what is asked of it."""

    def __init__(self, title, diary, refuses=False, healthy=True):
        super().__init__(EventBus())
        self.title, self.diary, self.refuses, self.healthy = title, diary, refuses, healthy

    def start(self, now):
        self.diary.append(f"start {self.title}")
        if self.refuses:
            raise ConfigurationError("cannot start")

    def stop(self):
        self.diary.append(f"stop {self.title}")

    def health(self):
        self.diary.append(f"health {self.title}")
        return HEALTHY if self.healthy else Health(False, "ill")


@pytest.fixture
def minutes(configuration, bars_file, connect):
    """Make a run over flat one-minute candles with a strategy that always wants to buy."""

    def make(count=30, strategies=(ALWAYS,), parts=None, **names):
        configuration({f"s{at}": text for at, text in enumerate(strategies)})
        path = bars_file([1.1] * count)
        environ = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": str(path)}
        return connect({"TRADING_TIMEFRAMES": "1", **environ, **names}, **(parts or {}))

    return make


class Jumping:
    """A clock that is so many days ahead at each look."""

    def __init__(self, clock, days):
        self.wait, self.stop, self._clock, self._days = clock.wait, clock.stop, clock, days

    def now(self):
        return self._clock.now() + timedelta(days=next(self._days))


def recorders(run, **traits):
    """Put recorders in the place of the services; each key names one, with what is odd about it."""
    diary = []
    run.orchestrator.initialize()
    for name in run.orchestrator.services:
        run.orchestrator.services[name] = Recorder(name, diary, **traits.get(name, {}))
    return diary


class TestLife:
    def test_services_start_in_pipeline_order_and_stop_in_reverse(self, minutes):
        """S1, P3, P4."""
        run = minutes()
        diary = recorders(run)
        run.orchestrator.start()
        run.orchestrator.stop()
        acts = [act for act in diary if not act.startswith("health")]
        assert acts == [f"start {n}" for n in PIPELINE] + [f"stop {n}" for n in PIPELINE[::-1]]

    def test_a_start_that_fails_stops_what_was_started(self, minutes, monkeypatch):
        """P4: in reverse, the source is let go, and the error passes."""
        run = minutes()
        diary = recorders(run, strategy_evaluation={"refuses": True})
        monkeypatch.setattr(run.parts.source, "close", lambda: diary.append("close source"))
        with pytest.raises(ConfigurationError, match="cannot start"):
            run.orchestrator.start()
        assert diary == [
            *(f"start {name}" for name in PIPELINE[:3]),
            "stop indicator_calculation",
            "stop data_fetching",
            "close source",
        ]
        assert run.orchestrator.state is not State.RUNNING

    def test_stopping_twice_stops_once(self, minutes):
        """P4: the second call does nothing, and neither does one before the start."""
        run = minutes()
        run.orchestrator.stop()
        diary = recorders(run)
        run.orchestrator.start()
        run.orchestrator.stop()
        after_one = list(diary)
        run.orchestrator.stop()
        assert diary == after_one
        assert run.metrics("orchestrator", "status") == "stopped"

    def test_the_services_in_pipeline_order(self, connect):
        """S1, S2, S3, S4, S5, S6, P3: one bus, four services."""
        run = connect().started()
        titles = [type(service).__name__ for service in run.orchestrator.services.values()]
        assert titles == [
            "DataFetchingService",
            "IndicatorCalculationService",
            "StrategyEvaluationService",
            "TradeExecutionService",
        ]
        assert isinstance(run.orchestrator.event_bus, EventBus)
        assert run.orchestrator.get_service_health() == dict.fromkeys(PIPELINE, True)

    @pytest.mark.parametrize("name", PIPELINE)
    def test_any_service_can_be_left_out(self, minutes, name):
        """C1, C6, C9, C12, P24: the others run, and what comes after it has nothing to do."""
        run = minutes(**{f"SERVICES_{name.upper()}_ENABLED": "false"}).to_the_end()
        assert list(run.orchestrator.services) == [one for one in PIPELINE if one != name]
        reached = {
            "data_fetching": run.of(DataFetchedEvent),
            "indicator_calculation": run.metrics("event_bus", "published_by_type").get(
                "IndicatorsCalculatedEvent"
            ),
            "strategy_evaluation": run.of(StrategiesEvaluatedEvent),
            "trade_execution": run.of(OrderPlacedEvent),
        }
        at = PIPELINE.index(name)
        assert [bool(reached[one]) for one in PIPELINE] == [True] * at + [False] * (4 - at)

    def test_built_from_a_configuration_file(self, folder):
        """S1, S10, P11: one call from the file to a system that can run."""
        (folder / "services.yaml").write_text("trading: {timeframes: [1]}\nmarket_data: {speed: 0}")
        orchestrator = TradingOrchestrator.from_config("services.yaml", environ={})
        candles = []
        orchestrator.event_bus.subscribe(NewCandleEvent, candles.append)
        orchestrator.start()
        orchestrator.run(max_cycles=3)
        orchestrator.stop()
        assert len(candles) >= 3


class TestCycles:
    def test_max_cycles_end_the_run_and_a_further_run_goes_on(self, minutes):
        """S1: run(max_cycles=n) makes n cycles; the next call continues."""
        run = minutes(10).started()
        run.orchestrator.run(max_cycles=4)
        assert run.metrics("orchestrator", "cycles") == 4
        run.orchestrator.run(max_cycles=2)
        assert [event.cycle for event in run.of(CycleStartedEvent)] == [1, 2, 3, 4, 5, 6]
        run.orchestrator.run()
        assert run.metrics("orchestrator", "cycles") == 10

    @pytest.mark.parametrize(
        ("environ", "argument"),
        [({}, 300), ({"SERVICES_DATA_FETCHING_FETCH_INTERVAL": "300"}, None)],
    )
    def test_the_interval_is_market_time_between_cycles(self, minutes, environ, argument):
        """C2, V10, P25: by argument or by setting."""
        run = minutes(30, **environ).started()
        run.orchestrator.run(interval_seconds=argument)
        times = [event.time for event in run.of(CycleStartedEvent)]
        steps = {after - before for before, after in pairwise(times)}
        assert steps == {timedelta(minutes=5)}

    def test_a_wide_gap_is_fetched_and_its_late_candles_open_nothing(self, minutes):
        """C5: with one bar a fetch and five minutes between fetches, no candle is lost."""
        every_minute = minutes(30).to_the_end()
        run = minutes(
            30,
            SERVICES_DATA_FETCHING_FETCH_INTERVAL="300",
            SERVICES_DATA_FETCHING_NBR_BARS="1",
        ).to_the_end()
        announced = [event.candle for event in run.of(NewCandleEvent)]
        assert announced == [event.candle for event in every_minute.of(NewCandleEvent)]
        decided = [event.decisions for event in run.of(StrategiesEvaluatedEvent)]
        assert decided == [event.decisions for event in every_minute.of(StrategiesEvaluatedEvent)]
        late = Counter(event.late for event in run.of(NewCandleEvent))
        assert late == {True: 24, False: 6}
        refused = [event.reason for event in run.of(TradingBlockedEvent)]
        assert refused.count(BlockReason.LATE_CANDLE) == sum(
            event.late for event in run.of(EntrySignalEvent)
        )
        on_late = {e.candle.time for e in run.of(NewCandleEvent) if e.late}
        assert not on_late & {e.intent.candle_time for e in run.of(OrderPlacedEvent)}

    def test_nbr_bars_is_how_many_are_asked_for(self, minutes):
        """C5."""
        run = minutes(30, SERVICES_DATA_FETCHING_NBR_BARS="7").to_the_end()
        assert run.of(DataFetchedEvent)[-1].bars == 7
        assert minutes(30).to_the_end().of(DataFetchedEvent)[-1].bars == 3

    @pytest.mark.parametrize(("index", "age"), [(1, 0), (2, 1), (3, 2)])
    def test_candle_index_leaves_the_newest_out(self, minutes, index, age):
        """C4, X5: 1 is the newest closed candle, 2 the one before it; never a forming one."""
        run = minutes(30, SERVICES_DATA_FETCHING_CANDLE_INDEX=str(index)).to_the_end()
        now, ages = None, []
        for event in run.of(CycleStartedEvent, NewCandleEvent):
            if isinstance(event, CycleStartedEvent):
                now = event.time
            else:
                ages.append(now - event.candle.close_time)
                assert not event.late
        assert set(ages) == {timedelta(minutes=age)}
        assert len(ages) == 30 - age
        assert run.of(OrderPlacedEvent), "what the index leaves out is not late"

    @pytest.mark.parametrize("rows", [1, 3, 6])
    def test_min_rows_required_before_anything_is_decided(self, minutes, rows):
        """C11: a timeframe with fewer rows is not ready."""
        required = {"SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED": str(rows)}
        run = minutes(10, **required).to_the_end()
        decided = [event.decisions[0].entry_long for event in run.of(StrategiesEvaluatedEvent)]
        assert decided == [None] * (rows - 1) + [True] * (11 - rows)
        assert run.metrics("services", "strategy_evaluation", "not_ready") == rows - 1

    def test_recent_rows_limit_is_how_far_strategies_see(self, minutes):
        """C7: the view holds that many rows, and a longer lookback is refused at load."""
        four = {"SERVICES_INDICATOR_CALCULATION_RECENT_ROWS_LIMIT": "4"}
        run = minutes(20, **four)
        run.to_the_end()
        seen = [len(e.view[e.timeframe]) for e in run.of(IndicatorsCalculatedEvent)]
        assert seen == [1, 2, 3, *[4] * 17]
        far = ALWAYS.replace('operator: ">"', "lookback: 5, operator: crosses_above")
        with pytest.raises(ConfigurationError, match="recent_rows_limit of at least 6"):
            minutes(20, [far], **four)


class TestKeysOfTheOrchestrator:
    @pytest.mark.parametrize(("every", "lines"), [(10, 3), (4, 7), (50, 0)])
    def test_status_is_logged_every_so_many_cycles(self, minutes, console, every, lines):
        """C19, X9."""
        console.listen()
        minutes(30, ORCHESTRATOR_STATUS_LOG_INTERVAL=str(every)).to_the_end()
        said = [line for line in console.lines() if "orchestrator: Status at" in line]
        assert len(said) == lines
        assert all("EURUSD" in line and "balance" in line for line in said)

    @pytest.mark.parametrize(("seconds", "checks"), [(60, 30), (300, 6), (86_400, 0)])
    def test_health_is_checked_in_market_time(self, minutes, seconds, checks):
        """C18, P5."""
        run = minutes(30, ORCHESTRATOR_HEALTH_CHECK_INTERVAL=str(seconds))
        diary = recorders(run)
        run.orchestrator.start()
        diary.clear()
        run.orchestrator.run()
        assert diary.count("health data_fetching") == checks

    def test_health_is_checked_after_a_clock_was_set_back(self, minutes):
        """A year ahead and back again. Red when the next check stays a year away."""
        run = minutes(30, ORCHESTRATOR_HEALTH_CHECK_INTERVAL="60")
        clock, ahead = run.parts.clock, iter([0, 365, *[0] * 30])
        run.orchestrator.parts = dataclasses.replace(run.parts, clock=Jumping(clock, ahead))
        diary = recorders(run)
        run.orchestrator.start()
        diary.clear()
        run.orchestrator.run()
        assert diary.count("health data_fetching") > 20

    def test_a_status_line_names_the_unhealthy(self, minutes, console):
        """P22: what failed is visible in the logs."""
        console.listen()
        run = minutes(10, ORCHESTRATOR_ENABLE_AUTO_RESTART="false")
        recorders(run, trade_execution={"healthy": False})
        run.to_the_end()
        said = console.lines()
        assert [line for line in said if "Service trade_execution is unhealthy: ill" in line]
        assert [line for line in said if "unhealthy: trade_execution" in line and "Status" in line]

    def test_event_history_is_bounded(self, minutes):
        """C15, A10: the newest events, as many as asked for."""
        run = minutes(EVENT_BUS_EVENT_HISTORY_LIMIT="7").to_the_end()
        history = run.metrics("event_bus", "event_history")
        assert len(history) == 7
        assert history[-1]["event"] == "CycleCompletedEvent"
        assert run.bus.history() == tuple(run.events[-7:])
        assert not minutes(EVENT_BUS_EVENT_HISTORY_LIMIT="0").to_the_end().bus.history()

    def test_log_all_events_writes_each(self, minutes, console):
        """C14, C16: off by default; on, a line for every event, at the default level."""
        console.listen()
        quiet = minutes(3, EVENT_BUS_MODE="synchronous").to_the_end()
        assert not [line for line in console.lines() if "CycleStartedEvent" in line]
        run = minutes(3, EVENT_BUS_LOG_ALL_EVENTS="true").to_the_end()
        said = [line for line in console.lines() if "[EventBus]" in line or "[event_bus]" in line]
        assert len(said) == len(run.events) == len(quiet.events)


class TestMetrics:
    def test_their_shape(self, minutes):
        """A1, A2, A3, A4, A5, A6, A7, A8, A10, P14: what users read stands where they read it."""
        run = minutes(12).to_the_end()
        metrics = run.orchestrator.get_all_metrics()
        assert metrics["orchestrator"]["uptime_seconds"] > 0
        assert metrics["orchestrator"]["services_healthy"] == 4
        assert metrics["services"]["data_fetching"]["data_fetches"] == 12
        assert metrics["services"]["indicator_calculation"]["indicators_calculated"] == 12
        assert metrics["services"]["strategy_evaluation"]["strategies_evaluated"] == 12
        assert metrics["services"]["trade_execution"]["orders_placed"] == 1
        assert metrics["event_bus"]["events_published"] == len(run.events)
        # What the run subscribed, besides: the base class of all.
        assert metrics["event_bus"]["event_types_subscribed"] == 9
        assert metrics["event_bus"]["event_types_published"] == len(set(map(type, run.events)))
        assert metrics["event_bus"]["event_history"][0]["event"] == "CycleStartedEvent"

    def test_calls_and_errors_of_each_handler(self, minutes):
        """P14: per handler and per event type."""
        bus = minutes(12).to_the_end().metrics("event_bus")
        fetching = next(one for one in bus["handlers"] if one["owner"] == "data_fetching")
        assert fetching == {
            "owner": "data_fetching",
            "event": "CycleStartedEvent",
            "calls": 12,
            "errors": 0,
        }
        assert bus["published_by_type"]["NewCandleEvent"] == 12

    def test_before_the_start_nothing_has_happened(self, minutes):
        """A1, A2: asking is allowed at any time."""
        metrics = minutes().orchestrator.get_all_metrics()
        assert metrics["orchestrator"]["uptime_seconds"] == 0
        assert metrics["services"] == {}

    def test_healthy_services_are_counted_when_the_stop_begins(self, minutes):
        """A3, X10: not afterwards, when all have let go."""
        run = minutes(5, ORCHESTRATOR_ENABLE_AUTO_RESTART="false")
        recorders(run, data_fetching={"healthy": False})
        run.orchestrator.start()
        run.orchestrator.stop()
        run.orchestrator.services["data_fetching"].healthy = True
        assert run.metrics("orchestrator", "services_healthy") == 3


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("RISK_MAX_POSITIONS", "1", BlockReason.MAX_POSITIONS),
        ("RISK_DAILY_LOSS_LIMIT", "1", BlockReason.LOSS_AT_RISK),
        ("RISK_MAX_POSITION_SIZE", "0.05", BlockReason.MAX_POSITION_SIZE),
    ],
)
def test_limits_come_from_the_settings(minutes, name, value, reason):
    """C27, C28, C29, V7: each refuses with a reason of its own what passes otherwise."""
    two = [ALWAYS.replace("always-long", one) for one in ("one", "two")]
    run = minutes(10, two, **{name: value}).to_the_end()
    assert reason in {event.reason for event in run.of(TradingBlockedEvent)}
    free = minutes(10, two).to_the_end()
    assert reason not in {event.reason for event in free.of(TradingBlockedEvent)}
    assert len(free.of(OrderPlacedEvent)) == 2


class TestLifeCycle:
    """Each step is taken once, in order."""

    def test_initialize_twice_creates_the_services_once(self, minutes):
        """L9, L18, X11: no candle is announced twice."""
        run = minutes(5)
        run.orchestrator.initialize()
        services = dict(run.orchestrator.services)
        run.orchestrator.initialize()
        assert run.orchestrator.services == services
        assert len(run.to_the_end().of(NewCandleEvent)) == len(
            minutes(5).to_the_end().of(NewCandleEvent)
        )

    def test_running_needs_a_start(self, minutes):
        with pytest.raises(RuntimeError, match="start"):
            minutes(5).orchestrator.run()

    def test_a_stopped_orchestrator_is_not_started_again(self, minutes):
        run = minutes(5).to_the_end()
        with pytest.raises(RuntimeError, match="new one"):
            run.orchestrator.start()

    def test_an_interval_of_nothing_is_an_interval(self, minutes, monkeypatch):
        run = minutes(5).started()
        waits = []
        monkeypatch.setattr(run.parts.clock, "wait", waits.append)
        run.orchestrator.run(interval_seconds=0)
        assert waits == [0]
