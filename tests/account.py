"""A broker that goes wrong on purpose: the Broker port in memory, with a ledger as the referee.

What is true stands in the ledger; what a daemon is shown of it is what the last look showed, which
may be late, in part, or under another name.
"""

from bisect import insort
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from app.domain.errors import SourceError
from app.domain.market import Candle, Quote, SymbolRules
from app.domain.orders import (
    Account,
    Action,
    BlockReason,
    Deal,
    Intent,
    OrderGone,
    OrderKind,
    OrderResult,
    OrderState,
    PendingOrder,
    Position,
    Refusal,
)
from app.risk.limits import ApprovedOrder
from tests.fates import FINE, REFUSED, Death, Fate, Killed, Reply
from tests.ledger import LONG_AGO, LOT, NOTHING, SPREAD, Ledger, Order, replace

T = TypeVar("T")

MAX_SILENCE = timedelta(seconds=30)


class FaultyAccount(Ledger):
    """An account whose requests have fates.

    `fates` are those of the next submissions, `changes` those of the next modifications and
    withdrawals; what has none goes well. `before_sending` is told each intent before it has any
    effect. The broker's clock is `skew` ahead of ours.
    """

    name = "faulty account"

    def __init__(self, *, hedging: bool = True) -> None:
        super().__init__(hedging=hedging)
        self.fates: deque[Fate] = deque()
        self.changes: deque[Fate] = deque()
        self.before_sending: Callable[[Intent], object] = lambda _: None
        self.down = self.no_history = False
        self.told_by_id = self.find_fails = False
        self.doubtful: Refusal | None = None
        self.skew = timedelta()
        self.sent: list[tuple[Intent, Fate]] = []
        self.executions: defaultdict[str, list[int]] = defaultdict(list)
        """Client id -> the orders that were made of it."""
        self.mixed_up: set[str] = set()
        """Client ids whose answers were mixed up."""
        self._seen_at = LONG_AGO
        self._quotes: dict[str, Quote] = {}
        self._positions: dict[int, Position] = {}
        self._orders: dict[int, PendingOrder] = {}
        self._deals: list[Deal] = []

    # What can be asked

    def poll(self, now: datetime) -> Sequence[Deal | OrderGone]:
        """Show what is to be seen by now; the deals that were not shown before."""
        self.now = now + self.skew
        self.fill_what_is_due()
        if self.down:
            raise SourceError("connection refused")
        self._seen_at = now
        self._ask_prices()
        self._show(self._positions, self.held)
        self._show(self._orders, {ticket: order.shown for ticket, order in self.waiting.items()})
        told = [deal for shown_from, deal in self.untold if shown_from <= self.now]
        self.untold = [(at, deal) for at, deal in self.untold if at > self.now]
        for deal in told:
            insort(self._deals, deal, key=lambda it: (it.time, it.ticket))
        return told

    def _show(self, shown: dict[int, T], true: Mapping[int, T]) -> None:
        for ticket in shown.keys() | true.keys():
            if self.stale.get(ticket, LONG_AGO) > self.now:
                continue
            if ticket in true:
                shown[ticket] = true[ticket]
            else:
                del shown[ticket]

    def doubt(self, symbol: str, now: datetime) -> Refusal | None:
        if now - self._seen_at > MAX_SILENCE:
            return Refusal(BlockReason.NO_ANSWER, f"the account was seen at {self._seen_at}")
        return self.doubtful

    def account(self) -> Account:
        equity = self.balance + sum((held.profit for held in self._positions.values()), NOTHING)
        return Account(
            7, "Faulty-Demo", "USD", 100, self.hedging, self.balance, equity, NOTHING, equity
        )

    def rules(self, symbol: str) -> SymbolRules:
        return self._rules[symbol]

    def quote(self, symbol: str) -> Quote | None:
        return self._quotes.get(symbol)

    def money_per_lot(self, symbol: str) -> Decimal:
        return LOT

    def positions(self) -> Sequence[Position]:
        return [
            replace(held, profit=self.profit(held, held.volume))
            for held in self._positions.values()
        ]

    def orders(self) -> Sequence[PendingOrder]:
        return list(self._orders.values())

    def deals(self, since: datetime) -> Sequence[Deal]:
        if self.down or self.no_history:
            raise SourceError("no history now")
        return [deal for deal in self._deals if deal.time >= since]

    def find(self, client_id: str) -> OrderResult | None:
        if self.down or self.find_fails:
            raise SourceError("connection refused")
        tickets = self.executions.get(client_id) if self.told_by_id else None
        return OrderResult(OrderState.FILLED, tickets[0]) if tickets else None

    def on_candle(self, candle: Candle) -> Sequence[Deal | OrderGone]:
        return ()

    def shows(self, ticket: int) -> bool:
        """Say whether the last look showed an order or a position of that ticket."""
        return ticket in self._positions or ticket in self._orders

    def _ask_prices(self) -> None:
        for symbol, bid in self.prices.items():
            self._quotes[symbol] = Quote(symbol, float(bid), float(bid + SPREAD), self.now)

    # What can be ordered

    def submit(self, order: ApprovedOrder) -> OrderResult:
        """Do with an order what its fate says."""
        intent = order.intent
        self.before_sending(intent)
        fate = self.fates.popleft() if self.fates else FINE
        if self.down and fate.reply is not Reply.LOST:
            fate = replace(REFUSED, reason="not sent: connection refused", death=fate.death)
        self.sent.append((intent, fate))
        if fate.death is Death.BEFORE:
            raise Killed
        if fate.moved:
            self._ask_prices()
        if fate.reply is Reply.REFUSED:
            result = OrderResult(
                OrderState.REJECTED, reason=fate.reason, moved=fate.moved, blocks=fate.blocks
            )
        else:
            result = self._executed(intent, fate)
        if fate.death is Death.AFTER:
            raise Killed
        return result

    def _executed(self, intent: Intent, fate: Fate) -> OrderResult:
        results = [self._take(intent, fate) for _ in range(fate.times)]
        if fate.reply is Reply.SWAPPED:
            others = [ticket for ticket, name in self.owners.items() if name != intent.client_id]
            if others:
                self.mixed_up |= {intent.client_id, self.owners[others[-1]]}
                return OrderResult(OrderState.FILLED, others[-1])
        if fate.reply is not Reply.TOLD or not results:
            return OrderResult(OrderState.UNKNOWN, reason="no reply in time")
        return results[0]

    def _take(self, intent: Intent, fate: Fate) -> OrderResult:
        """Make an order of an intent, and fill it if it is to be filled at once."""
        held = self.held.get(intent.ticket or 0)
        if intent.action is Action.EXIT:
            if held is None:
                return OrderResult(OrderState.FILLED, reason="the position is closed already")
            if intent.volume > held.volume:
                return OrderResult(OrderState.REJECTED, reason="more than the position's volume")
        ticket = self.new_ticket()
        comment = "" if intent.ticket else fate.comment.of(f"{intent.client_id} {intent.strategy}")
        stop = intent.stop_loss if fate.keeps_stop else None
        shown = PendingOrder(
            ticket, intent.symbol, intent.direction, intent.kind, intent.volume, intent.price,
            stop, intent.take_profit, self.now, intent.magic, comment, intent.ticket or 0,
        )  # fmt: skip
        self.executions[intent.client_id].append(ticket)
        self.owners[ticket] = intent.client_id
        fills_at = None
        if fate.fills_after is not None and intent.kind is OrderKind.MARKET:
            fills_at = self.now + timedelta(seconds=fate.fills_after)
        self.waiting[ticket] = Order(shown, fate, fills_at)
        self.hide(ticket, self.now, fate.unseen)
        self.fill_what_is_due()
        state = OrderState.PLACED if ticket in self.waiting else OrderState.FILLED
        return OrderResult(state, ticket, volume=intent.volume)

    def modify(
        self, ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> OrderResult:
        """Set both stops, or do what the fate of the change says."""

        def change() -> bool:
            held = self.held.get(ticket)
            if held is not None:
                self.held[ticket] = replace(held, stop_loss=stop_loss, take_profit=take_profit)
            return held is not None

        return self._change(ticket, change)

    def cancel(self, ticket: int) -> OrderResult:
        """Withdraw a waiting order, or do what the fate of the change says."""
        return self._change(ticket, lambda: self.waiting.pop(ticket, None) is not None)

    def _change(self, ticket: int, change: Callable[[], bool]) -> OrderResult:
        fate = self.changes.popleft() if self.changes else FINE
        if fate.death is Death.BEFORE:
            raise Killed
        if fate.reply is Reply.REFUSED or (self.down and fate.reply is Reply.TOLD):
            return OrderResult(OrderState.REJECTED, reason=fate.reason)
        done = bool(fate.times) and change()
        if fate.death is Death.AFTER:
            raise Killed
        if fate.reply is Reply.LOST:
            return OrderResult(OrderState.UNKNOWN, reason="no reply in time")
        if not done:
            return OrderResult(OrderState.REJECTED, reason=f"no {ticket}")
        return OrderResult(OrderState.FILLED, ticket)
