from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.broker_time import ServerTime
from app.domain.rules import Schedule
from app.risk.schedule import is_open, next_end

UTC_BROKER = ServerTime("UTC")
NEW_YORK_7 = ServerTime("NY+7")
OFFICE = Schedule(days=frozenset(range(5)), hours=((time(8), time(12)), (time(13), time(17))))
NIGHT = Schedule(days=frozenset({4}), hours=((time(22), time(2)),))


def wall(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a time in the week of Monday 2025-01-06."""
    return datetime(2025, 1, 6 + day, hour, minute)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        (None, wall(6, 3), True),
        (Schedule(), wall(6, 3), True),
        (Schedule(days=frozenset({0})), wall(0, 23, 59), True),
        (Schedule(days=frozenset({0})), wall(1, 0), False),
        (OFFICE, wall(0, 8), True),
        (OFFICE, wall(0, 7, 59), False),
        (OFFICE, wall(0, 12), False),
        (OFFICE, wall(0, 16, 59), True),
        (OFFICE, wall(5, 9), False),
        (NIGHT, wall(4, 22), True),
        (NIGHT, wall(5, 1, 59), True),
        (NIGHT, wall(5, 2), False),
        (NIGHT, wall(4, 1), False),
        (NIGHT, wall(5, 22), False),
    ],
)
def test_hours_are_half_open_and_nights_belong_to_the_day_they_start_on(
    schedule: Schedule | None, at: datetime, expected: bool
) -> None:
    assert is_open(schedule, at) is expected


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return wall(day, hour, minute).replace(tzinfo=UTC)


def test_the_next_end_of_a_session() -> None:
    assert next_end(OFFICE, UTC_BROKER, utc(0, 9)) == utc(0, 12)
    assert next_end(OFFICE, UTC_BROKER, utc(0, 12)) == utc(0, 17)
    assert next_end(OFFICE, UTC_BROKER, utc(4, 17)) == utc(7, 12)
    assert next_end(NIGHT, UTC_BROKER, utc(4, 23)) == utc(5, 2)
    assert next_end(Schedule(days=frozenset({2})), UTC_BROKER, utc(0, 9)) == utc(3, 0)


def test_sessions_that_touch_end_once() -> None:
    touching = Schedule(hours=((time(8), time(12)), (time(12), time(17))))
    assert next_end(touching, UTC_BROKER, utc(0, 9)) == utc(0, 17)


def test_a_schedule_without_an_end_never_ends() -> None:
    assert next_end(Schedule(), UTC_BROKER, utc(0, 9)) is None
    assert next_end(Schedule(hours=((time(5), time(5)),)), UTC_BROKER, utc(0, 9)) is None


def test_the_end_is_the_brokers_not_ours() -> None:
    """17:00 at a broker on New York + 7 is 15:00 UTC in January."""
    assert next_end(OFFICE, NEW_YORK_7, utc(0, 11)) == utc(0, 15)


times = st.times().map(lambda at: at.replace(second=0, microsecond=0))


@settings(max_examples=100)
@given(
    st.frozensets(st.integers(0, 6)),
    st.lists(st.tuples(times, times), max_size=3),
    st.datetimes(datetime(2025, 1, 1), datetime(2025, 12, 31)),  # noqa: DTZ001
)
def test_a_schedule_is_open_just_before_its_end_and_closed_at_it(
    days: frozenset[int], hours: list[tuple[time, time]], naive: datetime
) -> None:
    schedule = Schedule(days, tuple(hours))
    after = naive.replace(tzinfo=UTC)
    end = next_end(schedule, UTC_BROKER, after)
    if end is not None:
        assert end > after
        assert is_open(schedule, (end - timedelta(seconds=1)).replace(tzinfo=None))
        assert not is_open(schedule, end.replace(tzinfo=None))
