"""The event bus: synchronous, typed, first in first out.

Rules:
1. `publish` appends to a queue; the outermost call drains it before it returns. The caller sees
   all effects done, every subscriber sees a cause before its effects, handlers never nest.
2. Who receives an event is fixed at the moment it is published.
3. Subscribing to a base class receives its subclasses. Pipeline stages come first, in their order,
   then the others in the order they subscribed.
4. A handler's exception is logged, counted against its owner and reported to `on_error`; the other
   handlers still run. What is no `Exception` (KeyboardInterrupt) passes, and so does what must end
   the run at once: a journal that fails, an account that another daemon holds. Handlers that have
   not had the event yet, and all that is queued, then come first at the next publish.
5. Publish from the thread that runs the cycles; subscribing is safe from any.

Metrics are derived, not counted twice: a handler's calls are the publications of its event types
since it subscribed.
"""

from collections import Counter, deque
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeAlias, TypeVar

import msgspec

from app.domain.errors import AccountHeldError, JournalError
from app.events import Event
from app.log_setup import get_logger

E = TypeVar("E", bound=Event)

AFTER_STAGES = 1_000
"""The order of handlers that are no pipeline stage."""

CAUSAL_LIMIT = 100_000
"""Events one outermost publish may cause; more is a cycle of publications and is dropped."""

CAUSED_BY_EACH = 100
"""Raises the limit where an event itself caused very many, as a month of missed candles does."""


Handler: TypeAlias = Callable[[Any], object]


class Subscription(msgspec.Struct, eq=False):
    """A handler of one event type (and its subclasses), who owns it, and when it joined."""

    event_type: type[Event]
    handler: Handler
    owner: str
    order: int
    errors: int = 0
    joined_at: dict[type[Event], int] = {}
    """Publications of each concrete type before this handler received it."""


class _Route:
    """One concrete event type: who receives it, and how often it was published."""

    __slots__ = ("handlers", "published", "subscriptions")

    def __init__(self) -> None:
        self.handlers: tuple[Handler, ...] = ()
        self.subscriptions: list[Subscription] = []
        self.published = 0


