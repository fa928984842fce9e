"""Bars as a bridge writes them: typed from the first byte, for they come by the thousand.

A reply that cannot be read so, for one bar is null or holds NaN, is read bar by bar.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from app.adapters.mt5.dialect.envelope import payload
from app.adapters.mt5.dialect.readings import moment
from app.adapters.mt5.server_clock import ServerClock
from app.domain.errors import SourceError

_OK = 200
_YES = (True, "true", "True")
_LIMIT = 1e15
"""Above all prices, and where floats still tell whole numbers apart."""


class WireBar(msgspec.Struct, frozen=True, gc=False):
    """A bar of bid prices, the last of a reply possibly still forming.

    `time` is when it opened, aware UTC; `tick_volume` counts price changes; `spread` is in points,
    0 when the bridge does not say it.
    """

    time: datetime
    open: float
    high: float
    low: float
    close: float
    tick_volume: float
    spread: float


class WireBars(msgspec.Struct, frozen=True):
    """The bars of a reply, in its order, and how many others there cannot be true."""

    bars: list[WireBar]
    impossible: int = 0

    @property
    def listed(self) -> int:
        """How many bars the reply held."""
        return len(self.bars) + self.impossible


class _Row(msgspec.Struct, gc=False):
    time: str | int | float
    open: float
    high: float
    low: float
    close: float
    tick_volume: float = 0.0
    spread: float | None = 0.0


class _Enveloped(msgspec.Struct):
    success: bool
    data: list[_Row]


_Reply: TypeAlias = list[_Row] | _Enveloped
_DECODER: msgspec.json.Decoder[_Reply] = msgspec.json.Decoder(_Reply, strict=False)


def bars(status: int, body: bytes, about: str, clock: ServerClock) -> WireBars:
    """Return the bars of a reply; what cannot be true is left out and counted.

    Raises:
        RefusalError: the bridge said no.
        SourceError: there are no bars, or none that can be true.

    """
    rows = _rows(status, body, about)
    good: list[WireBar] = []
    first_wrong: SourceError | None = None
    for at, row in enumerate(rows, 1):
        try:
            good.append(_bar(f"{about}, bar {at}", row, clock))
        except SourceError as error:
            first_wrong = first_wrong or error
    if first_wrong is not None and not good:
        raise first_wrong
    return WireBars(good, len(rows) - len(good))


def _rows(status: int, body: bytes, about: str) -> Sequence[object]:
    """Return the rows of a reply: all typed, or as JSON has them where that fails for one."""
    try:
        reply = _DECODER.decode(body)
    except (ValueError, RecursionError) as error:
        untyped = _untyped(body)
        if untyped is None or status != _OK:
            payload(status, body, about)
        if untyped is None:
            raise SourceError(f"{about}: {error}") from None
        return untyped
    if status != _OK or (isinstance(reply, _Enveloped) and not reply.success):
        payload(status, body, about)
    return reply.data if isinstance(reply, _Enveloped) else reply


def _untyped(body: bytes) -> Sequence[object] | None:
    """Return the list a reply carries, ``None`` when it carries none.

    Unlike JSON itself this takes NaN and Infinity, as some bridges write them.
    """
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(said, dict):
        said = said.get("data") if said.get("success") in _YES else None
    return said if isinstance(said, list) else None


def _bar(about: str, said: object, clock: ServerClock) -> WireBar:
    try:
        row = said if isinstance(said, _Row) else msgspec.convert(said, _Row, strict=False)
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{about}: {error}") from None
    lies_within = 0 < row.low <= row.open <= row.high < _LIMIT and row.low <= row.close <= row.high
    if not lies_within:
        raise SourceError(
            f"{about}: open {row.open}, high {row.high}, low {row.low}, close {row.close} "
            "cannot be true"
        )
    spread = row.spread or 0.0
    if not (0 <= row.tick_volume < _LIMIT and 0 <= spread < _LIMIT):
        raise SourceError(f"{about}: volume {row.tick_volume}, spread {spread} cannot be true")
    try:
        opened = moment(row.time, clock)
    except ValueError as error:
        raise SourceError(f"{about}: {error}") from None
    return WireBar(opened, row.open, row.high, row.low, row.close, row.tick_volume, spread)
