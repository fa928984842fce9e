"""The four ports: where the market's data, orders, time and memory come from."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from app.domain.market import Candle, Quote, SymbolRules, Timeframe
from app.domain.orders import (
    Account,
    Block,
    BlockReason,
    Deal,
    Intent,
    IntentRecord,
    IntentState,
    OrderGone,
    OrderResult,
    PendingOrder,
    Position,
    Refusal,
)
from app.risk.limits import ApprovedOrder
from app.risk.plans import PositionPlan


class Ask(msgspec.Struct, frozen=True):
    """A question to a source: the `count` newest candles closed at `now` (UTC)."""

    symbol: str
    timeframe: Timeframe
    count: int
    now: datetime


class DataSource(Protocol):
    """Closed candles. A forming candle is never given: ``close_time <= now`` for each."""

    @property
    def name(self) -> str:
        """What it is, for the operator: ``simulated market (seed 7)``."""
        ...

    def open(self) -> None:
        """Get ready; raises ConfigurationError or UnavailableError, leaves nothing half open."""
        ...

    def expect(self, asks: Sequence[Ask]) -> None:
        """Take in that `latest` is asked these next.

        A source that has to wait for its answers asks for all of them at once.
        """
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
    """An account that takes orders.

    What it says of the account is what `poll` saw last, all of it at one time.
    """

    @property
    def name(self) -> str:
        """What it is, for the operator: ``paper broker``."""
        ...

    def poll(self, now: datetime) -> Sequence[Deal | OrderGone]:
        """Look at the account; return what happened there since the last look, in order.

        Raises SourceError when it did not answer completely: nothing was seen then.
        """
        ...

    def doubt(self, symbol: str, now: datetime) -> Refusal | None:
        """Say why what it knows is not good enough to open a position on; ``None`` when it is."""
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
        """Return the ledger's deals at or after `since`, oldest first.

        Raises SourceError when the broker cannot answer.
        """
        ...

    def find(self, client_id: str) -> OrderResult | None:
        """Return what became of an order by its id; ``None`` when it is not known there."""
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


class Switch(msgspec.Struct, frozen=True):
    """How the operator set the kill switch: whether entries are allowed, since when (UTC), why."""

    enabled: bool
    at: datetime
    reason: str = ""


class Journal(Protocol):
    """What must outlive the process, of one account.

    What is noted is durable from the next `admit` or `flush` on, all of it or nothing; candles only
    from the next `flush`, so that one is announced again whose decisions a crash cut short.
    Raises JournalError when it cannot be written, AccountHeldError when another writer has taken
    the account over.
    """

    def last_candle(self, symbol: str, timeframe: Timeframe) -> datetime | None:
        """Return the open time of the last candle announced."""
        ...

    def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
        """Remember it."""
        ...

    def admit(self, intent: Intent, at: datetime) -> Refusal | None:
        """Make an intent and its first attempt durable, before it is sent; or say why not.

        Its id was admitted before, or, for an entry, a block stands: asked in the same transaction.
        """
        ...

    def still_ours(self) -> None:
        """Return if nobody else writes for the account: asked before what needs no admission."""
        ...

    def attempt(self, client_id: str, at: datetime) -> None:
        """Make a further attempt durable, before it is sent."""
        ...

    def settle(
        self, client_id: str, state: IntentState, at: datetime, *, ticket: int = 0, detail: str = ""
    ) -> None:
        """Note what is known of an intent now; a final state stays."""
        ...

    def intent(self, client_id: str) -> Intent | None:
        """Return the admitted intent of that id."""
        ...

    def record(self, client_id: str) -> IntentRecord | None:
        """Return where the admitted intent of that id is."""
        ...

    def unsettled(self) -> Sequence[IntentRecord]:
        """Return the intents that are not final, oldest first."""
        ...

    def by_ticket(self, ticket: int) -> IntentRecord | None:
        """Return the intent whose order has that ticket."""
        ...

    def booked(self, deal: Deal, client_id: str) -> None:
        """Note a deal of the broker's ledger and the intent it executed (empty: none of ours).

        A deal noted before changes nothing.
        """
        ...

    def has_deal(self, ticket: int) -> bool:
        """Say whether the deal was noted."""
        ...

    def plan(self, ticket: int) -> PositionPlan | None:
        """Return the plan of the open position `ticket`."""
        ...

    def plans(self) -> Sequence[PositionPlan]:
        """Return the plans of all open positions, by ticket."""
        ...

    def save_plan(self, plan: PositionPlan) -> None:
        """Insert or replace the plan of `plan.ticket`."""
        ...

    def drop_plan(self, ticket: int) -> None:
        """Forget the plan of a closed position."""
        ...

    def block(self, block: Block) -> None:
        """Make a block durable at once, unless one that stands covers it."""
        ...

    def blocks(self, at: datetime) -> Sequence[Block]:
        """Return the blocks that stand at `at`, oldest first."""
        ...

    def lift(self, at: datetime, by: str, reason: BlockReason | None = None) -> Sequence[Block]:
        """End the blocks of `reason`, or all, saying by whose act; return those that stood."""
        ...

    def state(self, name: str) -> str | None:
        """Return what was kept under a name."""
        ...

    def keep_state(self, name: str, text: str) -> None:
        """Keep a text: the paper account, what the limits must remember."""
        ...

    def flush(self) -> None:
        """Make everything noted durable."""
        ...

    def close(self) -> None:
        """Flush and let go; may be called twice."""
        ...
