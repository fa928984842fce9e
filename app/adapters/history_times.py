"""When the bars of a file opened: ISO text, timestamps or epoch numbers, of any unit."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.adapters.history_pieces import extend, numbers
from app.domain.broker_time import Seconds, ServerTime
from app.domain.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

_OFFSET = r":\d\d(?:\.\d+)?\s*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"
_DOTTED_DATE = r"^(\d{4})[./](\d\d)[./](\d\d)"
_READABLE = "ISO such as 2024-01-31 10:00, or epoch seconds"
_ALL_ALIKE = "all times with an offset or none"
_END_OF_TIME = 1 << 60
_EPOCH_UNITS = ((1e8, 1e11, 1), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6), (1e17, 1e20, 1e9))
"""From, up to, and how many of them make a second: seconds, milli-, micro-, nanoseconds."""


class Times:
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
            epochs = np.empty(0) if "clock" in frame else numbers(column)
            if not np.isnan(epochs).all():
                extend(self._values, epochs)
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
        extend(self._values, seconds.astype(np.float64))
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


def _from_epoch(path: Path, epochs: NDArray[np.float64], lines: NDArray[np.int64]) -> Seconds:
    bad = ~np.isfinite(epochs)
    unit = None if bad.any() else _epoch_unit(float(np.median(epochs)))
    if unit is None:
        at = int(np.argmax(bad))
        raise _unreadable(path, int(lines[at]), epochs[at], _READABLE)
    seconds = np.clip(epochs // unit, -_END_OF_TIME, _END_OF_TIME)
    return seconds.astype(np.int64)


def _epoch_unit(typical: float) -> float | None:
    return next((per for low, high, per in _EPOCH_UNITS if low <= typical < high), None)


def _unreadable(path: Path, line: int, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: unreadable time '{value}': expected {expected}")
