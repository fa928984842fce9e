"""What a strategy may refer to: the columns of its timeframes, and the places in its file."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe
from app.domain.rows import Column, ColumnKind, Columns
from app.strategies.schema import StrategyFile
from app.strategies.truth import Cell

Loc: TypeAlias = tuple[str | int, ...]
Where: TypeAlias = Callable[[Sequence[str | int]], str]
"""Says where in the file a place is: ``conf/x.yaml:12 entry.long.conditions[0].signal``."""

PREVIOUS = "previous_"
_NUMERIC = frozenset({ColumnKind.NUMBER, ColumnKind.TIME})


class UnknownColumnError(ConfigurationError):
    """A strategy refers to a column that its timeframe has not."""

    def __init__(self, text: str, timeframe: Timeframe) -> None:
        super().__init__(text)
        self.timeframe = timeframe


def family(column: Column) -> ColumnKind:
    """Return the kind its values compare as: times are numbers (epoch seconds)."""
    return ColumnKind.NUMBER if column.kind in _NUMERIC else column.kind


class Scope:
    """Looks names up for one strategy and collects what its reader should know.

    Every lookup that fails raises ConfigurationError with the file, line and nearest name.
    """

    def __init__(
        self, file: StrategyFile, columns: Mapping[Timeframe, Columns], where: Where
    ) -> None:
        self.timeframes = file.timeframes
        self.trigger = file.trigger_timeframe()
        self._columns = columns
        self._where = where
        self.warnings: list[str] = []

    def warn(self, loc: Loc, text: str) -> None:
        """Note how something doubtful is read."""
        self.warnings.append(f"{self._where(loc)}: {text}")

    def error(self, loc: Loc, text: str) -> ConfigurationError:
        """Return the error that says `text` about the place `loc`."""
        return ConfigurationError(f"{self._where(loc)}: {text}")

    def unknown(self, loc: Loc, text: str, timeframe: Timeframe) -> UnknownColumnError:
        """Return the error that says about the place `loc` what `timeframe` has not."""
        return UnknownColumnError(f"{self._where(loc)}: {text}", timeframe)

    def columns(self, timeframe: Timeframe) -> Columns:
        """Return the columns of a declared timeframe."""
        return self._columns[timeframe]

    def timeframe(self, given: Timeframe | None, loc: Loc) -> Timeframe:
        """Return the timeframe meant: the given one if declared, else the only one declared."""
        declared = ", ".join(self.timeframes)
        if given is None:
            if len(self.timeframes) > 1:
                raise self.error(loc, f"timeframe is missing: expected one of {declared}")
            return self.timeframes[0]
        if given not in self.timeframes:
            raise self.error(
                (*loc, "timeframe"), f"timeframe {given} is not among timeframes {declared}"
            )
        return given

    def frame(self, timeframe: Timeframe) -> int:
        """Return the place of a declared timeframe among those declared."""
        return self.timeframes.index(timeframe)

    def find(self, name: str, timeframe: Timeframe) -> Cell | None:
        """Return the cell that `name` means, ``previous_<column>`` being one row earlier."""
        columns = self._columns[timeframe]
        if name in columns:
            return Cell(timeframe, self.frame(timeframe), columns[name], columns.index(name))
        plain = name.removeprefix(PREVIOUS)
        if plain != name and plain in columns:
            at = columns.index(plain)
            return Cell(timeframe, self.frame(timeframe), columns[plain], at, back=1)
        return None

    def cell(self, name: str, timeframe: Timeframe, loc: Loc) -> Cell:
        """Return the cell that `name` means, refusing unknown columns and those that look ahead."""
        cell = self.find(name, timeframe)
        if cell is None:
            raise self.unknown(
                loc,
                f"unknown column '{name}': no indicator of timeframe {timeframe} provides it"
                f"{self.suggestion(name, timeframe)}",
                timeframe,
            )
        return self.tradable(cell, loc)

    def tradable(self, cell: Cell, loc: Loc) -> Cell:
        """Return `cell` unless its column depends on later candles."""
        if cell.column.looks_ahead:
            raise self.error(
                loc, f"'{cell.column.name}' looks ahead: it depends on later candles, not tradable"
            )
        return cell

    def number(self, name: str, timeframe: Timeframe, loc: Loc) -> Cell:
        """Return the cell of a column that holds numbers."""
        cell = self.cell(name, timeframe, loc)
        if cell.column.kind is not ColumnKind.NUMBER:
            raise self.error(
                loc, f"'{name}' holds {cell.column.kind}: expected a column of numbers"
            )
        return cell

    def suggestion(self, name: str, timeframe: Timeframe) -> str:
        """Return a hint at the column whose name is nearest to `name`."""
        names = self._columns[timeframe].names()
        prefix = PREVIOUS if name.casefold().startswith(PREVIOUS) else ""
        return nearest(name, [prefix + each for each in names])
