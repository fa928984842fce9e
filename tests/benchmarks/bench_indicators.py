"""How long the newest values of ten indicators take when a candle arrives.

Run it from the project's root: ``python -m tests.benchmarks.bench_indicators``, or by its path.
"""

import random
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median

import numpy as np
import talib
from talib import stream

from app.domain.market import Candle, Timeframe
from app.indicators.engine import IndicatorEngine
from app.indicators.regime import RegimeDetector, RegimeSettings
from app.indicators.registry import spec_of

TEN = {
    "ema_20": {"period": 20},
    "ema_50": {"period": 50},
    "ema_200": {"period": 200},
    "rsi": {"period": 14},
    "atr": {"window": 14},
    "bb": {"window": 20},
    "macd": {},
    "adx": {"period": 14},
    "supertrend": {},
    "stoch": {},
}
WARM_UP = 1000
REPEATS = 7


def market(bars: int) -> list[Candle]:
    """Return a seeded random walk of one-minute candles."""
    dice = random.Random(3)
    minute = Timeframe("1")
    opened = datetime(2025, 1, 6, tzinfo=UTC)
    close = 1.1
    candles = []
    for _ in range(bars):
        open_ = close
        close += dice.gauss(0, 0.0002)
        high = max(open_, close) + abs(dice.gauss(0, 0.0001))
        low = min(open_, close) - abs(dice.gauss(0, 0.0001))
        volume = float(dice.randint(1, 300))
        candles.append(
            Candle("EURUSD", minute, opened, opened + minute.delta, open_, high, low, close, volume)
        )
        opened += minute.delta
    return candles


def microseconds(work: Callable[[], object], times: int) -> float:
    """Return the median over several runs of what one of `times` pieces of `work` takes."""
    runs = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        runs.append((time.perf_counter() - start) / times * 1e6)
    return median(runs)


def engine(candles: list[Candle], regime: RegimeSettings | None) -> float:
    """Measure candle in, row out."""
    specs = [spec_of(key, parameters) for key, parameters in TEN.items()]
    ours = IndicatorEngine("EURUSD", Timeframe("1"), specs, regime)
    ours.warm_up(candles[:WARM_UP])

    def work() -> None:
        for candle in candles[WARM_UP:]:
            ours.update(candle)

    return microseconds(work, len(candles) - WARM_UP)


def regime_alone(candles: list[Candle]) -> float:
    """Measure candle in, regime out."""
    detector = RegimeDetector(RegimeSettings())

    def work() -> None:
        for candle in candles:
            detector.update(candle)

    return microseconds(work, len(candles))


def bare_streams(candles: list[Candle]) -> float:
    """Measure TA-Lib's streams alone: nothing is kept of what they give."""
    past = candles[:WARM_UP]
    high, low, close = (
        np.array([getattr(candle, name) for candle in past]) for name in ("high", "low", "close")
    )
    of_close = [
        *(stream.EMA(close, period).update for period in (20, 50, 200)),
        stream.RSI(close, 14).update,
        stream.BBANDS(close, 20, 2.0, 2.0).update,
        stream.MACD(close, 12, 26, 9).update,
    ]
    of_candle = [
        stream.ATR(high, low, close, 14).update,
        stream.ADX(high, low, close, 14).update,
        stream.SUPERTREND(high, low, close, 10, 3.0).update,
        stream.STOCH(high, low, close, 14, 3, 0, 3, 0).update,
    ]

    def work() -> None:
        for candle in candles[WARM_UP:]:
            high, low, close = candle.high, candle.low, candle.close
            for update in of_close:
                update(close)
            for take in of_candle:
                take(high, low, close)

    return microseconds(work, len(candles) - WARM_UP)


def batch(candles: list[Candle]) -> float:
    """Measure TA-Lib's batch functions over the last 300 candles."""
    past = candles[-300:]
    high, low, close = (
        np.array([getattr(candle, name) for candle in past]) for name in ("high", "low", "close")
    )

    def work() -> None:
        for _ in range(100):
            for period in (20, 50, 200):
                talib.EMA(close, period)
            talib.RSI(close, 14)
            talib.ATR(high, low, close, 14)
            talib.BBANDS(close, 20, 2.0, 2.0)
            talib.MACD(close, 12, 26, 9)
            talib.ADX(high, low, close, 14)
            talib.SUPERTREND(high, low, close, 10, 3.0)
            talib.STOCH(high, low, close, 14, 3, slowd_period=3)

    return microseconds(work, 100)


def pandas_ta(candles: list[Candle]) -> float:
    """Measure pandas-ta over a frame of the last 1,000 candles."""
    import pandas as pd  # noqa: PLC0415 - only what is measured is imported

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas_ta_classic as ta  # noqa: PLC0415
    past = candles[-1000:]
    high, low, close = (
        pd.Series([getattr(candle, name) for candle in past]) for name in ("high", "low", "close")
    )

    def work() -> None:
        for period in (20, 50, 200):
            ta.ema(close, length=period)
        ta.rsi(close, length=14)
        ta.atr(high, low, close, length=14)
        ta.bbands(close, length=20)
        ta.macd(close)
        ta.adx(high, low, close, length=14)
        ta.supertrend(high, low, close, length=10)
        ta.stoch(high, low, close)

    return microseconds(work, 1)


def rows() -> list[tuple[str, float, str]]:
    """Return what was measured: name, value, unit."""
    candles = market(WARM_UP + 10_000)
    return [
        ("ten indicators, candle to row", engine(candles, None), "µs"),
        ("the same with the regime on", engine(candles, RegimeSettings()), "µs"),
        ("the regime alone", regime_alone(candles), "µs"),
        ("bare TA-Lib streams", bare_streams(candles), "µs"),
        ("TA-Lib batch on 300 bars", batch(candles), "µs"),
        ("pandas-ta on 1,000 bars", pandas_ta(candles), "µs"),
    ]


if __name__ == "__main__":
    for name, value, unit in rows():
        print(f"{name:<32}{value:>12,.2f} {unit}")
