"""The daemon supervised: watchdog, service manager, signals, output that ends, exit codes."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from app import assembly
from app.domain.errors import (
    AccountHeldError,
    GaveUpError,
    JournalError,
    PermissionDeniedError,
    UnavailableError,
)
from app.domain.orders import BlockReason
from app.events import EntrySignalEvent, OrderPlacedEvent, TradingBlockedEvent
from app.main_orchestrated import StopRequest
from app.watchdog import Watchdog

ROOT = Path(__file__).parents[2]
ALWAYS = """
name: always-long
timeframes: ["1"]
entry: {long: {conditions: [{signal: close, operator: ">", value: 0}]}}
risk: {position_sizing: {type: fixed, value: 0.3}, sl: {type: fixed, value: 50}}
"""
HANGS = """
import time
from app.adapters.paper.broker import PaperBroker

def hang_on_the_wire(self, candle):
    print("stuck", flush=True)
    time.sleep(60)

PaperBroker.on_candle = hang_on_the_wire
"""
NEVER_STOPS = """
import time
from app.services.base import Service

def hang_in_stop(self):
    time.sleep(60)

Service.stop = hang_in_stop
"""
IN_REAL_TIME = """
from dataclasses import replace
from app import assembly
from app.adapters.clocks import SystemClock

connect = assembly.connect

def connect_live(*given, **named):
    return replace(connect(*given, **named), clock=SystemClock(), live_market=True)

