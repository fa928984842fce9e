"""What is wrong with an order, in the broker's words: pure checks, empty text when nothing is."""

from decimal import Decimal

from app.domain.market import SymbolRules
from app.domain.orders import OrderKind
from app.domain.signals import Direction


def volume_fault(rules: SymbolRules, volume: Decimal) -> str:
    """Say why `volume` (lots) cannot be traded."""
    if volume.is_finite() and volume > 0 and rules.volume(volume) == volume:
        return ""
    return (
        f"invalid volume {volume}: expected {rules.volume_min} to {rules.volume_max} lots "
        f"in steps of {rules.volume_step}"
    )


def price_fault(
    rules: SymbolRules, kind: OrderKind, side: Direction, price: Decimal | None, market: Decimal
) -> str:
    """Say why a pending order cannot wait at `price`; `market` is the ask for buys, else the bid.

    A buy limit and a sell stop wait below the market, a sell limit and a buy stop above it.
    """
    if price is None:
        return f"invalid price: a {kind} order needs one"
    below = (side is Direction.LONG) is (kind is OrderKind.LIMIT)
    return _level_fault(rules, f"{kind} price", price, market, below=below)


def stops_fault(
    rules: SymbolRules,
    direction: Direction,
    market: Decimal,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
) -> str:
    """Say why a position cannot carry these stops.

    `market` is the price it would be closed at now, or the price of the pending order.
    """
    is_long = direction is Direction.LONG
    fault = ""
    if stop_loss is not None:
        fault = _level_fault(rules, "stop loss", stop_loss, market, below=is_long)
    if take_profit is not None and not fault:
        fault = _level_fault(rules, "take profit", take_profit, market, below=not is_long)
    return fault


def _level_fault(
    rules: SymbolRules, what: str, price: Decimal, market: Decimal, *, below: bool
) -> str:
    if not (price.is_finite() and price > 0 and rules.price(price) == price):
        return f"invalid {what} {price}: expected a positive price of {rules.digits} digits"
    distance = market - price if below else price - market
    if distance <= 0:
        side = "below" if below else "above"
        return f"invalid {what} {price}: expected {side} the market at {market}"
    if distance < rules.stops_level * rules.point:
        return (
            f"invalid {what} {price}: closer than {rules.stops_level} points "
            f"to the market at {market}"
        )
    return ""
