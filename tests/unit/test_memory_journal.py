"""The journal in memory."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from app.adapters.memory_journal import MemoryJournal
from app.domain.market import Timeframe
from app.domain.orders import Action, Intent, OrderKind
from app.domain.signals import Direction
from app.ports import Journal
from app.risk.plans import PositionPlan

M1, M5 = Timeframe("M1"), Timeframe("M5")
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


@pytest.fixture
def journal() -> Journal:
    return MemoryJournal()


@pytest.fixture
def intent():
    return Intent(
        client_id="A",
        strategy="cross",
        magic=1,
        symbol="EURUSD",
        timeframe=M1,
        candle_time=MONDAY,
        action=Action.ENTRY,
        leg=0,
        direction=Direction.LONG,
        kind=OrderKind.MARKET,
        volume=Decimal("0.1"),
    )


def test_the_last_candle_is_remembered_per_symbol_and_timeframe(journal):
    """X11."""
    assert journal.last_candle("EURUSD", M1) is None
    journal.candle_announced("EURUSD", M1, MONDAY)
    journal.candle_announced("EURUSD", M1, MONDAY + M1.delta)
    assert journal.last_candle("EURUSD", M1) == MONDAY + M1.delta
    assert journal.last_candle("EURUSD", M5) is None
    assert journal.last_candle("GBPUSD", M1) is None


def test_an_intent_is_admitted_once_by_its_id(journal, intent):
    """I1: the same id is refused, whatever else it says."""
    assert journal.admit(intent) is True
    assert journal.admit(intent) is False
    assert journal.admit(msgspec.structs.replace(intent, volume=Decimal(9))) is False
    assert journal.intent("A") == intent
    assert journal.intent("B") is None
    assert journal.admit(msgspec.structs.replace(intent, client_id="B")) is True


def test_a_plan_is_kept_until_it_is_dropped(journal):
    plan = PositionPlan(
        ticket=5,
        client_id="A",
        strategy="cross",
        magic=1,
        symbol="EURUSD",
        timeframe=M1,
        direction=Direction.LONG,
        opened_at=MONDAY,
        entry=Decimal("1.1"),
        opened=Decimal(1),
        volume=Decimal(1),
        best=1.1,
    )
    assert journal.plan(5) is None
    journal.save_plan(plan)
    journal.save_plan(msgspec.structs.replace(plan, best=1.2))
    assert journal.plan(5).best == 1.2
    journal.drop_plan(5)
    journal.drop_plan(5)
    assert journal.plan(5) is None
