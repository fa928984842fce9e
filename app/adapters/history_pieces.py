"""The rows of a file of bars, piece by piece, in columns of our names.

The columns and their order are read from the header, which every file must have.
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import ConfigurationError, nearest

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
NUMBERS = ("open", "high", "low", "close", "volume", "spread")
_REQUIRED = ("time", "open", "high", "low", "close")
_PRICES = NUMBERS[:4]
_CLOCKS = ("time", "clock")
_SEPARATORS = "\t;,"
_SAMPLE = 100
"""How many rows tell whether prices have decimal commas."""
_DECIMAL_COMMA = r"\d+,(?:\d{1,2}|\d{4,})"
_POINT_FOR_COMMA = str.maketrans(",.", ".,")
_BUFFER = 1 << 16
"""Bytes of a Parquet column read at a time: without it, all that a row group has of it."""
_Number = TypeVar("_Number", np.int64, np.float64)


def text_pieces(path: Path, size: int) -> "Iterator[pd.DataFrame]":
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
            **_exact(pd.__version__),
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


def _exact(pandas: str) -> dict[str, str]:
    """Return what makes this version of pandas read the number that is nearest to its text.

    From 3.1 on it always does, and the option is deprecated.
    """
    version = tuple(map(int, pandas.split(".")[:2]))
    return {"float_precision": "round_trip"} if version < (3, 1) else {}


def parquet_pieces(path: Path, size: int) -> "Iterator[pd.DataFrame]":
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
        read = [numbers(timeless[name]) for name in NUMBERS if name in frame]
        frame = frame.drop(index=timeless.index[np.all(np.isnan(read), axis=0)])
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
        return [columns[name] for name in NUMBERS if name in columns]
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


def numbers(column: "pd.Series") -> NDArray[np.float64]:
    """Return a piece of a column as numbers, NaN where there is none.

    A cell is read by itself: whatever else is in its piece, ``True`` is none.
    """
    import pandas as pd  # noqa: PLC0415 - only file runs pay for it

    cells = column if column.dtype.kind in "iuf" else column.astype("str")
    return pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def extend(column: NDArray[_Number], part: NDArray[_Number]) -> None:
    """Add a part to a column where it stands: a list of parts would be there twice when joined."""
    column.resize(len(column) + len(part), refcheck=False)
    column[len(column) - len(part) :] = part
