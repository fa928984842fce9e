"""What a strategy file asks for besides its conditions, as values: risk, schedule, guarded exits.

Read from YAML and validated in `app.strategies.schema`; obeyed in `app.risk`.
"""

from datetime import time, timedelta
from enum import StrEnum

import msgspec

from app.domain.market import Timeframe


class ColumnRef(msgspec.Struct, frozen=True):
    """A column of one timeframe."""

    timeframe: Timeframe
    column: str


class SizingKind(StrEnum):
    """How many lots: as given, by share of the balance at risk, or by volatility."""

    FIXED = "fixed"
    PERCENTAGE = "percentage"
    VOLATILITY = "volatility"


class Sizing(msgspec.Struct, frozen=True):
    """`value` is lots (fixed) or percent of the balance (percentage, volatility).

    `atr` is the ATR column of the trigger timeframe, set for volatility sizing only.
    """

    kind: SizingKind
    value: float
    atr: ColumnRef | None = None


class StopKind(StrEnum):
    """Where the stop loss stands."""

    FIXED = "fixed"
    MONETARY = "monetary"
    INDICATOR = "indicator"
    TRAILING = "trailing"


class StopRule(msgspec.Struct, frozen=True):
    """A stop loss.

    fixed: `value` pips from the entry; `trail_step` pips makes it trail by that distance.
    monetary: `value` in account currency is the loss of the whole position at the stop.
    indicator: the `source` column, moved `offset` pips away from the price; it follows the column.
    trailing: `trail_step` pips behind the price once the profit reached `activation` pips, at most
    `cap` pips from the entry at first (the initial stop).
    Stops are moved on closed candles of the trigger timeframe, never against the position.
    """

    kind: StopKind
    value: float = 0.0
    source: ColumnRef | None = None
    offset: float = 0.0
    trail_step: float | None = None
    activation: float = 0.0
    cap: float | None = None


class TargetKind(StrEnum):
    """How profits are taken."""

    FIXED = "fixed"
    MULTI = "multi_target"
    INDICATOR = "indicator"


class Target(msgspec.Struct, frozen=True):
    """One of several targets.

    `distance_percent` is % of the entry price away from the entry, `percent` the share of the
    opened position closed there; `move_stop` then moves the stop to break-even.
    """

    distance_percent: float
    percent: float
    move_stop: bool = False


class TargetRule(msgspec.Struct, frozen=True):
    """A take profit: `value` pips (fixed), `targets` in order (multi_target), or a `source` column.

    An indicator target is read at the entry and stays.
    """

    kind: TargetKind
    value: float = 0.0
    targets: tuple[Target, ...] = ()
    source: ColumnRef | None = None


class RiskRules(msgspec.Struct, frozen=True):
    """The whole `risk:` block of a strategy.

    `atr_distance`: multiples of ATR below (long) or above (short) the close at which a limit order
    is placed instead of a market order; `atr` is the column it reads.
    """

    sizing: Sizing
    stop: StopRule | None = None
    target: TargetRule | None = None
    atr_distance: float | None = None
    atr: ColumnRef | None = None

    def references(self) -> tuple[ColumnRef, ...]:
        """Return every column the block reads."""
        refs = (
            self.sizing.atr,
            self.stop.source if self.stop else None,
            self.target.source if self.target else None,
            self.atr,
        )
        return tuple(dict.fromkeys(ref for ref in refs if ref is not None))


class SessionHandling(StrEnum):
    """What happens to open positions when the schedule's hours end."""

    CLOSE_ALL = "close_all"
    HOLD = "hold"
    PARTIAL_CLOSE = "partial_close"


class Schedule(msgspec.Struct, frozen=True):
    """When entries are allowed, in the broker's day.

    `days`: 0 = Monday … 6 = Sunday; empty means every day. `hours`: half-open (start, end) times;
    empty means all day; an end not after its start runs past midnight.
    """

    days: frozenset[int] = frozenset()
    hours: tuple[tuple[time, time], ...] = ()
    session_handling: SessionHandling = SessionHandling.HOLD


class GuardedExit(msgspec.Struct, frozen=True):
    """Exits of one direction that depend on the position, not on the market alone.

    `max_duration` closes, `min_duration` holds back rule exits. `profit_drawdown` (fraction of the
    peak profit given back) and `profit_trailing` (fraction of the entry price behind the best
    price) close a position that was in profit.
    """

    max_duration: timedelta | None = None
    min_duration: timedelta | None = None
    profit_drawdown: float | None = None
    profit_trailing: float | None = None


NO_GUARDS = GuardedExit()


class StrategyRules(msgspec.Struct, frozen=True):
    """A strategy as the execution side knows it."""

    name: str
    symbol: str
    magic: int
    """The strategy's number on its orders: positive, below 2**53, a function of its name."""
    timeframes: tuple[Timeframe, ...]
    trigger: Timeframe
    risk: RiskRules
    schedule: Schedule | None = None
    long_exit: GuardedExit = NO_GUARDS
    short_exit: GuardedExit = NO_GUARDS
