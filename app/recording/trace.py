"""The trace of a session: what was decided, ordered and refused, in order, and its hash."""

from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, TypeAlias

from app.bus import EventBus
from app.domain.orders import Intent
from app.domain.signals import Decision
from app.events import StrategiesEvaluatedEvent, TradingBlockedEvent
from app.recording.calls import to_json

Item: TypeAlias = Mapping[str, Any]
"""Texts, truths and numbers by name; `kind` says what it is."""

_BEFORE_STAGES = -2
_SAID_ELSEWHERE = frozenset({"kind", "symbol", "strategy", "timeframe", "candle", "time"})


class Trace:
    """Counts items and keeps their hash: the same decisions give the same one anywhere."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._hash = sha256()

    def take(self, item: Item) -> None:
        """Take in the next item."""
        self.counts[str(item["kind"])] += 1
        self._hash.update(to_json(item))

    @property
    def decisions(self) -> int:
        """How many decisions were made."""
        return self.counts["decision"]

    @property
    def orders(self) -> int:
        """How many orders were sent; changes and withdrawals are not counted."""
        return self.counts["order"]

    def hexdigest(self) -> str:
        """Return the hash of all items so far."""
        return self._hash.hexdigest()


def listen(bus: EventBus, tell: Callable[[Item], None]) -> None:
    """Tell every decision and every block published on `bus`, before anybody acts on it."""

    def on_evaluated(event: StrategiesEvaluatedEvent) -> None:
        for decision in event.decisions:
            tell(decided(decision))

    def on_blocked(event: TradingBlockedEvent) -> None:
        tell(blocked(event))

    bus.subscribe(StrategiesEvaluatedEvent, on_evaluated, owner="recording", order=_BEFORE_STAGES)
    bus.subscribe(TradingBlockedEvent, on_blocked, owner="recording", order=_BEFORE_STAGES)


def decided(decision: Decision) -> Item:
    """Return a decision as an item; `candle` is when its candle opened."""
    return {
        "kind": "decision",
        "symbol": decision.symbol,
        "timeframe": str(decision.timeframe),
        "candle": decision.candle.time.isoformat(),
        "strategy": decision.strategy,
        "entry_long": decision.entry_long,
        "entry_short": decision.entry_short,
        "exit_long": decision.exit_long,
        "exit_short": decision.exit_short,
        "regimes": {str(timeframe): label for timeframe, label in decision.regimes.items()},
    }


def blocked(event: TradingBlockedEvent) -> Item:
    """Return a refused entry, or a block of all trading, as an item."""
    return {
        "kind": "block",
        "symbol": event.symbol,
        "strategy": event.strategy,
        "direction": None if event.direction is None else event.direction.value,
        "reason": event.reason.value,
        "detail": event.detail,
    }


def ordered(intent: Intent) -> Item:
    """Return an intent that is about to be sent as an item."""
    return {
        "kind": "order",
        "symbol": intent.symbol,
        "timeframe": str(intent.timeframe),
        "candle": intent.candle_time.isoformat(),
        "strategy": intent.strategy,
        "client_id": intent.client_id,
        "action": intent.action.value,
        "direction": intent.direction.value,
        "order": intent.kind.value,
        "volume": str(intent.volume),
        "price": _text(intent.price),
        "stop_loss": _text(intent.stop_loss),
        "take_profit": _text(intent.take_profit),
        "ticket": intent.ticket,
        "reason": None if intent.close_reason is None else intent.close_reason.value,
        "expected_price": _text(intent.expected_price),
    }


def modified(ticket: int, stop_loss: object, take_profit: object) -> Item:
    """Return new stops of a position as an item."""
    return {
        "kind": "modify",
        "ticket": ticket,
        "stop_loss": _text(stop_loss),
        "take_profit": _text(take_profit),
    }


def cancelled(ticket: int) -> Item:
    """Return the withdrawal of an order as an item."""
    return {"kind": "cancel", "ticket": ticket}


def subject(item: Item) -> str:
    """Say what an item is about: ``candle EURUSD 1 2025-01-06T08:16:00+00:00, strategy cross``."""
    words = []
    if item.get("candle"):
        words.append(f"candle {item['symbol']} {item['timeframe']} opened {item['candle']}")
    elif item.get("symbol"):
        words.append(str(item["symbol"]))
    if item.get("strategy"):
        words.append(f"strategy {item['strategy']}")
    return ", ".join(words)


def said(item: Item, beside: Item | None = None) -> str:
    """Say an item; only what differs from `beside` when that is about the same."""
    values = {name: value for name, value in item.items() if name not in _SAID_ELSEWHERE}
    if beside is not None and _about(item) == _about(beside):
        values = {name: value for name, value in values.items() if beside.get(name) != value}
        return f"{item['kind']}: {_listed(values)}"
    about = subject(item)
    return f"{item['kind']}{f' ({about})' if about else ''}: {_listed(values)}"


def _about(item: Item) -> tuple[object, str]:
    return item["kind"], subject(item)


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_word(value)}" for name, value in values.items())


def _word(value: object) -> str:
    match value:
        case None:
            return "not ready"
        case bool():
            return str(value).lower()
        case Mapping():
            return " ".join(f"{name}={word}" for name, word in value.items())
    return str(value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
