"""Where orders leave: once, a second time only at a price that moved, and never under a block.

Where a rule was removed to see its test fail, the docstring says so.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain.orders import (
    Action,
    Block,
    BlockReason,
    CloseReason,
    IntentState,
    OrderResult,
    OrderState,
    Refusal,
)
from app.events import (
    EntrySignalEvent,
    ExitSignalEvent,
    OrderInDoubtEvent,
    OrderPlacedEvent,
    OrderRejectedEvent,
    StopMovedEvent,
)
from app.risk.plans import Deadline
from tests.fates import FINE, LOST_REPLY, MOVED, NEVER_ARRIVED, REFUSED, Fate, Reply
from tests.ledger import replace
from tests.trader import LONG, SHORT, Trader, opened, strategy

ENTER = {"enter": [("cross", LONG)]}
LEAVE = {"leave": [("cross", LONG)]}
REJECTED, FILLED, UNKNOWN = IntentState.REJECTED, IntentState.FILLED, IntentState.UNKNOWN


class Moving:
    """Moves the price, or does something else, as the first order leaves."""

    def __init__(self, trader: Trader, pips: str = "0", then: Any = None) -> None:
        self.trader, self.pips, self.then = trader, Decimal(pips) / 10_000, then
        trader.account.before_sending = self

    def __call__(self, _: object) -> None:
        self.trader.account.prices["EURUSD"] += self.pips
        self.pips = Decimal(0)
        if self.then is not None:
            self.then()


@pytest.mark.parametrize("action", [Action.ENTRY, Action.EXIT])
def test_an_order_whose_price_moved_is_sent_a_second_time_and_no_third(action: Action) -> None:
    """A requote storm. Red with a loop, and without a second attempt."""
    trader = Trader() if action is Action.ENTRY else opened(Trader())
    before = len(trader.account.sent)
    trader.account.fates.extend((MOVED, MOVED, FINE))
    trader.minute(**(ENTER if action is Action.ENTRY else LEAVE))
    assert len(trader.account.sent) - before == 2
    assert [(it.state, it.attempts) for it in trader.records(action)] == [(REJECTED, 2)]
    assert len(trader.of(OrderRejectedEvent)) == 1


def test_the_second_attempt_may_be_the_one() -> None:
    trader = Trader()
    trader.account.fates.extend((MOVED, LOST_REPLY))
    opened(trader)
    assert trader.states() == [FILLED]
    assert trader.records()[0].attempts == 2


@pytest.mark.parametrize("fate", [REFUSED, LOST_REPLY, NEVER_ARRIVED])
def test_nothing_else_gets_a_second_attempt(fate: Fate) -> None:
    """I6. Red with any answer but the one that says the price moved."""
    trader = Trader()
    trader.account.fates.append(fate)
    opened(trader)
    trader.wait(10, seconds=60)
    assert len(trader.account.sent) == 1


@pytest.mark.parametrize(
    ("direction", "pips", "attempts"),
    [(LONG, "2", 2), (LONG, "2.1", 1), (LONG, "-50", 2), (SHORT, "-2", 2), (SHORT, "-2.1", 1)],
)
def test_a_second_attempt_is_not_worse_than_the_slippage(
    direction: Any, pips: str, attempts: int
) -> None:
    """20 points; a better price is always good. Red without it, and without the direction."""
    trader = Trader(strategy(stop=None, target=None))
    Moving(trader, pips)
    trader.account.fates.append(MOVED)
    opened(trader, direction=direction)
    assert len(trader.account.sent) == attempts


def test_an_exit_gets_its_second_attempt_at_any_price() -> None:
    """I10. Red with the slippage asked for exits too."""
    trader = opened(Trader(strategy(stop=None, target=None)))
    Moving(trader, "-80")
    trader.account.fates.append(MOVED)
    trader.minute(**LEAVE)
    assert trader.account.held == {}


def test_a_second_attempt_comes_in_the_time_of_its_signal_or_not_at_all() -> None:
    """A candle's length after its close. Red without the age of the quote."""
    trader = Trader()
    trader.account.skew = timedelta(seconds=60)
    trader.account.fates.append(MOVED)
    opened(trader)
    assert len(trader.account.sent) == 1


