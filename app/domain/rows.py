"""Rows: one candle with its indicator values, as strategies see it."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec

from app.domain.market import Candle, Timeframe

Value: TypeAlias = float | str | bool | None
"""One cell: a finite number, text or truth; ``None`` while the column is not ready."""


class ColumnKind(StrEnum):
    """What a column holds."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "truth"
    TIME = "time"


class Column(msgspec.Struct, frozen=True):
    """A named column; `words` lists every text it can hold (text columns only).

    `looks_ahead` marks a column that depends on later candles: it may be looked at, never traded.
    `anchored` marks a running total since the first candle seen: a restart, which begins elsewhere
    in history, shifts it, so only its changes mean something.
    """

    name: str
    kind: ColumnKind = ColumnKind.NUMBER
    words: tuple[str, ...] = ()
    looks_ahead: bool = False
    anchored: bool = False


class Columns:
    """The ordered columns of one symbol and timeframe, shared by all its rows."""

    __slots__ = ("_index", "columns")

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        self._index = {column.name: at for at, column in enumerate(columns)}

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __getitem__(self, name: str) -> Column:
        return self.columns[self._index[name]]

    def index(self, name: str) -> int:
        """Return the position of `name` in a row's values; KeyError when there is none."""
        return self._index[name]

    def names(self) -> tuple[str, ...]:
        """Return all names in order."""
        return tuple(self._index)


REGIME_LABELS = tuple(
    f"{direction}_{volatility}"
    for direction in ("bull", "bear", "neutral")
    for volatility in ("expansion", "contraction")
)
WARMING_UP = "warming_up"

BASE_COLUMNS = (
    Column("time", ColumnKind.TIME),
    Column("open"),
    Column("high"),
    Column("low"),
    Column("close"),
    Column("tick_volume"),
    Column("regime", ColumnKind.TEXT, (*REGIME_LABELS, WARMING_UP)),
    Column("regime_confidence"),
    Column("is_transition", ColumnKind.TRUTH),
)
"""Every row starts with these; `time` is read from the candle and its cell holds the open time as
epoch seconds UTC. `previous_<column>` is the same column one row earlier and takes no cell."""


REGIME = next(at for at, column in enumerate(BASE_COLUMNS) if column.name == "regime")
"""Where in a row's values its regime stands."""


class Row(msgspec.Struct, frozen=True):
    """One closed candle and the values of its columns, `values[i]` belonging to `columns[i]`."""

    candle: Candle
    columns: Columns
    values: tuple[Value, ...]

    def __getitem__(self, name: str) -> Value:
        return self.values[self.columns.index(name)]

    @property
    def regime(self) -> str:
        """The regime label adopted on this candle."""
        return str(self.values[REGIME])


View: TypeAlias = Mapping[Timeframe, tuple[Row, ...]]
"""The recent rows of one symbol by timeframe, oldest first; a read-only snapshot."""
