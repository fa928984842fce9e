"""Deals of any length of time: all of them, each once, in replies that can be read."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.adapters.mt5 import client as client_module
from app.adapters.mt5.history import EARLIEST, PAGE, deals_between
from app.adapters.mt5.ledger import OVERLAP, Ledger
from app.adapters.mt5.server_clock import ServerClock
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from tests.unit.mt5 import replies
from tests.unit.mt5.misbehaving import CLOSE, reply

NOW = datetime(2025, 1, 6, 12, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
SERVERS = ("UTC", "NY+7", "America/New_York", "Pacific/Honolulu", "UTC+14", "UTC-12")


class Books:
    """A bridge that lists the deals at `times`, by its number each, and what it was asked for.

    `counts_starts` and `counts_ends` say whether a deal at the edge of a page is in it;
    `reads_wall` that the times of requests are taken for the server's wall clock.
    """

    def __init__(
        self, times, server="NY+7", *, counts_starts=True, counts_ends=True, reads_wall=False
    ):
        self.times = times
        self.server = ServerTime(server)
        self.counts_starts = counts_starts
        self.counts_ends = counts_ends
        self.reads_wall = reads_wall
        self.asked = []

    def __call__(self, request):
        query = parse_qs(request.target.partition("?")[2])
        start, end = (self.read(query[name][0]) for name in ("start", "end"))
        self.asked.append((start, end))
        first = start if self.counts_starts else start + timedelta(microseconds=1)
        last = end if self.counts_ends else end - timedelta(microseconds=1)
        return reply(
            [
                replies.DEAL | {"ticket": at, "time": self.server.wall(time).isoformat()}
                for at, time in enumerate(self.times, 1)
                if first <= time <= last
            ]
        )

    def read(self, text):
        time = datetime.fromisoformat(text)
        return self.server.to_utc(time.replace(tzinfo=None)) if self.reads_wall else time


@pytest.fixture
def ask(rogue, connect):
    """Ask a bridge for the deals between two times; return their numbers."""

    def between(books, since, until=NOW):
        rogue.answer(books)
        client = connect(clock=ServerClock(books.server))
        return sorted(deal.ticket for deal in deals_between(client, since, until))

    return between


@pytest.mark.parametrize("since", [HOUR, 7 * DAY, PAGE])
def test_what_lies_within_a_month_is_one_request(ask, since) -> None:
    """The request of every cycle, and the first look of an account."""
    books = Books([NOW - since, NOW - HOUR, NOW])
    assert ask(books, NOW - since) == [1, 2, 3]
    assert len(books.asked) == 1


@pytest.mark.parametrize("counts_ends", [True, False])
def test_years_come_in_pages_of_a_month(ask, counts_ends) -> None:
    """Red with one request: its reply holds all of it."""
    books = Books([NOW - at * DAY for at in range(1, 800)], counts_ends=counts_ends)
    assert ask(books, NOW - 799 * DAY) == list(range(1, 800))
    assert len(books.asked) == 26
    assert max(end - start for start, end in books.asked) <= PAGE + 2 * DAY


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    server=st.sampled_from(SERVERS),
    counts=st.fixed_dictionaries({"counts_starts": st.booleans(), "counts_ends": st.booleans()}),
    reads_wall=st.booleans(),
    near=st.lists(st.integers(-2, 2), min_size=1, max_size=6),
    days=st.integers(40, 2000),
)
def test_no_deal_is_lost_or_doubled_at_the_edge_of_a_page(
    ask, *, server, counts, reads_wall, near, days
) -> None:
    """Whatever a bridge counts in and takes the times for. Red without `_SEAM` or `around`."""
    edges = Books([], server, reads_wall=reads_wall)
    ask(edges, NOW - days * DAY)
    since = NOW - days * DAY
    times = [start + at * SECOND for start, _ in edges.asked for at in near]
    times = sorted({since, NOW, *(time for time in times if since <= time <= NOW)})
    books = Books(times, server, reads_wall=reads_wall, **counts)
    assert ask(books, since) == list(range(1, len(times) + 1))


def test_all_of_history_costs_few_requests_where_there_is_none(ask) -> None:
    """Red when pages stay a month long: 190 requests."""
    books = Books([NOW - DAY])
    assert ask(books, BEGINNING) == [1]
    assert len(books.asked) <= 10
    assert books.asked[-1][0] <= EARLIEST < books.asked[-2][0]


def test_an_account_that_slept_for_years_is_read_to_its_beginning(ask) -> None:
    books = Books([NOW - DAY, *(NOW - 3000 * DAY - at * DAY for at in range(100))])
    assert len(ask(books, BEGINNING)) == 101
    assert len(books.asked) <= 20


def test_a_page_that_is_too_long_is_halved(ask, monkeypatch) -> None:
    """Red without: an account that trades by the thousand can never be read."""
    monkeypatch.setattr(client_module, "LIST_LIMIT", 20_000)
    books = Books([NOW - at * HOUR for at in range(24 * 20)])
    assert ask(books, NOW - 20 * DAY) == list(range(1, 24 * 20 + 1))
    assert 10 < len(books.asked) < 60


@pytest.mark.parametrize("span", [20 * DAY, 2 * DAY, 36 * HOUR, 12 * HOUR, HOUR])
def test_however_short_a_page_is_it_is_halved(ask, monkeypatch, span) -> None:
    """Deals spread evenly. Red when `_SLIVER` counts for a page of hours: asked whole for ever."""
    monkeypatch.setattr(client_module, "LIST_LIMIT", 20_000)
    books = Books([NOW - span * at / 200 for at in range(200)])
    assert ask(books, NOW - span) == list(range(1, 201))
    assert len(set(books.asked)) == len(books.asked) < 20


def test_pages_grow_again_after_a_busy_hour(ask, monkeypatch) -> None:
    """Red when a page stays as short as it was in that hour, or begins at a month each time."""
    monkeypatch.setattr(client_module, "LIST_LIMIT", 20_000)
    busy = [NOW - 20 * DAY - HOUR * at / 200 for at in range(200)]
    books = Books([NOW - at * DAY for at in range(400)] + busy)
    assert len(ask(books, NOW - 400 * DAY)) == 600
    assert len(books.asked) < 60


def test_more_deals_in_a_minute_than_a_reply_holds_are_an_error(ask, monkeypatch) -> None:
    monkeypatch.setattr(client_module, "LIST_LIMIT", 2_000)
    with pytest.raises(SourceError, match="a reply of more than"):
        ask(Books([NOW - HOUR] * 100), NOW - DAY)


def test_a_page_that_does_not_come_is_no_answer(rogue, connect) -> None:
    """All of it or nothing: a hole would pass for days without a deal."""
    books = Books([NOW - at * DAY for at in range(1, 200)])
    rogue.answer(books, books, CLOSE)
    with pytest.raises(SourceError):
        deals_between(connect(), NOW - 200 * DAY, NOW)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("reads_wall", [True, False])
def test_a_look_sees_the_next_deal_wherever_the_server_is(ask, server, reads_wall) -> None:
    """Red without `around`: behind UTC the deals of the next hours are never shown."""
    books = Books([NOW, NOW + HOUR], server, reads_wall=reads_wall)
    assert ask(books, NOW - OVERLAP, NOW + 2 * HOUR) == [1, 2]
    books = Books([NOW], server, reads_wall=reads_wall)
    assert ask(books, NOW - OVERLAP, NOW) == [1]


def test_what_was_not_asked_for_is_not_told(rogue, connect) -> None:
    """A deal that was let go of is not new again. Red when `Ledger.add` takes all it is given."""
    ledger = Ledger(NOW - 7 * DAY)
    rogue.answer(Books([NOW - 7 * DAY - SECOND, NOW - 7 * DAY], "UTC"))
    told = deals_between(connect(), NOW - 8 * DAY, NOW)
    assert [deal.ticket for deal in ledger.add(told)] == [2]
    assert ledger.add(told) == []
