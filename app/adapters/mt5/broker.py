"""The account behind the bridge: looked at whole or not at all, ordered from at most once.

Prices are no part of the account: one that does not come leaves the older one, which ages.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar

import msgspec

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import (
    LOOK_UP,
    WireAccount,
    WireDeal,
    WireHealth,
    WireOrder,
    WirePosition,
    WireTick,
)
from app.adapters.mt5.history import deals_between
from app.adapters.mt5.ledger import Ledger
from app.adapters.mt5.market_watch import MarketWatch
from app.adapters.mt5.orders import result_of, send, set_stops, withdraw
from app.adapters.mt5.server_clock import ClockWatch
from app.adapters.mt5.symbols import Symbols
from app.adapters.mt5.translation import account_of, order_of, position_of
from app.domain.errors import ConfigurationError, SourceError, UnavailableError
from app.domain.market import Candle, Quote, SymbolRules
from app.domain.orders import (
    Account,
    BlockReason,
    Deal,
    OrderGone,
    OrderResult,
    OrderState,
    PendingOrder,
    Position,
    Refusal,
)
from app.log_setup import get_logger
from app.risk.limits import ApprovedOrder

T = TypeVar("T")

LOOK_BACK = timedelta(days=7)
"""How far back the ledger is read at the start."""

_FUTURE = timedelta(seconds=10)
"""How far ahead of our clock a price may be."""
_NEAR = timedelta(days=1)
"""Further than the server's clock can be ahead."""


class _View(msgspec.Struct, frozen=True):
    """The account at one look."""

    seen_at: datetime
    account: Account
    positions: tuple[Position, ...]
    orders: tuple[PendingOrder, ...]


class Terms(msgspec.Struct, frozen=True):
    """How the account is read: `login` is the only one accepted, ``None`` for any.

    `hedging` holds where the bridge does not say. A price older than `max_quote_age`, or a look at
    the account older than `max_silence`, is too old to open a position on. `pip_values` are pips
    in 1.0 of price, by symbol.
    """

    login: int | None
    hedging: bool
    max_quote_age: timedelta
    max_silence: timedelta
    pip_values: Mapping[str, float | Decimal]


