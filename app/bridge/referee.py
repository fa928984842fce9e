"""The referee's book: what was received, what was done, and whether anything was done twice.

Client ids are those of the comments as they were received, whatever the broker made of them. Times
are UTC with ``Z``, whatever clock the bridge shows.
"""

from datetime import datetime

import msgspec

from app.bridge.desk import OrderDesk, Receipt
from app.bridge.ledger import Ledger
from app.bridge.values import NONE, Deal, Order, Position
from app.bridge.wire import Json, Object


def book(ledger: Ledger, desk: OrderDesk, now: datetime) -> Object:
    """Return all that happened on an account since the bridge was started."""
    mine = [receipt for receipt in desk.receipts if receipt.login == ledger.terms.login]
    ids = {one.result.order: one.client_id for one in mine if one.result.order}
    orders = [*ledger.done.values(), *ledger.waiting.values()]
    doubled: dict[str, Json] = dict(desk.doubled())
    deals = [deal for deal in ledger.deals if deal.symbol]
    return {
        "login": ledger.terms.login,
        "server": ledger.terms.server,
        "currency": ledger.terms.currency,
        "hedging": ledger.terms.hedging,
        "clock": _utc(now),
        "balance": ledger.balance,
        "sum_of_deals": sum((deal.net for deal in ledger.deals), NONE),
        "doubled": doubled,
        "counts": {
            "received": len(mine),
            "repeated": sum(receipt.repeat for receipt in mine),
            "executed": len(ids),
            "orders": len(orders),
            "waiting": len(ledger.waiting),
            "deals": len(deals),
            "positions": len(ledger.positions),
        },
        "received": [_receipt(one) for one in mine],
        "orders": [_order(one, ids) for one in sorted(orders, key=lambda order: order.ticket)],
        "deals": [_deal(one, ids) for one in ledger.deals],
        "positions": [_position(one, ids) for one in ledger.positions.values()],
    }


def _receipt(one: Receipt) -> Object:
    return {
        "at": _utc(one.at),
        "client_id": one.client_id,
        "key": one.key or None,
        "repeat": one.repeat,
        "symbol": one.request.symbol,
        "type": one.request.type.name,
        "volume": one.request.volume,
        "magic": one.request.magic,
        "comment": one.request.comment,
        "retcode": one.result.retcode,
        "order": one.result.order,
    }


def _order(one: Order, ids: dict[int, str]) -> Object:
    return {
        **msgspec.structs.asdict(one),
        "type": one.type.name,
        "state": one.state.name,
        "reason": one.reason.name,
        "time_setup": _utc(one.time_setup),
        "time_done": None if one.time_done is None else _utc(one.time_done),
        "client_id": ids.get(one.ticket, ""),
    }


def _deal(one: Deal, ids: dict[int, str]) -> Object:
    return {
        **msgspec.structs.asdict(one),
        "entry": one.entry.name,
        "reason": one.reason.name,
        "time": _utc(one.time),
        "client_id": ids.get(one.order, ""),
    }


def _position(one: Position, ids: dict[int, str]) -> Object:
    return {
        **msgspec.structs.asdict(one),
        "type": one.type.name,
        "reason": one.reason.name,
        "time": _utc(one.time),
        "client_id": ids.get(one.identifier, ""),
    }


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
