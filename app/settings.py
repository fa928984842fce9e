"""The settings of the process and where each value came from.

The process's environment beats ``.env``, which beats the file, which beats the defaults.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ValidationError, model_validator

from app import strict_yaml
from app.domain.errors import ConfigurationError, printable
from app.setting_sections import (
    ApiSettings,
    BrokerSettings,
    JournalSettings,
    MarketDataSettings,
    RecordingSettings,
    RegimeSettings,
    RestrictionsSettings,
    RiskSettings,
    SplittingSettings,
    TradingSettings,
)
from app.setting_services import (
    EventBusSettings,
    LoggingSettings,
    OrchestratorSettings,
    ServicesSettings,
)
from app.setting_sources import Environment, Given, KeyPath, Leaf, leaves
from app.setting_values import MarketDataSource, Mode, Part, Section
from app.validation import dotted, explain, without_credentials

DEFAULT_FILE: Final = Path("config/services.yaml")
DEFAULT_DOTENV: Final = Path(".env")

_SYMBOL: Final = ("trading", "symbol")
_SYMBOLS: Final = ("trading", "symbols")


class Settings(Section):
    """How the process runs."""

    services: Part[ServicesSettings] = ServicesSettings()
    event_bus: Part[EventBusSettings] = EventBusSettings()
    orchestrator: Part[OrchestratorSettings] = OrchestratorSettings()
    logging: Part[LoggingSettings] = LoggingSettings()
    trading: Part[TradingSettings] = TradingSettings()
    risk: Part[RiskSettings] = RiskSettings()
    splitting: Part[SplittingSettings] = SplittingSettings()
    restrictions: Part[RestrictionsSettings] = RestrictionsSettings()
    api: Part[ApiSettings] = ApiSettings()
    market_data: Part[MarketDataSettings] = MarketDataSettings()
    broker: Part[BrokerSettings] = BrokerSettings()
    journal: Part[JournalSettings] = JournalSettings()
    regime: Part[RegimeSettings] = RegimeSettings()
    recording: Part[RecordingSettings] = RecordingSettings()

    @property
    def uses_bridge(self) -> bool:
        """Whether the market is that of the bridge."""
        wanted = self.market_data.source
        return wanted is MarketDataSource.BRIDGE or (
            wanted is MarketDataSource.AUTO
            and self.api.base_url is not None
            and not self.market_data.path
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols traded."""
        return self.trading.symbols or (self.trading.symbol,)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        services, data = self.services, self.market_data
        rows = services.strategy_evaluation.min_rows_required
        kept = services.indicator_calculation.recent_rows_limit
        live = self.trading.mode is Mode.LIVE
        if rows > kept:
            raise ValueError(
                f"services.strategy_evaluation.min_rows_required is {rows}, expected at most "
                f"services.indicator_calculation.recent_rows_limit, which is {kept}"
            )
        if live and data.path:
            raise ValueError(
                "trading.mode is live and market_data.path is set: "
                "orders for a live account need the bridge's data"
            )
        if live and data.source not in {MarketDataSource.AUTO, MarketDataSource.BRIDGE}:
            raise ValueError(
                f"trading.mode is live and market_data.source is {data.source}: "
                "orders for a live account need the bridge's data"
            )
        if self.api.base_url is None and (live or data.source is MarketDataSource.BRIDGE):
            asks = "trading.mode is live" if live else "market_data.source is bridge"
            raise ValueError(f"{asks} but api.base_url is not set: expected API_BASE_URL")
        if data.path and data.source not in {MarketDataSource.AUTO, MarketDataSource.FILE}:
            raise ValueError(
                f"market_data.path is set but market_data.source is {data.source}: "
                "expected source file, or no path"
            )
        if data.source is MarketDataSource.FILE and not data.path:
            raise ValueError(
                "market_data.source is file but market_data.path is not set: "
                "expected MARKET_DATA_PATH"
            )
        if data.start and data.until and data.until <= data.start:
            raise ValueError(
                f"market_data.until (--to) is {data.until.isoformat()}, expected a time after "
                f"market_data.start (--from), which is {data.start.isoformat()}"
            )
        return self


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and their origins.

    `file` is ``None`` when there was none; `origins` says of each key ``default``,
    ``file config/services.yaml:12``, ``environment RISK_MAX_POSITIONS`` or ``.env TRADE_MODE``;
    `warnings` point out names and lines of the environment that may be meant for us.
    """

    settings: Settings
    file: Path | None
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def show(self) -> str:
        """Return every key, its value and its origin, a line each, without credentials."""
        lines = [(key, f"{key} = {value}") for key, value in _values(self.settings)]
        width = max(len(line) for _, line in lines)
        return "\n".join(f"{line:<{width}}   # {self.origins[key]}" for key, line in lines)


def load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = DEFAULT_DOTENV,
) -> Loaded:
    """Read all layers; without `config`, config/services.yaml is read when there is one.

    `environ` is the process's environment unless given; `dotenv` ``None`` reads no such file.

    Raises:
        ConfigurationError: anything is wrong: what, where, what was expected, the nearest name.

    """
    if config is None and os.path.lexists(DEFAULT_FILE):
        config = DEFAULT_FILE
    document = strict_yaml.load(config) if config is not None else None
    environment = Environment.read(os.environ if environ is None else environ, dotenv)
    layers = _Layers(document, environment.given(Settings))
    warnings = tuple(environment.doubtful(Settings))
    loaded = Loaded(layers.settings(), config, layers.origins(), warnings)
    _refuse_live_by_file(loaded)
    return loaded


def _refuse_live_by_file(loaded: Loaded) -> None:
    """Let only the environment, the process's or ``.env``, turn on live trading."""
    origin = loaded.origins["trading.mode"]
    if loaded.settings.trading.mode is Mode.LIVE and origin.startswith("file "):
        raise ConfigurationError(
            f"{origin.removeprefix('file ')} trading.mode: a file does not turn on live trading: "
            "expected TRADE_MODE=live in the environment"
        )


