"""A backtest on the console."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.backtest import tables
from app.backtest.figures import by_regime, by_strategy, monthly, whole
from app.backtest.outcome import Drawdown
from app.domain.orders import BlockReason
from tests.unit.backtest.outcomes import (
    DAY,
    HOUR,
    MONDAY,
    equity_of,
    outcome,
    some_outcomes,
    trade,
    trades_of,
)


def everything(run):
    return [
        *tables.head(run),
        *tables.key_figures(run, whole(run)),
        *tables.per_strategy(by_strategy(run)),
        *tables.per_regime(by_regime(run)),
        *tables.per_month(monthly(run)),
        *tables.refused(run),
        *tables.assumptions(run),
    ]


def test_the_head_says_what_was_played_and_what_became_of_the_capital():
    run = outcome(equity=equity_of("9876.5"), signals=1200, refused={"news": 30, "spread": 4})
    assert tables.head(run) == [
        "",
        "=== Backtest: cross on EURUSD ===",
        "Period: 2025-01-06 00:00 to 2025-01-07 00:00 UTC (1 d 0 h)",
        "Candles: 1,440, entry signals: 1,200, refused: 34",
        "Capital: 10,000.00 EUR -> equity 9,876.50 (-123.50)",
    ]


def test_the_head_says_what_is_still_open_and_that_the_run_was_interrupted():
    run = outcome(equity=equity_of(10100), balance=Decimal("10112.5"), still_open=2, complete=False)
    assert tables.head(run)[-2:] == [
        "Still open at the end: 2 positions, floating -12.50",
        "Interrupted: the run was ended before its data; all below is of what was run",
    ]


def test_the_figures_stand_in_two_columns():
    trades = [
        *trades_of("2500", "-750.5", commission="-2", swap="-0.25", spread="1.2"),
        trade("12", ticket=9, closed=MONDAY + 30 * HOUR, lasted=2 * DAY),
    ]
    fall = Drawdown(Decimal("752.75"), 6.02, MONDAY + HOUR, MONDAY + 2 * HOUR, None)
    run = outcome(
        trades=trades,
        equity=equity_of(12500, 11700, "11757.00", step=20 * DAY),
        drawdown=fall,
        exposed=15 * DAY,
    )
    assert tables.key_figures(run, whole(run)) == [
        "",
        "=== Figures, EUR ===",
        "Net profit                   +1,757.00      Return                 +17.57 %",
        "Gross profit                  2,509.75      A year (CAGR)         +167.87 %",
        "Gross loss                      752.75      Sharpe (252 days)         +6.12",
        "Profit factor                     3.33      Sortino (252 days)       +27.33",
        "Expectancy a trade             +585.67      Maximum drawdown         752.75",
        "Average win                   1,254.88        of the peak            6.02 %",
        "Average loss                    752.75      Recovery factor           +2.33",
        "Largest win                   2,497.75      Exposure                25.00 %",
        "Largest loss                    752.75      Trades                        3",
        "Commission                       -4.00      Win rate                66.67 %",
        "Swap                             -0.50      Longest losing run            1",
        "Spread paid, in the profits       2.40      Average duration    16 h 40 min",
        "Drawdown: peak 2025-01-06 01:00, low 2025-01-06 02:00, not recovered (UTC)",
    ]


def test_what_is_not_defined_is_a_dash():
    run = outcome(trades=trades_of("5"))
    lines = tables.key_figures(run, whole(run))
    ends = {line.split("  ")[0]: line[:39].split()[-1] for line in lines if line}
    assert ends["Profit factor"] == ends["Average loss"] == ends["Largest loss"] == "-"
    assert [line.split()[-1] for line in lines if "CAGR" in line or "Sharpe" in line] == ["-", "-"]


def test_a_drawdown_that_was_recovered_says_when():
    fall = Drawdown(Decimal(5), 0.05, MONDAY, MONDAY + HOUR, MONDAY + DAY)
    run = outcome(trades=trades_of("5"), drawdown=fall)
    assert tables.key_figures(run, whole(run))[-1] == (
        "Drawdown: peak 2025-01-06 00:00, low 2025-01-06 01:00, recovered 2025-01-07 00:00 (UTC)"
    )


def test_groups_stand_in_lines():
    trades = [
        *trades_of("1250", "-40", "-60.5"),
        trade("-5", ticket=7, strategy="breakout_of_the_asian_session_range", regime=""),
    ]
    run = outcome(trades=trades)
    assert tables.per_strategy(by_strategy(run)) == [
        "",
        "=== By strategy ===",
        "Strategy               Trades  Win %  Net profit  Factor  Expectancy   Avg win  Avg loss  "
        "Losing run",
        "breakout_of_the_asia…       1    0.0       -5.00    0.00       -5.00         -      5.00  "
        "         1",
        "cross                       3   33.3   +1,149.50   12.44     +383.17  1,250.00     50.25  "
        "         2",
    ]
    lines = tables.per_regime(by_regime(run))
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "Regime",
        "bull_expansion",
        "(none known)",
    ]
    assert tables.per_strategy({}) == tables.per_regime({}) == []


def test_months_stand_in_lines():
    run = outcome(
        trades=trades_of("100", "-250"), equity=equity_of(10100, 9850, 9850, step=14 * DAY)
    )
    assert tables.per_month(monthly(run)) == [
        "",
        "=== By month ===",
        "Month    Trades  Net profit   Return  Drawdown  of the peak",
        "2025-01       2     +100.00  +1.00 %      0.00       0.00 %",
        "2025-02       0     -250.00  -2.48 %    250.00       2.48 %",
    ]


def test_more_than_two_years_are_a_line_a_year():
    """A hundred and twenty lines would push the figures off the screen."""
    values = [10000 + 100 * month for month in range(1, 30)]
    lines = tables.per_month(monthly(outcome(equity=equity_of(*values, step=30.4375 * DAY))))
    assert lines == [
        "",
        "=== Return by month, % ===",
        "Year   Jan   Feb   Mar   Apr   May   Jun   Jul   Aug   Sep   Oct   Nov   Dec  Total",
        "2025  +0.0  +1.0  +1.0  +1.0  +1.0  +1.0  +1.0  +0.9  +0.9  +0.9  +0.9  +0.9  +11.0",
        "2026  +0.9  +0.9  +0.9  +0.9  +0.9  +0.9  +0.9  +0.8  +0.8  +0.8  +0.8  +0.8  +10.8",
        "2027  +0.8  +0.8  +0.8  +0.8  +0.8  +0.8     -     -     -     -     -     -   +4.9",
    ]


def test_refused_signals_are_counted_by_their_reasons():
    run = outcome(refused={BlockReason.NEWS: 12, "spread": 3456, "a": 12})
    assert tables.refused(run) == [
        "",
        "=== Entry signals not traded ===",
        "Reason  Signals",
        "spread    3,456",
        "a            12",
        "news         12",
    ]
    assert tables.refused(outcome()) == []


def test_assumptions_are_wrapped():
    run = outcome(assumptions=["Orders fill at the next candle's open.", "word " * 30])
    assert tables.assumptions(run) == [
        "",
        "=== Assumptions ===",
        "- Orders fill at the next candle's open.",
        "-" + " word" * 19,
        " " + " word" * 11,
    ]
    assert tables.assumptions(outcome()) == []


def test_a_run_without_trades_says_so_and_why():
    def said(**other):
        run = outcome(**other)
        return tables.key_figures(run, whole(run))[1]

    assert said() == "No trades: no strategy gave an entry signal in 1,440 candles"
    assert said(signals=1012, refused={"news": 12, "position_open": 1000}) == (
        "No trades: of 1,012 entry signals none was filled; refused: position_open 1,000, news 12"
    )
    assert said(signals=1) == "No trades: of 1 entry signals none was filled"
    assert said(signals=1, still_open=1) == "No trades: 1 position opened, none closed"


def test_durations_have_two_units():
    durations = [timedelta(seconds=61), 5 * HOUR + timedelta(minutes=3), 400 * DAY + HOUR]
    runs = [whole(outcome(trades=[trade("1", lasted=one)])) for one in durations]
    lines = [tables.key_figures(outcome(), run)[13] for run in runs]
    assert [line.split("Average duration")[1].strip() for line in lines] == [
        "1 min 1 s",
        "5 h 3 min",
        "400 d 1 h",
    ]


@given(run=some_outcomes())
def test_a_line_is_a_line_of_at_most_100_columns(run):
    """Names, reasons and assumptions may hold anything."""
    for line in everything(run):
        assert line.isprintable()
        assert len(line) <= 100
        assert line == line.rstrip()


@given(name=st.text(max_size=200), regime=st.text(max_size=200))
def test_no_name_breaks_a_table(name, regime):
    run = outcome(
        trades=[trade("-1234567.89", strategy=name, regime=regime)] * 2,
        currency="USD",
    )
    lines = [*tables.per_strategy(by_strategy(run)), *tables.per_regime(by_regime(run))]
    assert len(lines) == 8
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
