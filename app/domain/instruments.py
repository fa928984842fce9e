"""What is known of a symbol by its name: how it is quoted and sold, and how it usually behaves.

A name is read by its first six letters, so a broker's suffix (``EURUSDm``, ``EURUSD.r``) changes
nothing. The paper broker trades by this table and the simulated market draws from it.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from app.domain.market import SymbolRules


class Kind(StrEnum):
    """What is traded; only crypto trades through the weekend."""

    FX = "fx"
    METAL = "metal"
    CRYPTO = "crypto"
    INDEX = "index"


class Instrument(msgspec.Struct, frozen=True):
    """How a symbol trades.

    `contract_size` is units of the base per lot, `pip` is in price, volumes are lots. `spread` is
    the usual one of liquid hours on accounts without commission, in points of ``10**-digits``.
    `price` is a typical one, and `move` a lively minute's standard move as a fraction of it (a
    day's is about 50 times that). Not `recognised`: a guess, by its name's beginning at most.
    """

    kind: Kind
    digits: int
    contract_size: int
    pip: Decimal
    spread: int
    price: float
    move: float
    base_currency: str = "USD"
    profit_currency: str = "USD"
    volume_min: Decimal = Decimal("0.01")
    volume_max: Decimal = Decimal(100)
    volume_step: Decimal = Decimal("0.01")
    recognised: bool = False

    @property
    def point(self) -> Decimal:
        """The smallest step of its price."""
        return Decimal(1).scaleb(-self.digits)

    def rules(self, symbol: str) -> SymbolRules:
        """Return what a broker demands of orders in it, under the broker's own name for it."""
        return SymbolRules(
            symbol=symbol,
            digits=self.digits,
            contract_size=Decimal(self.contract_size),
            volume_min=self.volume_min,
            volume_max=self.volume_max,
            volume_step=self.volume_step,
            base_currency=self.base_currency,
            profit_currency=self.profit_currency,
            pip=self.pip,
        )


_CURRENCIES = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "ILS", "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN",
    "RON", "RUB", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})  # fmt: skip
_CRYPTO = ("BTC", "ETH", "LTC", "XRP", "SOL", "ADA", "DOGE", "BNB")
_PAIR = 6

_FX = Instrument(Kind.FX, 5, 100_000, Decimal("0.0001"), 18, 1.2, 1.1e-4)
_FX_JPY = Instrument(Kind.FX, 3, 100_000, Decimal("0.01"), 18, 160.0, 1.1e-4)
_BY_BASE = {
    "XAU": Instrument(Kind.METAL, 2, 100, Decimal("0.01"), 25, 2650.0, 1.6e-4),
    "XAG": Instrument(Kind.METAL, 3, 5_000, Decimal("0.01"), 25, 30.0, 2.5e-4),
    "BTC": Instrument(Kind.CRYPTO, 2, 1, Decimal(1), 1000, 60_000.0, 5.0e-4),
    "ETH": Instrument(Kind.CRYPTO, 2, 1, Decimal(1), 150, 3000.0, 6.0e-4),
}
_OTHER_CRYPTO = Instrument(Kind.CRYPTO, 2, 1, Decimal("0.01"), 10, 100.0, 6.0e-4)
_OTHER = Instrument(Kind.INDEX, 2, 1, Decimal("0.01"), 4, 100.0, 2.0e-4)
_PAIRS = {
    # spread, price, move
    "EURUSD": (8, 1.085, 1.2e-4),
    "GBPUSD": (12, 1.265, 1.3e-4),
    "AUDUSD": (10, 0.655, 1.2e-4),
    "NZDUSD": (14, 0.6, 1.2e-4),
    "USDCAD": (14, 1.36, 0.9e-4),
    "USDCHF": (12, 0.885, 1.0e-4),
    "EURGBP": (12, 0.855, 0.8e-4),
    "EURCHF": (16, 1.2, 1.1e-4),
    "USDJPY": (10, 150.0, 1.1e-4),
    "EURJPY": (15, 160.0, 1.1e-4),
    "GBPJPY": (22, 160.0, 1.1e-4),
    "AUDJPY": (16, 160.0, 1.1e-4),
}


def instrument(symbol: str) -> Instrument:
    """Return how `symbol` trades.

    Currency pairs, gold, silver, bitcoin and ether are recognised; anything else trades as a plain
    contract for difference: one unit a lot, two digits, profit in USD.
    """
    root = symbol[:_PAIR].upper()
    base, quote = root[:3], root[3:]
    known = _recognised(base, quote)
    if known is None:
        return _OTHER_CRYPTO if symbol.upper().startswith(_CRYPTO) else _OTHER
    spread, price, move = _PAIRS.get(root, (known.spread, known.price, known.move))
    return msgspec.structs.replace(
        known,
        spread=spread,
        price=price,
        move=move,
        base_currency=base,
        profit_currency=quote,
        recognised=True,
    )


def _recognised(base: str, quote: str) -> Instrument | None:
    if quote not in _CURRENCIES or base == quote:
        return None
    if base in _CURRENCIES:
        return _FX_JPY if quote == "JPY" else _FX
    return _BY_BASE.get(base)
