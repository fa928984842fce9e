"""What each indicator of the table is, candle by candle.

A definition takes its parameters and returns `Cells`: a function from the next candle to the
values of the indicator's columns, ``None`` where a column is not ready or not defined (a division
by a width of zero). Batch results come from the same function fed with history, so there is one
definition of each. Recursive averages are seeded with a simple mean, as in TA-Lib.
"""

from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Final, TypeAlias

from talib import stream

from app.domain.market import Candle
from app.domain.rows import Value
from app.indicators.streams import Handle, MovementStream, Stream

Cells: TypeAlias = Callable[[Candle], tuple[Value, ...]]
Triple: TypeAlias = tuple[float, float, float]

TREND_WORDS: Final = ("bullish", "bearish")
SOURCES: Final[dict[str, Callable[[Candle], float]]] = {
    "open": attrgetter("open"),
    "high": attrgetter("high"),
    "low": attrgetter("low"),
    "close": attrgetter("close"),
    "hl2": lambda candle: (candle.high + candle.low) / 2,
    "hlc3": lambda candle: (candle.high + candle.low + candle.close) / 3,
    "ohlc4": lambda candle: (candle.open + candle.high + candle.low + candle.close) / 4,
}
"""The prices an indicator can be asked to read, by the word for each."""

_FLAT_RSI: Final = 1e-9
"""An RSI (0 to 100) that moved less than this over its window did not move: what differs is
rounding, and a stochastic of it would be noise."""


def _of_close(handle: Callable[..., Handle[float]], period: int) -> Cells:
    line = Stream(handle, period)

    def cells(candle: Candle) -> tuple[Value, ...]:
        return (line.update(candle.close),)

    return cells


def ema(period: int) -> Cells:
    """Return the exponential moving average of the close, weight 2 / (period + 1)."""
    return _of_close(stream.EMA, period)


def sma(period: int) -> Cells:
    """Return the simple moving average of the close."""
    return _of_close(stream.SMA, period)


def rma(period: int) -> Cells:
    """Return Wilder's moving average of the close, weight 1 / period."""
    return _of_close(stream.RMA, period)


def atr(window: int) -> Cells:
    """Return Wilder's average true range; the first candle has none, lacking a previous close."""
    line = Stream(stream.ATR, window)

    def cells(candle: Candle) -> tuple[Value, ...]:
        return (line.update(candle.high, candle.low, candle.close),)

    return cells


def rsi(period: int, signal_period: int) -> Cells:
    """Return Wilder's RSI and the EMA of it."""
    line = MovementStream(stream.RSI, period)
    signal = Stream(stream.EMA, signal_period)

    def cells(candle: Candle) -> tuple[Value, ...]:
        value = line.update(candle.close)
        return (None, None) if value is None else (value, signal.update(value))

    return cells


def _place(close: float, upper: float, lower: float) -> float | None:
    """Return percent_b: 0 at the lower band, 1 at the upper; a channel without width has none."""
    return (close - lower) / (upper - lower) if upper > lower else None


def bb(window: int, num_std_dev: float) -> Cells:
    """Return Bollinger's bands of the close, population deviation, and percent_b."""
    bands: Stream[Triple] = Stream(stream.BBANDS, window, num_std_dev, num_std_dev)

    def cells(candle: Candle) -> tuple[Value, ...]:
        close = candle.close
        found = bands.update(close)
        if found is None:
            return (None, None, None, None)
        upper, middle, lower = found
        return (upper, middle, lower, _place(close, upper, lower))

    return cells


def keltner(ema_window: int, atr_window: int, multiplier: float) -> Cells:
    """Return the typical price's EMA ± multiplier · the true range's simple mean, and percent_b."""
    middle = Stream(stream.EMA, ema_window)
    mean_range = Stream(stream.SMA, atr_window)
    true_range = Stream(stream.TRANGE)

    def cells(candle: Candle) -> tuple[Value, ...]:
        high, low, close = candle.high, candle.low, candle.close
        typical = middle.update((high + low + close) / 3)
        reach = true_range.update(high, low, close)
        mean = None if reach is None else mean_range.update(reach)
        if typical is None or mean is None:
            return (None, typical, None, None)
        upper, lower = typical + multiplier * mean, typical - multiplier * mean
        return (upper, typical, lower, _place(close, upper, lower))

    return cells


def macd(fast: int, slow: int, signal: int) -> Cells:
    """Return EMA(fast) less EMA(slow) of the close, the EMA of that, and their difference."""
    lines: Stream[Triple] = Stream(stream.MACD, fast, slow, signal)

    def cells(candle: Candle) -> tuple[Value, ...]:
        return lines.update(candle.close) or (None, None, None)

    return cells


def stochrsi(rsi_period: int, stochrsi_period: int, k_smooth: int, d_smooth: int) -> Cells:
    """Return where the RSI stands in its range of late (0 to 100), twice smoothed by SMA."""
    line = MovementStream(stream.RSI, rsi_period)
    extremes: Stream[tuple[float, float]] = Stream(stream.MINMAX, stochrsi_period)
    k_line, d_line = Stream(stream.SMA, k_smooth), Stream(stream.SMA, d_smooth)

    def cells(candle: Candle) -> tuple[Value, ...]:
        value = line.update(candle.close)
        bounds = None if value is None else extremes.update(value)
        if value is None or bounds is None or bounds[1] - bounds[0] < _FLAT_RSI:
            k_line.restart()
            d_line.restart()
            return (None, None)
        lowest, highest = bounds
        smooth = k_line.update(100 * (value - lowest) / (highest - lowest))
        return (smooth, None if smooth is None else d_line.update(smooth))

    return cells


