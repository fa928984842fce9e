"""Single values of a bridge's reply: tolerant of how they are written, of nothing else.

Real bridges write a ticket as ``123``, ``123.0`` or ``"123"``. What is not finite, out of any
sensible range or of another kind is a `SourceError` that names the field.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeVar

from app.adapters.mt5.server_clock import UTC_CLOCK, ServerClock
from app.domain.errors import SourceError, printable

T = TypeVar("T")

_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what the server's wall clock counts from
_FIRST_YEAR, _LAST_YEAR = 1971, 2068
"""Inside the table of `ServerTime`, and where a time that was misread hardly ever lands."""
_MILLISECONDS_FROM = Decimal(10) ** 11
"""As seconds this lies in the year 5138, as milliseconds in 1973."""
_LARGEST_INTEGER = 2**63
_LARGEST_EXPONENT, _SMALLEST_EXPONENT = 18, -30
_SHOWN = 40
_DOTTED_DATE = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)")
_CONSTANT = re.compile(r"^(?:ORDER|DEAL|POSITION)_(?:TYPE|ENTRY|REASON)_")
"""What MetaTrader's own names of constants begin with."""
_NO_TIME: tuple[object, ...] = (None, 0, "0", "")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def shown(value: object) -> str:
    """Return a value of a reply for a message: on one line, shortened."""
    text = printable(str(value))
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}…'"


def decimal_of(literal: str) -> Decimal:
    """Return the finite number a JSON literal or text spells.

    Raises:
        ValueError: it is none, or too large or too small to reckon with in Decimal's 28 digits.

    """
    try:
        value = Decimal(literal)
    except InvalidOperation:
        raise ValueError(f"{shown(literal)} is not a number") from None
    if value.is_zero():
        return Decimal(0)
    if not value.is_finite() or not _SMALLEST_EXPONENT <= value.adjusted() < _LARGEST_EXPONENT:
        raise ValueError(f"{shown(literal)} is not a number to reckon with")
    return value


def moment(said: object, clock: ServerClock) -> datetime:
    """Return the instant a bridge names, aware UTC: the one parser for all its times.

    ISO text with ``Z`` or an offset says it itself. ISO or ``2025.01.06 10:00`` without one, and
    epoch seconds or milliseconds, told apart by magnitude, are `clock`'s: MetaTrader counts its
    epoch in the server's wall clock, too.

    Raises:
        ValueError: it is no time, or one before 1971 or after 2068.

    """
    try:
        time = _iso(said) if isinstance(said, str) else None
        time = time or _epoch(said)
        utc = clock.utc(time) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(said)} is not a time") from None
    if not _FIRST_YEAR <= utc.year <= _LAST_YEAR:
        raise ValueError(f"{shown(said)} is not a time of ours")
    return utc


def _iso(text: str) -> datetime | None:
    """Return the time an ISO text spells, naive or aware; ``None`` when it is a plain number."""
    if text.replace(".", "", 1).isdecimal():
        return None
    return datetime.fromisoformat(_DOTTED_DATE.sub(r"\1-\2-\3", text.strip(), count=1))


def _epoch(said: object) -> datetime:
    """Return the naive time so many seconds or milliseconds after 1970."""
    if isinstance(said, bool):
        raise ValueError  # noqa: TRY004 - said to the caller with the value
    seconds = decimal_of(str(said))
    if abs(seconds) >= _MILLISECONDS_FROM:
        seconds /= 1000
    return _NAIVE_EPOCH + timedelta(microseconds=int(seconds * 1_000_000))


