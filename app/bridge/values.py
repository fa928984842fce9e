"""What a MetaTrader 5 terminal talks about, by MetaTrader's names.

Times are aware UTC, prices and volumes (lots) and money (account
currency) are Decimal; a stop loss or take profit of 0 is none.
"""

from datetime import datetime
from decimal import Decimal
from enum import IntEnum

import msgspec

NONE = Decimal(0)
NEVER = 1e9
"""Seconds that nobody waits."""


class Side(IntEnum):
    """Which way a position or deal goes."""

    BUY = 0
    SELL = 1

    @property
    def sign(self) -> int:
        """1 for a purchase, -1 for a sale."""
        return 1 - 2 * self

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side(1 - self)


class OrderType(IntEnum):
    """MetaTrader's order types."""

    BUY = 0
    SELL = 1
    BUY_LIMIT = 2
    SELL_LIMIT = 3
    BUY_STOP = 4
    SELL_STOP = 5
    BUY_STOP_LIMIT = 6
    SELL_STOP_LIMIT = 7

    @property
    def side(self) -> Side:
        """What it buys or sells: MetaTrader's odd types sell."""
        return Side(self % 2)

    @property
    def is_market(self) -> bool:
        """Whether it is filled at once at the market's price."""
        return self <= OrderType.SELL

    @property
    def is_limit(self) -> bool:
        """Whether it waits for a better price."""
        return self in {OrderType.BUY_LIMIT, OrderType.SELL_LIMIT}

    @property
    def is_stop_limit(self) -> bool:
        """Whether it becomes a limit order when its price is reached."""
        return self >= OrderType.BUY_STOP_LIMIT


class OrderState(IntEnum):
    """What became of an order."""

    PLACED = 1
    CANCELED = 2
    PARTIAL = 3
    FILLED = 4
    REJECTED = 5


class Entry(IntEnum):
    """What a deal did to its position."""

    IN = 0
    OUT = 1
    IN_OUT = 2


class Reason(IntEnum):
    """Who or what sent an order."""

    CLIENT = 0
    EXPERT = 3
    STOP_LOSS = 4
    TAKE_PROFIT = 5
    STOP_OUT = 6


DEAL_BALANCE = 2
"""The type of a deal that is a deposit or withdrawal; trades have their side's number."""


class Position(msgspec.Struct, frozen=True):
    """An open position; `margin_per_lot` and `swap` are account currency.

    `identifier` is the ticket of the order that opened it, for life; `ticket` is the same until a
    netting position is reversed.
    """

    ticket: int
    identifier: int
    time: datetime
    symbol: str
    type: Side
    volume: Decimal
    price_open: Decimal
    sl: Decimal
    tp: Decimal
    swap: Decimal
    magic: int
    comment: str
    reason: Reason
    margin_per_lot: Decimal


class Order(msgspec.Struct, frozen=True):
    """An order, waiting or done; `position_id` is what it closes, or the position it made."""

    ticket: int
    time_setup: datetime
    symbol: str
    type: OrderType
    state: OrderState
    volume_initial: Decimal
    volume_current: Decimal
    price_open: Decimal
    price_stoplimit: Decimal
    sl: Decimal
    tp: Decimal
    magic: int
    comment: str
    reason: Reason
    position_id: int = 0
    time_done: datetime | None = None


class Deal(msgspec.Struct, frozen=True):
    """One execution, or a deposit (type 2); `profit` to `swap` are account currency."""

    ticket: int
    order: int
    time: datetime
    type: int
    entry: Entry
    position_id: int
    symbol: str
    volume: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    magic: int
    comment: str
    reason: Reason
    fee: Decimal = NONE
    external_id: str = ""

    @property
    def net(self) -> Decimal:
        """Return what it did to the balance."""
        return self.profit + self.commission + self.swap + self.fee


class OpenPosition(msgspec.Struct, frozen=True):
    """A position, the price it would be closed at now and its floating profit there."""

    position: Position
    price_current: Decimal
    profit: Decimal


class Account(msgspec.Struct, frozen=True):
    """The account; money in `currency`, `margin_level` in percent, 0 without positions."""

    login: int
    name: str
    server: str
    company: str
    currency: str
    leverage: int
    balance: Decimal
    equity: Decimal
    margin: Decimal
    margin_free: Decimal
    margin_level: Decimal
    profit: Decimal
    hedging: bool
    trade_allowed: bool
    trade_expert: bool
    limit_orders: int


class Symbol(msgspec.Struct, frozen=True):
    """What orders in a symbol must obey, and what it is.

    `spread`, `stops_level` and `freeze_level` are points of ``10**-digits``; `contract_size` is
    units of the base per lot. `root` is the name without the broker's suffix.
    """

    name: str
    root: str
    description: str
    currency_base: str
    currency_profit: str
    digits: int
    contract_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    spread: int
    stops_level: int = 0
    freeze_level: int = 0
    always_open: bool = False

    @property
    def point(self) -> Decimal:
        """The smallest price step."""
        return Decimal(1).scaleb(-self.digits)


class Tick(msgspec.Struct, frozen=True, gc=False):
    """A price. `continuous`: the market walked here from the tick before, and did not jump."""

    symbol: str
    time: datetime
    bid: Decimal
    ask: Decimal
    volume: int
    continuous: bool = False

    def opens(self, side: Side) -> Decimal:
        """Return what a position on `side` would be opened at."""
        return self.bid if side else self.ask

    def closes(self, side: Side) -> Decimal:
        """Return what a position on `side` would be closed at."""
        return self.ask if side else self.bid


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A bar of bid prices; `spread` in points. The newest one may be forming."""

    time: datetime
    open: float
    high: float
    low: float
    close: float
    tick_volume: int
    spread: int


class OrderRequest(msgspec.Struct, frozen=True):
    """What somebody wants done; `price` matters to pending orders only."""

    symbol: str
    type: OrderType
    volume: Decimal
    price: Decimal = NONE
    stop_limit: Decimal = NONE
    sl: Decimal = NONE
    tp: Decimal = NONE
    comment: str = ""
    magic: int = 0
    reason: Reason = Reason.EXPERT


class TradeResult(msgspec.Struct, frozen=True):
    """The answer to a request: `order` and `deal` are 0 when there is none."""

    retcode: int
    order: int = 0
    deal: int = 0
    price: Decimal = NONE
    volume: Decimal = NONE


class Treatment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a broker treats an order: properly, or as brokers do.

    `comment_length` cuts comments and `comment_text` replaces them; `slippage` is points against
    the trader; the stops of an order are left out when it `drops_stops`; `filled_part` of the
    volume is filled and the rest withdrawn; a market order is filled `fill_after` market seconds
    later (1e9 and more: never), and is in no list for the first `hidden_for` market seconds. A
    `retcode` other than 0 is answered with `ticket`, and only `executed` requests are carried out
    all the same.
    """

    comment_length: int = 31
    comment_text: str | None = None
    slippage: int = 0
    drops_stops: bool = False
    filled_part: Decimal = Decimal(1)
    fill_after: float = 0.0
    hidden_for: float = 0.0
    retcode: int = 0
    ticket: int = 0
    executed: bool = True

    @property
    def never_fills(self) -> bool:
        """Whether market orders stay in flight for good."""
        return self.fill_after >= NEVER


PROPER = Treatment()


class Refused(Exception):  # noqa: N818 - it is an answer, not a defect
    """The trade server refuses a request."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
