"""What every Broker does, whoever it is: one suite, a desk for each.

A desk gives the suite a broker that trades EURUSD, and `candle`: the market moves through one
candle and the desk returns what the broker reported of it.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest

from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.domain.errors import ConfigurationError
from app.domain.market import Candle, Timeframe
from app.domain.orders import (
    Action,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    OrderGone,
    OrderKind,
    OrderState,
)
from app.domain.signals import Direction
from app.ports import Broker
from app.risk.limits import ApprovedOrder

M1 = Timeframe("M1")
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Desk(NamedTuple):
    broker: Broker
    candle: Callable[..., Sequence[Deal | OrderGone]]


def paper_desk() -> Desk:
    broker, opened = PaperBroker(PaperTerms(), ["EURUSD"]), [MONDAY]

    def candle(open_, high=None, low=None):
        time = opened[0]
        opened[0] += M1.delta
        return broker.on_candle(
            Candle("EURUSD", M1, time, time + M1.delta, open_, high or open_, low or open_, open_)
        )

    return Desk(broker, candle)


@pytest.fixture(params=[paper_desk], ids=["paper"])
def desk(request) -> Desk:
    return request.param()


def intent(**fields) -> Intent:
    return Intent(
        **{
            "client_id": "ABCDEFGHIJKLMNO",
            "strategy": "a strategy with a very long name",
            "magic": 2**53 - 1,
            "symbol": "EURUSD",
            "timeframe": M1,
            "candle_time": MONDAY,
            "action": Action.ENTRY,
            "leg": 0,
            "direction": Direction.LONG,
            "kind": OrderKind.MARKET,
            "volume": Decimal("0.10"),
        }
        | fields
    )


def send(desk, **fields):
    return desk.broker.submit(ApprovedOrder(intent(**fields)))


def buy(desk, **fields):
    """Return the deal that opened a position."""
    desk.candle(1.1)
    assert send(desk, **fields).state in {OrderState.PLACED, OrderState.FILLED}
    [deal] = desk.candle(1.1)
    return deal


def leave(desk, position, volume):
    return send(
        desk,
        action=Action.EXIT,
        client_id="EXIT",
        ticket=position,
        volume=Decimal(volume),
        close_reason=CloseReason.PROFIT_GUARD,
    )


def test_it_says_what_it_is(desk):
    assert desk.broker.name


def test_the_account_adds_up(desk):
    buy(desk)
    account = desk.broker.account()
    floating = sum(position.profit for position in desk.broker.positions())
    assert account.equity == account.balance + floating
    assert account.margin_free == account.equity - account.margin
    assert account.margin > 0
    assert len(account.currency) == 3


def test_it_knows_the_rules_of_its_symbols_and_no_others(desk):
    rules = desk.broker.rules("EURUSD")
    assert (rules.symbol, rules.digits, rules.pip) == ("EURUSD", 5, Decimal("0.0001"))
    with pytest.raises(ConfigurationError, match="did you mean 'EURUSD'"):
        desk.broker.rules("EURUSB")


def test_it_quotes_the_latest_price(desk):
    desk.candle(1.1)
    desk.candle(1.2)
    quote = desk.broker.quote("EURUSD")
    assert quote.bid == 1.2
    assert quote.ask >= quote.bid
    assert quote.time.utcoffset() == timedelta(0)


def test_it_knows_what_a_move_of_one_lot_is_worth(desk):
    desk.candle(1.1)
    assert desk.broker.money_per_lot("EURUSD") == 100_000


def test_an_entry_becomes_a_deal_and_a_position_that_name_it(desk):
    """I7: the client id, at most 15 characters, survives at the start of the comment."""
    deal = buy(desk, stop_loss=Decimal("1.09000"), take_profit=Decimal("1.12000"))
    assert (deal.entry, deal.direction, deal.volume) == (
        DealEntry.IN,
        Direction.LONG,
        Decimal("0.10"),
    )
    [position] = desk.broker.positions()
    assert (position.ticket, position.price_open) == (deal.position, deal.price)
    assert (position.stop_loss, position.take_profit) == (Decimal("1.09"), Decimal("1.12"))
    for carrier in (deal, position):
        assert carrier.comment.startswith("ABCDEFGHIJKLMNO")
        assert len(carrier.comment) <= 31
        assert carrier.magic == 2**53 - 1


def test_a_pending_order_is_listed_until_it_is_cancelled(desk):
    desk.candle(1.1)
    placed = send(desk, kind=OrderKind.LIMIT, price=Decimal("1.09000"))
    [order] = desk.broker.orders()
    assert (order.ticket, order.kind, order.price) == (
        placed.ticket,
        OrderKind.LIMIT,
        Decimal("1.09"),
    )
    assert order.comment.startswith("ABCDEFGHIJKLMNO")
    assert desk.broker.cancel(placed.ticket).state is not OrderState.REJECTED
    [gone] = desk.candle(1.1)
    assert (gone.ticket, gone.client_id) == (placed.ticket, "ABCDEFGHIJKLMNO")
    assert desk.broker.orders() == []
    assert desk.broker.cancel(placed.ticket).state is OrderState.REJECTED


def test_a_pending_order_fills_when_the_market_reaches_it(desk):
    desk.candle(1.1)
    send(desk, kind=OrderKind.LIMIT, price=Decimal("1.09000"))
    [deal] = desk.candle(1.1, low=1.08)
    assert deal.price == Decimal("1.09")
    assert desk.broker.orders() == []


@pytest.mark.parametrize(
    ("level", "reason"),
    [("1.09000", CloseReason.STOP_LOSS), ("1.12000", CloseReason.TAKE_PROFIT)],
)
def test_stops_close_the_position_and_say_so(desk, level, reason):
    opened = buy(desk, stop_loss=Decimal("1.09000"), take_profit=Decimal("1.12000"))
    move = {"low": 1.08} if reason is CloseReason.STOP_LOSS else {"high": 1.13}
    [deal] = desk.candle(1.1, **move)
    assert (deal.entry, deal.position, deal.reason) == (DealEntry.OUT, opened.position, reason)
    assert abs(deal.price - Decimal(level)) <= Decimal("0.0001")
    assert desk.broker.positions() == []


def test_both_stops_can_be_set_and_removed(desk):
    opened = buy(desk)
    done = desk.broker.modify(
        opened.position, stop_loss=Decimal("1.08000"), take_profit=Decimal("1.13000")
    )
    assert done.state is not OrderState.REJECTED
    [position] = desk.broker.positions()
    assert (position.stop_loss, position.take_profit) == (Decimal("1.08"), Decimal("1.13"))
    desk.broker.modify(opened.position, stop_loss=None, take_profit=None)
    [position] = desk.broker.positions()
    assert (position.stop_loss, position.take_profit) == (None, None)


def test_a_stop_on_the_wrong_side_is_rejected_with_a_reason(desk):
    opened = buy(desk)
    result = desk.broker.modify(opened.position, stop_loss=Decimal("1.20000"), take_profit=None)
    assert result.state is OrderState.REJECTED
    assert result.reason


def test_a_position_is_closed_in_part_then_whole(desk):
    """I9: never more than is open."""
    opened = buy(desk)
    leave(desk, opened.position, "0.04")
    [part] = desk.candle(1.1)
    assert (part.volume, part.position) == (Decimal("0.04"), opened.position)
    assert part.comment.startswith("EXIT")
    assert part.reason is CloseReason.PROFIT_GUARD
    assert desk.broker.positions()[0].volume == Decimal("0.06")
    leave(desk, opened.position, "0.06")
    [rest] = desk.candle(1.1)
    assert rest.volume == Decimal("0.06")
    assert desk.broker.positions() == []


def test_closing_what_is_gone_is_rejected_with_a_reason(desk):
    opened = buy(desk)
    leave(desk, opened.position, "0.10")
    desk.candle(1.1)
    result = leave(desk, opened.position, "0.10")
    assert result.state is OrderState.REJECTED
    assert result.reason
    assert desk.candle(1.1) == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"volume": Decimal("0.001")},
        {"symbol": "EURUSB"},
        {"stop_loss": Decimal("1.20000")},
        {"kind": OrderKind.LIMIT, "price": Decimal("1.20000")},
        {"volume": Decimal(90)},
    ],
)
def test_a_bad_order_is_rejected_with_a_reason_and_leaves_nothing(desk, bad):
    desk.candle(1.1)
    result = send(desk, **bad)
    assert result.state is OrderState.REJECTED
    assert result.reason
    assert desk.candle(1.1) == ()
    assert (desk.broker.orders(), desk.broker.positions()) == ([], [])


def test_an_order_without_money_says_so_first(desk):
    desk.candle(1.1)
    assert send(desk, volume=Decimal(90)).reason.startswith("no money")


def test_the_ledger_tells_all_deals_since_a_time_and_sums_to_the_balance(desk):
    opened = buy(desk)
    leave(desk, opened.position, "0.10")
    [closed] = desk.candle(1.11)
    deals = desk.broker.deals(ANY_TIME)
    assert list(deals[-2:]) == [opened, closed]
    assert sum(deal.net for deal in deals) == desk.broker.account().balance
    assert list(desk.broker.deals(closed.time)) == [closed]
    assert list(desk.broker.deals(closed.time + timedelta(days=1))) == []
