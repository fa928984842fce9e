"""Each fault of the order path, the market and the account, met by a daemon that trades.

The daemon is the real one, in this process; the bridge another process, plain as users' bridges
are, whose ledger is the referee.
"""

import shutil
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from app.domain.errors import ConfigurationError
from app.domain.orders import BlockReason, CloseReason, IntentState
from app.domain.signals import Direction, Signal
from app.events import (
    DataFetchFailedEvent,
    EntrySignalEvent,
    ExitSignalEvent,
    NewCandleEvent,
    OrderCancelledEvent,
    OrderInDoubtEvent,
    OrderPlacedEvent,
    OrderRejectedEvent,
    PositionAdoptedEvent,
    PositionClosedEvent,
)
from app.risk.ids import magic_of
from app.risk.pace import OrderPace
from tests.bridge import start_bridge
from tests.drill import BUY, DRILLED, LEAVE, NAMES, PIECE, Drill, Ground, closes
from tests.integration.conftest import MONDAY
from tests.live import Live

MIDNIGHT = MONDAY.replace(hour=0)
CREATE, CLOSE = "orders/create", "positions/*/close/*"
R = BlockReason


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Write four days of the market, with an hour or two before them."""
    lines = ["time,open,high,low,close,tick_volume,spread"]
    last = 1.1
    for minute, close in enumerate(closes(4 * timedelta(days=1) // PIECE), -120):
        at = (MIDNIGHT + timedelta(minutes=minute)).isoformat()
        lines.append(f"{at},{last},{max(last, close)},{min(last, close)},{close},9,2")
        last = close
    path = tmp_path_factory.mktemp("market") / "EURUSD_M1.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def ground_with(recorded):
    """Start bridges on that market, once for all tests that want the same options."""
    started = {}

    def ground(*options):
        if options not in started:
            market = ("--symbols", "EURUSD", "--file", recorded, "--start", MIDNIGHT.isoformat())
            started[options] = Ground(start_bridge(*market, "--faults", *options))
        return started[options]

    yield ground
    for one in started.values():
        assert one.broker.stop() == 0, one.broker.said


@pytest.fixture
def drill(ground_with, configuration, connect):
    """Start a daemon on a new account, at the beginning of a piece of the market."""
    made = []

    def start(strategies=None, *, options=("--plain",), spelt="", **names):
        ground = ground_with(*options)
        ground.login()
        symbol = spelt or ground.symbol
        configuration(strategies or {"drilled": DRILLED}, symbol)
        usual = {**NAMES, "API_BASE_URL": ground.broker.url, "TRADING_SYMBOL": symbol}
        made.append(Drill(connect, {**usual, **names}, ground.broker, ground.piece()))
        return made[-1]

    yield start
    for one in made:
        one.end()


def named(*names):
    """Return strategies of those names, all with the same signals."""
    return {name: DRILLED.replace("drilled", name) for name in names}


def signal(one, strategy="drilled"):
    """Return what a strategy would say of the candle that closed last."""
    candle = one.of(NewCandleEvent)[-1].candle
    return Signal(strategy, candle.symbol, candle.timeframe, Direction.LONG, candle, (), {})


EXECUTED = {
    "no reply": {"what": "lose_reply"},
    "reset": {"what": "reset_after"},
    "late": {"what": "late_reply", "seconds": 3},
    "headers drip": {"what": "drip", "part": "headers"},
    "body drips": {"what": "drip", "part": "body"},
    "cut": {"what": "truncate_body"},
    "over 1 MiB": {"what": "huge"},
    "500": {"what": "status", "status": 500},
    "502": {"what": "status", "status": 502},
    "504 and a page": {"what": "html", "status": 504},
    "null": {"what": "null"},
    "10012": {"what": "retcode", "retcode": 10012, "execute": True},
}
NOT_EXECUTED = {
    "no reply": {"what": "lose_reply", "execute": False},
    "reset": {"what": "reset"},
    "503": {"what": "status", "status": 503, "execute": False},
    "a page": {"what": "html", "status": 502, "execute": False},
    "null": {"what": "null", "execute": False},
    "redirect": {"what": "redirect"},
    "10011": {"what": "retcode", "retcode": 10011},
    "unknown code": {"what": "retcode", "retcode": 10999},
    "done without a ticket": {"what": "retcode", "retcode": 10009},
}


def waiting(fault):
    """Return a short patience for the faults that would cost all of it."""
    return {"API_TIMEOUT": "2"} if fault["what"] in {"lose_reply", "late_reply", "drip"} else {}


CODES = (10004, *range(10006, 10037), *range(10038, 10047), 10999)
MOVED = (10004, 10020, 10021)


class TestAReplyThatNeverCame:
    @pytest.mark.parametrize("fault", EXECUTED.values(), ids=EXECUTED.keys())
    def test_an_order_that_was_executed_is_found_within_two_looks(self, drill, fault):
        """I1, I3, I5, I6: UNKNOWN, then what it is; placed once, never sent again."""
        one = drill(**waiting(fault)).entered({"call": CREATE, **fault}).after(10)
        (intent,) = [event.intent for event in one.of(OrderInDoubtEvent)]
        assert [event.intent for event in one.of(OrderPlacedEvent)] == [intent]
        assert one.record().state is IntentState.FILLED
        assert one.executed() == {intent.client_id: 1}
        assert one.differences() == []

    @pytest.mark.parametrize("fault", NOT_EXECUTED.values(), ids=NOT_EXECUTED.keys())
    def test_an_order_that_never_arrived_is_lost_once_that_is_proven(self, drill, fault):
        """I5, I6: looks prove nothing before its horizon; then it is LOST, and not sent again.

        Red without the horizon in `Reconciliation._prove_lost`.
        """
        one = drill(**waiting(fault)).entered({"call": CREATE, **fault}).after(*[10] * 5)
        assert one.state() is IntentState.UNKNOWN
        one.after(10, 10)
        assert one.state() is IntentState.LOST
        one.until(LEAVE)
        assert (one.record().attempts, one.executed()) == (1, {})
        assert one.standing() == one.differences() == []

    def test_an_order_that_no_list_shows_for_minutes_stays_in_doubt_and_counts(self, drill):
        """I5, I15: it is found when it appears, and keeps its place until then."""
        one = drill(BROKER_LOST_AFTER="300").until(1)
        one.broker.control("treatment", hidden_for=180)
        one.entered({"what": "reset_after", "call": CREATE}).after(*[30] * 5)
        assert one.state() is IntentState.UNKNOWN
        one.run.bus.publish(EntrySignalEvent(signal=signal(one)))
        assert one.blocked() == [R.POSITION_OPEN]
        one.after(30, 30)
        assert one.state() is IntentState.FILLED
        assert one.counts()["received"] == 1
        assert one.differences() == []

    def test_an_order_that_appears_after_it_was_given_up_is_adopted_and_blocks(self, drill):
        """I5, I28: the horizon was too short for this broker, which the operator must know."""
        one = drill().until(1)
        one.broker.control("treatment", hidden_for=180)
        one.entered({"what": "reset_after", "call": CREATE}).after(*[30] * 3)
        assert one.state() is IntentState.LOST
        one.after(*[30] * 6)
        assert one.standing() == [R.UNKNOWN_ORDER]
        assert [plan.strategy for plan in one.journal.plans()] == ["drilled"]
        one.left().after(10)
        assert one.counts()["positions"] == 0

    def test_an_exit_that_was_executed_is_known_to_be_done(self, drill):
        """I9: the position is closed once."""
        one = drill().entered().left({"what": "reset_after", "call": CLOSE}).after(10)
        assert one.state() is IntentState.FILLED
        assert len(one.of(PositionClosedEvent)) == 1
        assert one.lots("OUT") == Decimal("0.1")
        assert one.differences() == []

    def test_an_exit_that_never_arrived_is_asked_for_again(self, drill):
        """I10: an exit is no entry: once it is proven lost, it is owed."""
        one = drill().entered().left({"what": "reset", "call": CLOSE})
        assert one.state() is IntentState.UNKNOWN
        one.after(10, 10, 10, 30, 60)
        assert one.counts()["positions"] == 0
        assert one.lots("OUT") == Decimal("0.1")
        assert one.differences() == []


class TestAReplyThatIsRefused:
    @pytest.mark.parametrize("pause", ["0", "-7", "soon"])
    def test_too_many_requests_cost_no_order_whatever_pause_is_asked_for(self, drill, pause):
        """A question that was throttled is asked again within the cycle."""
        storm = {"what": "status", "status": 429, "execute": False, "retry_after": pause}
        one = drill(SERVICES_DATA_FETCHING_RETRY_ATTEMPTS="1").until(1)
        one.entered({"call": "symbols/*/bars", **storm}, {"call": "positions", **storm})
        assert one.state() is IntentState.FILLED
        assert one.of(DataFetchFailedEvent) == []
        assert one.differences() == []

    def test_an_order_that_was_throttled_is_no_order(self, drill):
        """429 says that nothing was executed: rejected, and not sent again."""
        one = drill().entered({"what": "status", "status": 429, "execute": False, "call": CREATE})
        one.until(LEAVE)
        assert one.state() in {IntentState.REJECTED, IntentState.LOST}
        assert (one.record().attempts, one.executed()) == (1, {})
        assert one.differences() == []

    def test_a_proxy_of_the_environment_is_not_used(self, drill, monkeypatch):
        """I27: orders and credentials go to the bridge and nowhere else."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        one = drill().entered().after(10)
        assert one.state() is IntentState.FILLED

    def test_success_in_words_is_a_refusal_in_numbers(self, drill):
        """200 and "success" with 10015 and no ticket: rejected by the table."""
        fault = {"what": "success_text", "retcode": 10015, "ticket": 0, "execute": False}
        one = drill().entered({"call": CREATE, **fault}).after(10)
        assert one.state() is IntentState.REJECTED
        assert one.of(OrderPlacedEvent) == []
        assert one.executed() == {}

    @pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
    @pytest.mark.parametrize("with_ticket", [True, False], ids=["ticket", "no ticket"])
    def test_any_return_code_ends_in_the_truth(self, drill, with_ticket, executed):
        """I1, I3, I6: every code, with a ticket and without, whether it was executed or not.

        Nothing stays in doubt, nothing is sent again but what moved, and no order is made twice.
        """
        lies = MOVED if executed and not with_ticket else ()
        codes = {f"of-{code}": code for code in CODES if code not in lies}
        never = {name: text.replace("1.1005", "9") for name, text in named(*codes).items()}
        one = drill(never, RISK_MAX_POSITIONS="99", RISK_DAILY_LOSS_LIMIT="disabled").until(1)
        for ticket, (name, code) in enumerate(codes.items(), 70_000):
            fault = {"what": "retcode", "retcode": code, "ticket": ticket * with_ticket}
            one.broker.faults({"call": CREATE, "execute": executed, **fault})
            one.run.bus.publish(EntrySignalEvent(signal=signal(one, name)))
            one.journal.lift(one.run.parts.clock.now(), "the test")
            orders = one.run.orchestrator.services["trade_execution"].desks.orders
            orders.end_cycle()
            orders.pace = OrderPace(len(codes))
        one.settled(8).after(300, 10, 10, 10)
        records = [one.journal.record(intent.client_id) for intent in one.intents()]
        assert len(records) == len(codes)
        again = {it.intent.strategy for it in records if it.attempts > 1}
        assert {codes[name] for name in again} <= set(MOVED)
        assert [it for it in records if it.state.doubtful or it.attempts > 2] == []
        retried = 0 if with_ticket else len(MOVED)
        assert len(one.executed()) == (len(codes) if executed else retried)
        assert set(one.executed().values()) <= {1}

    def test_a_bridge_that_executes_what_it_calls_a_requote_is_found_out(self, drill):
        """I4, I28: no rule can tell that lie; the second execution blocks entries."""
        lie = {"what": "retcode", "retcode": 10004, "execute": True}
        one = drill().entered({"call": CREATE, **lie}).settled(4)
        assert list(one.executed().values()) == [2]
        assert R.DOUBLE_EXECUTION in one.standing()

    def test_a_storm_of_requotes_gets_two_attempts(self, drill):
        """I6: a second attempt at the new price, then the signal has expired."""
        one = drill().entered({"what": "requote", "call": CREATE, "times": 9}).until(5)
        assert one.counts()["received"] == 2
        assert one.record().attempts == 2
        assert one.state() is IntentState.REJECTED
        assert one.executed() == {}

    def test_one_requote_is_followed_by_the_order(self, drill):
        """I1: with nothing executed, and a fresh price, it is sent again."""
        one = drill().entered({"what": "requote", "call": CREATE}).after(10)
        assert (one.record().attempts, one.state()) == (2, IntentState.FILLED)
        assert list(one.executed().values()) == [1]
        assert one.differences() == []

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (10019, R.NO_MONEY),
            (10017, R.TRADING_OFF),
            (10026, R.TRADING_OFF),
            (10027, R.TRADING_OFF),
        ],
    )
    def test_what_every_entry_would_meet_blocks_entries_with_its_reason(self, drill, code, reason):
        """I10, I28: and the exit of what is open goes out all the same."""
        one = drill(named("first", "second")).entered(
            {"what": "retcode", "retcode": code, "call": CREATE, "skip": 1}
        )
        assert one.standing() == [reason]
        one.left().after(10)
        assert one.counts()["positions"] == 0

    def test_autotrading_that_is_off_is_seen_before_anything_is_sent(self, drill):
        one = drill().until(1)
        one.broker.control("terminal", autotrading=False)
        one.entered()
        assert one.blocked() == [R.TRADING_OFF]
        assert one.counts()["received"] == 0

    def test_an_exit_waits_for_the_market_to_open(self, drill):
        """I10: refused three times because the market is closed, it is done the fourth time."""
        closed = {"what": "retcode", "retcode": 10018, "call": CLOSE, "times": 3}
        one = drill().entered().left(closed).after(10)
        assert {event.reason for event in one.of(OrderRejectedEvent)} == {"market closed (10018)"}
        assert one.counts()["positions"] == 1
        one.after(50, 60, 60, 60)
        assert one.counts()["positions"] == 0
        assert one.lots("OUT") == Decimal("0.1")


