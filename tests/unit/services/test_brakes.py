"""What keeps entries from being made, and what ends it (I10, I12)."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain.orders import Action, BlockReason, Deal, IntentState
from app.events import (
    OrderCancelledEvent,
    PositionClosedEvent,
    TradingBlockedEvent,
    TradingResumedEvent,
)
from app.ports import Switch
from tests.fates import FINE, REFUSED
from tests.ledger import replace
from tests.trader import LONG, MONDAY, SHORT, Trader, opened, strategy

LOSS = Decimal("1.09700")


class File:
    """The kill switch, set by hand."""

    def __init__(self) -> None:
        self.set: Switch | None = None

    def __call__(self) -> Switch | None:
        return self.set


def stopped_out(**settings: Any) -> Trader:
    """Return a trader that has just lost 31 on a position."""
    trader = opened(Trader(**settings))
    trader.account.move("EURUSD", LOSS)
    trader.cycle()
    assert len(trader.of(PositionClosedEvent)) == 1
    return trader


def enter(trader: Trader, name: str = "cross") -> BlockReason | None:
    """Let a strategy ask for an entry; return why it was refused."""
    before = len(trader.refused())
    trader.minute(enter=[(name, LONG)])
    return next(iter(trader.refused()[before:]), None)


def test_the_days_loss_blocks_for_the_rest_of_the_brokers_day() -> None:
    """I12, I13: through a crash, up to 17:00 in New York. Red with `until` left out."""
    trader = stopped_out(limits={"daily_loss_limit": Decimal(25)}, zone="NY+7")
    assert enter(trader) is BlockReason.DAILY_LOSS_LIMIT
    trader.restart()
    assert enter(trader) is BlockReason.DAILY_LOSS_LIMIT
    trader.now = MONDAY.replace(hour=21, minute=58)
    assert enter(trader) is BlockReason.DAILY_LOSS_LIMIT
    trader.now = MONDAY.replace(hour=22)
    trader.cycle()
    assert enter(trader) is None


def test_a_drawdown_blocks_until_the_operator_has_looked_and_counts_anew_then() -> None:
    """I12. Red without `forget_drawdown`: the next entry would be blocked again at once."""
    switch = File()
    trader = stopped_out(limits={"max_drawdown": Decimal(25)}, switch=switch)
    assert enter(trader) is BlockReason.MAX_DRAWDOWN
    trader.now += timedelta(days=3)
    assert enter(trader) is BlockReason.MAX_DRAWDOWN
    switch.set = Switch(True, trader.now, "seen")
    trader.cycle()
    assert [event.reason for event in trader.of(TradingResumedEvent)] == [BlockReason.MAX_DRAWDOWN]
    assert enter(trader) is None
    trader.minute(leave=[("cross", LONG)])
    trader.restart()
    assert enter(trader) is None


def test_a_crash_after_the_operator_lifted_a_drawdown_does_not_bring_it_back() -> None:
    """Red with the new beginning noted after the blocks are lifted, which is durable at once."""
    switch = File()
    trader = stopped_out(limits={"max_drawdown": Decimal(25)}, switch=switch)
    enter(trader)
    switch.set = Switch(True, trader.now, "seen")
    trader.service.desks.brakes.look(trader.now)
    trader.restart()
    assert enter(trader) is None


def test_a_long_history_is_read_before_the_first_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account's years are many requests. Red when the first entry has to ask for them."""
    trader = Trader(limits={"max_drawdown": Decimal(25)})
    asked: list[datetime] = []
    deals = trader.account.deals

    def asked_for(since: datetime) -> Sequence[Deal]:
        asked.append(since)
        return deals(since)

    monkeypatch.setattr(trader.account, "deals", asked_for)
    assert enter(trader) is None
    assert asked
    assert min(asked) > trader.now - timedelta(days=8)


def test_the_kill_switch_stops_entries_and_lets_exits_and_stops_work() -> None:
    """I10. Red with `disable` ignored, or with exits that ask the blocks."""
    switch = File()
    trader = opened(Trader(strategy(), strategy("other"), switch=switch))
    switch.set = Switch(False, trader.now, "holiday")
    assert enter(trader, "other") is BlockReason.KILL_SWITCH
    trader.account.drop_stop(trader.plans[0].ticket)
    trader.wait(2)
    assert trader.account.positions()[0].stop_loss is not None
    trader.minute(leave=[("cross", LONG)])
    assert trader.account.held == {}
    trader.restart()
    assert enter(trader, "other") is BlockReason.KILL_SWITCH


