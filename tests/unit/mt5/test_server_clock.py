"""The server's wall clock, measured from prices: applied, recognised, contradicted or trusted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mt5.server_clock import ClockWatch, Measured, ServerClock, look, measure
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError

WINTER = datetime(2025, 1, 8, 10, 0, 3, tzinfo=UTC)
SUMMER = datetime(2025, 7, 8, 10, 0, 3, tzinfo=UTC)
BETWEEN = datetime(2025, 3, 19, 10, 0, 3, tzinfo=UTC)
"""Daylight saving has begun in New York and not yet in Athens."""
SATURDAY = datetime(2025, 1, 11, 12, tzinfo=UTC)
FRIDAYS_LAST = datetime(2025, 1, 10, 23, 59, 58, tzinfo=UTC)
NEW_YORK = ServerTime("NY+7")
SECOND = timedelta(seconds=1)


def walls(now: datetime, hours: float, *ages: float) -> list[datetime]:
    """Return when prices of such ages came, by a server's clock `hours` ahead of UTC."""
    return [now + timedelta(hours=hours) - timedelta(seconds=age) for age in ages]


def naive(time: datetime) -> datetime:
    return time.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("now", "hours", "zone"),
    [
        (WINTER, 2, "NY+7"),
        (SUMMER, 3, "NY+7"),
        (WINTER, 2, "Europe/Athens"),
        (BETWEEN, 3, "NY+7"),
        (BETWEEN, 2, "Europe/Athens"),
        (WINTER, 0, "UTC"),
        (WINTER, 5.5, "Asia/Kolkata"),
        (WINTER, -5, "America/New_York"),
    ],
)
def test_a_setting_that_fits_is_confirmed(now: datetime, hours: float, zone: str) -> None:
    measured = measure(walls(now, hours, 400, 2.5), now, ServerTime(zone))
    assert measured.offset == timedelta(hours=hours)
    assert measured.skew == -2.5
    assert measured.clock.server_time.name == zone
    assert not measured.clock.naive_is_utc
    assert measured.text.startswith(f"server clock {zone}, UTC")


def test_new_york_and_athens_differ_in_march() -> None:
    """Broker daylight saving. Red when any clock with the usual offset is believed."""
    now = BETWEEN
    with pytest.raises(ConfigurationError, match=r"expected NY\+7 or Europe/Moscow or UTC\+3"):
        measure(walls(now, 3, 1), now, ServerTime("Europe/Athens"))
    with pytest.raises(ConfigurationError, match=r"expected Europe/Athens or UTC\+2"):
        measure(walls(now, 2, 1), now, NEW_YORK)


def test_a_setting_that_does_not_fit_is_named_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError) as wrong:
        measure(walls(WINTER, 2, 1), WINTER, ServerTime("UTC"))
    assert str(wrong.value) == (
        "broker.server_timezone: UTC is UTC+00:00 now, but the server's clock is UTC+02:00: "
        "expected NY+7 or Europe/Athens or UTC+2"
    )
    with pytest.raises(ConfigurationError, match=r"is UTC-03:30: expected a zone with that offset"):
        measure(walls(WINTER, -3.5, 1), WINTER, NEW_YORK)


def test_a_bridge_that_gives_utc_is_recognised() -> None:
    measured = measure(walls(WINTER, 0, 1), WINTER, NEW_YORK)
    assert measured.clock.naive_is_utc
    assert measured.clock.server_time is NEW_YORK
    assert measured.clock.utc(naive(WINTER)) == WINTER


@pytest.mark.parametrize(
    ("now", "hours", "zone"),
    [(WINTER, 2, "NY+7"), (WINTER, 0, "UTC"), (WINTER, 8, "UTC+8"), (BETWEEN, 2, "Europe/Athens")],
)
def test_without_a_setting_the_prices_decide(now: datetime, hours: float, zone: str) -> None:
    measured = measure(walls(now, hours, 1), now, None)
    assert measured.clock.server_time.name == zone
    assert measured.offset == timedelta(hours=hours)
    assert not measured.clock.naive_is_utc


def test_without_a_setting_and_without_prices_the_most_usual_clock_is_assumed() -> None:
    assert measure([], WINTER, None).clock.server_time.name == "NY+7"
    with pytest.raises(ConfigurationError, match=r"is UTC\+04:15: expected a zone"):
        measure(walls(WINTER, 4.25, 1), WINTER, None)


