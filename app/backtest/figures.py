"""The figures of a backtest: pure functions of its `Outcome`.

Money is account currency and exact; ratios and percentages are floats. ``None`` stands where a
figure is not defined: nothing here is ever NaN or infinite.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal, localcontext
from math import isfinite

import msgspec

from app.backtest.outcome import Outcome, Trade
from app.backtest.returns import MOMENT, daily_returns, later_points

_NOTHING = Decimal(0)
_EXACT = Context(prec=100)
"""Digits enough that sums do not depend on the order of what is added."""
_FINE = Decimal("0.00000001")
"""What averages are rounded to."""
_YEAR = timedelta(days=365.25)
_LONG_ENOUGH = timedelta(days=30)


class Figures(msgspec.Struct, frozen=True):
    """What a group of trades came to.

    A trade wins when its net profit is above zero and loses when it is below. The three losses are
    amounts, not negative; commission and swap are what they did to the balance (negative: paid),
    `spread_paid` is a positive estimate that the profits hold already.
    """

    trades: int
    net_profit: Decimal
    gross_profit: Decimal
    gross_loss: Decimal
    profit_factor: float | None
    expectancy: Decimal | None
    win_rate_percent: float | None
    average_win: Decimal | None
    average_loss: Decimal | None
    largest_win: Decimal | None
    largest_loss: Decimal | None
    longest_losing_run: int
    average_duration: timedelta | None
    commission: Decimal
    swap: Decimal
    spread_paid: Decimal


class Whole(msgspec.Struct, frozen=True):
    """What the run came to: the figures of all its trades, and those of its equity.

    `equity_change` values what is still open, `figures.net_profit` knows closed trades only. The
    dates of the drawdown (aware UTC) are ``None`` when the equity never fell.
    """

    figures: Figures
    equity_change: Decimal
    return_percent: float | None
    cagr_percent: float | None
    drawdown: Decimal
    drawdown_percent: float | None
    drawdown_peak_at: datetime | None
    drawdown_low_at: datetime | None
    drawdown_recovered_at: datetime | None
    recovery_factor: float | None
    exposure_percent: float | None
    sharpe: float | None
    sortino: float | None
    trading_days_a_year: int


class Month(msgspec.Struct, frozen=True):
    """A calendar month, UTC: what it did to the equity, and the trades closed in it.

    `net_profit` is the change of the equity since `start`, the equity as the month began;
    `drawdown` is the deepest fall within the month that the points of the equity show.
    """

    year: int
    month: int
    start: Decimal
    net_profit: Decimal
    return_percent: float | None
    trades: int
    drawdown: Decimal
    drawdown_percent: float | None


def figures_of(trades: Iterable[Trade]) -> Figures:
    """Return the figures of a group of trades, given in any order."""
    in_order = sorted(trades, key=lambda trade: (trade.closed_at, trade.opened_at, trade.ticket))
    count = len(in_order)
    with localcontext(_EXACT):
        nets = [trade.net for trade in in_order]
        wins = [net for net in nets if net > 0]
        losses = [-net for net in nets if net < 0]
        won, lost = sum(wins, _NOTHING), sum(losses, _NOTHING)
        return Figures(
            trades=count,
            net_profit=won - lost,
            gross_profit=won,
            gross_loss=lost,
            profit_factor=_ratio(won, lost),
            expectancy=_mean(won - lost, count),
            win_rate_percent=100 * len(wins) / count if count else None,
            average_win=_mean(won, len(wins)),
            average_loss=_mean(lost, len(losses)),
            largest_win=max(wins, default=None),
            largest_loss=max(losses, default=None),
            longest_losing_run=_longest_losing_run(nets),
            average_duration=_average_duration(in_order),
            commission=sum((trade.commission for trade in in_order), _NOTHING),
            swap=sum((trade.swap for trade in in_order), _NOTHING),
            spread_paid=sum((trade.spread for trade in in_order), _NOTHING),
        )


def by_strategy(outcome: Outcome) -> Mapping[str, Figures]:
    """Return strategy -> its figures, by name."""
    return _grouped(outcome.trades, lambda trade: trade.strategy)


def by_regime(outcome: Outcome) -> Mapping[str, Figures]:
    """Return regime at the opening -> its figures, by name; empty (none was known) last."""
    return _grouped(outcome.trades, lambda trade: trade.regime)


def whole(outcome: Outcome) -> Whole:
    """Return the figures of the whole run."""
    capital, fall = outcome.capital, outcome.drawdown
    span = outcome.ended - outcome.began
    fell = fall.amount > 0
    daily = daily_returns(outcome)
    with localcontext(_EXACT):
        change = outcome.final_equity - capital
        return Whole(
            figures=figures_of(outcome.trades),
            equity_change=change,
            return_percent=_percent(change, capital),
            cagr_percent=_cagr_percent(_ratio(outcome.final_equity, capital), span),
            drawdown=fall.amount,
            drawdown_percent=_finite(fall.percent),
            drawdown_peak_at=fall.peak_at if fell else None,
            drawdown_low_at=fall.low_at if fell else None,
            drawdown_recovered_at=fall.recovered_at if fell else None,
            recovery_factor=_ratio(change, fall.amount),
            exposure_percent=100 * (outcome.exposed / span) if span else None,
            sharpe=daily.sharpe,
            sortino=daily.sortino,
            trading_days_a_year=daily.days_a_year,
        )


def monthly(outcome: Outcome) -> Sequence[Month]:
    """Return every month from the run's first to its last, in order, none left out."""
    points: dict[tuple[int, int], list[Decimal]] = {}
    for point in later_points(outcome):
        points.setdefault(_month(point.time - MOMENT), []).append(point.equity)
    closed = Counter(_month(trade.closed_at) for trade in outcome.trades)
    last_moment = max(outcome.began, outcome.ended - MOMENT)
    known = {*points, *closed, _month(outcome.began), _month(last_moment)}
    months = []
    start = outcome.capital
    with localcontext(_EXACT):
        for year, month in _months(min(known), max(known)):
            equities = [start, *points.get((year, month), ())]
            net = equities[-1] - start
            drawdown, peak = _deepest_fall(equities)
            months.append(
                Month(
                    year=year,
                    month=month,
                    start=start,
                    net_profit=net,
                    return_percent=_percent(net, start),
                    trades=closed[year, month],
                    drawdown=drawdown,
                    drawdown_percent=_percent(drawdown, peak),
                )
            )
            start = equities[-1]
    return months


