"""Three-valued truth over rows: conditions as functions of rows, joined by and, or, not.

``None`` is "not ready" and follows Kleene's strong logic: it decides nothing by itself, yet
False in an *and* and True in an *or* hold whatever it turns out to be. The functions made here
run on every trigger candle: column positions are known beforehand and nothing is allocated.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from app.domain.market import Timeframe
from app.domain.rows import Column, Row, Value
from app.domain.signals import Truth
from app.strategies.operators import Test

Frames: TypeAlias = Sequence[Sequence[Row]]
"""The recent rows of each timeframe a strategy declares, in that order, oldest row first."""

Rule: TypeAlias = Callable[[Frames], Truth]


class Cell(msgspec.Struct, frozen=True):
    """A column of one timeframe, `back` rows before the newest (1 for ``previous_<column>``).

    `frame` is the timeframe's place among those declared, `at` the column's place in a row.
    """

    timeframe: Timeframe
    frame: int
    column: Column
    at: int
    back: int = 0

    @property
    def name(self) -> str:
        """What the file calls it."""
        return f"{'previous_' * self.back}{self.column.name}"

    def read(self, frames: Frames, earlier: int = 0) -> Value:
        """Return its value `earlier` rows further back; None when not ready or not there."""
        try:
            return frames[self.frame][-1 - self.back - earlier].values[self.at]
        except LookupError:
            return None


class Constant(msgspec.Struct, frozen=True):
    """A value written in the file: what it is now it always was."""

    value: object

    def read(self, frames: Frames, earlier: int = 0) -> object:  # noqa: ARG002 - as Cell.read
        """Return the value."""
        return self.value


Term: TypeAlias = Cell | Constant


def on_newest(left: Cell, right: Term, test: Test) -> Rule:
    """Return the rule ``test(left, right)`` on the newest candle."""
    frame, at, row = left.frame, left.at, -1 - left.back
    if isinstance(right, Constant):
        constant = right.value

        def against_constant(frames: Frames) -> Truth:
            try:
                value = frames[frame][row].values[at]
            except LookupError:
                return None
            return None if value is None else test(value, constant)

        return against_constant

    right_at, right_row = right.at, -1 - right.back

    def against_column(frames: Frames) -> Truth:
        try:
            rows = frames[frame]
            value, target = rows[row].values[at], rows[right_row].values[right_at]
        except LookupError:
            return None
        return None if value is None or target is None else test(value, target)

    return against_column


def on_pair(left: Cell, right: Term, test: Test, earlier: int = 0) -> Rule:
    """Return the rule `test` on a candle and the one before it, `earlier` candles ago."""
    frame, at, row = left.frame, left.at, -1 - left.back - earlier
    row_before = row - 1
    if isinstance(right, Constant):
        constant = right.value

        def against_constant(frames: Frames) -> Truth:
            try:
                rows = frames[frame]
                before, now = rows[row_before].values[at], rows[row].values[at]
            except LookupError:
                return None
            if before is None or now is None:
                return None
            return test(before, constant, now, constant)

        return against_constant

    right_at, right_row = right.at, -1 - right.back - earlier
    right_row_before = right_row - 1

    def against_column(frames: Frames) -> Truth:
        try:
            rows = frames[frame]
            before, now = rows[row_before].values[at], rows[row].values[at]
            target_before = rows[right_row_before].values[right_at]
            target = rows[right_row].values[right_at]
        except LookupError:
            return None
        if before is None or now is None or target_before is None or target is None:
            return None
        return test(before, target_before, now, target)

    return against_column


def when_first_seen(rule: Rule, frame: int, trigger: int) -> Rule:
    """Return `rule` as of each slower candle that the newest trigger candle is the first to see.

    It is false when there is none: between two of its closes a slower timeframe's newest pair
    stays the same, and one crossing would be true again on each faster candle. Usually that is the
    trigger candle that closes with the slower one; where the data lack it, the next there is.
    """

    def first_seen(frames: Frames) -> Truth:
        slow, seen = frames[frame], frames[trigger]
        if not slow or not seen:
            return None
        newest = seen[-1].candle
        before = seen[-2].candle.close_time if len(seen) > 1 else newest.time
        ready = True
        for end in range(len(slow), 0, -1):
            closed = slow[end - 1].candle.close_time
            if closed <= before:
                break
            if closed > newest.close_time:
                continue
            truth = rule(_until(frames, frame, end))
            if truth:
                return True
            if truth is None:
                ready = False
        return False if ready else None

    return first_seen


def _until(frames: Frames, frame: int, end: int) -> Frames:
    """Return `frames` as they were when `frame` had its first `end` rows only."""
    rows = frames[frame]
    if end == len(rows):
        return frames
    return [*frames[:frame], rows[:end], *frames[frame + 1 :]]


def all_of(rules: Sequence[Rule]) -> Rule:
    """Return Kleene's *and*: the first false decides; else not ready if any is."""
    if len(rules) == 1:
        return rules[0]
    every = tuple(rules)

    def conjunction(frames: Frames) -> Truth:
        ready = True
        for rule in every:
            truth = rule(frames)
            if truth:
                continue
            if truth is None:
                ready = False
            else:
                return False
        return True if ready else None

    return conjunction


def any_of(rules: Sequence[Rule]) -> Rule:
    """Return Kleene's *or*: the first true decides; else not ready if any is."""
    if len(rules) == 1:
        return rules[0]
    every = tuple(rules)

    def disjunction(frames: Frames) -> Truth:
        ready = True
        for rule in every:
            truth = rule(frames)
            if truth:
                return True
            if truth is None:
                ready = False
        return False if ready else None

    return disjunction


def negation(rule: Rule) -> Rule:
    """Return Kleene's *not*: not ready stays not ready."""

    def opposite(frames: Frames) -> Truth:
        truth = rule(frames)
        return None if truth is None else not truth

    return opposite
