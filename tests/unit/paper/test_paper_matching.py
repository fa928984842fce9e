"""The fill rules over one candle."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.paper.matching import (
    Bar,
    market_fill,
    pending_fill,
    protective_exit,
    rest_of_candle,
)
from app.domain.orders import CloseReason, OrderKind
from app.domain.signals import Direction

LONG, SHORT = Direction.LONG, Direction.SHORT
LIMIT, STOP = OrderKind.LIMIT, OrderKind.STOP
SL, TP = CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT


def bar(open_, high, low, close, spread=2):
    """Prices near 100, spread 2, slippage 1."""
    prices = (Decimal(value) for value in (open_, high, low, close, spread, 1))
    return Bar(datetime(2025, 1, 6, tzinfo=UTC), *prices)


def test_market_orders_fill_at_the_open_with_the_costs_against_them():
    assert market_fill(bar(100, 110, 90, 105), LONG) == 103
    assert market_fill(bar(100, 110, 90, 105), SHORT) == 99


@pytest.mark.parametrize(
    ("kind", "side", "price", "filled", "at_open"),
    [
        (LIMIT, LONG, 95, 95, False),
        (LIMIT, LONG, 92, 92, False),
        (LIMIT, LONG, 91, None, None),
        (LIMIT, LONG, 104, 102, True),
        (LIMIT, SHORT, 108, 108, False),
        (LIMIT, SHORT, 110, 110, False),
        (LIMIT, SHORT, 111, None, None),
        (LIMIT, SHORT, 97, 100, True),
        (STOP, LONG, 108, 109, False),
        (STOP, LONG, 112, 113, False),
        (STOP, LONG, 113, None, None),
        (STOP, LONG, 101, 103, True),
        (STOP, SHORT, 95, 94, False),
        (STOP, SHORT, 90, 89, False),
        (STOP, SHORT, 89, None, None),
        (STOP, SHORT, 104, 99, True),
    ],
)
def test_pending_orders_fill_when_touched_and_at_the_open_after_a_gap(
    kind, side, price, filled, at_open
):
    """Buys look at the ask (bid + 2); stops slip by 1, limits never do."""
    fill = pending_fill(bar(100, 110, 90, 105), kind, side, Decimal(price))
    assert (fill and fill.price, fill and fill.at_open) == (filled, at_open)


@pytest.mark.parametrize(
    ("direction", "stop", "target", "price", "reason"),
    [
        (LONG, 95, 115, 94, SL),
        (LONG, 85, 108, 108, TP),
        (LONG, 95, 108, 94, SL),
        (LONG, 85, 115, None, None),
        (LONG, None, None, None, None),
        (LONG, 101, 120, 99, SL),
        (LONG, 90, 99, 100, TP),
        (SHORT, 112, 80, 113, SL),
        (SHORT, 113, 92, 92, TP),
        (SHORT, 113, 91, None, None),
        (SHORT, 111, 95, 112, SL),
        (SHORT, 101, 80, 103, SL),
        (SHORT, 112, 104, 102, TP),
    ],
)
def test_protective_exits(direction, stop, target, price, reason):
    """Both touched: the stop; a gap through the target: the open; shorts are closed at the ask."""
    out = protective_exit(
        bar(100, 110, 90, 105),
        direction,
        None if stop is None else Decimal(stop),
        None if target is None else Decimal(target),
    )
    assert (out and out.price, out and out.reason) == (price, reason)


def test_after_a_fill_inside_the_candle_a_target_needs_the_close():
    below = rest_of_candle(bar(100, 110, 90, 105), LONG, Decimal(96), Decimal(80))
    assert protective_exit(below, LONG, Decimal(80), Decimal(106)) is None
    assert protective_exit(below, LONG, Decimal(80), Decimal(105)).price == 105
    above = rest_of_candle(bar(100, 110, 90, 93), SHORT, Decimal(108), Decimal(120))
    assert protective_exit(above, SHORT, Decimal(120), Decimal(94)) is None
    assert protective_exit(above, SHORT, Decimal(120), Decimal(95)).price == 95


def test_after_a_fill_inside_the_candle_the_whole_range_counts_for_the_stop():
    rest = rest_of_candle(bar(100, 110, 90, 105), LONG, Decimal(108), Decimal(95))
    assert protective_exit(rest, LONG, Decimal(95), None).reason is SL
    rest = rest_of_candle(bar(100, 110, 90, 95), SHORT, Decimal(92), Decimal(110))
    assert protective_exit(rest, SHORT, Decimal(110), None).reason is SL


def test_a_stop_the_candle_opened_beyond_counts_only_when_the_close_is_beyond_it():
    """A breakout order with a close stop is not stopped out by the path that led to its fill."""
    rest = rest_of_candle(bar(100, 110, 90, 105), LONG, Decimal(108), Decimal(104))
    assert protective_exit(rest, LONG, Decimal(104), None) is None
    rest = rest_of_candle(bar(100, 110, 90, 103), LONG, Decimal(108), Decimal(104))
    assert protective_exit(rest, LONG, Decimal(104), None).price == 103
    rest = rest_of_candle(bar(100, 110, 90, 93), SHORT, Decimal(92), Decimal(97))
    assert protective_exit(rest, SHORT, Decimal(97), None) is None
    rest = rest_of_candle(bar(100, 110, 90, 96), SHORT, Decimal(92), Decimal(97))
    assert protective_exit(rest, SHORT, Decimal(97), None).price == 98


price = st.integers(50, 150).map(Decimal)


@st.composite
def bars(draw):
    prices = sorted(draw(st.lists(price, min_size=4, max_size=4)))
    inner = draw(st.permutations(prices[1:3]))
    return bar(inner[0], prices[3], prices[0], inner[1], draw(st.integers(0, 5)))


@settings(max_examples=200)
@given(bars(), st.sampled_from([LIMIT, STOP]), st.sampled_from([LONG, SHORT]), price)
def test_a_limit_is_never_worse_and_a_stop_never_better_than_its_price(bar, kind, side, price):
    fill = pending_fill(bar, kind, side, price)
    if fill is not None:
        worse_by = (fill.price - price) * side.sign
        assert worse_by <= 0 if kind is LIMIT else worse_by >= bar.slippage


@settings(max_examples=200)
@given(bars(), st.sampled_from([LONG, SHORT]), price, price, st.integers(0, 5))
def test_looking_at_the_rest_of_a_candle_never_helps_a_position(
    bar, direction, entry, other, spread
):
    """A stop not passed at the open: if the whole candle touches it, the rest does too."""
    target, stop = entry + 200 * direction.sign, other
    opened = bar.seen_by(direction.opposite, bar.open)
    whole = protective_exit(bar, direction, stop, target)
    rest = protective_exit(rest_of_candle(bar, direction, entry, stop), direction, stop, target)
    if (opened - stop) * direction.sign > 0 and whole is not None:
        assert rest is not None
        assert rest.reason is SL
