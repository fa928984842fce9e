"""The newest bar of a list: given once the terminal is seen to have seen its close, not before."""

from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.mt5.server_clock import ServerClock
from app.adapters.mt5.source import BridgeSource
from app.domain.broker_time import ServerTime
from app.domain.market import Timeframe
from app.ports import Ask
from tests.unit.mt5.misbehaving import CLOSE, reply
from tests.unit.mt5.recorded import Recorded, minutes

M1, M5 = Timeframe("M1"), Timeframe("M5")
FIRST = datetime(2025, 1, 6, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
CLOSES = FIRST + 100 * MINUTE
"""When minute 99, the last one listed, closes."""
SERVER = ServerTime("NY+7")
NEVER_SEEN = CLOSES - 20 * SECOND


@pytest.fixture
def recorded(rogue):
    """Let the bridge hang twenty seconds before the close of minute 99."""
    names = ("EURUSD", "GBPUSD")
    market = Recorded({(name, M1): minutes(FIRST, 600) for name in names}, NEVER_SEEN)
    rogue.answer(market)
    return market


@pytest.fixture
def ours():
    """Return our clock, which can be set: how long after the close it is."""
    return [timedelta()]


@pytest.fixture
def source(recorded, connect, ours):
    client = connect(clock=ServerClock(SERVER))
    return BridgeSource(client, ["EURUSD", "GBPUSD"], SERVER, lambda: CLOSES + ours[0])


@pytest.fixture
def newest(source, ours):
    """Return the number of the newest minute given so long after the close of minute 99."""

    def ask(after, symbol="EURUSD"):
        ours[0] = after
        candles = source.latest(symbol, M1, 2, CLOSES + after)
        return (candles[-1].time - FIRST) / MINUTE

    return ask


def test_a_terminal_that_hangs_has_not_seen_a_close(recorded, newest) -> None:
    """I19: its clock stands, ours goes on, and the bar it lists is forming still.

    Red when `Closing` takes the newest bar by our clock.
    """
    for seconds in (0, 1, 2, 10, 60, 119):
        assert newest(seconds * SECOND) == 98


def test_what_it_gives_when_it_goes_on_is_the_whole_bar(recorded, newest) -> None:
    assert newest(30 * SECOND) == 98
    recorded.now = CLOSES + 31 * SECOND
    assert newest(31 * SECOND) == 99


def test_a_bar_after_it_costs_no_further_question(recorded, newest) -> None:
    """A live candle comes as fast as before."""
    recorded.now = CLOSES
    assert newest(timedelta()) == 99
    assert recorded.looks == []
    assert len(recorded.asked) == 1


def test_nothing_is_asked_before_two_seconds_have_passed(recorded, newest) -> None:
    newest(SECOND)
    assert recorded.looks == []
    newest(2 * SECOND)
    assert recorded.looks == ["EURUSD"]


def test_a_tick_after_the_close_has_the_bars_asked_for_again(source, recorded, ours) -> None:
    """What moved between bars and tick is not in the first ones. Red when these are given."""

    def lags(rows):
        recorded.spoil = lambda rows: [*rows[:-1], rows[-1] | {"close": rows[-1]["high"]}]
        return rows

    recorded.spoil = lags
    recorded.ticks["EURUSD"] = CLOSES
    ours[0] = 5 * SECOND
    candle = source.latest("EURUSD", M1, 2, CLOSES + 5 * SECOND)[-1]
    assert candle.close == candle.high
    assert len(recorded.asked) == 2


def test_a_second_answer_that_does_not_come_leaves_the_bar_out(rogue, recorded, newest) -> None:
    """Red when a bar is given for the tick alone: nobody knows how it closed."""
    recorded.ticks["EURUSD"] = CLOSES
    asked = []

    def once(request):
        if request.path.endswith("/bars"):
            asked.append(request)
            if len(asked) == 2:
                return CLOSE
        return recorded(request)

    rogue.answer(once)
    assert newest(5 * SECOND) == 98
    assert newest(10 * SECOND) == 99


def test_what_a_tick_has_shown_is_not_asked_for_twice(recorded, newest) -> None:
    recorded.ticks["EURUSD"] = CLOSES
    assert [newest(seconds * SECOND) for seconds in (5, 10, 15)] == [99, 99, 99]
    assert recorded.looks == ["EURUSD"]
    assert len(recorded.asked) == 4


def test_another_symbol_shows_that_the_terminal_goes_on(source, recorded, ours) -> None:
    """A quiet symbol's minute comes with the next cycle, without a question of its own.

    Red without `_shown`: it waits for two minutes, or for a tick.
    """
    del recorded.markets["GBPUSD", M1]
    recorded.markets["GBPUSD", M1] = minutes(FIRST, 100)
    recorded.now = CLOSES
    asks = [Ask(name, M1, 2, CLOSES + SECOND) for name in ("EURUSD", "GBPUSD")]
    ours[0] = SECOND
    source.expect(asks)
    given = [source.latest(it.symbol, M1, 2, it.now)[-1].time for it in asks]
    assert given == [CLOSES - MINUTE, CLOSES - 2 * MINUTE]
    ours[0] = 6 * SECOND
    candles = source.latest("GBPUSD", M1, 2, CLOSES + 6 * SECOND)
    assert candles[-1].time == CLOSES - MINUTE
    assert recorded.looks == []


def test_what_another_symbol_shows_at_the_same_time_comes_too_late(source, recorded, ours) -> None:
    """The quiet symbol's bars may have been read before it."""
    recorded.markets["GBPUSD", M1] = minutes(FIRST, 100)
    recorded.now = CLOSES
    ours[0] = 5 * SECOND
    asks = [Ask(name, M1, 2, CLOSES + 5 * SECOND) for name in ("EURUSD", "GBPUSD")]
    source.expect(asks)
    assert source.latest("GBPUSD", M1, 2, asks[1].now)[-1].time == CLOSES - 2 * MINUTE
    assert recorded.looks == ["GBPUSD"]


def test_the_last_bar_of_a_session_comes_when_its_price_has_stood_for_two_minutes(
    recorded, newest
) -> None:
    """No bar and no tick follows it until Monday. Red without `_quiet`; asked for once then."""
    recorded.ticks["EURUSD"] = CLOSES - SECOND
    assert [newest(seconds * SECOND) for seconds in (5, 60, 124)] == [98, 98, 98]
    assert newest(125 * SECOND) == 99
    assert recorded.looks == ["EURUSD"] * 4 + ["health"]
    assert newest(130 * SECOND) == 99
    assert len(recorded.looks) == 5


def test_a_terminal_that_lags_shows_other_prices_and_is_not_quiet(recorded, newest) -> None:
    """Minutes behind, it is alive, and the bar can change. Red when the tick's age alone counts."""
    for seconds in range(5, 600, 60):
        recorded.ticks["EURUSD"] = CLOSES - 20 * SECOND + seconds // 60 * SECOND
        assert newest(seconds * SECOND) == 98


@pytest.mark.parametrize("says", [False, None, CLOSE])
def test_only_a_connected_terminal_can_be_quiet(rogue, recorded, newest, says) -> None:
    """One that has lost its broker catches up later; one that says nothing is believed."""
    recorded.connected = says

    def answer(request):
        return CLOSE if says is CLOSE and request.path.endswith("/health") else recorded(request)

    rogue.answer(answer)
    newest(5 * SECOND)
    assert newest(300 * SECOND) == (99 if says is None else 98)


def test_whoever_comes_long_after_the_close_need_not_wait(recorded, newest) -> None:
    """A start at the weekend warms up on all of Friday."""
    assert newest(15 * MINUTE) == 99


@pytest.mark.parametrize("status", [400, 404, 500])
def test_without_any_tick_a_bar_is_given_in_the_end(recorded, newest, status) -> None:
    """A bridge that has no such call, or a terminal that cannot answer it now.

    Red when a tick refused is one that stands: a bar that is forming comes after two minutes.
    """
    recorded.refusing["EURUSD"] = reply({"detail": "no tick"}, status=status, bare=True)
    assert [newest(seconds * SECOND) for seconds in (5, 125, 300, 899)] == [98] * 4
    assert newest(900 * SECOND) == 99


def test_a_tick_refused_for_long_closes_no_later_bar(recorded, newest) -> None:
    """Red when the time without a tick is not counted from the close of each bar."""
    recorded.refusing["EURUSD"] = reply({"detail": "no tick"}, status=400, bare=True)
    assert newest(900 * SECOND) == 99
    recorded.now = CLOSES + 1000 * SECOND
    assert newest(1023 * SECOND) == 115
    recorded.refusing.clear()
    recorded.now = CLOSES + 1020 * SECOND
    assert newest(1025 * SECOND) == 116


def test_a_tick_refused_now_leaves_what_was_known_of_it(recorded, newest) -> None:
    recorded.ticks["EURUSD"] = CLOSES - SECOND
    assert newest(5 * SECOND) == 98
    recorded.refusing["EURUSD"] = reply({"detail": "busy"}, status=500, bare=True)
    assert newest(130 * SECOND) == 98
    recorded.refusing.clear()
    assert newest(135 * SECOND) == 99


def test_a_tick_from_the_future_shows_nothing(recorded, newest) -> None:
    """One wrong time, of any symbol. Red without `EARLY`: no bar is in doubt ever after."""
    recorded.ticks["GBPUSD"] = CLOSES + timedelta(days=200)
    assert newest(5 * SECOND, "GBPUSD") == 98
    recorded.ticks.clear()
    assert [newest(seconds * SECOND) for seconds in (5, 60)] == [98, 98]
    assert newest(60 * SECOND, "GBPUSD") == 98


def test_a_tick_that_cannot_be_had_now_says_nothing(rogue, recorded, newest) -> None:
    rogue.answer(lambda it: CLOSE if it.path.endswith("/tick") else recorded(it))
    assert [newest(seconds * SECOND) for seconds in (5, 125, 1000)] == [98, 98, 98]


def test_a_gap_ends_with_what_is_closed_too(source, recorded, ours) -> None:
    ours[0] = 30 * SECOND
    last, now = FIRST + 97 * MINUTE, CLOSES + 30 * SECOND
    assert [it.time for it in source.after("EURUSD", M1, last, now)] == [CLOSES - 2 * MINUTE]
    recorded.now = now
    assert [it.time for it in source.after("EURUSD", M1, last, now)][-1] == CLOSES - MINUTE


def test_unsettled_symbols_are_looked_at_once_for_all_their_timeframes(
    source, recorded, ours
) -> None:
    for name in ("EURUSD", "GBPUSD"):
        recorded.markets[name, M5] = minutes(FIRST, 120, M5)
    ours[0] = 5 * SECOND
    source.expect(
        [Ask(name, t, 2, CLOSES + 5 * SECOND) for name in ("EURUSD", "GBPUSD") for t in (M1, M5)]
    )
    assert sorted(recorded.looks) == ["EURUSD", "GBPUSD"]
