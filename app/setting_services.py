"""The configuration keys of the process itself: services, event bus, orchestrator and logging.

Each is typed, with its unit, bounds and default. Those of trading are in `setting_sections`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from app.setting_values import (
    EvaluationMode,
    ExecutionMode,
    FactsKept,
    FilePath,
    Level,
    Levels,
    LogFormat,
    LogLevel,
    Part,
    Section,
    Word,
)


def _closed_candle(index: object) -> object:
    if str(index).strip() == "0":
        raise ValueError("0 is the forming candle, which is never evaluated: expected 1 or more")
    return index


class DataFetchingSettings(Section):
    """Asks the source for closed candles, once a cycle."""

    enabled: bool = Field(True, description="false: no candles are fetched")
    fetch_interval: float = Field(
        5.0,
        gt=0,
        le=86_400,
        description="seconds of market time between cycles; a replay steps from candle to candle",
    )
    retry_attempts: int = Field(
        3, ge=0, le=100, description="how often a failed fetch is tried again within its cycle"
    )
    candle_index: Annotated[int, BeforeValidator(_closed_candle)] = Field(
        1, ge=1, le=1000, description="1 is the newest closed candle, 2 the one before it"
    )
    nbr_bars: int = Field(3, ge=1, le=100_000, description="candles asked for in each fetch")
    hold_back: float = Field(
        3.0,
        ge=0,
        le=3600,
        description="seconds of market time a candle waits for a slower one that closed with it",
    )
    max_failures: int = Field(
        5, ge=1, le=10_000, description="failed cycles in a row until the health check fails"
    )


class IndicatorCalculationSettings(Section):
    """Turns candles into rows of indicators and the market regime."""

    enabled: bool = Field(True, description="false: no indicators, hence no signals")
    recent_rows_limit: int = Field(
        6, ge=2, le=10_000, description="rows kept per timeframe for strategies"
    )
    track_regime_changes: bool = Field(True, description="publish RegimeChangedEvent")
    history_bars: int = Field(
        3000, ge=0, le=1_000_000, description="candles per timeframe asked for as warm-up"
    )


class StrategyEvaluationSettings(Section):
    """Evaluates the strategies of the conf folder."""

    enabled: bool = Field(True, description="false: no signals")
    evaluation_mode: Word[EvaluationMode] = Field(
        EvaluationMode.ON_NEW_CANDLE,
        description="on_new_candle: on the strategy's trigger timeframe; "
        "on_any_candle: on the fastest it declares",
    )
    min_rows_required: int = Field(
        3, ge=1, le=10_000, description="rows a timeframe needs before it is evaluated"
    )
    facts: Word[FactsKept] = Field(
        FactsKept.SIGNALS, description="for which evaluations the facts are kept"
    )


class TradeExecutionSettings(Section):
    """Turns signals into orders."""

    enabled: bool = Field(True, description="false: monitoring mode, signals and no trades")
    execution_mode: Word[ExecutionMode] = Field(
        ExecutionMode.IMMEDIATE, description="act on each signal at once, or on all of a cycle"
    )
    positions_per_direction: int = Field(
        1, ge=1, le=1000, description="open positions or groups per strategy and direction"
    )


class ServicesSettings(Section):
    """The four services of the pipeline."""

    data_fetching: Part[DataFetchingSettings] = DataFetchingSettings()
    indicator_calculation: Part[IndicatorCalculationSettings] = IndicatorCalculationSettings()
    strategy_evaluation: Part[StrategyEvaluationSettings] = StrategyEvaluationSettings()
    trade_execution: Part[TradeExecutionSettings] = TradeExecutionSettings()


class EventBusSettings(Section):
    """How events travel."""

    mode: Literal["synchronous"] = Field(
        "synchronous", description="handlers run before publish() returns"
    )
    event_history_limit: int = Field(
        1000, ge=0, le=1_000_000, description="events remembered for the metrics"
    )
    log_all_events: bool = Field(False, description="log every event at INFO")


class OrchestratorSettings(Section):
    """Health checks and restarts."""

    enable_auto_restart: bool = Field(True, description="replace a service that fails its check")
    health_check_interval: float = Field(
        60.0, gt=0, le=86_400, description="seconds of market time between two health checks"
    )
    status_log_interval: int = Field(
        10, ge=1, le=1_000_000, description="cycles between two status lines"
    )
    cycle_budget: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="real seconds a cycle may take; one that hangs longer ends the process",
    )
    restart_backoff: float = Field(
        1.0,
        ge=0,
        le=3600,
        description="seconds of market time between two restarts of a service; doubles with each",
    )
    restart_budget: int = Field(
        5, ge=0, le=1000, description="restarts of a service within the window; then it gives up"
    )
    restart_window: float = Field(
        1800.0,
        gt=0,
        le=86_400,
        description="seconds of market time over which restarts are counted",
    )


class LoggingSettings(Section):
    """What is written to the console and the log file."""

    level: Level = Field(LogLevel.INFO, description="least severity that is logged")
    format: Word[LogFormat] = Field(LogFormat.TEXT, description="lines, or one JSON object each")
    correlation_ids: bool = Field(True, description="write the id of the cycle on its lines")
    file_output: bool = Field(False, description="write to the log file too")
    log_file: FilePath = Field(Path("logs/trading_system.log"), description="path of the log file")
    file_max_bytes: int = Field(
        10_000_000, ge=1024, le=10**12, description="bytes at which the log file is rotated"
    )
    file_backups: int = Field(5, ge=0, le=1000, description="rotated log files kept")
    levels: Levels = Field(
        {},
        description="levels of single loggers",
        examples=["services.DataFetchingService=DEBUG,orchestrator=WARNING"],
    )