@pytest.mark.parametrize("action", [Action.ENTRY, Action.EXIT])
def test_no_second_attempt_on_what_is_doubtful(action: Action) -> None:
    """I20: the terminal lost its connection in between. Red without asking again."""
    trader = Trader() if action is Action.ENTRY else opened(Trader())
    before = len(trader.account.sent)
    lost = Refusal(BlockReason.TERMINAL_DISCONNECTED, "no connection")
    Moving(trader, then=lambda: setattr(trader.account, "doubtful", lost))
    trader.account.fates.append(MOVED)
    trader.minute(**(ENTER if action is Action.ENTRY else LEAVE))
    assert len(trader.account.sent) - before == 1


@pytest.mark.parametrize(("action", "attempts"), [(Action.ENTRY, 1), (Action.EXIT, 2)])
def test_no_second_attempt_of_an_entry_once_the_daemon_ends(action: Action, attempts: int) -> None:
    """I24: SIGTERM between the two. Red without `ending`."""
    trader = Trader() if action is Action.ENTRY else opened(Trader())
    before = len(trader.account.sent)
    Moving(trader, then=trader.service.wind_down)
    trader.account.fates.append(MOVED)
    trader.minute(**(ENTER if action is Action.ENTRY else LEAVE))
    assert len(trader.account.sent) - before == attempts


def test_the_journal_has_an_order_and_its_attempts_before_they_leave() -> None:
    """I2: durable, so that a crash leaves it. Red with `admit` after `submit`."""
    trader = Trader()
    trader.account.fates.extend((MOVED, FINE))
    seen = []
    trader.account.before_sending = lambda intent: seen.append(
        trader.journal.durable(intent.client_id)
    )
    opened(trader)
    assert [(record.state, record.attempts) for record in seen] == [
        (IntentState.SENDING, 1), (IntentState.SENDING, 2),
    ]  # fmt: skip


def test_the_same_signal_is_one_order() -> None:
    """I6, I8: told again, also after a crash. Red with an `admit` that forgets."""
    trader = Trader(limits={"positions_per_direction": 5})
    trader.minute(enter=[("cross", LONG)] * 3)
    trader.restart()
    trader.bus.publish(EntrySignalEvent(signal=trader.signal("cross", LONG)))
    assert len(trader.account.sent) == 1
    assert trader.refused() == [BlockReason.ALREADY_DONE] * 3


def test_a_block_that_another_process_sets_holds_the_order_that_is_about_to_leave() -> None:
    """I11: read in the transaction that admits it. Red with an `admit` that asks nothing."""
    trader = Trader()
    trader.journal.block(Block(BlockReason.KILL_SWITCH, "by hand", trader.now))
    opened(trader)
    assert trader.account.sent == []
    assert trader.refused() == [BlockReason.KILL_SWITCH]


def test_the_same_exit_signal_is_one_order() -> None:
    """I9: what is on its way is not closed twice. Red with `free` counting what is leaving."""
    trader = opened(Trader())
    trader.account.fates.append(replace(FINE, fills_after=30))
    trader.minute(leave=[("cross", LONG)] * 3)
    trader.bus.publish(ExitSignalEvent(signal=trader.signal("cross", LONG)))
    trader.restart()
    trader.bus.publish(ExitSignalEvent(signal=trader.signal("cross", LONG)))
    assert len(trader.account.sent) == 2


