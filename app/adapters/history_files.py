"""Recorded bars: MetaTrader 5 exports, plain CSV and Parquet, read with suspicion.

A file that cannot be understood is refused; `history_checks` says which bars cannot be true.
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.adapters.history_checks import History, sifted
from app.domain.aggregation import Bars
from app.domain.broker_time import Seconds, ServerTime, instants
from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {
    "time": ("time", "timestamp", "datetime", "date", "date_time", "open_time", "<date>"),
    "clock": ("<time>",),
    "open": ("open", "o", "<open>"),
    "high": ("high", "h", "<high>"),
    "low": ("low", "l", "<low>"),
    "close": ("close", "c", "<close>"),
    "volume": ("tick_volume", "tickvol", "<tickvol>", "volume", "v", "vol", "<vol>"),
    "spread": ("spread", "<spread>"),
}
_NUMBERS = ("open", "high", "low", "close", "volume", "spread")
_REQUIRED = ("time", "open", "high", "low", "close")
_PRICES = _NUMBERS[:4]
_CLOCKS = ("time", "clock")
_PARQUET = (".parquet", ".pq")
_SEPARATORS = "\t;,"
_OFFSET = r":\d\d(?:\.\d+)?\s*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"
_DOTTED_DATE = r"^(\d{4})[./](\d\d)[./](\d\d)"
_READABLE = "ISO such as 2024-01-31 10:00, or epoch seconds"
_ALL_ALIKE = "all times with an offset or none"
_END_OF_TIME = 1 << 60
_EPOCH_UNITS = ((1e8, 1e11, 1), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6), (1e17, 1e20, 1e9))
"""From, up to, and how many of them make a second: seconds, milli-, micro-, nanoseconds."""
_SAMPLE = 100
"""How many rows tell whether prices have decimal commas."""
_DECIMAL_COMMA = r"\d+,(?:\d{1,2}|\d{4,})"
_POINT_FOR_COMMA = str.maketrans(",.", ".,")
_PIECE = 1 << 15
"""How many rows are read at a time: beside the columns kept, memory holds no more than these."""
_BUFFER = 1 << 16
"""Bytes of a Parquet column read at a time: without it, all that a row group has of it."""
_Number = TypeVar("_Number", np.int64, np.float64)


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
    pieces = _parquet_pieces(path, piece) if parquet else _text_pieces(path, piece)
    times, lines = _Times(path, server_time), np.empty(0, np.int64)
    columns = [np.empty(0) for _ in _NUMBERS]
    for frame in pieces:
        times.add(frame)
        _extend(lines, frame.index.to_numpy(np.int64))
        for name, column in zip(_NUMBERS, columns, strict=True):
            _extend(column, _numbers(frame[name]) if name in frame else np.zeros(len(frame)))
    if not len(lines):
        raise ConfigurationError(f"{path}: has no bars")
    return sifted(path, Bars(times.seconds(lines), *columns), lines, server_time)


def _text_pieces(path: Path, size: int) -> "Iterator[pd.DataFrame]":
    """Yield the rows of a text file in pieces, by line, without blank ones."""
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    try:
        with path.open("rb") as file:
            utf16 = file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)
        encoding = "utf-16" if utf16 else "utf-8-sig"
        with path.open(encoding=encoding) as file:
            header = file.readline()
        separator = max(_SEPARATORS, key=header.count)
        _refuse_no_header(path, header, separator)
        options: dict[str, Any] = {
            "sep": separator,
            "encoding": encoding,
            "float_precision": "round_trip",
            "skip_blank_lines": False,
            "skipinitialspace": True,
            "index_col": False,
            "low_memory": False,
        }
        sample = pd.read_csv(path, nrows=_SAMPLE, dtype="str", **options)
        columns = _known_columns(path, list(sample))
        commas = _with_commas(path, sample, columns)
        clocks = [columns[name] for name in _CLOCKS if name in columns]
        as_written = dict.fromkeys([*clocks, *commas], "str")
        with pd.read_csv(path, dtype=as_written, chunksize=size, **options) as frames:
            for frame in frames:
                frame.index += 2
                for name in commas:
                    frame[name] = frame[name].str.translate(_POINT_FOR_COMMA)
                yield from _bars_of(frame, columns)
    except pd.errors.EmptyDataError:
        raise ConfigurationError(f"{path}: is empty: expected a header and bars") from None
    except pd.errors.ParserError as error:
        at = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        where, what = (f":{at[2]}", f"{at[3]} fields: expected {at[1]}") if at else ("", str(error))
        raise ConfigurationError(f"{path}{where}: {' '.join(what.split())}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{path}: is no text: expected CSV, or the name *.parquet"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None


def _parquet_pieces(path: Path, size: int) -> "Iterator[pd.DataFrame]":
    """Yield the rows of a Parquet file in pieces, by number, without blank ones."""
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    try:
        import pyarrow as pa  # noqa: PLC0415 - only Parquet runs pay for it
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from None
    try:
        with ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            empty = file.schema_arrow.empty_table().to_pandas()
            indexed = not isinstance(empty.index, pd.RangeIndex)
            columns = _known_columns(path, list(empty.reset_index() if indexed else empty))
            first = 1
            for batch in file.iter_batches(size, columns=list(columns.values()), use_threads=False):
                frame = batch.to_pandas(ignore_metadata=True)
                frame.index += first
                first += len(frame)
                del batch
                pa.default_memory_pool().release_unused()  # it would keep many pieces' worth
                yield from _bars_of(frame, columns)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{path}: is no readable Parquet file: {reason}") from None
    finally:
        pa.default_memory_pool().release_unused()


def _bars_of(frame: "pd.DataFrame", columns: Mapping[str, str]) -> "Iterator[pd.DataFrame]":
    """Yield the known columns of the rows that are not blank, by our names, if there are any.

    A row with neither time nor number is blank, whatever pandas makes of its empty cells: beside
    a number beyond 64 bits they are text.
    """
    frame = frame[list(columns.values())].set_axis(list(columns), axis=1)
    timeless = frame[frame[[name for name in _CLOCKS if name in frame]].isna().all(axis=1)]
    if len(timeless):
        numbers = [_numbers(timeless[name]) for name in _NUMBERS if name in frame]
        frame = frame.drop(index=timeless.index[np.all(np.isnan(numbers), axis=0)])
    if len(frame):
        yield frame


def _refuse_no_header(path: Path, line: str, separator: str) -> None:
    if line[:1].isdigit():
        clocks = ("date", "time") if re.search(rf"{separator}\d+:", line) else ("time",)
        example = separator.join((*clocks, *_PRICES, "volume"))
        raise ConfigurationError(
            f"{path}:1: no header: '{line.strip()}' is a bar: expected a first line such as "
            f"'{example}'"
        )


def _with_commas(path: Path, sample: "pd.DataFrame", columns: Mapping[str, str]) -> Sequence[str]:
    """Return the columns of numbers if prices have decimal commas, none if they have points.

    Commas that all stand before three digits may separate thousands: they are refused.
    """
    cells = sample[[columns[name] for name in _PRICES]].to_numpy().ravel()
    prices = [cell for cell in map(str, cells) if re.fullmatch(r"[\d.,]+", cell)]
    commas = [price for price in prices if "," in price]
    if len(commas) * 2 <= len(prices):
        return []
    if any(map(re.compile(_DECIMAL_COMMA).fullmatch, commas)):
        return [columns[name] for name in _NUMBERS if name in columns]
    raise ConfigurationError(
        f"{path}: a price is '{commas[0]}': expected a decimal point and nothing between "
        "thousands, such as 1234.5"
    )


def _known_columns(path: Path, header: list[str]) -> dict[str, str]:
    """Return which column of the file is which of ours."""
    by_folded = {str(column).strip().casefold(): column for column in header}
    found = {
        ours: by_folded[name]
        for ours, names in _NAMES.items()
        for name in reversed(names)
        if name in by_folded
    }
    if "date" in by_folded and "time" in by_folded:
        found |= {"time": by_folded["date"], "clock": by_folded["time"]}
    for ours in _REQUIRED:
        if ours not in found:
            unknown = [str(column) for column in header if column not in found.values()]
            separators = " (separators are comma, semicolon, tab)" if len(header) == 1 else ""
            raise ConfigurationError(
                f"{path}:1: no column '{ours}': the header has {', '.join(map(str, header))}"
                f"{separators}{nearest(ours, unknown)}"
            )
    return found


def _numbers(column: "pd.Series") -> NDArray[np.float64]:
    """Return a piece of a column as numbers, NaN where there is none.

    A cell is read by itself: whatever else is in its piece, ``True`` is none.
    """
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    cells = column if column.dtype.kind in "iuf" else column.astype("str")
    return pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _extend(column: NDArray[_Number], part: NDArray[_Number]) -> None:
    """Add a part to a column where it stands: a list of parts would be there twice when joined."""
    column.resize(len(column) + len(part), refcheck=False)
    column[len(column) - len(part) :] = part


class _Times:
    """When the bars of a file opened, gathered piece by piece.

    Whether times are epoch numbers and of which unit, and which of the unreadable is named, only
    the whole file tells: nothing is refused before its end.
    """

    def __init__(self, path: Path, server_time: ServerTime) -> None:
        self._path = path
        self._server_time = server_time
        self._values = np.empty(0)
        """Epoch numbers of a unit unknown yet, or the seconds that text and timestamps say."""
        self._texts: list[slice] = []
        """Where the latter stand."""
        self._has_numbers = False
        self._aware: bool | None = None
        """Whether text and timestamps are UTC rather than what the server's clock shows."""
        self._refused: dict[str, tuple[int, object]] = {}
        """By what was expected, the line and the value of the first that is not so."""

    def add(self, frame: "pd.DataFrame") -> None:
        """Take the times of the next bars."""
        import pandas as pd  # noqa: PLC0415 - only file runs pay for it

        column = frame["time"]
        if pd.api.types.is_datetime64_any_dtype(column):
            instants, self._aware = column, isinstance(column.dtype, pd.DatetimeTZDtype)
        else:
            numbers = np.empty(0) if "clock" in frame else _numbers(column)
            if not np.isnan(numbers).all():
                _extend(self._values, numbers)
                self._has_numbers = True
                return
            column = column.astype("str").str.strip()
            if "clock" in frame:
                column = column + " " + frame["clock"].astype("str").str.strip()
            iso = column.str.replace(_DOTTED_DATE, r"\1-\2-\3", regex=True)
            offset = iso.str.contains(_OFFSET, regex=True).to_numpy(np.bool_)
            self._aware = bool(offset[0]) if self._aware is None else self._aware
            self._refuse(column[offset != self._aware], _ALL_ALIKE)
            instants = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
        self._refuse(column[instants.isna()], _READABLE)
        seconds = instants.to_numpy("datetime64[s]").astype(np.int64)
        seconds = seconds if self._aware else self._server_time.to_seconds(seconds)
        start = len(self._values)
        _extend(self._values, seconds.astype(np.float64))
        self._texts.append(slice(start, len(self._values)))

    def _refuse(self, values: "pd.Series", expected: str) -> None:
        if len(values) and expected not in self._refused:
            self._refused[expected] = (values.index[0], values.iloc[0])

    def seconds(self, lines: NDArray[np.int64]) -> Seconds:
        """Return when each bar opened, once; a time that cannot be read condemns the file."""
        values, self._values = self._values, np.empty(0)
        if self._has_numbers:
            for piece in self._texts:
                values[piece] = np.nan
            return _from_epoch(self._path, values, lines)
        for expected in (_ALL_ALIKE, _READABLE):
            if expected in self._refused:
                raise _unreadable(self._path, *self._refused[expected], expected)
        return values.astype(np.int64)


def _from_epoch(path: Path, numbers: NDArray[np.float64], lines: NDArray[np.int64]) -> Seconds:
    bad = ~np.isfinite(numbers)
    unit = None if bad.any() else _epoch_unit(float(np.median(numbers)))
    if unit is None:
        at = int(np.argmax(bad))
        raise _unreadable(path, int(lines[at]), numbers[at], _READABLE)
    seconds = np.clip(numbers // unit, -_END_OF_TIME, _END_OF_TIME)
    return seconds.astype(np.int64)


def _epoch_unit(typical: float) -> float | None:
    return next((per for low, high, per in _EPOCH_UNITS if low <= typical < high), None)


def _bars(count: int, one: str = "bar") -> str:
    return f"{count:,} {one}{'s' if count > 1 else ''}"


def _unreadable(path: Path, line: int, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: unreadable time '{value}': expected {expected}")
