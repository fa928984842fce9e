"""The doctor on sound and on broken set-ups: a real bridge, real files, a real lock."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from app import main_doctor
from app.adapters.journal.lock import hold
from app.adapters.journal.sql import open_journal
from app.domain.market import Timeframe
from app.domain.orders import Block, BlockReason, IntentState
from app.risk.ids import magic_of
from tests.bridge import BridgeRefusedError, start_bridge
from tests.journals import entry
from tests.unit.mt5.misbehaving import CLOSE, Misbehaving, reply

ROOT = Path(__file__).parents[2]
ACCOUNT = "Bridge-Demo:123456"
DEMO = (
    'name: {name}\ntimeframes: ["1"]\n'
    "entry:\n"
    "  long:\n"
    "    conditions: [{{signal: {signal}, operator: '>', value: 1, timeframe: '1'}}]\n"
    "risk:\n"
    "  position_sizing: {{type: fixed, value: {lots}}}\n"
    "  sl: {{type: fixed, value: {stop}}}\n"
)
REFUSED = object()
INDICATORS = {"1": "ema_5: {period: 5}\n"}


def strategy(name="cross", *, lots="0.1", stop="20", signal="ema_5"):
    """Return a strategy that buys so many lots with a stop so many pips away."""
    return DEMO.format(name=name, lots=lots, stop=stop, signal=signal)


class Examined(NamedTuple):
    """What the doctor printed, and how it ended."""

    code: int
    out: str

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def verdict(self):
        return self.lines[-1]

    def of(self, status):
        """Return what was said with a status, each line from the check's name on."""
        width = len("not checked ")
        return [line[width:] for line in self.lines[:-1] if line[:width].strip() == status]

    def failed(self, *words):
        """Return the only failure, which holds the words."""
        (line,) = self.of("FAILS")
        for word in words:
            assert word in line, line
        assert self.verdict == "1 problem"
        return line

    def warned(self, *words):
        """Return the only warning, which holds the words; nothing fails."""
        assert self.code == 0, self.out
        (line,) = self.of("warning")
        for word in words:
            assert word in line, line
        return line


@pytest.fixture(scope="module")
def server():
    """Start a bridge for all tests of the module."""
    running = start_bridge("--faults")
    yield running
    assert running.stop() == 0, running.said


@pytest.fixture
def broker(server):
    """Return the bridge, and make it sound again after the test."""
    yield server
    server.no_faults()
    server.control("terminal", **SOUND)
    for held in server.ledger()["positions"]:
        server.close(held["symbol"], held["ticket"])


SOUND = {
    "connected": True,
    "autotrading": True,
    "server_autotrading": True,
    "trade_allowed": True,
    "server_clock_offset": 0,
}


@pytest.fixture
def doctor(configuration, broker, monkeypatch, capsys, own_process):
    """Ask the doctor in this process; by default all is sound and live, with one strategy."""
    configuration({"cross": strategy()}, indicators=INDICATORS)
    for name in list(os.environ):
        if name not in {"PATH", "HOME", "TMPDIR"} and not name.startswith("COV"):
            monkeypatch.delenv(name)

    def ask(*arguments, **names):
        given = {
            "TRADE_MODE": "live",
            "API_BASE_URL": broker.url,
            "LIVE_ACCOUNT": "123456",
            "TRADING_TIMEFRAMES": "1",
            "BROKER_SERVER_TIMEZONE": "NY+7",
            "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "600",
            **names,
        }
        with monkeypatch.context() as patched:
            for name, value in given.items():
                if value is not None:
                    patched.setenv(name, value)
            code = main_doctor.main(list(arguments))
        return Examined(code, capsys.readouterr().out)

    return ask


@pytest.fixture
def retold(broker):
    """Start a bridge that passes on what the real one says, changed by path, and notes requests."""
    made = Misbehaving()

    def change(**changes):
        named = {name.replace("__", "/"): how for name, how in changes.items()}

        def answer(request):
            target = request.target.removeprefix("/mt5/")
            try:
                data = broker.get(target)
            except BridgeRefusedError as refused:
                return reply(status=refused.status, body=refused.text.encode())
            change = named.get(target.partition("?")[0], lambda it: it)
            return reply(status=404) if change is REFUSED else reply(change(data))

        made.answer(answer)
        return made

    yield change
    made.close()


@pytest.fixture
def rogue():
    """Start a bridge that answers as the test says."""
    made = Misbehaving()
    yield made
    made.close()


def files(folder):
    """Return every file and folder below, with its content."""
    found = sorted(path for path in folder.rglob("*") if "conf" not in path.parts[-3:])
    return {path: path.read_bytes() if path.is_file() else None for path in found}


