"""A search on a console of 100 columns: both sides of the cut always beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from app.domain.errors import printable
from app.optimize.plan import Plan
from app.optimize.scores import (
    Sample,
    Tried,
    collapse,
    difference,
    in_order,
    is_by_day,
)
from app.optimize.windows import Piece, Window
from app.strategies.search_space import Candidate

WIDTH = 100
_NONE = "-"


def head(plan: Plan, title: str) -> Iterator[str]:
    """Yield what is searched, and where."""
    yield ""
    yield f"=== Search: {printable(title)} ==="
    yield f"Objective: {plan.wish.objective}; study '{printable(plan.study)}'"
    for parameter in plan.parameters:
        outside = "" if parameter.encoded(parameter.of_file) is not None else ", no candidate"
        yield f"- {printable(parameter.path)}: {shown(parameter.of_file)} in the file{outside}"


def window_results(plan: Plan, window: Window, trials: list[Tried], best: int) -> Iterator[str]:
    """Yield the best trials of a window with both sides, and what is wrong with them."""
    yield ""
    of = f"Window {window.number} of {len(plan.windows)}" if len(plan.windows) > 1 else "Result"
    yield f"=== {of} ==="
    yield f"In-sample:     {_span(window.in_sample)}"
    yield f"Out-of-sample: {_span(window.out_of_sample)}"
    yield _count(trials)
    ranked = [trial for trial in in_order(trials) if not trial.worst]
    if not ranked:
        why = ", ".join(dict.fromkeys(trial.worst for trial in trials if trial.worst))
        yield from wrap(f"No trial has a score: {printable(why) or 'none is done'}", WIDTH)
        return
    shown_ones = ranked[:best]
    of_file = [trial for trial in trials if trial.of_file and trial not in shown_ones]
    yield ""
    yield from _table(plan.wish.objective, window, [*shown_ones, *of_file[:1]])
    if warning := collapse(ranked[0], plan.wish.objective, window):
        yield ""
        yield f"WARNING: the best trial does not hold: {warning}"


def walk_forward(plan: Plan, results: Mapping[int, list[Tried]]) -> Iterator[str]:
    """Yield what choosing in each window and trading the piece after it came to."""
    chosen = [
        (window, ranked[0])
        for window in plan.windows
        if (ranked := [t for t in in_order(results.get(window.number, [])) if not t.worst])
    ]
    if len(plan.windows) == 1 or not chosen:
        return
    yield ""
    yield "=== Walk-forward: the best of each window, traded on what followed ==="
    rows = [
        (f"{window.number}.{trial.number}", *_sides(trial, plan.wish.objective, window))
        for window, trial in chosen
    ]
    yield from _aligned([_header(plan.wish.objective), *rows])
    sides = [(t.in_sample, t.out_of_sample) for _, t in chosen]
    one, other = (
        sum(each.net_profit for each in side if each is not None)
        for side in zip(*sides, strict=True)
    )
    days = [
        sum(piece.days for piece in side)
        for side in zip(*((w.in_sample, w.out_of_sample) for w, _ in chosen), strict=True)
    ]
    a_day = [float(one) / days[0], float(other) / days[1]]
    yield f"Net profit a day: {a_day[0]:+,.2f} in-sample, {a_day[1]:+,.2f} out-of-sample"
    yield f"Net profit out-of-sample, all windows: {other:+,.2f}"
    failed = [f"{w.number}" for w, t in chosen if collapse(t, plan.wish.objective, w)]
    if failed:
        yield f"WARNING: the best trial does not hold in window {', '.join(failed)}"


def shown(value: Candidate | object) -> str:
    """Write a value as a strategy file would."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    return printable(str(value))


def _count(trials: list[Tried]) -> str:
    idle = sum(trial.worst == "no trades" for trial in trials)
    other = sum(bool(trial.worst) for trial in trials) - idle
    return f"Trials: {len(trials):,}, {idle:,} without trades, {other:,} without a score otherwise"


def _span(piece: Piece) -> str:
    return f"{piece.began:%Y-%m-%d %H:%M} to {piece.until:%Y-%m-%d %H:%M} UTC ({piece.days:.1f} d)"


def _header(objective: str) -> tuple[str, ...]:
    other = () if objective == "net_profit" else (objective,)
    one_side = ("trades", "net profit", *other)
    change = "diff a day" if is_by_day(objective) else "difference"
    return ("Trial", *(f"in {n}" for n in one_side), *(f"out {n}" for n in one_side), change)


def _sides(trial: Tried, objective: str, window: Window) -> tuple[str, ...]:
    return (
        *_side(trial.in_sample, objective),
        *_side(trial.out_of_sample, objective),
        _signed(difference(trial, objective, window)),
    )


def _side(sample: Sample | None, objective: str) -> tuple[str, ...]:
    width = 2 if objective == "net_profit" else 3
    if sample is None:
        return (_NONE,) * width
    row = (f"{sample.trades:,}", f"{sample.net_profit:+,.2f}", _signed(sample.figure(objective)))
    return row[:width]


def _table(objective: str, window: Window, trials: Sequence[Tried]) -> Iterator[str]:
    rows = [(str(trial.number), *_sides(trial, objective, window)) for trial in trials]
    header, *lines = _aligned([_header(objective), *rows])
    yield header
    for trial, line in zip(trials, lines, strict=True):
        yield line
        values = ", ".join(f"{path} = {shown(value)}" for path, value in trial.values.items())
        note = "the file's values: " if trial.of_file else ""
        indent = "       "
        yield from wrap(note + values, WIDTH, initial_indent=indent, subsequent_indent=indent)
        if trial.worst:
            yield f"{indent}{printable(trial.worst)}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _signed(number: float | None) -> str:
    return _NONE if number is None else f"{number:+,.2f}"