COMMENTS = [{"comment_length": 10}, {"comment_length": 0}, {"comment_text": "by the broker"}]


class TestWhatBrokersDoToOrders:
    def test_an_order_that_is_never_filled_is_withdrawn(self, drill):
        """It is cancelled when its time to live is over, and that is said."""
        one = drill().entered({"what": "placed", "call": CREATE}).after(30)
        assert one.state() is IntentState.PLACED
        assert one.counts()["waiting"] == 1
        one.after(40, 10, 10, 10, 10)
        assert one.state() is IntentState.CANCELLED
        assert len(one.of(OrderCancelledEvent)) == 1
        assert one.counts()["waiting"] == 0
        assert one.differences() == []

    def test_of_a_partial_fill_the_deal_counts(self, drill):
        """I9: what is managed and closed is what was filled."""
        one = drill().entered({"what": "partial", "fraction": 0.5, "call": CREATE}).after(10)
        assert [plan.volume for plan in one.journal.plans()] == [Decimal("0.05")]
        one.left().after(10)
        assert one.lots("IN") == one.lots("OUT") == Decimal("0.05")
        assert one.settled().differences() == []

    def test_a_stop_that_is_too_close_is_not_even_sent(self, drill):
        """The broker's stops level is known beforehand."""
        one = drill(options=("--plain", "--stops-level", "600")).entered()
        assert one.blocked() == [R.STOP_TOO_CLOSE]
        assert one.counts()["received"] == 0

    def test_a_position_without_its_stop_is_given_one_at_once(self, drill):
        """A stop the broker dropped is set within two looks. Red without `_protect`."""
        one = drill().entered({"what": "no_stops", "call": CREATE}).after(10)
        (held,) = one.broker.ledger()["positions"]
        assert held["sl"] == pytest.approx(1.0960, abs=0.0001)
        assert one.differences() == []

    def test_a_position_that_cannot_be_given_its_stop_is_closed(self, drill):
        """Nothing stands without its stop for longer than a few looks."""
        refused = {"what": "status", "status": 400, "execute": False, "times": 9}
        one = drill().entered(
            {"what": "no_stops", "call": CREATE}, {"call": "positions/*/update/*", **refused}
        )
        one.after(*[5] * 6)
        assert one.counts()["positions"] == 0
        assert [event.reason for event in one.of(PositionClosedEvent)] == [CloseReason.STOP_MISSING]
        assert one.differences() == []

    @pytest.mark.parametrize("treated", COMMENTS, ids=["cut", "stripped", "changed"])
    def test_without_its_comment_an_order_is_known_by_its_ticket(self, drill, treated):
        one = drill().until(1)
        one.broker.control("treatment", **treated)
        one.entered().after(10)
        assert one.state() is IntentState.FILLED
        assert one.left().settled(2).differences() == []

    @pytest.mark.parametrize("treated", COMMENTS, ids=["cut", "stripped", "changed"])
    def test_without_comment_and_ticket_it_is_known_as_the_only_one_it_can_be(self, drill, treated):
        """I5: magic, symbol, side, lots, stops and time make a fingerprint.

        Red when `Evidence._only_one_it_can_be` finds nothing.
        """
        one = drill().until(1)
        one.broker.control("treatment", **treated)
        one.entered({"what": "reset_after", "call": CREATE}).after(10)
        assert one.state() is IntentState.FILLED
        assert one.standing() == one.differences() == []

    def test_when_it_can_be_two_orders_it_stays_in_doubt_and_blocks(self, drill):
        """I5, I28: a guess is no evidence, and what may be there is no proof of a loss.

        Red when `Evidence._only_one_it_can_be` takes one of several.
        """
        one = drill().until(1)
        one.broker.control("treatment", comment_length=0)
        unseen = {"what": "status", "status": 503, "call": "positions", "skip": 1}
        one.entered({"what": "reset_after", "call": CREATE}, unseen)
        (held,) = one.broker.ledger()["positions"]
        twin = {"symbol": "EURUSD", "volume": 0.1, "order_type": "BUY", "sl": held["sl"]}
        one.broker.control("manual/open", **twin, magic=held["magic"], comment="")
        one.settled()
        assert one.state() is IntentState.UNKNOWN
        assert one.standing() == [R.UNKNOWN_ORDER]

    def test_a_reply_to_another_order_makes_both_doubtful_until_they_are_found(self, drill):
        """I5, I28: neither is taken for the other; entries wait for the operator.

        Red without `OrderDesk._swapped`.
        """
        one = drill(named("first", "second")).entered(
            {"what": "swap_reply", "call": CREATE, "skip": 1}
        )
        assert one.standing() == [R.UNKNOWN_ORDER]
        one.after(10, 10)
        records = [one.record(0), one.record(1)]
        assert {record.state for record in records} == {IntentState.FILLED}
        assert len({record.ticket for record in records}) == 2
        assert one.differences() == []

    def test_an_order_that_is_executed_twice_blocks_entries(self, drill):
        """I1, I4, I28: it was sent once; both positions are managed, and closed by the exit.

        Red when `BrokerReports` does not compare the order of a deal with the one that is known.
        """
        one = drill().entered({"what": "double", "call": CREATE}).after(10, 10, 10, 10)
        assert one.counts()["positions"] == 2
        assert R.DOUBLE_EXECUTION in one.standing()
        assert one.record().attempts == 1
        one.left().settled()
        assert one.counts()["positions"] == 0


