"""The commands beside the daemon: the kill switch, and the journal beside the broker's ledger."""

import os
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import msgspec
import pytest

from app import main_ledger, main_switch
from app.adapters.journal.lock import hold
from app.adapters.journal.sql import open_journal
from app.domain.orders import BlockReason
from app.events import OrderFilledEvent, OrderPlacedEvent
from tests.journals import HOUR, M1, MONDAY, block

ANY_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Run a command in this test's folder; return its exit code and what it said."""

    def run(main, *arguments, **names):
        with monkeypatch.context() as patched:
            for name in [name for name in os.environ if name.partition("_")[0] not in KEPT]:
                patched.delenv(name)
            for name, value in names.items():
                patched.setenv(name, value)
            code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return run


KEPT = {"PATH", "HOME", "LANG", "TMPDIR", "PYTEST", "COV"}


# The kill switch


def test_a_switch_that_no_daemon_can_see_is_said_to_be_one(command, folder):
    """A file in a folder where none trades stops nothing. Red when that looks like success."""
    code, _, said = command(main_switch.main, "DISABLE")
    assert code == 0
    assert said.startswith(f"warning: no daemon has traded by {folder / 'data'}: ")
    (folder / "data" / "locks").mkdir()
    assert command(main_switch.main, "DISABLE")[2] == ""


def test_the_switch_is_set_and_shown(command, folder):
    """I12: the words users know, in any case, and why."""
    assert command(main_switch.main, "QUERY")[:2] == (
        0,
        [
            "switch: not set, entries are allowed (data/trading.switch)",
            "journal: none yet",
        ],
    )
    code, (said,), _ = command(main_switch.main, "disable", "--reason", "the news\nat two")
    assert code == 0
    assert re.fullmatch(
        rf"DISABLE since {ANY_TIME} \(the news\\nat two\) in data/trading.switch: from the "
        "daemon's next cycle on no entry is made; stops, targets and exits work on",
        said,
    )
    code, lines, _ = command(main_switch.main, "query")
    assert re.fullmatch(
        rf"switch: DISABLE since {ANY_TIME} \(the news\\nat two\) \(data/trading.switch\)", lines[0]
    )
    code, (said,), _ = command(main_switch.main, "ENABLE")
    assert said.endswith("every block is lifted and entries are allowed")
    assert not (folder / "data" / "journal.db").exists()


