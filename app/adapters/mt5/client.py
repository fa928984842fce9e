"""A bridge's calls, one by one: questions asked until answered, orders sent once."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from urllib.parse import quote

from app.adapters.mt5 import dialect
from app.adapters.mt5.deadlines import Flag
from app.adapters.mt5.dialect import (
    RefusalError,
    WireAccount,
    WireBars,
    WireDeal,
    WireHealth,
    WireMargin,
    WireOrder,
    WirePosition,
    WireResult,
    WireSymbol,
    WireTick,
)
from app.adapters.mt5.questions import LIST_LIMIT, Questions
from app.adapters.mt5.server_clock import UTC_CLOCK, ServerClock
from app.adapters.mt5.submissions import Submissions
from app.adapters.mt5.transport import (
    MaybeSentError,
    NoAnswerError,
    NotSentError,
    Transport,
    UnreachableError,
)
from app.adapters.mt5.workers import Workers
from app.domain.errors import ConfigurationError, SourceError
from app.domain.market import Timeframe

__all__ = ["BridgeClient", "MaybeSentError", "NoAnswerError", "NotSentError", "UnreachableError"]

T = TypeVar("T")

_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9._#+\-!&$ ]{1,32}")
_GRACE, _ORDER_GRACE = 0.25, 2.0
"""Seconds the answer to a question, and to an order, is awaited when the process is to stop."""
_NOT_FOUND = 404


class BridgeClient:
    """A bridge to one MetaTrader 5 terminal; may be used by several threads.

    Questions raise SourceError when there is no answer that can be true. What changes the account
    is sent once: it raises NotSentError when certainly nothing left and MaybeSentError when nobody
    knows. Both raise ConfigurationError for a symbol that is none.

    Args:
        base_url: of the bridge; credentials in it are never shown.
        timeout: seconds a request may take in all; a question is not asked again after that.
        retry_attempts: how often a question is asked again at most.
        stop: ends waits between tries at once, and waits for replies soon.
        concurrency: how many questions `together` asks at a time.
        clock: how times without a zone are meant.

    Attributes:
        address: of the bridge, without credentials.
        offers: what it can do beyond the dialect, as `health` said last.

    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        retry_attempts: int,
        stop: Flag | None = None,
        concurrency: int = 8,
        clock: ServerClock = UTC_CLOCK,
    ) -> None:
        stop = stop or threading.Event()
        self.offers: frozenset[str] = frozenset()
        orders = Transport(base_url, connections=0, stop=stop, grace=_ORDER_GRACE)
        questions = Transport(base_url, connections=concurrency + 1, stop=stop, grace=_GRACE)
        self.address = orders.address
        self._submissions = Submissions(orders, timeout=timeout)
        self._questions = Questions(
            questions, timeout=timeout, attempts=1 + retry_attempts, stop=stop, clock=clock
        )
        self._workers = Workers(concurrency)

    @property
    def clock(self) -> ServerClock:
        """How times without a zone are meant; to be set when it is measured."""
        return self._questions.clock

    @clock.setter
    def clock(self, clock: ServerClock) -> None:
        self._questions.clock = clock

    # The bridge and the account

    def health(self) -> WireHealth:
        """Return how the bridge and the terminal behind it are; note what it offers."""
        told = self._questions.one("health", WireHealth.read)
        self.offers = told.offers
        return told

    def account(self) -> WireAccount:
        """Return the account."""
        return self._questions.one("account", WireAccount.read)

    def balance(self) -> Decimal:
        """Return the balance in account currency."""
        return self._questions.one("account/balance", dialect.balance)

    def equity(self) -> Decimal:
        """Return the balance and what floats, in account currency."""
        return self._questions.one("account/equity", dialect.equity)

    def margin(self) -> WireMargin:
        """Return what of the account is bound."""
        return self._questions.one("account/margin", WireMargin.read)

    def leverage(self) -> int:
        """Return the n of 1:n."""
        return self._questions.one("account/leverage", dialect.leverage)

    # The market

    def symbols(self) -> list[str]:
        """Return the names of all symbols, spelled as the broker does."""
        return self._questions.plain("symbols", dialect.names)

    def symbol(self, name: str) -> WireSymbol:
        """Return what orders in a symbol must obey."""
        return self._questions.one(f"symbols/{_quoted(name)}/info", WireSymbol.read)

    def tick(self, name: str) -> WireTick:
        """Return the latest quote."""
        return self._questions.one(f"symbols/{_quoted(name)}/tick", WireTick.read)

    def tradable(self, name: str) -> bool:
        """Say whether orders in a symbol are taken now."""
        return self._questions.one(f"symbols/{_quoted(name)}/tradable", dialect.is_tradable)

    def select(self, name: str) -> bool:
        """Have the terminal watch a symbol, as it must to know its prices."""
        _quoted(name)
        content = dialect.encoded(dialect.selection(name))
        return self._questions.one(
            "symbols/select", dialect.is_selected, method="POST", content=content
        )

    def bars(
        self,
        symbol: str,
        timeframe: Timeframe,
        *,
        count: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> WireBars:
        """Return the newest `count` bars, or those from `start` to `end` (aware), as they came.

        The last one may be forming.
        """
        path = f"symbols/{_quoted(symbol)}/bars"
        return self._questions.ask(
            path,
            lambda reply: dialect.bars(reply.status, reply.body, path, self.clock),
            limit=LIST_LIMIT,
            query=dialect.bar_range(timeframe, count, start, end),
        )

    # Positions, orders, history

    def positions(self, symbol: str | None = None) -> list[WirePosition]:
        """Return the open positions, all or those of a symbol."""
        path = "positions" if symbol is None else f"positions/{_quoted(symbol)}"
        return self._questions.all(path, WirePosition.read)

    def position(self, ticket: int) -> WirePosition:
        """Return one open position."""
        return self._questions.one(f"position/{ticket}", WirePosition.read)

    def orders(self, symbol: str | None = None) -> list[WireOrder]:
        """Return the orders not filled yet, all or those of a symbol."""
        return self._questions.all("orders", WireOrder.read, dialect.order_filter(symbol))

    def deals(self, start: datetime, end: datetime | None = None) -> list[WireDeal]:
        """Return the ledger's deals from `start` to `end` (aware), or to the newest."""
        query = dialect.time_range(start, end)
        return self._questions.all(
            "history/closed_positions", WireDeal.read, limit=LIST_LIMIT, query=query
        )

    def deal(self, ticket: int) -> WireDeal:
        """Return one deal of the ledger."""
        return self._questions.one(f"history/closed_positions/{ticket}", WireDeal.read)

    def find_order(self, client_id: str) -> WireResult | None:
        """Return the answer an order got; ``None`` when the bridge never had one of that id.

        Raises:
            SourceError: no answer, or the bridge does not offer to look.

        """
        if dialect.LOOK_UP not in self.offers:
            raise SourceError("the bridge does not look orders up by client id")
        path = f"orders/by_client_id/{_quoted(client_id)}"
        try:
            return self._questions.plain(path, dialect.order_result)
        except RefusalError as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise

    # What changes the account

    def create_order(
        self,
        symbol: str,
        order_type: str,
        volume: Decimal,
        *,
        price: Decimal | None = None,
        sl: Decimal | None = None,
        tp: Decimal | None = None,
        comment: str = "",
        magic: int = 0,
        idempotency_key: str | None = None,
    ) -> WireResult:
        """Send a new order of `volume` lots; `order_type` is one of `dialect.ORDER_TYPES`.

        The key goes with it where the bridge offers to execute a key once only.
        """
        _quoted(symbol)
        fields = dialect.new_order(
            symbol,
            order_type,
            volume,
            price=price,
            stop_loss=sl,
            take_profit=tp,
            comment=comment,
            magic=magic,
        )
        keyed = idempotency_key is not None and dialect.IDEMPOTENCY in self.offers
        headers = {dialect.IDEMPOTENCY_HEADER: f"{idempotency_key}"} if keyed else None
        return self._submissions.send("POST", "orders/create", fields, headers=headers)

    def close_position(self, symbol: str, ticket: int, volume: Decimal) -> WireResult:
        """Close `volume` lots of a position."""
        path = f"positions/{_quoted(symbol)}/close/{ticket}"
        return self._submissions.send("POST", path, dialect.closing(volume), ticket=ticket)

    def update_position(
        self, symbol: str, ticket: int, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> WireResult:
        """Set a position's stops: ``None`` leaves one as it is, 0 removes it."""
        path = f"positions/{_quoted(symbol)}/update/{ticket}"
        fields = dialect.stops(stop_loss, take_profit)
        return self._submissions.send("POST", path, fields, ticket=ticket, has_ticket=False)

    def close_all(self, symbol: str | None = None) -> WireResult:
        """Close every position, or every one of a symbol; what became of it only looking tells."""
        if symbol is not None:
            _quoted(symbol)
        fields = dialect.closing_all(symbol)
        return self._submissions.send("POST", "positions/close_all", fields)

    def update_order(
        self,
        ticket: int,
        *,
        price: Decimal | None,
        sl: Decimal | None,
        tp: Decimal | None,
        comment: str | None = None,
    ) -> WireResult:
        """Change an order that waits."""
        fields = dialect.order_change(
            ticket, price=price, stop_loss=sl, take_profit=tp, comment=comment
        )
        return self._submissions.send(
            "PUT", "orders/update", fields, ticket=ticket, has_ticket=False
        )

    def delete_order(self, ticket: int) -> WireResult:
        """Withdraw an order that waits."""
        fields = dialect.cancellation(ticket)
        return self._submissions.send(
            "DELETE", "orders/delete", fields, ticket=ticket, has_ticket=False
        )

    # All at once

    def together(self, *calls: Callable[[], T]) -> list[T | SourceError]:
        """Make calls of this client at the same time; return what each gave, in their order.

        Once one has waited in vain, for its whole deadline or for a connection, those not begun
        are not made: a bridge that hangs costs a deadline and not one for each call.
        """
        return self._workers.run(calls)

    def close(self) -> None:
        """Close all connections, for good; may be called twice."""
        self._workers.close()
        self._questions.close()
        self._submissions.close()


def _quoted(symbol: str) -> str:
    """Return a symbol, or a client order id, as part of a path."""
    if not _NAME.fullmatch(symbol):
        raise ConfigurationError(
            f"'{symbol}' is not a symbol: expected letters, digits and . _ # + - ! & $, 32 at most"
        )
    return quote(symbol, safe="")
