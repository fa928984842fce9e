"""The pace of requests: a token bucket in the market's time."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.risk.pace import OrderPace
from tests.trader import MONDAY

SECONDS = st.lists(st.integers(0, 90), max_size=200)


@given(per_minute=st.integers(1, 20), waits=SECONDS)
def test_no_minute_sees_more_entries_than_it_may(per_minute: int, waits: list[int]) -> None:
    """Red without the count, and with a bucket of `per_minute`."""
    pace, at, sent = OrderPace(per_minute), MONDAY, []
    for seconds in waits:
        at += timedelta(seconds=seconds)
        if pace.allows_entry(at):
            pace.count(at)
            sent.append(at)
    for first in sent:
        within = [time for time in sent if first <= time < first + timedelta(minutes=1)]
        assert len(within) <= per_minute


@given(per_minute=st.integers(2, 20), exits=st.integers(20, 500), refused=st.booleans())
def test_entries_come_again_two_minutes_after_anything(
    per_minute: int, exits: int, *, refused: bool
) -> None:
    """Red when exits may draw the bucket down without end."""
    pace = OrderPace(per_minute)
    for _ in range(exits):
        pace.count(MONDAY)
    if refused:
        pace.too_fast(MONDAY)
        assert not pace.allows_entry(MONDAY + timedelta(seconds=59))
    assert not pace.allows_entry(MONDAY)
    assert pace.allows_entry(MONDAY + timedelta(minutes=2))


def test_a_market_time_that_stands_or_steps_back_refills_nothing_and_goes_on_from_there() -> None:
    """A clock a year ahead and back. Red when the furthest time seen counts."""
    pace = OrderPace(2)
    for _ in range(2):
        pace.count(MONDAY)
    assert not pace.allows_entry(MONDAY)
    assert not pace.allows_entry(MONDAY - timedelta(hours=1))
    assert pace.allows_entry(MONDAY - timedelta(minutes=59))
