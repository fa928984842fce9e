"""Windows: what is judged is never learned from before, and all of it is used once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ConfigurationError
from app.optimize.windows import Piece, windows

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_simple_split():
    (only,) = windows(Piece(MONDAY, MONDAY + 10 * DAY), 1, 0.3)
    assert only.in_sample == (MONDAY, MONDAY + 7 * DAY)
    assert only.out_of_sample == (MONDAY + 7 * DAY, MONDAY + 10 * DAY)


def test_a_walk_forward():
    """Ten days, half out of sample, four windows of four days: 2 | 2, and on by two."""
    found = windows(Piece(MONDAY, MONDAY + 10 * DAY), 4, 0.5)
    assert [(w.in_sample.began - MONDAY) // DAY for w in found] == [0, 2, 4, 6]
    assert [(w.out_of_sample.began - MONDAY) // DAY for w in found] == [2, 4, 6, 8]
    assert [w.number for w in found] == [1, 2, 3, 4]


@given(
    days=st.integers(2, 4000),
    splits=st.integers(1, 12),
    share=st.floats(0.05, 0.95),
)
def test_pieces_follow_one_another_to_the_end(days, splits, share):
    span = Piece(MONDAY, MONDAY + days * DAY + timedelta(seconds=7))
    try:
        found = windows(span, splits, share)
    except ConfigurationError:
        return
    assert found[0].in_sample.began == span.began
    assert found[-1].out_of_sample.until == span.until
    for window in found:
        assert window.in_sample.began < window.in_sample.until == window.out_of_sample.began
        assert window.out_of_sample.began < window.out_of_sample.until
    for one, other in pairwise(found):
        assert one.out_of_sample.until == other.out_of_sample.began
        length = other.in_sample.days - one.in_sample.days
        assert abs(length) * 24 * 60 <= 2


def test_pieces_too_short_are_refused():
    with pytest.raises(ConfigurationError, match=r"2\.0 days are too few for 60 windows"):
        windows(Piece(MONDAY, MONDAY + 2 * DAY), 60, 0.3)
