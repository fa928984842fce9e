"""What the event bus promises its publishers and subscribers."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import bus as bus_module
from app.bus import EventBus
from app.domain.market import Timeframe
from app.domain.orders import BlockReason
from app.events import (
    DataFetchedEvent,
    DataFetchFailedEvent,
    Event,
    ServiceFailedEvent,
    ServiceRestartedEvent,
    TradingBlockedEvent,
    correlation_id,
)


class NumberedEvent(Event, frozen=True):
    number: int


class SpecialEvent(NumberedEvent, frozen=True):
    """A subclass of an event that is itself subscribed to."""


def failed(service: str = "x") -> ServiceFailedEvent:
    return ServiceFailedEvent(service=service, error="boom")


def restarted() -> ServiceRestartedEvent:
    return ServiceRestartedEvent(service="x", restarts=1)


def handlers(bus: EventBus) -> list[dict[str, object]]:
    found = bus.metrics()["handlers"]
    assert isinstance(found, list)
    return found


def calls(bus: EventBus, owner: str) -> object:
    return next(entry["calls"] for entry in handlers(bus) if entry["owner"] == owner)


@contextmanager
def cycle(name: str) -> Iterator[None]:
    token = correlation_id.set(name)
    try:
        yield
    finally:
        correlation_id.reset(token)


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


# Who receives what


def test_events_reach_the_subscribers_of_their_type_only() -> None:
    """P26, A9."""
    bus = EventBus()
    seen: list[Event] = []
    bus.subscribe(ServiceFailedEvent, seen.append)
    event = failed()
    bus.publish(restarted())
    bus.publish(event)
    assert seen == [event]


def test_an_event_nobody_subscribed_to_is_published_all_the_same() -> None:
    bus = EventBus()
    bus.publish(failed())
    assert bus.metrics()["events_published"] == 1


def test_a_subscriber_of_a_base_class_receives_every_subclass_once() -> None:
    """A9: subscribing to the base class receives all."""
    bus = EventBus()
    of_all: list[Event] = []
    of_numbered: list[Event] = []
    of_special: list[Event] = []
    bus.subscribe(Event, of_all.append)
    bus.subscribe(NumberedEvent, of_numbered.append)
    bus.subscribe(SpecialEvent, of_special.append)
    plain, special, other = NumberedEvent(number=1), SpecialEvent(number=2), failed()
    for event in (plain, special, other):
        bus.publish(event)
    assert of_all == [plain, special, other]
    assert of_numbered == [plain, special]
    assert of_special == [special]


def test_a_base_class_can_be_subscribed_to_after_its_subclass_was_published() -> None:
    bus = EventBus()
    bus.publish(failed())
    seen: list[Event] = []
    bus.subscribe(Event, seen.append)
    bus.publish(failed("late"))
    assert [event.service for event in seen if isinstance(event, ServiceFailedEvent)] == ["late"]


def test_stages_come_first_in_their_order_then_the_others_as_they_subscribed() -> None:
    bus = EventBus()
    seen: list[str] = []

    def named(name: str) -> Callable[[Event], None]:
        return lambda _: seen.append(name)

    bus.subscribe(ServiceFailedEvent, named("guest 1"))
    bus.subscribe(Event, named("stage 2"), order=2)
    bus.subscribe(ServiceFailedEvent, named("guest 2"))
    bus.subscribe(ServiceFailedEvent, named("stage 0"), order=0)
    bus.subscribe(ServiceFailedEvent, named("stage 2 again"), order=2)
    bus.publish(failed())
    assert seen == ["stage 0", "stage 2", "stage 2 again", "guest 1", "guest 2"]


@pytest.mark.parametrize("nothing", ["a text", 1, None, object(), NumberedEvent, Event])
def test_publishing_what_is_no_event_fails_and_leaves_no_trace(nothing: object) -> None:
    bus = EventBus()
    with pytest.raises(TypeError, match="is no event type"):
        bus.publish(nothing)  # type: ignore[arg-type]
    assert bus.metrics()["events_published"] == 0
    assert bus.history() == ()


@pytest.mark.parametrize("nothing", ["NumberedEvent", int, None, NumberedEvent(number=1)])
def test_subscribing_to_what_is_no_event_type_fails(nothing: object) -> None:
    bus = EventBus()
    with pytest.raises(TypeError, match="is no event type"):
        bus.subscribe(nothing, print)  # type: ignore[type-var]
    assert handlers(bus) == []


def test_subscribing_from_another_thread_takes_effect() -> None:
    bus = EventBus()
    seen: list[Event] = []
    bus.publish(failed())
    threads = [threading.Thread(target=bus.subscribe, args=(Event, seen.append)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bus.publish(failed())
    assert len(seen) == 8


# Order


def test_publish_returns_after_all_effects_are_done() -> None:
    bus = EventBus()
    seen: list[int] = []

    def count_down(event: NumberedEvent) -> None:
        seen.append(event.number)
        if event.number:
            bus.publish(NumberedEvent(number=event.number - 1))

    bus.subscribe(NumberedEvent, count_down)
    bus.publish(NumberedEvent(number=3))
    assert seen == [3, 2, 1, 0]


def test_every_subscriber_sees_the_cause_before_its_effect() -> None:
    bus = EventBus()
    seen: list[str] = []
    bus.subscribe(ServiceFailedEvent, lambda _: bus.publish(restarted()))
    bus.subscribe(Event, lambda event: seen.append(type(event).__name__))
    bus.publish(failed())
    assert seen == ["ServiceFailedEvent", "ServiceRestartedEvent"]


Forest = list[list[list[int]]]
"""event -> subscriber -> the events it publishes when it receives that event."""


@st.composite
def forests(draw: st.DrawFn) -> Forest:
    """Draw trees of publications: each event after the first has one cause and one publisher."""
    subscribers = draw(st.integers(1, 4))
    events = draw(st.integers(1, 25))
    made: Forest = [[[] for _ in range(subscribers)] for _ in range(events)]
    for event in range(1, events):
        cause = draw(st.integers(0, event - 1))
        made[cause][draw(st.integers(0, subscribers - 1))].append(event)
    return made


@settings(max_examples=150)
@given(forests())
def test_every_subscriber_receives_every_event_once_in_the_order_of_publication(
    forest: Forest,
) -> None:
    """First in, first out and run to completion, for any tree of causes."""
    bus = EventBus()
    published: list[int] = []
    received: list[list[int]] = [[] for _ in forest[0]]
    running: list[int] = []

    def publish(number: int) -> None:
        published.append(number)
        bus.publish(NumberedEvent(number=number))

    def subscriber(which: int) -> Callable[[NumberedEvent], None]:
        def receive(event: NumberedEvent) -> None:
            assert not running, "handlers never nest"
            running.append(which)
            received[which].append(event.number)
            for effect in forest[event.number][which]:
                publish(effect)
            running.pop()

        return receive

    for which in range(len(received)):
        bus.subscribe(NumberedEvent, subscriber(which))
    publish(0)
    assert sorted(published) == list(range(len(forest)))
    assert all(order == published for order in received)
    assert bus.metrics()["handler_errors"] == 0


def test_who_subscribes_while_an_event_is_delivered_receives_later_events_only() -> None:
    bus = EventBus()
    late: list[int] = []

    def invite(event: NumberedEvent) -> None:
        if event.number == 1:
            bus.publish(NumberedEvent(number=2))
            bus.subscribe(NumberedEvent, lambda e: late.append(e.number))
            bus.publish(NumberedEvent(number=3))

    bus.subscribe(NumberedEvent, invite)
    bus.publish(NumberedEvent(number=1))
    assert late == [3]


def test_who_unsubscribes_while_an_event_is_delivered_still_receives_what_was_published() -> None:
    bus = EventBus()
    seen: list[int] = []

    def leave(event: NumberedEvent) -> None:
        if event.number == 1:
            bus.publish(NumberedEvent(number=2))
            bus.unsubscribe(leaving)
            bus.publish(NumberedEvent(number=3))

    bus.subscribe(NumberedEvent, leave)
    leaving = bus.subscribe(NumberedEvent, lambda e: seen.append(e.number))
    bus.publish(NumberedEvent(number=1))
    bus.publish(NumberedEvent(number=4))
    assert seen == [1, 2]


def test_unsubscribing_twice_does_nothing() -> None:
    bus = EventBus()
    seen: list[Event] = []
    first = bus.subscribe(Event, seen.append)
    bus.subscribe(Event, seen.append)
    bus.unsubscribe(first)
    bus.unsubscribe(first)
    bus.publish(failed())
    assert len(seen) == 1


# Failures


def test_a_failing_handler_does_not_hurt_the_others() -> None:
    """P12."""
    bus = EventBus()
    seen: list[int] = []

    def fail(event: NumberedEvent) -> None:
        if event.number == 1:
            bus.publish(NumberedEvent(number=2))
        raise ValueError("no")

    bus.subscribe(NumberedEvent, fail, order=0)
    bus.subscribe(NumberedEvent, lambda e: seen.append(e.number))
    bus.publish(NumberedEvent(number=1))
    assert seen == [1, 2]


def test_a_failure_is_counted_against_its_owner_and_reported_with_event_and_error() -> None:
    """P12, P14."""
    reports: list[tuple[str, Event, Exception]] = []
    bus = EventBus(on_error=lambda *report: reports.append(report))
    error = ValueError("no")

    def fail(_: Event) -> None:
        raise error

    bus.subscribe(ServiceFailedEvent, fail, owner="indicator_calculation")
    bus.subscribe(ServiceFailedEvent, lambda _: None, owner="bystander")
    events = [failed("a"), failed("b")]
    for event in events:
        bus.publish(event)
    assert reports == [("indicator_calculation", event, error) for event in events]
    errors = {entry["owner"]: entry["errors"] for entry in handlers(bus)}
    assert errors == {"indicator_calculation": 2, "bystander": 0}
    assert bus.metrics()["handler_errors"] == 2


def test_a_failure_is_logged_with_owner_event_trace_and_the_id_of_its_cycle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F12, P22."""
    bus = EventBus()

    def fail(_: Event) -> None:
        raise ValueError("no such price")

    bus.subscribe(ServiceFailedEvent, fail, owner="trade_execution")
    with cycle("a1b2c3d4"):
        bus.publish(failed())
    (line,) = logged(caplog)
    assert (
        line["event"] == "trade_execution failed on ServiceFailedEvent: ValueError: no such price"
    )
    assert line["correlation_id"] == "a1b2c3d4"
    assert line["owner"] == "trade_execution"
    assert line["event_type"] == "ServiceFailedEvent"
    assert isinstance(line["exc_info"], ValueError)
    assert caplog.records[0].levelno == logging.ERROR


