"""Where orders leave for the broker: entries, exits, moved stops, withdrawals. Each said aloud."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from app.domain.orders import (
    Action,
    BlockReason,
    CloseReason,
    Intent,
    IntentRecord,
    IntentState,
    OrderResult,
    OrderState,
    PendingOrder,
    Refusal,
)
from app.events import (
    OrderInDoubtEvent,
    OrderPlacedEvent,
    OrderRejectedEvent,
    StopMovedEvent,
)
from app.risk.limits import ApprovedOrder, approve_exit
from app.risk.pace import OrderPace
from app.risk.plans import PositionPlan, exit_intent, kept, leaving, owing
from app.services.brakes import Brakes
from app.services.floor import Floor
from app.services.open_trades import SentEntry

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_UNREACHABLE = frozenset(
    {BlockReason.NO_ANSWER, BlockReason.TERMINAL_DISCONNECTED, BlockReason.WRONG_ACCOUNT}
)
_MOST_UNANSWERED = 2
"""Requests of a cycle whose fate may stay unknown until no more leave: a terminal that hangs must
not hang the daemon."""


class OrderDesk:
    """Sends what was decided, once; the journal admits each intent before it leaves.

    An order whose fate is unknown counts as placed and is never sent again; only one whose price
    moved, and that certainly was not executed, gets a second attempt. An exit that was refused is
    owed: asked for again on every candle until it is taken. So is one that is not sent because
    the broker left others of its cycle unanswered. `account` is the login that client ids are made
    for, `max_slippage` points that a second attempt may be worse than the decision, and `pace`
    holds back entries that come too fast.
    """

    def __init__(self, floor: Floor, brakes: Brakes) -> None:
        self._bus = floor.bus
        self._log = floor.log
        self._broker = floor.broker
        self._journal = floor.journal
        self._trades = floor.trades
        self._brakes = brakes
        self._account = floor.broker.account().login
        self._max_slippage = floor.terms.max_slippage
        self.pace = OrderPace(floor.terms.requests_per_minute)
        """Of the requests to this broker, whoever makes them."""
        self._unanswered = 0
        self.at = _BEGINNING
        """The market's now."""
        self.placed = 0
        self.rejected = 0
        self.asked = False
        """Whether the broker was asked for anything since this was last set back."""
        self.ending = False
        """Set once the daemon is to stop: an entry gets no second attempt."""

    @property
    def hangs(self) -> bool:
        """Whether the broker left so much unanswered that nothing more leaves in this cycle."""
        return self._unanswered >= _MOST_UNANSWERED

    def end_cycle(self) -> None:
        """Ask the broker again from now on."""
        self.asked = False
        self._unanswered = 0

    def submit(self, order: ApprovedOrder) -> OrderResult | Refusal:
        """Send an order, unless its intent was sent before, a block stands or the broker hangs."""
        intent = order.intent
        refusal = self._held_up(intent) or self._journal.admit(intent, self.at)
        if refusal is not None:
            return refusal
        self.asked = True
        result = self._heard(self._broker.submit(order))
        if result.moved:
            result = self._second_attempt(order, result)
        return self._settle(intent, result)

    def _held_up(self, intent: Intent) -> Refusal | None:
        if self.hangs:
            return Refusal(
                BlockReason.NO_ANSWER,
                f"{self._unanswered} requests of this cycle were not answered",
            )
        if intent.action is Action.ENTRY and not self.pace.allows_entry(self.at):
            return Refusal(
                BlockReason.TOO_MANY_REQUESTS,
                f"more than {self.pace.per_minute} requests a minute, or the broker found it so",
            )
        return None

    def _heard(self, result: OrderResult) -> OrderResult:
        """Take in how a request was answered."""
        self.pace.count(self.at)
        self._unanswered += result.silent or result.state is OrderState.UNKNOWN
        if result.blocks is BlockReason.TOO_MANY_REQUESTS:
            self.pace.too_fast(self.at)
        return result

    def _second_attempt(self, order: ApprovedOrder, result: OrderResult) -> OrderResult:
        """Try once more at the new price, while the decision still holds there."""
        intent = order.intent
        quote = self._broker.quote(intent.symbol)
        doubt = self._broker.doubt(intent.symbol, self.at)
        if doubt is not None and (intent.action is Action.ENTRY or doubt.reason in _UNREACHABLE):
            return result
        if quote is None:
            return result
        if intent.action is Action.ENTRY and self.ending:
            return result
        if intent.action is Action.ENTRY and intent.expected_price is not None:
            age = quote.time - intent.candle_time - intent.timeframe.delta
            long = intent.direction.sign > 0
            rules = self._broker.rules(intent.symbol)
            price = rules.price(quote.ask if long else quote.bid)
            worse = intent.direction.sign * (price - intent.expected_price) / rules.point
            if age >= intent.timeframe.delta or worse > self._max_slippage:
                return msgspec.structs.replace(
                    result, reason=f"{result.reason}: {intent.expected_price} became {price}"
                )
        self._journal.attempt(intent.client_id, self.at)
        return self._heard(self._broker.submit(order))

    def _settle(self, intent: Intent, result: OrderResult) -> OrderResult:
        """Note and say what became of a submission."""
        other = self._journal.by_ticket(result.ticket) if result.ticket else None
        if other is not None and other.intent.client_id != intent.client_id:
            result = self._swapped(result, other)
        if result.state is OrderState.REJECTED:
            self.rejected += 1
            self._note(intent, IntentState.REJECTED, result)
            self._warn(intent, f"Order rejected: {said(intent)}, {result.reason}")
            self._bus.publish(OrderRejectedEvent(intent=intent, reason=result.reason))
            self._brakes.refused(intent, result, self.at)
        elif result.state is OrderState.UNKNOWN:
            self._note(intent, IntentState.UNKNOWN, result)
            self._warn(intent, f"Order in doubt: {said(intent)}, {result.reason}")
            self._bus.publish(OrderInDoubtEvent(intent=intent, reason=result.reason))
        elif result.ticket or result.state is OrderState.PLACED:
            self.accepted(intent, result.ticket)
        else:
            self._note(intent, IntentState.CANCELLED, result)
        return result

    def accepted(self, intent: Intent, ticket: int) -> None:
        """Take in that the broker has the order, be it told by its answer or found there."""
        self.placed += 1
        self._journal.settle(intent.client_id, IntentState.PLACED, self.at, ticket=ticket)
        if intent.action is Action.ENTRY:
            self._brakes.taken(intent)
        self._log.info(
            "Order placed: %s",
            said(intent),
            symbol=intent.symbol,
            strategy=intent.strategy,
            client_id=intent.client_id,
        )
        self._bus.publish(OrderPlacedEvent(intent=intent, ticket=ticket))

    def _note(self, intent: Intent, state: IntentState, result: OrderResult) -> None:
        self._journal.settle(intent.client_id, state, self.at, detail=result.reason)

    def _swapped(self, result: OrderResult, other: IntentRecord) -> OrderResult:
        """Doubt both orders whose answers name the same ticket."""
        name = other.intent.client_id
        self._journal.settle(name, IntentState.UNKNOWN, self.at, detail="its ticket came twice")
        reason = f"the answer names order {result.ticket}, which is {name}"
        self._brakes.stop(BlockReason.UNKNOWN_ORDER, reason, self.at)
        return OrderResult(OrderState.UNKNOWN, reason=reason)

    def close(
        self, plan: PositionPlan, at: datetime, volume: Decimal, reason: CloseReason, leg: int = 0
    ) -> bool:
        """Close `volume` lots of a position, or owe them; `at` is what the decision hangs on.

        They count as on their way before they are sent, so that a crash in between loses no exit:
        what the broker does not know of at the next start is owed. One that was admitted before is
        owed if it is all of the position; a part is not closed twice, which is ``False``.
        """
        if min(volume, plan.free) <= 0:
            return True
        if self.hangs:
            self._trades.keep(owing(plan, volume, reason))
            return True
        intent = exit_intent(
            plan, self._account, volume=volume, reason=reason, candle_time=at, leg=leg
        )
        sent = leaving(plan, intent.volume, reason)
        self._trades.keep(sent)
        result = self.submit(approve_exit(intent))
        if isinstance(result, Refusal) and volume < plan.free:
            self._trades.keep(plan)
            return False
        if isinstance(result, Refusal) or result.state is OrderState.REJECTED:
            self.owe(sent, intent)
        return True

    def owe(self, plan: PositionPlan, exit_: Intent) -> None:
        """Remember an exit that failed, to be asked for again."""
        self._trades.keep(kept(plan, exit_.volume))

    def close_owed(self, plan: PositionPlan, at: datetime) -> None:
        """Ask again for what is owed of a position, on every candle once."""
        owed, reason = plan.owed, plan.exit_reason or CloseReason.SIGNAL
        if not self.close(msgspec.structs.replace(plan, owed=Decimal(0)), at, owed, reason):
            self._trades.keep(plan)

    def move_stop(self, plan: PositionPlan, stop: Decimal) -> None:
        """Move the stop loss of a position; one that was refused is wanted again later."""
        if self.hangs:
            return
        self.asked = True
        result = self._modify(plan, stop)
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

    def restore_stop(self, plan: PositionPlan) -> None:
        """Give a position the stop back that it must have."""
        if not self.hangs:
            self._modify(plan, plan.stop)

    def _modify(self, plan: PositionPlan, stop: Decimal | None) -> OrderResult:
        self._journal.still_ours()
        return self._heard(
            self._broker.modify(plan.ticket, stop_loss=stop, take_profit=plan.take_profit)
        )

    def withdraw(self, entry: SentEntry, why: str) -> None:
        """Cancel an entry that waits."""
        entry.withdrawn = self.cancel(entry.intent, entry.ticket, why)

    def withdraw_exit(self, plan: PositionPlan, order: PendingOrder, why: str) -> None:
        """Cancel an order that would close a position and does not."""
        reason = plan.exit_reason or CloseReason.SIGNAL
        intent = exit_intent(
            plan, self._account, volume=order.volume, reason=reason, candle_time=order.placed_at
        )
        self.cancel(intent, order.ticket, why)

    def cancel(self, intent: Intent, ticket: int, why: str) -> bool:
        """Cancel an order; say whether it was. The broker shows in time that it is gone."""
        if self.hangs:
            return False
        self.asked = True
        self._journal.still_ours()
        result = self._heard(self._broker.cancel(ticket))
        if result.state in {OrderState.REJECTED, OrderState.UNKNOWN}:
            self._warn(intent, f"Order not withdrawn: {said(intent)}, {result.reason}")
            return False
        self._log.info(
            "Order withdrawn: %s, %s",
            said(intent),
            why,
            symbol=intent.symbol,
            strategy=intent.strategy,
        )
        return True

    def _warn(self, intent: Intent, what: str) -> None:
        self._log.warning(what, symbol=intent.symbol, strategy=intent.strategy)


def said(intent: Intent) -> str:
    """Say an order as a trader would."""
    what = f"{intent.symbol} {intent.direction} {intent.volume}"
    if intent.action is Action.EXIT:
        return f"close {what} ({intent.close_reason}, {intent.strategy})"
    at = intent.kind if intent.price is None else f"{intent.kind} {intent.price}"
    stop = "none" if intent.stop_loss is None else intent.stop_loss
    target = "none" if intent.take_profit is None else intent.take_profit
    return f"{what} {at}, stop {stop}, target {target} ({intent.strategy})"
