"""The figures of a backtest: each by hand once, and laws that hold for any run."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from statistics import mean, pstdev, stdev

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backtest.figures import by_regime, by_strategy, figures_of, monthly, whole
from app.backtest.outcome import Drawdown, EquityPoint
from tests.unit.backtest.outcomes import (
    CAPITAL,
    DAY,
    HOUR,
    MONDAY,
    equity_of,
    outcome,
    some_outcomes,
    some_trades,
    trade,
    trades_of,
)

MONEY = ("net_profit", "gross_profit", "gross_loss", "commission", "swap", "spread_paid")
COUNTED = ("trades", *MONEY)


def test_the_figures_of_a_group_by_hand():
    """A trade wins or loses after its costs; losses are amounts; zero is neither."""
    figures = figures_of(
        [
            trade("103", ticket=1, closed=MONDAY + 1 * HOUR, commission="-2", swap="-1"),
            trade("-50", ticket=2, closed=MONDAY + 2 * HOUR, spread="1.5"),
            trade("1", ticket=3, closed=MONDAY + 3 * HOUR, commission="-2", lasted=4 * HOUR),
            trade("2", ticket=4, closed=MONDAY + 4 * HOUR, commission="-2"),
            trade("20", ticket=5, closed=MONDAY + 5 * HOUR, spread="0.5"),
            trade("-30", ticket=6, closed=MONDAY + 6 * HOUR, swap="0.25"),
        ]
    )
    assert msgspec.structs.asdict(figures) == {
        "trades": 6,
        "net_profit": Decimal("39.25"),
        "gross_profit": Decimal(120),
        "gross_loss": Decimal("80.75"),
        "profit_factor": pytest.approx(120 / 80.75),
        "expectancy": Decimal("6.54166667"),
        "win_rate_percent": pytest.approx(100 / 3),
        "average_win": Decimal(60),
        "average_loss": Decimal("26.91666667"),
        "largest_win": Decimal(100),
        "largest_loss": Decimal(50),
        "longest_losing_run": 2,
        "average_duration": timedelta(hours=1.5),
        "commission": Decimal(-6),
        "swap": Decimal("-0.75"),
        "spread_paid": Decimal(2),
    }


def test_no_trades_have_sums_and_nothing_else():
    figures = msgspec.structs.asdict(figures_of([]))
    assert {name for name, value in figures.items() if value is None} == {
        "profit_factor",
        "expectancy",
        "win_rate_percent",
        "average_win",
        "average_loss",
        "largest_win",
        "largest_loss",
        "average_duration",
    }
    assert all(figures[name] == 0 for name in (*COUNTED, "longest_losing_run"))


@pytest.mark.parametrize(
    ("profits", "factor"), [(["5"], None), (["0"], None), (["-5"], 0.0), (["5", "-2"], 2.5)]
)
def test_a_profit_factor_needs_a_loss(profits, factor):
    assert figures_of(trades_of(*profits)).profit_factor == factor


@pytest.mark.parametrize(
    ("profits", "run"),
    [("+", 0), ("-", 1), ("--+---", 3), ("--0--", 2), ("---+--", 3), ("", 0)],
)
def test_the_longest_losing_run_is_in_the_order_of_closing(profits, run):
    trades = trades_of(*({"+": "1", "-": "-1", "0": "0"}[sign] for sign in profits))
    assert figures_of(trades).longest_losing_run == run
    assert figures_of(trades[1::2] + trades[::2]).longest_losing_run == run


def test_groups_are_in_the_order_of_their_names_the_unknown_regime_last():
    trades = [
        trade("1", ticket=1, strategy="zeta", regime=""),
        trade("2", ticket=2, strategy="alpha", regime="bull"),
        trade("4", ticket=3, strategy="zeta", regime="bear"),
    ]
    run = outcome(trades=trades)
    strategies = {name: figures.net_profit for name, figures in by_strategy(run).items()}
    regimes = {name: figures.net_profit for name, figures in by_regime(run).items()}
    assert list(strategies.items()) == [("alpha", 2), ("zeta", 5)]
    assert list(regimes.items()) == [("bear", 4), ("bull", 2), ("", 1)]


def test_the_equity_values_what_is_still_open():
    run = outcome(
        trades=trades_of("100", "-40"),
        equity=[*equity_of(), EquityPoint(MONDAY + 73 * DAY, Decimal(10060), Decimal(10100))],
        drawdown=Drawdown(Decimal(50), 0.5, MONDAY + HOUR, MONDAY + DAY, MONDAY + 2 * DAY),
        exposed=7.3 * DAY,
    )
    got = whole(run)
    assert got.figures == figures_of(run.trades)
    assert (got.figures.net_profit, got.equity_change) == (60, 100)
    assert got.return_percent == pytest.approx(1)
    assert got.cagr_percent == pytest.approx(100 * (1.01 ** (365.25 / 73) - 1))
    assert got.recovery_factor == 2.0
    assert got.exposure_percent == pytest.approx(10)
    assert (got.drawdown, got.drawdown_percent) == (50, 0.5)
    assert (got.drawdown_peak_at, got.drawdown_low_at, got.drawdown_recovered_at) == (
        MONDAY + HOUR,
        MONDAY + DAY,
        MONDAY + 2 * DAY,
    )


def test_an_equity_that_never_fell_has_no_drawdown_dates():
    got = whole(outcome())
    dates = got.drawdown_peak_at, got.drawdown_low_at, got.drawdown_recovered_at
    assert (*dates, got.recovery_factor) == (None,) * 4


@pytest.mark.parametrize(
    ("days", "final", "cagr"),
    [
        (29, 11000, None),
        (30, 10000, 0),
        (365.25, 11000, 10),
        (730.5, 12100, 10),
        (100, 0, -100),
        (100, -5, None),
    ],
)
def test_a_yearly_growth_needs_thirty_days(days, final, cagr):
    got = whole(outcome(equity=equity_of(final, step=days * DAY))).cagr_percent
    assert got == (cagr if cagr is None else pytest.approx(cagr))


def test_a_growth_beyond_numbers_is_not_defined():
    """Shown red by leaving out the guard: OverflowError."""
    huge = "1" + "0" * 60
    assert whole(outcome(equity=equity_of(huge, step=30 * DAY))).cagr_percent is None


# Sharpe and Sortino


def test_sharpe_and_sortino_are_of_the_daily_returns():
    run = outcome(equity=equity_of(10100, 9999, "10198.98", 10300))
    returns = [0.01, -0.01, 0.02, 10300 / 10198.98 - 1]
    losing = math.sqrt(mean(min(one, 0) ** 2 for one in returns))
    got = whole(run)
    assert got.trading_days_a_year == 252
    assert got.sharpe == pytest.approx(mean(returns) / stdev(returns) * math.sqrt(252))
    assert got.sortino == pytest.approx(mean(returns) / losing * math.sqrt(252))
    assert got.sharpe != pytest.approx(mean(returns) / pstdev(returns) * math.sqrt(252))


def test_a_day_counts_with_its_last_point_and_midnight_ends_it():
    within = [
        EquityPoint(MONDAY + 9 * HOUR, Decimal(1), Decimal(1)),
        EquityPoint(MONDAY + 30 * HOUR, Decimal(2), Decimal(2)),
    ]
    days = equity_of(10100, 9999, 10300)
    assert (
        whole(outcome(equity=sorted([*days, *within]))).sharpe == whole(outcome(equity=days)).sharpe
    )


@pytest.mark.parametrize(
    ("values", "sharpe", "sortino"),
    [
        ([], False, False),
        ([10100], False, False),
        ([10000, 10000], False, False),
        ([10100, 10201], False, False),
        ([11000, 12100, 13310], False, False),
        ([10100, 10200], True, False),
        ([10100, 10000], True, True),
        ([0], False, False),
        ([0, 0], False, False),
        ([-10, 20, 30], False, False),
    ],
)
def test_without_two_days_a_deviation_or_any_equity_there_is_no_ratio(values, sharpe, sortino):
    """Shown red by leaving out the noise: a steady 10 % a day had a Sharpe ratio of 10**17."""
    got = whole(outcome(equity=equity_of(*values)))
    assert (got.sharpe is not None, got.sortino is not None) == (sharpe, sortino)


def hourly(first, hours, is_open):
    """Return the equity at each hour's end in which the market is open, moving up and down."""
    points = [EquityPoint(first, CAPITAL, CAPITAL)]
    for hour in range(hours):
        opened = first + hour * HOUR
        if is_open(opened):
            equity = CAPITAL + hour % 7 * 10 + hour
            points.append(EquityPoint(opened + HOUR, equity, equity))
    return points


