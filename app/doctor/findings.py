"""What a check finds: that something is right, doubtful or wrong, and what mends it."""

from enum import StrEnum

import msgspec

from app.adapters.mt5.client import NoAnswerError, NotSentError
from app.adapters.mt5.dialect import RefusalError
from app.domain.errors import (
    AccountHeldError,
    ConfigurationError,
    JournalError,
    OperatorError,
    PermissionDeniedError,
    SourceError,
    UnavailableError,
)


class Status(StrEnum):
    """How a check ended; only a failure keeps the daemon from trading."""

    OK = "ok"
    WARNING = "warning"
    FAILS = "FAILS"
    NOT_CHECKED = "not checked"


class Finding(msgspec.Struct, frozen=True):
    """What a check says of one thing, and what mends it.

    `exit_code` of a failure is the code the daemon would end with; where it would run and open
    nothing, that of whoever must act: 69 the terminal, 70 a person, 74 the disk, 78 the settings.
    """

    status: Status
    says: str
    fix: str = ""
    exit_code: int = 0


def ok(says: str) -> Finding:
    """Return that something is right."""
    return Finding(Status.OK, says)


def warning(says: str, fix: str) -> Finding:
    """Return what the operator should know, though the daemon trades."""
    return Finding(Status.WARNING, says, fix)


def fails(says: str, fix: str, kind: type[OperatorError] = ConfigurationError) -> Finding:
    """Return what keeps the daemon from trading; `kind` gives its exit code."""
    return Finding(Status.FAILS, says, fix, kind.exit_code)


def not_checked(why: str) -> Finding:
    """Return that an earlier failure left nothing to check."""
    return Finding(Status.NOT_CHECKED, why)


def failure(error: OperatorError | SourceError) -> Finding:
    """Return what an error means for the operator."""
    if isinstance(error, SourceError):
        return fails(str(error), _mended_at_the_bridge(error), UnavailableError)
    fix = next((fix for kind, fix in _MENDED.items() if isinstance(error, kind)), "")
    return fails(str(error), fix, type(error))


_MENDED = {
    ConfigurationError: "correct it there; docs/CONFIGURATION.md and docs/STRATEGIES.md list all",
    UnavailableError: "log the terminal in to its account and look at its connection",
    AccountHeldError: "stop that daemon first",
    JournalError: "docs/OPERATIONS.md says how a journal is brought back",
    PermissionDeniedError: "let the user that runs the daemon read and write it",
}
_REFUSED = {
    401: "write user and password into API_BASE_URL: http://user:password@host:port",
    403: "write user and password into API_BASE_URL, or let this machine in at the bridge",
    404: "see that API_BASE_URL is a bridge and ends with its path, such as /mt5",
}
_LOOKED_INTO = "look at the log of the bridge, and whether its terminal is logged in"


def _mended_at_the_bridge(error: SourceError) -> str:
    if isinstance(error, NotSentError):
        return "start the bridge, or correct host and port in API_BASE_URL"
    if isinstance(error, NoAnswerError):
        return "start the bridge anew: it hangs, or a firewall swallows what is sent to it"
    if isinstance(error, RefusalError):
        return _REFUSED.get(error.status, _LOOKED_INTO)
    return _LOOKED_INTO