def test_a_handler_without_owner_is_named_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    class Callable_:  # noqa: N801 - only its repr matters
        def __call__(self, _: Event) -> None:
            raise ValueError("no")

        def __repr__(self) -> str:
            return "<watcher>"

    def my_handler(_: Event) -> None:
        raise ValueError("no")

    bus = EventBus()
    bus.subscribe(Event, my_handler)
    bus.subscribe(Event, Callable_())
    bus.publish(failed())
    owners = [str(line["owner"]) for line in logged(caplog)]
    assert owners[0].endswith("my_handler")
    assert owners[1] == "<watcher>"


def test_a_handler_that_left_and_then_fails_on_what_was_queued_is_said_to_have_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = EventBus()

    def fail(event: NumberedEvent) -> None:
        if event.number == 2:
            raise ValueError("too late")
        bus.publish(NumberedEvent(number=2))
        bus.unsubscribe(subscription)

    subscription = bus.subscribe(NumberedEvent, fail, owner="leaver")
    bus.publish(NumberedEvent(number=1))
    assert [line["owner"] for line in logged(caplog)] == ["a handler that has left"]
    assert handlers(bus) == []


def test_an_interrupt_passes_and_nothing_that_was_published_is_lost() -> None:
    """P4: Ctrl+C ends the handler that runs; everybody else still gets each event, in order."""
    bus = EventBus()
    seen: list[tuple[str, int]] = []

    def interrupted(event: NumberedEvent) -> None:
        seen.append(("first", event.number))
        if event.number == 1:
            bus.publish(NumberedEvent(number=2))
            bus.publish(NumberedEvent(number=3))
            raise KeyboardInterrupt

    bus.subscribe(NumberedEvent, interrupted)
    bus.subscribe(NumberedEvent, lambda e: seen.append(("second", e.number)))
    with pytest.raises(KeyboardInterrupt):
        bus.publish(NumberedEvent(number=1))
    assert seen == [("first", 1)]
    bus.publish(NumberedEvent(number=4))
    assert seen[1] == ("second", 1)
    assert seen[2:] == [(who, number) for number in (2, 3, 4) for who in ("first", "second")]


