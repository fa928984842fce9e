"""The dialect of the bridges our users run: nothing outside this package knows its field names.

Replies become frozen values: times aware UTC, money in account currency, prices and volumes (lots)
as Decimal. Unknown fields are ignored, optional ones that are missing are ``None``. What cannot be
true is a `SourceError`, and so is a list that is no list: no answer is not "none".
"""

from app.adapters.mt5.dialect.account import (
    WireAccount,
    WireHealth,
    WireMargin,
    WireSymbol,
    WireTick,
    balance,
    equity,
    is_selected,
    is_tradable,
    leverage,
    names,
)
from app.adapters.mt5.dialect.bars import WireBar, WireBars, bars
from app.adapters.mt5.dialect.envelope import RefusalError, payload
from app.adapters.mt5.dialect.readings import Row, moment, read, read_all
from app.adapters.mt5.dialect.records import (
    ORDER_TYPES,
    WireDeal,
    WireOrder,
    WirePosition,
    WireResult,
)
from app.adapters.mt5.dialect.requests import (
    IDEMPOTENCY,
    IDEMPOTENCY_HEADER,
    LOOK_UP,
    Field,
    bar_range,
    cancellation,
    closing,
    closing_all,
    encoded,
    new_order,
    order_change,
    order_filter,
    selection,
    stops,
    time_range,
)
from app.adapters.mt5.dialect.results import order_result, refused_order

__all__ = [
    "IDEMPOTENCY",
    "IDEMPOTENCY_HEADER",
    "LOOK_UP",
    "ORDER_TYPES",
    "Field",
    "RefusalError",
    "Row",
    "WireAccount",
    "WireBar",
    "WireBars",
    "WireDeal",
    "WireHealth",
    "WireMargin",
    "WireOrder",
    "WirePosition",
    "WireResult",
    "WireSymbol",
    "WireTick",
    "balance",
    "bar_range",
    "bars",
    "cancellation",
    "closing",
    "closing_all",
    "encoded",
    "equity",
    "is_selected",
    "is_tradable",
    "leverage",
    "moment",
    "names",
    "new_order",
    "order_change",
    "order_filter",
    "order_result",
    "payload",
    "read",
    "read_all",
    "refused_order",
    "selection",
    "stops",
    "time_range",
]