def test_what_waits_is_withdrawn_once_it_would_not_be_sent_any_more() -> None:
    """The kill switch pauses entries: also the one that waits for its price. Red without it."""
    switch = File()
    trader = Trader(strategy(atr_distance=1.0), switch=switch)
    trader.minute(enter=[("cross", LONG)])
    assert len(trader.account.waiting) == 1
    switch.set = Switch(False, trader.now)
    trader.minute()
    assert trader.account.waiting == {}
    trader.wait(3)
    assert len(trader.of(OrderCancelledEvent)) == 1


def test_enable_lifts_every_block_once() -> None:
    """A file that stays lifts nothing that is set later, also after a restart.

    Red without the `switch` kept in the journal.
    """
    switch = File()
    trader = Trader(switch=switch)
    trader.service.desks.brakes.stop(BlockReason.UNKNOWN_ORDER, "look", trader.now)
    switch.set = Switch(True, trader.now, "seen")
    trader.cycle()
    assert trader.standing() == []
    trader.service.desks.brakes.stop(BlockReason.POSITION_MISSING, "look again", trader.now)
    trader.wait(3)
    trader.restart()
    trader.wait(3)
    assert trader.standing() == [BlockReason.POSITION_MISSING]


def test_enable_does_not_lift_what_the_operator_has_not_seen_yet() -> None:
    """Said while the daemon was away, it counts before what the start finds. Red in `look` only."""
    switch = File()
    trader = Trader(switch=switch)
    trader.service.desks.brakes.stop(BlockReason.POSITION_MISSING, "look", trader.now)
    switch.set = Switch(True, trader.now, "seen")
    trader.account.stranger(magic=trader.strategies["cross"].magic)
    trader.restart()
    trader.wait(3)
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]


def test_a_crash_after_enable_does_not_apply_it_twice() -> None:
    """Red with the switch noted after the blocks are lifted, which is durable at once."""
    switch = File()
    trader = Trader(switch=switch)
    trader.service.desks.brakes.stop(BlockReason.POSITION_MISSING, "look", trader.now)
    switch.set = Switch(True, trader.now, "seen")
    trader.service.desks.brakes.look(trader.now)
    trader.service.desks.brakes.stop(BlockReason.UNKNOWN_ORDER, "look again", trader.now)
    trader.restart()
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]


def test_a_strategy_cools_down_after_a_loss() -> None:
    """I12: through a crash, for its time. Red with a cooldown that blocks nobody, or for ever."""
    trader = stopped_out(cooldown=timedelta(minutes=10))
    assert enter(trader) is BlockReason.COOLDOWN
    trader.restart()
    assert enter(trader) is BlockReason.COOLDOWN
    trader.now += timedelta(minutes=10)
    trader.cycle()
    assert enter(trader) is None


def test_the_other_strategies_of_one_that_cools_down_go_on() -> None:
    trader = opened(Trader(strategy(), strategy("other"), cooldown=timedelta(minutes=10)))
    trader.account.move("EURUSD", LOSS)
    trader.cycle()
    assert enter(trader, "other") is None


def test_a_second_loss_makes_the_cooldown_last_longer() -> None:
    """Red with the first block staying as it is."""
    trader = Trader(cooldown=timedelta(minutes=10), limits={"positions_per_direction": 2})
    trader.minute(enter=[("cross", LONG)])
    trader.minute(enter=[("cross", LONG)])
    first, second = sorted(trader.account.held)
    trader.account.prices["EURUSD"] = Decimal("1.09900")
    trader.account.close_by_hand(first)
    trader.cycle()
    trader.wait(8, seconds=60)
    trader.account.close_by_hand(second)
    trader.cycle()
    trader.now += timedelta(minutes=3)
    trader.cycle()
    assert enter(trader) is BlockReason.COOLDOWN


def test_a_loss_of_long_ago_cools_nothing_down() -> None:
    """The daemon was away for longer: there is no block that nobody needs."""
    trader = opened(Trader(cooldown=timedelta(minutes=10)))
    trader.account.move("EURUSD", LOSS)
    trader.now += timedelta(hours=1)
    trader.restart()
    assert len(trader.of(PositionClosedEvent)) == 1
    assert trader.standing() == []


