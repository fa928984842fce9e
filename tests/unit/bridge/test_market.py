"""Bars become ticks and bars again: the same market however it is looked at."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.simulated_market import SimulatedMarket
from app.bridge.feeds import file_feeds, markets_of, simulated_feeds, symbol_of
from app.bridge.market import Market
from app.domain.aggregation import aggregate
from app.domain.broker_time import ServerTime, epoch_second
from app.domain.errors import ConfigurationError, UsageError
from app.domain.market import Timeframe
from tests.unit.bridge.scenes import MONDAY, HandDrawn

SERVER_TIME = ServerTime("NY+7")
START = datetime(2025, 1, 6, 8, tzinfo=UTC)
TIMEFRAMES = [Timeframe(name) for name in ("M1", "M5", "M15", "M30", "H1", "H4", "D1", "W1")]


def simulated(name="EURUSD", seed=11, server_time=SERVER_TIME, **options):
    feeds = simulated_feeds([name], seed, START)
    return markets_of(feeds, [symbol_of(name, **options)], server_time)[
        name + options.get("suffix", "")
    ]


def dug(market, timeframe, now, **span):
    digs = {name: value for name, value in span.items() if name != "until"}
    while market.dig(timeframe, now, **digs):
        pass
    return market.bars(timeframe, now, **span)


@pytest.mark.parametrize(
    ("bar", "path"),
    [
        ((1.1, 1.104, 1.098, 1.102), ["1.1", "1.098", "1.104", "1.102"]),
        ((1.102, 1.104, 1.098, 1.1), ["1.102", "1.104", "1.098", "1.1"]),
    ],
)
def test_a_bar_is_four_ticks_that_end_at_its_close(bar, path):
    market = Market(symbol_of("EURUSD"), HandDrawn(bar, spread=7), SERVER_TIME)
    ticks = list(market.ticks(MONDAY - timedelta(seconds=1), MONDAY + timedelta(minutes=1)))
    assert [tick.bid for tick in ticks] == [Decimal(price) for price in path]
    assert {tick.ask - tick.bid for tick in ticks} == {Decimal("0.00007")}
    assert [tick.continuous for tick in ticks] == [False, True, True, True]
    assert [(tick.time - MONDAY).seconds for tick in ticks] == [0, 15, 30, 45]


def test_a_price_is_confirmed_every_second_of_a_bar_and_no_longer():
    """I20: a price that has stopped moving is old, one that has not changed is not."""
    market = Market(symbol_of("EURUSD"), HandDrawn((1.1, 1.104, 1.098, 1.102)), SERVER_TIME)
    ages = [
        (now, (now - market.tick(now).time).total_seconds())
        for now in (MONDAY + timedelta(seconds=second) for second in (0, 7.5, 31, 59.9, 90))
    ]
    assert [age for _, age in ages] == pytest.approx([0, 0.5, 0, 0.9, 31])


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3 * 86_400), min_size=2, max_size=8))
def test_ticks_are_the_same_in_one_piece_and_in_many(seconds):
    """What a pending order meets does not depend on how often the bridge was asked."""
    market = simulated()
    friday = datetime(2025, 1, 10, 12, tzinfo=UTC)
    times = sorted(friday + timedelta(seconds=second) for second in seconds)
    whole = list(market.ticks(times[0], times[-1]))
    pieces = [list(market.ticks(a, b)) for a, b in pairwise(times)]
    assert [tick for piece in pieces for tick in piece] == whole
    assert len({tick.time for tick in whole}) == len(whole)


@pytest.mark.parametrize("timeframe", TIMEFRAMES, ids=lambda one: one.title_name)
def test_closed_bars_are_those_of_the_feed_and_the_last_one_forms(timeframe):
    market, now = simulated(), START + timedelta(minutes=7, seconds=50)
    bars = dug(market, timeframe, now, count=40)
    since = epoch_second(bars[0].time)
    feed = SimulatedMarket("EURUSD", 11, START - timedelta(weeks=60))
    made = aggregate(feed.bars(since, epoch_second(bars[-1].time)), timeframe, SERVER_TIME)
    assert [epoch_second(bar.time) for bar in bars[:-1]] == made.time.tolist()
    assert [bar.close for bar in bars[:-1]] == made.close.tolist()
    assert [bar.high for bar in bars[:-1]] == made.high.tolist()
    assert bars[-1].time == SERVER_TIME.candle_open(timeframe, now)
    assert Decimal(str(bars[-1].close)) == market.tick(now).bid


@pytest.mark.parametrize("timeframe", TIMEFRAMES[:5], ids=lambda one: one.title_name)
def test_a_forming_bar_becomes_the_closed_one(timeframe):
    market = simulated()
    opened = SERVER_TIME.candle_open(timeframe, START)
    last_moment = opened + timeframe.delta - timedelta(seconds=1)
    forming = dug(market, timeframe, last_moment, count=1)[-1]
    closed = dug(market, timeframe, opened + timeframe.delta, count=2)[0]
    assert forming == closed
    assert forming.time == opened


@pytest.mark.parametrize("timeframe", TIMEFRAMES[:6], ids=lambda one: one.title_name)
def test_three_thousand_bars_lie_before_the_start(timeframe):
    bars = dug(simulated(), timeframe, START, count=3001)
    assert len(bars) == 3001
    assert all(a.time < b.time for a, b in pairwise(bars))


def test_history_is_dug_for_in_short_stretches():
    """A deep question must not keep others waiting: eight weeks at a time."""
    market = simulated()
    digs = 0
    while market.dig(Timeframe("D1"), START, count=300):
        digs += 1
    assert digs == 8
    assert len(market.bars(Timeframe("D1"), START, count=300)) == 300


def test_bars_between_two_times_are_those_that_opened_there():
    market, now = simulated(), START + timedelta(minutes=30)
    since, until = START + timedelta(minutes=5), START + timedelta(minutes=9)
    bars = dug(market, Timeframe("M1"), now, since=since, until=until)
    assert [bar.time for bar in bars] == [since + timedelta(minutes=n) for n in range(5)]
    newest = dug(market, Timeframe("M1"), now, since=now - timedelta(minutes=1))
    assert [bar.time for bar in newest] == [now - timedelta(minutes=1), now]


def test_seeds_draw_the_daemons_own_market_whatever_the_suffix():
    plain, suffixed = simulated(), simulated(suffix="m")
    tick, other = plain.tick(START), suffixed.tick(START)
    assert (tick.bid, tick.ask) == (other.bid, other.ask)
    assert other.symbol == "EURUSDm"
    assert simulated(seed=12).tick(START).bid != tick.bid


def test_the_weekend_has_no_ticks_and_no_forming_bar():
    market = simulated()
    saturday = datetime(2025, 1, 11, 12, tzinfo=UTC)
    assert not market.is_open(saturday)
    assert not list(market.ticks(saturday, saturday + timedelta(hours=20)))
    last = dug(market, Timeframe("M1"), saturday, count=1)[-1]
    assert last.time == datetime(2025, 1, 10, 21, 59, tzinfo=UTC)
    crypto = simulated("BTCUSD")
    assert crypto.is_open(saturday)
    assert list(crypto.ticks(saturday, saturday + timedelta(minutes=1)))


def test_a_holiday_is_closed_and_leaves_a_gap():
    feeds = simulated_feeds(["EURUSD"], 11, START)
    market = markets_of(feeds, [symbol_of("EURUSD")], SERVER_TIME, [date(2025, 1, 20)])["EURUSD"]
    noon = datetime(2025, 1, 20, 12, tzinfo=UTC)
    assert not market.is_open(noon)
    assert market.is_open(noon + timedelta(days=1))
    days = dug(market, Timeframe("D1"), noon + timedelta(days=2), count=4)
    assert date(2025, 1, 20) not in [SERVER_TIME.day(bar.time) for bar in days]


def test_a_short_sunday_bar_comes_with_a_server_on_utc():
    market = simulated(server_time=ServerTime("UTC"))
    days = dug(market, Timeframe("D1"), datetime(2025, 1, 13, 12, tzinfo=UTC), count=3)
    assert [bar.time.weekday() for bar in days] == [4, 6, 0]
    assert days[1].tick_volume < days[0].tick_volume / 4


def test_bars_finer_than_the_recorded_ones_cannot_be_made(tmp_path):
    times = np.datetime64("2025-01-06T00:00") + np.arange(50) * np.timedelta64(5, "m")
    rows = "".join(f"{time},1.1,1.1,1.1,1.1\n" for time in times)
    path = tmp_path / "EURUSD_M5.csv"
    path.write_text("time,open,high,low,close\n" + rows)
    feeds = file_feeds(["EURUSD"], [path], SERVER_TIME)
    market = markets_of(feeds, [symbol_of("EURUSD")], SERVER_TIME)["EURUSD"]
    with pytest.raises(ConfigurationError, match="M1 candles cannot be made of M5"):
        market.dig(Timeframe("M1"), START)


def test_each_symbol_needs_a_file_of_its_own(tmp_path):
    paths = [tmp_path / "EURUSD.csv", tmp_path / "other.csv"]
    with pytest.raises(UsageError, match="GBPUSD in its name, found 0"):
        file_feeds(["GBPUSD"], paths, SERVER_TIME)
