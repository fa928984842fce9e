"""Orders, positions and deals. Money (account currency), prices and volumes (lots) are Decimal."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from app.domain.market import Timeframe
from app.domain.signals import Direction


class Action(StrEnum):
    """What an intent does to the position of its strategy."""

    ENTRY = "entry"
    EXIT = "exit"


class OrderKind(StrEnum):
    """How an order is filled."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class CloseReason(StrEnum):
    """Why (part of) a position was closed."""

    SIGNAL = "signal"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TARGET = "target"
    MAX_DURATION = "max_duration"
    PROFIT_GUARD = "profit_guard"
    SESSION_END = "session_end"
    MARKET_CLOSE = "market_close"
    STOP_OUT = "stop_out"
    LOSS_LIMIT = "loss_limit"
    STOP_MISSING = "stop_missing"
    MANUAL = "manual"


class Intent(msgspec.Struct, frozen=True):
    """What we want done, once.

    `client_id` is a function of (account, strategy, symbol, timeframe, candle open time, action,
    leg) and stands first in the order's comment.
    `ticket` is the position an exit closes; `price` the limit or stop price of a pending entry;
    `group` joins the orders one split entry became; `close_reason` says why an exit happens.
    """

    client_id: str
    strategy: str
    magic: int
    symbol: str
    timeframe: Timeframe
    candle_time: datetime
    action: Action
    leg: int
    direction: Direction
    kind: OrderKind
    volume: Decimal
    price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    ticket: int | None = None
    group: str = ""
    close_reason: CloseReason | None = None
    expected_price: Decimal | None = None
    """The price the decision was made at: the quote for a market order, else `price`."""
    targets: tuple[Decimal, ...] = ()
    """Where the profit of an entry is to be taken, nearest first; the last is the `take_profit`."""

    @property
    def entry_key(self) -> str:
        """What an entry is counted by: its group, else itself."""
        return self.group or self.client_id


class OrderState(StrEnum):
    """What became of a submission."""

    PLACED = "placed"
    """Accepted, not filled yet: a pending order, or a market order in flight."""
    FILLED = "filled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class OrderResult(msgspec.Struct, frozen=True):
    """The broker's answer to a submission; `reason` is its own word when it refused.

    `moved` refuses because the price did, and nothing was executed: a new attempt may be made.
    `blocks` says that a further entry would meet the same refusal, and why. `silent` says whether
    the request waited for its whole deadline, or for a connection, in vain: a next one would, too.
    """

    state: OrderState
    ticket: int = 0
    price: Decimal | None = None
    volume: Decimal | None = None
    reason: str = ""
    moved: bool = False
    blocks: "BlockReason | None" = None
    silent: bool = False


class IntentState(StrEnum):
    """Where an intent is, as the journal knows it."""

    SENDING = "sending"
    """Admitted; the request leaves, or has left, and nothing was heard yet."""
    UNKNOWN = "unknown"
    """It may have been executed: looked for at the broker, never sent again."""
    PLACED = "placed"
    FILLED = "filled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Proven never to have reached the account."""

    @property
    def final(self) -> bool:
        """Whether nothing more can come of the intent."""
        return self in _FINAL

    @property
    def doubtful(self) -> bool:
        """Whether only the broker can say what became of it."""
        return self in {IntentState.SENDING, IntentState.UNKNOWN}


_FINAL = frozenset(
    {IntentState.FILLED, IntentState.REJECTED, IntentState.CANCELLED, IntentState.LOST}
)


class IntentRecord(msgspec.Struct, frozen=True):
    """An intent in the journal; `sent_at` (UTC) is its newest attempt, `ticket` its order if known.

    `filled` lots of it are in deals the journal knows.
    """

    intent: Intent
    state: IntentState
    sent_at: datetime
    ticket: int = 0
    attempts: int = 1
    filled: Decimal = Decimal(0)
    detail: str = ""


class DealEntry(StrEnum):
    """Whether a deal opened or closed volume."""

    IN = "in"
    OUT = "out"


class Deal(msgspec.Struct, frozen=True):
    """One execution in the broker's ledger.

    `direction` is the position's; `profit`, `commission` (negative: a cost) and `swap` are account
    currency; `time` aware UTC. What is no trade has no symbol: a charge, interest, or `funding`,
    which are deposits, withdrawals, credits and bonuses.
    """

    ticket: int
    order: int
    position: int
    symbol: str
    direction: Direction
    entry: DealEntry
    volume: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    time: datetime
    magic: int
    comment: str
    reason: CloseReason | None = None
    funding: bool = False

    @property
    def net(self) -> Decimal:
        """Return what the deal did to the balance."""
        return self.profit + self.commission + self.swap


