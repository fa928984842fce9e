"""The journal on a PostgreSQL server: what only a server can do to it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from app.adapters.journal import opening
from app.adapters.journal.database import locate, named
from app.adapters.journal.sql import open_journal
from app.domain.errors import JournalError
from tests.journals import ACCOUNT, MONDAY, entry, exit_

SECRET = "s3cret-of-the-journal"


@pytest.fixture
def server(postgresql):
    """Open a session of somebody else in the journal's database."""
    with closing(psycopg.connect(postgresql, autocommit=True)) as session:
        yield session


def said_of(error):
    """Return everything that may be shown of an error and what caused it."""
    said = []
    while error is not None:
        said.append(f"{error} {error!r} {error.args}")
        error = error.__cause__ or error.__context__
    return " ".join(said)


@pytest.mark.parametrize("address", ["127.0.0.1:1/trading", "no-such-host.invalid/trading"])
def test_a_server_that_does_not_answer_is_named_without_the_password(address):
    """I27."""
    with pytest.raises(JournalError, match="cannot be used: ") as refused:
        open_journal(f"postgresql://trader:{SECRET}@{address}", ACCOUNT, now=MONDAY)
    assert refused.value.exit_code == 74
    assert f"postgresql://trader@{address}" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert SECRET not in said_of(refused.value)


def test_a_name_holds_neither_password_nor_options():
    url = locate(f"postgres://trader:{SECRET}@host/trading?password={SECRET}&sslmode=require")
    assert named(url) == "postgresql://trader@host/trading"


def test_a_database_that_is_not_there_is_named(postgresql_server):
    url = postgresql_server.rpartition("/")[0] + "/nowhere"
    with pytest.raises(JournalError, match=r'cannot be used: .* database "nowhere" does not exist'):
        open_journal(url, ACCOUNT, now=MONDAY)


def test_commits_are_durable_whatever_the_server_does_by_default(postgresql, server):
    """I2: `synchronous_commit` is on. Red without its SET in `opening.connect_server`."""
    (database,) = server.execute("SELECT current_database()").fetchone()
    server.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    try:
        journal = open_journal(postgresql, ACCOUNT, now=MONDAY)
        with journal._database.write() as connection:
            set_to = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
        journal.close()
    finally:
        server.execute(f"ALTER DATABASE {database} RESET synchronous_commit")
    assert set_to == "on"


def test_two_first_starts_at_once_make_the_tables_once(postgresql):
    """Red without the lock in `opening._bring_up_to_date`: one of them finds tables half made."""
    with ThreadPoolExecutor(4) as pool:
        opened = [
            pool.submit(open_journal, postgresql, f"Demo:{number}", now=MONDAY)
            for number in range(4)
        ]
    for one in opened:
        journal = one.result()
        assert journal.admit(entry("A"), MONDAY) is None
        journal.close()


def test_a_connection_that_is_cut_ends_admission(postgresql, server):
    """In doubt nothing is sent; what was committed is there for the next start."""
    journal = open_journal(postgresql, ACCOUNT, now=MONDAY)
    journal.admit(entry("A"), MONDAY)
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(2):
        with pytest.raises(JournalError, match="cannot be used: "):
            journal.admit(exit_("X"), MONDAY)
    journal.close()
    again = open_journal(postgresql, ACCOUNT, now=MONDAY)
    assert [one.intent.client_id for one in again.unsettled()] == ["A"]
    again.close()


def test_a_journal_that_another_program_locks_is_given_up_after_a_while(
    postgresql, server, monkeypatch
):
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 1)
    journal = open_journal(postgresql, ACCOUNT, now=MONDAY)
    with server.transaction():
        server.execute("LOCK TABLE writers IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(JournalError, match="is held by another program"):
            journal.admit(entry("A"), MONDAY)
    journal.close()


def test_a_server_that_only_reads_is_named(postgresql):
    """As a standby."""
    read_only = postgresql + quote(" -cdefault_transaction_read_only=on")
    with pytest.raises(JournalError, match="is read-only"):
        open_journal(read_only, ACCOUNT, now=MONDAY)


def test_a_user_without_the_right_to_make_tables_is_named(postgresql, server):
    name = f"reader_{uuid4().hex[:8]}"
    server.execute(f"CREATE ROLE {name} LOGIN")
    try:
        with pytest.raises(JournalError, match=r"does not let this user|no schema"):
            open_journal(postgresql.replace("//root@", f"//{name}@"), ACCOUNT, now=MONDAY)
    finally:
        server.execute(f"DROP ROLE {name}")
