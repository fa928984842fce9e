"""Which recorded bars cannot be true: counted by what is wrong with them, reported and left out.

Of times out of order as few go as possible, so a wrong one costs its own bar and no other. A file
that loses more than a tenth of its bars is refused: it says something else than it seems to.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.domain.aggregation import Bars
from app.domain.broker_time import Seconds, ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe

_EXAMPLES = 3
_MOST_BAD = 10
"""Percent of a file's bars."""
_SLICE = 1 << 16
"""How many times at once are held against the grid: that takes several copies of them."""
_YEAR = 366 * 86_400
_FEW = 100
"""A part of this many, or one bar, is few enough to be a mistake."""


class BadBars(msgspec.Struct, frozen=True):
    """The bars left out: how many of each kind, and the lines where the first of them stand.

    Lines count from 1 with the header, as an editor shows them; in Parquet, rows from 1.
    """

    counts: Mapping[str, int]
    examples: Mapping[str, tuple[int, ...]]

    @property
    def total(self) -> int:
        """How many bars were left out."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        """Say it: ``2 duplicate (lines 7, 9), 1 high below low (line 4)``."""
        return ", ".join(
            f"{count:,} {kind} ({_lines(self.examples[kind], count)})"
            for kind, count in self.counts.items()
        )


class History(msgspec.Struct, frozen=True):
    """The good bars of a file, how long each is, and what was left out."""

    bars: Bars
    timeframe: Timeframe
    bad: BadBars


def sifted(path: Path, bars: Bars, lines: NDArray[np.int64], server_time: ServerTime) -> History:
    """Return the good bars and the count of the others, each by the first thing wrong with it.

    How long a bar is follows from the step most of them take.

    Raises:
        ConfigurationError: more than a tenth is bad, or the step is that of no timeframe.

    """
    good = np.ones(len(bars), np.bool_)
    bad: dict[str, NDArray[np.int64]] = {}

    def leave_out(kind: str, wrong: NDArray[np.bool_]) -> None:
        nonlocal good
        if (good & wrong).any():
            bad[kind] = lines[good & wrong]
            good &= ~wrong

    for kind, wrong in _flaws(bars):
        leave_out(kind, wrong)
    if good.any():
        timeframe = _usual_step(path, _those(good, bars.time))
        leave_out("years from the others", np.isin(bars.time, _strays(_those(good, bars.time))))
        parts = np.array_split(bars.time, len(bars) // _SLICE + 1)
        off = [server_time.candle_opens(timeframe, part) != part for part in parts]
        leave_out(f"off the {timeframe.title_name} grid", np.concatenate(off))
        rises = _longest_rise(_those(good, bars.time))
        if not rises.all():
            _refuse_newest_first(path, _those(good, bars.time))
            rising = good.copy()
            rising[good] = rises
            newest = np.maximum.accumulate(np.where(rising, bars.time, np.iinfo(np.int64).min))
            leave_out("duplicate", ~rising & (bars.time == newest))
            leave_out("out of order", ~rising)
    found = BadBars(
        {kind: len(at) for kind, at in bad.items()},
        {kind: tuple(at[:_EXAMPLES].tolist()) for kind, at in bad.items()},
    )
    if not good.any():
        raise ConfigurationError(f"{path}: no good bar: {found}")
    if found.total * 100 > len(bars) * _MOST_BAD:
        raise ConfigurationError(
            f"{path}: {found.total:,} of {len(bars):,} bars are bad: {found}: "
            f"expected {_MOST_BAD} % at most"
        )
    return History(bars if good.all() else bars.rows(good), timeframe, found)


def _those(good: NDArray[np.bool_], times: Seconds) -> Seconds:
    """Return the good ones; no copy where all are."""
    return times if good.all() else times[good]


def _flaws(bars: Bars) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield what can be wrong with a bar by itself, and the bars it is wrong with."""
    prices = bars.columns()[:4]
    yield "not a finite price", _any(~np.isfinite(price) for price in prices)
    yield "not a positive price", _any(price <= 0 for price in prices)
    yield "high below low", bars.high < bars.low
    outside = ((price < bars.low) | (price > bars.high) for price in prices)
    yield "open or close outside high and low", _any(outside)
    counts = (bars.volume, bars.spread)
    uncounted = (~(np.isfinite(count) & (count >= 0)) for count in counts)
    yield "no volume or spread of 0 or more", _any(uncounted)


def _any(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return reduce(np.logical_or, masks)


def _usual_step(path: Path, times: Seconds) -> Timeframe:
    """Return the timeframe whose length most bars are apart."""
    between = np.diff(times)
    if (between <= 0).any():
        between = np.diff(np.unique(times))
    steps, counts = np.unique(between, return_counts=True)
    if not len(steps):
        raise ConfigurationError(
            f"{path}: has one good bar: expected two at least, to tell how long they are"
        )
    step = int(steps[counts.argmax()])
    try:
        return Timeframe(f"{step / 60:g}")
    except ConfigurationError:
        raise ConfigurationError(
            f"{path}: bars are {step} seconds apart: expected the length of a timeframe, "
            f"such as 60 (M1) or 3600 (H1)"
        ) from None


def _strays(times: Seconds) -> Seconds:
    """Return the few times that lie more than a year from all others, wherever they stand."""
    ordered = np.sort(times)
    pieces = np.split(ordered, np.flatnonzero(np.diff(ordered) > _YEAR) + 1)
    few = max(1, len(times) // _FEW)
    return np.concatenate([ordered[:0], *(piece for piece in pieces if len(piece) <= few)])


def _refuse_newest_first(path: Path, times: Seconds) -> None:
    between = np.diff(times)
    if (between < 0).sum() * 100 > len(between) * (100 - _MOST_BAD):
        raise ConfigurationError(f"{path}: is sorted newest first: expected the oldest bar first")


def _longest_rise(times: Seconds) -> NDArray[np.bool_]:
    """Return which times to keep so that they rise strictly and as few as possible go.

    Where several choices keep as many, the times nearest to the next one stay: the first of two
    equal ones, and not the one that strayed. (Patience sorting: Fredman, 1975.)
    """
    kept = np.ones(len(times), np.bool_)
    if (np.diff(times) > 0).all():
        return kept
    values = times.tolist()
    least_ends: list[int] = []
    rises: list[list[int]] = []
    """By length less one, where the longest rises of that length end."""
    for at, value in enumerate(values):
        length = bisect_left(least_ends, value)
        if length == len(rises):
            rises.append([])
        rises[length].append(at)
        least_ends[length : length + 1] = [value]
    kept[:] = False
    limit = least_ends[-1] + 1
    for ends in reversed(rises):
        at = next(at for at in ends if values[at] < limit)
        kept[at], limit = True, values[at]
    return kept


def _lines(lines: Sequence[int], count: int) -> str:
    listed = ", ".join(map(str, lines))
    more = ", …" if count > len(lines) else ""
    return f"line{'s' if count > 1 else ''} {listed}{more}"
