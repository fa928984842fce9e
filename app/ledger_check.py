"""The journal's fills against the broker's deals: what each says, and where they differ. Pure.

They agree (I1, I3) when the journal holds every deal of the broker, with its volume and price, and
no other; when each intent executed at most one order, and no more than it asked for; and when what
became of each is known, and so.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from app.domain.orders import Action, Deal, IntentRecord, IntentState, PendingOrder
from app.domain.signals import Direction
from app.risk.ids import client_id_in


class Fill(msgspec.Struct, frozen=True):
    """A deal by its ticket: lots and price."""

    deal: int
    volume: Decimal
    price: Decimal


class Order(msgspec.Struct, frozen=True):
    """An intent of the journal, and its fills as journal and broker know them."""

    client_id: str
    action: Action
    symbol: str
    direction: Direction
    volume: Decimal
    state: IntentState
    ticket: int
    journal: tuple[Fill, ...]
    broker: tuple[Fill, ...]


class Comparison(msgspec.Struct, frozen=True):
    """Both sides of each order; they agree when there are no `differences`."""

    orders: tuple[Order, ...]
    differences: tuple[str, ...]


class _Traces(msgspec.Struct):
    """What the broker shows of one intent."""

    deals: list[Deal] = []
    waiting: list[int] = []
    """Tickets of its orders that are not filled."""

    @property
    def orders(self) -> list[int]:
        """The tickets of all its orders."""
        return sorted({*self.waiting, *(deal.order for deal in self.deals)})


def compare(
    records: Sequence[IntentRecord],
    booked: Sequence[tuple[Deal, str]],
    deals: Sequence[Deal],
    waiting: Sequence[PendingOrder],
) -> Comparison:
    """Compare the journal with the broker over the same time.

    `records`, and the deals `booked` with the client id each executed, are the journal's; `deals`
    and `waiting` orders the broker's. Deposits are no trades.
    """
    noted = {deal.ticket: deal for deal, _ in booked}
    shown = {deal.ticket: deal for deal in deals if deal.symbol}
    fills: dict[str, list[Deal]] = defaultdict(list)
    for deal, client_id in booked:
        fills[client_id].append(deal)
    traces = _traces(records, {deal.ticket: name for deal, name in booked}, shown, waiting)
    return Comparison(
        orders=tuple(
            _order(it, fills[it.intent.client_id], traces[it.intent.client_id]) for it in records
        ),
        differences=(
            *_deals_that_differ(noted, shown),
            *(said for it in records for said in _faults(it, traces[it.intent.client_id])),
            *_orders_not_known(records, traces[""].waiting, waiting),
        ),
    )


def _traces(
    records: Sequence[IntentRecord],
    booked_for: Mapping[int, str],
    shown: Mapping[int, Deal],
    waiting: Sequence[PendingOrder],
) -> Mapping[str, _Traces]:
    """Return what the broker shows of each intent; under "" what is of none."""
    known = {record.intent.client_id for record in records}
    by_order = {record.ticket: record.intent.client_id for record in records if record.ticket}

    def owner(order: int, comment: str) -> str:
        named = client_id_in(comment)
        return named if named in known else by_order.get(order, "")

    traces: dict[str, _Traces] = defaultdict(_Traces)
    for deal in shown.values():
        name = booked_for.get(deal.ticket) or owner(deal.order, deal.comment)
        traces[name].deals.append(deal)
    for order in waiting:
        traces[owner(order.ticket, order.comment)].waiting.append(order.ticket)
    return traces


def _order(record: IntentRecord, noted: Sequence[Deal], traces: _Traces) -> Order:
    intent = record.intent
    return Order(
        client_id=intent.client_id,
        action=intent.action,
        symbol=intent.symbol,
        direction=intent.direction,
        volume=intent.volume,
        state=record.state,
        ticket=record.ticket,
        journal=_fills(noted),
        broker=_fills(traces.deals),
    )


def _fills(deals: Sequence[Deal]) -> tuple[Fill, ...]:
    in_order = sorted(deals, key=lambda deal: deal.ticket)
    return tuple(Fill(deal.ticket, deal.volume, deal.price) for deal in in_order)


def _deals_that_differ(noted: Mapping[int, Deal], shown: Mapping[int, Deal]) -> Iterator[str]:
    for ticket in sorted(noted.keys() | shown.keys()):
        ours, theirs = noted.get(ticket), shown.get(ticket)
        if ours is None and theirs is not None:
            yield f"deal {ticket} ({_said(theirs)}) is at the broker and not in the journal"
        elif theirs is None and ours is not None:
            yield f"deal {ticket} ({_said(ours)}) is in the journal and not at the broker"
        elif ours is not None and theirs is not None and _said(ours) != _said(theirs):
            yield f"deal {ticket} is {_said(ours)} in the journal and {_said(theirs)} at the broker"


def _said(deal: Deal) -> str:
    lots, price = deal.volume.normalize(), deal.price.normalize()
    return f"{deal.symbol} {deal.direction} {deal.entry} {lots:f} at {price:f}"


def _faults(record: IntentRecord, traces: _Traces) -> Iterator[str]:
    """Say what is wrong with one intent and what the broker shows of it."""
    name, state = f"order {record.intent.client_id}", record.state
    executed = sum((deal.volume for deal in traces.deals), Decimal(0))
    if len(traces.orders) > 1:
        tickets = ", ".join(map(str, traces.orders))
        yield f"{name} is {len(traces.orders)} orders at the broker: {tickets}"
    if executed > record.intent.volume:
        yield f"{name} asked for {record.intent.volume} and executed {executed}"
    if state.doubtful:
        yield f"{name} is {state}: what became of it is not known"
    elif state in {IntentState.REJECTED, IntentState.LOST} and traces.orders:
        yield f"{name} is {state} in the journal and was executed or waits at the broker"
    elif state is IntentState.FILLED and not traces.deals:
        yield f"{name} is filled in the journal and has no deal at the broker"
    elif state is IntentState.PLACED and not traces.orders:
        yield f"{name} is placed in the journal and neither waits nor has a deal at the broker"
    elif state.final and traces.waiting:
        yield f"{name} is {state} in the journal and still waits at the broker"


def _orders_not_known(
    records: Sequence[IntentRecord], not_ours: Sequence[int], waiting: Sequence[PendingOrder]
) -> Iterator[str]:
    magics = {record.intent.magic for record in records}
    for order in waiting:
        if order.ticket in not_ours and order.magic in magics:
            yield (
                f"order {order.ticket} ({order.symbol} {order.direction} {order.volume}) waits at "
                "the broker with a magic of ours and is not in the journal"
            )
