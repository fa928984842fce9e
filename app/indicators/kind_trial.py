"""What a pandas-ta indicator is like, found by trying it, and its values candle by candle.

The library computes whole series, so a kind is computed anew for each candle over a window. A
trial on a made-up market finds how long that window must be and which columns look ahead.
"""

import math
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from app.domain.market import Candle
from app.domain.rows import Value
from app.indicators.faults import IndicatorError
from app.indicators.kinds import Call, Floats, Parameters, call_of

_WINDOWS: Final = (100, 200, 400, 800, 1600, 3200, 5000)
_TRIAL_BARS: Final = 6 * 1440
"""Minutes of six whole days: what restarts at midnight remembers longest at their end."""
_ENDS: Final = range(0, 3500, 89)
"""How many candles before the end of the trial a window is compared with all history."""
_CUTS: Final = (1000, 4321)
"""How many candles the trial is cut by to see what changes."""
_TOLERANCE: Final = 1e-9


class Kind(msgspec.Struct, frozen=True):
    """A pandas-ta indicator with its parameters, as its trial found it.

    `columns` are the library's names in lower case. `window` is how many candles a value must be
    computed over to be independent, to 1e-9 of the column's size, of where history begins.
    """

    call: Call
    columns: tuple[str, ...]
    looks_ahead: frozenset[str]
    window: int


class KindCells:
    """The values of a kind on each candle."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._bars = np.empty((6, 2 * kind.window))
        self._end = 0

    def take(self, candle: Candle) -> None:
        """Take a candle in without computing anything."""
        window = self._kind.window
        if self._end == 2 * window:
            self._bars[:, :window] = self._bars[:, window:]
            self._end = window
        self._bars[:, self._end] = (
            candle.time.timestamp(),
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.tick_volume,
        )
        self._end += 1

    def __call__(self, candle: Candle) -> tuple[Value, ...]:
        """Take a candle in and return the value of each column on it."""
        self.take(candle)
        kind = self._kind
        bars = self._bars[:, max(0, self._end - kind.window) : self._end]
        found = kind.call.compute(bars)
        newest = [float(found[name][-1]) if name in found else math.nan for name in kind.columns]
        return tuple(value if math.isfinite(value) else None for value in newest)


@lru_cache(maxsize=256)
def probe(name: str, parameters: Parameters) -> Kind:
    """Find the kind, check its parameters and try it on a made-up market.

    Raises:
        IndicatorError: there is no such kind, a parameter is wrong, it needs more than candles, or
            its values depend on where history begins. `loc` starts below the indicator's key.

    """
    call = call_of(name, parameters)
    market = _market()
    try:
        whole = call.compute(market)
        looks_ahead = _looking_ahead(call, market, whole)
        settled = {one: line for one, line in whole.items() if one not in looks_ahead}
        window, unsettled = _memory(call, market, settled)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise IndicatorError(
            f"pandas-ta's {name} does not work with these parameters: {reason}", ("kind",)
        ) from None
    if not whole:
        raise IndicatorError(f"pandas-ta's {name} gives no columns", ("kind",))
    if unsettled:
        raise IndicatorError(
            f"pandas-ta's {name} depends on where history begins: {', '.join(unsettled)} still "
            f"differs after {_WINDOWS[-1]} candles, so each restart would change it",
            ("kind",),
        )
    return Kind(call, tuple(whole), looks_ahead, window)


def _market() -> Floats:
    """Return the trial's bars: a fixed random walk of one-minute candles from a Monday on.

    Its price halves early on, so that whatever remembers an extreme of long ago shows it.
    """
    dice = np.random.default_rng(20250106)
    opened = 1_736_121_600.0 + 60.0 * np.arange(_TRIAL_BARS)
    waves = 1 + 0.5 * np.sin(np.arange(_TRIAL_BARS) / 700)
    close = 100 * np.exp(np.cumsum(dice.normal(0, 0.0004, _TRIAL_BARS) * waves))
    close[: _TRIAL_BARS // 9] *= 2
    before = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(before, close) * (1 + np.abs(dice.normal(0, 0.0002, _TRIAL_BARS)))
    low = np.minimum(before, close) * (1 - np.abs(dice.normal(0, 0.0002, _TRIAL_BARS)))
    volume = dice.integers(20, 400, _TRIAL_BARS).astype(float)
    return np.vstack([opened, before, high, low, close, volume])


def _looking_ahead(call: Call, market: Floats, whole: dict[str, Floats]) -> frozenset[str]:
    """Return the columns whose values change when the future is cut off."""
    found: set[str] = set()
    for cut in _CUTS:
        known = call.compute(market[:, :-cut])
        found |= {
            name
            for name, line in whole.items()
            if name not in known or not _same(line[:-cut], known[name], _size(line))
        }
    return frozenset(found)


def _memory(call: Call, market: Floats, whole: dict[str, Floats]) -> tuple[int, list[str]]:
    """Return a window that gives the same newest values as all history; and what none settles.

    It is twice the shortest that does so in the trial: real trends outlast made-up ones.
    """
    sizes = {name: _size(line[-_WINDOWS[-1] :]) for name, line in whole.items()}
    for window in _WINDOWS:
        for back in _ENDS:
            end = _TRIAL_BARS - back
            newest = call.compute(market[:, end - window : end])
            unsettled = [
                name
                for name, line in whole.items()
                if name not in newest
                or not _same(line[end - 1 : end], newest[name][-1:], sizes[name])
            ]
            if unsettled:
                break
        else:
            return 2 * window, []
    return window, unsettled


def _size(line: Floats) -> float:
    """Return the size of a column's values, for a difference to be small against."""
    return float(np.max(np.abs(line[np.isfinite(line)]), initial=0.0))


def _same(one: Floats, other: Floats, size: float) -> bool:
    return bool(np.allclose(one, other, rtol=0.0, atol=_TOLERANCE * size, equal_nan=True))
