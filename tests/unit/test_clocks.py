"""The market's now: real, or replayed at any speed, and stopped at once."""

import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest

from app.adapters.clocks import ReplayClock, SystemClock

START = datetime(2024, 1, 5, 21, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def closing(*minutes: float) -> Callable[[datetime], datetime | None]:
    """Return the next of these closes, minutes after the start."""
    closes = [START + minute * MINUTE for minute in minutes]
    return lambda after: next((close for close in closes if close > after), None)


def visited(clock: ReplayClock, seconds: float) -> list[float]:
    """Return the minutes after the start at which the clock stops, to the end."""
    stops = []
    while clock.wait(seconds):
        stops.append((clock.now() - START) / MINUTE)
    return stops


def timed(action: Callable[[], object]) -> float:
    began = monotonic()
    action()
    return monotonic() - began


def test_the_system_clock_shows_the_time_aware_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_system_clock_waits_as_long_as_it_is_told() -> None:
    clock = SystemClock()
    assert timed(lambda: clock.wait(0.05)) >= 0.05
    assert clock.wait(0)
    assert clock.wait(-1)


@pytest.mark.parametrize(
    "clock", [SystemClock(), ReplayClock(closing(600, 1200), START, 1.0, candle=600 * MINUTE)]
)
def test_stop_ends_the_wait_at_once_and_every_later_one(clock: SystemClock | ReplayClock) -> None:
    threading.Timer(0.05, clock.stop).start()
    assert timed(lambda: clock.wait(600)) < 5
    assert not clock.wait(600)
    assert not clock.wait(0)
    clock.stop()
    assert not clock.wait(600)


def test_a_stopped_replay_stays_where_it_was() -> None:
    clock = ReplayClock(closing(1, 2), START, 0)
    clock.wait(5)
    clock.stop()
    assert not clock.wait(5)
    assert clock.now() == START + MINUTE


def test_stop_in_a_signal_handler_ends_the_wait_of_its_own_thread() -> None:
    """Proves M14 and M15 at the clock: the handler runs in the thread that waits."""
    clock = SystemClock()
    before = signal.signal(signal.SIGALRM, lambda *_: clock.stop())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert timed(lambda: clock.wait(600)) < 5
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_replay_steps_from_close_to_close_and_ends() -> None:
    clock = ReplayClock(closing(1, 2, 3, 7, 3000), START, 0)
    assert clock.now() == START
    assert visited(clock, 5) == [1, 2, 3, 7, 3000]
    assert clock.now() == START + 3000 * MINUTE


def test_a_replay_without_a_close_ends_where_it_began() -> None:
    clock = ReplayClock(closing(), START, 0)
    assert not clock.wait(5)
    assert clock.now() == START


def test_a_replay_lets_at_least_the_interval_pass() -> None:
    """Proves C2 for a replay: the interval is market time."""
    clock = ReplayClock(closing(*range(1, 11)), START, 0)
    assert visited(clock, 150) == [2.5, 5, 7.5, 10]


def test_a_replay_never_passes_the_end() -> None:
    clock = ReplayClock(closing(1, 2, 3, 4), START, 0, end=START + 4 * MINUTE)
    assert visited(clock, 150) == [2.5, 4]


def test_a_close_beyond_the_stated_end_is_still_reached() -> None:
    clock = ReplayClock(closing(1, 5), START, 0, end=START + 4 * MINUTE)
    assert visited(clock, 5) == [1, 5]


def test_the_speed_sets_the_pace() -> None:
    clock = ReplayClock(closing(1, 2, 3), START, 1200)
    assert 0.15 <= timed(lambda: visited(clock, 5)) < 2


def test_time_a_cycle_takes_does_not_add_to_the_pace() -> None:
    clock = ReplayClock(closing(*range(1, 9)), START, 600)

    def run() -> None:
        while clock.wait(5):
            sleep(0.08)

    assert timed(run) < 8 * 0.1 + 0.08 + 0.35


def test_a_replay_behind_its_schedule_does_not_sleep() -> None:
    clock = ReplayClock(closing(*range(1, 12)), START, 1200)
    assert clock.wait(5)
    sleep(0.5)
    assert timed(lambda: [clock.wait(5) for _ in range(9)]) < 0.35


def test_the_schedule_begins_with_the_first_wait() -> None:
    clock = ReplayClock(closing(1, 2), START, 600)
    sleep(0.15)
    assert timed(lambda: clock.wait(5)) >= 0.1


def test_a_weekend_is_jumped_in_the_time_of_one_candle() -> None:
    clock = ReplayClock(closing(1, 2881), START, 600)
    assert timed(lambda: visited(clock, 5)) < 2
    assert clock.now() == START + 2881 * MINUTE


def test_ten_minutes_are_no_gap_and_neither_is_a_step_of_slow_candles() -> None:
    assert timed(lambda: visited(ReplayClock(closing(10), START, 6000), 5)) >= 0.1
    hourly = ReplayClock(closing(60), START, 36_000, candle=60 * MINUTE)
    assert timed(lambda: visited(hourly, 5)) >= 0.1