class TestWhoseOrdersTheseAre:
    def test_the_same_signal_twice_is_one_order(self, drill):
        """I7, I8: the id of an intent is a function of the decision."""
        one = drill(SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION="9").entered()
        (event,) = one.of(EntrySignalEvent)
        one.run.bus.publish(event)
        one.run.bus.publish(event)
        assert one.blocked()[:1] == [R.ALREADY_DONE]
        assert one.counts()["received"] == 1

    def test_the_same_signal_after_a_restart_is_no_order_either(self, drill, connect):
        """I8: the journal knows."""
        one = drill(SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION="9").entered()
        (event,) = one.of(EntrySignalEvent)
        one.again(connect).after(10)
        one.run.bus.publish(event)
        assert one.blocked() == [R.ALREADY_DONE]
        assert one.counts()["received"] == 1

    def test_an_order_with_our_magic_that_the_journal_does_not_know_blocks_entries(self, drill):
        """I4, I28: within one look, durably.

        Red when neither `Adoption` nor `BrokerReports` asks the journal.
        """
        one = drill().until(1)
        one.broker.control(
            "manual/open", symbol="EURUSD", volume=0.1, order_type="BUY",
            magic=magic_of("drilled"), comment="",
        )  # fmt: skip
        one.entered()
        assert one.standing() == [R.UNKNOWN_ORDER]
        assert one.counts()["received"] == 0

    def test_a_stranger_is_reported_and_left_alone(self, drill):
        """I4: what does not carry our magic is nothing of ours, and never closed by us."""
        one = drill().until(1)
        one.broker.control(
            "manual/open", symbol="EURUSD", volume=0.3, order_type="SELL", magic=5, comment="me"
        )
        one.entered().left().after(10, 10, 10)
        assert [event.strategy for event in one.of(PositionAdoptedEvent)] == [""]
        assert [held["magic"] for held in one.broker.ledger()["positions"]] == [5]
        assert one.standing() == []

    def test_a_position_closed_by_hand_is_noticed(self, drill):
        one = drill().entered().after(10)
        (held,) = one.broker.ledger()["positions"]
        one.broker.control("manual/close", ticket=held["ticket"])
        one.after(10)
        assert [event.reason for event in one.of(PositionClosedEvent)] == [CloseReason.MANUAL]
        assert one.differences() == []

    def test_a_stop_that_is_hit_while_our_close_is_in_flight_ends_both(self, drill):
        """I9: done, its profit that of the deals; nothing is closed twice."""
        one = drill().entered().until(LEAVE - 1)
        (held,) = one.broker.ledger()["positions"]
        one.broker.control("manual/stops", ticket=held["ticket"], stop_loss=1.0997)
        one.broker.control("treatment", fill_after=1e9)
        one.run.bus.publish(ExitSignalEvent(signal=signal(one)))
        one.after(0)
        assert one.counts()["waiting"] == 1
        one.until(LEAVE + 3)
        (closed,) = one.of(PositionClosedEvent)
        assert closed.profit == pytest.approx(Decimal("-13.2"), abs=Decimal("0.5"))
        assert one.counts()["positions"] == 0
        assert one.lots("OUT") == Decimal("0.1")
        assert one.settled().differences() == []

    def test_on_a_netting_account_a_close_never_turns_a_position_round(self, drill):
        """I9: half of it was closed by hand just before; what is closed is what is there."""
        one = drill(options=("--plain", "--account", "netting")).entered().until(LEAVE - 1)
        (held,) = one.broker.ledger()["positions"]
        one.broker.step(59)
        one.broker.control("manual/close", ticket=held["ticket"], volume=0.05)
        one.until(LEAVE).settled()
        assert one.counts()["positions"] == 0
        assert one.lots("OUT") == one.lots("IN") == Decimal("0.1")
        assert one.differences() == []


