"""The execution service on the real bus, the real paper broker and the real journal."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.journal.memory import MemoryJournal
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.bus import EventBus
from app.domain.broker_time import ServerTime
from app.domain.market import Candle, Timeframe
from app.domain.orders import (
    BlockReason,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    OrderGone,
    OrderKind,
    OrderResult,
    OrderState,
    PendingOrder,
    Refusal,
)
from app.domain.rules import (
    ColumnRef,
    GuardedExit,
    RiskRules,
    Schedule,
    SessionHandling,
    Sizing,
    SizingKind,
    StopKind,
    StopRule,
    StrategyRules,
    Target,
    TargetKind,
    TargetRule,
)
from app.domain.signals import Decision, Direction, Signal
from app.events import (
    CycleCompletedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    NewCandleEvent,
    OrderCancelledEvent,
    OrderFilledEvent,
    OrderPlacedEvent,
    OrderRejectedEvent,
    PositionAdoptedEvent,
    PositionClosedEvent,
    PositionReducedEvent,
    RestartBudgetSpentEvent,
    StopMovedEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)
from app.risk.ids import magic_of
from app.risk.limits import ApprovedOrder, EntryRules, RiskLimits
from app.risk.plans import PositionPlan
from app.risk.restrictions import Restrictions
from app.risk.splitting import Split
from app.risk.stops import Levels
from app.services.floor import TradingTerms
from app.services.trade_execution import TradeExecutionService

E = TypeVar("E", bound=Event)
LONG, SHORT = Direction
M1, M5 = Timeframe("M1"), Timeframe("M5")
MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
ATR = ColumnRef(M1, "atr")
STOP = StopRule(StopKind.FIXED, 20.0)
TARGET = TargetRule(TargetKind.FIXED, 40.0)
TERMS = PaperTerms(spread_points=10.0, slippage_points=0.0, commission_per_lot=Decimal(0))


def strategy(
    name: str = "cross",
    *,
    lots: float = 0.1,
    stop: StopRule | None = STOP,
    target: TargetRule | None = TARGET,
    atr_distance: float | None = None,
    trigger: Timeframe = M1,
    **rest: Any,
) -> StrategyRules:
    atr = ATR if atr_distance is not None else None
    risk = RiskRules(Sizing(SizingKind.FIXED, lots), stop, target, atr_distance, atr)
    return StrategyRules(name, "EURUSD", magic_of(name), (trigger,), trigger, risk, **rest)


class Desk:
    """A service on a bus with a broker, driven candle by candle; it keeps every event."""

    def __init__(self, *strategies: StrategyRules, **settings: Any) -> None:
        self.strategies = {one.name: one for one in strategies or (strategy(),)}
        self.settings = settings
        self.journal = settings.pop("journal", None) or MemoryJournal()
        self.broker = settings.pop("broker", None) or PaperBroker(
            settings.pop("terms", TERMS), ("EURUSD",)
        )
        self.limits: dict[str, Any] = {
            "daily_loss_limit": Decimal(1000),
            "max_positions": 10,
            "max_position_size": Decimal(1),
            **settings.pop("limits", {}),
        }
        self.restrictions = settings.pop("restrictions", Restrictions())
        self.minute = 0
        self.events: list[Event] = []
        self.connect()

    def connect(self) -> None:
        """Replace the service, as a restart does."""
        self.bus = EventBus(on_error=self.failed)
        self.bus.subscribe(Event, self.events.append)
        terms = TradingTerms(
            strategies=self.strategies,
            rules=EntryRules(RiskLimits(**self.limits), self.restrictions, ServerTime("UTC")),
            splits=self.settings.get("splits", {}),
            base_timeframes={"EURUSD": M1},
            batch=self.settings.get("batch", False),
            trade=self.settings.get("trade", True),
        )
        self.service = TradeExecutionService(self.bus, self.broker, self.journal, terms)
        for event_type, handler in (
            (NewCandleEvent, self.service.on_new_candle),
            (StrategiesEvaluatedEvent, self.service.on_strategies_evaluated),
            (ExitSignalEvent, self.service.on_exit_signal),
            (EntrySignalEvent, self.service.on_entry_signal),
            (CycleCompletedEvent, self.service.on_cycle_completed),
            (RestartBudgetSpentEvent, self.service.on_restart_budget_spent),
        ):
            self.bus.subscribe(event_type, handler)
        self.service.start(self.now)

    def failed(self, owner: str, event: Event, error: Exception) -> None:
        raise AssertionError(f"{type(event).__name__} failed: {error!r}")

    @property
    def now(self) -> datetime:
        return MONDAY + timedelta(minutes=self.minute)

    def candle(
        self, close: float = 1.1, *, high: float = 0.0, low: float = 0.0, opened: float = 0.0,
        spread: float = 0.0,
    ) -> Candle:  # fmt: skip
        """Let a minute pass, the market open at `opened` and close at `close`."""
        start = self.now
        self.minute += 1
        opened = opened or close
        made = Candle(
            "EURUSD", M1, start, self.now, opened, max(high, close, opened),
            min(low or close, close, opened), close, spread=spread,
        )  # fmt: skip
        self.bus.publish(NewCandleEvent(candle=made))
        self.last = made
        return made

    def slow_candle(self, close: float = 1.1, **more: float) -> Candle:
        """Announce the five minutes that end with the next minute."""
        ends = self.now + M1.delta
        made = Candle("EURUSD", M5, ends - M5.delta, ends, close, close, close, close, **more)
        self.bus.publish(NewCandleEvent(candle=made))
        return made

    def signal(
        self, direction: Direction = LONG, name: str = "cross", candle: Candle | None = None
    ) -> Signal:
        candle = candle or self.last
        return Signal(name, "EURUSD", candle.timeframe, direction, candle, (), {ATR: 0.0010})

    def enter(self, *what: Any, late: bool = False, **more: Any) -> None:
        self.bus.publish(EntrySignalEvent(signal=self.signal(*what, **more), late=late))

    def leave(self, *what: Any, **more: Any) -> None:
        self.bus.publish(ExitSignalEvent(signal=self.signal(*what, **more)))

    def evaluated(
        self, name: str = "cross", candle: Candle | None = None, levels: Levels | None = None
    ) -> None:
        candle = candle or self.last
        decision = Decision(
            candle.close_time, "EURUSD", name, candle.timeframe, candle, False, False, False,
            False, {}, levels or {},
        )  # fmt: skip
        self.bus.publish(
            StrategiesEvaluatedEvent(
                symbol="EURUSD", timeframe=candle.timeframe, candle=candle, decisions=(decision,)
            )
        )

    def end_cycle(self) -> None:
        self.bus.publish(CycleCompletedEvent(cycle=1, time=self.now))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def reasons(self) -> list[BlockReason]:
        """Return why signals were refused."""
        return [event.reason for event in self.of(TradingBlockedEvent) if event.direction]

    def opened(self, *what: Any) -> "Desk":
        """Open a position at the market of 1.10000."""
        self.candle()
        self.enter(*what)
        self.candle()
        return self


def test_a_signal_becomes_an_order_then_a_position_then_a_profit() -> None:
    """E7: OrderPlacedEvent, then the fill at the next candle's open, then the target."""
    desk = Desk().opened()
    (placed,) = desk.of(OrderPlacedEvent)
    assert (placed.symbol, placed.intent.volume) == ("EURUSD", Decimal("0.10"))
    (filled,) = desk.of(OrderFilledEvent)
    assert (filled.strategy, filled.deal.price) == ("cross", Decimal("1.10010"))
    desk.candle(1.105, opened=1.1)
    (closed,) = desk.of(PositionClosedEvent)
    assert (closed.reason, closed.profit) == (CloseReason.TAKE_PROFIT, closed.deal.profit)
    assert closed.profit == Decimal(40)
    assert desk.service.metrics() == {
        "orders_placed": 1, "orders_filled": 1, "orders_rejected": 0, "positions_closed": 1,
        "entries_blocked": 0, "open_positions": 0, "orders_on_their_way": 0, "orders_in_doubt": 0,
        "profit": 40.0,
    }  # fmt: skip


