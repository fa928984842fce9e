"""What is recorded of the ports, and that answers and failures come back as they were."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app import ports
from app.adapters.mt5.transport import MaybeSentError
from app.domain.errors import AccountHeldError, JournalError, SourceError
from app.domain.market import Candle, Quote, Timeframe
from app.domain.orders import (
    Action,
    Block,
    BlockReason,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    IntentRecord,
    IntentState,
    OrderGone,
    OrderKind,
    OrderResult,
    OrderState,
    Refusal,
)
from app.domain.signals import Direction
from app.recording.calls import CALLS, plain
from app.recording.failures import RecordedError, failure_from, failure_of
from app.risk.plans import PositionPlan

NOON = datetime(2025, 1, 6, 12, 0, 0, 123456, tzinfo=UTC)
M5 = Timeframe(5)
INTENT = Intent(
    "id", "s", 7, "EURUSD", M5, NOON, Action.EXIT, 0, Direction.LONG, OrderKind.MARKET,
    Decimal("0.10"), stop_loss=Decimal("1.10"), ticket=3, close_reason=CloseReason.TARGET,
    targets=(Decimal("1.2"), Decimal("1.30")),
)  # fmt: skip
RECORD = IntentRecord(INTENT, IntentState.UNKNOWN, NOON, 3, 2, Decimal("0.05"), "why")
DEAL = Deal(
    1, 2, 3, "EURUSD", Direction.SHORT, DealEntry.OUT, Decimal("0.1"), Decimal("1.10000"),
    Decimal("-1.20"), Decimal(0), Decimal("0.5"), NOON, 7, "c", CloseReason.STOP_LOSS,
)  # fmt: skip
PLAN = PositionPlan(
    ticket=3, client_id="id", strategy="s", magic=7, symbol="EURUSD", timeframe=M5,
    direction=Direction.LONG, opened_at=NOON, entry=Decimal("1.1"), opened=Decimal("0.1"),
    volume=Decimal("0.1"), best=1.1,
)  # fmt: skip
CANDLE = Candle("EURUSD", M5, NOON, NOON + timedelta(minutes=5), 1.1, 1.2, 1.0, 0.1 + 0.2, 5.0, 1.0)

ANSWERS = {
    "source.latest": [CANDLE, CANDLE],
    "source.after": [],
    "broker.poll": (DEAL, OrderGone(1, "id", "EURUSD", "expired")),
    "broker.on_candle": (),
    "broker.doubt": Refusal(BlockReason.STALE_QUOTE, "old"),
    "broker.quote": Quote("EURUSD", 1.1, 1.2, NOON),
    "broker.money_per_lot": Decimal("100000.00"),
    "broker.find": None,
    "broker.submit": OrderResult(
        OrderState.REJECTED, price=Decimal("1.10"), moved=True, blocks=BlockReason.NO_MONEY
    ),
    "clock.now": NOON,
    "clock.wait": False,
    "journal.last_candle": None,
    "journal.intent": INTENT,
    "journal.unsettled": (RECORD,),
    "journal.by_ticket": RECORD,
    "journal.plan": PLAN,
    "journal.plans": (),
    "journal.blocks": (Block(BlockReason.COOLDOWN, "d", NOON, strategy="s"),),
    "journal.state": "text",
    "switch.read": ports.Switch(False, NOON, "why"),
}


@pytest.mark.parametrize("port", ["DataSource", "Broker", "Clock", "Journal"])
def test_every_method_of_a_port_is_recorded(port):
    """A method added to a port must be recorded, or a replay asks something nobody wrote down."""
    apart = {"name", "open", "close", "stop"}
    methods = {name for name in vars(getattr(ports, port)) if not name.startswith("_")} - apart
    prefix = {"DataSource": "source"}.get(port, port.lower())
    assert methods == {name.partition(".")[2] for name in CALLS if name.startswith(f"{prefix}.")}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_comes_back_as_it_was(name):
    """To the last digit, of the very types: Decimal, enumeration, timeframe."""
    answer, given = CALLS[name].answer, ANSWERS[name]
    read = answer.read(plain(answer.written(answer.kept(given))))
    assert read == given
    assert repr(read) == repr(given)


def test_a_kept_answer_is_not_what_the_port_goes_on_changing():
    given = [CANDLE]
    kept = CALLS["source.latest"].answer.kept(given)
    given.clear()
    assert kept == (CANDLE,)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (SourceError("no"), SourceError),
        (MaybeSentError("no"), SourceError),
        (JournalError("no"), JournalError),
        (AccountHeldError("no"), AccountHeldError),
    ],
)
def test_a_failure_is_caught_as_it_was(raised, kind):
    """Services tell these apart. Red when all come back as one kind."""
    again = failure_from(*plain(failure_of(raised)))
    assert type(again) is kind
    assert str(again) == "no"


def test_a_failure_of_another_kind_says_which():
    again = failure_from(*plain(failure_of(RuntimeError("no"))))
    assert isinstance(again, RecordedError)
    assert (type(again).__name__, str(again)) == ("RuntimeError", "no")


def test_a_failure_says_no_password():
    """I27."""
    error = SourceError("http://me:hunter2@h/mt5 does not answer")
    assert "hunter2" not in str(failure_of(error))
