"""The order desk: every request to trade goes through here, is remembered, and answered once."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from app.bridge.retcodes import Retcode
from app.bridge.terminal import Terminal
from app.bridge.values import PROPER, OrderRequest, Refused, TradeResult, Treatment

CLIENT_ID_LENGTH = 15
"""Characters of a client order id, which stands first in an order's comment."""


class Receipt(msgspec.Struct, frozen=True):
    """A request for an order as it was received, and what truly became of it.

    `login` is the account it went to; `at` is market time, aware UTC; `key` is its
    Idempotency-Key, or empty. A `repeat` was answered with the result of the first request of that
    key, and nothing was done.
    """

    login: int
    at: datetime
    client_id: str
    key: str
    request: OrderRequest
    result: TradeResult
    repeat: bool = False


class KeyReused(Exception):  # noqa: N818 - it is an answer, not a defect
    """An Idempotency-Key came a second time, with another order."""


class OrderDesk:
    """Hands requests to the terminal.

    `knows_keys`: an order whose Idempotency-Key was executed before is not sent again, and orders
    can be looked up by their client order id.
    """

    def __init__(self, terminal: Terminal, *, knows_keys: bool) -> None:
        self.receipts: list[Receipt] = []
        self.knows_keys = knows_keys
        self.treatment = PROPER
        """How orders are treated unless a fault says otherwise."""
        self._terminal = terminal
        self._by_key: dict[str, Receipt] = {}
        self._written: Callable[[Receipt], None] = lambda _: None

    def go_on(self, past: Iterable[Receipt], written: Callable[[Receipt], None]) -> None:
        """Take over the receipts of an earlier desk; tell `written` of every new one."""
        self.receipts += past
        executed = (one for one in self.receipts if one.result.order and not one.repeat)
        self._by_key |= {one.key: one for one in executed if one.key}
        self._written = written

    def create(self, request: OrderRequest, key: str, treatment: Treatment) -> TradeResult:
        """Send an order unless its key was executed; raises KeyReused when that was another order.

        What was refused left nothing behind: it may be asked for again, as after a requote.
        """
        known = self._by_key.get(key)
        if known is not None:
            if known.request != request:
                raise KeyReused(key)
            self._keep(msgspec.structs.replace(known, at=self._now(), repeat=True))
            return known.result
        result = self._done(lambda: self._terminal.create(request, treatment), treatment)
        client_id = request.comment[:CLIENT_ID_LENGTH]
        receipt = Receipt(self._terminal.login(), self._now(), client_id, key, request, result)
        self._keep(receipt)
        if key and result.order:
            self._by_key[key] = receipt
        return _told(result, treatment)

    def close(
        self, symbol: str, ticket: int, volume: Decimal | None, treatment: Treatment
    ) -> TradeResult:
        """Close `volume` lots of a position, ``None`` all of it."""
        return self.trade(
            lambda: self._terminal.close(symbol, ticket, volume, treatment), treatment
        )

    def trade(self, action: Callable[[], TradeResult], treatment: Treatment) -> TradeResult:
        """Do anything else that the terminal answers with a return code."""
        return _told(self._done(action, treatment), treatment)

    def find(self, client_id: str) -> TradeResult | None:
        """Return the result of the first order whose comment began so, an accepted one if any.

        The desk knows what it has received, whatever the terminal lists.
        """
        mine = [one.result for one in self.receipts if one.request.comment.startswith(client_id)]
        accepted = [result for result in mine if result.order]
        return next(iter(accepted or mine), None)

    def doubled(self) -> Iterator[tuple[str, list[int]]]:
        """Yield the client ids, and the tickets, that more than one order was made for."""
        tickets: dict[str, list[int]] = {}
        for receipt in self.receipts:
            if receipt.client_id and receipt.result.order and not receipt.repeat:
                tickets.setdefault(receipt.client_id, []).append(receipt.result.order)
        return ((client_id, made) for client_id, made in tickets.items() if len(made) > 1)

    def _keep(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)
        self._written(receipt)

    def _now(self) -> datetime:
        return self._terminal.now()

    def _done(self, action: Callable[[], TradeResult], treatment: Treatment) -> TradeResult:
        """Return what truly became of a request."""
        if treatment.retcode and not treatment.executed:
            return TradeResult(treatment.retcode)
        try:
            return action()
        except Refused as refused:
            return TradeResult(refused.code)


def _told(result: TradeResult, treatment: Treatment) -> TradeResult:
    """Return what is said of a result, which brokers may get wrong."""
    if not treatment.retcode:
        return result
    return TradeResult(treatment.retcode, treatment.ticket)


def status_of(result: TradeResult) -> str:
    """Say in a word what a result means."""
    if result.retcode == Retcode.DONE:
        return "filled" if result.deal else "placed" if result.volume else "done"
    words: dict[int, str] = {Retcode.DONE_PARTIAL: "partial", Retcode.PLACED: "placed"}
    return words.get(result.retcode, "rejected")
