"""What a search is: strategy, history, windows and objective; workers get it as it is."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.adapters.strategy_files import read_strategies
from app.domain.errors import ConfigurationError, UsageError, nearest
from app.optimize.bench import Bench
from app.optimize.space import Parameter, parameters_of
from app.optimize.windows import Window, windows
from app.settings import Settings
from app.strict_yaml import Document


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    settings: Settings
    strategy: str
    storage: str
    study: str
    """Empty: a name is made."""
    trials: int
    jobs: int
    objective: str
    splits: int
    share: float
    """Of a window, out of sample."""
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A wish that can be done."""

    wish: Wish
    symbol: str
    study: str
    document: Document
    parameters: tuple[Parameter, ...]
    windows: tuple[Window, ...]
    made_with: Mapping[str, str]
    """What trials depend on -> its fingerprint."""
    warnings: tuple[str, ...]

    def study_of(self, window: Window) -> str:
        """Return the name of the study of a window."""
        return self.study if len(self.windows) == 1 else f"{self.study}.{window.number}"

    def bench(self) -> Bench:
        """Return where its trials are run."""
        return Bench(self.wish.settings, self.symbol, self.document)


def planned(wish: Wish) -> Plan:
    """Check a wish against its strategy file and data.

    Raises:
        ConfigurationError: strategy, search space, data or settings do not fit.
        UsageError: the strategy belongs to several symbols.

    """
    symbol, document = _find(wish)
    settings = _of_one(wish.settings, symbol)
    bench = Bench(settings, symbol, document)
    parameters = parameters_of(document)
    for parameter in parameters:
        for candidate in parameter.candidates.extremes():
            bench.check(parameter, candidate)
    pieces = windows(bench.span, wish.splits, wish.share)
    return Plan(
        replace(wish, settings=settings),
        symbol,
        wish.study or f"{symbol}-{wish.strategy}",
        document,
        parameters,
        pieces,
        _made_with(replace(wish, settings=settings), symbol, document, bench, pieces),
        bench.warnings,
    )


def _find(wish: Wish) -> tuple[str, Document]:
    found: list[tuple[str, Document]] = []
    known: list[str] = []
    for symbol in wish.settings.symbols:
        for document, file in read_strategies(wish.settings.trading.conf_folder, symbol):
            known.append(file.name)
            if file.name != wish.strategy:
                continue
            if not file.enabled:
                raise ConfigurationError(f"{document.path}: '{file.name}' is not enabled")
            found.append((symbol, document))
    if not found:
        raise ConfigurationError(
            f"--strategy: there is no '{wish.strategy}' of {', '.join(wish.settings.symbols)}"
            f"{nearest(wish.strategy, known)}"
        )
    if len(found) > 1:
        symbols = ", ".join(symbol for symbol, _ in found)
        raise UsageError(f"--strategy: '{wish.strategy}' is one of {symbols}: expected --symbol")
    return found[0]


def _of_one(settings: Settings, symbol: str) -> Settings:
    """Return the settings with only this symbol traded."""
    trading = settings.trading.model_copy(update={"symbols": (), "symbol": symbol})
    return settings.model_copy(update={"trading": trading})


_DECIDE = {
    "services": {
        "data_fetching",
        "indicator_calculation",
        "strategy_evaluation",
        "trade_execution",
    },
    "trading": {"symbol", "timeframes", "pip_values"},
    "risk": True,
    "splitting": True,
    "restrictions": True,
    "broker": {"paper", "server_timezone", "max_slippage", "requests_per_minute"},
    "regime": True,
}
"""The settings a trade may depend on."""


def _made_with(
    wish: Wish,
    symbol: str,
    document: Document,
    bench: Bench,
    pieces: tuple[Window, ...],
) -> Mapping[str, str]:
    settings = wish.settings
    rules = {
        name: value for name, value in document.data.items() if name not in {"optimize", "meta"}
    }
    chosen = settings.model_dump(
        mode="json",
        include=_DECIDE,  # type: ignore[arg-type]
        exclude={"risk": {"switch_file"}},
    )
    conf = settings.trading.conf_folder / "restrictions"
    calendars = sorted(path for path in conf.rglob("*") if path.is_file())
    return {
        "strategy": _hashed(rules),
        "parameters": _hashed(document.data.get("optimize")),
        "data": _data(settings, symbol),
        "windows": _hashed([[str(time) for side in each[1:] for time in side] for each in pieces]),
        "objective": wish.objective,
        "indicators": _hashed({str(key): repr(specs) for key, specs in bench.indicators.items()}),
        "settings": _hashed([chosen, [_of_file(path) for path in calendars]]),
    }


def _data(settings: Settings, symbol: str) -> str:
    market = settings.market_data
    if market.path:
        return _hashed([_of_file(path) for path in market.path])
    return _hashed([symbol, market.seed, str(market.start)])


def _hashed(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