def test_the_profit_of_a_position_counts_the_commission_of_both_its_ends() -> None:
    desk = Desk(terms=msgspec.structs.replace(TERMS, commission_per_lot=Decimal(10))).opened()
    desk.candle(1.105, opened=1.1)
    assert [event.profit for event in desk.of(PositionClosedEvent)] == [Decimal(38)]


def test_the_story_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk().opened()
    desk.enter()
    desk.enter()
    desk.leave()
    desk.candle(1.099)
    said = [record.getMessage() for record in caplog.records]
    assert any("Order placed: EURUSD long 0.10 market, stop 1.09810" in line for line in said)
    assert any("Order filled: EURUSD long 0.10 at 1.10010" in line for line in said)
    assert sum("Blocked: EURUSD long" in line for line in said) == 1
    assert any("Position closed: EURUSD long 0.10 at 1.09900, profit -11.00 USD" in line
               for line in said)  # fmt: skip


def test_an_exit_signal_closes_the_positions_of_its_strategy_and_direction() -> None:
    other = strategy("other")
    desk = Desk(strategy(), other).opened()
    desk.enter(LONG, "other")
    desk.candle()
    desk.leave(SHORT)
    desk.leave(LONG)
    desk.leave(LONG)
    desk.candle()
    assert [event.strategy for event in desk.of(PositionClosedEvent)] == ["cross"]
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.SIGNAL]
    assert desk.service.metrics()["open_positions"] == 1


def test_one_position_per_strategy_and_direction() -> None:
    """E8: every refusal is a TradingBlockedEvent with its reason."""
    desk = Desk()
    desk.candle()
    desk.enter()
    desk.enter(candle=desk.last)
    desk.candle()
    desk.enter()
    desk.enter(SHORT)
    assert desk.reasons() == [BlockReason.POSITION_OPEN, BlockReason.POSITION_OPEN]
    blocked = desk.of(TradingBlockedEvent)[0]
    assert (blocked.symbol, blocked.strategy, blocked.direction) == ("EURUSD", "cross", LONG)
    assert len(desk.of(OrderPlacedEvent)) == 2


def test_twenty_signals_and_one_slot_make_one_order() -> None:
    """I15, C28: what was sent counts before the broker has filled it."""
    many = [strategy(f"s{at}", lots=0.01) for at in range(20)]
    desk = Desk(*many, limits={"max_positions": 1})
    desk.candle()
    for one in many:
        desk.enter(LONG, one.name)
    assert len(desk.of(OrderPlacedEvent)) == 1
    assert desk.reasons() == [BlockReason.MAX_POSITIONS] * 19


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(Direction), st.integers(0, 3)), max_size=25
    ),
    st.integers(1, 4),
)
def test_no_interleaving_exceeds_the_limits(
    steps: list[tuple[int, Direction, int]], slots: int
) -> None:
    """I3, I9, I15: no more positions than allowed or volume than opened; the ledgers agree."""
    many = [strategy(f"s{at}", lots=0.02) for at in range(5)]
    desk = Desk(*many, limits={"max_positions": slots, "positions_per_direction": 2})
    desk.candle()
    for which, direction, then in steps:
        desk.enter(direction, f"s{which}")
        if then == 1:
            desk.candle()
        elif then == 2:
            desk.leave(direction, f"s{which}")
        elif then == 3:
            desk.candle(1.1 + 0.003 * direction.sign)
        entries = [order for order in desk.broker.orders() if not order.position]
        assert len(desk.broker.positions()) + len(entries) <= slots
    desk.candle()
    assert desk.service.metrics()["open_positions"] == len(desk.broker.positions())
    ours = desk.service.desks.reports.profit
    ours += sum((plan.realised for plan in desk.service.desks.trades.plans.values()), Decimal(0))
    assert desk.broker.account().balance == TERMS.balance + ours
    volumes = {event.deal.position: event.deal.volume for event in desk.of(OrderFilledEvent)}
    for event in desk.of(PositionClosedEvent):
        assert event.deal.volume == volumes[event.deal.position]


def test_the_same_signal_is_never_sent_twice() -> None:
    """I6, I8: delivered again after a restart, it is refused as done."""
    desk = Desk()
    desk.candle()
    first = desk.last
    desk.enter()
    desk.candle()
    desk.leave()
    desk.candle()
    desk.connect()
    desk.enter(candle=first)
    assert desk.reasons() == [BlockReason.ALREADY_DONE]
    assert len(desk.of(OrderPlacedEvent)) == 2


def test_late_candles_and_reduce_only_open_nothing_but_close() -> None:
    """I10: exits pass while entries are blocked."""
    desk = Desk().opened()
    desk.enter(SHORT, late=True)
    desk.bus.publish(RestartBudgetSpentEvent(service="x", restarts=5))
    desk.enter(SHORT)
    assert desk.reasons() == [BlockReason.LATE_CANDLE, BlockReason.REDUCE_ONLY]
    desk.leave()
    desk.candle()
    assert len(desk.of(PositionClosedEvent)) == 1


def test_the_size_of_a_position_is_limited() -> None:
    """C29."""
    desk = Desk(strategy(lots=1.5))
    desk.candle()
    desk.enter()
    assert desk.reasons() == [BlockReason.MAX_POSITION_SIZE]


