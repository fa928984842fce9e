"""No key is inert: each one has a test that fails when the key is ignored (C1 to C29, V1 to V14).

The table names that test. What it shows is what the key promises, seen from outside: events,
orders, prices, log lines.
"""

import ast
from pathlib import Path

import pytest

from app.setting_sources import Leaf, leaves
from app.settings import Settings

TESTS = Path(__file__).parents[1]

SHOWN_BY = {
    "services.data_fetching": {
        "enabled": "test_orchestrator::test_any_service_can_be_left_out",
        "fetch_interval": "test_orchestrator::test_the_interval_is_market_time_between_cycles",
        "retry_attempts": "keys/test_live::test_retry_attempts",
        "candle_index": "test_orchestrator::test_candle_index_leaves_the_newest_out",
        "nbr_bars": "test_orchestrator::test_nbr_bars_is_how_many_are_asked_for",
        "hold_back": "keys/test_services::test_hold_back",
        "max_failures": "test_restart::test_fewer_failed_cycles_are_waited_out",
    },
    "services.indicator_calculation": {
        "enabled": "test_orchestrator::test_any_service_can_be_left_out",
        "recent_rows_limit": "test_orchestrator::test_recent_rows_limit_is_how_far_strategies_see",
        "track_regime_changes": "keys/test_services::test_track_regime_changes",
        "history_bars": "keys/test_services::test_history_bars",
    },
    "services.strategy_evaluation": {
        "enabled": "test_orchestrator::test_any_service_can_be_left_out",
        "evaluation_mode": "test_event_flow::test_evaluation_mode_says_which_candles_count",
        "min_rows_required": "test_orchestrator::test_min_rows_required_before_anything_is_decided",
        "facts": "keys/test_services::test_facts",
    },
    "services.trade_execution": {
        "enabled": "test_orchestrator::test_any_service_can_be_left_out",
        "execution_mode": "test_event_flow::test_execution_mode_says_when_signals_are_acted_on",
        "positions_per_direction": "keys/test_services::test_positions_per_direction",
    },
    "event_bus": {
        "mode": "keys/test_services::test_mode",
        "event_history_limit": "test_orchestrator::test_event_history_is_bounded",
        "log_all_events": "test_orchestrator::test_log_all_events_writes_each",
    },
    "orchestrator": {
        "enable_auto_restart": "test_restart::test_without_auto_restart_it_stays_ill",
        "health_check_interval": "test_orchestrator::test_health_is_checked_in_market_time",
        "cycle_budget": "test_supervision::test_a_cycle_that_hangs_ends_the_process",
        "status_log_interval": "test_orchestrator::test_status_is_logged_every_so_many_cycles",
        "restart_backoff": "test_restart::test_restarts_back_off",
        "restart_budget": "test_restart::test_when_the_budget_is_spent",
        "restart_window": "keys/test_services::test_restart_window",
    },
    "logging": {
        "level": "keys/test_logging::test_level",
        "format": "keys/test_logging::test_format",
        "correlation_ids": "test_console::test_lines_without_the_id_of_the_cycle",
        "file_output": "keys/test_logging::test_file_output",
        "log_file": "keys/test_logging::test_log_file",
        "file_max_bytes": "keys/test_logging::test_file_max_bytes",
        "file_backups": "keys/test_logging::test_file_backups",
        "levels": "test_console::test_one_service_louder_than_the_rest",
    },
    "trading": {
        "symbol": "test_console::test_debug_of_another_symbol",
        "timeframes": "keys/test_trading::test_timeframes",
        "symbols": "keys/test_trading::test_several_symbols",
        "mode": "test_event_flow::test_monitor_publishes_signals_and_sends_nothing",
        "conf_folder": "keys/test_trading::test_conf_folder",
        "pip_values": "keys/test_trading::test_pip_values",
    },
    "risk": {
        "daily_loss_limit": "keys/test_trading::test_daily_loss_limit",
        "max_positions": "keys/test_trading::test_max_positions",
        "max_position_size": "keys/test_trading::test_max_position_size",
        "max_drawdown": "keys/test_trading::test_max_drawdown",
        "max_symbol_volume": "keys/test_trading::test_max_symbol_volume",
        "max_total_volume": "keys/test_trading::test_max_total_volume",
        "flatten_on_breach": "keys/test_trading::test_flatten_on_breach",
        "cooldown": "keys/test_trading::test_cooldown",
        "switch_file": "keys/test_live::test_switch_file",
    },
    "splitting": {
        "position_split": "keys/test_trading::test_position_split",
        "scaling_type": "keys/test_trading::test_scaling_type",
        "entry_spacing": "keys/test_trading::test_entry_spacing",
        "risk_per_group": "keys/test_trading::test_risk_per_group",
        "symbols": "keys/test_trading::test_symbols_split_their_own_way",
    },
    "restrictions": {
        "news_duration": "keys/test_trading::test_news_duration",
        "market_close_duration": "keys/test_trading::test_market_close_duration",
        "default_close_time": "keys/test_trading::test_default_close_time",
        "account_type": "keys/test_trading::test_account_type",
    },
    "api": {
        "base_url": "keys/test_live::test_base_url",
        "timeout": "keys/test_live::test_timeout",
        "concurrency": "keys/test_live::test_concurrency",
    },
    "market_data": {
        "source": "keys/test_market::test_source",
        "path": "keys/test_market::test_path",
        "speed": "keys/test_market::test_speed",
        "seed": "keys/test_market::test_seed",
        "start": "keys/test_market::test_start",
        "until": "keys/test_market::test_until",
    },
    "broker": {
        "server_timezone": "keys/test_market::test_server_timezone",
        "live_account": "keys/test_live::test_live_account",
        "hedging": "keys/test_live::test_hedging",
        "max_slippage": "keys/test_live::test_max_slippage",
        "requests_per_minute": "keys/test_live::test_requests_per_minute",
        "max_quote_age": "keys/test_live::test_max_quote_age",
        "lost_after": "keys/test_live::test_lost_after",
        "order_time_to_live": "keys/test_live::test_order_time_to_live",
    },
    "broker.paper": {
        "balance": "keys/test_market::test_balance",
        "currency": "keys/test_market::test_currency",
        "leverage": "keys/test_market::test_leverage",
        "hedging": "keys/test_market::test_hedging",
        "spread_points": "keys/test_market::test_spread_points",
        "slippage_points": "keys/test_market::test_slippage_points",
        "commission_per_lot": "keys/test_market::test_commission_per_lot",
        "stop_out_level": "keys/test_market::test_stop_out_level",
        "conversion_rates": "keys/test_market::test_conversion_rates",
    },
    "journal": {
        "url": "keys/test_live::test_url",
        "folder": "keys/test_live::test_folder",
        "keep_days": "keys/test_live::test_keep_days",
    },
    "recording": {
        "enabled": "test_recording::test_it_is_recorded_when_asked_for_and_decides_the_same",
        "folder": "test_recording::test_the_folder_is_made_for_its_owner_alone",
        "max_bytes": "test_recording::test_at_its_size_the_recording_ends_and_trading_goes_on",
    },
    "regime": {
        "enabled": "keys/test_regime::test_enabled",
        "warmup_bars": "keys/test_regime::test_warmup_bars",
        "persist_bars": "keys/test_regime::test_persist_bars",
        "transition_bars": "keys/test_regime::test_transition_bars",
        "threshold_window": "keys/test_regime::test_threshold_window",
        "higher_timeframe": "keys/test_regime::test_higher_timeframe",
    },
}

