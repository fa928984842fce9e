"""The configuration keys of what is traded, how and where, typed, with unit, bounds and default.

Those of the process itself are in `setting_services`. `docs/CONFIGURATION.md`, `.env.example` and
`config/services.yaml.example` are generated from both.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from app.domain.market import Timeframe
from app.risk.splitting import Scaling
from app.setting_sources import Env, PerSymbol
from app.setting_values import (
    AccountType,
    BaseUrl,
    CloseTime,
    Currency,
    Exact,
    FilePath,
    Instant,
    JournalUrl,
    Limit,
    Lots,
    MarketDataSource,
    Mode,
    Part,
    Paths,
    PipValues,
    Rates,
    Section,
    ServerTimezone,
    Symbol,
    Symbols,
    Timeframes,
    TimeframeValue,
    Word,
)

T = TypeVar("T")


def _of_symbol(values: Mapping[str, T], symbol: str) -> T | None:
    """Environment names may be capitals where the broker's symbol is not: XAUUSDm."""
    if symbol in values:
        return values[symbol]
    return next((v for name, v in values.items() if name.casefold() == symbol.casefold()), None)


class TradingSettings(Section):
    """What is traded, and by whom."""

    symbol: Annotated[Symbol, Env("TRADING_SYMBOL", "SYMBOL")] = Field(
        "EURUSD", description="the symbol, as the broker writes it"
    )
    timeframes: Annotated[Timeframes, Env("TRADING_TIMEFRAMES", "TIMEFRAMES")] = Field(
        (Timeframe("1"), Timeframe("5"), Timeframe("15")),
        description="minutes or names such as M5, H1; those of loaded strategies are added",
    )
    symbols: Annotated[Symbols, Env("TRADING_SYMBOLS", "SYMBOLS")] = Field(
        (),
        description="several symbols; beats trading.symbol set in the same place",
        examples=["EURUSD,GBPUSD"],
    )
    mode: Annotated[Word[Mode], Env("TRADE_MODE")] = Field(
        Mode.PAPER,
        description="paper: embedded broker; monitor: no orders; live: the account itself",
    )
    conf_folder: Annotated[FilePath, Env("CONF_FOLDER_PATH")] = Field(
        Path("conf"), description="folder of the strategies and indicators"
    )
    pip_values: Annotated[PipValues, PerSymbol("PIP_VALUE")] = Field(
        {},
        description="pips in 1.0 of price, by symbol; else derived from its digits",
        examples=["XAUUSD=100"],
    )

    def pip_value(self, symbol: str) -> float | None:
        """Return how many pips of `symbol` make 1.0 of price, ``None`` when not configured."""
        return _of_symbol(self.pip_values, symbol)


class RiskSettings(Section):
    """Limits that every entry passes."""

    daily_loss_limit: Annotated[Limit, Env("RISK_DAILY_LOSS_LIMIT", "DAILY_LOSS_LIMIT")] = Field(
        Decimal("1000.0"),
        description="account currency (above 0) lost in a day that blocks entries, or disabled",
    )
    max_positions: int = Field(
        10,
        ge=1,
        le=10_000,
        description="open positions and waiting orders at once, each leg of a split entry counted",
    )
    max_position_size: Exact = Field(
        Decimal("1.0"), gt=0, le=1_000_000, description="lots of one position or group"
    )

    max_drawdown: Limit = Field(
        "disabled",
        description="account currency the result of all trades may lie below its best, or disabled",
        examples=[2000],
    )
    max_symbol_volume: Lots | None = Field(
        None, description="lots open and on their way in one symbol", examples=[2.0]
    )
    max_total_volume: Lots | None = Field(
        None, description="lots open and on their way in all symbols", examples=[5.0]
    )
    flatten_on_breach: bool = Field(
        False, description="close our positions when a loss limit is broken"
    )
    cooldown: float = Field(
        0.0, ge=0, le=10_080, description="minutes a strategy opens nothing after a losing position"
    )
    switch_file: FilePath = Field(
        Path("data/trading.switch"), description="the kill switch: DISABLE in it blocks entries"
    )

    @property
    def loss_limit(self) -> Decimal | None:
        """The daily loss limit in account currency, ``None`` when disabled."""
        return self.daily_loss_limit if isinstance(self.daily_loss_limit, Decimal) else None

    @property
    def drawdown_limit(self) -> Decimal | None:
        """The limit of the drawdown in account currency, ``None`` when disabled."""
        return self.max_drawdown if isinstance(self.max_drawdown, Decimal) else None


