"""Recorded bars: MetaTrader 5 exports, plain CSV and Parquet, read with suspicion.

A file that cannot be understood is refused; `history_checks` says which bars cannot be true.
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
_REQUIRED = ("time", "open", "high", "low", "close")
_PARQUET = (".parquet", ".pq")
_SEPARATORS = "\t;,"
_OFFSET = r":\d\d(?:\.\d+)?\s*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"
_DOTTED_DATE = r"^(\d{4})[./](\d\d)[./](\d\d)"
_END_OF_TIME = 1 << 60
_EPOCH_UNITS = ((1e8, 1e11, 1), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6), (1e17, 1e20, 1e9))
"""From, up to, and how many of them make a second: seconds, milli-, micro-, nanoseconds."""


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
        steps = np.diff(times) // (self.timeframe.minutes * 60)
        first, last = (f"{instant:%Y-%m-%d %H:%M}" for instant in instants(times[[0, -1]]))
        return [
            f"{self._symbol}: {len(times):,} {self.timeframe.title_name} bars from {first} "
            f"to {last} UTC, {int((steps > 1).sum()):,} gaps, the longest of "
            f"{int(steps.max(initial=1)) - 1:,} bars ({self._path.name})"
        ]

    def warnings(self) -> Sequence[str]:
        """Say what was left out."""
        bad = self._history.bad
        return [f"{self._symbol}: left out {bad.total:,} bad bars: {bad}"] if bad.total else []


def read_history(path: Path, server_time: ServerTime) -> History:
    """Return the bars of a file.

    The columns and their order are read from the header. Times are ISO text (date and time may
    stand apart) or epoch seconds, milli-, micro- or nanoseconds; text without an offset shows
    `server_time`. How long a bar is follows from the step most of them take.

    Raises:
        ConfigurationError: the file cannot be read or understood, or too many bars are bad.

    """
    if path.is_dir():
        raise ConfigurationError(f"{path}: is a folder: expected a CSV or Parquet file of bars")
    if not path.is_file():
        beside = [sibling.name for sibling in path.parent.glob("*")]
        raise ConfigurationError(f"{path}: no such file{nearest(path.name, beside)}")
    parquet = path.suffix.lower() in _PARQUET
    frame = _read_parquet(path) if parquet else _read_text(path)
    lines = np.arange(len(frame)) + (1 if parquet else 2)
    blank = frame.isna().all(axis=1).to_numpy()
    frame, lines = frame[~blank], lines[~blank]
    columns = _known_columns(path, list(frame.columns))
    if frame.empty:
        raise ConfigurationError(f"{path}: has no bars")
    times = _times(path, frame, columns, lines, server_time)
    numbers = [
        _numbers(frame[columns[name]]) if name in columns else np.zeros(len(frame))
        for name in ("open", "high", "low", "close", "volume", "spread")
    ]
    return sifted(path, Bars(times, *numbers), lines, server_time)


def _read_text(path: Path) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    try:
        with path.open("rb") as file:
            utf16 = file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)
        encoding = "utf-16" if utf16 else "utf-8-sig"
        with path.open(encoding=encoding) as file:
            header = file.readline()
        return pd.read_csv(
            path,
            sep=max(_SEPARATORS, key=header.count),
            encoding=encoding,
            float_precision="round_trip",
            skip_blank_lines=False,
            skipinitialspace=True,
            index_col=False,
            low_memory=False,
        )
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


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - only Parquet runs pay for it
    except ImportError:
        raise ConfigurationError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from None
    try:
        frame = pd.read_parquet(path)
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{path}: is no readable Parquet file: {reason}") from None
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


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
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _times(
    path: Path,
    frame: "pd.DataFrame",
    columns: Mapping[str, str],
    lines: NDArray[np.int64],
    server_time: ServerTime,
) -> Seconds:
    """Return when each bar opened; a time that cannot be read condemns the file."""
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    column = frame[columns["time"]]
    if pd.api.types.is_datetime64_any_dtype(column):
        instants, aware = column, isinstance(column.dtype, pd.DatetimeTZDtype)
    else:
        numbers = _numbers(column)
        if "clock" not in columns and not np.isnan(numbers).all():
            return _from_epoch(path, numbers, lines)
        column = column.astype("str").str.strip()
        if "clock" in columns:
            column = column + " " + frame[columns["clock"]].astype("str").str.strip()
        instants, aware = _from_text(path, column, lines)
    _refuse_first(path, instants.isna().to_numpy(), lines, column)
    seconds = instants.to_numpy("datetime64[s]").astype(np.int64)
    return seconds if aware else server_time.to_seconds(seconds)


def _from_epoch(path: Path, numbers: NDArray[np.float64], lines: NDArray[np.int64]) -> Seconds:
    typical = float(np.nanmedian(numbers))
    unit = next((per for low, high, per in _EPOCH_UNITS if low <= typical < high), None)
    _refuse_first(path, np.isnan(numbers) | (unit is None), lines, numbers)
    seconds = np.clip(numbers // (unit or 1), -_END_OF_TIME, _END_OF_TIME)
    return seconds.astype(np.int64)


def _from_text(
    path: Path, texts: "pd.Series[str]", lines: NDArray[np.int64]
) -> "tuple[pd.Series[pd.Timestamp], bool]":
    """Return the instants, and whether they are UTC rather than what the server's clock shows."""
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    iso = texts.str.replace(_DOTTED_DATE, r"\1-\2-\3", regex=True)
    offset = iso.str.contains(_OFFSET, regex=True).to_numpy(np.bool_)
    aware = bool(offset[0])
    _refuse_first(path, offset != aware, lines, texts, "all times with an offset or none")
    return pd.to_datetime(iso, format="ISO8601", utc=aware, errors="coerce"), aware


def _refuse_first(
    path: Path,
    bad: NDArray[np.bool_],
    lines: NDArray[np.int64],
    values: "pd.Series | NDArray[np.float64]",
    expected: str = "ISO such as 2024-01-31 10:00, or epoch seconds",
) -> None:
    """Raise ConfigurationError for the first bad time."""
    if bad.any():
        at = int(np.argmax(bad))
        value = np.asarray(values)[at]
        raise ConfigurationError(
            f"{path}:{lines[at]}: unreadable time '{value}': expected {expected}"
        )
