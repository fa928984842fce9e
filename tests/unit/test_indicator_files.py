"""The files in conf/indicators."""

import re
from pathlib import Path

import pytest

from app.adapters.indicator_files import load_indicators
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe
from app.indicators.registry import columns_of

M5 = Timeframe("5")


def write(conf: Path, name: str, text: str) -> Path:
    path = conf / "indicators" / "eurusd" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fault(conf: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_indicators(conf, "EURUSD", M5)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["eurusd_5.yaml", "eurusd_M5.yaml", "EURUSD_m5.yaml"])
def test_a_file_is_found_by_symbol_and_any_spelling_of_the_timeframe(
    tmp_path: Path, name: str
) -> None:
    """S13: `conf/indicators/<symbol lower>/<symbol lower>_<timeframe>.yaml`."""
    write(tmp_path, name, "ema_20: {period: 20}\nmacd:\nrsi:\n  period: 7\n")
    write(tmp_path, "eurusd_15.yaml", "sma: {}\n")
    specs = load_indicators(tmp_path, "EURUSD", M5)
    assert [spec.key for spec in specs] == ["ema_20", "macd", "rsi"]
    assert dict(specs[2].parameters) == {"period": 7, "signal_period": 14}
    assert columns_of(specs).index("ema_20") == 9


def test_no_folder_no_file_and_an_empty_file_mean_no_indicators(tmp_path: Path) -> None:
    assert load_indicators(tmp_path, "EURUSD", M5) == ()
    write(tmp_path, "eurusd_15.yaml", "sma: {}\n")
    assert load_indicators(tmp_path, "EURUSD", M5) == ()
    write(tmp_path, "eurusd_5.yaml", "# nothing yet\n")
    assert load_indicators(tmp_path, "EURUSD", M5) == ()


def test_what_is_no_yaml_file_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", "buy low")
    write(tmp_path, ".eurusd_5.yaml", "what an editor left")
    assert load_indicators(tmp_path, "EURUSD", M5) == ()


def test_two_files_for_one_timeframe_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "eurusd_5.yaml", "sma: {}\n")
    write(tmp_path, "eurusd_M5.yaml", "sma: {}\n")
    assert re.search(r"eurusd_5\.yaml and eurusd_M5\.yaml are both for EURUSD 5", fault(tmp_path))


@pytest.mark.parametrize("name", ["eurus_5.yaml", "eurusd_5.yml", "eurusd.yaml"])
def test_a_file_that_would_never_be_read_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, "sma: {}\n")
    assert fault(tmp_path).startswith(f"{path}: expected a name such as eurusd_5.yaml")


def test_a_file_for_no_timeframe_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "eurusd_7.yaml", "sma: {}\n")
    assert fault(tmp_path).startswith(f"{path}: unknown timeframe '7'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sma: {}\nemma_20: {period: 20}\n", ":2 emma_20: unknown indicator 'emma' (did you mean"),
        ("ema_20:\n  perod: 20\n", ":2 ema_20.perod: ema has no parameter 'perod' (did you mean"),
        ("ema_20:\n  period: '20'\n", ":2 ema_20.period: '20': expected a whole number"),
        ("ema_20: 20\n", ":1 ema_20: expected {parameters}, such as {period: 20}"),
        ("x:\n  kind: wilr\n", ":2 x.kind: pandas-ta has no indicator 'wilr' (did you mean"),
        ("x:\n  kind: willr\n  lenght: 3\n", ":3 x.lenght: pandas-ta's willr has no parameter"),
        ("macd:\nmacd_signal:\n", ":2 macd_signal: column 'macd_signal' is given by 'macd'"),
    ],
)
def test_a_fault_is_said_with_file_line_and_nearest_name(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path, "eurusd_5.yaml", text)
    assert fault(tmp_path).startswith(f"{path}{message}")
