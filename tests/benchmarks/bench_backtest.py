"""An EMA 20/50 cross, long and short, on 100,000 one-minute bars: ours beside other tools.

Ours is the whole chain, from the file to the books: bus, four services, paper broker. Others run
where they are installed (extra ``bench``); they get the bars in their own form, made before the
time starts. All fill at the next open and cost nothing; before anything is timed, the trades of
each must be those of a plain loop over the same bars.
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
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import talib

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

BARS = 100_000
RUNS = 3
PLAIN = "a plain loop"
ALL_TIMEFRAMES = ("1", "5", "15")
FAST, SLOW = 20, 50
START = datetime(2024, 1, 1, tzinfo=UTC)
STRATEGY = """
name: cross
timeframes: [%s]
entry:
  long: {conditions: [{signal: ema_20, operator: crosses_above, value: ema_50, timeframe: "1"}]}
  short: {conditions: [{signal: ema_20, operator: crosses_below, value: ema_50, timeframe: "1"}]}
exit:
  long: {conditions: [{signal: ema_20, operator: crosses_below, value: ema_50, timeframe: "1"}]}
  short: {conditions: [{signal: ema_20, operator: crosses_above, value: ema_50, timeframe: "1"}]}
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

    def line(self) -> str:
        """Return it as a line that another process can read."""
        return f"{self.opened.isoformat()} {self.side} {self.entry!r} {self.exit!r}"

    @classmethod
    def read(cls, line: str) -> "Trade":
        """Return the trade of a line."""
        opened, side, entry, closed = line.split()
        return cls(datetime.fromisoformat(opened), int(side), float(entry), float(closed))


Run = Callable[[], Sequence[Trade]]


def bars(count: int) -> pd.DataFrame:
    """Return a random walk with a slow swell, five digits; the same every time."""
    draw = random.Random(7)
    close, at = [], 1.1
    for minute in range(count):
        at += draw.gauss(0, 0.00012) + 0.00002 * math.sin(minute / 900)
        close.append(round(max(at, 0.5), 5))
    closes = np.array(close)
    opens = np.concatenate(([1.1], closes[:-1]))
    wick = np.array([round(abs(draw.gauss(0, 0.0001)), 5) for _ in range(count)])
    return pd.DataFrame(
        {
            "time": pd.date_range(START, periods=count, freq="min", tz="UTC"),
            "open": opens,
            "high": np.round(np.maximum(opens, closes) + wick, 5),
            "low": np.round(np.minimum(opens, closes) - wick, 5),
            "close": closes,
            "tick_volume": 100,
            "spread": 0,
        }
    )


def write(folder: Path, count: int) -> Path:
    """Write `count` bars; return the file that every tool starts from."""
    file = folder / "EURUSD.parquet"
    bars(count).to_parquet(file, index=False)
    return file


def plain(file: Path) -> Run:
    """Return a plain loop: what all others are held to."""
    frame = pd.read_parquet(file)

    def run() -> Sequence[Trade]:
        fast = talib.EMA(frame["close"].to_numpy(), FAST)
        slow = talib.EMA(frame["close"].to_numpy(), SLOW)
        opens, times = frame["open"].to_numpy(), pd.DatetimeIndex(frame["time"]).to_pydatetime()
        above = fast > slow
        trades, side, opened, entry = [], 0, START, 0.0
        for at in range(SLOW, len(opens) - 1):
            if above[at] == above[at - 1]:
                continue
            if side:
                trades.append(Trade(opened, side, entry, float(opens[at + 1])))
            side = 1 if above[at] else -1
            opened = times[at + 1]
            entry = float(opens[at + 1])
        return trades

    return run


