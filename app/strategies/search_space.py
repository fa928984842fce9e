"""The `optimize:` section of a strategy file: which of its values a search may change, and how far.

A value is named by the path that error messages name it by, ``entry.long.conditions[0].value``:
keys joined by dots, and the items of a list counted from 0. Trading never reads this section.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final, Self, TypeAlias

from pydantic import Discriminator, Field, PlainValidator, Tag, model_validator

from app.strategies.vocabulary import Block, Scalar

Loc: TypeAlias = tuple[str | int, ...]
Candidate: TypeAlias = Scalar | int | tuple[Scalar | int, ...]

SEARCHED: Final = ("entry", "exit", "risk", "activation.schedule")
"""The parts of a file in which values may be searched."""

_PART: Final = re.compile(r"\.?([A-Za-z_]\w*)|\[(0|[1-9]\d{0,5})\]")


def _number(value: object) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError("expected a number")


def _candidate(value: object) -> Candidate:
    if isinstance(value, list) and value:
        return tuple(map(_scalar, value))
    return _scalar(value)


def _scalar(value: object) -> Scalar | int:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    raise ValueError("expected a number, true, false, a text, or a list of these")


Limit = Annotated[int | float, PlainValidator(_number)]


class Span(Block):
    """Numbers from `low` to `high`, both of them candidates, `step` apart where it is given.

    Whole numbers when all that is given are whole.
    """

    low: Limit
    high: Limit
    step: Limit | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, expected less than high, which is {self.high}")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(
                f"step is {self.step}, expected more than 0 and at most {self.high - self.low}"
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether its candidates are whole numbers."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 0))

    def at(self, step: int) -> int | float:
        """Return the candidate that many steps above `low`, free of rounding errors."""
        value = Decimal(str(self.low)) + step * Decimal(str(self.step or 1))
        return int(value) if self.whole else float(value)

    @property
    def steps(self) -> int | None:
        """How many steps above `low` the highest candidate is; ``None`` when all between are."""
        if self.step is None and not self.whole:
            return None
        width = Decimal(str(self.high)) - Decimal(str(self.low))
        return int(width // Decimal(str(self.step or 1)))

    def extremes(self) -> Sequence[Candidate]:
        """Return what must be possible if all between is to be."""
        return self.low, self.high if self.steps is None else self.at(self.steps)


class Choices(Block):
    """One of `choices`."""

    choices: Annotated[
        tuple[Annotated[Candidate, PlainValidator(_candidate)], ...], Field(min_length=2)
    ]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for index, choice in enumerate(self.choices):
            if choice in self.choices[:index]:
                raise ValueError(f"choice {choice} is given twice")
        return self

    def extremes(self) -> Sequence[Candidate]:
        """Return all of them."""
        return self.choices


def _kind_of_range(value: object) -> str:
    return "choices" if isinstance(value, dict) and "choices" in value else "span"


Range: TypeAlias = Annotated[
    Annotated[Span, Tag("span")] | Annotated[Choices, Tag("choices")],
    Discriminator(_kind_of_range),
]


def parsed(path: str) -> Loc | None:
    """Return the location that `path` writes; ``None`` when it writes none."""
    loc: list[str | int] = []
    at = 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None or (at == 0) != (path[at] not in ".["):
            return None
        loc.append(found[1] if found[2] is None else int(found[2]))
        at = found.end()
    return tuple(loc) or None


def is_searched(path: str) -> bool:
    """Whether the value at `path` is one that a search may change."""
    return path.startswith(tuple(f"{part}." for part in SEARCHED))


def value_at(data: object, loc: Loc) -> object:
    """Return the value at `loc`; raises LookupError where there is none."""
    for part in loc:
        if not isinstance(data, dict if isinstance(part, str) else list):
            raise LookupError(part)  # noqa: TRY004 - the value is not there
        data = data[part]  # type: ignore[index]
    return data


def with_value(data: object, loc: Loc, value: object) -> object:
    """Return `data` with `value` at `loc`, which exists; `data` itself stays as it is.

    What the file shares by an anchor is changed at this place only.
    """
    if not loc:
        return list(value) if isinstance(value, tuple) else value
    first, *rest = loc
    changed: dict[object, object] | list[object]
    changed = dict(data) if isinstance(data, dict) else list(data)  # type: ignore[call-overload]
    changed[first] = with_value(changed[first], tuple(rest), value)
    return changed


def with_values(
    data: Mapping[str, object], values: Mapping[str, Candidate]
) -> Mapping[str, object]:
    """Return the contents of a strategy file with other values, path -> value."""
    changed: object = data
    for path, value in values.items():
        changed = with_value(changed, parsed(path) or (), value)
    return changed  # type: ignore[return-value]


def paths_of(data: object, loc: Loc = ()) -> Iterator[Loc]:
    """Yield the locations of all values that hold no others."""
    parts = data.items() if isinstance(data, dict) else enumerate(data)  # type: ignore[arg-type]
    for name, inner in parts:
        here = (*loc, name)
        if isinstance(inner, dict | list):
            yield from paths_of(inner, here)
        else:
            yield here
