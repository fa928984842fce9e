"""Failing services: noticed, replaced without a trace in the trading, or given up."""

from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from app import assembly, main_orchestrated, settings, wiring
from app.adapters.decision_file import decision_file
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.domain.errors import GaveUpError, SourceError
from app.events import (
    CycleStartedEvent,
    DataFetchFailedEvent,
    IndicatorsCalculatedEvent,
    NewCandleEvent,
    OrderFilledEvent,
    OrderPlacedEvent,
    PositionClosedEvent,
    RestartBudgetSpentEvent,
    ServiceFailedEvent,
    ServiceRestartedEvent,
    StopMovedEvent,
    StrategiesEvaluatedEvent,
)
from app.indicators.engine import IndicatorEngine

PIPELINE = ["data_fetching", "indicator_calculation", "strategy_evaluation", "trade_execution"]
HALF_A_DAY = {
    "MARKET_DATA_UNTIL": "2025-01-06T20:00Z",
    "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "2000",
    "POSITION_SPLIT": "2",
}
TRADING = (OrderPlacedEvent, OrderFilledEvent, StopMovedEvent, PositionClosedEvent)


class FailingBroker(PaperBroker):
    """A paper broker that cannot take in candles for a while."""

    def __init__(self, failing):
        super().__init__(PaperTerms(), ("EURUSD",))
        self.failing = failing
        self.asked = 0

    def on_candle(self, candle):
        self.asked += 1
        if self.asked in self.failing:
            raise RuntimeError(f"no answer to question {self.asked}")
        return super().on_candle(candle)


class FailingSource:
    """A source that does not answer at certain market times."""

    name = "failing source"

    def __init__(self, source):
        self._source = source
        self.fails = lambda _now: False

    def open(self):
        self._source.open()

    def close(self):
        self._source.close()

    def expect(self, asks):
        pass

    def latest(self, symbol, timeframe, count, now):
        self._answer(now)
        return self._source.latest(symbol, timeframe, count, now)

    def after(self, symbol, timeframe, last, now):
        self._answer(now)
        return self._source.after(symbol, timeframe, last, now)

    def _answer(self, now):
        if self.fails(now):
            raise SourceError("the line is dead")


@pytest.fixture
def failing_market(connect):
    """Make a run of `minutes` whose source fails where `fails(minutes since the start)`."""

    def make(fails, minutes=60, **names):
        names = {"TRADING_TIMEFRAMES": "1", "MARKET_DATA_UNTIL": _until(minutes), **names}
        source = FailingSource(
            assembly.connect(settings.load(environ=names, dotenv=None).settings).source
        )
        run = connect(names, source=source)
        begin = run.parts.clock.now()
        source.fails = lambda now: fails((now - begin) / timedelta(minutes=1))
        return run

    return make


def _until(minutes):
    return f"2025-01-06T{8 + minutes // 60:02}:{minutes % 60:02}:00Z"


def _traded(run):
    """Return everything that was traded, without the ids of cycles, which differ."""
    events = [event for event in run.events if isinstance(event, TRADING)]
    return [msgspec.structs.replace(event, correlation_id="-") for event in events]


