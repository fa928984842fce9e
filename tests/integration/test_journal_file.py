"""The journal as a file: durable before anything is sent, and never silently another one."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.adapters.journal import opening, sql
from app.adapters.journal.sql import open_journal
from app.domain.errors import ConfigurationError, JournalError, PermissionDeniedError
from app.domain.orders import BlockReason, IntentState
from tests.journals import (
    ACCOUNT,
    DAY,
    HOUR,
    M1,
    MONDAY,
    SECOND,
    block,
    deal,
    entry,
    exit_,
    plan,
)

ROOT = Path(__file__).parents[2]
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX file modes and signals")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def opened(file):
    """Open the journal; close at the end what the test left open."""
    made = []

    def open_(account=ACCOUNT, now=MONDAY, **options):
        made.append(open_journal(f"sqlite:///{file}", account, now=now, **options))
        return made[-1]

    yield open_
    for journal in made:
        journal._database.close()


@contextmanager
def refused(*words):
    """Expect a JournalError, one line that holds the words."""
    with pytest.raises(JournalError) as raised:
        yield
    assert raised.value.exit_code == 74
    said = str(raised.value)
    assert "\n" not in said
    assert [word for word in words if word not in said] == [], said


def rows(file, query):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def run(script, *arguments, **options):
    """Start Python on a script that may use the tests' values."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


PREAMBLE = """
import sys, time
from app.adapters.journal.sql import open_journal
from app.domain.errors import OperatorError
from app.domain.orders import IntentState
from tests.journals import *
"""


# What is durable, and when


def test_an_intent_is_on_disk_when_admit_returns_and_notes_go_with_it(file):
    """I2: killed at once, the next one knows it. Red when `admit` writes outside `_writing`.

    Not the candle that was still acted on: it is announced again. Red when that is noted as well.
    """
    script = """
journal = open_journal("sqlite:///" + sys.argv[1], ACCOUNT, now=MONDAY)
journal.candle_announced("EURUSD", M1, MONDAY)
journal.flush()
journal.candle_announced("EURUSD", M1, MONDAY + M1.delta)
journal.save_plan(plan(5))
assert journal.admit(entry("A"), MONDAY) is None
journal.keep_state("paper", "noted after the last commit")
print("admitted", flush=True)
time.sleep(60)
"""
    with run(script, file) as process:
        assert process.stdout.readline() == "admitted\n", process.stderr.read()
        process.kill()
    journal = open_journal(f"sqlite:///{file}", ACCOUNT, now=MONDAY)
    assert journal.record("A").state is IntentState.SENDING
    assert journal.last_candle("EURUSD", M1) == MONDAY
    assert journal.plans() == [plan(5)]
    assert journal.state("paper") is None
    journal.close()


def test_sqlite_is_told_to_lose_nothing(opened):
    """WAL, FULL and foreign keys, and a single transaction that locks at once."""
    connection = opened()._database._connection
    with connection.begin():
        told = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert told == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": opening.BUSY_TIMEOUT * 1000,
    }


def test_every_step_of_an_intent_is_kept_in_order(opened, file):
    """Append-only: a row for what was learned, and one for each time it was sent."""
    journal = opened()
    journal.admit(exit_("X"), MONDAY)
    journal.settle("X", IntentState.UNKNOWN, MONDAY + SECOND, detail="no answer")
    journal.settle("X", IntentState.UNKNOWN, MONDAY + 2 * SECOND, detail="no answer")
    journal.attempt("X", MONDAY + 3 * SECOND)
    journal.settle("X", IntentState.FILLED, MONDAY + 4 * SECOND, ticket=8)
    journal.close()
    steps = "SELECT state, ticket, detail FROM transitions ORDER BY id"
    assert rows(file, steps) == [
        ("sending", 0, ""),
        ("unknown", 0, "no answer"),
        ("sending", 0, "no answer"),
        ("filled", 8, ""),
    ]
    assert [n for (n,) in rows(file, "SELECT n FROM attempts ORDER BY n")] == [1, 2]