class Mt5Broker:
    """A MetaTrader 5 account through its bridge.

    `poll` asks for account, positions, orders, new deals, health and prices at once; only when all
    of it but prices came does anything change. A price that did not come stays as it was, and is
    too old to open a position on after `max_quote_age`. Everything else answers from that, but
    `submit`, `modify` and `cancel`, which ask once and never again, and no other account than ours.
    `clock` is the market's now; `heard` is told what the bridge says of itself; `watch` is shared
    with whoever else wants symbols of that bridge.
    """

    def __init__(
        self,
        client: BridgeClient,
        symbols: Sequence[str],
        terms: Terms,
        clock: Callable[[], datetime],
        *,
        heard: Callable[[WireHealth], None] = lambda _: None,
        watch: MarketWatch | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._heard = heard
        self._traded = tuple(symbols)
        self._terms = terms
        self._symbols = Symbols(client, terms.pip_values, watch)
        self._quotes: dict[str, Quote] = {}
        self._ahead: dict[str, timedelta] = {}
        """How far each price was ahead of our clock when it came."""
        self._clock_watch = ClockWatch()
        self._log = get_logger("bridge")
        self._stops: dict[int, tuple[Decimal | None, Decimal | None]] = {}
        """Position ticket -> the stops we set last."""
        self._health = WireHealth()
        self._wire_account: WireAccount | None = None
        self._view: _View | None = None
        self._ledger: Ledger | None = None
        self._wrong = ""

    def open(self, now: datetime) -> None:
        """Look at account and symbols for the first time.

        Raises:
            UnavailableError: the bridge does not answer.
            ConfigurationError: it is another account, or has no such symbol.

        """
        try:
            self._symbols.open(self._traded, now)
            self._ledger = Ledger(now - LOOK_BACK)
            self.poll(now)
        except SourceError as error:
            if self._wrong:
                raise ConfigurationError(self._wrong) from None
            raise UnavailableError(f"the bridge does not answer: {error}") from None

    @property
    def name(self) -> str:
        """What it is, for the operator."""
        account = self.account()
        return f"MetaTrader 5 account {account.login} on {account.server}"

    # What can be asked

    def poll(self, now: datetime) -> Sequence[Deal | OrderGone]:
        """Look at the account; return the deals that are new, oldest first.

        Raises SourceError when any part of the answer but a price is missing, or it is another
        account's.
        """
        client, ledger = self._client, self._opened()
        asked = client.together(
            client.account,
            client.positions,
            client.orders,
            partial(deals_between, client, ledger.next_since(), now + _NEAR),
            client.health,
            *(partial(client.tick, symbol) for symbol in self._traded),
        )
        account = _needed(asked[0], WireAccount)
        self._check_login(account)
        positions = _listed(asked[1], WirePosition)
        orders = _listed(asked[2], WireOrder)
        deals = _listed(asked[3], WireDeal)
        health = _needed(asked[4], WireHealth)
        self._symbols.refresh(now)
        # All of the account came: from here on nothing can fail, so no new deal is forgotten.
        new = ledger.add(deals, {held.ticket: held.volume for held in self._held()})
        self._health = health
        self._heard(health)
        for symbol, tick in zip(self._traded, asked[5:], strict=True):
            self._price(symbol, tick)
        self._wire_account = account
        self._view = _View(
            seen_at=now,
            account=account_of(account, hedging=self._terms.hedging),
            positions=tuple(
                position_of(held, self._stops.get(held.ticket), now) for held in positions
            ),
            orders=tuple(order_of(order, now) for order in orders),
        )
        shown = {held.ticket for held in positions}
        self._stops = {ticket: set_ for ticket, set_ in self._stops.items() if ticket in shown}
        ledger.forget(now)
        return new

    def doubt(self, symbol: str, now: datetime) -> Refusal | None:
        """Say why account or price are not good enough to open a position on."""
        if self._wrong:
            return Refusal(BlockReason.WRONG_ACCOUNT, self._wrong)
        silence = now - self._seen().seen_at
        if silence > self._terms.max_silence:
            seconds = f"{silence.total_seconds():.0f} s"
            return Refusal(BlockReason.NO_ANSWER, f"the account was seen {seconds} ago")
        if self._health.connected is False:
            return Refusal(
                BlockReason.TERMINAL_DISCONNECTED, "the terminal is not connected to its broker"
            )
        return self._trading_off(symbol) or self._bad_quote(symbol, now)

    def account(self) -> Account:
        """Return the account as seen last."""
        return self._seen().account

    def rules(self, symbol: str) -> SymbolRules:
        """Return what orders in `symbol` must obey; ConfigurationError when it is not traded."""
        return self._symbols.rules(symbol)

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest price seen."""
        return self._quotes.get(symbol)

    def money_per_lot(self, symbol: str) -> Decimal:
        """Return what one lot gains, in account currency, when the price rises by 1.0.

        Raises SourceError when the bridge does not tell.
        """
        return self._symbols.money_per_lot(symbol, self.account().currency)

    def positions(self) -> Sequence[Position]:
        """Return all positions seen last."""
        return self._seen().positions

    def orders(self) -> Sequence[PendingOrder]:
        """Return all orders seen last."""
        return self._seen().orders

    def deals(self, since: datetime) -> Sequence[Deal]:
        """Return the ledger's deals at or after `since`, oldest first; SourceError: no answer."""
        ledger = self._opened()
        if since < ledger.since:
            older = deals_between(self._client, since, ledger.since)
            ledger.since = since
            ledger.add(older)
        return ledger.of(since)

    def find(self, client_id: str) -> OrderResult | None:
        """Ask for an order by its client id, where the bridge offers to look it up."""
        if LOOK_UP not in self._client.offers:
            return None
        found = self._client.find_order(client_id)
        return None if found is None else result_of(found)

    # What can be ordered

    def submit(self, order: ApprovedOrder) -> OrderResult:
        """Send an entry or an exit, once; what is not surely refused is UNKNOWN."""
        if self._wrong:
            return self._not_sent()
        intent = order.intent
        result = send(self._client, intent)
        if result.moved:
            self._ask_price(intent.symbol)
        return result

    def modify(
        self, ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> OrderResult:
        """Set both stops of a position; ``None`` removes one."""
        if self._wrong:
            return self._not_sent()
        held = next((held for held in self.positions() if held.ticket == ticket), None)
        if held is None:
            return OrderResult(OrderState.REJECTED, reason=f"no position {ticket}")
        result = set_stops(self._client, held, stop_loss, take_profit)
        if result.state is OrderState.FILLED:
            self._stops[ticket] = (stop_loss, take_profit)
        return result

    def cancel(self, ticket: int) -> OrderResult:
        """Withdraw an order that waits."""
        return self._not_sent() if self._wrong else withdraw(self._client, ticket)

    def on_candle(self, candle: Candle) -> Sequence[Deal | OrderGone]:  # noqa: ARG002 - the port
        """Return nothing: `poll` tells what happens."""
        return ()

    def _not_sent(self) -> OrderResult:
        """Refuse what is meant for our account: a ticket may be somebody else's in another."""
        return OrderResult(OrderState.REJECTED, reason=f"not sent: {self._wrong}")

    def _ask_price(self, symbol: str) -> None:
        """Take in the price that a further attempt would meet; the old one goes when none comes."""
        self._quotes.pop(symbol, None)
        self._price(symbol, self._client.together(partial(self._client.tick, symbol))[0])

    def _price(self, symbol: str, tick: object) -> None:
        if isinstance(tick, WireTick):
            before = self._quotes.get(symbol)
            self._quotes[symbol] = Quote(symbol, float(tick.bid), float(tick.ask), tick.time)
            self._ahead[symbol] = tick.time - self._clock()
            if before is not None and before.time != tick.time:
                moved = self._clock_watch.moved(self._ahead[symbol])
                if moved:
                    self._log.error("new prices come %s: the server's clock has changed", moved)

    # Knowing

    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise SourceError("the account was not opened yet")
        return self._ledger

    def _held(self) -> Sequence[Position]:
        return () if self._view is None else self._view.positions

    def _seen(self) -> _View:
        if self._view is None:
            raise SourceError("the account was not seen yet")
        return self._view

    def _check_login(self, account: WireAccount) -> None:
        expected = self._terms.login or (self._wire_account.login if self._wire_account else None)
        server = self._wire_account.server if self._wire_account else account.server
        self._wrong = ""
        if expected not in {None, account.login} or server != account.server:
            self._wrong = (
                f"the terminal is logged in to account {account.login} on {account.server}, "
                f"expected {expected} on {server}"
            )
            raise SourceError(self._wrong)

    def _trading_off(self, symbol: str) -> Refusal | None:
        account = self._wire_account
        allowed = [self._health.trade_allowed]
        if account is not None:
            allowed += [account.trade_allowed, account.trade_expert]
        if False in allowed:
            return Refusal(BlockReason.TRADING_OFF, "autotrading is off in the terminal")
        if self._symbols.only_to_close(symbol):
            return Refusal(BlockReason.TRADING_OFF, f"{symbol} may only be closed")
        return None

    def _bad_quote(self, symbol: str, now: datetime) -> Refusal | None:
        quote = self._quotes.get(symbol)
        if quote is None:
            return Refusal(BlockReason.NO_QUOTE, f"no price of {symbol} yet")
        age = now - quote.time
        if age > self._terms.max_quote_age:
            seconds = f"{age.total_seconds():.0f} s"
            return Refusal(BlockReason.STALE_QUOTE, f"the price of {symbol} is {seconds} old")
        if self._ahead[symbol] > _FUTURE:
            seconds = f"{self._ahead[symbol].total_seconds():.0f} s"
            return Refusal(
                BlockReason.CLOCK_SKEW, f"the price of {symbol} is {seconds} ahead of our clock"
            )
        return None


def _needed(answer: object, kind: type[T]) -> T:
    if isinstance(answer, SourceError):
        raise answer
    if not isinstance(answer, kind):
        raise SourceError(f"expected {kind.__name__}, got {type(answer).__name__}")
    return answer


def _listed(answer: object, kind: type[T]) -> list[T]:
    return [_needed(one, kind) for one in _needed(answer, list)]
