"""The paper account's books: positions, deals and a balance that is their sum, to the cent."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from operator import attrgetter

import msgspec

from app.adapters.paper.terms import PaperTerms
from app.domain.market import SymbolRules
from app.domain.orders import CloseReason, Deal, DealEntry, Intent
from app.domain.signals import Direction

BEFORE_TRADING = datetime(1970, 1, 1, tzinfo=UTC)
"""When the deposit is booked: before any trading day, so no day's result contains it."""

_COMMENT_LENGTH = 31
_AVERAGE_DIGITS = 5
_MARGIN_DIGITS = Decimal("0.000001")


class Order(msgspec.Struct, frozen=True):
    """An accepted order: the intent, its ticket and when it was placed (aware UTC)."""

    ticket: int
    intent: Intent
    placed_at: datetime

    @property
    def comment(self) -> str:
        """What the broker stores with it: the client id first, at most 31 characters."""
        return f"{self.intent.client_id} {self.intent.strategy}"[:_COMMENT_LENGTH]


class OpenPosition(msgspec.Struct, frozen=True):
    """A position in the books; `margin_per_lot` (account currency) is fixed when it is opened."""

    ticket: int
    symbol: str
    direction: Direction
    volume: Decimal
    price_open: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_at: datetime
    magic: int
    comment: str
    margin_per_lot: Decimal


class Booking(msgspec.Struct, frozen=True):
    """Where and when an execution happens: price, account currency per profit currency, time."""

    price: Decimal
    rate: Decimal
    time: datetime


class Closing(msgspec.Struct, frozen=True):
    """Who closes a position, and why."""

    order: int
    magic: int
    comment: str
    reason: CloseReason


