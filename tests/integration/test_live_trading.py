"""Trading through a bridge as its operator lives it: cut off, killed, started twice, not armed."""

import json
import re
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from app.adapters.switch_file import write_switch
from app.domain.errors import GaveUpError
from app.domain.orders import BlockReason, CloseReason
from app.events import (
    CycleCompletedEvent,
    DataFetchFailedEvent,
    EntrySignalEvent,
    NewCandleEvent,
    OrderPlacedEvent,
    PositionClosedEvent,
    ServiceFailedEvent,
    ServiceRestartedEvent,
    TradingBlockedEvent,
)
from app.ports import Switch
from app.services.base import Health
from app.services.strategy_evaluation import StrategyEvaluationService
from tests.live import ALWAYS_LONG, Live

MONDAY = datetime(2025, 1, 6, 8, tzinfo=UTC)
LIVE = {
    "TRADE_MODE": "live",
    "TRADING_TIMEFRAMES": "1",
    "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "0",
    "ORCHESTRATOR_STATUS_LOG_INTERVAL": "1",
}
SOON_ILL = {
    "SERVICES_DATA_FETCHING_RETRY_ATTEMPTS": "0",
    "SERVICES_DATA_FETCHING_MAX_FAILURES": "3",
    "SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION": "9",
    "ORCHESTRATOR_HEALTH_CHECK_INTERVAL": "60",
}
CANDLE = re.compile(r"EURUSD M1 2025-01-06 (\d\d):(\d\d): open ")


class TestABridgeThatIsAway:
    @pytest.fixture
    def cut_off(self, eurusd, live, caplog):
        """Run two minutes, five without the bridge, and two more."""
        broker = eurusd()
        daemon = live(broker, **SOON_ILL)
        daemon.after(60, 60)
        broker.faults({"what": "down"})
        daemon.after(*[60] * 5)
        broker.no_faults()
        return daemon.after(60, 60), broker, caplog.text

    def test_is_logged_fails_the_health_check_and_gets_services_replaced(self, cut_off):
        """P27, P22, P5: errors are said, and many in a row are an illness; it is over by itself.

        Fetching starts anew and goes on after the last candle. Execution is not replaced by what
        could not see the account: red when it takes over the last look and begins to count anew.
        """
        run, _, log = cut_off
        assert len(run.of(DataFetchFailedEvent)) == 5
        assert log.count("Fetching EURUSD 1 failed") == 5
        assert log.count("The account does not answer") == 5
        assert "The account answers again" in log
        failed = {event.service for event in run.of(ServiceFailedEvent)}
        assert failed == {"data_fetching", "trade_execution"}
        assert {event.service for event in run.of(ServiceRestartedEvent)} == {"data_fetching"}
        assert "trade_execution goes on until it is answered" in log
        assert "Traceback" not in log
        assert all(run.orchestrator.get_service_health().values())

    def test_costs_no_candle_and_shows_none_twice(self, cut_off):
        """P27, X11, I19: what closed meanwhile is fetched when it answers again, in order.

        Red when fetching, which was replaced meanwhile, does not ask the journal for the last one.
        """
        run, _, _ = cut_off
        opened = [event.candle.time for event in run.of(NewCandleEvent)]
        assert len(opened) == 9
        assert {(after - before).total_seconds() for before, after in pairwise(opened)} == {60}

    def test_opens_nothing_in_a_burst_afterwards(self, cut_off):
        """P27, I20: six signals come at once; the one of the newest candle is acted on.

        Red when late candles are not refused.
        """
        run, broker, _ = cut_off
        assert len(run.of(EntrySignalEvent)) == 9
        why = [event.reason for event in run.of(TradingBlockedEvent)]
        assert why == [BlockReason.LATE_CANDLE] * 5
        assert len(run.of(OrderPlacedEvent)) == broker.ledger()["counts"]["executed"] == 4


