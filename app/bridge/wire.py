"""The dialect's wire: values as JSON, times as the broker's wall clock shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

import msgspec

from app.bridge.desk import status_of
from app.bridge.retcodes import text_of
from app.bridge.values import (
    Account,
    Bar,
    Deal,
    OpenPosition,
    Order,
    Symbol,
    Tick,
    TradeResult,
)
from app.domain.broker_time import ServerTime

Json: TypeAlias = "str | int | float | bool | Decimal | Sequence[Json] | dict[str, Json] | None"
Object: TypeAlias = dict[str, Json]

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock
_BOTH_WAYS = 4
"""SYMBOL_TRADE_MODE_FULL."""
_FILLING_MODES = 3
"""Fill or kill, and immediate or cancel."""
_HEDGING = 2
"""ACCOUNT_MARGIN_MODE_RETAIL_HEDGING; netting is 0."""

encode = msgspec.json.Encoder(decimal_format="number").encode


class Stamps:
    """Writes and reads times: naive ones show the server's wall clock, or all are UTC with ``Z``.

    `ahead` is how much the server's clock is wrong.
    """

    def __init__(self, server_time: ServerTime, *, utc: bool) -> None:
        self.ahead = timedelta()
        self._server_time = server_time
        self._utc = utc

    def text(self, time: datetime) -> str:
        """Return a time to the second."""
        wall = self._wall(time)
        return wall.isoformat(timespec="seconds") + ("Z" if self._utc else "")

    def milliseconds(self, time: datetime) -> int:
        """Return a time as MetaTrader's ``time_msc``."""
        return (self._wall(time) - _EPOCH) // _MILLISECOND

    def read(self, text: str) -> datetime:
        """Return a time of a request, aware UTC; ValueError when it is none.

        A space stands for the plus sign that was not quoted in a query.
        """
        time = datetime.fromisoformat(text.strip().replace(" ", "+"))
        return self._server_time.to_utc(time) if time.tzinfo is None else time.astimezone(UTC)

    def _wall(self, time: datetime) -> datetime:
        wall = time.replace(tzinfo=None) if self._utc else self._server_time.wall(time)
        return wall + self.ahead


def account(one: Account) -> Object:
    """Return an account."""
    return {
        **msgspec.structs.asdict(one),
        "trade_mode": 0,
        "margin_level": one.margin_level or None,
        "margin_mode": _HEDGING if one.hedging else 0,
    }


def symbol(one: Symbol, tick: Tick | None, money_per_tick: Decimal) -> Object:
    """Return a symbol, its spread that of the latest tick."""
    spread = one.spread if tick is None else int((tick.ask - tick.bid) / one.point)
    return {
        "name": one.name,
        "description": one.description,
        "currency_base": one.currency_base,
        "currency_profit": one.currency_profit,
        "currency_margin": one.currency_base,
        "digits": one.digits,
        "point": one.point,
        "spread": spread,
        "trade_mode": _BOTH_WAYS,
        "volume_min": one.volume_min,
        "volume_max": one.volume_max,
        "volume_step": one.volume_step,
        "trade_contract_size": one.contract_size,
        "trade_tick_value": money_per_tick,
        "trade_tick_size": one.point,
        "trade_stops_level": one.stops_level,
        "trade_freeze_level": one.freeze_level,
        "filling_mode": _FILLING_MODES,
    }


def tick(one: Tick, stamps: Stamps) -> Object:
    """Return a tick; 6 are the flags of a changed bid and ask."""
    return {
        "symbol": one.symbol,
        "time": stamps.text(one.time),
        "bid": one.bid,
        "ask": one.ask,
        "last": 0,
        "volume": one.volume,
        "time_msc": stamps.milliseconds(one.time),
        "flags": 6,
    }


def bar(one: Bar, stamps: Stamps) -> Object:
    """Return a bar."""
    return {
        "time": stamps.text(one.time),
        "open": one.open,
        "high": one.high,
        "low": one.low,
        "close": one.close,
        "tick_volume": one.tick_volume,
        "spread": one.spread,
        "real_volume": 0,
    }


def position(one: OpenPosition, stamps: Stamps) -> Object:
    """Return an open position."""
    held = one.position
    fields = msgspec.structs.asdict(held)
    del fields["margin_per_lot"]
    return {
        **fields,
        "time": stamps.text(held.time),
        "time_msc": stamps.milliseconds(held.time),
        "price_current": one.price_current,
        "profit": one.profit,
    }


def order(one: Order, stamps: Stamps) -> Object:
    """Return an order."""
    return {
        **msgspec.structs.asdict(one),
        "volume": one.volume_current,
        "time_setup": stamps.text(one.time_setup),
        "time_done": None if one.time_done is None else stamps.text(one.time_done),
    }


def deal(one: Deal, stamps: Stamps) -> Object:
    """Return a deal."""
    return {
        **msgspec.structs.asdict(one),
        "time": stamps.text(one.time),
        "time_msc": stamps.milliseconds(one.time),
    }


def result(one: TradeResult) -> Object:
    """Return the answer to a request to trade."""
    return {
        "retcode": one.retcode,
        "order": one.order,
        "ticket": one.order,
        "deal": one.deal,
        "price": one.price,
        "volume": one.volume,
        "comment": text_of(one.retcode),
        "status": status_of(one),
    }