def now(broker):
    return datetime.fromisoformat(broker.ledger()["clock"])


@contextmanager
def written(folder, broker):
    """Give the account's journal, to be written to."""
    url = f"sqlite:///{folder / 'data' / 'journal.db'}"
    with closing(open_journal(url, ACCOUNT, now=now(broker))) as journal:
        yield journal


def moved(**by):
    """Return how a tick is told as that of another time, a little later with each."""
    later = iter(range(1000))

    def change(said):
        time = datetime.fromisoformat(said["time"]) + timedelta(**by)
        return said | {"time": (time + timedelta(milliseconds=next(later))).isoformat()}

    return change


def agree(doctor, main_here, broker, code, **names):
    """See that doctor and daemon end with the same code; return what the doctor found."""
    found = doctor(**names)
    assert found.code == code, found.out
    given = {
        "TRADE_MODE": "live",
        "API_BASE_URL": broker.url,
        "TRADING_TIMEFRAMES": "1",
        "BROKER_SERVER_TIMEZONE": "NY+7",
        **names,
    }
    ended = main_here(**given)
    assert ended.code == code, ended.out
    return found


class TestSound:
    def test_it_says_so(self, doctor):
        """Every check has its line; a live account in sound condition may be traded."""
        found = doctor()
        assert found.code == 0, found.out
        assert found.of("warning") == found.of("FAILS") == found.of("not checked") == []
        assert found.verdict == "ready to trade live on account 123456 (Bridge-Demo)"
        names = list(dict.fromkeys(line.partition(":")[0] for line in found.of("ok")))
        assert names == [
            *("configuration", "bridge", "terminal", "symbols", "server clock"),
            *("strategies", "restrictions", "account", "folders", "lock", "journal"),
            *("autotrading", "tradable", "filling", "netting", "prices", "history"),
            *("limits", "sizes", "strangers", "kill switch", "disk"),
        ]

    def test_it_says_what_would_be_ordered(self, doctor, broker):
        """The size and the stop that the daemon would send, by its own functions."""
        ask = broker.get("symbols/EURUSD/tick")["ask"]
        line = next(it for it in doctor().of("ok") if "cross long" in it)
        assert (
            line == f"sizes: cross long would order 0.10 EURUSD at market, stop {ask - 0.002:.5f}"
        )

    def test_as_a_process(self, doctor, folder, broker):
        """The command itself, its exit code and its JSON."""
        told = subprocess.run(
            [sys.executable, "-m", "app.main_doctor", "--json"],
            cwd=folder,
            env={
                **{k: v for k, v in os.environ.items() if k.startswith(("COV", "PATH"))},
                "PYTHONPATH": str(ROOT),
                "API_BASE_URL": broker.url,
                "TRADE_MODE": "live",
                "TRADING_TIMEFRAMES": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (told.returncode, told.stderr) == (0, "")
        report = json.loads(told.stdout)
        assert (report["ready"], report["exit_code"]) == (True, 0)
        assert all(set(one) == {"name", "status", "says", "fix"} for one in report["checks"])
        assert {one["status"] for one in report["checks"]} == {"ok", "warning"}
        warning = next(one for one in report["checks"] if one["status"] == "warning")
        assert (warning["name"], warning["fix"]) == ("account", "set LIVE_ACCOUNT=123456")

    def test_nothing_is_changed(self, doctor, folder, broker, retold):
        """Neither files nor the account: only questions are asked. A journal at rest stays so.

        Red when the journal is read without ``immutable``: SQLite leaves two files beside it.
        """
        with written(folder, broker) as journal:
            journal.admit(entry("A"), now(broker))
        hold(ACCOUNT, None, folder / "data" / "locks").release()
        files_before, book_before = files(folder), broker.ledger()
        asked = retold().asked
        assert doctor(API_BASE_URL=retold().url).code == 0
        assert files(folder) == files_before
        assert broker.ledger() == book_before
        assert {request.method for request in asked} == {"GET"}

    def test_nothing_is_made(self, doctor, folder):
        before = files(folder)
        assert doctor().code == 0
        assert files(folder) == before


class TestConfiguration:
    def test_a_wrong_value(self, doctor):
        """Nothing else is known then, and nothing else is asked."""
        found = doctor(RISK_MAX_POSITIONS="many")
        assert found.code == 78
        found.failed("configuration: environment RISK_MAX_POSITIONS", "Fix: correct it there")
        assert len(found.lines) == 2

    def test_a_doubtful_name(self, doctor):
        doctor(LIVE_ACOUNT="3").warned("LIVE_ACOUNT is not read", "did you mean 'LIVE_ACCOUNT'")

    def test_live_without_trades(self, doctor):
        doctor(SERVICES_TRADE_EXECUTION_ENABLED="false").warned("no order is sent")

    def test_a_strategy_that_reads_what_is_not_there(self, doctor, configuration):
        """Sizes and history are then not checked, and say why."""
        configuration({"cross": strategy(signal="ema_6")}, indicators=INDICATORS)
        found = doctor()
        assert found.code == 78
        found.failed("strategies: ", "cross.yaml:5", "did you mean 'ema_5'", "docs/STRATEGIES.md")
        assert "sizes: indicators and strategies cannot be read" in found.of("not checked")

    def test_no_strategy(self, doctor, configuration):
        text = strategy() + "activation: {enabled: false}\n"
        configuration({"cross": text}, indicators=INDICATORS)
        doctor().warned("none is enabled for EURUSD", "strategies/eurusd")

    def test_a_calendar_that_cannot_be_read(self, doctor, folder):
        place = folder / "conf" / "restrictions"
        place.mkdir()
        (place / "economic-calendar.csv").write_text("When,What\n")
        found = doctor()
        assert found.code == 78
        found.failed("restrictions: ", "economic-calendar.csv")


class TestBridge:
    def test_down(self, doctor):
        """One failure; what hangs on it is not checked. Red when each asks again for itself."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        found = doctor(API_BASE_URL=f"http://user:secret@127.0.0.1:{port}/mt5")
        assert found.code == 69
        found.failed("bridge: GET health: cannot connect", "Fix: start the bridge")
        assert len(found.of("not checked")) > 10
        assert {line.partition(": ")[2] for line in found.of("not checked")} == {
            "the bridge does not answer"
        }
        assert "secret" not in found.out

    def test_the_wrong_path(self, doctor, broker):
        """It is looked for where it usually is."""
        found = doctor(API_BASE_URL=broker.url.removesuffix("/mt5") + "/api")
        assert found.code == 69
        found.failed("bridge: health: Not Found", f"Fix: set API_BASE_URL to {broker.url}")

    def test_the_wrong_path_of_no_bridge(self, doctor, rogue):
        rogue.answer(reply(status=404))
        found = doctor(API_BASE_URL=rogue.url)
        assert found.code == 69
        found.failed("bridge: ", "Fix: see that API_BASE_URL is a bridge and ends with its path")

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (reply(body=b"<html>Welcome</html>"), ("no JSON", "no other program")),
            (reply(status=401), ("HTTP 401", "user and password into API_BASE_URL")),
            (reply(status=403), ("HTTP 403", "let this machine in")),
            (reply(status=500), ("HTTP 500", "log of the bridge")),
            (reply(status=302, headers=["Location: /login"]), ("a redirect", "no other program")),
            (CLOSE, ("no answer", "no other program")),
        ],
    )
    def test_not_a_bridge(self, doctor, rogue, answer, words):
        rogue.answer(answer)
        found = doctor(API_BASE_URL=rogue.url, SERVICES_DATA_FETCHING_RETRY_ATTEMPTS="0")
        assert found.code == 69
        found.failed("bridge: ", *words)

    def test_one_that_hangs(self, doctor, rogue):
        rogue.answer(rogue.hang)
        found = doctor(API_BASE_URL=rogue.url, API_TIMEOUT="0.2")
        assert found.code == 69
        found.failed("no answer in 0.2 s", "it hangs")

    def test_a_service_that_is_healthy_and_no_bridge(self, doctor, rogue):
        """Whatever it says of its health: what it does not know is said once for each kind."""
        rogue.answer(
            lambda it: reply({"status": "ok"}) if it.path == "/mt5/health" else reply(status=404)
        )
        found = doctor(API_BASE_URL=rogue.url)
        assert found.code == 69
        assert [line.partition(":")[0] for line in found.of("FAILS")] == ["symbols", "account"]
        assert all("see that API_BASE_URL is a bridge" in line for line in found.of("FAILS"))

    def test_the_terminal_without_its_broker(self, doctor, broker):
        broker.control("terminal", connected=False)
        found = doctor()
        assert found.code == 69
        found.failed("terminal: the terminal is not connected", "Fix: log the terminal in")
        assert "sizes: the terminal is not connected" in found.of("not checked")

    def test_a_bridge_that_says_little(self, doctor, retold):
        """What it does not say is warned of, and the daemon's assumptions are named."""
        url = retold(
            health=lambda said: {"status": "ok", "clock": said["clock"], "speed": 0},
            account=lambda said: {
                name: said[name] for name in said if name not in {"hedging", "margin_mode"}
            },
            symbols__EURUSD__info=lambda said: said | {"filling_mode": None},
        ).url
        found = doctor(API_BASE_URL=url)
        assert found.code == 0
        assert [line.partition(":")[0] for line in found.of("warning")] == [
            *("terminal", "autotrading", "netting"),
        ]
        assert "filling: the bridge does not say how EURUSD is filled, and chooses" in found.out

    @pytest.mark.parametrize(
        "path",
        [
            *("health", "account", "symbols", "positions", "orders"),
            *(f"symbols/EURUSD/{part}" for part in ("info", "tick", "tradable", "bars")),
        ],
    )
    def test_whatever_it_says_there_is_a_line(self, doctor, retold, path):
        """No traceback, and a fix for each failure."""
        objects = () if path == "health" else ({}, {"login": "one"})
        for said in (None, [], "yes", 7, [None], [{"ticket": -1}], *objects):
            url = retold(**{path.replace("/", "__"): lambda _, said=said: said}).url
            found = doctor(
                API_BASE_URL=url,
                SERVICES_DATA_FETCHING_RETRY_ATTEMPTS="0",
                SERVICES_INDICATOR_CALCULATION_HISTORY_BARS="20",
                REGIME_ENABLED="false",
            )
            assert found.code in {0, 69, 78}, found.out
            assert all("Fix: " in line for line in found.of("FAILS"))


class TestMarket:
    def test_a_symbol_with_a_suffix(self, doctor, configuration, bridge):
        """The broker's spelling is the fix."""
        found = doctor(API_BASE_URL=bridge("--suffix", ".r").url)
        assert found.code == 78
        found.failed("symbols: the broker has no symbol 'EURUSD': expected EURUSD.r", "Fix: write")
        assert "prices: the broker has none of the symbols" in found.of("not checked")

    def test_one_symbol_of_two(self, doctor, configuration):
        """The other one is checked."""
        configuration({"cross": strategy()}, symbol="EURGPB")
        configuration_of_both = {"TRADING_SYMBOLS": "EURUSD,EURGPB"}
        shutil.copytree(ROOT / "conf" / "strategies" / "eurusd", Path("conf/strategies/eurusd"))
        shutil.copytree(ROOT / "conf" / "indicators", Path("conf/indicators"))
        Path("conf/indicators/eurgpb").mkdir()
        Path("conf/indicators/eurgpb/eurgpb_1.yaml").write_text(INDICATORS["1"])
        found = doctor(**configuration_of_both)
        assert found.code == 78
        found.failed("no symbol 'EURGPB'")
        assert any(line.startswith("prices: EURUSD") for line in found.of("ok"))

    def test_a_symbol_the_terminal_does_not_watch(self, doctor, broker):
        """The daemon has it watched when it starts; the doctor only looks."""
        broker.call("POST", "symbols/select", symbol="EURUSD", enable=False)
        try:
            found = doctor()
        finally:
            broker.call("POST", "symbols/select", symbol="EURUSD", enable=True)
        assert found.code == 0, found.out
        assert [line.partition(":")[0] for line in found.of("warning")] == [
            *("server clock", "prices"),
        ]
        assert found.of("not checked") == ["sizes: EURUSD has no price"]

    def test_a_symbol_that_is_not_described(self, doctor, retold):
        """By bridges that describe only what their terminal watches."""
        found = doctor(API_BASE_URL=retold(symbols__EURUSD__info=REFUSED).url)
        found.warned("symbols: the terminal tells nothing of EURUSD", "add it to the Market Watch")

    def test_another_wall_clock(self, doctor, broker, retold):
        """A server an hour off, seen by a price that has just come."""
        found = doctor(API_BASE_URL=retold(symbols__EURUSD__tick=moved(hours=1)).url)
        assert found.code == 78
        found.failed("server clock: ", "UTC+03:00", "Fix: set BROKER_SERVER_TIMEZONE")
        assert "history: the server's clock is not known" in found.of("not checked")

    def test_a_wrong_clock_of_this_machine(self, doctor, retold):
        found = doctor(API_BASE_URL=retold(symbols__EURUSD__tick=moved(seconds=40)).url)
        assert found.code == 78
        found.failed("server clock: prices are 40 s ahead of this machine's clock", "(NTP)")

    def test_a_market_that_stands_still(self, doctor, retold):
        found = doctor(API_BASE_URL=retold(symbols__EURUSD__tick=moved(seconds=-200)).url)
        found.warned("prices: EURUSD has had no new price for 200 s", "market is open")

    def test_a_closed_market(self, doctor, bridge):
        """On a Saturday nothing tells the server's clock, and nothing is opened."""
        found = doctor(API_BASE_URL=bridge("--start", "2025-01-11T12:00Z").url)
        assert found.code == 0, found.out
        said = [line.partition(":")[0] for line in found.of("warning")]
        assert said == ["server clock", "tradable", "prices"]

    def test_no_candles(self, doctor, retold):
        found = doctor(API_BASE_URL=retold(symbols__EURUSD__bars=lambda _: []).url)
        assert found.code == 69
        found.failed("history: there are no candles of EURUSD M1", "open its chart")
        assert "sizes: cross has no candle to decide on" in found.of("not checked")

    def test_candles_that_cannot_be_true(self, doctor, retold):
        found = doctor(API_BASE_URL=retold(symbols__EURUSD__bars=lambda _: None).url)
        assert found.code == 69
        found.failed("history: symbols/EURUSD/bars")

    def test_too_few_candles(self, doctor, retold):
        """What waits, and for which column."""
        url = retold(symbols__EURUSD__bars=lambda bars: bars[-4:]).url
        line = doctor(API_BASE_URL=url).warned("history: cross is not ready")
        assert "ema_5 of M1, the regime of M1" in line

    def test_no_past_wanted(self, doctor):
        found = doctor(SERVICES_INDICATOR_CALCULATION_HISTORY_BARS="0")
        found.warned("history_bars is 0")
        assert "sizes: cross has no candle to decide on" in found.of("not checked")


class TestAccount:
    def test_another_account(self, doctor):
        found = doctor(LIVE_ACCOUNT="654321")
        assert found.code == 78
        found.failed("logged in to account 123456 on Bridge-Demo, expected 654321", "LIVE_ACCOUNT=")

    @pytest.mark.parametrize("mode", [2, "ACCOUNT_TRADE_MODE_REAL", "real"])
    def test_real_money_on_an_account_that_is_not_pinned(self, doctor, retold, mode):
        url = retold(account=lambda said: said | {"trade_mode": mode}).url
        line = doctor(API_BASE_URL=url, LIVE_ACCOUNT=None).warned("account: ", "with real money")
        assert line.endswith("Fix: set LIVE_ACCOUNT=123456")

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ("autotrading", ("switch Algo Trading on", "the password that may trade")),
            ("server_autotrading", ("forbidden by the broker", "ask the broker")),
        ],
    )
    def test_programs_may_not_trade(self, doctor, broker, wrong, words):
        broker.control("terminal", **{wrong: False})
        found = doctor()
        assert found.code == 69
        found.failed("autotrading: trading is off in the terminal", *words)

    @pytest.mark.parametrize("mode", [0, 3, "SYMBOL_TRADE_MODE_CLOSEONLY", "disabled"])
    def test_a_symbol_that_is_not_opened(self, doctor, retold, mode):
        url = retold(symbols__EURUSD__info=lambda said: said | {"trade_mode": mode}).url
        found = doctor(API_BASE_URL=url)
        assert found.code == 78
        found.failed("tradable: EURUSD ", "trade another of the broker's symbols")

    @pytest.mark.parametrize(("mode", "words"), [(1, "only be bought"), ("SHORTONLY", "be sold")])
    def test_a_symbol_of_one_side(self, doctor, retold, mode, words):
        url = retold(symbols__EURUSD__info=lambda said: said | {"trade_mode": mode}).url
        doctor(API_BASE_URL=url).warned("tradable: EURUSD", words)

    def test_an_unusual_way_of_filling(self, doctor, retold):
        url = retold(symbols__EURUSD__info=lambda said: said | {"filling_mode": 0}).url
        doctor(API_BASE_URL=url).warned("filling: EURUSD is filled by neither", "FILLING_RETURN")

    def test_strategies_that_share_a_position(self, doctor, configuration, bridge):
        configuration({"one": strategy("one"), "two": strategy("two")}, indicators=INDICATORS)
        url = bridge("--account", "netting").url
        doctor(API_BASE_URL=url).warned("netting: one, two share one position in EURUSD")

    def test_no_limit_of_a_loss(self, doctor):
        doctor(RISK_DAILY_LOSS_LIMIT="disabled").warned("limits: ", "set RISK_DAILY_LOSS_LIMIT")

    def test_a_limit_that_saves_nothing(self, doctor):
        doctor(RISK_DAILY_LOSS_LIMIT="10000").warned("limits: ", "all of the equity")


