"""The operators of the strategy language: their spellings, and what each asks of values."""

import operator
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

Test: TypeAlias = Callable[..., bool]
"""On the newest candle: ``test(left, right)``; on a pair of candles:
``test(left_before, right_before, left, right)``. Never called with a value that is not ready."""


class Operator(StrEnum):
    """Each can be written as its symbol or as its word, in any case."""

    GREATER_THAN = ">"
    LESS_THAN = "<"
    GREATER_THAN_OR_EQUAL = ">="
    LESS_THAN_OR_EQUAL = "<="
    EQUALS = "=="
    NOT_EQUALS = "!="
    BETWEEN = "between"
    NOT_BETWEEN = "not_between"
    IN = "in"
    NOT_IN = "not_in"
    CROSSES_ABOVE = "crosses_above"
    CROSSES_BELOW = "crosses_below"
    CHANGES_TO = "changes_to"
    REMAINS = "remains"
    IS_TRUE = "is_true"
    IS_FALSE = "is_false"


SPELLINGS = {
    **{each.name: each for each in Operator},
    **{each.value.upper(): each for each in Operator},
    "GT": Operator.GREATER_THAN,
    "LT": Operator.LESS_THAN,
    "GE": Operator.GREATER_THAN_OR_EQUAL,
    "GTE": Operator.GREATER_THAN_OR_EQUAL,
    "GREATER_OR_EQUAL": Operator.GREATER_THAN_OR_EQUAL,
    "LE": Operator.LESS_THAN_OR_EQUAL,
    "LTE": Operator.LESS_THAN_OR_EQUAL,
    "LESS_OR_EQUAL": Operator.LESS_THAN_OR_EQUAL,
    "EQ": Operator.EQUALS,
    "EQUAL": Operator.EQUALS,
    "=": Operator.EQUALS,
    "NE": Operator.NOT_EQUALS,
    "NOT_EQUAL": Operator.NOT_EQUALS,
}
"""Every spelling in capitals, words joined by underscores."""

ORDERINGS: dict[Operator, Test] = {
    Operator.GREATER_THAN: operator.gt,
    Operator.LESS_THAN: operator.lt,
    Operator.GREATER_THAN_OR_EQUAL: operator.ge,
    Operator.LESS_THAN_OR_EQUAL: operator.le,
}


def _crossed_above(before: float, target_before: float, now: float, target: float) -> bool:
    return before <= target_before and now > target


def _crossed_below(before: float, target_before: float, now: float, target: float) -> bool:
    return before >= target_before and now < target


CROSSINGS: dict[Operator, Test] = {
    Operator.CROSSES_ABOVE: _crossed_above,
    Operator.CROSSES_BELOW: _crossed_below,
}

RANGES = frozenset({Operator.BETWEEN, Operator.NOT_BETWEEN})

LOOKING_BACK = frozenset({*CROSSINGS, Operator.CHANGES_TO, Operator.REMAINS})
"""Operators on pairs of candles; `lookback` counts the pairs."""

HAPPENINGS = LOOKING_BACK - {Operator.REMAINS}
"""What happens on one candle and is not true again until it happens again."""


def same_text(left: str, right: str) -> bool:
    """Tell whether two texts are equal, whatever their case."""
    return left.casefold() == right.casefold()


def differs(same: Test) -> Test:
    """Return the opposite of an equality."""
    return lambda left, right: not same(left, right)


def changed_to(same: Test) -> Test:
    """Return the test "was not the target, and now is"."""
    return lambda before, target_before, now, target: (
        not same(before, target_before) and same(now, target)
    )


def remained(same: Test) -> Test:
    """Return the test "was the target, and still is"."""
    return lambda before, target_before, now, target: (
        same(before, target_before) and same(now, target)
    )


def is_one_of(same: Test) -> Test:
    """Return the test "equals one of the listed values"."""
    if same is operator.eq:
        return lambda left, listed: left in listed
    return lambda left, listed: any(same(left, each) for each in listed)


def is_none_of(same: Test) -> Test:
    """Return the test "equals none of the listed values"."""
    return differs(is_one_of(same))
