"""The market as immutable values: timeframes, candles, quotes, symbol rules.

All times are aware UTC. Prices inside the decision path are floats; whatever reaches a broker is
Decimal, made by :class:`SymbolRules`.
"""

from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Self

import msgspec

from app.domain.errors import ConfigurationError, nearest

_NAMED_MINUTES = {
    **{f"M{n}": n for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{f"H{n}": 60 * n for n in (1, 2, 3, 4, 6, 8, 12)},
    "D1": 1440,
    "W1": 10080,
}
_SPELLINGS = {
    **_NAMED_MINUTES,
    **{str(minutes): minutes for minutes in _NAMED_MINUTES.values()},
    "1D": 1440,
    "1W": 10080,
}


class Timeframe(str):
    """A candle length. Its text is the number of minutes: ``Timeframe("M5") == "5"``.

    Accepts minutes (``"5"``, ``60``), MetaTrader names (``"M5"``, ``"h1"``) and ``"1d"``/``"1w"``.

    Raises:
        ConfigurationError: the text names no timeframe.

    """

    __slots__ = ("delta", "minutes", "title_name")

    minutes: int
    delta: timedelta
    title_name: str
    """MetaTrader's name for it: ``"M5"``."""

    def __new__(cls, text: str | int) -> Self:
        """Return the timeframe that `text` spells."""
        minutes = _SPELLINGS.get(str(text).strip().upper())
        if minutes is None:
            raise ConfigurationError(
                f"unknown timeframe '{text}': expected minutes such as 1, 5, 60 "
                f"or a name such as M15, H4, D1{nearest(str(text), _NAMED_MINUTES)}"
            )
        self = super().__new__(cls, str(minutes))
        self.minutes = minutes
        self.delta = timedelta(minutes=minutes)
        self.title_name = next(n for n, m in _NAMED_MINUTES.items() if m == minutes)
        return self


class Candle(msgspec.Struct, frozen=True, gc=False):
    """One closed candle of bid prices.

    `time` is when it opened and `close_time` when it closed, both aware UTC; `tick_volume` counts
    price changes; `spread` is in points of the symbol and 0 when the source does not know it.
    """

    symbol: str
    timeframe: Timeframe
    time: datetime
    close_time: datetime
    open: float
    high: float
    low: float
    close: float
    tick_volume: float = 0.0
    spread: float = 0.0


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The latest bid and ask of a symbol and when they were seen (aware UTC)."""

    symbol: str
    bid: float
    ask: float
    time: datetime


class SymbolRules(msgspec.Struct, frozen=True):
    """What a broker demands of orders in one symbol.

    `contract_size` is units of the base per lot; volumes are lots; `stops_level` is the least
    distance in points of a stop from the market; a point is ``10**-digits`` in price and a pip is
    `pip` in price.
    """

    symbol: str
    digits: int
    contract_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    base_currency: str
    profit_currency: str
    pip: Decimal
    stops_level: int = 0

    @property
    def point(self) -> Decimal:
        """The smallest price step."""
        return _point(self.digits)

    def price(self, value: float | Decimal) -> Decimal:
        """Return `value` as a price of this symbol, rounded half-even to its digits."""
        if isinstance(value, Decimal):
            return value.quantize(self.point, ROUND_HALF_EVEN)
        return Decimal(f"{value:.{self.digits}f}")

    def volume(self, lots: float | Decimal) -> Decimal:
        """Return the largest tradable volume not above `lots`; zero when below the minimum.

        Volumes are ``volume_min + k * volume_step``, at most `volume_max` (MetaTrader 5 rule).
        """
        wanted = min(Decimal(lots), self.volume_max)
        if wanted < self.volume_min:
            return Decimal(0)
        steps = ((wanted - self.volume_min) / self.volume_step).to_integral_value(ROUND_DOWN)
        return self.volume_min + steps * self.volume_step


@cache
def _point(digits: int) -> Decimal:
    return Decimal(1).scaleb(-digits)
