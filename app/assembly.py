"""What a configuration asks for, opened: market, account, journal, indicators, strategies."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from app import log_setup
from app.adapters.indicator_files import load_indicators
from app.adapters.journal.memory import MemoryJournal
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.adapters.restriction_files import load_restrictions
from app.adapters.strategy_files import declared_timeframes, load_strategies
from app.adapters.switch_file import read_switch
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe
from app.feed import open_market
from app.indicators.registry import IndicatorSpec, columns_of
from app.ports import Broker, Clock, DataSource, Journal, Switch
from app.risk.ids import magic_of
from app.risk.limits import EntryRules, RiskLimits
from app.setting_services import LoggingSettings
from app.setting_values import AccountType, EvaluationMode, LogFormat, Mode
from app.settings import Settings
from app.strategies.evaluate import Strategy

if TYPE_CHECKING:
    from app.link import Link

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
    live_market: bool = False
    """Whether the market goes on without us; else it is played again, and only for us."""
    switch: Callable[[], Switch | None] | None = None
    """Reads the kill switch; there is none where the market is played again."""
    opened: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Let go of everything that was opened; may be called twice."""
        self.source.close()
        self.opened.close()

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        """Return the timeframes of `symbol`, slowest first."""
        return tuple(timeframe for traded, timeframe in self.indicators if traded == symbol)


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
    """Open what the configuration asks for, telling each step to `say`; all of it or nothing.

    Raises:
        ConfigurationError: a setting, indicator, strategy or data file is wrong.
        UnavailableError: the bridge does not answer.
        AccountHeldError: another daemon has the account.
        JournalError: the journal cannot be used.

    """
    with ExitStack() as opened:
        link = _link(settings, opened) if settings.uses_bridge else None
        say(_accounts(settings, link))
        server_time = ServerTime(settings.broker.server_timezone or "UTC")
        if link is not None:
            server_time = link.measure()
        say("Loading strategy configuration...")
        indicators = indicators_of(settings)
        strategies = strategies_of(settings, indicators)
        entry_rules = entry_rules_of(settings, server_time)
        if link is None:
            market = open_market(settings, indicators, server_time)
            broker: Broker = _paper(settings)
            journal: Journal = MemoryJournal()
        else:
            market = link.market()
            broker, journal = link.account(partial(_paper, settings))
        warnings = (w for loaded in strategies.values() for one in loaded for w in one.warnings)
        return Parts(
            settings=settings,
            source=market.source,
            broker=broker,
            clock=market.clock,
            journal=journal,
            indicators=indicators,
            strategies=strategies,
            entry_rules=entry_rules,
            notes=(*market.notes, *_traded(strategies), *_mode(settings)),
            warnings=(*market.warnings, *_broker_warnings(settings, broker), *warnings),
            live_market=link is not None,
            switch=None if link is None else partial(read_switch, settings.risk.switch_file),
            opened=opened.pop_all(),
        )


def _link(settings: Settings, opened: ExitStack) -> "Link":
    from app.link import Link  # noqa: PLC0415 - half a second that other markets need not wait

    return Link(settings, opened)


def _accounts(settings: Settings, link: "Link | None") -> str:
    if settings.trading.mode is Mode.LIVE and link is not None:
        return f"Creating MT5 client ({link.client.address})..."
    if link is not None:
        return f"Creating paper broker on the market of the bridge ({link.client.address})..."
    return "Creating paper broker (no MT5 terminal is needed)..."


def indicators_of(settings: Settings) -> Series:
    """Return the indicators of every series: what is traded and what strategies declare.

    Raises:
        ConfigurationError: an indicator or strategy file is wrong.

    """
    return {
        (symbol, timeframe): load_indicators(settings.trading.conf_folder, symbol, timeframe)
        for symbol in settings.symbols
        for timeframe in _timeframes(settings, symbol)
    }


def strategies_of(settings: Settings, indicators: Series) -> Mapping[str, tuple[Strategy, ...]]:
    """Return the enabled strategies of each symbol, compiled.

    Raises:
        ConfigurationError: a strategy file is wrong, or two symbols have strategies of one name.

    """
    loaded = {symbol: _strategies(settings, symbol, indicators) for symbol in settings.symbols}
    _refuse_namesakes(loaded)
    return loaded


def _refuse_namesakes(strategies: Mapping[str, tuple[Strategy, ...]]) -> None:
    """Refuse what trades as one: orders, positions and blocks are told by the name alone."""
    symbol_of: dict[str, str] = {}
    for symbol, loaded in strategies.items():
        for name in (one.rules.name for one in loaded):
            if name in symbol_of:
                raise ConfigurationError(
                    f"'{name}' is the name of a strategy of {symbol_of[name]} and of one of "
                    f"{symbol}, which are traded together: expected a name of its own for each"
                )
            symbol_of[name] = symbol


def entry_rules_of(settings: Settings, server_time: ServerTime) -> EntryRules:
    """Return the limits and restrictions of entries.

    Raises:
        ConfigurationError: a calendar is wrong.

    """
    risk, restrictions = settings.risk, settings.restrictions
    return EntryRules(
        RiskLimits(
            daily_loss_limit=risk.loss_limit,
            max_positions=risk.max_positions,
            max_position_size=risk.max_position_size,
            positions_per_direction=settings.services.trade_execution.positions_per_direction,
            max_drawdown=risk.drawdown_limit,
            max_symbol_volume=risk.max_symbol_volume,
            max_total_volume=risk.max_total_volume,
        ),
        load_restrictions(
            settings.trading.conf_folder / "restrictions",
            server_time,
            news_margin=timedelta(minutes=restrictions.news_duration),
            close_margin=timedelta(minutes=restrictions.market_close_duration),
            close_time=restrictions.default_close_time,
            flatten=restrictions.account_type is AccountType.DAILY,
        ),
        server_time,
    )


def _broker_warnings(settings: Settings, broker: Broker) -> Iterator[str]:
    if isinstance(broker, PaperBroker):
        yield from broker.notes
        return
    account = broker.account()
    yield (
        f"LIVE: orders go to {broker.name}, balance {account.balance:,.2f} {account.currency}, "
        f"{'hedging' if account.hedging else 'netting'}"
    )
    if settings.broker.live_account is None:
        yield f"Set LIVE_ACCOUNT={account.login} so that no other account can ever be traded"


def _paper(
    settings: Settings,
    earlier: str | None = None,
    keep: Callable[[str], object] | None = None,
) -> PaperBroker:
    return PaperBroker(paper_terms(settings), settings.symbols, earlier=earlier, keep=keep)


def paper_terms(settings: Settings) -> PaperTerms:
    """Return what a paper account starts with, and what trading costs there."""
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