@pytest.mark.parametrize("skew", [-400.0, -1.0, 0.0, 90.0, 400.0])
def test_what_is_left_over_is_how_far_the_clocks_are_apart(skew: float) -> None:
    """I20: clock skew."""
    assert measure(walls(WINTER, 2, -skew), WINTER, NEW_YORK).skew == skew


@pytest.mark.parametrize(
    "ticks",
    [
        [],
        [FRIDAYS_LAST],
        walls(WINTER, 3, 300, 4000),
        walls(WINTER, 40, 1),
        walls(WINTER, -15, 1),
        [datetime(1971, 1, 1, tzinfo=UTC)],
    ],
)
def test_old_prices_prove_nothing(ticks: Sequence[datetime]) -> None:
    measured = measure(ticks, WINTER, NEW_YORK)
    assert measured.offset is None
    assert measured.clock.server_time is NEW_YORK
    assert measured.text == "no new price to measure the server's clock by: NY+7 is trusted"


def test_a_closed_market_proves_nothing_whatever_its_age_looks_like() -> None:
    """At the weekend the last price is at times a whole number of quarter hours old.

    Red without `moving`: at some minute of every weekend the daemon does not start.
    """
    for minutes in range(60):
        now = SATURDAY + timedelta(minutes=minutes)
        assert measure([FRIDAYS_LAST], now, ServerTime("UTC+9"), moving=False).offset is None


@given(
    st.sampled_from(["UTC", "NY+7", "Europe/Athens", "Asia/Kolkata", "UTC-11", "UTC+14"]),
    st.integers(1_000_000_000, 2_000_000_000),
    st.floats(0, 120),
)
def test_a_right_setting_is_never_contradicted(zone: str, second: int, age: float) -> None:
    server, now = ServerTime(zone), datetime.fromtimestamp(second, UTC)
    seen = server.wall(now).replace(tzinfo=UTC) - timedelta(seconds=age)
    measured = measure([seen], now, server)
    assert not measured.clock.naive_is_utc
    assert measured.offset == seen - now + timedelta(seconds=age)


class Market:
    """A market that can be watched: a price every `every` seconds, or none at all."""

    def __init__(self, now: datetime, hours: float, every: int) -> None:
        self.time = now
        self.hours = hours
        self.every = every
        self.waits = 0

    def now(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        self.time += timedelta(seconds=seconds)
        return True

    def stop(self) -> None:
        raise AssertionError

    def prices(self) -> list[datetime]:
        if not self.every:
            return [FRIDAYS_LAST]
        age = self.time.timestamp() % self.every
        return walls(self.time, self.hours, age)

    def look(self, zone: str) -> Measured:
        return look(self.prices, self, ServerTime(zone))


def test_a_market_that_agrees_is_not_waited_for() -> None:
    market = Market(WINTER, 2, every=1)
    assert market.look("NY+7").offset == timedelta(hours=2)
    assert market.waits == 0


def test_a_market_that_moves_is_believed_and_one_that_stands_is_not() -> None:
    with pytest.raises(ConfigurationError, match="server_timezone"):
        Market(WINTER, 3, every=4).look("NY+7")
    market = Market(WINTER, 0, every=4)
    assert market.look("NY+7").clock.naive_is_utc
    assert 0 < market.waits <= 4
    standing = Market(SATURDAY, 0, every=0)
    assert standing.look("UTC+9").offset is None
    assert standing.waits == 10


def test_naive_times_are_the_servers() -> None:
    clock = ServerClock(NEW_YORK)
    assert clock.utc(naive(WINTER + timedelta(hours=2))) == WINTER
    assert clock.utc(naive(SUMMER + timedelta(hours=3))) == SUMMER


@pytest.mark.parametrize(
    ("hours", "said"), [(-1, "60 minutes old"), (0.5, "30 minutes ahead of our clock"), (0, "")]
)
def test_a_clock_that_changes_while_the_daemon_runs_is_noticed_once(
    hours: float, said: str
) -> None:
    watch = ClockWatch()
    age = timedelta(seconds=3)
    found = [watch.moved(timedelta(hours=hours) - age) for _ in range(50)]
    assert [it for it in found if it] == [said] * bool(said)


def test_some_late_prices_are_no_change_of_the_clock() -> None:
    """A terminal that catches up, and one that was away: neither shows the same offset for long."""
    watch = ClockWatch()
    ages = [*range(3600, 0, -60), *[3] * 9, *[900] * 9, 3, *[900] * 9, 400]
    assert not any(watch.moved(timedelta(seconds=-age)) for age in ages)
