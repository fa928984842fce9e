"""Scores: never NaN, the worst said as such, and a collapse out of sample called one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.optimize.scores import (
    OBJECTIVES,
    WORST,
    Sample,
    Tried,
    collapse,
    difference,
    in_order,
    score_of,
)
from app.optimize.windows import Piece, Window

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(1, Piece(MONDAY, MONDAY + 8 * DAY), Piece(MONDAY + 8 * DAY, MONDAY + 10 * DAY))


def sample(net=0, trades=10, **other):
    values = dict.fromkeys(Sample.__struct_fields__)
    money = {"net_profit": Decimal(net), "equity_change": Decimal(net), "drawdown": Decimal(0)}
    return Sample(**(values | money | {"trades": trades, "still_open": 0} | other))


def tried(one, other, number=0, score=1.0, worst="", **values):
    return Tried(number, values, score, worst, one, other, of_file=False)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_trades_is_the_worst_whatever_is_asked_for(objective):
    assert score_of(sample(trades=0), objective) == (WORST, "no trades")


def test_a_figure_that_is_not_defined_is_the_worst():
    assert score_of(sample(5), "profit_factor") == (WORST, "profit_factor is not defined")
    assert score_of(sample(5), "net_profit") == (5.0, "")


@pytest.mark.parametrize(
    ("objective", "one", "other", "said"),
    [
        ("net_profit", sample(80), sample(20), ""),
        ("net_profit", sample(80), sample(10), ""),
        ("net_profit", sample(80), sample(9), "net_profit falls from 10.00 to 4.50 a day"),
        ("net_profit", sample(80), sample(-9), "falls from 10.00 to -4.50 a day out of sample"),
        ("net_profit", sample(-80), sample(9), "gains nothing in-sample"),
        ("net_profit", sample(80), sample(0, 0), "does not trade out of sample"),
        ("net_profit", sample(80), sample(20, 9), "too few trades out of sample: 9"),
        ("net_profit", sample(80), sample(20, 10), ""),
        ("sharpe", sample(sharpe=2.0), sample(sharpe=1.1), ""),
        ("sharpe", sample(sharpe=2.0), sample(sharpe=0.9), "sharpe falls from 2.00 to 0.90 out"),
        ("sharpe", sample(sharpe=2.0), sample(), "sharpe is not defined out of sample"),
        ("profit_factor", sample(profit_factor=1.5), sample(profit_factor=1.3), ""),
        ("profit_factor", sample(profit_factor=1.5), sample(profit_factor=1.1), "falls from 1.50"),
    ],
)
def test_a_collapse_is_called_one(objective, one, other, said):
    found = collapse(tried(one, other), objective, WINDOW)
    assert said in found
    assert bool(said) == bool(found)


def test_sums_are_compared_by_the_day():
    assert difference(tried(sample(80), sample(20)), "net_profit", WINDOW) == 0
    assert difference(tried(sample(80), None), "net_profit", WINDOW) is None
    one, other = sample(sharpe=2.0), sample(sharpe=0.5)
    assert difference(tried(one, other), "sharpe", WINDOW) == -1.5


def test_the_best_first_and_the_same_values_once():
    trials = [
        tried(None, None, 0, WORST, "no trades", a=1),
        tried(None, None, 1, 5.0, a=2),
        tried(None, None, 2, 7.0, a=3),
        tried(None, None, 3, 7.0, a=3),
    ]
    assert [trial.number for trial in in_order(trials)] == [2, 1, 0]
