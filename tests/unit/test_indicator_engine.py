"""From candles to rows."""

from datetime import UTC, datetime

import pytest

from app.domain.broker_time import ServerTime
from app.domain.market import Candle, Timeframe
from app.domain.rows import BASE_COLUMNS, WARMING_UP
from app.indicators.engine import IndicatorEngine
from app.indicators.faults import IndicatorError
from app.indicators.regime import HigherTimeframeBias, RegimeSettings
from app.indicators.registry import spec_of

M1, M5 = Timeframe("1"), Timeframe("5")
START = datetime(2025, 1, 6, tzinfo=UTC)


def rising(bars: int, timeframe: Timeframe = M1, step: float = 0.01) -> list[Candle]:
    """Rise faster and faster, so that the histogram of the MACD is above zero."""
    candles = []
    close = 100.0
    for at in range(bars):
        opened, before = START + at * timeframe.delta, close
        close += step * (1 + at / 50)
        high, low = max(before, close), min(before, close)
        candles.append(
            Candle(
                "EURUSD", timeframe, opened, opened + timeframe.delta, before, high, low, close, 7.0
            )
        )
    return candles


def test_a_row_starts_with_the_candle_and_then_has_the_indicators_in_the_files_order() -> None:
    specs = [spec_of("sma_2", {"period": 2}), spec_of("macd", {})]
    engine = IndicatorEngine("EURUSD", M1, specs)
    first, second = (engine.update(candle) for candle in rising(2))
    assert engine.columns.names() == (
        *(column.name for column in BASE_COLUMNS),
        *("sma_2", "macd", "macd_signal", "macd_hist"),
    )
    assert first["sma_2"] is None
    assert second["sma_2"] == pytest.approx((first.candle.close + second.candle.close) / 2)
    assert second.values[:6] == (
        START.timestamp() + 60,
        second.candle.open,
        second.candle.high,
        second.candle.low,
        second.candle.close,
        7.0,
    )


@pytest.mark.parametrize("timeframe", ["H4", "D1", "W1"])
def test_time_is_when_the_candle_opened_also_after_a_day_of_23_or_25_hours(timeframe: str) -> None:
    """On a market that never closes, each candle opens as the one before it closes."""
    frame, clock = Timeframe(timeframe), ServerTime("NY+7")
    engine = IndicatorEngine("BTCUSD", frame, [])
    opened = clock.candle_open(frame, datetime(2024, 3, 1, tzinfo=UTC))
    while opened < datetime(2024, 12, 1, tzinfo=UTC):
        closed = clock.candle_close(frame, opened)
        row = engine.update(Candle("BTCUSD", frame, opened, closed, 1.0, 1.0, 1.0, 1.0))
        assert row["time"] == opened.timestamp()
        opened = closed


def test_without_a_regime_the_row_says_warming_up_and_no_confidence() -> None:
    row = IndicatorEngine("EURUSD", M1, []).update(rising(1)[0])
    assert (row.regime, row["regime_confidence"], row["is_transition"]) == (WARMING_UP, None, False)


def test_history_taken_in_counts_for_indicators_kinds_and_regime() -> None:
    specs = [spec_of("ema_20", {"period": 20}), spec_of("w", {"kind": "willr"})]
    candles = rising(301)
    engine = IndicatorEngine("EURUSD", M1, specs, RegimeSettings(warmup_bars=300))
    engine.warm_up(candles[:-1])
    row = engine.update(candles[-1])
    assert row["ema_20"] is not None
    assert row["w_willr_14"] == pytest.approx(0.0)
    assert row.regime.startswith("bull_")


def test_a_higher_timeframe_s_lean_turns_a_label_against_it_neutral() -> None:
    lean = HigherTimeframeBias()
    slow = IndicatorEngine("EURUSD", M5, [], leads=lean)
    falling = rising(260, M5, step=-0.01)
    slow.warm_up(falling[:-1])
    slow.update(falling[-1])
    settings = RegimeSettings(warmup_bars=300)
    biased = IndicatorEngine("EURUSD", M1, [], settings, bias=lean)
    free = IndicatorEngine("EURUSD", M1, [], settings)
    for candle in rising(1300):
        with_lean, without = biased.update(candle).regime, free.update(candle).regime
    assert without.startswith("bull_")
    assert with_lean == without.replace("bull", "neutral")


def test_a_lower_timeframe_s_history_is_read_with_the_lean_of_its_own_time() -> None:
    lean = HigherTimeframeBias()
    for candle in rising(260, M5, step=-0.01):
        lean.update(candle)
    first = next(at for at in range(260) if lean.at(START + at * M5.delta) is not None)
    assert lean.at(START + (first - 1) * M5.delta) is None
    assert lean.at(START + first * M5.delta) == "bear"
    assert lean.at(START + 10_000 * M5.delta) == "bear"
    assert first == 200  # the close of the 200th candle is the first with an EMA200


def test_two_columns_of_one_name_are_refused() -> None:
    specs = [spec_of("macd", {}), spec_of("macd_signal", {})]
    with pytest.raises(IndicatorError, match="column 'macd_signal' is given by 'macd' already"):
        IndicatorEngine("EURUSD", M1, specs)
