"""What tests of every kind share: a PostgreSQL server, where there is one, and our own bridge."""

import os
import signal
from contextlib import closing
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from tests.bridge import start_bridge

SERVER = "postgresql://root@127.0.0.1:5432/test"


settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure():
    """Let Ctrl+C reach what tests start, though whoever runs them in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql_server():
    """Make a database of its own on a real server; its address takes a path and options.

    Skipped only where there is no server: on 127.0.0.1:5432 one that lets root in, else the one
    JOURNAL_TEST_URL names, which must answer.
    """
    named = os.environ.get("JOURNAL_TEST_URL")
    server = named or SERVER
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        if named:
            raise
        why = str(error).splitlines()[0]
        pytest.skip(
            f"no PostgreSQL on 127.0.0.1:5432 that lets root into test ({why}): set "
            "JOURNAL_TEST_URL=postgresql://user@host/database, where databases may be made"
        )
    with closing(connection):
        name = f"journal_{uuid4().hex[:12]}"
        connection.execute(f"CREATE DATABASE {name}")
        yield server.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql(postgresql_server):
    """Make a schema of its own for a test; return the address of a journal in it."""
    name = f"test_{uuid4().hex[:12]}"
    with closing(psycopg.connect(postgresql_server, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgresql_server}?options=-csearch_path%3D{name}"


@pytest.fixture
def bridge():
    """Start bridges with the options of ``python -m app.bridge``; they end with the test."""
    started = []

    def start(*arguments, **how):
        started.append(start_bridge(*arguments, **how))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            assert one.stop() == 0, one.said
