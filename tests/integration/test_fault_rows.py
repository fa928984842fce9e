"""The map of the faults: each row has tests that exist, or a reason why it has none."""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

LIVE = "integration/test_live_faults.py"
REPLY = f"{LIVE}::TestAReplyThatNeverCame"
REFUSED = f"{LIVE}::TestAReplyThatIsRefused"
TREATED = f"{LIVE}::TestWhatBrokersDoToOrders"
OWNED = f"{LIVE}::TestWhoseOrdersTheseAre"
MARKET = f"{LIVE}::TestMarketData"
RISK = f"{LIVE}::TestRisk"
KEPT = f"{LIVE}::TestTheJournal"
AWAY = "integration/test_live_trading.py::TestABridgeThatIsAway"
PROCESS = "integration/test_live_trading.py::TestTheProcess"
SUPERVISED = "integration/test_supervision.py"
FILE = "integration/test_journal_file.py"
WRITERS = "integration/test_journal_writers.py"
TRANSPORT = "unit/mt5/test_transport.py"
CODES = "unit/mt5/test_return_codes.py"
SOURCE = "unit/mt5/test_source.py"
FETCHING = "unit/test_data_fetching.py"
EXECUTION = "unit/test_trade_execution.py"
BUS = "unit/test_bus.py"
RESTART = "integration/test_restart.py"

