"""The ledger as a file: a JSON line an event, from which a bridge goes on where it was ended.

What one request did is written at once, before its reply leaves. A line torn by a crash is dropped.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import time
from types import TracebackType
from typing import Self

import msgspec

from app.bridge.desk import Receipt
from app.bridge.ledger import Record
from app.bridge.values import Deal, Order, Position
from app.domain.errors import ConfigurationError


class Reading(msgspec.Struct, frozen=True):
    """What the market's clock showed (aware UTC) at a real time (epoch seconds), and its speed."""

    market: datetime
    real: float
    speed: float

    def later(self, real: float) -> datetime:
        """Return what it shows at a later real time: the market goes on without the bridge."""
        return self.market + timedelta(seconds=max(real - self.real, 0) * self.speed)


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One event: what happened at a time of the market (aware UTC) on the account `login`."""

    at: datetime
    login: int = 0
    order: Order | None = None
    deal: Deal | None = None
    position: Position | None = None
    receipt: Receipt | None = None
    clock: Reading | None = None

    @property
    def record(self) -> Record | None:
        """The record of the books it tells of."""
        return self.order or self.deal or self.position


class Chronicle:
    """Reads what happened before, and appends to it what happens.

    Raises:
        ConfigurationError: the file cannot be read, understood or appended to.

    """

    def __init__(self, path: Path) -> None:
        self._unwritten: list[bytes] = []
        self.past: list[Line] = []
        try:
            path.touch()
            known = path.read_bytes()
            self.past += _lines(path, known[: known.rfind(b"\n") + 1])
            self._file = path.open("r+b", buffering=0)
            self._file.seek(known.rfind(b"\n") + 1)
            self._file.truncate()
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Write what is left and close the file."""
        self._flush()
        self._file.close()

    @property
    def clock(self) -> Reading | None:
        """The last reading of the clock."""
        return next((line.clock for line in reversed(self.past) if line.clock), None)

    @property
    def receipts(self) -> list[Receipt]:
        """What the order desk received."""
        return [line.receipt for line in self.past if line.receipt]

    def of(self, login: int) -> list[Line]:
        """Return the lines about the books of an account."""
        return [line for line in self.past if line.login == login and line.record]

    def record(self, login: int, at: datetime, record: Record) -> None:
        """Write a record of the books of an account down."""
        match record:
            case Order():
                self._append(Line(at, login, order=record))
            case Deal():
                self._append(Line(at, login, deal=record))
            case Position():
                self._append(Line(at, login, position=record))

    def receipt(self, receipt: Receipt) -> None:
        """Write down what was received."""
        self._append(Line(receipt.at, receipt.login, receipt=receipt))

    def reading(self, market: datetime, speed: float) -> None:
        """Write down what the clock shows now."""
        self._append(Line(market, clock=Reading(market, time(), speed)))

    def _append(self, line: Line) -> None:
        self._unwritten.append(msgspec.json.encode(line))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
        else:
            if len(self._unwritten) == 1:
                loop.call_soon(self._flush)

    def _flush(self) -> None:
        lines = b"".join(line + b"\n" for line in self._unwritten)
        self._unwritten.clear()
        if lines:
            self._file.write(lines)


def _lines(path: Path, known: bytes) -> Iterator[Line]:
    for number, text in enumerate(known.splitlines(), 1):
        try:
            yield msgspec.json.decode(text, type=Line)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{path}:{number}: is no line of a ledger: {error}") from None
