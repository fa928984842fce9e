"""The files of a search: every trial as CSV, and the best values as YAML."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

import msgspec

from app.adapters.private_files import write_private
from app.backtest.files import unwritable
from app.optimize.plan import Plan
from app.optimize.scores import Sample, Tried, collapse, difference, in_order
from app.optimize.tables import shown

_FIGURES = tuple(field.name for field in msgspec.structs.fields(Sample))


def write(plan: Plan, results: Mapping[int, list[Tried]], folder: Path) -> list[Path]:
    """Write ``trials.csv``, and ``best.yaml`` where a trial has a score; return their paths.

    Raises:
        PermissionDeniedError: it may not be written to.
        ConfigurationError: it cannot be.

    """
    contents = {folder / "trials.csv": _trials(plan, results)}
    best = _best(plan, results)
    if best:
        contents[folder / "best.yaml"] = best
    for path, text in contents.items():
        try:
            write_private(path, text)
        except OSError as error:
            raise unwritable(path, error) from None
    if not best:
        (folder / "best.yaml").unlink(missing_ok=True)
    return list(contents)


def _trials(plan: Plan, results: Mapping[int, list[Tried]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    paths = [parameter.path for parameter in plan.parameters]
    sides = ("in_sample", "out_of_sample")
    writer.writerow(
        [
            *("window", "trial", "of_file", plan.wish.objective, "difference", "worst", *paths),
            *(f"{side}_{name}" for side in sides for name in _FIGURES),
        ]
    )
    for window in plan.windows:
        for trial in results.get(window.number, []):
            writer.writerow(
                [
                    window.number,
                    trial.number,
                    shown(trial.of_file),
                    "" if trial.worst else trial.score,
                    difference(trial, plan.wish.objective, window),
                    trial.worst,
                    *(shown(trial.values[path]) for path in paths),
                    *_figures(trial.in_sample),
                    *_figures(trial.out_of_sample),
                ]
            )
    return text.getvalue()


def _figures(sample: Sample | None) -> Iterator[object]:
    for name in _FIGURES:
        yield None if sample is None else getattr(sample, name)


def _best(plan: Plan, results: Mapping[int, list[Tried]]) -> str:
    """Return the best values of the newest window that has any."""
    for window in reversed(plan.windows):
        ranked = [t for t in in_order(results.get(window.number, [])) if not t.worst]
        if ranked:
            break
    else:
        return ""
    best = ranked[0]
    objective = plan.wish.objective
    lines = [f"# Trial {best.number} of study '{plan.study_of(window)}', {objective}:"]
    for name, sample in (("in-sample", best.in_sample), ("out-of-sample", best.out_of_sample)):
        if sample is not None:
            figure = sample.figure(objective)
            said = "not defined" if figure is None else f"{figure:,.2f}"
            lines.append(f"#   {name} {said} in {sample.trades:,} trades")
    if warning := collapse(best, objective, window):
        lines.append(f"# WARNING: {warning}")
    lines.append(f"# For {plan.document.path}:")
    for parameter in plan.parameters:
        value, was = best.values[parameter.path], shown(parameter.of_file)
        lines.append(f"{parameter.path}: {_yaml(value)}  # line {parameter.line}, was {was}")
    return "".join(f"{' '.join(line.splitlines())}\n" for line in lines)


def _yaml(value: object) -> str:
    """Write a value so that a strategy file reads it as it is."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return msgspec.json.encode(value).decode()