def refusals(trader: Trader, *reasons: str, blocks: BlockReason | None) -> None:
    """Let the broker refuse entries, each for a reason."""
    for reason in reasons:
        fate = replace(REFUSED, reason=reason, blocks=blocks) if reason else FINE
        trader.account.fates.append(fate)
        trader.minute(enter=[("cross", LONG)], leave=[("cross", LONG)])


REPEATED = BlockReason.REPEATED_REFUSALS


@pytest.mark.parametrize(
    ("reasons", "blocked"),
    [
        (("stops", "stops", "stops"), [REPEATED]),
        (("stops", "stops"), []),
        (("stops", "price", "stops", "price"), []),
        (("stops", "stops", "", "stops", "stops"), []),
        (("stops", "price", "stops", "stops"), [REPEATED]),
    ],
)
def test_the_same_mistake_three_times_in_a_row_blocks_the_strategy(
    reasons: tuple[str, ...], blocked: list[BlockReason]
) -> None:
    """Red with a count that is not by cause, or that an accepted order does not end."""
    trader = Trader(strategy(), strategy("other"))
    refusals(trader, *reasons, blocks=REPEATED)
    assert trader.standing() == blocked
    assert enter(trader, "other") is None


@pytest.mark.parametrize(
    ("reason", "own", "others"),
    [
        (BlockReason.TRADING_OFF, BlockReason.TRADING_OFF, BlockReason.TRADING_OFF),
        (BlockReason.NO_MONEY, BlockReason.NO_MONEY, None),
        (BlockReason.BROKER_REFUSED, BlockReason.BROKER_REFUSED, None),
        (BlockReason.MARKET_CLOSED, None, None),
        (None, None, None),
    ],
)
def test_whom_a_refusal_blocks_until_the_next_day(
    reason: BlockReason | None, own: BlockReason | None, others: BlockReason | None
) -> None:
    """Autotrading off stops all, no money one strategy, a closed market nobody."""
    trader = Trader(strategy(), strategy("other"))
    refusals(trader, "refused", blocks=reason)
    assert enter(trader) is own
    assert enter(trader, "other") is others
    trader.now += timedelta(days=1)
    trader.cycle()
    trader.minute(leave=[("cross", LONG), ("other", LONG)])
    assert enter(trader) is None


def test_a_refused_exit_blocks_nothing() -> None:
    """I10. Red without asking what was refused."""
    trader = opened(Trader())
    trader.account.fates.append(replace(REFUSED, blocks=BlockReason.TRADING_OFF))
    trader.minute(leave=[("cross", LONG)])
    assert trader.standing() == []
    trader.minute()
    assert trader.account.held == {}


def test_a_block_is_said_once_and_again_at_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """I28. Red without asking what stands."""
    caplog.set_level(logging.WARNING)
    trader = Trader()
    for _ in range(3):
        trader.service.desks.brakes.stop(BlockReason.UNKNOWN_ORDER, "a stranger", trader.now)
    assert len(trader.of(TradingBlockedEvent)) == 1
    said = "Entries blocked until the operator says ENABLE: unknown_order, a stranger"
    assert sum(said in record.getMessage() for record in caplog.records) == 1
    trader.restart()
    assert sum(said in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize("reason", list(BlockReason))
def test_whatever_blocks_entries_an_exit_goes_out(reason: BlockReason) -> None:
    """I10, I11: every reason there is. Red with an `admit` that asks blocks for exits too."""
    trader = opened(Trader(strategy(), strategy("other")))
    trader.service.desks.brakes.stop(reason, "whatever", trader.now)
    trader.minute(enter=[("other", SHORT)], leave=[("cross", LONG)])
    assert trader.refused() == [reason]
    assert trader.states(Action.EXIT) == [IntentState.FILLED]
    assert trader.account.held == {}


def test_what_is_found_while_entries_are_blocked_is_said_too_and_once() -> None:
    """Whoever lifts the block must know of it. Found by the million intents.

    Red when a block that stands already keeps the next finding quiet.
    """
    trader = Trader()
    magic = trader.strategies["cross"].magic
    for _ in range(2):
        trader.account.stranger(magic=magic)
        trader.wait(5)
    found = [event.detail for event in trader.of(TradingBlockedEvent)]
    assert len({detail.split(" in ")[0] for detail in found}) == len(found)
    assert sum("position" in detail for detail in found) == 2
    assert len(trader.journal.blocks(trader.now)) == 1
