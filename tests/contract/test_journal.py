"""What every Journal does, wherever it is kept: one suite, in memory, a file and on a server.

`kept.twice()` gives the journal, and then one opened anew on what it made durable: what the one
says the other says too.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest

from app.adapters.journal.memory import MemoryJournal
from app.adapters.journal.sql import open_journal
from app.domain.errors import GaveUpError
from app.domain.orders import BlockReason, IntentRecord, IntentState
from app.ports import Journal
from tests.journals import (
    ACCOUNT,
    HOUR,
    M1,
    M5,
    MONDAY,
    SECOND,
    block,
    deal,
    entry,
    exit_,
    plan,
)


class Kept:
    """A journal, and the one after a restart."""

    def __init__(self, open_: Callable[[], Journal]) -> None:
        self._open = open_
        self.journal = open_()

    def reopened(self) -> Journal:
        self.journal.close()
        self.journal = self._open()
        return self.journal

    def twice(self) -> Iterator[Journal]:
        yield self.journal
        yield self.reopened()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kept(request, tmp_path):
    if request.param == "memory":
        journal = MemoryJournal()
        yield Kept(lambda: journal)
        return
    url = f"sqlite:///{tmp_path}/journal.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
    made = Kept(lambda: open_journal(url, ACCOUNT, now=MONDAY))
    yield made
    made.journal.close()


@pytest.fixture
def journal(kept):
    return kept.journal


# Candles


def test_the_last_candle_is_remembered_per_symbol_and_timeframe(kept):
    """X11."""
    journal = kept.journal
    assert journal.last_candle("EURUSD", M1) is None
    journal.candle_announced("EURUSD", M1, MONDAY)
    journal.candle_announced("EURUSD", M1, MONDAY + M1.delta)
    journal.candle_announced("EURUSDm", M5, MONDAY + timedelta(microseconds=1))
    for each in kept.twice():
        assert each.last_candle("EURUSD", M1) == MONDAY + M1.delta
        assert each.last_candle("EURUSDm", M5) == MONDAY + timedelta(microseconds=1)
        assert each.last_candle("EURUSD", M5) is None
        assert each.last_candle("GBPUSD", M1) is None


def test_a_time_is_the_same_instant_whatever_zone_it_was_said_in(kept):
    zone = MONDAY.astimezone(tz=ZoneInfo("Asia/Tokyo"))
    kept.journal.candle_announced("EURUSD", M1, zone)
    again = kept.reopened().last_candle("EURUSD", M1)
    assert again == MONDAY
    assert again.utcoffset() is not None


# Intents


def test_an_intent_is_admitted_once_by_its_id(kept):
    """I1, I7: the same id is refused, whatever else it says, also after a restart.

    Red without the question for its record in `MemoryJournal.admit`.
    """
    assert kept.journal.admit(entry("A"), MONDAY) is None
    for each in kept.twice():
        refusal = each.admit(entry("A", volume=Decimal(9)), MONDAY + HOUR)
        assert refusal.reason is BlockReason.ALREADY_DONE
        assert "A" in refusal.detail
        assert each.intent("A") == entry("A")
        assert each.intent("B") is None
        assert each.record("B") is None
    assert each.admit(entry("B"), MONDAY) is None


def test_an_admitted_intent_is_being_sent(kept):
    for intent in (entry("A"), exit_("X")):
        assert kept.journal.admit(intent, MONDAY) is None
    for each in kept.twice():
        assert each.record("A") == IntentRecord(entry("A"), IntentState.SENDING, MONDAY)
        assert each.intent("A").timeframe.delta == M5.delta
        assert each.unsettled() == [each.record("A"), each.record("X")]


def test_a_settled_intent_says_what_became_of_it(kept):
    kept.journal.admit(entry("A"), MONDAY)
    kept.journal.settle("A", IntentState.UNKNOWN, MONDAY + SECOND, detail="timeout\n\x00")
    for each in kept.twice():
        record = each.record("A")
        assert (record.state, record.ticket) == (IntentState.UNKNOWN, 0)
        assert record.detail == "timeout\\n\\x00"
    each.settle("A", IntentState.PLACED, MONDAY + 2 * SECOND, ticket=2**53 + 1)
    each.settle("A", IntentState.FILLED, MONDAY + 3 * SECOND, detail="by deal 7")
    for each in kept.twice():
        record = each.record("A")
        assert (record.state, record.ticket) == (IntentState.FILLED, 2**53 + 1)
        assert record.detail == "by deal 7"
        assert each.unsettled() == []


@pytest.mark.parametrize("final", [state for state in IntentState if state.final])
def test_a_final_state_stays(kept, final):
    """I5. Red without `not record.state.final` in `MemoryJournal.settle`."""
    kept.journal.admit(entry("A"), MONDAY)
    kept.journal.settle("A", final, MONDAY, ticket=6)
    for each in kept.twice():
        for state in IntentState:
            each.settle("A", state, MONDAY + HOUR, ticket=9, detail="late")
        assert (each.record("A").state, each.record("A").ticket) == (final, 6)
        assert each.by_ticket(9) is None


def test_an_intent_is_found_by_the_ticket_of_its_order(kept):
    for name, ticket in (("A", 6), ("B", 7), ("C", 0)):
        kept.journal.admit(entry(name), MONDAY)
        kept.journal.settle(name, IntentState.PLACED, MONDAY, ticket=ticket)
    kept.journal.settle("B", IntentState.CANCELLED, MONDAY)
    for each in kept.twice():
        assert each.by_ticket(6) == each.record("A")
        assert each.by_ticket(7) == each.record("B")
        assert each.by_ticket(8) is None
        assert each.by_ticket(0) is None


def test_a_further_attempt_is_counted(kept):
    kept.journal.admit(entry("A"), MONDAY)
    kept.journal.attempt("A", MONDAY + SECOND)
    for each in kept.twice():
        record = each.record("A")
        assert (record.attempts, record.sent_at) == (2, MONDAY + SECOND)
        assert record.state is IntentState.SENDING


def test_an_entry_of_unknown_fate_is_never_attempted_again(kept):
    """I6. Red without `ambiguous` in `MemoryJournal.attempt`."""
    kept.journal.admit(entry("A"), MONDAY)
    kept.journal.settle("A", IntentState.UNKNOWN, MONDAY)
    for each in kept.twice():
        with pytest.raises(GaveUpError, match="order A is unknown"):
            each.attempt("A", MONDAY + HOUR)
        assert each.record("A").attempts == 1


def test_an_exit_of_unknown_fate_may_be_attempted_again_and_a_final_one_not(kept):
    """I10: an exit beats everything."""
    journal = kept.journal
    journal.admit(exit_("X"), MONDAY)
    journal.settle("X", IntentState.UNKNOWN, MONDAY)
    journal.attempt("X", MONDAY + SECOND)
    assert journal.record("X").attempts == 2
    journal.settle("X", IntentState.FILLED, MONDAY)
    with pytest.raises(GaveUpError, match="order X is filled"):
        journal.attempt("X", MONDAY + HOUR)


def test_what_was_never_admitted_can_neither_be_settled_nor_attempted(journal):
    with pytest.raises(KeyError, match="A"):
        journal.settle("A", IntentState.FILLED, MONDAY)
    with pytest.raises(KeyError, match="A"):
        journal.attempt("A", MONDAY)


# Deals


def test_a_deal_is_booked_once_and_fills_its_intent(kept):
    """I3. Red without the question for the deal in `MemoryJournal.booked` and `SqlJournal`'s."""
    kept.journal.admit(entry("A"), MONDAY)
    kept.journal.booked(deal(7, "0.04"), "A")
    kept.journal.booked(deal(7, "9.99"), "A")
    kept.journal.booked(deal(9, "5"), "")
    for each in kept.twice():
        each.booked(deal(7, "9.99"), "A")
        assert each.record("A").filled == Decimal("0.04")
        assert (each.has_deal(7), each.has_deal(8), each.has_deal(9)) == (True, False, True)
    each.settle("A", IntentState.FILLED, MONDAY)
    each = kept.reopened()
    each.booked(deal(8, "0.06"), "A")
    for each in kept.twice():
        assert each.record("A").filled == Decimal("0.10")
        assert each.record("A").state is IntentState.FILLED


