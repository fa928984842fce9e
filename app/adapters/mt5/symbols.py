"""The symbols traded: as the terminal describes them, read again from time to time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import WireSymbol
from app.adapters.mt5.market_watch import MarketWatch
from app.adapters.mt5.translation import money_per_lot, rules_of
from app.domain.errors import ConfigurationError, SourceError, nearest
from app.domain.market import SymbolRules

_KEPT_FOR = timedelta(minutes=15)
"""A tick's value moves with the rate of its currency."""
_CLOSED_TO_ENTRIES = frozenset({"0", "3", "DISABLED", "CLOSEONLY"})


class Symbols:
    """What orders must obey, by symbol; `pip_values` are pips in 1.0 of price."""

    def __init__(
        self,
        client: BridgeClient,
        pip_values: Mapping[str, float | Decimal],
        watch: MarketWatch | None = None,
    ) -> None:
        self._client = client
        self._watch = watch or MarketWatch(client)
        self._pip_values = pip_values
        self._wire: dict[str, WireSymbol] = {}
        self._rules: dict[str, SymbolRules] = {}
        self._read_at: dict[str, datetime] = {}

    def open(self, symbols: Sequence[str], now: datetime) -> None:
        """Have the terminal watch the symbols, and read them.

        Raises:
            ConfigurationError: the broker has no such symbol.
            UnavailableError: it lists none.
            SourceError: no answer.

        """
        self._watch.add(symbols)
        for symbol in symbols:
            self._read(symbol, now)

    def refresh(self, now: datetime) -> None:
        """Read one symbol again that was not read for long. Raises SourceError."""
        for symbol, read_at in self._read_at.items():
            if now - read_at > _KEPT_FOR:
                self._read(symbol, now)
                return

    def rules(self, symbol: str) -> SymbolRules:
        """Return what orders must obey; ConfigurationError when the symbol is not traded."""
        if symbol not in self._rules:
            raise ConfigurationError(f"'{symbol}' is not traded{nearest(symbol, self._rules)}")
        return self._rules[symbol]

    def money_per_lot(self, symbol: str, currency: str) -> Decimal:
        """Return what one lot gains in account `currency` when the price rises by 1.0.

        Also of symbols not traded, in which a stranger holds positions. Raises SourceError when
        the bridge does not tell.
        """
        if symbol not in self._wire:
            try:
                self._wire[symbol] = self._client.symbol(symbol)
            except ConfigurationError as error:
                raise SourceError(str(error)) from None
        money = money_per_lot(self._wire[symbol], currency)
        if money is None:
            raise SourceError(f"the bridge does not tell the tick value of {symbol}")
        return money

    def only_to_close(self, symbol: str) -> bool:
        """Say whether the broker takes no entries in the symbol."""
        wire = self._wire.get(symbol)
        mode = "" if wire is None else str(wire.trade_mode).upper()
        return mode.rpartition("_")[2] in _CLOSED_TO_ENTRIES

    def _read(self, symbol: str, now: datetime) -> None:
        wire = self._client.symbol(symbol)
        self._wire[symbol] = wire
        self._rules[symbol] = rules_of(wire, self._pip_values)
        self._read_at[symbol] = now