def test_nothing_is_written_where_nothing_was_noted(opened, file):
    journal = opened()
    journal.close()
    journal = opened()
    log = file.with_name("journal.db-wal")
    before = log.stat().st_size
    for _ in range(3):
        journal.flush()
    assert log.stat().st_size == before
    journal.keep_state("paper", "{}")
    journal.flush()
    assert log.stat().st_size > before


def test_accounts_share_a_file_and_nothing_else(opened):
    first, second = opened("A:1"), opened("B:2")
    for journal in (first, second):
        assert journal.admit(entry("A"), MONDAY) is None
        journal.booked(deal(7), "A")
    first.block(block())
    first.keep_state("paper", "first")
    first.flush()
    assert second.admit(entry("B"), MONDAY) is None
    assert second.state("paper") is None
    assert opened("B:2").blocks(MONDAY) == []


def test_a_block_set_by_another_process_is_seen_at_admission(opened, file):
    """I11: the set of blocks is read in the transaction of the admission.

    Red without reading `_standing` in `SqlJournal.admit`.
    """
    journal = opened()
    with closing(sqlite3.connect(file)) as another, another:
        another.execute(
            "INSERT INTO blocks (account, reason, detail, strategy, since) VALUES (?, ?, ?, ?, ?)",
            (ACCOUNT, "kill_switch", "by hand", "", "2025-01-06 10:00:00.000000"),
        )
    assert journal.admit(entry("A"), MONDAY).reason is BlockReason.KILL_SWITCH
    assert journal.record("A") is None
    assert journal.admit(exit_("X"), MONDAY) is None


# The file itself


@posix_only
def test_the_journal_is_for_its_owners_eyes_only(opened, file):
    """Folder 0700, file and side files 0600, also one that was left open to all."""
    modes = lambda: {  # noqa: E731 - short and used twice
        path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in file.parent.iterdir()
    }
    private = dict.fromkeys(("journal.db", "journal.db-shm", "journal.db-wal"), "0o600")
    old_mask = os.umask(0)
    try:
        journal = opened()
        journal.admit(entry("A"), MONDAY)
        assert modes() == private
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        journal.close()
        file.chmod(0o644)
        opened().admit(entry("B"), MONDAY)
        assert modes() == private
    finally:
        os.umask(old_mask)


def test_closing_folds_everything_into_the_one_file(opened, file):
    journal = opened()
    journal.admit(entry("A"), MONDAY)
    journal.close()
    assert [path.name for path in file.parent.iterdir()] == ["journal.db"]


def test_a_path_that_looks_like_a_url_option_is_still_a_path(tmp_path):
    file = tmp_path / "50% of#it" / "journal.db"
    journal = open_journal(f"sqlite:///{file}", ACCOUNT, now=MONDAY)
    journal.close()
    assert file.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b"SQLite format 3\0 and then something else" * 100, b"not a journal\n"],
    ids=["empty", "zeros", "broken header", "text"],
)
def test_a_file_that_is_no_journal_is_left_as_it_is(opened, file, content):
    """Never an empty journal in the place of one that cannot be read.

    The empty file red without the question for its size in `opening._check_file`.
    """
    file.parent.mkdir()
    file.write_bytes(content)
    with refused(str(file), "backup"):
        opened()
    assert file.read_bytes() == content


def test_a_database_of_another_program_is_left_as_it_is(opened, file):
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("CREATE TABLE songs (title TEXT)")
    with refused("was not made by this daemon"):
        opened()
    assert rows(file, "SELECT name FROM sqlite_master") == [("songs",)]


def test_a_folder_in_its_place_is_named(opened, file):
    file.mkdir(parents=True)
    with refused("is a folder"):
        opened()


@pytest.mark.parametrize("damage", ["cut", "page"])
def test_a_damaged_journal_is_refused(opened, file, damage):
    """Red without `quick_check` in `opening._set_up_file`."""
    journal = opened()
    for number in range(300):
        journal.admit(entry(f"A{number}"), MONDAY)
    journal.close()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[-8192:-4096] = b"\xff" * 4096
    file.write_bytes(content)
    with refused("is damaged", "restore it from a backup"):
        opened()
    assert file.read_bytes() == content