class TestTheJournal:
    @pytest.mark.parametrize("lost", ["restored", "deleted"])
    def test_one_that_forgot_an_order_blocks_entries(self, drill, connect, folder, lost):
        """I4, I12: the position is adopted and closed by its strategy; nothing is opened.

        Red when neither `Adoption` nor `BrokerReports` asks the journal.
        """
        one = drill().until(1)
        one.run.parts.close()
        shutil.copytree(folder / "data", folder / "backup")
        one.again(connect).entered().after(10)
        one.run.parts.close()
        shutil.rmtree(folder / "data")
        if lost == "restored":
            shutil.move(folder / "backup", folder / "data")
        one.again(connect).after(10)
        assert one.standing() == [R.UNKNOWN_ORDER]
        one.left().after(10)
        assert one.counts()["positions"] == 0
        assert one.counts()["received"] == 1

    def test_an_order_in_doubt_outlives_five_starts(self, drill, connect):
        """I3, I8: whoever comes next goes on with what it finds."""
        one = drill().entered({"what": "reset", "call": CREATE})
        (intent,) = one.intents()
        for _ in range(5):
            one.again(connect)
            assert one.journal.record(intent.client_id).state is IntentState.UNKNOWN
        one.after(*[10] * 7)
        assert one.journal.record(intent.client_id).state is IntentState.LOST
        assert one.counts()["executed"] == 0
        assert one.differences() == []


