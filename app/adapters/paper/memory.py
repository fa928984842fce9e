"""The paper account as text, so that it outlives the process."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.adapters.paper.book import Book
from app.adapters.paper.ledger import BEFORE_TRADING, Ledger, OpenPosition, Order
from app.domain.errors import JournalError
from app.domain.market import Candle
from app.domain.orders import Deal, OrderGone


class _State(msgspec.Struct, frozen=True):
    """Everything of the account but its terms; `candles` are those it took in last."""

    last_ticket: int
    positions: tuple[OpenPosition, ...]
    deals: tuple[Deal, ...]
    orders: tuple[Order, ...]
    gone: tuple[OrderGone, ...]
    candles: tuple[Candle, ...] = ()


def written(ledger: Ledger, books: Mapping[str, Book]) -> str:
    """Return the account as text."""
    state = _State(
        last_ticket=ledger.last_ticket,
        positions=tuple(ledger.all()),
        deals=tuple(ledger.deals(BEFORE_TRADING)),
        orders=tuple(order for book in books.values() for order in book.orders.values()),
        gone=tuple(gone for book in books.values() for gone in book.gone),
        candles=tuple(book.candle for book in books.values() if book.candle is not None),
    )
    return msgspec.json.encode(state, enc_hook=str).decode()


def restore(text: str, ledger: Ledger, books: Mapping[str, Book]) -> None:
    """Make `ledger` and `books` what they were.

    Raises:
        JournalError: the text is not a paper account, or one with symbols not traded any more.

    """
    try:
        state = msgspec.json.decode(text, type=_State, dec_hook=_made)
    except (msgspec.MsgspecError, ValueError) as error:
        raise JournalError(f"the paper account in the journal cannot be read: {error}") from None
    symbols = {position.symbol for position in state.positions}
    symbols |= {order.intent.symbol for order in state.orders}
    symbols |= {gone.symbol for gone in state.gone}
    strange = symbols - books.keys()
    if strange:
        raise JournalError(
            f"the paper account holds {', '.join(sorted(strange))}, which is not traded now: "
            "trade it, or use another journal.folder"
        )
    ledger.resume(state.last_ticket, state.positions, state.deals)
    for order in state.orders:
        books[order.intent.symbol].orders[order.ticket] = order
    for gone in state.gone:
        books[gone.symbol].gone.append(gone)
    for candle in state.candles:
        if candle.symbol in books:
            books[candle.symbol].candle = candle


def _made(wanted: type[Any], value: object) -> object:
    return wanted(value)
