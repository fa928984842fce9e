"""A session is recorded while it runs, and run again: the same decisions, or the first other."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from app import assembly, main_replay, settings
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.domain.errors import GaveUpError
from app.orchestrator import TradingOrchestrator
from app.recording.recorder import Recorder
from tests.bridge import start_bridge
from tests.integration.conftest import ROOT

THRESHOLD = """
name: threshold
timeframes: ["1"]
entry: {long: {conditions: [{signal: close, operator: ">", value: 1.1005}]}}
exit: {long: {conditions: [{signal: close, operator: "<", value: 1.0995}]}}
risk: {position_sizing: {type: fixed, value: 0.1}, sl: {type: fixed, value: 50}}
"""
OFTEN = """
name: often
timeframes: ["1"]
entry:
  long: {conditions: [{signal: close, operator: ">", value: previous_close}]}
  short: {conditions: [{signal: close, operator: "<", value: previous_close}]}
exit:
  long: {conditions: [{signal: close, operator: "<", value: previous_close}]}
  short: {conditions: [{signal: close, operator: ">", value: previous_close}]}
risk: {position_sizing: {type: fixed, value: 0.1}, sl: {type: fixed, value: 50}}
"""
CLOSES = [1.1] * 20 + [1.101] + [1.1] * 10 + [1.099] + [1.1] * 8
SMALL = {
    "TRADING_TIMEFRAMES": "1",
    "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "0",
    "SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED": "1",
}
USER = "zaphod-user"
PASSWORD = "hunter2-password"


def recordings(folder: Path, where: str = "data/recordings") -> list[Path]:
    return sorted((folder / where).glob("*.jsonl"))


def replayed_elsewhere(file: Path, hash_seed: int) -> subprocess.CompletedProcess:
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME"} or k.startswith("COV")}
    return subprocess.run(
        [sys.executable, "-m", "app.main_replay", str(file)],
        env={**kept, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)},
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture
def session(folder, configuration, bars_file, main_here):
    """Record a session on forty minutes of a file; return its file."""

    def record(**names):
        configuration({"threshold": THRESHOLD})
        bars = bars_file(CLOSES)
        names = {"MARKET_DATA_PATH": str(bars), "RECORDING_ENABLED": "true", **SMALL, **names}
        ended = main_here("--decisions", "decisions.jsonl", **names)
        assert ended.code == 0, ended.err
        (file,) = recordings(folder, names.get("RECORDING_FOLDER", "data/recordings"))
        return file

    return record


@pytest.fixture
def replay(main_here):
    """Run the command that replays in this process."""
    return lambda file: main_here(str(file), main=main_replay.main)


def changed(file: Path, number: int, change) -> Path:
    """Write a recording again with line `number` changed."""
    lines = file.read_text("utf-8").splitlines()
    lines[number] = json.dumps(change(json.loads(lines[number])))
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


@pytest.mark.parametrize("market", ["file", "simulated"])
def test_it_is_recorded_when_asked_for_and_decides_the_same(
    market, configuration, bars_file, main_here, replay
):
    """P28: recording changes no decision, and each of them comes again.

    Red when a recorded `latest` answers with the candles before, or when decisions are not traced.
    """
    folder = Path.cwd()
    configuration({"often": OFTEN})
    where = {"MARKET_DATA_UNTIL": "2025-01-06T12:00Z"}
    if market == "file":
        closes = [1.1 + 0.0001 * ((minute * 7) % 11) for minute in range(120)]
        where = {"MARKET_DATA_PATH": str(bars_file(closes))}
    for name in ("false", "true"):
        ended = main_here("--decisions", f"{name}.jsonl", RECORDING_ENABLED=name, **where, **SMALL)
        assert ended.code == 0, ended.err
        assert len(recordings(folder)) == (name == "true")
    without, recorded = ((folder / f"{name}.jsonl").read_text() for name in ("false", "true"))
    assert without == recorded
    (file,) = recordings(folder)
    again = replay(file)
    assert again.code == 0, again.out
    decisions = recorded.splitlines()
    orders = sum(len(json.loads(line)["trades"]) for line in decisions)
    assert f"{len(decisions):,} decisions" in again.out
    assert orders > 20
    assert "cut off" not in again.out


def test_the_same_recording_gives_the_same_hash_in_another_process(session, replay):
    """P27: whatever order a process gives its sets."""
    file = session()
    hashes = {re.search(r"^trace (\w{64})$", replay(file).out, re.MULTILINE)[1]}
    for seed in (1, 2):
        again = replayed_elsewhere(file, seed)
        assert again.returncode == 0, again.stdout + again.stderr
        hashes.add(re.search(r"^trace (\w{64})$", again.stdout, re.MULTILINE)[1])
    assert len(hashes) == 1
    zipped = file.with_suffix(".jsonl.gz")
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    assert hashes.pop() in replay(zipped).out


def test_a_planted_difference_is_named(session, replay):
    """The threshold in the recorded strategy is raised above the one close that passed it.

    Red when decisions are not compared: then the order that is missing is named, not the decision.
    """

    def raise_threshold(header):
        text = header["files"]["strategies/eurusd/threshold.yaml"]
        assert "1.1005" in text
        header["files"]["strategies/eurusd/threshold.yaml"] = text.replace("1.1005", "1.1015")
        return header

    again = replay(changed(session(), 0, raise_threshold))
    assert again.code == 1
    assert again.lines == [
        "first difference in cycle 21 (2025-01-06 08:21:00 UTC), "
        "candle EURUSD 1 opened 2025-01-06T08:20:00+00:00, strategy threshold",
        "  recorded: decision: entry_long true",
        "  replayed: decision: entry_long false",
    ]
    assert again.err == ""


@pytest.mark.parametrize(
    ("wanted", "replayed"),
    [
        ("journal.last_candle", "journal.last_candle(EURUSD, 1)"),
        ("source.latest", "source.latest(EURUSD, 1, 3, 2025-01-06T08:04:00Z)"),
    ],
)
def test_a_call_that_was_not_recorded_is_a_difference(wanted, replayed, session, replay):
    """Red when the replay answers what nobody recorded."""
    number = 1 if wanted.startswith("journal") else 5

    def without(entries):
        return [entry for entry in entries if entry[1:2] != [wanted]]

    again = replay(changed(session(), number, without))
    assert again.code == 1
    assert again.lines[0].startswith(f"first difference in cycle {number - 1}")
    assert again.lines[2] == f"  replayed: {replayed}"


@pytest.mark.parametrize("cut", [1, 40])
def test_a_cut_off_recording_is_replayed_as_far_as_it_goes(cut, session, replay):
    """What kill -9 leaves: no end, and half a line. Red when half a line counts as damage."""
    file = session()
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:12]) + lines[12][:cut])
    again = replay(file)
    assert again.code == 0, again.out + again.err
    assert again.lines[0].startswith("the same: 10 cycles, 10 decisions, 0 orders")
    assert "the recording is cut off" in again.lines[1]


def test_what_is_no_recording_is_refused_in_one_line(session, replay, tmp_path):
    """Exit code 78, and the file's name."""
    file = session()
    good = file.read_text("utf-8")
    lines = good.splitlines(keepends=True)
    other = json.loads(lines[0])
    cases = {
        "": "expected a recorded session",
        "nothing of ours\n": "expected a recorded session",
        '{"format": "other"}\n': "expected a recorded session",
        json.dumps({**other, "version": 2}) + "\n": "format version 2, expected 1",
        lines[0]: "holds no more than its header",
        lines[0] + lines[1][:40]: "holds no more than its header",
        lines[0] + lines[1] + "{broken\n" + "".join(lines[2:]): ":3: the recording is damaged",
        lines[0] + lines[1] + '[["!", "broker.unheard"]]\n': ":3: the recording is damaged",
        lines[0] + lines[1] + "[7]\n": ":3: the recording is damaged",
        json.dumps({**other, "settings": {"risk": {"x": 1}}}) + "\n" + lines[1]: "risk",
    }
    for text, complaint in cases.items():
        file.write_text(text, "utf-8")
        again = replay(file)
        assert (again.code, again.out) == (78, ""), text
        assert again.err.count("\n") == 1
        assert complaint in again.err
    absent = replay(tmp_path / "absent.jsonl")
    assert (absent.code, absent.err.count("\n")) == (78, 1)
    assert "No such file" in absent.err
    assert replay(tmp_path).code == 78
    file.write_text(good, "utf-8")
    assert replay(file).code == 0


