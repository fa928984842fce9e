"""From signals to orders, in turn: deals first, then positions, exits and entries."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, TypeVar

from app.bus import EventBus
from app.domain.market import Candle
from app.domain.orders import BlockReason, Refusal
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
from app.ports import Broker, Journal
from app.services.base import Health, Service
from app.services.desks import open_desks
from app.services.floor import TradingTerms

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
        terms: what is traded, and within which rules.

    """

    name: ClassVar[str] = "trade_execution"
    gauges: ClassVar[frozenset[str]] = frozenset(
        {"open_positions", "orders_on_their_way", "orders_in_doubt"}
    )

    def __init__(
        self, bus: EventBus, broker: Broker, journal: Journal, terms: TradingTerms
    ) -> None:
        super().__init__(bus)
        self._broker = broker
        self._on_candle = broker.on_candle
        self._journal = journal
        self._priority = {name: at for at, name in enumerate(terms.strategies)}
        self._base = terms.base_timeframes
        self._batch = terms.batch
        self._trade = terms.trade
        self._watches = terms.trade and terms.remote
        self._switched = terms.trade and terms.switch is not None
        self._flatten_on_breach = terms.flatten_on_breach
        self.desks = open_desks(bus, self.log, broker, journal, terms)
        self._orders = self.desks.orders
        self._any_follows_price = self.desks.exits.any_follows_price
        self._plans = self.desks.trades.plans
        self._sent = self.desks.trades.sent
        self._seen = dict.fromkeys(terms.base_timeframes, BEGINNING)
        self._waiting: list[_Waiting] = []
        self._exits: list[ExitSignalEvent] = []
        self._entries: list[EntrySignalEvent] = []

    def start(self, now: datetime) -> None:
        """Take over what the broker holds, unless nothing is traded."""
        for symbol in self._base:
            quote = self._broker.quote(symbol)
            if quote is not None:
                self._seen[symbol] = quote.time
        self.desks.orders.at = now
        if self._trade:
            self.desks.brakes.start(now)
            self.desks.watch.begin(now, remote=self._watches)
            self.desks.reconciliation.begin(now)
        if self._watches or self._plans or self._sent:
            self.log.info(
                "Account as last seen: %d positions, %d orders on their way, %d in doubt",
                len(self._plans),
                len(self._sent),
                self.metrics()["orders_in_doubt"],
            )

    def succeed(self, failed: Service) -> None:
        """Go on opening nothing, and holding the pace, where the one before did."""
        if isinstance(failed, TradeExecutionService):
            self.desks.entries.reduce_only = failed.reduce_only
            self.desks.entries.ending = self.desks.orders.ending = failed.desks.entries.ending
            self.desks.orders.pace = failed.desks.orders.pace
            self.desks.watch.told = failed.desks.watch.told  # shared: the one before may go on

    def wind_down(self) -> None:
        """Open nothing any more, from the next order on; safe from a signal handler."""
        self.desks.entries.ending = self.desks.orders.ending = True

    def metrics(self) -> dict[str, int | float]:
        """Return the counts of orders and positions, and the profit of those closed."""
        blocked = self.desks.entries.blocked
        return {
            "orders_placed": self.desks.orders.placed,
            "orders_filled": self.desks.reports.filled,
            "orders_rejected": self.desks.orders.rejected,
            "positions_closed": self.desks.reports.closed,
            "entries_blocked": blocked.total(),
            **{f"blocked_{reason}": times for reason, times in blocked.items()},
            "open_positions": len(self._plans),
            "orders_on_their_way": len(self._sent),
            "orders_in_doubt": sum(it.state.doubtful for it in self._journal.unsettled()),
            "profit": float(self.desks.reports.profit),
        }

    def ailment(self) -> Health | None:
        """Return that the broker does not answer, while it does not."""
        return self.desks.watch.ailment(self.max_failures)

    @property
    def reduce_only(self) -> bool:
        """Whether nothing is opened any more; what is open goes on being managed and closed."""
        return self.desks.entries.reduce_only

    # Handlers

    def on_cycle_started(self, event: CycleStartedEvent) -> None:
        """Look at the account and the kill switch before anything is decided."""
        self._orders.at = event.time
        if self._switched:
            self.desks.brakes.look(event.time)
        if self._watches:
            if not self.desks.watch.look(event.time):
                return
            self.handled += 1
            self.desks.exits.press_on(event.time)
        if self._switched and self._sent:
            self.desks.entries.withdraw_blocked(event.time)

    def on_new_candle(self, event: NewCandleEvent) -> None:
        """Let the broker take in the candle, report what it did, and act on what is due."""
        candle = event.candle
        symbol = candle.symbol
        if candle.timeframe != self._base.get(symbol):
            return
        closed = candle.close_time
        happened = self._on_candle(candle)
        if happened or (self.desks.watch.told and not self._watches):
            self.desks.watch.take_in(happened, closed)
        self._seen[symbol] = closed
        self._orders.at = max(self._orders.at, closed)
        if self._plans:
            self.desks.exits.meet_deadlines(candle)
            self.desks.exits.take_targets(candle)
        if self._sent:
            self.desks.entries.withdraw_stale(candle)
        if self._waiting:
            self._resume(lambda it: it.candle.symbol == symbol and it.candle.close_time <= closed)
        self.handled += 1

    def on_strategies_evaluated(self, event: StrategiesEvaluatedEvent) -> None:
        """Manage the positions of the strategies that were evaluated.

        An entry on its way may be a position by the time it is this event's turn.
        """
        if self._sent or (self._plans and self._any_follows_price()):
            self._in_turn(event.candle, self.desks.exits.manage, event)

    def on_exit_signal(self, event: ExitSignalEvent) -> None:
        """Close the positions of the strategy in the signal's direction."""
        if not self._trade:
            return
        if self._batch:
            self._exits.append(event)
        else:
            self._in_turn(event.signal.candle, self.desks.exits.leave, event)

    def on_entry_signal(self, event: EntrySignalEvent) -> None:
        """Open a position, or say why not."""
        if not self._trade:
            self.desks.entries.block(event.signal, _MONITORING)
        elif self._batch:
            self._entries.append(event)
        else:
            self._in_turn(event.signal.candle, self.desks.entries.enter, event)

    def on_cycle_completed(self, event: CycleCompletedEvent) -> None:
        """Act on what still waits; in batch mode, on the signals of the cycle, exits first."""
        if self._waiting:
            self._resume(lambda _it: True)
        while self._exits:
            self.desks.exits.leave(self._exits.pop(0))
        if self._entries:
            self._entries.sort(key=lambda it: self._priority[it.signal.strategy])
        while self._entries:
            self.desks.entries.enter(self._entries.pop(0))
        if self._flatten_on_breach and (self._plans or self._sent):
            self.desks.watch.flatten_if_breached(event.time)
        if self.desks.orders.asked and self._watches:
            self.handled += self.desks.watch.look(event.time)
        self.desks.orders.end_cycle()

    def on_restart_budget_spent(self, _event: RestartBudgetSpentEvent) -> None:
        """Open nothing any more."""
        self.desks.entries.reduce_only = True

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
