"""Journal against broker: at start, after every doubt, after every silence, one and the same code.

What is unknown becomes known by evidence only: an order is found by its id, its ticket, or as the
only one that can be it; it is lost when complete looks at the account, the last of them long after
it was sent, do not show it. A position is closed by its deal, never by its absence.
"""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from app.domain.orders import (
    Action,
    BlockReason,
    CloseReason,
    IntentRecord,
    IntentState,
    OrderGone,
    OrderKind,
    PendingOrder,
    Position,
)
from app.risk.plans import PositionPlan, reconciled
from app.services.adoption import Adoption
from app.services.brakes import Brakes
from app.services.broker_reports import BrokerReports
from app.services.evidence import SKEW, Evidence
from app.services.floor import Floor
from app.services.looks import Looks
from app.services.order_desk import OrderDesk, said

_GIVEN_UP = frozenset({IntentState.LOST, IntentState.REJECTED, IntentState.CANCELLED})
_NO_TIME = timedelta()


class Reconciliation:
    """Makes journal and plans agree with what the broker shows."""

    def __init__(
        self,
        floor: Floor,
        desk: OrderDesk,
        reports: BrokerReports,
        adoption: Adoption,
        brakes: Brakes,
    ) -> None:
        self._log = floor.log
        self._broker = floor.broker
        self._journal = floor.journal
        self._trades = floor.trades
        self._desk = desk
        self._reports = reports
        self._adoption = adoption
        self._evidence = Evidence(floor.broker, floor.journal, brakes)
        self._brakes = brakes
        self._patience = floor.terms.patience
        self._bounded = floor.broker.account().hedging
        """Whether a position bounds what closes it; netted, a second exit would turn it."""
        self._looks = Looks()
        self._missed: set[int] = set()
        """Tickets of positions whose end no deal tells."""
        self._unclear: set[str] = set()
        """Client ids of orders in doubt that cannot be told from what the broker shows."""

    def begin(self, now: datetime) -> None:
        """Take over what the broker holds, after what happened to our orders meanwhile.

        Raises SourceError when the broker cannot say what happened.
        """
        deals = self._adoption.recall(now)
        self.identify(now)
        self._adoption.take_over(deals, now)
        self._looks.begin()
        self._judge_unseen(now)

    def identify(self, now: datetime) -> None:
        """Find what is in doubt, before the deals of this look are taken in."""
        self._unclear.clear()
        for record in self._journal.unsettled():
            if not record.state.doubtful:
                continue
            ticket = self._evidence.ticket_of(record, now)
            if ticket:
                entry = self._trades.sent.get(record.intent.client_id)
                if entry is not None:
                    entry.ticket = ticket
                self._log.info("Found at the broker: %s", said(record.intent), ticket=ticket)
                self._desk.accepted(record.intent, ticket)
            elif ticket is None:
                self._unclear.add(record.intent.client_id)

    def check(self, now: datetime) -> None:
        """Settle what this look proves and put right what it shows, once its deals are in."""
        self._looks.begin()
        self._judge_unseen(now)
        for record in self._journal.unsettled():
            if record.ticket and record.intent.kind is OrderKind.MARKET:
                self._withdraw_if_overdue(record, now)
        held = {position.ticket: position for position in self._broker.positions()}
        for plan in list(self._trades.plans.values()):
            if plan.ticket in held:
                self._compare(plan, held[plan.ticket], now)
            else:
                self._miss(plan, now)
        for position in held.values():
            self._meet(position, now)
        for order in self._broker.orders():
            if order.ticket not in self._adoption.strange_orders:
                self._meet_order(order, now)

    # Orders

    def _judge_unseen(self, now: datetime) -> None:
        """Settle the orders that the broker does not show, as soon as that proves something."""
        shown = {order.ticket for order in self._broker.orders()}
        for record in self._journal.unsettled():
            if record.state.doubtful:
                self._prove_lost(record, now)
            elif record.ticket not in shown:
                self._end_if_gone(record, now)

    def _prove_lost(self, record: IntentRecord, now: datetime) -> None:
        """Give an order up that no look shows, the last one long enough after it was sent."""
        intent = record.intent
        if intent.client_id in self._unclear:
            return
        looks, _ = self._looks.count(("lost", intent.client_id, record.attempts), now)
        age = now - record.sent_at
        if looks < self._patience.looks or age < self._horizon(record):
            return
        if self._filled(record):
            self._end_in_part(record, now)
            return
        why = f"lost: not at the broker in {looks} looks over {age.total_seconds():.0f} s"
        self._journal.settle(intent.client_id, IntentState.LOST, now, detail=why)
        self._reports.take_in(OrderGone(0, intent.client_id, intent.symbol, why), now)

    def _end_if_gone(self, record: IntentRecord, now: datetime) -> None:
        """Settle an order that waits no more: what is not filled by now never will be."""
        intent = record.intent
        looks, since = self._looks.count(("gone", intent.client_id), now)
        if looks < self._patience.looks or now - since < self._horizon(record):
            return
        if self._filled(record):
            self._end_in_part(record, now)
        else:
            gone = OrderGone(record.ticket, intent.client_id, intent.symbol, "not filled")
            self._reports.take_in(gone, now)

    def _horizon(self, record: IntentRecord) -> timedelta:
        """Return how long an execution may stay unseen until it is taken for none."""
        intent = record.intent
        if intent.action is Action.ENTRY:
            entry = self._trades.sent.get(intent.client_id)
            withdrawn = entry is not None and entry.withdrawn
            return _NO_TIME if withdrawn else self._patience.entry
        plan = self._trades.plans.get(intent.ticket or 0)
        whole = self._bounded and plan is not None and intent.volume >= plan.volume
        return self._patience.exit if whole else self._patience.entry

    def _filled(self, record: IntentRecord) -> Decimal:
        """Return the lots of an order that are filled, by journal or ledger."""
        told = (
            deal.volume
            for deal in self._broker.deals(record.sent_at - SKEW)
            if record.ticket and deal.order == record.ticket
        )
        return max(record.filled, sum(told, Decimal(0)))

    def _end_in_part(self, record: IntentRecord, now: datetime) -> None:
        """Settle an order of which no more will be filled; what is missing of an exit is owed."""
        intent = record.intent
        rest = intent.volume - self._filled(record)
        detail = f"{rest} lots missing" if rest > 0 else "filled before it was known as ours"
        self._log.warning("Filled in part: %s, %s", said(intent), detail, symbol=intent.symbol)
        self._journal.settle(intent.client_id, IntentState.FILLED, now, detail=detail)
        self._trades.sent.pop(intent.client_id, None)
        plan = self._trades.plans.get(intent.ticket or 0)
        if plan is not None and rest > 0:
            self._desk.owe(plan, msgspec.structs.replace(intent, volume=rest))

    def _meet_order(self, order: PendingOrder, now: datetime) -> None:
        """Adopt an entry that appeared; an order that was given up is not wanted any more."""
        record = self._adoption.record_of(order.ticket, order.comment)
        if record is not None and record.state in _GIVEN_UP:
            why = f"{record.intent.client_id} was {record.state} and waits as order {order.ticket}"
            self._brakes.stop(BlockReason.UNKNOWN_ORDER, why, now)
            self._desk.cancel(record.intent, order.ticket, "it was given up")
        elif record is not None and record.ticket not in {0, order.ticket}:
            self._adoption.strange_orders.add(order.ticket)
            why = f"{record.intent.client_id} is order {record.ticket} and waits as {order.ticket}"
            self._brakes.stop(BlockReason.DOUBLE_EXECUTION, why, now)
        elif not order.position:
            self._adoption.order(order, now)
        elif record is None and order.position in self._trades.plans:
            self._meet_nameless_exit(order, now)

    def _meet_nameless_exit(self, order: PendingOrder, now: datetime) -> None:
        """Withdraw an exit of ours that lost its name, was given up, and came up after all.

        While the broker shows it and does not fill it, nothing else closes the position.
        """
        plan = self._trades.plans[order.position]
        _, since = self._looks.count(("nameless", order.ticket), now)
        ours = order.magic == plan.magic and order.kind is OrderKind.MARKET
        if ours and now - since > self._patience.in_flight:
            self._desk.withdraw_exit(plan, order, f"not filled in {self._patience.in_flight}")

    def _withdraw_if_overdue(self, record: IntentRecord, now: datetime) -> None:
        """Withdraw an order at market that the broker shows and does not fill."""
        shown = any(order.ticket == record.ticket for order in self._broker.orders())
        entry = self._trades.sent.get(record.intent.client_id)
        if not shown or (entry is not None and entry.withdrawn):
            return
        if now - record.sent_at > self._patience.in_flight:
            why = f"not filled in {self._patience.in_flight}"
            withdrawn = self._desk.cancel(record.intent, record.ticket, why)
            if entry is not None:
                entry.withdrawn = withdrawn

    # Positions

    def _miss(self, plan: PositionPlan, now: datetime) -> None:
        """Believe that a position is closed if its deals say so; else doubt the account."""
        looks, since = self._looks.count(("missing", plan.ticket), now)
        if looks < self._patience.looks or self._reports.close_by_ledger(plan, now):
            return
        if now - since >= self._patience.in_flight and plan.ticket not in self._missed:
            self._missed.add(plan.ticket)
            self._brakes.stop(
                BlockReason.POSITION_MISSING,
                f"position {plan.ticket} of {plan.strategy} in {plan.symbol} is not shown, and no "
                "deal closed it",
                now,
            )

    def _compare(self, plan: PositionPlan, held: Position, now: datetime) -> None:
        """Follow the broker's stops and lots; give a position its stop back, or close it."""
        if plan.stop is not None and held.stop_loss is None:
            self._protect(plan, now, known=held.stops_known)
        elif held.stops_known and (plan.stop, plan.take_profit) != (
            held.stop_loss,
            held.take_profit,
        ):
            self._trades.keep(
                msgspec.structs.replace(plan, stop=held.stop_loss, take_profit=held.take_profit)
            )
        newest = self._trades.plans[plan.ticket]
        in_flight = self._adoption.leaving(plan.ticket)
        if newest.volume == held.volume and newest.closing <= in_flight:
            return
        if self._looks.count(("lots", plan.ticket), now).looks != self._patience.looks:
            return
        self._log.warning(
            "Position %s holds %s lots, %s on their way out: taken as the broker says, not %s, %s",
            plan.ticket,
            held.volume,
            in_flight,
            newest.volume,
            newest.closing,
            symbol=plan.symbol,
        )
        self._trades.keep(reconciled(newest, held, in_flight))

    def _protect(self, plan: PositionPlan, now: datetime, *, known: bool) -> None:
        """Set a stop that is missing at the broker; close the position when that does not help.

        Where the broker tells no stops it is only not known to be there: the order carried it.
        """
        looks, _ = self._looks.count(("bare", plan.ticket), now)
        if looks > self._patience.looks and not known:
            return
        self._log.error(
            "Position %s has no stop loss, %s is due", plan.ticket, plan.stop, symbol=plan.symbol
        )
        if looks <= self._patience.looks:
            self._desk.restore_stop(plan)
        elif plan.free > plan.owed:
            self._desk.close(plan, now, plan.free - plan.owed, CloseReason.STOP_MISSING)

    def _meet(self, held: Position, now: datetime) -> None:
        """Adopt a position that appeared; one of ours is given time for its deal to be told."""
        if held.ticket in self._trades.plans or held.ticket in self._adoption.strangers:
            return
        ours = self._adoption.record_of(held.ticket, held.comment) is not None
        looks, _ = self._looks.count(("new", held.ticket), now)
        if ours and looks < self._patience.looks:
            return
        deals = [
            deal
            for deal in self._broker.deals(held.opened_at - SKEW)
            if deal.position == held.ticket
        ]
        self._adoption.position(held, deals, now)