class TestRestartingLosesNothing:
    def _run(self, connect, folder, environ, restart=(), at=()):
        run = connect(environ).started()
        with decision_file(folder / "decisions.jsonl", run.bus):
            for cycles in at:
                run.orchestrator.run(max_cycles=cycles)
                for name in restart:
                    assert run.orchestrator.restart_service(name)
            run.orchestrator.run()
        run.orchestrator.stop()
        return run, (folder / "decisions.jsonl").read_bytes()

    @pytest.mark.parametrize(
        "restart", [*[[name] for name in PIPELINE], PIPELINE, PIPELINE[::-1]], ids="+".join
    )
    def test_in_the_middle_of_a_run_nothing_is_decided_otherwise(self, connect, folder, restart):
        """P13, P5, X11: same decisions, same trades, no candle twice and none lost."""
        plain, expected = self._run(connect, folder, HALF_A_DAY)
        run, decided = self._run(connect, folder, HALF_A_DAY, restart, at=(95, 1, 133, 140))
        assert len(plain.of(PositionClosedEvent)) > 3, "there is something to lose"
        assert decided == expected
        assert _traded(run) == _traded(plain)
        keys = [(e.symbol, e.timeframe, e.candle.time) for e in run.of(NewCandleEvent)]
        assert len(keys) == len(set(keys)) == len(plain.of(NewCandleEvent))
        assert run.parts.broker.account() == plain.parts.broker.account()
        assert run.metrics("orchestrator", "restarts") == dict.fromkeys(restart, 4)

    @pytest.mark.parametrize("name", PIPELINE[:3])
    def test_not_even_in_the_middle_of_a_cycle(self, connect, name):
        """P13: what was published before goes to the old one, what comes after to the new."""
        plain = connect(HALF_A_DAY).to_the_end()
        run = connect(HALF_A_DAY)

        def restart(event):
            if event.timeframe == "5" and event.candle.close_time.minute == 30:
                run.orchestrator.restart_service(name)

        run.bus.subscribe(NewCandleEvent, restart)
        run.to_the_end()
        assert run.metrics("orchestrator", "restarts")[name] == 12
        decided = [event.decisions for event in run.of(StrategiesEvaluatedEvent)]
        assert decided == [event.decisions for event in plain.of(StrategiesEvaluatedEvent)]
        assert _traded(run) == _traded(plain)

    def test_a_service_is_replaced_where_it_stood(self, connect):
        """P13: a new instance, its handlers in the order of the pipeline as before."""
        run = connect().started()
        owners = [one["owner"] for one in run.metrics("event_bus", "handlers")]
        old = run.service("indicator_calculation")
        assert run.orchestrator.restart_service("indicator_calculation")
        assert run.service("indicator_calculation") is not old
        assert [one["owner"] for one in run.metrics("event_bus", "handlers")] == owners
        (event,) = run.of(ServiceRestartedEvent)
        assert (event.service, event.restarts) == ("indicator_calculation", 1)
        run.orchestrator.run(max_cycles=3)
        assert old.metrics()["indicators_calculated"] == 0

    def test_that_nothing_is_opened_any_more_outlives_a_replacement(self, connect):
        """X9, I16: what was given up elsewhere stays so. Red without `Service.succeed`."""
        run = connect().started()
        run.bus.publish(RestartBudgetSpentEvent(service="strategy_evaluation", restarts=5))
        assert run.service("trade_execution").reduce_only
        assert run.orchestrator.restart_service("trade_execution")
        assert run.service("trade_execution").reduce_only

    def test_a_service_that_could_not_be_made_is_made_later(self, connect, monkeypatch):
        """P13: a restart that failed half way leaves nothing that stands in the next one's way."""
        run = connect().started()

        def broken(*_arguments, **_options):
            raise RuntimeError("no memory")

        with monkeypatch.context() as patched:
            patched.setattr(wiring, "IndicatorCalculationService", broken)
            assert not run.orchestrator.restart_service("indicator_calculation")
            assert not run.orchestrator.restart_service("indicator_calculation")
        assert run.orchestrator.restart_service("indicator_calculation")
        run.orchestrator.run(max_cycles=3)
        assert run.of(StrategiesEvaluatedEvent)

    def test_there_must_be_such_a_service(self, connect):
        """S1."""
        with pytest.raises(KeyError):
            connect().started().orchestrator.restart_service("data_fetcher")


