"""Taking over what the broker holds: at start all of it, later what appears."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from logging import INFO, WARNING

from app.domain.orders import (
    Action,
    BlockReason,
    Deal,
    IntentRecord,
    IntentState,
    PendingOrder,
    Position,
)
from app.events import PositionAdoptedEvent
from app.risk.ids import client_id_in
from app.risk.limits import loss_at_stop
from app.risk.plans import PositionPlan, adopted, is_closed, reconciled
from app.services.brakes import Brakes
from app.services.broker_reports import BrokerReports
from app.services.evidence import SKEW
from app.services.floor import Floor
from app.services.open_trades import SentEntry
from app.services.order_desk import said

LOOK_BACK = timedelta(days=7)
"""How far back the ledger is read at start, unless something is open for longer."""


class Adoption:
    """Gives positions their plans and orders their intents; what is a stranger's it leaves alone.

    What carries our magic and is not in the journal blocks entries: somebody else trades as us, or
    the journal is not the one that belongs to the account.
    """

    def __init__(self, floor: Floor, reports: BrokerReports, brakes: Brakes) -> None:
        self._bus = floor.bus
        self._log = floor.log
        self._broker = floor.broker
        self._journal = floor.journal
        self._by_magic = floor.terms.by_magic
        self._rules = floor.terms.rules
        self._trades = floor.trades
        self._reports = reports
        self._brakes = brakes
        self.strangers: set[int] = set()
        """Tickets of positions that are not ours."""
        self.strange_orders: set[int] = set()

    def recall(self, now: datetime) -> list[Deal]:
        """Bring back plans and orders on their way; return the deals since they were known.

        Raises SourceError when the broker cannot say what happened.
        """
        records, plans = self._journal.unsettled(), self._journal.plans()
        since = min(
            (now - LOOK_BACK, *(it.sent_at for it in records), *(it.opened_at for it in plans))
        )
        for plan in plans:
            self._trades.keep(plan)
        for record in records:
            self._resume(record, now)
        return [deal for deal in self._broker.deals(since - SKEW) if deal.symbol]

    def take_over(self, deals: Sequence[Deal], now: datetime) -> None:
        """Take in what happened to our orders meanwhile, then what is there."""
        for deal in deals:
            if deal.position in self._trades.plans or self._is_ours(deal):
                self._reports.take_in(deal, min(deal.time, now))
        for held in self._broker.positions():
            self.position(held, [deal for deal in deals if deal.position == held.ticket], now)
        for order in self._broker.orders():
            if not order.position:
                self.order(order, now)

    def _is_ours(self, deal: Deal) -> bool:
        """Say whether the journal can tell more of a deal than that it happened."""
        return (
            deal.magic in self._by_magic
            or self._journal.by_ticket(deal.order) is not None
            or self._journal.by_ticket(deal.position) is not None
            or self._journal.intent(client_id_in(deal.comment)) is not None
            or any(it.intent.ticket == deal.position for it in self._journal.unsettled())
        )

    def _resume(self, record: IntentRecord, now: datetime) -> None:
        """Count an unsettled entry as on its way; doubt what was being sent."""
        intent = record.intent
        if record.state is IntentState.SENDING:
            why = "the daemon ended while it was being sent"
            self._journal.settle(intent.client_id, IntentState.UNKNOWN, now, detail=why)
            self._log.warning("Order in doubt: %s, %s", said(intent), why, symbol=intent.symbol)
        if intent.action is Action.ENTRY and intent.client_id not in self._trades.sent:
            self._trades.sent[intent.client_id] = SentEntry(
                intent,
                record.ticket,
                record.sent_at,
                self._risk(intent.symbol, record),
                record.filled,
            )

    def _risk(self, symbol: str, record: IntentRecord) -> Decimal:
        intent = record.intent
        entry = intent.price or intent.expected_price
        money_per_lot = self._broker.money_per_lot(symbol)
        return loss_at_stop(intent.direction, entry, intent.stop_loss, intent.volume, money_per_lot)

    def position(self, held: Position, deals: Sequence[Deal], now: datetime) -> None:
        """Give a position its plan: the journal's, else a new one if it is ours.

        One that its deals say is closed is only shown late.
        """
        plan = self._trades.plans.get(held.ticket)
        known = plan is not None
        if plan is None:
            if is_closed(deals):
                return
            plan = self._plan_of(held, deals, now)
        if plan is not None:
            self._trades.keep(reconciled(plan, held, self.leaving(held.ticket)))
        self._log.log(
            WARNING if plan is None else INFO,
            "Position %s: %s %s %s at %s",
            "of a stranger, left alone" if plan is None else f"adopted for {plan.strategy}",
            held.symbol,
            held.direction,
            held.volume,
            held.price_open,
            symbol=held.symbol,
            ticket=held.ticket,
            in_journal=known,
        )
        if plan is None:
            self.strangers.add(held.ticket)
        strategy = "" if plan is None else plan.strategy
        self._bus.publish(PositionAdoptedEvent(strategy=strategy, position=held))

    def leaving(self, ticket: int) -> Decimal:
        """Return the lots of a position that are on their way out, or may be."""
        shown = {it.ticket: it.volume for it in self._broker.orders() if it.position == ticket}
        unseen = (
            record.intent.volume - record.filled
            for record in self._journal.unsettled()
            if record.intent.ticket == ticket and record.ticket not in shown
        )
        return sum(shown.values(), Decimal(0)) + sum(unseen, Decimal(0))

    def _plan_of(self, held: Position, deals: Sequence[Deal], now: datetime) -> PositionPlan | None:
        record = self.record_of(held.ticket, held.comment)
        strategy = self._by_magic.get(held.magic)
        if strategy is None:
            return None
        if record is None:
            self._brakes.stop(
                BlockReason.UNKNOWN_ORDER,
                f"position {held.ticket} in {held.symbol} carries the magic of {strategy.name} "
                "and the journal does not know it",
                now,
            )
        if held.symbol != strategy.symbol:
            return None
        rules = self._broker.rules(held.symbol)
        intent = None if record is None else record.intent
        return adopted(held, deals, intent, strategy, rules=rules, house=self._rules)

    def record_of(self, ticket: int, comment: str) -> IntentRecord | None:
        """Return the intent that an order or position is of, by its ticket or its comment."""
        return self._journal.by_ticket(ticket) or self._journal.record(client_id_in(comment))

    def order(self, order: PendingOrder, now: datetime) -> None:
        """Count a waiting order as ours if the journal knows it, else as a stranger's."""
        record = self.record_of(order.ticket, order.comment)
        if record is not None:
            if not record.state.final:
                self._resume(record, now)
            return
        self.strange_orders.add(order.ticket)
        if order.magic in self._by_magic:
            self._brakes.stop(
                BlockReason.UNKNOWN_ORDER,
                f"order {order.ticket} in {order.symbol} carries our magic and the journal does "
                "not know it",
                now,
            )
        self._log.warning(
            "Order of a stranger, left alone: %s %s %s",
            order.symbol,
            order.direction,
            order.volume,
            symbol=order.symbol,
            ticket=order.ticket,
        )
