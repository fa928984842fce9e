"""What a bridge is sent: queries, and bodies in which nulls are written out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

from app.domain.market import Timeframe

Field: TypeAlias = str | int | bool | Decimal | None

LOOK_UP = "client_order_id"
"""What a bridge offers that finds an order by the id that stands first in its comment."""
IDEMPOTENCY = "idempotency_key"
"""What a bridge offers that executes a key once, however often it is sent."""
IDEMPOTENCY_HEADER = "Idempotency-Key"

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_JSON_SAFE = 2**53
"""What lies between keeps integers up to here."""


def encoded(fields: Mapping[str, Field]) -> bytes:
    """Return a body: Decimals as the numbers they are, nulls included.

    Raises:
        ValueError: a number is not finite.

    """
    for name, value in fields.items():
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValueError(f"{name} {value} is not finite")
    return _ENCODER.encode(fields)


def bar_range(
    timeframe: Timeframe, count: int | None, start: datetime | None, end: datetime | None
) -> dict[str, str]:
    """Return the query for the newest `count` bars, or without it for those of a time range."""
    query = {"timeframe": timeframe.title_name}
    if count is not None:
        return query | {"num_bars": str(count)}
    return query | time_range(start, end)


def time_range(start: datetime | None, end: datetime | None) -> dict[str, str]:
    """Return the query for what lies between two aware times, open where there is none."""
    limits = {"start": start, "end": end}
    return {name: at.astimezone(UTC).isoformat() for name, at in limits.items() if at}


def order_filter(symbol: str | None) -> dict[str, str]:
    """Return the query for the orders of a symbol, of all without one."""
    return {} if symbol is None else {"symbol": symbol}


def selection(symbol: str) -> dict[str, Field]:
    """Return what has the terminal watch a symbol."""
    return {"symbol": symbol, "enable": True}


def new_order(
    symbol: str,
    order_type: str,
    volume: Decimal,
    *,
    price: Decimal | None,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    comment: str,
    magic: int,
) -> dict[str, Field]:
    """Return a new order; `volume` in lots.

    Raises:
        ValueError: JSON does not carry the magic number unchanged.

    """
    if abs(magic) > _JSON_SAFE:
        raise ValueError(f"magic {magic} is beyond 2^53")
    return {
        "symbol": symbol,
        "volume": volume,
        "order_type": order_type,
        "price": price,
        "sl": stop_loss,
        "tp": take_profit,
        "comment": comment,
        "magic": magic,
    }


def order_change(
    ticket: int,
    *,
    price: Decimal | None,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    comment: str | None,
) -> dict[str, Field]:
    """Return what a waiting order is to become."""
    return {
        "ticket": ticket,
        "price": price,
        "sl": stop_loss,
        "tp": take_profit,
        "comment": comment,
    }


def cancellation(ticket: int) -> dict[str, Field]:
    """Return what withdraws a waiting order."""
    return {"ticket": ticket}


def stops(stop_loss: Decimal | None, take_profit: Decimal | None) -> dict[str, Field]:
    """Return what sets a position's stops: ``None`` leaves one as it is, 0 removes it."""
    return {"stop_loss": stop_loss, "take_profit": take_profit}


def closing(volume: Decimal) -> dict[str, Field]:
    """Return what closes so many lots of a position."""
    return {"volume": volume}


def closing_all(symbol: str | None) -> dict[str, Field]:
    """Return what closes every position of a symbol, or every one."""
    return {"symbol": symbol}