class TestHealth:
    def test_a_handler_that_keeps_raising_gets_its_service_replaced(self, connect, console):
        """P5, P13, P22, C17: reported once with its reason, restarted, healthy again."""
        console.listen()
        broker = FailingBroker(failing=range(5, 8))
        run = connect({"MARKET_DATA_UNTIL": _until(30)}, broker=broker).started()
        first = run.service("trade_execution")
        run.orchestrator.run()
        (failed,) = run.of(ServiceFailedEvent)
        assert failed.service == "trade_execution"
        assert "3 failures in a row: RuntimeError: no answer to question 7" in failed.error
        assert len(run.of(ServiceRestartedEvent)) == 1
        assert run.service("trade_execution") is not first
        assert run.orchestrator.get_service_health() == dict.fromkeys(PIPELINE, True)
        assert len(run.of(StrategiesEvaluatedEvent)) >= 30, "the others went on"
        said = "\n".join(console.lines())
        assert "Service trade_execution is unhealthy: 3 failures in a row" in said
        assert "✓ trade_execution restarted (restart 1)" in said

    def test_failures_with_progress_between_them_are_no_illness(self, connect):
        """P5: health is progress."""
        broker = FailingBroker(failing=range(2, 60, 2))
        run = connect({"MARKET_DATA_UNTIL": _until(60)}, broker=broker).to_the_end()
        assert run.metrics("event_bus", "handler_errors") > 20
        assert not run.of(ServiceFailedEvent)

    def test_a_source_that_is_silent_for_long_gets_fetching_restarted(self, failing_market):
        """P5, P13, P27: each failure is an event; after enough of them comes the restart."""
        run = failing_market(lambda minute: 10 <= minute < 16)
        run.to_the_end()
        failed = [event for event in run.of(DataFetchFailedEvent) if event.timeframe == "1"]
        assert len(failed) == 6
        assert failed[0].error == "the line is dead"
        assert [event.service for event in run.of(ServiceRestartedEvent)] == ["data_fetching"]
        minutes = [event for event in run.of(NewCandleEvent) if event.timeframe == "1"]
        closed = [event.candle.close_time for event in minutes]
        steps = {after - before for before, after in pairwise(closed)}
        assert steps == {timedelta(minutes=1)}, "nothing is lost"
        assert sum(event.late for event in minutes) == 6

    def test_fewer_failed_cycles_are_waited_out(self, failing_market):
        """C3: the limit of failed cycles is a setting."""
        run = failing_market(lambda minute: 10 <= minute < 13).to_the_end()
        assert not run.of(ServiceRestartedEvent)
        strict = {"SERVICES_DATA_FETCHING_MAX_FAILURES": "2"}
        run = failing_market(lambda minute: 10 <= minute < 13, **strict).to_the_end()
        assert run.of(ServiceRestartedEvent)

    def test_without_auto_restart_it_stays_ill(self, failing_market):
        """C17, V8: it is said, once, and nothing is replaced."""
        off = {"ORCHESTRATOR_ENABLE_AUTO_RESTART": "false"}
        run = failing_market(lambda minute: minute >= 10, minutes=30, **off).started()
        service = run.service("data_fetching")
        run.orchestrator.run()
        assert run.service("data_fetching") is service
        assert not run.of(ServiceRestartedEvent)
        assert len(run.of(ServiceFailedEvent)) == 1
        assert run.orchestrator.get_service_health()["data_fetching"] is False
        run.orchestrator.stop()
        assert run.metrics("orchestrator", "services_healthy") == 3

    def test_a_restart_that_fails_is_tried_again(self, failing_market):
        """P13: the indicator service cannot warm up while the source is silent."""
        run = failing_market(lambda minute: 10 <= minute < 12, minutes=30).started()
        run.orchestrator.run(max_cycles=10)
        assert not run.orchestrator.restart_service("indicator_calculation")
        assert run.orchestrator.get_service_health()["indicator_calculation"] is False
        run.orchestrator.run()
        assert run.orchestrator.get_service_health() == dict.fromkeys(PIPELINE, True)
        restarted = [event.restarts for event in run.of(ServiceRestartedEvent)]
        assert len(restarted) == 1
        assert restarted[0] >= 2
        calculated = run.of(IndicatorsCalculatedEvent)
        assert calculated[-1].view["1"][-1].candle.close_time == run.of(CycleStartedEvent)[-1].time


