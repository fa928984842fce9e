"""What one candle does to the orders and positions of its symbol, step by step."""

from collections.abc import Mapping
from decimal import Decimal

from app.adapters.paper.book import Book, Mark
from app.adapters.paper.ledger import Booking, Closing, Ledger, OpenPosition, Order
from app.adapters.paper.matching import (
    Bar,
    Exit,
    market_fill,
    pending_fill,
    protective_exit,
    rest_of_candle,
)
from app.adapters.paper.valuation import Valuation
from app.domain.orders import Action, CloseReason, Deal, OrderGone, OrderKind


class Execution:
    """Executes orders against candles and books the deals."""

    def __init__(
        self,
        books: Mapping[str, Book],
        ledger: Ledger,
        valuation: Valuation,
        stop_out_level: Decimal,
    ) -> None:
        self._books = books
        self._ledger = ledger
        self._valuation = valuation
        self._stop_out_level = stop_out_level

    @property
    def stop_out_equity(self) -> Decimal:
        """The equity (account currency) below which positions are closed by force."""
        return self._ledger.margin * self._stop_out_level / 100

    def match(self, book: Book, bar: Bar) -> list[Deal | OrderGone]:
        """Apply `bar`: orders in flight, stops and targets, pending orders, stop-out."""
        happened: list[Deal | OrderGone] = [*book.gone]
        book.gone.clear()
        for order in list(book.orders.values()):
            if order.intent.kind is OrderKind.MARKET:
                happened += self._fill_market(book, order, bar)
        for held in self._ledger.of(book.symbol):
            happened += self._protect(held, bar)
        waiting = [(o, o.intent.price) for o in book.orders.values() if o.intent.price is not None]
        for order, price in waiting:
            happened += self._fill_pending(book, order, price, bar)
        happened += self._stop_out(book, bar)
        return happened

    def _fill_market(self, book: Book, order: Order, bar: Bar) -> list[Deal | OrderGone]:
        intent = order.intent
        if intent.action is Action.ENTRY:
            return self._enter(book, order, market_fill(bar, intent.direction), bar)
        del book.orders[order.ticket]
        held = self._ledger.positions.get(intent.ticket or 0)
        if held is None:
            return [gone(order, self._ledger.missing(intent.ticket))]
        price = market_fill(bar, held.direction.opposite)
        reason = intent.close_reason or CloseReason.SIGNAL
        by = Closing(order.ticket, intent.magic, order.comment, reason)
        return [self._ledger.close(held.ticket, intent.volume, _at(book, price, bar), by)]

    def _fill_pending(
        self, book: Book, order: Order, price: Decimal, bar: Bar
    ) -> list[Deal | OrderGone]:
        fill = pending_fill(bar, order.intent.kind, order.intent.direction, price)
        if fill is None:
            return []
        happened = self._enter(book, order, fill.price, bar)
        last = happened[-1]
        held = self._ledger.positions.get(last.position) if isinstance(last, Deal) else None
        if held is not None:
            rest = bar
            if not fill.at_open:
                rest = rest_of_candle(bar, held.direction, price, held.stop_loss)
            happened += self._protect(held, rest)
        return happened

    def _enter(self, book: Book, order: Order, price: Decimal, bar: Bar) -> list[Deal | OrderGone]:
        """Execute an entry at `price` unless the account, valued at the open, cannot carry it."""
        del book.orders[order.ticket]
        opened = Mark(book.symbol, bar.open, bar.open + bar.spread)
        fault = self._valuation.margin_fault(order.intent, price, at=opened)
        if fault:
            return [gone(order, fault)]
        return [*self._ledger.enter(order, _at(book, price, bar))]

    def _protect(self, held: OpenPosition, bar: Bar) -> list[Deal]:
        out = protective_exit(bar, held.direction, held.stop_loss, held.take_profit)
        return [] if out is None else [self._close(held, out, bar)]

    def _stop_out(self, book: Book, bar: Bar) -> list[Deal]:
        """Close the worst positions while equity at the candle's worst price is too low."""
        closed: list[Deal] = []
        extremes = [Mark(book.symbol, bid, bid + bar.spread) for bid in (bar.low, bar.high)]
        worth = self._valuation
        while self._ledger.positions:
            worst = min(extremes, key=worth.equity)
            if worth.equity(worst) >= self.stop_out_equity:
                break
            losses = {held.ticket: worth.floating(held, worst) for held in self._ledger.all()}
            held = self._ledger.positions[min(losses, key=losses.__getitem__)]
            out = Exit(worth.price(held, worst), CloseReason.STOP_OUT)
            closed.append(self._close(held, out, bar))
        return closed

    def _close(self, held: OpenPosition, out: Exit, bar: Bar) -> Deal:
        by = Closing(self._ledger.new_ticket(), held.magic, held.comment, out.reason)
        at = _at(self._books[held.symbol], out.price, bar)
        return self._ledger.close(held.ticket, held.volume, at, by)


def gone(order: Order, reason: str) -> OrderGone:
    """Report that `order` will never be filled."""
    return OrderGone(order.ticket, order.intent.client_id, order.intent.symbol, reason)


def _at(book: Book, price: Decimal, bar: Bar) -> Booking:
    return Booking(price, book.rate.at(price), bar.time)
