"""Questions to the bridge: asked again, a little later, until there is a sensible answer."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from time import monotonic, sleep
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
)

from app.adapters.mt5.deadlines import Flag
from app.adapters.mt5.dialect import RefusalError, Row, payload, read, read_all
from app.adapters.mt5.server_clock import ServerClock
from app.adapters.mt5.transport import Reply, Transport, UnreachableError
from app.domain.errors import SourceError

T = TypeVar("T")

REPLY_LIMIT, LIST_LIMIT = 1 << 20, 8 << 20
"""Bytes: of most replies, and of bars and deals, which come by the thousand."""

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_LONGEST_PAUSE = 5.0
"""Seconds, whatever a bridge asks for."""
_LOOK = 0.05
"""Seconds between two looks whether the process is to stop."""
_BACK_OFF = wait_exponential(multiplier=0.1, max=2.0)


class ThrottledError(SourceError):
    """The bridge asked to be asked later: in `pause` seconds, where it said when."""

    def __init__(self, about: str, pause: float | None) -> None:
        super().__init__(f"{about}: too many requests")
        self.pause = pause


class Questions:
    """Asks, and asks again; may be used by several threads.

    Args:
        transport: the way to the bridge.
        timeout: seconds one try may take; none begins so long after the first did.
        attempts: tries in all, at most.
        stop: ends the wait for the next try, and the tries.
        clock: how times without a zone are meant; may be set.

    """

    def __init__(
        self,
        transport: Transport,
        *,
        timeout: float,
        attempts: int,
        stop: Flag,
        clock: ServerClock,
    ) -> None:
        self.clock = clock
        self._transport = transport
        self._timeout = timeout
        self._stop = stop
        self._tries = Retrying(
            retry=retry_if_exception(self._is_worth_another_try),
            stop=stop_after_attempt(attempts) | stop_after_delay(timeout),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )

    def one(
        self,
        path: str,
        kind: Callable[[Row], T],
        *,
        method: str = "GET",
        content: bytes | None = None,
    ) -> T:
        """Return the value an object makes; see `ask`."""
        return self.ask(
            path,
            lambda reply: read(kind, _payload(reply, path), path, self.clock),
            method=method,
            content=content,
        )

    def all(
        self,
        path: str,
        kind: Callable[[Row], T],
        query: Mapping[str, str] | None = None,
        limit: int = REPLY_LIMIT,
    ) -> list[T]:
        """Return the values a list of objects makes; see `ask`."""
        return self.ask(
            path,
            lambda reply: read_all(kind, _payload(reply, path), path, self.clock),
            limit=limit,
            query=query,
        )

    def plain(self, path: str, answer: Callable[[object, str], T]) -> T:
        """Return what `answer` makes of a reply without times; see `ask`."""
        return self.ask(path, lambda reply: answer(_payload(reply, path), path))

    def ask(
        self,
        path: str,
        answer: Callable[[Reply], T],
        *,
        limit: int = REPLY_LIMIT,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> T:
        """Return what `answer` makes of the reply.

        Args:
            path: below the bridge's address, quoted.
            answer: raises SourceError when the reply makes no sense: it is then asked for again.
            limit: bytes the reply may have.
            method: of HTTP.
            query: parameters.
            content: a JSON body.

        Raises:
            SourceError: of the last try; RefusalError when the bridge said no.

        """

        def attempt() -> T:
            reply = self._transport.send(
                method,
                path,
                timeout=self._timeout,
                limit=limit,
                query=query,
                content=content,
            )
            if reply.status == _TOO_MANY_REQUESTS:
                raise ThrottledError(path, pause_asked_for(reply.retry_after, datetime.now(UTC)))
            return answer(reply)

        return self._tries(attempt)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _is_worth_another_try(self, error: BaseException) -> bool:
        """Say whether the same question may soon get another answer.

        Not when the bridge said no, nor where nothing answers: there every try costs seconds.
        """
        if isinstance(error, RefusalError) and error.status < _SERVER_ERROR:
            return False
        if isinstance(error, UnreachableError):
            return False
        return isinstance(error, SourceError) and not self._stop.is_set()

    def _sleep(self, seconds: float) -> None:
        """Let seconds pass, or the time until the process is to stop."""
        end = monotonic() + seconds
        while not self._stop.is_set() and (left := end - monotonic()) > 0:
            sleep(min(left, _LOOK))


def _payload(reply: Reply, about: str) -> object:
    return payload(reply.status, reply.body, about)


def pause_asked_for(retry_after: str, now: datetime) -> float | None:
    """Return the seconds a Retry-After header asks for, 5 at most; ``None`` without sense.

    It holds seconds or a date (RFC 9110, 10.2.3).
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            until = parsedate_to_datetime(retry_after)
            seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), _LONGEST_PAUSE) if isfinite(seconds) else None


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause if isinstance(error, ThrottledError) else None
    return _BACK_OFF(state) if asked is None else asked
