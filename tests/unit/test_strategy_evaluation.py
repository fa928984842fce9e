"""What a condition, a rule set and a strategy decide on given rows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from app.domain.errors import ConfigurationError
from app.domain.market import Candle, Timeframe
from app.domain.rows import BASE_COLUMNS, Column, ColumnKind, Columns, Row, View
from app.domain.rules import ColumnRef
from app.domain.signals import Truth
from app.strategies.evaluate import Strategy
from app.strategies.schema import StrategyFile

M1, M5, M15 = Timeframe(1), Timeframe(5), Timeframe(15)
MONDAY = datetime(2025, 1, 6, 12, 0, tzinfo=UTC)
COLUMNS = Columns(
    (
        *BASE_COLUMNS,
        Column("fast"),
        Column("slow"),
        Column("trend", ColumnKind.TEXT, ("bullish", "bearish")),
        Column("mood", ColumnKind.TEXT),
        Column("other_mood", ColumnKind.TEXT),
        Column("is_open", ColumnKind.TRUTH),
        Column("atr"),
        Column("later", looks_ahead=True),
        Column("total", anchored=True),
        Column("total_ema"),
    )
)


def row(timeframe: Timeframe, close_time: datetime, **cells: object) -> Row:
    candle = Candle(
        "EURUSD", timeframe, close_time - timeframe.delta, close_time, 1.1, 1.2, 1.0, 1.1
    )
    known: dict[str, object] = {
        "time": candle.time.timestamp(),
        "open": 1.1,
        "high": 1.2,
        "low": 1.0,
        "close": 1.1,
        "tick_volume": 10.0,
        "regime": "bull_expansion",
        "regime_confidence": 0.8,
        "is_transition": False,
    }
    values = tuple(cells.get(name, known.get(name)) for name in COLUMNS.names())
    return Row(candle, COLUMNS, values)  # type: ignore[arg-type]


def rows(timeframe: Timeframe = M1, last_close: datetime = MONDAY, **cells: Sequence[object]):
    """Rows whose named columns take the given values, the newest closing at `last_close`."""
    count = max(map(len, cells.values()))
    return tuple(
        row(
            timeframe,
            last_close - (count - 1 - at) * timeframe.delta,
            **{name: values[at] for name, values in cells.items()},
        )
        for at in range(count)
    )


def strategy(
    long: object = None,
    *,
    timeframes: Sequence[object] = (1,),
    risk: Mapping[str, object] | None = None,
    where: Callable[[Sequence[str | int]], str] | None = None,
    **blocks: object,
) -> Strategy:
    data: dict[str, object] = {
        "name": "tested",
        "timeframes": list(timeframes),
        "entry": {"long": long} if long is not None else {"short": {"mode": "all"}},
        "risk": risk or {"position_sizing": {"type": "fixed", "value": 0.1}},
        **blocks,
    }
    file = StrategyFile.model_validate(data)
    columns = dict.fromkeys(file.timeframes, COLUMNS)
    return Strategy.compiled(
        file, "EURUSD", 7, columns, where or (lambda loc: f"f.yaml:1 {'.'.join(map(str, loc))}")
    )


def decided(condition: Mapping[str, object], view: View, **more: Any) -> Truth:
    """Return the entry-long truth of a strategy with just this condition."""
    return strategy({"conditions": [dict(condition)]}, **more).evaluate(view).entry_long


def when(
    signal: str, operator: str, value: object = None, timeframe: object = None, **more: object
) -> dict[str, object]:
    said = {"signal": signal, "operator": operator, "value": value, "timeframe": timeframe, **more}
    return {key: each for key, each in said.items() if each is not None}


@pytest.mark.parametrize(
    ("condition", "cells", "truth"),
    [
        (when("fast", ">", 1), {"fast": [2.0]}, True),
        (when("fast", ">", 2), {"fast": [2.0]}, False),
        (when("fast", "<", "slow"), {"fast": [1.0], "slow": [2.0]}, True),
        (when("fast", "<", "slow"), {"fast": [2.0], "slow": [2.0]}, False),
        (when("fast", ">=", 2), {"fast": [2.0]}, True),
        (when("fast", "<=", 1.9), {"fast": [2.0]}, False),
        (when("fast", "==", 2), {"fast": [2.0]}, True),
        (when("fast", "!=", "slow"), {"fast": [2.0], "slow": [2.0]}, False),
        (when("fast", "between", [1, 2]), {"fast": [1.0]}, True),
        (when("fast", "between", [1, 2]), {"fast": [2.0]}, True),
        (when("fast", "between", [1, 2]), {"fast": [2.1]}, False),
        (when("fast", "between", ["slow", 5]), {"fast": [2.0], "slow": [3.0]}, False),
        (when("fast", "not_between", [1, 2]), {"fast": [2.1]}, True),
        (when("fast", "not_between", [1, 2]), {"fast": [1.5]}, False),
        (when("fast", "in", [1, 2.0]), {"fast": [2.0]}, True),
        (when("fast", "not_in", [1, 2]), {"fast": [2.0]}, False),
        (when("trend", "==", "BULLISH"), {"trend": ["bullish"]}, True),
        (when("trend", "!=", "bullish"), {"trend": ["bearish"]}, True),
        (when("trend", "in", ["Bearish"]), {"trend": ["bullish"]}, False),
        (when("mood", "==", "Calm"), {"mood": ["cALM"]}, True),
        (when("mood", "in", ["calm", "GLAD"]), {"mood": ["Glad"]}, True),
        (when("mood", "not_in", ["calm"]), {"mood": ["Calm"]}, False),
        (when("mood", "==", "other_mood"), {"mood": ["A"], "other_mood": ["a"]}, True),
        (when("trend", "!=", "other_mood"), {"trend": ["bullish"], "other_mood": ["x"]}, True),
        (when("is_open", "is_true"), {"is_open": [True]}, True),
        (when("is_open", "is_false"), {"is_open": [True]}, False),
        (when("is_open", "==", value=False), {"is_open": [False]}, True),
        (when("is_open", "in", [True]), {"is_open": [True]}, True),
        (when("fast", "crosses_above", "slow"), {"fast": [1.0, 3.0], "slow": [2.0, 2.0]}, True),
        (when("fast", "crosses_above", "slow"), {"fast": [2.0, 3.0], "slow": [2.0, 2.0]}, True),
        (when("fast", "crosses_above", "slow"), {"fast": [1.0, 2.0], "slow": [2.0, 2.0]}, False),
        (when("fast", "crosses_above", "slow"), {"fast": [3.0, 4.0], "slow": [2.0, 2.0]}, False),
        (when("fast", "crosses_above", 2), {"fast": [2.0, 2.5]}, True),
        (when("fast", "crosses_below", 2), {"fast": [2.0, 1.5]}, True),
        (when("fast", "crosses_below", "slow"), {"fast": [1.0, 0.5], "slow": [2.0, 2.0]}, False),
        (when("trend", "changes_to", "bullish"), {"trend": ["bearish", "bullish"]}, True),
        (when("trend", "changes_to", "bullish"), {"trend": ["bullish", "bullish"]}, False),
        (when("mood", "changes_to", "calm"), {"mood": ["CALM", "Calm"]}, False),
        (when("is_open", "changes_to", value=True), {"is_open": [False, True]}, True),
        (when("trend", "remains", "bullish"), {"trend": ["bullish", "bullish"]}, True),
        (when("trend", "remains", "bullish"), {"trend": ["bearish", "bullish"]}, False),
        (when("fast", "remains", 2), {"fast": [2.0, 2.0]}, True),
        (when("fast", ">", "previous_fast"), {"fast": [1.0, 2.0]}, True),
        (when("previous_fast", "<", 1.5), {"fast": [1.0, 2.0]}, True),
        (when("previous_fast", "crosses_above", 2), {"fast": [1.0, 3.0, 0.0]}, True),
        (when("time", ">", 0), {"fast": [1.0]}, True),
    ],
)
def test_operator_decides_on_the_newest_rows(condition, cells, truth):
    assert decided(condition, {M1: rows(**cells)}) is truth


@pytest.mark.parametrize(
    ("condition", "cells"),
    [
        (when("fast", ">", 1), {"fast": [None]}),
        (when("fast", ">", "slow"), {"fast": [1.0], "slow": [None]}),
        (when("fast", "crosses_above", 2), {"fast": [3.0]}),
        (when("fast", "crosses_above", 2), {"fast": [None, 3.0]}),
        (when("fast", "crosses_below", "slow"), {"fast": [3.0, 1.0], "slow": [None, 2.0]}),
        (when("fast", "crosses_below", "slow"), {"fast": [3.0], "slow": [2.0]}),
        (when("previous_fast", ">", 1), {"fast": [3.0]}),
        (when("fast", ">", "previous_fast"), {"fast": [3.0]}),
        (when("fast", "not_between", [1, 2]), {"fast": [None]}),
        (when("trend", "remains", "bullish", lookback=2), {"trend": ["bullish", "bullish"]}),
    ],
)
def test_missing_rows_or_values_are_not_ready(condition, cells):
    assert decided(condition, {M1: rows(**cells)}) is None


def test_lookback_finds_an_older_crossing():
    view = {M1: rows(fast=[1.0, 3.0, 3.0, 3.0])}
    assert decided(when("fast", "crosses_above", 2), view) is False
    assert decided(when("fast", "crosses_above", 2, lookback=2), view) is False
    assert decided(when("fast", "crosses_above", 2, lookback=3), view) is True


def test_remains_asks_for_every_pair_within_lookback():
    view = {M1: rows(trend=["bearish", "bullish", "bullish", "bullish"])}
    assert decided(when("trend", "remains", "bullish", lookback=2), view) is True
    assert decided(when("trend", "remains", "bullish", lookback=3), view) is False


def test_a_crossing_of_a_slower_timeframe_fires_once_on_its_own_candle():
    """A five-minute crossing is true on one of the five one-minute candles that see it."""
    subject = strategy(
        {"conditions": [when("fast", "crosses_above", "slow", 5)]}, timeframes=[1, 5]
    )
    slow_rows = rows(M5, MONDAY, fast=[1.0, 3.0], slow=[2.0, 2.0])
    fired = [
        subject.evaluate(
            {M1: rows(M1, MONDAY + timedelta(minutes=minute), fast=[1.0]), M5: slow_rows}
        ).entry_long
        for minute in range(5)
    ]
    assert fired == [True, False, False, False, False]


@pytest.mark.parametrize("lookback", [1, 2])
def test_a_crossing_fires_on_the_next_candle_where_the_one_it_closed_with_is_missing(lookback):
    """The last four hours of a week close on Saturday, when no minute is traded."""
    midnight = datetime(2025, 1, 11, tzinfo=UTC)
    condition = when("trend", "changes_to", "bullish", "H4", lookback=lookback)
    subject = strategy({"conditions": [condition]}, timeframes=["M1", "H4"])
    hours = rows(Timeframe("H4"), midnight, trend=["bearish", "bearish", "bullish"])
    friday = rows(M1, midnight - timedelta(minutes=3), fast=[1.0, 1.0])
    monday = rows(M1, midnight + timedelta(hours=46, minutes=2), fast=[1.0, 1.0])
    before = {M1: friday, Timeframe("H4"): hours[:-1]}
    assert subject.evaluate(before).entry_long is False
    seen = [
        subject.evaluate({M1: minutes, Timeframe("H4"): hours}).entry_long
        for minutes in ((*friday, monday[0]), (*friday, *monday))
    ]
    assert seen == [True, False]


def test_a_slower_candle_that_is_ahead_of_the_trigger_waits_for_it():
    subject = strategy({"conditions": [when("fast", "crosses_above", 2, 5)]}, timeframes=[1, 5])
    crossed = rows(M5, MONDAY, fast=[1.0, 3.0])
    fired = [
        subject.evaluate({M1: rows(M1, MONDAY + ago * M1.delta, fast=[1.0] * 2), M5: crossed})
        for ago in (-1, 0, 1)
    ]
    assert [decision.entry_long for decision in fired] == [False, True, False]


def test_the_confidence_of_a_slower_change_is_that_of_its_own_candle():
    """Two M5 candles are seen at once: the change came with the first, which was confident."""
    condition = when("regime", "changes_to", "bear_expansion", 5, required_confidence=0.6)
    subject = strategy({"conditions": [condition]}, timeframes=[1, 5])
    labels = ["bull_expansion", "bear_expansion", "bear_expansion"]
    slow = rows(M5, MONDAY, regime=labels, regime_confidence=[0.1, 0.9, 0.1])
    minutes = (row(M1, MONDAY - timedelta(minutes=7)), row(M1, MONDAY))
    assert subject.evaluate({M1: minutes, M5: slow}).entry_long is True


def test_a_slower_change_waits_for_its_rows():
    subject = strategy(
        {"conditions": [when("trend", "changes_to", "bullish", 5)]}, timeframes=[1, 5]
    )
    assert subject.evaluate({M1: rows(fast=[1.0])}, 0).entry_long is None


def test_a_comparison_on_a_slower_timeframe_holds_between_its_candles():
    subject = strategy({"conditions": [when("fast", ">", 2, "M5")]}, timeframes=["M1", "M5"])
    later = rows(M1, MONDAY + timedelta(minutes=3), fast=[0.0])
    assert subject.evaluate({M1: later, M5: rows(M5, fast=[3.0])}).entry_long is True


def test_a_crossing_on_a_faster_timeframe_than_the_trigger_is_not_gated():
    subject = strategy(
        {"conditions": [when("fast", "crosses_above", 2, 1)]}, timeframes=[1, 5], trigger=5
    )
    view = {M1: rows(M1, fast=[1.0, 3.0]), M5: rows(M5, fast=[1.0])}
    decision = subject.evaluate(view)
    assert (decision.timeframe, decision.entry_long) == (M5, True)


@pytest.mark.parametrize(
    ("confidence", "truth"), [(0.9, True), (0.6, True), (0.59, False), (None, None)]
)
def test_required_confidence_gates_regime_signals(confidence, truth):
    view = {M1: rows(regime=["bull_expansion"], regime_confidence=[confidence])}
    condition = when("regime", "==", "bull_expansion", required_confidence=0.6)
    assert decided(condition, view) is truth


def test_required_confidence_on_another_signal_is_said_to_be_ignored():
    subject = strategy({"conditions": [when("fast", ">", 1, required_confidence=0.9)]})
    view = {M1: rows(fast=[2.0], regime_confidence=[0.1])}
    assert subject.evaluate(view).entry_long is True
    assert "not applied to 'fast'" in subject.warnings[0]


def test_lookback_on_a_comparison_is_said_to_have_no_effect():
    subject = strategy({"conditions": [when("fast", ">", 1, lookback=5)]})
    assert subject.evaluate({M1: rows(fast=[2.0])}).entry_long is True
    assert subject.warnings == (
        "f.yaml:1 entry.long.conditions.0.lookback: lookback 5 is for crossings, changes and "
        "persistence: '>' is read on the newest candle only",
    )
    assert subject.rows_needed == {M1: 1}


T, F, N = when("fast", ">", 1), when("fast", "<", 1), when("slow", ">", 1)
"""Conditions that are true, false and not ready on the row below."""
VIEW = {M1: rows(fast=[2.0])}


@pytest.mark.parametrize(
    ("rules", "truth"),
    [
        ({"mode": "all", "conditions": [T, T]}, True),
        ({"mode": "all", "conditions": [T, F]}, False),
        ({"mode": "ALL", "conditions": [N, F]}, False),
        ({"mode": "all", "conditions": [T, N]}, None),
        ({"mode": "any", "conditions": [F, T]}, True),
        ({"mode": "Any", "conditions": [N, T]}, True),
        ({"mode": "any", "conditions": [F, N]}, None),
        ({"mode": "any", "conditions": [F, F]}, False),
        ({"conditions": [T, F]}, False),
        ({"mode": "complex", "tree": {"operator": "and", "conditions": [T, T]}}, True),
        ({"mode": "tree", "tree": {"operator": "OR", "conditions": [F, N]}}, None),
        ({"tree": {"operator": "not", "conditions": [F]}}, True),
        ({"tree": {"operator": "not", "conditions": [N]}}, None),
        (
            {
                "tree": {
                    "operator": "and",
                    "conditions": [
                        T,
                        {"operator": "or", "conditions": [F, T]},
                        {"operator": "not", "conditions": [{"operator": "and", "conditions": [F]}]},
                    ],
                }
            },
            True,
        ),
    ],
)
def test_rule_sets_join_conditions_in_three_valued_logic(rules, truth):
    assert strategy(rules).evaluate(VIEW).entry_long is truth


def test_exits_fire_on_any_condition_unless_told_otherwise():
    subject = strategy(
        {"conditions": [T]},
        exit={"long": {"conditions": [F, T]}, "short": {"mode": "all", "conditions": [F, T]}},
    )
    decision = subject.evaluate(VIEW)
    assert (decision.exit_long, decision.exit_short) == (True, False)


def test_undeclared_rule_sets_are_false_and_never_not_ready():
    decision = strategy({"conditions": [N]}).evaluate(VIEW, 3)
    assert decision.entry_long is None
    assert (decision.entry_short, decision.exit_long, decision.exit_short) == (False, False, False)


def test_an_exit_with_guards_only_has_no_rule_that_fires():
    subject = strategy({"conditions": [T]}, exit={"long": {"time_based": {"max_duration": "4h"}}})
    assert subject.evaluate(VIEW).exit_long is False


def test_an_entry_without_conditions_never_opens_and_says_so():
    subject = strategy({"mode": "all", "conditions": []})
    assert subject.evaluate(VIEW).entry_long is False
    assert "never opens a position" in subject.warnings[0]


@pytest.mark.parametrize(("count", "truth"), [(2, None), (3, True)])
def test_fewer_rows_than_required_are_not_ready(count, truth):
    """C11: min_rows_required rows of every declared timeframe."""
    subject = strategy({"conditions": [when("fast", ">", 1, 1)]}, timeframes=[1, 5])
    view = {M1: rows(fast=[2.0] * 3), M5: rows(M5, fast=[2.0] * count)}
    assert subject.evaluate(view, 3).entry_long is truth


def test_a_declared_timeframe_without_rows_is_not_ready():
    subject = strategy({"conditions": [when("fast", ">", 1, 1)]}, timeframes=[1, 5])
    decision = subject.evaluate({M1: rows(fast=[2.0])}, 1)
    assert decision.entry_long is None
    assert decision.regimes == {M1: "bull_expansion"}


def test_the_decision_names_its_candle_regimes_and_levels():
    subject = strategy(
        {"conditions": [when("fast", ">", 1, 1)]},
        timeframes=[5, 1],
        risk={
            "position_sizing": {"type": "volatility", "value": 1},
            "sl": {"type": "indicator", "source": "slow", "timeframe": 5},
        },
    )
    view = {
        M1: rows(fast=[2.0], atr=[0.001]),
        M5: rows(M5, slow=[None], regime=["bear_contraction"]),
    }
    decision = subject.evaluate(view)
    assert decision.time == MONDAY
    assert decision.candle is view[M1][-1].candle
    assert (decision.symbol, decision.strategy, decision.timeframe) == ("EURUSD", "tested", M1)
    assert decision.regimes == {M1: "bull_expansion", M5: "bear_contraction"}
    assert decision.levels == {ColumnRef(M1, "atr"): 0.001, ColumnRef(M5, "slow"): None}


def test_levels_of_a_timeframe_without_rows_are_not_ready():
    risk = {
        "position_sizing": {"type": "fixed", "value": 1},
        "tp": {"type": "indicator", "source": "slow", "timeframe": 5},
    }
    subject = strategy({"conditions": [when("fast", ">", 1, 1)]}, timeframes=[1, 5], risk=risk)
    assert subject.evaluate({M1: rows(fast=[2.0])}).levels == {ColumnRef(M5, "slow"): None}


def test_facts_tell_every_condition_with_its_numbers():
    subject = strategy(
        {"conditions": [F, when("fast", "crosses_above", "slow"), when("fast", "between", [1, 9])]},
        exit={
            "long": {"tree": {"operator": "not", "conditions": [when("trend", "==", "bullish")]}}
        },
    )
    view = {M1: rows(fast=[1.0, 3.0], slow=[2.0, 2.5], trend=["bearish", "bearish"])}
    compared, crossed, ranged = subject.explain(view, "entry.long")
    assert (compared.path, compared.truth) == ("entry.long.conditions[0]", False)
    assert (compared.left, compared.right, compared.previous_left) == (3.0, 1.0, None)
    assert str(crossed) == "fast 3 crosses_above slow 2.5"
    assert (crossed.truth, crossed.previous_left, crossed.previous_right) == (True, 1.0, 2.0)
    assert (ranged.right, ranged.truth) == ((1.0, 9.0), True)
    (negated,) = subject.explain(view, "exit.long")
    assert (negated.path, negated.truth) == ("exit.long.tree.conditions[0]", False)
    assert subject.explain(view) == (compared, crossed, ranged, negated)
    assert subject.explain(view, "exit.short") == ()


def test_facts_of_missing_rows_are_not_ready():
    (fact,) = strategy({"conditions": [T]}).explain({})
    assert (fact.truth, fact.left, fact.right) == (None, None, 1.0)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            when("fsat", ">", 1),
            "signal: unknown column 'fsat': no indicator of timeframe 1 provides "
            "it (did you mean 'fast'?)",
        ),
        (when("previous_fsat", ">", 1), "(did you mean 'previous_fast'?)"),
        (when("later", ">", 1), "'later' looks ahead"),
        (when("fast", ">", "later"), "'later' looks ahead"),
        (
            when("fast", ">", "solw"),
            "value: 'fast' holds numbers: 'solw' is neither one of them nor "
            "a column of timeframe 1 (did you mean 'slow'?)",
        ),
        (when("fast", ">", "30"), "'30' is neither one of them"),
        (when("fast", ">", "trend"), "'fast' holds numbers, but the column 'trend' holds text"),
        (when("fast", "==", value=True), "true is neither one of them"),
        (when("trend", "==", 1), "'trend' holds text (bullish, bearish): 1 is neither"),
        (when("trend", "==", "bulish"), "(did you mean 'bullish'?)"),
        (when("trend", "in", ["bullish", "up"]), "'up' is neither one of them"),
        (when("trend", ">", 1), "signal: '>' needs a signal of number: 'trend' holds text"),
        (when("trend", "crosses_above", "bullish"), "needs a signal of number"),
        (when("trend", "between", ["bearish", "bullish"]), "needs a signal of number"),
        (when("fast", "is_true"), "'is_true' needs a signal of truth: 'fast' holds number"),
        (when("is_open", "==", "yes"), "'is_open' holds true or false: 'yes' is neither"),
        (when("is_open", "is_true", value=False), "'is_true' needs no value: leave it out"),
        (when("fast", ">"), "conditions.0: value is missing: '>' compares with one"),
        (when("fast", ">", [1, 2]), "'>' compares with one value, not with a list"),
        (when("fast", "between", 1), "'between' takes a list of two: [low, high]"),
        (when("fast", "between", [1, 2, 3]), "'between' takes a list of two"),
        (when("fast", "between", [2, 1]), "the range is empty: 2 is above 1"),
        (when("fast", "in", 1), "'in' takes a list of values"),
        (when("fast", "in", []), "'in' takes a list of values"),
        (when("fast", "in", ["slow"]), "'in' takes a list of values: 'slow' is a column"),
        (when("fast", ">", 1, 5), "timeframe: timeframe 5 is not among timeframes 1"),
    ],
)
def test_a_condition_that_cannot_be_compared_is_refused_at_load(condition, message):
    """Misspelt columns and impossible comparisons are errors, not silent falses."""
    with pytest.raises(ConfigurationError) as error:
        strategy({"conditions": [condition]})
    assert message in str(error.value)
    assert str(error.value).startswith("f.yaml:1 entry.long.conditions.0")


@pytest.mark.parametrize(
    "condition",
    [
        when("total", ">", 1000),
        when("previous_total", "<=", 0),
        when("total", "crosses_above", 0),
        when("total", "between", ["previous_total", 5]),
        when("total", "in", [1, 2]),
        when("total", ">", "fast"),
        when("fast", "crosses_below", "total"),
    ],
)
def test_a_running_total_is_not_compared_with_what_does_not_shift_with_it(condition):
    """Its level depends on where history begins: a restart would change the decision."""
    with pytest.raises(ConfigurationError) as error:
        strategy({"conditions": [condition]})
    assert str(error.value) == (
        "f.yaml:1 entry.long.conditions.0.value: the level of 'total' depends on where history "
        "begins, so each restart would change it: compare 'total' with 'previous_total', or use "
        "'total_ema'"
    )


@pytest.mark.parametrize(
    "condition", [when("total", ">", "previous_total"), when("total_ema", ">", 1)]
)
def test_the_changes_of_a_running_total_are_compared(condition):
    view = {M1: rows(total=[1.0, 2.0], total_ema=[0.0, 3.0])}
    assert decided(condition, view) is True


def test_an_undecided_candle_still_tells_its_levels_and_regimes():
    """What cannot be read is not ready."""
    risk = {
        "position_sizing": {"type": "volatility", "value": 1},
        "sl": {"type": "indicator", "source": "slow", "timeframe": 5},
    }
    subject = strategy({"conditions": [when("fast", ">", 1, 1)]}, timeframes=[1, 5], risk=risk)
    view = {M1: rows(fast=[2.0], atr=[0.001])}
    decision = subject.undecided(view)
    assert decision == replace(
        subject.evaluate(view),
        entry_long=None,
        entry_short=None,
        exit_long=None,
        exit_short=None,
    )
    assert decision.regimes == {M1: "bull_expansion"}
    assert decision.levels == {ColumnRef(M1, "atr"): 0.001, ColumnRef(M5, "slow"): None}
    torn = {M1: (replace(view[M1][0], values=()),)}
    assert set(subject.undecided(torn).levels.values()) == {None}


def test_a_condition_must_name_its_timeframe_where_several_are_declared():
    with pytest.raises(ConfigurationError, match="timeframe is missing: expected one of 1, 5"):
        strategy({"conditions": [T]}, timeframes=[1, 5])


def test_rows_needed_counts_lookback_and_previous_columns():
    subject = strategy(
        {
            "conditions": [
                when("fast", "crosses_above", "previous_slow", 1, lookback=3),
                when("fast", ">", 1, 5),
            ]
        },
        timeframes=[1, 5],
    )
    assert subject.rows_needed == {M1: 5, M5: 1}
