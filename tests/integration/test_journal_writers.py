"""One writer an account (I17): who holds it, and how one that slept through that is stopped."""

import os
import signal
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Timer

import psycopg
import pytest

from app.adapters.journal import lock
from app.adapters.journal.lock import hold, holder_of
from app.adapters.journal.sql import open_journal
from app.domain.errors import AccountHeldError, JournalError
from tests.journals import ACCOUNT, MONDAY, block, entry, exit_

ROOT = Path(__file__).parents[2]
HERE = f"pid {os.getpid()} on "

DAEMON = """
import sys
from pathlib import Path
from app.adapters.journal.lock import hold
from app.adapters.journal.sql import open_journal
from app.domain.errors import OperatorError
from tests.journals import MONDAY, entry

account, url, locks = sys.argv[1], sys.argv[2], Path(sys.argv[3])
with hold(account, url, locks):
    journal = open_journal(url, account, now=MONDAY)
    print("holds", flush=True)
    for name in sys.stdin:
        try:
            refusal = journal.admit(entry(name.strip()), MONDAY)
        except OperatorError as error:
            print(error, flush=True)
            sys.exit(error.exit_code)
        print("admitted" if refusal is None else refusal.detail, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def account(request):
    """Name an account for this test alone: PostgreSQL's locks are of a whole database."""
    return f"Demo:{request.node.name}"


@pytest.fixture
def daemon(tmp_path):
    """Start processes that hold an account and admit what they read."""
    started = []

    def start(account, url, locks=None):
        process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, account, url, str(locks or tmp_path / "locks")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "holds\n", process.stderr.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.1)


def tell(process, name):
    """Let a daemon admit an order; return what it says."""
    print(name, file=process.stdin, flush=True)
    return process.stdout.readline().strip()


# Fencing


@pytest.mark.parametrize(
    "act",
    [
        lambda journal: journal.admit(entry("B"), MONDAY),
        lambda journal: journal.admit(exit_("X"), MONDAY),
        lambda journal: journal.attempt("A", MONDAY),
        lambda journal: journal.block(block()),
        lambda journal: journal.lift(MONDAY, "operator"),
        lambda journal: journal.flush(),
    ],
    ids=["entry", "exit", "attempt", "block", "lift", "flush"],
)
def test_the_writer_before_writes_nothing_any_more(url, act):
    """Red without `writers.check` in `SqlJournal._writing`."""
    old = open_journal(url, ACCOUNT, now=MONDAY)
    old.admit(entry("A"), MONDAY)
    old.keep_state("paper", "old")
    new = open_journal(url, ACCOUNT, now=MONDAY)
    for _ in range(2):
        with pytest.raises(AccountHeldError, match=f"was taken over by {HERE}") as out:
            act(old)
        assert out.value.exit_code == 75
    old.close()
    assert new.record("B") is None
    assert new.record("A").attempts == 1
    assert new.blocks(MONDAY) == []
    new.close()
    with closing(open_journal(url, ACCOUNT, now=MONDAY)) as next_:
        assert next_.state("paper") is None


def test_a_writer_of_another_account_is_no_rival(url):
    first, second = (open_journal(url, name, now=MONDAY) for name in ("A:1", "B:1"))
    for journal in (first, second, first):
        journal.keep_state("paper", "{}")
        journal.flush()
    for journal in (first, second):
        journal.close()


def test_a_journal_without_its_writer_is_somebody_elses_work(url):
    """As after a backup was put back under the running daemon."""
    journal = open_journal(url, ACCOUNT, now=MONDAY)
    with journal._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM writers")
    with pytest.raises(AccountHeldError, match="taken over by an unknown program"):
        journal.admit(entry("A"), MONDAY)
    journal.close()


# The lock


def test_an_account_is_held_once_and_the_holder_is_named(tmp_path, url, account, impatient):
    locks = tmp_path / "locks"
    assert holder_of(account, url, locks) is None
    with hold(account, url, locks):
        with pytest.raises(AccountHeldError) as second:
            hold(account, url, locks)
        assert second.value.exit_code == 75
        assert f"account {account} is held by {HERE}" in str(second.value)
        assert " since 2" in str(second.value)
        assert holder_of(account, url, locks).startswith(HERE)
        hold(f"{account} of another", url, locks).release()
    assert holder_of(account, url, locks) is None
    for _ in range(2):
        taken = hold(account, url, locks)
        taken.release()
        taken.release()


def test_a_lock_waits_for_a_daemon_that_is_just_ending(tmp_path, url, account, monkeypatch):
    """A restart in the same second is no double start."""
    monkeypatch.setattr(lock, "PATIENCE", 60)
    first = hold(account, url, tmp_path)
    ending = Timer(0.2, first.release)
    ending.start()
    hold(account, url, tmp_path).release()
    ending.join()


