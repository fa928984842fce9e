"""What the ticks do to orders and positions: by hand-drawn bars, to the point."""

from decimal import Decimal

import pytest

from app.bridge.feeds import symbol_of
from app.bridge.retcodes import Retcode
from app.bridge.values import Entry, OrderState, OrderType, Refused, Treatment

FALLS = (1.1, 1.1, 1.098, 1.099)
RISES = (1.1, 1.102, 1.1, 1.101)
GAP_DOWN = (1.095, 1.095, 1.095, 1.095)
GAP_UP = (1.105, 1.105, 1.105, 1.105)
D = Decimal


def refusal(action, *arguments, **fields):
    with pytest.raises(Refused) as refused:
        action(*arguments, **fields)
    return refused.value.code


def test_a_buy_fills_at_the_ask_and_is_worth_the_bid(scene):
    market = scene(spread=10)
    result = market.order()
    held = market.terminal.positions()[0]
    assert (result.retcode, result.price) == (Retcode.DONE, D("1.10010"))
    assert (held.price_current, held.profit) == (D("1.10000"), D("-1.00"))
    assert result.order == held.position.ticket != result.deal


STOPS = [
    # The order, its stops, the bars that come, and the deal that closes it.
    (OrderType.BUY, {"sl": 1.0985}, FALLS, ("STOP_LOSS", D("1.0985"))),
    (OrderType.BUY, {"sl": 1.0985}, GAP_DOWN, ("STOP_LOSS", D("1.09500"))),
    (OrderType.BUY, {"tp": 1.1015}, RISES, ("TAKE_PROFIT", D("1.1015"))),
    (OrderType.BUY, {"tp": 1.1015}, GAP_UP, ("TAKE_PROFIT", D("1.10500"))),
    (OrderType.SELL, {"sl": 1.1015}, RISES, ("STOP_LOSS", D("1.1015"))),
    (OrderType.SELL, {"sl": 1.1015}, GAP_UP, ("STOP_LOSS", D("1.10510"))),
    (OrderType.SELL, {"tp": 1.0985}, FALLS, ("TAKE_PROFIT", D("1.0985"))),
    (OrderType.SELL, {"tp": 1.0985}, GAP_DOWN, ("TAKE_PROFIT", D("1.09510"))),
]


@pytest.mark.parametrize(("kind", "stops", "bar", "deal"), STOPS)
def test_a_stop_is_hit_at_its_price_where_the_market_walks_and_beyond_it_where_it_jumps(
    scene, kind, stops, bar, deal
):
    market = scene((1.1,) * 4, bar)
    ticket = market.order(kind, **stops).order
    market.step(59)
    assert ticket in market.ledger.positions
    market.step(61)
    assert market.last_deal() == (*deal, D("0.1"))
    assert market.ledger.deals[-1].position_id == ticket
    assert not market.ledger.positions


PENDING = [
    (OrderType.BUY_LIMIT, 1.0985, FALLS, D("1.0985")),
    (OrderType.BUY_LIMIT, 1.0985, GAP_DOWN, D("1.09510")),
    (OrderType.SELL_LIMIT, 1.1015, RISES, D("1.1015")),
    (OrderType.SELL_LIMIT, 1.1015, GAP_UP, D("1.10500")),
    (OrderType.BUY_STOP, 1.1015, RISES, D("1.1015")),
    (OrderType.BUY_STOP, 1.1015, GAP_UP, D("1.10510")),
    (OrderType.SELL_STOP, 1.0985, FALLS, D("1.0985")),
    (OrderType.SELL_STOP, 1.0985, GAP_DOWN, D("1.09500")),
]


@pytest.mark.parametrize(("kind", "price", "bar", "filled"), PENDING)
def test_a_pending_order_waits_for_its_price(scene, kind, price, bar, filled):
    market = scene((1.1,) * 4, bar)
    ticket = market.order(kind, price=price).order
    market.step(59)
    assert ticket in market.ledger.waiting
    market.step(61)
    assert market.ledger.positions[ticket].price_open == filled
    assert market.ledger.done[ticket].state is OrderState.FILLED


def test_a_stop_limit_becomes_a_limit_at_its_price(scene):
    market = scene((1.1,) * 4, RISES, (1.101, 1.101, 1.1, 1.1))
    ticket = market.order(OrderType.BUY_STOP_LIMIT, price=1.1015, stop_limit=1.1005).order
    market.step(119)
    assert market.ledger.waiting[ticket].type is OrderType.BUY_LIMIT
    market.step(60)
    assert market.ledger.positions[ticket].price_open == D("1.1005")


