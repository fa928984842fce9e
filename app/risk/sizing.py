"""How many lots: fixed, by the share of the balance at risk, by volatility; and their parts.

All arithmetic is Decimal, so a volume is never a rounding error below its step.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from app.domain.market import Quote, SymbolRules
from app.domain.rules import Sizing, SizingKind
from app.domain.signals import Direction

ATR_MULTIPLIER = Decimal(2)
"""Volatility sizing takes this many ATRs for the distance at risk."""


class Market(msgspec.Struct, frozen=True):
    """What an order in a symbol meets.

    `money_per_lot` is what one lot gains, in account currency, when the price rises by 1.0.
    """

    rules: SymbolRules
    quote: Quote
    money_per_lot: Decimal

    def entry_price(self, direction: Direction) -> Decimal:
        """Return the price a market order opens at: the ask for long, the bid for short."""
        quote = self.quote
        return self.rules.price(quote.ask if direction is Direction.LONG else quote.bid)

    def exit_price(self, direction: Direction) -> Decimal:
        """Return the price a position of `direction` is closed at, which its stops watch."""
        return self.entry_price(direction.opposite)


def exact(value: float) -> Decimal:
    """Return the number as it is written: 0.3 and not 0.299999999999999988."""
    return Decimal(repr(value))


def lots_wanted(
    sizing: Sizing,
    *,
    balance: Decimal,
    price: Decimal,
    stop_distance: Decimal | None,
    atr: float,
    money_per_lot: Decimal,
) -> Decimal:
    """Return the lots asked for, before the symbol's volume rules.

    fixed: `value` lots. percentage: the lots that lose `value` % of `balance` over `stop_distance`
    (in price); without one, the lots whose notional is that share. volatility: the lots that lose
    that share over 2 x `atr` (in price).
    """
    value = exact(sizing.value)
    if sizing.kind is SizingKind.FIXED:
        return value
    if sizing.kind is SizingKind.VOLATILITY:
        return lots_losing(balance * value / 100, exact(atr) * ATR_MULTIPLIER, money_per_lot)
    return lots_losing(balance * value / 100, stop_distance or price, money_per_lot)


def lots_losing(money: Decimal, distance: Decimal, money_per_lot: Decimal) -> Decimal:
    """Return the lots that lose `money` when the price goes `distance` against them; 0 at worst."""
    loss_per_lot = distance * money_per_lot
    return max(money, Decimal(0)) / loss_per_lot if loss_per_lot > 0 else Decimal(0)


def part_volumes(
    volume: Decimal, percents: Sequence[float], rules: SymbolRules
) -> tuple[Decimal, ...]:
    """Return the parts `volume` lots are closed in; they sum to it, the last takes the rest.

    Every part but the last obeys the volume rules and leaves at least the minimum open; where that
    is impossible it is zero.
    """
    parts = []
    rest = volume
    for percent in percents[:-1]:
        part = rules.volume(volume * exact(percent) / 100)
        if rest - part < rules.volume_min:
            part = Decimal(0)
        parts.append(part)
        rest -= part
    return (*parts, rest)
