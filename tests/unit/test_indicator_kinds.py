"""Indicators of the pandas-ta library, by `kind:`."""

import math
import random
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from app.domain.market import Candle, Timeframe
from app.indicators.faults import IndicatorError
from app.indicators.kind_trial import KindCells, probe
from app.indicators.registry import IndicatorSpec, spec_of

M1 = Timeframe("1")
START = datetime(2025, 1, 6, tzinfo=UTC)


def market(bars: int) -> list[Candle]:
    dice = random.Random(11)
    candles = []
    close = 1.3
    for at in range(bars):
        open_ = close
        close += dice.gauss(0, 0.0005)
        high = max(open_, close) + 0.0001
        low = min(open_, close) - 0.0001
        opened = START + at * M1.delta
        volume = float(dice.randint(1, 99))
        candles.append(
            Candle("GBPUSD", M1, opened, opened + M1.delta, open_, high, low, close, volume)
        )
    return candles


def fault(key: str, given: dict[str, object]) -> IndicatorError:
    with pytest.raises(IndicatorError) as caught:
        spec_of(key, given)
    assert "\n" not in str(caught.value)
    return caught.value


def looking_ahead(spec: IndicatorSpec) -> list[str]:
    return [column.name for column in spec.columns if column.looks_ahead]


def test_columns_are_the_librarys_in_lower_case_behind_the_key() -> None:
    spec = spec_of("fast", {"kind": "bbands", "length": 10, "std": 1.5})
    assert [column.name for column in spec.columns] == [
        f"fast_bb{part}_10_1.5" for part in ("l", "m", "u", "b", "p")
    ]
    assert looking_ahead(spec) == []


def test_columns_that_look_ahead_are_marked() -> None:
    ichimoku = spec_of("cloud", {"kind": "ichimoku"})
    assert looking_ahead(ichimoku) == ["cloud_ics_26"]
    assert len(ichimoku.columns) == 5
    assert looking_ahead(spec_of("d", {"kind": "dpo"})) == ["d_dpo_20"]
    assert looking_ahead(spec_of("d", {"kind": "dpo", "centered": False})) == []
    deviation = spec_of("t", {"kind": "tos_stdevall"})
    assert looking_ahead(deviation) == [column.name for column in deviation.columns]


@pytest.mark.parametrize("kind", ["obv", "ad", "pvt", "nvi", "drawdown"])
def test_what_depends_on_where_history_begins_is_refused(kind: str) -> None:
    error = fault("x", {"kind": kind})
    assert "depends on where history begins" in str(error)
    assert error.loc == ("x", "kind")


@pytest.mark.parametrize(
    ("given", "message", "loc"),
    [
        ({"kind": "wilr"}, "pandas-ta has no indicator 'wilr' (did you mean 'willr'?)", "kind"),
        (
            {"kind": "willr", "lenght": 9},
            "no parameter 'lenght' (did you mean 'length'?)",
            "lenght",
        ),
        ({"kind": "willr", "offset": -3}, "no parameter 'offset'", "offset"),
        ({"kind": "willr", "length": -9}, "-9: expected a whole number above 0", "length"),
        ({"kind": "willr", "length": "9"}, "'9': expected a whole number above 0", "length"),
        ({"kind": "willr", "length": 9.5}, "9.5: expected a whole number above 0", "length"),
        ({"kind": "bbands", "std": True}, "True: expected a number", "std"),
        ({"kind": "dpo", "centered": 1}, "1: expected true or false", "centered"),
        ({"kind": "hl2", "length": 1}, "no parameter 'length': expected none", "length"),
        ({"kind": "mavp"}, "pandas-ta's mavp needs periods", "kind"),
        ({"kind": "mavp", "periods": 5}, "a series of prices, which a file cannot give", "periods"),
        ({"kind": "ma"}, "pandas-ta's ma gives no columns", "kind"),
        ({"kind": "vp"}, "pandas-ta's vp does not work with these parameters", "kind"),
    ],
)
def test_a_fault_says_what_was_expected(given: dict[str, object], message: str, loc: str) -> None:
    error = fault("x", given)
    assert message in str(error)
    assert error.loc == ("x", loc)


def test_zero_is_a_value_where_the_library_takes_it_for_one() -> None:
    assert spec_of("s", {"kind": "stdev", "ddof": 0}).columns


def test_values_over_the_window_are_those_of_all_history() -> None:
    spec = spec_of("r", {"kind": "rsi", "length": 5})
    candles = market(900)
    cells = spec.cells()
    assert isinstance(cells, KindCells)
    window = probe("rsi", (("length", 5),)).window
    assert 100 <= window <= 400
    assert cells(candles[0]) == (None,)
    closes = pd.Series([candle.close for candle in candles])
    change = closes.diff()
    up = change.clip(lower=0).ewm(alpha=1 / 5, adjust=False).mean()
    down = (-change.clip(upper=0)).ewm(alpha=1 / 5, adjust=False).mean()
    expected = 100 * up / (up + down)
    for candle in candles[1:800]:
        cells.take(candle)
    values = [cells(candle)[0] for candle in candles[800:]]
    assert values == pytest.approx(list(expected[800:]), abs=1e-9)


def test_taking_history_in_is_the_same_as_having_computed_it() -> None:
    spec = spec_of("w", {"kind": "willr"})
    computed, taken = spec.cells(), spec.cells()
    assert isinstance(taken, KindCells)
    candles = market(260)
    for candle in candles[:-1]:
        computed(candle)
        taken.take(candle)
    last = computed(candles[-1])
    assert taken(candles[-1]) == last
    high, low = (
        np.array([getattr(candle, name) for candle in candles[-14:]]) for name in ("high", "low")
    )
    place = (candles[-1].close - low.min()) / (high.max() - low.min())
    assert last == pytest.approx((100 * (place - 1),))


def test_a_division_by_a_width_of_zero_is_not_ready_rather_than_infinite() -> None:
    cells = spec_of("w", {"kind": "willr"}).cells()
    for at in range(30):
        opened = START + at * M1.delta
        flat = Candle("EURUSD", M1, opened, opened + M1.delta, 1.1, 1.1, 1.1, 1.1, 1.0)
        (value,) = cells(flat)
        assert value is None


def test_a_day_s_anchor_is_remembered_for_a_day() -> None:
    assert probe("vwap", ()).window >= 1440
    values = [spec_of("v", {"kind": "vwap"}).cells()(candle) for candle in market(1)]
    assert math.isfinite(values[0][0])  # type: ignore[arg-type]


def test_the_library_is_not_imported_before_a_kind_is_asked_for() -> None:
    code = (
        "import sys, app.indicators.registry as r; r.columns_of([r.spec_of('ema_20', {})]);"
        "assert 'pandas_ta_classic' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
