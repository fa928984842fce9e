"""How a bridge's answer to an order is read, however brief it is."""

import msgspec

from app.adapters.mt5.dialect.envelope import RefusalError
from app.adapters.mt5.dialect.readings import Row, read
from app.adapters.mt5.dialect.records import WireResult
from app.adapters.mt5.return_codes import DONE, INVALID_REQUEST, NO_CHANGES, TABLE, is_success
from app.adapters.mt5.server_clock import UTC_CLOCK

_NOT_LET_IN = frozenset({401, 403, 404, 405, 422})
"""HTTP statuses of a bridge that did not let the request in. Many say 400 whatever failed."""
_KNOWN_CODES = frozenset(map(str, TABLE))


def order_result(
    said: object, about: str, *, ticket: int = 0, has_ticket: bool = True
) -> WireResult:
    """Return the answer to an order.

    A bare ``true`` says that what was asked of a ticket is done; of a new order it says neither
    ticket nor code, so nothing is known. A ticket that only repeats the one asked about is none of
    an execution: it counts where the code says done, and not where it says error.

    Args:
        said: the payload.
        about: the call, for messages.
        ticket: the position or order it was about, 0 for a new order.
        has_ticket: whether the terminal gives what was asked an order ticket of its own.

    Raises:
        SourceError: it is neither an object nor true or false.

    """
    if isinstance(said, bool):
        done = said and ticket > 0
        words = f"the bridge answered {str(said).lower()}"
        return WireResult(DONE if done else None, ticket if done else 0, comment=words)
    return read(lambda row: _result(row, ticket, has_ticket=has_ticket), said, about, UTC_CLOCK)


def _result(row: Row, asked: int, *, has_ticket: bool) -> WireResult:
    retcode = row.whole("retcode")
    ticket = row.whole("order") or row.whole("ticket") or 0
    if asked and (ticket == asked or not (ticket or has_ticket)):
        ticket = asked if is_success(retcode) else 0
    return WireResult(
        retcode=retcode,
        ticket=ticket,
        deal=row.whole("deal") or 0,
        price=row.price("price"),
        volume=row.price("volume"),
        comment=row.text("comment") or row.text("message"),
    )


def refused_order(
    refusal: RefusalError, about: str, *, ticket: int = 0, has_ticket: bool = True
) -> WireResult:
    """Return the answer that an error to an order is.

    With a return code it is that. Without one it is an invalid request where the HTTP status says
    that the bridge did not let it in (401, 403, 404, 405, 422), and else nothing is known. That
    nothing changes is said as an error, too: a modification is done then.

    Raises:
        SourceError: what it says besides makes no sense.

    """
    result = order_result(refusal.fields, about, ticket=ticket)
    code = result.retcode
    if code is None:
        code = _return_code(refusal.fields.get("error_code"))
    if code is None and refusal.status in _NOT_LET_IN:
        code = INVALID_REQUEST
    if code == NO_CHANGES and not (result.ticket or has_ticket):
        result = msgspec.structs.replace(result, ticket=ticket)
    return msgspec.structs.replace(result, retcode=code, comment=refusal.message)


def _return_code(error_code: object) -> int | None:
    """Return the return code some bridges put where their own error codes stand."""
    return int(str(error_code)) if str(error_code) in _KNOWN_CODES else None
