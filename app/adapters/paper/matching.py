"""When and where a candle fills an order: pure rules over one candle of bid prices.

A candle tells its extremes but not their order; wherever that matters the worse case is taken.
The rules are told in words in ``docs/PAPER_BROKER.md``.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from app.domain.market import Candle, SymbolRules
from app.domain.orders import CloseReason, OrderKind
from app.domain.signals import Direction


class Bar(msgspec.Struct, frozen=True):
    """A candle of bid prices in Decimal, with the spread and slippage (price) that go with it."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    spread: Decimal
    slippage: Decimal

    def seen_by(self, side: Direction, bid: Decimal) -> Decimal:
        """Return what a trader on `side` pays or gets at `bid`: buyers see the ask."""
        return bid + self.spread if side is Direction.LONG else bid


def bar_of(candle: Candle, rules: SymbolRules, spread: int, slippage: int) -> Bar:
    """Return `candle` in the symbol's Decimal prices; `spread` and `slippage` are in points."""
    price = rules.price
    return Bar(
        candle.time,
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        spread * rules.point,
        slippage * rules.point,
    )


class Fill(msgspec.Struct, frozen=True):
    """A price, and whether it was already there when the candle opened."""

    price: Decimal
    at_open: bool


class Exit(msgspec.Struct, frozen=True):
    """The price at which a stop or target closes a position."""

    price: Decimal
    reason: CloseReason


def market_fill(bar: Bar, side: Direction) -> Decimal:
    """Return where a market order on `side` fills: the open, spread and slippage against it."""
    return bar.seen_by(side, bar.open) + side.sign * bar.slippage


def pending_fill(bar: Bar, kind: OrderKind, side: Direction, price: Decimal) -> Fill | None:
    """Return where a limit or stop order at `price` fills in `bar`; ``None`` if it is not touched.

    A limit order never fills worse than its price and gets the open when that is better; a stop
    order fills at its price or, when the candle opens beyond it, at the open, plus slippage.
    """
    opened = bar.seen_by(side, bar.open)
    waits_for_fall = (side is Direction.LONG) is (kind is OrderKind.LIMIT)
    if waits_for_fall:
        touched = bar.seen_by(side, bar.low) <= price
        there_already = opened <= price
    else:
        touched = bar.seen_by(side, bar.high) >= price
        there_already = opened >= price
    if not touched:
        return None
    at = opened if there_already else price
    if kind is OrderKind.STOP:
        at += side.sign * bar.slippage
    return Fill(at, there_already)


def protective_exit(
    bar: Bar, direction: Direction, stop_loss: Decimal | None, take_profit: Decimal | None
) -> Exit | None:
    """Return where `bar` closes a position that was open during all of it.

    The stop loss is a stop order and the take profit a limit order of the other side. When both
    are touched the stop counts, unless the candle opened beyond the target.
    """
    side = direction.opposite
    target = None if take_profit is None else pending_fill(bar, OrderKind.LIMIT, side, take_profit)
    if target is not None and target.at_open:
        return Exit(target.price, CloseReason.TAKE_PROFIT)
    stop = None if stop_loss is None else pending_fill(bar, OrderKind.STOP, side, stop_loss)
    if stop is not None:
        return Exit(stop.price, CloseReason.STOP_LOSS)
    return None if target is None else Exit(target.price, CloseReason.TAKE_PROFIT)


def rest_of_candle(
    bar: Bar, direction: Direction, price: Decimal, stop_loss: Decimal | None
) -> Bar:
    """Return what is known of `bar` after an order filled inside it at `price`.

    On the position's good side only the close is proven, on its bad side the whole range counts;
    unless the candle opened beyond the stop loss already (a stop order with a close stop), so that
    its range tells nothing about the time after the fill: then the close decides there as well.
    """
    start = price - bar.spread if direction is Direction.LONG else price
    low, high = min(start, bar.close), max(start, bar.close)
    opened = bar.seen_by(direction.opposite, bar.open)
    if stop_loss is None or (opened - stop_loss) * direction.sign > 0:
        low, high = (bar.low, high) if direction is Direction.LONG else (low, bar.high)
    return msgspec.structs.replace(bar, open=start, high=high, low=low)
