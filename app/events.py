"""Every event of the system, on one page, in the order of the pipeline.

An event is an immutable value that carries the correlation id of the cycle it was made in. Fields
hold values, never live containers or frames. Times are aware UTC.
"""

from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal

import msgspec

from app.domain.market import Candle, Timeframe
from app.domain.orders import BlockReason, CloseReason, Deal, Intent, Position
from app.domain.rows import View
from app.domain.signals import Decision, Direction, Signal

NO_CYCLE = "-"
correlation_id: ContextVar[str] = ContextVar("correlation_id", default=NO_CYCLE)
"""The id of the cycle being run (8 characters), or "-" outside one."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all events: subscribe to it to receive every one."""

    correlation_id: str = msgspec.field(default_factory=correlation_id.get)


# Data fetching


class DataFetchedEvent(Event, frozen=True):
    """A source answered; `newest` is the open time of the newest closed candle it gave."""

    symbol: str
    timeframe: Timeframe
    bars: int
    newest: datetime | None


class DataFetchFailedEvent(Event, frozen=True):
    """A source did not answer, or with nonsense; `consecutive` counts failures in a row."""

    symbol: str
    timeframe: Timeframe
    error: str
    consecutive: int


class NewCandleEvent(Event, frozen=True):
    """A candle closed. A `late` one updates indicators and exits and opens nothing."""

    candle: Candle
    late: bool = False

    @property
    def symbol(self) -> str:
        """The candle's symbol."""
        return self.candle.symbol

    @property
    def timeframe(self) -> Timeframe:
        """The candle's timeframe."""
        return self.candle.timeframe


# Indicator calculation


class RegimeChangedEvent(Event, frozen=True):
    """A new market regime was adopted; published before strategies see the row."""

    symbol: str
    timeframe: Timeframe
    old_regime: str
    new_regime: str
    confidence: float


class IndicatorsCalculatedEvent(Event, frozen=True):
    """The candle became a row; `view` holds the recent rows of every timeframe of the symbol."""

    symbol: str
    timeframe: Timeframe
    view: View
    late: bool = False


# Strategy evaluation


class StrategiesEvaluatedEvent(Event, frozen=True):
    """All strategies triggered by one candle were evaluated; published before their signals."""

    symbol: str
    timeframe: Timeframe
    candle: Candle
    decisions: tuple[Decision, ...]
    late: bool = False


class ExitSignalEvent(Event, frozen=True):
    """A strategy's exit rules fired."""

    signal: Signal

    @property
    def symbol(self) -> str:
        """The signal's symbol."""
        return self.signal.symbol


class EntrySignalEvent(Event, frozen=True):
    """A strategy's entry rules fired."""

    signal: Signal
    late: bool = False

    @property
    def symbol(self) -> str:
        """The signal's symbol."""
        return self.signal.symbol


class StrategyFailedEvent(Event, frozen=True):
    """One strategy raised; the others went on."""

    symbol: str
    strategy: str
    error: str


# Trade execution


class OrderPlacedEvent(Event, frozen=True):
    """The broker accepted an order (entry or exit)."""

    intent: Intent
    ticket: int

    @property
    def symbol(self) -> str:
        """The order's symbol."""
        return self.intent.symbol


class OrderRejectedEvent(Event, frozen=True):
    """The broker refused an order, in its own words."""

    intent: Intent
    reason: str


class OrderCancelledEvent(Event, frozen=True):
    """An accepted order will never be filled."""

    symbol: str
    client_id: str
    ticket: int
    reason: str


class OrderFilledEvent(Event, frozen=True):
    """An order opened a position."""

    strategy: str
    deal: Deal

    @property
    def symbol(self) -> str:
        """The deal's symbol."""
        return self.deal.symbol


class StopMovedEvent(Event, frozen=True):
    """The stop loss of a position was moved, never against it."""

    symbol: str
    strategy: str
    ticket: int
    old_stop: Decimal | None
    new_stop: Decimal


class PositionReducedEvent(Event, frozen=True):
    """Part of a position was closed; `remaining` lots stay open."""

    strategy: str
    deal: Deal
    remaining: Decimal


class PositionClosedEvent(Event, frozen=True):
    """A position was closed for good; `profit` is its net result in account currency."""

    symbol: str
    strategy: str
    direction: Direction
    deal: Deal
    profit: Decimal
    reason: CloseReason


class TradingBlockedEvent(Event, frozen=True):
    """An entry was refused, or (without a signal) trading as a whole was blocked."""

    reason: BlockReason
    detail: str
    symbol: str
    strategy: str = ""
    direction: Direction | None = None


class TradingResumedEvent(Event, frozen=True):
    """A block was lifted; `by` says by whom."""

    reason: BlockReason
    strategy: str
    by: str


class OrderInDoubtEvent(Event, frozen=True):
    """An order may or may not have been executed: it is looked for and not sent again."""

    intent: Intent
    reason: str


class PositionAdoptedEvent(Event, frozen=True):
    """A position found at the broker was taken over; `strategy` is empty for a stranger's."""

    strategy: str
    position: Position


# Orchestration


class CycleStartedEvent(Event, frozen=True):
    """A cycle begins: the market's now is `time`. Everything of the cycle happens before the next.

    Fetching hangs on it, and so does all that follows.
    """

    cycle: int
    time: datetime


class CycleCompletedEvent(Event, frozen=True):
    """One cycle ended; `time` is the market's now it ran at."""

    cycle: int
    time: datetime


class ServiceFailedEvent(Event, frozen=True):
    """A service raised or stopped making progress."""

    service: str
    error: str


class ServiceRestartedEvent(Event, frozen=True):
    """A service was replaced by a new instance; `restarts` counts its replacements."""

    service: str
    restarts: int


class RestartBudgetSpentEvent(Event, frozen=True):
    """A service failed too often: no new trades, open positions stay protected, then the end."""

    service: str
    restarts: int
