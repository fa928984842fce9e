"""An EMA 20/50 cross, long and short, on 100,000 one-minute bars: ours beside other tools.

Ours is the whole chain: bus, four services, paper broker. Others run where they are installed
(extra ``bench``). All fill at the next open and cost nothing; before anything is timed, the trades
of each must be those of a plain loop over the same bars.
"""

import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import talib

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app import assembly, settings  # noqa: E402 - found by the path above
from app.backtest.play import Play  # noqa: E402
from app.domain.signals import Direction  # noqa: E402
from app.setting_services import LoggingSettings  # noqa: E402
from app.setting_values import LogLevel  # noqa: E402

BARS = 100_000
RUNS = 3
FAST, SLOW = 20, 50
START = datetime(2024, 1, 1, tzinfo=UTC)
STRATEGY = """
name: cross
timeframes: ["1"]
entry:
  long: {conditions: [{signal: ema_20, operator: crosses_above, value: ema_50}]}
  short: {conditions: [{signal: ema_20, operator: crosses_below, value: ema_50}]}
exit:
  long: {conditions: [{signal: ema_20, operator: crosses_below, value: ema_50}]}
  short: {conditions: [{signal: ema_20, operator: crosses_above, value: ema_50}]}
risk: {position_sizing: {type: fixed, value: 0.01}}
"""
INDICATORS = """
ema_20: {period: 20}
ema_50: {period: 50}
"""


class Trade(NamedTuple):
    """Where a trade began, its side, and the prices it was opened and closed at."""

    opened: datetime
    side: int
    entry: float
    exit: float


Run = Callable[[], Sequence[Trade]]


def bars() -> pd.DataFrame:
    """Return a random walk with a slow swell, five digits; the same every time."""
    draw = random.Random(7)
    close, at = [], 1.1
    for minute in range(BARS):
        at += draw.gauss(0, 0.00012) + 0.00002 * math.sin(minute / 900)
        close.append(round(max(at, 0.5), 5))
    closes = np.array(close)
    opens = np.concatenate(([1.1], closes[:-1]))
    wick = np.array([round(abs(draw.gauss(0, 0.0001)), 5) for _ in range(BARS)])
    return pd.DataFrame(
        {
            "time": pd.date_range(START, periods=BARS, freq="min", tz="UTC"),
            "open": opens,
            "high": np.round(np.maximum(opens, closes) + wick, 5),
            "low": np.round(np.minimum(opens, closes) - wick, 5),
            "close": closes,
            "tick_volume": 100,
            "spread": 0,
        }
    )


def plain(frame: pd.DataFrame) -> Run:
    """Return a plain loop: what all others are held to."""

    def run() -> Sequence[Trade]:
        fast = talib.EMA(frame["close"].to_numpy(), FAST)
        slow = talib.EMA(frame["close"].to_numpy(), SLOW)
        opens, times = frame["open"].to_numpy(), frame["time"].dt.to_pydatetime()
        above = fast > slow
        trades, side, opened, entry = [], 0, START, 0.0
        for at in range(SLOW, BARS - 1):
            if above[at] == above[at - 1]:
                continue
            if side:
                trades.append(Trade(opened, side, entry, float(opens[at + 1])))
            side = 1 if above[at] else -1
            opened = times[at + 1]
            entry = float(opens[at + 1])
        return trades

    return run


def ours(frame: pd.DataFrame, folder: Path, **names: str) -> Run:
    """Return the chain that trades live, on a file."""
    conf = folder / "conf"
    for place, text in (
        ("strategies/eurusd/cross", STRATEGY),
        ("indicators/eurusd/eurusd_1", INDICATORS),
    ):
        file = conf / f"{place}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    path = folder / "EURUSD.parquet"
    frame.to_parquet(path, index=False)
    environ = {
        "CONF_FOLDER_PATH": str(conf),
        "MARKET_DATA_SOURCE": "file",
        "MARKET_DATA_PATH": str(path),
        "MARKET_DATA_SPEED": "0",
        "TRADING_SYMBOL": "EURUSD",
        "TRADING_TIMEFRAMES": "1",
        "REGIME_ENABLED": "false",
        "RISK_DAILY_LOSS_LIMIT": "disabled",
        "BROKER_PAPER_SPREAD_POINTS": "0",
        "BROKER_PAPER_SLIPPAGE_POINTS": "0",
        "BROKER_PAPER_COMMISSION_PER_LOT": "0",
        **names,
    }

    def run() -> Sequence[Trade]:
        parts = assembly.connect(settings.load(environ=environ, dotenv=None).settings)
        play = Play("benchmark", parts)
        play.run()
        return [
            Trade(
                trade.opened_at,
                1 if trade.direction is Direction.LONG else -1,
                float(trade.entry),
                float(trade.exit),
            )
            for trade in play.outcome().trades
        ]

    return run


