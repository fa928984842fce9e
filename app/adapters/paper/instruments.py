"""What the paper broker knows of a symbol: its trading rules and its usual spread.

A name is read by its beginning, so a broker's suffix (``EURUSDm``, ``EURUSD.r``) changes nothing.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from app.domain.market import SymbolRules

CURRENCIES = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "ILS", "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN",
    "RON", "RUB", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})  # fmt: skip
_USUAL_SPREAD = {
    "EURUSD": 8, "GBPUSD": 12, "USDJPY": 10, "USDCHF": 12, "AUDUSD": 10, "NZDUSD": 14,
    "USDCAD": 12, "EURGBP": 12, "EURJPY": 15, "GBPJPY": 22, "EURCHF": 16, "AUDJPY": 16,
}  # fmt: skip
"""In points, as retail accounts without commission see them in liquid hours."""
_USUAL_CROSS_SPREAD = 25
_PAIR = 6


class Instrument(msgspec.Struct, frozen=True):
    """A symbol's rules, its usual spread in points, and whether its name was recognised."""

    rules: SymbolRules
    usual_spread: int
    recognised: bool = True


class _Kind(msgspec.Struct, frozen=True):
    digits: int
    contract_size: int
    pip: str
    usual_spread: int


_FX = _Kind(5, 100_000, "0.0001", _USUAL_CROSS_SPREAD)
_FX_JPY = _Kind(3, 100_000, "0.01", _USUAL_CROSS_SPREAD)
_CFD = _Kind(2, 1, "0.01", 10)
_BY_BASE = {
    "XAU": _Kind(2, 100, "0.01", 25),
    "XAG": _Kind(3, 5_000, "0.01", 25),
    "BTC": _Kind(2, 1, "1", 1_000),
    "ETH": _Kind(2, 1, "1", 150),
}


def instrument(symbol: str, pip_values: Mapping[str, float | Decimal]) -> Instrument:
    """Return what is known of `symbol`.

    Currency pairs, gold, silver, bitcoin and ether are recognised; anything else trades as a
    plain contract for difference: one unit a lot, two digits, profit in USD. A pip value given
    for the symbol, or for it without suffix, decides its pip.
    """
    root = symbol[:_PAIR].upper()
    base, quote = root[:3], root[3:]
    kind = _kind(base, quote)
    given = pip_values.get(symbol, pip_values.get(symbol.upper(), pip_values.get(root)))
    rules = SymbolRules(
        symbol=symbol,
        digits=kind.digits if kind else _CFD.digits,
        contract_size=Decimal((kind or _CFD).contract_size),
        volume_min=Decimal("0.01"),
        volume_max=Decimal(100),
        volume_step=Decimal("0.01"),
        base_currency=base if kind else "USD",
        profit_currency=quote if kind else "USD",
        pip=Decimal((kind or _CFD).pip) if given is None else 1 / Decimal(str(given)),
    )
    usual = _USUAL_SPREAD.get(root, (kind or _CFD).usual_spread)
    return Instrument(rules, usual, recognised=kind is not None)


def _kind(base: str, quote: str) -> _Kind | None:
    if quote not in CURRENCIES:
        return None
    if base in CURRENCIES and base != quote:
        return _FX_JPY if quote == "JPY" else _FX
    return _BY_BASE.get(base)
