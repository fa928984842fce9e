"""What the broker reports, deals and orders gone, becomes plans and events."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from logging import INFO, WARNING

import msgspec
from structlog.typing import FilteringBoundLogger

from app.bus import EventBus
from app.domain.orders import (
    Action,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    OrderGone,
    OrderKind,
    PendingOrder,
    Position,
)
from app.domain.rules import StrategyRules
from app.events import (
    OrderCancelledEvent,
    OrderFilledEvent,
    PositionAdoptedEvent,
    PositionClosedEvent,
    PositionReducedEvent,
)
from app.ports import Broker, Journal
from app.risk.ids import client_id_in
from app.risk.limits import EntryRules, loss_at_stop
from app.risk.plans import PositionPlan, adopted, increased, opened, reconciled, reduced
from app.services.open_trades import DayResult, OpenTrades, SentEntry
from app.services.order_desk import OrderDesk

LOOK_BACK = timedelta(days=7)
"""How far back the ledger is read at start for what happened to our positions meanwhile."""


class BrokerReports:
    """Keeps plans and the day's result true to the broker's ledger; each deal counts once."""

    def __init__(
        self,
        bus: EventBus,
        log: FilteringBoundLogger,
        broker: Broker,
        journal: Journal,
        *,
        strategies: Mapping[str, StrategyRules],
        rules: EntryRules,
        trades: OpenTrades,
        desk: OrderDesk,
        currency: str,
    ) -> None:
        self._bus = bus
        self._log = log
        self._broker = broker
        self._journal = journal
        self._strategies = strategies
        self._by_magic = {strategy.magic: strategy for strategy in strategies.values()}
        self._rules = rules
        self._trades = trades
        self._desk = desk
        self.day = DayResult(rules.server_time)
        self._currency = currency
        self.filled = 0
        self.closed = 0
        self.profit = Decimal(0)

    # While running

    def take_in(self, happened: Deal | OrderGone, closed: datetime) -> None:
        """Take in what happened on the candle that closed at `closed`."""
        if isinstance(happened, OrderGone):
            self._gone(happened)
            return
        self.day.add(happened)
        plan = self._trades.plans.get(happened.position)
        if plan is not None and happened.ticket in plan.deals:
            return
        entry = self._trades.filled(happened)
        if happened.entry is DealEntry.IN:
            self._opened(happened, entry, plan, closed)
        elif plan is not None:
            self._reduced(happened, plan)

    def _opened(
        self, deal: Deal, intent: Intent | None, plan: PositionPlan | None, closed: datetime
    ) -> None:
        strategy = None if intent is None else self._strategies.get(intent.strategy)
        if intent is None or strategy is None:
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

    def _with_stops(self, plan: PositionPlan) -> PositionPlan:
        """Return the plan with the stops the broker holds: those of an entry may replace them."""
        for held in self._broker.positions():
            if held.ticket == plan.ticket:
                return msgspec.structs.replace(
                    plan, stop=held.stop_loss, take_profit=held.take_profit
                )
        return plan

    def _reduced(self, deal: Deal, plan: PositionPlan) -> None:
        intent = self._journal.intent(client_id_in(deal.comment))
        exit_ = intent if intent is not None and intent.action is Action.EXIT else None
        after = reduced(plan, deal, ours=exit_ is not None)
        reason = (exit_.close_reason if exit_ else None) or deal.reason or CloseReason.MANUAL
        if after.volume > 0:
            self._trades.keep(after)
            self._say_closed("Position reduced", after, deal, reason, deal.net)
            self._bus.publish(
                PositionReducedEvent(strategy=plan.strategy, deal=deal, remaining=after.volume)
            )
            return
        self._trades.drop(after)
        self.closed += 1
        self.profit += after.realised
        self._say_closed("Position closed", after, deal, reason, after.realised)
        self._bus.publish(
            PositionClosedEvent(
                symbol=plan.symbol,
                strategy=plan.strategy,
                direction=plan.direction,
                deal=deal,
                profit=after.realised,
                reason=reason,
            )
        )
        self._withdraw_group(plan.group, "a position of its group was closed")

    def _withdraw_group(self, group: str, why: str) -> None:
        """Add nothing more to a split entry."""
        for entry in list(self._trades.sent.values()):
            if group and entry.intent.group == group and entry.waits:
                self._desk.withdraw(entry, why)

    def _gone(self, gone: OrderGone) -> None:
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

    # At start

    def take_over(self, now: datetime) -> None:
        """Adopt what the broker holds, after what happened to our positions meanwhile."""
        deals = [deal for deal in self._broker.deals(now - LOOK_BACK) if deal.symbol]
        for ticket in dict.fromkeys(deal.position for deal in deals):
            plan = self._journal.plan(ticket)
            if plan is not None:
                self._trades.keep(plan)
        for deal in deals:
            if deal.position in self._trades.plans:
                self.take_in(deal, deal.time)
        orders = self._broker.orders()
        for held in self._broker.positions():
            made_by = [deal for deal in deals if deal.position == held.ticket]
            exits = (order.volume for order in orders if order.position == held.ticket)
            self._adopt(held, made_by, sum(exits, Decimal(0)))
        for order in orders:
            if not order.position:
                self._adopt_order(order)

    def _adopt(self, held: Position, deals: Sequence[Deal], in_flight: Decimal) -> None:
        plan = self._plan_of(held, deals)
        if plan is not None:
            self._trades.keep(reconciled(plan, held, in_flight))
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
        )
        strategy = "" if plan is None else plan.strategy
        self._bus.publish(PositionAdoptedEvent(strategy=strategy, position=held))

    def _plan_of(self, held: Position, deals: Sequence[Deal]) -> PositionPlan | None:
        """Return the plan of a position: the journal's, else a new one if the position is ours."""
        plan = self._trades.plans.get(held.ticket) or self._journal.plan(held.ticket)
        if plan is not None:
            return plan
        intent = self._journal.intent(client_id_in(held.comment))
        strategy = self._by_magic.get(held.magic)
        if strategy is None:
            return None
        rules = self._broker.rules(held.symbol)
        return adopted(held, deals, intent, strategy, rules=rules, house=self._rules)

    def _adopt_order(self, order: PendingOrder) -> None:
        intent = self._journal.intent(client_id_in(order.comment))
        if intent is None:
            self._log.warning(
                "Order of a stranger, left alone: %s %s %s",
                order.symbol,
                order.direction,
                order.volume,
                symbol=order.symbol,
                ticket=order.ticket,
            )
            return
        money_per_lot = self._broker.money_per_lot(order.symbol)
        entry = order.price or intent.expected_price
        risk = loss_at_stop(order.direction, entry, order.stop_loss, order.volume, money_per_lot)
        self._trades.sent[intent.client_id] = SentEntry(intent, order.ticket, order.placed_at, risk)