def test_a_deal_of_an_intent_that_is_not_known_is_booked_too(kept):
    kept.journal.booked(deal(7), "NEVER")
    for each in kept.twice():
        assert each.has_deal(7)
        assert each.record("NEVER") is None


# Plans


def test_a_plan_is_kept_until_it_is_dropped(kept):
    journal = kept.journal
    assert journal.plan(5) is None
    journal.save_plan(plan(9))
    journal.save_plan(plan(5))
    journal.save_plan(plan(5, best=1.2, stop=Decimal("1.0999")))
    for each in kept.twice():
        assert each.plan(5) == plan(5, best=1.2, stop=Decimal("1.0999"))
        assert each.plans() == [each.plan(5), plan(9)]
    each.drop_plan(5)
    each.drop_plan(5)
    for each in kept.twice():
        assert each.plan(5) is None
        assert [one.ticket for one in each.plans()] == [9]
    each.save_plan(plan(5))
    each.drop_plan(9)
    assert [one.ticket for one in kept.reopened().plans()] == [5]


# Blocks


def test_a_block_refuses_entries_and_never_an_exit(kept):
    """I10, I11, I12. Red without the loop over blocks in `MemoryJournal.admit`."""
    kept.journal.block(block())
    for number, each in enumerate(kept.twice()):
        refusal = each.admit(entry("A"), MONDAY + HOUR)
        assert (refusal.reason, refusal.detail) == (BlockReason.DAILY_LOSS_LIMIT, "lost 100.00")
        assert each.record("A") is None
        assert each.admit(exit_(f"X{number}"), MONDAY + HOUR) is None


