"""What the console shows around the log."""

from datetime import UTC, datetime
from decimal import Decimal

from app import summary
from app.domain.orders import Account, Deal, DealEntry
from app.domain.signals import Direction

NOON = datetime(2025, 1, 6, 12, 0, tzinfo=UTC)
RULE = "=" * 80


def account(balance: str, equity: str) -> Account:
    return Account(
        login=1,
        server="paper",
        currency="EUR",
        leverage=30,
        hedging=True,
        balance=Decimal(balance),
        equity=Decimal(equity),
        margin=Decimal(0),
        margin_free=Decimal(equity),
    )


def deal(
    profit: str,
    *,
    commission: str = "0",
    swap: str = "0",
    symbol: str = "EURUSD",
    funding: bool = False,
) -> Deal:
    return Deal(
        ticket=1,
        order=1,
        position=1,
        symbol=symbol,
        direction=Direction.LONG,
        entry=DealEntry.OUT,
        volume=Decimal("0.1"),
        price=Decimal("1.1"),
        profit=Decimal(profit),
        commission=Decimal(commission),
        swap=Decimal(swap),
        time=NOON,
        magic=7,
        comment="",
        funding=funding,
    )


def test_a_banner_stands_between_two_rules_of_80() -> None:
    """L1."""
    text = "Starting Orchestrated Live Trading System"
    assert list(summary.banner(text)) == [RULE, text, RULE]


def test_the_status_before_the_loop() -> None:
    """L25-L28, in order."""
    lines = list(summary.initial_status({"data_fetching": True, "trade_execution": False}))
    assert [line for line in lines if line.strip("=")] == [
        "=== Initial System Status ===",
        "Services Health: {'data_fetching': True, 'trade_execution': False}",
        "=== Starting Trading Loop ===",
        "Press Ctrl+C to stop gracefully",
    ]


def metrics(services: dict[str, object]) -> dict[str, dict[str, object]]:
    return {
        "orchestrator": {
            "status": "stopped",
            "uptime_seconds": 12.3456,
            "services": 4,
            "services_healthy": 3,
        },
        "services": services,
        "event_bus": {"events_published": 1234, "event_types_published": 9},
    }


def test_the_final_metrics() -> None:
    """L43-L55, in order, each from its own counter."""
    lines = summary.final_metrics(
        metrics(
            {
                "data_fetching": {"data_fetches": 11, "new_candles": 12},
                "indicator_calculation": {"indicators_calculated": 13},
                "strategy_evaluation": {
                    "strategies_evaluated": 14,
                    "entry_signals": 15,
                    "exit_signals": 16,
                },
            }
        )
    )
    assert [line for line in lines if line] == [
        "=== Final System Metrics ===",
        "Orchestrator Status: stopped",
        "Uptime: 12.35s",
        "Services: 4",
        "Healthy Services: 3",
        "Data Fetches: 11",
        "New Candles: 12",
        "Indicators Calculated: 13",
        "Strategies Evaluated: 14",
        "Entry Signals: 15",
        "Exit Signals: 16",
        "Total Events Published: 1234",
        "Event Types: 9",
    ]


def test_a_disabled_service_did_nothing() -> None:
    """P24."""
    lines = list(summary.final_metrics(metrics({"data_fetching": {}})))
    for line in (
        "Data Fetches: 0",
        "New Candles: 0",
        "Indicators Calculated: 0",
        "Exit Signals: 0",
    ):
        assert line in lines


def test_the_account_at_the_end_adds_up() -> None:
    deals = (
        deal("10000", symbol="", funding=True),
        deal("0", commission="-3.50"),
        deal("250.25", commission="-3.50", swap="-1.25"),
        deal("-42"),
    )
    lines = summary.final_account("paper broker", account("10200.00", "10188.50"), deals, 2)
    assert list(lines) == [
        "",
        "=== Account: paper broker, EUR ===",
        "Deposits: 10,000.00",
        "Deals: 3, result +200.00 (of it commission -7.00)",
        "Balance: 10,200.00 (adds up)",
        "Open positions: 2, floating -11.50",
        "Equity: 10,188.50",
    ]


def test_an_account_that_does_not_add_up_says_by_how_much() -> None:
    deals = (deal("10000", symbol="", funding=True), deal("-42"))
    lines = summary.final_account("paper broker", account("9957.50", "9957.50"), deals, 0)
    assert "Balance: 9,957.50 (off by -0.50)" in list(lines)


def test_an_account_that_never_traded() -> None:
    deposit = deal("500", symbol="", funding=True)
    lines = list(summary.final_account("paper broker", account("500", "500"), (deposit,), 0))
    assert lines[2:] == [
        "Deposits: 500.00",
        "Deals: 0, result +0.00 (of it commission +0.00)",
        "Balance: 500.00 (adds up)",
        "Open positions: 0, floating +0.00",
        "Equity: 500.00",
    ]


def test_what_became_of_the_signals() -> None:
    """Refusals are counted by their reasons, so that a run without trades says why."""
    executed = {
        "orders_placed": 3,
        "orders_rejected": 1,
        "positions_closed": 2,
        "entries_blocked": 5,
        "blocked_position_open": 4,
        "blocked_news": 1,
    }
    lines = list(summary.final_metrics(metrics({"trade_execution": executed})))
    assert lines[-4:] == [
        "Orders Placed: 3",
        "Orders Rejected: 1",
        "Positions Closed: 2",
        "Entries Blocked: 5 (position_open 4, news 1)",
    ]
    quiet = dict.fromkeys(("orders_placed", "orders_rejected", "positions_closed"), 0)
    unblocked = metrics({"trade_execution": {**quiet, "entries_blocked": 0}})
    assert list(summary.final_metrics(unblocked))[-1] == "Entries Blocked: 0"