class Row:
    """An object of a reply. Of several names for a field the first that has a value counts.

    Args:
        fields: the object as decoded.
        about: what it is, for messages: ``positions, row 2``.
        clock: how its naive times are meant.

    """

    __slots__ = ("_about", "_clock", "_fields")

    def __init__(
        self, fields: Mapping[str, object], about: str, clock: ServerClock = UTC_CLOCK
    ) -> None:
        self._fields = fields
        self._about = about
        self._clock = clock

    def has(self, name: str) -> bool:
        """Say whether the field is there, with or without a value."""
        return name in self._fields

    def value(self, *names: str) -> object:
        """Return the value as it came; ``None`` when there is none."""
        for name in names:
            value = self._fields.get(name)
            if value is not None:
                return value
        return None

    def text(self, *names: str) -> str:
        """Return a text, control characters escaped; empty when there is none."""
        value = self.value(*names)
        if value is None:
            return ""
        if not isinstance(value, str | int | Decimal):
            raise self._wrong(names, value, "a text")
        text = str(value)
        return text if text.isprintable() else printable(text)

    def needed_text(self, *names: str) -> str:
        """Return a text that must be there."""
        return self.text(*names) or self._missing(names)

    def number(self, *names: str) -> Decimal | None:
        """Return a finite number; ``None`` when there is none."""
        value = self.value(*names)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise self._wrong(names, value, "a number")
        try:
            return decimal_of(str(value))
        except ValueError:
            raise self._wrong(names, value, "a number") from None

    def needed_number(self, *names: str) -> Decimal:
        """Return a finite number that must be there."""
        value = self.number(*names)
        return self._missing(names) if value is None else value

    def positive(self, *names: str) -> Decimal:
        """Return a number above zero that must be there: a price, a volume, a size."""
        value = self.needed_number(*names)
        if value <= 0:
            raise self._wrong(names, value, "above zero")
        return value

    def price(self, *names: str) -> Decimal | None:
        """Return a price; ``None`` when there is none or it is 0, MetaTrader's "not set"."""
        value = self.number(*names)
        if value is not None and value < 0:
            raise self._wrong(names, value, "a price")
        return value or None

    def whole(self, *names: str) -> int | None:
        """Return an integer; ``None`` when there is none."""
        value = self.number(*names)
        if value is None:
            return None
        if value != value.to_integral_value() or abs(value) >= _LARGEST_INTEGER:
            raise self._wrong(names, value, "an integer")
        return int(value)

    def needed_whole(self, *names: str) -> int:
        """Return an integer that must be there."""
        value = self.whole(*names)
        return self._missing(names) if value is None else value

    def ticket(self, *names: str) -> int:
        """Return a ticket, which is above zero."""
        value = self.needed_whole(*names)
        if value <= 0:
            raise self._wrong(names, value, "a ticket")
        return value

    def flag(self, *names: str) -> bool | None:
        """Return a yes or no; ``None`` when there is none."""
        value = self.value(*names)
        if value is None or isinstance(value, bool):
            return value
        said = _FLAGS.get(str(value).strip().lower())
        if said is None:
            raise self._wrong(names, value, "true or false")
        return said

    def needed_flag(self, *names: str) -> bool:
        """Return a yes or no that must be there."""
        value = self.flag(*names)
        return self._missing(names) if value is None else value

    def mode(self, name: str) -> str | int | None:
        """Return what bridges give as a number or as a word, as it came."""
        return self.text(name) if isinstance(self.value(name), str) else self.whole(name)

    def time(self, *names: str) -> datetime | None:
        """Return an instant, aware UTC; ``None`` when there is none or it is 0."""
        for name in names:
            value = self._fields.get(name)
            if value not in _NO_TIME:
                try:
                    return moment(value, self._clock)
                except ValueError:
                    raise self._wrong((name,), value, "a time") from None
        return None

    def needed_time(self, *names: str) -> datetime:
        """Return an instant that must be there, aware UTC."""
        return self.time(*names) or self._missing(names)

    def code(self, words: Mapping[str, int], name: str) -> int | None:
        """Return a MetaTrader constant given as its number or its name; ``None`` without one."""
        word = _CONSTANT.sub("", self.text(name).strip().upper().replace(" ", "_"))
        return words[word] if word in words else self.whole(name)

    def needed_code(self, words: Mapping[str, int], name: str) -> int:
        """Return a constant that must be there and be the number of one of the `words`."""
        code = self.code(words, name)
        if code is None:
            self._missing((name,))
        if code not in words.values():
            raise self._wrong((name,), code, "one of " + ", ".join(words))
        return code

    def error(self, text: str) -> SourceError:
        """Return the error that something in it cannot be true."""
        return SourceError(f"{self._about}: {text}")

    def _missing(self, names: tuple[str, ...]) -> NoReturn:
        raise self.error(f"{names[0]} is missing")

    def _wrong(self, names: tuple[str, ...], value: object, expected: str) -> SourceError:
        return self.error(f"{names[0]} {shown(value)} is not {expected}")


def read(kind: Callable[[Row], T], said: object, about: str, clock: ServerClock) -> T:
    """Return the value an object of a reply makes; SourceError when it is no object."""
    if not isinstance(said, dict):
        raise SourceError(f"{about}: expected an object, not {kind_of(said)}")
    return kind(Row(said, about, clock))


def read_all(kind: Callable[[Row], T], said: object, about: str, clock: ServerClock) -> list[T]:
    """Return the values a list of objects makes; SourceError when it is no list."""
    if not isinstance(said, list):
        raise SourceError(f"{about}: expected a list, not {kind_of(said)}")
    return [read(kind, one, f"{about}, row {at}", clock) for at, one in enumerate(said, 1)]


def kind_of(said: object) -> str:
    """Return what JSON gave instead, for a message."""
    return "nothing" if said is None else type(said).__name__