@pytest.mark.parametrize("mode", ["paper", "monitor"])
def test_without_live_mode_nothing_reaches_a_trading_call(eurusd, live, relay, mode):
    """P18, I18, X1: every byte that is sent is a question, and the dry run shows everything.

    Red in live mode.
    """
    broker = eurusd()
    before = relay(broker)
    asked = set()
    before.before = lambda method, path: asked.add((method, path.partition("?")[0]))
    run = live(broker, before.url, TRADE_MODE=mode).after(60, 60, 60)
    assert {path for method, path in asked if method != "GET"} == {"/mt5/symbols/select"}
    assert len(run.of(EntrySignalEvent)) == 3
    assert len(run.of(OrderPlacedEvent)) == (mode == "paper")


def without_stops(path, reply):
    """Take the stops out of a list of positions, as bridges do that do not tell them."""
    if path != "/mt5/positions":
        return reply
    told = json.loads(reply)
    for row in told["data"]:
        del row["sl"], row["tp"]
    return json.dumps(told).encode()


def test_a_position_in_a_symbol_that_is_traded_no_more_ends_when_it_is_due(bridge, live, caplog):
    """The daemon is started for another symbol. Red when it asks for the rules of this one."""
    broker = bridge("--symbols", "EURUSD,GBPUSD", "--start", "2025-01-06T08:00Z", "--faults")
    due = ALWAYS_LONG.replace("risk:", "exit: {long: {time_based: {max_duration: 5m}}}\nrisk:")
    first = live(broker, strategy=due)
    first.after(60)
    first.end()
    names = {"TRADING_SYMBOL": "GBPUSD", "RISK_MAX_POSITIONS": "1"}
    run = live(broker, strategy=due.replace("always-long", "cable"), **names).after(*[60] * 6)
    (closed,) = run.of(PositionClosedEvent)
    assert (closed.symbol, closed.reason) == ("EURUSD", CloseReason.MAX_DURATION)
    assert "Traceback" not in caplog.text


def test_a_strategy_leaves_alone_what_one_of_its_name_holds_in_another_symbol(bridge, live):
    """Whoever goes over to another symbol takes the files along, and with them their names.

    Red when a name is all that tells positions apart: the exit closes the one of before.
    """
    broker = bridge("--symbols", "EURUSD,GBPUSD", "--start", "2025-01-06T08:00Z", "--faults")
    first = live(broker)
    first.after(60)
    first.end()
    over = 'exit: {long: {conditions: [{signal: close, operator: ">", value: 0}]}}\nrisk:'
    names = {"TRADING_SYMBOL": "GBPUSD"}
    run = live(broker, strategy=ALWAYS_LONG.replace("risk:", over), **names).after(*[60] * 4)
    assert {event.symbol for event in run.of(PositionClosedEvent)} == {"GBPUSD"}
    assert broker.ledger()["positions"][0]["symbol"] == "EURUSD"


class TestABridgeThatListsNoStops:
    def test_keeps_its_positions(self, eurusd, live, relay):
        """The order carried them, so setting them changes nothing, which is no error.

        Red when it is one: the position is closed after three looks, and so is the next.
        """
        broker = eurusd()
        before = relay(broker)
        before.changed = without_stops
        run = live(broker, before.url).after(60, *[5] * 9)
        assert not run.of(PositionClosedEvent)
        assert broker.ledger()["counts"]["executed"] == broker.ledger()["counts"]["positions"] == 1

    @pytest.mark.parametrize("stop", ["sl: {type: fixed, value: 50}, ", ""])
    def test_keeps_their_targets_over_a_restart(self, eurusd, live, relay, stop):
        """What the list leaves out is as the plan has it, not absent.

        Red when it is taken for absent: setting the stop again takes the target away.
        """
        broker = eurusd()
        before = relay(broker)
        before.changed = without_stops
        old, target = "sl: {type: fixed, value: 50}", "tp: {type: fixed, value: 70}"
        strategy = ALWAYS_LONG.replace(old, stop + target)
        first = live(broker, before.url, strategy=strategy)
        first.after(60, 5, 5)
        first.end()
        (held,) = broker.ledger()["positions"]
        assert held["tp"] > 0
        again = live(broker, before.url, strategy=strategy)
        again.after(5, 5)
        (plan,) = again.run.parts.journal.plans()
        assert float(plan.take_profit) == held["tp"]
        assert broker.ledger()["positions"][0]["tp"] == held["tp"]

    def test_keeps_them_though_it_says_of_a_change_nothing_but_success(self, eurusd, live, relay):
        """Their orders carried the stops; what is not told is not missing.

        Red when what is not known to be protected is closed.
        """

        def terse(path, reply):
            return b'{"success": true, "data": {}}' if "/update/" in path else reply

        broker = eurusd()
        before = relay(broker)
        before.changed = lambda path, reply: terse(path, without_stops(path, reply))
        run = live(broker, before.url).after(60, *[5] * 9)
        assert not run.of(PositionClosedEvent)


