"""The journal's fills against the broker's deals: they agree, or it is said where they do not."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.orders import Action, DealEntry, IntentRecord, IntentState, OrderKind, PendingOrder
from app.domain.signals import Direction
from app.ledger_check import Fill, compare
from tests.journals import MONDAY, deal, entry, exit_

ID, OTHER = "A" * 15, "B" * 15
replace = msgspec.structs.replace


def record(intent=None, state=IntentState.FILLED, ticket=6):
    return IntentRecord(intent or entry(ID), state, MONDAY, ticket)


def waiting(ticket=6, comment=ID, magic=2**53 - 1):
    return PendingOrder(
        ticket=ticket,
        symbol="EURUSD.r",
        direction=Direction.LONG,
        kind=OrderKind.LIMIT,
        volume=Decimal("0.10"),
        price=Decimal("1.1"),
        stop_loss=None,
        take_profit=None,
        placed_at=MONDAY,
        magic=magic,
        comment=comment,
    )


def filled(volume="0.10", **fields):
    return deal(7, volume, comment=ID, **fields)


def differences(records=(), booked=(), deals=(), orders=()):
    return list(compare(records, booked, deals, orders).differences)


def test_both_sides_of_an_order_are_shown():
    """I3. In parts, and whether or not the broker kept the comment."""
    parts = [deal(8, "0.06", comment=""), deal(7, "0.04", comment="")]
    compared = compare([record()], [(one, ID) for one in parts], parts, [])
    assert compared.differences == ()
    (order,) = compared.orders
    assert (order.client_id, order.action, order.volume) == (ID, Action.ENTRY, Decimal("0.10"))
    assert (order.state, order.ticket) == (IntentState.FILLED, 6)
    price = Decimal("1.10500")
    fills = (Fill(7, Decimal("0.04"), price), Fill(8, Decimal("0.06"), price))
    assert order.journal == order.broker == fills


def test_an_exit_is_found_by_what_the_journal_booked():
    """A bridge closes without a comment."""
    closed = deal(9, "0.10", order=8, entry=DealEntry.OUT, comment="")
    exit_record = record(exit_(OTHER), ticket=8)
    opened = filled()
    booked = [(opened, ID), (closed, OTHER)]
    assert differences([record(), exit_record], booked, [opened, closed]) == []


def test_a_stop_that_was_hit_is_a_deal_of_no_intent():
    hit = deal(9, "0.10", order=8, entry=DealEntry.OUT, comment="[sl 1.1]")
    assert differences([record()], [(filled(), ID), (hit, "")], [filled(), hit]) == []


def test_numbers_agree_however_they_are_written():
    longer = filled("0.100", price=Decimal("1.1050000"))
    assert differences([record()], [(filled(), ID)], [longer]) == []


def test_a_deposit_is_no_trade():
    deposit = deal(1, "0", symbol="", comment="deposit")
    assert differences([], [], [deposit]) == []


def test_a_deal_on_one_side_only_is_a_difference():
    """I3. Red without the branch in `_deals_that_differ`."""
    shown = "deal 7 (EURUSD.r long in 0.1 at 1.105)"
    rejected = record(state=IntentState.PLACED)
    assert differences([rejected], [], [filled()]) == [
        f"{shown} is at the broker and not in the journal"
    ]
    assert differences([record()], [(filled(), ID)], []) == [
        f"{shown} is in the journal and not at the broker",
        f"order {ID} is filled in the journal and has no deal at the broker",
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"volume": Decimal("0.09")},
        {"price": Decimal("1.10501")},
        {"symbol": "GBPUSD"},
        {"direction": Direction.SHORT},
        {"entry": DealEntry.OUT},
    ],
)
def test_a_deal_that_is_another_one_is_a_difference(other):
    """I3: ticket, volume and price."""
    (said,) = differences([record()], [(filled(), ID)], [replace(filled(), **other)])
    assert said.startswith("deal 7 is EURUSD.r long in 0.1 at 1.105 in the journal and ")


def test_an_intent_that_is_two_orders_is_a_difference():
    """I1: filled twice, and filled and waiting. Red without the count in `_faults`."""
    twice = [filled(), deal(8, "0.10", order=9, comment=ID)]
    assert differences([record()], [(one, ID) for one in twice], twice) == [
        f"order {ID} is 2 orders at the broker: 6, 9",
        f"order {ID} asked for 0.10 and executed 0.20",
    ]
    assert f"order {ID} is 2 orders at the broker: 6, 9" in differences(
        [record()], [(filled(), ID)], [filled()], [waiting(9)]
    )


@pytest.mark.parametrize("state", list(IntentState))
def test_the_state_of_an_intent_must_be_what_the_broker_shows(state):
    """I3: known, and so."""
    one = [record(state=state)]
    settled = {IntentState.FILLED, IntentState.PLACED, IntentState.CANCELLED}
    assert (differences(one, [(filled(), ID)], [filled()]) == []) is (state in settled)
    never = {IntentState.REJECTED, IntentState.LOST, IntentState.CANCELLED}
    assert (differences(one) == []) is (state in never)
    assert (differences(one, orders=[waiting()]) == []) is (state is IntentState.PLACED)


def test_a_waiting_order_with_a_magic_of_ours_must_be_known():
    """I4: a stranger with another one is none of our business."""
    placed = record(state=IntentState.PLACED)
    assert differences([placed], orders=[waiting(), waiting(9, "by hand", magic=0)]) == []
    (said,) = differences([placed], orders=[waiting(), waiting(9, OTHER)])
    assert said == (
        "order 9 (EURUSD.r long 0.10) waits at the broker with a magic of ours and is not in the "
        "journal"
    )


@given(
    volumes=st.lists(st.integers(1, 100), min_size=1, max_size=8),
    lost=st.sets(st.integers(0, 7)),
    unnoted=st.sets(st.integers(0, 7)),
)
def test_they_agree_exactly_when_both_hold_the_same_deals(volumes, lost, unnoted):
    """I3, whatever is missing on either side."""
    lots = [Decimal(one).scaleb(-2) for one in volumes]
    whole = record(entry(ID, volume=sum(lots)), IntentState.PLACED)
    all_ = [deal(10 + n, str(one), comment=ID) for n, one in enumerate(lots)]
    shown = [one for n, one in enumerate(all_) if n not in lost]
    booked = [(one, ID) for n, one in enumerate(all_) if n not in unnoted]
    agrees = not differences([whole], booked, shown, [] if shown else [waiting()])
    assert agrees is ([one for one, _ in booked] == shown)