@pytest.mark.parametrize("how", ["deleted", "replaced", "log deleted"])
def test_a_journal_that_is_taken_away_admits_nothing_more(opened, file, how, tmp_path):
    """Red without `_check_files` in `Database.write`."""
    journal = opened()
    journal.admit(entry("A"), MONDAY)
    taken = file.with_name("journal.db-wal") if how == "log deleted" else file
    if how == "replaced":
        shutil.copy(file, tmp_path / "copy")
        (tmp_path / "copy").replace(file)
    else:
        taken.unlink()
    with refused(taken.name, "was deleted or replaced"):
        journal.admit(entry("B"), MONDAY)
    with refused("was deleted or replaced"):
        journal.admit(exit_("X"), MONDAY)


def test_a_busy_journal_is_given_up_after_a_while(opened, file, monkeypatch):
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.05)
    journal = opened()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with refused("is held by another program"):
            journal.admit(entry("A"), MONDAY)


def test_after_a_failed_write_nothing_is_admitted_any_more(opened, file, monkeypatch):
    """A half-known state must not trade; what was durable stays so.

    Red without `self._ended` in `Database.write`.
    """
    journal = opened()
    journal.admit(entry("A"), MONDAY)
    journal.keep_state("paper", "kept")
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("ALTER TABLE transitions RENAME TO elsewhere")
    with refused("no such table: transitions"):
        journal.admit(entry("B"), MONDAY)
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("ALTER TABLE elsewhere RENAME TO transitions")
    for act in (
        lambda: journal.admit(entry("C"), MONDAY),
        lambda: journal.attempt("A", MONDAY),
        lambda: journal.block(block()),
        lambda: journal.lift(MONDAY, "operator"),
        journal.flush,
    ):
        with refused("no such table: transitions"):
            act()
    journal.close()
    again = opened()
    assert [one.intent.client_id for one in again.unsettled()] == ["A"]
    assert again.state("paper") is None


@pytest.mark.parametrize("value", [2**63, "\ud800"], ids=["too large", "no text"])
def test_what_the_database_cannot_hold_is_an_error_of_the_journal(opened, value):
    journal = opened()
    with refused("cannot be used"):
        journal.admit(entry("A", **{"magic" if value == 2**63 else "symbol": value}), MONDAY)
    with refused("cannot be used"):
        journal.flush()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "journal.db", "mysql://h/d"])
def test_an_address_that_names_no_database_is_a_fault_of_the_configuration(url):
    with pytest.raises(ConfigurationError, match=r"journal\.url: expected sqlite:///") as refused:
        open_journal(url, ACCOUNT, now=MONDAY)
    assert refused.value.exit_code == 78


# Disks and permissions


@pytest.fixture
def on_disk(tmp_path):
    """Run a script with a disk of its own at `disk`, mounted with options, and return its lines."""
    if os.name != "posix" or shutil.which("unshare") is None:
        pytest.skip("needs unshare of util-linux, to mount a small disk")
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system lets no user mount in a namespace of their own")
    disk = tmp_path / "disk"
    disk.mkdir()

    def run_on(options, script, before=""):
        mount = f"mount -t tmpfs -o {options} none {disk} && {before or 'true'} && exec "
        command = [sys.executable, "-c", PREAMBLE + script, str(disk)]
        ended = subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount + '"$@"', "sh", *command],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    return run_on