class TestAPendingEntry:
    @pytest.fixture
    def waiting(self, bridge, configuration, connect):
        """Run until a limit order waits at the broker; it is filled some minutes later."""
        broker = bridge("--symbols", "EURUSD,GBPUSD", "--start", "2025-01-06T08:00Z", "--faults")
        strategy = ALWAYS_LONG.replace("sl:", "atr_distance: 0.1, sl:").replace('"1"', '"15"')
        configuration({"always_long": strategy}, indicators={"15": "atr: {window: 3}"})
        names = {**LIVE, "API_BASE_URL": broker.url, "TRADING_TIMEFRAMES": "15"}
        names |= {"ORCHESTRATOR_RESTART_BUDGET": "1", "ORCHESTRATOR_HEALTH_CHECK_INTERVAL": "60"}
        del names["SERVICES_INDICATOR_CALCULATION_HISTORY_BARS"]
        daemon = Live(connect(names), broker)
        daemon.run.started()
        while not broker.get("orders"):
            daemon.after(900)
        yield daemon
        daemon.end()

    def test_is_withdrawn_in_the_cycle_after_disable(self, waiting):
        """I10, I12: no position is opened after DISABLE, however far away the next candle is.

        Red when only candles withdraw it.
        """
        write_switch(Path("data/trading.switch"), Switch(False, MONDAY, "now"))
        waiting.after(5)
        assert not waiting.broker.get("orders")
        waiting.after(*[60] * 14)
        assert waiting.broker.ledger()["counts"]["positions"] == 0

    def test_is_withdrawn_when_nobody_trades_its_symbol_any_more(self, waiting, live):
        """Its own candles would withdraw it in the end, and do not come. Red when only they do."""
        waiting.end()
        live(waiting.broker, TRADING_SYMBOL="GBPUSD", TRADING_TIMEFRAMES="15").after(5)
        assert not waiting.broker.get("orders")

    def test_is_withdrawn_before_the_daemon_gives_up_and_ends(self, waiting, monkeypatch):
        """P13: flat is what can open nothing any more: nobody would manage what is filled later.

        Red when only positions count.
        """
        ill = Health(False, "planted")
        monkeypatch.setattr(StrategyEvaluationService, "health", lambda _: ill)
        clock, broker = waiting.run.parts.clock, waiting.broker

        def go_on(_):
            clock.told(datetime.fromisoformat(broker.step(30)), 0.0)

        waiting.run.bus.subscribe(CycleCompletedEvent, go_on)
        with pytest.raises(GaveUpError, match="strategy_evaluation still fails"):
            waiting.run.orchestrator.run(max_cycles=30)
        assert waiting.run.metrics("orchestrator", "cycles") < 30
        assert not broker.get("orders")
        assert broker.ledger()["counts"]["positions"] == 0

    def test_that_is_not_withdrawn_is_asked_for_again_less_and_less(self, waiting, caplog):
        """Red when each cycle asks: a market that is closed would hear of it all weekend."""
        refused = {"what": "status", "status": 400, "execute": False}
        waiting.broker.faults({"call": "orders/delete", "times": 3, **refused})
        write_switch(Path("data/trading.switch"), Switch(False, MONDAY, "now"))
        waiting.after(*[5] * 7)
        assert caplog.text.count("Order not withdrawn") == 3
        waiting.after(5)
        assert not waiting.broker.get("orders")


