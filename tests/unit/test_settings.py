"""Every configuration key: its default, the file, the environment, and what it refuses."""
# ruff: noqa: E501 - a row of a table stays on its line

import json
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.domain.errors import ConfigurationError
from app.setting_services import LoggingSettings
from app.setting_sources import leaves
from app.setting_values import Mode
from app.settings import Loaded, Settings, load, logging_from_environment

PROJECT = Path(__file__).parents[2]
LOGGERS = {"orchestrator": "DEBUG"}
SUNDAY = datetime(2025, 1, 5, 22, tzinfo=UTC)

# key, default, as in a file, what it means, as environment text, a bad text, what is expected
KEYS = [
    ("services.data_fetching.enabled", True, "false", False, "no", "maybe", "true or false"),
    ("services.data_fetching.fetch_interval", 5.0, "30", 30.0, "30", "0", "more than 0"),
    ("services.data_fetching.retry_attempts", 3, "0", 0, "0", "-1", "at least 0"),
    ("services.data_fetching.candle_index", 1, "2", 2, "2", "0", "the forming candle, which is never"),
    ("services.data_fetching.nbr_bars", 3, "10", 10, "10", "0", "at least 1"),
    ("services.data_fetching.hold_back", 3.0, "0.5", 0.5, "0.5", "-1", "at least 0"),
    ("services.data_fetching.max_failures", 5, "1", 1, "1", "0", "at least 1"),
    ("services.indicator_calculation.enabled", True, "false", False, "0", "2", "true or false"),
    ("services.indicator_calculation.recent_rows_limit", 6, "9", 9, "9", "1", "at least 2"),
    ("services.indicator_calculation.track_regime_changes", True, "false", False, "off", "x", "true"),
    ("services.indicator_calculation.history_bars", 3000, "0", 0, "0", "-1", "at least 0"),
    ("services.strategy_evaluation.enabled", True, "false", False, "False", "x", "true or false"),
    (
        "services.strategy_evaluation.evaluation_mode",
        "on_new_candle", "on_any_candle", "on_any_candle", "ON_ANY_CANDLE",
        "on_new_candel", "(did you mean 'on_new_candle'?)",
    ),
    ("services.strategy_evaluation.min_rows_required", 3, "1", 1, "1", "0", "at least 1"),
    ("services.strategy_evaluation.facts", "signals", "all", "all", "all", "none", "'signals' or 'all'"),
    ("services.trade_execution.enabled", True, "false", False, "false", "x", "true or false"),
    ("services.trade_execution.execution_mode", "immediate", "batch", "batch", "batch", "x", "'batch'"),
    ("services.trade_execution.positions_per_direction", 1, "2", 2, "2", "0", "at least 1"),
    ("event_bus.mode", "synchronous", "synchronous", "synchronous", "synchronous", "async", "synchr"),
    ("event_bus.event_history_limit", 1000, "0", 0, "0", "-1", "at least 0"),
    ("event_bus.log_all_events", False, "true", True, "1", "x", "true or false"),
    ("orchestrator.enable_auto_restart", True, "false", False, "false", "x", "true or false"),
    ("orchestrator.health_check_interval", 60.0, "5", 5.0, "5", "inf", "a finite number"),
    ("orchestrator.status_log_interval", 10, "1", 1, "1", "1.5", "a whole number"),
    ("orchestrator.cycle_budget", 60.0, "5", 5.0, "5", "0.5", "at least 1"),
    ("orchestrator.restart_backoff", 1.0, "0", 0.0, "0", "-1", "at least 0"),
    ("orchestrator.restart_budget", 5, "0", 0, "0", "x", "a whole number"),
    ("orchestrator.restart_window", 1800.0, "60", 60.0, "60", "nan", "a finite number"),
    ("logging.level", "INFO", "warning", "WARNING", "debug", "DEBGU", "(did you mean 'DEBUG'?)"),
    ("logging.format", "text", "json", "json", "JSON", "xml", "'text' or 'json'"),
    ("logging.correlation_ids", True, "false", False, "false", "x", "true or false"),
    ("logging.file_output", False, "true", True, "true", "x", "true or false"),
    ("logging.log_file", Path("logs/trading_system.log"), "a.log", Path("a.log"), "a.log", None, ""),
    ("logging.file_max_bytes", 10_000_000, "2048", 2048, "2048", "1", "at least 1024"),
    ("logging.file_backups", 5, "0", 0, "0", "-1", "at least 0"),
    ("logging.levels", {}, "{orchestrator: debug}", LOGGERS, "orchestrator=debug", "x", "NAME=value"),
    ("trading.symbol", "EURUSD", "US500.cash", "US500.cash", "US500.cash", "../orders", "a symbol"),
    ("trading.timeframes", ("1", "5", "15"), "[M5, 60]", ("5", "60"), "m5, H1", "5,M5", "once"),
    ("trading.symbols", (), "[A, b]", ("A", "b"), "A,b", "A,a", "each entry once"),
    ("trading.mode", "paper", "Monitor", "monitor", "MONITOR", "livee", "(did you mean 'live'?)"),
    ("trading.conf_folder", Path("conf"), "other", Path("other"), "other", None, ""),
    ("trading.pip_values", {}, "{XAUUSD: 100}", {"XAUUSD": 100}, "XAUUSD=100", "XAUUSD=0", "more than"),
    ("risk.daily_loss_limit", 1000, "500", 500, "500.0", "0", "more than 0 or 'disabled'"),
    ("risk.max_positions", 10, "2", 2, "2", "0", "at least 1"),
    ("risk.max_position_size", 1, "0.5", Decimal("0.5"), "0.5", "NaN", "a finite number"),
    ("risk.max_drawdown", "disabled", "2000", 2000, "2000", "-1", "more than 0 or 'disabled'"),
    ("risk.max_symbol_volume", None, "2.5", Decimal("2.5"), "2.5", "0", "more than 0"),
    ("risk.max_total_volume", None, "5", 5, "5", "inf", "a finite number"),
    ("risk.flatten_on_breach", False, "true", True, "true", "x", "true or false"),
    ("risk.cooldown", 0.0, "30", 30.0, "30", "-1", "at least 0"),
    ("risk.switch_file", Path("data/trading.switch"), "off", Path("off"), "off", None, ""),
    ("splitting.position_split", 1, "3", 3, "3", "0", "at least 1"),
    ("splitting.scaling_type", "equal", "pyramid_up", "pyramid_up", "PYRAMID_UP", "x", "'equal'"),
    ("splitting.entry_spacing", 0.1, "0", 0.0, "0", "-1", "at least 0"),
    ("splitting.risk_per_group", None, "2", 2.0, "2", "0", "more than 0"),
    ("splitting.symbols", {}, "{}", {}, None, "x", "a mapping"),
    ("restrictions.news_duration", 5.0, "0", 0.0, "0", "-5", "at least 0"),
    ("restrictions.market_close_duration", 15.0, "30", 30.0, "30", "x", "a number"),
    ("restrictions.default_close_time", None, *["23:40:00+03:00"] * 3, "25:00", "23:40:00+03:00"),
    ("restrictions.account_type", "swing", "daily", "daily", "Daily", "hedge", "'daily' or 'swing'"),
    ("api.base_url", None, "http://h:1/", "http://h:1", "http://h:1/", "ftp://me:secret@h", "http://"),
    ("api.timeout", 10.0, "3", 3.0, "3", "0", "more than 0"),
    ("api.concurrency", 8, "1", 1, "1", "0", "at least 1"),
    ("market_data.source", "auto", "simulated", "simulated", "SIMULATED", "fil", "mean 'file'?"),
    ("market_data.path", (), "[a.csv]", (Path("a.csv"),), "a.csv", "a.csv,a.csv", "each entry once"),
    ("market_data.speed", None, "0", 0.0, "0", "-1", "at least 0"),
    ("market_data.seed", 11, "1", 1, "1", "-1", "at least 0"),
    ("market_data.start", None, "2025-01-05T23:00:00+01:00", SUNDAY, "2025-01-05T22:00Z", "x", "a date"),
    ("market_data.until", None, "2025-01-05T22:00Z", SUNDAY, "2025-01-05T22:00Z", "2025-01-05T22:00", "off"),
    ("broker.server_timezone", None, "NY+7", "NY+7", "Europe/Athens", "Europe/Athen", "Europe/Athens'?"),
    ("broker.live_account", None, "12", 12, "12", "x", "a whole number"),
    ("broker.hedging", True, "false", False, "false", "x", "true or false"),
    ("broker.max_slippage", 20, "0", 0, "0", "-1", "at least 0"),
    ("broker.requests_per_minute", 120, "1", 1, "1", "0", "at least 1"),
    ("broker.max_quote_age", 60.0, "5", 5.0, "5", "0", "more than 0"),
    ("broker.lost_after", 300.0, "10", 10.0, "10", "9", "at least 10"),
    ("broker.order_time_to_live", 60.0, "1", 1.0, "1", "0", "at least 1"),
    ("broker.paper.balance", 10000, "1.5", Decimal("1.5"), "1.5", "0", "more than 0"),
    ("broker.paper.currency", "USD", "eur", "EUR", "eur", "$", "a currency code"),
    ("broker.paper.leverage", 100, "30", 30, "30", "0", "at least 1"),
    ("broker.paper.hedging", True, "false", False, "false", "x", "true or false"),
    ("broker.paper.spread_points", None, "0", 0.0, "0", "-1", "at least 0"),
    ("broker.paper.slippage_points", 1.0, "0", 0.0, "0", "-1", "at least 0"),
    ("broker.paper.commission_per_lot", Decimal("3.5"), "0", 0, "0", "-1", "at least 0"),
    ("broker.paper.stop_out_level", 50.0, "0", 0.0, "0", "-1", "at least 0"),
    (
        "broker.paper.conversion_rates",
        {}, "{GBP: 1.27}", {"GBP": Decimal("1.27")}, "GBP=1.27", "GBP=-1", "more than 0",
    ),
    ("journal.url", None, *["postgresql://u@h/d"] * 3, "mysql://me:secret@h/d", "postgresql://"),
    ("journal.folder", Path("data"), "other", Path("other"), "other", None, ""),
    ("journal.keep_days", 400, "31", 31, "31", "30", "at least 31"),
    ("regime.enabled", True, "false", False, "false", "x", "true or false"),
    ("regime.warmup_bars", 500, "1", 1, "1", "0", "at least 1"),
    ("regime.persist_bars", 2, "1", 1, "1", "0", "at least 1"),
    ("regime.transition_bars", 3, "0", 0, "0", "-1", "at least 0"),
    ("regime.threshold_window", 200, "50", 50, "50", "1", "at least 2"),
    ("regime.higher_timeframe", None, "H4", "240", "h4", "H5", "unknown timeframe 'H5'"),
    ("recording.enabled", False, "true", True, "true", "x", "true or false"),
    ("recording.folder", Path("data/recordings"), "other", Path("other"), "other", None, ""),
    ("recording.max_bytes", 10**9, "1000", 1000, "1000", "999", "at least 1000"),
]  # fmt: skip
NAMES = {leaf.key: leaf.names for leaf in leaves(Settings)}
BY_KEY = pytest.mark.parametrize("row", KEYS, ids=itemgetter(0))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path):
    """Write config/services.yaml (and .env) where they are found by themselves."""

    def write_files(yaml: str | None = None, dotenv: str | None = None) -> None:
        if yaml is not None:
            path = tmp_path / "config/services.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml, "utf-8")
        if dotenv is not None:
            (tmp_path / ".env").write_text(dotenv, "utf-8")

    return write_files


