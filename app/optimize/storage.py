"""Where studies are kept: an SQLite file or a PostgreSQL database, by Optuna's own tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from sqlalchemy import NullPool, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

from app.adapters.journal.database import named
from app.domain.errors import ConfigurationError, JournalError

_WAIT = 60
"""Seconds another process may hold an SQLite file."""
_ANSWER = 10
"""Seconds a server may take to answer."""
_ATTEMPTS = 4
_PAUSE = 0.5
"""Seconds between them."""


def located(storage: str) -> tuple[str, str]:
    """Return the address of a study storage with its driver, and what to call it before others.

    Raises:
        ConfigurationError: it is none.

    """
    try:
        url = make_url(storage)
    except ArgumentError:
        url = None
    backend = url.drivername.partition("+")[0] if url is not None else ""
    if url is not None and backend == "sqlite" and url.database not in {None, "", ":memory:"}:
        url = url.set(drivername="sqlite")
    elif url is not None and backend in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    else:
        raise ConfigurationError(
            "--storage: expected sqlite:///path/to/study.db or postgresql://user@host/database"
        )
    return url.render_as_string(hide_password=False), named(url)


@contextmanager
def opened(storage: str) -> Iterator[optuna.storages.RDBStorage]:
    """Open a study storage; everything that fails in it is said in one line.

    Raises:
        ConfigurationError: it is none, or its driver is not installed.
        JournalError: it cannot be reached, read or written.

    """
    address, name = located(storage)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lasting = {"timeout": _WAIT} if address.startswith("sqlite") else {"connect_timeout": _ANSWER}
    # Without a pool nothing stays open where Optuna fails half-way.
    options = {"connect_args": lasting, "poolclass": NullPool}
    storage_opened = _connected(address, {**options, "hide_parameters": True}, name)
    try:
        yield storage_opened
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise _unusable(name, error) from None
    finally:
        storage_opened.remove_session()
        storage_opened.engine.dispose()


def _connected(address: str, options: dict[str, Any], name: str) -> optuna.storages.RDBStorage:
    attempt = 0
    while True:
        attempt += 1
        try:
            return optuna.storages.RDBStorage(address, engine_kwargs=options)
        except ImportError:
            raise ConfigurationError(
                "--storage names PostgreSQL, whose driver is not installed: "
                "pip install 'mt5-trading-daemon[postgresql]'"
            ) from None
        except (SQLAlchemyError, RuntimeError) as error:  # RuntimeError: another version's tables
            if attempt == _ATTEMPTS or not _is_being_made(error):
                raise _unusable(name, error) from None
        time.sleep(_PAUSE)


def _is_being_made(error: Exception) -> bool:
    """Say whether another process may be making the tables at this moment."""
    return isinstance(
        error, IntegrityError | ProgrammingError | RuntimeError
    ) or "already exists" in _cause(error)


def _unusable(name: str, error: BaseException) -> JournalError:
    return JournalError(f"study storage {name} cannot be used: {_cause(error)}")


def _cause(error: BaseException) -> str:
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