def test_the_days_loss_blocks_until_the_brokers_next_day() -> None:
    """C27, I13: a sum over the ledger, so a restart does not forget it; deposits do not count."""
    desk = Desk(strategy(lots=1.0), limits={"daily_loss_limit": Decimal(250)})
    desk.opened()
    desk.candle(1.0975)
    assert [event.profit for event in desk.of(PositionClosedEvent)] == [Decimal(-260)]
    desk.enter()
    desk.connect()
    desk.enter()
    assert desk.reasons() == [BlockReason.DAILY_LOSS_LIMIT] * 2
    desk.minute = 24 * 60
    desk.candle(1.0975)
    desk.enter()
    assert len(desk.reasons()) == 2
    assert len(desk.of(OrderPlacedEvent)) == 2


def test_an_entry_whose_stop_would_break_the_days_limit_is_denied() -> None:
    """I15: what is open counts as if it were stopped out."""
    desk = Desk(limits={"daily_loss_limit": Decimal(30), "positions_per_direction": 2}).opened()
    desk.enter()
    assert desk.reasons() == [BlockReason.LOSS_AT_RISK]


def test_what_is_on_its_way_counts_as_if_it_were_stopped_out() -> None:
    """I15: sent and not filled yet, ours or a stranger's, it can still lose what its stop loses."""
    desk = Desk(
        strategy(), strategy("other"), strategy("limit", atr_distance=1.0),
        limits={"daily_loss_limit": Decimal(30)},
    )  # fmt: skip
    desk.candle()
    desk.enter(LONG, "limit")
    desk.enter()
    desk.journal = MemoryJournal()
    desk.connect()
    desk.enter(LONG, "other")
    assert desk.reasons() == [BlockReason.LOSS_AT_RISK] * 2
    assert len(desk.of(OrderPlacedEvent)) == 1


class Ledger(PaperBroker):
    """A paper broker with a withdrawal on the day of trading."""

    def deals(self, since: datetime) -> Sequence[Deal]:
        none = Decimal(0)
        money = Deal(
            900, 0, 0, "", LONG, DealEntry.IN, none, none, Decimal(-5000), none, none, MONDAY, 0,
            "withdrawal", funding=True,
        )  # fmt: skip
        return [money, *super().deals(since)]


def test_deposits_and_withdrawals_are_no_result() -> None:
    """I13."""
    desk = Desk(broker=Ledger(TERMS, ("EURUSD",))).opened()
    assert len(desk.of(OrderFilledEvent)) == 1
    assert desk.reasons() == []


def test_without_a_price_nothing_is_sent() -> None:
    desk = Desk()
    candle = Candle("EURUSD", M1, MONDAY - M1.delta, MONDAY, 1.1, 1.1, 1.1, 1.1)
    desk.service._seen.clear()
    desk.enter(candle=candle)
    assert desk.reasons() == [BlockReason.NO_QUOTE]


def test_a_signal_that_cannot_be_planned_is_blocked() -> None:
    desk = Desk(strategy(lots=0.001))
    desk.candle()
    desk.enter()
    assert desk.reasons() == [BlockReason.VOLUME_BELOW_MINIMUM]


def test_monitor_mode_answers_every_entry_and_sends_nothing() -> None:
    """C12, P18, I18: nothing reaches the broker; an exit that is not made blocks no entry."""
    desk = Desk(trade=False)
    desk.candle()
    desk.enter()
    desk.leave()
    desk.candle()
    assert desk.reasons() == [BlockReason.MONITOR_MODE]
    assert desk.service.metrics()["entries_blocked"] == 1
    assert desk.of(OrderPlacedEvent) == []
    assert desk.broker.orders() == desk.broker.positions() == []


def test_a_slow_signal_waits_for_the_fast_candle_that_closed_with_it() -> None:
    """No order is filled at a price from before the decision."""
    slow = strategy("slow", trigger=M5)
    desk = Desk(slow)
    desk.candle(1.09)
    candle = desk.slow_candle()
    desk.enter(LONG, "slow", candle)
    assert desk.of(OrderPlacedEvent) == []
    desk.candle(1.1, opened=1.09)
    (placed,) = desk.of(OrderPlacedEvent)
    assert placed.intent.stop_loss == Decimal("1.09810")
    assert desk.of(OrderFilledEvent) == []
    desk.candle(1.1)
    (filled,) = desk.of(OrderFilledEvent)
    assert filled.deal.time == candle.close_time


def test_a_slow_signal_whose_fast_candle_never_came_is_acted_on_as_the_cycle_ends() -> None:
    desk = Desk(strategy("slow", trigger=M5))
    desk.candle()
    desk.enter(LONG, "slow", desk.slow_candle())
    desk.end_cycle()
    assert len(desk.of(OrderPlacedEvent)) == 1


def filled_as_a_slow_candle_ends(*others: StrategyRules, last: bool) -> PositionPlan:
    """Return the plan of an entry that waited until the minute with which its candle closes.

    What the candle decides is known before that minute, or `last`, when all of it was taken in.
    """
    trails = StopRule(StopKind.TRAILING, trail_step=10.0, cap=20.0)
    desk = Desk(strategy("slow", stop=trails, target=None, atr_distance=0.3, trigger=M5), *others)
    desk.candle()
    for other in others:
        desk.enter(SHORT, other.name)
    desk.candle()
    desk.enter(LONG, "slow")
    candle = desk.slow_candle(1.1020)
    if not last:
        desk.evaluated("slow", candle)
    desk.candle(1.1020, low=1.0990, opened=1.1)
    if last:
        desk.evaluated("slow", candle)
    desk.end_cycle()
    (plan,) = desk.service.desks.trades.of(desk.strategies["slow"])
    return plan


@pytest.mark.parametrize("others", [(), (strategy("fixed", target=None),)], ids=["alone", "beside"])
def test_an_entry_that_fills_as_its_candle_ends_is_managed_by_that_candle(
    others: tuple[StrategyRules, ...],
) -> None:
    """Red when what is managed is looked for before the minute that fills it is taken in."""
    plan = filled_as_a_slow_candle_ends(*others, last=False)
    assert plan.stop == Decimal("1.10100")
    assert plan.best == 1.102
    assert plan.stop == filled_as_a_slow_candle_ends(*others, last=True).stop


def test_a_waiting_signal_is_not_mixed_up_with_a_later_one() -> None:
    desk = Desk(strategy("slow", trigger=M5))
    desk.candle()
    later = Candle("EURUSD", M5, desk.now, desk.now + M5.delta, 1.1, 1.1, 1.1, 1.1)
    desk.enter(LONG, "slow", later)
    desk.candle()
    assert desk.of(OrderPlacedEvent) == []


def test_batch_mode_acts_at_the_end_of_the_cycle_exits_first_then_in_order() -> None:
    """C13."""
    desk = Desk(strategy("first"), strategy("second"), batch=True)
    desk.candle()
    desk.enter(LONG, "first")
    desk.end_cycle()
    desk.candle()
    desk.enter(SHORT, "second")
    desk.enter(SHORT, "first")
    desk.leave(LONG, "first")
    assert len(desk.of(OrderPlacedEvent)) == 1
    desk.end_cycle()
    intents = [event.intent for event in desk.of(OrderPlacedEvent)][1:]
    assert [(intent.action, intent.strategy) for intent in intents] == [
        ("exit", "first"), ("entry", "first"), ("entry", "second"),
    ]  # fmt: skip