class TestGivingUp:
    def test_when_the_budget_is_spent(self, connect):
        """P13: as many restarts as allowed, then the end, with nothing new opened."""
        budget = {"ORCHESTRATOR_RESTART_BUDGET": "2", "MARKET_DATA_UNTIL": "2025-01-06T10:00Z"}
        run = connect(budget, broker=FailingBroker(range(10_000))).started()
        with pytest.raises(GaveUpError, match="trade_execution still fails after 2 restarts"):
            run.orchestrator.run()
        assert len(run.of(ServiceRestartedEvent)) == 2
        (spent,) = run.of(RestartBudgetSpentEvent)
        assert (spent.service, spent.restarts) == ("trade_execution", 2)
        assert run.service("trade_execution").reduce_only

    def test_a_silent_source_is_waited_for(self, failing_market):
        """P27: its fault is not ours: restarts stay within the budget, and it is waited for."""
        run = failing_market(lambda minute: 10 <= minute < 100, minutes=120).started()
        run.orchestrator.run()
        assert not run.of(RestartBudgetSpentEvent)
        assert 1 <= len(run.of(ServiceRestartedEvent)) <= 15
        assert run.of(NewCandleEvent)[-1].candle.close_time == run.of(CycleStartedEvent)[-1].time
        assert all(run.orchestrator.get_service_health().values())

    def test_what_is_open_is_managed_until_it_is_closed(self, connect, monkeypatch):
        """P13: a pipeline that cannot decide any more opens nothing and ends when it is flat."""
        run = connect({"MARKET_DATA_UNTIL": "2025-01-08T00:00Z"}).started()
        update = IndicatorEngine.update
        fails_from = []

        def broken_while_something_is_open(engine, candle):
            if fails_from or run.parts.broker.positions():
                fails_from.append(candle.close_time)
                raise ArithmeticError("planted")
            return update(engine, candle)

        monkeypatch.setattr(IndicatorEngine, "update", broken_while_something_is_open)
        with pytest.raises(GaveUpError, match="indicator_calculation still fails after 5 restarts"):
            run.orchestrator.run()
        spent = run.events.index(run.of(RestartBudgetSpentEvent)[0])
        assert not [it for it in run.events[spent:] if isinstance(it, OrderFilledEvent)]
        assert [it for it in run.events[spent:] if isinstance(it, PositionClosedEvent)]
        assert not run.parts.broker.positions()

    def test_restarts_back_off(self, failing_market):
        """C18: each further restart waits longer, and old ones do not count for ever."""
        patient = {"ORCHESTRATOR_RESTART_BACKOFF": "240", "ORCHESTRATOR_RESTART_WINDOW": "86400"}
        run = failing_market(lambda minute: minute >= 10, minutes=50, **patient).started()
        run.orchestrator.run()
        minute, at = None, []
        for event in run.of(CycleStartedEvent, ServiceRestartedEvent):
            if isinstance(event, CycleStartedEvent):
                minute = event.cycle
            else:
                at.append(minute)
        waits = [after - before for before, after in pairwise(at)]
        assert len(waits) >= 2
        assert waits == sorted(waits)
        assert waits[0] >= 4
        assert waits[1] >= 8

    def test_ends_the_daemon_with_its_own_exit_code(self, folder, monkeypatch, capsys, own_process):
        """P13, P22: code 70, one line why, and the summary all the same."""
        monkeypatch.setenv("MARKET_DATA_SPEED", "0")
        monkeypatch.setenv("ORCHESTRATOR_RESTART_BUDGET", "1")
        connected = assembly.connect

        def connect(*arguments, **options):
            parts = connected(*arguments, **options)
            return assembly.Parts(
                **{
                    **{name: getattr(parts, name) for name in parts.__slots__},
                    "broker": FailingBroker(failing=range(3, 10_000)),
                }
            )

        monkeypatch.setattr(assembly, "connect", connect)
        assert main_orchestrated.main([]) == 70
        said = capsys.readouterr()
        (line,) = said.err.splitlines()
        assert line.startswith("error: trade_execution still fails after 1 restarts")
        assert "=== Final System Metrics ===" in said.out
        assert "Healthy Services: 3" in said.out


