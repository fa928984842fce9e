"""The regime against a plain reading of its definition, over whole series at once."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain.market import Candle, Timeframe
from app.domain.rows import REGIME_LABELS, WARMING_UP
from app.indicators.regime import HigherTimeframeBias, Reading, RegimeDetector, RegimeSettings

Floats = NDArray[np.float64]
M1 = Timeframe("1")
START = datetime(2025, 1, 6, tzinfo=UTC)


def market(seed: int, bars: int) -> list[Candle]:
    """Walk at random through calm, wild, rising and falling stretches."""
    dice = np.random.default_rng(seed)
    close = 100.0
    candles = []
    drift, size = 0.0, 0.02
    for at in range(bars):
        if at % 90 == 0:
            drift, size = dice.normal(0, 0.01), dice.choice([0.005, 0.02, 0.06])
        open_ = close
        close = float(open_ + drift + dice.normal(0, size))
        high = max(open_, close) + abs(dice.normal(0, size / 2))
        low = min(open_, close) - abs(dice.normal(0, size / 2))
        candles.append(candle(at, open_, float(high), float(low), close))
    return candles


def candle(at: int, *prices: float) -> Candle:
    opened = START + at * M1.delta
    return Candle("EURUSD", M1, opened, opened + M1.delta, *prices)


def averaged(line: Floats, period: int, weight: float) -> Floats:
    """Average recursively, seeded with the mean of the first `period` numbers."""
    result = np.full(len(line), np.nan)
    start = int(np.argmax(~np.isnan(line)))
    result[start + period - 1] = line[start : start + period].mean()
    for at in range(start + period, len(line)):
        result[at] = result[at - 1] + weight * (line[at] - result[at - 1])
    return result


def ema(line: Floats, period: int) -> Floats:
    return averaged(line, period, 2 / (period + 1))


def rma(line: Floats, period: int) -> Floats:
    return averaged(line, period, 1 / period)


def read(candles: list[Candle], settings_: RegimeSettings) -> list[Reading]:
    """Read the definition, in the order it is written in."""
    close, high, low = (
        np.array([getattr(one, name) for one in candles]) for name in ("close", "high", "low")
    )
    ema20, ema50, ema200 = (ema(close, period) for period in (20, 50, 200))
    change = np.concatenate(([np.nan], np.diff(close)))
    up, down = rma(np.maximum(change, 0), 14), rma(np.maximum(-change, 0), 14)
    rsi = 100 * up / (up + down)
    reach = np.full(len(close), np.nan)
    for at in range(1, len(close)):
        before = close[at - 1]
        reach[at] = max(high[at] - low[at], abs(high[at] - before), abs(low[at] - before))
    ratio = np.clip(rma(reach, 14) / rma(reach, 50), 0.5, 3)
    fast = ema(np.where(np.arange(len(close)) < 14, np.nan, close), 12)
    line = fast - ema(close, 26)
    histogram = line - ema(line, 9)
    widths: list[float] = []
    label, candidate, seen, changed_at = WARMING_UP, None, 0, -1000
    readings: list[Reading] = []
    for at in range(len(close)):
        expansion = False
        if at >= 19:
            last = close[at - 19 : at + 1]
            width = 4 * last.std() / last.mean()
            past = widths[max(0, len(widths) - (settings_.threshold_window - 1)) :]
            threshold = np.percentile(past, 70) if past else 0.04
            expansion = bool(ratio[at] > 1.1 or width > threshold)
            widths.append(width)
        if at < 199:
            readings.append((WARMING_UP, None, False))
            continue
        slope = np.sign(ema20[at] - ema20[at - 1])
        score = 2 if close[at] > ema50[at] else -2
        score += 3 if close[at] > ema200[at] else -3
        score += 2 if rsi[at] > 55 else -2 if rsi[at] < 45 else 0
        score += 1 if rsi[at] > 70 else -1 if rsi[at] < 30 else 0
        score += 2 if histogram[at] > 0 else -2
        score += slope
        direction = "bull" if score > 0 else "bear" if score < 0 else "neutral"
        new = f"{direction}_{'expansion' if expansion else 'contraction'}"
        seen = seen + 1 if new == candidate else 1
        candidate = new
        if new != label and seen >= settings_.persist_bars:
            label, changed_at = new, at
        if at + 1 < settings_.warmup_bars:
            readings.append((WARMING_UP, None, False))
            continue
        confidence = min(1.0, abs(score) / (5 + 3 + 2 + (1 if slope else 0)))
        readings.append((label, confidence, at - changed_at < settings_.transition_bars))
    return readings


def same(got: list[Reading], expected: list[Reading]) -> None:
    for at, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert (one[0], one[2]) == (other[0], other[2]), at
        assert one[1] == pytest.approx(other[1]), at


def detect(candles: list[Candle], settings_: RegimeSettings) -> list[Reading]:
    detector = RegimeDetector(settings_)
    return [detector.update(one) for one in candles]


@pytest.mark.parametrize("seed", range(6))
def test_labels_confidence_and_transitions_are_the_definitions(seed: int) -> None:
    candles = market(seed, 1500)
    got = detect(candles, RegimeSettings())
    same(got, read(candles, RegimeSettings()))
    assert len({label for label, _, _ in got}) >= 5


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    chosen=st.builds(
        RegimeSettings,
        warmup_bars=st.integers(1, 400),
        persist_bars=st.integers(1, 5),
        transition_bars=st.integers(1, 6),
        threshold_window=st.integers(1, 250),
    ),
)
def test_every_setting_acts_as_the_definition_says(seed: int, chosen: RegimeSettings) -> None:
    candles = market(seed, 500)
    same(detect(candles, chosen), read(candles, chosen))


def test_it_warms_up_until_enough_bars_were_seen() -> None:
    readings = detect(market(1, 520), RegimeSettings())
    assert all(reading == (WARMING_UP, None, False) for reading in readings[:499])
    assert all(label in REGIME_LABELS for label, _, _ in readings[499:])


def test_it_warms_up_until_every_input_is_there_however_short_the_setting() -> None:
    readings = detect(market(1, 220), RegimeSettings(warmup_bars=1, persist_bars=1))
    assert all(label == WARMING_UP for label, _, _ in readings[:199])
    assert all(label in REGIME_LABELS for label, _, _ in readings[199:])


def test_a_change_is_a_transition_for_three_bars() -> None:
    readings = detect(market(3, 1500), RegimeSettings())
    quiet = [
        at
        for at, (one, other) in enumerate(pairwise(readings), start=1)
        if at > 510
        and one[0] != other[0]
        and len({reading[0] for reading in readings[at : at + 4]}) == 1
    ]
    assert quiet
    for at in quiet:
        assert [reading[2] for reading in readings[at : at + 4]] == [True, True, True, False]


def test_a_market_that_never_moves_is_a_calm_bear_by_the_letter() -> None:
    """Not above its averages, no histogram above zero: 2 + 3 + 2 of 10, and no RSI to score."""
    readings = detect([candle(at, 1.0, 1.0, 1.0, 1.0) for at in range(510)], RegimeSettings())
    assert readings[-1] == ("bear_contraction", pytest.approx(0.7), False)


@pytest.mark.parametrize(("sign", "lean", "against"), [(1, "bull", "bear"), (-1, "bear", "bull")])
def test_a_label_against_the_higher_timeframes_lean_becomes_neutral(
    sign: int, lean: str, against: str
) -> None:
    bias = HigherTimeframeBias()
    for at in range(260):
        close = 100 + sign * at * at / 1000
        bias.update(candle(at, close, close, close, close))
    candles = [
        Candle(
            one.symbol,
            M1,
            one.time + 300 * M1.delta,
            one.close_time + 300 * M1.delta,
            one.open,
            one.high,
            one.low,
            one.close,
        )
        for one in market(2, 1500)
    ]
    assert bias.at(candles[0].close_time) == lean
    settings_ = RegimeSettings(persist_bars=1)
    biased, free = RegimeDetector(settings_, bias), RegimeDetector(settings_)
    labels = [(biased.update(one)[0], free.update(one)[0]) for one in candles]
    assert any(without.startswith(against) for _, without in labels)
    for with_lean, without in labels:
        assert with_lean == without.replace(against, "neutral")


def test_a_higher_timeframe_whose_signs_disagree_has_no_lean() -> None:
    bias = HigherTimeframeBias()
    for at in range(300):
        close = 100 + at * at / 1000 - max(0, at - 280)  # above its EMA200, but no longer rising
        bias.update(candle(at, close, close, close, close))
    assert bias.at(START + 270 * M1.delta) == "bull"
    assert bias.at(START + 300 * M1.delta) is None


@pytest.mark.parametrize(("bars", "remains"), [(500, 6.8e-3), (3000, 9.4e-14)])
def test_what_remains_of_the_seeds_error_in_ema200(bars: int, remains: float) -> None:
    """After n candles more, (199/201)^n of the seed's error: 0.7 % after 500, nothing after 3,000.

    The seed is the mean of the first 200 closes, so of a history of 500 candles 5 % is left.
    """
    close = np.array([one.close for one in market(4, 8000)])
    long = ema(close, 200)
    start = 8000 - 200 - bars
    short = ema(close[start:], 200)
    seed_error = short[199] - long[start + 199]
    assert abs(seed_error) > 1e-3
    left = (short[-1] - long[-1]) / seed_error
    assert left == pytest.approx((199 / 201) ** bars, abs=1e-10)
    assert left < remains + 1e-10
    assert abs((199 / 201) ** 300 - 0.05) < 1e-3