def test_damaged_bytes_are_refused_in_one_line(session, replay):
    """No UTF-8, and a gzipped file with wrong bytes in the middle. Red with a traceback."""
    file = session()
    lines = file.read_bytes().splitlines(keepends=True)
    no_text = lines[3].replace(b"EURUSD", b"EUR\x87SD", 1)
    file.write_bytes(b"".join([*lines[:3], no_text, *lines[4:]]))
    again = replay(file)
    assert (again.code, again.err.count("\n")) == (78, 1)
    assert ":4: the recording is damaged" in again.err
    file.write_bytes(no_text)
    assert "expected a recorded session" in replay(file).err

    packed = bytearray(gzip.compress(b"".join(lines)))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(64)
    zipped = file.with_suffix(".jsonl.gz")
    zipped.write_bytes(packed)
    again = replay(zipped)
    assert (again.code, again.err.count("\n")) == (78, 1)
    assert "the recording is damaged" in again.err


def test_the_folder_is_made_for_its_owner_alone(session, folder, replay):
    """RECORDING_FOLDER says where; I27: nobody else reads it."""
    file = session(RECORDING_FOLDER="elsewhere/deep")
    assert file.parent == folder / "elsewhere" / "deep"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert replay(file).code == 0


def test_a_folder_that_cannot_be_made_ends_the_start(main_here, folder):
    """Red with a traceback, and exit code 70."""
    (folder / "taken").write_text("")
    ended = main_here(
        RECORDING_ENABLED="true", RECORDING_FOLDER="taken", MARKET_DATA_UNTIL="2025-01-06T09:00Z"
    )
    assert ended.code == 78
    assert ended.err.startswith("error: recording.folder taken")
    assert ended.err.count("\n") == 1


