"""Candles from a bridge: closed ones, once, in order, whatever it lists."""

import logging
import math
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.adapters.mt5.server_clock import ServerClock
from app.adapters.mt5.source import BridgeSource
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError, SourceError, UnavailableError
from app.domain.market import Timeframe
from app.ports import Ask
from tests.unit.mt5.misbehaving import CLOSE, reply
from tests.unit.mt5.recorded import Recorded, bar, minutes

M1, M5, H4, D1, W1 = (Timeframe(name) for name in ("M1", "M5", "H4", "D1", "W1"))
FIRST = datetime(2025, 1, 6, 0, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
NOW = FIRST + 100 * MINUTE + 30 * SECOND
SERVER = ServerTime("NY+7")


@pytest.fixture
def recorded(rogue):
    """Let the bridge give ten hours of minutes; it is half past a minute there."""
    market = Recorded({("EURUSD", M1): minutes(FIRST, 600), ("GBPUSD", M1): minutes(FIRST, 9)}, NOW)
    rogue.answer(market)
    return market


@pytest.fixture
def source(recorded, connect):
    """Return a source of that market; its time is the bridge's."""
    client = connect(clock=ServerClock(SERVER))
    return BridgeSource(client, ["EURUSD"], SERVER, lambda: recorded.now)


def opened(candles):
    return [(candle.time - FIRST) / MINUTE for candle in candles]


# What it gives


def test_the_forming_bar_is_never_given(source, recorded) -> None:
    """X5, I19. Red when `_listed` does not compare with `now`: minute 100 comes, too."""
    candles = source.latest("EURUSD", M1, 3, NOW)
    assert opened(candles) == [97, 98, 99]
    assert candles[-1].close_time == FIRST + 100 * MINUTE
    assert candles[-1].tick_volume == 42
    assert recorded.asked == [("EURUSD", {"timeframe": "M1", "num_bars": "5"})]


def test_a_bar_after_it_shows_that_one_is_closed(source, recorded) -> None:
    """Our clock a second ahead of the server's: what it lists last is forming still.

    Red without `Closing`: minute 99 is given as it forms.
    """
    ours = FIRST + 100 * MINUTE
    source._now = lambda: ours
    recorded.now = FIRST + 99 * MINUTE + 59 * SECOND
    assert opened(source.latest("EURUSD", M1, 2, ours)) == [97, 98]
    recorded.now = FIRST + 100 * MINUTE
    assert opened(source.latest("EURUSD", M1, 2, ours)) == [98, 99]
    assert opened(source.after("EURUSD", M1, FIRST + 97 * MINUTE, ours)) == [98, 99]


def test_an_earlier_now_sees_the_market_as_it_was_then(source, recorded) -> None:
    """`candle_index` 2 and more asks for a market some minutes back.

    Red when `_listed` does not compare with `now`: the market of today is given.
    """
    back = NOW - 5 * MINUTE
    assert opened(source.latest("EURUSD", M1, 3, back)) == [92, 93, 94]
    assert opened(source.latest("EURUSD", M1, 3, FIRST + 3 * MINUTE)) == [0, 1, 2]
    assert len(recorded.asked) == 2


def test_a_market_long_past_is_asked_for_by_its_time(source, recorded) -> None:
    monday = datetime(2025, 1, 12, 22, 0, tzinfo=UTC)
    recorded.markets["EURUSD", M1] = minutes(monday - timedelta(days=3), 4000)
    recorded.now = monday + timedelta(days=1)
    candles = source.latest("EURUSD", M1, 5, monday + 2 * MINUTE)
    assert [(candle.close_time - monday) / MINUTE for candle in candles[-2:]] == [1, 2]
    assert [monday - candle.close_time for candle in candles[:3]] == [
        timedelta(days=2, minutes=2),
        timedelta(days=2, minutes=1),
        timedelta(days=2),
    ]
    assert {"start", "end"} < set(recorded.asked[-1][1])
    assert opened(source.latest("EURUSD", M1, 5, FIRST)) == []


def test_a_market_ahead_of_our_clock_is_asked_for_by_its_time(source, recorded) -> None:
    """The server's clock may be ahead of ours: as many are closed as were asked for."""
    recorded.now = NOW + 10 * MINUTE
    source._now = lambda: NOW
    assert opened(source.latest("EURUSD", M1, 3, NOW)) == [97, 98, 99]


def test_more_than_a_reply_can_carry_is_not_asked_for(source, recorded) -> None:
    source.latest("EURUSD", M1, 1_000_000, NOW)
    assert recorded.asked == [("EURUSD", {"timeframe": "M1", "num_bars": "50002"})]


def test_a_short_history_is_given_whole(source) -> None:
    assert opened(source.latest("GBPUSD", M1, 50, NOW)) == list(range(9))
    assert source.latest("GBPUSD", M1, 0, NOW) == []


def test_a_gap_is_filled_page_by_page(source, recorded) -> None:
    """Bridge down for long: no candle lost, none twice. Red when only the first page is asked."""
    recorded.markets["EURUSD", M1] = minutes(FIRST, 3500)
    recorded.now = now = FIRST + 3000 * MINUTE + 30 * SECOND
    candles = source.after("EURUSD", M1, FIRST, now)
    shown = [time for time in recorded.markets["EURUSD", M1] if FIRST < time < now - MINUTE]
    assert [candle.time for candle in candles] == shown
    assert len(recorded.asked) == 4
    assert source.after("EURUSD", M1, now - 2 * SECOND, now) == []
    assert source.after("EURUSD", M1, now, now) == []


def test_a_gap_over_the_weekend_has_no_candles_to_lose(source, recorded) -> None:
    friday = datetime(2025, 1, 10, 21, 0, tzinfo=UTC)
    recorded.markets["EURUSD", M1] = minutes(friday, 120)
    recorded.now = now = datetime(2025, 1, 12, 22, 30, 30, tzinfo=UTC)
    candles = source.after("EURUSD", M1, friday, now)
    assert [candle.time for candle in candles[58:61]] == [
        friday + 59 * MINUTE,
        datetime(2025, 1, 12, 22, 0, tzinfo=UTC),
        datetime(2025, 1, 12, 22, 1, tzinfo=UTC),
    ]


def test_a_gap_wider_than_half_a_million_candles_is_said(source, recorded, caplog) -> None:
    recorded.now = FIRST + timedelta(days=400)
    with caplog.at_level(logging.WARNING):
        source.after("EURUSD", M1, FIRST, recorded.now)
    assert len(recorded.asked) == 501
    assert "candles before" in caplog.text


@pytest.fixture
def elsewhere(recorded, connect):
    """Return a source of that market on a server of any clock."""

    def on(server):
        recorded.server = ServerTime(server)
        client = connect(clock=ServerClock(recorded.server))
        return BridgeSource(client, ["EURUSD"], recorded.server, lambda: recorded.now)

    return on


@pytest.mark.parametrize("reads_wall", [True, False])
@pytest.mark.parametrize("server", ["UTC", "NY+7", "America/New_York", "UTC+14", "UTC-12"])
def test_a_range_is_given_whole_whatever_clock_the_bridge_reads_it_by(
    elsewhere, recorded, server, reads_wall
) -> None:
    """Red without `around`: bars hours old, or none; a gap is never filled."""
    recorded.markets["EURUSD", M1] = minutes(FIRST, 6000, server="UTC")
    recorded.now = now = FIRST + 5000 * MINUTE + 30 * SECOND
    recorded.reads_wall = reads_wall
    source, back = elsewhere(server), FIRST + 2500 * MINUTE
    assert opened(source.after("EURUSD", M1, now - 10 * MINUTE, now)) == list(range(4991, 5000))
    assert opened(source.after("EURUSD", M1, back, now)) == list(range(2501, 5000))
    assert opened(source.latest("EURUSD", M1, 5, back)) == list(range(2495, 2500))


@pytest.mark.parametrize(
    ("timeframe", "first"),
    [
        (M5, FIRST),
        (H4, datetime(2025, 1, 5, 22, tzinfo=UTC)),
        (D1, datetime(2025, 3, 3, 22, tzinfo=UTC)),
        (W1, datetime(2025, 1, 4, 22, tzinfo=UTC)),
    ],
)
def test_candles_stand_where_the_servers_clock_puts_them(
    source, recorded, timeframe, first
) -> None:
    """H4, D1 and W1 open by the server's wall clock, daylight saving or not."""
    opens = [first]
    while len(opens) < 12:
        opens.append(SERVER.candle_close(timeframe, opens[-1]))
    recorded.markets["EURUSD", timeframe] = {opened: bar(opened) for opened in opens}
    recorded.now = opens[-1] + SECOND
    candles = source.latest("EURUSD", timeframe, 20, recorded.now)
    assert [candle.time for candle in candles] == opens[:-1]
    assert [candle.close_time for candle in candles] == opens[1:]


# What bridges get wrong


def spoilt(rows, how):
    """Return rows as a bridge that is wrong gives them."""
    future = rows[-1] | {"time": "2025-01-07T12:00:00"}
    off_grid = rows[0] | {"time": rows[0]["time"].replace(":00", ":07", 1)[:-2] + "13"}
    return {
        "twice": [*rows, rows[1]],
        "out of order": rows[::-1],
        "from the future": [*rows, future],
        "off the grid": [off_grid, *rows],
        "that cannot be true": [rows[0] | {"open": math.nan}, *rows[1:]],
    }[how]


@pytest.mark.parametrize(
    "how",
    ["twice", "out of order", "from the future", "off the grid", "that cannot be true"],
)
def test_bars_that_are_wrong_are_left_out_and_counted(source, recorded, caplog, how) -> None:
    """Duplicate, shuffled, future and impossible bars. Red without `_listed`: they are given."""
    recorded.spoil = partial(spoilt, how=how)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            candles = source.latest("EURUSD", M1, 3, NOW)
            assert opened(candles)[-2:] == [98, 99]
            assert opened(candles) == sorted(set(opened(candles)))
    said = [record.msg["event"] for record in caplog.records]
    assert said == [f"EURUSD M1: bars {how}: {count} so far" for count in (1, 2, 4)]


@pytest.mark.parametrize(
    "wrong",
    [{"high": 0.9}, {"low": 0, "open": 0}, {"close": -1}, {"open": None}, {"close": math.nan}],
)
def test_a_wrong_bar_in_a_long_history_costs_itself_alone(source, recorded, wrong) -> None:
    """I21: and no further question. Red when `bars` refuses the reply: no warm-up, no start."""
    recorded.spoil = lambda rows: [*rows[:40], rows[40] | wrong, *rows[41:]]
    given = opened(source.latest("EURUSD", M1, 90, NOW))
    assert given == [minute for minute in range(9, 100) if minute != 49][-90:]
    assert len(recorded.asked) == 1
    recorded.spoil = lambda rows: [row | wrong for row in rows]
    with pytest.raises(SourceError, match="bar 1"):
        source.latest("EURUSD", M1, 90, NOW)


def test_of_a_bar_listed_twice_the_later_counts(source, recorded) -> None:
    """A closed bar revised: what comes later is right."""
    recorded.spoil = lambda rows: [*rows, rows[3] | {"close": rows[3]["high"]}]
    candles = source.latest("EURUSD", M1, 3, NOW)
    assert candles[-1].close == candles[-1].high


def test_bars_that_all_stand_off_the_grid_are_a_wrong_time_zone(source, recorded) -> None:
    recorded.markets["EURUSD", D1] = {FIRST: bar(FIRST)}
    recorded.now = FIRST + timedelta(days=2)
    with pytest.raises(SourceError, match=r"NY\+7: check broker\.server_timezone"):
        source.latest("EURUSD", D1, 3, recorded.now)


@pytest.mark.parametrize(
    "answer",
    [
        *(reply(None), reply({}), reply(body=b"<html>"), CLOSE, reply(status=500)),
        reply([bar("2025-01-06T02:00:00", high=0.5)]),
        reply([bar("2025-01-06T02:00:00", open="NaN")]),
        reply([bar("1736157600000000000")]),
    ],
)
def test_nonsense_is_no_answer_and_not_an_empty_one(rogue, source, answer) -> None:
    rogue.answer(answer)
    with pytest.raises(SourceError):
        source.latest("EURUSD", M1, 3, NOW)
    with pytest.raises(SourceError):
        source.after("EURUSD", M1, FIRST, NOW)


def test_epoch_milliseconds_are_the_servers_wall_clock(source, recorded) -> None:
    def in_milliseconds(rows):
        walls = [datetime.fromisoformat(row["time"]).replace(tzinfo=UTC) for row in rows]
        times = [int(wall.timestamp() * 1000) for wall in walls]
        return [row | {"time": time} for row, time in zip(rows, times, strict=True)]

    recorded.spoil = in_milliseconds
    assert opened(source.latest("EURUSD", M1, 3, NOW)) == [97, 98, 99]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_listed_candles_are_closed_once_and_forward(source, recorded, data) -> None:
    """I19 at the source, for any list of the market's bars, shuffled, doubled and holed."""
    picked = data.draw(st.lists(st.integers(0, 20), max_size=12))
    recorded.spoil = lambda rows: [rows[at % len(rows)] for at in picked] if rows else []
    now = NOW - data.draw(st.integers(0, 20)) * MINUTE
    for candles in (
        source.latest("EURUSD", M1, 5, now),
        source.after("EURUSD", M1, FIRST + 90 * MINUTE, now),
    ):
        times = [candle.time for candle in candles]
        assert times == sorted(set(times))
        assert all(candle.close_time <= now for candle in candles)


# Many questions at once


def test_what_is_expected_is_asked_at_once_and_given_once(source, recorded) -> None:
    asks = [Ask("EURUSD", M1, 3, NOW), Ask("GBPUSD", M1, 2, NOW)]
    source.expect(asks)
    assert len(recorded.asked) == 2
    assert opened(source.latest("EURUSD", M1, 3, NOW)) == [97, 98, 99]
    assert opened(source.latest("GBPUSD", M1, 2, NOW)) == [7, 8]
    assert len(recorded.asked) == 2
    assert opened(source.latest("EURUSD", M1, 3, NOW)) == [97, 98, 99]
    assert len(recorded.asked) == 3


def test_what_is_asked_otherwise_than_expected_is_asked(source, recorded) -> None:
    source.expect([Ask("EURUSD", M1, 3, NOW)])
    assert opened(source.latest("EURUSD", M1, 3, NOW - MINUTE)) == [96, 97, 98]
    assert opened(source.latest("EURUSD", M1, 2, NOW)) == [98, 99]
    assert len(recorded.asked) > 1
    asked = len(recorded.asked)
    source.expect([])
    assert len(recorded.asked) == asked


def test_a_failure_that_was_expected_is_not_waited_for_again(rogue, source, recorded) -> None:
    """Bridge down: the questions of a cycle are asked once, however often the service retries.

    Red when a failure is given once only: each retry asks again, and waits for its deadline.
    """
    rogue.answer(CLOSE)
    source.expect([Ask("EURUSD", M1, 3, NOW)])
    asked = len(rogue.asked)
    for _ in range(3):
        with pytest.raises(SourceError):
            source.latest("EURUSD", M1, 3, NOW)
    assert len(rogue.asked) == asked
    rogue.answer(recorded)
    source.expect([Ask("EURUSD", M1, 3, NOW)])
    assert opened(source.latest("EURUSD", M1, 3, NOW)) == [97, 98, 99]


# Opening


def test_it_opens_by_having_the_terminal_watch_the_symbols(rogue, source) -> None:
    source.open()
    assert [asked.path for asked in rogue.asked] == [
        "/mt5/health",
        "/mt5/symbols",
        "/mt5/symbols/select",
    ]
    assert source.name == f"bridge at {rogue.url}"


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("EURUSD", "EURUSDm or EURUSD.r"),
        ("gbpusd", "expected GBPUSD"),
        ("XAUUSD", "expected XAUUSDx"),
        ("GPBUSD", "did you mean 'GBPUSD'"),
    ],
)
def test_a_symbol_the_broker_spells_otherwise_is_named(rogue, connect, wanted, hint) -> None:
    """Symbol suffix."""
    known = ["EURUSDm", "EURUSD.r", "GBPUSD", "XAUUSDx"]
    rogue.answer(reply({"status": "ok"}), reply(known))
    source = BridgeSource(connect(), [wanted], SERVER, lambda: NOW)
    with pytest.raises(ConfigurationError, match=f"no symbol '{wanted}'.*({hint})"):
        source.open()


@pytest.mark.parametrize("answers", [[CLOSE], [reply({}), reply(None)], [reply({}), reply([])]])
def test_a_bridge_that_does_not_answer_is_unavailable(rogue, source, answers) -> None:
    rogue.answer(*answers)
    with pytest.raises(UnavailableError, match=f"the bridge at {rogue.url} "):
        source.open()


def test_a_terminal_that_will_not_be_told_what_to_watch_is_no_obstacle(
    rogue, source, connect, caplog
) -> None:
    refused = reply({"detail": "Not Found"}, status=404, bare=True)
    rogue.answer(reply({}), reply(["EURUSD"]), refused)
    with caplog.at_level(logging.WARNING):
        source.open()
    assert "was not made to watch EURUSD: symbols/select: Not Found" in caplog.text
    rogue.answer(reply({}), reply(["EURUSD"]), CLOSE)
    with pytest.raises(UnavailableError):
        BridgeSource(connect(), ["EURUSD"], SERVER, lambda: NOW).open()


def test_it_may_be_closed_twice_and_asked_again(source) -> None:
    source.expect([Ask("EURUSD", M1, 3, NOW)])
    source.close()
    source.close()
    assert opened(source.latest("EURUSD", M1, 3, NOW)) == [97, 98, 99]
