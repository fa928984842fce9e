"""Which market a configuration plays: the simulated one, or history files, and how fast."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from app.adapters.clocks import ReplayClock
from app.adapters.history_files import FileFeed
from app.adapters.replay import BarFeed, ReplaySource
from app.adapters.simulated_market import DEFAULT_START, SimulatedMarket
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.domain.instruments import instrument
from app.domain.market import Timeframe
from app.ports import Clock, DataSource
from app.setting_values import MarketDataSource
from app.settings import Settings

_SYMBOLS = re.compile(r"(?<![A-Za-z])[A-Za-z]{6}(?![A-Za-z])")
SIMULATED_SPEED = 60.0
"""Market seconds per second unless `market_data.speed` says otherwise: a minute candle a second."""


class Market(NamedTuple):
    """Where candles come from and how time passes there; what the operator wants to know of it."""

    source: DataSource
    clock: Clock
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def open_market(
    settings: Settings, series: Iterable[tuple[str, Timeframe]], server_time: ServerTime
) -> Market:
    """Open the source of all `series` and the clock that plays it.

    Raises:
        ConfigurationError: a file is wrong, or none or several belong to a symbol.

    """
    options = settings.market_data
    start = options.start
    feeds: Mapping[str, BarFeed]
    if _plays_files(settings):
        name = "history files"
        feeds = {
            symbol: FileFeed(symbol, path, server_time) for symbol, path in _files_of(settings)
        }
    else:
        start = start or DEFAULT_START
        name = f"simulated market (seed {options.seed})"
        feeds = {
            symbol: SimulatedMarket(symbol, options.seed, start) for symbol in settings.symbols
        }
    asked: dict[str, list[Timeframe]] = {}
    for symbol, timeframe in series:
        asked.setdefault(symbol, []).append(timeframe)
    source = ReplaySource(name, feeds, asked, server_time, start=start, until=options.until)
    source.open()
    fastest = min(timeframe.delta for timeframes in asked.values() for timeframe in timeframes)
    clock = ReplayClock(
        source.next_close, source.start_time, _speed(settings), end=source.end_time, candle=fastest
    )
    notes = (*source.report(), pace(settings))
    return Market(source, clock, notes, tuple(source.warnings()))


def _plays_files(settings: Settings) -> bool:
    """Say whether files are played: where they are named, they are what is meant."""
    options = settings.market_data
    return options.source is MarketDataSource.FILE or bool(options.path)


def _files_of(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Pair symbols and files: one with one, else by the symbol in the file's name."""
    paths, symbols = settings.market_data.path, settings.symbols
    if len(paths) == len(symbols) == 1:
        _check_name(paths[0], symbols[0])
        yield symbols[0], paths[0]
        return
    named = {symbol: [path for path in paths if is_named_after(path, symbol)] for symbol in symbols}
    for symbol, found in named.items():
        if len(found) != 1:
            raise ConfigurationError(
                f"market_data.path: expected one file with {symbol} in its name, "
                f"found {len(found)} among {', '.join(path.name for path in paths)}"
            )
    for path in paths:
        if [path] not in named.values():
            raise ConfigurationError(
                f"market_data.path: {path.name} is of no traded symbol: {', '.join(symbols)}"
            )
    for symbol, found in named.items():
        yield symbol, found[0]


def is_named_after(path: Path, symbol: str) -> bool:
    """Say whether a file has the symbol in its name."""
    return symbol.casefold() in path.name.casefold()


def _check_name(path: Path, symbol: str) -> None:
    """Raise ConfigurationError where a file is named after a known symbol, and after no traded."""
    words = [word.upper() for word in _SYMBOLS.findall(path.stem)]
    others = [word for word in words if instrument(word).recognised]
    if others and symbol[: len(others[0])].upper() not in others:
        raise ConfigurationError(
            f"market_data.path: {path.name} is of {others[0]} by its name, but {symbol} is traded: "
            f"set TRADING_SYMBOL={others[0]} (--symbol), or name the file otherwise"
        )


def _speed(settings: Settings) -> float:
    if settings.market_data.speed is not None:
        return settings.market_data.speed
    return 0.0 if _plays_files(settings) else SIMULATED_SPEED


def pace(settings: Settings) -> str:
    """Say how fast the market goes."""
    speed = _speed(settings)
    if not speed:
        return "Market speed: as fast as possible"
    return f"Market speed: {speed:g} seconds of market time a second (MARKET_DATA_SPEED)"
