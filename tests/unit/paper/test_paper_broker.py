"""The paper account from order to deal: fills, stops, exits, netting, margin, stop-out."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.adapters.paper.ledger import BEFORE_TRADING
from app.domain.errors import ConfigurationError
from app.domain.orders import CloseReason, DealEntry, OrderGone, OrderKind, OrderState
from app.domain.signals import Direction

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def prices(events):
    return [(event.entry.value, event.price) for event in events]


def opened(desk, direction="long", volume="1", **stops):
    """Return the position of a market order filled at the open of a quiet candle."""
    price = desk.broker.quote(desk.symbol).bid
    assert desk.enter(direction, volume, **stops).state is OrderState.PLACED
    [deal] = desk.candle(price)
    return deal.position


# Entries


def test_a_market_order_fills_at_the_next_open_with_spread_and_slippage(open_desk):
    desk = open_desk(spread_points=10.0, slippage_points=2.0)
    desk.candle(1.1, close=1.2)
    placed = desk.enter("long")
    assert (placed.state, placed.ticket) == (OrderState.PLACED, 1)
    assert [order.kind for order in desk.broker.orders()] == [OrderKind.MARKET]
    [deal] = desk.candle(1.3)
    assert (deal.price, deal.time) == (Decimal("1.30012"), MONDAY + MINUTE)
    assert (deal.order, deal.position, deal.entry) == (1, 1, DealEntry.IN)
    assert desk.broker.orders() == []
    desk.enter("short")
    [deal] = desk.candle(1.3)
    assert (deal.price, deal.position) == (Decimal("1.29998"), 2)


def test_a_deal_carries_what_identifies_its_order(open_desk):
    """I7: the client id stands first in the comment."""
    desk = open_desk()
    desk.candle(1.1)
    desk.enter("long")
    [deal] = desk.candle(1.1)
    assert (deal.comment, deal.magic, deal.reason) == ("ID1 cross", 77, None)
    [position] = desk.broker.positions()
    assert (position.comment, position.magic) == ("ID1 cross", 77)


@pytest.mark.parametrize(
    ("terms", "in_data", "ask"),
    [
        ({"spread_points": 5.0}, 11.0, 1.10005),
        ({"spread_points": None}, 11.0, 1.10011),
        ({"spread_points": None}, 10.2, 1.10011),
        ({"spread_points": None}, 0.0, 1.10008),
    ],
)
def test_the_spread_is_the_given_one_or_the_candles_or_the_usual_one(
    open_desk, terms, in_data, ask
):
    desk = open_desk(**terms)
    assert desk.broker.quote("EURUSD") is None
    desk.candle(1.1, spread=in_data)
    quote = desk.broker.quote("EURUSD")
    assert (quote.bid, quote.ask, quote.time) == (1.1, ask, MONDAY + MINUTE)


def test_a_pending_order_waits_until_it_is_touched(open_desk):
    desk = open_desk(spread_points=10.0)
    desk.candle(1.1)
    ticket = desk.enter("long", kind="limit", price="1.09").ticket
    assert desk.candle(1.1, low=1.08995) == []
    [waiting] = desk.broker.orders()
    assert (waiting.ticket, waiting.price, waiting.placed_at) == (
        ticket,
        Decimal("1.09"),
        MONDAY + MINUTE,
    )
    assert prices(desk.candle(1.1, low=1.0899)) == [("in", Decimal("1.09"))]


def test_a_breakout_order_fills_and_is_stopped_in_the_same_candle(open_desk):
    """Pessimistic: the low counts for the stop although it may have come before the fill."""
    desk = open_desk()
    desk.candle(1.1)
    desk.enter("long", kind="stop", price="1.11", sl="1.09", tp="1.12")
    happened = desk.candle(1.1, high=1.13, low=1.09, close=1.125)
    assert prices(happened) == [("in", Decimal("1.11")), ("out", Decimal("1.09"))]
    assert happened[1].reason is CloseReason.STOP_LOSS


def test_a_target_in_the_candle_of_the_fill_needs_its_close(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    desk.enter("long", kind="limit", price="1.09", sl="1.08", tp="1.105")
    assert prices(desk.candle(1.1, high=1.11, low=1.09)) == [("in", Decimal("1.09"))]
    [target] = desk.candle(1.1, high=1.11)
    assert (target.price, target.reason) == (Decimal("1.105"), CloseReason.TAKE_PROFIT)


def test_an_order_filled_by_a_gap_at_the_open_sees_the_whole_candle(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    desk.enter("long", kind="limit", price="1.09", sl="1.05", tp="1.12")
    happened = desk.candle(1.08, high=1.13, close=1.1)
    assert prices(happened) == [("in", Decimal("1.08")), ("out", Decimal("1.12"))]


def test_a_cancelled_order_is_reported_gone_by_the_next_candle(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    ticket = desk.enter("long", kind="limit", price="1.09").ticket
    assert desk.broker.cancel(ticket).state is OrderState.FILLED
    assert desk.candle(1.1) == [OrderGone(ticket, "ID1", "EURUSD", "cancelled")]
    assert desk.candle(1.08) == []
    assert desk.broker.cancel(ticket).reason == f"no pending order {ticket}"


def test_a_market_order_in_flight_cannot_be_cancelled(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    ticket = desk.enter("long").ticket
    assert desk.broker.cancel(ticket).reason == f"order {ticket} is a market order in flight"
    assert len(desk.candle(1.1)) == 1


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"volume": "0.001"}, "invalid volume 0.001"),
        ({"kind": "limit", "price": "1.2"}, "invalid limit price 1.2"),
        ({"kind": "stop"}, "invalid price: a stop order needs one"),
        ({"sl": "1.2"}, "invalid stop loss 1.2"),
        ({"kind": "limit", "price": "1.09", "sl": "1.095"}, "invalid stop loss 1.095"),
        ({"tp": "1.0"}, "invalid take profit 1.0"),
        ({"symbol": "EURUSB"}, "unknown symbol 'EURUSB' (did you mean 'EURUSD'?)"),
        ({"volume": "50"}, "no money: 55000.00 of margin needed, 10000.00 free"),
    ],
)
def test_a_bad_order_is_rejected_with_a_reason(open_desk, order, reason):
    desk = open_desk()
    desk.candle(1.1)
    result = desk.enter("long", **order)
    assert result.state is OrderState.REJECTED
    assert result.reason.startswith(reason)
    assert desk.candle(1.1) == []


def test_nothing_is_accepted_before_the_first_price(open_desk):
    assert open_desk().enter("long").reason == "off quotes: no price of EURUSD yet"


# Stops and targets


def test_a_quiet_candle_touches_nothing_and_floats_the_profit(open_desk):
    desk = open_desk(spread_points=10.0)
    desk.candle(1.1)
    opened(desk, sl="1.09", tp="1.12")
    assert desk.candle(1.1, high=1.1199, low=1.0901, close=1.105) == []
    [position] = desk.broker.positions()
    assert position.profit == Decimal("490.00")
    assert desk.broker.account().equity == Decimal("10490.00")


def test_shorts_are_closed_at_the_ask(open_desk):
    desk = open_desk(spread_points=10.0)
    desk.candle(1.1)
    opened(desk, "short", sl="1.11", tp="1.09")
    assert desk.candle(1.1, high=1.10989, low=1.08991) == []
    assert desk.broker.positions()[0].profit == Decimal("-10.00")
    [deal] = desk.candle(1.1, high=1.1099)
    assert (deal.price, deal.reason, deal.direction) == (
        Decimal("1.11"),
        CloseReason.STOP_LOSS,
        Direction.SHORT,
    )


def test_the_spread_of_the_candle_itself_can_stop_a_short(open_desk):
    desk = open_desk(spread_points=None)
    desk.candle(1.1)
    opened(desk, "short", sl="1.11")
    assert desk.candle(1.1, high=1.109, spread=99.0) == []
    assert prices(desk.candle(1.1, high=1.109, spread=100.0)) == [("out", Decimal("1.11"))]


def test_the_stop_counts_when_both_are_touched(open_desk):
    desk = open_desk(slippage_points=3.0)
    desk.candle(1.1)
    opened(desk, sl="1.09", tp="1.11")
    [deal] = desk.candle(1.1, high=1.12, low=1.08)
    assert (deal.price, deal.reason) == (Decimal("1.08997"), CloseReason.STOP_LOSS)
    assert deal.comment == "ID1 cross"


def test_a_gap_fills_stop_and_target_at_the_open(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    opened(desk, sl="1.09")
    opened(desk, tp="1.11")
    assert prices(desk.candle(1.07)) == [("out", Decimal("1.07"))]
    assert prices(desk.candle(1.12)) == [("out", Decimal("1.12"))]


def test_modified_stops_act_from_the_next_candle_on(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    ticket = opened(desk, sl="1.09")
    moved = desk.broker.modify(ticket, stop_loss=Decimal("1.095"), take_profit=Decimal("1.2"))
    assert (moved.state, moved.ticket) == (OrderState.FILLED, ticket)
    [position] = desk.broker.positions()
    assert (position.stop_loss, position.take_profit) == (Decimal("1.095"), Decimal("1.2"))
    assert prices(desk.candle(1.1, low=1.094)) == [("out", Decimal("1.095"))]


def test_removed_stops_no_longer_act(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    ticket = opened(desk, sl="1.09", tp="1.11")
    desk.broker.modify(ticket, stop_loss=None, take_profit=None)
    assert desk.candle(1.1, high=1.12, low=1.08) == []


def test_a_bad_modification_is_rejected_and_changes_nothing(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    ticket = opened(desk, sl="1.09")
    bad = desk.broker.modify(ticket, stop_loss=Decimal("1.1"), take_profit=None)
    assert bad.reason.startswith("invalid stop loss 1.1")
    assert desk.broker.positions()[0].stop_loss == Decimal("1.09")
    assert desk.broker.modify(9, stop_loss=None, take_profit=None).reason == "no position 9"


# Exits


def test_an_exit_fills_at_the_next_open_and_says_why(open_desk):
    desk = open_desk(spread_points=10.0, slippage_points=1.0)
    desk.candle(1.1)
    ticket = opened(desk)
    assert desk.exit(ticket, reason=CloseReason.MAX_DURATION).ticket == 2
    [leaving] = desk.broker.orders()
    assert (leaving.position, leaving.volume) == (ticket, Decimal(1))
    [deal] = desk.candle(1.2)
    assert (deal.price, deal.reason) == (Decimal("1.19999"), CloseReason.MAX_DURATION)
    assert (deal.order, deal.position, deal.comment) == (2, ticket, "ID2 cross")
    assert desk.broker.positions() == []


def test_an_exit_without_a_reason_is_a_signals(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    desk.exit(opened(desk, "short"))
    [deal] = desk.candle(1.1)
    assert (deal.reason, deal.direction) == (CloseReason.SIGNAL, Direction.SHORT)


def test_a_part_is_closed_and_the_rest_stays(open_desk):
    desk = open_desk()
    desk.candle(1.1)
    ticket = opened(desk)
    desk.exit(ticket, "0.4")
    [deal] = desk.candle(1.2)
    assert (deal.volume, deal.profit) == (Decimal("0.4"), Decimal("4000.00"))
    assert desk.broker.positions()[0].volume == Decimal("0.6")


def test_more_is_never_closed_than_is_open(open_desk):
    """I9: an exit larger than its position closes it; a second one finds it gone."""
    desk = open_desk()
    desk.candle(1.1)
    ticket = opened(desk, "short", "0.5")
    desk.exit(ticket, "2")
    second = desk.exit(ticket, "0.5").ticket
    closed, late = desk.candle(1.1)
    assert closed.volume == Decimal("0.5")
    assert late == OrderGone(second, "ID3", "EURUSD", f"position {ticket} is already closed")
    assert desk.exit(ticket).reason == f"position {ticket} is already closed"


@pytest.mark.parametrize(
    ("exit_", "reason"),
    [
        ({"ticket": 9}, "no position 9"),
        ({"ticket": None}, "no position None"),
        ({"ticket": 1, "symbol": "GBPUSD"}, "position 1 is in EURUSD, not GBPUSD"),
        ({"ticket": 1, "kind": "limit"}, "an exit is a market order, not a limit order"),
        ({"ticket": 1, "volume": "0.005"}, "invalid volume 0.005"),
        ({"ticket": 1, "volume": "NaN"}, "invalid volume NaN"),
    ],
)
def test_a_bad_exit_is_rejected_with_a_reason(open_desk, exit_, reason):
    desk = open_desk("EURUSD", "GBPUSD")
    desk.candle(1.3, symbol="GBPUSD")
    desk.candle(1.1)
    assert opened(desk) == 1
    result = desk.exit(**exit_)
    assert result.state is OrderState.REJECTED
    assert result.reason.startswith(reason)


# Money


def test_the_deposit_is_the_first_deal_and_stands_before_trading(open_desk):
    broker = open_desk(balance=Decimal(2500)).broker
    [deposit] = broker.deals(BEFORE_TRADING)
    assert (deposit.net, deposit.symbol, deposit.comment) == (Decimal(2500), "", "deposit")
    assert broker.deals(MONDAY) == []
    assert broker.account().balance == Decimal(2500)


def test_commission_is_charged_on_both_sides(open_desk):
    desk = open_desk(commission_per_lot=Decimal("3.5"))
    desk.candle(1.1)
    desk.exit(opened(desk, volume="0.3"))
    desk.candle(1.1)
    deals = desk.broker.deals(MONDAY)
    assert [deal.commission for deal in deals] == [Decimal("-1.05"), Decimal("-1.05")]
    assert desk.broker.account().balance == Decimal("9997.90")


def test_deals_are_given_from_a_time_on_in_order(open_desk):
    """Deals of a slower symbol's candle are put where they belong."""
    desk = open_desk("EURUSD", "GBPUSD")
    desk.candle(1.3, symbol="GBPUSD")
    desk.candle(1.1)
    desk.enter("long", "0.1", symbol="GBPUSD")
    for _ in range(3):
        opened(desk, volume="0.1")
    desk.candle(1.3, symbol="GBPUSD")
    times = [deal.time - MONDAY for deal in desk.broker.deals(MONDAY)]
    assert times == [MINUTE, MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert len(desk.broker.deals(MONDAY + 2 * MINUTE)) == 2


def test_margin_is_the_notional_over_the_leverage(open_desk):
    desk = open_desk("USDJPY", leverage=50)
    desk.candle(150.0)
    opened(desk)
    account = desk.broker.account()
    assert (account.margin, account.margin_free) == (Decimal("2000.00"), Decimal("8000.00"))
    assert (account.leverage, account.hedging, account.currency) == (50, True, "USD")


def test_a_hedge_ties_up_the_larger_side_only(open_desk):
    desk = open_desk("USDJPY")
    desk.candle(150.0)
    opened(desk, "long", "2")
    opened(desk, "short", "1.5")
    assert desk.broker.account().margin == Decimal("2000.00")


def test_orders_in_flight_count_against_free_margin(open_desk):
    desk = open_desk("USDJPY", balance=Decimal(1500))
    desk.candle(150.0)
    assert desk.enter("long").state is OrderState.PLACED
    assert desk.enter("long").reason == "no money: 1000.00 of margin needed, 500.00 free"
    assert desk.enter("short").state is OrderState.PLACED


def test_an_order_the_account_cannot_carry_when_it_fills_is_gone(open_desk):
    desk = open_desk(balance=Decimal(1150))
    desk.candle(1.1)
    ticket = desk.enter("long").ticket
    assert desk.candle(1.2) == [
        OrderGone(ticket, "ID1", "EURUSD", "no money: 1200.00 of margin needed, 1150.00 free")
    ]


def test_a_pending_order_without_money_is_gone_when_it_is_touched(open_desk):
    desk = open_desk(balance=Decimal(1200))
    desk.candle(1.1)
    ticket = desk.enter("long", kind="limit", price="1.05").ticket
    opened(desk, volume="0.2")
    [happened] = desk.candle(1.1, low=1.05)
    assert isinstance(happened, OrderGone)
    assert (happened.ticket, happened.reason[:8]) == (ticket, "no money")


# Stop-out


def test_the_account_is_stopped_out_at_the_candles_worst_price(open_desk):
    """Margin 1100: below 550 of equity (50 %) the position is closed."""
    desk = open_desk(balance=Decimal(2000))
    desk.candle(1.1)
    opened(desk)
    assert desk.candle(1.1, low=1.0855) == []
    [deal] = desk.candle(1.1, low=1.08549)
    assert (deal.price, deal.reason) == (Decimal("1.08549"), CloseReason.STOP_OUT)
    assert desk.broker.account().equity == Decimal("549.00")


def test_a_short_is_stopped_out_at_the_high_and_its_ask(open_desk):
    desk = open_desk(balance=Decimal(2000), spread_points=10.0)
    desk.candle(1.1)
    opened(desk, "short")
    assert desk.candle(1.1, high=1.1144) == []
    [deal] = desk.candle(1.1, high=1.1150)
    assert (deal.price, deal.reason) == (Decimal("1.1151"), CloseReason.STOP_OUT)


def test_the_worst_position_goes_first_and_only_as_many_as_needed(open_desk):
    desk = open_desk(balance=Decimal(4000))
    desk.candle(1.1)
    opened(desk, volume="0.5")
    desk.candle(1.12)
    worst = opened(desk)
    [deal] = desk.candle(1.12, low=1.092, close=1.1)
    assert (deal.position, deal.reason) == (worst, CloseReason.STOP_OUT)
    assert len(desk.broker.positions()) == 1


def test_a_loss_in_another_symbol_counts_at_its_latest_quote(open_desk):
    desk = open_desk("EURUSD", "GBPUSD", balance=Decimal(4000))
    desk.candle(1.3, symbol="GBPUSD")
    desk.candle(1.1)
    desk.enter("long", symbol="GBPUSD")
    desk.candle(1.3, symbol="GBPUSD")
    opened(desk)
    assert desk.candle(1.29, symbol="GBPUSD") == []
    assert desk.candle(1.1, low=1.09) == []
    [deal] = desk.candle(1.1, low=1.0819)
    assert (deal.symbol, deal.price) == ("EURUSD", Decimal("1.0819"))
    assert desk.candle(1.29, low=1.286, symbol="GBPUSD") == []
    [deal] = desk.candle(1.29, low=1.284, symbol="GBPUSD")
    assert deal.reason is CloseReason.STOP_OUT


def test_the_worst_position_may_be_another_symbols(open_desk):
    """It is closed at the latest quote of its own symbol."""
    desk = open_desk("EURUSD", "GBPUSD", balance=Decimal(4000))
    desk.candle(1.3, symbol="GBPUSD")
    desk.candle(1.1)
    desk.enter("long", symbol="GBPUSD")
    desk.candle(1.3, symbol="GBPUSD")
    opened(desk)
    desk.candle(1.28, symbol="GBPUSD")
    [deal] = desk.candle(1.1, low=1.09)
    assert (deal.symbol, deal.price) == ("GBPUSD", Decimal("1.28"))
    assert [position.symbol for position in desk.broker.positions()] == ["EURUSD"]


def test_an_opposite_hedge_is_valued_at_one_price(open_desk):
    """Both sides cannot be at their worst at once: a full hedge is not stopped out by range."""
    desk = open_desk(balance=Decimal(2000))
    desk.candle(1.1)
    opened(desk, "long")
    opened(desk, "short")
    assert desk.candle(1.1, high=1.2, low=1.0) == []


# Netting


def test_netting_averages_the_same_side(open_desk):
    desk = open_desk(hedging=False)
    desk.candle(1.1)
    first = opened(desk, sl="1.05")
    desk.candle(1.13)
    second = opened(desk, volume="2", tp="1.2")
    assert second == first
    [position] = desk.broker.positions()
    assert (position.volume, position.price_open) == (Decimal(3), Decimal("1.12"))
    assert (position.stop_loss, position.take_profit) == (Decimal("1.05"), Decimal("1.2"))
    assert desk.broker.account().margin == Decimal("3360.00")


def test_netting_reduces_closes_and_reverses_on_the_opposite_side(open_desk):
    desk = open_desk(hedging=False)
    desk.candle(1.1)
    first = opened(desk)
    assert opened(desk, "short", "0.4") == first
    assert desk.broker.positions()[0].volume == Decimal("0.6")
    desk.enter("short", "1")
    closing, opening = desk.candle(1.1)
    assert (closing.position, closing.volume, closing.entry) == (
        first,
        Decimal("0.6"),
        DealEntry.OUT,
    )
    assert (opening.position, opening.volume, opening.entry) == (
        opening.order,
        Decimal("0.4"),
        DealEntry.IN,
    )
    [position] = desk.broker.positions()
    assert (position.direction, position.ticket) == (Direction.SHORT, opening.order)
    assert opened(desk, "long", "0.4") == position.ticket
    assert desk.broker.positions() == []


def test_an_exit_never_turns_a_netted_position_round(open_desk):
    """I9."""
    desk = open_desk(hedging=False)
    desk.candle(1.1)
    ticket = opened(desk, volume="0.5")
    desk.exit(ticket, "3")
    desk.candle(1.1)
    assert desk.broker.positions() == []


def test_reducing_a_netted_position_needs_no_free_margin(open_desk):
    desk = open_desk(hedging=False, balance=Decimal(1110))
    desk.candle(1.1)
    opened(desk)
    assert desk.enter("short").state is OrderState.PLACED


def test_a_pending_order_that_reduces_a_netted_position_leaves_the_rest_protected(open_desk):
    desk = open_desk(hedging=False)
    desk.candle(1.1)
    opened(desk, tp="1.13", sl="1.05")
    desk.enter("short", "0.4", kind="limit", price="1.12")
    assert prices(desk.candle(1.1, high=1.125)) == [("out", Decimal("1.12"))]
    assert prices(desk.candle(1.1, high=1.13)) == [("out", Decimal("1.13"))]


# Symbols and candles


def test_an_unknown_symbol_is_the_operators_mistake(open_desk):
    desk = open_desk()
    for ask in (desk.broker.rules, desk.broker.quote, desk.broker.money_per_lot):
        with pytest.raises(ConfigurationError, match=r"does not trade 'EURUSB'.*did you mean"):
            ask("EURUSB")
    desk.minute["XAUUSD"] = 0
    with pytest.raises(ConfigurationError, match="does not trade 'XAUUSD'"):
        desk.candle(2000.0, symbol="XAUUSD")


def test_a_candle_that_is_not_newer_changes_nothing(open_desk):
    """X11, I19."""
    desk = open_desk()
    desk.candle(1.1)
    desk.enter("long")
    desk.minute["EURUSD"] = 0
    assert desk.candle(1.3) == []
    assert desk.broker.quote("EURUSD").bid == 1.1
    assert len(desk.broker.orders()) == 1


def test_a_symbol_nobody_holds_costs_no_decimal_work(open_desk):
    """The common candle is settled by comparing floats."""
    desk = open_desk()
    desk.candle(1.1)
    desk.broker._execution.match = None
    assert desk.candle(1.3) == []
