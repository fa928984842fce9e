"""The account's books: orders, positions, deals, and a balance that is the sum of its deals.

On a hedging account every order opens a position of its own; on a netting account a symbol has one
position, which orders add to, reduce, close or reverse.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeAlias

import msgspec

from app.bridge.terms import Fill, Terms, Tickets
from app.bridge.values import (
    DEAL_BALANCE,
    NONE,
    Deal,
    Entry,
    Order,
    OrderRequest,
    OrderState,
    Position,
    Reason,
    Side,
    Symbol,
)

_AVERAGE_DIGITS = 5
_MARGIN_DIGITS = Decimal("0.000001")


Record: TypeAlias = Order | Deal | Position


class Ledger:
    """Orders, positions and deals of one account.

    Law: `balance` is the sum of `net` over all deals. `written` is told of every record.
    """

    def __init__(
        self,
        terms: Terms,
        symbol: Callable[[str], Symbol],
        tickets: Tickets,
        written: Callable[[Record], None] = lambda _: None,
    ) -> None:
        self.terms = terms
        self.balance = NONE
        self.positions: dict[int, Position] = {}
        self.waiting: dict[int, Order] = {}
        self.done: dict[int, Order] = {}
        self.deals: list[Deal] = []
        self.version = 0
        """How many records were written."""
        self._symbol = symbol
        self._tickets = tickets
        self._written = written

    def restore(self, record: Record) -> None:
        """Take in a record that was written before; the last one of its ticket holds."""
        match record:
            case Deal():
                self.deals.append(record)
                self.balance += record.net
            case Order():
                self.waiting.pop(record.ticket, None)
                waits = record.state is OrderState.PLACED
                (self.waiting if waits else self.done)[record.ticket] = record
            case Position():
                self.positions[record.ticket] = record
                if not record.volume:
                    del self.positions[record.ticket]

    def deposit(self, amount: Decimal, at: datetime, comment: str = "deposit") -> Deal:
        """Book a deposit, or a withdrawal when `amount` is negative."""
        return self._book(
            Deal(
                ticket=self._tickets.deal(),
                order=0,
                time=at,
                type=DEAL_BALANCE,
                entry=Entry.IN,
                position_id=0,
                symbol="",
                volume=NONE,
                price=NONE,
                profit=self.terms.money(amount),
                commission=NONE,
                swap=NONE,
                magic=0,
                comment=comment,
                reason=Reason.CLIENT,
            )
        )

    def place(self, request: OrderRequest, at: datetime, *, closes: int = 0) -> Order:
        """Write an order down; it closes the position of that identifier, or none."""
        order = Order(
            ticket=self._tickets.order(),
            time_setup=at,
            symbol=request.symbol,
            type=request.type,
            state=OrderState.PLACED,
            volume_initial=request.volume,
            volume_current=request.volume,
            price_open=request.price,
            price_stoplimit=request.stop_limit,
            sl=request.sl,
            tp=request.tp,
            magic=request.magic,
            comment=request.comment,
            reason=request.reason,
            position_id=closes,
        )
        return self.change(order)

    def change(self, order: Order) -> Order:
        """Replace a waiting order."""
        self.waiting[order.ticket] = order
        self._write(order)
        return order

    def end(self, order: Order, state: OrderState, at: datetime) -> Order:
        """Move an order into the history."""
        self.waiting.pop(order.ticket, None)
        ended = msgspec.structs.replace(order, state=state, time_done=at)
        self.done[order.ticket] = ended
        self._write(ended)
        return ended

    def fill(self, order: Order, volume: Decimal, at: Fill) -> Deal:
        """Execute `volume` of an order, withdraw the rest, and return the deal.

        An order that closes a position closes no more than is open of it; LookupError when that
        is gone.
        """
        standing = self._standing(order)
        if standing is None:
            deal = self._open(order, volume, at)
        elif standing.type is order.type.side:
            deal = self._add(standing, order, volume, at)
        elif order.position_id or volume <= standing.volume:
            deal = self._reduce(standing, order, min(volume, standing.volume), at)
        else:
            deal = self._reverse(standing, order, volume, at)
        left = order.volume_current - volume
        state = OrderState.PARTIAL if left else OrderState.FILLED
        filled = msgspec.structs.replace(
            order, volume_current=left, position_id=deal.position_id, price_open=at.price
        )
        self.end(filled, state, at.time)
        return deal

    def set_stops(self, ticket: int, sl: Decimal, tp: Decimal) -> None:
        """Replace both stops of a position; 0 is none."""
        self._keep(msgspec.structs.replace(self.positions[ticket], sl=sl, tp=tp))

    def charge_swaps(self, nights: int) -> None:
        """Let so many nights' swap accrue on every open position."""
        for held in list(self.positions.values()):
            swap = self.terms.money(held.volume * self.terms.swap * nights)
            if swap:
                self._keep(msgspec.structs.replace(held, swap=held.swap + swap))

    def of(self, symbol: str) -> list[Position]:
        """Return the open positions of a symbol, oldest first."""
        return [held for held in self.positions.values() if held.symbol == symbol]

    def by_identifier(self, identifier: int) -> Position | None:
        """Return the open position of that identifier."""
        held = self.positions.values()
        return next((one for one in held if one.identifier == identifier), None)

    def profit(self, held: Position, price: Decimal, rate: Decimal) -> Decimal:
        """Return what closing all of it at `price` would gain, without swap."""
        moved = (price - held.price_open) * held.type.sign
        return self.terms.money(moved * held.volume * self._size(held.symbol) * rate)

    def margin_per_lot(self, symbol: str, at: Fill) -> Decimal:
        """Return what a lot ties up, in account currency."""
        value = self._size(symbol) * at.price * at.rate / self.terms.leverage
        return value.quantize(_MARGIN_DIGITS, ROUND_HALF_EVEN)

    def margin(self, extra: tuple[str, Side, Decimal] | None = None) -> Decimal:
        """Return the margin in use, as if `extra` (symbol, side, margin) were open too.

        On a hedging account a symbol's larger side counts, on a netting account its difference.
        """
        sides: dict[str, list[Decimal]] = {}
        for symbol, side, margin in self._margins(extra):
            sides.setdefault(symbol, [NONE, NONE])[side] += margin
        used = (max(both) if self.terms.hedging else abs(both[0] - both[1])
                for both in sides.values())  # fmt: skip
        return self.terms.money(sum(used, NONE))

    def _margins(
        self, extra: tuple[str, Side, Decimal] | None
    ) -> Iterator[tuple[str, Side, Decimal]]:
        for held in self.positions.values():
            yield held.symbol, held.type, held.volume * held.margin_per_lot
        if extra is not None:
            yield extra

    def _standing(self, order: Order) -> Position | None:
        """Return the position that an order meets, if it does not open one."""
        if order.position_id:
            held = self.by_identifier(order.position_id)
            if held is None:
                raise LookupError(f"no position {order.position_id} for order {order.ticket}")
            return held
        return None if self.terms.hedging else next(iter(self.of(order.symbol)), None)

    def _open(self, order: Order, volume: Decimal, at: Fill) -> Deal:
        self._keep(
            Position(
                ticket=order.ticket,
                identifier=order.ticket,
                time=at.time,
                symbol=order.symbol,
                type=order.type.side,
                volume=volume,
                price_open=at.price,
                sl=order.sl,
                tp=order.tp,
                swap=NONE,
                magic=order.magic,
                comment=order.comment,
                reason=order.reason,
                margin_per_lot=self.margin_per_lot(order.symbol, at),
            )
        )
        return self._deal(order, order.ticket, Entry.IN, volume, at)

    def _add(self, standing: Position, order: Order, volume: Decimal, at: Fill) -> Deal:
        """Net an order of the same side: prices average by volume, stops it carries replace."""
        total = standing.volume + volume

        def average(old: Decimal, new: Decimal) -> Decimal:
            return (old * standing.volume + new * volume) / total

        fine = self._symbol(order.symbol).point.scaleb(-_AVERAGE_DIGITS)
        margin = average(standing.margin_per_lot, self.margin_per_lot(order.symbol, at))
        self._keep(
            msgspec.structs.replace(
                standing,
                volume=total,
                price_open=average(standing.price_open, at.price).quantize(fine),
                sl=order.sl or standing.sl,
                tp=order.tp or standing.tp,
                margin_per_lot=margin.quantize(_MARGIN_DIGITS, ROUND_HALF_EVEN),
            )
        )
        return self._deal(order, standing.identifier, Entry.IN, volume, at)

    def _reduce(self, standing: Position, order: Order, volume: Decimal, at: Fill) -> Deal:
        closed = msgspec.structs.replace(
            standing,
            volume=volume,
            swap=self.terms.money(standing.swap * volume / standing.volume),
        )
        left = standing.volume - volume
        self._keep(msgspec.structs.replace(standing, volume=left, swap=standing.swap - closed.swap))
        return self._deal(order, standing.identifier, Entry.OUT, volume, at, closed=closed)

    def _reverse(self, standing: Position, order: Order, volume: Decimal, at: Fill) -> Deal:
        """Turn a netting position round: its identifier stays, its ticket becomes the order's."""
        del self.positions[standing.ticket]
        self._write(msgspec.structs.replace(standing, volume=NONE))
        self._keep(
            msgspec.structs.replace(
                standing,
                ticket=order.ticket,
                time=at.time,
                type=order.type.side,
                volume=volume - standing.volume,
                price_open=at.price,
                sl=order.sl,
                tp=order.tp,
                swap=NONE,
                magic=order.magic,
                comment=order.comment,
                reason=order.reason,
                margin_per_lot=self.margin_per_lot(order.symbol, at),
            )
        )
        return self._deal(order, standing.identifier, Entry.IN_OUT, volume, at, closed=standing)

    def _keep(self, held: Position) -> None:
        if held.volume:
            self.positions[held.ticket] = held
        else:
            del self.positions[held.ticket]
        self._write(held)

    def _deal(
        self,
        order: Order,
        position: int,
        entry: Entry,
        volume: Decimal,
        at: Fill,
        *,
        closed: Position | None = None,
    ) -> Deal:
        return self._book(
            Deal(
                ticket=self._tickets.deal(),
                order=order.ticket,
                time=at.time,
                type=order.type.side,
                entry=entry,
                position_id=position,
                symbol=order.symbol,
                volume=volume,
                price=at.price,
                profit=NONE if closed is None else self.profit(closed, at.price, at.rate),
                commission=-self.terms.money(volume * self.terms.commission),
                swap=NONE if closed is None else closed.swap,
                magic=order.magic,
                comment=order.comment,
                reason=order.reason,
            )
        )

    def _book(self, deal: Deal) -> Deal:
        self.deals.append(deal)
        self.balance += deal.net
        self._write(deal)
        return deal

    def _write(self, record: Record) -> None:
        self.version += 1
        self._written(record)

    def _size(self, symbol: str) -> Decimal:
        return self._symbol(symbol).contract_size
