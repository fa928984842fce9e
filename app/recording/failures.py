"""What a port raised, as text and back: the same kind for whoever catches it."""

from typing import Final

from app.domain import errors
from app.validation import without_credentials

_KINDS: Final[dict[str, type[Exception]]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


class RecordedError(Exception):
    """A failure that is none of those the services know apart."""


def failure_of(error: Exception) -> tuple[str, str]:
    """Return the kind and the text of a failure, without credentials."""
    kind = next((it for it in type(error).__mro__ if it in _KINDS.values()), type(error))
    return kind.__name__, without_credentials(str(error))


def failure_from(kind: str, text: str) -> Exception:
    """Return a failure that is caught, and named in a log, as the recorded one was."""
    known = _KINDS.get(kind)
    return known(text) if known else type(kind, (RecordedError,), {})(text)
