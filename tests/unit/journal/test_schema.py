"""The journal's tables: what the migrations make is what the code expects, and nothing is lost."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.adapters.journal import migrations, opening
from app.adapters.journal.database import locate
from app.adapters.journal.schema import HEAD, METADATA, VERSION_TABLE
from app.adapters.journal.sql import open_journal
from app.domain.errors import JournalError
from app.domain.orders import IntentState
from tests.journals import ACCOUNT, M5, MONDAY, SECOND, block, deal, entry, exit_, plan

FIRST = Path(__file__).with_name("revision_0001.sql")
"""What the first version wrote: never to be edited."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{tmp_path}/journal.db"


def connected(url):
    located = locate(url)
    if located.drivername == "sqlite":
        return opening._connect_file(Path(located.database), "rw")
    return opening.connect_server(located)


def test_the_migrations_make_the_tables_of_the_code(url):
    """Red with a column less in a revision, or one more in `schema`."""
    open_journal(url, ACCOUNT, now=MONDAY).close()
    with closing(connected(url)) as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_the_code_names_the_newest_revision():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_journal_of_the_first_revision_is_read_whole(tmp_path):
    file = tmp_path / "journal.db"
    with closing(sqlite3.connect(file)) as written:
        written.executescript(FIRST.read_text())
    journal = open_journal(f"sqlite:///{file}", ACCOUNT, now=MONDAY)
    assert journal.last_candle("EURUSD.r", M5) == MONDAY
    placed, unknown = journal.unsettled()
    assert (placed.intent, unknown.intent) == (entry("A"), exit_("X"))
    assert (placed.state, placed.ticket, placed.filled) == (IntentState.PLACED, 6, Decimal("0.04"))
    assert (unknown.state, unknown.detail) == (IntentState.UNKNOWN, "no answer")
    assert journal.plans() == [plan(5)]
    assert journal.blocks(MONDAY) == [block()]
    assert journal.state("paper") == "{}"
    journal.booked(deal(7), "A")
    assert journal.record("A").filled == Decimal("0.04")
    journal.settle("A", IntentState.CANCELLED, MONDAY + SECOND)
    journal.close()


def test_tables_that_are_there_already_need_no_alembic(url, monkeypatch):
    """A start waits half a second for it."""
    open_journal(url, ACCOUNT, now=MONDAY).close()
    monkeypatch.setattr(opening, "_upgrade", None)
    open_journal(url, ACCOUNT, now=MONDAY).close()


def test_tables_of_a_newer_version_are_refused_and_left_alone(url):
    open_journal(url, ACCOUNT, now=MONDAY).close()
    with closing(connected(url)) as connection, connection.begin():
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(JournalError, match=r"newer version.*0999.*install that version") as refused:
        open_journal(url, ACCOUNT, now=MONDAY)
    assert refused.value.exit_code == 74
    with closing(connected(url)) as connection, connection.begin():
        kept = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one()
        assert kept == "0999"


def test_a_revision_that_fails_leaves_nothing_behind(url, monkeypatch):
    """All of a migration or nothing of it: also of the tables it had made already."""

    def half(connection, name):
        connection.exec_driver_sql("CREATE TABLE candles (account TEXT)")
        connection.exec_driver_sql("CREATE TABLE candles (account TEXT)")

    with monkeypatch.context() as failing:
        failing.setattr(opening, "_upgrade", half)
        with pytest.raises(JournalError, match=r"candles.*already exists"):
            open_journal(url, ACCOUNT, now=MONDAY)
    open_journal(url, ACCOUNT, now=MONDAY).close()
