"""The files of a backtest: trades and equity as CSV and Parquet, the figures as JSON, the report.

The same outcome gives the same bytes. Times are UTC; money, prices and volumes are exact in CSV and
JSON (text), in Parquet decimals of 12 digits after the point.
"""

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Context, Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.backtest.figures import by_regime, by_strategy, monthly, whole
from app.backtest.outcome import EquityPoint, Outcome, Trade
from app.backtest.report import page
from app.domain.errors import ConfigurationError, PermissionDeniedError

_DIGITS, _SCALE = 38, 12
_WIDEST = Context(prec=_DIGITS)
_STEP = Decimal(1).scaleb(-_SCALE)
_SECOND = timedelta(seconds=1)


class _Column(NamedTuple):
    name: str
    kind: type
    """``str``, ``int``, ``Decimal`` or ``datetime``."""


_Row = Sequence[object]

_TRADE_COLUMNS = (
    _Column("ticket", int),
    _Column("symbol", str),
    _Column("strategy", str),
    _Column("direction", str),
    _Column("regime", str),
    _Column("volume", Decimal),
    _Column("opened_at", datetime),
    _Column("entry", Decimal),
    _Column("stop", Decimal),
    _Column("target", Decimal),
    _Column("closed_at", datetime),
    _Column("exit", Decimal),
    _Column("reason", str),
    _Column("duration_seconds", int),
    _Column("profit", Decimal),
    _Column("commission", Decimal),
    _Column("swap", Decimal),
    _Column("net", Decimal),
    _Column("spread", Decimal),
)
_EQUITY_COLUMNS = (
    _Column("time", datetime),
    _Column("balance", Decimal),
    _Column("equity", Decimal),
)


def prepare(folder: Path) -> None:
    """Make `folder` and see that files can be made in it, before hours of work.

    Raises:
        PermissionDeniedError: it may not be written to.
        ConfigurationError: it cannot be.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(path: Path, error: OSError) -> ConfigurationError | PermissionDeniedError:
    """Return what the operator is told when a file or folder cannot be written."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return ConfigurationError(f"{path}: cannot be made: a file stands in its way")
    kind = PermissionDeniedError if isinstance(error, PermissionError) else ConfigurationError
    return kind(f"{path}: cannot be written: {error.strerror}")


def write(outcome: Outcome, folder: Path) -> list[Path]:
    """Write the files of `outcome` into `folder`, which is made; return their paths.

    A file of that name is replaced as a whole, and none before all could be written.

    Raises:
        PermissionDeniedError: the folder may not be written to.
        ConfigurationError: it cannot be.

    """
    trades = [_trade_row(trade) for trade in outcome.trades]
    equity = [_equity_row(point) for point in outcome.equity]
    contents = {
        folder / "trades.csv": _csv(_TRADE_COLUMNS, trades),
        folder / "trades.parquet": _parquet(_TRADE_COLUMNS, trades),
        folder / "equity.csv": _csv(_EQUITY_COLUMNS, equity),
        folder / "equity.parquet": _parquet(_EQUITY_COLUMNS, equity),
        folder / "figures.json": _figures(outcome),
        folder / "report.html": _bytes(page(outcome)),
    }
    at = folder
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for at, content in contents.items():
            _write_through(beside[at], content)
        for at, fresh in beside.items():
            fresh.replace(at)
    except OSError as error:
        raise unwritable(at, error) from None
    finally:
        for fresh in beside.values():
            with suppress(OSError):
                fresh.unlink()
    return list(contents)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _trade_row(trade: Trade) -> _Row:
    return (
        trade.ticket,
        trade.symbol,
        trade.strategy,
        trade.direction.value,
        trade.regime,
        trade.volume,
        trade.opened_at,
        trade.entry,
        trade.stop,
        trade.target,
        trade.closed_at,
        trade.exit,
        trade.reason,
        trade.duration // _SECOND,
        trade.profit,
        trade.commission,
        trade.swap,
        trade.net,
        trade.spread,
    )


def _equity_row(point: EquityPoint) -> _Row:
    return point.time, point.balance, point.equity


def _csv(columns: Sequence[_Column], rows: Iterable[_Row]) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return _bytes(text.getvalue())


def _parquet(columns: Sequence[_Column], rows: Sequence[_Row]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only the end of a run needs it
    from pyarrow import parquet  # noqa: PLC0415

    types: Mapping[type, object] = {
        str: pa.string(),
        int: pa.int64(),
        Decimal: pa.decimal128(_DIGITS, _SCALE),
        datetime: pa.timestamp("us", "UTC"),
    }
    arrays = [
        pa.array([_stored(row[index]) for row in rows], types[column.kind])
        for index, column in enumerate(columns)
    ]
    file = BytesIO()
    parquet.write_table(pa.table(arrays, names=[column.name for column in columns]), file)
    return file.getvalue()


def _stored(cell: object) -> object:
    if isinstance(cell, Decimal):
        return cell.quantize(_STEP, context=_WIDEST)
    return _bytes(cell).decode() if isinstance(cell, str) else cell


def _figures(outcome: Outcome) -> bytes:
    summary = {
        "name": outcome.name,
        "began": outcome.began,
        "ended": outcome.ended,
        "complete": outcome.complete,
        "currency": outcome.currency,
        "capital": outcome.capital,
        "balance": outcome.balance,
        "final_equity": outcome.final_equity,
        "candles": outcome.candles,
        "signals": outcome.signals,
        "refused": dict(sorted(outcome.refused.items())),
        "still_open": outcome.still_open,
        "whole": whole(outcome),
        "by_strategy": by_strategy(outcome),
        "by_regime": by_regime(outcome),
        "monthly": monthly(outcome),
        "assumptions": outcome.assumptions,
    }
    text = json.dumps(summary, default=_plain, indent=2, ensure_ascii=False, allow_nan=False)
    return _bytes(f"{text}\n")


def _plain(value: object) -> object:
    """Return what JSON and CSV can hold: decimals and times as text, durations in seconds."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


def _bytes(text: str) -> bytes:
    """Return `text` in UTF-8; half of a surrogate pair, which that cannot hold, as its escape."""
    return text.encode("utf-8", "backslashreplace")
