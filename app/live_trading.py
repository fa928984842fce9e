"""The predecessor: everything built in `__init__`, one loop of direct calls.

What decides and what trades is the daemon's: indicators, regimes, strategies, limits, the
execution service and its journal. What joins them is not: no bus carries anything from one step to
the next, and no supervision replaces anything. `event_bus` only tells whoever listens.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from app.assembly import Parts
from app.bus import EventBus
from app.domain.errors import SourceError
from app.domain.market import Candle, Timeframe
from app.domain.rows import Row, View
from app.domain.signals import Decision, Direction, Signal
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    EntrySignalEvent,
    ExitSignalEvent,
    NewCandleEvent,
    StrategiesEvaluatedEvent,
    StrategyFailedEvent,
)
from app.log_setup import get_logger
from app.services.trade_execution import TradeExecutionService
from app.setting_values import FactsKept
from app.strategies.evaluate import Strategy
from app.wiring import engines_of, trading_terms

_INSTANT = timedelta(microseconds=1)


class _Evaluated(NamedTuple):
    """What the strategies of a candle decided, with the rows they saw."""

    candle: Candle
    late: bool
    found: Sequence[tuple[Strategy, Decision]]
    view: View


class LiveTradingManager:
    """Everything is built here; `run` fetches, calculates, evaluates, executes, and logs.

    Args:
        parts: the market, the account, the indicators and the strategies.

    """

    def __init__(self, parts: Parts) -> None:
        options = parts.settings.services
        self._parts = parts
        self._log = get_logger("live_trading_manager")
        self._interval = options.data_fetching.fetch_interval
        self._bars = options.data_fetching.nbr_bars
        self._recent = options.indicator_calculation.recent_rows_limit
        self._history = options.indicator_calculation.history_bars
        self._all_facts = options.strategy_evaluation.facts is FactsKept.ALL
        self._min_rows = options.strategy_evaluation.min_rows_required
        self._fetches = options.data_fetching.enabled
        self._decides = (
            options.indicator_calculation.enabled and options.strategy_evaluation.enabled
        )
        self._status_every = parts.settings.orchestrator.status_log_interval
        self.event_bus = EventBus()
        """Says what happens, to whoever listens."""
        self.execution = TradeExecutionService(
            self.event_bus, parts.broker, parts.journal, trading_terms(parts)
        )
        self._engines = engines_of(parts.settings, parts.indicators)
        self._rows: dict[str, dict[Timeframe, tuple[Row, ...]]] = {
            symbol: {} for symbol in parts.settings.symbols
        }
        self._last: dict[tuple[str, Timeframe], datetime] = {}
        self.cycles = 0

    def run(self, max_cycles: int | None = None) -> None:
        """Trade until stopped, out of data, or `max_cycles` are done."""
        clock = self._parts.clock
        self.start(clock.now())
        while self.cycles != max_cycles and clock.wait(self._interval):
            self.cycle(clock.now())
            if self.cycles % self._status_every == 0:
                self._say_status(clock.now())

    def start(self, now: datetime) -> None:
        """Warm the indicators up on what was seen until `now`, and take the account over."""
        server_time = self._parts.entry_rules.server_time
        for (symbol, timeframe), engine in self._engines.items():
            last = self._parts.journal.last_candle(symbol, timeframe)
            if last is None:
                forming = server_time.candle_open(timeframe, now)
                last = server_time.candle_open(timeframe, forming - _INSTANT)
            self._last[symbol, timeframe] = last
            history = (
                self._parts.source.latest(symbol, timeframe, self._history, now)
                if self._history
                else ()
            )
            seen = [candle for candle in history if candle.time <= last]
            seeding = max(0, len(seen) - self._recent)
            engine.warm_up(seen[:seeding])
            self._rows[symbol][timeframe] = tuple(map(engine.update, seen[seeding:]))
        self.execution.start(now)

    def stop(self) -> None:
        """End `run` after the running cycle; safe from a signal handler."""
        self.execution.wind_down()
        self._parts.clock.stop()

    def cycle(self, now: datetime) -> None:
        """Do all that the market's `now` asks for, in sequence."""
        self.cycles += 1
        started = CycleStartedEvent(cycle=self.cycles, time=now)
        self.event_bus.publish(started)
        self.execution.on_cycle_started(started)
        candles = [self._announced(candle, now) for candle in self._fetch(now)]
        views = [self._calculate(event) for event in candles]
        evaluated = [
            self._evaluate(event, view) for event, view in zip(candles, views, strict=True)
        ]
        for found in evaluated:
            self._execute(found)
        completed = CycleCompletedEvent(cycle=self.cycles, time=now)
        self.execution.on_cycle_completed(completed)
        self.event_bus.publish(completed)
        self._parts.journal.flush()

    def _fetch(self, now: datetime) -> list[Candle]:
        """Return the candles that closed since the last cycle, slow ones first at a time."""
        found: list[Candle] = []
        for (symbol, timeframe), last in self._last.items() if self._fetches else ():
            try:
                candles = self._parts.source.latest(symbol, timeframe, self._bars, now)
                if candles and candles[0].time > last:
                    candles = self._parts.source.after(symbol, timeframe, last, now)
            except SourceError as error:
                self._log.error("Fetching %s %s failed: %s", symbol, timeframe, error)
                continue
            found += [candle for candle in candles if candle.time > last]
        for candle in found:
            key = candle.symbol, candle.timeframe
            self._last[key] = max(self._last[key], candle.time)
            self._parts.journal.candle_announced(*key, candle.time)
        return sorted(found, key=lambda candle: (candle.close_time, -candle.timeframe.minutes))

    def _announced(self, candle: Candle, now: datetime) -> NewCandleEvent:
        late = now - candle.close_time >= candle.timeframe.delta
        event = NewCandleEvent(candle=candle, late=late)
        self.event_bus.publish(event)
        return event

    def _calculate(self, event: NewCandleEvent) -> View:
        """Turn a candle into a row, let the account see it; return the newest rows."""
        candle = event.candle
        rows = self._rows[candle.symbol]
        row = self._engines[candle.symbol, candle.timeframe].update(candle)
        rows[candle.timeframe] = (*rows[candle.timeframe][1 - self._recent :], row)
        self.execution.on_new_candle(event)
        return MappingProxyType(rows.copy())

    def _evaluate(self, event: NewCandleEvent, view: View) -> _Evaluated:
        """Ask every strategy whose trigger the candle is."""
        candle = event.candle
        asked = [
            strategy
            for strategy in self._parts.strategies[candle.symbol]
            if self._decides and strategy.rules.trigger == candle.timeframe
        ]
        found = [self._decide(strategy, view) for strategy in asked]
        return _Evaluated(candle, event.late, list(zip(asked, found, strict=True)), view)

    def _decide(self, strategy: Strategy, view: View) -> Decision:
        """Return what a strategy decides; one that raises decides nothing."""
        try:
            decision = strategy.evaluate(view, self._min_rows)
            if self._all_facts:
                decision = msgspec.structs.replace(decision, facts=strategy.explain(view))
        except Exception as error:  # noqa: BLE001 - one strategy never touches another
            name, undecided = strategy.rules.name, strategy.undecided(view)
            self._log.error("Strategy %s failed: %s", name, error, exc_info=error)
            self.event_bus.publish(
                StrategyFailedEvent(symbol=undecided.symbol, strategy=name, error=str(error))
            )
            return undecided
        return decision

    def _execute(self, evaluated: _Evaluated) -> None:
        """Manage positions, then leave, then enter."""
        candle, late, found, view = evaluated
        if not found:
            return
        event = StrategiesEvaluatedEvent(
            symbol=candle.symbol,
            timeframe=candle.timeframe,
            candle=candle,
            decisions=tuple(decision for _, decision in found),
            late=late,
        )
        self.event_bus.publish(event)
        self.execution.on_strategies_evaluated(event)
        for signal in _signals(found, view, "exit"):
            leave = ExitSignalEvent(signal=signal)
            self._say("Exit", signal)
            self.event_bus.publish(leave)
            self.execution.on_exit_signal(leave)
        for signal in _signals(found, view, "entry"):
            enter = EntrySignalEvent(signal=signal, late=late)
            self._say("Entry", signal)
            self.event_bus.publish(enter)
            self.execution.on_entry_signal(enter)

    def _say(self, kind: str, found: Signal) -> None:
        self._log.info(
            "%s signal: %s %s by %s", kind, found.direction, found.symbol, found.strategy
        )

    def _say_status(self, now: datetime) -> None:
        account = self._parts.broker.account()
        self._log.info(
            "Status at %s: balance %.2f, equity %.2f %s, %d cycles",
            f"{now:%Y-%m-%d %H:%M}",
            account.balance,
            account.equity,
            account.currency,
            self.cycles,
        )

    def metrics(self) -> Mapping[str, int | float]:
        """Return the counts of orders and positions."""
        return self.execution.metrics()


def _signals(found: Sequence[tuple[Strategy, Decision]], view: View, kind: str) -> Iterator[Signal]:
    for strategy, decision in found:
        for direction in (Direction.LONG, Direction.SHORT):
            part = f"{kind}.{direction}"
            if getattr(decision, f"{kind}_{direction}"):
                yield Signal(
                    strategy=decision.strategy,
                    symbol=decision.symbol,
                    timeframe=decision.timeframe,
                    direction=direction,
                    candle=decision.candle,
                    facts=strategy.explain(view, part),
                    levels=decision.levels,
                )
