"""The broker server's wall clock: days and candles tile time, whatever daylight saving does."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.broker_time import EPOCH, ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe

NAMES = (
    "UTC",
    "NY+7",
    "UTC+2",
    "Europe/Athens",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Beirut",
)
SERVERS = {name: ServerTime(name) for name in NAMES}
ALL_TIMEFRAMES = [
    Timeframe(minutes)
    for minutes in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720)
] + [Timeframe("D1"), Timeframe("W1")]

servers = st.sampled_from(list(SERVERS.values()))
timeframes = st.sampled_from(ALL_TIMEFRAMES)
seconds = st.integers(0, 3_100_000_000)
instants = seconds.map(lambda second: EPOCH + timedelta(seconds=second))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def wall_time(*parts: int) -> datetime:
    return utc(*parts).replace(tzinfo=None)


@settings(max_examples=300)
@given(servers, instants)
def test_days_tile_time_and_are_23_to_25_hours_long(server: ServerTime, instant: datetime) -> None:
    """Proves I14: each instant lies in exactly one day, and the days touch."""
    start, end = server.day_start(instant), server.next_day_start(instant)
    assert start <= instant < end
    assert timedelta(hours=23) <= end - start <= timedelta(hours=25)
    assert server.day(start) == server.day(instant) == server.day(end - timedelta(seconds=1))
    assert server.day(end) == server.day(instant) + timedelta(days=1)
    assert server.day_start(end) == end
    assert server.next_day_start(start - timedelta(seconds=1)) == start


@settings(max_examples=500)
@given(servers, timeframes, instants)
def test_candles_tile_time(server: ServerTime, timeframe: Timeframe, instant: datetime) -> None:
    opened = server.candle_open(timeframe, instant)
    closed = server.candle_close(timeframe, opened)
    assert opened <= instant < closed
    assert server.candle_close(timeframe, instant) == closed
    assert server.candle_open(timeframe, closed) == closed
    assert server.candle_open(timeframe, closed - timedelta(seconds=1)) == opened


@settings(max_examples=300)
@given(servers, timeframes, timeframes, instants)
def test_a_larger_candle_is_made_of_whole_smaller_ones(
    server: ServerTime, one: Timeframe, other: Timeframe, instant: datetime
) -> None:
    small, large = sorted((one, other), key=lambda timeframe: timeframe.minutes)
    if large.minutes % small.minutes == 0:
        opened = server.candle_open(large, instant)
        assert server.candle_open(small, opened) == opened


@settings(max_examples=300)
@given(servers, timeframes, st.lists(seconds, min_size=1, max_size=20))
def test_a_column_of_times_gives_what_each_time_gives(
    server: ServerTime, timeframe: Timeframe, times: list[int]
) -> None:
    each = [EPOCH + timedelta(seconds=second) for second in times]
    column = np.array(times, np.int64)
    opens = server.candle_opens(timeframe, column).tolist()
    closes = server.candle_closes(timeframe, column).tolist()
    assert opens == [server.candle_open(timeframe, t).timestamp() for t in each]
    assert closes == [server.candle_close(timeframe, t).timestamp() for t in each]
    walls = [t.replace(tzinfo=None) for t in each]
    assert server.to_seconds(column).tolist() == [server.to_utc(w).timestamp() for w in walls]


@settings(max_examples=300)
@given(servers, instants)
def test_a_wall_time_is_reached_no_later_than_any_instant_that_shows_it(
    server: ServerTime, instant: datetime
) -> None:
    reached = server.to_utc(server.wall(instant))
    assert reached <= instant
    assert instant - reached <= timedelta(hours=2)
    assert server.wall(reached) >= server.wall(instant)


@pytest.mark.parametrize("name", ["Europe/Athens", "Asia/Kolkata", "Australia/Lord_Howe"])
@settings(max_examples=100)
@given(instant=instants)
def test_the_wall_clock_is_that_of_the_zone(name: str, instant: datetime) -> None:
    expected = instant.astimezone(ZoneInfo(name)).replace(tzinfo=None)
    assert SERVERS[name].wall(instant) == expected


@settings(max_examples=100)
@given(instants)
def test_the_new_york_rule_is_new_york_seven_hours_ahead(instant: datetime) -> None:
    new_york = instant.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=None)
    assert SERVERS["NY+7"].wall(instant) == new_york + timedelta(hours=7)


def test_the_new_york_rule_ends_its_day_at_17_00_new_york_in_summer_and_winter() -> None:
    server = SERVERS["NY+7"]
    assert server.day_start(utc(2024, 1, 10, 12)) == utc(2024, 1, 9, 22)
    assert server.day_start(utc(2024, 7, 10, 12)) == utc(2024, 7, 9, 21)


def test_new_york_plus_seven_is_not_athens_between_their_changes_of_the_clock() -> None:
    between = utc(2024, 3, 20, 12)
    assert SERVERS["NY+7"].wall(between) == wall_time(2024, 3, 20, 15)
    assert SERVERS["Europe/Athens"].wall(between) == wall_time(2024, 3, 20, 14)


def test_an_hour_that_occurs_twice_belongs_to_its_first_occurrence() -> None:
    athens = SERVERS["Europe/Athens"]
    assert athens.wall(utc(2024, 10, 27, 0, 30)) == athens.wall(utc(2024, 10, 27, 1, 30))
    assert athens.to_utc(wall_time(2024, 10, 27, 3, 30)) == utc(2024, 10, 27, 0, 30)


def test_a_skipped_hour_belongs_to_the_instant_of_the_jump() -> None:
    athens = SERVERS["Europe/Athens"]
    for minute in (0, 30, 59):
        assert athens.to_utc(wall_time(2024, 3, 31, 3, minute)) == utc(2024, 3, 31, 1)
    assert athens.to_utc(wall_time(2024, 3, 31, 4, 10)) == utc(2024, 3, 31, 1, 10)


def test_a_four_hour_candle_stands_on_server_midnight_and_is_five_hours_in_autumn() -> None:
    athens = SERVERS["Europe/Athens"]
    h4 = Timeframe("H4")
    assert athens.candle_open(h4, utc(2024, 1, 10, 9)) == utc(2024, 1, 10, 6)
    assert athens.candle_open(h4, utc(2024, 10, 27, 1, 59)) == utc(2024, 10, 26, 21)
    assert athens.candle_close(h4, utc(2024, 10, 26, 21)) == utc(2024, 10, 27, 2)


def test_both_occurrences_of_an_hour_have_candles_of_their_own() -> None:
    athens = SERVERS["Europe/Athens"]
    assert athens.candle_open(Timeframe("M5"), utc(2024, 10, 27, 0, 7)) == utc(2024, 10, 27, 0, 5)
    assert athens.candle_open(Timeframe("M5"), utc(2024, 10, 27, 1, 7)) == utc(2024, 10, 27, 1, 5)


def test_a_week_begins_on_sunday() -> None:
    opened = SERVERS["UTC"].candle_open(Timeframe("W1"), utc(2024, 5, 15, 13))
    assert opened == utc(2024, 5, 12)
    assert SERVERS["UTC"].candle_close(Timeframe("W1"), opened) == utc(2024, 5, 19)


def test_a_day_of_a_clock_set_back_over_midnight_is_one_day() -> None:
    """St John's went from 00:01 back to 23:01 the day before."""
    server = SERVERS["America/St_Johns"]
    before, after = utc(2010, 11, 7, 2, 30, 59), utc(2010, 11, 7, 2, 31)
    assert server.wall(before).date() == date(2010, 11, 7)
    assert server.wall(after).date() == date(2010, 11, 6)
    assert server.day(before) == server.day(after) == date(2010, 11, 7)


def test_fractions_of_a_second_are_kept_in_wall_times() -> None:
    wall = SERVERS["UTC+2"].wall(utc(2024, 1, 1, 0, 0, 0, 250))
    assert wall == wall_time(2024, 1, 1, 2, 0, 0, 250)
    assert SERVERS["UTC+2"].to_utc(wall) == utc(2024, 1, 1, 0, 0, 0, 250)


def test_the_text_it_was_made_of_is_kept() -> None:
    assert str(ServerTime(" ny+7 ")) == "ny+7"
    assert repr(SERVERS["NY+7"]) == "ServerTime('NY+7')"
    assert ServerTime("ny+7").wall(utc(2024, 1, 1)) == SERVERS["NY+7"].wall(utc(2024, 1, 1))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Europe/Athen", "(did you mean 'Europe/Athens'?)"),
        ("NY+77", "(did you mean 'NY+7'?)"),
        ("utc", "(did you mean 'UTC'?)"),
        ("", "or a rule such as NY+7"),
        ("../etc/passwd", "expected an IANA name"),
        ("Europe", "expected an IANA name"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_name(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown time zone") as refused:
        ServerTime(text)
    assert hint in str(refused.value)
    assert "\n" not in str(refused.value)