def _grouped(trades: Iterable[Trade], name: Callable[[Trade], str]) -> Mapping[str, Figures]:
    groups: dict[str, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(name(trade), []).append(trade)
    in_order = sorted(groups, key=lambda group: (not group, group))
    return {group: figures_of(groups[group]) for group in in_order}


def _ratio(part: Decimal, whole: Decimal) -> float | None:
    return _finite(float(part / whole)) if whole > 0 else None


def _percent(part: Decimal, whole: Decimal) -> float | None:
    return _ratio(100 * part, whole)


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None


def _mean(total: Decimal, count: int) -> Decimal | None:
    return (total / count).quantize(_FINE) if count else None


def _average_duration(trades: Sequence[Trade]) -> timedelta | None:
    if not trades:
        return None
    return sum((trade.duration for trade in trades), timedelta()) / len(trades)


def _longest_losing_run(nets: Iterable[Decimal]) -> int:
    longest = run = 0
    for net in nets:
        run = run + 1 if net < 0 else 0
        longest = max(longest, run)
    return longest


def _cagr_percent(growth: float | None, span: timedelta) -> float | None:
    if growth is None or growth < 0 or span < _LONG_ENOUGH:
        return None
    try:
        return _finite(100 * (growth ** (_YEAR / span) - 1))
    except OverflowError:
        return None


def _month(time: datetime) -> tuple[int, int]:
    return time.year, time.month


def _months(first: tuple[int, int], last: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for index in range(first[0] * 12 + first[1] - 1, last[0] * 12 + last[1]):
        yield index // 12, index % 12 + 1


def _deepest_fall(equities: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """Return the deepest fall below an earlier peak, and that peak."""
    peak = of = equities[0]
    deepest = _NOTHING
    for equity in equities:
        peak = max(peak, equity)
        if peak - equity > deepest:
            deepest, of = peak - equity, peak
    return deepest, of