def test_a_position_is_stopped_out_below_the_margin_level(scene):
    market = scene((1.1,) * 4, (1.1, 1.1, 1.06, 1.06))
    market.order(volume="2.3")
    market.step(180)
    assert market.ledger.deals[-1].reason.name == "STOP_OUT"
    assert market.ledger.deals[-1].comment.startswith("so: ")
    assert market.ledger.balance == sum(deal.net for deal in market.ledger.deals)


def test_swap_accrues_at_the_servers_midnight_and_three_times_on_wednesday(scene):
    market = scene(swap=D("-7"))
    ticket = market.order(volume="0.5").order
    day = 86_400
    swaps = []
    for _ in range(6):
        market.step(day)
        swaps.append(market.ledger.positions[ticket].swap)
    assert swaps == [D("-3.5"), D("-7"), D("-17.5"), D("-21"), D("-24.5"), D("-24.5")]


def test_swap_is_booked_with_the_part_that_is_closed(scene):
    market = scene((1.1,) * 4, *[(1.1,) * 4] * 1500, swap=D("-7"))
    ticket = market.order(volume="0.5").order
    market.step(86_400)
    market.close(ticket, "0.2")
    assert market.ledger.deals[-1].swap == D("-1.4")
    assert market.ledger.positions[ticket].swap == D("-2.1")


def test_commission_is_charged_on_both_sides(scene):
    market = scene(commission=D("3.5"))
    market.close(market.order(volume="0.5").order)
    assert [deal.commission for deal in market.ledger.deals[1:]] == [D("-1.75")] * 2


def test_a_netting_account_adds_reduces_closes_and_reverses(scene):
    market = scene(hedging=False, spread=0)
    first = market.order(volume="0.2", magic=1).order
    market.order(volume="0.1", magic=2)
    assert [held.volume for held in market.ledger.positions.values()] == [D("0.3")]
    market.order(OrderType.SELL, "0.1")
    assert market.ledger.positions[first].volume == D("0.2")
    turning = market.order(OrderType.SELL, "0.5").order
    held = market.ledger.positions[turning]
    assert (held.identifier, held.type.name, held.volume) == (first, "SELL", D("0.3"))
    assert market.ledger.deals[-1].entry is Entry.IN_OUT
    market.order(OrderType.BUY, "0.3")
    assert not market.ledger.positions


def test_a_close_larger_than_the_position_is_refused(scene):
    for hedging in (True, False):
        market = scene(hedging=hedging)
        ticket = market.order().order
        code = refusal(market.close, ticket, "0.2")
        assert code == Retcode.INVALID_CLOSE_VOLUME
        assert market.ledger.positions[ticket].volume == D("0.1")


def test_a_closed_position_cannot_be_closed_or_changed_again(scene):
    market = scene()
    ticket = market.order().order
    market.close(ticket)
    assert refusal(market.close, ticket) == Retcode.POSITION_CLOSED
    code = refusal(market.terminal.set_stops, "EURUSD", ticket, D("1.09"), None)
    assert code == Retcode.POSITION_CLOSED
    assert refusal(market.close, 4711) == Retcode.POSITION_CLOSED
    other = market.order().order
    assert refusal(market.terminal.close, "GBPUSD", other, None) == Retcode.INVALID


REFUSED = [
    ({"volume": "0.001"}, Retcode.INVALID_VOLUME),
    ({"volume": "0.015"}, Retcode.INVALID_VOLUME),
    ({"volume": "100.01"}, Retcode.INVALID_VOLUME),
    ({"volume": "-0.1"}, Retcode.INVALID_VOLUME),
    ({"sl": 1.1001}, Retcode.INVALID_STOPS),
    ({"sl": 1.09981}, Retcode.INVALID_STOPS),
    ({"sl": 1.0900001}, Retcode.INVALID_STOPS),
    ({"tp": 1.0999}, Retcode.INVALID_STOPS),
    ({"kind": OrderType.SELL, "tp": 1.1002}, Retcode.INVALID_STOPS),
    ({"kind": OrderType.BUY_LIMIT, "price": 1.1005}, Retcode.INVALID_PRICE),
    ({"kind": OrderType.BUY_STOP, "price": 1.09}, Retcode.INVALID_PRICE),
    ({"kind": OrderType.SELL_LIMIT}, Retcode.INVALID_PRICE),
    ({"kind": OrderType.BUY_STOP_LIMIT, "price": 1.11}, Retcode.INVALID_PRICE),
    ({"volume": "50"}, Retcode.NO_MONEY),
    ({"magic": 2**63}, Retcode.INVALID),
]


