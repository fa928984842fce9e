"""Restrictions from ``conf/restrictions/``: ``economic-calendar.csv`` and ``holidays.csv``.

Both are optional. Times are ISO (``2025-01-31 13:30``, with an offset or UTC), also in MetaTrader's
``2025.01.31`` spelling. `Instrument` holds currencies or symbols, separated by commas, semicolons
or blanks; without one the row concerns every symbol. A holiday given as a date is a day without
trading, one given with a time closes then.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError, nearest
from app.risk.restrictions import EVERYTHING, Holiday, News, Restrictions

NEWS_FILE = "economic-calendar.csv"
HOLIDAYS_FILE = "holidays.csv"

_EVERY_WORD = frozenset({"", "*", "ALL"})
_DATE_ONLY = re.compile(r"\d{4}-\d\d-\d\d")


def load_restrictions(
    folder: Path,
    server_time: ServerTime,
    *,
    news_margin: timedelta,
    close_margin: timedelta,
    close_time: str | None,
    flatten: bool,
) -> Restrictions:
    """Return the restrictions of the two files in `folder` and of the settings beside them.

    `close_time` is ISO: ``23:40:00+03:00``, or without an offset in the broker's time.

    Raises:
        ConfigurationError: a file cannot be read, lacks a column or has a bad cell.

    """
    return Restrictions(
        news=tuple(sorted(_news(folder / NEWS_FILE), key=lambda news: news.time)),
        holidays=tuple(_holidays(folder / HOLIDAYS_FILE, server_time)),
        news_margin=news_margin,
        close_margin=close_margin,
        close_time=None if close_time is None else time.fromisoformat(close_time),
        flatten=flatten,
    )


def _news(path: Path) -> Iterator[News]:
    for where, row in _rows(path, ("Dates", "Restrictions")):
        restricts = row["Restrictions"]
        if restricts not in {"0", "1", ""}:
            raise ConfigurationError(f"{where} Restrictions: expected 0 or 1, not '{restricts}'")
        when = row["Dates"]
        moment = _moment(when, f"{where} Dates")
        if _is_date(when):
            raise ConfigurationError(f"{where} Dates: expected a time of day after '{when}'")
        if restricts == "1":
            for instrument in _instruments(row):
                yield News(moment, instrument, row.get("Description", ""))


def _holidays(path: Path, server_time: ServerTime) -> Iterator[Holiday]:
    for where, row in _rows(path, ("Dates",)):
        when = row["Dates"]
        moment = _moment(when, f"{where} Dates")
        whole_day = _is_date(when)
        day = moment.date() if whole_day else server_time.day(moment)
        for instrument in _instruments(row):
            yield Holiday(
                day, None if whole_day else moment, instrument, row.get("Description", "")
            )


def _rows(path: Path, required: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each row of an optional file and where it stands; cells are stripped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: expected a CSV file in UTF-8: {error}") from error
    lines = csv.reader(text.splitlines(), strict=True)
    try:
        names = [name.strip() for name in next(lines, [])]
        for name in required:
            if name not in names:
                raise ConfigurationError(
                    f"{path}:1: expected a column '{name}'"
                    f"{nearest(name, names) if names else ': the file is empty'}"
                )
        for cells in lines:
            if any(cell.strip() for cell in cells):
                row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
                if any(name not in row for name in required):
                    raise ConfigurationError(
                        f"{path}:{lines.line_num}: expected {len(names)} cells, not {len(cells)}"
                    )
                yield f"{path}:{lines.line_num}", row
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{lines.line_num}: no CSV: {error}") from error


def _instruments(row: Mapping[str, str]) -> list[str]:
    named = row.get("Instrument", "").upper().replace("/", "")
    if named in _EVERY_WORD:
        return [EVERYTHING]
    return re.split(r"[,;\s]+", named)


def _iso(text: str) -> str:
    return re.sub(r"^(\d{4})\.(\d\d)\.(\d\d)", r"\1-\2-\3", text)


def _is_date(text: str) -> bool:
    return _DATE_ONLY.fullmatch(_iso(text)) is not None


def _moment(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_iso(text))
    except ValueError:
        raise ConfigurationError(
            f"{where}: expected a time such as 2025-01-31T13:30:00+00:00, not '{text}'"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
