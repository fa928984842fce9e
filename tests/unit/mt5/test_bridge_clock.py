"""The market's now behind a bridge."""

import threading
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mt5 import clock as module
from app.adapters.mt5.clock import BridgeClock
from app.adapters.mt5.dialect import WireHealth

START = datetime(2025, 1, 6, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def stopwatch(monkeypatch):
    """Hold the monotonic clock; return a function that lets real seconds pass."""
    time = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: time[0])

    def passes(seconds):
        time[0] += seconds

    return passes


def test_a_real_terminal_has_the_real_time() -> None:
    clock = BridgeClock()
    told = WireHealth(connected=True)
    clock.told(told.clock, told.speed)
    assert abs(clock.now() - datetime.now(UTC)) < 5 * SECOND
    assert clock.now().tzinfo is UTC


def test_a_simulated_market_has_its_own_time_at_its_own_speed(stopwatch) -> None:
    clock = BridgeClock()
    clock.told(START, 60.0)
    stopwatch(2)
    assert clock.now() == START + 120 * SECOND
    clock.told(START + 150 * SECOND, 1.0)
    stopwatch(3)
    assert clock.now() == START + 153 * SECOND
    clock.told(START + timedelta(days=1), None)
    assert clock.now() == START + 153 * SECOND


def test_the_time_never_goes_back(stopwatch) -> None:
    """Red without `_latest`: a market told to be earlier than thought is seen twice."""
    clock = BridgeClock()
    clock.told(START, 10.0)
    stopwatch(10)
    assert clock.now() == START + 100 * SECOND
    clock.told(START + 50 * SECOND, 10.0)
    assert clock.now() == START + 100 * SECOND
    stopwatch(4)
    assert clock.now() == START + 100 * SECOND
    stopwatch(2)
    assert clock.now() == START + 110 * SECOND


@given(
    st.lists(
        st.tuples(st.integers(-(10**6), 10**6), st.floats(0, 1e5), st.floats(0, 100)), min_size=1
    )
)
def test_whatever_is_told_the_time_goes_on(tellings) -> None:
    time = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "monotonic", lambda: time[0])
        clock, before = BridgeClock(), datetime.min.replace(tzinfo=UTC)
        for seconds, speed, passed in tellings:
            clock.told(START + timedelta(seconds=seconds), speed)
            time[0] += passed
            assert clock.now() >= before
            before = clock.now()
            assert before >= START + timedelta(seconds=seconds)


def test_a_wait_is_as_long_as_the_market_takes() -> None:
    clock = BridgeClock()
    clock.told(START, 1000.0)
    began, before = monotonic(), clock.now()
    assert clock.wait(50)
    assert monotonic() - began >= 0.05
    assert clock.now() - before >= 50 * SECOND


def test_a_market_that_stands_still_is_looked_at_again_and_again() -> None:
    """Red without the case: a division by zero, or a cycle without end."""
    clock = BridgeClock()
    clock.told(START, 0.0)
    began = monotonic()
    assert clock.wait(3600)
    assert monotonic() - began >= 0.05
    assert clock.now() == START
    clock.told(START + 60 * SECOND, 0.0)
    assert clock.now() == START + 60 * SECOND


@pytest.mark.timeout(10)
@pytest.mark.parametrize("speed", [None, 1.0])
def test_stop_ends_the_wait_at_once_and_every_later_one(speed) -> None:
    clock = BridgeClock()
    clock.told(None if speed is None else START, speed)
    threading.Timer(0.05, clock.stop).start()
    assert not clock.wait(3600)
    assert not clock.wait(0)
    clock.told(START, 0.0)
    assert not clock.wait(1)


def test_it_may_be_asked_and_told_by_several_threads() -> None:
    clock, failures = BridgeClock(), []

    def ask():
        before = clock.now()
        for _ in range(2000):
            now = clock.now()
            failures.extend([now] if now < before else [])
            before = now

    clock.told(START, 100.0)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for seconds in range(200):
        clock.told(START + timedelta(seconds=seconds / 10), 100.0)
        sleep(0)
    for thread in threads:
        thread.join()
    assert failures == []
