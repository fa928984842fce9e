"""What a bridge wraps its replies in, and how it says no.

``{"success": bool, "data": any, "message"?: str, "error_code"?: str}``, or the bare payload: an
object with a `success` key is unwrapped to `data`, anything else is taken as it is.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from app.adapters.mt5.dialect.readings import shown
from app.domain.errors import SourceError, printable

_NO_NUMBER = Decimal("NaN")
_ERROR = 400
_REDIRECT = 300
_YES = (True, "true", "True")
_SHOWN_BYTES, _SHOWN_WORDS = 80, 200
_SAID_IN = ("message", "detail", "error", "comment")
"""Where bridges put their words; objects there hold more fields."""


def _fraction(literal: str) -> Decimal:
    """Return a fraction unchecked: only what is read of a reply must make sense."""
    try:
        return Decimal(literal)
    except InvalidOperation:
        return _NO_NUMBER


_JSON = msgspec.json.Decoder(float_hook=_fraction)


class RefusalError(SourceError):
    """The bridge answered, and said no.

    Attributes:
        status: of the HTTP reply.
        message: its own words, on one line.
        fields: everything it said with them.

    """

    def __init__(self, about: str, status: int, message: str, fields: Mapping[str, object]) -> None:
        super().__init__(f"{about}: {message}")
        self.status = status
        self.message = message
        self.fields = fields


def payload(status: int, body: bytes, about: str) -> object:
    """Return what a reply carries: fractions as Decimal, all else as JSON has it.

    Raises:
        RefusalError: ``success: false``, or HTTP 400 and above.
        SourceError: a redirect, which is not followed; or no JSON.

    """
    if _REDIRECT <= status < _ERROR:
        raise SourceError(f"{about}: a redirect (HTTP {status}), which is not followed")
    try:
        said: object = _JSON.decode(body)
    except (ValueError, RecursionError):
        start = shown(body[:_SHOWN_BYTES].decode(errors="replace"))
        if status >= _ERROR:
            raise RefusalError(about, status, f"HTTP {status} {start}", {}) from None
        raise SourceError(f"{about}: no JSON: {start}") from None
    fields = said if isinstance(said, dict) else {}
    if status >= _ERROR or ("success" in fields and fields["success"] not in _YES):
        raise _refusal(about, status, fields)
    return fields.get("data") if "success" in fields else said


def _refusal(about: str, status: int, fields: Mapping[str, object]) -> RefusalError:
    """Return the error with all the fields that say it, wherever they stand."""
    every = dict(fields)
    for name in (*_SAID_IN, "data"):
        inner = fields.get(name)
        if isinstance(inner, dict):
            every |= inner
    words = (every[name] for name in _SAID_IN if isinstance(every.get(name), str))
    message = f"{next(words, '') or f'HTTP {status}'}"
    code = every.get("error_code")
    if isinstance(code, str) and not code.isdecimal():
        message += f" ({code})"
    return RefusalError(about, status, printable(message)[:_SHOWN_WORDS], every)