def test_a_block_of_a_strategy_lets_the_others_trade(kept):
    kept.journal.block(block(strategy="other"))
    for number, each in enumerate(kept.twice()):
        assert each.admit(entry(f"A{number}"), MONDAY) is None
        refusal = each.admit(entry("B", strategy="other"), MONDAY)
        assert refusal.reason is BlockReason.DAILY_LOSS_LIMIT


def test_a_block_ends_by_itself_at_its_boundary(kept):
    """I12: at `until`, not before it."""
    kept.journal.block(block(until=MONDAY + HOUR))
    for number, each in enumerate(kept.twice()):
        just_before = MONDAY + HOUR - timedelta(microseconds=1)
        assert each.blocks(just_before) == [block(until=MONDAY + HOUR)]
        assert each.blocks(MONDAY + HOUR) == []
        assert each.admit(entry("A"), just_before) is not None
        assert each.admit(entry(f"A{number}"), MONDAY + HOUR) is None


def test_a_block_that_stands_is_not_set_twice(kept):
    first, second = block(detail="first"), block(detail="second", until=MONDAY + HOUR)
    kept.journal.block(first)
    kept.journal.block(second)
    kept.journal.block(msgspec.structs.replace(second, strategy="cross"))
    kept.journal.block(block(BlockReason.KILL_SWITCH, since=MONDAY + SECOND))
    for each in kept.twice():
        assert [(one.reason, one.detail, one.strategy) for one in each.blocks(MONDAY)] == [
            (BlockReason.DAILY_LOSS_LIMIT, "first", ""),
            (BlockReason.DAILY_LOSS_LIMIT, "second", "cross"),
            (BlockReason.KILL_SWITCH, "lost 100.00", ""),
        ]


def test_a_block_that_is_over_gives_way_to_a_new_one(kept):
    kept.journal.block(block(until=MONDAY + HOUR))
    kept.journal.block(block(since=MONDAY + HOUR, detail="again"))
    for each in kept.twice():
        assert [one.detail for one in each.blocks(MONDAY + HOUR)] == ["again"]


def test_blocks_are_lifted_by_reason_or_all_of_them(kept):
    """I12: by a recorded act."""
    reasons = (BlockReason.KILL_SWITCH, BlockReason.MAX_DRAWDOWN, BlockReason.TRADING_OFF)
    for reason in reasons:
        kept.journal.block(block(reason))
    over = block(BlockReason.COOLDOWN, until=MONDAY + SECOND)
    kept.journal.block(over)
    lifted = kept.journal.lift(MONDAY + HOUR, "the operator", BlockReason.KILL_SWITCH)
    assert lifted == [block(BlockReason.KILL_SWITCH)]
    for each in kept.twice():
        assert [one.reason for one in each.blocks(MONDAY + HOUR)] == list(reasons[1:])
    assert [one.reason for one in each.lift(MONDAY + HOUR, "the operator")] == list(reasons[1:])
    for each in kept.twice():
        assert each.blocks(MONDAY + HOUR) == []
        assert each.lift(MONDAY + HOUR, "the operator") == []
    assert kept.journal.admit(entry("A"), MONDAY + HOUR) is None


# States and the end


def test_a_text_is_kept_under_its_name(kept):
    journal = kept.journal
    assert journal.state("paper") is None
    journal.keep_state("paper", "old")
    journal.keep_state("paper", '{"balance": "10000.00", "name": "Ünal 🙂"}')
    journal.keep_state("limits", "")
    for each in kept.twice():
        assert each.state("paper") == '{"balance": "10000.00", "name": "Ünal 🙂"}'
        assert each.state("limits") == ""


def test_flushing_and_closing_may_be_repeated(kept):
    kept.journal.keep_state("paper", "kept")
    for _ in range(2):
        kept.journal.flush()
    for _ in range(2):
        kept.journal.close()
    assert kept.reopened().state("paper") == "kept"