class SplitSettings(Section):
    """How an entry is split into several orders."""

    position_split: Annotated[int, Env("POSITION_SPLIT")] = Field(
        1, ge=1, le=100, description="orders an entry becomes"
    )
    scaling_type: Annotated[Word[Scaling], Env("SCALING_TYPE")] = Field(
        Scaling.EQUAL, description="how the volume is spread from the first to the last"
    )
    entry_spacing: Annotated[float, Env("ENTRY_SPACING")] = Field(
        0.1, ge=0, le=100, description="% of the price between two orders"
    )
    risk_per_group: Annotated[float | None, Field(gt=0, le=100), Env("RISK_PER_GROUP")] = Field(
        None, description="% of the balance the whole group may lose", examples=[1.0]
    )


class SplitOverrides(Section):
    """What differs for one symbol."""

    position_split: int | None = Field(None, ge=1, le=100)
    scaling_type: Word[Scaling] | None = None
    entry_spacing: float | None = Field(None, ge=0, le=100)
    risk_per_group: float | None = Field(None, gt=0, le=100)


class SplittingSettings(SplitSettings):
    """How entries are split into several orders, for all symbols and for single ones."""

    symbols: Annotated[
        Mapping[Symbol, SplitOverrides],
        PerSymbol("POSITION_SPLIT", "position_split"),
        PerSymbol("SCALING_TYPE", "scaling_type"),
        PerSymbol("ENTRY_SPACING", "entry_spacing"),
        PerSymbol("RISK_PER_GROUP", "risk_per_group"),
    ] = Field({}, description="the keys above for single symbols")

    def of(self, symbol: str) -> SplitSettings:
        """Return what holds for `symbol`."""
        general = self.model_dump(exclude={"symbols"})
        own = (_of_symbol(self.symbols, symbol) or SplitOverrides()).model_dump(exclude_none=True)
        return SplitSettings(**{**general, **own})


class RestrictionsSettings(Section):
    """When entries are blocked; exits never are."""

    news_duration: Annotated[float, Env("NEWS_RESTRICTION_DURATION")] = Field(
        5.0, ge=0, le=1440, description="minutes before and after restricted news"
    )
    market_close_duration: Annotated[float, Env("MARKET_CLOSE_RESTRICTION_DURATION")] = Field(
        15.0, ge=0, le=1440, description="minutes before a close that is set here or by a holiday"
    )
    default_close_time: Annotated[CloseTime | None, Env("DEFAULT_CLOSE_TIME")] = Field(
        None, description="when the market closes each day", examples=["23:40:00+03:00"]
    )
    account_type: Annotated[Word[AccountType], Env("ACCOUNT_TYPE")] = Field(
        AccountType.SWING,
        description="daily also closes all before a close set here or by a holiday",
    )


class ApiSettings(Section):
    """The bridge to MetaTrader 5."""

    base_url: BaseUrl | None = Field(
        None,
        repr=False,
        description="address of the bridge; its credentials are never shown",
        examples=["http://127.0.0.1:8000"],
    )
    timeout: float = Field(10.0, gt=0, le=3600, description="seconds a request may take")
    concurrency: int = Field(8, ge=1, le=64, description="requests at the same time")


class JournalSettings(Section):
    """What outlives the process: orders, blocks, plans and the last candles."""

    url: JournalUrl | None = Field(
        None,
        repr=False,
        description="PostgreSQL database of the journal; unset: journal.db in the folder",
        examples=["postgresql://trader@127.0.0.1/trading"],
    )
    folder: FilePath = Field(Path("data"), description="folder of the journal and of the locks")
    keep_days: int = Field(
        400, ge=31, le=36_500, description="days after which settled orders are forgotten"
    )

    @property
    def address(self) -> str:
        """Where the journal is, as a URL; it may hold a password."""
        return self.url or f"sqlite:///{self.folder / 'journal.db'}"

    @property
    def locks(self) -> Path:
        """The folder of the lock files."""
        return self.folder / "locks"


