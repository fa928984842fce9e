"""Positions, orders and deals as a bridge lists them, and its answer to an order."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import msgspec

from app.adapters.mt5.dialect.readings import Row

ORDER_TYPES = (
    "BUY",
    "SELL",
    "BUY_LIMIT",
    "SELL_LIMIT",
    "BUY_STOP",
    "SELL_STOP",
    "BUY_STOP_LIMIT",
    "SELL_STOP_LIMIT",
    "CLOSE_BY",
)
"""By their number in MetaTrader."""
_SIDES = {"BUY": 0, "SELL": 1}
_ORDER_CODES = {name: code for code, name in enumerate(ORDER_TYPES)}
_FUNDING = {"BALANCE": 2, "CREDIT": 3, "BONUS": 6}
_DEAL_TYPES = {
    **_SIDES,
    **_FUNDING,
    "CHARGE": 4,
    "CORRECTION": 5,
    "COMMISSION": 7,
    "COMMISSION_DAILY": 8,
    "COMMISSION_MONTHLY": 9,
    "COMMISSION_AGENT_DAILY": 10,
    "COMMISSION_AGENT_MONTHLY": 11,
    "INTEREST": 12,
    "BUY_CANCELED": 13,
    "SELL_CANCELED": 14,
    "DIVIDEND": 15,
    "DIVIDEND_FRANKED": 16,
    "TAX": 17,
}
"""https://www.mql5.com/en/docs/constants/tradingconstants/dealproperties"""
_DEAL_ENTRIES = {"IN": 0, "OUT": 1, "INOUT": 2, "OUT_BY": 3}
_DEAL_REASONS = {"CLIENT": 0, "MOBILE": 1, "WEB": 2, "EXPERT": 3, "SL": 4, "TP": 5, "SO": 6}
_NOTHING = Decimal(0)


class WirePosition(msgspec.Struct, frozen=True):
    """An open position; `type` is 0 for bought, 1 for sold.

    `tells_stops` says whether the bridge lists stops at all: where it does not, `sl` being ``None``
    does not mean that there is none.
    """

    ticket: int
    symbol: str
    type: int
    volume: Decimal
    price_open: Decimal
    price_current: Decimal | None
    profit: Decimal
    swap: Decimal
    commission: Decimal
    comment: str
    magic: int
    time: datetime | None
    sl: Decimal | None
    tp: Decimal | None
    tells_stops: bool

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return the position as listed."""
        return cls(
            ticket=row.ticket("ticket"),
            symbol=row.needed_text("symbol"),
            type=row.needed_code(_SIDES, "type"),
            volume=row.positive("volume"),
            price_open=row.positive("price_open"),
            price_current=row.price("price_current"),
            profit=row.needed_number("profit"),
            swap=row.number("swap") or _NOTHING,
            commission=row.number("commission") or _NOTHING,
            comment=row.text("comment"),
            magic=row.whole("magic") or 0,
            time=row.time("time", "time_msc"),
            sl=row.price("sl"),
            tp=row.price("tp"),
            tells_stops=row.has("sl"),
        )


class WireOrder(msgspec.Struct, frozen=True):
    """An order not filled yet; `type` is its place in `ORDER_TYPES`, `volume` what is left of it.

    `position` is the position it works on, 0 when it opens one or the bridge does not say.
    """

    ticket: int
    symbol: str
    type: int
    volume: Decimal
    volume_initial: Decimal
    price_open: Decimal | None
    price_current: Decimal | None
    sl: Decimal | None
    tp: Decimal | None
    comment: str
    magic: int
    time_setup: datetime | None
    position: int

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return the order as listed."""
        return cls(
            ticket=row.ticket("ticket"),
            symbol=row.needed_text("symbol"),
            type=row.needed_code(_ORDER_CODES, "type"),
            volume=row.positive("volume_current", "volume", "volume_initial"),
            volume_initial=row.positive("volume_initial", "volume", "volume_current"),
            price_open=row.price("price_open"),
            price_current=row.price("price_current"),
            sl=row.price("sl"),
            tp=row.price("tp"),
            comment=row.text("comment"),
            magic=row.whole("magic") or 0,
            time_setup=row.time("time_setup", "time_setup_msc"),
            position=row.whole("position_id") or row.whole("position", "position_by_id") or 0,
        )


class WireDeal(msgspec.Struct, frozen=True):
    """An execution in the broker's ledger. Constants are MetaTrader's own.

    `type`: 0 bought, 1 sold, from 2 on money without a trade. `entry`: 0 in, 1 out, 2 in and out (a
    netting position turned round), 3 out by an opposite position. `reason`: 0 to 2 a person, 3 a
    program, 4 stop loss, 5 take profit, 6 stop-out. Costs are negative.
    """

    ticket: int
    order: int
    position_id: int
    symbol: str
    type: int
    entry: int | None
    volume: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    fee: Decimal
    time: datetime
    magic: int
    comment: str
    reason: int | None
    external_id: str

    @property
    def is_trade(self) -> bool:
        """Whether something was bought or sold."""
        return self.type in _SIDES.values()

    @property
    def is_funding(self) -> bool:
        """Whether money was put in or taken out, which is no result: a fee or interest is one."""
        return self.type in _FUNDING.values()

    @classmethod
    def read(cls, row: Row) -> Self:
        """Return the deal as listed; what is no trade has neither volume nor price."""
        kind = row.code(_DEAL_TYPES, "type")
        is_trade = kind is None or kind in _SIDES.values()
        return cls(
            ticket=row.ticket("ticket"),
            order=row.whole("order") or 0,
            position_id=row.whole("position_id") or 0,
            symbol=row.needed_text("symbol") if is_trade else row.text("symbol"),
            type=row.needed_code(_SIDES, "type") if kind is None else kind,
            entry=row.code(_DEAL_ENTRIES, "entry"),
            volume=row.positive("volume") if is_trade else _NOTHING,
            price=row.positive("price") if is_trade else _NOTHING,
            profit=row.needed_number("profit"),
            commission=row.number("commission") or _NOTHING,
            swap=row.number("swap") or _NOTHING,
            fee=row.number("fee") or _NOTHING,
            time=row.needed_time("time", "time_msc"),
            magic=row.whole("magic") or 0,
            comment=row.text("comment"),
            reason=row.code(_DEAL_REASONS, "reason"),
            external_id=row.text("external_id"),
        )


class WireResult(msgspec.Struct, frozen=True):
    """The answer to an order, a close, a modification or a cancellation.

    `ticket` is the order's, 0 without one; `retcode` is ``None`` when the bridge gave none;
    `comment` holds the words it gave. What it means: `app.adapters.mt5.return_codes.judge`.
    """

    retcode: int | None
    ticket: int = 0
    deal: int = 0
    price: Decimal | None = None
    volume: Decimal | None = None
    comment: str = ""
