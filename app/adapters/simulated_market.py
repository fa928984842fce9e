"""A market that never was: one-minute bars drawn from a seed, endless and the same every time.

What a beginner should get to see is there: trends and ranges that take turns, a quiet Asian
morning, London and New York, calm and nervous hours, spreads that widen at night and at the
rollover, and a weekend with a gap (crypto trades through). None of it predicts a real market.

A market week begins on Sunday at 17:00 New York. Each is drawn by itself, from the seed, the symbol
and its number, between two levels that follow from the seed alone: any week can be had without
those before it.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from app.domain.aggregation import Bars
from app.domain.broker_time import ServerTime, epoch_second, instant
from app.domain.instruments import Kind, instrument
from app.domain.market import Timeframe

DEFAULT_START = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
"""Where a run begins unless told otherwise: a Monday, the London open."""
HISTORY = timedelta(weeks=13)
"""How much of the market lies before the start, to warm up on."""

_NEW_YORK = ServerTime("NY+7")
_FIRST_MONDAY = datetime(1970, 1, 5)  # noqa: DTZ001 - a wall clock
_WEEK = timedelta(weeks=1)
_FX_WEEK_MINUTES = 5 * 1440
_CACHED_WEEKS = 16

_ACTIVITY = (
    # Minutes since 17:00 New York, and how lively the market is.
    (0, 60, 120, 540, 600, 720, 870, 930, 1080, 1170, 1320, 1440),
    (0.45, 0.5, 0.65, 0.65, 0.95, 1.05, 1.0, 1.3, 1.2, 0.9, 0.65, 0.45),
)
_SPREAD = (
    # Minutes since 17:00 New York, and the spread in typical spreads: wide at the rollover.
    (0, 15, 60, 120, 600, 1300, 1425, 1440),
    (5.0, 3.0, 1.8, 1.2, 1.0, 1.0, 1.8, 5.0),
)
_EPISODE_MINUTES = 100.0
_TREND = 0.13
_RANGE_PULL = 0.025
_WICK = 0.25
_WEEKLY_MOVE = 60.0
"""How far the level wanders in a week, in standard moves of a minute."""
_WAVE_WEEKS = (3.0, 80.0)
_WAVES = 12


class SimulatedMarket:
    """An endless feed of one-minute bars of one symbol.

    Args:
        symbol: any name; unknown ones trade like an index around 100.
        seed: not negative; the same seed gives the same bars, whatever the start.
        start: aware UTC, where the run will begin; thirteen weeks before it can be had.

    """

    timeframe = Timeframe("M1")
    end = None

    def __init__(self, symbol: str, seed: int, start: datetime = DEFAULT_START) -> None:
        self._symbol = symbol
        self._seed = seed
        self._instrument = instrument(symbol)
        self._weekends = self._instrument.kind is Kind.CRYPTO
        self._weeks: dict[int, Bars] = {}
        self.first = epoch_second(_week_start(_week_of(start - HISTORY)))
        draw = self._random().random
        shortest, longest = _WAVE_WEEKS
        self._periods = shortest * (longest / shortest) ** draw(_WAVES)
        self._phases = 2 * np.pi * draw(_WAVES)

    def open(self) -> None:
        """Do nothing: weeks are drawn when they are asked for."""

    def report(self) -> Sequence[str]:
        """Say what is simulated."""
        return [f"{self._symbol}: simulated M1 market, seed {self._seed}"]

    def warnings(self) -> Sequence[str]:
        """Have nothing to warn of."""
        return ()

    def bars(self, since: int, before: int) -> Bars:
        """Return the bars that opened in ``[since, before)``, epoch seconds UTC."""
        first, last = _week_of(instant(since)), _week_of(instant(before - 1))
        weeks = [self._week(number).between(since, before) for number in range(first, last + 1)]
        return Bars.joined(weeks)

    def _week(self, number: int) -> Bars:
        if number not in self._weeks:
            while len(self._weeks) >= _CACHED_WEEKS:
                del self._weeks[next(iter(self._weeks))]
            self._weeks[number] = self._drawn(number)
        return self._weeks[number]

    def _random(self, *key: int) -> np.random.Generator:
        entropy = (self._seed, crc32(self._symbol.encode()), *key)
        return np.random.Generator(np.random.PCG64(entropy))

    def _level(self, week: int) -> float:
        """Return the logarithm of the price at a week's start, without the weekend's gap.

        A sum of slow waves, each moving as much in a week as the others: wanders, never runs off.
        """
        a_week = self._instrument.move * _WEEKLY_MOVE
        sizes = a_week * self._periods / (2 * np.pi) * math.sqrt(2 / _WAVES)
        waves = sizes * np.sin(2 * np.pi * week / self._periods + self._phases)
        return math.log(self._instrument.price) + float(waves.sum())

    def _drawn(self, number: int) -> Bars:
        random = self._random(number % 2**32)
        start, end = (epoch_second(_week_start(week)) for week in (number, number + 1))
        minutes = (end - start) // 60 if self._weekends else _FX_WEEK_MINUTES
        minute = np.arange(minutes)
        activity = np.interp(minute % 1440, *_ACTIVITY)
        nerves = _nerves(random, minutes)
        moves = self._instrument.move * activity * nerves
        gap = 0.0 if self._weekends else random.normal(0, 15 * self._instrument.move)
        opens_at = self._level(number) + gap
        path = opens_at + _path(random, moves)
        # A slight slope, far below the noise, leads to where the next week begins.
        path += (self._level(number + 1) - path[-1]) * (minute + 1) / minutes
        digits = self._instrument.digits
        close = np.exp(path)
        opened = np.concatenate(([math.exp(opens_at)], close[:-1]))
        wicks = random.exponential(_WICK, (2, minutes)) * moves * close
        wide = np.interp(minute % 1440, *_SPREAD) * random.uniform(0.9, 1.25, minutes)
        return Bars(
            time=start + 60 * minute.astype(np.int64),
            open=opened.round(digits),
            high=(np.maximum(opened, close) + wicks[0]).round(digits),
            low=(np.minimum(opened, close) - wicks[1]).round(digits),
            close=close.round(digits),
            volume=random.poisson(80 * activity * nerves).astype(np.float64) + 1,
            spread=(self._instrument.spread * wide).round(),
        )


def _week_of(instant: datetime) -> int:
    return (_NEW_YORK.wall(instant) - _FIRST_MONDAY) // _WEEK


def _week_start(number: int) -> datetime:
    return _NEW_YORK.to_utc(_FIRST_MONDAY + number * _WEEK)


def _nerves(random: np.random.Generator, minutes: int) -> NDArray[np.float64]:
    """Return a factor around 1 on the volatility of each minute, alike from one to the next."""
    level, levels = 0.0, []
    for shock in random.normal(0, 0.06, minutes).tolist():
        level = 0.98 * level + shock
        levels.append(math.exp(level))
    return np.array(levels)


def _path(random: np.random.Generator, moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of moves in episodes of trend up, trend down and range."""
    episodes = int(3 * len(moves) / _EPISODE_MINUTES) + 50
    lengths = random.exponential(_EPISODE_MINUTES, episodes).astype(np.int64) + 10
    ends = np.cumsum(lengths)
    kind = random.choice((-1.0, 0.0, 0.0, 1.0), episodes)
    kinds = np.repeat(kind, lengths)[: len(moves)].tolist()
    starts = set(ends.tolist())
    level = middle = 0.0
    levels = []
    shocks = random.standard_normal(len(moves)).tolist()
    for at, (trend, move, shock) in enumerate(zip(kinds, moves.tolist(), shocks, strict=True)):
        if at in starts:
            middle = level
        drift = _TREND * trend * move if trend else _RANGE_PULL * (middle - level)
        level += drift + move * shock
        levels.append(level)
    return np.array(levels)