@pytest.mark.parametrize("name", ["../../etc/passwd:1", "Büro Server:7\n", "." * 300, "", "a/b"])
def test_any_name_of_an_account_has_a_lock_file_of_its_own(tmp_path, name, impatient):
    url = f"sqlite:///{tmp_path}/journal.db"
    locks = tmp_path / "locks"
    with hold(name, url, locks), hold(f"{name}.", url, locks):
        assert len(list(locks.glob("*.lock"))) == 2
        with pytest.raises(AccountHeldError):
            hold(name, url, locks)
    assert [path.parent for path in tmp_path.rglob("*.lock")] == [locks] * 2


@pytest.mark.skipif(os.name != "posix", reason="POSIX file modes")
def test_lock_files_are_for_their_owner(tmp_path):
    with hold(ACCOUNT, f"sqlite:///{tmp_path}/journal.db", tmp_path / "state" / "locks"):
        made = list((tmp_path / "state" / "locks").iterdir())
        assert len(made) == 2
        assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
        assert stat.S_IMODE(made[0].parent.stat().st_mode) == 0o700


def test_a_folder_of_locks_that_is_none_is_named(tmp_path):
    (tmp_path / "locks").write_text("")
    with pytest.raises(JournalError, match="locks") as refused:
        hold(ACCOUNT, f"sqlite:///{tmp_path}/journal.db", tmp_path / "locks")
    assert refused.value.exit_code == 74


def test_a_holder_that_left_no_note_is_still_a_holder(tmp_path, account, impatient):
    url = f"sqlite:///{tmp_path}/journal.db"
    with hold(account, url, tmp_path):
        for note in tmp_path.glob("*.holder"):
            note.write_text("torn")
        assert holder_of(account, url, tmp_path) == "another program"


# Real processes


def test_a_killed_holder_frees_the_account_at_once(tmp_path, url, account, daemon, impatient):
    """By kill -9: nothing is left to clean up."""
    holder = daemon(account, url)
    with pytest.raises(AccountHeldError, match=f"pid {holder.pid} on "):
        hold(account, url, tmp_path / "locks")
    holder.kill()
    holder.wait()
    with (
        hold(account, url, tmp_path / "locks"),
        closing(open_journal(url, account, now=MONDAY)) as journal,
    ):
        assert journal.unsettled() == []


def test_a_holder_whose_lock_file_was_deleted_stops_before_it_sends(tmp_path, account, daemon):
    """Both hold the account: only the newer one writes."""
    url = f"sqlite:///{tmp_path}/journal.db"
    old = daemon(account, url)
    assert tell(old, "A") == "admitted"
    for file in (tmp_path / "locks").iterdir():
        file.unlink()
    new = daemon(account, url)
    assert f"taken over by pid {new.pid} on " in tell(old, "B")
    assert old.wait() == 75
    assert tell(new, "C") == "admitted"


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_one_that_slept_while_its_session_ended_stops_before_it_sends(
    tmp_path, postgresql, account, daemon
):
    """Stopped for long, its server ended its sessions, another host started; then it goes on."""
    old = daemon(account, postgresql, tmp_path / "one host")
    assert tell(old, "A") == "admitted"
    old.send_signal(signal.SIGSTOP)
    with closing(psycopg.connect(postgresql, autocommit=True)) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory') "
            "AND application_name LIKE %s",
            [f"pid {old.pid} on %"],
        )
    new = daemon(account, postgresql, tmp_path / "another host")
    assert tell(new, "B") == "admitted"
    old.send_signal(signal.SIGCONT)
    assert f"taken over by pid {new.pid} on " in tell(old, "C")
    assert old.wait() == 75
    with closing(psycopg.connect(postgresql)) as server:
        admitted = server.execute("SELECT client_id FROM intents ORDER BY client_id").fetchall()
    assert admitted == [("A",), ("B",)]


def test_on_a_shared_server_other_hosts_are_held_off(
    tmp_path, postgresql, account, daemon, impatient
):
    """Their lock files are their own: the session lock is what counts, and names who has it."""
    holder = daemon(account, postgresql, tmp_path / "one host")
    other = tmp_path / "another host"
    with pytest.raises(AccountHeldError, match=rf"pid {holder.pid} on \S+ since 2"):
        hold(account, postgresql, other)
    assert holder_of(account, postgresql, other).startswith(f"pid {holder.pid} on ")
    assert list(other.glob("*.holder")) == []
    holder.kill()
    holder.wait()
    hold(account, postgresql, other).release()


@pytest.mark.parametrize("server", ["file", "postgresql"])
def test_of_daemons_that_start_at_once_one_holds_the_account(server, request):
    """A slice of `tests/proofs/double_start.py`, which does a thousand.

    Red when `hold` takes no lock: several hold the account.
    """
    options = ["--times", "20", "--daemons", "2"]
    if server == "postgresql":
        options = ["--times", "3", "--daemons", "3", "--url", request.getfixturevalue("postgresql")]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "proofs" / "double_start.py"), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
