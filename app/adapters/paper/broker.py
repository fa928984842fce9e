"""The paper broker: an account that fills orders on closed candles. No network, no clock.

``docs/PAPER_BROKER.md`` states its rules. Prices are decided in ``matching``, the steps of a candle
in ``execution``, money is kept in ``ledger``.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from app.adapters.paper.book import Book
from app.adapters.paper.conversion import rate_of
from app.adapters.paper.execution import Execution, gone
from app.adapters.paper.instruments import instrument
from app.adapters.paper.ledger import Ledger, Order
from app.adapters.paper.memory import restore, written
from app.adapters.paper.order_checks import price_fault, stops_fault, volume_fault
from app.adapters.paper.terms import PaperTerms
from app.adapters.paper.valuation import Valuation
from app.domain.errors import ConfigurationError, nearest
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

_FLOAT_DOUBT = 1.0
"""Account currency: how near to a stop-out floats are not trusted to decide."""


class PaperBroker:
    """A paper account trading `symbols` on `terms`; `notes` say what had to be assumed.

    Raises ConfigurationError when a symbol's profits cannot be converted to account currency.

    `earlier` is the account of an earlier run, as `keep` was given it; JournalError when it cannot
    be taken over. `keep` is given the account after every change.
    """

    name = "paper broker"

    def __init__(
        self,
        terms: PaperTerms,
        symbols: Sequence[str],
        *,
        earlier: str | None = None,
        keep: Callable[[str], object] | None = None,
    ) -> None:
        self._terms = terms
        self._keep = keep
        self._books = {
            symbol: Book(instrument(symbol, terms.pip_values), terms) for symbol in symbols
        }
        for book in self._books.values():
            book.rate = rate_of(book, self._books.values(), terms)
        self._ledger = Ledger(terms, {symbol: book.rules for symbol, book in self._books.items()})
        self._worth = Valuation(self._books, self._ledger)
        level = Decimal(str(terms.stop_out_level))
        self._execution = Execution(self._books, self._ledger, self._worth, level)
        self._exposed: list[Book] = []
        self._cash = 0.0
        self._safe_equity = 0.0
        self.notes = tuple(note for book in self._books.values() for note in _notes(book, terms))
        if earlier is not None:
            restore(earlier, self._ledger, self._books)
            for book in self._books.values():
                self._arm(book)

    # What can be asked

    def poll(self, now: datetime) -> Sequence[Deal | OrderGone]:  # noqa: ARG002 - the port
        """Return nothing: all that happens, happens on candles."""
        return ()

    def doubt(self, symbol: str, now: datetime) -> Refusal | None:  # noqa: ARG002 - the port
        """Return ``None``: it is no further away than the candles."""
        return None

    def find(self, client_id: str) -> OrderResult | None:  # noqa: ARG002 - the port
        """Return ``None``: `orders` and `deals` show all there is."""
        return None

    def account(self) -> Account:
        """Return the account as it stands, valued at the latest quotes."""
        equity, margin = self._worth.equity(), self._ledger.margin
        return Account(
            login=0,
            server="paper",
            currency=self._terms.currency,
            leverage=self._terms.leverage,
            hedging=self._terms.hedging,
            balance=self._ledger.balance,
            equity=equity,
            margin=margin,
            margin_free=equity - margin,
        )

    def rules(self, symbol: str) -> SymbolRules:
        """Return what orders in `symbol` must obey; ConfigurationError when it is not traded."""
        return self._book(symbol).rules

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest close and the ask above it.

        ``None`` before the first candle of the symbol and of the one that converts its profits.
        """
        book = self._book(symbol)
        if not book.ready:
            return None
        mark = book.mark
        return Quote(symbol, float(mark.bid), float(mark.ask), book.latest.close_time)

    def money_per_lot(self, symbol: str) -> Decimal:
        """Return what one lot gains, in account currency, when the price rises by 1.0.

        Raises SourceError when that needs a price and `quote` is still ``None``.
        """
        book = self._book(symbol)
        rate = book.rate.fixed or book.rate.at(book.mark.bid)
        return book.rules.contract_size * rate

    def positions(self) -> Sequence[Position]:
        """Return all open positions, oldest first, their profit at the latest quotes."""
        return [
            Position(
                ticket=held.ticket,
                symbol=held.symbol,
                direction=held.direction,
                volume=held.volume,
                price_open=held.price_open,
                stop_loss=held.stop_loss,
                take_profit=held.take_profit,
                profit=self._worth.floating(held),
                swap=Decimal(0),
                opened_at=held.opened_at,
                magic=held.magic,
                comment=held.comment,
            )
            for held in self._ledger.all()
        ]

    def orders(self) -> Sequence[PendingOrder]:
        """Return all orders not filled yet, entries and exits in flight included, by ticket."""
        waiting = (order for book in self._books.values() for order in book.orders.values())
        return [
            PendingOrder(
                ticket=order.ticket,
                symbol=order.intent.symbol,
                direction=order.intent.direction,
                kind=order.intent.kind,
                volume=order.intent.volume,
                price=order.intent.price,
                stop_loss=order.intent.stop_loss,
                take_profit=order.intent.take_profit,
                placed_at=order.placed_at,
                magic=order.intent.magic,
                comment=order.comment,
                position=order.intent.ticket or 0,
            )
            for order in sorted(waiting, key=lambda order: order.ticket)
        ]

    def deals(self, since: datetime) -> Sequence[Deal]:
        """Return the ledger's deals at or after `since`, oldest first.

        The deposit is booked at ``ledger.BEFORE_TRADING``.
        """
        return self._ledger.deals(since)

    # What can be ordered

    def submit(self, order: ApprovedOrder) -> OrderResult:
        """Accept an entry or exit for the next candle, or refuse it with a reason."""
        intent = order.intent
        book = self._books.get(intent.symbol)
        if book is None:
            return _rejected(
                f"unknown symbol '{intent.symbol}'{nearest(intent.symbol, self._books)}"
            )
        if not book.ready:
            return _rejected(f"off quotes: no price of {intent.symbol} yet")
        check = self._exit_fault if intent.action is Action.EXIT else self._entry_fault
        fault = check(book, intent)
        if fault:
            broke = fault.startswith("no money")
            return _rejected(fault, BlockReason.NO_MONEY if broke else None)
        accepted = Order(self._ledger.new_ticket(), intent, book.latest.close_time)
        book.orders[accepted.ticket] = accepted
        self._arm(book)
        return OrderResult(OrderState.PLACED, accepted.ticket, intent.price, intent.volume)

    def modify(
        self, ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> OrderResult:
        """Set both stops of a position at once; ``None`` removes one."""
        held = self._ledger.positions.get(ticket)
        if held is None:
            return _rejected(self._ledger.missing(ticket))
        book = self._books[held.symbol]
        market = self._worth.price(held)
        fault = stops_fault(book.rules, held.direction, market, stop_loss, take_profit)
        if fault:
            return _rejected(fault)
        self._ledger.set_stops(ticket, stop_loss, take_profit)
        self._arm(book)
        return OrderResult(OrderState.FILLED, ticket)

    def cancel(self, ticket: int) -> OrderResult:
        """Withdraw a pending order; the next candle of its symbol reports it gone."""
        book = next((book for book in self._books.values() if ticket in book.orders), None)
        if book is None:
            return _rejected(f"no pending order {ticket}")
        if book.orders[ticket].intent.kind is OrderKind.MARKET:
            return _rejected(f"order {ticket} is a market order in flight")
        book.gone.append(gone(book.orders.pop(ticket), "cancelled"))
        self._arm(book)
        return OrderResult(OrderState.FILLED, ticket)

    # What the market does

    def on_candle(self, candle: Candle) -> Sequence[Deal | OrderGone]:
        """Take in a closed candle; return deals and orders gone, in order.

        A candle not newer than the symbol's last one changes nothing. ConfigurationError when the
        symbol is not traded.
        """
        book = self._books.get(candle.symbol) or self._book(candle.symbol)
        last = book.candle
        if last is not None and candle.time <= last.time:
            return ()
        book.candle = candle
        if (
            candle.low > book.low_guard
            and candle.high + candle.spread * book.data_spread_price < book.high_guard
            and (not book.exposed or self._solvent(book, candle))
        ):
            return ()
        happened = self._execution.match(book, book.bar(candle))
        for symbol in dict.fromkeys((candle.symbol, *(what.symbol for what in happened))):
            self._arm(self._books[symbol])
        return happened

    def _solvent(self, book: Book, candle: Candle) -> bool:
        """Tell, in floats, that the account is surely above its stop-out during `candle`."""
        equity = self._cash + book.worst_floating(candle)
        for other in self._exposed:
            if other is not book:
                equity += other.floating()
        return equity > self._safe_equity

    def _arm(self, book: Book) -> None:
        book.arm(self._ledger.of(book.symbol))
        self._exposed = [one for one in self._books.values() if one.exposed]
        self._cash = float(self._ledger.balance)
        self._safe_equity = float(self._execution.stop_out_equity) + _FLOAT_DOUBT
        if self._keep is not None:
            self._keep(written(self._ledger, self._books))

    def _book(self, symbol: str) -> Book:
        try:
            return self._books[symbol]
        except KeyError:
            raise ConfigurationError(
                f"the paper broker does not trade '{symbol}': expected one of "
                f"{', '.join(self._books)}{nearest(symbol, self._books)}"
            ) from None

    # Why an order is refused

    def _exit_fault(self, book: Book, intent: Intent) -> str:
        held = self._ledger.positions.get(intent.ticket or 0)
        if held is None:
            return self._ledger.missing(intent.ticket)
        if held.symbol != intent.symbol:
            return f"position {held.ticket} is in {held.symbol}, not {intent.symbol}"
        if intent.kind is not OrderKind.MARKET:
            return f"an exit is a market order, not a {intent.kind} order"
        if intent.volume.is_finite() and intent.volume >= held.volume:
            return ""
        return volume_fault(book.rules, intent.volume)

    def _entry_fault(self, book: Book, intent: Intent) -> str:
        rules, direction, mark = book.rules, intent.direction, book.mark
        price, market = mark.opens(direction), mark.closes(direction)
        fault = volume_fault(rules, intent.volume)
        if not fault and intent.kind is not OrderKind.MARKET:
            fault = price_fault(rules, intent.kind, direction, intent.price, price)
            price = market = intent.price or price
        return (
            fault
            or stops_fault(rules, direction, market, intent.stop_loss, intent.take_profit)
            or self._worth.margin_fault(intent, price, self._in_flight())
        )

    def _in_flight(self) -> Iterator[tuple[Intent, Decimal]]:
        for book in self._books.values():
            for order in book.orders.values():
                intent = order.intent
                if intent.kind is OrderKind.MARKET and intent.action is Action.ENTRY:
                    yield intent, book.mark.opens(intent.direction)


def _rejected(reason: str, blocks: BlockReason | None = None) -> OrderResult:
    return OrderResult(OrderState.REJECTED, reason=reason, blocks=blocks)


def _notes(book: Book, terms: PaperTerms) -> Iterator[str]:
    rules, fixed = book.rules, book.rate.fixed
    if not book.instrument.recognised:
        yield (
            f"{rules.symbol} is not a symbol the paper broker knows: traded as a contract for "
            f"difference, {rules.contract_size} unit a lot, {rules.digits} digits, profit in "
            f"{rules.profit_currency}"
        )
    if fixed is not None and rules.profit_currency != terms.currency:
        yield (
            f"{rules.symbol} profits are converted at a fixed rate: "
            f"1 {rules.profit_currency} = {fixed} {terms.currency}"
        )
