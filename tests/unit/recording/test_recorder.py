"""A recorder at the ports: what it writes, and what it never does to trading."""

import json
import resource
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from app.adapters.journal.memory import MemoryJournal
from app.assembly import Parts
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from app.domain.market import Quote
from app.recording.file import Recording, Sink
from app.recording.header import _settings as header_settings
from app.recording.recorder import Recorder
from app.recording.script import DifferenceError, Script
from app.risk.limits import EntryRules, RiskLimits
from app.risk.restrictions import Restrictions
from app.settings import load

NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
SESSION = UUID(int=7)


class Stepping:
    """A clock that goes a minute at each wait, three times."""

    def __init__(self):
        self.time = NOON
        self.left = 3

    def now(self):
        return self.time

    def wait(self, seconds):
        self.left -= 1
        self.time += timedelta(minutes=1)
        return self.left >= 0

    def stop(self):
        self.left = 0


class Prices:
    """A broker and a source with one price, which may change, be missing or fail."""

    name = "prices"

    def __init__(self):
        self.bid = 1.1
        self.asked = 0
        self.fails = False

    def quote(self, symbol):
        self.asked += 1
        if self.fails:
            raise SourceError("no price")
        return None if self.bid is None else Quote(symbol, self.bid, self.bid, NOON)

    def latest(self, symbol, timeframe, count, now):
        if self.fails:
            raise SourceError("no candles")
        return []

    def __getattr__(self, name):
        return lambda *args, **named: None


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """Record ports of the test's own."""
    monkeypatch.chdir(tmp_path)

    def make(**names):
        environ = {"RECORDING_FOLDER": str(tmp_path / "r"), **names}
        prices = Prices()
        parts = Parts(
            settings=load(environ=environ, dotenv=None).settings,
            source=prices,
            broker=prices,
            clock=Stepping(),
            journal=MemoryJournal(),
            indicators={},
            strategies={},
            entry_rules=EntryRules(RiskLimits(None, 1, 1), Restrictions(), ServerTime("UTC")),
            opened=ExitStack(),
        )
        return SimpleNamespace(prices=prices, it=Recorder(parts, SESSION))

    return make


def lines_of(recorder):
    return [json.loads(line) for line in recorder.path.read_text().splitlines()]


def test_each_cycle_is_a_line_written_before_the_wait(recorder):
    """What a kill leaves is whole cycles."""
    made = recorder()
    clock = made.it.parts.clock
    clock.now()
    for cycles in (0, 1, 2):
        assert len(lines_of(made.it)) == 1 + cycles
        assert clock.wait(5.0)
        clock.now()
    assert not clock.wait(5.0)
    made.it.parts.opened.close()
    *_, last, end = lines_of(made.it)
    assert last == [["!", "clock.wait", [5.0], {"a": False}]]
    assert end["end"]["cycles"] == 3
    assert end["end"]["hash"]


def test_an_answer_that_did_not_change_is_written_once(recorder):
    made = recorder()
    broker, clock = made.it.parts.broker, made.it.parts.clock
    for bid in (1.1, 1.1, 1.2):
        made.prices.bid = bid
        broker.quote("EURUSD")
        broker.quote("EURUSD")
        clock.wait(5.0)
    made.it.close()
    assert made.prices.asked == 6
    asked = [entry for line in lines_of(made.it)[1:4] for entry in line if entry[0] == "?"]
    assert [len(entry) for entry in asked] == [4, 3, 4]
    script = Script(Recording(made.it.path))
    replayed, waits = script.broker("b"), script.clock()
    for bid in (1.1, 1.1, 1.2):
        assert [replayed.quote("EURUSD").bid for _ in range(3)] == [bid] * 3
        waits.wait(5.0)


def test_answers_forgotten_for_others_come_back_right(recorder, monkeypatch):
    """Red when no answer is taken for the one before where that was forgotten."""
    monkeypatch.setattr("app.recording.recorder._SEVERAL", 2)
    made = recorder()
    broker, clock = made.it.parts.broker, made.it.parts.clock
    bids = [None, 1.1, None]
    for bid in bids:
        made.prices.bid = bid
        for symbol in ("EURUSD", "GBPUSD", "USDJPY"):
            broker.quote(symbol)
        clock.wait(5.0)
    made.it.close()
    script = Script(Recording(made.it.path))
    replayed, waits = script.broker("b"), script.clock()
    for bid in bids:
        quote = replayed.quote("EURUSD")
        assert (quote and quote.bid) == bid
        waits.wait(5.0)