class TestSizes:
    @pytest.mark.parametrize(
        ("terms", "names", "words"),
        [
            (
                {"lots": "0.001"},
                {},
                ("volume_below_minimum", "the least is 0.01", "raise the value"),
            ),
            ({"lots": "2"}, {}, ("max_position_size", "2.00 lots", "raise RISK_MAX_POSITION_SIZE")),
            ({}, {"RISK_MAX_POSITION_SIZE": "0.005"}, ("max_position_size", "is 0.005")),
            ({}, {"RISK_DAILY_LOSS_LIMIT": "10"}, ("loss_at_risk", "or let it risk less")),
            (
                {},
                {"RISK_MAX_POSITIONS": "1", "POSITION_SPLIT": "2"},
                ("max_positions", "split less"),
            ),
        ],
    )
    def test_what_would_always_be_refused(self, doctor, configuration, terms, names, words):
        """The very refusal that the daemon would give."""
        configuration({"cross": strategy(**terms)}, indicators=INDICATORS)
        found = doctor(**names)
        assert found.code == 78
        found.failed("sizes: cross long is refused", *words)

    def test_stops_the_broker_does_not_take(self, doctor, bridge):
        """A stop 20 pips away where 250 points are demanded."""
        found = doctor(API_BASE_URL=bridge("--stops-level", "250").url)
        assert found.code == 78
        found.failed("stop_too_close", "at least 0.00250 away", "further away")
        assert "stops 250 points away" in found.out

    def test_lots_between_two_steps(self, doctor, configuration):
        configuration({"cross": strategy(lots="0.015")}, indicators=INDICATORS)
        doctor().warned("cross long asks for 0.015 lots, 0.01 are ordered", "in steps of 0.01")

    def test_a_refusal_that_the_market_may_take_back(self, doctor, configuration):
        """Sized by an indicator: it may be otherwise on the next candle."""
        text = strategy().replace("type: fixed, value: 0.1", "type: volatility, value: 50")
        configuration({"cross": text}, indicators={"1": INDICATORS["1"] + "atr: {window: 14}\n"})
        doctor().warned("cross long is refused, max_position_size", "(now)")

    def test_a_tick_without_a_value(self, doctor, retold):
        """Profits in yen that the bridge does not convert: no volume can be reckoned."""
        url = retold(
            symbols__EURUSD__info=lambda said: (
                said | {"trade_tick_value": 0, "currency_profit": "JPY"}
            )
        ).url
        found = doctor(API_BASE_URL=url)
        assert found.code == 69
        found.failed("sizes: the bridge does not tell trade_tick_value of EURUSD")

    def test_a_contract_without_a_size(self, doctor, retold):
        url = retold(symbols__EURUSD__info=lambda said: said | {"trade_contract_size": 0}).url
        found = doctor(API_BASE_URL=url)
        assert found.code == 78
        found.failed("sizes: the bridge does not tell trade_contract_size of EURUSD")


