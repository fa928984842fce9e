"""History through the services that trade live: the same trades, and books that add up."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from app import assembly, main_backtest, settings
from app.adapters import replay
from app.adapters.replay import ReplaySource
from app.backtest import honesty
from app.backtest.play import Play
from app.events import EntrySignalEvent, ExitSignalEvent
from app.live_trading import LiveTradingManager
from tests.integration.conftest import Run

BEGINNING = datetime.min.replace(tzinfo=UTC)
FRIDAY_EVENING = datetime(2025, 1, 10, 21, 40, tzinfo=UTC)
TOMORROW = datetime(2030, 1, 1, tzinfo=UTC)
REAL = Path(__file__).parents[2] / "../shared/market_data"


@pytest.fixture
def bars(folder, simulated_bars):
    """Return a file of two days of the simulated market, in the folder of this test."""
    simulated_bars(days=2).to_csv("EURUSD.csv", index=False)
    return "EURUSD.csv"


@pytest.fixture
def backtest(main_here):
    """Run the command here; return how it ended."""
    return lambda *arguments, **names: main_here(*arguments, main=main_backtest.main, **names)


def environ(file):
    return {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": str(file), "MARKET_DATA_SPEED": "0"}


def parts_of(names):
    return assembly.connect(settings.load(environ=names, dotenv=None).settings)


def strategy(name, *conditions, trigger="1"):
    """Return a strategy file that buys when all `conditions` are true."""
    long = "".join(f"      - {{{one}, timeframe: '{trigger}'}}\n" for one in conditions)
    return (
        f"name: {name}\ntimeframes: ['{trigger}']\n"
        f"entry:\n  long:\n    mode: all\n    conditions:\n{long}"
        "risk:\n  position_sizing: {type: fixed, value: 0.1}\n"
        "  sl: {type: fixed, value: 20}\n  tp: {type: fixed, value: 20}\n"
    )


RISING = "signal: close, operator: '>', value: open"
ABOVE_AVERAGE = "signal: close, operator: '>', value: ema_2000"
NEVER = "signal: close, operator: '<', value: 0"


def decided(signals):
    return [(it.candle.close_time, it.strategy, it.direction, it.facts) for it in signals]


class TestParity:
    """Daemon, backtest and predecessor are the same parts: the same bars, the same trades."""

    def check(self, names):
        daemon = Run(names, {}).to_the_end()
        deals = list(daemon.parts.broker.deals(BEGINNING))
        play = Play("test", parts_of(names))
        play.run()
        assert list(play.orchestrator.parts.broker.deals(BEGINNING)) == deals
        old = LiveTradingManager(parts_of(names))
        old.run()
        assert list(old.execution._broker.deals(BEGINNING)) == deals
        signals = [event.signal for event in daemon.of(EntrySignalEvent, ExitSignalEvent)]
        assert len(signals) > 10
        assert len(deals) > 10
        return play.outcome(), deals

    @pytest.mark.parametrize("mode", ["immediate", "batch"])
    def test_the_same_trades_on_a_file(self, bars, mode):
        """S8, S9, P19, P28, M8.

        Red when the predecessor evaluates before all rows of its cycle are in.
        """
        names = {**environ(bars), "SERVICES_TRADE_EXECUTION_EXECUTION_MODE": mode}
        outcome, deals = self.check(names)
        assert sum(
            trade.net for trade in outcome.trades
        ) == outcome.balance - outcome.capital - sum(
            deal.net
            for deal in deals
            if deal.symbol and deal.position not in {trade.ticket for trade in outcome.trades}
        )

    @pytest.mark.skipif(not REAL.exists(), reason="the recorded market data are not here")
    def test_the_same_trades_on_recorded_data(self, folder):
        names = environ((REAL / "GBPUSD_M1_201202.csv").resolve()) | {"TRADING_SYMBOLS": "GBPUSD"}
        self.check(names)


def test_exposure_is_the_time_between_opening_and_closing(folder, configuration, bars_file):
    """A position opened on Friday's last candle and closed on Sunday's first is open all weekend.

    Red when the candle that closes a position does not count.
    """
    trading = strategy("weekend", RISING).replace(
        "risk:",
        "exit:\n  long:\n    conditions:\n"
        "      - {signal: close, operator: '>', value: 0, timeframe: '1'}\nrisk:",
    )
    configuration({"weekend": trading})
    rising = [1.1 + 0.0001 * minute for minute in range(12)]
    friday = bars_file(rising, "EURUSD.csv", FRIDAY_EVENING).read_text()
    sunday = bars_file(rising, "sunday.csv", FRIDAY_EVENING + 2 * timedelta(days=1)).read_text()
    Path("EURUSD.csv").write_text(friday + sunday.partition("\n")[2])
    names = {**environ("EURUSD.csv"), "TRADING_TIMEFRAMES": "1"}
    play = Play("test", parts_of(names))
    play.run()
    outcome = play.outcome()
    held = [one.closed_at - one.opened_at for one in outcome.trades]
    assert max(held) > timedelta(days=1)
    assert outcome.exposed == sum(held, timedelta())


class Peeking(ReplaySource):
    """History whose newest candle has the next one's high, where there is a next one."""

    def latest(self, symbol, timeframe, count, now):
        candles = list(super().latest(symbol, timeframe, count, now))
        if candles and (later := super().after(symbol, timeframe, candles[-1].time, TOMORROW)):
            high = max(candles[-1].high, later[0].high)
            candles[-1] = replace(candles[-1], high=high)
        return candles


