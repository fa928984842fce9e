"""Orders on their way to the terminal, asked for once each, and what its answer means."""

from collections.abc import Callable
from decimal import Decimal

from app.adapters.mt5.client import (
    BridgeClient,
    MaybeSentError,
    NoAnswerError,
    NotSentError,
    UnreachableError,
)
from app.adapters.mt5.dialect import WireResult
from app.adapters.mt5.return_codes import Outcome, judge
from app.domain.orders import (
    Action,
    BlockReason,
    Intent,
    OrderKind,
    OrderResult,
    OrderState,
    Position,
)
from app.domain.signals import Direction

_COMMENT_LENGTH = 31
_STATES = {
    Outcome.DONE: OrderState.FILLED,
    Outcome.PARTIAL: OrderState.FILLED,
    Outcome.NO_CHANGE: OrderState.FILLED,
    Outcome.ALREADY_CLOSED: OrderState.FILLED,
    Outcome.PLACED: OrderState.PLACED,
    Outcome.ALREADY_CLOSING: OrderState.PLACED,
    Outcome.AMBIGUOUS: OrderState.UNKNOWN,
}
"""What an outcome makes of an order; all others refuse it."""
_OF_EXITS = frozenset({Outcome.ALREADY_CLOSED, Outcome.ALREADY_CLOSING})
"""Outcomes that say nothing of anything but an exit."""


def send(client: BridgeClient, intent: Intent) -> OrderResult:
    """Send an entry, or an exit of its position.

    All attempts have one key: where a requote was a lie and the order was executed, the second
    attempt executes nothing. A bridge that repeats refusals under a key costs a trade missed.
    """
    if intent.action is Action.EXIT:
        position = intent.ticket or 0
        return _once(
            lambda: client.close_position(intent.symbol, position, intent.volume), position
        )
    side = "BUY" if intent.direction is Direction.LONG else "SELL"
    kind = "" if intent.kind is OrderKind.MARKET else f"_{intent.kind.name}"
    return _once(
        lambda: client.create_order(
            intent.symbol,
            f"{side}{kind}",
            intent.volume,
            price=intent.price,
            sl=intent.stop_loss,
            tp=intent.take_profit,
            comment=_comment(intent),
            magic=intent.magic,
            idempotency_key=intent.client_id,
        )
    )


def set_stops(
    client: BridgeClient, held: Position, stop_loss: Decimal | None, take_profit: Decimal | None
) -> OrderResult:
    """Set both stops of a position; ``None`` removes one."""
    nothing = Decimal(0)
    return _once(
        lambda: client.update_position(
            held.symbol, held.ticket, stop_loss or nothing, take_profit or nothing
        )
    )


def withdraw(client: BridgeClient, ticket: int) -> OrderResult:
    """Cancel an order that waits."""
    return _once(lambda: client.delete_order(ticket))


def result_of(wire: WireResult, position: int = 0) -> OrderResult:
    """Return what the terminal's answer means for an order, or for the exit of `position`.

    A ticket that is the position's own tells nothing of the order that closes it: it was accepted,
    its deal will tell.
    """
    verdict = judge(wire.retcode, wire.ticket, wire.deal)
    mistaken = verdict.outcome is Outcome.MISTAKE
    state = _STATES.get(verdict.outcome, OrderState.REJECTED)
    if position and wire.ticket == position and state is OrderState.FILLED:
        state = OrderState.PLACED
    return OrderResult(
        state=OrderState.UNKNOWN if verdict.outcome in _OF_EXITS and not position else state,
        ticket=0 if position and wire.ticket == position else wire.ticket,
        price=wire.price,
        volume=wire.volume,
        reason=verdict.text if wire.retcode else f"{verdict.text} {wire.comment}".rstrip(),
        moved=verdict.outcome is Outcome.MOVED,
        blocks=BlockReason.REPEATED_REFUSALS if mistaken else verdict.blocks,
    )


def _once(ask: Callable[[], WireResult], position: int = 0) -> OrderResult:
    try:
        return result_of(ask(), position)
    except NotSentError as error:
        silent = isinstance(error, UnreachableError)
        return OrderResult(OrderState.REJECTED, reason=f"not sent: {error}", silent=silent)
    except MaybeSentError as error:
        silent = isinstance(error, NoAnswerError)
        return OrderResult(OrderState.UNKNOWN, reason=str(error), silent=silent)


def _comment(intent: Intent) -> str:
    """Return the client id, then as much of the strategy's name as fits and every server keeps."""
    name = "".join(c if c.isascii() and c.isprintable() else "?" for c in intent.strategy)
    return f"{intent.client_id} {name}"[:_COMMENT_LENGTH]
