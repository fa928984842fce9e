"""Larger candles made of smaller ones: the same by any road, right at gaps."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.aggregation import Bars, aggregate, check_aggregates
from app.domain.broker_time import EPOCH, ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe

UTC_SERVER = ServerTime("UTC")
SERVERS = (UTC_SERVER, ServerTime("NY+7"), ServerTime("Europe/Athens"))
M1, M5, M15, H1, H4, D1, W1 = (Timeframe(n) for n in ("M1", "M5", "M15", "H1", "H4", "D1", "W1"))


def bars_at(times: list[int], numbers: np.random.Generator) -> Bars:
    middle = numbers.integers(100, 200, len(times)).astype(np.float64)
    reach = numbers.integers(0, 20, (2, len(times)))
    return Bars(
        time=np.array(times, np.int64),
        open=middle,
        high=middle + reach[0],
        low=middle - reach[1],
        close=middle + reach[0] - reach[0] // 2,
        volume=numbers.integers(0, 50, len(times)).astype(np.float64),
        spread=numbers.integers(0, 30, len(times)).astype(np.float64),
    )


def rows(bars: Bars) -> list[tuple[float, ...]]:
    return list(zip(bars.time.tolist(), *(c.tolist() for c in bars.columns()), strict=True))


def plainly(bars: Bars, timeframe: Timeframe, server: ServerTime) -> list[tuple[float, ...]]:
    """Aggregate as a person would, a bar at a time."""
    made: list[list[float]] = []
    for time, opened, high, low, close, volume, spread in rows(bars):
        opens = server.candle_open(timeframe, EPOCH + timedelta(seconds=time)).timestamp()
        if not made or made[-1][0] != opens:
            made.append([opens, opened, high, low, close, volume, spread])
            continue
        last = made[-1]
        last[2] = max(last[2], high)
        last[3] = min(last[3], low)
        last[4] = close
        last[5] += volume
        last[6] = max(last[6], spread)
    return [tuple(candle) for candle in made]


@st.composite
def minute_bars(draw: st.DrawFn) -> Bars:
    """Minutes with holes, around a change of daylight saving as often as not."""
    day = draw(
        st.sampled_from(
            (
                datetime(2024, 3, 9, tzinfo=UTC),
                datetime(2024, 10, 26, tzinfo=UTC),
                datetime(2024, 7, 3, tzinfo=UTC),
            )
        )
    )
    start = int(day.timestamp()) + 60 * draw(st.integers(0, 2880))
    steps = draw(st.lists(st.sampled_from((1, 1, 1, 1, 2, 7, 61, 500, 2900)), max_size=60))
    times = [start]
    for step in steps:
        times.append(times[-1] + 60 * step)
    return bars_at(times, np.random.default_rng(draw(st.integers(0, 99))))


@settings(max_examples=150)
@given(minute_bars(), st.sampled_from((M5, M15, H1, H4, D1, W1)), st.sampled_from(SERVERS))
def test_columns_aggregate_as_a_person_would(
    bars: Bars, timeframe: Timeframe, server: ServerTime
) -> None:
    assert rows(aggregate(bars, timeframe, server)) == plainly(bars, timeframe, server)


@settings(max_examples=150)
@given(
    minute_bars(),
    st.sampled_from(((M5, M15), (M15, H1), (M15, H4), (H1, H4), (H4, D1), (H1, W1), (D1, W1))),
    st.sampled_from(SERVERS),
)
def test_by_way_of_a_timeframe_between_is_the_same_as_directly(
    bars: Bars, way: tuple[Timeframe, Timeframe], server: ServerTime
) -> None:
    between, large = way
    in_two_steps = aggregate(aggregate(bars, between, server), large, server)
    assert rows(in_two_steps) == rows(aggregate(bars, large, server))


def test_a_missing_minute_moves_no_boundary() -> None:
    bars = bars_at([0, 60, 240, 360, 1500], np.random.default_rng(1))
    assert aggregate(bars, M5, UTC_SERVER).time.tolist() == [0, 300, 1500]


def test_no_bars_make_no_candles() -> None:
    nothing = bars_at([], np.random.default_rng(1))
    assert len(aggregate(nothing, M5, UTC_SERVER)) == 0


def test_between_takes_the_first_instant_and_leaves_the_last() -> None:
    bars = bars_at([0, 60, 120, 180], np.random.default_rng(1))
    assert bars.between(60, 180).time.tolist() == [60, 120]


def test_parts_join_in_order() -> None:
    bars = bars_at([0, 60, 120, 180], np.random.default_rng(1))
    parts = [bars.between(0, 60), bars.between(60, 60), bars.between(60, 999)]
    assert rows(Bars.joined(parts)) == rows(bars)
    assert Bars.joined([bars]) is bars


def test_candles_that_the_bars_cannot_make_are_refused() -> None:
    check_aggregates("EURUSD", M5, M15)
    for base, wanted in ((M5, M1), (Timeframe("M4"), Timeframe("M10"))):
        with pytest.raises(ConfigurationError, match=r"EURUSD: M1.* cannot be made of M"):
            check_aggregates("EURUSD", base, wanted)
