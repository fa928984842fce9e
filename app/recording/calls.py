"""What is recorded of each port: its calls, what tells them apart, and how answers are written."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import starmap
from typing import Any, NamedTuple

import msgspec

from app.domain.market import Candle, Quote, SymbolRules, Timeframe
from app.domain.orders import (
    Account,
    Block,
    Deal,
    Intent,
    IntentRecord,
    OrderGone,
    OrderResult,
    PendingOrder,
    Position,
    Refusal,
)
from app.ports import Switch
from app.risk.plans import PositionPlan

_ENCODER = msgspec.json.Encoder(enc_hook=str)


def to_json(value: object) -> bytes:
    """Return a line's bytes; Decimals are texts in it, times ISO."""
    return _ENCODER.encode(value)


def plain(value: object) -> Any:
    """Return `value` as it comes back from a file."""
    return msgspec.json.decode(to_json(value))


class Answer(NamedTuple):
    """How an answer is kept, written, and read again."""

    kept: Callable[[Any], Any]
    """Makes it immutable at once: it is written later."""
    written: Callable[[Any], object]
    read: Callable[[Any], Any]


class Call(NamedTuple):
    """A method of a port.

    A `step` changes something there or may not answer: its place among the steps counts. Others
    only ask, as often as they like, what holds between two steps. `told` arguments are written,
    and compared when it is called again; the first `same_by` of them (all by default) say whose
    answer it is, so that one that did not change is written once.
    """

    name: str
    answer: Answer
    step: bool = False
    told: bool = True
    same_by: int | None = None


def _same(value: Any) -> Any:
    return value


def _converted(raw: object, kind: Any) -> Any:
    return msgspec.convert(raw, kind, dec_hook=_made)


def _made(wanted: type[Any], value: object) -> object:
    return wanted(value)


def _one(kind: Any) -> Answer:
    return Answer(_same, _same, lambda raw: _converted(raw, kind))


def _many(kind: Any) -> Answer:
    return Answer(tuple, _same, lambda raw: _converted(raw or (), tuple[kind, ...]))


def _candle_cells(candles: Sequence[Candle]) -> object:
    return tuple(map(msgspec.structs.astuple, candles))


def _read_candles(raw: Any) -> Sequence[Candle]:
    kinds = tuple[str, str, datetime, datetime, float, float, float, float, float, float]
    cells = _converted(raw or (), tuple[kinds, ...])
    return list(starmap(_candle, cells))


def _candle(symbol: str, timeframe: str, *rest: Any) -> Candle:
    return Candle(symbol, Timeframe(timeframe), *rest)


def _happened(events: Sequence[Deal | OrderGone]) -> object:
    return tuple(("deal" if isinstance(it, Deal) else "gone", it) for it in events)


def _read_happened(raw: Any) -> Sequence[Deal | OrderGone]:
    kinds = {"deal": Deal, "gone": OrderGone}
    return tuple(_converted(body, kinds[kind]) for kind, body in raw or ())


_NOTHING = Answer(lambda _: None, _same, lambda _: None)
_CANDLES = Answer(tuple, _candle_cells, _read_candles)
_HAPPENED = Answer(tuple, _happened, _read_happened)

SOURCE = (
    Call("expect", _NOTHING, step=True, told=False),
    Call("latest", _CANDLES, step=True, same_by=2),
    Call("after", _CANDLES, step=True, same_by=2),
)
BROKER = (
    Call("poll", _HAPPENED, step=True, same_by=0),
    Call("doubt", _one(Refusal | None), same_by=1),
    Call("account", _one(Account)),
    Call("rules", _one(SymbolRules)),
    Call("quote", _one(Quote | None)),
    Call("money_per_lot", _one(Decimal)),
    Call("positions", _many(Position)),
    Call("orders", _many(PendingOrder)),
    Call("deals", _many(Deal), step=True, same_by=0),
    Call("find", _one(OrderResult | None), step=True),
    Call("submit", _one(OrderResult), step=True, told=False),
    Call("modify", _one(OrderResult), step=True, told=False),
    Call("cancel", _one(OrderResult), step=True, told=False),
    Call("on_candle", _HAPPENED, step=True, told=False),
)
CLOCK = (
    Call("now", _one(datetime)),
    Call("wait", _one(bool), step=True),
)
JOURNAL = (
    Call("last_candle", _one(datetime | None)),
    Call("candle_announced", _NOTHING, step=True, same_by=0),
    Call("admit", _one(Refusal | None), step=True, told=False),
    Call("still_ours", _NOTHING, step=True),
    Call("attempt", _NOTHING, step=True, told=False),
    Call("settle", _NOTHING, step=True, told=False),
    Call("intent", _one(Intent | None)),
    Call("record", _one(IntentRecord | None)),
    Call("unsettled", _many(IntentRecord)),
    Call("by_ticket", _one(IntentRecord | None)),
    Call("booked", _NOTHING, step=True, told=False),
    Call("has_deal", _one(bool)),
    Call("plan", _one(PositionPlan | None)),
    Call("plans", _many(PositionPlan)),
    Call("save_plan", _NOTHING, step=True, told=False),
    Call("drop_plan", _NOTHING, step=True, told=False),
    Call("block", _NOTHING, step=True, told=False),
    Call("blocks", _many(Block), same_by=0),
    Call("lift", _many(Block), step=True, told=False),
    Call("state", _one(str | None)),
    Call("keep_state", _NOTHING, step=True, told=False),
    Call("flush", _NOTHING, step=True),
)
SWITCH = Call("read", _one(Switch | None))

WAIT = "clock.wait"
CALLS = {
    f"{port}.{call.name}": call
    for port, calls in (
        ("source", SOURCE),
        ("broker", BROKER),
        ("clock", CLOCK),
        ("journal", JOURNAL),
        ("switch", (SWITCH,)),
    )
    for call in calls
}
"""Every recorded call by the name it has in the file."""
