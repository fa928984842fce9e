"""The four ports: where the market's data, orders, time and memory come from."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from app.domain.market import Candle, Quote, SymbolRules, Timeframe
from app.domain.orders import Account, Deal, Intent, OrderGone, OrderResult, PendingOrder, Position
from app.risk.limits import ApprovedOrder
from app.risk.plans import PositionPlan


class DataSource(Protocol):
    """Closed candles. A forming candle is never given: ``close_time <= now`` for each."""

    @property
    def name(self) -> str:
        """What it is, for the operator: ``simulated market (seed 7)``."""
        ...

    def open(self) -> None:
        """Get ready; raises ConfigurationError or UnavailableError, leaves nothing half open."""
        ...

    def latest(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        """Return up to `count` newest candles closed at `now`, oldest first, without duplicates.

        Raises SourceError when the source cannot answer.
        """
        ...

    def after(
        self, symbol: str, timeframe: Timeframe, last: datetime, now: datetime
    ) -> Sequence[Candle]:
        """Return every candle that opened after `last` and is closed at `now`, oldest first.

        Raises SourceError when the source cannot answer.
        """
        ...

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        ...


class Broker(Protocol):
    """An account that takes orders."""

    @property
    def name(self) -> str:
        """What it is, for the operator: ``paper broker``."""
        ...

    def account(self) -> Account:
        """Return the account as it stands."""
        ...

    def rules(self, symbol: str) -> SymbolRules:
        """Return what orders in `symbol` must obey; ConfigurationError when it is unknown."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest bid and ask, ``None`` before the first."""
        ...

    def money_per_lot(self, symbol: str) -> Decimal:
        """Return what one lot gains, in account currency, when the price rises by 1.0."""
        ...

    def positions(self) -> Sequence[Position]:
        """Return all open positions."""
        ...

    def orders(self) -> Sequence[PendingOrder]:
        """Return all orders not filled yet."""
        ...

    def deals(self, since: datetime) -> Sequence[Deal]:
        """Return the ledger's deals at or after `since`, oldest first."""
        ...

    def submit(self, order: ApprovedOrder) -> OrderResult:
        """Send an entry, or an exit of the position `order.intent.ticket`; never retried."""
        ...

    def modify(
        self, ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> OrderResult:
        """Set both stops of a position; ``None`` removes one."""
        ...

    def cancel(self, ticket: int) -> OrderResult:
        """Withdraw a pending order."""
        ...

    def on_candle(self, candle: Candle) -> Sequence[Deal | OrderGone]:
        """Take in a closed candle of the fastest timeframe of its symbol.

        Return what happened to orders and positions since the last call, in order.
        """
        ...


class Clock(Protocol):
    """The market's now."""

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        ...

    def wait(self, seconds: float) -> bool:
        """Let `seconds` of market time pass; ``False`` when stopped or nothing more will come."""
        ...

    def stop(self) -> None:
        """End the current and every later wait at once; safe from a signal handler."""
        ...


class Journal(Protocol):
    """What must outlive a service: candles seen, intents, the plans of open positions."""

    def last_candle(self, symbol: str, timeframe: Timeframe) -> datetime | None:
        """Return the open time of the last candle announced."""
        ...

    def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
        """Remember it."""
        ...

    def admit(self, intent: Intent) -> bool:
        """Record an intent before it is sent; ``False`` when its id was admitted before."""
        ...

    def intent(self, client_id: str) -> Intent | None:
        """Return the admitted intent of that id."""
        ...

    def plan(self, ticket: int) -> PositionPlan | None:
        """Return the plan of the open position `ticket`."""
        ...

    def save_plan(self, plan: PositionPlan) -> None:
        """Insert or replace the plan of `plan.ticket`."""
        ...

    def drop_plan(self, ticket: int) -> None:
        """Forget the plan of a closed position."""
        ...
