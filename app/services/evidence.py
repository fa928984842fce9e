"""Finding an order in doubt: by its id, by asking for it, or as the only one it can be."""

from collections.abc import Iterator, Set
from datetime import datetime, timedelta

from app.domain.errors import SourceError
from app.domain.orders import (
    BlockReason,
    Deal,
    DealEntry,
    Intent,
    IntentRecord,
    PendingOrder,
    Position,
)
from app.ports import Broker, Journal
from app.risk.ids import client_id_in
from app.services.brakes import Brakes

SKEW = timedelta(minutes=1)
"""By how much the broker's time of an order may differ from when we sent it."""


class Evidence:
    """Looks for orders whose fate is unknown in what the broker shows."""

    def __init__(self, broker: Broker, journal: Journal, brakes: Brakes) -> None:
        self._broker = broker
        self._journal = journal
        self._brakes = brakes

    def ticket_of(self, record: IntentRecord, now: datetime) -> int | None:
        """Return the ticket of an order in doubt; 0 while nothing shows it.

        ``None`` while it may be there and cannot be told from others: that proves nothing.
        """
        names = list(self._names())
        named = {ticket for name, ticket in names if name == record.intent.client_id}
        if named:
            return min(named)
        others = {ticket for name, ticket in names if self._journal.intent(name) is not None}
        try:
            answer = self._broker.find(record.intent.client_id)
        except SourceError:
            return self._only_one_it_can_be(record, others, now) or None
        if answer is not None and answer.ticket:
            return answer.ticket
        return self._only_one_it_can_be(record, others, now)

    def _names(self) -> Iterator[tuple[str, int]]:
        """Yield client id and order ticket of all that the broker shows."""
        for order in self._broker.orders():
            yield client_id_in(order.comment), order.ticket
        for held in self._broker.positions():
            yield client_id_in(held.comment), held.ticket
        for deal in self._broker.deals(self._oldest()):
            if deal.entry is DealEntry.IN or deal.reason is None:
                yield client_id_in(deal.comment), deal.order

    def _oldest(self) -> datetime:
        return min(record.sent_at for record in self._journal.unsettled()) - SKEW

    def _only_one_it_can_be(
        self, record: IntentRecord, others: Set[int], now: datetime
    ) -> int | None:
        """Return the one order that it can be, and that can be nothing else we sent.

        Of exits any will do: what they close is bounded by the position.
        """
        tickets = self._tickets_like(record) - others
        if not tickets or record.intent.ticket:
            return min(tickets, default=0)
        rivals = (
            other
            for other in self._journal.unsettled()
            if other.state.doubtful and other.intent.client_id != record.intent.client_id
        )
        if len(tickets) == 1 and not any(tickets & self._tickets_like(other) for other in rivals):
            return tickets.pop()
        self._brakes.stop(
            BlockReason.UNKNOWN_ORDER,
            f"{len(tickets)} orders at the broker could be {record.intent.client_id}: "
            f"{', '.join(map(str, sorted(tickets)))}",
            now,
        )
        return None

    def _tickets_like(self, record: IntentRecord) -> set[int]:
        """Return the orders that look like it and belong to nothing we know of."""
        seen = self._exits_like(record) if record.intent.ticket else self._entries_like(record)
        return {ticket for ticket in seen if self._journal.by_ticket(ticket) is None}

    def _exits_like(self, record: IntentRecord) -> Iterator[int]:
        """Yield the orders that take as much out of the position, for no reason of the broker."""
        intent, since = record.intent, record.sent_at - SKEW
        for order in self._broker.orders():
            same = (order.position, order.volume) == (intent.ticket, intent.volume)
            if same and order.placed_at >= since:
                yield order.ticket
        for deal in self._untold(since):
            same = (deal.position, deal.entry, deal.reason) == (intent.ticket, DealEntry.OUT, None)
            if same and deal.volume == intent.volume:
                yield deal.order

    def _entries_like(self, record: IntentRecord) -> Iterator[int]:
        """Yield what has the same magic, symbol, direction, volume, stops and time."""
        intent, since, until = record.intent, record.sent_at - SKEW, record.sent_at + SKEW
        shown = {held.ticket: held for held in self._broker.positions()}
        for held in shown.values():
            if since <= held.opened_at <= until and _is_like(held, intent):
                yield held.ticket
        for order in self._broker.orders():
            at = order.placed_at
            alike = since <= at <= until and not order.position and _is_like(order, intent)
            if alike and (order.kind, order.price) == (intent.kind, intent.price or order.price):
                yield order.ticket
        wanted = (intent.magic, intent.symbol, intent.direction, intent.volume, DealEntry.IN)
        for deal in self._untold(since):
            what = (deal.magic, deal.symbol, deal.direction, deal.volume, deal.entry)
            if deal.time <= until and what == wanted and deal.position not in shown:
                yield deal.order

    def _untold(self, since: datetime) -> Iterator[Deal]:
        """Yield the deals that were not taken in yet."""
        for deal in self._broker.deals(since):
            if not self._journal.has_deal(deal.ticket):
                yield deal


def _is_like(shown: Position | PendingOrder, intent: Intent) -> bool:
    """Say whether an order or position can be of an intent; its stops may be missing."""
    return (
        (shown.magic, shown.symbol) == (intent.magic, intent.symbol)
        and (shown.direction, shown.volume) == (intent.direction, intent.volume)
        and shown.stop_loss in {None, intent.stop_loss}
        and shown.take_profit in {None, intent.take_profit}
    )
