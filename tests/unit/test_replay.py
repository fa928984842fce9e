"""A market played again: when the next candle closes, where it begins and ends, what it keeps."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.clocks import ReplayClock
from app.adapters.replay import ReplaySource
from app.adapters.simulated_market import SimulatedMarket
from app.domain.aggregation import Bars
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe

UTC_SERVER = ServerTime("UTC")
M1, M5, M15, H4, D1 = (Timeframe(name) for name in ("M1", "M5", "M15", "H4", "D1"))
MONDAY = datetime(2024, 1, 8, tzinfo=UTC)


def minute(number: float) -> datetime:
    return MONDAY + timedelta(minutes=number)


class RecordedBars:
    """A feed of bars that open at these minutes after Monday; the price counts the bars."""

    def __init__(self, minutes: Sequence[int], timeframe: Timeframe = M1) -> None:
        self.timeframe = timeframe
        price = np.arange(1.0, len(minutes) + 1)
        time = np.array(minutes, np.int64) * 60 + int(MONDAY.timestamp())
        self._bars = Bars(time, price, price, price, price, price, price)
        self.opened = 0

    def open(self) -> None:
        self.opened += 1

    @property
    def first(self) -> int:
        return int(self._bars.time[0])

    @property
    def end(self) -> int | None:
        return int(self._bars.time[-1]) + self.timeframe.minutes * 60

    def bars(self, since: int, before: int) -> Bars:
        return self._bars.between(since, before)

    def report(self) -> Sequence[str]:
        return [f"{len(self._bars)} bars"]

    def warnings(self) -> Sequence[str]:
        return [f"{len(self.report())} warning"]


def playing(
    feeds: dict[str, RecordedBars] | RecordedBars,
    *timeframes: Timeframe,
    start: datetime | None = None,
    until: datetime | None = None,
    server: ServerTime = UTC_SERVER,
) -> ReplaySource:
    feeds = feeds if isinstance(feeds, dict) else {"EURUSD": feeds}
    asked = dict.fromkeys(feeds, timeframes or (M1,))
    source = ReplaySource("file", feeds, asked, server, start=start, until=until)
    source.open()
    return source


def closes(source: ReplaySource) -> list[float]:
    """Return every close from the start to the end, in minutes after Monday."""
    found = []
    now: datetime | None = source.start_time
    while now := source.next_close(now):
        found.append((now - MONDAY) / timedelta(minutes=1))
    return found


def test_it_closes_whatever_timeframe_closes_next() -> None:
    source = playing(RecordedBars([0, 1, 2, 6, 9]), M1, M5)
    assert closes(source) == [1, 2, 3, 5, 7, 10]
    assert closes(source) == [1, 2, 3, 5, 7, 10]


def test_the_candle_that_the_end_of_the_data_cuts_is_not_given() -> None:
    source = playing(RecordedBars([0, 1, 2, 3, 4, 5, 6]), M5)
    assert closes(source) == [5]
    assert len(source.latest("EURUSD", M5, 9, minute(999))) == 1


def test_a_missing_last_minute_closes_a_larger_candle_all_the_same() -> None:
    source = playing(RecordedBars([0, 1, 2, 3, 5]), M5)
    assert closes(source) == [5]


def test_symbols_of_different_spans_are_played_together_to_the_last() -> None:
    feeds = {"EURUSD": RecordedBars([0, 1, 2]), "GBPUSD": RecordedBars([2, 3, 20_000])}
    source = playing(feeds)
    assert source.start_time == MONDAY
    assert source.end_time == minute(20_001)
    assert closes(source) == [1, 2, 3, 4, 20_001]
    assert len(source.latest("EURUSD", M1, 9, minute(20_001))) == 3
    assert len(source.latest("GBPUSD", M1, 9, minute(1))) == 0


def test_what_lies_before_the_start_is_history_and_never_closes() -> None:
    source = playing(RecordedBars(range(20_000)), M1, M15, start=minute(15_000))
    assert source.start_time == minute(15_000)
    assert source.next_close(source.start_time) == minute(15_001)
    history = source.latest("EURUSD", M15, 900, source.start_time)
    assert [candle.open for candle in history] == [15.0 * n + 1 for n in range(100, 1000)]
    assert len(source.latest("EURUSD", M1, 99_999, source.start_time)) == 15_000
    assert len(source.after("EURUSD", M1, minute(499), source.start_time)) == 14_500


def test_nothing_closes_after_until() -> None:
    source = playing(RecordedBars(range(100)), M1, M5, until=minute(12))
    assert closes(source)[-3:] == [10, 11, 12]
    assert source.end_time == minute(12)
    assert source.latest("EURUSD", M5, 1, minute(99))[0].close_time == minute(10)


def test_until_may_lie_beyond_the_data() -> None:
    source = playing(RecordedBars(range(10)), until=minute(999))
    assert source.end_time == minute(10)


@pytest.mark.parametrize(
    ("start", "until", "message"),
    [
        (minute(-1), None, "market_data.start (--from) 2024-01-07 23:59 UTC lies outside the data"),
        (minute(10), None, "expected a time in 2024-01-08 00:00 to 2024-01-08 00:10 UTC"),
        (
            minute(5),
            minute(5),
            "market_data.until (--to) 2024-01-08 00:05 UTC is not after the start",
        ),
        (None, minute(-9), "is not after the start, 2024-01-08 00:00 UTC"),
    ],
)
def test_limits_outside_the_data_are_refused_with_the_span(
    start: datetime | None, until: datetime | None, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        playing(RecordedBars(range(10)), start=start, until=until)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_endless_market_has_no_end_and_is_refused_only_too_early_a_start() -> None:
    feeds = {"EURUSD": SimulatedMarket("EURUSD", 7)}
    early = ReplaySource("simulated", feeds, {"EURUSD": (M1,)}, UTC_SERVER, start=MONDAY)
    with pytest.raises(ConfigurationError, match="to any later time UTC"):
        early.open()
    source = ReplaySource("simulated", feeds, {"EURUSD": (M1,)}, UTC_SERVER)
    source.open()
    assert source.end_time is None
    assert source.report()[-1].endswith("without end")


def test_a_timeframe_smaller_than_the_bars_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="EURUSD: M1 candles cannot be made of M5 bars"):
        playing(RecordedBars([0, 5, 10], M5), M1)


def test_slow_bars_are_played_too() -> None:
    """Blocks of days span years; the candles come out the same."""
    source = playing(RecordedBars(range(0, 1440 * 400, 1440), D1), D1, start=minute(1440 * 300))
    assert closes(source) == [1440.0 * day for day in range(301, 401)]
    assert len(source.latest("EURUSD", D1, 350, source.start_time)) == 300


def test_four_hours_stand_on_the_servers_midnight() -> None:
    source = playing(RecordedBars(range(1000)), H4, server=ServerTime("UTC+2"))
    assert closes(source) == [120, 360, 600, 840]


def test_months_without_bars_are_passed() -> None:
    source = playing(RecordedBars([0, 1, 500_000, 500_001]), M1)
    assert closes(source) == [1, 2, 500_001, 500_002]
    assert len(source.latest("EURUSD", M1, 9, minute(500_002))) == 4


def test_the_market_before_its_first_bar_is_empty() -> None:
    source = playing(RecordedBars(range(100)), start=minute(50))
    assert list(source.latest("EURUSD", M1, 5, minute(-60_000))) == []
    assert source.next_close(minute(-60_000)) == minute(1)
    assert list(source.after("EURUSD", M1, minute(-1), minute(-60_000))) == []


def test_it_holds_a_block_and_not_the_run() -> None:
    """Proves I26 for candles: memory does not grow with the bars."""
    source = playing(RecordedBars(range(60_000)))
    held = 0
    for now in range(0, 60_000, 10):
        source.latest("EURUSD", M1, 3, minute(now))
        held = max(held, len(source._series["EURUSD", M1]._candles))
    assert held <= 10_080 + 256


def test_each_candle_is_made_once() -> None:
    source = playing(RecordedBars(range(100)))
    one = source.latest("EURUSD", M1, 3, minute(50))
    other = source.latest("EURUSD", M1, 3, minute(51))
    assert one[1] is other[0]
    assert one[2] is other[1]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 45_000), min_size=1, max_size=60, unique=True).map(sorted),
    st.lists(st.tuples(st.integers(-100, 46_000), st.integers(0, 70)), max_size=12),
)
def test_any_question_at_any_time_is_answered_from_the_bars_alone(
    minutes: list[int], questions: list[tuple[int, int]]
) -> None:
    """Whatever was asked before, in whatever order of time."""
    source = playing(RecordedBars(minutes))
    for now, count in questions:
        past = [float(at + 1) for at, opened in enumerate(minutes) if opened + 1 <= now]
        given = source.latest("EURUSD", M1, count, minute(now))
        assert [candle.open for candle in given] == past[len(past) - min(count, len(past)) :]
        later = next((minute(opened + 1) for opened in minutes if opened + 1 > now), None)
        assert source.next_close(minute(now)) == later
        since = now - count * 300
        newer = [float(at + 1) for at, m in enumerate(minutes) if m > since and m + 1 <= now]
        after = source.after("EURUSD", M1, minute(since), minute(now))
        assert [candle.open for candle in after] == newer


def test_a_clock_takes_it_from_the_first_to_the_last_candle() -> None:
    source = playing(RecordedBars([0, 1, 2, 6, 3000]), M1, M5)
    clock = ReplayClock(source.next_close, source.start_time, 0, end=source.end_time)
    seen = []
    while clock.wait(5):
        seen.append((clock.now() - MONDAY) // timedelta(minutes=1))
    assert seen == [1, 2, 3, 5, 7, 10, 3001]


def test_it_reports_what_was_read_and_what_is_played() -> None:
    source = playing({"A": RecordedBars([0, 1]), "B": RecordedBars([0])}, start=minute(1))
    assert source.report() == [
        "2 bars",
        "1 bars",
        "Replay from 2024-01-08 00:01 UTC to 2024-01-08 00:02 UTC",
    ]
    assert source.warnings() == ["1 warning", "1 warning"]
