"""A backtest on a console of 100 columns: each table is a function that returns its lines.

Signed is what may be of either sign; ``-`` stands for a figure that is not defined.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby, zip_longest
from textwrap import wrap

from app.backtest.figures import Figures, Month, Whole
from app.backtest.outcome import Outcome
from app.domain.errors import printable

WIDTH = 100
_NAME = 28
_GAP = "  "
_NONE = "-"
_ROWS = 24
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_GROUP = (
    "Trades",
    "Win %",
    "Net profit",
    "Factor",
    "Expectancy",
    "Avg win",
    "Avg loss",
    "Losing run",
)


def head(outcome: Outcome) -> Sequence[str]:
    """Return what was played, and what the capital became."""
    change = outcome.final_equity - outcome.capital
    lines = [
        "",
        f"=== Backtest: {_clipped(outcome.name, WIDTH - 18)} ===",
        f"Period: {_time(outcome.began)} to {_time(outcome.ended)} UTC "
        f"({_duration(outcome.ended - outcome.began)})",
        f"Candles: {outcome.candles:,}, entry signals: {outcome.signals:,}, "
        f"refused: {sum(outcome.refused.values()):,}",
        f"Capital: {outcome.capital:,.2f} {printable(outcome.currency)} -> equity "
        f"{outcome.final_equity:,.2f} ({change:+,.2f})",
    ]
    if outcome.still_open:
        floating = outcome.final_equity - outcome.balance
        lines.append(f"Still open at the end: {_positions(outcome)}, floating {floating:+,.2f}")
    if not outcome.complete:
        lines.append("Interrupted: the run was ended before its data; all below is of what was run")
    return lines


def key_figures(outcome: Outcome, whole: Whole) -> Sequence[str]:
    """Return the figures of the whole run in two columns; without a trade, why there is none."""
    figures = whole.figures
    if not figures.trades:
        return ["", *_wrapped(_why_no_trade(outcome), "")]
    left = [
        ("Net profit", _signed(figures.net_profit)),
        ("Gross profit", _money(figures.gross_profit)),
        ("Gross loss", _money(figures.gross_loss)),
        ("Profit factor", _number(figures.profit_factor)),
        ("Expectancy a trade", _signed(figures.expectancy)),
        ("Average win", _money(figures.average_win)),
        ("Average loss", _money(figures.average_loss)),
        ("Largest win", _money(figures.largest_win)),
        ("Largest loss", _money(figures.largest_loss)),
        ("Commission", _signed(figures.commission)),
        ("Swap", _signed(figures.swap)),
        ("Spread paid, in the profits", _money(figures.spread_paid)),
    ]
    right = [
        ("Return", _percent(whole.return_percent, "+")),
        ("A year (CAGR)", _percent(whole.cagr_percent, "+")),
        (f"Sharpe ({whole.trading_days_a_year} days)", _number(whole.sharpe, "+")),
        (f"Sortino ({whole.trading_days_a_year} days)", _number(whole.sortino, "+")),
        ("Maximum drawdown", _money(whole.drawdown)),
        ("  of the peak", _percent(whole.drawdown_percent)),
        ("Recovery factor", _number(whole.recovery_factor, "+")),
        ("Exposure", _percent(whole.exposure_percent)),
        ("Trades", f"{figures.trades:,}"),
        ("Win rate", _percent(figures.win_rate_percent)),
        ("Longest losing run", f"{figures.longest_losing_run:,}"),
        ("Average duration", _duration(figures.average_duration)),
    ]
    return [
        "",
        f"=== Figures, {printable(outcome.currency)} ===",
        *_side_by_side(left, right),
        *_drawdown_dates(whole),
    ]


def per_strategy(groups: Mapping[str, Figures]) -> Sequence[str]:
    """Return a line a strategy; nothing without trades."""
    return _per_group("Strategy", groups)


def per_regime(groups: Mapping[str, Figures]) -> Sequence[str]:
    """Return a line a regime; nothing without trades."""
    return _per_group("Regime", groups)


def per_month(months: Sequence[Month]) -> Sequence[str]:
    """Return a line a month; of more than two years a line a year with each month's return."""
    if len(months) > _ROWS:
        return [
            "",
            "=== Return by month, % ===",
            *_table(("Year", *_MONTHS, "Total"), _years(months)),
        ]
    rows = [
        (
            f"{month.year:04}-{month.month:02}",
            f"{month.trades:,}",
            _signed(month.net_profit),
            _percent(month.return_percent, "+"),
            _money(month.drawdown),
            _percent(month.drawdown_percent),
        )
        for month in months
    ]
    header = ("Month", "Trades", "Net profit", "Return", "Drawdown", "of the peak")
    return ["", "=== By month ===", *_table(header, rows)]