class TestRecords:
    def test_an_account_that_is_held(self, doctor, folder):
        """I17: a second daemon would end with 75, and the holder is named."""
        with hold(ACCOUNT, None, folder / "data" / "locks"):
            found = doctor()
        assert found.code == 75
        found.failed(f"account {ACCOUNT} is held by pid {os.getpid()}", "stop that daemon first")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty and has lost what it held"),
            (b"no journal" * 1000, "is no journal"),
        ],
    )
    def test_a_journal_that_is_none(self, doctor, folder, content, words):
        (folder / "data").mkdir()
        (folder / "data" / "journal.db").write_bytes(content)
        found = doctor()
        assert found.code == 74
        found.failed("journal: ", words, "Fix: docs/OPERATIONS.md")
        assert "strangers: the journal cannot be read" in found.of("not checked")

    def test_a_journal_of_another_version(self, doctor, folder, broker):
        with written(folder, broker):
            pass
        with closing(sqlite3.connect(folder / "data" / "journal.db")) as database, database:
            database.execute("UPDATE journal_version SET version_num = '9999'")
        found = doctor()
        assert found.code == 74
        found.failed("journal: ", "version 9999")

    def test_a_damaged_journal(self, doctor, folder, broker):
        """Red when the journal is read without looking at its pages."""
        with written(folder, broker) as journal:
            at = now(broker)
            for number in range(2000):
                journal.candle_announced(f"S{number}", Timeframe("M1"), at)
        path = folder / "data" / "journal.db"
        content = bytearray(path.read_bytes())
        content[8192:40960] = bytes(40960 - 8192)
        path.write_bytes(content)
        found = doctor()
        assert found.code == 74
        found.failed("journal: ", "is damaged")

    def test_what_the_journal_holds_back(self, doctor, folder, broker):
        """I12, I28: blocks and orders in doubt are said, though the daemon would start."""
        at = now(broker)
        with written(folder, broker) as journal:
            journal.admit(entry("A"), at)
            journal.settle("A", IntentState.UNKNOWN, at, detail="no answer")
            journal.block(Block(BlockReason.DAILY_LOSS_LIMIT, "lost 1000", at, at + timedelta(1)))
            journal.block(Block(BlockReason.REPEATED_REFUSALS, "thrice", at, strategy="cross"))
        found = doctor()
        assert found.code == 0
        doubt, loss, refusals = found.of("warning")
        assert "journal: what became of 1 of them is not known" in doubt
        assert "entries are blocked until 2025-01-07 08:00 UTC, daily_loss_limit: lost" in loss
        assert "entries of cross are blocked, repeated_refusals" in refusals
        assert "python -m app.main_switch ENABLE" in refusals

    def test_a_journal_in_postgresql(self, doctor, postgresql, tmp_path):
        """Looked into, and not made; an account held from another machine is held."""
        for _ in range(2):
            assert "journal: there is none yet; the daemon makes it" in doctor(
                JOURNAL_URL=postgresql
            ).of("ok")
        with hold(ACCOUNT, postgresql, tmp_path / "elsewhere"):
            found = doctor(JOURNAL_URL=postgresql)
        assert found.code == 75
        found.failed(f"account {ACCOUNT} is held by pid {os.getpid()}")

    def test_a_place_that_is_taken(self, doctor, folder):
        (folder / "data").write_text("")
        found = doctor()
        assert found.code == 74
        assert "folders: " in found.of("FAILS")[0]
        assert "is no folder. Fix: move it away" in found.of("FAILS")[0]

    @pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs setresuid, to be another user")
    @pytest.mark.parametrize("barred", ["data", "data/journal.db", "."])
    def test_a_missing_permission(self, doctor, main_here, broker, barred, monkeypatch):
        """77, and the place. As root, who may do all, the test acts as nobody."""
        place = Path(tempfile.mkdtemp())
        try:
            shutil.copytree("conf", place / "conf")
            monkeypatch.chdir(place)
            if barred != ".":
                with written(place, broker):
                    pass
            nobody = 65534 if os.geteuid() == 0 else os.geteuid()
            for path in (place, *place.rglob("*")):
                os.chown(path, nobody, -1)
            (place / barred).chmod(0o555 if barred == "." else 0o400)
            os.setresuid(nobody, nobody, os.geteuid())
            try:
                found = agree(doctor, main_here, broker, 77)
            finally:
                saved = os.getresuid()[2]
                os.setresuid(saved, saved, saved)
        finally:
            shutil.rmtree(place)
        assert f"no permission to write {place / barred}" in found.of("FAILS")[0]

    def test_a_log_file_that_cannot_be_written(self, doctor, folder):
        """The daemon says it first of all: what follows does not change the code."""
        names = {"LOGGING_FILE_OUTPUT": "true", "LOGGING_LOG_FILE": "logs/trading.log"}
        assert "log file: logs/trading.log can be written" in doctor(**names).of("ok")
        (folder / "logs").write_text("")
        with hold(ACCOUNT, None, folder / "data" / "locks"):
            found = doctor(**names)
        assert found.code == 78
        assert found.verdict == "2 problems"
        (folder / "logs").unlink()
        (folder / "logs" / "trading.log").mkdir(parents=True)
        found = doctor(**names)
        assert found.code == 78
        found.failed("log file: logs/trading.log is a folder", "LOGGING_LOG_FILE")

    def test_no_name_can_forge_a_line(self, doctor):
        """Red when the lines are not made printable."""
        found = doctor(LOGGING_FILE_OUTPUT="true", LOGGING_LOG_FILE="a\nok          b: fine")
        assert not [line for line in found.of("ok") if line.startswith("b: fine")]
        assert r"log file: a\nok          b: fine can be written" in found.of("ok")

    def test_the_kill_switch(self, doctor, folder):
        """Set on purpose: the daemon trades once it is set back."""
        (folder / "data").mkdir()
        (folder / "data" / "trading.switch").write_text("DISABLE 2025-01-06T07:00:00+00:00 news")
        line = doctor().warned("kill switch: ", "since 2025-01-06 07:00 UTC (news)")
        assert line.endswith("Fix: python -m app.main_switch ENABLE")

    def test_a_stranger_under_our_number(self, doctor, broker):
        """I4: an order with our magic that the journal does not know."""
        ours = broker.order(magic=magic_of("cross"), comment="ABCDEFGHIJKLMNO")
        broker.order(magic=77)
        found = doctor()
        assert found.code == 70
        found.failed(f"strangers: position {ours['ticket']} in EURUSD carries the magic of cross")
        assert "strangers: 2 positions and orders, 1 of others" in found.out

    def test_an_order_of_ours(self, doctor, broker, folder):
        """Known by its comment, or by its ticket where the broker changed that."""
        with written(folder, broker) as journal:
            for name, comment in (("AAAAAAAAAAAAAAA", None), ("BBBBBBBBBBBBBBB", "changed")):
                journal.admit(entry(name), now(broker))
                held = broker.order(magic=magic_of("cross"), comment=comment or f"{name} cross")
                ticket = held["ticket"] if comment else 0
                journal.settle(name, IntentState.FILLED, now(broker), ticket=ticket)
        found = doctor()
        assert found.code == 0, found.out
        assert "strangers: 2 positions and orders, 0 of others" in found.out


