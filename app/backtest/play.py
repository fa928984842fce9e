"""Plays history through the daemon's own build, and keeps its books."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from app.adapters.replay import ReplaySource
from app.assembly import Parts
from app.backtest.assumptions import assumptions
from app.backtest.book import Book
from app.backtest.charting import Charting
from app.backtest.equity import EquityCurve
from app.backtest.outcome import Outcome
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe
from app.events import CycleCompletedEvent
from app.orchestrator import TradingOrchestrator
from app.strategies.evaluate import Strategy

Series: TypeAlias = tuple[str, Timeframe]
"""A symbol and a timeframe."""

_WEEKEND = timedelta(days=3)
"""How much earlier than asked for the data may end: at a Friday's close, before a holiday."""
_PROGRESS_EVERY = 500
"""Cycles."""


class Play:
    """A run over history: the services that trade live, on bars and a paper account.

    Args:
        name: what the operator calls it.
        parts: history, its clock, a paper broker and a journal in memory.

    """

    def __init__(self, name: str, parts: Parts, costs: int = 1) -> None:
        source, broker, server_time = parts.source, parts.broker, parts.entry_rules.server_time
        if not isinstance(source, ReplaySource) or source.end_time is None:
            raise ConfigurationError("a backtest needs history that ends: expected --data or --to")
        for service, options in parts.settings.services:
            if not options.enabled:
                raise ConfigurationError(
                    f"services.{service}.enabled is false: a backtest needs every service, "
                    "expected true"
                )
        wanted = parts.settings.market_data.until
        if wanted is not None and wanted - source.end_time > _WEEKEND:
            raise ConfigurationError(
                f"market_data.until (--to) is {wanted:%Y-%m-%d %H:%M} UTC, "
                f"but the data end at {source.end_time:%Y-%m-%d %H:%M} UTC"
            )
        self._name = name
        self._costs = costs
        self._parts = parts
        self._source = source
        self._progress: Callable[[datetime], object] = lambda _: None
        self._interrupted = False
        self._began, self._until = source.start_time, source.end_time
        self._first_close = source.next_close(self._began) or self._until
        self.orchestrator = TradingOrchestrator(parts.settings, parts)
        bus = self.orchestrator.event_bus
        self._capital = broker.account().balance
        self._equity = EquityCurve(self._capital, self._began)
        self._book = Book(bus, broker, self._equity)
        span = self._until - self._began
        self._charts = [
            Charting(bus, symbol, parts.timeframes(symbol), span, server_time)
            for symbol in parts.settings.symbols
        ]
        bus.subscribe(CycleCompletedEvent, self._on_cycle, owner="backtest")

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when to when is played, aware UTC."""
        return self._began, self._until

    @property
    def warnings(self) -> Sequence[str]:
        """What may be wrong with data and settings."""
        return self._parts.warnings

    @property
    def step(self) -> timedelta:
        """How long a candle of the fastest trigger is; of the fastest timeframe without one."""
        triggers = [one.rules.trigger for one in self.strategies]
        return min(it.delta for it in triggers or [it for _, it in self._parts.indicators])

    @property
    def first_close(self) -> datetime:
        """When the first candle closes: after the weekend, where one begins on a Saturday."""
        return self._first_close

    def next_close(self, after: datetime) -> datetime | None:
        """Return when the next candle of any series closes; ``None`` when none will."""
        return self._source.next_close(after)

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """The strategies of all symbols."""
        return tuple(one for loaded in self._parts.strategies.values() for one in loaded)

    @property
    def history_bars(self) -> int:
        """How many candles of each series are asked for as warm-up."""
        return self._parts.settings.services.indicator_calculation.history_bars

    def history(self) -> dict[Series, int]:
        """Return how many of them the data have before the start."""
        source, wanted = self._source, self.history_bars
        return {
            (symbol, timeframe): len(source.latest(symbol, timeframe, wanted, self._began))
            for symbol, timeframe in self._parts.indicators
        }

    def run(self, progress: Callable[[datetime], object] = lambda _: None) -> None:
        """Play to the end of the data, or until `stop`, telling the market's time to `progress`.

        Raises GaveUpError as the daemon does.
        """
        self._progress = progress
        self.orchestrator.start()
        try:
            self.orchestrator.run()
        finally:
            self.orchestrator.stop()

    def stop(self) -> None:
        """End the run after the running cycle; safe from a signal handler."""
        self._interrupted = True
        self.orchestrator.wind_down()

    def outcome(self) -> Outcome:
        """Return what came of it, as far as it was played."""
        self._equity.end()
        book, account = self._book, self._parts.broker.account()
        ended = self._parts.clock.now()
        metrics = self.orchestrator.services["data_fetching"].metrics()
        return Outcome(
            name=self._name,
            began=self._began,
            ended=ended,
            complete=not self._interrupted,
            currency=account.currency,
            capital=self._capital,
            balance=account.balance,
            final_equity=account.equity,
            trades=book.trades,
            still_open=book.still_open,
            equity=self._equity.points,
            drawdown=self._equity.drawdown,
            exposed=book.exposed,
            signals=book.signals,
            refused=dict(book.refused),
            candles=int(metrics["new_candles"]),
            charts=[charting.chart for charting in self._charts],
            assumptions=(
                *assumptions(self._parts.settings, self._costs),
                *self._parts.notes,
                *self._parts.warnings,
            ),
        )

    def _on_cycle(self, event: CycleCompletedEvent) -> None:
        if event.cycle % _PROGRESS_EVERY == 0:
            self._progress(event.time)
