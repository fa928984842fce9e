"""An account's terms, and the numbers and prices its books are kept with."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import count

import msgspec

from app.bridge.values import NONE

_WITHOUT_CENTS = frozenset({"JPY"})
_FIRST_ORDER, _FIRST_DEAL = 50_000_001, 40_000_001


class Terms(msgspec.Struct, frozen=True):
    """What an account is: `commission` and `swap` are per lot, a side's and a night's.

    Money is in `currency`; a negative `swap` costs. `stop_out` is a margin level in percent.
    """

    login: int = 123456
    server: str = "Bridge-Demo"
    currency: str = "USD"
    leverage: int = 100
    hedging: bool = True
    commission: Decimal = NONE
    swap: Decimal = NONE
    stop_out: Decimal = Decimal(50)

    def money(self, value: Decimal) -> Decimal:
        """Return `value` rounded half-even to the currency's smallest coin."""
        coin = Decimal(1) if self.currency in _WITHOUT_CENTS else Decimal("0.01")
        return value.quantize(coin, ROUND_HALF_EVEN)


class Tickets:
    """The numbers of a trade server; orders and deals have their own, so that mixing them shows."""

    def __init__(self, order: int = 0, deal: int = 0) -> None:
        """Go on after the highest numbers given so far."""
        self._orders = count(max(_FIRST_ORDER, order + 1))
        self._deals = count(max(_FIRST_DEAL, deal + 1))

    def order(self) -> int:
        """Return a new order's."""
        return next(self._orders)

    def deal(self) -> int:
        """Return a new deal's."""
        return next(self._deals)


class Fill(msgspec.Struct, frozen=True):
    """Where an order is executed, what profit currency is worth in the account's, and when."""

    price: Decimal
    rate: Decimal
    time: datetime
