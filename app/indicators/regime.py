"""The market regime: which way the market goes, and whether its range expands or contracts.

Everything is taken from closed candles of one symbol and timeframe; see the function each score
comes from. Exponential averages are seeded by a simple mean: what is left of the seed's error in
EMA200 after n more candles is (199/201)^n of it.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from datetime import datetime
from typing import Final, TypeAlias

import msgspec
from talib import stream

from app.domain.market import Candle
from app.domain.rows import WARMING_UP
from app.indicators.definitions import Triple
from app.indicators.streams import MovementStream, Stream

Reading: TypeAlias = tuple[str, float | None, bool]
"""Label, confidence (0 to 1, ``None`` before it can be known), and whether it is a transition."""

_RSI_OVERSOLD: Final = 30
_RSI_FALLING: Final = 45
_RSI_RISING: Final = 55
_RSI_OVERBOUGHT: Final = 70
_EXPANDING_RATIO: Final = 1.1
_WIDTH_QUANTILE: Final = 0.7
_WIDTH_BEFORE_ANY: Final = 0.04
_WEIGHTS: Final = 5 + 3 + 2
LEANS_KEPT: Final = 10_000
"""Of the averages, the RSI and the histogram; the slope adds one where there is any."""


class RegimeSettings(msgspec.Struct, frozen=True):
    """How the regime is read; all are numbers of candles.

    `warmup_bars` must be seen before a label is given, a new label must come `persist_bars` times
    in a row to be adopted, a change is a transition for `transition_bars`, and a Bollinger width
    is compared with those of `threshold_window` candles, itself included.
    """

    warmup_bars: int = 500
    persist_bars: int = 2
    transition_bars: int = 3
    threshold_window: int = 200


class HigherTimeframeBias:
    """Which way a higher timeframe leans: its close against its EMA200, and its MACD histogram.

    It leans only where both agree. Its newest `LEANS_KEPT` changes are kept, so that history of a
    lower timeframe can be read with the lean of its own time.
    """

    def __init__(self) -> None:
        self._ema200 = Stream(stream.EMA, 200)
        self._macd: Stream[Triple] = Stream(stream.MACD, 12, 26, 9)
        self._since: list[datetime] = []
        self._leans: list[str | None] = []

    def update(self, candle: Candle) -> None:
        """Take in a closed candle of the higher timeframe."""
        close = candle.close
        average, macd = self._ema200.update(close), self._macd.update(close)
        lean = None
        if average is not None and macd is not None:
            if close > average and macd[2] > 0:
                lean = "bull"
            elif close < average and macd[2] < 0:
                lean = "bear"
        if lean != self.at(candle.close_time):
            self._since.append(candle.close_time)
            self._leans.append(lean)
            if len(self._since) > 2 * LEANS_KEPT:
                del self._since[:LEANS_KEPT], self._leans[:LEANS_KEPT]

    def at(self, time: datetime) -> str | None:
        """Return ``"bull"``, ``"bear"`` or ``None``: the lean of the last close until `time`."""
        at = bisect_right(self._since, time)
        return self._leans[at - 1] if at else None


class RegimeDetector:
    """Reads the regime of one symbol and timeframe, candle by candle."""

    def __init__(
        self, settings: RegimeSettings | None = None, bias: HigherTimeframeBias | None = None
    ) -> None:
        self._settings = settings or RegimeSettings()
        self._bias = bias
        self._bars = 0
        self._ema20 = Stream(stream.EMA, 20)
        self._ema50 = Stream(stream.EMA, 50)
        self._ema200 = Stream(stream.EMA, 200)
        self._rsi = MovementStream(stream.RSI, 14)
        self._macd: Stream[Triple] = Stream(stream.MACD, 12, 26, 9)
        self._volatility = _Volatility(self._settings.threshold_window)
        self._slow_before: float | None = None
        self._label = WARMING_UP
        self._candidate = WARMING_UP
        self._times_seen = 0
        self._transition_left = 0

    def update(self, candle: Candle) -> Reading:
        """Take in a closed candle and return the regime on it."""
        close = candle.close
        before = self._slow_before
        self._slow_before = ema20 = self._ema20.update(close)
        ema50, ema200 = self._ema50.update(close), self._ema200.update(close)
        rsi, macd = self._rsi.update(close), self._macd.update(close)
        expanding = self._volatility.update(candle)
        self._bars += 1
        if before is None or ema20 is None or ema50 is None or ema200 is None or macd is None:
            return (WARMING_UP, None, False)
        slope = (ema20 > before) - (ema20 < before)
        score = slope + (2 if close > ema50 else -2) + (3 if close > ema200 else -3)
        score += (2 if macd[2] > 0 else -2) + _momentum(rsi)
        direction = "bull" if score > 0 else "bear" if score < 0 else "neutral"
        if self._bias is not None and self._bias.at(candle.close_time) not in (None, direction):
            direction = "neutral"
        transition = self._persist(
            f"{direction}_expansion" if expanding else f"{direction}_contraction"
        )
        if self._bars < self._settings.warmup_bars:
            return (WARMING_UP, None, False)
        return (self._label, min(1.0, abs(score) / (_WEIGHTS + abs(slope))), transition)

    def _persist(self, label: str) -> bool:
        """Adopt `label` once it came often enough in a row; say whether this is a transition."""
        self._times_seen = self._times_seen + 1 if label == self._candidate else 1
        self._candidate = label
        self._transition_left -= 1
        if label != self._label and self._times_seen >= self._settings.persist_bars:
            self._label = label
            self._transition_left = self._settings.transition_bars
        return self._transition_left > 0


def _momentum(rsi: float | None) -> int:
    """Score Wilder's RSI, -3 to 3; a market that never moved has none and no score."""
    if rsi is None:
        return 0
    falling = 2 * (rsi < _RSI_FALLING) + (rsi < _RSI_OVERSOLD)
    return 2 * (rsi > _RSI_RISING) + (rsi > _RSI_OVERBOUGHT) - falling


