"""Which adapters a configuration uses, and the table of stages: who handles what.

The order of `stages` is the start order; reversed it is the stop order. Whoever reads it knows the
whole system.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias, TypeVar

from app import log_setup
from app.adapters.indicator_files import load_indicators
from app.adapters.memory_journal import MemoryJournal
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.adapters.restriction_files import load_restrictions
from app.adapters.strategy_files import declared_timeframes, load_strategies
from app.bus import EventBus
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
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
from app.feed import open_market, pace
from app.indicators.engine import IndicatorEngine
from app.indicators.regime import HigherTimeframeBias, RegimeSettings
from app.indicators.registry import IndicatorSpec, columns_of
from app.ports import Broker, Clock, DataSource, Journal
from app.risk.ids import magic_of
from app.risk.limits import EntryRules, RiskLimits
from app.risk.splitting import Split
from app.services.base import Service
from app.services.data_fetching import DataFetchingService
from app.services.indicator_calculation import IndicatorCalculationService
from app.services.strategy_evaluation import StrategyEvaluationService
from app.services.trade_execution import TradeExecutionService
from app.setting_services import LoggingSettings
from app.setting_values import (
    AccountType,
    EvaluationMode,
    ExecutionMode,
    FactsKept,
    LogFormat,
    MarketDataSource,
    Mode,
)
from app.settings import Settings
from app.strategies.evaluate import Strategy

E = TypeVar("E", bound=Event)
Binding: TypeAlias = tuple[type[Any], Callable[[Any], object]]
Series: TypeAlias = Mapping[tuple[str, Timeframe], tuple[IndicatorSpec, ...]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pipeline runs with: adapters, strategies and the rules of entries."""

    settings: Settings
    source: DataSource
    broker: Broker
    clock: Clock
    journal: Journal
    indicators: Series
    """(symbol, timeframe) -> its indicators, slowest timeframe of a symbol first."""
    strategies: Mapping[str, tuple[Strategy, ...]]
    entry_rules: EntryRules
    notes: tuple[str, ...] = ()
    """What the operator wants to know before the start."""
    warnings: tuple[str, ...] = ()
    """What they should not miss."""

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        """Return the timeframes of `symbol`, slowest first."""
        return tuple(timeframe for traded, timeframe in self.indicators if traded == symbol)


class Stage(NamedTuple):
    """One service of the pipeline: how to make it, and which of its methods handle what."""

    title: str
    name: str
    create: Callable[[], tuple[Service, Sequence[Binding]]]


def on(event_type: type[E], handler: Callable[[E], object]) -> Binding:
    """Pair an event type with a method that takes it; the type checker holds them together."""
    return event_type, handler


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


def set_up_logging(
    options: LoggingSettings,
    *,
    to_file: bool = True,
    on_stdout_closed: Callable[[], None] = lambda: None,
) -> None:
    """Set all logging up as configured; `on_stdout_closed` is told when nobody reads any more.

    Raises:
        ConfigurationError: the log file cannot be written.

    """
    file = options.log_file if options.file_output and to_file else None
    try:
        log_setup.configure(
            level=options.level,
            as_json=options.format is LogFormat.JSON,
            correlation_ids=options.correlation_ids,
            levels=options.levels,
            file=file,
            file_max_bytes=options.file_max_bytes,
            file_backups=options.file_backups,
            on_stdout_closed=on_stdout_closed,
        )
    except OSError as error:
        raise ConfigurationError(f"logging.log_file {file}: {error.strerror}") from None


def connect(settings: Settings, say: Callable[[str], object] = lambda _: None) -> Parts:
    """Open what the configuration asks for, telling each step to `say`.

    Raises:
        ConfigurationError: a setting, indicator, strategy or data file is wrong.

    """
    server_time = ServerTime(settings.broker.server_timezone)
    _refuse_bridge(settings)
    say("Creating paper broker (no MT5 terminal is needed)...")
    broker = PaperBroker(_paper_terms(settings), settings.symbols)
    say("Loading strategy configuration...")
    indicators = {
        (symbol, timeframe): load_indicators(settings.trading.conf_folder, symbol, timeframe)
        for symbol in settings.symbols
        for timeframe in _timeframes(settings, symbol)
    }
    strategies = {symbol: _strategies(settings, symbol, indicators) for symbol in settings.symbols}
    entry_rules = EntryRules(
        RiskLimits(
            daily_loss_limit=settings.risk.loss_limit,
            max_positions=settings.risk.max_positions,
            max_position_size=settings.risk.max_position_size,
            positions_per_direction=settings.services.trade_execution.positions_per_direction,
        ),
        load_restrictions(
            settings.trading.conf_folder / "restrictions",
            server_time,
            news_margin=timedelta(minutes=settings.restrictions.news_duration),
            close_margin=timedelta(minutes=settings.restrictions.market_close_duration),
            close_time=settings.restrictions.default_close_time,
            flatten=settings.restrictions.account_type is AccountType.DAILY,
        ),
        server_time,
    )
    source, clock = open_market(settings, indicators, server_time)
    warnings = (w for loaded in strategies.values() for one in loaded for w in one.warnings)
    return Parts(
        settings=settings,
        source=source,
        broker=broker,
        clock=clock,
        journal=MemoryJournal(),
        indicators=indicators,
        strategies=strategies,
        entry_rules=entry_rules,
        notes=(*source.report(), *_traded(strategies), pace(settings), *_mode(settings)),
        warnings=(*source.warnings(), *broker.notes, *warnings),
    )


