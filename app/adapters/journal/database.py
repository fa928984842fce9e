"""One open journal database: written all or nothing, and not at all after a failure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Executable, Row, make_url
from sqlalchemy.exc import ArgumentError

from app.adapters.journal.faults import trouble
from app.domain.errors import ConfigurationError, JournalError, OperatorError

T = TypeVar("T")

DEFAULT_URL = "sqlite:///data/journal.db"


def locate(url: str | None) -> URL:
    """Return the address of the journal; ConfigurationError when `url` names no database."""
    try:
        located = make_url(url or DEFAULT_URL)
    except ArgumentError:
        located = URL.create("")
    backend = located.drivername.partition("+")[0]
    if backend == "sqlite" and located.database not in {None, "", ":memory:"}:
        return located.set(drivername="sqlite")
    if backend in {"postgresql", "postgres"}:
        return located.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        "journal.url: expected sqlite:///path/to/journal.db or postgresql://user@host/database"
    )


def named(url: URL) -> str:
    """Return what to call the journal at `url` before others: no password, no options."""
    if url.drivername == "sqlite":
        return str(url.database)
    return str(URL.create("postgresql", url.username, None, url.host, url.port, url.database))


class Database:
    """An open connection to the journal called `name`; `file` is where SQLite keeps it."""

    def __init__(self, name: str, connection: Connection, file: Path | None) -> None:
        self.name = name
        self._connection = connection
        self._file = file
        self._seen: dict[Path, tuple[int, int]] = {}
        self._ended: OperatorError | None = None

    @property
    def failed(self) -> bool:
        """Whether a write failed, so that none is made any more."""
        return self._ended is not None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction: durable when the block ends, or never was.

        Raises JournalError. After anything went wrong in it the journal's state is in doubt, and
        every later write raises the same error.
        """
        if self._ended is not None:
            raise self._ended
        try:
            with self._connection.begin():
                if self._file is not None:
                    self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield self._connection
                self._check_files()
        except OperatorError as error:
            self._ended = error
            raise
        except Exception as error:
            self._ended = trouble(error, self.name)
            raise self._ended from error

    def read(
        self, statement: Executable, made: Callable[[Row[Any]], T], **values: object
    ) -> list[T]:
        """Return what `made` makes of each row; raises JournalError."""
        try:
            if self._connection.in_transaction():
                return [made(row) for row in self._connection.execute(statement, values)]
            with self._connection.begin():
                return [made(row) for row in self._connection.execute(statement, values)]
        except Exception as error:
            raise trouble(error, self.name) from error

    def close(self) -> None:
        """Let go; what SQLite keeps beside its file goes into it. May be called twice."""
        self._connection.close()

    def _check_files(self) -> None:
        """Refuse to commit into a file that nobody would find again."""
        if self._file is None:
            return
        for path in (self._file, self._file.with_name(f"{self._file.name}-wal")):
            try:
                found = path.stat()
            except FileNotFoundError:
                identity = None
            else:
                identity = found.st_dev, found.st_ino
            if identity is None or self._seen.setdefault(path, identity) != identity:
                raise JournalError(
                    f"journal {self.name}: {path.name} was deleted or replaced under the running "
                    "daemon: put the right file in its place, then start again"
                )
