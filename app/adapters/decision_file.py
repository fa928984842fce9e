"""`--decisions FILE`: one JSON line per strategy and evaluation, as they happen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from app.bus import EventBus
from app.domain.errors import ConfigurationError
from app.domain.orders import Action, Intent
from app.domain.signals import Decision, Fact, Truth
from app.events import CycleStartedEvent, OrderPlacedEvent, StrategiesEvaluatedEvent
from app.log_setup import get_logger


@contextmanager
def decision_file(path: Path, bus: EventBus) -> Iterator[None]:
    """Write the decisions published on `bus` to `path` while the block runs.

    A line holds `time` (close of the trigger candle, ISO UTC), `symbol`, `strategy`, `timeframe`,
    `entry_long`, `entry_short`, `exit_long`, `exit_short` (true, false or "not_ready"), `regime`
    (timeframe -> label) and `trades`: the orders of the strategy that the broker accepted because
    of it, with action, direction, size (lots), and entry, stop and targets (prices) or an exit's
    reason. An exit between two evaluations (a duration, a session's end, one that was refused
    before) stands in the next line of its strategy; after the last line there is none for it.
    Lines are written when the next cycle begins, for only then all orders of a cycle are known, and
    at the end of the block.

    Raises:
        ConfigurationError: the file cannot be written.

    """
    try:
        # Unbuffered: what a full disk refused is not tried again when the file is closed.
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise ConfigurationError(f"--decisions {path}: {error.strerror}") from None
    with file:
        writer = _Writer(file)
        subscriptions = [
            bus.subscribe(StrategiesEvaluatedEvent, writer.on_evaluated, owner="decision_file"),
            bus.subscribe(OrderPlacedEvent, writer.on_order, owner="decision_file"),
            bus.subscribe(CycleStartedEvent, writer.on_cycle_started, owner="decision_file"),
        ]
        try:
            yield
        finally:
            for subscription in subscriptions:
                bus.unsubscribe(subscription)
            writer.write()


class _Writer:
    """Collects the decisions of a cycle with what was traded on them, then writes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._log = get_logger("decision_file")
        self._decisions: list[Decision] = []
        self._orders: dict[tuple[str, str], list[Intent]] = {}

    def on_evaluated(self, event: StrategiesEvaluatedEvent) -> None:
        self._decisions.extend(event.decisions)

    def on_order(self, event: OrderPlacedEvent) -> None:
        intent = event.intent
        key = intent.symbol, intent.strategy
        self._orders.setdefault(key, []).append(intent)

    def on_cycle_started(self, _event: CycleStartedEvent) -> None:
        self.write()

    def write(self) -> None:
        lines = [
            orjson.dumps(self._line(decision), option=orjson.OPT_APPEND_NEWLINE)
            for decision in self._decisions
        ]
        self._decisions.clear()
        if not lines:
            return
        try:
            self._file.write(b"".join(lines))
        except OSError as error:
            self._log.error("%d decisions were not written: %s", len(lines), error.strerror)

    def _line(self, decision: Decision) -> dict[str, object]:
        line: dict[str, object] = {
            "time": decision.time.isoformat(),
            "symbol": decision.symbol,
            "strategy": decision.strategy,
            "timeframe": str(decision.timeframe),
            "entry_long": _said(decision.entry_long),
            "entry_short": _said(decision.entry_short),
            "exit_long": _said(decision.exit_long),
            "exit_short": _said(decision.exit_short),
            "regime": {str(timeframe): label for timeframe, label in decision.regimes.items()},
            "trades": [_trade(intent) for intent in self._traded(decision)],
        }
        if decision.facts:
            line["facts"] = [_fact(fact) for fact in decision.facts]
        return line

    def _traded(self, decision: Decision) -> list[Intent]:
        """Take out the orders decided on candles that opened before the decision was made."""
        key = decision.symbol, decision.strategy
        orders = self._orders.pop(key, [])
        later = [intent for intent in orders if intent.candle_time >= decision.time]
        if later:
            self._orders[key] = later
        return [intent for intent in orders if intent.candle_time < decision.time]


def _said(truth: Truth) -> bool | str:
    return "not_ready" if truth is None else truth


def _trade(intent: Intent) -> dict[str, object]:
    trade: dict[str, object] = {
        "action": intent.action.value,
        "direction": intent.direction.value,
        "size": float(intent.volume),
    }
    if intent.action is Action.ENTRY:
        trade["entry"] = _price(intent.expected_price)
        trade["stop"] = _price(intent.stop_loss)
        trade["targets"] = [_price(target) for target in intent.targets]
    else:
        trade["reason"] = intent.close_reason
    return trade


def _price(price: object) -> float | None:
    return None if price is None else float(str(price))


def _fact(fact: Fact) -> dict[str, object]:
    return {
        "path": fact.path,
        "timeframe": str(fact.timeframe),
        "signal": fact.signal,
        "operator": fact.operator,
        "truth": _said(fact.truth),
        "left": fact.left,
        "right": fact.right,
    }
