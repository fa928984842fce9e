"""Errors named by what the operator must do; each knows the exit code it ends the process with."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class OperatorError(Exception):
    """Something only the operator can put right; its text is the one line they see."""

    exit_code: ClassVar[int] = 70

    def __str__(self) -> str:
        """Return the message on one line, whatever control characters a bad value brought."""
        return printable(super().__str__())


class UsageError(OperatorError):
    """The command line is wrong."""

    exit_code = 64


class UnavailableError(OperatorError):
    """A counterpart (bridge, market data) cannot be reached at start."""

    exit_code = 69


class GaveUpError(OperatorError):
    """The restart budget is spent or an invariant is broken: a person must look."""

    exit_code = 70


class JournalError(OperatorError):
    """The journal cannot be read or written: nothing is sent that it does not know."""

    exit_code = 74


class AccountHeldError(OperatorError):
    """Another daemon trades the account, and says which."""

    exit_code = 75


class PermissionDeniedError(OperatorError):
    """The system does not let the daemon read or write a file it needs."""

    exit_code = 77


class ConfigurationError(OperatorError):
    """A setting, strategy, indicator or data file is wrong: what, where, what was expected."""

    exit_code = 78


def printable(text: str) -> str:
    """Return `text` with its line breaks and other control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(word: str, known: "Iterable[str]") -> str:
    """Return `` (did you mean 'x'?)`` for the known name closest to `word`, or an empty text."""
    names = list(known)
    by_folded = {name.casefold(): name for name in names}
    match = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean '{by_folded[match[0]]}'?)" if match else ""


class SourceError(Exception):
    """A data source could not answer now; it may later."""
