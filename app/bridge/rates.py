"""What a currency is worth in the account's, by the market's own prices."""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from app.bridge.market import Market
from app.domain.errors import ConfigurationError
from app.domain.instruments import instrument

ONE = Decimal(1)
_BASES = ("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF")
"""Of two of these the former is the base of their pair."""


class Rates:
    """Conversion into `currency` through pairs among `markets`, else through markets of `other`.

    `other` makes the market of a pair that is not offered for trading. Raises ConfigurationError
    when profits of a market cannot be converted.
    """

    def __init__(
        self, currency: str, markets: Iterable[Market], other: Callable[[str], Market]
    ) -> None:
        self._currency = currency
        self._pairs: dict[str, tuple[Market, bool]] = {}
        offered = list(markets)
        for profit in dict.fromkeys(market.symbol.currency_profit for market in offered):
            if profit != currency:
                self._pairs[profit] = self._pair(profit, offered, other)

    def rate(self, profit: str, now: datetime) -> Decimal:
        """Return what one unit of the currency `profit` is worth in the account's."""
        if profit == self._currency:
            return ONE
        market, inverse = self._pairs[profit]
        tick = market.tick(now)
        if tick is None:
            return ONE
        return ONE / tick.bid if inverse else tick.bid

    def _pair(
        self, profit: str, offered: list[Market], other: Callable[[str], Market]
    ) -> tuple[Market, bool]:
        direct, inverse = profit + self._currency, self._currency + profit
        for market in offered:
            if market.symbol.root.upper() in {direct, inverse}:
                return market, market.symbol.root.upper() == inverse
        pair = min(direct, inverse, key=_seniority)
        if not instrument(pair).recognised:
            raise ConfigurationError(
                f"profits in {profit} cannot be converted to {self._currency}: "
                f"expected another --currency, or other --symbols"
            )
        return other(pair), pair == inverse


def _seniority(pair: str) -> int:
    """Return the rank of a pair's base among those that pairs are quoted in, 0 the highest."""
    base = pair[: len(pair) // 2]
    return _BASES.index(base) if base in _BASES else len(_BASES)
