"""The port of the bridge: what a MetaTrader 5 terminal can be asked and told."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from app.bridge.values import (
    PROPER,
    Account,
    Bar,
    Deal,
    OpenPosition,
    Order,
    OrderRequest,
    Symbol,
    Tick,
    TradeResult,
    Treatment,
)
from app.domain.market import Timeframe


class Terminal(Protocol):
    """A terminal logged in to one account. Each call sees the market's now.

    Questions raise LookupError for a symbol or ticket that is not there, and ConnectionError while
    the terminal has lost its server; requests to trade raise Refused with a return code.
    """

    def now(self) -> datetime:
        """Return the market's now."""
        ...

    def is_connected(self) -> bool:
        """Say whether the terminal reaches its server."""
        ...

    def login(self) -> int:
        """Return the number of the account it is logged in to."""
        ...

    def account(self) -> Account:
        """Return the account as it stands."""
        ...

    def symbols(self) -> Sequence[str]:
        """Return the names of all symbols."""
        ...

    def symbol(self, name: str) -> Symbol:
        """Return what a symbol is."""
        ...

    def tradable(self, name: str) -> bool:
        """Say whether orders in a symbol are taken now."""
        ...

    def select(self, name: str, *, enable: bool) -> bool:
        """Add a symbol to those watched, or take it away; false when that cannot be."""
        ...

    def tick(self, name: str) -> Tick:
        """Return the newest price of a watched symbol."""
        ...

    def dig(
        self, name: str, timeframe: Timeframe, *, count: int = 0, since: datetime | None = None
    ) -> bool:
        """Get a stretch more of a symbol's history, in a blink; false when enough is there.

        Raises ConfigurationError for a timeframe the symbol's bars cannot make.
        """
        ...

    def bars(
        self, name: str, timeframe: Timeframe, *, count: int = 0,
        since: datetime | None = None, until: datetime | None = None,
    ) -> Sequence[Bar]:  # fmt: skip
        """Return the newest `count` bars, or those in ``[since, until]``, as far as dug for.

        Raises ConfigurationError for a timeframe the symbol's bars cannot make.
        """
        ...

    def money_per_tick(self, name: str) -> Decimal:
        """Return what one lot gains in account currency when the price rises by a point."""
        ...

    def positions(self) -> Sequence[OpenPosition]:
        """Return the open positions, oldest first."""
        ...

    def orders(self) -> Sequence[Order]:
        """Return the orders that wait, oldest first."""
        ...

    def deals(self, since: datetime | None, until: datetime | None) -> Sequence[Deal]:
        """Return the deals in ``[since, until]``, oldest first."""
        ...

    def create(self, request: OrderRequest, treatment: Treatment = PROPER) -> TradeResult:
        """Send an order."""
        ...

    def close(
        self, symbol: str, ticket: int, volume: Decimal | None, treatment: Treatment = PROPER
    ) -> TradeResult:
        """Close `volume` lots of a position, ``None`` all of it."""
        ...

    def set_stops(
        self, symbol: str, ticket: int, sl: Decimal | None, tp: Decimal | None
    ) -> TradeResult:
        """Change the stops of a position; ``None`` leaves one, 0 removes it."""
        ...

    def change_order(
        self, ticket: int, *, price: Decimal | None, sl: Decimal | None, tp: Decimal | None
    ) -> TradeResult:
        """Change a pending order; ``None`` leaves a value as it is."""
        ...

    def cancel(self, ticket: int) -> TradeResult:
        """Withdraw a pending order."""
        ...
