"""Ctrl+C before a command's work is done: one line and exit code 130, whenever it comes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Ctrl+C is no signal one can send there"
)
BRIDGE = ("app.bridge", "--port", "0")
READING = [
    (("app.main_backtest", "--to", "2025-01-07"), ".env"),
    (("app.main_bug_report",), ".env"),
    (("app.main_compare", "--to", "2025-01-07"), ".env"),
    (("app.main_compare", "old.jsonl", "new.jsonl"), "old.jsonl"),
    (("app.main_doctor",), ".env"),
    (("app.main_ledger",), ".env"),
    (("app.main_live_regime",), ".env"),
    (("app.main_optimize", "--strategy", "any"), ".env"),
    (("app.main_replay", "session.jsonl"), "session.jsonl"),
    (("app.main_switch", "QUERY"), ".env"),
]
"""Commands, and a file that each waits for where it is a pipe without a writer."""


@pytest.fixture
def start(daemon, folder):
    """Start a command here.

    Its coverage is not measured: asked by a signal handler that interrupts it, it waits for itself.
    """

    def started(*command, options=(), **names):
        kept = daemon.environment(names).items()
        return subprocess.Popen(
            [sys.executable, *options, "-m", *command],
            env={name: value for name, value in kept if not name.startswith("COV")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


@pytest.fixture
def importing(start):
    """Start a command here; return once it has imported a module."""

    def started(command, module):
        process = start(*command, options=("-X", "importtime"))
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == module:
                break
        return process

    return started


@pytest.fixture
def interrupted(daemon):
    """Interrupt a process; return how it ended."""

    def end(process):
        process.send_signal(signal.SIGINT)
        return daemon.ended(process)

    return end


def said(ended):
    """Return the lines that do not tell what was imported."""
    return [line for line in ended.err.splitlines() if not line.startswith("import time:")]


@pytest.mark.parametrize("module", ["app", "app.settings"])
@pytest.mark.parametrize(("command", "file"), READING, ids=str)
def test_while_it_imports(importing, interrupted, command, file, module):
    """Red without a handler of ours: a traceback, and death by the signal."""
    os.mkfifo(file)
    ended = interrupted(importing(command, module))
    assert (ended.code, said(ended)) == (130, ["interrupted"])


@pytest.mark.parametrize("module", ["app", "pydantic"])
def test_while_the_bridge_imports(importing, interrupted, module):
    ended = interrupted(importing(BRIDGE, module))
    assert (ended.code, said(ended)) == (130, ["interrupted"])


@pytest.mark.parametrize(("command", "file"), READING, ids=str)
def test_while_it_reads(start, interrupted, command, file):
    """Red when only the code tells, and nothing is said."""
    os.mkfifo(file)
    process = start(*command)
    with Path(file).open("w"):
        ended = interrupted(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize("playing", ["old.jsonl", "new.jsonl"])
def test_while_two_systems_are_compared(start, interrupted, folder, simulated_bars, playing):
    """What was written down on the way is gone."""
    simulated_bars(days=8).to_parquet("EURUSD.parquet", index=False)
    process = start("app.main_compare", "--data", "EURUSD.parquet", TMPDIR=str(folder))
    while process.poll() is None and not list(folder.glob(f"*/{playing}")):
        time.sleep(0.02)
    ended = interrupted(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")
    assert list(folder.glob("*/")) == [folder / "conf"]


def test_while_a_session_is_replayed(start, interrupted, folder, daemon, simulated_bars):
    """The configuration it had is gone, too."""
    simulated_bars(days=8).to_parquet("EURUSD.parquet", index=False)
    recorded = daemon.run(
        folder,
        MARKET_DATA_SOURCE="file",
        MARKET_DATA_PATH="EURUSD.parquet",
        RECORDING_ENABLED="true",
        RECORDING_FOLDER="taken",
        LOGGING_LEVEL="ERROR",
    )
    assert recorded.code == 0
    (session,) = folder.glob("taken/*")
    process = start("app.main_replay", str(session), TMPDIR=str(folder))
    while process.poll() is None and not list(folder.glob("replay-*")):
        time.sleep(0.02)
    ended = interrupted(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")
    assert not list(folder.glob("replay-*"))


def test_while_it_checks_for_look_ahead(start, interrupted, folder, simulated_bars):
    simulated_bars(days=60).to_parquet("EURUSD.parquet", index=False)
    process = start("app.main_backtest", "--data", "EURUSD.parquet", "--check-look-ahead")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    ended = interrupted(process)
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")


def test_who_ignores_ctrl_c_goes_on(importing, interrupted, folder):
    """As what a shell starts in the background does. Red when the handler is always set."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = importing(("app.main_switch", "QUERY"), "app")
    finally:
        signal.signal(signal.SIGINT, handler)
    ended = interrupted(process)
    assert (ended.code, said(ended)) == (0, [])


def test_who_only_imports_the_package_keeps_their_handler():
    """As these tests do."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