def of_currencies(opened):
    """From Sunday 22:00 to Friday 22:00 UTC."""
    return (opened + 2 * HOUR).weekday() < 5


@pytest.mark.parametrize("first", [MONDAY + day * DAY for day in range(7)])
@pytest.mark.parametrize(
    ("is_open", "days_a_year"),
    [
        (of_currencies, 252),
        (lambda opened: opened.weekday() < 5, 252),
        (lambda opened: True, 365),
        (lambda opened: opened.day != 18, 365),
    ],
)
def test_the_days_a_year_are_seen_in_the_data(first, is_open, days_a_year):
    """Whatever weekday the run begins on; a Saturday missing from a market that never closes."""
    run = outcome(equity=hourly(first, 24 * 28, is_open))
    assert whole(run).trading_days_a_year == days_a_year


def test_a_run_that_begins_on_a_closed_saturday_has_seen_no_market_then():
    """Shown red by counting the point it begins with."""
    saturday_noon = MONDAY - 2 * DAY + 12 * HOUR
    run = outcome(equity=hourly(saturday_noon, 24 * 6, of_currencies))
    assert whole(run).trading_days_a_year == 252


def test_a_sunday_evening_is_part_of_monday():
    """Five returns a week and not six, or 252 were wrong; shown red by leaving Sundays be."""
    sunday = MONDAY + 6 * DAY + 22 * HOUR
    weekdays = equity_of(10100, 10050, 10200, 10150, 10300)
    evening = EquityPoint(sunday + HOUR, Decimal(10400), Decimal(10400))
    monday = EquityPoint(MONDAY + 8 * DAY, Decimal(10350), Decimal(10350))
    assert (
        whole(outcome(equity=[*weekdays, evening, monday])).sharpe
        == whole(outcome(equity=[*weekdays, monday])).sharpe
    )


