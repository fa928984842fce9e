"""Recorded bars: MetaTrader 5 exports, plain CSV and Parquet, read with suspicion.

A file that cannot be understood is refused; `history_checks` says which bars cannot be true.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.adapters.history_checks import History, sifted
from app.adapters.history_pieces import NUMBERS, extend, numbers, parquet_pieces, text_pieces
from app.adapters.history_times import Times
from app.domain.aggregation import Bars
from app.domain.broker_time import ServerTime, instants
from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe

_PARQUET = (".parquet", ".pq")
_PIECE = 1 << 15
"""How many rows are read at a time: beside the columns kept, memory holds no more than these."""


class FileFeed:
    """The bars of one file as the feed of one symbol.

    Args:
        symbol: what the bars are of; a file does not say.
        path: a MetaTrader 5 export, CSV or Parquet file.
        server_time: whose clock times without an offset show.

    """

    _history: History

    def __init__(self, symbol: str, path: Path, server_time: ServerTime) -> None:
        self._symbol = symbol
        self._path = path
        self._server_time = server_time

    def open(self) -> None:
        """Read the file; raises ConfigurationError."""
        self._history = read_history(self._path, self._server_time)

    @property
    def timeframe(self) -> Timeframe:
        """How long a bar is."""
        return self._history.timeframe

    @property
    def first(self) -> int:
        """When the oldest bar opened, epoch seconds UTC."""
        return int(self._history.bars.time[0])

    @property
    def end(self) -> int:
        """When the newest bar closed, epoch seconds UTC."""
        newest = self._history.bars.time[-1:]
        return int(self._server_time.candle_closes(self.timeframe, newest)[0])

    def bars(self, since: int, before: int) -> Bars:
        """Return the bars that opened in ``[since, before)``, epoch seconds UTC."""
        return self._history.bars.between(since, before)

    def report(self) -> Sequence[str]:
        """Say how many bars there are, of what span, with which gaps."""
        times = self._history.bars.time
        first, last = (f"{instant:%Y-%m-%d %H:%M}" for instant in instants(times[[0, -1]]))
        return [
            f"{self._symbol}: {len(times):,} {self.timeframe.title_name} bars from {first} "
            f"to {last} UTC, {self._gaps()} ({self._path.name})"
        ]

    def _gaps(self) -> str:
        steps = np.diff(self._history.bars.time) // (self.timeframe.minutes * 60)
        count, longest = int((steps > 1).sum()), int(steps.max(initial=1)) - 1
        if not count:
            return "no gaps"
        gaps = "1 gap" if count == 1 else f"{count:,} gaps, the longest"
        return f"{gaps} of {_bars(longest)}"

    def warnings(self) -> Sequence[str]:
        """Say what was left out."""
        bad = self._history.bad
        if not bad.total:
            return []
        return [f"{self._symbol}: left out {_bars(bad.total, 'bad bar')}: {bad}"]


def read_history(path: Path, server_time: ServerTime, piece: int = _PIECE) -> History:
    """Return the bars of a file.

    The columns and their order are read from the header. Times are ISO text (date and time may
    stand apart) or epoch seconds, milli-, micro- or nanoseconds; text without an offset shows
    `server_time`. Numbers of a text file may have decimal commas. How long a bar is follows from
    the step most of them take.

    Args:
        path: a MetaTrader 5 export, CSV or Parquet file.
        server_time: whose clock times without an offset show.
        piece: how many rows to read at a time; the bars do not depend on it.

    Raises:
        ConfigurationError: the file cannot be read or understood, or too many bars are bad.

    """
    if path.is_dir():
        raise ConfigurationError(f"{path}: is a folder: expected a CSV or Parquet file of bars")
    if not path.is_file():
        beside = [sibling.name for sibling in path.parent.glob("*")]
        raise ConfigurationError(f"{path}: no such file{nearest(path.name, beside)}")
    parquet = path.suffix.lower() in _PARQUET
    pieces = parquet_pieces(path, piece) if parquet else text_pieces(path, piece)
    times, lines = Times(path, server_time), np.empty(0, np.int64)
    columns = [np.empty(0) for _ in NUMBERS]
    for frame in pieces:
        times.add(frame)
        extend(lines, frame.index.to_numpy(np.int64))
        for name, column in zip(NUMBERS, columns, strict=True):
            extend(column, numbers(frame[name]) if name in frame else np.zeros(len(frame)))
    if not len(lines):
        raise ConfigurationError(f"{path}: has no bars")
    return sifted(path, Bars(times.seconds(lines), *columns), lines, server_time)


def _bars(count: int, one: str = "bar") -> str:
    return f"{count:,} {one}{'s' if count > 1 else ''}"