def test_a_failure_is_raised_and_raised_again(recorder):
    made = recorder()
    made.prices.fails = True
    with pytest.raises(SourceError, match="no candles"):
        made.it.parts.source.latest("EURUSD", "1", 3, NOON)
    made.it.close()
    script = Script(Recording(made.it.path))
    with pytest.raises(SourceError, match="no candles"):
        script.source("s").latest("EURUSD", "1", 3, NOON)


def test_another_question_is_a_difference(recorder):
    """Red when arguments are not compared."""
    made = recorder()
    made.it.parts.source.latest("EURUSD", "1", 3, NOON)
    made.it.parts.broker.quote("EURUSD")
    made.it.close()
    with pytest.raises(DifferenceError) as found:
        Script(Recording(made.it.path)).source("s").latest("EURUSD", "1", 4, NOON)
    assert found.value.recorded == "source.latest(EURUSD, 1, 3, 2025-01-06T12:00:00Z)"
    assert found.value.replayed == "source.latest(EURUSD, 1, 4, 2025-01-06T12:00:00Z)"
    script = Script(Recording(made.it.path))
    script.source("s").latest("EURUSD", "1", 3, NOON)
    with pytest.raises(DifferenceError, match="GBPUSD"):
        script.broker("b").quote("GBPUSD")


def test_a_session_that_did_more_is_a_difference(recorder):
    """Red when nobody looks at what is left."""
    made = recorder()
    made.it.parts.clock.wait(5.0)
    made.it.close()
    script = Script(Recording(made.it.path))
    with pytest.raises(DifferenceError, match="a further cycle"):
        script.finish()


def test_the_end_is_asked_for_where_it_was(recorder):
    """A signal in the middle of a cycle: from there on nothing was opened."""
    made = recorder()
    journal, clock = made.it.parts.journal, made.it.parts.clock
    journal.flush()
    clock.stop()
    journal.still_ours()
    assert not clock.wait(5.0)
    made.it.close()
    script = Script(Recording(made.it.path))
    stopped = []
    script.on_stop = lambda: stopped.append(1)
    again = script.journal()
    assert stopped == []
    again.flush()
    assert stopped == [1]
    again.still_ours()
    assert not script.clock().wait(5.0)


@pytest.mark.parametrize("room", [86, 100], ids=["none left", "some left"])
def test_a_full_disk_ends_the_recording_only(room, tmp_path, caplog):
    """The file ends, which is said once. Red when the error reaches the loop."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = Sink(tmp_path / "r.jsonl", 10**6)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        for _ in range(10):
            sink.write("x" * 40)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not sink.open
    (said,) = caplog.records
    assert "Recording ended, trading goes on" in str(said.msg)
    sink.write("more")
    sink.close()


def test_what_cannot_be_written_ends_the_recording_only(tmp_path):
    sink = Sink(tmp_path / "r.jsonl", 10**6)
    sink.write("\ud800 is half a character")
    assert not sink.open


def test_after_the_end_of_the_file_ports_answer_as_ever(recorder):
    """RECORDING_MAX_BYTES reached: nothing is kept any more either."""
    made = recorder(RECORDING_MAX_BYTES="1000")
    assert not made.it._sink.open
    assert made.it.parts.broker.quote("EURUSD").bid == 1.1
    assert made.it.parts.clock.wait(5.0)
    assert made.it._notes == []
    made.it.close()


def test_settings_of_the_header_are_those_of_the_session(recorder):
    made = recorder(RISK_MAX_POSITIONS="3", XAUUSD_PIP_VALUE="100", MARKET_DATA_START="2025-01-06")
    made.it.close()
    header = Recording(made.it.path).header
    assert header.session == str(SESSION)
    assert header_settings(header) == made.it.parts.settings
