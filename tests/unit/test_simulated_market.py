"""The simulated market: the same every time, wherever one starts, and worth watching."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.adapters.simulated_market import DEFAULT_START, HISTORY, SimulatedMarket
from app.domain.aggregation import Bars
from app.domain.broker_time import EPOCH
from app.domain.instruments import instrument

START = int(DEFAULT_START.timestamp())
DAY = 86_400
WEEK = 7 * DAY
NEW_YORK = ZoneInfo("America/New_York")


def same(one: Bars, other: Bars) -> bool:
    pairs = zip((one.time, *one.columns()), (other.time, *other.columns()), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def new_york(second: int) -> datetime:
    return (EPOCH + timedelta(seconds=second)).astimezone(NEW_YORK)


def test_the_same_seed_gives_the_same_bars_and_another_others() -> None:
    bars = SimulatedMarket("EURUSD", 7).bars(START, START + WEEK)
    assert same(bars, SimulatedMarket("EURUSD", 7).bars(START, START + WEEK))
    assert not same(bars, SimulatedMarket("EURUSD", 8).bars(START, START + WEEK))
    other = SimulatedMarket("GBPUSD", 7).bars(START, START + WEEK)
    assert not np.array_equal(np.diff(bars.close), np.diff(other.close))


def test_bars_do_not_depend_on_what_was_asked_before_nor_on_the_start() -> None:
    piecemeal = SimulatedMarket("EURUSD", 7)
    days = [piecemeal.bars(START + d * DAY, START + (d + 1) * DAY) for d in range(30)]
    started_later = SimulatedMarket("EURUSD", 7, DEFAULT_START + timedelta(days=50))
    at_once = started_later.bars(START, START + 30 * DAY)
    assert same(Bars.joined(days), at_once)


def test_more_weeks_than_are_remembered_come_out_the_same_again() -> None:
    market = SimulatedMarket("EURUSD", 7)
    before = market.bars(START, START + DAY)
    for week in range(1, 20):
        market.bars(START + week * WEEK, START + week * WEEK + DAY)
    assert same(market.bars(START, START + DAY), before)


@pytest.mark.parametrize("symbol", ["EURUSD", "USDJPY", "XAUUSD", "BTCUSD", "Nothing.known"])
def test_every_bar_is_possible(symbol: str) -> None:
    market = SimulatedMarket(symbol, 3)
    bars = market.bars(START - 5 * WEEK, START + 5 * WEEK)
    digits = instrument(symbol).digits
    assert len(bars) > 60_000
    assert (np.diff(bars.time) > 0).all()
    assert (bars.time % 60 == 0).all()
    assert (bars.low > 0).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert all(np.array_equal(prices, prices.round(digits)) for prices in bars.columns()[:4])
    assert (bars.volume >= 1).all()
    assert (bars.spread >= 1).all()


def test_currencies_rest_from_friday_to_sunday_17_00_new_york() -> None:
    """In winter and in summer, on the server of no one in particular."""
    for start in (datetime(2025, 1, 6, tzinfo=UTC), datetime(2025, 7, 7, tzinfo=UTC)):
        second = int(start.timestamp())
        times = SimulatedMarket("EURUSD", 7, start).bars(second, second + 2 * WEEK).time
        breaks = np.flatnonzero(np.diff(times) > 60)
        assert len(breaks) == 2
        for at in breaks.tolist():
            last, first = new_york(int(times[at])), new_york(int(times[at + 1]))
            assert (last.weekday(), last.hour, last.minute) == (4, 16, 59)
            assert (first.weekday(), first.hour, first.minute) == (6, 17, 0)


def test_the_weekend_has_a_gap_in_the_price() -> None:
    bars = SimulatedMarket("EURUSD", 7).bars(START, START + 10 * WEEK)
    jumps = np.abs(bars.open[1:] - bars.close[:-1])
    weekends = np.diff(bars.time) > 60
    assert (jumps[~weekends] == 0).all()
    assert np.median(jumps[weekends]) > 0.0002


def test_crypto_trades_through_the_weekend_and_through_daylight_saving() -> None:
    second = int(datetime(2025, 2, 20, tzinfo=UTC).timestamp())
    market = SimulatedMarket("BTCUSD", 7, datetime(2025, 2, 20, tzinfo=UTC))
    bars = market.bars(second, second + 5 * WEEK)
    assert len(bars) == 5 * 7 * 1440
    assert (bars.open[1:] == bars.close[:-1]).all()


def test_london_and_new_york_are_livelier_than_the_night_and_spreads_are_tighter() -> None:
    bars = SimulatedMarket("EURUSD", 7).bars(START, START + 4 * WEEK)
    hours = np.array([new_york(second).hour for second in bars.time.tolist()])
    night, day = (hours >= 17) & (hours < 20), (hours >= 8) & (hours < 12)
    ranges = bars.high - bars.low
    assert ranges[day].mean() > 1.5 * ranges[night].mean()
    assert bars.spread[day].mean() * 1.3 < bars.spread[night].mean()
    assert bars.volume[day].mean() > bars.volume[night].mean()
    rollover = hours == 17
    assert bars.spread[rollover].max() > 3 * bars.spread[day].mean()


def test_a_minute_of_eurusd_ranges_over_one_to_two_pips() -> None:
    bars = SimulatedMarket("EURUSD", 7).bars(START, START + 4 * WEEK)
    assert 1.0 < (bars.high - bars.low).mean() * 10_000 < 2.0


def test_a_stop_or_target_of_a_few_pips_is_met_within_the_hour_as_a_rule() -> None:
    bars = SimulatedMarket("EURUSD", 7).bars(START, START + 9 * 3600)
    minutes = []
    for at in range(0, 420, 10):
        up, down = bars.close[at] + 0.0009, bars.close[at] - 0.0006
        met = np.flatnonzero((bars.high[at + 1 :] >= up) | (bars.low[at + 1 :] <= down))
        minutes.append(met[0] + 1 if len(met) else 999)
    assert 5 < np.median(minutes) < 60


def test_calm_and_nervous_minutes_come_in_clusters() -> None:
    bars = SimulatedMarket("BTCUSD", 7).bars(START, START + 4 * WEEK)
    moves = np.abs(np.diff(np.log(bars.close)))
    assert np.corrcoef(moves[:-1], moves[1:])[0, 1] > 0.05


def test_trends_and_ranges_take_turns() -> None:
    """Efficiency (net over total movement) of two hours spreads wider than a random walk's."""
    bars = SimulatedMarket("EURUSD", 7).bars(START, START + 12 * WEEK)

    def quiet_and_trending(moves: np.ndarray) -> tuple[float, float]:
        pieces = moves[: len(moves) // 120 * 120].reshape(-1, 120)
        efficiency = np.abs(pieces.sum(axis=1)) / np.abs(pieces).sum(axis=1)
        return float((efficiency < 0.05).mean()), float((efficiency > 0.2).mean())

    moves = np.diff(np.log(bars.close))
    signs = np.random.default_rng(1).choice((-1, 1), len(moves))
    quiet, trending = quiet_and_trending(moves)
    quiet_by_chance, trending_by_chance = quiet_and_trending(moves * signs)
    assert trending > 1.3 * trending_by_chance
    assert quiet > quiet_by_chance * 0.9


def test_the_price_stays_sensible_for_years() -> None:
    closes = [
        SimulatedMarket("EURUSD", 7).bars(START + w * WEEK, START + w * WEEK + 3600).close[0]
        for w in range(-400, 2000, 60)
    ]
    assert min(closes) > 0.8
    assert max(closes) < 1.5


def test_thirteen_weeks_lie_before_the_start() -> None:
    market = SimulatedMarket("EURUSD", 7)
    assert START - HISTORY.total_seconds() - WEEK < market.first <= START - HISTORY.total_seconds()
    assert market.bars(market.first, market.first + 60).time.tolist() == [market.first]
    assert market.end is None


@pytest.mark.parametrize("symbol", ["USDBRL", "CHFJPY", "XAUEUR", "SOLUSDT", "US30"])
def test_any_symbol_trades_as_the_table_of_instruments_says(symbol: str) -> None:
    known = instrument(symbol)
    bars = SimulatedMarket(symbol, 7).bars(START - WEEK, START + WEEK)
    assert bars.close.mean() == pytest.approx(known.price, rel=0.5)
    assert np.median(bars.spread) == pytest.approx(known.spread, rel=0.3)
    assert (bars.close.round(known.digits) == bars.close).all()
    assert ((np.diff(bars.time) > 60).sum() == 0) == (known.kind == "crypto")


@pytest.mark.parametrize(
    ("symbol", "digest"),
    [
        ("EURUSD", "e1a223c5e02468d6"),
        ("GBPUSD", "89e35b78dea6f094"),
        ("USDJPY", "2833cef0ab74c95f"),
        ("XAUUSD", "fe7bea1cb5563b1c"),
        ("BTCUSD", "9f8c742d40c6967f"),
    ],
)
def test_the_default_market_stays_what_it_was(symbol: str, digest: str) -> None:
    """Byte for byte, so a run of an older version can be had again."""
    bars = SimulatedMarket(symbol, 11).bars(START - WEEK, START + WEEK)
    drawn = sha256(bars.time.tobytes())
    for column in bars.columns():
        drawn.update(column.tobytes())
    assert drawn.hexdigest()[:16] == digest


def test_it_says_what_it_is() -> None:
    assert SimulatedMarket("EURUSD", 7).report() == ["EURUSD: simulated M1 market, seed 7"]
    assert SimulatedMarket("EURUSD", 7).warnings() == ()
