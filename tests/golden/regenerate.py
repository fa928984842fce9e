"""Write the golden trace: ``python tests/golden/regenerate.py [FILE]`` (default: trace.txt here).

Three days of the simulated market with the shipped EURUSD strategies, in a session of a fixed id:
every trade a line, then the account, how many events of each type there were, and the hash of all
that `--decisions` writes. Where decisions are meant to change, run it, look at the difference and
commit it with the change.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from app import assembly, log_setup, settings  # noqa: E402 - the project must be found first
from app.adapters.decision_file import decision_file  # noqa: E402
from app.events import (  # noqa: E402
    CycleStartedEvent,
    Event,
    OrderCancelledEvent,
    OrderFilledEvent,
    OrderPlacedEvent,
    OrderRejectedEvent,
    PositionClosedEvent,
    PositionReducedEvent,
    StopMovedEvent,
    TradingBlockedEvent,
)
from app.orchestrator import TradingOrchestrator  # noqa: E402

ENVIRONMENT = {
    "CONF_FOLDER_PATH": str(ROOT / "conf"),
    "TRADING_SYMBOL": "EURUSD",
    "MARKET_DATA_SOURCE": "simulated",
    "MARKET_DATA_SEED": "7",
    "MARKET_DATA_SPEED": "0",
    "MARKET_DATA_START": "2025-01-06T08:00:00Z",
    "MARKET_DATA_UNTIL": "2025-01-09T08:00:00Z",
}


def trace() -> Iterator[str]:
    """Run the three days and yield the lines."""
    events: list[Event] = []
    with TemporaryDirectory() as work, chdir(work):
        log_setup.configure(level="ERROR")
        loaded = settings.load(environ=ENVIRONMENT, dotenv=None).settings
        parts = assembly.connect(loaded)
        orchestrator = TradingOrchestrator(loaded, parts, session=UUID(int=7))
        orchestrator.event_bus.subscribe(Event, events.append)
        with decision_file(Path("decisions.jsonl"), orchestrator.event_bus):
            orchestrator.start()
            orchestrator.run()
            orchestrator.stop()
        decisions = Path("decisions.jsonl").read_bytes()
    yield from _trades(events)
    account = parts.broker.account()
    yield f"balance {account.balance}, equity {account.equity}, margin {account.margin}"
    kinds = Counter(type(event).__name__ for event in events)
    kinds += Counter(event.reason for event in events if isinstance(event, TradingBlockedEvent))
    yield from (f"{count} {name}" for name, count in sorted(kinds.items()))
    number = decisions.count(b"\n")
    yield f"{number} decisions, sha256 {hashlib.sha256(decisions).hexdigest()}"


def _trades(events: list[Event]) -> Iterator[str]:
    now: datetime | None = None
    for event in events:
        if isinstance(event, CycleStartedEvent):
            now = event.time
        elif said := _said(event):
            yield f"{now:%m-%d %H:%M} {event.correlation_id} {said}"


def _said(event: Event) -> str:
    said = ""
    match event:
        case OrderPlacedEvent(intent=intent, ticket=ticket):
            said = f"placed {ticket} {intent.action} {intent.strategy} {intent.direction}"
            said += f" {intent.volume} {intent.kind} stop {intent.stop_loss}"
            said += f" targets {' '.join(map(str, intent.targets)) or None}"
        case OrderRejectedEvent(intent=intent, reason=reason):
            said = f"rejected {intent.action} {intent.strategy} {intent.direction}: {reason}"
        case OrderCancelledEvent(ticket=ticket, reason=reason):
            said = f"cancelled {ticket}: {reason}"
        case OrderFilledEvent(deal=deal):
            said = f"filled {deal.position} {deal.volume} at {deal.price}, net {deal.net}"
        case StopMovedEvent(ticket=ticket, old_stop=old, new_stop=new):
            said = f"stop of {ticket} from {old} to {new}"
        case PositionReducedEvent(deal=deal, remaining=remaining):
            said = f"reduced {deal.position} to {remaining} at {deal.price}, net {deal.net}"
        case PositionClosedEvent(deal=deal, profit=profit, reason=reason):
            said = f"closed {deal.position} at {deal.price}, {reason}, profit {profit}"
    return said


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "trace.txt"
    file.write_text("\n".join(trace()) + "\n", encoding="utf-8")
