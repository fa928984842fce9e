"""Why a journal cannot be read or written, in one line that says what to do."""

import msgspec
from sqlalchemy.exc import DBAPIError

from app.domain.errors import JournalError, PermissionDeniedError

_DAMAGED = "is damaged: restore it from a backup, or move it away to begin a new one"
_FULL = "has no room left: free disk space, then start again"
_READ_ONLY = "is read-only: let the daemon write the file and its folder"
_SQLITE = {
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_BUSY": "is held by another program: end that one, then start again",
    "SQLITE_LOCKED": "is held by another program: end that one, then start again",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": "is no journal: restore it from a backup, or move the file away",
    "SQLITE_IOERR": "cannot be read or written: the disk fails, or a limit was met",
    "SQLITE_CANTOPEN": "cannot be opened: let the daemon read and write the file and its folder",
}
_POSTGRESQL = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "55P03": "is held by another program: end that one, then start again",
    "42501": "does not let this user make or write its tables: grant it that",
}
"""By SQLSTATE."""


def trouble(error: Exception, name: str) -> JournalError | PermissionDeniedError:
    """Return what `error` means for the journal called `name`."""
    if isinstance(error, JournalError | PermissionDeniedError):
        return error
    if isinstance(error, OSError):
        kind = PermissionDeniedError if isinstance(error, PermissionError) else JournalError
        return kind(f"journal {name}: {error.strerror}: {error.filename}")
    if isinstance(error, DBAPIError):
        return JournalError(f"journal {name} {_of_database(error)}")
    if isinstance(error, msgspec.MsgspecError):
        return JournalError(f"journal {name} holds what this version cannot read: {error}")
    return JournalError(f"journal {name} cannot be used: {type(error).__name__}: {error}")


def _of_database(error: DBAPIError) -> str:
    said = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
    code = getattr(error.orig, "sqlite_errorname", None)
    if code is not None:
        meaning = _SQLITE.get("_".join(code.split("_")[:2]))
        return f"{meaning} ({said})" if meaning else f"cannot be used: {said}"
    state = getattr(error.orig, "sqlstate", None) or ""
    meaning = _POSTGRESQL.get(state)
    return f"{meaning} ({said})" if meaning else f"cannot be used: {said}"