def ours(file: Path, timeframes: Sequence[str] = ("1",), **names: str) -> Run:
    """Return the chain that trades live, on a file."""
    from app import assembly, settings  # noqa: PLC0415 - the others are weighed without it
    from app.backtest.play import Play  # noqa: PLC0415
    from app.domain.signals import Direction  # noqa: PLC0415
    from app.setting_services import LoggingSettings  # noqa: PLC0415
    from app.setting_values import LogLevel  # noqa: PLC0415

    assembly.set_up_logging(LoggingSettings(level=LogLevel.ERROR), to_file=False)
    conf = Path(mkdtemp(dir=file.parent))
    texts = {"strategies/eurusd/cross": STRATEGY % ", ".join(f'"{each}"' for each in timeframes)}
    texts |= {f"indicators/eurusd/eurusd_{each}": INDICATORS for each in timeframes}
    for place, text in texts.items():
        made = conf / f"{place}.yaml"
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(text)
    environ = {
        "CONF_FOLDER_PATH": str(conf),
        "MARKET_DATA_SOURCE": "file",
        "MARKET_DATA_PATH": str(file),
        "MARKET_DATA_SPEED": "0",
        "TRADING_SYMBOL": "EURUSD",
        "TRADING_TIMEFRAMES": ",".join(timeframes),
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


def backtesting_py(file: Path) -> Run:
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

    frame = pd.read_parquet(file)
    data = frame.set_index(frame["time"].dt.tz_localize(None)).rename(columns=str.capitalize)
    data = data[["Open", "High", "Low", "Close"]]

    def run() -> Sequence[Trade]:
        found: Any = Backtest(data, Cross, cash=1_000_000, finalize_trades=True).run()["_trades"]
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


def backtrader_run(file: Path) -> Run:
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

    frame = pd.read_parquet(file)
    data = frame.set_index(frame["time"].dt.tz_localize(None))

    def run() -> Sequence[Trade]:
        cerebro = bt.Cerebro(stdstats=False, tradehistory=True)
        cerebro.broker.set_cash(1_000_000)
        cerebro.adddata(bt.feeds.PandasData(dataname=data, volume=None, openinterest=None))
        cerebro.addstrategy(Cross)
        (strategy,) = cerebro.run()
        done: list[Trade] = strategy.done
        return done

    return run


def nautilus(file: Path) -> Run:
    """Return nautilus_trader's run."""
    import nautilus_cross  # noqa: PLC0415 - where it is installed

    return nautilus_cross.run_of(file)


def installed() -> dict[str, Callable[[Path], Run]]:
    """Return the tools that can run here, by name; each makes its run from the file of bars."""
    tools: dict[str, Callable[[Path], Run]] = {
        PLAIN: plain,
        "ours: bus, four services, paper broker": ours,
    }
    peers: dict[str, tuple[str, Callable[[Path], Run]]] = {
        "backtesting.py": ("backtesting", backtesting_py),
        "backtrader": ("backtrader", backtrader_run),
        "nautilus_trader": ("nautilus_trader", nautilus),
    }
    return tools | {name: make for name, (package, make) in peers.items() if find_spec(package)}


def agree(name: str, found: Sequence[Trade], wanted: Sequence[Trade]) -> None:
    """Raise when a tool did not trade what the plain loop did; the last one may be open still."""
    for one, plain_one in zip(found, wanted, strict=False):
        same = one[:2] == plain_one[:2] and abs(one.entry - plain_one.entry) < 1e-6
        # backtrader does not say what a trade was closed at.
        if not same or (name != "backtrader" and abs(one.exit - plain_one.exit) > 1e-6):
            raise AssertionError(f"{name} traded {one}, the plain loop {plain_one}")
    if abs(len(found) - len(wanted)) > 1:
        raise AssertionError(f"{name} made {len(found)} trades, the plain loop {len(wanted)}")


def _speed(run: Run, count: int) -> float:
    """Return bars a second, the best of some runs."""
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return count / min(took)


def rows(count: int = BARS) -> Iterator[tuple[str, float, str]]:
    """Yield the figures of every tool that is installed."""
    with TemporaryDirectory() as folder:
        file = write(Path(folder), count)
        wanted = plain(file)()
        for name, make in installed().items():
            run = make(file)
            agree(name, run(), wanted)
            yield f"{name}, {len(wanted):,} trades", _speed(run, count), "bars/s"
        run = ours(file, ALL_TIMEFRAMES, REGIME_ENABLED="true")
        agree("ours, three timeframes", run(), wanted)
        yield "ours, timeframes 1, 5 and 15 with the regime", _speed(run, count), "bars/s"


os.environ.setdefault("TQDM_DISABLE", "1")  # backtesting.py draws its progress with it
