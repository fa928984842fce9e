"""A terminal that is simulated, and the broker behind it: markets, accounts, sessions, limits."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.bridge.chronicle import Chronicle
from app.bridge.clock import MarketClock
from app.bridge.dealer import LIMIT_ORDERS, Dealer
from app.bridge.ledger import Ledger, Record
from app.bridge.market import Market
from app.bridge.rates import Rates
from app.bridge.retcodes import Retcode
from app.bridge.terms import Terms, Tickets
from app.bridge.trade_server import TradeServer
from app.bridge.values import (
    NONE,
    PROPER,
    Account,
    Bar,
    Deal,
    OpenPosition,
    Order,
    OrderRequest,
    Reason,
    Refused,
    Symbol,
    Tick,
    TradeResult,
    Treatment,
)
from app.domain.broker_time import ServerTime
from app.domain.market import Timeframe


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be wrong with a terminal: `frozen` says that all is well, but no price moves."""

    connected: bool = True
    frozen: bool = False
    trade_allowed: bool = True
    autotrading: bool = True
    server_autotrading: bool = True


class SimulatedTerminal:
    """See :class:`app.bridge.terminal.Terminal`.

    Every call first lets the market move on to the clock's now. A request with the reason CLIENT
    is that of a person at the terminal, whom the switches for autotrading do not concern.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        rates: Callable[[str], Rates],
        clock: MarketClock,
        server_time: ServerTime,
        chronicle: Chronicle | None = None,
    ) -> None:
        self._markets = markets
        self._rates = rates
        self._clock = clock
        self._server_time = server_time
        self._chronicle = chronicle
        past = chronicle.past if chronicle else []
        self._tickets = Tickets(
            order=max((line.order.ticket for line in past if line.order), default=0),
            deal=max((line.deal.ticket for line in past if line.deal), default=0),
        )
        self._servers: dict[int, TradeServer] = {}
        self._selected = set(markets)
        self._conditions = Conditions()
        self._stands_at: datetime | None = None

    # The operator's side

    def log_in(self, terms: Terms, deposit: Decimal) -> None:
        """Use the account `terms.login`; one that is new begins with `deposit`."""
        if terms.login not in self._servers:
            server = self._opened(terms)
            self._servers[terms.login] = server
            if not server.ledger.deals:
                server.ledger.deposit(deposit, server.now)
        self._login = terms.login

    def _opened(self, terms: Terms) -> TradeServer:
        """Return the trade server of an account as it was left, or of a new one."""

        def write(record: Record) -> None:
            if self._chronicle:
                self._chronicle.record(terms.login, server.now, record)

        past = self._chronicle.of(terms.login) if self._chronicle else []
        now = past[-1].at if past else self._clock.now()
        ledger = Ledger(terms, self.symbol, self._tickets, write)
        rates = self._rates(terms.currency)
        server = TradeServer(ledger, self._markets, rates, self._server_time, now)
        for line in past:
            if line.record:
                ledger.restore(line.record)
        for order in list(ledger.waiting.values()):
            if order.type.is_market:
                server.cancel(order)
        return server

    @property
    def ledger(self) -> Ledger:
        """The books of the account that is logged in, up to now."""
        return self._server().ledger

    @property
    def conditions(self) -> Conditions:
        """What is wrong with it at present."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        """Make something wrong, or right again."""
        stands = conditions.frozen or not conditions.connected
        self._stands_at = (self._stands_at or self._clock.now()) if stands else None
        self._conditions = conditions

    def change_symbol(self, symbol: Symbol) -> None:
        """Let a symbol have other properties from now on."""
        self._market(symbol.name).symbol = symbol

    def deposit(self, amount: Decimal) -> Deal:
        """Pay into the account, or take out of it when `amount` is negative."""
        return self._server().ledger.deposit(amount, self.now())

    # Questions

    def now(self) -> datetime:
        """Return the market's now."""
        return self._clock.now()

    def is_connected(self) -> bool:
        """Say whether the terminal reaches its server."""
        return self._conditions.connected

    def login(self) -> int:
        """Return the number of the account it is logged in to."""
        return self._login

    def account(self) -> Account:
        """Return the account as it stands."""
        server = self._server()
        terms, balance = server.ledger.terms, server.ledger.balance
        equity, margin = server.equity(), server.ledger.margin()
        level = terms.money(equity * 100 / margin) if margin else NONE
        wrong = self._conditions
        return Account(
            login=terms.login,
            name="Simulated account",
            server=terms.server,
            company="Simulated broker",
            currency=terms.currency,
            leverage=terms.leverage,
            balance=balance,
            equity=equity,
            margin=margin,
            margin_free=equity - margin,
            margin_level=level,
            profit=equity - balance,
            hedging=terms.hedging,
            trade_allowed=wrong.trade_allowed and wrong.autotrading,
            trade_expert=wrong.server_autotrading,
            limit_orders=LIMIT_ORDERS,
        )

    def symbols(self) -> Sequence[str]:
        """Return the names of all symbols."""
        return list(self._markets)

    def symbol(self, name: str) -> Symbol:
        """Return what a symbol is; LookupError when there is none of that name."""
        return self._market(name).symbol

    def tradable(self, name: str) -> bool:
        """Say whether orders in a symbol are taken now."""
        return self._market(name).is_open(self.now()) and self._conditions.trade_allowed

    def select(self, name: str, *, enable: bool) -> bool:
        """Watch a symbol or not; false when it is unknown, or there is a position in it."""
        if name not in self._markets:
            return False
        if enable:
            self._selected.add(name)
            return True
        if self._server().ledger.of(name):
            return False
        self._selected.discard(name)
        return True

    def tick(self, name: str) -> Tick:
        """Return the newest price of a symbol; LookupError when it is not watched or has none."""
        market = self._market(name)
        tick = market.tick(self._seen()) if name in self._selected else None
        if tick is None:
            raise LookupError(f"no price of '{name}'")
        return tick

    def dig(
        self, name: str, timeframe: Timeframe, *, count: int = 0, since: datetime | None = None
    ) -> bool:
        """Get a stretch more of a symbol's history; false when enough is there."""
        return self._market(name).dig(timeframe, self._seen(), count=count, since=since)

    def bars(
        self,
        name: str,
        timeframe: Timeframe,
        *,
        count: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Bar]:
        """Return the newest `count` bars, or those that opened in ``[since, until]``."""
        found = self._market(name)
        return found.bars(timeframe, self._seen(), count=count, since=since, until=until)

    def money_per_tick(self, name: str) -> Decimal:
        """Return what one lot gains in account currency when the price rises by a point."""
        symbol, server = self.symbol(name), self._server()
        rate = self._rates(server.ledger.terms.currency).rate(symbol.currency_profit, self.now())
        return symbol.contract_size * symbol.point * rate

    def positions(self) -> Sequence[OpenPosition]:
        """Return the open positions, oldest first."""
        server = self._listed()
        held = server.open_positions()
        return [one for one in held if not server.is_hidden(one.position.ticket)]

    def orders(self) -> Sequence[Order]:
        """Return the orders that wait or are in flight, oldest first."""
        server = self._listed()
        waiting = server.ledger.waiting.values()
        return [order for order in waiting if not server.is_hidden(order.ticket)]

    def deals(self, since: datetime | None, until: datetime | None) -> Sequence[Deal]:
        """Return the deals in ``[since, until]``, oldest first."""
        server = self._listed()
        return [
            deal
            for deal in server.ledger.deals
            if (since is None or deal.time >= since)
            and (until is None or deal.time <= until)
            and not server.is_hidden(deal.order)
        ]

    # Requests to trade

    def create(self, request: OrderRequest, treatment: Treatment = PROPER) -> TradeResult:
        """Send an order."""
        return self._dealer(request.reason).create(request, treatment)

    def close(
        self,
        symbol: str,
        ticket: int,
        volume: Decimal | None,
        treatment: Treatment = PROPER,
        reason: Reason = Reason.EXPERT,
    ) -> TradeResult:
        """Close `volume` lots of a position, ``None`` all of it."""
        return self._dealer(reason).close(symbol, ticket, volume, treatment, reason)

    def set_stops(
        self,
        symbol: str,
        ticket: int,
        sl: Decimal | None,
        tp: Decimal | None,
        reason: Reason = Reason.EXPERT,
    ) -> TradeResult:
        """Change the stops of a position; ``None`` leaves one, 0 removes it."""
        return self._dealer(reason).set_stops(symbol, ticket, sl, tp)

    def change_order(
        self, ticket: int, *, price: Decimal | None, sl: Decimal | None, tp: Decimal | None
    ) -> TradeResult:
        """Change a pending order; ``None`` leaves a value as it is."""
        return self._dealer(Reason.EXPERT).change_order(ticket, price=price, sl=sl, tp=tp)

    def cancel(self, ticket: int, reason: Reason = Reason.EXPERT) -> TradeResult:
        """Withdraw a pending order, or one that is in flight."""
        return self._dealer(reason).cancel(ticket)

    def _dealer(self, reason: Reason) -> Dealer:
        """Return who takes requests, unless they are not taken now."""
        wrong = self._conditions
        if not wrong.connected:
            raise Refused(Retcode.NO_CONNECTION)
        if not wrong.trade_allowed:
            raise Refused(Retcode.TRADE_DISABLED)
        if reason is not Reason.CLIENT and not wrong.server_autotrading:
            raise Refused(Retcode.SERVER_DISABLES_AUTOTRADING)
        if reason is not Reason.CLIENT and not wrong.autotrading:
            raise Refused(Retcode.CLIENT_DISABLES_AUTOTRADING)
        watched = {name: self._markets[name] for name in self._selected}
        return Dealer(self._server(), watched)

    def _seen(self) -> datetime:
        """Return how far the terminal sees the market."""
        return self._stands_at or self.now()

    def _market(self, name: str) -> Market:
        try:
            return self._markets[name]
        except KeyError:
            raise LookupError(f"no symbol '{name}'") from None

    def _server(self) -> TradeServer:
        """Return the account's trade server, all of them moved on to now."""
        now = self.now()
        for server in self._servers.values():
            server.advance(now)
        return self._servers[self._login]

    def _listed(self) -> TradeServer:
        if not self._conditions.connected:
            raise ConnectionError("the terminal is not connected to its trade server")
        return self._server()
