"""The watchdog: what hangs is ended with its stacks, what waits or was stopped is not."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.watchdog import Watchdog, WatchedClock

ROOT = Path(__file__).parents[2]
HUNG = 70
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal or pipe")

BEGINNING = """
import logging, os, signal, sys, time
from app import watchdog
from app.adapters.clocks import SystemClock

def hang_in_a_handler():
    time.sleep(60)

"""


def started(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGINNING + textwrap.dedent(program)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(program: str) -> tuple[int, str]:
    """Run a program; return its exit code and what it wrote to standard error."""
    process = started(program)
    _, errors = process.communicate(timeout=50)
    return process.returncode, errors


class InstantClock:
    """A clock whose waits take no time."""

    stopped = False

    def now(self) -> datetime:
        return datetime(2025, 1, 6, tzinfo=UTC)

    def wait(self, seconds: float) -> bool:
        return not self.stopped

    def stop(self) -> None:
        self.stopped = True


class TestHangs:
    def test_a_cycle_that_hangs_ends_the_process_with_its_stacks(self) -> None:
        """Bus row "hangs". Red when `WatchedClock.wait` does not note that the cycle began."""
        code, errors = ended("""
            clock = watchdog.Watchdog().start().watch(SystemClock(), 0.4)
            clock.wait(0.01)
            hang_in_a_handler()
        """)
        assert code == HUNG
        assert errors.count("a cycle has been running for 0.4 s: ending it with code 70") == 1
        assert "Thread MainThread:" in errors
        assert "Thread watchdog:" in errors
        assert "in hang_in_a_handler" in errors

    def test_waiting_is_no_hang(self) -> None:
        """Red when the wait does not note that the cycle ended."""
        code, errors = ended("""
            clock = watchdog.Watchdog().start().watch(SystemClock(), 0.2)
            clock.wait(0.01)
            clock.wait(1.0)
            time.sleep(0.01)
        """)
        assert (code, errors) == (0, "")

    def test_an_end_that_hangs_is_forced(self) -> None:
        """I24: whatever hangs after a signal, also where no cycle is watched yet.

        Red when `stop_soon` does not wake the thread.
        """
        code, errors = ended("""
            watchdog.STOP_BUDGET = 0.4
            dog = watchdog.Watchdog().start()
            signal.signal(signal.SIGTERM, lambda *_: dog.stop_soon())
            signal.raise_signal(signal.SIGTERM)
            hang_in_a_handler()
        """)
        assert code == HUNG
        assert "the process did not end within 0.4 s of being asked to" in errors
        assert "in hang_in_a_handler" in errors

    def test_an_end_that_hangs_between_the_threads_is_forced_too(self) -> None:
        """I24: the interpreter waits for its threads at the end, here for one that never comes."""
        code, errors = ended("""
            import threading
            watchdog.STOP_BUDGET = 0.4
            watchdog.Watchdog().start().stop_soon()
            threading.Thread(target=hang_in_a_handler).start()
        """)
        assert code == HUNG
        assert "in hang_in_a_handler" in errors

    def test_a_hang_that_holds_the_log_is_ended_all_the_same(self) -> None:
        """Red when the line is logged by the watchdog's own thread: it would wait for the lock."""
        code, errors = ended("""
            handler = logging.StreamHandler()
            logging.getLogger().addHandler(handler)
            clock = watchdog.Watchdog().start().watch(SystemClock(), 0.4)
            clock.wait(0.01)
            handler.acquire()
            hang_in_a_handler()
        """)
        assert code == HUNG
        assert "in hang_in_a_handler" in errors

    @posix
    def test_a_reader_that_stopped_reading_cannot_keep_it_alive(self) -> None:
        """Red when the watchdog waits for what is said, or has faulthandler write it.

        The pipe is full, and faulthandler would keep the interpreter to itself until it is not.
        """
        process = started("""
            os.set_blocking(2, False)
            try:
                while True:
                    os.write(2, b"x" * 4096)
            except BlockingIOError:
                os.set_blocking(2, True)
            clock = watchdog.Watchdog().start().watch(SystemClock(), 0.4)
            clock.wait(0.01)
            hang_in_a_handler()
        """)
        assert process.wait(50) == HUNG
        process.communicate()

    @posix
    def test_a_process_that_was_stopped_has_not_hung(self) -> None:
        """Red when the budget is measured by a clock: it goes on while the process is stopped."""
        process = started("""
            clock = watchdog.Watchdog().start().watch(SystemClock(), 2.0)
            clock.wait(0.01)
            print("a cycle runs", flush=True)
            sys.stdin.readline()
            clock.wait(0.01)
        """)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        _, errors = process.communicate("go on\n", timeout=50)
        assert (process.returncode, errors) == (0, "")


class TestSlowCycles:
    @pytest.fixture
    def dog(self) -> Watchdog:
        """Return one that looks only when the test says so."""
        return Watchdog()

    @pytest.fixture
    def clock(self, dog: Watchdog) -> WatchedClock:
        """Return a clock of whose budget a look is one second."""
        return dog.watch(InstantClock(), 32.0)

    def test_more_than_a_quarter_of_the_budget_is_reported(
        self, dog: Watchdog, clock: WatchedClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Bus row "over budget". Red when the wait does not ask how long the cycle took."""
        clock.wait(5)
        dog.looks += 17
        clock.wait(5)
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("watchdog", logging.WARNING)
        assert record.getMessage() == (
            "a cycle took about 17.0 s: orchestrator.cycle_budget ends the process after 32 s"
        )

    def test_a_quarter_of_the_budget_is_nothing_to_report(
        self, dog: Watchdog, clock: WatchedClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        dog.looks += 100
        for _ in range(3):
            clock.wait(5)
            dog.looks += 8
        assert not caplog.records

    def test_time_spent_waiting_is_not_the_cycles(
        self, dog: Watchdog, caplog: pytest.LogCaptureFixture
    ) -> None:
        class LongWaits(InstantClock):
            def wait(self, seconds: float) -> bool:
                dog.looks += 1000
                return True

        clock = dog.watch(LongWaits(), 32.0)
        for _ in range(3):
            clock.wait(5)
        assert not caplog.records


class TestClock:
    def test_it_is_the_clock_it_watches(self) -> None:
        bare = InstantClock()
        clock = Watchdog().watch(bare, 60)
        assert clock.now() == bare.now()
        assert clock.wait(5)
        clock.stop()
        assert bare.stopped
        assert not clock.wait(5)


def test_a_closed_watchdog_looks_on_no_longer() -> None:
    """Also one that has begun to count the end."""
    for stopping in (False, True):
        dog = Watchdog().start()
        dog.watch(InstantClock(), 60)
        if stopping:
            dog.stop_soon()
        dog.close()
        assert not dog._thread.is_alive()
