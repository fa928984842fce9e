"""What strategies say: facts, decisions and signals."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from app.domain.market import Candle, Timeframe
from app.domain.rows import Value
from app.domain.rules import ColumnRef

Truth: TypeAlias = bool | None
"""Three-valued: ``None`` is "not ready" (a column still warms up or a timeframe has no row)."""


class Direction(StrEnum):
    """The side of a position."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for long, -1 for short."""
        return 1 if self is Direction.LONG else -1

    @property
    def opposite(self) -> "Direction":
        """The other side."""
        return Direction.SHORT if self is Direction.LONG else Direction.LONG


class Fact(msgspec.Struct, frozen=True):
    """One condition with the numbers that made it true or false.

    `path` is where it stands in the file, e.g. ``entry.long.conditions[0]``.
    """

    path: str
    timeframe: Timeframe
    signal: str
    operator: str
    truth: Truth
    left: Value
    right: object
    previous_left: Value = None
    previous_right: object = None
    target: str = ""
    """The column on the right-hand side, empty for a constant."""

    def __str__(self) -> str:
        """Say it as a trader would: ``ema_9 1.10120 crosses_above ema_21 1.10100``."""
        right = f"{self.target} {_said(self.right)}".lstrip()
        return f"{self.signal} {_said(self.left)} {self.operator} {right}"


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return " ".join(_said(part) for part in value)
    return "not ready" if value is None else str(value)


class Decision(msgspec.Struct, frozen=True):
    """What one strategy decided on one trigger candle; `time` is the candle's close, aware UTC.

    `levels` holds the values of the columns its risk block reads; `facts` every condition with its
    numbers, when all facts are asked for.
    """

    time: datetime
    symbol: str
    strategy: str
    timeframe: Timeframe
    candle: Candle
    entry_long: Truth
    entry_short: Truth
    exit_long: Truth
    exit_short: Truth
    regimes: Mapping[Timeframe, str]
    levels: Mapping[ColumnRef, float | None]
    facts: tuple[Fact, ...] = ()


class Signal(msgspec.Struct, frozen=True):
    """A decision to enter or leave in one direction, with the facts that made it so."""

    strategy: str
    symbol: str
    timeframe: Timeframe
    direction: Direction
    candle: Candle
    facts: tuple[Fact, ...]
    levels: Mapping[ColumnRef, float | None]
