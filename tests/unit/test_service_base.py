"""Health is progress: failures count only while nothing is finished between them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bus import EventBus
from app.services.base import HEALTHY, Health, Service

NOW = datetime(2025, 1, 6, 10, 0, tzinfo=UTC)


class Patient(Service):
    name = "patient"


@pytest.fixture
def service() -> Patient:
    return Patient(EventBus())


def fail(service: Service, times: int = 1) -> None:
    for number in range(times):
        service.failed(ValueError(f"no {number}"))


def test_a_new_service_is_healthy_and_counts_nothing(service: Patient) -> None:
    service.start(NOW)
    assert service.health() is HEALTHY
    assert service.metrics() == {}
    service.stop()


def test_a_service_is_unhealthy_from_so_many_failures_in_a_row_on(service: Patient) -> None:
    """P5, P27."""
    fail(service, 2)
    assert service.health().healthy
    fail(service)
    assert service.health() == Health(False, "3 failures in a row: ValueError: no 0")


def test_progress_after_the_failures_makes_it_healthy_again(service: Patient) -> None:
    fail(service, 5)
    service.handled += 1
    assert service.health().healthy


def test_ten_failures_over_weeks_are_not_ten_in_a_row(service: Patient) -> None:
    for _ in range(10):
        service.handled += 1_000
        fail(service)
    assert service.failures_in_a_row == 1
    assert service.health().healthy


def test_failures_after_progress_count_from_one(service: Patient) -> None:
    fail(service, 2)
    service.handled += 1
    fail(service, 2)
    assert service.failures_in_a_row == 2
    assert service.health().healthy
    fail(service)
    assert not service.health().healthy


def test_the_limit_belongs_to_the_service(service: Patient) -> None:
    service.max_failures = 1
    fail(service)
    assert not service.health().healthy
    assert Patient(EventBus()).max_failures == 3


@settings(max_examples=200)
@given(st.lists(st.booleans(), max_size=40))
def test_health_is_decided_by_the_failures_since_the_last_progress(steps: list[bool]) -> None:
    service = Patient(EventBus())
    since_progress = 0
    for progress in steps:
        if progress:
            service.handled += 1
            since_progress = 0
        else:
            fail(service)
            since_progress += 1
        assert service.health().healthy == (since_progress < service.max_failures)