@pytest.mark.parametrize(("wrong", "code"), REFUSED)
def test_what_cannot_be_done_is_refused_with_its_code(scene, wrong, code):
    market = scene(symbol=symbol_of("EURUSD", stops_level=20))
    assert refusal(market.order, **wrong) == code
    assert not market.ledger.positions
    assert not market.ledger.waiting


def test_an_unknown_or_unwatched_symbol_takes_no_orders(scene):
    market = scene()
    assert market.terminal.select("EURUSD", enable=False)
    assert refusal(market.order) == Retcode.INVALID
    assert not market.terminal.select("eurusd", enable=True)
    assert market.terminal.select("EURUSD", enable=True)
    market.order()
    assert not market.terminal.select("EURUSD", enable=False)


def test_nothing_is_traded_at_the_weekend_not_even_a_close(scene):
    market = scene()
    ticket = market.order().order
    market.step(5 * 86_400)
    assert not market.terminal.tradable("EURUSD")
    assert refusal(market.order) == Retcode.MARKET_CLOSED
    assert refusal(market.close, ticket) == Retcode.MARKET_CLOSED
    market.step(2 * 86_400)
    assert market.close(ticket).retcode == Retcode.DONE


def test_a_stop_that_is_hit_withdraws_the_close_in_flight(scene):
    market = scene((1.1,) * 4, FALLS)
    ticket = market.order(sl=1.0985).order
    closing = market.terminal.close("EURUSD", ticket, None, Treatment(fill_after=300)).order
    market.step(400)
    assert market.ledger.done[closing].state is OrderState.CANCELED
    closed = [deal for deal in market.ledger.deals if deal.entry is Entry.OUT]
    assert [deal.reason.name for deal in closed] == ["STOP_LOSS"]


def test_stops_change_by_none_and_zero_and_say_when_nothing_changed(scene):
    market = scene()
    ticket = market.order(sl=1.09).order
    change = market.terminal.set_stops
    assert change("EURUSD", ticket, None, D("1.12")).retcode == Retcode.DONE
    held = market.ledger.positions[ticket]
    assert (held.sl, held.tp) == (D("1.09"), D("1.12"))
    assert refusal(change, "EURUSD", ticket, D("1.09"), None) == Retcode.NO_CHANGES
    assert change("EURUSD", ticket, D(0), None).retcode == Retcode.DONE
    assert market.ledger.positions[ticket].sl == 0


def test_what_the_market_is_about_to_reach_is_frozen(scene):
    market = scene(symbol=symbol_of("EURUSD", freeze_level=50))
    ticket = market.order(sl=1.0996).order
    assert refusal(market.terminal.set_stops, "EURUSD", ticket, D("1.09"), None) == Retcode.FROZEN
    pending = market.order(OrderType.BUY_LIMIT, price=1.0999).order
    assert refusal(market.terminal.cancel, pending) == Retcode.FROZEN


def test_a_pending_order_can_be_changed_and_withdrawn(scene):
    market = scene()
    ticket = market.order(OrderType.BUY_LIMIT, price=1.09).order
    change = market.terminal.change_order
    assert change(ticket, price=D("1.08"), sl=D("1.07"), tp=None).retcode == Retcode.DONE
    assert refusal(change, ticket, price=D("1.08"), sl=None, tp=None) == Retcode.NO_CHANGES
    assert refusal(change, ticket, price=D("1.2"), sl=None, tp=None) == Retcode.INVALID_PRICE
    assert market.terminal.cancel(ticket).retcode == Retcode.DONE
    assert refusal(market.terminal.cancel, ticket) == Retcode.INVALID
    assert market.ledger.done[ticket].state is OrderState.CANCELED


def test_a_pending_order_that_cannot_be_paid_when_it_is_reached_is_rejected(scene):
    market = scene((1.1,) * 4, FALLS)
    ticket = market.order(OrderType.BUY_LIMIT, "9", price=1.0985).order
    market.order(volume="5")
    market.step(120)
    assert market.ledger.done[ticket].state is OrderState.REJECTED
    assert ticket not in market.ledger.positions


def test_orders_wait_up_to_a_limit(scene):
    market = scene()
    for _ in range(200):
        market.order(OrderType.BUY_LIMIT, "0.01", price=1.0)
    assert refusal(market.order, OrderType.BUY_LIMIT, price=1.0) == Retcode.LIMIT_ORDERS


def test_the_accounts_figures_belong_together(scene):
    market = scene(spread=10)
    market.order(volume="1")
    market.order(OrderType.SELL, "0.4")
    account = market.terminal.account()
    assert account.margin == D("1100.10")  # the larger side: 100,000 x 1.1001 / 100
    assert account.equity == D("9986.00")  # 10 points of spread on 1.4 lots
    assert account.margin_free == account.equity - account.margin
    assert account.margin_level == D("907.74")
