"""The table of stages: which services there are, what they are made of, and who handles what.

The order of `stages` is the start order; reversed it is the stop order. Whoever reads it knows the
whole system.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from app.assembly import Parts, Series
from app.bus import EventBus
from app.domain.market import Timeframe
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    IndicatorsCalculatedEvent,
    NewCandleEvent,
    RestartBudgetSpentEvent,
    StrategiesEvaluatedEvent,
)
from app.indicators.engine import IndicatorEngine
from app.indicators.regime import HigherTimeframeBias, RegimeSettings
from app.risk.splitting import Split
from app.services.base import Service
from app.services.data_fetching import DataFetchingService
from app.services.floor import AT_HAND, Patience, TradingTerms
from app.services.indicator_calculation import IndicatorCalculationService
from app.services.strategy_evaluation import StrategyEvaluationService
from app.services.trade_execution import TradeExecutionService
from app.setting_values import ExecutionMode, FactsKept, Mode
from app.settings import Settings

E = TypeVar("E", bound=Event)


class Binding(NamedTuple):
    """An event type and a method that takes it; `ahead` of those of other services."""

    event_type: type[Any]
    handler: Callable[[Any], object]
    ahead: bool = False


class Stage(NamedTuple):
    """One service of the pipeline: how to make it, and which of its methods handle what."""

    title: str
    name: str
    create: Callable[[], tuple[Service, Sequence[Binding]]]


def on(event_type: type[E], handler: Callable[[E], object], *, ahead: bool = False) -> Binding:
    """Pair an event type with a method that takes it; the type checker holds them together."""
    return Binding(event_type, handler, ahead)


def stages(parts: Parts, bus: EventBus) -> tuple[Stage, ...]:
    """Return the enabled services in pipeline order."""
    enabled = parts.settings.services

    def data_fetching() -> tuple[Service, Sequence[Binding]]:
        service = _data_fetching(parts, bus)
        return service, [on(CycleStartedEvent, service.on_cycle)]

    def indicator_calculation() -> tuple[Service, Sequence[Binding]]:
        service = _indicator_calculation(parts, bus)
        return service, [on(NewCandleEvent, service.on_new_candle)]

    def strategy_evaluation() -> tuple[Service, Sequence[Binding]]:
        service = _strategy_evaluation(parts, bus)
        return service, [on(IndicatorsCalculatedEvent, service.on_indicators)]

    def trade_execution() -> tuple[Service, Sequence[Binding]]:
        service = _trade_execution(parts, bus)
        return service, [
            on(CycleStartedEvent, service.on_cycle_started, ahead=True),
            on(NewCandleEvent, service.on_new_candle),
            on(StrategiesEvaluatedEvent, service.on_strategies_evaluated),
            on(ExitSignalEvent, service.on_exit_signal),
            on(EntrySignalEvent, service.on_entry_signal),
            on(CycleCompletedEvent, service.on_cycle_completed),
            on(RestartBudgetSpentEvent, service.on_restart_budget_spent),
        ]

    table = (
        (enabled.data_fetching, DataFetchingService, data_fetching),
        (enabled.indicator_calculation, IndicatorCalculationService, indicator_calculation),
        (enabled.strategy_evaluation, StrategyEvaluationService, strategy_evaluation),
        (enabled.trade_execution, TradeExecutionService, trade_execution),
    )
    return tuple(
        Stage(service.__name__, service.name, create)
        for options, service, create in table
        if options.enabled
    )


def _data_fetching(parts: Parts, bus: EventBus) -> DataFetchingService:
    options = parts.settings.services.data_fetching
    return DataFetchingService(
        bus,
        parts.source,
        parts.journal,
        {symbol: parts.timeframes(symbol) for symbol in parts.settings.symbols},
        parts.entry_rules.server_time,
        nbr_bars=options.nbr_bars,
        candle_index=options.candle_index,
        hold_back=timedelta(seconds=options.hold_back),
        max_failures=options.max_failures,
    )


def _indicator_calculation(parts: Parts, bus: EventBus) -> IndicatorCalculationService:
    options = parts.settings.services.indicator_calculation
    return IndicatorCalculationService(
        bus,
        parts.source,
        parts.journal,
        engines_of(parts.settings, parts.indicators),
        recent_rows=options.recent_rows_limit,
        history_bars=options.history_bars,
        track_regime_changes=options.track_regime_changes,
    )


def engines_of(
    settings: Settings, indicators: Series
) -> dict[tuple[str, Timeframe], IndicatorEngine]:
    """Return a fresh engine for every series, slowest first: a bias is made before it is read."""
    options = settings.regime
    regime = RegimeSettings(
        warmup_bars=options.warmup_bars,
        persist_bars=options.persist_bars,
        transition_bars=options.transition_bars,
        threshold_window=options.threshold_window,
    )
    higher = options.higher_timeframe
    biases = {symbol: HigherTimeframeBias() for symbol in settings.symbols} if higher else {}
    engines = {}
    for (symbol, timeframe), specs in indicators.items():
        lower = higher is not None and timeframe.minutes < higher.minutes
        engines[symbol, timeframe] = IndicatorEngine(
            symbol,
            timeframe,
            specs,
            regime if options.enabled else None,
            bias=biases.get(symbol) if lower else None,
            leads=biases.get(symbol) if timeframe == higher else None,
        )
    return engines


def _strategy_evaluation(parts: Parts, bus: EventBus) -> StrategyEvaluationService:
    options = parts.settings.services.strategy_evaluation
    return StrategyEvaluationService(
        bus,
        parts.strategies,
        min_rows=options.min_rows_required,
        all_facts=options.facts is FactsKept.ALL,
    )


def _trade_execution(parts: Parts, bus: EventBus) -> TradeExecutionService:
    return TradeExecutionService(bus, parts.broker, parts.journal, trading_terms(parts))


def trading_terms(parts: Parts) -> TradingTerms:
    """Return what is traded, and within which rules."""
    settings = parts.settings
    return TradingTerms(
        strategies={
            one.rules.name: one.rules for loaded in parts.strategies.values() for one in loaded
        },
        rules=parts.entry_rules,
        splits=splits_of(settings),
        base_timeframes={symbol: parts.timeframes(symbol)[-1] for symbol in settings.symbols},
        batch=settings.services.trade_execution.execution_mode is ExecutionMode.BATCH,
        trade=settings.trading.mode is not Mode.MONITOR
        and settings.services.trade_execution.enabled,
        max_slippage=settings.broker.max_slippage,
        requests_per_minute=settings.broker.requests_per_minute,
        flatten_on_breach=settings.risk.flatten_on_breach,
        cooldown=timedelta(minutes=settings.risk.cooldown),
        switch=parts.switch,
        remote=_is_remote(parts),
        patience=_patience(parts),
    )


def splits_of(settings: Settings) -> dict[str, Split]:
    """Return how entries of each symbol are split."""
    found = {symbol: settings.splitting.of(symbol) for symbol in settings.symbols}
    return {
        symbol: Split(
            legs=split.position_split,
            scaling=split.scaling_type,
            spacing_percent=split.entry_spacing,
            risk_percent=split.risk_per_group,
        )
        for symbol, split in found.items()
    }


def _is_remote(parts: Parts) -> bool:
    """Say whether the account lives behind the bridge; a paper account lives by its candles."""
    return parts.settings.trading.mode is Mode.LIVE


def _patience(parts: Parts) -> Patience:
    options = parts.settings.broker
    if not _is_remote(parts):
        return AT_HAND
    return Patience(
        entry=timedelta(seconds=options.lost_after),
        in_flight=timedelta(seconds=options.order_time_to_live),
    )
