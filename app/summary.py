"""What the console shows around the log: banners, the first status and the final account."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from app.domain.orders import Account, Deal

RULE = "=" * 80
NOTHING = Decimal(0)


def banner(text: str) -> Iterator[str]:
    """Return `text` between two rules."""
    yield RULE
    yield text
    yield RULE


def initial_status(health: Mapping[str, bool]) -> Iterator[str]:
    """Return the lines before the trading loop."""
    yield RULE
    yield ""
    yield "=== Initial System Status ==="
    yield f"Services Health: {dict(health)}"
    yield ""
    yield "=== Starting Trading Loop ==="
    yield "Press Ctrl+C to stop gracefully"
    yield RULE


def final_metrics(metrics: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Return the final summary of `TradingOrchestrator.get_all_metrics`."""
    orchestrator, bus = metrics["orchestrator"], metrics["event_bus"]

    def count(service: str, name: str) -> object:
        counters = metrics["services"].get(service)
        return counters.get(name, 0) if isinstance(counters, dict) else 0

    yield ""
    yield "=== Final System Metrics ==="
    yield f"Orchestrator Status: {orchestrator['status']}"
    yield f"Uptime: {orchestrator['uptime_seconds']:.2f}s"
    yield f"Services: {orchestrator['services']}"
    yield f"Healthy Services: {orchestrator['services_healthy']}"
    yield ""
    yield f"Data Fetches: {count('data_fetching', 'data_fetches')}"
    yield f"New Candles: {count('data_fetching', 'new_candles')}"
    yield f"Indicators Calculated: {count('indicator_calculation', 'indicators_calculated')}"
    yield f"Strategies Evaluated: {count('strategy_evaluation', 'strategies_evaluated')}"
    yield f"Entry Signals: {count('strategy_evaluation', 'entry_signals')}"
    yield f"Exit Signals: {count('strategy_evaluation', 'exit_signals')}"
    yield ""
    yield f"Total Events Published: {bus['events_published']}"
    yield f"Event Types: {bus['event_types_published']}"
    executed = metrics["services"].get("trade_execution")
    if isinstance(executed, dict):
        yield from _orders(executed)


def _orders(executed: Mapping[str, object]) -> Iterator[str]:
    reasons = ", ".join(
        f"{name.removeprefix('blocked_')} {times}"
        for name, times in executed.items()
        if name.startswith("blocked_")
    )
    yield ""
    yield f"Orders Placed: {executed['orders_placed']}"
    yield f"Orders Rejected: {executed['orders_rejected']}"
    yield f"Positions Closed: {executed['positions_closed']}"
    yield f"Entries Blocked: {executed['entries_blocked']}" + (f" ({reasons})" if reasons else "")


def final_account(
    name: str, account: Account, ledger: Sequence[Deal] | None, open_positions: int
) -> Iterator[str]:
    """Return the account at the end; with all of its `ledger`, whether the balance is their sum."""
    yield ""
    yield f"=== Account: {name}, {account.currency} ==="
    if ledger is None:
        yield f"Balance: {account.balance:,.2f}"
    else:
        yield from _adding_up(ledger, account)
    yield f"Open positions: {open_positions}, floating {account.equity - account.balance:+,.2f}"
    yield f"Equity: {account.equity:,.2f}"


def _adding_up(ledger: Sequence[Deal], account: Account) -> Iterator[str]:
    deals = [deal for deal in ledger if not deal.funding]
    deposits = sum((deal.net for deal in ledger if deal.funding), NOTHING)
    result = sum((deal.net for deal in deals), NOTHING)
    commission = sum((deal.commission for deal in deals), NOTHING)
    off = account.balance - deposits - result
    yield f"Deposits: {deposits:,.2f}"
    yield f"Deals: {len(deals)}, result {result:+,.2f} (of it commission {commission:+,.2f})"
    yield f"Balance: {account.balance:,.2f} ({f'off by {off:+,.2f}' if off else 'adds up'})"
