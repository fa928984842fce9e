"""MetaTrader's return codes: what each means for us, and in words.

The classes are those of the bridge's specification; what it does not class is ambiguous. Codes up
to 10034 are documented by MetaQuotes.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from app.domain.orders import BlockReason

DONE = 10009
INVALID_REQUEST = 10013
NO_CHANGES = 10025


class Outcome(StrEnum):
    """What to do about an answer."""

    DONE = "done"
    PLACED = "placed"
    """Accepted and in flight."""
    PARTIAL = "partial"
    """Filled in part: the deal says how much."""
    NO_CHANGE = "no_change"
    """The modification asked for what is already so."""
    MOVED = "moved"
    """The price did, nothing was executed: a new attempt may be made."""
    AMBIGUOUS = "ambiguous"
    """It may have been executed: found out by looking, never sent again."""
    THROTTLED = "throttled"
    """Too many requests: not executed, to be tried later."""
    MISTAKE = "mistake"
    """Rejected, and it would be again: the request is wrong."""
    REFUSED = "refused"
    """Rejected because of the account or the market."""
    ALREADY_CLOSED = "already_closed"
    ALREADY_CLOSING = "already_closing"
    """An order that closes the position is in flight."""
    REREAD = "reread"
    """The order or position is not what it was thought to be: look again."""


class Verdict(msgspec.Struct, frozen=True):
    """An answer judged: `text` for the operator; `blocks` says why further entries must wait."""

    outcome: Outcome
    text: str
    blocks: BlockReason | None = None


_SUCCESS = frozenset({Outcome.DONE, Outcome.PLACED, Outcome.PARTIAL, Outcome.NO_CHANGE})

TABLE: Mapping[int, Verdict] = {
    10004: Verdict(Outcome.MOVED, "requote"),
    10006: Verdict(Outcome.AMBIGUOUS, "request rejected"),
    10007: Verdict(Outcome.AMBIGUOUS, "request cancelled by the trader"),
    10008: Verdict(Outcome.PLACED, "order placed"),
    10009: Verdict(Outcome.DONE, "done"),
    10010: Verdict(Outcome.PARTIAL, "done in part"),
    10011: Verdict(Outcome.AMBIGUOUS, "error while the request was processed"),
    10012: Verdict(Outcome.AMBIGUOUS, "request timed out at the trade server"),
    10013: Verdict(Outcome.MISTAKE, "invalid request"),
    10014: Verdict(Outcome.MISTAKE, "invalid volume"),
    10015: Verdict(Outcome.MISTAKE, "invalid price"),
    10016: Verdict(Outcome.MISTAKE, "invalid stops"),
    10017: Verdict(Outcome.REFUSED, "trading is disabled", BlockReason.TRADING_OFF),
    10018: Verdict(Outcome.REFUSED, "market closed", BlockReason.MARKET_CLOSED),
    10019: Verdict(Outcome.REFUSED, "not enough money", BlockReason.NO_MONEY),
    10020: Verdict(Outcome.MOVED, "price changed"),
    10021: Verdict(Outcome.MOVED, "no quotes to process the request"),
    10022: Verdict(Outcome.MISTAKE, "invalid expiration"),
    10023: Verdict(Outcome.REREAD, "the order's state changed"),
    10024: Verdict(Outcome.THROTTLED, "too many requests", BlockReason.TOO_MANY_REQUESTS),
    10025: Verdict(Outcome.NO_CHANGE, "nothing to change"),
    10026: Verdict(
        Outcome.REFUSED, "autotrading is off at the trade server", BlockReason.TRADING_OFF
    ),
    10027: Verdict(Outcome.REFUSED, "autotrading is off in the terminal", BlockReason.TRADING_OFF),
    10028: Verdict(Outcome.AMBIGUOUS, "request locked for processing"),
    10029: Verdict(Outcome.REREAD, "order or position frozen"),
    10030: Verdict(Outcome.MISTAKE, "filling mode not supported"),
    10031: Verdict(Outcome.AMBIGUOUS, "no connection to the trade server"),
    10032: Verdict(Outcome.REFUSED, "allowed on real accounts only", BlockReason.TRADING_OFF),
    10033: Verdict(Outcome.REFUSED, "limit of pending orders reached", BlockReason.BROKER_REFUSED),
    10034: Verdict(
        Outcome.REFUSED, "limit of volume in the symbol reached", BlockReason.BROKER_REFUSED
    ),
    10035: Verdict(Outcome.MISTAKE, "invalid order type"),
    10036: Verdict(Outcome.ALREADY_CLOSED, "the position is closed already"),
    10038: Verdict(Outcome.MISTAKE, "more than the position's volume"),
    10039: Verdict(Outcome.ALREADY_CLOSING, "an order that closes the position exists"),
    10040: Verdict(Outcome.REFUSED, "limit of open positions reached", BlockReason.BROKER_REFUSED),
    10041: Verdict(Outcome.AMBIGUOUS, "activation rejected, pending order cancelled"),
    10042: Verdict(Outcome.REFUSED, "only long positions allowed", BlockReason.BROKER_REFUSED),
    10043: Verdict(Outcome.REFUSED, "only short positions allowed", BlockReason.BROKER_REFUSED),
    10044: Verdict(Outcome.REFUSED, "only closing allowed", BlockReason.BROKER_REFUSED),
    10045: Verdict(
        Outcome.REFUSED, "older positions must be closed first (FIFO)", BlockReason.BROKER_REFUSED
    ),
    10046: Verdict(
        Outcome.REFUSED, "opposite positions are prohibited", BlockReason.BROKER_REFUSED
    ),
}
"""Every code by itself; `judge` weighs it with the tickets."""


def is_success(retcode: int | None) -> bool:
    """Say whether a code by itself says that what was asked is done or on its way."""
    verdict = TABLE.get(retcode) if retcode is not None else None
    return verdict is not None and verdict.outcome in _SUCCESS


def judge(retcode: int | None, ticket: int, deal: int = 0) -> Verdict:
    """Return what an answer means, of which the code is only half.

    Success counts with a ticket; an error counts without one: with a ticket or a deal something
    was executed all the same. Everything else, and what nobody knows, is ambiguous.
    """
    verdict = TABLE.get(retcode) if retcode is not None else None
    if verdict is None:
        said = "no return code" if retcode is None else f"unknown return code {retcode}"
        return Verdict(Outcome.AMBIGUOUS, said)
    text = f"{verdict.text} ({retcode})"
    succeeded = verdict.outcome in _SUCCESS
    if succeeded and ticket <= 0:
        return Verdict(Outcome.AMBIGUOUS, f"{text}, but without a ticket")
    if not succeeded and (ticket or deal):
        return Verdict(Outcome.AMBIGUOUS, f"{text}, but with ticket {ticket or deal}")
    return Verdict(verdict.outcome, text, verdict.blocks)
