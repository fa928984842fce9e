"""What a trial came to, on each side of the cut, and what that says."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from app.backtest.figures import whole
from app.backtest.outcome import Outcome
from app.optimize.windows import Window
from app.strategies.search_space import Candidate

WORST: Final = -1e300
"""The score of a trial that has none: below every other, and a number to any database."""

_ADD_UP: Final = frozenset({"net_profit", "equity_change", "return_percent"})
"""What grows with the length of a run, and is therefore compared by the day."""
_HOLDS: Final = 0.5
"""Less than this part of the in-sample figure left out of sample is a collapse."""
_FEWEST = 10
"""Trades out of sample below which good luck looks like holding."""


class Sample(msgspec.Struct, frozen=True):
    """The figures of one side; docs/BACKTEST.md says what each is."""

    trades: int
    net_profit: Decimal
    equity_change: Decimal
    return_percent: float | None
    profit_factor: float | None
    expectancy: Decimal | None
    win_rate_percent: float | None
    sharpe: float | None
    sortino: float | None
    drawdown: Decimal
    drawdown_percent: float | None
    recovery_factor: float | None
    still_open: int

    def figure(self, objective: str) -> float | None:
        """Return what `objective` asks for; ``None`` when it is not defined."""
        value = getattr(self, objective)
        return None if value is None else float(value)


OBJECTIVES: Final = (
    "net_profit",
    "equity_change",
    "return_percent",
    "profit_factor",
    "expectancy",
    "win_rate_percent",
    "sharpe",
    "sortino",
    "recovery_factor",
)
"""What a search may maximise."""


class Tried(NamedTuple):
    """A trial that is done. `values` is path -> value; `of_file` says they are the file's own."""

    number: int
    values: Mapping[str, Candidate]
    score: float
    worst: str
    """Why it is among the worst; empty when it has a score."""
    in_sample: Sample | None
    out_of_sample: Sample | None
    of_file: bool


def sample_of(outcome: Outcome) -> Sample:
    """Return the figures of a run."""
    all_of_it = whole(outcome)
    figures = all_of_it.figures
    return Sample(
        trades=figures.trades,
        net_profit=figures.net_profit,
        equity_change=all_of_it.equity_change,
        return_percent=all_of_it.return_percent,
        profit_factor=figures.profit_factor,
        expectancy=figures.expectancy,
        win_rate_percent=figures.win_rate_percent,
        sharpe=all_of_it.sharpe,
        sortino=all_of_it.sortino,
        drawdown=all_of_it.drawdown,
        drawdown_percent=all_of_it.drawdown_percent,
        recovery_factor=all_of_it.recovery_factor,
        still_open=outcome.still_open,
    )


def score_of(sample: Sample, objective: str) -> tuple[float, str]:
    """Return the score, and why it is the worst where it is."""
    if not sample.trades:
        return WORST, "no trades"
    figure = sample.figure(objective)
    if figure is None:
        return WORST, f"{objective} is not defined"
    return figure, ""


def is_by_day(objective: str) -> bool:
    """Whether the sides are compared by the day."""
    return objective in _ADD_UP


def sides(trial: Tried, objective: str, window: Window) -> tuple[float, float] | None:
    """Return the figures in and out of sample as they compare; ``None`` where one has none."""
    if trial.in_sample is None or trial.out_of_sample is None:
        return None
    one, other = trial.in_sample.figure(objective), trial.out_of_sample.figure(objective)
    if one is None or other is None:
        return None
    if is_by_day(objective):
        return one / window.in_sample.days, other / window.out_of_sample.days
    return one, other


def difference(trial: Tried, objective: str, window: Window) -> float | None:
    """Return what is gained (lost: negative) out of sample, of sums by the day."""
    found = sides(trial, objective, window)
    return None if found is None else found[1] - found[0]


def collapse(trial: Tried, objective: str, window: Window) -> str:
    """Say why what was found is not to be trusted; empty when it held out of sample."""
    if trial.worst or trial.in_sample is None or trial.out_of_sample is None:
        return ""
    if not trial.out_of_sample.trades:
        return "does not trade out of sample"
    found = sides(trial, objective, window)
    if found is None:
        return f"{objective} is not defined out of sample"
    one, other = found
    neutral = 1.0 if objective == "profit_factor" else 0.0
    a_day = " a day" if is_by_day(objective) else ""
    if one <= neutral:
        return f"it gains nothing in-sample, {objective} {one:,.2f}{a_day}"
    if other - neutral >= _HOLDS * (one - neutral):
        few = trial.out_of_sample.trades < _FEWEST
        return f"too few trades out of sample: {trial.out_of_sample.trades}" if few else ""
    return f"{objective} falls from {one:,.2f} to {other:,.2f}{a_day} out of sample"


def in_order(trials: list[Tried]) -> list[Tried]:
    """Return the trials from the best to the worst, of the same values only the first."""
    seen: set[str] = set()
    found = []
    for trial in sorted(trials, key=lambda trial: (-trial.score, trial.number)):
        values = repr(sorted(trial.values.items()))
        if values not in seen:
            seen.add(values)
            found.append(trial)
    return found