def test_a_trailing_stop_moves_and_closes() -> None:
    trail = StopRule(StopKind.TRAILING, trail_step=10.0, cap=20.0)
    desk = Desk(strategy(stop=trail, target=None)).opened()
    desk.candle(1.1030)
    desk.evaluated()
    (moved,) = desk.of(StopMovedEvent)
    assert (moved.old_stop, moved.new_stop) == (Decimal("1.09810"), Decimal("1.10200"))
    assert desk.broker.positions()[0].stop_loss == moved.new_stop
    desk.candle(1.1025)
    desk.evaluated()
    desk.candle(1.1015)
    (closed,) = desk.of(PositionClosedEvent)
    assert (closed.reason, len(desk.of(StopMovedEvent))) == (CloseReason.STOP_LOSS, 1)


MULTI = TargetRule(
    TargetKind.MULTI,
    targets=(Target(0.1, 50.0, move_stop=True), Target(0.2, 30.0), Target(0.3, 20.0)),
)


def test_targets_close_their_parts_and_the_last_takes_the_rest() -> None:
    desk = Desk(strategy(target=MULTI)).opened()
    for close in (1.1015, 1.1015, 1.1025, 1.1025, 1.1040):
        desk.candle(close)
        desk.evaluated()
    parts = [(event.deal.volume, event.remaining) for event in desk.of(PositionReducedEvent)]
    assert parts == [
        (Decimal("0.05"), Decimal("0.05")), (Decimal("0.03"), Decimal("0.02")),
    ]  # fmt: skip
    assert {event.deal.reason for event in desk.of(PositionReducedEvent)} == {CloseReason.TARGET}
    (closed,) = desk.of(PositionClosedEvent)
    assert (closed.reason, closed.deal.volume) == (CloseReason.TAKE_PROFIT, Decimal("0.02"))
    assert closed.profit == sum(deal.profit for deal in desk.broker.deals(MONDAY))
    assert [event.new_stop for event in desk.of(StopMovedEvent)] == [Decimal("1.10010")]


def test_targets_are_taken_on_the_fast_candles_within_a_slow_one() -> None:
    desk = Desk(strategy("slow", target=MULTI, trigger=M5)).opened(LONG, "slow")
    desk.candle(1.1002, high=1.1015)
    desk.candle(1.1015)
    (part,) = desk.of(PositionReducedEvent)
    assert (part.deal.reason, part.deal.volume) == (CloseReason.TARGET, Decimal("0.05"))
    assert desk.of(StopMovedEvent)[0].new_stop == Decimal("1.10010")
    desk.evaluated("slow", desk.slow_candle(1.1015))
    desk.candle(1.1015)
    assert len(desk.of(PositionReducedEvent)) == 1


def test_a_position_is_closed_after_its_longest_duration() -> None:
    patient = GuardedExit(min_duration=timedelta(minutes=3), max_duration=timedelta(minutes=5))
    desk = Desk(strategy(long_exit=patient)).opened()
    desk.leave()
    for _ in range(5):
        desk.candle()
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.MAX_DURATION]
    assert desk.of(PositionClosedEvent)[0].deal.time == MONDAY + timedelta(minutes=6)


@pytest.mark.parametrize("handling", SessionHandling)
def test_what_the_end_of_the_session_does_to_a_position(handling: SessionHandling) -> None:
    hours = Schedule(hours=((time(9), time(10, 5)),), session_handling=handling)
    desk = Desk(strategy(schedule=hours)).opened()
    for _ in range(6):
        desk.candle()
    closed, reduced = desk.of(PositionClosedEvent), desk.of(PositionReducedEvent)
    if handling is SessionHandling.CLOSE_ALL:
        assert [event.reason for event in closed] == [CloseReason.SESSION_END]
    elif handling is SessionHandling.PARTIAL_CLOSE:
        assert [event.remaining for event in reduced] == [Decimal("0.05")]
    assert (len(closed), len(reduced)) == {
        SessionHandling.CLOSE_ALL: (1, 0), SessionHandling.HOLD: (0, 0),
        SessionHandling.PARTIAL_CLOSE: (0, 1),
    }[handling]  # fmt: skip
    desk.enter(SHORT)
    assert desk.reasons() == [BlockReason.OUTSIDE_SCHEDULE]


def test_a_daily_account_is_flat_before_the_market_closes() -> None:
    night = Restrictions(close_time=time(10, 10), close_margin=timedelta(minutes=5), flatten=True)
    desk = Desk(restrictions=night).opened()
    for _ in range(4):
        desk.candle()
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.MARKET_CLOSE]
    desk.enter()
    assert desk.reasons() == [BlockReason.MARKET_CLOSING]


def waiting(**changes: Any) -> Desk:
    """Return a desk whose strategy has placed a limit order ten pips below the market."""
    desk = Desk(strategy(atr_distance=1.0, **changes))
    desk.candle()
    desk.enter()
    return desk


def test_a_limit_entry_waits_counts_and_fills() -> None:
    desk = waiting()
    (placed,) = desk.of(OrderPlacedEvent)
    assert (placed.intent.kind, placed.intent.price) == (OrderKind.LIMIT, Decimal("1.09900"))
    desk.enter()
    assert desk.reasons() == [BlockReason.POSITION_OPEN]
    desk.candle(1.0995)
    assert desk.of(OrderFilledEvent) == []
    desk.candle(1.0995, low=1.0988)
    assert [event.deal.price for event in desk.of(OrderFilledEvent)] == [Decimal("1.09900")]


def test_an_exit_signal_withdraws_entries_that_wait() -> None:
    desk = waiting()
    desk.leave(SHORT)
    assert len(desk.broker.orders()) == 1
    desk.leave(LONG)
    desk.leave(LONG)
    assert desk.broker.orders() == []
    desk.candle()
    assert len(desk.of(OrderCancelledEvent)) == 1
    desk.enter()
    assert len(desk.of(OrderPlacedEvent)) == 2


@pytest.mark.parametrize("why", ["day", "schedule", "reduce_only"])
def test_an_entry_that_waits_is_withdrawn_when_it_would_be_refused(why: str) -> None:
    hours = Schedule(hours=((time(9), time(10, 3)),)) if why == "schedule" else None
    desk = waiting(schedule=hours)
    desk.candle()
    assert len(desk.broker.orders()) == 1
    if why == "day":
        desk.minute = 24 * 60
    elif why == "reduce_only":
        desk.service.desks.entries.reduce_only = True
    desk.candle()
    assert desk.broker.orders() == []


def split_desk() -> Desk:
    desk = Desk(strategy(lots=0.3), splits={"EURUSD": Split(3, spacing_percent=0.1)})
    return desk.opened()


