"""Runs on files: to the end by themselves, the same every time, with the balance to the cent."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import orjson
import pytest

REAL = Path(__file__).parents[2] / "../shared/market_data"
QUIET = {
    "LOGGING_LEVELS": ",".join(
        f"services.{name}Service=WARNING"
        for name in ("DataFetching", "IndicatorCalculation", "StrategyEvaluation")
    )
}
UNSET = {"MARKET_DATA_SPEED": ""}


def as_metatrader(frame, path):
    """Write what MetaTrader 5 exports: tabs, dots in dates, angle brackets."""
    export = frame.assign(
        **{
            "<DATE>": frame["time"].dt.strftime("%Y.%m.%d"),
            "<TIME>": frame["time"].dt.strftime("%H:%M:%S"),
            "<VOL>": 0,
        }
    ).rename(columns={name: f"<{name.upper()}>" for name in ("open", "high", "low", "close")})
    export = export.rename(columns={"tick_volume": "<TICKVOL>", "spread": "<SPREAD>"})
    order = ["DATE", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD"]
    export.to_csv(path, sep="\t", index=False, columns=[f"<{name}>" for name in order])


WRITERS = {
    "EURUSD.csv": lambda frame, path: frame.to_csv(path, index=False),
    "EURUSD.parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "EURUSD_export.csv": as_metatrader,
}


@pytest.fixture
def run_on(main_here, simulated_bars):
    """Run the daemon on one file of the simulated market; return what it said and decided."""

    def run(name, frame=None, decisions="decisions.jsonl", **names):
        path = Path(name)
        if not path.exists():
            WRITERS[name](simulated_bars(days=1) if frame is None else frame, path)
        names = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": name, **QUIET, **UNSET, **names}
        ended = main_here("--decisions", decisions, **names)
        return ended, Path(decisions).read_bytes()

    return run


def account(ended):
    """Return deposits, result of all deals, balance; and that the daemon says they add up."""
    text = ended.out

    def money(label):
        return Decimal(re.search(rf"{label} ([-+\d,.]+)", text)[1].replace(",", ""))

    assert "(adds up)" in text
    return money("Deposits:"), money("Deals: \\d+, result"), money("Balance:")


class TestOneFile:
    @pytest.mark.parametrize("name", WRITERS)
    def test_runs_to_the_end_trades_and_adds_up(self, run_on, name):
        """M7, S13: CSV, Parquet and MetaTrader 5 exports, as fast as possible by default."""
        ended, decisions = run_on(name)
        assert (ended.code, ended.err) == (0, "")
        assert "EURUSD: 1,440 M1 bars from 2025-01-06 00:00 to 2025-01-06 23:59 UTC" in ended.out
        assert "Market speed: as fast as possible" in ended.out
        assert "Position closed: EURUSD" in ended.out
        deposits, result, balance = account(ended)
        assert deposits + result == balance != deposits
        assert ended.lines[-2] == "Shutdown complete. Thank you for trading!"
        lines = [orjson.loads(line) for line in decisions.splitlines()]
        assert any(line["trades"] for line in lines)

    def test_every_format_gives_the_same_decisions(self, run_on):
        """P16: what a file looks like does not matter, only its bars."""
        decided = {run_on(name)[1] for name in WRITERS}
        assert len(decided) == 1

    def test_twice_the_same_is_the_same(self, run_on):
        """P16: decisions and trades, byte for byte."""
        first, second = run_on("EURUSD.csv"), run_on("EURUSD.csv")
        assert first[1] == second[1]
        assert b'"action":"entry"' in first[1]
        assert account(first[0]) == account(second[0])

    def test_the_simulated_market_and_a_file_of_it_decide_alike(self, run_on, simulated_bars):
        """P16: same bars in, same decisions out, whatever gives them.

        The file begins where the simulated run warms up from.
        """
        span = {"MARKET_DATA_START": "2025-01-08", "MARKET_DATA_UNTIL": "2025-01-08T08:00Z"}
        bars = simulated_bars(days=3, start=datetime(2025, 1, 6, tzinfo=UTC))
        short = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "100"}
        _, from_file = run_on("EURUSD.parquet", bars, **span, **short)
        names = {
            "MARKET_DATA_SOURCE": "simulated",
            "MARKET_DATA_SEED": "7",
            "MARKET_DATA_SPEED": "0",
        }
        _, simulated = run_on("EURUSD.parquet", **span, **short, **names)
        assert from_file == simulated
        assert from_file.count(b'"entry_long":true') > 3

    def test_the_decision_lines(self, run_on):
        """S7: what each line of --decisions holds."""
        _, decisions = run_on("EURUSD.csv")
        lines = [orjson.loads(line) for line in decisions.splitlines()]
        assert list(lines[0]) == [
            "time", "symbol", "strategy", "timeframe",
            "entry_long", "entry_short", "exit_long", "exit_short", "regime", "trades",
        ]  # fmt: skip
        assert lines[0]["time"] == "2025-01-06T00:01:00+00:00"
        assert {line["entry_long"] for line in lines} == {True, False, "not_ready"}
        trade = next(trade for line in lines for trade in line["trades"])
        assert list(trade) == ["action", "direction", "size", "entry", "stop", "targets"]
        assert 0 < trade["size"] <= 1


class TestBadBars:
    def test_are_counted_reported_and_not_traded_on(self, run_on, simulated_bars):
        """P9: NaN, high below low, duplicate and out of order; the rest is traded as if alone."""
        import pandas as pd  # noqa: PLC0415 - only here

        good = simulated_bars(days=1)
        spoilt = good.copy()
        spoilt.loc[100, "close"] = float("nan")
        spoilt.loc[200, ["high", "low"]] = spoilt.loc[200, ["low", "high"]].to_numpy() * [0.9, 1.1]
        again = spoilt.iloc[[300]]
        old = spoilt.iloc[[5]]
        spoilt = pd.concat([spoilt.iloc[:301], again, spoilt.iloc[301:401], old, spoilt.iloc[401:]])
        ended, decided = run_on("EURUSD.csv", spoilt)
        assert ended.code == 0
        (said,) = (line for line in ended.lines if "bad bars" in line)
        assert "WARNING __main__: EURUSD: left out 4 bad bars" in said
        for kind in (
            "1 not a finite price (line 102)",
            "1 high below low (line 202)",
            "1 duplicate (line 303)",
            "1 out of order (line 404)",
        ):
            assert kind in said
        clean, expected = run_on("EURUSD.parquet", good.drop([100, 200]))
        assert decided == expected
        assert account(ended) == account(clean)


class TestSeveralSymbols:
    def test_trade_side_by_side_on_one_account(self, main_here, simulated_bars):
        """V14: SYMBOLS; each finds the file with its name, and the balance still adds up."""
        simulated_bars("EURUSD", days=1).to_csv("eurusd_m1.csv", index=False)
        simulated_bars("GBPUSD", days=1).to_csv("gbpusd_m1.csv", index=False)
        ended = main_here(
            SYMBOLS="EURUSD,GBPUSD",
            MARKET_DATA_SOURCE="file",
            MARKET_DATA_PATH="gbpusd_m1.csv,eurusd_m1.csv",
        )
        assert (ended.code, ended.err) == (0, "")
        for symbol in ("EURUSD", "GBPUSD"):
            for timeframe in ("1", "5", "15"):
                assert f"New candle detected for {symbol} {timeframe}" in ended.out
            assert f"{symbol}: 1,440 M1 bars" in ended.out
        deposits, result, balance = account(ended)
        assert deposits + result == balance

    def test_one_does_not_change_what_the_other_decides(self, main_here, simulated_bars):
        """P16: decisions know no account."""
        for symbol in ("EURUSD", "GBPUSD"):
            simulated_bars(symbol, days=1).to_csv(f"{symbol}.csv", index=False)

        def decisions(symbols):
            main_here(
                "--decisions", "out.jsonl",
                SYMBOLS=symbols,
                TRADE_MODE="monitor",
                **QUIET,
                MARKET_DATA_SOURCE="file",
                MARKET_DATA_PATH=",".join(f"{symbol}.csv" for symbol in symbols.split(",")),
            )  # fmt: skip
            lines = Path("out.jsonl").read_bytes().splitlines()
            return [line for line in lines if b'"symbol":"EURUSD"' in line]

        assert decisions("EURUSD,GBPUSD") == decisions("EURUSD") != []

    def test_each_needs_its_own_file(self, main_here):
        """V14: which file is whose must be plain."""
        names = {"SYMBOLS": "EURUSD,GBPUSD", "MARKET_DATA_PATH": "eurusd.csv,bars.csv"}
        ended = main_here(MARKET_DATA_SOURCE="file", **names)
        assert ended.code == 78
        assert "expected one file with GBPUSD in its name, found 0" in ended.err


@pytest.mark.market_data
@pytest.mark.parametrize(
    ("name", "until"),
    [
        ("GBPUSD_M1_201202.csv", "2012-02-03"),
        ("BTCUSD_M1_202201.parquet", "2022-01-03"),
    ],
)
def test_days_of_real_bars(daemon, main_here, folder, name, until):
    """M7: trades, adds up to the cent, and the same twice: as a process and in this one."""
    path, symbol = REAL / name, name[:6]
    if not path.exists():
        pytest.skip(f"no {name} in ../shared/market_data")
    names = {
        "TRADING_SYMBOL": symbol,
        "MARKET_DATA_SOURCE": "file",
        "MARKET_DATA_PATH": str(path.resolve()),
        "MARKET_DATA_UNTIL": until,
    }
    runs = []
    for start in (partial(daemon.run, folder), main_here):
        ended = start("--decisions", "decisions.jsonl", **names, **QUIET)
        assert (ended.code, ended.err) == (0, "")
        assert f"Order filled: {symbol}" in ended.out
        runs.append(((folder / "decisions.jsonl").read_bytes(), account(ended)))
    assert runs[0] == runs[1]
    deposits, result, balance = runs[0][1]
    assert deposits + result == balance
