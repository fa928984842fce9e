"""The daily returns of a backtest's equity, and the Sharpe and Sortino ratios of them."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from math import fsum, hypot, isfinite, sqrt
from typing import NamedTuple

from app.backtest.outcome import EquityPoint, Outcome

MOMENT = timedelta(microseconds=1)
"""What midnight is moved back by: it ends a day, and begins none."""
_NOISE = 1e-12
"""A deviation below this share of the largest return is the rounding of floats."""
_SATURDAY = 5
_FEWEST = 2
_CLOSED_AT_WEEKENDS, _OPEN_ALWAYS = 252, 365


class DailyReturns(NamedTuple):
    """The return of each day, and how many days the market is open a year.

    `returns` is ``None`` when a day began with an equity that was not above zero.
    """

    returns: Sequence[float] | None
    days_a_year: int

    @property
    def sharpe(self) -> float | None:
        """Their mean by their standard deviation, a year; the riskless rate is 0."""
        returns = self.returns
        if returns is None or len(returns) < _FEWEST:
            return None
        mean = fsum(returns) / len(returns)
        deviation = hypot(*(one - mean for one in returns)) / sqrt(len(returns) - 1)
        noise = _NOISE * max(map(abs, returns))
        return self._a_year(mean, deviation if deviation > noise else 0.0)

    @property
    def sortino(self) -> float | None:
        """Their mean by the deviation of the losing days from 0, a year."""
        returns = self.returns
        if returns is None or len(returns) < _FEWEST:
            return None
        mean = fsum(returns) / len(returns)
        return self._a_year(mean, hypot(*(min(one, 0.0) for one in returns)) / sqrt(len(returns)))

    def _a_year(self, mean: float, deviation: float) -> float | None:
        ratio = mean / deviation * sqrt(self.days_a_year) if deviation else None
        return ratio if ratio is not None and isfinite(ratio) else None


def later_points(outcome: Outcome) -> Sequence[EquityPoint]:
    """Return the points after the beginning, oldest first; the last has the final equity."""
    in_order = sorted(outcome.equity, key=lambda point: point.time)
    points = [point for point in in_order if point.time > outcome.began]
    newest = points[-1].equity if points else outcome.capital
    if newest != outcome.final_equity:
        end = max([outcome.began + MOMENT, outcome.ended, *(point.time for point in points[-1:])])
        points.append(EquityPoint(end, outcome.balance, outcome.final_equity))
    return points


def daily_returns(outcome: Outcome) -> DailyReturns:
    """Return the returns from one day's end to the next, the first from the capital; days are UTC.

    Where the market is closed at weekends, what happens on a Sunday evening belongs to Monday.
    """
    points = later_points(outcome)
    days = [(point.time - MOMENT).date() for point in points]
    always = _open_on_saturdays(outcome.began.date(), days)
    days_a_year = _OPEN_ALWAYS if always else _CLOSED_AT_WEEKENDS
    ends: dict[date, Decimal] = {}
    for day, point in zip(days, points, strict=True):
        ends[day if always else _weekday(day)] = point.equity
    returns = []
    before = outcome.capital
    for equity in ends.values():
        if before <= 0:
            return DailyReturns(None, days_a_year)
        returns.append(float((equity - before) / before))
        before = equity
    return DailyReturns(returns, days_a_year)


def _open_on_saturdays(began: date, days: Sequence[date]) -> bool:
    """Say whether the equity has points on most of the Saturdays there were."""
    seen = {day for day in days if day.weekday() == _SATURDAY}
    if not seen:
        return False
    first = began + timedelta(days=(_SATURDAY - began.weekday()) % 7)
    saturdays = (days[-1] - first).days // 7 + 1
    return 2 * len(seen) > saturdays


def _weekday(day: date) -> date:
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= _SATURDAY else day
