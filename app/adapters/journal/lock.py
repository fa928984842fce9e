"""One writer an account (I17): a lock on a local file, and one in PostgreSQL where that is shared.

The system frees both when their holder ends, however it ends. A holder that slept through another's
start is stopped by ``writers``.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.journal.database import locate, named
from app.adapters.journal.faults import trouble
from app.adapters.journal.opening import connect_server
from app.adapters.private_files import write_private
from app.domain.errors import AccountHeldError, JournalError, PermissionDeniedError

PATIENCE = 1.0
"""Seconds a start waits for a daemon that is just ending."""

_PAUSE = 0.05
_UNKNOWN = "another program"
_NAME_SESSION = text("SELECT set_config('application_name', :name, false)")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_SESSION_WITH_LOCK = text(
    "SELECT activity.application_name AS name, activity.backend_start AS since "
    "FROM pg_locks AS held JOIN pg_stat_activity AS activity ON activity.pid = held.pid "
    "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 "
    "AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (held.classid::bigint << 32 | held.objid::bigint) = :key"
)


class Holder(msgspec.Struct, frozen=True):
    """A process by name (its id and host), and since when it holds what it holds (UTC)."""

    name: str
    since: datetime

    def __str__(self) -> str:
        return f"{self.name} since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def this_process() -> Holder:
    """Return this process, holding from now on."""
    return Holder(f"pid {os.getpid()} on {socket.gethostname()}", datetime.now(UTC))


class Lock:
    """An account held by this process until it lets go or ends."""

    def __init__(self, held: ExitStack) -> None:
        self._held = held

    def release(self) -> None:
        """Let go; may be called twice."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def hold(account: str, url: str | None, folder: Path) -> Lock:
    """Hold `account` for this process: by a file in `folder`, and in a journal in PostgreSQL.

    Raises AccountHeldError, naming the holder, when another process has it; ConfigurationError
    when `url` names no database; JournalError or PermissionDeniedError when a lock cannot be had.
    """
    located = locate(url)
    file, note = _files(account, folder)
    with ExitStack() as held, _in_words(located):
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        held.callback(_take_file(account, file, note).release)
        if _is_shared(located):
            held.callback(_take_session(account, located).close)
        write_private(note, msgspec.json.encode(this_process()).decode())
        held.callback(note.unlink, missing_ok=True)
        return Lock(held.pop_all())
    raise AssertionError  # nothing above swallows an error


def holder_of(account: str, url: str | None, folder: Path) -> str | None:
    """Return who holds `account` and since when, ``None`` when nobody does.

    Raises what `hold` raises, save AccountHeldError.
    """
    located = locate(url)
    file, note = _files(account, folder)
    with _in_words(located):
        if file.exists():
            try:
                _file_lock(file).acquire(timeout=0).lock.release()
            except Timeout:
                return _noted(note)
        if _is_shared(located):
            with closing(connect_server(located)) as connection:
                return _session_with(_key(account), connection)
    return None


def _is_shared(located: URL) -> bool:
    return located.drivername.startswith("postgresql")


@contextmanager
def _in_words(located: URL) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(f"lock {error.filename}: {error.strerror}") from error
    except OSError as error:
        raise JournalError(f"lock {error.filename}: {error.strerror}") from error
    except SQLAlchemyError as error:
        raise trouble(error, named(located)) from error


def _files(account: str, folder: Path) -> tuple[Path, Path]:
    """Return the lock file of an account, whatever its name, and where its holder is noted."""
    digest = blake2b(account.encode(), digest_size=4).hexdigest()
    name = f"{re.sub('[^A-Za-z0-9]+', '-', account)[:60]}-{digest}"
    return folder / f"{name}.lock", folder / f"{name}.holder"


def _file_lock(file: Path) -> FileLock:
    return FileLock(file, mode=0o600, thread_local=False)


def _take_file(account: str, file: Path, note: Path) -> FileLock:
    lock = _file_lock(file)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=_PAUSE)
    except Timeout:
        raise _held(account, _noted(note)) from None
    return lock


def _noted(note: Path) -> str:
    try:
        return str(msgspec.json.decode(note.read_bytes(), type=Holder))
    except (FileNotFoundError, msgspec.MsgspecError):
        return _UNKNOWN


def _key(account: str) -> int:
    """Return the number an account is locked by: 64 bits, signed."""
    return int.from_bytes(blake2b(account.encode(), digest_size=8).digest(), signed=True)


def _take_session(account: str, located: URL) -> Connection:
    """Return a connection that holds the account for as long as it is open."""
    key = _key(account)
    connection = connect_server(located).execution_options(isolation_level="AUTOCOMMIT")
    with ExitStack() as undone:
        undone.callback(connection.close)
        connection.execute(_NAME_SESSION, {"name": this_process().name})
        deadline = time.monotonic() + PATIENCE
        while not connection.scalar(_TRY_LOCK, {"key": key}):
            if time.monotonic() > deadline:
                raise _held(account, _session_with(key, connection) or _UNKNOWN)
            time.sleep(_PAUSE)
        undone.pop_all()
    return connection


def _session_with(key: int, connection: Connection) -> str | None:
    found = connection.execute(_SESSION_WITH_LOCK, {"key": key}).first()
    if found is None:
        return None
    return str(Holder(found.name, found.since)) if found.name else _UNKNOWN


def _held(account: str, holder: str) -> AccountHeldError:
    return AccountHeldError(
        f"account {account} is held by {holder}: stop that daemon first, one trades an account"
    )