class MarketDataSettings(Section):
    """Where candles come from."""

    source: Word[MarketDataSource] = Field(
        MarketDataSource.AUTO,
        description="auto: the files of path, else the bridge of api.base_url, else simulated",
    )
    path: Paths = Field((), description="files to replay, one a symbol", examples=["EURUSD_M1.csv"])
    speed: float | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="market seconds per second, 0 as fast as possible; unset: simulated 60, file 0",
        examples=[60],
    )
    seed: int = Field(11, ge=0, le=2**32 - 1, description="of the simulated market")
    start: Instant | None = Field(
        None, description="candles before this time only warm up", examples=["2025-01-06"]
    )
    until: Instant | None = Field(
        None, description="the run ends at this time", examples=["2025-01-31T22:00:00Z"]
    )


class PaperSettings(Section):
    """The paper account."""

    balance: Exact = Field(
        Decimal(10000), gt=0, le=10**12, description="deposit in account currency"
    )
    currency: Currency = Field("USD", description="account currency")
    leverage: int = Field(100, ge=1, le=10_000, description="1:leverage")
    hedging: bool = Field(True, description="false: one net position per symbol")
    spread_points: float | None = Field(
        None, ge=0, le=1_000_000, description="points; unset: that of the data", examples=[10]
    )
    slippage_points: float = Field(
        1.0, ge=0, le=1_000_000, description="points each market fill is worse"
    )
    commission_per_lot: Exact = Field(
        Decimal("3.5"), ge=0, le=10**6, description="account currency per lot and side"
    )
    stop_out_level: float = Field(
        50.0, ge=0, le=1000, description="margin level in % at which positions are closed"
    )
    conversion_rates: Rates = Field(
        {},
        description="account currency that one unit of a currency is worth, where no symbol says",
        examples=["GBP=1.27,JPY=0.0067"],
    )


class BrokerSettings(Section):
    """The account that takes the orders."""

    server_timezone: ServerTimezone | None = Field(
        None,
        description="wall clock of the broker's server: IANA name, or a rule such as NY+7; "
        "unset: measured at the bridge, UTC without one",
        examples=["NY+7"],
    )
    live_account: Annotated[int | None, Field(gt=0), Env("LIVE_ACCOUNT")] = Field(
        None, description="login that live mode must find, or it does not start", examples=[123456]
    )
    hedging: bool = Field(
        True, description="false: a netting account, where the bridge does not say which it is"
    )
    max_slippage: int = Field(
        20, ge=0, le=1_000_000, description="points a second attempt may be worse than the decision"
    )
    requests_per_minute: int = Field(
        120,
        ge=1,
        le=100_000,
        description="requests that may leave in a minute; beyond them entries are refused",
    )
    max_quote_age: float = Field(
        60.0, gt=0, le=86_400, description="seconds after which a price is too old to open on"
    )
    lost_after: float = Field(
        300.0,
        ge=10,
        le=86_400,
        description="seconds until an order that was sent and is never shown counts as lost",
    )
    order_time_to_live: float = Field(
        60.0, ge=1, le=86_400, description="seconds an order at market may stay unfilled"
    )
    paper: Part[PaperSettings] = PaperSettings()


class RecordingSettings(Section):
    """The recording of a session, for `python -m app.main_replay`."""

    enabled: bool = Field(False, description="write what comes in while the daemon runs")
    folder: FilePath = Field(
        Path("data/recordings"), description="folder of the recordings, one file a session"
    )
    max_bytes: int = Field(
        1_000_000_000,
        ge=1_000,
        le=1_000_000_000_000,
        description="size of a recording at which it ends; trading goes on",
    )


class RegimeSettings(Section):
    """How the market regime is found."""

    enabled: bool = Field(True, description="false: rows carry warming_up for good")
    warmup_bars: int = Field(500, ge=1, le=1_000_000, description="bars until the first label")
    persist_bars: int = Field(
        2, ge=1, le=1000, description="times in a row a label must come to be adopted"
    )
    transition_bars: int = Field(
        3, ge=0, le=1000, description="bars from a change on that are a transition"
    )
    threshold_window: int = Field(
        200, ge=2, le=100_000, description="bars whose Bollinger widths make the threshold"
    )
    higher_timeframe: TimeframeValue | None = Field(
        None, description="timeframe whose bias neutralises labels against it", examples=["240"]
    )
