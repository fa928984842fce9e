"""Where orders leave for the broker: entries, exits, moved stops, withdrawals. Each said aloud."""

from decimal import Decimal

import msgspec
from structlog.typing import FilteringBoundLogger

from app.bus import EventBus
from app.domain.market import Candle
from app.domain.orders import Action, CloseReason, Intent, OrderResult, OrderState
from app.events import OrderPlacedEvent, OrderRejectedEvent, StopMovedEvent
from app.ports import Broker, Journal
from app.risk.limits import ApprovedOrder, approve_exit
from app.risk.plans import PositionPlan, exit_intent, kept, leaving
from app.services.open_trades import OpenTrades, SentEntry


class OrderDesk:
    """Sends what was decided, once; the journal admits each intent before it leaves.

    An order whose fate is unknown counts as placed and is never sent again. An exit that was
    refused is owed: asked for again on every candle until it is taken. `account` is the login that
    client ids are made for.
    """

    def __init__(
        self, bus: EventBus, log: FilteringBoundLogger, broker: Broker, journal: Journal,
        trades: OpenTrades, *, account: int,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._log = log
        self._broker = broker
        self._journal = journal
        self._trades = trades
        self._account = account
        self.placed = 0
        self.rejected = 0

    def submit(self, order: ApprovedOrder) -> OrderResult | None:
        """Send an order; ``None`` when its intent was sent before."""
        intent = order.intent
        if not self._journal.admit(intent):
            return None
        result = self._broker.submit(order)
        if result.state is OrderState.REJECTED:
            self.rejected += 1
            self._warn(intent, f"Order rejected: {_said(intent)}, {result.reason}")
            self._bus.publish(OrderRejectedEvent(intent=intent, reason=result.reason))
        elif result.state is OrderState.UNKNOWN:
            self._warn(intent, f"Order of unknown fate: {_said(intent)}, {result.reason}")
        else:
            self.placed += 1
            self._log.info(
                "Order placed: %s",
                _said(intent),
                symbol=intent.symbol,
                strategy=intent.strategy,
                client_id=intent.client_id,
            )
            self._bus.publish(OrderPlacedEvent(intent=intent, ticket=result.ticket))
        return result

    def close(
        self, plan: PositionPlan, candle: Candle, volume: Decimal, reason: CloseReason, leg: int = 0
    ) -> None:
        """Close `volume` lots of a position, or owe them.

        They count as on their way before they are sent, so that a crash in between loses no exit:
        what the broker does not know of at the next start is owed. One that was admitted before is
        owed if it is all of the position; a part is not closed twice.
        """
        if min(volume, plan.free) <= 0:
            return
        intent = exit_intent(
            plan, self._account, volume=volume, reason=reason, candle_time=candle.time, leg=leg
        )
        sent = leaving(plan, intent.volume, reason)
        self._trades.keep(sent)
        result = self.submit(approve_exit(intent))
        if result is None and volume < plan.free:
            self._trades.keep(plan)
        elif result is None or result.state is OrderState.REJECTED:
            self.owe(sent, intent)

    def owe(self, plan: PositionPlan, exit_: Intent) -> None:
        """Remember an exit that failed, to be asked for again."""
        self._trades.keep(kept(plan, exit_.volume))

    def close_owed(self, plan: PositionPlan, candle: Candle) -> None:
        """Ask again for what is owed of a position."""
        owed, reason = plan.owed, plan.exit_reason or CloseReason.SIGNAL
        self.close(msgspec.structs.replace(plan, owed=Decimal(0)), candle, owed, reason)

    def move_stop(self, plan: PositionPlan, stop: Decimal) -> None:
        """Move the stop loss of a position; one that was refused is wanted again later."""
        result = self._broker.modify(plan.ticket, stop_loss=stop, take_profit=plan.take_profit)
        moved = f"{plan.symbol} {plan.direction} stop from {plan.stop} to {stop} ({plan.strategy})"
        if result.state in {OrderState.REJECTED, OrderState.UNKNOWN}:
            self._log.warning("Stop not moved: %s, %s", moved, result.reason, symbol=plan.symbol)
            return
        self._trades.keep(msgspec.structs.replace(plan, stop=stop))
        self._log.info("Stop moved: %s", moved, symbol=plan.symbol, strategy=plan.strategy)
        self._bus.publish(
            StopMovedEvent(
                symbol=plan.symbol,
                strategy=plan.strategy,
                ticket=plan.ticket,
                old_stop=plan.stop,
                new_stop=stop,
            )
        )

    def withdraw(self, entry: SentEntry, why: str) -> None:
        """Cancel a pending entry; the broker reports it gone in time."""
        intent = entry.intent
        result = self._broker.cancel(entry.ticket)
        if result.state is OrderState.REJECTED:
            self._warn(intent, f"Order not withdrawn: {_said(intent)}, {result.reason}")
            return
        entry.withdrawn = True
        self._log.info(
            "Order withdrawn: %s, %s",
            _said(intent),
            why,
            symbol=intent.symbol,
            strategy=intent.strategy,
        )

    def _warn(self, intent: Intent, what: str) -> None:
        self._log.warning(what, symbol=intent.symbol, strategy=intent.strategy)


def _said(intent: Intent) -> str:
    """Say an order as a trader would."""
    what = f"{intent.symbol} {intent.direction} {intent.volume}"
    if intent.action is Action.EXIT:
        return f"close {what} ({intent.close_reason}, {intent.strategy})"
    at = intent.kind if intent.price is None else f"{intent.kind} {intent.price}"
    stop = "none" if intent.stop_loss is None else intent.stop_loss
    target = "none" if intent.take_profit is None else intent.take_profit
    return f"{what} {at}, stop {stop}, target {target} ({intent.strategy})"