def stoch(k: int, d: int, smooth_k: int) -> Cells:
    """Return the close's place in the range of `k` candles (0 to 100), twice smoothed by SMA.

    A candle whose range is zero counts 0 in the smoothing, as in TA-Lib; while all `k` candles
    are one price both columns are not defined.
    """
    lines: Stream[tuple[float, float]] = Stream(stream.STOCH, k, smooth_k, 0, d, 0)
    previous: float | None = None
    still = 0

    def cells(candle: Candle) -> tuple[Value, ...]:
        nonlocal previous, still
        high, low = candle.high, candle.low
        still = 0 if high != low else still + 1 if high == previous else 1
        previous = high
        found = lines.update(high, low, candle.close)
        return (None, None) if found is None or still >= k else found

    return cells


def supertrend(period: int, multiplier: float) -> Cells:
    """Return the trailing band at (high + low) / 2 ∓ multiplier · ATR, and the side it is on."""
    lines: Stream[tuple[float, int]] = Stream(stream.SUPERTREND, period, multiplier)

    def cells(candle: Candle) -> tuple[Value, ...]:
        found = lines.update(candle.high, candle.low, candle.close)
        if found is None:
            return (None, None)
        return (found[0], TREND_WORDS[0] if found[1] > 0 else TREND_WORDS[1])

    return cells


def ichimoku(
    tenkan_period: int, kijun_period: int, senkou_b_period: int, chikou_shift: int
) -> Cells:
    """Return the lines as they are known now: no span is shifted forward.

    chikou is the close `chikou_shift` candles ago; the cloud is bullish where senkou A is above
    senkou B, else bearish.
    """
    tenkan_line = Stream(stream.MIDPRICE, tenkan_period)
    kijun_line = Stream(stream.MIDPRICE, kijun_period)
    senkou_line = Stream(stream.MIDPRICE, senkou_b_period)
    closes: deque[float] = deque(maxlen=chikou_shift + 1)

    def cells(candle: Candle) -> tuple[Value, ...]:
        high, low = candle.high, candle.low
        closes.append(candle.close)
        tenkan = tenkan_line.update(high, low)
        kijun = kijun_line.update(high, low)
        senkou_b = senkou_line.update(high, low)
        senkou_a = None if tenkan is None or kijun is None else (tenkan + kijun) / 2
        cloud = None
        if senkou_a is not None and senkou_b is not None:
            cloud = TREND_WORDS[0] if senkou_a > senkou_b else TREND_WORDS[1]
        chikou = closes[0] if len(closes) > chikou_shift else None
        return (tenkan, kijun, senkou_a, senkou_b, chikou, cloud)

    return cells


def adx(period: int) -> Cells:
    """Return Wilder's ADX, +DI and minus DI (0 to 100); where nothing ever moved they are 0."""
    strength = Stream(stream.ADX, period)
    plus, minus = Stream(stream.PLUS_DI, period), Stream(stream.MINUS_DI, period)

    def cells(candle: Candle) -> tuple[Value, ...]:
        high, low, close = candle.high, candle.low, candle.close
        return (
            strength.update(high, low, close),
            plus.update(high, low, close),
            minus.update(high, low, close),
        )

    return cells


def aroon(period: int) -> Cells:
    """Return how fresh the highest high and the lowest low of period + 1 candles are (0 to 100)."""
    lines: Stream[tuple[float, float]] = Stream(stream.AROON, period)

    def cells(candle: Candle) -> tuple[Value, ...]:
        found = lines.update(candle.high, candle.low)
        return (None, None) if found is None else (found[1], found[0])

    return cells


def sar(acceleration: float, max_acceleration: float) -> Cells:
    """Return Wilder's parabolic stop and reverse."""
    line = Stream(stream.SAR, acceleration, max_acceleration)

    def cells(candle: Candle) -> tuple[Value, ...]:
        return (line.update(candle.high, candle.low),)

    return cells


def obv(period: int) -> Cells:
    """Return the on-balance volume since the first candle seen, and how far it is off its EMA."""
    total = Stream(stream.OBV)
    mean = Stream(stream.EMA, period)

    def cells(candle: Candle) -> tuple[Value, ...]:
        volume = total.update(candle.close, candle.tick_volume)
        average = mean.update(volume)
        return (volume, None if volume is None or average is None else volume - average)

    return cells


def ursi(src: str, length: int, smooth_length: int) -> Cells:
    """Return the Ultimate RSI (LuxAlgo) and its Wilder-smoothed signal.

    diff is the range of the last `length` prices at a new high of theirs, minus the range at a
    new low, else the change; the line is 50 + 50 · RMA(diff) / RMA(abs(diff)), and not
    defined until a price has moved.
    """
    price_of = SOURCES[src]
    extremes: Stream[tuple[float, float]] = Stream(stream.MINMAX, length)
    push, pull = Stream(stream.RMA, length), Stream(stream.RMA, length)
    signal = Stream(stream.RMA, smooth_length)
    price = 0.0
    bounds: tuple[float, float] | None = None

    def cells(candle: Candle) -> tuple[Value, ...]:
        nonlocal price, bounds
        before, price = price, price_of(candle)
        previous, bounds = bounds, extremes.update(price)
        if previous is None or bounds is None:
            return (None, None)
        lowest, highest = bounds
        diff = price - before
        if highest > previous[1]:
            diff = highest - lowest
        elif lowest < previous[0]:
            diff = lowest - highest
        numerator, denominator = push.update(diff), pull.update(abs(diff))
        if not denominator or numerator is None:
            return (None, None)
        value = 50 + 50 * numerator / denominator
        return (value, signal.update(value))

    return cells