class TestHonesty:
    def played(self, names, peeks):
        def play(until=None, warm_up=1):
            ends = {} if until is None else {"MARKET_DATA_UNTIL": until.isoformat()}
            parts = parts_of({**names, **ends})
            if peeks:
                parts.source.__class__ = Peeking
            return Play("test", parts)

        return play

    def test_a_peek_of_what_joins_candles_is_named(self, bars, monkeypatch):
        """M15 candles that know a close an hour later. Red when only closed candles are cut off."""
        aggregate = replay.aggregate

        def peeking(base, timeframe, server_time):
            joined = aggregate(base, timeframe, server_time)
            later = np.searchsorted(base.time, joined.time + 4500)
            return replace(joined, close=base.close[np.minimum(later, len(base.time) - 1)])

        honest = list(honesty.looks_ahead(self.played(environ(bars), False)))
        monkeypatch.setattr(replay, "aggregate", peeking)
        named = list(honesty.looks_ahead(self.played(environ(bars), False)))
        assert honest == []
        assert any("EURUSD M15 column 'close'" in line for line in named)

    def test_the_future_is_cut_off_where_candles_were(self, folder, simulated_bars):
        """Red when a cut at the weekend compares nothing."""
        frame = simulated_bars(days=8)
        frame.to_csv("EURUSD.csv", index=False)
        closed = frame["time"] + timedelta(minutes=1)
        play = self.played(environ("EURUSD.csv"), False)
        cuts = []

        def noted(until=None):
            cuts.append(until)
            return play(until)

        assert list(honesty.looks_ahead(noted)) == []
        whole, *cuts = cuts
        assert whole is None
        assert len(cuts) == honesty.CUTS - 2, "one for both at the weekend"
        looked_at = timedelta(minutes=honesty.LOOKED_AT)
        seen = [((cut - looked_at < closed) & (closed <= cut)).sum() for cut in cuts]
        assert min(seen) > 0

    @pytest.mark.parametrize("peeks", [False, True])
    def test_a_peek_is_named_by_its_column(self, bars, peeks):
        """A candle that knows the next one's high. Red when rows are not compared."""
        found = list(honesty.looks_ahead(self.played(environ(bars), peeks)))
        assert bool(found) is peeks
        if peeks:
            assert "column 'high' at " in found[0]
            assert " with the future, " in found[0]

    @pytest.mark.parametrize(("history", "code"), [("40", 1), ("1500", 0)])
    def test_too_short_a_warm_up_is_named(self, backtest, simulated_bars, history, code):
        """An average of 50 rows that has seen 40 before the start is another one."""
        simulated_bars(days=46).to_csv("EURUSD.csv", index=False)
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": history}
        span = ("--from", "2025-02-19", "--to", "2025-02-20")
        ended = backtest("--data", "EURUSD.csv", *span, "--check-warm-up", **names)
        assert ended.code == code
        assert ("not settled" in ended.out) is bool(code)
        said = "1 finding" if code else "Warmed up: twice the history decides the same"
        assert ended.lines[-1] == said

    @pytest.mark.parametrize(
        ("begin", "history", "said"),
        [
            ((), "3000", "EURUSD M1: the data have 0 candles before the start, twice the history"),
            (("--from", "2025-01-06T01:00"), "1000", "have 60 candles before the start, twice the"),
            (("--from", "2025-01-07"), "1440", "1,440 candles before the start, twice the history"),
            (("--from", "2025-01-07"), "0", "history_bars is 0: there is no history to compare"),
        ],
    )
    def test_no_more_history_is_no_warm_up(self, backtest, bars, begin, history, said):
        """Red when a run compared with itself counts."""
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": history}
        ended = backtest("--data", bars, *begin, "--check-warm-up", **names)
        assert (ended.code, ended.out) == (78, "")
        assert said in ended.err

    def test_a_strategy_without_more_history_is_named(self, backtest, bars):
        """Beside one that has more."""
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "700"}
        both = ("--strategy", "ema-cross-m1", "--strategy", "bollinger-breakout")
        checked = ("--data", bars, "--from", "2025-01-07", "--check-warm-up")
        ended = backtest(*checked, *both, **names)
        assert (ended.code, ended.out) == (78, "")
        assert ended.err.startswith(
            "error: bollinger-breakout: EURUSD M5: the data have 288 candles before the start"
        )
        alone = backtest(*checked, *both[2:], **names)
        assert (alone.code, alone.out) == (78, "")
        assert alone.err.startswith("error: EURUSD M5: the data have 288 candles before the start")
        assert backtest(*checked, *both[:2], **names).code == 0

    @pytest.mark.parametrize("check", ["--check-look-ahead", "--check-warm-up"])
    def test_three_candles_say_nothing(self, backtest, bars_file, check):
        ended = backtest("--data", str(bars_file([1.1, 1.2, 1.1])), check)
        assert (ended.code, ended.out) == (78, "")
        assert ended.err.count("\n") == 1

    @pytest.mark.parametrize("check", ["--check-look-ahead", "--check-warm-up"])
    def test_a_strategy_that_was_never_ready_is_named(self, backtest, bars, configuration, check):
        """Also when another condition decides before it. Red when only decisions are looked at."""
        slow = strategy("mine", ABOVE_AVERAGE, NEVER)
        configuration(
            {"mine": slow, "other": strategy("other", RISING)},
            indicators={"1": "ema_2000: {period: 2000}\n"},
        )
        span = ("--from", "2025-01-07", "--to", "2025-01-07T08:00")
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "500"}
        ended = backtest("--data", bars, *span, check, **names)
        assert (ended.code, ended.out) == (78, "")
        assert ended.err == (
            "error: mine: was not ready in any candle that was compared: ema_2000 of EURUSD M1\n"
        )
        assert backtest("--data", bars, *span, check, "--strategy", "other", **names).code == 0

    def test_a_strategy_slower_than_the_look_is_named(self, backtest, bars, configuration):
        """200 minutes hold no close of its candles; alone it is looked at 200 of them."""
        slow = strategy("slow", RISING, trigger="H4")
        configuration({"fast": strategy("fast", RISING), "slow": slow})
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "4"}
        checked = ("--data", bars, "--from", "2025-01-07T08:30", "--check-warm-up")
        ended = backtest(*checked, **names)
        assert ended.code == 78
        assert "slow: no EURUSD H4 candle was compared" in ended.err
        assert backtest(*checked, "--strategy", "slow", **names).code == 0

    @pytest.mark.skipif(not REAL.exists(), reason="the recorded market data are not here")
    def test_less_than_twice_the_history_is_said(self, backtest):
        """A month of M1 has no 6,000 M15 candles: what there is is compared, the rest said."""
        file = str((REAL / "GBPUSD_M1_201202.csv").resolve())
        span = ("--from", "2012-02-17T12:00", "--to", "2012-02-18")
        ended = backtest("--data", file, "--symbol", "GBPUSD", *span, "--check-warm-up")
        said = "candles before the start, twice the history is 6,000: compared with"
        assert (ended.code, ended.lines) == (
            0,
            [
                "Warmed up: twice the history decides the same",
                f"Except GBPUSD M15: the data have 1,200 {said} no more",
                f"Except GBPUSD M5: the data have 3,600 {said} those",
            ],
        )

    @pytest.mark.skipif(not REAL.exists(), reason="the recorded market data are not here")
    def test_a_start_on_saturday_looks_at_the_first_candles(self, backtest):
        """Red when the hours without a candle are looked at."""
        file = str((REAL / "GBPUSD_M1_201202.csv").resolve())
        names = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "20"}
        span = ("--from", "2012-02-18", "--to", "2012-02-20T06:00")
        ended = backtest("--data", file, "--symbol", "GBPUSD", *span, "--check-warm-up", **names)
        assert ended.code == 1
        assert "gbpusd-macd-pullback at 2012-02-19 22:" in ended.out

    def test_costs_are_left_out_or_doubled(self, backtest, bars):
        """The same trades cost nothing, what is configured, or twice that."""
        paid = {}
        for costs in ("zero", "config", "double"):
            assert backtest("--data", bars, "--costs", costs, "--out", costs).code == 0
            with Path(costs, "trades.csv").open() as file:
                first = next(csv.DictReader(file))
            paid[costs] = Decimal(first["commission"]) / Decimal(first["volume"])
        assert paid["zero"] == 0
        assert paid["double"] == 2 * paid["config"] < 0

    @pytest.mark.parametrize(
        ("costs", "named", "charged"),
        [
            ("zero", ", costs zero", ("none.", "0", "0")),
            ("config", "", ("the candle's own; where the data have none, EURUSD 8", "3.5", "1")),
            ("double", ", costs doubled", ("2 times the candle's own", "7.0", "2")),
        ],
    )
    def test_a_run_says_which_costs_were_charged(self, backtest, bars, costs, named, charged):
        """In its assumptions, and in its name. Red with what is configured."""
        assert backtest("--data", bars, "--costs", costs, "--out", "out").code == 0
        run = json.loads(Path("out/figures.json").read_text())
        assert run["name"] == f"EURUSD on EURUSD.csv{named}"
        said = " ".join(run["assumptions"])
        spread, commission, slippage = charged
        assert f"Spread: {spread}" in said
        assert re.search(rf"Costs: {commission}(\.0)? USD commission a lot", said)
        assert f"stop losses {slippage} points worse" in said


