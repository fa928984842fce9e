"""Where journals come from: found and checked, or made; then brought to this version's tables.

Never is an empty journal put in the place of one that cannot be read. A new SQLite file is made
under another name and linked into its place when it is complete: one that is empty has lost what
it held.
"""

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, column, create_engine, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.journal.database import Database, locate, named
from app.adapters.journal.faults import trouble
from app.adapters.journal.schema import HEAD, VERSION_TABLE
from app.domain.errors import ConfigurationError, JournalError, PermissionDeniedError

BUSY_TIMEOUT = 5
"""Seconds another program may hold the database before the journal gives up."""

_MIGRATION_LOCK = 7_236_041_557_320_146_513
"""Any number: two starts that find PostgreSQL without the newest tables take turns by it."""
_NOTICE_A_LOST_SERVER = {"connect_timeout": str(BUSY_TIMEOUT), "tcp_user_timeout": "10000"}
"""Within seconds, and in the middle of a commit too."""


def open_database(url: str | None) -> Database:
    """Open the journal at `url`, by default ``data/journal.db``; make it if there is none.

    Raises ConfigurationError when `url` names no database, JournalError or PermissionDeniedError
    when it cannot be used.
    """
    located = locate(url)
    name = named(located)
    file = _file_of(located)
    with _in_words(name):
        if file is None:
            connection = connect_server(located)
        else:
            if not os.path.lexists(file):
                _make_file(file)
            _check_file(file, name)
            _clear_away(file)
            connection = _connect_file(file, "rw")
        with _closed_on_failure(connection):
            if file is not None:
                _set_up_file(connection, name)
            _bring_up_to_date(connection, name)
    return Database(name, connection, file)


def open_to_read(url: str | None) -> Database | None:
    """Open the journal at `url` to look into it; ``None`` when there is none yet.

    Raises what `open_database` raises, and JournalError when its tables are not this version's.
    """
    located = locate(url)
    name = named(located)
    file = _file_of(located)
    with _in_words(name):
        if file is not None:
            if not os.path.lexists(file):
                return None
            _check_kind(file, name)
        connection = connect_server(located) if file is None else _connect_file(file, _look(file))
        with _closed_on_failure(connection):
            if file is not None:
                _check_pages(connection, name)
            found = _revision(connection)
            if found is None and file is None:
                connection.close()
                return None
            if found != HEAD:
                raise JournalError(
                    f"journal {name} has the tables of version {found}, this program knows those "
                    f"of {HEAD}: start the daemon of this version once, which brings older ones "
                    "up to date"
                )
    return Database(name, connection, file)


def connect_server(located: URL) -> Connection:
    """Return a connection to PostgreSQL whose commits are durable.

    Raises ConfigurationError when its driver is not installed, SQLAlchemyError.
    """
    url = located.set(query={**_NOTICE_A_LOST_SERVER, **located.query})
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    except ModuleNotFoundError:
        raise ConfigurationError(
            "journal.url names PostgreSQL, whose driver is not installed: "
            "pip install 'mt5-trading-daemon[postgresql]'"
        ) from None
    connection = engine.connect()
    with connection.begin():
        connection.exec_driver_sql("SET synchronous_commit = on")
        connection.exec_driver_sql("SET timezone = 'UTC'")
        connection.exec_driver_sql(f"SET lock_timeout = '{BUSY_TIMEOUT}s'")
    return connection


def _connect_file(file: Path, mode: str) -> Connection:
    """Return a connection to an SQLite file, which is never made by it."""
    where = f"{file.absolute().as_uri()}?mode={mode}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            where, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None
        ),
        poolclass=NullPool,
        hide_parameters=True,
    )
    return engine.connect()


def _look(file: Path) -> str:
    """Return the mode that reads an SQLite file and makes none of those SQLite keeps beside it."""
    in_use = file.with_name(f"{file.name}-wal").exists()
    return "ro" if in_use else "ro&immutable=1"


def _file_of(located: URL) -> Path | None:
    return Path(str(located.database)) if located.drivername == "sqlite" else None


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Say what went wrong with the journal called `name`."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise trouble(error, name) from error


@contextmanager
def _closed_on_failure(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _make_file(file: Path) -> None:
    """Make a journal with its tables and nothing in it, complete or not at all."""
    folder = file.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".new", dir=folder)
    os.close(handle)
    try:
        with closing(_connect_file(Path(fresh), "rw")) as connection, connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection, str(file))
        with suppress(FileExistsError, FileNotFoundError):  # another start was faster
            os.link(fresh, file)
    finally:
        Path(fresh).unlink(missing_ok=True)
    if sys.platform != "win32":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _check_kind(file: Path, name: str) -> None:
    """Raise what SQLite would not say, or not plainly."""
    if file.is_dir():
        raise JournalError(f"journal {name} is a folder: name a file in it")
    if file.stat().st_size == 0:
        raise JournalError(
            f"journal {name} is empty and has lost what it held: restore it from a backup, "
            "or move the file away to begin a new one"
        )


def _clear_away(file: Path) -> None:
    """Remove what a start left that ended while it made the journal."""
    for left in file.parent.glob(f".{file.name}.*.new*"):
        left.unlink(missing_ok=True)


def _check_file(file: Path, name: str) -> None:
    """Refuse a file that is none, or not ours to write; keep the journal from others' eyes."""
    _check_kind(file, name)
    if _on_read_only_disk(file):
        raise JournalError(f"journal {name} is on a read-only disk: make it writable")
    for path in (file, file.parent):
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionDeniedError(
                f"journal {name}: no permission to read and write {path}: grant it to the user "
                "that runs the daemon"
            )
    for path in (file, *(file.with_name(f"{file.name}-{side}") for side in ("wal", "shm"))):
        if path.exists() and path.stat().st_mode & 0o077 and os.name == "posix":
            path.chmod(0o600)


def _on_read_only_disk(path: Path) -> bool:
    if sys.platform == "win32":
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _set_up_file(connection: Connection, name: str) -> None:
    with connection.begin():
        mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
        if mode != "wal":
            raise JournalError(
                f"journal {name}: SQLite keeps no write-ahead log there: put it on a local disk"
            )
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    _check_pages(connection, name)


def _check_pages(connection: Connection, name: str) -> None:
    with connection.begin():
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise JournalError(f"journal {name} is damaged ({found}): restore it from a backup")


def _revision(connection: Connection) -> str | None:
    """Return which version's tables there are, ``None`` without any."""
    with connection.begin():
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        version: str | None = connection.scalar(
            select(column("version_num")).select_from(table(VERSION_TABLE))
        )
        return version


def _bring_up_to_date(connection: Connection, name: str) -> None:
    """Bring older tables, or none, to this version; those of another program stay."""
    found = _revision(connection)
    if found == HEAD:
        return
    if found is None and connection.dialect.name == "sqlite":
        raise JournalError(f"journal {name} was not made by this daemon: name another file")
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        _upgrade(connection, name)


def _upgrade(connection: Connection, name: str) -> None:
    from app.adapters.journal import migrations  # noqa: PLC0415 - brings alembic along

    migrations.upgrade(connection, name)
