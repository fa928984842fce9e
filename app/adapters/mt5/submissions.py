"""Orders to the bridge: sent once, and their answers told apart from no answer."""

from collections.abc import Mapping

from app.adapters.mt5.dialect import (
    Field,
    RefusalError,
    WireResult,
    encoded,
    order_result,
    payload,
    refused_order,
)
from app.adapters.mt5.transport import MaybeSentError, Transport
from app.domain.errors import SourceError

_REPLY_LIMIT = 1 << 20
"""Bytes."""
_SERVER_ERROR = 500


class Submissions:
    """Sends what changes the account, each time on a connection of its own and never again.

    Args:
        transport: the way to the bridge.
        timeout: seconds a request may take in all.

    """

    def __init__(self, transport: Transport, *, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout

    def send(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Field],
        *,
        ticket: int = 0,
        has_ticket: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> WireResult:
        """Send it and return the answer.

        Args:
            method: of HTTP.
            path: below the bridge's address, quoted.
            fields: of the body.
            ticket: the position or order it is about, 0 for a new order.
            has_ticket: whether the terminal gives it an order ticket of its own.
            headers: further ones.

        Raises:
            NotSentError: no byte left.
            MaybeSentError: it may have been executed: no reply, or one that makes no sense, or a
                bridge that broke over it (HTTP 500 and above).

        """
        reply = self._transport.send(
            method,
            path,
            timeout=self._timeout,
            limit=_REPLY_LIMIT,
            content=encoded(fields),
            headers=headers,
        )
        about = f"{method} {path}"
        if reply.status >= _SERVER_ERROR:
            raise MaybeSentError(f"{about}: HTTP {reply.status}")
        try:
            try:
                said = payload(reply.status, reply.body, about)
            except RefusalError as refusal:
                return refused_order(refusal, about, ticket=ticket, has_ticket=has_ticket)
            return order_result(said, about, ticket=ticket, has_ticket=has_ticket)
        except SourceError as error:
            raise MaybeSentError(f"{error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
