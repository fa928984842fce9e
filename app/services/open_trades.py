"""What the execution service has at stake: plans of open positions, entries on their way."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import msgspec

from app.domain.broker_time import ServerTime
from app.domain.orders import Deal, DealEntry, Intent, OrderKind, Position
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
        """Whether it can still be withdrawn: a pending order, not one at market."""
        return self.intent.kind is not OrderKind.MARKET and not self.withdrawn


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

    def of(self, strategy: str, direction: Direction | None = None) -> list[PositionPlan]:
        """Return the plans of a strategy, oldest first."""
        return [
            plan
            for plan in self.plans.values()
            if plan.strategy == strategy and direction in {None, plan.direction}
        ]

    def entries(self, strategy: str, direction: Direction) -> int:
        """Return how many entries are open or on their way; a split one counts once."""
        if not self.plans and not self.sent:
            return 0
        keys = {key for plan in self.of(strategy, direction) for key in plan.entry_keys}
        for entry in self.sent.values():
            intent = entry.intent
            if intent.strategy == strategy and intent.direction is direction:
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
        for name, entry in self.sent.items():
            if name == named or (entry.ticket and entry.ticket == deal.order):
                entry.filled += deal.volume
                if entry.filled >= entry.intent.volume:
                    del self.sent[name]
                return entry.intent
        return self._journal.intent(named) if named else None

    def exposure(self, broker: Broker, realised: Decimal) -> Exposure:
        """Return what the account has at stake, counting what the broker may not show yet."""
        positions = broker.positions()
        orders = [order for order in broker.orders() if not order.position]
        shown = {held.ticket for held in positions} | {order.ticket for order in orders}
        ours = {entry.ticket for entry in self.sent.values()}
        unseen = sum(entry.ticket not in shown for entry in self.sent.values())
        at_risk = sum((entry.risk for entry in self.sent.values()), _NOTHING)
        for held in positions:
            at_risk += position_risk(held, broker.money_per_lot(held.symbol))
        for order in orders:
            if order.ticket not in ours:
                money_per_lot = broker.money_per_lot(order.symbol)
                at_risk += loss_at_stop(
                    order.direction, order.price, order.stop_loss, order.volume, money_per_lot
                )
        return Exposure(
            taken=len(positions) + len(orders) + unseen,
            realised=realised,
            floating=_floating(positions),
            at_risk=at_risk,
        )


def _floating(positions: Sequence[Position]) -> Decimal:
    return sum((held.profit + held.swap for held in positions), _NOTHING)


class DayResult:
    """The net result of the broker's day so far, account currency: a function of the ledger.

    The day's deals are summed once from the ledger, then as they happen, each counted once.
    Deposits are no result.
    """

    def __init__(self, server_time: ServerTime) -> None:
        self._server_time = server_time
        self._day: date | None = None
        self._counted: set[int] = set()
        self._net = _NOTHING

    def add(self, deal: Deal) -> None:
        """Count a deal that just happened."""
        if (
            deal.symbol
            and deal.ticket not in self._counted
            and self._server_time.day(deal.time) == self._day
        ):
            self._counted.add(deal.ticket)
            self._net += deal.net

    def net(self, at: datetime, broker: Broker) -> Decimal:
        """Return the result of the day `at` lies in."""
        day = self._server_time.day(at)
        if day != self._day:
            self._day, self._counted, self._net = day, set(), _NOTHING
            for deal in broker.deals(self._server_time.day_start(at)):
                self.add(deal)
        return self._net
