"""The parameters of a search, between a strategy file and Optuna."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pydantic import TypeAdapter

from app.domain.errors import ConfigurationError
from app.strategies.search_space import (
    Candidate,
    Choices,
    Loc,
    Range,
    parsed,
    value_at,
)
from app.strict_yaml import Document

if TYPE_CHECKING:
    from optuna import Trial

_RANGES: TypeAdapter[dict[str, Range]] = TypeAdapter(dict[str, Range])


class Parameter(NamedTuple):
    """A value of the file, its path, and its candidates."""

    path: str
    loc: Loc
    line: int
    """Of the value, in the file."""
    candidates: Range
    of_file: Candidate

    def suggested(self, trial: "Trial") -> Candidate:
        """Return what the trial shall try."""
        candidates = self.candidates
        if isinstance(candidates, Choices):
            by_name = {_encoded(each): each for each in candidates.choices}
            return by_name[trial.suggest_categorical(self.path, list(by_name))]  # type: ignore[index]
        low, steps, step = candidates.low, candidates.steps, candidates.step or 1
        if steps is None:
            return trial.suggest_float(self.path, low, candidates.high)
        high = candidates.at(steps)
        if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
            return trial.suggest_int(self.path, low, high, step=step)
        near = trial.suggest_float(self.path, low, high, step=step)
        return candidates.at(round((near - low) / step))

    def encoded(self, value: Candidate) -> object:
        """Return the value as the study holds it; ``None`` when it is no candidate."""
        candidates = self.candidates
        if isinstance(candidates, Choices):
            return _encoded(value) if value in candidates.choices else None
        if not isinstance(value, int | float) or not candidates.low <= value <= candidates.high:
            return None
        if candidates.steps is None:
            return float(value)
        step = round((value - candidates.low) / (candidates.step or 1))
        return value if step <= candidates.steps and candidates.at(step) == value else None


def parameters_of(document: Document) -> tuple[Parameter, ...]:
    """Return what the file lets be searched, in its order; it was checked when it was read.

    Raises:
        ConfigurationError: it names nothing.

    """
    section = document.data.get("optimize")
    if not section:
        raise ConfigurationError(
            f"{document.path}: has no 'optimize:' section: expected paths of its values and their "
            "ranges, as docs/OPTIMIZE.md shows"
        )
    found = []
    for path, candidates in _RANGES.validate_python(section).items():
        loc = parsed(path) or ()
        value = value_at(document.data, loc)
        of_file: Candidate = tuple(value) if isinstance(value, list) else value  # type: ignore[assignment]
        found.append(Parameter(path, loc, document.line(loc), candidates, of_file))
    return tuple(found)


def values_of_file(parameters: tuple[Parameter, ...]) -> Mapping[str, object] | None:
    """Return the file's own values as the study holds them; ``None`` when one is no candidate."""
    encoded = {each.path: each.encoded(each.of_file) for each in parameters}
    return None if None in encoded.values() else encoded


def _encoded(value: Candidate) -> bool | float | str:
    return json.dumps(value) if isinstance(value, tuple) else value