def refused(outcome: Outcome) -> Sequence[str]:
    """Return how many entry signals were not traded, by reason; nothing when all were."""
    if not outcome.refused:
        return []
    rows = [(_clipped(reason), f"{times:,}") for reason, times in _by_count(outcome.refused)]
    return ["", "=== Entry signals not traded ===", *_table(("Reason", "Signals"), rows)]


def assumptions(outcome: Outcome) -> Sequence[str]:
    """Return what the figures rest on."""
    if not outcome.assumptions:
        return []
    lines = [line for one in outcome.assumptions for line in _wrapped(one, "- ")]
    return ["", "=== Assumptions ===", *lines]


def _why_no_trade(outcome: Outcome) -> str:
    reasons = ", ".join(f"{printable(why)} {n:,}" for why, n in _by_count(outcome.refused))
    if outcome.still_open:
        why = f"{_positions(outcome)} opened, none closed"
    elif outcome.signals == 0:
        why = f"no strategy gave an entry signal in {outcome.candles:,} candles"
    else:
        why = f"of {outcome.signals:,} entry signals none was filled"
    return f"No trades: {why}" + (f"; refused: {reasons}" if reasons else "")


def _by_count(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """Return the names as plain text with their counts, the most frequent first."""
    named = ((str(name), count) for name, count in counts.items())
    return sorted(named, key=lambda item: (-item[1], item[0]))


def _drawdown_dates(whole: Whole) -> Iterator[str]:
    if whole.drawdown_peak_at is None or whole.drawdown_low_at is None:
        return
    recovered = whole.drawdown_recovered_at
    yield (
        f"Drawdown: peak {_time(whole.drawdown_peak_at)}, low {_time(whole.drawdown_low_at)}, "
        f"{'not recovered' if recovered is None else f'recovered {_time(recovered)}'} (UTC)"
    )


def _per_group(title: str, groups: Mapping[str, Figures]) -> Sequence[str]:
    if not groups:
        return []
    rows = [
        (
            _clipped(name) or "(none known)",
            f"{figures.trades:,}",
            _number(figures.win_rate_percent, digits=1),
            _signed(figures.net_profit),
            _number(figures.profit_factor),
            _signed(figures.expectancy),
            _money(figures.average_win),
            _money(figures.average_loss),
            f"{figures.longest_losing_run:,}",
        )
        for name, figures in groups.items()
    ]
    return ["", f"=== By {title.lower()} ===", *_table((title, *_GROUP), rows)]


def _years(months: Sequence[Month]) -> Iterator[Sequence[str]]:
    for year, group in groupby(months, key=lambda month: month.year):
        of_year = list(group)
        returns = {month.month: month.return_percent for month in of_year}
        start = of_year[0].start
        net = sum((month.net_profit for month in of_year), Decimal(0))
        total = float(100 * net / start) if start > 0 else None
        yield (
            f"{year:04}",
            *(_number(returns.get(month), "+", digits=1) for month in range(1, 13)),
            _number(total, "+", digits=1),
        )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a table, as wide as its cells: the first column left, all others right.

    The first column gives way where the line would be too long.
    """
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = WIDTH - sum(len(_GAP) + width for width in widths[1:])
    widths[0] = min(widths[0], max(room, len(header[0])))
    for first, *others in cells:
        yield _GAP.join(
            [
                f"{_clipped(first, widths[0]):<{widths[0]}}",
                *(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)),
            ]
        )


def _side_by_side(
    left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]]
) -> Iterator[str]:
    columns = []
    for pairs in (left, right):
        named = max(len(name) for name, _ in pairs)
        wide = max(len(value) for _, value in pairs)
        columns.append([f"{name:<{named}}{_GAP}{value:>{wide}}" for name, value in pairs])
    blank = " " * len(columns[0][0])
    for one, other in zip_longest(*columns):
        yield f"{one or blank}{_GAP * 3}{other or ''}".rstrip()


def _wrapped(text: str, bullet: str) -> list[str]:
    return wrap(printable(text), WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet))


def _clipped(text: str, width: int = _NAME) -> str:
    text = printable(text)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _positions(outcome: Outcome) -> str:
    return f"{outcome.still_open:,} position" + ("" if outcome.still_open == 1 else "s")


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _duration(duration: timedelta | None) -> str:
    """Return the two largest units of it."""
    if duration is None:
        return _NONE
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s"


def _money(amount: Decimal | None) -> str:
    return _NONE if amount is None else f"{amount:,.2f}"


def _signed(amount: Decimal | None) -> str:
    return _NONE if amount is None else f"{amount:+,.2f}"


def _number(number: float | None, sign: str = "", digits: int = 2) -> str:
    return _NONE if number is None else f"{number:{sign},.{digits}f}"


def _percent(number: float | None, sign: str = "") -> str:
    return _NONE if number is None else f"{_number(number, sign)} %"
