"""A compiled strategy: what it decides on one trigger candle, and why."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

from app.domain.market import Timeframe
from app.domain.rows import Columns, Row, Value, View
from app.domain.rules import ColumnRef, StrategyRules
from app.domain.signals import Decision, Fact, Truth
from app.strategies.compile import Part, compile_rules, rows_needed
from app.strategies.execution_rules import execution_rules
from app.strategies.schema import StrategyFile
from app.strategies.scope import Scope, Where
from app.strategies.truth import Frames

PARTS: Final = ("entry.long", "entry.short", "exit.long", "exit.short")
"""The rule sets of a strategy, by their place in its file."""

_NO_LEVELS: Final[Mapping[ColumnRef, float | None]] = MappingProxyType({})


class Strategy:
    """One strategy of one symbol, ready to be asked about every trigger candle.

    It holds no state: the same view always gives the same decision.
    """

    __slots__ = (
        "_levels",
        "_parts",
        "_rules",
        "_timeframes",
        "_trigger",
        "_waiting",
        "rows_needed",
        "rules",
        "warnings",
    )

    def __init__(
        self,
        rules: StrategyRules,
        parts: Mapping[str, Part],
        columns: Mapping[Timeframe, Columns],
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.rules = rules
        """What execution obeys."""
        self.warnings = warnings
        """How doubtful values of the file were read, one line each with file and line."""
        self.rows_needed = rows_needed(list(parts.values()))
        """Rows of each timeframe its conditions look at; with fewer they stay not ready."""
        self._parts = parts
        self._trigger = rules.timeframes.index(rules.trigger)
        self._timeframes = tuple(
            (timeframe, columns[timeframe].index("regime")) for timeframe in rules.timeframes
        )
        self._levels = tuple(
            (ref, columns[ref.timeframe].index(ref.column)) for ref in rules.risk.references()
        )
        self._rules = tuple(parts[name].rule if name in parts else None for name in PARTS)
        self._waiting = tuple(_not_ready if name in parts else None for name in PARTS)

    @classmethod
    def compiled(
        cls,
        file: StrategyFile,
        symbol: str,
        magic: int,
        columns: Mapping[Timeframe, Columns],
        where: Where,
    ) -> Self:
        """Check `file` against the columns of its timeframes and compile it.

        Raises:
            ConfigurationError: what is wrong, where, and the nearest name.

        """
        scope = Scope(file, columns, where)
        sides = {"entry": file.entry, "exit": file.exit}
        parts = {}
        for name in PARTS:
            block, side = name.split(".")
            rules = getattr(sides[block], side, None)
            part = compile_rules(rules, (block, side), scope)
            if part is not None:
                parts[name] = part
            elif block == "entry" and rules is not None:
                scope.warn((block, side), "has no conditions: it never opens a position")
            if block == "exit" and rules is not None and getattr(file.entry, side) is None:
                scope.warn((block, side), f"has nothing to close: there is no entry.{side}")
            age = getattr(rules, "time_based", None)
            if part is None and age is not None and age.min_duration is not None:
                scope.warn(
                    (block, side, "time_based", "min_duration"),
                    f"holds nothing back: {name} has no conditions",
                )
        rules = execution_rules(file, symbol, magic, scope)
        return cls(rules, parts, columns, tuple(scope.warnings))

    def evaluate(self, view: View, min_rows: int = 1) -> Decision:
        """Decide on the newest candle of the trigger timeframe, which `view` must hold.

        With fewer than `min_rows` rows in any declared timeframe every declared rule set is not
        ready; a rule set the file does not declare is False.
        """
        frames: list[tuple[Row, ...]] = []
        regimes: dict[Timeframe, str] = {}
        parts = self._rules
        for timeframe, regime in self._timeframes:
            rows = view.get(timeframe, ())
            frames.append(rows)
            if len(rows) < min_rows:
                parts = self._waiting
            if rows:
                regimes[timeframe] = rows[-1].values[regime]  # type: ignore[assignment]
        entry_long, entry_short, exit_long, exit_short = parts
        rules = self.rules
        candle = frames[self._trigger][-1].candle
        return Decision(
            candle.close_time,
            rules.symbol,
            rules.name,
            rules.trigger,
            candle,
            entry_long(frames) if entry_long else False,
            entry_short(frames) if entry_short else False,
            exit_long(frames) if exit_long else False,
            exit_short(frames) if exit_short else False,
            regimes,
            self._read_levels(view) if self._levels else _NO_LEVELS,
        )

    def undecided(self, view: View) -> Decision:
        """Return the decision on a candle whose evaluation failed: no truth, yet what is known.

        With its levels the positions of the strategy go on being managed.
        """
        rules = self.rules
        candle = view[rules.trigger][-1].candle
        regimes = {
            timeframe: str(label)
            for timeframe, at in self._timeframes
            if (label := _newest(view, timeframe, at)) is not None
        }
        return Decision(
            candle.close_time,
            rules.symbol,
            rules.name,
            rules.trigger,
            candle,
            None,
            None,
            None,
            None,
            regimes,
            self._read_levels(view),
        )

    def explain(self, view: View, part: str | None = None) -> tuple[Fact, ...]:
        """Return every condition of `part` (one of PARTS; all by default) with its values."""
        names = PARTS if part is None else (part,)
        frames = [view.get(timeframe, ()) for timeframe in self.rules.timeframes]
        return tuple(
            condition.fact(frames)
            for name in names
            if name in self._parts
            for condition in self._parts[name].conditions
        )

    def _read_levels(self, view: View) -> dict[ColumnRef, float | None]:
        return {ref: _newest(view, ref.timeframe, at) for ref, at in self._levels}  # type: ignore[misc]


def _newest(view: View, timeframe: Timeframe, at: int) -> Value:
    try:
        return view[timeframe][-1].values[at]
    except LookupError:
        return None


def _not_ready(_: Frames) -> Truth:
    return None