def backtesting_py(frame: pd.DataFrame) -> Run:
    """Return backtesting.py's run."""
    from backtesting import Backtest, Strategy  # noqa: PLC0415 - where it is installed
    from backtesting.lib import crossover  # noqa: PLC0415

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(talib.EMA, self.data.Close, FAST)
            self.slow = self.I(talib.EMA, self.data.Close, SLOW)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.position.close()
                self.buy(size=1)
            elif crossover(self.slow, self.fast):
                self.position.close()
                self.sell(size=1)

    data = frame.set_index(frame["time"].dt.tz_localize(None)).rename(columns=str.capitalize)
    data = data[["Open", "High", "Low", "Close"]]

    def run() -> Sequence[Trade]:
        found: Any = Backtest(data, Cross, cash=1_000_000).run()["_trades"]
        return [
            Trade(
                row.EntryTime.tz_localize("UTC").to_pydatetime(),
                int(row.Size),
                row.EntryPrice,
                row.ExitPrice,
            )
            for row in found.sort_values("EntryBar").itertuples()
        ]

    return run


def backtrader_run(frame: pd.DataFrame) -> Run:
    """Return backtrader's run."""
    import backtrader as bt  # noqa: PLC0415 - where it is installed

    class Cross(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            fast = bt.talib.EMA(self.data.close, timeperiod=FAST)
            slow = bt.talib.EMA(self.data.close, timeperiod=SLOW)
            self.cross = bt.ind.CrossOver(fast, slow)
            self.done: list[Trade] = []

        def next(self) -> None:
            if self.cross[0]:
                self.close()
                (self.buy if self.cross[0] > 0 else self.sell)(size=1)

        def notify_trade(self, trade: Any) -> None:
            if trade.isclosed:
                opened = bt.num2date(trade.dtopen).replace(tzinfo=UTC)
                at = opened + timedelta(seconds=30)
                side = 1 if trade.history[0].event.size > 0 else -1 if trade.history else 0
                self.done.append(Trade(at.replace(second=0, microsecond=0), side, trade.price, 0.0))

    data = frame.set_index(frame["time"].dt.tz_localize(None))

    def run() -> Sequence[Trade]:
        cerebro = bt.Cerebro(stdstats=False, tradehistory=True)
        cerebro.broker.set_cash(1_000_000)
        cerebro.adddata(bt.feeds.PandasData(dataname=data, volume=None, openinterest=None))
        cerebro.addstrategy(Cross)
        (strategy,) = cerebro.run()
        return strategy.done

    return run


def _agree(name: str, found: Sequence[Trade], wanted: Sequence[Trade], *, exits: bool) -> None:
    """Raise when a tool did not trade what the plain loop did; the last one may be open still."""
    for ours, theirs in zip(found, wanted, strict=False):
        same = ours.opened == theirs.opened and abs(ours.entry - theirs.entry) < 1e-6
        if not same or (exits and abs(ours.exit - theirs.exit) > 1e-6):
            raise AssertionError(f"{name} traded {ours}, the plain loop {theirs}")
    if abs(len(found) - len(wanted)) > 1:
        raise AssertionError(f"{name} made {len(found)} trades, the plain loop {len(wanted)}")


def _speed(run: Run) -> float:
    """Return bars a second, the best of some runs."""
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return BARS / min(took)


def rows() -> Iterator[tuple[str, float, str]]:
    """Yield the figures of every tool that is installed."""
    assembly.set_up_logging(LoggingSettings(level=LogLevel.ERROR), to_file=False)
    frame = bars()
    with TemporaryDirectory() as folder:
        tools: dict[str, Run] = {
            "a plain loop": plain(frame),
            "ours: bus, four services, paper broker": ours(frame, Path(folder)),
        }
        if find_spec("backtesting"):
            tools["backtesting.py"] = backtesting_py(frame)
        if find_spec("backtrader"):
            tools["backtrader"] = backtrader_run(frame)
        wanted = tools["a plain loop"]()
        for name, run in tools.items():
            _agree(name, run(), wanted, exits=name != "backtrader")
            yield f"{name}, {len(wanted):,} trades", _speed(run), "bars/s"


os.environ.setdefault("BACKTESTING_DISABLE_PROGRESS", "1")
