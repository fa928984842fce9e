"""The desks of the trade execution service: what each is made of, and the terms they share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from app.bus import EventBus
from app.domain.broker_time import EPOCH
from app.domain.market import Timeframe
from app.domain.rules import StrategyRules
from app.ports import Broker, Journal, Switch
from app.risk.limits import EntryRules
from app.risk.pace import OrderPace
from app.risk.splitting import Split
from app.services.account_watch import AccountWatch
from app.services.adoption import Adoption
from app.services.brakes import DRAWDOWN_SINCE, Brakes
from app.services.broker_reports import BrokerReports
from app.services.entry_desk import EntryDesk
from app.services.exit_desk import ExitDesk
from app.services.open_trades import OpenTrades
from app.services.order_desk import OrderDesk
from app.services.reconciliation import AT_HAND, Patience, Reconciliation
from app.services.results import Results

DEFAULT_SLIPPAGE = 20
"""Points."""
DEFAULT_PACE = 120
"""Requests a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingTerms:
    """What is traded, and within which rules.

    Args:
        strategies: name -> strategy, in the order entries are made in batch mode.
        rules: limits, restrictions and the broker's clock.
        splits: symbol -> how its entries are split; whole when it has none.
        base_timeframes: symbol -> its fastest timeframe, whose candles the broker takes in.
        batch: collect the signals of a cycle and act at its end, exits first.
        trade: ``False`` answers every entry signal with MONITOR_MODE and sends nothing.
        max_slippage: points a second attempt may be worse than the decision.
        requests_per_minute: beyond so many, entries wait.
        flatten_on_breach: close everything of ours once a loss limit is broken.
        cooldown: how long a strategy opens nothing after a loss.
        switch: reads the kill switch; ``None`` where there is none.
        remote: the account is looked at every cycle: things happen there between candles.
        patience: how long orders in doubt are looked for.

    """

    strategies: Mapping[str, StrategyRules]
    rules: EntryRules
    base_timeframes: Mapping[str, Timeframe]
    splits: Mapping[str, Split] = field(default_factory=dict)
    batch: bool = False
    trade: bool = True
    max_slippage: int = DEFAULT_SLIPPAGE
    requests_per_minute: int = DEFAULT_PACE
    flatten_on_breach: bool = False
    cooldown: timedelta = timedelta()
    switch: Callable[[], Switch | None] | None = None
    remote: bool = False
    patience: Patience = AT_HAND


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
    strategies, rules = terms.strategies, terms.rules
    account = broker.account()
    trades = OpenTrades(journal)
    since = journal.state(DRAWDOWN_SINCE)
    results = Results(
        rules.server_time, drawdown_since=datetime.fromisoformat(since) if since else EPOCH
    )
    brakes = Brakes(
        bus,
        log,
        journal,
        results,
        rules.server_time,
        cooldown=terms.cooldown,
        switch=terms.switch,
    )
    orders = OrderDesk(
        bus,
        log,
        broker,
        journal,
        trades,
        brakes=brakes,
        account=account.login,
        max_slippage=terms.max_slippage,
        pace=OrderPace(terms.requests_per_minute),
    )
    reports = BrokerReports(
        bus,
        log,
        broker,
        journal,
        strategies=strategies,
        rules=rules,
        trades=trades,
        desk=orders,
        brakes=brakes,
        results=results,
        currency=account.currency,
    )
    adoption = Adoption(
        bus,
        log,
        broker,
        journal,
        strategies=strategies,
        rules=rules,
        trades=trades,
        reports=reports,
        brakes=brakes,
    )
    reconciliation = Reconciliation(
        log,
        broker,
        journal,
        trades=trades,
        desk=orders,
        reports=reports,
        adoption=adoption,
        brakes=brakes,
        patience=terms.patience,
    )
    watch = AccountWatch(
        log,
        broker,
        limits=rules.limits,
        trades=trades,
        desk=orders,
        reports=reports,
        reconciliation=reconciliation,
        brakes=brakes,
        results=results,
    )
    entries = EntryDesk(
        bus,
        log,
        broker,
        journal,
        strategies=strategies,
        rules=rules,
        splits=terms.splits,
        trades=trades,
        desk=orders,
        watch=watch,
        brakes=brakes,
        netting=not account.hedging,
    )
    exits = ExitDesk(log, broker, strategies=strategies, rules=rules, trades=trades, desk=orders)
    return Desks(trades, brakes, orders, reports, reconciliation, watch, entries, exits)