def value(loaded: Loaded, key: str) -> object:
    found: object = loaded.settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def nested(key: str, text: str) -> str:
    *sections, name = key.split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    return "\n".join([*lines, f"{'  ' * len(sections)}{name}: {text}"]) + "\n"


def refusal(environ: dict[str, str] | None = None, config: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(config, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_key_has_a_row_here():
    assert [row[0] for row in KEYS] == list(NAMES)


@BY_KEY
def test_the_default_holds_without_file_and_environment(row):
    """C1-C29, P17."""
    loaded = load(environ={})
    assert value(loaded, row[0]) == row[1]
    assert loaded.origins[row[0]] == "default"


@BY_KEY
def test_the_file_sets_the_key(row, write):
    """C1-C29, P11, S10: config/services.yaml is used when present."""
    key, _, text, meant, *_ = row
    write(nested(key, text))
    loaded = load(environ={})
    assert value(loaded, key) == meant
    line = key.count(".") + 1
    assert loaded.origins[key] == f"file config/services.yaml:{line}"


@pytest.mark.parametrize("row", [row for row in KEYS if row[4] is not None], ids=itemgetter(0))
def test_the_environment_sets_the_key_by_its_path_in_capitals_and_beats_the_file(row, write):
    """V7-V10, V13, P10."""
    key, _, in_file, meant, text, *_ = row
    name = key.replace(".", "_").upper()
    write(nested(key, in_file))
    loaded = load(environ={name: f" {text} "})
    expected = {"logging.level": "DEBUG", "broker.server_timezone": "Europe/Athens"}.get(key, meant)
    assert value(loaded, key) == expected
    assert loaded.origins[key] == f"environment {name}"
    write(dotenv=f"{name}={text}\n")
    assert load(environ={}).origins[key] == f".env {name}"
    assert value(load(environ={name: "  "}, dotenv=None), key) == meant, "empty means unset"


@pytest.mark.parametrize("row", [row for row in KEYS if row[5] is not None], ids=itemgetter(0))
def test_a_bad_environment_value_is_named_with_what_was_expected(row):
    """P9."""
    key, *_, bad, expected = row
    for name in NAMES[key]:
        message = refusal({name: bad})
        assert message.startswith(f"environment {name}: ")
        assert expected in message
        assert "secret" not in message


@BY_KEY
def test_a_bad_value_in_the_file_is_named_with_its_line(row, write):
    """P9."""
    key, *_, bad, _ = row
    write(nested(key, "[[1]]" if bad is None else f'"{bad}"'))
    message = refusal()
    assert message.startswith(f"config/services.yaml:{key.count('.') + 1} {key}")
    assert "secret" not in message


@pytest.mark.parametrize("quoted", ["services.data_fetching.fetch_interval", "risk.max_positions"])
def test_a_number_in_the_file_is_no_text(quoted, write):
    write(nested(quoted, '"5"'))
    assert "got '5', expected a " in refusal()


AMOUNTS = ["daily_loss_limit", "max_position_size", "max_drawdown", "max_symbol_volume"]


@pytest.mark.parametrize("key", [f"risk.{name}" for name in AMOUNTS])
def test_true_is_no_amount(key, write):
    write(nested(key, "true"))
    assert "got true, expected a number" in refusal()


@pytest.mark.parametrize("bad", ["-1", "nan", "inf", "off", "1e400000000000000000000"])
def test_a_loss_limit_that_limits_nothing_must_say_disabled(bad):
    """I13."""
    for name in ("DAILY_LOSS_LIMIT", "RISK_MAX_DRAWDOWN"):
        assert refusal({name: bad}).endswith("or 'disabled'")
    assert load(environ={"DAILY_LOSS_LIMIT": "Disabled"}).settings.risk.loss_limit is None
    assert load(environ={}).settings.risk.loss_limit == 1000
    assert load(environ={"RISK_MAX_DRAWDOWN": "2000"}).settings.risk.drawdown_limit == 2000
    assert load(environ={}).settings.risk.drawdown_limit is None


def test_a_misspelt_key_is_refused_with_file_line_and_the_nearest_name(write):
    """P9: unknown keys are refused with the nearest known name."""
    write("services:\n  data_fetching:\n    fetch_intervall: 5\n")
    assert refusal() == (
        "config/services.yaml:3 services.data_fetching.fetch_intervall: "
        "unknown key 'fetch_intervall' (did you mean 'fetch_interval'?)"
    )
    write("tradin:\n  symbol: X\n")
    assert "unknown key 'tradin' (did you mean 'trading'?)" in refusal()


def test_a_section_commented_out_line_by_line_is_empty(write):
    write("risk:\n#  max_positions: 3\nservices:\n  data_fetching:\n")
    assert load(environ={"RISK_MAX_POSITIONS": "4"}).settings.risk.max_positions == 4
    assert load(environ={}).settings == load(environ={}, dotenv=None).settings == Settings()


def test_a_section_that_is_no_mapping_is_refused_whatever_the_environment_says(write):
    write("risk: 5\n")
    expected = "config/services.yaml:1 risk: got 5, expected a mapping"
    assert refusal({"RISK_MAX_POSITIONS": "4"}).startswith(expected)


def test_settings_never_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().risk.max_positions = 3


def test_process_beats_dotenv_beats_file_beats_default(write):
    """V13."""
    write("risk:\n  max_positions: 2\n", "RISK_MAX_POSITIONS=3\n")
    environ = {"RISK_MAX_POSITIONS": "4"}
    assert load(environ=environ).settings.risk.max_positions == 4
    assert load(environ={}).settings.risk.max_positions == 3
    assert load(environ={}, dotenv=None).settings.risk.max_positions == 2


@pytest.mark.parametrize(
    ("names", "key", "texts", "meant"),
    [
        (("TRADING_SYMBOL", "SYMBOL"), "trading.symbol", ("A", "B"), "A"),
        (("TRADING_TIMEFRAMES", "TIMEFRAMES"), "trading.timeframes", ("5", "1,15"), ("5",)),
        (("TRADING_SYMBOLS", "SYMBOLS"), "trading.symbols", ("A", "B"), ("A",)),
        (("TRADE_MODE", "TRADING_MODE"), "trading.mode", ("monitor", "paper"), "monitor"),
        (("RISK_DAILY_LOSS_LIMIT", "DAILY_LOSS_LIMIT"), "risk.daily_loss_limit", ("5", "6"), 5),
    ],
)
def test_of_two_names_the_first_wins_wherever_it_stands(names, key, texts, meant, write):
    """V1-V6, V11, V12."""
    first, second = names
    write(dotenv=f"{first}={texts[0]}\n")
    loaded = load(environ={second: texts[1]})
    assert value(loaded, key) == meant
    assert loaded.origins[key] == f".env {first}"
    assert load(environ={first: "", second: texts[0]}, dotenv=None).settings != Settings()


def test_an_existing_dotenv_works_unchanged(write):
    """V14."""
    write(
        dotenv="\ufeff# my trading\nexport SYMBOL='GBPUSD'\nTIMEFRAMES=1,5,15\n"
        'API_BASE_URL="http://127.0.0.1:8000/api/"\nAPI_TIMEOUT=30\nCONF_FOLDER_PATH=./conf\n'
        "SYMBOLS=XAUUSD,GBPUSD\nDAILY_LOSS_LIMIT=250.5\nXAUUSD_PIP_VALUE=100\nTRADE_MODE=\n"
        "POSITION_SPLIT=2\nXAUUSD_POSITION_SPLIT=4\nXAUUSD_SCALING_TYPE=pyramid_down\n"
        "XAUUSD_ENTRY_SPACING=0.2\nXAUUSD_RISK_PER_GROUP=1\n"
        "TELEGRAM_TOKEN=abc\nDB_URL=x\nLOGGING_DIR=x\nTRADING_ACCOUNT=1\nBROKER_PASSWORD=p\n"
        "RISK_FREE_RATE=x\nLOGGING_FORMATTER=x\nAPI_BASE_URL_OLD=x\nBROKEN\n"
    )
    loaded = load(environ={})
    settings = loaded.settings
    assert settings.symbols == ("XAUUSD", "GBPUSD")
    assert settings.api.base_url == "http://127.0.0.1:8000/api"
    assert settings.risk.daily_loss_limit == Decimal("250.5")
    assert settings.trading.pip_value("XAUUSD") == 100
    assert settings.trading.pip_value("EURUSD") is None
    assert loaded.origins["trading.pip_values"] == ".env XAUUSD_PIP_VALUE"
    gold, pound = settings.splitting.of("XAUUSDm"), settings.splitting.of("GBPUSD")
    assert gold == pound
    gold = settings.splitting.of("XAUUSD")
    assert (gold.position_split, gold.scaling_type) == (4, "pyramid_down")
    assert (gold.entry_spacing, gold.risk_per_group) == (0.2, 1.0)
    assert (pound.position_split, pound.scaling_type, pound.risk_per_group) == (2, "equal", None)
    assert "{XAUUSD: {position_split: 4, scaling_type: pyramid_down" in loaded.show()


def test_names_for_one_symbol_find_symbols_with_small_letters_and_join_the_file(write):
    write("trading:\n  pip_values: {EURUSD: 10000, XAUUSDM: 10}\n")
    loaded = load(
        environ={"XAUUSDM_PIP_VALUE": "100", "SPLITTING_SYMBOLS_XAUUSDM_ENTRY_SPACING": "1"}
    )
    trading = loaded.settings.trading
    assert (trading.pip_value("XAUUSDm"), trading.pip_value("EURUSD")) == (100, 10000)
    assert loaded.settings.splitting.of("XAUUSDm").entry_spacing == 1
    assert loaded.origins["trading.pip_values"] == (
        "file config/services.yaml:2, environment XAUUSDM_PIP_VALUE"
    )


def test_a_bad_value_for_one_symbol_is_named():
    expected = "environment XAUUSD_PIP_VALUE: got '-1', expected more than 0"
    assert refusal({"XAUUSD_PIP_VALUE": "-1"}) == expected
    assert refusal({"XAUUSD_POSITION_SPLIT": "x"}).startswith("environment XAUUSD_POSITION_SPLIT: ")
    too_long = "X" * 33 + "_PIP_VALUE"
    assert refusal({too_long: "1"}).startswith(f"environment {too_long}: ")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RISK_DAILY_LOS_LIMIT", "RISK_DAILY_LOSS_LIMIT"),
        ("LOGGING_LVL", "LOGGING_LEVEL"),
        ("SERVICES_DATA_FETCHING_INTERVAL", "SERVICES_DATA_FETCHING_FETCH_INTERVAL"),
        ("TRADING_TIMEFRAME", "TRADING_TIMEFRAMES"),
        ("MARKET_DATA_SOURCES", "MARKET_DATA_SOURCE"),
    ],
)
def test_a_misspelt_name_of_ours_is_refused_with_the_nearest(name, meant, write):
    assert refusal({name: "1"}) == f"environment {name}: unknown name (did you mean '{meant}'?)"
    write(dotenv=f"{name}=1\n")
    assert refusal().startswith(f".env {name}: unknown name")