class TestOrder:
    def test_the_first_failure_gives_the_code(self, doctor, folder, broker):
        """As the daemon would: it never comes to the second."""
        with hold(ACCOUNT, None, folder / "data" / "locks"):
            (folder / "data" / "journal.db").write_bytes(b"")
            assert doctor().code == 75
            assert doctor(LIVE_ACCOUNT="654321").code == 78
            broker.control("terminal", connected=False)
            assert doctor(LIVE_ACCOUNT="654321").code == 69

    def test_a_wrong_option(self, doctor):
        assert doctor("--jsn").code == 64


class TestTheDaemon:
    """Ends with the code that the doctor gave."""

    @pytest.mark.parametrize(
        ("names", "code"),
        [
            ({"RISK_MAX_POSITIONS": "many"}, 78),
            ({"API_BASE_URL": "http://127.0.0.1:9/mt5"}, 69),
            ({"TRADING_SYMBOL": "GBPJPY"}, 78),
            ({"LIVE_ACCOUNT": "654321"}, 78),
            ({"LOGGING_FILE_OUTPUT": "true", "LOGGING_LOG_FILE": "conf"}, 78),
            ({"JOURNAL_URL": "sqlite:///conf"}, 74),
            ({"JOURNAL_FOLDER": "taken"}, 74),
        ],
    )
    def test_settings(self, doctor, main_here, broker, names, code):
        Path("taken").write_text("")
        shutil.copytree("conf/strategies/eurusd", "conf/strategies/gbpjpy")
        shutil.copytree("conf/indicators/eurusd", "conf/indicators/gbpjpy")
        Path("conf/indicators/gbpjpy/eurusd_1.yaml").rename("conf/indicators/gbpjpy/gbpjpy_1.yaml")
        agree(doctor, main_here, broker, code, **names)

    def test_a_strategy(self, doctor, main_here, configuration, broker):
        configuration({"cross": strategy(signal="ema_6")}, indicators=INDICATORS)
        agree(doctor, main_here, broker, 78)

    def test_a_terminal_that_is_not_connected(self, doctor, main_here, broker):
        broker.control("terminal", connected=False)
        agree(doctor, main_here, broker, 69)

    def test_an_account_that_is_held(self, doctor, main_here, broker, folder):
        with hold(ACCOUNT, None, folder / "data" / "locks"):
            agree(doctor, main_here, broker, 75)

    def test_a_journal_that_lost_what_it_held(self, doctor, main_here, broker, folder):
        (folder / "data").mkdir()
        (folder / "data" / "journal.db").write_bytes(b"")
        agree(doctor, main_here, broker, 74)