class Ledger:
    """Positions and deals of one account.

    Law: `balance` is the sum of `net` over all deals, the deposit being the first.
    """

    def __init__(self, terms: PaperTerms, rules: Mapping[str, SymbolRules]) -> None:
        self.balance = Decimal(0)
        self.positions: dict[int, OpenPosition] = {}
        self._terms = terms
        self._rules = rules
        self._deals: list[Deal] = []
        self._margin_used: Decimal | None = None
        """What the open positions tie up, once it was asked for; every deal changes it."""
        self.last_ticket = 0
        self._deposit(terms.money(terms.balance))

    def new_ticket(self) -> int:
        """Return the next order ticket, counting from 1."""
        self.last_ticket += 1
        return self.last_ticket

    def resume(
        self, last_ticket: int, positions: Iterable[OpenPosition], deals: Iterable[Deal]
    ) -> None:
        """Take the books over from an earlier run."""
        self.last_ticket = last_ticket
        self.positions = {position.ticket: position for position in positions}
        self._margin_used = None
        self._deals = list(deals)
        self.balance = sum((deal.net for deal in self._deals), Decimal(0))

    def deals(self, since: datetime) -> Sequence[Deal]:
        """Return all deals at or after `since`, oldest first."""
        return self._deals[bisect_left(self._deals, since, key=attrgetter("time")) :]

    def of(self, symbol: str) -> list[OpenPosition]:
        """Return the open positions of `symbol`, oldest first."""
        return [position for position in self.positions.values() if position.symbol == symbol]

    def all(self) -> Iterable[OpenPosition]:
        """Return the open positions, oldest first."""
        return self.positions.values()

    def missing(self, ticket: int | None) -> str:
        """Say why there is no position `ticket`."""
        known = any(deal.position == ticket for deal in self._deals if deal.symbol)
        return f"position {ticket} is already closed" if known else f"no position {ticket}"

    def floating(self, position: OpenPosition, price: Decimal, rate: Decimal) -> Decimal:
        """Return what closing `position` at `price` would gain, in account currency."""
        is_long = position.direction is Direction.LONG
        moved = price - position.price_open if is_long else position.price_open - price
        size = position.volume * self._rules[position.symbol].contract_size
        return self._terms.money(moved * size * rate)

    def margin_per_lot(self, symbol: str, price: Decimal, rate: Decimal) -> Decimal:
        """Return what one lot at `price` ties up, in account currency."""
        value = self._rules[symbol].contract_size * price * rate / self._terms.leverage
        return value.quantize(_MARGIN_DIGITS, ROUND_HALF_EVEN)

    @property
    def margin(self) -> Decimal:
        """The margin in use."""
        if self._margin_used is None:
            self._margin_used = self.margin_with(())
        return self._margin_used

    def margin_with(self, extra: Iterable[tuple[str, Direction, Decimal]]) -> Decimal:
        """Return the margin in use, as if `extra` (symbol, direction, margin) were open too.

        On a hedging account a symbol's larger side counts, on a netting account its difference.
        """
        sides: dict[tuple[str, Direction], Decimal] = {}
        held = ((p.symbol, p.direction, p.volume * p.margin_per_lot) for p in self.all())
        for symbol, direction, margin in (*held, *extra):
            sides[symbol, direction] = sides.get((symbol, direction), Decimal(0)) + margin
        used = Decimal(0)
        for symbol in dict.fromkeys(symbol for symbol, _ in sides):
            bought = sides.get((symbol, Direction.LONG), Decimal(0))
            sold = sides.get((symbol, Direction.SHORT), Decimal(0))
            used += max(bought, sold) if self._terms.hedging else abs(bought - sold)
        return self._terms.money(used)

    def enter(self, order: Order, at: Booking) -> list[Deal]:
        """Execute an entry: a position of its own, or netted into the one the symbol has."""
        volume = order.intent.volume
        standing = None if self._terms.hedging else next(iter(self.of(order.intent.symbol)), None)
        if standing is None:
            return [self._open(order, volume, at)]
        if standing.direction is order.intent.direction:
            return [self._add(standing, order, at)]
        closing = Closing(order.ticket, order.intent.magic, order.comment, CloseReason.SIGNAL)
        deals = [self.close(standing.ticket, volume, at, closing)]
        if volume > standing.volume:
            deals.append(self._open(order, volume - standing.volume, at))
        return deals

    def close(self, ticket: int, volume: Decimal, at: Booking, by: Closing) -> Deal:
        """Close `volume` lots of a position, at most all of it; KeyError when there is none."""
        position = self.positions[ticket]
        closed = msgspec.structs.replace(position, volume=min(volume, position.volume))
        remaining = position.volume - closed.volume
        if remaining:
            self.positions[ticket] = msgspec.structs.replace(position, volume=remaining)
        else:
            del self.positions[ticket]
        return self._book(
            Deal(
                ticket=len(self._deals) + 1,
                order=by.order,
                position=ticket,
                symbol=position.symbol,
                direction=position.direction,
                entry=DealEntry.OUT,
                volume=closed.volume,
                price=at.price,
                profit=self.floating(closed, at.price, at.rate),
                commission=self._commission(closed.volume),
                swap=Decimal(0),
                time=at.time,
                magic=by.magic,
                comment=by.comment,
                reason=by.reason,
            )
        )

    def set_stops(
        self, ticket: int, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> None:
        """Replace both stops of a position."""
        self.positions[ticket] = msgspec.structs.replace(
            self.positions[ticket], stop_loss=stop_loss, take_profit=take_profit
        )

    def _open(self, order: Order, volume: Decimal, at: Booking) -> Deal:
        intent = order.intent
        self.positions[order.ticket] = OpenPosition(
            ticket=order.ticket,
            symbol=intent.symbol,
            direction=intent.direction,
            volume=volume,
            price_open=at.price,
            stop_loss=intent.stop_loss,
            take_profit=intent.take_profit,
            opened_at=at.time,
            magic=intent.magic,
            comment=order.comment,
            margin_per_lot=self.margin_per_lot(intent.symbol, at.price, at.rate),
        )
        return self._book_in(order, order.ticket, volume, at)

    def _add(self, standing: OpenPosition, order: Order, at: Booking) -> Deal:
        """Net a same-side entry: prices average by volume, stops the order carries replace."""
        intent, volume = order.intent, standing.volume + order.intent.volume
        margin_per_lot = self.margin_per_lot(intent.symbol, at.price, at.rate)

        def average(old: Decimal, new: Decimal) -> Decimal:
            return (old * standing.volume + new * intent.volume) / volume

        fine_point = self._rules[intent.symbol].point.scaleb(-_AVERAGE_DIGITS)
        self.positions[standing.ticket] = msgspec.structs.replace(
            standing,
            volume=volume,
            price_open=average(standing.price_open, at.price).quantize(fine_point),
            stop_loss=standing.stop_loss if intent.stop_loss is None else intent.stop_loss,
            take_profit=standing.take_profit if intent.take_profit is None else intent.take_profit,
            margin_per_lot=average(standing.margin_per_lot, margin_per_lot).quantize(
                _MARGIN_DIGITS
            ),
        )
        return self._book_in(order, standing.ticket, intent.volume, at)

    def _book_in(self, order: Order, position: int, volume: Decimal, at: Booking) -> Deal:
        return self._book(
            Deal(
                ticket=len(self._deals) + 1,
                order=order.ticket,
                position=position,
                symbol=order.intent.symbol,
                direction=order.intent.direction,
                entry=DealEntry.IN,
                volume=volume,
                price=at.price,
                profit=Decimal(0),
                commission=self._commission(volume),
                swap=Decimal(0),
                time=at.time,
                magic=order.intent.magic,
                comment=order.comment,
            )
        )

    def _deposit(self, amount: Decimal) -> None:
        nothing = Decimal(0)
        self._book(
            Deal(
                ticket=1,
                order=0,
                position=0,
                symbol="",
                direction=Direction.LONG,
                entry=DealEntry.IN,
                volume=nothing,
                price=nothing,
                profit=amount,
                commission=nothing,
                swap=nothing,
                time=BEFORE_TRADING,
                magic=0,
                comment="deposit",
                funding=True,
            )
        )

    def _book(self, deal: Deal) -> Deal:
        insort(self._deals, deal, key=attrgetter("time"))
        self.balance += deal.net
        self._margin_used = None
        return deal

    def _commission(self, volume: Decimal) -> Decimal:
        return -self._terms.money(volume * self._terms.commission_per_lot * self._terms.costs)