def test_a_split_entry_counts_once_and_its_legs_are_positions() -> None:
    desk = split_desk()
    assert len(desk.of(OrderPlacedEvent)) == 3
    groups = {event.intent.group for event in desk.of(OrderPlacedEvent)}
    assert len(groups) == 1
    desk.enter()
    assert desk.reasons() == [BlockReason.POSITION_OPEN]
    desk.candle(1.0988)
    assert len(desk.of(OrderFilledEvent)) == 2
    assert desk.service.desks.trades.entries(desk.strategies["cross"], LONG) == 1


def test_a_closed_position_of_a_group_withdraws_the_rest_of_it() -> None:
    desk = split_desk()
    desk.strategies["limit"] = strategy("limit", atr_distance=1.0)
    desk.enter(LONG, "limit")
    desk.candle(1.1045)
    assert len(desk.of(PositionClosedEvent)) == 1
    desk.candle()
    assert len(desk.of(OrderCancelledEvent)) == 2
    assert {order.magic for order in desk.broker.orders()} == {magic_of("limit")}


NETTING = msgspec.structs.replace(TERMS, hedging=False)


def test_a_netting_account_holds_one_strategy_s_position_in_a_symbol() -> None:
    """Another's order would move its stops, and another's exit would find nothing to close."""
    desk = Desk(strategy(), strategy("other"), terms=NETTING)
    desk.candle()
    desk.enter()
    desk.enter(SHORT, "other")
    desk.candle()
    desk.enter(SHORT, "other")
    desk.enter(LONG, "other")
    desk.connect()
    desk.enter(LONG, "other")
    assert desk.reasons() == [BlockReason.NETTED_BY_ANOTHER] * 4
    assert desk.of(TradingBlockedEvent)[0].detail == "EURUSD is one net position, held by cross"
    desk.leave()
    desk.candle()
    desk.enter(LONG, "other")
    desk.candle()
    assert [held.magic for held in desk.broker.positions()] == [magic_of("other")]


def test_on_a_netting_account_nothing_joins_a_stranger_s_position() -> None:
    desk = Desk(terms=NETTING).opened()
    desk.strategies, desk.journal = {"mine": strategy("mine")}, MemoryJournal()
    desk.connect()
    desk.enter(SHORT, "mine")
    assert desk.reasons() == [BlockReason.NETTED_BY_ANOTHER]
    assert "a stranger" in desk.of(TradingBlockedEvent)[0].detail


def test_what_happens_to_the_account_s_netting_position_is_understood() -> None:
    """An opposite entry closes what stands against it; nothing stays on its way for ever."""
    desk = Desk(terms=NETTING).opened()
    desk.enter(SHORT)
    desk.candle()
    assert desk.broker.positions() == []
    assert len(desk.of(PositionClosedEvent)) == 1
    assert desk.service.metrics()["open_positions"] == 0
    assert desk.reasons() == []


def test_entries_that_were_netted_into_one_position_count_one_by_one() -> None:
    """E8: positions_per_direction holds on a netting account, also after a restart."""
    desk = Desk(terms=NETTING, limits={"positions_per_direction": 2}).opened()
    desk.enter()
    desk.candle()
    assert [held.volume for held in desk.broker.positions()] == [Decimal("0.20")]
    desk.enter()
    desk.connect()
    desk.enter()
    desk.journal = MemoryJournal()
    desk.connect()
    desk.enter()
    assert desk.reasons() == [BlockReason.POSITION_OPEN] * 3


def believed(desk: Desk) -> list[Any]:
    return [
        (plan.ticket, plan.direction, plan.volume, plan.stop, plan.take_profit)
        for plan in desk.service.desks.trades.plans.values()
    ]


@settings(max_examples=60)
@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(Direction), st.integers(-25, 25), st.integers(0, 3)), max_size=12
    ),
)
def test_plans_hold_the_stops_the_broker_holds(
    hedging: bool, steps: list[tuple[Direction, int, int]]
) -> None:
    """Whatever is netted, trailed or closed; so a stop never moves against the position."""
    trail = StopRule(StopKind.TRAILING, trail_step=10.0, cap=20.0)
    terms = msgspec.structs.replace(TERMS, hedging=hedging)
    desk = Desk(
        strategy(stop=trail), strategy("other", lots=0.2), terms=terms,
        limits={"positions_per_direction": 3},
    )  # fmt: skip
    desk.candle()
    for direction, pips, then in steps:
        desk.enter(direction, "other" if then == 1 else "cross")
        if then == 2:
            desk.leave(direction)
        desk.candle(1.1 + pips / 1e4)
        desk.evaluated()
        held = [
            (one.ticket, one.direction, one.volume, one.stop_loss, one.take_profit)
            for one in desk.broker.positions()
        ]
        assert sorted(believed(desk)) == sorted(held)
    for moved in desk.of(StopMovedEvent):
        fills = [it.deal for it in desk.of(OrderFilledEvent) if it.deal.position == moved.ticket]
        assert fills[0].direction.sign * (moved.new_stop - moved.old_stop) > 0


def test_an_order_the_account_cannot_carry_is_rejected_with_no_money() -> None:
    desk = Desk(terms=msgspec.structs.replace(TERMS, balance=Decimal(50)))
    desk.candle()
    desk.enter()
    assert desk.reasons() == [BlockReason.NO_MONEY]
    (rejected,) = desk.of(OrderRejectedEvent)
    assert rejected.reason.startswith("no money")
    assert desk.service.metrics()["orders_rejected"] == 1


def test_a_restarted_service_goes_on_with_its_positions_and_orders() -> None:
    """P5, P13: plans come back from the journal, orders from the broker."""
    desk = Desk(strategy(target=MULTI), strategy("limit", atr_distance=1.0)).opened()
    desk.enter(LONG, "limit")
    desk.candle(1.1015)
    desk.evaluated()
    before = desk.journal.plan(desk.broker.positions()[0].ticket)
    desk.connect()
    (again,) = desk.of(PositionAdoptedEvent)
    assert again.strategy == "cross"
    assert desk.service.desks.trades.plans[again.position.ticket] == before
    assert before.closing == Decimal("0.05")
    desk.enter(LONG, "limit")
    assert desk.reasons() == [BlockReason.POSITION_OPEN]
    desk.candle(1.1015)
    assert [event.remaining for event in desk.of(PositionReducedEvent)] == [Decimal("0.05")]


def test_a_position_without_a_plan_is_adopted_by_its_magic() -> None:
    desk = Desk().opened()
    desk.journal = MemoryJournal()
    desk.connect()
    assert [event.strategy for event in desk.of(PositionAdoptedEvent)] == ["cross"]
    desk.candle(1.105, opened=1.1)
    (closed,) = desk.of(PositionClosedEvent)
    assert closed.profit == Decimal(40)