BARS = {
    "forming alone": {"what": "forming_only"},
    "twice": {"what": "duplicate_bars"},
    "in any order": {"what": "shuffled_bars"},
    "of tomorrow": {"what": "future_bars"},
    "revised": {"what": "revised_bar"},
    "a spike": {"what": "spike"},
    "NaN": {"what": "nan"},
    "infinity": {"what": "nan", "text": "inf"},
    "minus infinity": {"what": "nan", "text": "-inf"},
    "milliseconds": {"what": "ms_times"},
}


class TestMarketData:
    @pytest.mark.parametrize("fault", BARS.values(), ids=BARS.keys())
    def test_each_candle_comes_once_in_order_whatever_is_answered(self, drill, fault):
        """I19, I21: nothing is lost that is given later, nothing comes early or twice."""
        one = drill()
        one.broker.faults({"times": None, **fault})
        one.until(5)
        one.broker.no_faults()
        one.until(8)
        opened = [event.candle.time for event in one.of(NewCandleEvent)]
        assert opened == [one.began + timedelta(minutes=minute) for minute in range(8)]
        assert all(one.run.orchestrator.get_service_health().values())

    def test_bars_that_are_missing_are_minutes_without_a_price(self, drill):
        """I19: the newest come once, forward; what is told later lies behind, and stays there."""
        one = drill()
        one.broker.faults({"what": "missing_bars", "count": 3, "times": None})
        one.until(5)
        one.broker.no_faults()
        one.until(8)
        opened = [event.candle.time for event in one.of(NewCandleEvent)]
        assert all(after > before for before, after in pairwise(opened))
        assert opened[-3:] == [one.began + timedelta(minutes=minute) for minute in (5, 6, 7)]

    def test_a_terminal_without_its_broker_opens_nothing(self, drill):
        """I20: the bridge answers, what is behind it does not."""
        one = drill().until(1)
        one.broker.control("terminal", connected=False)
        one.until(BUY)
        one.run.bus.publish(EntrySignalEvent(signal=signal(one)))
        assert one.blocked() == [R.NO_ANSWER]
        assert one.counts()["received"] == 0

    def test_a_terminal_that_hangs_opens_nothing(self, drill):
        """I20: all is well, it says, and no price moves. Red without `Mt5Broker._bad_quote`."""
        one = drill().until(1)
        one.broker.control("terminal", frozen=True)
        one.after(50, 30)
        one.run.bus.publish(EntrySignalEvent(signal=signal(one)))
        assert one.blocked() == [R.STALE_QUOTE]
        assert one.counts()["received"] == 0

    def test_a_price_of_the_future_opens_nothing(self, drill):
        """I20: one of the clocks is wrong. Red without `Mt5Broker._bad_quote`."""
        one = drill().until(1)
        one.broker.control("terminal", server_clock_offset=30)
        one.after(10)
        one.run.bus.publish(EntrySignalEvent(signal=signal(one)))
        assert one.blocked() == [R.CLOCK_SKEW]
        assert one.counts()["received"] == 0

    def test_a_bridge_that_is_away_for_a_quarter_of_an_hour_recovers_once(self, drill):
        """I19, I20: one order at most, of the newest candle; every candle comes, in order."""
        one = drill().until(1)
        one.broker.faults({"what": "down"})
        one.until(16)
        assert one.standing() == []
        one.broker.no_faults()
        one.until(19)
        assert one.blocked() == [R.LATE_CANDLE]
        assert one.counts()["received"] == 0
        assert len(one.of(NewCandleEvent)) == 19

    def test_a_bridge_that_comes_and_goes_makes_no_burst(self, drill):
        """I1, I19: away every other minute, it costs no candle and doubles no order."""
        one = drill()
        for minute in range(1, LEAVE + 4):
            one.broker.no_faults()
            if minute % 2 and minute > 1:
                one.broker.faults({"what": "down"})
            one.until(minute)
        one.settled()
        opened = [event.candle.time for event in one.of(NewCandleEvent)]
        assert opened == sorted(set(opened))
        assert len(opened) >= LEAVE + 3
        assert max(one.executed().values()) == 1
        assert one.counts()["positions"] == 0
        assert one.differences() == []

    def test_a_server_that_changes_its_clock_on_another_day_is_said(
        self, bridge, configuration, connect, caplog
    ):
        """Athens changes three weeks after New York. Red without a look at new prices."""
        friday = "2025-03-07T20:00Z"
        broker = bridge(
            "--symbols", "EURUSD", "--start", friday, "--server-timezone", "Europe/Athens",
            "--faults",
        )  # fmt: skip
        configuration({"drilled": DRILLED})
        one = Live(connect({**NAMES, "API_BASE_URL": broker.url}).started(), broker)
        one.after(60, 60, 50 * 3600, *[60] * 8)
        assert "the server's clock has changed" not in caplog.text
        one.after(*[60] * 3).orchestrator.stop()
        assert caplog.text.count("new prices come 60 minutes old") == 1

    def test_another_account_under_us_gets_no_order(self, drill, ground_with):
        """I17, I20: neither entry nor exit; when ours is back all goes on."""
        one = drill().entered().after(10)
        ours = one.broker.ledger()["login"]
        one.broker.control("account", login=999, balance=500)
        one.run.bus.publish(ExitSignalEvent(signal=signal(one)))
        one.until(LEAVE - 1)
        assert one.counts()["received"] == one.counts()["deals"] == 0
        one.broker.control("account", login=ours)
        one.until(LEAVE + 2).settled(3)
        assert one.counts()["positions"] == 0
        assert one.differences() == []

    def test_a_symbol_with_a_suffix_is_traded_by_its_full_name(self, drill):
        one = drill(options=("--plain", "--suffix", ".r")).entered().left().after(10)
        assert {deal["symbol"] for deal in one.broker.ledger()["deals"]} >= {"EURUSD.r"}
        assert one.differences() == []

    def test_a_symbol_of_another_spelling_is_no_symbol(self, drill):
        """Case matters, and what it may be is named."""
        with pytest.raises(ConfigurationError, match=r"EURUSD.*EURUSD\.r"):
            drill(options=("--plain", "--suffix", ".r"), spelt="EURUSD")

    @pytest.mark.parametrize("what", ["empty_list", "truncate_list"])
    def test_a_list_that_is_empty_or_cut_is_not_flat(self, drill, what):
        """I4, I10: unknown, not closed: nothing is opened in its place, and the exit works.

        Red without `Reconciliation._miss`.
        """
        one = drill().entered().after(10)
        one.broker.faults({"what": what, "call": "positions", "count": 1, "times": None})
        one.after(*[10] * 5)
        assert one.standing() == []
        one.after(*[10] * 4)
        assert one.of(PositionClosedEvent) == []
        assert one.standing() == [R.POSITION_MISSING]
        assert len(one.journal.plans()) == 1
        one.broker.no_faults()
        one.left().after(10)
        assert one.counts()["positions"] == 0
        assert one.lots("OUT") == Decimal("0.1")
        assert one.differences() == []

    def test_a_terminal_that_lists_nothing_for_one_look_changes_nothing(self, drill):
        one = drill().entered().after(10)
        one.broker.faults({"what": "empty_list", "call": "positions"})
        one.after(10, 10, 10)
        assert one.standing() == []
        assert len(one.journal.plans()) == 1

    def test_an_account_that_is_no_number_is_no_account(self, drill):
        """I21: fail closed: the entry is refused while the equity is NaN."""
        one = drill()
        one.broker.faults({"what": "nan", "call": "account", "times": None})
        one.entered()
        assert one.blocked() == [R.NO_ANSWER]
        assert one.counts()["received"] == 0


