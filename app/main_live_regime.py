"""The predecessor: ``python -m app.main_live_regime``, one loop of direct calls.

What users roll back to, and compare with: the same settings, market, indicators, regimes,
strategies, limits and account as the daemon, without its bus, its services' supervision and its
watchdog. It holds the account as the daemon does, so only one of them trades it.
0 clean · 64 usage · 69 unavailable at start · 70 gave up · 74 journal · 75 another process holds
the account · 77 permission · 78 configuration.
"""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, NamedTuple

import typer

from app import assembly, settings
from app.assembly import Parts
from app.bus import EventBus
from app.command_line import exit_code, new_command_line
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
)
from app.log_setup import get_logger
from app.services.trade_execution import TradeExecutionService
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
        self._min_rows = options.strategy_evaluation.min_rows_required
        self._status_every = parts.settings.orchestrator.status_log_interval
        self.event_bus = EventBus(history_limit=0)
        """What execution says of its orders; nothing else is published here."""
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
        self.execution.on_cycle_started(CycleStartedEvent(cycle=self.cycles, time=now))
        candles = self._fetch(now)
        views = [self._calculate(candle, late=self._is_late(candle, now)) for candle in candles]
        evaluated = [
            self._evaluate(candle, view, late=self._is_late(candle, now))
            for candle, view in zip(candles, views, strict=True)
        ]
        for found in evaluated:
            self._execute(found)
        self.execution.on_cycle_completed(CycleCompletedEvent(cycle=self.cycles, time=now))
        self._parts.journal.flush()

    def _fetch(self, now: datetime) -> list[Candle]:
        """Return the candles that closed since the last cycle, slow ones first at a time."""
        found: list[Candle] = []
        for (symbol, timeframe), last in self._last.items():
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

    def _is_late(self, candle: Candle, now: datetime) -> bool:
        return now - candle.close_time >= candle.timeframe.delta

    def _calculate(self, candle: Candle, *, late: bool) -> View:
        """Turn a candle into a row, let the account see it; return the newest rows."""
        rows = self._rows[candle.symbol]
        row = self._engines[candle.symbol, candle.timeframe].update(candle)
        rows[candle.timeframe] = (*rows[candle.timeframe][1 - self._recent :], row)
        view = MappingProxyType(rows.copy())
        self.execution.on_new_candle(NewCandleEvent(candle=candle, late=late))
        return view

    def _evaluate(self, candle: Candle, view: View, *, late: bool) -> _Evaluated:
        """Ask every strategy whose trigger the candle is."""
        found = [
            (strategy, strategy.evaluate(view, self._min_rows))
            for strategy in self._parts.strategies[candle.symbol]
            if strategy.rules.trigger == candle.timeframe
        ]
        return _Evaluated(candle, late, found, view)

    def _execute(self, evaluated: _Evaluated) -> None:
        """Manage positions, then leave, then enter."""
        candle, late, found, view = evaluated
        if not found:
            return
        decisions = tuple(decision for _, decision in found)
        self.execution.on_strategies_evaluated(
            StrategiesEvaluatedEvent(
                symbol=candle.symbol,
                timeframe=candle.timeframe,
                candle=candle,
                decisions=decisions,
                late=late,
            )
        )
        for signal_ in _signals(found, view, "exit"):
            self._say("Exit", signal_)
            self.execution.on_exit_signal(ExitSignalEvent(signal=signal_))
        for signal_ in _signals(found, view, "entry"):
            self._say("Entry", signal_)
            self.execution.on_entry_signal(EntrySignalEvent(signal=signal_, late=late))

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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def trade(
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
    ) -> None:
        """Trade with the sequential predecessor until Ctrl+C, SIGTERM or the end of the data."""
        loaded = settings.load(config)
        assembly.set_up_logging(loaded.settings.logging)
        log = get_logger("__main__")
        parts = assembly.connect(loaded.settings, say=log.info)
        try:
            manager = LiveTradingManager(parts)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda _number, _frame: manager.stop())
            log.info("Live trading manager started (sequential, %s)", parts.broker.name)
            manager.run()
            for name, value in manager.metrics().items():
                log.info("%s: %s", name, value)
        finally:
            parts.close()

    return exit_code(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
