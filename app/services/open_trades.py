"""What the execution service has at stake: plans of open positions, entries on their way."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.domain.orders import Deal, DealEntry, Intent, OrderKind, Position
from app.domain.rules import StrategyRules
from app.domain.signals import Direction
from app.ports import Broker, Journal
from app.risk.ids import client_id_in
from app.risk.limits import Exposure, loss_at_stop, position_risk
from app.risk.plans import PositionPlan

_NOTHING = Decimal(0)


class SentEntry(msgspec.Struct):
    """An entry the broker has, or may have, and has not filled completely.

    `risk` is what it loses at its stop, account currency; `filled` lots of it are positions by now;
    `withdrawn` once the broker was told to cancel it.
    """

    intent: Intent
    ticket: int
    sent_at: datetime
    risk: Decimal
    filled: Decimal = _NOTHING
    withdrawn: bool = False

    @property
    def waits(self) -> bool:
        """Whether it can still be withdrawn: a pending order the broker has, not one at market."""
        pending = self.intent.kind is not OrderKind.MARKET
        return pending and self.ticket != 0 and not self.withdrawn


class OpenTrades:
    """Plans by position ticket, kept in the journal too, and sent entries by client id."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.plans: dict[int, PositionPlan] = {}
        self.sent: dict[str, SentEntry] = {}

    def keep(self, plan: PositionPlan) -> None:
        """Remember the newest state of a plan."""
        self.plans[plan.ticket] = plan
        self._journal.save_plan(plan)

    def drop(self, plan: PositionPlan) -> None:
        """Forget the plan of a closed position."""
        del self.plans[plan.ticket]
        self._journal.drop_plan(plan.ticket)

    def of(self, strategy: StrategyRules, direction: Direction | None = None) -> list[PositionPlan]:
        """Return the plans of a strategy, oldest first.

        One of that name may have traded another symbol in an earlier run.
        """
        return [
            plan
            for plan in self.plans.values()
            if (plan.strategy, plan.symbol) == (strategy.name, strategy.symbol)
            and (direction is None or plan.direction is direction)
        ]

    def entries(self, strategy: StrategyRules, direction: Direction) -> int:
        """Return how many entries are open or on their way; a split one counts once."""
        if not self.plans and not self.sent:
            return 0
        keys = {key for plan in self.of(strategy, direction) for key in plan.entry_keys}
        for entry in self.sent.values():
            intent = entry.intent
            ours = (intent.strategy, intent.symbol) == (strategy.name, strategy.symbol)
            if ours and intent.direction is direction:
                keys.add(intent.entry_key)
        return len(keys)

    def other_in(self, symbol: str, strategy: str, broker: Broker) -> str:
        """Say whose position, or entry on its way, is in the symbol besides the strategy's own."""
        held = [plan.strategy for plan in self.plans.values() if plan.symbol == symbol]
        sent = [it.intent.strategy for it in self.sent.values() if it.intent.symbol == symbol]
        for owner in (*held, *sent):
            if owner != strategy:
                return owner
        known = self.plans.keys() | {entry.ticket for entry in self.sent.values()}
        shown = [(held.symbol, held.ticket) for held in broker.positions()]
        shown += [(it.symbol, it.ticket) for it in broker.orders() if not it.position]
        foreign = any(it == symbol and ticket not in known for it, ticket in shown)
        return "a stranger" if foreign else ""

    def filled(self, deal: Deal) -> Intent | None:
        """Return the entry that `deal` executed, ``None`` for a stranger's, and book its volume.

        On a netting account an entry may close what stands against it instead of opening.
        """
        named = client_id_in(deal.comment) if deal.entry is DealEntry.IN else ""
        entry = self.sent.get(named) or self._of_order(deal.order)
        if entry is None:
            return self._journal.intent(named) if named else None
        entry.filled += deal.volume
        if entry.filled >= entry.intent.volume:
            del self.sent[entry.intent.client_id]
        return entry.intent

    def _of_order(self, ticket: int) -> SentEntry | None:
        return next((it for it in self.sent.values() if ticket and it.ticket == ticket), None)

    def exposure(self, broker: Broker, realised: Decimal) -> Exposure:
        """Return what the account has at stake, counting what the broker may not show yet."""
        positions = broker.positions()
        orders = [order for order in broker.orders() if not order.position]
        shown = {held.ticket for held in positions} | {order.ticket for order in orders}
        ours = {entry.ticket for entry in self.sent.values()}
        unseen = [plan for plan in self.plans.values() if plan.ticket not in shown]
        on_their_way = sum(entry.ticket not in shown for entry in self.sent.values())
        at_risk = sum((entry.risk for entry in self.sent.values()), _NOTHING)
        volumes: dict[str, Decimal] = defaultdict(Decimal)
        for entry in self.sent.values():
            volumes[entry.intent.symbol] += entry.intent.volume - entry.filled
        for plan in unseen:
            volumes[plan.symbol] += plan.volume
            at_risk += loss_at_stop(
                plan.direction,
                plan.entry,
                plan.stop,
                plan.volume,
                broker.money_per_lot(plan.symbol),
            )
        for held in positions:
            volumes[held.symbol] += held.volume
            at_risk += position_risk(held, broker.money_per_lot(held.symbol))
        for order in orders:
            if order.ticket not in ours:
                volumes[order.symbol] += order.volume
                money_per_lot = broker.money_per_lot(order.symbol)
                at_risk += loss_at_stop(
                    order.direction, order.price, order.stop_loss, order.volume, money_per_lot
                )
        return Exposure(
            taken=len(positions) + len(orders) + len(unseen) + on_their_way,
            realised=realised,
            floating=floating_profit(positions),
            at_risk=at_risk,
            volumes=volumes,
        )


def floating_profit(positions: Sequence[Position]) -> Decimal:
    """Return what open positions have gained by now, swaps included, account currency."""
    return sum((held.profit + held.swap for held in positions), _NOTHING)
