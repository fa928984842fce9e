"""What a configuration may ask for, and how a fault in it is said."""

import pytest

from app.domain.errors import ConfigurationError
from app.domain.rows import ColumnKind
from app.indicators.faults import IndicatorError
from app.indicators.registry import INDICATORS, columns_of, spec_of

SMOOTH = {"rsi_period": 14, "stochrsi_period": 14, "k_smooth": 3, "d_smooth": 3}


@pytest.mark.parametrize(
    ("key", "given", "columns"),
    [
        ("ema_20", {"period": 20}, "ema_20"),
        ("sma_slow", {}, "sma_slow"),
        ("rma", {}, "rma"),
        ("atr", {"window": 14}, "atr"),
        ("rsi_14", {}, "rsi_14 signal_rsi_14"),
        (
            "bb_20_2.5",
            {"num_std_dev": 2.5},
            "bb_20_2.5_upper bb_20_2.5_middle bb_20_2.5_lower bb_20_2.5_percent_b",
        ),
        ("keltner", {}, "keltner_upper keltner_middle keltner_lower keltner_percent_b"),
        ("macd", {}, "macd macd_signal macd_hist"),
        ("stochrsi", SMOOTH, "stochrsi_k stochrsi_d"),
        ("supertrend", {}, "supertrend trend_supertrend"),
        (
            "ichimoku",
            {},
            "ichimoku_tenkan ichimoku_kijun ichimoku_senkou_a ichimoku_senkou_b "
            "ichimoku_chikou ichimoku_cloud",
        ),
        ("adx_14", {}, "adx_14 adx_14_plus_di adx_14_minus_di"),
        ("aroon", {}, "aroon_up aroon_down"),
        ("sar", {"acceleration": 0.02, "max_acceleration": 0.2}, "sar"),
        ("obv", {}, "obv obv_ema"),
        ("ursi", {}, "ursi signal_ursi"),
        ("stoch", {}, "stoch_k stoch_d"),
    ],
)
def test_the_key_is_the_prefix_of_the_columns(
    key: str, given: dict[str, object], columns: str
) -> None:
    spec = spec_of(key, given)
    assert [column.name for column in spec.columns] == columns.split()
    assert not any(column.looks_ahead for column in spec.columns)
    assert [column.name for column in spec.columns if column.anchored] == (
        ["obv"] if key == "obv" else []
    )


def test_text_columns_list_their_words() -> None:
    columns = columns_of([spec_of("supertrend", {}), spec_of("ichimoku", {})])
    for name in ("trend_supertrend", "ichimoku_cloud"):
        assert columns[name].kind is ColumnKind.TEXT
        assert columns[name].words == ("bullish", "bearish")


def test_the_written_defaults_hold_and_given_parameters_override_them() -> None:
    assert dict(spec_of("macd", {"slow": 30}).parameters) == {"fast": 12, "slow": 30, "signal": 9}
    assert dict(spec_of("ursi", {}).parameters) == {
        "src": "close",
        "length": 14,
        "smooth_length": 14,
    }


@pytest.mark.parametrize(
    ("key", "given", "message", "loc"),
    [
        ("emma_20", {}, "unknown indicator 'emma' (did you mean 'ema'?)", ("emma_20",)),
        (
            "ema_20",
            {"perod": 20},
            "ema has no parameter 'perod' (did you mean 'period'?)",
            ("ema_20", "perod"),
        ),
        (
            "ema_20",
            {"period": "20"},
            "'20': expected a whole number from 1 to 100000",
            ("ema_20", "period"),
        ),
        ("ema_20", {"period": True}, "True: expected a whole number", ("ema_20", "period")),
        ("ema_20", {"period": None}, "None: expected a whole number", ("ema_20", "period")),
        ("ema_20", {"period": [20]}, "[20]: expected a whole number", ("ema_20", "period")),
        ("rsi", {"period": 1}, "1: expected a whole number from 2", ("rsi", "period")),
        ("ema", {"period": 14.5}, "14.5: expected a whole number", ("ema", "period")),
        (
            "bb",
            {"num_std_dev": 0},
            "0: expected a number above 0 up to 1000",
            ("bb", "num_std_dev"),
        ),
        ("bb", {"num_std_dev": float("nan")}, "nan: expected a number", ("bb", "num_std_dev")),
        ("bb", {"num_std_dev": "wide"}, "'wide': expected a number", ("bb", "num_std_dev")),
        ("ursi", {"src": "hl3"}, "'hl3': expected one of open, high", ("ursi", "src")),
        (
            "sar",
            {"acceleration": 0.02},
            "sar needs 'max_acceleration': a number above 0 up to 1",
            ("sar",),
        ),
        (
            "sar",
            {"acceleration": 0.3, "max_acceleration": 0.2},
            "acceleration 0.3 is not below max_acceleration 0.2",
            ("sar", "acceleration"),
        ),
        ("macd", {"fast": 26, "slow": 12}, "fast 26 is not below slow 12", ("macd", "fast")),
        ("ema 20", {}, "expected a name such as ema_20", ("ema 20",)),
        ("x", {"kind": 5}, "expected the name of a pandas-ta indicator", ("x", "kind")),
        ("x", {"kind": "hma", "length": [3]}, "expected a number, a word", ("x", "length")),
    ],
)
def test_a_fault_says_what_was_expected_and_where_it_stands(
    key: str, given: dict[str, object], message: str, loc: tuple[str, ...]
) -> None:
    with pytest.raises(IndicatorError) as caught:
        spec_of(key, given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.loc == loc
    assert isinstance(caught.value, ConfigurationError)


def test_a_column_every_row_has_cannot_be_given_again() -> None:
    spec = spec_of("is", {"kind": "hma"})
    assert [column.name for column in spec.columns] == ["is_hma_10"]
    twice = [spec_of("rsi", {}), spec_of("rsi", {})]
    with pytest.raises(IndicatorError, match="column 'rsi' is given by 'rsi' already"):
        columns_of(twice)


@pytest.mark.parametrize("base", [base for base in INDICATORS if base not in {"sar", "stochrsi"}])
def test_every_indicator_with_defaults_can_be_had_by_its_bare_name(base: str) -> None:
    assert spec_of(base, {}).key == base