def test_no_secret_is_in_it(session, replay):
    """I27: neither the bridge's credentials nor the journal's. Red when URLs are kept whole."""
    file = session(
        API_BASE_URL=f"http://{USER}:{PASSWORD}@127.0.0.1:9/",
        JOURNAL_URL=f"postgresql://{USER}:{PASSWORD}@h/d?password={PASSWORD}",
    )
    text = file.read_text("utf-8")
    assert USER not in text
    assert PASSWORD not in text
    assert replay(file).code == 0


def test_at_its_size_the_recording_ends_and_trading_goes_on(session, folder, replay):
    """RECORDING_MAX_BYTES: never larger, said once. Red when lines are written regardless."""
    file = session(RECORDING_MAX_BYTES="12000")
    assert 8_000 < file.stat().st_size <= 12_000
    assert len((folder / "decisions.jsonl").read_text().splitlines()) == 40
    again = replay(file)
    assert again.code == 0, again.out
    assert "the recording is cut off" in again.out


class _BrokenBroker(PaperBroker):
    """A paper broker that takes in no candle after the first hundred."""

    taken = 0

    def on_candle(self, candle):
        self.taken += 1
        if self.taken > 100:
            raise RuntimeError("out of order")
        return super().on_candle(candle)


def test_a_session_that_gave_up_gives_up_again(folder, configuration, own_process, replay):
    """Services that fail, their restarts and the end come again, at the same places."""
    configuration({"often": OFTEN})
    environ = {
        "RECORDING_ENABLED": "true",
        "MARKET_DATA_SPEED": "0",
        "MARKET_DATA_UNTIL": "2025-01-06T14:00Z",
        **SMALL,
    }
    chosen = settings.load(environ=environ, dotenv=None).settings
    broker = _BrokenBroker(PaperTerms(), ("EURUSD",))
    recorder = Recorder(replace(assembly.connect(chosen), broker=broker), uuid4())
    orchestrator = TradingOrchestrator(chosen, recorder.parts)
    recorder.listen(orchestrator.event_bus)
    orchestrator.start()
    with pytest.raises(GaveUpError) as gave_up:
        orchestrator.run()
    orchestrator.stop()
    again = replay(recorder.path)
    assert again.code == 0, again.out
    assert again.lines[1] == f"it ended, as the session did: GaveUpError: {gave_up.value}"
    assert "cut off" not in again.out


@pytest.mark.parametrize("rate", [0, 0.2], ids=["calm", "faults"])
def test_a_live_session_and_its_restart(rate, daemon, folder, configuration):
    """P27: two files, of a session that was killed and of the one that took its orders over.

    Real processes over HTTP; with faults, failures reach the services too. Red when what the
    journal is asked, or the kill switch, is left out.
    """
    configuration({"often": OFTEN})
    options = ("--symbols", "EURUSD", "--start", "2025-01-06T08:00Z", "--speed", "180", "--faults")
    bridge = start_bridge(*options, "--fault-rate", rate, "--fault-seed", 3, stepped=False)
    names = {
        "TRADE_MODE": "live",
        "API_BASE_URL": bridge.url.replace("://", f"://{USER}:{PASSWORD}@"),
        "API_TIMEOUT": "2",
        "RECORDING_ENABLED": "true",
        **SMALL,
    }
    files = []
    try:
        for end in ("kill", "terminate"):
            trading = _Trading(daemon, folder, names)
            files.append(trading.until(orders=2))
            if rate:
                many = {"what": "status", "times": 12}
                bridge.faults({**many, "call": "symbols/*/bars"}, {**many, "call": "account"})
            trading.until(orders=5, failures=2 if rate else 0)
            getattr(trading.process, end)()
            code = daemon.ended(trading.process).code
            assert (code == 0) == (end == "terminate")
    finally:
        bridge.kill()
    for number, file in enumerate(files):
        assert PASSWORD not in file.read_text("utf-8")
        again = replayed_elsewhere(file, number)
        assert again.returncode == 0, again.stdout + again.stderr
        assert ("cut off" in again.stdout) == (number == 0)
        assert int(re.search(r"(\d+) orders", again.stdout)[1]) >= 3


class _Trading:
    """A daemon that is started until the bridge lets it."""

    def __init__(self, daemon, folder, names):
        self._start = lambda: daemon.started(folder, MARKET_DATA_SPEED="", **names)
        self._daemon, self._folder = daemon, folder
        self._before = recordings(folder)
        self.process = self._start()

    def until(self, orders, failures=0):
        """Return the session's file once it has so many orders and failures."""
        for _ in range(600):
            text, file = "", None
            if self.process.poll() == 69:
                self._daemon.ended(self.process)
                self.process = self._start()
            assert self.process.poll() is None, self.process.communicate()
            for file in recordings(self._folder)[len(self._before) :]:
                text = file.read_text("utf-8")
            if text.count('"kind":"order"') >= orders and text.count('{"e":') >= failures:
                return file
            time.sleep(0.1)
        self.process.kill()
        raise AssertionError(f"{text.count('order')} orders: {self._daemon.ended(self.process)}")
