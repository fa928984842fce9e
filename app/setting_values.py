"""The kinds of values settings have, each refusing what it cannot mean.

Text from the environment and values from YAML pass the same checks; lists may also be written
``1,5,15`` and mappings ``EUR=1.1,JPY=0.0067``.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
)

from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe

T = TypeVar("T")

_SYMBOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#+-]{0,31}")
_CURRENCY: Final = re.compile(r"[A-Z]{3,5}")


class Mode(StrEnum):
    """Who fills the orders: the paper broker, nobody, or the live account."""

    PAPER = "paper"
    MONITOR = "monitor"
    LIVE = "live"


class EvaluationMode(StrEnum):
    """Which candles evaluate a strategy: its trigger timeframe's, or its fastest one's."""

    ON_NEW_CANDLE = "on_new_candle"
    ON_ANY_CANDLE = "on_any_candle"


class ExecutionMode(StrEnum):
    """When signals are acted on: each at once, or together at the end of the cycle."""

    IMMEDIATE = "immediate"
    BATCH = "batch"


class FactsKept(StrEnum):
    """For which evaluations the facts are kept: those that gave a signal, or all."""

    SIGNALS = "signals"
    ALL = "all"


class LogLevel(StrEnum):
    """The least severity that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class AccountType(StrEnum):
    """Whether positions may stay open over night; a daily account is flat at the close."""

    DAILY = "daily"
    SWING = "swing"


class MarketDataSource(StrEnum):
    """Where candles come from; auto is the bridge when ``api.base_url`` is set, else simulated."""

    AUTO = "auto"
    SIMULATED = "simulated"
    FILE = "file"
    BRIDGE = "bridge"


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _listed(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        if len({_folded(part) for part in value}) < len(value):
            raise ValueError("expected each entry once")
        return tuple(value)
    return value


def _folded(value: object) -> str:
    return str(value).casefold()


def _paired(value: object) -> object:
    if not isinstance(value, str):
        return {} if value is None else value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(equals and name.strip() for name, equals, _ in pairs):
        raise ValueError("expected NAME=value, separated by commas")
    return {name.strip(): text.strip() for name, _, text in pairs}


def _number(value: object) -> object:
    """Refuse ``true``, which Decimal takes for 1."""
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic reports ValueErrors only
    return value


def _symbol(value: str) -> str:
    if not _SYMBOL.fullmatch(value):
        raise ValueError("expected a symbol such as EURUSD or US500.cash")
    return value


def _symbol_text(value: object) -> object:
    """Take back what YAML read as a number: a symbol of digits alone."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise ValueError("expected a currency code such as USD")
    return value


def _timeframe(value: object) -> Timeframe:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("expected a timeframe such as 1, M15 or H4")  # noqa: TRY004
    try:
        return Timeframe(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _each_once(value: tuple[Timeframe, ...]) -> tuple[Timeframe, ...]:
    if len(set(value)) < len(value):
        raise ValueError("expected each timeframe once")
    return value


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    wanted = "expected a date or a time with its offset: 2025-01-06 or 2025-01-06T10:00:00Z"
    try:
        if len(text) == len("2025-01-06"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else _refused(wanted)
    except (ValueError, OverflowError):
        raise ValueError(wanted) from None


def _refused(wanted: str) -> datetime:
    raise ValueError(wanted)


def _close_time(value: str) -> str:
    wanted = "expected a time of day with its offset, such as 23:40:00+03:00"
    try:
        parsed = time.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(wanted) from None
    if parsed.tzinfo is None:
        raise ValueError(wanted)
    return value.strip()


def _server_timezone(value: str) -> str:
    try:
        return str(ServerTime(value))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _base_url(value: str) -> str:
    wanted = "expected an address such as http://127.0.0.1:8000"
    try:
        parts = urlsplit(value.strip())
        port = parts.port  # read to have it checked
    except ValueError:
        raise ValueError(wanted) from None
    whole = parts.scheme in {"http", "https"} and parts.hostname and port != 0
    if not whole or parts.query or parts.fragment or any(c.isspace() for c in value.strip()):
        raise ValueError(wanted)
    return value.strip().rstrip("/")


def _journal_url(value: str) -> str:
    scheme, divider, rest = value.strip().partition("://")
    if not divider or not rest or scheme not in {"postgresql", "postgresql+psycopg", "sqlite"}:
        raise ValueError(
            "expected an address such as postgresql://user@host/database, or none for a file"
        )
    return value.strip()


Word = Annotated[T, Strict(strict=False), BeforeValidator(_lower)]
Level = Annotated[LogLevel, Strict(strict=False), BeforeValidator(_upper)]
Levels = Annotated[Mapping[str, Level], BeforeValidator(_paired)]
Exact = Annotated[Decimal, Strict(strict=False), BeforeValidator(_number)]
Limit = Annotated[Annotated[Exact, Field(gt=0)] | Literal["disabled"], BeforeValidator(_lower)]
Symbol = Annotated[str, BeforeValidator(_symbol_text), AfterValidator(_symbol)]
Symbols = Annotated[tuple[Symbol, ...], BeforeValidator(_listed)]
Currency = Annotated[str, AfterValidator(_currency), BeforeValidator(_upper)]
TimeframeValue = Annotated[Timeframe, PlainValidator(_timeframe)]
Timeframes = Annotated[
    tuple[TimeframeValue, ...],
    Field(min_length=1),
    AfterValidator(_each_once),
    BeforeValidator(_listed),
]
FilePath = Annotated[Path, Strict(strict=False)]
Paths = Annotated[tuple[FilePath, ...], BeforeValidator(_listed)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
CloseTime = Annotated[str, AfterValidator(_close_time)]
ServerTimezone = Annotated[str, AfterValidator(_server_timezone)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
JournalUrl = Annotated[str, AfterValidator(_journal_url)]
Lots = Annotated[Exact, Field(gt=0, le=1_000_000)]
Rates = Annotated[Mapping[Currency, Annotated[Exact, Field(gt=0)]], BeforeValidator(_paired)]
PipValues = Annotated[
    Mapping[Symbol, Annotated[float, Strict(strict=False), Field(gt=0)]], BeforeValidator(_paired)
]


class Section(BaseModel):
    """A group of keys: no others are taken, and nothing changes after the start."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _empty_section(value: object) -> object:
    """Take a section of which every line is commented out for an empty one."""
    return {} if value is None else value


Part = Annotated[T, BeforeValidator(_empty_section)]