def logging_from_environment(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = DEFAULT_DOTENV
) -> LoggingSettings:
    """Return what the environment alone says of logging, for the lines before all is read.

    Where it is wrong the defaults hold; :func:`load` reports it.
    """
    try:
        given = Environment.read(os.environ if environ is None else environ, dotenv).given(Settings)
    except ConfigurationError:
        return LoggingSettings()
    wanted = {path[1]: one.value for path, one in given.items() if path[0] == "logging"}
    return LoggingSettings.model_validate(wanted)


class _Layers:
    """The file's values with those of the environment laid over them."""

    def __init__(
        self, document: strict_yaml.Document | None, given: Mapping[KeyPath, Given]
    ) -> None:
        self._document = document
        self._given = dict(given)
        self._data = deepcopy(document.data) if document else {}
        for path, one in given.items():
            _put(self._data, path, one.value)
        self._let_symbol_beat_symbols()

    def settings(self) -> Settings:
        """Validate all layers together."""
        try:
            return Settings.model_validate(self._data)
        except ValidationError as error:
            problem = explain(error, Settings)
            raise ConfigurationError(f"{self._place(problem.loc)}{problem.text}") from None

    def origins(self) -> dict[str, str]:
        """Say of each key where its value came from."""
        return {leaf.key: self._origin(leaf.path) for leaf in leaves(Settings)}

    def _let_symbol_beat_symbols(self) -> None:
        """One symbol set in a higher layer replaces a list from a lower one."""
        if self._rank(_SYMBOL) > self._rank(_SYMBOLS) > 0:
            self._given[_SYMBOLS] = Given((), f"replaced by {self._origin(_SYMBOL)}")
            _put(self._data, _SYMBOLS, ())

    def _rank(self, path: KeyPath) -> int:
        if path in self._given:
            return 3 if self._given[path].origin.startswith("environment ") else 2
        return 1 if self._in_file(path) else 0

    def _origin(self, path: KeyPath) -> str:
        origins = [one.origin for key, one in self._given.items() if key[: len(path)] == path]
        if (not origins or path not in self._given) and self._document and self._in_file(path):
            origins.insert(0, f"file {self._document.path}:{self._document.line(path)}")
        return ", ".join(origins) or "default"

    def _in_file(self, path: KeyPath) -> bool:
        node: object = self._document.data if self._document else None
        for part in path:
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True

    def _place(self, loc: tuple[str | int, ...]) -> str:
        for path, one in self._given.items():
            if path == loc[: len(path)]:
                return f"{one.origin}: "
        if not loc or self._document is None:
            return f"{dotted(loc)}: " if loc else ""
        return f"{self._document.where(loc)}: "


def _put(data: dict[str, object], path: KeyPath, value: object) -> None:
    """Set a value deep inside; a section that is no mapping is left for validation to refuse."""
    *sections, name = path
    for section in sections:
        if data.get(section) is None:
            data[section] = {}
        inner = data[section]
        if not isinstance(inner, dict):
            return
        data = inner
    data[name] = value


def _values(settings: Settings) -> list[tuple[str, str]]:
    return [(leaf.key, written(_at(settings, leaf))) for leaf in leaves(Settings)]


def _at(settings: Settings, leaf: Leaf) -> object:
    value: object = settings
    for part in leaf.path:
        value = getattr(value, part)
    return value


def written(value: object) -> str:
    """Write a value as in a configuration file, without the credentials of a URL."""
    match value:
        case None:
            return "unset"
        case bool():
            return str(value).lower()
        case tuple() | list():
            return "[" + ", ".join(written(part) for part in value) + "]"
        case Mapping():
            return "{" + ", ".join(f"{k}: {written(v)}" for k, v in value.items()) + "}"
        case BaseModel():
            return written(value.model_dump(exclude_none=True))
    return printable(without_credentials(str(value)))