def test_no_request_leaves_while_the_terminal_is_logged_in_to_another_account(eurusd, live, relay):
    """I17: an exit that is due waits; its ticket may be another position's in that account.

    Red when only entries ask whose account it is.
    """
    broker = eurusd()
    before, sent = relay(broker), []
    before.before = lambda method, path: sent.append(path) if method != "GET" else None
    due = ALWAYS_LONG.replace("risk:", "exit: {long: {time_based: {max_duration: 3m}}}\nrisk:")
    one = live(broker, before.url, strategy=due)
    one.after(60)
    broker.control("account", login=999)
    sent.clear()
    one.after(*[60] * 5)
    assert sent == []
    broker.control("account", login=123456)
    one.after(5, 5)
    assert sent[0] == "/mt5/positions/EURUSD/close/50000001"
    (reason,) = [event.reason for event in one.run.of(PositionClosedEvent)]
    assert reason is CloseReason.MAX_DURATION


class TestTheProcess:
    @pytest.fixture
    def started(self, daemon, folder, configuration):
        """Start daemons by their command, at a bridge; none outlives the test."""
        configuration({"always_long": ALWAYS_LONG})
        made = []

        def start(broker, **names):
            made.append(daemon.started(folder, **{**LIVE, "API_BASE_URL": broker.url, **names}))
            return made[-1]

        yield start
        for process in made:
            with process:
                process.kill()

    def cycle(self, process, text):
        """Read up to the end of the cycle that says `text`."""
        said = []
        for line in process.stdout:
            said.append(line)
            if "Status at" in line and any(text in earlier for earlier in said):
                return "".join(said)
        raise AssertionError(f"it ended: {''.join(said)} {process.stderr.read()}")

    def test_killed_and_started_again_it_goes_on(self, eurusd, started, daemon):
        """X11, P27, I1, I3: no candle twice and none lost; its position is known, not doubled.

        Red when fetching does not ask the journal for the last candle.
        """
        broker = eurusd()
        first = started(broker)
        said = self.cycle(first, "Status at")
        for _ in range(4):
            broker.step(60)
            said += self.cycle(first, "EURUSD M1")
        first.kill()
        first.wait()
        broker.step(120)
        second = started(broker)
        again = self.cycle(second, "Status at")
        broker.step(60)
        again += self.cycle(second, "EURUSD M1")
        second.terminate()
        ended = daemon.ended(second)
        assert ended.err == ""
        if sys.platform != "win32":
            assert ended.code == 0
        minutes = [int(hour) * 60 + int(minute) for hour, minute in CANDLE.findall(said + again)]
        assert minutes == list(range(480, 487))
        assert "position_open" in again
        counts = broker.ledger()["counts"]
        assert (counts["executed"], counts["positions"]) == (1, 1)

    def test_it_says_whose_money_it_trades(self, eurusd, started):
        """X1, X2, V4: account, server, balance and currency, and how to pin them."""
        said = self.cycle(started(eurusd("--login", "77", "--balance", "2500")), "Status at")
        (banner,) = (line for line in said.splitlines() if "LIVE:" in line)
        assert "WARNING" in banner
        assert "account 77 on Bridge-Demo, balance 2,500.00 USD, hedging" in banner
        assert "Set LIVE_ACCOUNT=77" in said

    def test_a_second_one_on_the_same_account_does_not_start(self, eurusd, started, daemon):
        """I17: it names who has the account, and sends nothing. Red without the lock."""
        broker = eurusd()
        first = started(broker)
        self.cycle(first, "Status at")
        second = daemon.ended(started(broker))
        assert second.code == 75
        assert f"pid {first.pid}" in second.err
        assert second.err.count("\n") == 1
        assert first.poll() is None
