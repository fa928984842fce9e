"""How words, times and numbers are written in a strategy file: liberal in spelling only."""

import math
import re
from datetime import time, timedelta
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe
from app.strategies.operators import SPELLINGS, Operator


def in_lower_case(value: object) -> object:
    """Return a word as the language spells it; what is no text is left for others to refuse."""
    return value.strip().casefold() if isinstance(value, str) else value


def _timeframe(value: object) -> Timeframe:
    try:
        return Timeframe(str(value))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _operator(value: object) -> Operator:
    spelled = "_".join(str(value).upper().split())
    if spelled not in SPELLINGS:
        words = [word for each in Operator for word in (each.value, each.name.lower())]
        raise ValueError(f"unknown operator '{value}'{nearest(str(value), words)}")
    return SPELLINGS[spelled]


Scalar: TypeAlias = bool | float | str


def _scalar(value: object) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise ValueError(f"expected a number, true, false, a text or a column name, not {value!r}")


def _condition_value(value: object) -> Scalar | tuple[Scalar, ...] | None:
    if value is None:
        return None
    return tuple(map(_scalar, value)) if isinstance(value, list) else _scalar(value)


_DURATION_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _duration(value: object) -> timedelta:
    match = re.fullmatch(r"\s*(\d{1,5})\s*([mhdw])\s*", str(value).casefold())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"expected a duration such as 30m, 4h, 3d or 1w, not {value!r}")
    return timedelta(**{_DURATION_UNITS[match[2]]: int(match[1])})


_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _day(value: object) -> int:
    word = str(value).strip().casefold()
    for number, day in enumerate(_DAYS):
        if word in {day, day[:3]}:
            return number
    raise ValueError(f"unknown day '{value}': expected mon … sun{nearest(word, _DAYS)}")


def _hours(value: object) -> tuple[tuple[time, time], ...]:
    return tuple(map(_span, value.split(","))) if isinstance(value, str) else (_span(value),)


def _span(value: object) -> tuple[time, time]:
    match = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", str(value))
    if match is None:
        raise ValueError(f"expected hours such as 08:00-17:30, not {value!r}")
    hour, minute, end_hour, end_minute = map(int, match.groups())
    if (end_hour, end_minute) == (24, 0):
        end_hour = 0
    if max(hour, end_hour) > 23 or max(minute, end_minute) > 59:  # noqa: PLR2004 - clock face
        raise ValueError(f"expected a time of day from 00:00 to 24:00, not {value!r}")
    return time(hour, minute), time(end_hour, end_minute)


AnyCase = BeforeValidator(in_lower_case)
TimeframeName = Annotated[Timeframe, PlainValidator(_timeframe)]
OperatorName = Annotated[Operator, PlainValidator(_operator)]
ConditionValue = Annotated[Scalar | tuple[Scalar, ...] | None, PlainValidator(_condition_value)]
Duration = Annotated[timedelta, PlainValidator(_duration)]
Day = Annotated[int, PlainValidator(_day)]
Hours = Annotated[tuple[tuple[time, time], ...], PlainValidator(_hours)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(gt=0, le=1)]
Truth = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=100)]


class Block(BaseModel):
    """A mapping of the file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