# Months


def test_the_months_of_a_run():
    january, february, april = (datetime(2025, month, 1, tzinfo=UTC) for month in (1, 2, 4))
    points = [
        EquityPoint(time, Decimal(value), Decimal(value))
        for time, value in [
            (january, 10000),
            (january + 9 * DAY, 10400),
            (january + 19 * DAY, 10100),
            (february, 10200),
            (february + DAY, 10098),
            (april + DAY, 10000),
        ]
    ]
    trades = [
        trade("400", ticket=1, closed=january + 9 * DAY),
        trade("-300", ticket=2, closed=january + 19 * DAY),
        trade("-102", ticket=3, closed=february),
    ]
    got = monthly(outcome(trades=trades, equity=points))
    assert [(m.year, m.month, m.start, m.net_profit, m.trades, m.drawdown) for m in got] == [
        (2025, 1, 10000, 200, 2, 300),
        (2025, 2, 10200, -102, 1, 102),
        (2025, 3, 10098, 0, 0, 0),
        (2025, 4, 10098, -98, 0, 98),
    ]
    assert [m.return_percent for m in got] == pytest.approx([2, -1, 0, -9800 / 10098])
    assert [m.drawdown_percent for m in got] == pytest.approx([30000 / 10400, 1, 0, 9800 / 10098])


def test_an_equity_that_changed_after_its_last_point_counts_at_the_end():
    """Shown red by leaving it out: the months did not add up."""
    run = outcome(
        equity=equity_of(10100, 10050), final_equity=Decimal(10200), ended=MONDAY + 30 * DAY
    )
    last_point = EquityPoint(MONDAY + 30 * DAY, Decimal(10200), Decimal(10200))
    told = outcome(equity=[*equity_of(10100, 10050), last_point])
    assert monthly(run) == monthly(told)
    assert sum(month.net_profit for month in monthly(run)) == 200
    assert whole(run).sharpe == whole(told).sharpe


def test_the_months_reach_over_the_turn_of_a_year():
    december = datetime(2024, 12, 31, 12, tzinfo=UTC)
    months = monthly(outcome(equity=equity_of(10100, began=december)))
    assert [(month.year, month.month) for month in months] == [(2024, 12), (2025, 1)]


# Laws


def added(groups, name):
    with localcontext(prec=100):
        return sum((getattr(figures, name) for figures in groups.values()), Decimal(0))


@given(trades=some_trades())
def test_the_groups_add_up_to_the_whole(trades):
    """Shown red by adding with 28 digits: costs with as many differ in the last."""
    run = outcome(trades=trades)
    figures = whole(run).figures
    for groups in (by_strategy(run), by_regime(run)):
        for name in COUNTED:
            assert added(groups, name) == getattr(figures, name)
    assert sum(month.trades for month in monthly(run)) == figures.trades


@given(trades=some_trades())
def test_net_is_gross_profit_less_gross_loss(trades):
    figures = figures_of(trades)
    with localcontext(prec=100):
        assert figures.net_profit == figures.gross_profit - figures.gross_loss
        assert figures.net_profit == sum((one.net for one in trades), Decimal(0))
    assert min(figures.gross_profit, figures.gross_loss) >= 0
    assert figures.longest_losing_run <= sum(one.net < 0 for one in trades)


@given(trades=some_trades(), data=st.data())
def test_the_order_of_trades_does_not_matter(trades, data):
    """Shown red by taking them as they come: the longest losing run is another."""
    mixed = data.draw(st.permutations(trades))
    for figures in (by_strategy, by_regime, monthly, whole):
        assert figures(outcome(trades=mixed)) == figures(outcome(trades=trades))


@given(run=some_outcomes())
def test_months_follow_each_other_and_add_up_to_the_change_of_the_equity(run):
    months = monthly(run)
    assert sum(month.net_profit for month in months) == run.final_equity - run.capital
    assert whole(run).equity_change == run.final_equity - run.capital
    starts = [month.start for month in months]
    ends = [month.start + month.net_profit for month in months]
    assert starts == [run.capital, *ends[:-1]]
    numbers = [month.year * 12 + month.month for month in months]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@given(run=some_outcomes())
def test_no_month_falls_deeper_than_the_run(run):
    for month in monthly(run):
        assert max(Decimal(0), -month.net_profit) <= month.drawdown <= run.drawdown.amount


@given(run=some_outcomes())
def test_no_figure_is_nan_or_infinite(run):
    figures = [whole(run).figures, *by_strategy(run).values(), *by_regime(run).values()]
    for struct in (whole(run), *figures, *monthly(run)):
        for value in msgspec.structs.astuple(struct):
            if isinstance(value, float):
                assert math.isfinite(value)
            if isinstance(value, Decimal):
                assert value.is_finite()