def test_a_stranger_s_position_is_reported_and_left_alone() -> None:
    """I4: what we do not know is said, not managed; it still counts."""
    desk = Desk(strategy(), strategy("limit", atr_distance=1.0)).opened()
    desk.enter(LONG, "limit")
    desk.strategies = {"mine": strategy("mine")}
    desk.limits["max_positions"] = 2
    desk.journal = MemoryJournal()
    desk.connect()
    assert [event.strategy for event in desk.of(PositionAdoptedEvent)] == [""]
    desk.enter(LONG, "mine")
    assert desk.reasons() == [BlockReason.MAX_POSITIONS]
    desk.candle(1.1, low=1.0989)
    assert len(desk.of(OrderFilledEvent)) == 1
    desk.candle(1.105, opened=1.1)
    assert desk.of(PositionClosedEvent) == []


def test_what_happened_while_the_service_was_away_is_taken_in_at_start() -> None:
    """I3: the journal's positions end as the broker's ledger says."""
    desk = Desk(strategy(target=MULTI)).opened()
    desk.candle(1.1015)
    desk.evaluated()
    for close in (1.1015, 1.1050):
        start, desk.minute = desk.now, desk.minute + 1
        desk.broker.on_candle(Candle("EURUSD", M1, start, desk.now, close, close, close, close))
    desk.connect()
    assert len(desk.of(PositionReducedEvent)) == 1
    (closed,) = desk.of(PositionClosedEvent)
    assert closed.profit == sum(deal.profit for deal in desk.broker.deals(MONDAY))
    assert desk.service.metrics()["open_positions"] == 0


class StubbornBroker(PaperBroker):
    """A paper broker that answers what it is told to, once each, before it obeys again."""

    def __init__(self) -> None:
        super().__init__(TERMS, ("EURUSD",))
        self.answers: list[OrderResult] = []
        self.report: list[Deal | OrderGone] = []
        self.sent: list[Intent] = []

    def _or(self, do: Callable[[], OrderResult]) -> OrderResult:
        return self.answers.pop(0) if self.answers else do()

    def submit(self, order: ApprovedOrder) -> OrderResult:
        self.sent.append(order.intent)
        return self._or(lambda: PaperBroker.submit(self, order))

    def modify(
        self, ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> OrderResult:
        return self._or(
            lambda: PaperBroker.modify(self, ticket, stop_loss=stop_loss, take_profit=take_profit)
        )

    def cancel(self, ticket: int) -> OrderResult:
        return self._or(lambda: PaperBroker.cancel(self, ticket))

    def on_candle(self, candle: Candle) -> Sequence[Deal | OrderGone]:
        told, self.report = self.report, []
        return [*told, *super().on_candle(candle)]


REFUSED = OrderResult(OrderState.REJECTED, reason="market closed")
UNKNOWN = OrderResult(OrderState.UNKNOWN, reason="timeout")


def test_an_exit_that_is_refused_is_asked_for_on_every_candle_until_it_is_taken() -> None:
    """An exit beats everything: it is never given up."""
    broker = StubbornBroker()
    desk = Desk(broker=broker).opened()
    broker.answers = [REFUSED, REFUSED]
    desk.leave()
    desk.candle()
    desk.candle()
    desk.candle()
    assert len(broker.sent) == 4
    assert len({intent.client_id for intent in broker.sent}) == 4
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.SIGNAL]
    assert len(desk.of(OrderRejectedEvent)) == 2


def test_parts_that_were_refused_on_one_candle_add_up() -> None:
    broker = StubbornBroker()
    desk = Desk(strategy(target=MULTI), broker=broker).opened()
    desk.candle(1.1025)
    broker.answers = [REFUSED, REFUSED]
    desk.evaluated()
    desk.candle(1.1025)
    desk.candle(1.1025)
    assert [event.remaining for event in desk.of(PositionReducedEvent)] == [Decimal("0.02")]


def test_a_part_that_was_refused_does_not_replace_all_that_was() -> None:
    """An exit beats everything: also the part that a target asks for behind it."""
    broker = StubbornBroker()
    desk = Desk(strategy(target=MULTI), broker=broker).opened()
    desk.candle(1.1015)
    broker.answers = [REFUSED, REFUSED]
    desk.leave()
    desk.evaluated()
    desk.candle(1.1015)
    desk.candle(1.1015)
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.SIGNAL]


def test_an_exit_that_is_owed_does_not_put_off_the_longest_duration() -> None:
    broker = StubbornBroker()
    brief = GuardedExit(max_duration=timedelta(minutes=3))
    desk = Desk(strategy(target=MULTI, long_exit=brief), broker=broker).opened()
    desk.candle(1.1015)
    broker.answers = [REFUSED]
    desk.evaluated()
    for _ in range(3):
        desk.candle(1.1015)
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.MAX_DURATION]
    assert desk.of(PositionClosedEvent)[0].deal.time == MONDAY + timedelta(minutes=4)


