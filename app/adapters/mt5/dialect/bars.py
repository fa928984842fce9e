"""Bars as a bridge writes them: typed from the first byte, for they come by the thousand."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from app.adapters.mt5.dialect.envelope import payload
from app.adapters.mt5.dialect.readings import moment
from app.adapters.mt5.server_clock import ServerClock
from app.domain.errors import SourceError

_OK = 200
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


def bars(status: int, body: bytes, about: str, clock: ServerClock) -> list[WireBar]:
    """Return the bars of a reply, in its order.

    Raises:
        RefusalError: the bridge said no.
        SourceError: there are no bars, or one cannot be true.

    """
    try:
        reply = _DECODER.decode(body)
    except (ValueError, RecursionError) as error:
        payload(status, body, about)
        raise SourceError(f"{about}: {error}") from None
    if isinstance(reply, _Enveloped):
        rows, success = reply.data, reply.success
    else:
        rows, success = reply, True
    if status != _OK or not success:
        payload(status, body, about)
    return [_bar(f"{about}, bar {at}", row, clock) for at, row in enumerate(rows, 1)]


def _bar(about: str, row: _Row, clock: ServerClock) -> WireBar:
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