def test_the_switch_works_whatever_has_happened_to_the_journal(command, folder):
    """It is asked for when things are bad. Red when `set_switch` opens the journal."""
    (folder / "data" / "journal.db").mkdir(parents=True)
    assert command(main_switch.main, "DISABLE")[0] == 0
    code, lines, error = command(main_switch.main, "QUERY")
    assert code == 74
    assert lines[0].startswith("switch: DISABLE")
    assert error.startswith("error: journal data/journal.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, folder):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{folder}/elsewhere.db"


def test_every_account_is_shown_with_its_holder_and_its_blocks(command, folder, url):
    """I28: blocks that are over or lifted are not among them; nothing is changed."""
    now = datetime.now(UTC)
    blocked = open_journal(url, "Broker-Demo:1", now=now)
    blocked.block(block(since=now, until=now + HOUR))
    blocked.block(block(BlockReason.COOLDOWN, since=now - 2 * HOUR, until=now - HOUR))
    blocked.block(block(BlockReason.REPEATED_REFUSALS, since=now, strategy="cross"))
    blocked.block(block(BlockReason.TRADING_OFF, since=now))
    blocked.lift(now, "operator", BlockReason.TRADING_OFF)
    open_journal(url, "paper", now=now).close()
    with hold("Broker-Demo:1", url, folder / "data" / "locks"):
        code, lines, _ = command(main_switch.main, "QUERY", JOURNAL_URL=url)
    blocked.flush()
    blocked.close()
    assert code == 0
    assert lines[1].startswith("journal: ")
    other = lines.index("account paper: held by nobody")
    assert re.fullmatch(
        rf"account Broker-Demo:1: held by pid {os.getpid()} on \S+ since {ANY_TIME}", lines[2]
    )
    for_good = "until the operator lifts it"
    assert [re.sub(ANY_TIME, "TIME", line) for line in lines[3:other]] == [
        "  blocked: daily_loss_limit since TIME until TIME: lost 100.00",
        f"  blocked: repeated_refusals of cross since TIME, {for_good}: lost 100.00",
    ]
    assert lines[other + 1 :] == ["  nothing blocks entries"]


def test_a_block_of_a_rehearsal_ends_by_the_clock_of_its_market(command, folder):
    """That market's day is long over for us."""
    url = f"sqlite:///{folder}/data/journal.db"
    journal = open_journal(url, "paper", now=MONDAY)
    journal.candle_announced("EURUSD", M1, MONDAY)
    journal.block(block(until=MONDAY + HOUR))
    journal.close()
    assert "  blocked: daily_loss_limit" in command(main_switch.main, "QUERY")[1][3]


def test_a_journal_of_other_tables_is_not_read_wrongly(command, folder):
    url = f"sqlite:///{folder}/data/journal.db"
    open_journal(url, "paper", now=MONDAY).close()
    with closing(sqlite3.connect(folder / "data" / "journal.db")) as journal, journal:
        journal.execute("UPDATE journal_version SET version_num = '0000'")
    code, _, error = command(main_switch.main, "QUERY")
    assert code == 74
    assert "start the daemon of this version once" in error


@pytest.mark.parametrize("arguments", [["OFF"], [], ["ENABLE", "--why", "not"]])
def test_a_wrong_word_is_a_usage_error(command, folder, arguments):
    assert command(main_switch.main, *arguments)[0] == 64
    assert not (folder / "data").exists()


def test_a_switch_that_cannot_be_written_is_named(command, folder):
    (folder / "data").write_text("")
    code, _, error = command(main_switch.main, "DISABLE")
    assert code == 74
    assert error.startswith("error: kill switch data/trading.switch: ")
    assert error.count("\n") == 1


# The two ledgers


@pytest.fixture
def traded(eurusd, live):
    """Trade until an order was filled; give the bridge and the daemon."""
    broker = eurusd()
    daemon = live(broker)
    run = daemon.after(60, 60)
    assert len(run.of(OrderFilledEvent)) == 1
    return broker, daemon


def test_the_ledgers_agree(command, traded):
    """I1, I3, beside the running daemon."""
    broker, daemon = traded
    code, lines, error = command(main_ledger.main, API_BASE_URL=broker.url)
    assert (code, error) == (0, "")
    (order,) = daemon.run.of(OrderPlacedEvent)
    assert lines[0].startswith("journal data/journal.db, account ")
    assert lines[1].startswith(f"{order.intent.client_id}  entry EURUSD long 0.1")
    assert lines[-1] == "difference: none"
    code, (line,), _ = command(main_ledger.main, "--json", API_BASE_URL=broker.url)
    assert code == 0
    compared = msgspec.json.decode(line)["comparison"]
    assert compared["differences"] == []
    (shown,) = compared["orders"]
    assert shown["journal"] == shown["broker"] != []


def test_a_difference_is_said_and_is_the_exit_code(command, traded, folder):
    """I3: a deal that the journal lost. Red when `compare` leaves deals out."""
    broker, daemon = traded
    daemon.end()
    with closing(sqlite3.connect(folder / "data" / "journal.db")) as journal, journal:
        ((deal,),) = journal.execute("DELETE FROM deals RETURNING ticket").fetchall()
    code, lines, _ = command(main_ledger.main, API_BASE_URL=broker.url)
    assert code == 70
    assert lines[-2] == "difference: 1"
    assert lines[-1].startswith(f"  deal {deal} (EURUSD long in 0.1 at ")
    code, (line,), _ = command(main_ledger.main, "--json", API_BASE_URL=broker.url)
    assert code == 70
    assert len(msgspec.json.decode(line)["comparison"]["differences"]) == 1


@pytest.mark.parametrize("since", ["2025-01-06T09:00", "2025-01-06T10:00+01:00"])
def test_what_was_before_a_time_is_left_out(command, traded, since):
    broker, _ = traded
    code, lines, _ = command(main_ledger.main, "--since", since, API_BASE_URL=broker.url)
    assert code == 0
    assert lines[0].endswith("since 2025-01-06 09:00:00 UTC")
    assert lines[1:] == ["difference: none"]


def test_what_keeps_the_ledgers_from_being_compared_is_named(command, eurusd, folder):
    """Each with the exit code of its cause."""
    broker = eurusd()
    code, _, error = command(main_ledger.main, API_BASE_URL=broker.url)
    assert (code, "there is no journal yet" in error) == (74, True)
    code, _, error = command(main_ledger.main, "--since", "noon", API_BASE_URL=broker.url)
    assert (code, "--since noon: expected a time" in error) == (64, True)
    code, _, error = command(main_ledger.main)
    assert (code, "API_BASE_URL" in error) == (78, True)
    code, _, error = command(main_ledger.main, API_BASE_URL="http://127.0.0.1:1/mt5")
    assert (code, "the bridge does not answer" in error) == (69, True)
    assert not (folder / "data").exists()
