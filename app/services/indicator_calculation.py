"""From `NewCandleEvent` to rows: indicators, regime, and the recent rows of every timeframe."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar

from app.bus import EventBus
from app.domain.market import Candle, Timeframe
from app.domain.rows import REGIME, Row
from app.events import IndicatorsCalculatedEvent, NewCandleEvent, RegimeChangedEvent
from app.indicators.engine import IndicatorEngine
from app.ports import DataSource, Journal
from app.services.base import Health, Service


class IndicatorCalculationService(Service):
    """Turns each new candle into a row and publishes the recent rows of its symbol.

    Args:
        bus: where rows are published.
        source: gives the history that warms the indicators up.
        journal: knows the last candle announced; what came later is still to be announced.
        engines: a fresh one for each symbol and timeframe, slowest first.
        recent_rows: rows kept per timeframe.
        history_bars: candles asked for as warm-up.
        track_regime_changes: whether a change of regime is published.

    """

    name: ClassVar[str] = "indicator_calculation"

    def __init__(
        self,
        bus: EventBus,
        source: DataSource,
        journal: Journal,
        engines: Mapping[tuple[str, Timeframe], IndicatorEngine],
        *,
        recent_rows: int,
        history_bars: int,
        track_regime_changes: bool,
    ) -> None:
        super().__init__(bus)
        self._source = source
        self._journal = journal
        self._engines = engines
        self._recent_rows = recent_rows
        self._history_bars = history_bars
        self._track = track_regime_changes
        self._views: dict[str, dict[Timeframe, tuple[Row, ...]]] = {}
        self._broken: dict[tuple[str, Timeframe], str] = {}
        self._newest: dict[tuple[str, Timeframe], datetime] = {}
        self._calculated = 0
        self._regime_changes = 0
        self._ignored = 0

    def start(self, now: datetime) -> None:
        """Warm every indicator up on the candles announced until `now`."""
        for (symbol, timeframe), engine in self._engines.items():
            history = self._history(symbol, timeframe, now)
            self._views.setdefault(symbol, {})[timeframe] = self._warm_up(engine, history)
            if history:
                self._newest[symbol, timeframe] = history[-1].time

    def on_new_candle(self, event: NewCandleEvent) -> None:
        """Calculate the candle's row; a candle that is already in is ignored."""
        candle = event.candle
        symbol, timeframe = key = candle.symbol, candle.timeframe
        newest = self._newest.get(key)
        if newest is not None and candle.time <= newest:
            self._ignored += 1
            return
        if key in self._broken:
            return
        view = self._views[symbol]
        try:
            row = self._engines[key].update(candle)
        except Exception as error:
            # The engine stands between two candles now: nothing is decided on this series until
            # the service is replaced and warmed up anew.
            self._broken[key] = f"{symbol} {timeframe}: {type(error).__name__}: {error}"
            view[timeframe] = ()
            raise
        self._newest[key] = candle.time
        rows = view[timeframe]
        view[timeframe] = (*rows[1 - self._recent_rows :], row)
        self._calculated += 1
        if rows and rows[-1].values[REGIME] != row.values[REGIME] and self._track:
            self._regime_changed(rows[-1].regime, row)
        self.bus.publish(
            IndicatorsCalculatedEvent(
                symbol=symbol,
                timeframe=timeframe,
                view=MappingProxyType(view.copy()),
                late=event.late,
            )
        )
        if self.tells:
            self.log.info(
                "Calculated indicators for %s %s",
                symbol,
                timeframe,
                symbol=symbol,
                timeframe=timeframe,
            )
        self.handled += 1

    def ailment(self) -> Health | None:
        """Return that a series cannot be calculated; one is enough."""
        return Health(False, "; ".join(self._broken.values())) if self._broken else None

    def metrics(self) -> dict[str, int | float]:
        """Return the counts of rows and regime changes."""
        return {
            "indicators_calculated": self._calculated,
            "regime_changes": self._regime_changes,
            "candles_ignored": self._ignored,
        }

    def _history(self, symbol: str, timeframe: Timeframe, now: datetime) -> Sequence[Candle]:
        if not self._history_bars:
            return ()
        history = self._source.latest(symbol, timeframe, self._history_bars, now)
        last = self._journal.last_candle(symbol, timeframe)
        return history if last is None else [it for it in history if it.time <= last]

    def _warm_up(self, engine: IndicatorEngine, history: Sequence[Candle]) -> tuple[Row, ...]:
        seeding = len(history) - self._recent_rows
        if seeding > 0:
            engine.warm_up(history[:seeding])
        return tuple(engine.update(candle) for candle in history[max(seeding, 0) :])

    def _regime_changed(self, old: str, row: Row) -> None:
        candle = row.candle
        confidence = row["regime_confidence"]
        self._regime_changes += 1
        self.bus.publish(
            RegimeChangedEvent(
                symbol=candle.symbol,
                timeframe=candle.timeframe,
                old_regime=old,
                new_regime=row.regime,
                confidence=confidence if isinstance(confidence, float) else 0.0,
            )
        )
        self.log.info(
            "Regime of %s %s: %s -> %s (confidence %s)",
            candle.symbol,
            candle.timeframe,
            old,
            row.regime,
            confidence,
            symbol=candle.symbol,
            timeframe=candle.timeframe,
            old_regime=old,
            new_regime=row.regime,
        )
