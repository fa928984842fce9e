"""What the broker reports, deals and orders gone, becomes plans and events."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import msgspec

from app.domain.orders import (
    Action,
    BlockReason,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    IntentState,
    OrderGone,
    OrderKind,
)
from app.events import (
    OrderCancelledEvent,
    OrderFilledEvent,
    PositionClosedEvent,
    PositionReducedEvent,
)
from app.risk.ids import client_id_in
from app.risk.plans import PositionPlan, increased, is_closed, opened, reduced
from app.services.brakes import Brakes
from app.services.floor import Floor
from app.services.order_desk import OrderDesk
from app.services.results import Results

_A_DAY = timedelta(days=1)


class BrokerReports:
    """Keeps plans, journal and results true to the broker's ledger; each deal counts once."""

    def __init__(self, floor: Floor, desk: OrderDesk, brakes: Brakes, results: Results) -> None:
        self._bus = floor.bus
        self._log = floor.log
        self._broker = floor.broker
        self._journal = floor.journal
        self._strategies = floor.terms.strategies
        self._by_magic = floor.terms.by_magic
        self._rules = floor.terms.rules
        self._trades = floor.trades
        self._desk = desk
        self._brakes = brakes
        self._results = results
        self._currency = floor.broker.account().currency
        self._blocking: deque[Callable[[], None]] = deque()
        self.filled = 0
        self.closed = 0
        self.profit = Decimal(0)

    def take_in(self, happened: Deal | OrderGone, at: datetime) -> None:
        """Take in what happened up to `at`: on the candle that closed then, or by the last look."""
        if isinstance(happened, OrderGone):
            self._gone(happened, at)
            return
        self._results.add(happened)
        if not happened.symbol or self._journal.has_deal(happened.ticket):
            return
        executed = self._trades.filled(happened) or self._exit_of(happened)
        self._book(happened, executed, at)
        plan = self._trades.plans.get(happened.position)
        if happened.entry is DealEntry.IN:
            self._opened(happened, executed, plan, at)
        elif plan is not None:
            self._reduced(happened, plan, executed, at)
        self._put_brakes_on()

    def _put_brakes_on(self) -> None:
        """Set the blocks a deal asks for, once all about it is noted.

        A block is durable at once, with whatever was noted before it: so a crash leaves a deal
        taken in whole or not at all.
        """
        while self._blocking:
            self._blocking.popleft()()

    def _exit_of(self, deal: Deal) -> Intent | None:
        """Return the exit of ours that `deal` executed.

        Its comment names it, or its order; else it is one of ours on its way out of the position,
        unless the broker gives a reason of its own.
        """
        if deal.entry is DealEntry.IN:
            return None
        named = self._journal.intent(client_id_in(deal.comment))
        if named is not None and named.action is Action.EXIT:
            return named
        ordered = self._journal.by_ticket(deal.order)
        if ordered is not None and ordered.intent.action is Action.EXIT:
            return ordered.intent
        if deal.reason is not None:
            return None
        for record in self._journal.unsettled():
            if record.intent.ticket == deal.position and record.ticket in {0, deal.order}:
                return record.intent
        return None

    def _book(self, deal: Deal, executed: Intent | None, at: datetime) -> None:
        """Note the deal, and what is wrong with it."""
        name = executed.client_id if executed else ""
        before = self._journal.record(name) if name else None
        self._journal.booked(deal, name)
        if before is None:
            return
        if before.ticket and deal.order and before.ticket != deal.order:
            self._stop(
                BlockReason.DOUBLE_EXECUTION,
                f"{name} was sent once and executed as order {before.ticket} and {deal.order}",
                at,
            )
        elif before.state in {IntentState.LOST, IntentState.REJECTED, IntentState.CANCELLED}:
            self._stop(
                BlockReason.UNKNOWN_ORDER,
                f"{name} was {before.state} and executed after all as order {deal.order}",
                at,
            )
        if before.filled + deal.volume >= before.intent.volume:
            self._journal.settle(name, IntentState.FILLED, at, ticket=deal.order)

    def _stop(self, reason: BlockReason, detail: str, at: datetime) -> None:
        self._blocking.append(partial(self._brakes.stop, reason, detail, at))

    def _opened(
        self, deal: Deal, intent: Intent | None, plan: PositionPlan | None, closed: datetime
    ) -> None:
        strategy = None if intent is None else self._strategies.get(intent.strategy)
        if intent is None or strategy is None:
            if deal.magic in self._by_magic:
                self._stop(
                    BlockReason.UNKNOWN_ORDER,
                    f"deal {deal.ticket} in {deal.symbol} carries our magic and is not ours",
                    closed,
                )
            self._log.warning(
                "Not ours: %s %s %s at %s (%s)",
                deal.symbol,
                deal.direction,
                deal.volume,
                deal.price,
                deal.comment,
                symbol=deal.symbol,
            )
            return
        rules = self._broker.rules(deal.symbol)
        new = plan is None
        if plan is None:
            plan = opened(deal, intent, strategy, rules=rules, house=self._rules, seen=closed)
        else:
            owner = self._strategies.get(plan.strategy, strategy)
            plan = self._with_stops(increased(plan, deal, intent, owner, rules))
        self._trades.keep(plan)
        self.filled += 1
        self._log.info(
            "Order filled: %s %s %s at %s (%s)",
            deal.symbol,
            deal.direction,
            deal.volume,
            deal.price,
            strategy.name,
            symbol=deal.symbol,
            strategy=strategy.name,
            ticket=deal.position,
        )
        self._bus.publish(OrderFilledEvent(strategy=strategy.name, deal=deal))
        if new:
            self._closed_before(deal, closed)

    def _closed_before(self, opening: Deal, at: datetime) -> None:
        """Take in what closed a position and was told before the deal that opened it."""
        for deal in self._broker.deals(opening.time):
            plan = self._trades.plans.get(opening.position)
            later = (deal.time, abs(deal.ticket)) > (opening.time, abs(opening.ticket))
            if plan is None or not later or deal.position != opening.position:
                continue
            if not self._journal.has_deal(deal.ticket):
                self.take_in(deal, at)
            elif deal.entry is DealEntry.OUT:
                self._reduced(deal, plan, self._exit_of(deal), at)

    def _with_stops(self, plan: PositionPlan) -> PositionPlan:
        """Return the plan with the stops the broker holds: those of an entry may replace them."""
        for held in self._broker.positions():
            if held.ticket == plan.ticket and held.stops_known:
                stop = plan.stop if held.stop_loss is None else held.stop_loss
                return msgspec.structs.replace(plan, stop=stop, take_profit=held.take_profit)
        return plan

    def _reduced(
        self, deal: Deal, plan: PositionPlan, executed: Intent | None, at: datetime
    ) -> None:
        exit_ = executed if executed is not None and executed.action is Action.EXIT else None
        after = reduced(plan, deal, ours=exit_ is not None)
        asked_for = exit_.close_reason if exit_ else deal.reason or plan.exit_reason
        reason = asked_for or CloseReason.MANUAL
        if after.volume > 0:
            self._trades.keep(after)
            self._say_closed("Position reduced", after, deal, reason, deal.net)
            self._bus.publish(
                PositionReducedEvent(strategy=plan.strategy, deal=deal, remaining=after.volume)
            )
            return
        self._closed(after, deal, reason, at)

    def _closed(self, plan: PositionPlan, deal: Deal, reason: CloseReason, at: datetime) -> None:
        self._trades.drop(plan)
        self.closed += 1
        self.profit += plan.realised
        if plan.realised < 0:
            self._blocking.append(partial(self._brakes.lost_money, plan.strategy, deal.time, at))
        self._say_closed("Position closed", plan, deal, reason, plan.realised)
        self._bus.publish(
            PositionClosedEvent(
                symbol=plan.symbol,
                strategy=plan.strategy,
                direction=plan.direction,
                deal=deal,
                profit=plan.realised,
                reason=reason,
            )
        )
        self._withdraw_group(plan.group, "a position of its group was closed")

    def close_by_ledger(self, plan: PositionPlan, at: datetime) -> bool:
        """Say whether the deals of a position have closed it; then it is closed."""
        deals = [
            deal
            for deal in self._broker.deals(plan.opened_at - _A_DAY)
            if deal.position == plan.ticket
        ]
        for deal in deals:
            self.take_in(deal, at)
        newest = self._trades.plans.get(plan.ticket)
        if newest is None or not is_closed(deals):
            return newest is None
        net = sum((deal.net for deal in deals), Decimal(0))
        last = deals[-1]
        reason = last.reason or plan.exit_reason or CloseReason.MANUAL
        self._closed(msgspec.structs.replace(newest, realised=net), last, reason, at)
        self._put_brakes_on()
        return True

    def _withdraw_group(self, group: str, why: str) -> None:
        """Add nothing more to a split entry."""
        for entry in list(self._trades.sent.values()):
            if group and entry.intent.group == group and entry.waits:
                self._desk.withdraw(entry, why)

    def _gone(self, gone: OrderGone, at: datetime) -> None:
        if self._journal.intent(gone.client_id) is not None:
            self._journal.settle(gone.client_id, IntentState.CANCELLED, at, detail=gone.reason)
        entry = self._trades.sent.pop(gone.client_id, None)
        if entry is not None and entry.intent.kind is OrderKind.MARKET:
            self._withdraw_group(entry.intent.group, "the first of its group was not filled")
        intent = self._journal.intent(gone.client_id)
        plan = None if intent is None else self._trades.plans.get(intent.ticket or 0)
        if intent is not None and plan is not None:
            self._desk.owe(plan, intent)
        self._log.info(
            "Order cancelled: %s %s, %s",
            gone.symbol,
            gone.client_id,
            gone.reason,
            symbol=gone.symbol,
        )
        self._bus.publish(
            OrderCancelledEvent(
                symbol=gone.symbol,
                client_id=gone.client_id,
                ticket=gone.ticket,
                reason=gone.reason,
            )
        )

    def _say_closed(
        self, what: str, plan: PositionPlan, deal: Deal, reason: CloseReason, profit: Decimal
    ) -> None:
        self._log.info(
            "%s: %s %s %s at %s, profit %.2f %s, reason %s (%s)",
            what,
            plan.symbol,
            plan.direction,
            deal.volume,
            deal.price,
            profit,
            self._currency,
            reason,
            plan.strategy,
            symbol=plan.symbol,
            strategy=plan.strategy,
            ticket=plan.ticket,
        )
