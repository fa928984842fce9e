"""What the paper account is worth: floating profit, equity and free margin."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from app.adapters.paper.book import Book, Mark
from app.adapters.paper.ledger import Ledger, OpenPosition
from app.domain.orders import Intent
from app.domain.signals import Direction

_NOTHING = Decimal(0)


class Valuation:
    """Values the ledger's positions at the books' latest quotes.

    A :class:`Mark` given as `at` stands in for the quote of its own symbol.
    """

    def __init__(self, books: Mapping[str, Book], ledger: Ledger) -> None:
        self._books = books
        self._ledger = ledger

    def price(self, held: OpenPosition, at: Mark | None = None) -> Decimal:
        """Return the price `held` would be closed at."""
        mark = at if at and at.symbol == held.symbol else self._books[held.symbol].mark
        return mark.closes(held.direction)

    def floating(self, held: OpenPosition, at: Mark | None = None) -> Decimal:
        """Return the profit of `held`, in account currency; 0 while there is no price at all."""
        book = self._books[held.symbol]
        if at is None and not book.ready:
            return _NOTHING
        mark = at if at is not None and at.symbol == held.symbol else book.mark
        price = mark.closes(held.direction)
        return self._ledger.floating(held, price, book.rate.at(price))

    def equity(self, at: Mark | None = None) -> Decimal:
        """Return balance plus floating profit, in account currency."""
        equity = self._ledger.balance
        for held in self._ledger.positions.values():
            equity += self.floating(held, at)
        return equity

    def margin_fault(
        self,
        intent: Intent,
        price: Decimal,
        ahead: Iterable[tuple[Intent, Decimal]] = (),
        at: Mark | None = None,
    ) -> str:
        """Say that free margin cannot carry `intent` at `price`, or nothing.

        `ahead` are the entries, with prices, that will be filled before it.
        """
        sides = [self._side(*entry) for entry in ahead]
        before = self._ledger.margin_with(sides)
        added = self._ledger.margin_with([*sides, self._side(intent, price)]) - before
        free = self.equity(at) - before
        if added <= 0 or added <= free:
            return ""
        return f"no money: {added} of margin needed, {free} free"

    def _side(self, intent: Intent, price: Decimal) -> tuple[str, Direction, Decimal]:
        rate = self._books[intent.symbol].rate.at(price)
        per_lot = self._ledger.margin_per_lot(intent.symbol, price, rate)
        return intent.symbol, intent.direction, intent.volume * per_lot