def test_a_full_disk_ends_admission_and_loses_nothing(on_disk):
    """Every order that was admitted is there afterwards; the one that was not is not."""
    lines = on_disk(
        "size=400k",
        """
url = f"sqlite:///{sys.argv[1]}/journal.db"
journal = open_journal(url, ACCOUNT, now=MONDAY)
ballast = open(sys.argv[1] + "/ballast", "wb")
ballast.write(bytes(100_000))
ballast.flush()
admitted = 0
try:
    while True:
        journal.admit(entry(f"A{admitted}"), MONDAY)
        admitted += 1
except OperatorError as error:
    print(error.exit_code, error)
try:
    journal.admit(exit_("X"), MONDAY)
except OperatorError as error:
    print(error.exit_code, error)
journal.close()
ballast.truncate(0)
again = open_journal(url, ACCOUNT, now=MONDAY)
kept = [one.intent.client_id for one in again.unsettled()]
print(admitted > 0, kept == sorted(f"A{n}" for n in range(admitted)))
print(again.admit(entry("B"), MONDAY))
again.close()
""",
    )
    assert lines[0].startswith("74 journal ")
    assert "has no room left: free disk space" in lines[0]
    assert lines[1:] == [lines[0], "True True", "None"]


def test_a_read_only_disk_is_named(on_disk):
    """One that is so from the start, and one that becomes so."""
    lines = on_disk(
        "size=2m",
        """
import subprocess
url = f"sqlite:///{sys.argv[1]}/journal.db"
journal = open_journal(url, ACCOUNT, now=MONDAY)
journal.admit(entry("A"), MONDAY)
journal.close()
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
for where in ("journal.db", "new/journal.db"):
    try:
        open_journal(f"sqlite:///{sys.argv[1]}/{where}", ACCOUNT, now=MONDAY)
    except OperatorError as error:
        print(error.exit_code, error)
""",
    )
    assert [line[:11] for line in lines] == ["74 journal "] * 2
    assert "read-only" in lines[0]
    assert "Read-only file system" in lines[1]


@pytest.fixture
def as_nobody():
    """Make a folder of another user, and act as that user where only root could not be refused."""
    if os.geteuid() == 0 and not all(path.stat().st_mode & 0o005 for path in ROOT.parents):
        pytest.skip("the project lies in a folder that other users may not read")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    nobody = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(folder, nobody, -1)

    @contextmanager
    def acting():
        os.setresuid(nobody, nobody, os.geteuid())
        try:
            yield
        finally:
            saved = os.getresuid()[2]
            os.setresuid(saved, saved, saved)

    yield folder, acting
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs setresuid, to be another user")
@pytest.mark.parametrize(
    ("barred", "mode"), [("journal.db", 0o400), ("journal.db", 0), ("", 0o500), ("", 0)]
)
def test_a_missing_permission_is_named(as_nobody, barred, mode):
    """Exit code 77, not 74: somebody has to grant it."""
    folder, acting = as_nobody
    url = f"sqlite:///{folder}/journal.db"
    with acting():
        open_journal(url, ACCOUNT, now=MONDAY).close()
        (folder / barred).chmod(mode)
        with pytest.raises(PermissionDeniedError) as denied:
            open_journal(url, ACCOUNT, now=MONDAY)
        folder.chmod(0o700)
    assert denied.value.exit_code == 77
    assert str(folder) in str(denied.value)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs setresuid, to be another user")
def test_a_folder_that_may_not_be_made_is_named(as_nobody):
    folder, acting = as_nobody
    with acting():
        open_journal(f"sqlite:///{folder}/journal.db", ACCOUNT, now=MONDAY).close()
        folder.chmod(0o500)
        with pytest.raises(PermissionDeniedError, match="Permission denied"):
            open_journal(f"sqlite:///{folder}/new/journal.db", ACCOUNT, now=MONDAY)