class EventBus:
    """Routes events to their subscribers by type.

    Args:
        history_limit: how many of the newest events `history` keeps.
        log_all_events: log every event at INFO.
        on_error: told (owner, event, error) after a handler raised.

    """

    def __init__(
        self,
        *,
        history_limit: int = 1000,
        log_all_events: bool = False,
        on_error: Callable[[str, Event, Exception], None] | None = None,
    ) -> None:
        self.on_error = on_error
        self._log = get_logger("event_bus")
        self._history: deque[Event] = deque(maxlen=history_limit)
        self._remember = self._history.append
        self._subscriptions: list[Subscription] = []
        self._routes: dict[type[Event], _Route] = {}
        self._queue: deque[tuple[tuple[Handler, ...], Event]] = deque()
        self._draining = False
        self._changing = Lock()
        if log_all_events:
            self.subscribe(Event, self._log_event, owner="event_bus", order=-1)

    def subscribe(
        self,
        event_type: type[E],
        handler: Callable[[E], object],
        *,
        owner: str = "",
        order: int = AFTER_STAGES,
    ) -> Subscription:
        """Call `handler` for every event of `event_type` or a subclass published from now on.

        `owner` is who a failure is counted against (default: the handler's own name); handlers of
        lower `order` are called first.
        """
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise TypeError(f"{event_type!r} is no event type")
        name = owner or getattr(handler, "__qualname__", repr(handler))
        subscription = Subscription(event_type, handler, name, order, joined_at={})
        with self._changing:
            self._subscriptions.append(subscription)
            self._subscriptions.sort(key=lambda s: s.order)
            self._refresh_routes()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ending it twice does nothing."""
        with self._changing:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
                self._refresh_routes()

    def publish(self, event: Event) -> None:
        """Deliver `event`, and all that its handlers publish, before returning.

        Called by a handler, it only queues the event behind those already published.
        """
        route = self._routes.get(event.__class__) or self._new_route(event.__class__)
        route.published += 1
        self._remember(event)
        queue = self._queue
        if self._draining or queue:
            queue.append((route.handlers, event))
            if self._draining:
                return
            handlers, event = queue.popleft()
        else:
            handlers = route.handlers
        remaining = iter(handlers)
        caused = allowed = 0
        self._draining = True
        try:
            while True:
                for handler in remaining:
                    try:
                        handler(event)
                    except Exception as error:  # noqa: BLE001 - isolation is what the bus is for
                        self._failed(handler, event, error)
                if not queue:
                    return
                if not caused:
                    allowed = max(CAUSAL_LIMIT, CAUSED_BY_EACH * len(queue))
                caused += 1
                if caused > allowed:
                    self._break_cycle(allowed)
                    return
                handlers, event = queue.popleft()
                remaining = iter(handlers)
        except BaseException:
            queue.appendleft((tuple(remaining), event))
            raise
        finally:
            self._draining = False

    def history(self) -> tuple[Event, ...]:
        """Return the newest events, oldest first."""
        return tuple(self._history)

    def metrics(self) -> dict[str, object]:
        """Return what was published and who handled it, by event type and by handler."""
        published = {kind.__name__: r.published for kind, r in self._routes.items() if r.published}
        return {
            "events_published": sum(published.values()),
            "event_types_published": len(published),
            "event_types_subscribed": len({s.event_type for s in self._subscriptions}),
            "handler_errors": sum(s.errors for s in self._subscriptions),
            "published_by_type": published,
            "handlers": [
                {
                    "owner": s.owner,
                    "event": s.event_type.__name__,
                    "calls": sum(
                        self._routes[kind].published - before
                        for kind, before in s.joined_at.items()
                    ),
                    "errors": s.errors,
                }
                for s in self._subscriptions
            ],
            "event_history": [_summary(event) for event in self._history],
        }

    def _new_route(self, event_type: type[Event]) -> _Route:
        if not issubclass(event_type, Event):
            raise TypeError(f"{event_type!r} is no event type")
        with self._changing:
            route = self._routes[event_type] = _Route()
            self._refresh_routes()
        return route

    def _refresh_routes(self) -> None:
        for event_type, route in self._routes.items():
            receiving = [s for s in self._subscriptions if issubclass(event_type, s.event_type)]
            for subscription in receiving:
                subscription.joined_at.setdefault(event_type, route.published)
            route.subscriptions = receiving
            route.handlers = tuple(s.handler for s in receiving)

    def _failed(self, handler: Handler, event: Event, error: Exception) -> None:
        if isinstance(error, JournalError | AccountHeldError):
            raise error
        subscription = next(
            (s for s in self._routes[type(event)].subscriptions if s.handler == handler),
            Subscription(type(event), handler, "a handler that has left", AFTER_STAGES),
        )
        subscription.errors += 1
        self._log.error(
            "%s failed on %s: %s: %s",
            subscription.owner,
            type(event).__name__,
            type(error).__name__,
            error,
            owner=subscription.owner,
            event_type=type(event).__name__,
            exc_info=error,
        )
        if self.on_error is not None:
            self.on_error(subscription.owner, event, error)

    def _break_cycle(self, allowed: int) -> None:
        kinds = Counter(type(event).__name__ for _, event in self._queue)
        self._queue.clear()
        self._log.error(
            "one event caused %d others without an end; dropped what was still queued: %s",
            allowed,
            dict(kinds),
        )

    def _log_event(self, event: Event) -> None:
        self._log.info("%s %s", type(event).__name__, _summary(event))


def _summary(event: Event) -> dict[str, object]:
    facts: dict[str, object] = {
        "event": type(event).__name__,
        "correlation_id": event.correlation_id,
    }
    for name in ("symbol", "timeframe", "strategy", "service", "reason"):
        value = getattr(event, name, None)
        if value:
            facts[name] = str(value)
    return facts
