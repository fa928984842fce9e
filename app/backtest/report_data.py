"""What the page of a report says: the figures of an outcome as texts, its curves as columns.

Read by the scripts in `assets`. Texts are texts here, whatever they hold, and on the page.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from app.backtest import figures
from app.backtest.outcome import Outcome
from app.backtest.report_columns import Words, bars, digits_of, equity, trades

_NONE = "\N{EN DASH}"
_GOOD_WHEN_ABOVE_ZERO = {
    "net_profit",
    "equity_change",
    "return_percent",
    "cagr_percent",
    "expectancy",
}
_UNKNOWN_REGIME = "none known"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

Cell = tuple[str, str]
"""A text and its mood: gain, loss or none."""


def packed(outcome: Outcome) -> Mapping[str, object]:
    """Return everything the report shows of `outcome`, as JSON can hold it."""
    whole = figures.whole(outcome)
    charts = [chart for chart in outcome.charts if chart.bars]
    digits = digits_of(charts, outcome.trades)
    words = Words()
    regimes = Words(sorted({bar.regime for chart in charts for bar in chart.bars}))
    return {
        "head": _head(outcome),
        "tiles": list(_tiles(outcome, whole)),
        "figures": [(_title(name), *_cell(name, value)) for name, value in _flat(whole)],
        "equity": equity(outcome),
        "charts": [bars(chart, digits[chart.symbol], regimes) for chart in charts],
        "regimes": regimes.known,
        "digits": digits,
        "trades": trades(outcome.trades, words),
        "words": words.known,
        "strategies": _table("Strategy", figures.by_strategy(outcome)),
        "regime_figures": _table(
            "Regime", {_regime(name): one for name, one in figures.by_regime(outcome).items()}
        ),
        "months": _months(figures.monthly(outcome)),
        "refused": {
            "signals": outcome.signals,
            "rows": sorted(outcome.refused.items(), key=lambda row: (-row[1], row[0])),
        },
        "assumptions": list(outcome.assumptions),
    }


def _head(outcome: Outcome) -> Mapping[str, str]:
    parts = [
        f"{_text(outcome.began)} \N{EN DASH} {_text(outcome.ended)} UTC",
        f"capital {_text(outcome.capital)} {outcome.currency}",
        f"final equity {_text(outcome.final_equity)} {outcome.currency}",
        f"{outcome.candles:,} candles",
        "complete" if outcome.complete else "interrupted",
    ]
    warnings = []
    if not outcome.complete:
        warnings.append(
            f"The run was interrupted at {_text(outcome.ended)} UTC, before the end of its data: "
            "all that is shown is what was played until then."
        )
    if outcome.still_open:
        what = (
            "1 position was" if outcome.still_open == 1 else f"{outcome.still_open} positions were"
        )
        warnings.append(f"{what} still open at the end: in the equity, but no trade of the table.")
    return {
        "name": outcome.name,
        "period": " · ".join(parts),
        "warning": " ".join(warnings),
        "currency": outcome.currency,
    }


def _tiles(outcome: Outcome, whole: figures.Whole) -> Iterator[Mapping[str, str]]:
    def tile(label: str, name: str, value: object, note: str) -> Mapping[str, str]:
        text, mood = _cell(name, value)
        return {"label": label, "value": text, "mood": mood, "note": note}

    def said(name: str, value: object, unit: str = "") -> str:
        return "" if value is None else f"{_cell(name, value)[0]} {unit}".rstrip()

    all_trades = whole.figures
    fell = "never below its peak"
    if whole.drawdown_peak_at is not None and whole.drawdown_low_at is not None:
        days = f"{whole.drawdown_peak_at:%Y-%m-%d} to {whole.drawdown_low_at:%Y-%m-%d}"
        fell = f"{_text(whole.drawdown)} {outcome.currency}, {days}"
    yield tile("Result", "equity_change", whole.equity_change, outcome.currency)
    a_year = whole.cagr_percent
    yield tile(
        "Return",
        "return_percent",
        whole.return_percent,
        "of the capital" if a_year is None else f"{said('cagr_percent', a_year)} a year",
    )
    yield tile("Maximum drawdown", "drawdown_percent", whole.drawdown_percent, fell)
    won = said("win_rate_percent", all_trades.win_rate_percent, "won")
    yield tile("Trades", "trades", all_trades.trades, won)
    expected = said("expectancy", all_trades.expectancy, "expected a trade")
    yield tile("Profit factor", "", all_trades.profit_factor, expected)
    yield tile("Sharpe", "", whole.sharpe, f"Sortino {_text(whole.sortino)}")
    open_for = said("", all_trades.average_duration, "a trade")
    yield tile("Exposure", "exposure_percent", whole.exposure_percent, open_for)
    paid = all_trades.commission + all_trades.swap
    spread = said("", all_trades.spread_paid)
    yield tile("Costs", "", paid, f"commission, swap; {spread} spread")


def _flat(struct: msgspec.Struct) -> Iterator[tuple[str, object]]:
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _flat(value)
        else:
            yield field.name, value


def _table(
    first: str, groups: Mapping[str, msgspec.Struct], without: frozenset[str] = frozenset()
) -> Mapping[str, object]:
    shown = {
        name: [pair for pair in _flat(one) if pair[0] not in without]
        for name, one in groups.items()
    }
    fields = next(iter(shown.values()), [])
    return {
        "head": [first, *(_title(name) for name, _ in fields)],
        "rows": [
            {"name": name, "cells": [_cell(*pair) for pair in pairs]}
            for name, pairs in shown.items()
        ],
    }


def _months(months: Sequence[figures.Month]) -> Mapping[str, object]:
    table = _table(
        "Month",
        {f"{month.year}-{month.month:02}": month for month in months},
        frozenset({"year", "month"}),
    )
    grid = [
        {
            "year": month.year,
            "month": month.month,
            "net": float(month.net_profit),
            "share": month.return_percent,
        }
        for month in months
    ]
    return {"grid": grid, "table": table}


def _cell(name: str, value: object) -> Cell:
    mood = ""
    if name in _GOOD_WHEN_ABOVE_ZERO and isinstance(value, Decimal | float) and value:
        mood = "gain" if value > 0 else "loss"
    sign = "+" if mood == "gain" else ""
    unit = " %" if value is not None and name.endswith("percent") else ""
    return f"{sign}{_text(value)}{unit}", mood


def _text(value: object) -> str:
    match value:
        case None:
            return _NONE
        case Decimal() | float():
            return f"{value:z,.2f}".replace("-", "\N{MINUS SIGN}")
        case int():
            return f"{value:,}".replace("-", "\N{MINUS SIGN}")
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case timedelta():
            return _lasted(value.total_seconds())
    return str(value)


def _lasted(seconds: float) -> str:
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def _title(name: str) -> str:
    words = name.removesuffix("_percent").replace("_", " ")
    return words.upper() if words == "cagr" else words[:1].upper() + words[1:]


def _regime(name: str) -> str:
    return name.replace("_", " ") or _UNKNOWN_REGIME
