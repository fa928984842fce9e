"""What is true of an account: prices, orders, positions and deals, whoever is shown what of it."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from app.domain.instruments import instrument
from app.domain.orders import CloseReason, Deal, DealEntry, OrderKind, PendingOrder, Position
from app.domain.signals import Direction
from tests.fates import FINE, Fate

NOTHING = Decimal(0)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LOT = Decimal(100_000)
SPREAD = Decimal("0.0001")

replace = msgspec.structs.replace


class Order(msgspec.Struct):
    """An order the broker has not filled, and what it is to become."""

    shown: PendingOrder
    fate: Fate = FINE
    fills_at: datetime | None = None


class Ledger:
    """The truth about an account of two symbols, hedging or netting.

    The ticket of a position is that of the order that opened it. Exits carry no comment, as
    MetaTrader's do not.
    """

    def __init__(self, *, hedging: bool) -> None:
        self.hedging = hedging
        self.now = LONG_AGO
        """The broker's time."""
        self.prices = {"EURUSD": Decimal("1.10000"), "GBPUSD": Decimal("1.30000")}
        """The bids."""
        self.held: dict[int, Position] = {}
        self.waiting: dict[int, Order] = {}
        self.book: list[Deal] = []
        self.owners: dict[int, str] = {}
        """Order -> the client id it was made of."""
        self.opened: defaultdict[int, Decimal] = defaultdict(Decimal)
        self.closed: defaultdict[int, Decimal] = defaultdict(Decimal)
        """Lots, by position."""
        self.balance = Decimal(100_000)
        self.untold: list[tuple[datetime, Deal]] = []
        """Deals that are not shown yet, and from when on they are."""
        self.stale: dict[int, datetime] = {}
        """Ticket -> when what is shown of it changes."""
        self._last_ticket = 1000
        self._rules = {symbol: instrument(symbol).rules(symbol) for symbol in self.prices}

    def fills_of(self, client_id: str) -> list[Deal]:
        """Return the deals of an intent, whatever they say of themselves."""
        return [deal for deal in self.book if self.owners.get(deal.order) == client_id]

    # What the market and other people do

    def move(self, symbol: str, bid: Decimal) -> None:
        """Let the price be `bid`; stops, targets and waiting orders it reaches are executed."""
        self.prices[symbol] = bid
        for held in list(self.held.values()):
            reason = self._reached(held) if held.symbol == symbol else None
            if reason is not None:
                self._close(held, held.volume, comment=f"[{reason}]", reason=reason)
        for order in list(self.waiting.values()):
            shown = order.shown
            if shown.symbol == symbol and shown.price is not None:
                sign = shown.direction.sign
                if sign * (self.opening_price(symbol, shown.direction) - shown.price) <= 0:
                    self.fill(order)

    def close_by_hand(self, ticket: int, volume: Decimal | None = None) -> None:
        """Let a person close a position, or some lots of it."""
        held = self.held[ticket]
        self._close(held, min(volume or held.volume, held.volume), reason=CloseReason.MANUAL)

    def drop_stop(self, ticket: int) -> None:
        """Let a position lose its stop loss."""
        self.held[ticket] = replace(self.held[ticket], stop_loss=None)

    def stranger(
        self,
        *,
        magic: int = 0,
        symbol: str = "EURUSD",
        volume: Decimal = Decimal("0.10"),
        waits: bool = False,
    ) -> int:
        """Let somebody else buy, now or far below the market; return the ticket."""
        ticket = self.new_ticket()
        below = self.prices[symbol] - Decimal("0.0500")
        kind, price = (OrderKind.LIMIT, below) if waits else (OrderKind.MARKET, None)
        self.waiting[ticket] = order = Order(
            PendingOrder(
                ticket, symbol, Direction.LONG, kind, volume, price, None, None, self.now, magic, ""
            )
        )
        if not waits:
            self.fill(order)
        return ticket

    def deposit(self, money: Decimal, *, funding: bool = True) -> None:
        """Put money into the account, or take it out; charge it when it is no `funding`."""
        self.balance += money
        deal = Deal(
            self.new_ticket(), 0, 0, "", Direction.LONG, DealEntry.IN, NOTHING, NOTHING, money,
            NOTHING, NOTHING, self.now, 0, "deposit" if funding else "charge", funding=funding,
        )  # fmt: skip
        self._book(deal, LONG_AGO)

    def show_everything(self) -> None:
        """End all that hides: the next look shows what is."""
        self.stale.clear()
        self.untold = [(LONG_AGO, deal) for _, deal in self.untold]

    # What becomes of orders

    def new_ticket(self) -> int:
        """Return the next ticket."""
        self._last_ticket += 1
        return self._last_ticket

    def hide(self, ticket: int, sent: datetime, seconds: int) -> None:
        """Let nothing new of a ticket be shown until so long after an order was sent."""
        if seconds:
            until = sent + timedelta(seconds=seconds)
            self.stale[ticket] = max(self.stale.get(ticket, LONG_AGO), until)

    def fill_what_is_due(self) -> None:
        """Fill the orders at market whose time has come."""
        for order in list(self.waiting.values()):
            if order.fills_at is not None and order.fills_at <= self.now:
                self.fill(order)

    def fill(self, order: Order) -> None:
        """Execute what an order's fate leaves of it; the rest of it is gone."""
        shown, fate = order.shown, order.fate
        if self.waiting.pop(shown.ticket, None) is None:
            return
        lots = self._rules[shown.symbol].volume(shown.volume * fate.part) or shown.volume
        if shown.position:
            held = self.held.get(shown.position)
            if held is not None:
                self._close(held, min(lots, held.volume), order)
            return
        net = self._net(shown.symbol)
        if net is not None and net.direction is not shown.direction:
            against = min(lots, net.volume)
            self._close(net, against, order, comment=shown.comment)
            lots -= against
        if lots > 0:
            self._open(order, lots)

    def _net(self, symbol: str) -> Position | None:
        """Return the one position that a netting account has in a symbol."""
        alike = (held for held in self.held.values() if held.symbol == symbol)
        return None if self.hedging else next(alike, None)

    def _open(self, order: Order, lots: Decimal) -> None:
        shown, fate = order.shown, order.fate
        price = self.opening_price(shown.symbol, shown.direction)
        held = self._net(shown.symbol)
        if held is None:
            held = Position(
                shown.ticket, shown.symbol, shown.direction, lots, price, shown.stop_loss,
                shown.take_profit, NOTHING, NOTHING, self.now, shown.magic, shown.comment,
            )  # fmt: skip
        else:
            total = held.volume + lots
            average = (held.price_open * held.volume + price * lots) / total
            held = replace(
                held,
                volume=total,
                price_open=self._rules[shown.symbol].price(average),
                stop_loss=shown.stop_loss or held.stop_loss,
                take_profit=shown.take_profit or held.take_profit,
            )
        self.held[held.ticket] = held
        self.opened[held.ticket] += lots
        self.hide(held.ticket, shown.placed_at, fate.unseen + fate.position_later)
        deal = Deal(
            self.new_ticket(), shown.ticket, held.ticket, shown.symbol, shown.direction,
            DealEntry.IN, lots, price, NOTHING, NOTHING, NOTHING, self.now, shown.magic,
            shown.comment,
        )  # fmt: skip
        self._book(deal, shown.placed_at + timedelta(seconds=fate.unseen + fate.deal_later))

    def _close(
        self,
        held: Position,
        lots: Decimal,
        order: Order | None = None,
        *,
        comment: str = "",
        reason: CloseReason | None = None,
    ) -> None:
        """Close lots of a position; orders that would close more of what is gone go with it."""
        fate = order.fate if order else FINE
        sent = order.shown.placed_at if order else self.now
        profit = self.profit(held, lots)
        self.balance += profit
        self.closed[held.ticket] += lots
        if lots < held.volume:
            self.held[held.ticket] = replace(held, volume=held.volume - lots)
        else:
            del self.held[held.ticket]
            for ticket, waiting in list(self.waiting.items()):
                if waiting.shown.position == held.ticket:
                    del self.waiting[ticket]
        self.hide(held.ticket, sent, fate.unseen + fate.position_later)
        ticket = order.shown.ticket if order else self.new_ticket()
        deal = Deal(
            self.new_ticket(), ticket, held.ticket, held.symbol, held.direction, DealEntry.OUT,
            lots, self._closing_price(held), profit, NOTHING, NOTHING, self.now, 0, comment, reason,
        )  # fmt: skip
        self._book(deal, sent + timedelta(seconds=fate.unseen + fate.deal_later))

    def _book(self, deal: Deal, shown_from: datetime) -> None:
        self.book.append(deal)
        self.untold.append((shown_from, deal))

    # Prices

    def opening_price(self, symbol: str, direction: Direction) -> Decimal:
        """Return what a market order opens at."""
        bid = self.prices[symbol]
        return bid + SPREAD if direction is Direction.LONG else bid

    def profit(self, held: Position, lots: Decimal) -> Decimal:
        """Return what lots of a position would gain now, in USD."""
        gain = held.direction.sign * (self._closing_price(held) - held.price_open)
        return (gain * lots * LOT).quantize(Decimal("0.01"))

    def _closing_price(self, held: Position) -> Decimal:
        return self.opening_price(held.symbol, held.direction.opposite)

    def _reached(self, held: Position) -> CloseReason | None:
        sign, price = held.direction.sign, self._closing_price(held)
        if held.stop_loss is not None and sign * (price - held.stop_loss) <= 0:
            return CloseReason.STOP_LOSS
        if held.take_profit is not None and sign * (price - held.take_profit) >= 0:
            return CloseReason.TAKE_PROFIT
        return None
