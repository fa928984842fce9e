"""Bars as columns, and larger candles made of smaller ones."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.domain.broker_time import Seconds, ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe


class Bars(msgspec.Struct, frozen=True, gc=False):
    """Bars of one symbol and timeframe, oldest first, a column an array of the same length.

    `time` is when each opened, epoch seconds UTC, strictly rising; prices are bid; `spread` is in
    points. Columns are never written to.
    """

    time: Seconds
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    spread: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time)

    def columns(self) -> tuple[NDArray[np.float64], ...]:
        """Return all columns but the time, in the order of the fields."""
        return self.open, self.high, self.low, self.close, self.volume, self.spread

    def rows(self, which: slice | NDArray[np.bool_]) -> "Bars":
        """Return the bars that `which` selects."""
        return Bars(self.time[which], *(column[which] for column in self.columns()))

    def between(self, since: int, before: int) -> "Bars":
        """Return the bars that opened in ``[since, before)``, epoch seconds, without copying."""
        low, high = np.searchsorted(self.time, (since, before))
        return self.rows(slice(int(low), int(high)))

    @staticmethod
    def joined(parts: "list[Bars]") -> "Bars":
        """Return consecutive parts as one."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*(part.columns() for part in parts), strict=True)
        time = np.concatenate([part.time for part in parts])
        return Bars(time, *(np.concatenate(column) for column in columns))


def aggregate(bars: Bars, timeframe: Timeframe, server_time: ServerTime) -> Bars:
    """Return the candles of `timeframe` that `bars` of a smaller one make up.

    A candle opens on the server's grid whichever of its bars are missing, and where all are
    missing there is none. Volume is the sum. Spread is the widest: who prices a fill by it never
    pays too little. Whether the newest candle is closed is for who knows the time to say.
    """
    if not len(bars):
        return bars
    opens = server_time.candle_opens(timeframe, bars.time)
    first = np.flatnonzero(np.concatenate(([True], opens[1:] != opens[:-1])))
    last = np.concatenate((first[1:], [len(opens)])) - 1
    return Bars(
        time=opens[first],
        open=bars.open[first],
        high=np.maximum.reduceat(bars.high, first),
        low=np.minimum.reduceat(bars.low, first),
        close=bars.close[last],
        volume=np.add.reduceat(bars.volume, first),
        spread=np.maximum.reduceat(bars.spread, first),
    )


def check_aggregates(symbol: str, base: Timeframe, wanted: Timeframe, where: str = "") -> None:
    """Raise ConfigurationError unless `wanted` candles can be made of `base` bars.

    `where` tells the operator what asked for them.
    """
    if wanted.minutes % base.minutes:
        raise ConfigurationError(
            f"{symbol}: {wanted.title_name} candles cannot be made of {base.title_name} bars: "
            f"expected only multiples of {base.title_name}{where}"
        )