ORDER_PATH = {
    "reply lost after execution": [
        f"{REPLY}::test_an_order_that_was_executed_is_found_within_two_looks",
        f"{REPLY}::test_an_exit_that_was_executed_is_known_to_be_done",
    ],
    "connection reset before execution": [
        f"{REPLY}::test_an_order_that_never_arrived_is_lost_once_that_is_proven",
        f"{REPLY}::test_an_exit_that_never_arrived_is_asked_for_again",
    ],
    "reply after the deadline": [
        f"{REPLY}::test_an_order_that_was_executed_is_found_within_two_looks",
        f"{TRANSPORT}::test_each_order_has_a_connection_of_its_own",
    ],
    "executed but invisible for minutes": [
        f"{REPLY}::test_an_order_that_no_list_shows_for_minutes_stays_in_doubt_and_counts",
        f"{REPLY}::test_an_order_that_appears_after_it_was_given_up_is_adopted_and_blocks",
    ],
    "headers or body dripped, or a body over 1 MiB": [
        f"{REPLY}::test_an_order_that_was_executed_is_found_within_two_looks",
        f"{TRANSPORT}::test_a_reply_is_cut_at_its_deadline_however_it_drips",
        f"{TRANSPORT}::test_a_reply_over_one_mebibyte_is_cut",
    ],
    "500, 502, 504, HTML after execution": [
        f"{REPLY}::test_an_order_that_was_executed_is_found_within_two_looks",
    ],
    "429 with any Retry-After": [
        f"{REFUSED}::test_too_many_requests_cost_no_order_whatever_pause_is_asked_for",
        f"{REFUSED}::test_an_order_that_was_throttled_is_no_order",
        "unit/mt5/test_client.py::test_any_pause_asked_for_is_short_or_none",
    ],
    "redirect, or HTTP_PROXY set": [
        f"{REPLY}::test_an_order_that_never_arrived_is_lost_once_that_is_proven",
        f"{REFUSED}::test_a_proxy_of_the_environment_is_not_used",
        f"{TRANSPORT}::test_redirects_are_not_followed",
        f"{TRANSPORT}::test_proxies_of_the_environment_are_not_used",
    ],
    "200 with null, or success with 10015": [
        f"{REPLY}::test_an_order_that_never_arrived_is_lost_once_that_is_proven",
        f"{REFUSED}::test_success_in_words_is_a_refusal_in_numbers",
    ],
    "every return code x ticket": [
        f"{REFUSED}::test_any_return_code_ends_in_the_truth",
        f"{REFUSED}::test_a_bridge_that_executes_what_it_calls_a_requote_is_found_out",
        f"{CODES}::test_every_code_of_the_specification_has_its_class",
        f"{CODES}::test_success_needs_a_ticket_and_an_error_needs_none",
    ],
    "requote storm": [
        f"{REFUSED}::test_a_storm_of_requotes_gets_two_attempts",
        f"{REFUSED}::test_one_requote_is_followed_by_the_order",
    ],
    "placed but never filled": [f"{TREATED}::test_an_order_that_is_never_filled_is_withdrawn"],
    "partial fill": [f"{TREATED}::test_of_a_partial_fill_the_deal_counts"],
    "market closed on an exit": [f"{REFUSED}::test_an_exit_waits_for_the_market_to_open"],
    "no money, autotrading off": [
        f"{REFUSED}::test_what_every_entry_would_meet_blocks_entries_with_its_reason",
        f"{REFUSED}::test_autotrading_that_is_off_is_seen_before_anything_is_sent",
    ],
    "stops too close": [f"{TREATED}::test_a_stop_that_is_too_close_is_not_even_sent"],
    "a position without its stop": [
        f"{TREATED}::test_a_position_without_its_stop_is_given_one_at_once",
        f"{TREATED}::test_a_position_that_cannot_be_given_its_stop_is_closed",
    ],
    "comment cut, stripped or changed": [
        f"{TREATED}::test_without_its_comment_an_order_is_known_by_its_ticket",
        f"{TREATED}::test_without_comment_and_ticket_it_is_known_as_the_only_one_it_can_be",
        f"{TREATED}::test_when_it_can_be_two_orders_it_stays_in_doubt_and_blocks",
    ],
    "reply belonging to another request": [
        f"{TREATED}::test_a_reply_to_another_order_makes_both_doubtful_until_they_are_found",
    ],
    "the bridge executes twice": [
        f"{TREATED}::test_an_order_that_is_executed_twice_blocks_entries",
    ],
    "same signal twice": [
        f"{OWNED}::test_the_same_signal_twice_is_one_order",
        f"{OWNED}::test_the_same_signal_after_a_restart_is_no_order_either",
    ],
    "an order of ours unknown to the journal": [
        f"{OWNED}::test_an_order_with_our_magic_that_the_journal_does_not_know_blocks_entries",
        f"{OWNED}::test_a_stranger_is_reported_and_left_alone",
        f"{OWNED}::test_a_position_closed_by_hand_is_noticed",
    ],
    "stop hit while our close is in flight": [
        f"{OWNED}::test_a_stop_that_is_hit_while_our_close_is_in_flight_ends_both",
    ],
    "netting: a close larger than the position": [
        f"{OWNED}::test_on_a_netting_account_a_close_never_turns_a_position_round",
    ],
}
CRASH_AND_STORAGE = {
    "kill -9 at every step": [
        "integration/test_kill_points.py"
        "::test_a_daemon_killed_at_any_call_doubles_and_loses_nothing",
        f"{PROCESS}::test_killed_and_started_again_it_goes_on",
        "integration/test_rehearsal.py"
        "::test_with_faults_and_kills_nothing_is_doubled_lost_or_left_in_doubt",
        f"{FILE}::test_a_journal_killed_while_it_writes_is_whole_at_the_next_start",
    ],
    "killed five times during recovery": [
        f"{KEPT}::test_an_order_in_doubt_outlives_five_starts",
    ],
    "disk full": [f"{FILE}::test_a_full_disk_ends_admission_and_loses_nothing"],
    "I/O error": [f"{FILE}::test_after_a_failed_write_nothing_is_admitted_any_more"],
    "read-only": [f"{FILE}::test_a_read_only_disk_is_named"],
    "corrupt": [f"{FILE}::test_a_damaged_journal_is_refused"],
    "deleted": [
        f"{FILE}::test_a_journal_that_is_taken_away_admits_nothing_more",
        f"{KEPT}::test_one_that_forgot_an_order_blocks_entries",
    ],
    "newer schema": [
        "unit/journal/test_schema.py::test_tables_of_a_newer_version_are_refused_and_left_alone",
    ],
    "busy": [f"{FILE}::test_a_busy_journal_is_given_up_after_a_while"],
    "restored from a backup": [f"{KEPT}::test_one_that_forgot_an_order_blocks_entries"],
    "log disk full, stdout closed": [
        f"{SUPERVISED}::TestOutputThatGoesAway::test_a_log_disk_that_is_full",
        f"{SUPERVISED}::TestOutputThatGoesAway::test_in_real_time_trading_goes_on",
    ],
    "two starts at once": [
        f"{WRITERS}::test_of_daemons_that_start_at_once_one_holds_the_account",
        f"{PROCESS}::test_a_second_one_on_the_same_account_does_not_start",
    ],
    "stopped, another writer starts, resumed": [
        f"{WRITERS}::test_one_that_slept_while_its_session_ended_stops_before_it_sends",
        f"{WRITERS}::test_a_holder_whose_lock_file_was_deleted_stops_before_it_sends",
    ],
}
BUS_SERVICES_PROCESS = {
    "handler raises": [
        f"{BUS}::test_a_failing_handler_does_not_hurt_the_others",
        f"{BUS}::test_an_interrupt_passes_and_nothing_that_was_published_is_lost",
    ],
    "hangs": [
        f"{SUPERVISED}::TestWatchdog::test_a_cycle_that_hangs_ends_the_process",
        "unit/test_watchdog.py::TestHangs"
        "::test_a_cycle_that_hangs_ends_the_process_with_its_stacks",
    ],
    "over budget": [
        "unit/test_watchdog.py::TestSlowCycles::test_more_than_a_quarter_of_the_budget_is_reported",
    ],
    "subscribing while publishing": [
        f"{BUS}::test_who_subscribes_while_an_event_is_delivered_receives_later_events_only",
    ],
    "publish cycles": [f"{BUS}::test_an_endless_cycle_of_publications_is_broken_and_reported"],
    "start() fails half way": [
        "integration/test_orchestrator.py::TestLife::test_a_start_that_fails_stops_what_was_started",
    ],
    "crash loop": [f"{RESTART}::TestGivingUp::test_when_the_budget_is_spent"],
    "ten errors over weeks": [
        "unit/test_service_base.py::test_ten_failures_over_weeks_are_not_ten_in_a_row",
    ],
    "data service restarted": [
        f"{FETCHING}::test_a_restart_repeats_no_candle_and_loses_none",
        f"{RESTART}::TestRestartingLosesNothing"
        "::test_in_the_middle_of_a_run_nothing_is_decided_otherwise",
    ],
    "stop() hangs": [f"{SUPERVISED}::TestWatchdog::test_a_stop_that_hangs_is_forced"],
    "SIGTERM at any moment, twice": [
        f"{SUPERVISED}::TestStopping::test_at_random_moments",
        "integration/test_console.py::TestStopping::test_a_second_signal_ends_it_at_once",
    ],
    "SIGHUP": [
        "integration/test_console.py::test_a_signal_while_it_is_still_starting_ends_it_at_once",
    ],
    "file handles exhausted": [
        f"{FILE}::test_a_limit_of_the_system_is_an_error_of_the_journal",
        "unit/mt5/test_client.py::test_a_thousand_failures_leave_no_connection_behind",
    ],
}
DATA_TIME_BROKER = {
    "forming, revised, duplicate, shuffled bars": [
        f"{MARKET}::test_each_candle_comes_once_in_order_whatever_is_answered",
        f"{SOURCE}::test_whatever_is_listed_candles_are_closed_once_and_forward",
    ],
    "missing bars": [f"{MARKET}::test_bars_that_are_missing_are_minutes_without_a_price"],
    "weekend, holiday, short Sunday bar": [
        f"{FETCHING}::test_the_weekend_holds_nothing_back",
        f"{SOURCE}::test_a_gap_over_the_weekend_has_no_candles_to_lose",
    ],
    "NaN, infinity, spikes": [
        f"{MARKET}::test_each_candle_comes_once_in_order_whatever_is_answered",
        "unit/mt5/test_dialect.py::test_a_bar_that_cannot_be_true_is_left_out_and_counted",
    ],
    "M5 closing together with M1": [
        f"{FETCHING}::test_at_the_same_instant_the_slowest_timeframe_comes_first",
        "integration/test_event_flow.py::TestSlowAndFastCandles::test_slower_candles_come_first",
    ],
    "wall clock stepped": [
        "unit/mt5/test_bridge_clock.py::test_the_time_never_goes_back",
        f"{MARKET}::test_a_price_of_the_future_opens_nothing",
    ],
    "broker daylight saving": [
        "unit/test_broker_time.py"
        "::test_new_york_plus_seven_is_not_athens_between_their_changes_of_the_clock",
        "unit/mt5/test_server_clock.py::test_new_york_and_athens_differ_in_march",
        f"{MARKET}::test_a_server_that_changes_its_clock_on_another_day_is_said",
    ],
    "milliseconds for seconds": [
        f"{MARKET}::test_each_candle_comes_once_in_order_whatever_is_answered",
        f"{SOURCE}::test_epoch_milliseconds_are_the_servers_wall_clock",
    ],
    "future bars": [f"{MARKET}::test_each_candle_comes_once_in_order_whatever_is_answered"],
    "bridge up, terminal disconnected": [
        f"{MARKET}::test_a_terminal_without_its_broker_opens_nothing",
        f"{MARKET}::test_a_terminal_that_hangs_opens_nothing",
    ],
    "bridge down 15 minutes, flapping": [
        f"{MARKET}::test_a_bridge_that_is_away_for_a_quarter_of_an_hour_recovers_once",
        f"{MARKET}::test_a_bridge_that_comes_and_goes_makes_no_burst",
        f"{AWAY}::test_opens_nothing_in_a_burst_afterwards",
    ],
    "account changed under us": [f"{MARKET}::test_another_account_under_us_gets_no_order"],
    "symbol suffix": [
        f"{MARKET}::test_a_symbol_with_a_suffix_is_traded_by_its_full_name",
        f"{MARKET}::test_a_symbol_of_another_spelling_is_no_symbol",
    ],
    "empty or truncated position list": [
        f"{MARKET}::test_a_list_that_is_empty_or_cut_is_not_flat",
        f"{MARKET}::test_a_terminal_that_lists_nothing_for_one_look_changes_nothing",
    ],
}
RISKS = {
    "limit breached, then restarted": [
        f"{RISK}::test_a_loss_of_the_day_still_blocks_after_a_restart",
        f"{RISK}::test_a_loss_of_the_day_is_known_to_a_journal_that_forgot_it",
    ],
    "23- and 25-hour days": [
        "unit/test_broker_time.py::test_days_tile_time_and_are_23_to_25_hours_long",
    ],
    "NaN equity": [f"{MARKET}::test_an_account_that_is_no_number_is_no_account"],
    "20 signals in one cycle with one slot left": [
        f"{RISK}::test_twenty_signals_and_one_slot_are_one_order",
        f"{RISK}::test_an_order_in_doubt_holds_the_slot",
        f"{EXECUTION}::test_twenty_signals_and_one_slot_make_one_order",
    ],
    "deposits and swaps in the day's sum": [
        f"{RISK}::test_a_payment_is_no_result_of_the_day",
        f"{EXECUTION}::test_deposits_and_withdrawals_are_no_result",
    ],
    "exits while any block is on": [f"{RISK}::test_exits_go_out_while_entries_are_blocked"],
    "flattening fails for 2 of 5": [
        f"{RISK}::test_a_breach_flattens_everything_until_it_is_flat",
    ],
}
ROWS = {**ORDER_PATH, **CRASH_AND_STORAGE, **BUS_SERVICES_PROCESS, **DATA_TIME_BROKER, **RISKS}

