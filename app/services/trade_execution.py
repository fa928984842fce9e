"""From signals to orders, in turn: deals first, then positions, exits and entries."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

from app.bus import EventBus
from app.domain.broker_time import EPOCH
from app.domain.market import Candle, Timeframe
from app.domain.orders import (
    BlockReason,
    CloseReason,
    Refusal,
)
from app.domain.rules import StrategyRules
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    NewCandleEvent,
    RestartBudgetSpentEvent,
    StrategiesEvaluatedEvent,
)
from app.ports import Broker, Journal, Switch
from app.risk.limits import (
    EntryRules,
)
from app.risk.manage import ClosePart, MoveStop, manage
from app.risk.plans import PositionPlan, held_back, next_deadline, owing
from app.risk.splitting import Split
from app.risk.stops import Levels
from app.services.account_watch import AccountWatch
from app.services.adoption import Adoption
from app.services.base import Health, Service
from app.services.brakes import DRAWDOWN_SINCE, Brakes
from app.services.broker_reports import BrokerReports
from app.services.entry_desk import EntryDesk
from app.services.open_trades import OpenTrades
from app.services.order_desk import OrderDesk
from app.services.reconciliation import AT_HAND, Patience, Reconciliation
from app.services.results import Results

E = TypeVar("E", bound=Event)

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

DEFAULT_SLIPPAGE = 20
"""Points."""

_MONITORING = Refusal(BlockReason.MONITOR_MODE, "signals only, no order is sent")


class _Waiting(NamedTuple):
    """An event whose turn comes once the broker has seen the market up to its candle's close."""

    candle: Candle
    act: Callable[[Any], None]
    event: Event