@posix_only
def test_a_limit_of_the_system_is_an_error_of_the_journal(opened, monkeypatch):
    """As when a quota is met: writing fails with an I/O error."""
    import resource  # noqa: PLC0415 - not on Windows

    journal = opened()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        with refused("journal", "the disk fails, or a limit was met"):
            journal.admit(entry("A"), MONDAY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with refused("the disk fails, or a limit was met"):
        journal.admit(entry("B"), MONDAY)


# Bounds: what a journal keeps, in its file and in memory (I26)


def test_what_is_over_long_ago_is_forgotten_and_nothing_else(opened, file, monkeypatch):
    """In batches, with attempts and transitions; what an open position came of stays."""
    monkeypatch.setattr("app.adapters.journal.retention.BATCH", 2)
    monkeypatch.setattr(sql, "BATCH", 2)
    journal = opened()
    for number in range(5):
        journal.admit(entry(f"OLD{number}"), MONDAY)
        journal.settle(f"OLD{number}", IntentState.FILLED, MONDAY, ticket=number + 10)
        journal.booked(deal(number + 100), f"OLD{number}")
    for name in ("HELD", "JOINED", "DOUBTFUL"):
        journal.admit(entry(name), MONDAY)
    for number, name in enumerate(("HELD", "JOINED")):
        journal.settle(name, IntentState.FILLED, MONDAY)
        journal.booked(deal(number + 7), name)
    journal.save_plan(plan(5, client_id="HELD", joined=("JOINED",), deals=(7, 8)))
    journal.settle("DOUBTFUL", IntentState.UNKNOWN, MONDAY)
    journal.admit(entry("NEW"), MONDAY + 30 * DAY)
    journal.settle("NEW", IntentState.REJECTED, MONDAY + 30 * DAY)
    journal.block(block(BlockReason.COOLDOWN, until=MONDAY + HOUR))
    journal.block(block(BlockReason.KILL_SWITCH))
    journal.lift(MONDAY + HOUR, "operator")
    journal.block(block(BlockReason.TRADING_OFF))
    journal.close()
    opened(now=MONDAY + 31 * DAY, keep_days=31).close()
    assert len(rows(file, "SELECT * FROM intents")) == 9
    opened(now=MONDAY + 32 * DAY, keep_days=31).close()
    kept = {"DOUBTFUL", "HELD", "JOINED", "NEW"}
    for table in ("intents", "attempts", "transitions"):
        assert {name for (name,) in rows(file, f"SELECT client_id FROM {table}")} == kept
    assert {ticket for (ticket,) in rows(file, "SELECT ticket FROM deals")} == {7, 8}
    assert rows(file, "SELECT reason FROM blocks") == [("trading_off",)]


def test_memory_is_bounded_and_what_it_let_go_is_looked_up(opened, monkeypatch):
    """Red without `_forget_final` in `SqlJournal._writing`."""
    monkeypatch.setattr(sql, "REMEMBERED", 10)
    journal = opened()
    journal.admit(entry("OPEN"), MONDAY)
    for number in range(1, 100):
        journal.admit(entry(f"A{number}"), MONDAY)
        journal.settle(f"A{number}", IntentState.FILLED, MONDAY, ticket=number)
        journal.booked(deal(number), f"A{number}")
    journal.flush()
    assert len(journal._records) <= 12
    assert len(journal._by_ticket) <= 12
    assert len(journal._deals) <= 11
    assert journal.by_ticket(3) == journal.record("A3")
    assert journal.record("A3").filled == deal(3).volume
    assert journal.has_deal(3)
    assert [one.intent.client_id for one in journal.unsettled()] == ["OPEN"]
    assert journal.admit(entry("A3"), MONDAY).reason is BlockReason.ALREADY_DONE


def test_the_log_beside_the_file_does_not_grow_with_every_commit(opened, file):
    journal = opened()
    log = file.with_name("journal.db-wal")
    sizes = set()
    for number in range(800):
        journal.keep_state("paper", f"{number}" * 1000)
        journal.flush()
        sizes.add(log.stat().st_size)
    assert max(sizes) < 8 << 20
    assert file.stat().st_size < 1 << 20


def may_trace():
    strace = shutil.which("strace")
    if strace is None:
        return False
    traced = [strace, "-qq", "-o", os.devnull, "true"]
    return subprocess.run(traced, capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(300)
@pytest.mark.skipif(not may_trace(), reason="needs strace, and leave to trace a process")
def test_a_journal_killed_while_it_writes_is_whole_at_the_next_start():
    """I2: a slice of `tests/proofs/journal_kills.py`, which kills at every write.

    Red without `_clear_away`, and with the tables made in the file itself.
    """
    script = ROOT / "tests" / "proofs" / "journal_kills.py"
    ended = subprocess.run(
        [sys.executable, str(script), "--calls", "link,unlink,pwrite64", "--every", "35"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