NOT_MADE = {
    "changed digits": "the broker's rules are read anew every quarter of an hour; what orders sent "
    "in between meet is the broker's refusal, which has its tests",
    "swap that turns a day's result into a breach": "the swap of a position is part of its deal "
    "and is summed as the profit is; a bridge's night takes a stepped day",
    "SIGSTOP for ten minutes of real time": "the holder's session is ended instead, which is what "
    "ten minutes do to it",
}
"""What has no test of its own end to end, and why."""


@cache
def defined(path):
    """Return the tests of a file: ``name``, and ``Class::name``."""
    found = set()
    for node in ast.parse((TESTS / path).read_text("utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + one.name for one in inside if isinstance(one, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_tests_that_exist(row):
    """No fault is lost when a test is renamed or removed."""
    assert ROWS[row]
    for named in ROWS[row]:
        path, _, test = named.partition("::")
        assert test in defined(path), f"{row}: there is no {named}"


def test_what_was_not_made_says_why_and_is_no_row():
    assert not NOT_MADE.keys() & ROWS.keys()
    assert all(NOT_MADE.values())


def test_every_test_of_a_fault_met_live_is_in_the_map():
    """The map stays whole when a test is added."""
    listed = {named for tests in ROWS.values() for named in tests}
    written = {f"{LIVE}::{test}" for test in defined(LIVE) if "test_" in test}
    assert written <= listed
