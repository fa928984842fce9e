"""Laws of the strategy language: Kleene's logic, and agreement with a plain reading of the spec."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.market import Candle, Timeframe
from app.domain.rows import BASE_COLUMNS, Column, ColumnKind, Columns, Row
from app.domain.signals import Truth
from app.strategies.evaluate import PARTS, Strategy
from app.strategies.schema import StrategyFile
from app.strategies.truth import all_of, any_of, negation

M1, M5 = Timeframe(1), Timeframe(5)
TIMEFRAMES = {"1": M1, "5": M5}
COLUMNS = Columns(
    (*BASE_COLUMNS, Column("a"), Column("b"), Column("trend", ColumnKind.TEXT, ("up", "down")))
)
START = datetime(2025, 1, 6, tzinfo=UTC)

truths = st.sampled_from([True, False, None])
truth_lists = st.lists(truths, min_size=1, max_size=5)


def rule(truth: Truth):
    return lambda _: truth


def conjunction(values: Sequence[Truth]) -> Truth:
    return all_of([rule(value) for value in values])([])


def disjunction(values: Sequence[Truth]) -> Truth:
    return any_of([rule(value) for value in values])([])


def opposite(value: Truth) -> Truth:
    return negation(rule(value))([])


def completions(values: Sequence[Truth]):
    """Yield every way in which what is not ready could turn out."""
    return product(*[[value] if value is not None else [True, False] for value in values])


@given(truth_lists)
def test_de_morgan_holds_in_three_values(values):
    assert opposite(conjunction(values)) is disjunction([opposite(value) for value in values])
    assert opposite(disjunction(values)) is conjunction([opposite(value) for value in values])


@given(truth_lists, st.randoms(use_true_random=False))
def test_order_never_matters(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert conjunction(values) is conjunction(shuffled)
    assert disjunction(values) is disjunction(shuffled)


@given(truth_lists)
def test_a_decided_truth_survives_whatever_turns_out(values):
    """Not ready is monotone: a decided result holds for every completion; else they differ."""
    for join, plain in ((conjunction, all), (disjunction, any)):
        outcomes = {plain(each) for each in completions(values)}
        decided = join(values)
        assert outcomes == {decided} if decided is not None else outcomes == {True, False}


def test_false_decides_an_and_before_the_rest_is_asked():
    def broken(_):
        raise AssertionError

    assert all_of([rule(None), rule(False), broken])([]) is False
    assert any_of([rule(None), rule(True), broken])([]) is True


NUMBERS = st.sampled_from([None, 1.0, 2.0, 3.0])
WORDS = st.sampled_from([None, "up", "down"])


@st.composite
def frames(draw, timeframe: Timeframe):
    """Random rows of one timeframe, the newest closing at START or one candle before it."""
    count = draw(st.integers(0, 5))
    late = draw(st.booleans()) if timeframe is M5 else False
    made = []
    for at in range(count):
        close_time = START - (count - 1 - at + late) * timeframe.delta
        candle = Candle(
            "EURUSD", timeframe, close_time - timeframe.delta, close_time, 1.0, 1.0, 1.0, 1.0
        )
        cells = (0.0, 1.0, 1.0, 1.0, 1.0, 1.0, "bull_expansion", draw(NUMBERS), False)
        made.append(Row(candle, COLUMNS, (*cells, draw(NUMBERS), draw(NUMBERS), draw(WORDS))))
    return tuple(made)


views = st.fixed_dictionaries({M1: frames(M1).filter(bool), M5: frames(M5)})

numeric_values = st.sampled_from([1, 2.0, "b", "previous_b", "previous_a"])
number_conditions = st.fixed_dictionaries(
    {
        "signal": st.sampled_from(["a", "previous_a"]),
        "operator": st.sampled_from(
            [
                *[">", "<", ">=", "<=", "==", "!="],
                "crosses_above",
                "crosses_below",
                "changes_to",
                "remains",
            ]
        ),
        "value": numeric_values,
        "timeframe": st.sampled_from(["1", "5"]),
        "lookback": st.integers(1, 3),
    }
)
range_conditions = st.fixed_dictionaries(
    {
        "signal": st.just("a"),
        "operator": st.sampled_from(["between", "not_between"]),
        "value": st.sampled_from([[1, 2], ["b", 2], [2, "previous_b"]]),
        "timeframe": st.sampled_from(["1", "5"]),
    }
)
text_conditions = st.fixed_dictionaries(
    {
        "signal": st.just("trend"),
        "operator": st.sampled_from(["==", "!=", "changes_to", "remains"]),
        "value": st.sampled_from(["UP", "down", "previous_trend"]),
        "timeframe": st.sampled_from(["1", "5"]),
        "lookback": st.integers(1, 2),
    }
)
list_conditions = st.fixed_dictionaries(
    {
        "signal": st.just("trend"),
        "operator": st.sampled_from(["in", "not_in"]),
        "value": st.sampled_from([["Up"], ["up", "down"]]),
        "timeframe": st.sampled_from(["1", "5"]),
    }
)
conditions = st.one_of(number_conditions, range_conditions, text_conditions, list_conditions)
trees = st.recursive(
    conditions,
    lambda node: st.one_of(
        st.fixed_dictionaries(
            {
                "operator": st.sampled_from(["and", "or"]),
                "conditions": st.lists(node, min_size=1, max_size=3),
            }
        ),
        st.fixed_dictionaries(
            {"operator": st.just("not"), "conditions": st.lists(node, min_size=1, max_size=1)}
        ),
    ),
    max_leaves=6,
)


def naive(node: Mapping, view) -> Truth:
    """Read a tree as the specification words it, one row and one name at a time."""
    if "conditions" in node:
        values = [naive(each, view) for each in node["conditions"]]
        if node["operator"] == "not":
            return None if values[0] is None else not values[0]
        outcomes = {
            all(each) if node["operator"] == "and" else any(each) for each in completions(values)
        }
        return outcomes.pop() if len(outcomes) == 1 else None
    return naive_condition(node, view)


def naive_condition(condition: Mapping, view) -> Truth:
    rows = view[TIMEFRAMES[condition["timeframe"]]]
    op = condition["operator"]

    def cell(name, ago):
        if not isinstance(name, str) or name.casefold() in ("up", "down"):
            return name.casefold() if isinstance(name, str) else name
        if name.startswith("previous_"):
            return cell(name.removeprefix("previous_"), ago + 1)
        return rows[-1 - ago][name] if ago < len(rows) else None

    def holds(ago):
        values = [cell(condition["signal"], ago), cell(condition["signal"], ago + 1)]
        values += [cell(condition["value"], ago), cell(condition["value"], ago + 1)]
        if None in values:
            return None
        now, before, target, target_before = values
        return {
            "crosses_above": before_and_after(lambda x, y: x <= y, lambda x, y: x > y),
            "crosses_below": before_and_after(lambda x, y: x >= y, lambda x, y: x < y),
            "changes_to": before_and_after(lambda x, y: x != y, lambda x, y: x == y),
            "remains": before_and_after(lambda x, y: x == y, lambda x, y: x == y),
        }[op](before, target_before, now, target)

    if op in ("crosses_above", "crosses_below", "changes_to", "remains"):
        found = [holds(ago) for ago in range(condition["lookback"])]
        joined = all if op == "remains" else any
        outcomes = {joined(each) for each in completions(found)}
        happens = op != "remains" and condition["timeframe"] == "5" and bool(rows)
        if happens and rows[-1].candle.close_time != view[M1][-1].candle.close_time:
            return False
        return outcomes.pop() if len(outcomes) == 1 else None
    return naive_comparison(op, cell(condition["signal"], 0), condition["value"], cell)


def before_and_after(was, is_now):
    return lambda before, target_before, now, target: (
        was(before, target_before) and is_now(now, target)
    )


def naive_comparison(op, left, value, cell) -> Truth:
    if op in ("between", "not_between"):
        low, high = (cell(bound, 0) for bound in value)
        parts = [
            None if None in (left, low) else left >= low,
            None if None in (left, high) else left <= high,
        ]
        inside = False if False in parts else None if None in parts else True
        return inside if op == "between" else None if inside is None else not inside
    right = [cell(each, 0) for each in value] if isinstance(value, list) else cell(value, 0)
    if left is None or right is None:
        return None
    return {
        ">": lambda: left > right,
        "<": lambda: left < right,
        ">=": lambda: left >= right,
        "<=": lambda: left <= right,
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "in": lambda: left in right,
        "not_in": lambda: left not in right,
    }[op]()


def compiled(tree: Mapping, trigger: str = "1") -> Strategy:
    node = tree if "conditions" in tree else {"operator": "and", "conditions": [tree]}
    file = StrategyFile.model_validate(
        {
            "name": "law",
            "timeframes": ["1", "5"],
            "trigger": trigger,
            "entry": {"long": {"mode": "complex", "tree": node}},
            "risk": {"position_sizing": {"type": "fixed", "value": 0.1}},
        }
    )
    return Strategy.compiled(
        file, "EURUSD", 1, {M1: COLUMNS, M5: COLUMNS}, lambda loc: "law.yaml:1"
    )


@given(trees, views)
@settings(max_examples=400)
def test_a_compiled_strategy_decides_as_the_specification_reads(tree, view):
    assert compiled(tree).evaluate(view, 0).entry_long is naive(tree, view)


@given(trees, views)
@settings(max_examples=100)
def test_the_same_view_gives_the_same_decision_and_facts_agree(tree, view):
    subject = compiled(tree)
    before = {timeframe: tuple(rows) for timeframe, rows in view.items()}
    first = subject.evaluate(view)
    facts = subject.explain(view)
    assert subject.evaluate(view) == first
    assert subject.explain(view) == facts
    assert view == before
    leaves = {fact.path: fact.truth for fact in facts}
    assert subject.explain(view, PARTS[0]) == facts
    assert len(leaves) == len(facts)


five_minutes = st.tuples(
    st.sampled_from([1.0, 2.0, 3.0]), st.sets(st.integers(1, 5), min_size=1).map(sorted)
)
"""The slower column on five minutes, and which of their one-minute candles there are."""


@given(st.lists(five_minutes, min_size=2, max_size=12), st.sampled_from([5, 7, 60]))
@settings(max_examples=200)
def test_each_crossing_of_a_slower_timeframe_fires_exactly_once_whatever_minutes_are_missing(
    fives, apart
):
    """Played minute by minute, a strategy fires as often as the slower column really crosses.

    A slower candle starts every `apart` minutes; the market is closed in between.
    """
    subject = compiled({"signal": "a", "operator": "crosses_above", "value": 2, "timeframe": "5"})

    def row(timeframe, minute, value):
        opened = START + (minute * M1.delta) - timeframe.delta
        candle = Candle("EURUSD", timeframe, opened, opened + timeframe.delta, 1.0, 1.0, 1.0, 1.0)
        cells = (0.0, 1.0, 1.0, 1.0, 1.0, 1.0, "bull_expansion", 1.0, False)
        return Row(candle, COLUMNS, (*cells, value, None, None))

    slow = [row(M5, apart * at + 5, value) for at, (value, _) in enumerate(fives)]
    fast = [
        row(M1, apart * at + minute, 1.0)
        for at, (_, minutes) in enumerate([*fives, (0.0, [1])])
        for minute in minutes
    ]
    fired = 0
    for at, newest in enumerate(fast):
        seen = [it for it in slow if it.candle.close_time <= newest.candle.close_time]
        view = {M1: tuple(fast[: at + 1][-6:]), M5: tuple(seen[-6:])}
        fired += subject.evaluate(view).entry_long is True
    crossings = sum(before <= 2 < now for (before, _), (now, _) in pairwise(fives))
    assert fired == crossings


@pytest.mark.parametrize("trigger", ["1", "5"])
def test_the_trigger_can_be_named(trigger):
    assert (
        compiled(
            {"signal": "a", "operator": ">", "value": 2, "timeframe": "5"}, trigger
        ).rules.trigger
        == trigger
    )