assembly.connect = connect_live
"""
"""A market that does not wait for us, as that of a bridge."""

no_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows delivers no signals to another process"
)


@pytest.fixture
def changed(daemon, folder):
    """Start the daemon's command in a process whose code was changed before."""
    processes = []

    def start(change, **names):
        program = (
            f"{change}\nimport sys\nfrom app import main_orchestrated as it\n"
            "sys.exit(it._run([], it.Watchdog().start()))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=folder,
            env=daemon.environment({"MARKET_DATA_SPEED": "0", **names}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def manager():
    """Be the service manager: its socket, and what the daemon told it so far."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear,
    ):
        place = str(Path(folder) / "notify")
        ear.bind(place)
        ear.settimeout(30)
        yield place, lambda: ear.recv(4096).decode()


def until(process, text):
    """Read what the process says until a line holds `text`."""
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text}: {process.stderr.read()}")


class TestWatchdog:
    def test_a_cycle_that_hangs_ends_the_process(self, daemon, changed):
        """Bus row "hangs": one CRITICAL line in the log, the stacks of all threads, code 70.

        Red when the daemon does not have its clock watched; the hang is longer than the test.
        """
        ended = daemon.ended(changed(HANGS, ORCHESTRATOR_CYCLE_BUDGET="1"))
        assert ended.code == 70
        (line,) = (line for line in ended.lines if "CRITICAL" in line)
        assert re.search(r"CRITICAL watchdog: a cycle has been running for 1 s: ending it", line)
        assert "in hang_on_the_wire" in ended.err

    @no_signals
    def test_a_stop_that_hangs_is_forced(self, daemon, changed):
        """I24: SIGTERM ends the process whatever a service does about it.

        Red when the request does not reach the watchdog: the hang is longer than the test.
        """
        process = changed(NEVER_STOPS, MARKET_DATA_SPEED="600")
        until(process, "Fetched data for")
        process.terminate()
        ended = daemon.ended(process)
        assert ended.code == 70
        assert "CRITICAL watchdog: the process did not end within 4 s" in ended.out
        assert "in hang_in_stop" in ended.err

    @no_signals
    def test_a_cycle_that_hangs_does_not_outlive_a_stop(self, daemon, changed):
        """I24: within five seconds, however long its budget still is."""
        process = changed(HANGS, ORCHESTRATOR_CYCLE_BUDGET="3600")
        until(process, "stuck")
        process.terminate()
        ended = daemon.ended(process)
        assert ended.code == 70
        assert "in hang_on_the_wire" in ended.err


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd needs unix sockets")
class TestServiceManager:
    def test_a_run_says_when_it_trades_and_when_it_ends(self, daemon, folder, manager):
        """sd_notify: not ready before the services are; a replay is not waited for."""
        place, heard = manager
        process = daemon.started(folder, MARKET_DATA_SPEED="600", NOTIFY_SOCKET=place)
        assert heard() == "READY=1\nSTATUS=trading EURUSD, paper broker\nWATCHDOG_USEC=0"
        process.terminate()
        assert heard() == "STOPPING=1\nSTATUS=stopping"
        ended = daemon.ended(process)
        assert (ended.code, ended.err) == (0, "")

    def test_a_run_in_real_time_gives_signs_of_life(self, daemon, changed, manager):
        """WATCHDOG=1 from the loop itself, also while it waits an hour for its next cycle.

        Red when waits are not cut: there is one sign of life, and then none for an hour.
        """
        place, heard = manager
        process = changed(
            IN_REAL_TIME,
            NOTIFY_SOCKET=place,
            WATCHDOG_USEC="200000",
            SERVICES_DATA_FETCHING_FETCH_INTERVAL="3600",
        )
        assert heard() == "READY=1\nSTATUS=trading EURUSD, paper broker"
        assert [heard() for _ in range(5)] == ["WATCHDOG=1"] * 5
        process.terminate()
        while (last := heard()) == "WATCHDOG=1":
            pass
        assert last.startswith("STOPPING=1")
        ended = daemon.ended(process)
        assert (ended.code, ended.err) == (0, "")

    def test_a_hung_cycle_gives_no_sign_of_life(self, daemon, changed, manager):
        """They come from the loop and from nowhere else, or they would hide what they watch."""
        place, heard = manager
        process = changed(
            IN_REAL_TIME + "import time\n"
            "from app.services.data_fetching import DataFetchingService\n"
            "DataFetchingService.on_cycle = lambda *_: time.sleep(60)\n",
            NOTIFY_SOCKET=place,
            WATCHDOG_USEC="200000",
            SERVICES_DATA_FETCHING_FETCH_INTERVAL="0.01",
            ORCHESTRATOR_CYCLE_BUDGET="1",
        )
        assert heard().startswith("READY=1")
        assert heard() == "WATCHDOG=1"
        assert daemon.ended(process).code == 70


@pytest.fixture
def stoppable(configuration, bars_file, connect, own_process):
    """Start a run of a strategy that always buys, which a signal to this process ends."""

    def start(**names):
        configuration({"always_long": ALWAYS})
        path = str(bars_file([1.1] * 30))
        market = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": path}
        run = connect({"TRADING_TIMEFRAMES": "1", **market, **names}).started()
        stop = StopRequest(Watchdog())
        stop.listen()
        stop.ends(run.orchestrator.wind_down, needs_reader=True)
        return run, stop

    return start


class TestStopping:
    def test_nothing_is_opened_after_a_signal(self, stoppable):
        """I24: also not by the cycle in which it came.

        Red when `wind_down` does not tell the services: the running cycle sends its order.
        """
        run, _ = stoppable()
        run.bus.subscribe(EntrySignalEvent, lambda _: signal.raise_signal(signal.SIGTERM), order=-1)
        run.orchestrator.run()
        assert not run.of(OrderPlacedEvent)
        (blocked,) = run.of(TradingBlockedEvent)
        assert blocked.reason is BlockReason.REDUCE_ONLY
        assert blocked.detail == "the daemon is being stopped"

    def test_a_signal_between_the_orders_of_an_entry(self, stoppable, monkeypatch):
        """I24: what was sent was sent; the further orders of the group are not.

        Red when `TradeExecutionService` asks only once for an entry whether it is to stop.
        """
        run, stop = stoppable(POSITION_SPLIT="3")
        submit = run.parts.broker.submit

        def signalled_meanwhile(order):
            if stop.cause is None:
                signal.raise_signal(signal.SIGTERM)
            return submit(order)

        monkeypatch.setattr(run.parts.broker, "submit", signalled_meanwhile)
        run.orchestrator.run()
        assert len(run.of(OrderPlacedEvent)) == 1
        (blocked,) = run.of(TradingBlockedEvent)
        assert blocked.detail == "the daemon is being stopped"

    @no_signals
    def test_a_start_that_waits_for_the_bridge_is_ended_at_once(self, daemon, folder):
        """I24: before there is a run, a signal need not wait for anything.

        Red when the request is only noted: the bridge is waited for, and the watchdog ends it.
        """
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(30)
            address = f"http://127.0.0.1:{silent.getsockname()[1]}"
            process = daemon.started(folder, API_BASE_URL=address)
            connection, _ = silent.accept()
            with connection:
                process.terminate()
                ended = daemon.ended(process)
        assert (ended.code, ended.err) == (0, "stopped before trading began\n")

    @no_signals
    def test_at_random_moments(self):
        """I24: a slice of `tests/proofs/sigterm.py`, which does a thousand."""
        proof = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "proofs" / "sigterm.py"), "--times", "4"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (proof.returncode, proof.stderr) == (0, ""), proof.stdout
        assert "4 ended as they must, 0 did not" in proof.stdout


class TestOutputThatGoesAway:
    @no_signals
    def test_in_real_time_trading_goes_on(self, daemon, changed, folder):
        """Storage row "stdout closed". Red when a closed output ends every run, as it ends replays.

        Nobody reads it any more, and still a later cycle is in the log file.
        """
        process = changed(
            IN_REAL_TIME,
            SERVICES_DATA_FETCHING_FETCH_INTERVAL="0.02",
            ORCHESTRATOR_STATUS_LOG_INTERVAL="1",
            LOGGING_FILE_OUTPUT="true",
        )
        until(process, "Status at")
        process.stdout.close()
        written = folder / "logs" / "trading_system.log"
        closed = "Standard output was closed: trading goes on"
        while process.poll() is None and closed not in written.read_text("utf-8"):
            time.sleep(0.01)
        before = written.read_text("utf-8").count("Status at")
        while process.poll() is None and written.read_text("utf-8").count("Status at") < before + 3:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
        process.stderr.close()
        assert written.read_text("utf-8").count(closed) == 1
        assert "=== ALL SERVICES STOPPED ===" in written.read_text("utf-8")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
    def test_a_log_disk_that_is_full(self, main_here):
        """Storage row "log disk full": said once, and the run goes on to its end."""
        ended = main_here(
            LOGGING_FILE_OUTPUT="true",
            LOGGING_LOG_FILE="/dev/full",
            MARKET_DATA_UNTIL="2025-01-06T08:30Z",
        )
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.count("log file given up: [Errno 28]") == 1
        assert "(adds up)" in ended.out


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (UnavailableError("the bridge does not answer"), 69),
            (GaveUpError("an invariant is broken"), 70),
            (JournalError("data/journal.db: disk full"), 74),
            (AccountHeldError("account 123456 is traded by process 42"), 75),
            (PermissionDeniedError("data/journal.db: permission denied"), 77),
        ],
    )
    def test_what_only_the_operator_can_put_right(self, main_here, monkeypatch, error, code):
        """P22: one line, no traceback, and a code of its own."""

        def connect(*_, **__):
            raise error

        monkeypatch.setattr(assembly, "connect", connect)
        ended = main_here()
        assert (ended.code, ended.err) == (code, f"error: {error}\n")
        assert "Traceback" not in ended.out

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_what_nobody_expected(self, main_here, monkeypatch, form):
        """One CRITICAL line with its traceback in the log, code 70.

        Red when only the errors meant for the operator are caught: Python writes it to standard
        error, where no log has it, and ends with 1.
        """

        def connect(*_, **__):
            raise ArithmeticError("planted")

        monkeypatch.setattr(assembly, "connect", connect)
        ended = main_here(LOGGING_FORMAT=form)
        assert (ended.code, ended.err) == (70, "")
        (line,) = (line for line in ended.lines if "CRITICAL" in line)
        assert "Unexpected ArithmeticError: planted" in line
        assert re.search(r'in connect|"name":"connect"', ended.out)

    def test_what_nobody_expected_before_there_is_a_log(self, daemon, changed):
        """It is on standard error then."""
        ended = daemon.ended(changed("import sys; sys.modules['app.daemon'] = None"))
        assert (ended.code, ended.out) == (70, "")
        assert ended.err.startswith("Unexpected ModuleNotFoundError: import of app.daemon halted")
        assert "Traceback" in ended.err
