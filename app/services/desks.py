"""The desks of trade execution, and what each hands on to which."""

from datetime import datetime
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from app.bus import EventBus
from app.domain.broker_time import EPOCH
from app.ports import Broker, Journal
from app.services.account_watch import AccountWatch
from app.services.adoption import Adoption
from app.services.brakes import DRAWDOWN_SINCE, Brakes
from app.services.broker_reports import BrokerReports
from app.services.entry_desk import EntryDesk
from app.services.exit_desk import ExitDesk
from app.services.floor import Floor, TradingTerms
from app.services.open_trades import OpenTrades
from app.services.order_desk import OrderDesk
from app.services.reconciliation import Reconciliation
from app.services.results import Results


class Desks(NamedTuple):
    """Who does what between a signal and the broker's ledger."""

    trades: OpenTrades
    brakes: Brakes
    orders: OrderDesk
    reports: BrokerReports
    reconciliation: Reconciliation
    watch: AccountWatch
    entries: EntryDesk
    exits: ExitDesk


def open_desks(
    bus: EventBus, log: FilteringBoundLogger, broker: Broker, journal: Journal, terms: TradingTerms
) -> Desks:
    """Return the desks on `broker` and `journal`, knowing what the journal knows."""
    trades = OpenTrades(journal)
    floor = Floor(bus, log, broker, journal, trades, terms)
    since = journal.state(DRAWDOWN_SINCE)
    results = Results(
        terms.rules.server_time, drawdown_since=datetime.fromisoformat(since) if since else EPOCH
    )
    brakes = Brakes(floor, results)
    orders = OrderDesk(floor, brakes)
    reports = BrokerReports(floor, orders, brakes, results)
    adoption = Adoption(floor, reports, brakes)
    reconciliation = Reconciliation(floor, orders, reports, adoption, brakes)
    watch = AccountWatch(
        floor,
        desk=orders,
        reports=reports,
        reconciliation=reconciliation,
        brakes=brakes,
        results=results,
    )
    entries = EntryDesk(floor, orders, watch, brakes)
    exits = ExitDesk(floor, orders)
    return Desks(trades, brakes, orders, reports, reconciliation, watch, entries, exits)
