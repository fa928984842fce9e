"""Every mistake ends in one line that says what, where and what was expected. Nothing starts."""

import shutil
from pathlib import Path

import pytest

from app import assembly, settings
from app.domain.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
SERVICES = Path("config/services.yaml")
INDICATORS = Path("conf/indicators/eurusd/eurusd_1.yaml")
STRATEGY = Path("conf/strategies/eurusd/ema_cross.yaml")


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def edited(path, old, new):
    """Change a file of a copy of the shipped conf."""
    Path("conf").unlink()
    shutil.copytree(ROOT / "conf", "conf")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def bars(*lines):
    written(Path("bars.csv"), "\n".join(("time,open,high,low,close", *lines)) + "\n")


FILE = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": "bars.csv"}
CASES = {
    "misspelt key in the file": (
        lambda: written(SERVICES, "services:\n  data_fetching:\n    fetch_intervall: 5\n"),
        {},
        ["config/services.yaml:3", "fetch_intervall", "did you mean 'fetch_interval'?"],
    ),
    "bad value in the file": (
        lambda: written(SERVICES, "risk:\n  max_positions: many\n"),
        {},
        ["config/services.yaml:2", "many", "whole number"],
    ),
    "broken YAML": (
        lambda: written(SERVICES, "risk: {max_positions: 1\ntrading: x\n"),
        {},
        ["config/services.yaml:"],
    ),
    "misspelt name in the environment": (
        lambda: None,
        {"RISK_MAX_POSITION": "3"},
        ["environment RISK_MAX_POSITION", "did you mean 'RISK_MAX_POSITIONS'?"],
    ),
    "bad value in .env": (
        lambda: written(Path(".env"), "TRADE_MODE=papper\n"),
        {},
        [".env TRADE_MODE", "papper", "did you mean 'paper'?"],
    ),
    "misspelt column": (
        lambda: edited(STRATEGY, "value: ema_13", "value: ema_31"),
        {},
        ["ema_cross.yaml:", "ema_31", "did you mean 'ema_13'?"],
    ),
    "misspelt key in a strategy": (
        lambda: edited(STRATEGY, "max_duration", "max_durations"),
        {},
        ["ema_cross.yaml:", "max_durations", "did you mean 'max_duration'?"],
    ),
    "unknown indicator": (
        lambda: edited(INDICATORS, "rsi: {period: 14}", "rsj: {period: 14}"),
        {},
        ["eurusd_1.yaml:", "rsj", "did you mean 'rsi'?"],
    ),
    "unknown timeframe": (
        lambda: None,
        {"TRADING_TIMEFRAMES": "1,7"},
        ["environment TRADING_TIMEFRAMES", "7", "expected minutes such as 1, 5, 60"],
    ),
    "a symbol without strategies": (
        lambda: None,
        {"SYMBOL": "EURUSDD"},
        ["no strategies for EURUSDD", "did you mean 'eurusd'?"],
    ),
    "a symbol that is none": (lambda: None, {"SYMBOL": "EUR/USD"}, ["SYMBOL", "EUR/USD"]),
    "no conf folder": (
        lambda: None,
        {"CONF_FOLDER_PATH": "konf"},
        ["no strategies for EURUSD", "konf/strategies/eurusd"],
    ),
    "no data file": (lambda: None, FILE, ["bars.csv", "no such file"]),
    "a data file without a column": (
        lambda: written(Path("bars.csv"), "time,open,high,low,klose\n2025-01-06 10:00,1,1,1,1\n"),
        FILE,
        ["bars.csv:1", "no column 'close'", "did you mean 'klose'?"],
    ),
    "a data file without a good bar": (
        lambda: bars("2025-01-06 10:00,1,0.5,1,1", "2025-01-06 10:01,nan,1,1,1"),
        FILE,
        ["bars.csv", "no good bar", "high below low (line 2)", "not a finite price (line 3)"],
    ),
    "a data file with an unreadable time": (
        lambda: bars("2025-01-06 10:00,1,1,1,1", "yesterday,1,1,1,1"),
        FILE,
        ["bars.csv:3", "unreadable time 'yesterday'"],
    ),
    "live without a bridge": (lambda: None, {"TRADE_MODE": "live"}, ["live", "API_BASE_URL"]),
    "a file source without a file": (
        lambda: None,
        {"MARKET_DATA_SOURCE": "file"},
        ["market_data.path is not set", "MARKET_DATA_PATH"],
    ),
    "a log file that cannot be written": (
        lambda: written(Path("logs"), "not a folder"),
        {"LOGGING_FILE_OUTPUT": "true"},
        ["logging.log_file logs/trading_system.log"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_code_78(main_here, case):
    """P9, V14, S13: on the standard error, before any service is made."""
    spoil, names, said = CASES[case]
    spoil()
    ended = main_here(**names)
    assert ended.code == 78
    (line,) = ended.err.splitlines()
    assert line.startswith("error: ")
    for text in said:
        assert text in line
    assert "Creating EventBus" not in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_as_a_process_it_is_the_same(daemon, folder):
    """M7: no traceback, code 78, and the banner at most before it."""
    written(SERVICES, "risk:\n  max_positons: 4\n")
    ended = daemon.run(folder)
    assert ended.code == 78
    (line,) = ended.err.splitlines()
    assert "config/services.yaml:2" in line
    assert "did you mean 'max_positions'?" in line
    assert "Creating EventBus" not in ended.out


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["surplus"], ["--config"]], ids=lambda arguments: arguments[0]
)
def test_a_wrong_command_line_is_a_usage_error(main_here, arguments):
    """S7: code 64, and nothing starts."""
    ended = main_here(*arguments)
    assert ended.code == 64
    assert ended.out == ""
    assert arguments[0] in ended.err


def test_a_missing_file_named_on_the_command_line(main_here):
    """S10: what was asked for by name must be there."""
    ended = main_here("--config", "other.yaml")
    assert ended.code == 78
    assert "other.yaml" in ended.err


def test_a_decision_file_that_cannot_be_written(main_here):
    """S7: said before anything is traded."""
    ended = main_here("--decisions", "no/such/folder.jsonl")
    assert ended.code == 78
    assert "--decisions no/such/folder.jsonl" in ended.err
    assert "STARTING ALL SERVICES" not in ended.out


def test_a_file_of_no_traded_symbol_is_not_ignored(folder):
    """A second file beside the one symbol's would otherwise be left out in silence."""
    environ = {
        "TRADING_SYMBOL": "EURUSD",
        "MARKET_DATA_SOURCE": "file",
        "MARKET_DATA_PATH": "EURUSD_M1.csv,GBPUSD_M1.csv",
    }
    with pytest.raises(ConfigurationError, match=r"GBPUSD_M1\.csv is of no traded symbol: EURUSD"):
        assembly.connect(settings.load(environ=environ, dotenv=None).settings)
