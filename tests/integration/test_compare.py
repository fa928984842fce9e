"""Old and new beside each other: the same signals, or the first difference by name."""

import json
from pathlib import Path

import pytest

from app import main_compare, main_live_regime, main_orchestrated
from tests.bridge import start_bridge


@pytest.fixture
def compare(main_here):
    return lambda *arguments, **names: main_here(*arguments, main=main_compare.main, **names)


@pytest.fixture
def bars(folder, simulated_bars):
    simulated_bars(days=1).to_csv("EURUSD.csv", index=False)
    return "EURUSD.csv"


@pytest.fixture
def sessions(main_here, bars):
    """Let both systems write down what they decide on one file."""
    names = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": bars}
    for main, file in (
        (main_live_regime.main, "old.jsonl"),
        (main_orchestrated.main, "new.jsonl"),
    ):
        assert main_here("--decisions", file, main=main, **names).code == 0
    return Path("old.jsonl"), Path("new.jsonl")


def test_the_simulated_market_needs_an_end(compare, folder):
    """It has none of its own. Red when it is played for ever."""
    assert compare().code == 64
    assert compare("--to", "2025-01-06T09:00").code == 0


def test_both_play_the_same_data(compare, bars):
    """P20: event counts, signals, errors, performance, side by side."""
    ended = compare("--data", bars)
    assert (ended.code, ended.err) == (0, "")
    for row in ("candles", "errors", "balance", "seconds", "entry signals", "orders"):
        assert f"\n{row}" in f"\n{ended.out}"
    assert "differs" not in ended.out
    assert ended.lines[-1] == "signals         the same"


def test_neither_trades_when_execution_is_switched_off(compare, bars):
    """C12: signals, no trades. Red when the old loop obeys its mode alone."""
    ended = compare("--data", bars, SERVICES_TRADE_EXECUTION_ENABLED="false")
    assert ended.code == 0
    assert "differs" not in ended.out
    assert next(line for line in ended.lines if line.startswith("orders")).split()[1:] == ["0", "0"]


@pytest.mark.parametrize(
    "service", ["DATA_FETCHING", "INDICATOR_CALCULATION", "STRATEGY_EVALUATION"]
)
def test_the_old_loop_decides_nothing_without_what_decisions_need(main_here, bars, service):
    """P24: what is switched off is off in both systems."""
    names = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": bars}
    names[f"SERVICES_{service}_ENABLED"] = "false"
    ended = main_here("--decisions", "old.jsonl", main=main_live_regime.main, **names)
    assert ended.code == 0
    assert Path("old.jsonl").read_text() == ""


def test_where_nothing_is_decided_nothing_is_compared(compare, bars):
    """Red when a temporary file is blamed, which is gone by then."""
    ended = compare("--data", bars, SERVICES_STRATEGY_EVALUATION_ENABLED="false")
    assert (ended.code, ended.out) == (78, "")
    assert ended.err.startswith("error: no strategy decided anything in 1,")
    assert ended.err.count("\n") == 1


def test_the_old_loop_says_what_it_trades_and_what_is_doubtful(main_here, bars):
    """As the daemon does: an account number that is not read is a warning in both."""
    names = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": bars, "LIVE_ACOUNT": "5"}
    ended = main_here(main=main_live_regime.main, **names)
    assert ended.code == 0
    assert "Strategies of EURUSD: " in ended.out
    assert "LIVE_ACOUNT is not read (did you mean 'LIVE_ACCOUNT'?)" in ended.out


def test_two_sessions_that_were_written_down_are_the_same_to_the_byte(compare, sessions):
    """P19: the old loop and the new chain decide and trade alike."""
    old, new = sessions
    assert old.read_bytes() == new.read_bytes()
    assert compare("old.jsonl", "new.jsonl").code == 0


def test_one_signal_more_is_named_exactly(compare, sessions):
    """Its candle, its strategy, what either side says. Red when only sums are compared."""
    _, new = sessions
    lines = [json.loads(line) for line in new.read_text().splitlines()]
    at = next(n for n, line in enumerate(lines) if n > 500 and line["entry_long"] is False)
    lines[at]["entry_long"] = True
    new.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = compare("old.jsonl", "new.jsonl")
    assert ended.code == 1
    assert "1 decisions differ" in ended.out
    place = f"{lines[at]['strategy']} on EURUSD, candle that closed {lines[at]['time']}"
    assert place in ended.out
    assert "old: no signal" in ended.out
    assert "new: entry long" in ended.out


def test_sessions_are_compared_in_the_time_they_share(compare, sessions):
    """One began later: what it could not see is no difference."""
    _, new = sessions
    lines = new.read_text().splitlines(keepends=True)
    new.write_text("".join(lines[len(lines) // 2 :]))
    ended = compare("old.jsonl", "new.jsonl")
    assert ended.code == 0
    assert f"Compared from {json.loads(lines[len(lines) // 2])['time']}" in ended.out


def test_candles_that_were_decided_late_are_no_difference(compare, sessions):
    """What was fetched late is written down late. Red when both are walked in step by time."""
    _, new = sessions
    lines = new.read_text().splitlines(keepends=True)
    new.write_text("".join(sorted(lines, key=lambda line: json.loads(line)["strategy"])))
    ended = compare("old.jsonl", "new.jsonl")
    assert ended.code == 0
    assert ended.lines[-1] == "signals         the same"


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        (("old.jsonl",), 64, "two decision files"),
        (("old.jsonl", "new.jsonl", "--data", "EURUSD.csv"), 64, "are of a run"),
        (("old.jsonl", "nowhere.jsonl"), 78, "nowhere.jsonl: No such file"),
        (("old.jsonl", "EURUSD.csv"), 78, "EURUSD.csv:1: no line of a decision file"),
        (("old.jsonl", "later.jsonl"), 78, "share no time"),
        (("old.jsonl", "odd.jsonl"), 78, "odd.jsonl:1: no line of a decision file"),
    ],
)
def test_a_mistake_is_one_line(compare, sessions, files, code, said):
    line = json.loads(sessions[0].read_text().splitlines()[0]) | {"time": "2031-01-01T00:00:00"}
    Path("later.jsonl").write_text(json.dumps(line) + "\n")
    Path("odd.jsonl").write_text(json.dumps(line | {"time": 7}) + "\n")
    ended = compare(*files)
    assert ended.code == code
    assert said in ended.err
    assert ended.err.count("\n") == 1


class TestAccount:
    """The single-writer rule holds between both systems."""

    @pytest.fixture
    def live(self, folder):
        bridge = start_bridge("--symbols", "EURUSD", "--speed", "60", stepped=False)
        yield {"TRADE_MODE": "live", "API_BASE_URL": bridge.url}
        bridge.stop()

    def test_only_one_trades_and_the_other_goes_on_when_it_ended(
        self, live, daemon, folder, main_here
    ):
        """P21, P30: refused with 75, naming the holder; after the daemon's end the old one runs."""
        process = daemon.started(folder, **live)
        for line in process.stdout:
            if "Trading session correlation ID" in line:
                break
        refused = main_here(main=main_live_regime.main, **live)
        assert refused.code == 75
        assert f"held by pid {process.pid} on" in refused.err
        process.terminate()
        assert daemon.ended(process).code == 0
        old = type(daemon)()
        old.command = (*daemon.command[:2], "app.main_live_regime")
        process = old.started(folder, **live)
        said = []
        for line in process.stdout:
            said.append(line)
            if "Account as last seen" in line:
                break
        assert any("WARNING __main__: LIVE: orders go to" in line for line in said)
        process.terminate()
        assert old.ended(process).code == 0