def test_an_exit_that_is_refused_is_asked_for_again_soon_then_less_often() -> None:
    """The market is closed: it stays queued.

    Red with a refusal taken for an end, and with candles waited for: there is none here.
    """
    trader = opened(Trader())
    closed = replace(REFUSED, blocks=BlockReason.MARKET_CLOSED)
    trader.account.fates.extend([closed] * 4)
    trader.minute(**LEAVE)
    asked = []
    for _ in range(8):
        trader.wait(1)
        asked.append(len(trader.records(Action.EXIT)))
    assert asked == [2, 3, 3, 4, 4, 4, 4, 5]
    assert trader.account.held == {}
    assert trader.states(Action.EXIT) == [REJECTED] * 4 + [FILLED]


def test_an_exit_that_is_refused_is_asked_for_again_on_every_candle() -> None:
    """However long the pause has become by then. Red without `meet_deadlines`."""
    trader = opened(Trader())
    trader.account.fates.extend([REFUSED] * 40)
    trader.minute(**LEAVE)
    for _ in range(3):
        before = len(trader.records(Action.EXIT))
        trader.minute()
        assert len(trader.records(Action.EXIT)) > before


def test_a_deadline_does_not_wait_for_a_candle() -> None:
    """None comes for an hour, and the account answers. Red with deadlines met on candles only."""
    trader = opened(Trader())
    due = Deadline(trader.now + timedelta(seconds=8), CloseReason.MAX_DURATION)
    trader.service.desks.trades.keep(replace(trader.plans[0], due=due))
    trader.wait(1)
    assert trader.account.held
    trader.wait(2)
    assert trader.account.held == {}


def test_two_answers_with_one_ticket_put_both_orders_in_doubt() -> None:
    """And block: somebody's answers are mixed up. Red with the second taken at its word."""
    trader = Trader(strategy(), strategy("other"))
    waiting = replace(FINE, fills_after=60)
    trader.account.fates.extend((waiting, replace(waiting, reply=Reply.SWAPPED)))
    states = []
    trader.account.poll, poll = (
        lambda now: (states.append(trader.states()), poll(now))[1],
        (trader.account.poll),
    )
    trader.minute(enter=[("cross", LONG), ("other", SHORT)])
    assert states[-1] == [UNKNOWN, UNKNOWN]
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]
    assert [event.intent.strategy for event in trader.of(OrderInDoubtEvent)] == ["other"]


def test_what_is_refused_says_why_and_counts() -> None:
    """E8, I28."""
    trader = Trader()
    trader.account.fates.append(replace(REFUSED, reason="invalid stops (10016)"))
    opened(trader)
    assert [event.reason for event in trader.of(OrderRejectedEvent)] == ["invalid stops (10016)"]
    assert trader.refused() == [BlockReason.BROKER_REFUSED]
    assert trader.service.metrics()["orders_rejected"] == 1
    assert trader.of(OrderPlacedEvent) == []


def test_orders_in_doubt_are_a_metric() -> None:
    """I28: unknown is visible, until it is known."""
    trader = Trader()
    trader.account.fates.append(NEVER_ARRIVED)
    opened(trader)
    assert trader.service.metrics()["orders_in_doubt"] == 1
    trader.wait(8, seconds=60)
    assert trader.service.metrics()["orders_in_doubt"] == 0


@pytest.mark.parametrize("fate", [REFUSED, NEVER_ARRIVED, LOST_REPLY])
def test_a_stop_that_may_not_have_moved_is_told_once_it_has(fate: Fate) -> None:
    """What the broker shows is followed. Red with the wish taken for the deed."""
    trader = opened(Trader())
    (plan,) = trader.plans
    stop = plan.stop + Decimal("0.00050")
    trader.account.changes.append(fate)
    trader.service.desks.orders.move_stop(plan, stop)
    assert trader.of(StopMovedEvent) == []
    trader.cycle()
    assert trader.plans[0].stop == (stop if fate is LOST_REPLY else plan.stop)


