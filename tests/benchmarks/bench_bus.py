"""Publishing against calling the handlers directly: ``python tests/benchmarks/bench_bus.py``.

History, metrics, error isolation and correlation are on. The least of several rounds counts, and
direct calls and publications take turns, so that a busy machine disturbs both alike.
"""

import timeit
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.bus import EventBus
from app.domain.market import Candle, Timeframe
from app.events import NewCandleEvent

HANDLERS = (1, 4, 16)
ROUNDS = 25
CALLS = 4_000
SECONDS_TO_NS = 1e9


def rows() -> list[tuple[str, float, str]]:
    """Return (name, value, unit) of each measurement."""
    opened = datetime(2025, 1, 6, tzinfo=UTC)
    closed = opened + timedelta(minutes=1)
    candle = Candle("EURUSD", Timeframe(1), opened, closed, 1.1, 1.1, 1.1, 1.1)
    event = NewCandleEvent(candle=candle)
    table: list[tuple[str, float, str]] = []
    for count in HANDLERS:
        direct, published = _least(_direct(event, count), _publish(event, count))
        plural = "handler" if count == 1 else "handlers"
        table += [
            (f"direct calls, {count} {plural}", direct, "ns"),
            (f"publish, {count} {plural}", published, "ns"),
            (f"publish / direct calls, {count} {plural}", published / direct, "x"),
        ]
    (construction,) = _least(lambda: NewCandleEvent(candle=candle))
    table.append(("constructing an event", construction, "ns"))
    return table


def _handle(_: NewCandleEvent) -> None:
    pass


def _direct(event: NewCandleEvent, count: int) -> Callable[[], object]:
    handlers = [_handle] * count

    def call() -> None:
        for handler in handlers:
            handler(event)

    return call


def _publish(event: NewCandleEvent, count: int) -> Callable[[], object]:
    bus = EventBus()
    for _ in range(count):
        bus.subscribe(NewCandleEvent, _handle)
    return lambda: bus.publish(event)


def _least(*measured: Callable[[], object]) -> list[float]:
    """Return the least time of one call of each, in ns."""
    least = [float("inf")] * len(measured)
    for _ in range(ROUNDS):
        for at, call in enumerate(measured):
            took = timeit.timeit(call, number=CALLS) / CALLS * SECONDS_TO_NS
            least[at] = min(least[at], took)
    return least


if __name__ == "__main__":
    for name, value, unit in rows():
        print(f"{name:<40} {value:>10,.2f} {unit}")