def test_by_default_a_service_that_never_recovers_is_given_up(connect):
    """P13: five replacements at the default interval of the checks fit into the default window."""
    run = connect({"MARKET_DATA_UNTIL": "2025-01-06T10:00Z"}, broker=FailingBroker(range(10_000)))
    run.orchestrator.start()
    with pytest.raises(GaveUpError, match="trade_execution still fails after 5 restarts"):
        run.orchestrator.run()
    assert len(run.of(RestartBudgetSpentEvent)) == 1


def test_counters_add_up_over_replacements(connect):
    """L43, A4: what a replaced instance counted is still counted; how things stand is not added."""
    until = {"MARKET_DATA_UNTIL": "2025-01-06T12:00Z"}
    undisturbed = connect(until).to_the_end()
    run = connect(until).started()
    run.orchestrator.run(max_cycles=120)
    for name in PIPELINE:
        assert run.orchestrator.restart_service(name)
    run.orchestrator.run()
    for counter in (
        ("data_fetching", "new_candles"),
        ("indicator_calculation", "indicators_calculated"),
        ("strategy_evaluation", "strategies_evaluated"),
        ("strategy_evaluation", "entry_signals"),
        ("trade_execution", "orders_filled"),
        ("trade_execution", "open_positions"),
    ):
        assert run.metrics("services", *counter) == undisturbed.metrics("services", *counter) > 0


class TestABrokenSeries:
    """One series that cannot be calculated is noticed, although the others go on."""

    def test_is_not_ready_until_the_service_is_replaced(self, connect, monkeypatch):
        """P5, P13: nobody decides on its old rows, and a replacement warms it up anew."""
        until = {"MARKET_DATA_UNTIL": "2025-01-06T12:00Z"}
        undisturbed = connect(until).to_the_end()
        run = connect({**until, "ORCHESTRATOR_HEALTH_CHECK_INTERVAL": "300"}).started()
        update = IndicatorEngine.update
        planted = []

        def once(engine, candle):
            if engine.timeframe == "15" and not planted and f"{candle.close_time:%H%M}" == "0915":
                planted.append(candle)
                raise ArithmeticError("planted")
            return update(engine, candle)

        monkeypatch.setattr(IndicatorEngine, "update", once)
        run.orchestrator.run()
        assert [it.service for it in run.of(ServiceRestartedEvent)] == ["indicator_calculation"]
        without = [
            it
            for it in run.of(IndicatorsCalculatedEvent)
            if not it.view.get("15") and it.timeframe == "1"
        ]
        assert 1 <= len(without) <= 6
        warmed, expected = (it.of(IndicatorsCalculatedEvent)[-1].view for it in (run, undisturbed))
        for timeframe, rows in expected.items():
            for one, other in zip(warmed[timeframe][-1].values, rows[-1].values, strict=True):
                assert one == (pytest.approx(other) if isinstance(other, float) else other)


def test_a_replacement_that_cannot_start_handles_nothing(connect, monkeypatch):
    """P13: half started, it would trade without knowing what is open."""
    run = connect({"MARKET_DATA_UNTIL": "2025-01-06T12:00Z"}).started()
    run.orchestrator.run(max_cycles=60)
    account = run.parts.broker.account
    monkeypatch.setattr(run.parts.broker, "account", lambda: 1 / 0)
    assert not run.orchestrator.restart_service("trade_execution")
    monkeypatch.setattr(run.parts.broker, "account", account)
    assert not run.orchestrator.get_service_health()["trade_execution"]
    owners = {handler["owner"] for handler in run.metrics("event_bus", "handlers")}
    assert "trade_execution" not in owners
    run.orchestrator.run(max_cycles=1)
    assert run.orchestrator.get_service_health()["trade_execution"], "the next check replaced it"


def test_a_slow_service_that_finishes_nothing_is_given_up_too(connect):
    """P13: however long its failures take, as many replacements as the budget are enough."""
    slow = {"ORCHESTRATOR_RESTART_WINDOW": "60", "MARKET_DATA_UNTIL": "2025-01-07T00:00Z"}
    run = connect(slow, broker=FailingBroker(range(10_000))).started()
    with pytest.raises(GaveUpError, match="after 5 restarts"):
        run.orchestrator.run()
