"""kill -9 anywhere on a path: nothing is doubled, nothing lost, and a start is all it takes.

This is a slice; ``python tests/proofs/kill_points.py --path all`` kills at every point.
"""

import os
import shutil
import subprocess
import sys
from decimal import Decimal

import msgspec
import pytest

from app.adapters.journal.sql import open_journal
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.domain.market import Candle
from app.domain.orders import CloseReason, OrderKind
from app.risk.limits import ApprovedOrder
from tests.bridge import ROOT
from tests.journals import ACCOUNT, M1, MONDAY, entry
from tests.trader import Trader, opened

PROOF = (sys.executable, str(ROOT / "tests" / "proofs" / "kill_points.py"), "--jobs", "2")
SHARED_MACHINE = "60"
"""Real seconds: how long a start takes is told by the proof, where nothing else runs."""


@pytest.fixture
def proved():
    """Run the proof; return its exit code and what it said. Skipped where nothing can be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"strace cannot trace here: {tried.stderr.strip()}")

    def run(*arguments):
        ended = subprocess.run(
            [*PROOF, "--ready-within", SHARED_MACHINE, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout

    return run


@pytest.mark.timeout(300)
def test_a_daemon_killed_at_any_call_doubles_and_loses_nothing(proved):
    """I1, I3, I5, X11, with SQLite.

    Red when `OrderDesk.submit` asks the journal after it has sent (I2): of an entry that is killed
    in between nothing is known. Red when candles are durable before `SqlJournal.flush`: the exit of
    the strategy that comes second in a cycle is lost.
    """
    code, said = proved("--path", "all", "--points", "28", "--seed", "7")
    assert code == 0, said
    assert "entry: " in said


@pytest.mark.timeout(300)
def test_so_it_is_with_a_journal_on_a_server(proved, postgresql_server):
    """The same with PostgreSQL, whose lock a killed daemon must not keep (I17)."""
    code, said = proved(
        "--path", "exit", "--points", "6", "--seed", "3", "--journal", postgresql_server
    )
    assert code == 0, said


def test_a_candle_cut_short_by_a_crash_is_announced_again(tmp_path):
    """X11. Red when `SqlJournal.candle_announced` notes for the next commit."""
    url = f"sqlite:///{tmp_path}/journal.db"
    cut_short = open_journal(url, ACCOUNT, now=MONDAY)
    cut_short.candle_announced("EURUSD", M1, MONDAY)
    cut_short.admit(entry(), MONDAY)
    again = open_journal(url, ACCOUNT, now=MONDAY)
    assert again.unsettled()
    assert again.last_candle("EURUSD", M1) is None
    again.candle_announced("EURUSD", M1, MONDAY)
    again.flush()
    assert open_journal(url, ACCOUNT, now=MONDAY).last_candle("EURUSD", M1) == MONDAY


def test_the_paper_account_takes_no_candle_in_twice():
    """An order must not be filled by the candle it was decided on. Red without kept candles."""
    texts = []

    def candle(minute, price):
        time = MONDAY + minute * M1.delta
        return Candle("EURUSD", M1, time, time + M1.delta, price, price, price, price)

    broker = PaperBroker(PaperTerms(), ["EURUSD"], keep=texts.append)
    broker.on_candle(candle(0, 1.1))
    intent = entry(
        symbol="EURUSD", kind=OrderKind.MARKET, price=None, stop_loss=None, take_profit=None
    )
    broker.submit(ApprovedOrder(intent))
    after = PaperBroker(PaperTerms(), ["EURUSD"], earlier=texts[-1])
    assert after.on_candle(candle(0, 1.1)) == ()
    [filled] = after.on_candle(candle(1, 1.2))
    assert filled.price > Decimal("1.2")


def test_what_is_owed_and_was_asked_for_on_that_candle_stays_owed():
    """I10. Red when `OrderDesk.close_owed` forgets what it was refused."""
    trader = opened(Trader())
    desk, [plan] = trader.service.desks.orders, trader.plans
    half = plan.volume / 2
    desk.close(plan, MONDAY, half, CloseReason.TARGET)
    owing = msgspec.structs.replace(trader.plans[0], owed=half, exit_reason=CloseReason.TARGET)
    desk.close_owed(owing, MONDAY)
    assert trader.plans[0].owed == half
