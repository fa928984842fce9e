"""The terms of a paper account."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

_WITHOUT_CENTS = frozenset({"JPY"})
_WHOLE, _CENT = Decimal(1), Decimal("0.01")


class PaperTerms(msgspec.Struct, frozen=True):
    """What the account starts with and what trading costs.

    `balance` is the deposit and `commission_per_lot` the charge per lot and side, both in account
    currency. `spread_points` and `slippage_points` are points of the symbol; a spread of ``None``
    means the candle's own. `stop_out_level` is a margin level in percent. `conversion_rates` say
    what one unit of a currency is worth in account currency; `pip_values` how many pips of a
    symbol make 1.0 of price. `costs` multiplies spread, slippage and commission.
    """

    balance: Decimal = Decimal(10000)
    currency: str = "USD"
    leverage: int = 100
    hedging: bool = True
    spread_points: float | None = None
    slippage_points: float = 1.0
    commission_per_lot: Decimal = Decimal("3.5")
    stop_out_level: float = 50.0
    costs: int = 1
    conversion_rates: Mapping[str, float | Decimal] = {}
    pip_values: Mapping[str, float | Decimal] = {}

    def money(self, value: Decimal) -> Decimal:
        """Return `value` rounded half-even to the account currency's smallest coin."""
        coin = _WHOLE if self.currency in _WITHOUT_CENTS else _CENT
        return value.quantize(coin, ROUND_HALF_EVEN)
