"""regime.*: each key against what the definition of the regime says of it."""

import numpy as np
import pytest
import talib

from app.events import IndicatorsCalculatedEvent, NewCandleEvent
from app.indicators.regime import HigherTimeframeBias

AT_ONCE = {"REGIME_PERSIST_BARS": "1"}


@pytest.fixture
def rows(simulated):
    """Return the minute rows of three simulated hours, after 3000 candles of history."""

    def calculated(**names):
        run = simulated(**{"MARKET_DATA_UNTIL": "2025-01-06T11:00Z", **names}).to_the_end()
        return [e.view["1"][-1] for e in run.of(IndicatorsCalculatedEvent) if e.timeframe == "1"]

    return calculated


def labels(rows):
    return [row.regime for row in rows]


def test_enabled(rows):
    """C8: off, no row has a label or a confidence."""
    off = rows(REGIME_ENABLED="false")
    assert {(row.regime, row["regime_confidence"]) for row in off} == {("warming_up", None)}
    on = rows(REGIME_ENABLED="true")
    assert "warming_up" not in labels(on)
    assert all(row["regime_confidence"] is not None for row in on)


@pytest.mark.parametrize("bars", [210, 230])
def test_warmup_bars(rows, bars):
    """C8: the first label comes with that many bars, history included."""
    found = labels(
        rows(REGIME_WARMUP_BARS=str(bars), SERVICES_INDICATOR_CALCULATION_HISTORY_BARS="200")
    )
    silent = bars - 200 - 1
    assert set(found[:silent]) == {"warming_up"}
    assert "warming_up" not in found[silent:]


@pytest.mark.parametrize("times", [2, 4])
def test_persist_bars(rows, times):
    """C8: a label is adopted when it came that often in a row."""
    raw = labels(rows(**AT_ONCE))
    adopted = labels(rows(REGIME_PERSIST_BARS=str(times)))
    assert raw != adopted
    label, expected = None, []
    for at in range(times - 1, len(raw)):
        if len(set(raw[at - times + 1 : at + 1])) == 1:
            label = raw[at]
        expected.append(label)
    known = expected.index(next(filter(None, expected)))
    assert adopted[times - 1 :][known:] == expected[known:]


@pytest.mark.parametrize("bars", [0, 3, 5])
def test_transition_bars(rows, bars):
    """C8: the bar of a change and those after it, so many in all, are a transition."""
    made = rows(REGIME_TRANSITION_BARS=str(bars), REGIME_PERSIST_BARS="2")
    changes = [at for at in range(1, len(made)) if made[at].regime != made[at - 1].regime]
    assert len(changes) > 3
    expected = {at + more for at in changes for more in range(bars)}
    begun = changes[0]
    found = {at for at in range(begun, len(made)) if made[at]["is_transition"]}
    assert found == {at for at in expected if at < len(made)}


def _expands(candles, window):
    """Return whether ranges expand, by the definition, over whole arrays."""
    high, low, close = (
        np.array([getattr(candle, name) for candle in candles]) for name in ("high", "low", "close")
    )
    ratio = talib.ATR(high, low, close, 14) / talib.ATR(high, low, close, 50)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    width = (upper - lower) / middle
    wide = [
        width[at] > np.quantile(width[at - window + 1 : at], 0.7)
        for at in range(len(width) - 120, len(width))
    ]
    return [bool(one) for one in (ratio[-120:] > 1.1) | np.array(wide)]


def test_threshold_window(simulated):
    """C8: a Bollinger width is wide by the widths of so many candles, itself included."""
    seen = []
    for window in (200, 20):
        run = simulated(**AT_ONCE, REGIME_THRESHOLD_WINDOW=str(window)).started()
        until = run.settings.market_data.until
        run.orchestrator.run()
        candles = run.parts.source.latest("EURUSD", "1", 3060, until)
        found = [e.view["1"][-1].regime for e in run.of(IndicatorsCalculatedEvent)]
        expanding = [label.endswith("expansion") for label in found]
        assert expanding == _expands(candles, window)[-len(found) :]
        seen.append(expanding)
    assert seen[0] != seen[1]


def test_higher_timeframe(simulated):
    """C8: its candles come too, and labels against its lean are neutral."""
    names = {"MARKET_DATA_UNTIL": "2025-01-06T14:00Z", **AT_ONCE}
    free = simulated(**names).to_the_end()
    run = simulated(**names, REGIME_HIGHER_TIMEFRAME="15").started()
    lean = HigherTimeframeBias()
    begin = run.parts.clock.now()
    for candle in run.parts.source.latest("EURUSD", "15", 3000, begin):
        lean.update(candle)
    run.orchestrator.run()
    for event in run.of(NewCandleEvent):
        if event.timeframe == "15":
            lean.update(event.candle)
    assert {str(e.timeframe) for e in free.of(NewCandleEvent)} == {"1"}
    expected = []
    for event in free.of(IndicatorsCalculatedEvent):
        row = event.view["1"][-1]
        direction, _, volatility = row.regime.partition("_")
        leaning = lean.at(row.candle.close_time)
        against = leaning not in (None, direction)
        expected.append(f"neutral_{volatility}" if against else row.regime)
    ours = [e for e in run.of(IndicatorsCalculatedEvent) if e.timeframe == "1"]
    assert [e.view["1"][-1].regime for e in ours] == expected
    assert expected != [e.view["1"][-1].regime for e in free.of(IndicatorsCalculatedEvent)]
