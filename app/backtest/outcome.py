"""What a backtest came to, before anything is made of it: trades, equity, assumptions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from app.domain.market import Timeframe
from app.domain.signals import Direction


class Trade(msgspec.Struct, frozen=True):
    """A position from its opening to its last deal; money is account currency, times aware UTC.

    `entry` and `exit` are prices, of several deals their mean by lots. `profit` is the prices'
    alone; `commission` and `swap` are what they did to the balance (negative: paid). `spread` is
    what crossing it cost, a positive estimate from the quote at the opening that `profit` holds
    already. `regime` is that of the strategy's trigger timeframe when it was opened, empty while
    none was known; `reason` says why the last of it was closed.
    """

    ticket: int
    symbol: str
    strategy: str
    direction: Direction
    regime: str
    volume: Decimal
    opened_at: datetime
    entry: Decimal
    stop: Decimal | None
    target: Decimal | None
    closed_at: datetime
    exit: Decimal
    reason: str
    profit: Decimal
    commission: Decimal
    swap: Decimal
    spread: Decimal

    @property
    def net(self) -> Decimal:
        """What it did to the balance."""
        return self.profit + self.commission + self.swap

    @property
    def duration(self) -> timedelta:
        """How long the position was open."""
        return self.closed_at - self.opened_at


class EquityPoint(msgspec.Struct, frozen=True, order=True, gc=False):
    """Balance and equity (account currency) at a time (aware UTC)."""

    time: datetime
    balance: Decimal
    equity: Decimal


class Drawdown(NamedTuple):
    """The deepest fall of the equity below an earlier peak; zero when it never fell."""

    amount: Decimal
    percent: float
    """Of the peak."""
    peak_at: datetime
    low_at: datetime
    recovered_at: datetime | None


class ChartBar(msgspec.Struct, gc=False):
    """A bar of the report's chart; `time` is its opening, `regime` the last one known in it.

    The newest one grows with every candle.
    """

    time: datetime
    open: float
    high: float
    low: float
    close: float
    regime: str

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """Open, high, low and close."""
        return self.open, self.high, self.low, self.close


class Chart(NamedTuple):
    """The bars of a symbol, of a timeframe coarse enough to be drawn at once; oldest first."""

    symbol: str
    timeframe: Timeframe
    bars: Sequence[ChartBar]


class Outcome(msgspec.Struct, frozen=True):
    """All of it.

    `equity` has a point where a day ends, a trade closes, the deepest fall begins and ends;
    `exposed` is the market time in which something was open; `refused` counts entry signals that
    were not traded, by reason; `complete` is ``False`` when the run was ended before its data.
    """

    name: str
    began: datetime
    ended: datetime
    complete: bool
    currency: str
    capital: Decimal
    balance: Decimal
    final_equity: Decimal
    trades: Sequence[Trade]
    still_open: int
    equity: Sequence[EquityPoint]
    drawdown: Drawdown
    exposed: timedelta
    signals: int
    refused: Mapping[str, int]
    candles: int
    charts: Sequence[Chart]
    assumptions: Sequence[str]
