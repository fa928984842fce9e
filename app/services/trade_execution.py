"""From signals to orders, in turn: deals first, then positions, exits and entries."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

from app.bus import EventBus
from app.domain.market import Candle, Timeframe
from app.domain.orders import BlockReason, CloseReason, OrderState, Refusal
from app.domain.rules import StrategyRules
from app.domain.signals import Signal
from app.events import (
    CycleCompletedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    NewCandleEvent,
    RestartBudgetSpentEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)
from app.ports import Broker, Journal
from app.risk.entries import plan_entry
from app.risk.limits import (
    ApprovedOrder,
    Clearance,
    EntryRules,
    Moment,
    approve_entry,
    clear_moment,
    entry_risk,
)
from app.risk.manage import MoveStop, manage
from app.risk.plans import PositionPlan, held_back, next_deadline
from app.risk.sizing import Market
from app.risk.splitting import WHOLE, Split
from app.risk.stops import Levels
from app.services.base import Service
from app.services.broker_reports import BrokerReports
from app.services.open_trades import OpenTrades, SentEntry
from app.services.order_desk import OrderDesk

E = TypeVar("E", bound=Event)

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

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

    """

    name: ClassVar[str] = "trade_execution"
    gauges: ClassVar[frozenset[str]] = frozenset({"open_positions"})
    reduce_only = False
    """Set while nothing may be opened; what is open goes on being managed and closed."""

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
    ) -> None:
        super().__init__(bus)
        self._broker = broker
        self._on_candle = broker.on_candle
        self._strategies = strategies
        self._priority = {name: at for at, name in enumerate(strategies)}
        self._rules = rules
        self._splits = splits
        self._base = base_timeframes
        self._batch = batch
        self._trade = trade
        self._trades = OpenTrades(journal)
        self._plans = self._trades.plans
        self._sent = self._trades.sent
        account = broker.account()
        self._netting = not account.hedging
        self._desk = OrderDesk(bus, self.log, broker, journal, self._trades, account=account.login)
        self._reports = BrokerReports(
            bus,
            self.log,
            broker,
            journal,
            strategies=strategies,
            rules=rules,
            trades=self._trades,
            desk=self._desk,
            currency=account.currency,
        )
        self._seen = dict.fromkeys(base_timeframes, BEGINNING)
        self._waiting: list[_Waiting] = []
        self._exits: list[ExitSignalEvent] = []
        self._entries: list[EntrySignalEvent] = []
        self._blocked_day = BEGINNING.date()
        self._blocked_today: set[tuple[str, BlockReason]] = set()
        self._blocked: Counter[BlockReason] = Counter()

    def start(self, now: datetime) -> None:
        """Take over what the broker holds, unless nothing is traded."""
        for symbol in self._base:
            quote = self._broker.quote(symbol)
            if quote is not None:
                self._seen[symbol] = quote.time
        if self._trade:
            self._reports.take_over(now)

    def metrics(self) -> dict[str, int | float]:
        """Return the counts of orders and positions, and the profit of those closed."""
        return {
            "orders_placed": self._desk.placed,
            "orders_filled": self._reports.filled,
            "orders_rejected": self._desk.rejected,
            "positions_closed": self._reports.closed,
            "entries_blocked": self._blocked.total(),
            **{f"blocked_{reason}": times for reason, times in self._blocked.items()},
            "open_positions": len(self._plans),
            "profit": float(self._reports.profit),
        }

    # Handlers

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
        if self._plans:
            self._meet_deadlines(candle)
        if self._sent:
            self._withdraw_stale(candle)
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
            self._block(event.signal, _MONITORING)
        elif self._batch:
            self._entries.append(event)
        else:
            self._in_turn(event.signal.candle, self._enter, event)

    def on_cycle_completed(self, _event: CycleCompletedEvent) -> None:
        """Act on what still waits; in batch mode, on the signals of the cycle, exits first."""
        if self._waiting:
            self._resume(lambda _it: True)
        while self._exits:
            self._leave(self._exits.pop(0))
        if self._entries:
            self._entries.sort(key=lambda it: self._priority[it.signal.strategy])
        while self._entries:
            self._enter(self._entries.pop(0))

    def on_restart_budget_spent(self, _event: RestartBudgetSpentEvent) -> None:
        """Open nothing any more."""
        self.reduce_only = True

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

    # Entries

    def _enter(self, event: EntrySignalEvent) -> None:
        signal = event.signal
        strategy = self._strategies[signal.strategy]
        moment = Moment(
            at=signal.candle.close_time,
            late=event.late,
            reduce_only=self.reduce_only,
            open_entries=self._trades.entries(strategy.name, signal.direction),
            netted_with=self._netted_with(signal) if self._netting else "",
        )
        symbol = self._broker.rules(signal.symbol)
        clearance = clear_moment(strategy, moment, symbol, self._rules)
        if isinstance(clearance, Refusal):
            self._block(signal, clearance)
            return
        quote = self._broker.quote(signal.symbol)
        if quote is None:
            self._block(signal, Refusal(BlockReason.NO_QUOTE, "no price yet"))
            return
        market = Market(symbol, quote, self._broker.money_per_lot(signal.symbol))
        orders = self._approved(signal, strategy, clearance, market)
        if isinstance(orders, Refusal):
            self._block(signal, orders)
            return
        for order in orders:
            if not self._send_entry(order, signal, market):
                return

    def _netted_with(self, signal: Signal) -> str:
        return self._trades.other_in(signal.symbol, signal.strategy, self._broker)

    def _approved(
        self, signal: Signal, strategy: StrategyRules, clearance: Clearance, market: Market
    ) -> tuple[ApprovedOrder, ...] | Refusal:
        intents = plan_entry(
            signal,
            strategy,
            market=market,
            account=self._broker.account(),
            split=self._splits.get(signal.symbol, WHOLE),
        )
        if isinstance(intents, Refusal):
            return intents
        realised = self._reports.day.net(signal.candle.close_time, self._broker)
        return approve_entry(
            intents,
            clearance=clearance,
            exposure=self._trades.exposure(self._broker, realised),
            market=market,
        )

    def _send_entry(self, order: ApprovedOrder, signal: Signal, market: Market) -> bool:
        """Send one leg; ``False`` when it was not taken and the further ones shall not go."""
        intent = order.intent
        result = self._desk.submit(order)
        if result is None:
            self._block(signal, Refusal(BlockReason.ALREADY_DONE, f"{intent.client_id} was sent"))
            return False
        if result.state is OrderState.REJECTED:
            broke = result.reason.casefold().startswith("no money")
            reason = BlockReason.NO_MONEY if broke else BlockReason.BROKER_REFUSED
            self._block(signal, Refusal(reason, result.reason))
            return False
        self._sent[intent.client_id] = SentEntry(
            intent, result.ticket, signal.candle.close_time, entry_risk(intent, market)
        )
        return True

    def _withdraw_stale(self, candle: Candle) -> None:
        """Withdraw pending entries that would not be made any more."""
        for entry in list(self._sent.values()):
            if entry.waits and entry.intent.symbol == candle.symbol:
                why = self._stale(entry, candle.close_time)
                if why:
                    self._desk.withdraw(entry, why)

    def _stale(self, entry: SentEntry, at: datetime) -> str:
        """Say why an entry that waits would not be made at `at`; empty while it would."""
        day = self._rules.server_time.day
        if day(entry.sent_at) != day(at):
            return "its day at the broker is over"
        strategy = self._strategies.get(entry.intent.strategy)
        if strategy is None:
            return "its strategy is gone"
        moment = Moment(at, late=False, reduce_only=self.reduce_only, open_entries=0)
        symbol = self._broker.rules(entry.intent.symbol)
        answer = clear_moment(strategy, moment, symbol, self._rules)
        return f"{answer.reason}: {answer.detail}" if isinstance(answer, Refusal) else ""

    def _block(self, signal: Signal, refusal: Refusal) -> None:
        """Say why an entry is not made: loudly once a day, strategy and reason, then quietly."""
        self._blocked[refusal.reason] += 1
        day = self._rules.server_time.day(signal.candle.close_time)
        if day != self._blocked_day:
            self._blocked_day = day
            self._blocked_today.clear()
        kind = (signal.strategy, refusal.reason)
        say = self.log.debug if kind in self._blocked_today else self.log.info
        self._blocked_today.add(kind)
        say(
            "Blocked: %s %s (%s), %s: %s",
            signal.symbol,
            signal.direction,
            signal.strategy,
            refusal.reason,
            refusal.detail,
            symbol=signal.symbol,
            strategy=signal.strategy,
        )
        self.bus.publish(
            TradingBlockedEvent(
                reason=refusal.reason,
                detail=refusal.detail,
                symbol=signal.symbol,
                strategy=signal.strategy,
                direction=signal.direction,
            )
        )

    # Exits and management

    def _leave(self, event: ExitSignalEvent) -> None:
        signal = event.signal
        strategy = self._strategies[signal.strategy]
        candle = signal.candle
        for plan in self._trades.of(strategy.name, signal.direction):
            wait = held_back(plan, strategy, candle.close_time)
            if wait is not None:
                self.log.debug("Exit of %s held back for %s", plan.ticket, wait, symbol=plan.symbol)
            else:
                self._desk.close(plan, candle, plan.free, CloseReason.SIGNAL)
        for entry in list(self._sent.values()):
            intent = entry.intent
            ours = intent.strategy == strategy.name and intent.direction is signal.direction
            if ours and entry.waits:
                self._desk.withdraw(entry, "exit signal")

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
        if after is not plan:
            self._trades.keep(after)
        for act in acts:
            newest = self._plans[plan.ticket]
            if isinstance(act, MoveStop):
                self._desk.move_stop(newest, act.stop)
            else:
                self._desk.close(newest, candle, act.volume, act.reason, act.leg)

    def _meet_deadlines(self, candle: Candle) -> None:
        """Close what is owed or due: its longest duration, the session's or the day's end."""
        at = candle.close_time
        for ticket, plan in list(self._plans.items()):
            if plan.symbol != candle.symbol or plan.free <= 0:
                continue
            if plan.owed:
                self._desk.close_owed(plan, candle)
                plan = self._plans[ticket]  # noqa: PLW2901
            due = plan.due
            if due is None or at < due.at or plan.free <= plan.owed:
                continue
            strategy = self._strategies.get(plan.strategy)
            rules = self._broker.rules(plan.symbol)
            after = next_deadline(plan, strategy, rules, self._rules, at) if strategy else None
            waiting = msgspec.structs.replace(plan, due=after)
            self._trades.keep(waiting)
            self._desk.close(waiting, candle, due.lots(waiting, rules), due.reason)
