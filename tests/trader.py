"""The execution service against a faulty account, cycle by cycle; killed and started at will."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from app.adapters.journal.memory import MemoryJournal
from app.bus import EventBus
from app.domain.broker_time import ServerTime
from app.domain.market import Candle, Timeframe
from app.domain.orders import Action, BlockReason, Deal, Intent, IntentRecord, IntentState, Refusal
from app.domain.rules import (
    ColumnRef,
    RiskRules,
    Sizing,
    SizingKind,
    StopKind,
    StopRule,
    StrategyRules,
    TargetKind,
    TargetRule,
)
from app.domain.signals import Decision, Direction, Signal
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    NewCandleEvent,
    RestartBudgetSpentEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)
from app.ports import Switch
from app.risk.ids import magic_of
from app.risk.limits import EntryRules, RiskLimits
from app.risk.plans import PositionPlan
from app.risk.restrictions import Restrictions
from app.services.floor import Patience, TradingTerms
from app.services.trade_execution import TradeExecutionService
from tests.account import FaultyAccount
from tests.fates import Death, Killed

E = TypeVar("E", bound=Event)
LONG, SHORT = Direction
M1 = Timeframe("M1")
MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
ATR = ColumnRef(M1, "atr")
STOP = StopRule(StopKind.FIXED, 20.0)
TARGET = TargetRule(TargetKind.FIXED, 40.0)
PATIENT = Patience()
EVERY = 5
"""Seconds between two cycles."""


def strategy(
    name: str = "cross",
    *,
    symbol: str = "EURUSD",
    lots: float = 0.1,
    stop: StopRule | None = STOP,
    target: TargetRule | None = TARGET,
    atr_distance: float | None = None,
) -> StrategyRules:
    """Return a strategy of one-minute candles: stop 20 pips away, target 40."""
    atr = ATR if atr_distance is not None else None
    risk = RiskRules(Sizing(SizingKind.FIXED, lots), stop, target, atr_distance, atr)
    return StrategyRules(name, symbol, magic_of(name), (M1,), M1, risk)


class DurableJournal(MemoryJournal):
    """A journal in memory of which a crash leaves what was durable.

    That is all that was noted up to the last admission, attempt, block or flush, as the journal in
    a database keeps it. `death` ends the process at the next admission.
    """

    def __init__(self) -> None:
        super().__init__()
        self.death: Death | None = None
        self._undo: list[tuple[dict, object, object]] = []
        self._new_deals: list[int] = []
        self._unsettled_before: dict[str, None] = {}

    def _noting(self, kept: dict, key: object) -> None:
        self._undo.append((kept, key, kept.get(key)))

    def _keep(self, record: IntentRecord) -> None:
        self._noting(self._records, record.intent.client_id)
        self._noting(self._by_ticket, record.ticket)
        super()._keep(record)

    def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
        self._noting(self._candles, (symbol, timeframe))
        super().candle_announced(symbol, timeframe, opened)

    def booked(self, deal: Deal, client_id: str) -> None:
        if not self.has_deal(deal.ticket):
            self._new_deals.append(deal.ticket)
            super().booked(deal, client_id)

    def save_plan(self, plan: PositionPlan) -> None:
        self._noting(self._plans, plan.ticket)
        super().save_plan(plan)

    def drop_plan(self, ticket: int) -> None:
        self._noting(self._plans, ticket)
        super().drop_plan(ticket)

    def keep_state(self, name: str, text: str) -> None:
        self._noting(self._states, name)
        super().keep_state(name, text)

    def admit(self, intent: Intent, at: datetime) -> Refusal | None:
        death, self.death = self.death, None
        if death is Death.BEFORE:
            raise Killed
        refusal = super().admit(intent, at)
        self.flush()
        if death is Death.AFTER:
            raise Killed
        return refusal

    def attempt(self, client_id: str, at: datetime) -> None:
        super().attempt(client_id, at)
        self.flush()

    def block(self, block: Any) -> None:
        super().block(block)
        self.flush()

    def lift(self, at: datetime, by: str, reason: BlockReason | None = None) -> Any:
        lifted = super().lift(at, by, reason)
        self.flush()
        return lifted

    def flush(self) -> None:
        """Make everything noted durable."""
        self._undo.clear()
        self._new_deals.clear()
        self._unsettled_before = dict(self._unsettled)

    def durable(self, client_id: str) -> IntentRecord | None:
        """Return what a crash would leave of an intent."""
        for kept, key, before in self._undo:
            if kept is self._records and key == client_id:
                return before
        return self._records.get(client_id)

    def crash(self) -> None:
        """Forget what was not durable."""
        for kept, key, before in reversed(self._undo):
            if before is None:
                kept.pop(key, None)
            else:
                kept[key] = before
        self._deals.difference_update(self._new_deals)
        self._unsettled = dict(self._unsettled_before)
        self.death = None
        self.flush()


class Trader:
    """A daemon's execution service that trades a faulty account; it keeps every event.

    `now` is the market's time. A cycle that passes a full minute announces the candle it closed.
    """

    def __init__(
        self,
        *strategies: StrategyRules,
        account: FaultyAccount | None = None,
        journal: DurableJournal | None = None,
        limits: dict[str, Any] | None = None,
        patience: Patience = PATIENT,
        switch: Callable[[], Switch | None] | None = None,
        zone: str = "UTC",
        **settings: Any,
    ) -> None:
        self.strategies = {one.name: one for one in strategies or (strategy(),)}
        self.account = account or FaultyAccount()
        self.journal = journal or DurableJournal()
        known = {
            "daily_loss_limit": Decimal(1000),
            "max_positions": 10,
            "max_position_size": Decimal(1),
        }
        self.rules = EntryRules(
            RiskLimits(**{**known, **(limits or {})}), Restrictions(), ServerTime(zone)
        )
        self.patience = patience
        self.switch = switch
        self.settings = settings
        self.now = MONDAY
        self.cycles = 0
        self.events: list[Event] = []
        self.failures: list[Exception] = []
        self.logged: set[tuple[BlockReason, str]] = set()
        """What earlier lives found; its events may have died with them, its log lines did not."""
        self.account.poll(self.now)
        self.connect()

    # Its life

    def connect(self) -> None:
        """Start a service on what journal and account have."""
        self.bus = EventBus(on_error=self._failed, history_limit=1)
        self.bus.subscribe(Event, self.events.append)
        self.service = self._made()
        for event_type, handler in (
            (CycleStartedEvent, self.service.on_cycle_started),
            (NewCandleEvent, self.service.on_new_candle),
            (StrategiesEvaluatedEvent, self.service.on_strategies_evaluated),
            (ExitSignalEvent, self.service.on_exit_signal),
            (EntrySignalEvent, self.service.on_entry_signal),
            (CycleCompletedEvent, self.service.on_cycle_completed),
            (RestartBudgetSpentEvent, self.service.on_restart_budget_spent),
        ):
            self.bus.subscribe(event_type, handler)
        self.service.start(self.now)

    def begin_successor(self) -> None:
        """Start the successor of the service, which may raise SourceError; the service stays."""
        successor = self._made()
        successor.succeed(self.service)
        successor.start(self.now)

    def _made(self) -> TradeExecutionService:
        terms = TradingTerms(
            strategies=self.strategies,
            rules=self.rules,
            base_timeframes={one.symbol: M1 for one in self.strategies.values()},
            switch=self.switch,
            remote=True,
            patience=self.patience,
            **self.settings,
        )
        return TradeExecutionService(self.bus, self.account, self.journal, terms)

    def restart(self) -> None:
        """End the process as kill -9 does, and start it again, which may raise SourceError."""
        self.logged |= self.service.desks.brakes._found
        self.journal.crash()
        self.account.poll(self.now)
        self.connect()

    def _failed(self, owner: str, event: Event, error: Exception) -> None:
        self.failures.append(error)

    # Its cycles

    def cycle(
        self,
        seconds: int = EVERY,
        *,
        enter: Iterable[tuple[str, Direction]] = (),
        leave: Iterable[tuple[str, Direction]] = (),
    ) -> None:
        """Let time pass and run a cycle; signals come of the candle that closed last."""
        before, self.now = self.now, self.now + timedelta(seconds=seconds)
        self.cycles += 1
        self.bus.publish(CycleStartedEvent(cycle=self.cycles, time=self.now))
        if self._minute(before) < self._minute(self.now):
            for symbol in sorted({one.symbol for one in self.strategies.values()}):
                self._close_candle(symbol)
        for name, direction in leave:
            self.bus.publish(ExitSignalEvent(signal=self.signal(name, direction)))
        for name, direction in enter:
            self.bus.publish(EntrySignalEvent(signal=self.signal(name, direction)))
        self.bus.publish(CycleCompletedEvent(cycle=self.cycles, time=self.now))
        self.journal.flush()

    def minute(self, **signals: Any) -> None:
        """Run the cycle in which the next one-minute candle is closed."""
        self.cycle(int(60 - self.now.timestamp() % 60), **signals)

    def wait(self, cycles: int, seconds: int = EVERY) -> None:
        """Run cycles in which nothing is decided."""
        for _ in range(cycles):
            self.cycle(seconds)

    def _minute(self, time: datetime) -> datetime:
        return time.replace(second=0, microsecond=0)

    def candle(self, symbol: str) -> Candle:
        """Return the candle that closed last."""
        closed = self._minute(self.now)
        price = float(self.account.prices[symbol])
        return Candle(symbol, M1, closed - M1.delta, closed, price, price, price, price)

    def _close_candle(self, symbol: str) -> None:
        made = self.candle(symbol)
        self.bus.publish(NewCandleEvent(candle=made))
        decisions = tuple(
            Decision(
                made.close_time, symbol, one.name, M1, made, False, False, False, False, {}, {}
            )
            for one in self.strategies.values()
            if one.symbol == symbol
        )
        self.bus.publish(
            StrategiesEvaluatedEvent(symbol=symbol, timeframe=M1, candle=made, decisions=decisions)
        )

    def signal(self, name: str, direction: Direction) -> Signal:
        """Return what a strategy says of the candle that closed last."""
        symbol = self.strategies[name].symbol
        return Signal(name, symbol, M1, direction, self.candle(symbol), (), {ATR: 0.0010})

    # What there is to see

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def refused(self) -> list[BlockReason]:
        """Return why entry signals were refused."""
        return [event.reason for event in self.of(TradingBlockedEvent) if event.direction]

    def standing(self) -> list[BlockReason]:
        """Return the blocks that stand."""
        return [block.reason for block in self.journal.blocks(self.now)]

    def records(self, action: Action = Action.ENTRY) -> list[IntentRecord]:
        """Return the intents of an action, oldest first."""
        return [it for it in self.journal._records.values() if it.intent.action is action]

    def states(self, action: Action = Action.ENTRY) -> list[IntentState]:
        """Return where the intents of an action are."""
        return [record.state for record in self.records(action)]

    @property
    def plans(self) -> list[PositionPlan]:
        """The plans of the positions it manages."""
        return list(self.service.desks.trades.plans.values())


def opened(trader: Trader, name: str = "cross", direction: Direction = LONG) -> Trader:
    """Return the trader after a strategy has opened a position."""
    trader.minute(enter=[(name, direction)])
    return trader


@contextmanager
def quiet() -> Iterator[None]:
    """Let services that are made in it say nothing: the proofs look at what they do."""
    services = logging.getLogger("services")
    before = services.level, services.propagate
    services.setLevel(logging.CRITICAL)
    services.propagate = False
    silent = logging.NullHandler()
    services.addHandler(silent)
    try:
        yield
    finally:
        services.removeHandler(silent)
        services.setLevel(before[0])
        services.propagate = before[1]