@pytest.mark.parametrize("name", ["RISK_APPETITE", "SYMBOLIC", "LOGGING_HOST", "API_KEY", "BROKER"])
def test_names_that_are_not_ours_are_ignored(name):
    """V14."""
    assert load(environ={name: "x"}).settings == Settings()


SYMBOL_LAYERS = {"file": "[C, D]", "dotenv": "C,D", "process": "C,D"}


@pytest.mark.parametrize("one", ["default", "file", "dotenv", "process"])
@pytest.mark.parametrize("several", ["default", "file", "dotenv", "process"])
def test_one_symbol_or_several_whichever_stands_higher(one, several, write):
    """V1, V5, V14: the list wins in the same layer."""
    file = ["trading:"]
    file += ["  symbol: A"] * (one == "file") + ["  symbols: [C, D]"] * (several == "file")
    dotenv = ["SYMBOL=A"] * (one == "dotenv") + ["SYMBOLS=C,D"] * (several == "dotenv")
    environ = {"TRADING_SYMBOL": "A"} if one == "process" else {}
    environ |= {"SYMBOLS": "C,D"} if several == "process" else {}
    write("\n".join(file), "\n".join(dotenv))
    loaded = load(environ=environ)
    layers = ["default", "file", "dotenv", "process"]
    lone = "EURUSD" if one == "default" else "A"
    listed = several != "default" and layers.index(several) >= layers.index(one)
    assert loaded.settings.symbols == (("C", "D") if listed else (lone,))
    if not listed and several != "default":
        assert loaded.origins["trading.symbols"].startswith("replaced by ")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TRADE_MODE": "live"}, "trading.mode is live but api.base_url is not set"),
        (
            {"MARKET_DATA_SOURCE": "bridge"},
            "market_data.source is bridge but api.base_url is not set",
        ),
        (
            {"MARKET_DATA_SOURCE": "file"},
            "market_data.source is file but market_data.path is not set",
        ),
        (
            {"TRADE_MODE": "live", "API_BASE_URL": "http://h", "MARKET_DATA_SOURCE": "simulated"},
            "trading.mode is live and market_data.source is simulated",
        ),
        (
            {"TRADE_MODE": "live", "API_BASE_URL": "http://h", "MARKET_DATA_PATH": "a.csv"},
            "trading.mode is live and market_data.path is set",
        ),
        (
            {"SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED": "7"},
            "services.strategy_evaluation.min_rows_required is 7, expected at most "
            "services.indicator_calculation.recent_rows_limit, which is 6",
        ),
        (
            {"MARKET_DATA_START": "2025-01-02", "MARKET_DATA_UNTIL": "2025-01-02"},
            "market_data.until (--to) is 2025-01-02T00:00:00+00:00, expected a time after",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(environ, said):
    """X1, X2: live is only ever explicit and whole."""
    assert refusal(environ).startswith(said)


def test_live_is_what_was_asked_for_and_can_be_pinned():
    """X1, X2, V3, V4: TRADE_MODE=live, LIVE_ACCOUNT."""
    environ = {"TRADE_MODE": "LIVE", "API_BASE_URL": "https://h/mt5/", "LIVE_ACCOUNT": "42"}
    settings = load(environ=environ).settings
    assert settings.trading.mode is Mode.LIVE
    assert (settings.api.base_url, settings.broker.live_account) == ("https://h/mt5", 42)
    assert settings.uses_bridge


@pytest.mark.parametrize("spelt", ["live", "Live", '" LIVE "'])
def test_a_file_does_not_turn_on_live_trading(spelt, write):
    """X1, X2, V4: a file is copied and forgotten. Red when `load` does not ask where it stands."""
    where = {"API_BASE_URL": "http://h"}
    write(f"risk:\n  max_positions: 2\ntrading:\n  mode: {spelt}\n")
    assert refusal(where) == (
        "config/services.yaml:4 trading.mode: a file does not turn on live trading: "
        "expected TRADE_MODE=live in the environment"
    )
    Path("config/services.yaml").rename("mine.yaml")
    assert refusal(where, Path("mine.yaml")).startswith("mine.yaml:4 trading.mode: a file does not")
    assert refusal({**where, "TRADE_MODE": " "}, Path("mine.yaml")), "empty means unset"
    for name in ("TRADE_MODE", "TRADING_MODE"):
        asked = load(Path("mine.yaml"), {**where, name: "live"}).settings
        assert asked.trading.mode is Mode.LIVE
        asked = load(Path("mine.yaml"), {**where, name: "paper"}).settings
        assert asked.trading.mode is Mode.PAPER, "the environment beats the file"


def test_live_may_be_asked_for_in_dotenv(write):
    """V4: it is part of the environment."""
    write("trading:\n  mode: paper\n", "TRADE_MODE=live\nAPI_BASE_URL=http://h\n")
    assert load(environ={}).settings.trading.mode is Mode.LIVE
    assert load(environ={"TRADE_MODE": "monitor"}).settings.trading.mode is Mode.MONITOR


@pytest.mark.parametrize(
    ("environ", "uses"),
    [
        ({}, False),
        ({"API_BASE_URL": "http://h"}, True),
        ({"API_BASE_URL": "http://h", "MARKET_DATA_SOURCE": "bridge"}, True),
        ({"API_BASE_URL": "http://h", "MARKET_DATA_SOURCE": "simulated"}, False),
        ({"API_BASE_URL": "http://h", "MARKET_DATA_PATH": "a.csv"}, False),
        (
            {"API_BASE_URL": "http://h", "MARKET_DATA_PATH": "a.csv", "MARKET_DATA_SOURCE": "file"},
            False,
        ),
    ],
)
def test_an_address_alone_makes_the_market_that_of_the_bridge(environ, uses):
    """V3, V14: unless another market is named."""
    assert load(environ=environ).settings.uses_bridge is uses


@pytest.mark.parametrize(
    "bad",
    ["h", "http://", "http://h?token=1", "http://h#x", "http://h:99999", "http://a b", "http://["],
)
def test_an_address_must_be_one(bad):
    assert "expected an address such as http://127.0.0.1:8000" in refusal({"API_BASE_URL": bad})


@pytest.mark.parametrize("name", ["API_BASE_URL", "JOURNAL_URL"])
@pytest.mark.parametrize("bad", ["xx://me:pa/ss@h:x", "me:pass@h", "ftp://me:p@ss@h"])
def test_a_refused_address_does_not_tell_its_credentials(name, bad):
    """I27."""
    message = refusal({name: bad})
    assert "***@h" in message
    assert "ss" not in message.replace("expected an address", "")


@pytest.mark.parametrize(
    "good", ["postgresql://h/d", "postgresql+psycopg://u@h/d", "sqlite:///a.db"]
)
def test_a_journal_is_in_postgresql_or_a_file(good):
    assert load(environ={"JOURNAL_URL": good}).settings.journal.url == good
    for bad in ("journal.db", "postgresql", "postgresql://", "http://h/d"):
        assert "such as postgresql://user@host/database" in refusal({"JOURNAL_URL": bad})


@hypothesis_settings(max_examples=150)
@given(
    name=st.sampled_from(sorted({n for names in NAMES.values() for n in names} | {"X_PIP_VALUE"})),
    text=st.text(max_size=12) | st.from_regex(r"[-+]?[0-9.,e=:/A-Z]{1,12}", fullmatch=True),
)
def test_whatever_a_variable_holds_is_taken_or_refused_in_one_line(name, text):
    try:
        outcome = load(environ={name: text}, dotenv=None).show().splitlines()
    except ConfigurationError as error:
        outcome = str(error).splitlines()
    assert len(outcome) in {1, len(KEYS)}


@hypothesis_settings(max_examples=80)
@given(
    key=st.sampled_from(list(NAMES)),
    held=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=4,
    ),
)
def test_whatever_a_key_holds_is_taken_or_refused_in_one_line(key, held, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "services.yaml"
    path.write_text(nested(key, json.dumps(held)), "utf-8")
    try:
        outcome = load(path, {}, None).show().splitlines()
    except ConfigurationError as error:
        outcome = str(error).splitlines()
    assert len(outcome) in {1, len(KEYS)}


@pytest.mark.parametrize("bad", ["EUR USD", "a" * 33, "/etc", "", "-X"])
def test_a_symbol_cannot_leave_its_folder(bad, write):
    write(f'trading:\n  symbol: "{bad}"\n')
    assert "expected a symbol such as EURUSD" in refusal()


def test_a_symbol_of_digits_needs_no_quotes_and_true_is_none(write):
    write("trading:\n  symbol: 600519\n")
    assert load(environ={}).settings.symbols == ("600519",)
    write("trading:\n  symbol: true\n")
    assert "got true, expected text" in refusal()


@pytest.mark.parametrize(
    ("text", "said"),
    [("[]", "at least 1 item"), ("[1, M1]", "each timeframe once"), ("[true]", "a timeframe such as"),
     ("5", "a list"), ("[7]", "trading.timeframes[0]: unknown timeframe '7'")],
)  # fmt: skip
def test_timeframes_must_be_known_and_different(text, said, write):
    write(nested("trading.timeframes", text))
    assert said in refusal()


@pytest.mark.parametrize("bad", ["23:40", "23:40:00", "x"])
def test_a_close_time_needs_its_offset(bad):
    assert "its offset, such as 23:40:00+03:00" in refusal({"DEFAULT_CLOSE_TIME": bad})


def test_a_start_may_be_a_date_and_a_null_means_unset(write):
    write("market_data:\n  start: 2025-01-06\n  speed: null\nlogging:\n  levels:\n")
    data = load(environ={}).settings.market_data
    assert (data.start, data.speed) == (datetime(2025, 1, 6, tzinfo=UTC), None)
    write("market_data:\n  start: 5\n")
    assert "got 5, expected a date or a time such as" in refusal()


def test_a_given_file_must_exist_and_the_default_one_need_not(tmp_path):
    """S10, P17."""
    assert load(environ={}).file is None
    assert "other.yaml does not exist" in refusal(config=tmp_path / "other.yaml")
    (tmp_path / "mine.yaml").write_text("risk:\n  max_positions: 2\n")
    loaded = load(tmp_path / "mine.yaml", {})
    assert loaded.file == tmp_path / "mine.yaml"
    assert loaded.settings.risk.max_positions == 2


def test_a_dangling_default_file_is_not_silently_passed_over(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/services.yaml").symlink_to("nowhere")
    assert refusal().startswith("config/services.yaml does not exist")


def test_an_unreadable_dotenv_is_said(tmp_path):
    (tmp_path / ".env").write_bytes(b"SYMBOL=\xff")
    assert refusal() == ".env: expected UTF-8 text"
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    assert refusal() == ".env cannot be read: Is a directory"


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch):
    monkeypatch.setenv("TRADING_SYMBOL", "GBPUSD")
    monkeypatch.setenv("LOGGING_LEVEL", "WARNING")
    assert load().settings.symbols == ("GBPUSD",)
    assert load(environ={}).settings.symbols == ("EURUSD",)
    assert logging_from_environment().level == "WARNING"


def test_logging_starts_from_the_environment_alone(write):
    """X14."""
    write("logging:\n  level: ERROR\n", "LOGGING_FORMAT=json\n")
    first = logging_from_environment({"LOGGING_LEVEL": "DEBUG", "LOGGING_LEVELS": "a.B=ERROR"})
    assert (first.level, first.format, dict(first.levels)) == ("DEBUG", "json", {"a.B": "ERROR"})


def test_logging_starts_with_defaults_where_the_environment_is_wrong():
    """X14: the full load reports it."""
    assert logging_from_environment({"LOGGING_LEVEL": "LOUD"}) == LoggingSettings()


def test_the_effective_configuration_is_shown_with_origins_and_without_secrets(write):
    """V13, M17, M18, I27."""
    write("risk:\n  max_positions: 2\n", "SYMBOLS=A,B\n")
    environ = {
        "API_BASE_URL": "http://me:hunter2@h:1/",
        "JOURNAL_URL": "postgresql://me:hunter2@h/d?password=hunter2&connect_timeout=3",
        "LOGGING_LEVELS": "a=DEBUG",
    }
    loaded = load(environ=environ)
    shown = loaded.show().splitlines()
    assert len(shown) == len(loaded.origins) == len(KEYS)
    assert len({line.index("   # ") for line in shown}) == 1, "origins stand in one column"
    lines = {line.split(" = ")[0]: " ".join(line.split()) for line in shown}
    assert lines["risk.max_positions"] == ("risk.max_positions = 2 # file config/services.yaml:2")
    assert lines["trading.symbols"] == "trading.symbols = [A, B] # .env SYMBOLS"
    assert lines["api.base_url"] == "api.base_url = http://***@h:1 # environment API_BASE_URL"
    assert lines["journal.url"] == (
        "journal.url = postgresql://***@h/d?password=***&connect_timeout=3 # environment JOURNAL_URL"
    )
    assert lines["market_data.speed"] == "market_data.speed = unset # default"
    assert lines["logging.levels"] == "logging.levels = {a: DEBUG} # environment LOGGING_LEVELS"
    assert lines["trading.mode"] == "trading.mode = paper # default"
    assert "hunter2" not in loaded.show()
    assert loaded.settings.api.base_url == "http://me:hunter2@h:1"


GUIDE = """
services:
  data_fetching: {enabled: true, fetch_interval: 5, retry_attempts: 3, candle_index: 1, nbr_bars: 3}
  indicator_calculation: {enabled: true, recent_rows_limit: 6, track_regime_changes: true}
  strategy_evaluation: {enabled: true, evaluation_mode: "on_new_candle", min_rows_required: 3}
  trade_execution: {enabled: true, execution_mode: "immediate"}
event_bus: {mode: synchronous, event_history_limit: 1000, log_all_events: false}
orchestrator: {enable_auto_restart: true, health_check_interval: 60, status_log_interval: 10}
logging:
  level: INFO
  format: text
  correlation_ids: true
  file_output: false
  log_file: "logs/trading_system.log"
trading: {symbol: "EURUSD", timeframes: ["1", "5", "15"]}
risk: {daily_loss_limit: 1000.0, max_positions: 10, max_position_size: 1.0}
"""


def test_the_users_own_file_says_the_defaults(write):
    """C1-C29."""
    write(GUIDE)
    assert load(environ={}).settings == Settings()


def test_the_example_file_says_the_defaults():
    """S11, M4-M6."""
    loaded = load(PROJECT / "config/services.yaml.example", {})
    assert loaded.settings == Settings()
    written = [origin for origin in loaded.origins.values() if origin != "default"]
    assert len(written) > 75


def test_the_example_environment_says_the_defaults_and_names_every_name(tmp_path):
    """S12, V1-V10."""
    lines = (PROJECT / ".env.example").read_text("utf-8").splitlines()
    assert all(line.startswith("#") for line in lines if line)
    names = [line.removeprefix("# ") for line in lines if line.startswith("# ") and "=" in line]
    (tmp_path / ".env").write_text("\n".join(names), "utf-8")
    loaded = load(environ={})
    assert loaded.settings == Settings()
    listed = {name.partition("=")[0] for name in names}
    assert {name for names in NAMES.values() for name in names} <= listed
    assert names[0].startswith("SYMBOL=")


@pytest.mark.parametrize("line", ['SYMBOL="GBPUSD', "SYMBOL: GBPUSD", "export SYMBOL GBPUSD"])
def test_a_broken_line_of_ours_in_dotenv_is_refused(tmp_path, line):
    """V14: what cannot be read is never a silent default."""
    path = tmp_path / ".env"
    path.write_text(f"# mine\n{line}\nTRADE_MODE=monitor\n")
    with pytest.raises(ConfigurationError, match=r"\.env:2: expected SYMBOL=value"):
        load(environ={}, dotenv=path)


def test_a_broken_foreign_line_is_pointed_out_and_the_rest_holds(tmp_path, caplog):
    """V14: names that are not ours are ignored, but not without a word when they look like ours."""
    path = tmp_path / ".env"
    path.write_text("something else\nTRAD_MODE=live\nSYMBOL=GBPUSD\nDISPLAY=:0\n")
    loaded = load(environ={"TIMEFRAME": "5", "HOME": "/"}, dotenv=path)
    assert loaded.settings.symbols == ("GBPUSD",)
    assert set(loaded.warnings) == {
        f"{path}:1 is not read: expected NAME=value",
        "environment TIMEFRAME is not read (did you mean 'TIMEFRAMES'?)",
        f"{path} TRAD_MODE is not read (did you mean 'TRADE_MODE'?)",
    }
    assert not caplog.records


def test_a_named_file_is_what_is_played(tmp_path):
    """A path beside another source would be left out in silence."""
    environ = {"MARKET_DATA_PATH": "bars.csv"}
    assert load(environ=environ, dotenv=None).settings.market_data.path
    for source in ("simulated", "bridge"):
        names = {**environ, "MARKET_DATA_SOURCE": source, "API_BASE_URL": "http://localhost"}
        with pytest.raises(ConfigurationError, match=r"market_data\.path is set but"):
            load(environ=names, dotenv=None)