class _Volatility:
    """Whether ranges expand: by the ATR ratio, or by Bollinger's width among those of late.

    The ratio's clip to 0.5 and 3 cannot change its comparison with 1.1, so it is not made.
    """

    def __init__(self, threshold_window: int) -> None:
        self._fast_range = Stream(stream.ATR, 14)
        self._slow_range = Stream(stream.ATR, 50)
        self._bands: Stream[Triple] = Stream(stream.BBANDS, 20, 2.0, 2.0)
        self._kept = threshold_window - 1
        self._widths: deque[float] = deque()
        self._sorted: list[float] = []

    def update(self, candle: Candle) -> bool:
        """Take in a closed candle; while the slow range is not known its ratio does not count."""
        high, low, close = candle.high, candle.low, candle.close
        fast, slow = (
            self._fast_range.update(high, low, close),
            self._slow_range.update(high, low, close),
        )
        bands = self._bands.update(close)
        if bands is None:
            return False
        upper, middle, lower = bands
        width = (upper - lower) / middle
        threshold = self._threshold()
        self._remember(width)
        ratio = fast / slow if fast is not None and slow else 1.0
        return ratio > _EXPANDING_RATIO or width > threshold

    def _threshold(self) -> float:
        """Return the 70th percentile of the widths before this one, interpolated linearly."""
        widths = self._sorted
        if not widths:
            return _WIDTH_BEFORE_ANY
        place = _WIDTH_QUANTILE * (len(widths) - 1)
        below = int(place)
        low, high = widths[below], widths[min(below + 1, len(widths) - 1)]
        return low + (high - low) * (place - below)

    def _remember(self, width: float) -> None:
        self._widths.append(width)
        insort(self._sorted, width)
        if len(self._widths) > self._kept:
            del self._sorted[bisect_left(self._sorted, self._widths.popleft())]