def test_a_broker_that_hangs_is_asked_twice_a_cycle_and_the_other_exits_are_owed() -> None:
    """Ten times a request's timeout is longer than a cycle may take.

    Red without the count: all six leave in the first cycle.
    """
    names = [f"cross {number}" for number in range(6)]
    trader = Trader(*(strategy(name) for name in names), limits={"max_positions": 10})
    trader.minute(enter=[(name, LONG) for name in names])
    trader.wait(1)
    entered = len(trader.account.sent)
    assert len(trader.account.held) == 6
    trader.account.fates.extend([LOST_REPLY] * 2)
    trader.minute(leave=[(name, LONG) for name in names])
    assert len(trader.account.sent) - entered == 2
    trader.minute()
    assert len(trader.account.sent) - entered == 6
    assert trader.account.held == {}
    assert {len(tickets) for tickets in trader.account.executions.values()} == {1}


def test_a_host_that_swallows_packets_counts_as_one_that_hangs() -> None:
    """Surely not sent, after the whole deadline. Red when only unknown fates count."""
    orders = Trader().service.desks.orders
    for silent in (False, True, True):
        assert not orders.hangs
        orders._heard(OrderResult(OrderState.REJECTED, silent=silent))
    assert orders.hangs


def test_the_part_of_a_position_that_could_not_be_closed_stays_owed() -> None:
    """Red when a hanging broker is taken for a refusal: the part is forgotten."""
    trader = opened(Trader())
    [plan] = trader.plans
    orders = trader.service.desks.orders
    orders._unanswered = 2
    assert orders.close(plan, trader.now, plan.volume / 2, CloseReason.TARGET)
    assert trader.plans[0].owed == plan.volume / 2
    assert trader.account.held


def test_a_broker_that_hangs_gets_no_further_entry_in_the_cycle() -> None:
    names = [f"cross {number}" for number in range(4)]
    trader = Trader(*(strategy(name) for name in names), limits={"max_positions": 10})
    trader.account.fates.extend([NEVER_ARRIVED] * 2)
    trader.minute(enter=[(name, LONG) for name in names])
    assert len(trader.account.sent) == 2
    assert trader.refused() == [BlockReason.NO_ANSWER] * 2


def test_entries_keep_the_pace_and_exits_go_first() -> None:
    """Red without the pace, and with exits held back by it."""
    names = [f"cross {number}" for number in range(4)]
    trader = Trader(*(strategy(name) for name in names), requests_per_minute=5)
    trader.minute(enter=[(name, LONG) for name in names])
    assert trader.refused() == [BlockReason.TOO_MANY_REQUESTS]
    trader.wait(1)
    assert len(trader.account.held) == 3
    trader.cycle(1, leave=[(name, LONG) for name in names])
    trader.wait(1)
    assert trader.account.held == {}


def test_exits_do_not_end_a_row_of_refused_entries() -> None:
    """Red when an accepted exit counts as an accepted entry."""
    names = ("cross", "other")
    trader = Trader(*(strategy(name, stop=None, target=None) for name in names))
    refused = replace(REFUSED, blocks=BlockReason.REPEATED_REFUSALS)
    trader.minute(enter=[("cross", LONG)])
    trader.account.fates.extend([refused, refused])
    for _ in range(2):
        trader.minute(enter=[("cross", SHORT)])
    trader.minute(leave=[("cross", LONG)])
    trader.account.fates.append(refused)
    trader.minute(enter=[("cross", SHORT)])
    assert trader.standing() == [BlockReason.REPEATED_REFUSALS]


def test_a_broker_that_finds_it_too_fast_gets_no_entry_for_a_minute() -> None:
    """10024. The block is not durable: nothing stands at the next start."""
    throttled = replace(REFUSED, blocks=BlockReason.TOO_MANY_REQUESTS)
    trader = Trader()
    trader.account.fates.append(throttled)
    trader.minute(**ENTER)
    assert trader.standing() == []
    trader.cycle(55, enter=[("cross", SHORT)])
    assert len(trader.account.sent) == 1
    trader.minute()
    trader.minute(**ENTER)
    assert len(trader.account.sent) == 2