class TradeExecutionService(Service):
    """Turns signals into approved orders, keeps the plans of positions, reports what happened.

    A slow candle is announced before the fast one that closed with it. Whatever it asks for waits
    until the broker has taken in that fast candle, so no order is filled by, and no stop moved
    under, prices from before the decision.

    Args:
        bus: where everything that happens is published.
        broker: takes the orders.
        journal: admits each intent once and keeps the plans.
        strategies: name -> strategy, in the order entries are made in batch mode.
        rules: limits, restrictions and the broker's clock.
        splits: symbol -> how its entries are split; whole when it has none.
        base_timeframes: symbol -> its fastest timeframe, whose candles the broker takes in.
        batch: collect the signals of a cycle and act at its end, exits first.
        trade: ``False`` answers every entry signal with MONITOR_MODE and sends nothing.
        max_slippage: points a second attempt may be worse than the decision.
        flatten_on_breach: close everything of ours once a loss limit is broken.
        cooldown: how long a strategy opens nothing after a loss.
        switch: reads the kill switch; ``None`` where there is none.
        remote: the account is looked at every cycle: things happen there between candles.
        patience: how long orders in doubt are looked for.

    """

    name: ClassVar[str] = "trade_execution"
    gauges: ClassVar[frozenset[str]] = frozenset({"open_positions", "orders_in_doubt"})

    def __init__(
        self,
        bus: EventBus,
        broker: Broker,
        journal: Journal,
        *,
        strategies: Mapping[str, StrategyRules],
        rules: EntryRules,
        splits: Mapping[str, Split],
        base_timeframes: Mapping[str, Timeframe],
        batch: bool = False,
        trade: bool = True,
        max_slippage: int = DEFAULT_SLIPPAGE,
        flatten_on_breach: bool = False,
        cooldown: timedelta = timedelta(),
        switch: Callable[[], Switch | None] | None = None,
        remote: bool = False,
        patience: Patience = AT_HAND,
    ) -> None:
        super().__init__(bus)
        self._broker = broker
        self._on_candle = broker.on_candle
        self._journal = journal
        self._strategies = strategies
        self._priority = {name: at for at, name in enumerate(strategies)}
        self._rules = rules
        self._base = base_timeframes
        self._batch = batch
        self._trade = trade
        self._trades = OpenTrades(journal)
        self._plans = self._trades.plans
        self._sent = self._trades.sent
        account = broker.account()
        self._remote = remote
        self._flatten_on_breach = flatten_on_breach
        since = journal.state(DRAWDOWN_SINCE)
        results = Results(
            rules.server_time,
            drawdown_since=datetime.fromisoformat(since) if since else EPOCH,
        )
        self._brakes = Brakes(
            bus, self.log, journal, results, rules.server_time, cooldown=cooldown, switch=switch
        )
        self._desk = OrderDesk(
            bus,
            self.log,
            broker,
            journal,
            self._trades,
            brakes=self._brakes,
            account=account.login,
            max_slippage=max_slippage,
        )
        self._reports = BrokerReports(
            bus,
            self.log,
            broker,
            journal,
            strategies=strategies,
            rules=rules,
            trades=self._trades,
            desk=self._desk,
            brakes=self._brakes,
            results=results,
            currency=account.currency,
        )
        adoption = Adoption(
            bus,
            self.log,
            broker,
            journal,
            strategies=strategies,
            rules=rules,
            trades=self._trades,
            reports=self._reports,
            brakes=self._brakes,
        )
        self._reconciliation = Reconciliation(
            self.log,
            broker,
            journal,
            trades=self._trades,
            desk=self._desk,
            reports=self._reports,
            adoption=adoption,
            brakes=self._brakes,
            patience=patience,
        )
        self._watch = AccountWatch(
            self.log,
            broker,
            limits=rules.limits,
            trades=self._trades,
            desk=self._desk,
            reports=self._reports,
            reconciliation=self._reconciliation,
            brakes=self._brakes,
            results=results,
        )
        self._entry_desk = EntryDesk(
            bus,
            self.log,
            broker,
            journal,
            strategies=strategies,
            rules=rules,
            splits=splits,
            trades=self._trades,
            desk=self._desk,
            watch=self._watch,
            brakes=self._brakes,
            netting=not account.hedging,
        )
        self._seen = dict.fromkeys(base_timeframes, BEGINNING)
        self._waiting: list[_Waiting] = []
        self._exits: list[ExitSignalEvent] = []
        self._entries: list[EntrySignalEvent] = []

    def start(self, now: datetime) -> None:
        """Take over what the broker holds, unless nothing is traded."""
        for symbol in self._base:
            quote = self._broker.quote(symbol)
            if quote is not None:
                self._seen[symbol] = quote.time
        self._desk.at = now
        if self._trade:
            self._brakes.start(now)
            self._reconciliation.begin(now)

    def wind_down(self) -> None:
        """Open nothing any more, from the next order on; safe from a signal handler."""
        self._entry_desk.ending = self._desk.ending = True

    def metrics(self) -> dict[str, int | float]:
        """Return the counts of orders and positions, and the profit of those closed."""
        blocked = self._entry_desk.blocked
        return {
            "orders_placed": self._desk.placed,
            "orders_filled": self._reports.filled,
            "orders_rejected": self._desk.rejected,
            "positions_closed": self._reports.closed,
            "entries_blocked": blocked.total(),
            **{f"blocked_{reason}": times for reason, times in blocked.items()},
            "open_positions": len(self._plans),
            "orders_in_doubt": sum(it.state.doubtful for it in self._journal.unsettled()),
            "profit": float(self._reports.profit),
        }

    def health(self) -> Health:
        """Unhealthy while the broker does not answer, too."""
        account = self._watch.health(self.max_failures)
        return super().health() if account.healthy else account

    @property
    def reduce_only(self) -> bool:
        """Whether nothing is opened any more; what is open goes on being managed and closed."""
        return self._entry_desk.reduce_only

    # Handlers

    def on_cycle_started(self, event: CycleStartedEvent) -> None:
        """Look at the account and the kill switch before anything is decided."""
        self._desk.at = event.time
        if self._trade and self._remote:
            self._brakes.look(event.time)
            self.handled += self._watch.look(event.time)

    def on_new_candle(self, event: NewCandleEvent) -> None:
        """Let the broker take in the candle, report what it did, and act on what is due."""
        candle = event.candle
        symbol = candle.symbol
        if candle.timeframe != self._base.get(symbol):
            return
        closed = candle.close_time
        for happened in self._on_candle(candle):
            self._reports.take_in(happened, closed)
        self._seen[symbol] = closed
        self._desk.at = max(self._desk.at, closed)
        if self._plans:
            self._meet_deadlines(candle)
        if self._sent:
            self._entry_desk.withdraw_stale(candle)
        if self._waiting:
            self._resume(lambda it: it.candle.symbol == symbol and it.candle.close_time <= closed)
        self.handled += 1

    def on_strategies_evaluated(self, event: StrategiesEvaluatedEvent) -> None:
        """Manage the positions of the strategies that were evaluated."""
        if self._plans:
            self._in_turn(event.candle, self._manage, event)

    def on_exit_signal(self, event: ExitSignalEvent) -> None:
        """Close the positions of the strategy in the signal's direction."""
        if not self._trade:
            return
        if self._batch:
            self._exits.append(event)
        else:
            self._in_turn(event.signal.candle, self._leave, event)

    def on_entry_signal(self, event: EntrySignalEvent) -> None:
        """Open a position, or say why not."""
        if not self._trade:
            self._entry_desk.block(event.signal, _MONITORING)
        elif self._batch:
            self._entries.append(event)
        else:
            self._in_turn(event.signal.candle, self._entry_desk.enter, event)

    def on_cycle_completed(self, event: CycleCompletedEvent) -> None:
        """Act on what still waits; in batch mode, on the signals of the cycle, exits first."""
        if self._waiting:
            self._resume(lambda _it: True)
        while self._exits:
            self._leave(self._exits.pop(0))
        if self._entries:
            self._entries.sort(key=lambda it: self._priority[it.signal.strategy])
        while self._entries:
            self._entry_desk.enter(self._entries.pop(0))
        if self._flatten_on_breach and (self._plans or self._sent):
            self._watch.flatten_if_breached(event.time)
        if self._desk.asked and self._remote:
            self.handled += self._watch.look(event.time)
        self._desk.asked = False

    def on_restart_budget_spent(self, _event: RestartBudgetSpentEvent) -> None:
        """Open nothing any more."""
        self._entry_desk.reduce_only = True

    # In turn

    def _in_turn(self, candle: Candle, act: Callable[[E], None], event: E) -> None:
        closed = candle.close_time
        if closed > self._seen.get(candle.symbol, closed):
            self._waiting.append(_Waiting(candle, act, event))
        else:
            act(event)

    def _resume(self, ready: Callable[[_Waiting], bool]) -> None:
        for it in [it for it in self._waiting if ready(it)]:
            self._waiting.remove(it)
            it.act(it.event)

    # Exits and management

    def _leave(self, event: ExitSignalEvent) -> None:
        signal = event.signal
        strategy = self._strategies[signal.strategy]
        candle = signal.candle
        closing = []
        for plan in self._trades.of(strategy.name, signal.direction):
            wait = held_back(plan, strategy, candle.close_time)
            if wait is not None:
                self.log.debug("Exit of %s held back for %s", plan.ticket, wait, symbol=plan.symbol)
            else:
                closing.append(owing(plan, plan.free, CloseReason.SIGNAL))
        self._close_all(closing, candle)
        for entry in list(self._sent.values()):
            intent = entry.intent
            ours = intent.strategy == strategy.name and intent.direction is signal.direction
            if ours and entry.waits:
                self._desk.withdraw(entry, "exit signal")

    def _close_all(self, plans: Sequence[PositionPlan], candle: Candle) -> None:
        """Close what is owed of positions; all of it is noted before the first exit leaves."""
        for plan in plans:
            self._trades.keep(plan)
        for plan in plans:
            if plan.owed:
                self._desk.close_owed(plan, candle.time)

    def _manage(self, event: StrategiesEvaluatedEvent) -> None:
        for decision in event.decisions:
            strategy = self._strategies[decision.strategy]
            for plan in self._trades.of(decision.strategy):
                self._manage_one(plan, strategy, decision.candle, decision.levels)

    def _manage_one(
        self, plan: PositionPlan, strategy: StrategyRules, candle: Candle, levels: Levels
    ) -> None:
        quote = self._broker.quote(plan.symbol)
        if quote is None:
            return
        rules = self._broker.rules(plan.symbol)
        after, acts = manage(plan, candle, levels, strategy, rules=rules, quote=quote)
        for act in acts:
            if isinstance(act, ClosePart):
                after = owing(after, act.volume, act.reason)
        if after is not plan:
            self._trades.keep(after)
        for act in acts:
            newest = self._plans[plan.ticket]
            if isinstance(act, MoveStop):
                self._desk.move_stop(newest, act.stop)
            else:
                rest = msgspec.structs.replace(newest, owed=newest.owed - act.volume)
                self._desk.close(rest, candle.time, act.volume, act.reason, act.leg)

    def _meet_deadlines(self, candle: Candle) -> None:
        """Close what is owed or due: its longest duration, the session's or the day's end."""
        at = candle.close_time
        for ticket, plan in list(self._plans.items()):
            if plan.symbol != candle.symbol or plan.free <= 0:
                continue
            if plan.owed:
                self._desk.close_owed(plan, candle.time)
                plan = self._plans[ticket]  # noqa: PLW2901
            due = plan.due
            if due is None or at < due.at or plan.free <= plan.owed:
                continue
            strategy = self._strategies.get(plan.strategy)
            rules = self._broker.rules(plan.symbol)
            after = next_deadline(plan, strategy, rules, self._rules, at) if strategy else None
            waiting = msgspec.structs.replace(plan, due=after)
            self._trades.keep(waiting)
            self._desk.close(waiting, candle.time, due.lots(waiting, rules), due.reason)