def test_an_interrupt_leaves_a_bus_that_still_works_when_nothing_was_queued() -> None:
    bus = EventBus()
    seen: list[int] = []

    def interrupted(event: NumberedEvent) -> None:
        if event.number == 1:
            raise KeyboardInterrupt
        seen.append(event.number)

    bus.subscribe(NumberedEvent, interrupted)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(NumberedEvent(number=1))
    bus.publish(NumberedEvent(number=2))
    bus.publish(NumberedEvent(number=3))
    assert seen == [2, 3]


def test_an_endless_cycle_of_publications_is_broken_and_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "CAUSAL_LIMIT", 500)
    bus = EventBus()
    bus.subscribe(ServiceFailedEvent, lambda _: bus.publish(restarted()))
    bus.subscribe(ServiceRestartedEvent, lambda _: bus.publish(failed()))
    bus.publish(failed())
    (line,) = logged(caplog)
    assert "one event caused 500 others without an end" in str(line["event"])
    assert "Event': 1" in str(line["event"])
    published = bus.metrics()["events_published"]
    assert published == 502

    seen: list[Event] = []
    bus.subscribe(NumberedEvent, seen.append)
    bus.publish(NumberedEvent(number=1))
    assert len(seen) == 1, "the bus goes on"


def test_a_month_of_missed_candles_at_once_is_no_endless_cycle(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gap is closed in one cycle; however wide it is, no candle of it is dropped."""
    monkeypatch.setattr(bus_module, "CAUSAL_LIMIT", 500)
    bus = EventBus()
    seen: list[int] = []
    bus.subscribe(
        ServiceFailedEvent,
        lambda _: [bus.publish(NumberedEvent(number=n)) for n in range(1_000)],
    )
    bus.subscribe(NumberedEvent, lambda e: e.number >= 0 and bus.publish(NumberedEvent(number=-1)))
    bus.subscribe(NumberedEvent, lambda e: seen.append(e.number))
    bus.publish(failed())
    assert seen == [*range(1_000), *[-1] * 1_000]
    assert not caplog.records


# What can be known about it


def test_the_history_keeps_the_newest_events_only() -> None:
    """C15."""
    bus = EventBus(history_limit=3)
    events = [NumberedEvent(number=n) for n in range(5)]
    for event in events:
        bus.publish(event)
    assert bus.history() == tuple(events[2:])


def test_the_history_can_be_switched_off() -> None:
    """C15."""
    bus = EventBus(history_limit=0)
    bus.publish(failed())
    assert bus.history() == ()


def test_the_history_is_in_the_order_of_publication_and_cannot_be_changed() -> None:
    """E: events are values, published causes stand before their effects."""
    bus = EventBus()
    bus.subscribe(ServiceFailedEvent, lambda _: bus.publish(restarted()))
    bus.publish(failed())
    history = bus.history()
    assert [type(event) for event in history] == [ServiceFailedEvent, ServiceRestartedEvent]
    with pytest.raises(AttributeError):
        history[0].service = "other"  # type: ignore[attr-defined]


def test_the_metrics_show_the_history_in_short_texts() -> None:
    """A10."""
    bus = EventBus()
    with cycle("00000001"):
        bus.publish(
            DataFetchedEvent(symbol="EURUSD", timeframe=Timeframe("M5"), bars=3, newest=None)
        )
        bus.publish(
            TradingBlockedEvent(reason=BlockReason.NEWS, detail="CPI", symbol="EURUSD", strategy="")
        )
    assert bus.metrics()["event_history"] == [
        {
            "event": "DataFetchedEvent",
            "correlation_id": "00000001",
            "symbol": "EURUSD",
            "timeframe": "5",
        },
        {
            "event": "TradingBlockedEvent",
            "correlation_id": "00000001",
            "symbol": "EURUSD",
            "reason": "news",
        },
    ]


def test_published_and_subscribed_types_are_counted() -> None:
    """A7, A8, X8: published types are those published at least once."""
    bus = EventBus()
    bus.subscribe(ServiceFailedEvent, lambda _: None)
    bus.subscribe(ServiceFailedEvent, lambda _: None)
    bus.subscribe(DataFetchFailedEvent, lambda _: None)
    for event in (failed(), failed(), restarted()):
        bus.publish(event)
    metrics = bus.metrics()
    assert metrics["events_published"] == 3
    assert metrics["event_types_published"] == 2
    assert metrics["event_types_subscribed"] == 2
    assert metrics["published_by_type"] == {"ServiceFailedEvent": 2, "ServiceRestartedEvent": 1}


def test_the_calls_of_a_handler_count_from_its_subscription_to_its_end() -> None:
    """P14."""
    bus = EventBus()
    bus.subscribe(Event, lambda _: None, owner="early")
    bus.publish(failed())
    leaving = bus.subscribe(ServiceFailedEvent, lambda _: None, owner="leaving")
    bus.subscribe(Event, lambda _: None, owner="late")
    bus.publish(failed())
    bus.publish(restarted())
    assert [calls(bus, owner) for owner in ("early", "leaving", "late")] == [3, 1, 2]
    bus.unsubscribe(leaving)
    bus.publish(failed())
    assert "leaving" not in {entry["owner"] for entry in handlers(bus)}
    assert [calls(bus, owner) for owner in ("early", "late")] == [4, 3]
    bus.subscribe(ServiceFailedEvent, lambda _: None, owner="leaving")
    bus.publish(failed())
    assert calls(bus, "leaving") == 1


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("+-!"), st.integers(0, 2)), max_size=40))
def test_the_calls_in_the_metrics_are_the_calls_made(steps: list[tuple[str, int]]) -> None:
    """A10, P14: for any sequence of subscribing (+), unsubscribing (-) and publishing (!)."""
    types = (Event, NumberedEvent, SpecialEvent)
    events = (failed(), NumberedEvent(number=1), SpecialEvent(number=2))
    bus = EventBus()
    counted: dict[str, list[Event]] = {}
    living = []
    for at, (step, which) in enumerate(steps):
        if step == "+":
            seen = counted[str(at)] = []
            living.append(bus.subscribe(types[which], seen.append, owner=str(at)))
        elif step == "-" and living:
            bus.unsubscribe(living.pop(which % len(living)))
        elif step == "!":
            bus.publish(events[which])
    assert {entry["owner"]: entry["calls"] for entry in handlers(bus)} == {
        subscription.owner: len(counted[subscription.owner]) for subscription in living
    }


def test_every_event_is_logged_on_request(caplog: pytest.LogCaptureFixture) -> None:
    """C16."""
    caplog.set_level(logging.DEBUG)
    bus = EventBus(log_all_events=True)
    with cycle("a1b2c3d4"):
        bus.publish(failed("data_fetching"))
        bus.publish(restarted())
    lines = logged(caplog)
    assert [str(line["event"]).split()[0] for line in lines] == [
        "ServiceFailedEvent",
        "ServiceRestartedEvent",
    ]
    assert "data_fetching" in str(lines[0]["event"])
    assert {line["correlation_id"] for line in lines} == {"a1b2c3d4"}


def test_events_are_not_logged_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    """C16."""
    caplog.set_level(logging.DEBUG)
    bus = EventBus()
    bus.publish(failed())
    assert not caplog.records


def test_an_event_carries_the_id_of_the_cycle_it_was_made_in() -> None:
    """P6."""
    with cycle("a1b2c3d4"):
        inside = failed()
    assert inside.correlation_id == "a1b2c3d4"
    assert failed().correlation_id == "-"