class OrderGone(msgspec.Struct, frozen=True):
    """A pending or in-flight order that will never be filled."""

    ticket: int
    client_id: str
    symbol: str
    reason: str


class Position(msgspec.Struct, frozen=True):
    """An open position; `profit` floats, in account currency, at the latest quote.

    Where `stops_known` is false the broker does not tell its stops: both are ``None``, which says
    nothing.
    """

    ticket: int
    symbol: str
    direction: Direction
    volume: Decimal
    price_open: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    profit: Decimal
    swap: Decimal
    opened_at: datetime
    magic: int
    comment: str
    stops_known: bool = True


class PendingOrder(msgspec.Struct, frozen=True):
    """An order the broker has not filled; `position` is what an exit closes, 0 for an entry."""

    ticket: int
    symbol: str
    direction: Direction
    kind: OrderKind
    volume: Decimal
    price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    placed_at: datetime
    magic: int
    comment: str
    position: int = 0


class Account(msgspec.Struct, frozen=True):
    """The account as the broker states it; money in `currency`."""

    login: int
    server: str
    currency: str
    leverage: int
    hedging: bool
    balance: Decimal
    equity: Decimal
    margin: Decimal
    margin_free: Decimal


class BlockReason(StrEnum):
    """Why an entry was refused or trading is blocked."""

    MONITOR_MODE = "monitor_mode"
    LATE_CANDLE = "late_candle"
    ALREADY_DONE = "already_done"
    POSITION_OPEN = "position_open"
    NETTED_BY_ANOTHER = "netted_by_another"
    OUTSIDE_SCHEDULE = "outside_schedule"
    NEWS = "news"
    MARKET_CLOSING = "market_closing"
    HOLIDAY = "holiday"
    DAILY_LOSS_LIMIT = "daily_loss_limit"
    LOSS_AT_RISK = "loss_at_risk"
    MAX_POSITIONS = "max_positions"
    MAX_POSITION_SIZE = "max_position_size"
    VOLUME_BELOW_MINIMUM = "volume_below_minimum"
    STOP_TOO_CLOSE = "stop_too_close"
    NOT_READY = "not_ready"
    NO_QUOTE = "no_quote"
    NO_MONEY = "no_money"
    BROKER_REFUSED = "broker_refused"
    REDUCE_ONLY = "reduce_only"
    MAX_DRAWDOWN = "max_drawdown"
    COOLDOWN = "cooldown"
    MAX_SYMBOL_VOLUME = "max_symbol_volume"
    MAX_TOTAL_VOLUME = "max_total_volume"
    KILL_SWITCH = "kill_switch"
    NO_ANSWER = "no_answer"
    TERMINAL_DISCONNECTED = "terminal_disconnected"
    TRADING_OFF = "trading_off"
    MARKET_CLOSED = "market_closed"
    STALE_QUOTE = "stale_quote"
    CLOCK_SKEW = "clock_skew"
    WRONG_ACCOUNT = "wrong_account"
    UNKNOWN_ORDER = "unknown_order"
    DOUBLE_EXECUTION = "double_execution"
    POSITION_MISSING = "position_missing"
    REPEATED_REFUSALS = "repeated_refusals"
    TOO_MANY_REQUESTS = "too_many_requests"


class Refusal(msgspec.Struct, frozen=True):
    """An entry that will not be sent, and why, in words with numbers."""

    reason: BlockReason
    detail: str


class Block(msgspec.Struct, frozen=True):
    """Entries stay blocked from `since` on, across restarts: of one `strategy` or of all.

    It ends at `until` (a boundary of the broker's day); without one only the operator lifts it.
    """

    reason: BlockReason
    detail: str
    since: datetime
    until: datetime | None = None
    strategy: str = ""

    def stops(self, strategy: str, at: datetime) -> bool:
        """Say whether an entry of `strategy` is blocked at `at`."""
        return self.strategy in {"", strategy} and (self.until is None or at < self.until)

    def covers(self, other: "Block") -> bool:
        """Say whether `other` adds nothing to this: the same, and over no later."""
        same = (self.reason, self.strategy) == (other.reason, other.strategy)
        longer = self.until is None or (other.until is not None and other.until <= self.until)
        return same and longer