class TestCommand:
    def test_files_and_console_add_up(self, backtest, bars):
        """S9: figures, trades and equity, on the console and in files."""
        ended = backtest("--data", bars, "--capital", "5000", "--out", "out")
        assert (ended.code, ended.err) == (0, "")
        assert "=== Backtest: EURUSD on EURUSD.csv ===" in ended.out
        for title in ("Figures, USD", "By strategy", "By regime", "By month", "Assumptions"):
            assert f"=== {title} ===" in ended.out
        names = {path.name for path in Path("out").iterdir()}
        assert {"trades.csv", "trades.parquet", "equity.csv", "figures.json"} <= names
        assert "report.html" in names
        with Path("out/trades.csv").open() as file:
            trades = list(csv.DictReader(file))
        figures = json.loads(Path("out/figures.json").read_text())
        assert trades
        assert "5,000.00" in ended.out
        assert str(len(trades)) in json.dumps(figures)

    def test_the_same_bars_give_the_same_files(self, backtest, bars):
        for folder in ("one", "two"):
            assert backtest("--data", bars, "--out", folder).code == 0
        for name in ("trades.csv", "equity.csv", "figures.json", "report.html"):
            assert Path("one", name).read_bytes() == Path("two", name).read_bytes()

    def test_one_strategy_and_part_of_the_data(self, backtest, bars):
        ended = backtest(
            *("--data", bars, "--strategy", "ema-cross-m1"),
            *("--from", "2025-01-06T12:00", "--to", "2025-01-07"),
        )
        assert ended.code == 0
        assert "Period: 2025-01-06 12:00 to 2025-01-07 00:00 UTC" in ended.out
        strategies = ended.out.partition("=== By strategy ===")[2].partition("===")[0]
        assert "ema-cross-m1" in strategies
        assert "rsi-bollinger" not in strategies

    def test_namesakes_of_two_symbols_are_refused(self, backtest, bars, configuration):
        """Red when one of them trades by the size and the stops of the other."""
        configuration({"mine": strategy("mine", RISING)})
        Path("conf/strategies/gbpusd").mkdir()
        other = strategy("mine", RISING).replace("value: 20", "value: 40")
        Path("conf/strategies/gbpusd/mine.yaml").write_text(other)
        Path("GBPUSD.csv").write_bytes(Path(bars).read_bytes())
        files = ("--data", bars, "--data", "GBPUSD.csv", "--symbol", "EURUSD", "--symbol", "GBPUSD")
        ended = backtest(*files)
        assert (ended.code, ended.out) == (78, "")
        assert "'mine' is the name of a strategy of EURUSD and of one of GBPUSD" in ended.err
        assert backtest("--data", "GBPUSD.csv", "--to", "2025-01-06T03:00").code == 0

    @pytest.mark.parametrize("service", ["data_fetching", "trade_execution"])
    def test_a_service_that_is_switched_off_is_said(self, backtest, bars, service):
        """Not a traceback, and not a run without trades that does not say why."""
        ended = backtest("--data", bars, **{f"SERVICES_{service.upper()}_ENABLED": "false"})
        assert ended.code == 78
        assert f"services.{service}.enabled is false" in ended.err
        assert ended.err.count("\n") == 1

    def test_a_live_environment_is_no_matter(self, backtest, bars):
        """Nobody's account is touched by a look at history."""
        live = {"TRADE_MODE": "live", "API_BASE_URL": "http://127.0.0.1:9"}
        assert backtest("--data", bars, "--to", "2025-01-06T03:00", **live).code == 0

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (("--strategy", "ema-cros-m1"), 78, "--strategy: there is no 'ema-cros-m1'"),
            (("--from", "yesterday"), 64, "--from: 'yesterday' is no ISO date or time"),
            (("--from", "2031-01-01"), 78, "market_data.start"),
            (("--to", "2031-01-01"), 78, "the data end at 2025-01-08 00:00"),
            (("--data", "nowhere.csv"), 78, "nowhere.csv"),
            (("--capital", "-1"), 64, "--capital"),
            (("--capital", "0"), 64, "--capital: expected more than 0"),
            (("--symbol", ""), 64, "--symbol: expected a name"),
            (
                ("--data", "EURUSD.csv", "--data", "EURUSD.csv"),
                64,
                "--data: the same file is named",
            ),
            (
                ("--symbol", "GBPUSD"),
                78,
                "EURUSD.csv is of EURUSD by its name, but GBPUSD is traded",
            ),
            (
                ("--check-look-ahead", "--check-warm-up"),
                64,
                "expected one of --check-look-ahead and --check-warm-up",
            ),
            (("--check-warm-up", "--out", "out"), 64, "--out: a check writes no files"),
            (("--out", "file/out"), 78, "file/out: cannot be made: a file stands in its way"),
        ],
    )
    def test_a_mistake_is_one_line(self, backtest, bars, arguments, code, said):
        Path("file").write_text("")
        data = () if "--data" in arguments else ("--data", bars)
        ended = backtest(*data, *arguments)
        assert (ended.code, ended.out) == (code, "")
        assert said in ended.err
        assert "Traceback" not in ended.err

    @pytest.mark.parametrize("name", ["gbpusd_2025.csv", "EURUSD.csv", "bars.csv"])
    def test_the_files_name_says_what_is_traded(self, backtest, folder, simulated_bars, name):
        """Where strategies of it exist; else what is configured. Red when the name is not read."""
        simulated_bars(days=1).to_csv(name, index=False)
        ended = backtest("--data", name)
        assert ended.code == 0
        symbol = "GBPUSD" if name.startswith("gbpusd") else "EURUSD"
        assert f"=== Backtest: {symbol} on {name} ===" in ended.out

    def test_what_is_left_out_of_the_data_is_said(self, backtest, folder, simulated_bars):
        """On the console, and where the run is kept. Red when only a log line says it."""
        bars = simulated_bars(days=1)
        bars.loc[100:109, "close"] = float("nan")
        bars.to_csv("EURUSD.csv", index=False)
        ended = backtest("--data", "EURUSD.csv", "--out", "out")
        assert ended.code == 0
        said = "EURUSD: left out 10 bad bars: 10 not a finite price"
        assert ended.err.startswith(f"warning: {said}")
        assumed = json.loads(Path("out/figures.json").read_text())["assumptions"]
        assert any(one.startswith(said) for one in assumed)

    def test_bars_too_long_for_what_is_configured_are_refused(self, backtest, folder):
        """The message says what asked for shorter ones."""
        hours = pd.date_range("2025-01-06", periods=100, freq="4h", tz="UTC")
        frame = pd.DataFrame(
            {"time": hours, "open": 1.1, "high": 1.1, "low": 1.1, "close": 1.1, "spread": 8}
        )
        frame.to_csv("EURUSD.csv", index=False)
        ended = backtest("--data", "EURUSD.csv")
        assert ended.code == 78
        assert "multiples of H4 in trading.timeframes and in the symbol's strategies" in ended.err

    @pytest.mark.parametrize("bridge", ["", "http://127.0.0.1:9"])
    def test_without_data_the_simulated_market_is_played(self, backtest, folder, bridge):
        """Whatever bridge is configured. Red when the source is left to the settings."""
        ended = backtest("--to", "2025-01-06T12:00", API_BASE_URL=bridge)
        assert (ended.code, ended.err) == (0, "")
        assert "simulated market" in ended.out

    @pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is no signal one can send there")
    def test_ctrl_c_keeps_what_was_played(self, daemon, folder, simulated_bars):
        """It comes when the bar of progress shows that candles are played."""
        simulated_bars(days=60).to_parquet("EURUSD.parquet", index=False)
        screen, stderr = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "app.main_backtest", "--data", "EURUSD.parquet", "--out", "out"],
            env=daemon.environment({}),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        os.close(stderr)
        while b"%" not in os.read(screen, 1 << 16):
            pass
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
        os.close(screen)
        assert process.returncode == 0
        assert "Interrupted" in out
        assert Path("out/report.html").exists()