KEYS = {leaf.key: leaf for leaf in leaves(Settings)}
TESTED = {
    f"{section}.{name}": test for section, keys in SHOWN_BY.items() for name, test in keys.items()
}


def test_every_key_has_one():
    """C1 to C29: a key that is added comes with its test."""
    assert TESTED.keys() == KEYS.keys()


@pytest.mark.parametrize("key", TESTED)
def test_it_exists_and_sets_the_key(key):
    """C1 to C29: the table cannot outlive the tests it names."""
    file, _, name = TESTED[key].partition("::")
    source = _source(TESTS / f"{file}.py", name)
    assert "assert" in source
    assert _names(KEYS[key], source), f"{name} never sets {key}"


def _names(leaf: Leaf, source: str) -> bool:
    """Say whether the source has an environment name of the key, or a pattern of them."""
    suffixes = [f"_{pattern.suffix}" for pattern in leaf.per_symbol]
    # A name may be put together from that of a service: f"SERVICES_{name.upper()}_ENABLED".
    composed = leaf.names[-1].startswith("SERVICES_") and f"}}_{leaf.path[-1].upper()}" in source
    return composed or any(name in source for name in (*leaf.names, *suffixes))


def _source(path: Path, name: str) -> str:
    """Return the one test of that name with its parameters."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    assert len(found) == 1, f"{path.name} has {len(found)} tests {name}"
    return "\n".join(ast.unparse(part) for part in (*found[0].decorator_list, found[0]))
