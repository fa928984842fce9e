"""What is kept of the equity tells of days and months what all of it would."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from app.backtest.equity import EquityCurve
from app.backtest.figures import monthly
from app.backtest.outcome import EquityPoint
from app.backtest.returns import daily_returns
from tests.unit.backtest.outcomes import CAPITAL, outcome

JANUARY = datetime(2025, 1, 30, tzinfo=UTC)
HOURS = st.sampled_from([1, 4, 24])
STEPS = st.lists(st.tuples(st.integers(-300, 300), st.booleans(), st.booleans()), min_size=1)


@given(hours=HOURS, began=st.integers(0, 30), steps=STEPS)
def test_days_and_months_are_those_of_every_point(hours, began, steps):
    """Red when a point at midnight is taken for the first of the day it begins.

    The deepest fall is that of the points kept. Red when its peak is not kept.
    """
    now = JANUARY + timedelta(hours=began)
    curve = EquityCurve(CAPITAL, now)
    every, equity = [EquityPoint(now, CAPITAL, CAPITAL)], CAPITAL
    for change, something_open, keep in steps:
        now += timedelta(hours=hours)
        if something_open:
            equity += change
            curve.see(now, equity, equity, keep=keep)
        else:
            curve.idle(now)
        every.append(EquityPoint(now, equity, equity))
    curve.end()
    falls = [peak.equity - low.equity for peak, low in combinations(curve.points, 2)]
    assert max([Decimal(0), *falls]) == curve.drawdown.amount
    ends = {curve.drawdown.peak_at, curve.drawdown.low_at}
    assert ends <= {point.time for point in curve.points}
    assert curve.points == sorted(curve.points, key=lambda point: point.time)
    kept, all_of_it = outcome(equity=curve.points), outcome(equity=every)
    assert daily_returns(kept) == daily_returns(all_of_it)
    assert [(it.month, it.return_percent) for it in monthly(kept)] == [
        (it.month, it.return_percent) for it in monthly(all_of_it)
    ]


def test_the_last_candle_of_a_month_counts_for_it():
    """A position held over the end of January: its last candle closes when February begins."""
    curve = EquityCurve(CAPITAL, JANUARY)
    for hours, equity in ((44, 9590), (48, 9602), (52, 9600)):
        curve.see(JANUARY + timedelta(hours=hours), CAPITAL, Decimal(equity), keep=False)
    curve.end()
    first, second = monthly(outcome(equity=curve.points))
    assert (first.net_profit, second.net_profit) == (Decimal(-398), Decimal(-2))
