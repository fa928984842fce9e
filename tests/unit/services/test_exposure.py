"""What the account may have at stake, pessimistically, and what happens beyond it (I15).

Where a rule was removed to see its test fail, the docstring says so.
"""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.orders import BlockReason, CloseReason
from app.events import PositionClosedEvent
from tests.fates import FINE, NEVER_ARRIVED, REFUSED, Fate, Reply
from tests.ledger import replace
from tests.trader import LONG, SHORT, Trader, strategy

MANY = tuple(strategy(f"s{at}") for at in range(5))
ALL = [(one.name, LONG) for one in MANY]
SYMBOL, TOTAL = BlockReason.MAX_SYMBOL_VOLUME, BlockReason.MAX_TOTAL_VOLUME


def test_flattening_goes_on_until_nothing_is_left_though_two_of_five_are_refused() -> None:
    """The rest is closed at once, the two soon after. Red with exits that give up."""
    trader = Trader(*MANY, limits={"daily_loss_limit": Decimal(120)}, flatten_on_breach=True)
    trader.minute(enter=ALL)
    trader.account.prices["EURUSD"] = Decimal("1.09750")
    trader.account.fates.extend((FINE, REFUSED, FINE, REFUSED, FINE, REFUSED))
    trader.cycle()
    assert len(trader.account.held) == 2
    assert trader.standing() == [BlockReason.DAILY_LOSS_LIMIT]
    trader.wait(4)
    assert trader.account.held == {}
    reasons = [event.reason for event in trader.of(PositionClosedEvent)]
    assert reasons == [CloseReason.LOSS_LIMIT] * 5


def test_without_flattening_a_breach_leaves_what_is_open_to_its_stops() -> None:
    """Red with the setting ignored."""
    trader = Trader(*MANY, limits={"daily_loss_limit": Decimal(120)})
    trader.minute(enter=ALL)
    trader.account.prices["EURUSD"] = Decimal("1.09750")
    trader.wait(3)
    assert len(trader.account.held) == 5


@pytest.mark.parametrize("flatten", [True, False])
def test_flattening_withdraws_what_waits_also_when_nothing_is_open(*, flatten: bool) -> None:
    """It would open a position beyond the limit. Red with only open positions looked after."""
    trader = Trader(
        strategy(), strategy("limit", atr_distance=1.0), flatten_on_breach=flatten,
        limits={"daily_loss_limit": Decimal(45)},
    )  # fmt: skip
    trader.minute(enter=[("cross", LONG), ("limit", SHORT)])
    trader.account.prices["EURUSD"] = Decimal("1.09550")
    trader.account.close_by_hand(*trader.account.held)
    trader.cycle()
    assert len(trader.account.waiting) == (not flatten)


def test_a_day_whose_result_is_not_known_flattens_nothing_and_breaks_nothing() -> None:
    """A new day, and no history. Red with the silence handled like a fault of ours."""
    trader = Trader(*MANY, flatten_on_breach=True)
    trader.minute(enter=ALL)
    trader.account.no_history = True
    trader.cycle(24 * 3600)
    assert trader.failures == []
    assert len(trader.account.held) == 5


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        ({"max_symbol_volume": Decimal("0.20")}, [SYMBOL] * 3),
        ({"max_symbol_volume": Decimal("0.29")}, [SYMBOL] * 3),
        ({"max_total_volume": Decimal("0.30")}, [TOTAL] * 2),
        ({"max_total_volume": Decimal("0.50")}, []),
        ({"max_positions": 4}, [BlockReason.MAX_POSITIONS]),
        ({"daily_loss_limit": Decimal(59)}, [BlockReason.LOSS_AT_RISK] * 3),
    ],
)
@pytest.mark.parametrize(
    "fate",
    [
        FINE,
        NEVER_ARRIVED,
        replace(FINE, fills_after=30),
        replace(FINE, unseen=120),
        replace(FINE, deal_later=120),
        replace(FINE, position_later=120),
        replace(NEVER_ARRIVED, times=1, unseen=120),
    ],
    ids=["filled", "unknown", "in flight", "unseen", "no deal", "no position", "unknown, filled"],
)
@pytest.mark.parametrize("restart", [False, True])
def test_what_was_sent_counts_wherever_it_is(
    limits: dict[str, Any], refused: list[BlockReason], fate: Fate, *, restart: bool
) -> None:
    """Open, in flight, unknown, shown in part; in one cycle or over restarts.

    What is unknown in a cycle each: a broker that leaves two unanswered gets no third.

    Red with any of them left out of `OpenTrades.exposure`. What is both may count twice: then more
    is refused, never less.
    """
    trader = Trader(*MANY, limits=limits)
    trader.account.fates.extend([fate] * 5)
    if restart or fate.reply is Reply.LOST:
        for signal in ALL:
            trader.minute(enter=[signal])
            if restart:
                trader.restart()
    else:
        trader.minute(enter=ALL)
    sent = len(trader.account.sent)
    assert sent + len(trader.refused()) == 5
    assert sent <= 5 - len(refused)
    if fate in (FINE, NEVER_ARRIVED) or not restart:
        assert trader.refused() == refused


def test_lots_are_counted_by_symbol_and_in_all() -> None:
    """Red with one counted for the other."""
    trader = Trader(
        strategy(), strategy("two"), strategy("cable", symbol="GBPUSD"),
        strategy("sterling", symbol="GBPUSD"),
        limits={"max_symbol_volume": Decimal("0.10"), "max_total_volume": Decimal("0.20")},
    )  # fmt: skip
    names = ("cross", "two", "cable", "sterling")
    trader.minute(enter=[(name, LONG) for name in names])
    assert [intent.strategy for intent, _ in trader.account.sent] == ["cross", "cable"]
    assert trader.refused() == [SYMBOL, SYMBOL]


def test_strangers_lots_count_too() -> None:
    """Open or waiting: they are the account's. Red with ours alone."""
    for waits in (False, True):
        trader = Trader(limits={"max_symbol_volume": Decimal("0.35")})
        trader.account.stranger(volume=Decimal("0.30"), waits=waits)
        trader.cycle()
        trader.minute(enter=[("cross", LONG)])
        assert trader.refused() == [SYMBOL]