class MoodyBroker(StubbornBroker):
    """Refuses, or loses on the way, what its moods say, one for each exit."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: list[str] = []
        self.losing: list[PendingOrder] = []

    def orders(self) -> Sequence[PendingOrder]:
        return [*super().orders(), *self.losing]

    def submit(self, order: ApprovedOrder) -> OrderResult:
        mood = self.moods.pop(0) if order.intent.action == "exit" and self.moods else "takes"
        if mood == "takes":
            return super().submit(order)
        self.sent.append(order.intent)
        if mood == "refuses":
            return REFUSED
        lost = order.intent
        self.losing.append(
            PendingOrder(
                99, "EURUSD", LONG, OrderKind.MARKET, lost.volume, None, None, None, MONDAY,
                lost.magic, lost.client_id, lost.ticket or 0,
            )
        )  # fmt: skip
        return OrderResult(OrderState.PLACED, 99)

    def on_candle(self, candle: Candle) -> Sequence[Deal | OrderGone]:
        gone = [OrderGone(99, it.comment, "EURUSD", "expired") for it in self.losing]
        self.losing.clear()
        return [*gone, *super().on_candle(candle)]


@settings(max_examples=80)
@given(
    st.lists(st.sampled_from(["takes", "refuses", "loses"]), max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from([1.1005, 1.1015, 1.1025]),
            st.sampled_from(["", "", "", "", "leave", "restart"]),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_what_exits_wanted_is_what_was_closed(
    moods: list[str], steps: list[tuple[float, str]]
) -> None:
    """I9, I10: however many are refused or lost, and whoever restarts in between."""
    broker = MoodyBroker()
    desk = Desk(strategy(lots=1.0, target=MULTI), broker=broker).opened()
    broker.moods = list(moods)
    for price, then in steps:
        desk.candle(price)
        desk.evaluated()
        if then == "leave":
            desk.leave()
        elif then == "restart":
            desk.connect()
    broker.moods = []
    for _ in range(3):
        desk.candle(1.1005)
    best = max(price for price, _ in steps)
    wanted = {1.1005: Decimal(0), 1.1015: Decimal("0.5"), 1.1025: Decimal("0.8")}[best]
    if any(then == "leave" for _, then in steps):
        wanted = Decimal(1)
    closed = [deal.volume for deal in broker.deals(MONDAY) if deal.entry is DealEntry.OUT]
    assert sum(closed) == wanted


def test_an_exit_on_its_way_is_not_sent_again_after_a_restart() -> None:
    """I6: the broker still has it; asked for by another rule on the same candle."""
    broker = StubbornBroker()
    guarded = GuardedExit(profit_drawdown=0.5)
    desk = Desk(strategy(long_exit=guarded), broker=broker).opened()
    desk.candle(1.1030)
    desk.evaluated()
    desk.candle(1.1005)
    desk.leave()
    desk.connect()
    desk.evaluated()
    assert [intent.action for intent in broker.sent] == ["entry", "exit"]
    desk.candle(1.1005)
    assert len(desk.of(PositionClosedEvent)) == 1
    assert desk.of(OrderCancelledEvent) == []


def test_an_exit_the_broker_lost_while_the_service_was_away_is_asked_for_again() -> None:
    broker = StubbornBroker()
    desk = Desk(strategy(target=MULTI), broker=broker).opened()
    desk.candle(1.1015)
    broker.answers = [OrderResult(OrderState.PLACED, 99)]
    desk.evaluated()
    desk.connect()
    desk.candle(1.1015)
    desk.candle(1.1015)
    assert [event.remaining for event in desk.of(PositionReducedEvent)] == [Decimal("0.05")]


def test_what_is_at_risk_is_the_same_after_a_restart() -> None:
    """I15: an order at market that is on its way has no price of its own."""
    desk = Desk(strategy(), strategy("limit", atr_distance=1.0), strategy("held")).opened()
    desk.enter(LONG, "limit")
    desk.enter(LONG, "held")
    before = desk.service.desks.trades.exposure(desk.broker, Decimal(0))
    desk.connect()
    assert desk.service.desks.trades.exposure(desk.broker, Decimal(0)) == before
    assert before.at_risk == Decimal(60)


def test_an_exit_on_its_way_takes_no_place_of_an_entry() -> None:
    desk = Desk(strategy(), strategy("other"), limits={"max_positions": 2}).opened()
    desk.leave()
    desk.enter(LONG, "other")
    assert desk.reasons() == []


def test_a_block_is_told_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(strategy(lots=1.5))
    for minute in (0, 5, 24 * 60, 24 * 60 + 5):
        desk.minute = minute
        desk.candle()
        desk.enter()
    said = [record.getMessage() for record in caplog.records]
    assert sum("Blocked: EURUSD long" in line for line in said) == 2


class WatchedBroker(PaperBroker):
    """A paper broker that remembers which stops it refused to move."""

    def __init__(self, terms: PaperTerms) -> None:
        super().__init__(terms, ("EURUSD",))
        self.refused: list[str] = []

    def modify(self, *args: Any, **stops: Any) -> OrderResult:
        result = super().modify(*args, **stops)
        if result.state is OrderState.REJECTED:
            self.refused.append(result.reason)
        return result


@settings(max_examples=60)
@given(
    st.sampled_from([None, 0.0, 12.0, 35.5]),
    st.sampled_from([M1, M5]),
    st.lists(
        st.tuples(st.integers(-20, 6), st.integers(0, 9), st.sampled_from([0.0, 3.0, 40.0])),
        min_size=5,
        max_size=30,
    ),
)
def test_a_short_is_managed_at_the_spread_the_broker_closes_it_at(
    fixed: float | None, trigger: Timeframe, steps: list[tuple[int, int, float]]
) -> None:
    """No stop is asked for that the broker must refuse, with or without a spread in the data."""
    broker = WatchedBroker(msgspec.structs.replace(TERMS, spread_points=fixed))
    tight = StopRule(StopKind.TRAILING, trail_step=0.5, cap=100.0)
    desk = Desk(strategy(stop=tight, target=None, trigger=trigger), broker=broker).opened(SHORT)
    price = 1.1
    for points, wick, spread in steps:
        price = round(price + points / 1e5, 5)
        if trigger is M5:
            slow = desk.slow_candle(price, spread=40.0)
        fast = desk.candle(price, low=price - wick / 1e5, spread=spread)
        desk.evaluated(candle=slow if trigger is M5 else fast)
        for plan in desk.service.desks.trades.plans.values():
            quote = broker.quote("EURUSD")
            assert quote is not None
            assert plan.best <= max(quote.ask, 1.1) + 1e-9
            assert plan.stop is None or plan.stop >= Decimal(repr(quote.bid))
    assert broker.refused == []


def test_a_part_that_was_refused_is_asked_for_again_as_that_part() -> None:
    broker = StubbornBroker()
    desk = Desk(strategy(target=MULTI), broker=broker).opened()
    desk.candle(1.1015)
    broker.answers = [REFUSED]
    desk.evaluated()
    desk.candle(1.1015)
    desk.candle(1.1015)
    assert [event.remaining for event in desk.of(PositionReducedEvent)] == [Decimal("0.05")]


def test_a_break_even_that_was_refused_is_asked_for_again() -> None:
    """Of a position that has nothing else to follow. Red when a break-even is not looked for."""
    broker = StubbornBroker()
    halves = (Target(0.1, 50.0, move_stop=True), Target(2.0, 50.0))
    desk = Desk(strategy(target=TargetRule(TargetKind.MULTI, targets=halves)), broker=broker)
    desk.opened().candle(1.1015)
    broker.answers = [REFUSED, REFUSED]
    desk.evaluated()
    assert desk.of(StopMovedEvent) == []
    desk.candle(1.1015)
    desk.evaluated()
    (moved,) = desk.of(StopMovedEvent)
    (position,) = broker.positions()
    assert moved.new_stop == position.stop_loss == position.price_open


def test_a_stop_follows_its_column_and_a_guard_the_best_price() -> None:
    """Red when such a strategy is taken for one that follows no candle."""
    line = ColumnRef(M1, "sar")
    desk = Desk(strategy(stop=StopRule(StopKind.INDICATOR, source=line), target=None))
    desk.candle()
    desk.bus.publish(
        EntrySignalEvent(signal=msgspec.structs.replace(desk.signal(), levels={line: 1.098}))
    )
    desk.candle()
    desk.candle(1.105)
    desk.evaluated(levels={line: 1.103})
    assert [plan.stop for plan in desk.service.desks.trades.plans.values()] == [Decimal("1.10300")]
    guard = GuardedExit(profit_trailing=0.001)
    desk = Desk(strategy(target=None, long_exit=guard)).opened()
    for close in (1.11, 1.1075, 1.1075):
        desk.candle(close)
        desk.evaluated()
    assert [event.reason for event in desk.of(PositionClosedEvent)] == [CloseReason.PROFIT_GUARD]


def test_an_exit_that_was_lost_is_asked_for_again() -> None:
    broker = StubbornBroker()
    desk = Desk(broker=broker).opened()
    broker.answers = [OrderResult(OrderState.PLACED, 99)]
    desk.leave()
    lost = broker.sent[-1]
    broker.report = [OrderGone(99, lost.client_id, "EURUSD", "expired")]
    desk.candle()
    desk.candle()
    assert len(desk.of(OrderCancelledEvent)) == 1
    assert len(desk.of(PositionClosedEvent)) == 1


def test_an_entry_of_unknown_fate_is_never_sent_again_and_counts() -> None:
    """I6, I15: it may have been executed."""
    broker = StubbornBroker()
    desk = Desk(broker=broker, limits={"positions_per_direction": 5, "max_positions": 1})
    desk.candle()
    broker.answers = [UNKNOWN]
    desk.enter()
    assert desk.of(OrderPlacedEvent) == []
    desk.candle()
    desk.enter()
    assert desk.reasons() == [BlockReason.MAX_POSITIONS]
    assert len(broker.sent) == 1


@pytest.mark.parametrize(("target", "closes"), [(TARGET, 1), (MULTI, 0)])
def test_an_exit_that_was_admitted_but_never_left_is_made_up_for(
    target: TargetRule, closes: int
) -> None:
    """The process died between the journal and the wire: all of it again, a part not twice."""
    desk = Desk(strategy(target=target)).opened()
    desk.journal.admit = lambda *_: Refusal(BlockReason.ALREADY_DONE, "")
    if target is MULTI:
        desk.candle(1.1015)
        desk.evaluated()
    else:
        desk.leave()
    del desk.journal.admit
    desk.candle(1.1015)
    desk.candle(1.1015)
    assert len(desk.of(PositionClosedEvent)) == closes
    assert desk.of(PositionReducedEvent) == []


def test_an_entry_that_waits_for_a_strategy_that_is_gone_is_withdrawn() -> None:
    desk = waiting()
    desk.strategies = {"other": strategy("other")}
    desk.connect()
    desk.candle()
    assert desk.broker.orders() == []


def test_a_partly_filled_entry_is_still_on_its_way() -> None:
    broker = StubbornBroker()
    desk = Desk(broker=broker)
    desk.candle()
    desk.enter()
    sent = desk.service.desks.trades.sent[broker.sent[0].client_id]
    part = Deal(
        1, sent.ticket, sent.ticket, "EURUSD", LONG, DealEntry.IN, Decimal("0.04"),
        Decimal("1.1001"), Decimal(0), Decimal(0), Decimal(0), desk.now, 1, sent.intent.client_id,
    )  # fmt: skip
    desk.service.desks.reports.take_in(part, desk.now)
    assert sent.intent.client_id in desk.service.desks.trades.sent
    assert desk.service.desks.trades.entries(desk.strategies["cross"], LONG) == 1
    rest = msgspec.structs.replace(part, ticket=2, volume=Decimal("0.06"))
    desk.service.desks.reports.take_in(rest, desk.now)
    assert desk.service.desks.trades.sent == {}
    assert desk.service.desks.trades.plans[sent.ticket].volume == Decimal("0.10")


def test_a_refused_first_leg_stops_the_others() -> None:
    broker = StubbornBroker()
    desk = Desk(strategy(lots=0.3), broker=broker, splits={"EURUSD": Split(3)})
    desk.candle()
    broker.answers = [REFUSED]
    desk.enter()
    assert len(broker.sent) == 1
    assert desk.reasons() == [BlockReason.BROKER_REFUSED]


def test_a_first_leg_that_is_not_filled_withdraws_the_others() -> None:
    broker = StubbornBroker()
    desk = Desk(strategy(lots=0.3), broker=broker, splits={"EURUSD": Split(3)})
    desk.candle()
    broker.answers = [OrderResult(OrderState.PLACED, 50)]
    desk.enter()
    broker.report = [OrderGone(50, broker.sent[0].client_id, "EURUSD", "off quotes")]
    desk.candle()
    assert broker.orders() == []


def test_a_withdrawal_that_is_refused_is_tried_again() -> None:
    broker = StubbornBroker()
    desk = Desk(strategy(atr_distance=1.0), broker=broker)
    desk.candle()
    desk.enter()
    broker.answers = [REFUSED]
    desk.leave()
    assert len(broker.orders()) == 1
    desk.leave()
    assert broker.orders() == []


def test_a_stop_the_broker_would_not_move_is_moved_later() -> None:
    broker = StubbornBroker()
    desk = Desk(
        strategy(stop=StopRule(StopKind.TRAILING, trail_step=10.0), target=None), broker=broker
    ).opened()
    desk.candle(1.1030)
    broker.answers = [UNKNOWN]
    desk.evaluated()
    assert desk.of(StopMovedEvent) == []
    desk.candle(1.1030)
    desk.evaluated()
    assert len(desk.of(StopMovedEvent)) == 1


def test_each_deal_counts_once() -> None:
    """I3: told twice, a fill opens once and a close closes once."""
    broker = StubbornBroker()
    desk = Desk(broker=broker).opened()
    broker.report = [event.deal for event in desk.of(OrderFilledEvent)]
    desk.candle(1.105, opened=1.1)
    broker.report = [event.deal for event in desk.of(PositionClosedEvent)]
    desk.candle(1.105, opened=1.1)
    assert len(desk.of(OrderFilledEvent)) == len(desk.of(PositionClosedEvent)) == 1


class FaultyJournal(MemoryJournal):
    """A journal with a fault that shows at the next `faults` deals."""

    faults = 0

    def booked(self, deal: Deal, client_id: str) -> None:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("a fault of ours")
        super().booked(deal, client_id)


def test_a_deal_that_could_not_be_noted_is_taken_in_later_and_those_behind_it() -> None:
    """Two stops touched by one candle. Red when what a candle brought is forgotten at a failure."""
    journal = FaultyJournal()
    desk = Desk(strategy("one"), strategy("two"), journal=journal)
    desk.candle()
    desk.enter(LONG, "one")
    desk.enter(LONG, "two")
    desk.candle()
    assert len(desk.broker.positions()) == 2
    journal.faults = 1
    failures = []
    desk.bus.on_error = lambda _owner, _event, error: failures.append(str(error))
    desk.candle(1.09)
    desk.candle(1.09)
    assert failures == ["a fault of ours"]
    assert [event.strategy for event in desk.of(PositionClosedEvent)] == ["one", "two"]
    assert not desk.service.desks.trades.plans


def test_only_candles_of_the_fastest_timeframe_reach_the_broker() -> None:
    desk = Desk()
    desk.slow_candle()
    assert desk.broker.quote("EURUSD") is None
    desk.candle()
    assert desk.broker.quote("EURUSD") is not None
    assert desk.service.handled == 1
