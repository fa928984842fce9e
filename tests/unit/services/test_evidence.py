"""Finding an order whose reply never came: by its id, by asking, or as the only one it can be (I5).

Where a rule was removed to see its test fail, the docstring says so.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain.orders import Action, BlockReason, CloseReason, IntentState
from app.events import OrderFilledEvent, OrderInDoubtEvent, OrderPlacedEvent, PositionClosedEvent
from app.risk.splitting import Split
from tests.fates import LOST_REPLY, NEVER_ARRIVED, Comment, Fate, Reply
from tests.ledger import replace
from tests.trader import LONG, SHORT, Trader, opened, strategy

STRIPPED = replace(LOST_REPLY, comment=Comment.STRIPPED)
UNKNOWN, FILLED, PLACED = IntentState.UNKNOWN, IntentState.FILLED, IntentState.PLACED


def entered(fate: Fate, **settings: object) -> Trader:
    """Return a trader whose first entry has that fate."""
    trader = Trader(**settings)
    trader.account.fates.append(fate)
    return opened(trader)


def test_an_order_is_found_by_its_id() -> None:
    """I1, I6: told once as in doubt, once as placed; sent once. Red without `_names`."""
    trader = entered(LOST_REPLY)
    assert trader.states() == [FILLED]
    assert [len(trader.of(kind)) for kind in (OrderInDoubtEvent, OrderPlacedEvent)] == [1, 1]
    assert len(trader.account.sent) == 1
    assert [plan.ticket for plan in trader.plans] == list(trader.account.held)


def test_an_order_that_the_broker_has_not_filled_is_found_by_its_id() -> None:
    trader = entered(replace(LOST_REPLY, fills_after=30))
    assert trader.states() == [PLACED]
    trader.wait(8)
    assert trader.states() == [FILLED]


def test_a_clock_that_differs_from_the_brokers_hides_nothing() -> None:
    """Ours is half a minute ahead: the deal seems older than the order. Red without SKEW."""
    trader = Trader()
    trader.account.skew = timedelta(seconds=-30)
    trader.account.fates.append(LOST_REPLY)
    opened(trader)
    trader.account.close_by_hand(*trader.account.held)
    trader.wait(2)
    assert trader.states() == [FILLED]


def test_a_bridge_that_can_be_asked_is_asked() -> None:
    """Found although the account does not show it, under no name. Red without `find`."""
    trader = Trader()
    trader.account.told_by_id = True
    trader.account.fates.append(replace(STRIPPED, unseen=120))
    opened(trader)
    assert trader.states() == [PLACED]
    trader.wait(30)
    assert trader.states() == [FILLED]


def test_a_bridge_that_cannot_be_asked_now_proves_nothing() -> None:
    """Red with its silence taken for a no: the order would be lost."""
    trader = Trader()
    trader.account.fates.append(NEVER_ARRIVED)
    opened(trader)
    trader.account.find_fails = True
    trader.wait(20, seconds=60)
    assert trader.states() == [UNKNOWN]
    trader.account.find_fails = False
    trader.wait(3)
    assert trader.states() == [IntentState.LOST]


@pytest.mark.parametrize("comment", [Comment.CUT, Comment.STRIPPED, Comment.REPLACED])
@pytest.mark.parametrize("fills_after", [0, 30])
def test_without_its_name_it_is_the_only_one_it_can_be(comment: Comment, fills_after: int) -> None:
    """An order or a position with our magic, symbol, side, volume and time. Red without it."""
    trader = entered(replace(LOST_REPLY, comment=comment, fills_after=fills_after))
    trader.wait(8)
    assert trader.states() == [FILLED]
    assert trader.standing() == []
    assert [plan.client_id for plan in trader.plans] == [trader.records()[0].intent.client_id]


def test_it_is_found_in_the_deals_when_the_position_is_closed_already() -> None:
    """Stopped out before the next look. Red without the deals among the candidates."""
    trader = Trader()
    trader.account.fates.append(replace(STRIPPED, unseen=20))
    opened(trader)
    trader.account.move("EURUSD", Decimal("1.09700"))
    trader.wait(6)
    assert trader.states() == [FILLED]
    assert [event.reason for event in trader.of(PositionClosedEvent)] == [CloseReason.STOP_LOSS]


def test_two_that_it_can_be_block_and_prove_nothing() -> None:
    """I4, I5: in doubt for as long as both are there; what is there is managed all the same.

    Red with candidates that do not count as evidence: the order would be lost after five minutes.
    """
    trader = entered(replace(STRIPPED, times=2, fills_after=None))
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]
    trader.wait(20, seconds=60)
    assert trader.states() == [UNKNOWN]
    trader.account.waiting.clear()
    trader.wait(3)
    assert trader.states() == [IntentState.LOST]


def test_two_orders_without_names_are_told_apart_by_what_they_are() -> None:
    """One at market, one that waits for its price. Red without kind, price and stops."""
    trader = Trader(strategy(lots=0.2), splits={"EURUSD": Split(2)})
    trader.account.fates.extend((STRIPPED, STRIPPED))
    opened(trader)
    assert trader.states() == [FILLED, PLACED]
    assert trader.standing() == []


def test_an_order_that_carries_the_name_of_another_is_not_it() -> None:
    """Two replies lost, one order executed. Red without leaving out what others are named by."""
    trader = Trader(strategy(lots=0.2, stop=None, target=None), splits={"EURUSD": Split(2)})
    trader.account.fates.extend((NEVER_ARRIVED, LOST_REPLY))
    opened(trader)
    assert trader.states() == [UNKNOWN, PLACED]
    assert trader.standing() == []


@pytest.mark.parametrize("seconds", [-90, 90])
def test_what_is_older_or_younger_is_not_it(seconds: int) -> None:
    """A stranger with our magic, and all else alike. Red without the time."""
    trader = Trader(limits={"positions_per_direction": 2})
    magic = trader.strategies["cross"].magic
    if seconds < 0:
        trader.account.stranger(magic=magic)
        trader.cycle(-seconds)
        trader.journal.lift(trader.now, "the operator")
    trader.account.fates.append(NEVER_ARRIVED)
    opened(trader)
    if seconds > 0:
        trader.cycle(seconds)
        trader.account.stranger(magic=magic)
    trader.wait(2)
    assert trader.states() == [UNKNOWN]
    assert trader.standing() == ([] if seconds < 0 else [BlockReason.UNKNOWN_ORDER])


@pytest.mark.parametrize("fills_after", [0, 30])
def test_an_exit_has_no_name_and_is_found_by_what_it_closes(fills_after: int) -> None:
    """As its deal, or waiting. Red without deals and orders of the position."""
    trader = opened(Trader())
    trader.account.fates.append(replace(LOST_REPLY, fills_after=fills_after))
    trader.minute(leave=[("cross", LONG)])
    assert trader.states(Action.EXIT) == [PLACED if fills_after else FILLED]
    trader.wait(8)
    assert trader.states(Action.EXIT) == [FILLED]
    assert [event.reason for event in trader.of(PositionClosedEvent)] == [CloseReason.SIGNAL]


def test_what_a_person_closes_meanwhile_is_not_our_exit() -> None:
    """The deal says why. Red without asking for its reason."""
    trader = opened(Trader())
    trader.account.fates.append(NEVER_ARRIVED)
    trader.minute(leave=[("cross", LONG)])
    trader.account.close_by_hand(*trader.account.held)
    trader.cycle()
    assert trader.states(Action.EXIT) == [UNKNOWN]
    assert [event.reason for event in trader.of(PositionClosedEvent)] == [CloseReason.MANUAL]


def test_an_exit_that_can_be_two_orders_is_either() -> None:
    """I10: doubt must not keep a position open. Red with exits that block like entries."""
    trader = opened(Trader())
    trader.account.fates.append(replace(LOST_REPLY, times=2, fills_after=None))
    trader.minute(leave=[("cross", LONG)])
    assert trader.states(Action.EXIT) == [PLACED]
    trader.wait(6, seconds=60)
    assert trader.account.held == {}
    assert trader.standing() == []


def test_a_reply_that_names_the_order_of_another_puts_both_in_doubt() -> None:
    """Found again by their ids, and reported. Red without comparing tickets."""
    trader = Trader(strategy(), strategy("other"))
    trader.account.fates.extend((replace(LOST_REPLY, reply=Reply.TOLD, fills_after=30),
                                 Fate(reply=Reply.SWAPPED, fills_after=30)))  # fmt: skip
    trader.minute(enter=[("cross", LONG), ("other", SHORT)])
    assert len(trader.of(OrderInDoubtEvent)) == 1
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]
    trader.wait(8)
    assert trader.states() == [FILLED, FILLED]
    assert [record.ticket for record in trader.records()] == list(trader.account.held)
    assert len(trader.of(OrderFilledEvent)) == 2
