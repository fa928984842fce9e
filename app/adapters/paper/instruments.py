"""The trading rules the paper broker goes by: those of the table, and the operator's pip."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from app.domain import instruments
from app.domain.market import SymbolRules

_PAIR = 6


class Instrument(msgspec.Struct, frozen=True):
    """A symbol's rules, its usual spread in points, and whether its name was recognised."""

    rules: SymbolRules
    usual_spread: int
    recognised: bool = True


def instrument(symbol: str, pip_values: Mapping[str, float | Decimal]) -> Instrument:
    """Return what is known of `symbol`.

    A pip value (pips in 1.0 of price) given for the symbol, or for it without suffix, decides its
    pip.
    """
    known = instruments.instrument(symbol)
    rules = known.rules(symbol)
    names = (symbol, symbol.upper(), symbol[:_PAIR].upper())
    given = next((pip_values[name] for name in names if name in pip_values), None)
    if given is not None:
        rules = msgspec.structs.replace(rules, pip=1 / Decimal(str(given)))
    return Instrument(rules, known.spread, known.recognised)