class TestOtherModes:
    def test_paper_without_a_bridge(self, doctor):
        """Nothing of a bridge is asked, and no account."""
        found = doctor(TRADE_MODE="paper", API_BASE_URL=None)
        assert found.code == 0, found.out
        assert found.verdict == "ready to trade on paper, without a bridge"
        names = dict.fromkeys(line.partition(":")[0] for line in found.of("ok"))
        assert list(names) == ["configuration", "strategies", "restrictions", "market"]

    def test_a_file_that_is_not_there(self, doctor):
        found = doctor(TRADE_MODE="paper", API_BASE_URL=None, MARKET_DATA_PATH="EURUSD.csv")
        assert found.code == 78
        found.failed("market: ", "EURUSD.csv")

    @pytest.mark.parametrize(
        ("mode", "verdict"),
        [
            ("paper", "ready to trade on paper on the market of the bridge"),
            ("monitor", "ready to watch on the market of the bridge"),
        ],
    )
    def test_on_the_market_of_the_bridge(self, doctor, broker, mode, verdict):
        """What concerns the account alone does not matter: it is never traded (I18)."""
        broker.control("terminal", autotrading=False)
        found = doctor(TRADE_MODE=mode, LIVE_ACCOUNT="654321")
        assert (found.code, found.verdict) == (0, verdict)
        assert f"lock: nobody trades {mode}" in found.of("ok")
        assert not [line for line in found.lines if "account:" in line or "sizes:" in line]