def _refuse_bridge(settings: Settings) -> None:
    """Say plainly what this version cannot do instead of doing something else."""
    auto = settings.market_data.source is MarketDataSource.AUTO
    if settings.trading.mode is Mode.LIVE:
        raise ConfigurationError(
            "TRADE_MODE=live: this version has no MetaTrader 5 bridge yet; "
            "expected TRADE_MODE=paper or monitor"
        )
    if settings.market_data.source is MarketDataSource.BRIDGE or (auto and settings.api.base_url):
        raise ConfigurationError(
            "market data from the bridge at API_BASE_URL: this version has no MetaTrader 5 bridge "
            "yet; expected MARKET_DATA_SOURCE=simulated or file"
        )


def _paper_terms(settings: Settings) -> PaperTerms:
    paper = settings.broker.paper
    pips = {symbol: settings.trading.pip_value(symbol) for symbol in settings.symbols}
    return PaperTerms(
        balance=paper.balance,
        currency=paper.currency,
        leverage=paper.leverage,
        hedging=paper.hedging,
        spread_points=paper.spread_points,
        slippage_points=paper.slippage_points,
        commission_per_lot=paper.commission_per_lot,
        stop_out_level=paper.stop_out_level,
        conversion_rates=paper.conversion_rates,
        pip_values={symbol: value for symbol, value in pips.items() if value is not None},
    )


def _timeframes(settings: Settings, symbol: str) -> list[Timeframe]:
    """Return what is traded, what strategies declare and the regime's bias, slowest first."""
    declared = declared_timeframes(settings.trading.conf_folder, symbol)
    bias = settings.regime.higher_timeframe
    wanted = {*settings.trading.timeframes, *declared, *([bias] if bias else [])}
    return sorted(wanted, key=lambda timeframe: timeframe.minutes, reverse=True)


def _strategies(settings: Settings, symbol: str, indicators: Series) -> tuple[Strategy, ...]:
    options = settings.services
    return load_strategies(
        settings.trading.conf_folder,
        symbol,
        lambda timeframe: columns_of(indicators[symbol, timeframe]),
        magic=magic_of,
        rows_kept=options.indicator_calculation.recent_rows_limit,
        any_candle=options.strategy_evaluation.evaluation_mode is EvaluationMode.ON_ANY_CANDLE,
    )


def _traded(strategies: Mapping[str, tuple[Strategy, ...]]) -> Iterator[str]:
    for symbol, loaded in strategies.items():
        names = ", ".join(one.rules.name for one in loaded) or "none enabled"
        yield f"Strategies of {symbol}: {names}"


def _mode(settings: Settings) -> Iterator[str]:
    executes = settings.services.trade_execution.enabled
    if settings.trading.mode is Mode.MONITOR or not executes:
        yield "Monitor mode: signals only, no order is sent"


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
        retry_attempts=options.retry_attempts,
        hold_back=timedelta(seconds=options.hold_back),
        max_failures=options.max_failures,
    )


def _indicator_calculation(parts: Parts, bus: EventBus) -> IndicatorCalculationService:
    options = parts.settings.services.indicator_calculation
    return IndicatorCalculationService(
        bus,
        parts.source,
        parts.journal,
        _engines(parts),
        recent_rows=options.recent_rows_limit,
        history_bars=options.history_bars,
        track_regime_changes=options.track_regime_changes,
    )


def _engines(parts: Parts) -> dict[tuple[str, Timeframe], IndicatorEngine]:
    """Return a fresh engine for every series, slowest first: a bias is made before it is read."""
    options = parts.settings.regime
    regime = RegimeSettings(
        warmup_bars=options.warmup_bars,
        persist_bars=options.persist_bars,
        transition_bars=options.transition_bars,
        threshold_window=options.threshold_window,
    )
    higher = options.higher_timeframe
    biases = {symbol: HigherTimeframeBias() for symbol in parts.settings.symbols} if higher else {}
    engines = {}
    for (symbol, timeframe), specs in parts.indicators.items():
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
    settings = parts.settings
    splits = {symbol: settings.splitting.of(symbol) for symbol in settings.symbols}
    return TradeExecutionService(
        bus,
        parts.broker,
        parts.journal,
        strategies={
            one.rules.name: one.rules for loaded in parts.strategies.values() for one in loaded
        },
        rules=parts.entry_rules,
        splits={
            symbol: Split(
                legs=split.position_split,
                scaling=split.scaling_type,
                spacing_percent=split.entry_spacing,
                risk_percent=split.risk_per_group,
            )
            for symbol, split in splits.items()
        },
        base_timeframes={symbol: parts.timeframes(symbol)[-1] for symbol in settings.symbols},
        batch=settings.services.trade_execution.execution_mode is ExecutionMode.BATCH,
        trade=settings.trading.mode is not Mode.MONITOR,
    )