NARROW = DRILLED.replace("value: 50", "value: 19")


class TestRisk:
    def test_a_loss_of_the_day_still_blocks_after_a_restart(self, drill, connect):
        """I12, I13: the block is durable. Red when `Brakes.breached` sets none."""
        one = drill({"drilled": NARROW}, RISK_DAILY_LOSS_LIMIT="20")
        one.entered({"what": "slippage", "points": 40, "call": CREATE}).until(LEAVE + 1)
        assert len(one.of(PositionClosedEvent)) == 1
        one.run.bus.publish(EntrySignalEvent(signal=signal(one)))
        assert one.standing() == [R.DAILY_LOSS_LIMIT]
        one.again(connect).after(10)
        assert one.standing() == [R.DAILY_LOSS_LIMIT]
        one.until(22)
        assert one.blocked() == [R.DAILY_LOSS_LIMIT]
        assert one.counts()["received"] == 1

    def test_a_loss_of_the_day_is_known_to_a_journal_that_forgot_it(self, drill, connect):
        """I13: the broker's ledger tells, even to another folder."""
        one = drill({"drilled": NARROW}, RISK_DAILY_LOSS_LIMIT="20")
        one.entered({"what": "slippage", "points": 40, "call": CREATE}).until(LEAVE + 1)
        one.again(connect, JOURNAL_FOLDER="another").until(22)
        assert one.blocked()[-1] is R.DAILY_LOSS_LIMIT
        assert one.counts()["received"] == 1

    def test_a_breach_flattens_everything_until_it_is_flat(self, drill):
        """I10: two of five refuse to close; the rest is closed, and those two in the end."""
        one = drill(
            named(*"abcde"),
            RISK_DAILY_LOSS_LIMIT="280",
            RISK_MAX_POSITIONS="9",
            RISK_FLATTEN_ON_BREACH="true",
        ).until(1)
        one.broker.control("treatment", slippage=500)
        one.entered({"what": "retcode", "retcode": 10018, "call": CLOSE, "times": 2})
        one.until(BUY + 1, 10)
        assert one.standing() == [R.DAILY_LOSS_LIMIT]
        assert one.counts()["positions"] in {0, 2}
        one.broker.control("treatment")
        one.until(BUY + 4)
        assert one.counts()["positions"] == 0
        closed = [event.reason for event in one.of(PositionClosedEvent)]
        assert closed == [CloseReason.LOSS_LIMIT] * 5
        assert one.lots("OUT") == one.lots("IN") == Decimal("0.5")
        assert one.differences() == []

    @pytest.mark.parametrize("amount", [-5000, 5000])
    def test_a_payment_is_no_result_of_the_day(self, drill, amount):
        """I13: neither a loss that blocks nor a gain that hides one."""
        one = drill(RISK_DAILY_LOSS_LIMIT="60").until(1)
        one.broker.control("deposit", amount=amount)
        one.entered().after(10)
        assert one.state() is IntentState.FILLED
        assert one.standing() == one.differences() == []

    def test_exits_go_out_while_entries_are_blocked(self, drill, folder):
        """I10, I11: the kill switch stops entries alone."""
        one = drill().entered()
        (folder / "data" / "trading.switch").write_text("DISABLE")
        one.after(10)
        assert one.standing() == [R.KILL_SWITCH]
        one.left().after(10)
        assert one.counts()["positions"] == 0
        one.until(22)
        assert R.KILL_SWITCH in one.blocked()
        assert one.counts()["received"] == 1

    def test_twenty_signals_and_one_slot_are_one_order(self, drill):
        """I15: counted before any of them is answered."""
        twenty = named(*(f"s{number}" for number in range(20)))
        one = drill(twenty, RISK_MAX_POSITIONS="1").entered().after(10)
        assert one.counts()["received"] == one.counts()["positions"] == 1
        assert one.blocked() == [R.MAX_POSITIONS] * 19

    def test_an_order_in_doubt_holds_the_slot(self, drill):
        """I15: what may have been executed counts as executed."""
        one = drill(named("first", "second"), RISK_MAX_POSITIONS="1").entered(
            {"what": "reset", "call": CREATE}
        )
        assert one.blocked() == [R.MAX_POSITIONS]
        assert one.counts()["received"] == 0
