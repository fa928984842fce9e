"""Which symbols there are, and the markets behind them: simulated, or recorded in files."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from app.adapters.history_files import FileFeed
from app.adapters.replay import BarFeed
from app.adapters.simulated_market import SimulatedMarket
from app.bridge.market import Market
from app.bridge.values import Symbol
from app.domain.broker_time import ServerTime, instant
from app.domain.errors import UsageError
from app.domain.instruments import Kind, instrument

_HISTORY = timedelta(weeks=3050)
"""How far back simulated bars go: more than 3,000 weekly ones."""
_WARM_UP = timedelta(days=5)
"""How much of a file lies before the start, unless that is more than half of it."""


def symbol_of(
    root: str, suffix: str = "", *, stops_level: int = 0, freeze_level: int = 0
) -> Symbol:
    """Return how `root` trades here, by the table of known instruments; levels are points."""
    known = instrument(root)
    words = f"{known.base_currency} vs {known.profit_currency}" if known.recognised else root
    return Symbol(
        name=f"{root}{suffix}",
        root=root,
        description=words,
        currency_base=known.base_currency,
        currency_profit=known.profit_currency,
        digits=known.digits,
        contract_size=Decimal(known.contract_size),
        volume_min=known.volume_min,
        volume_max=known.volume_max,
        volume_step=known.volume_step,
        spread=known.spread,
        stops_level=stops_level,
        freeze_level=freeze_level,
        always_open=known.kind is Kind.CRYPTO,
    )


def simulated_feeds(roots: Sequence[str], seed: int, start: datetime) -> dict[str, BarFeed]:
    """Return a simulated feed for each symbol: the daemon draws the same from the same seed."""
    return {root: SimulatedMarket(root, seed, start - _HISTORY) for root in roots}


def file_feeds(
    roots: Sequence[str], paths: Sequence[Path], server_time: ServerTime
) -> dict[str, BarFeed]:
    """Return the feed of each symbol's file: the only one, or that with the symbol in its name.

    Raises:
        UsageError: a symbol has no file of its own.
        ConfigurationError: a file cannot be read.

    """
    feeds: dict[str, BarFeed] = {}
    for root in roots:
        named = [path for path in paths if root.casefold() in path.name.casefold()]
        found = list(paths) if len(roots) == len(paths) == 1 else named
        if len(found) != 1:
            raise UsageError(
                f"--file: expected one file with {root} in its name, found {len(found)} "
                f"among {', '.join(path.name for path in paths)}"
            )
        feeds[root] = FileFeed(root, found[0], server_time)
        feeds[root].open()
    return feeds


def default_start(feeds: Mapping[str, BarFeed]) -> datetime:
    """Return a start that leaves recorded bars on both sides, aware UTC."""
    first = min(feed.first for feed in feeds.values())
    last = max(feed.first if feed.end is None else feed.end for feed in feeds.values())
    return min(instant(first) + _WARM_UP, instant((first + last) // 2))


def data_end(feeds: Mapping[str, BarFeed]) -> datetime | None:
    """Return where the longest of recorded feeds ends, aware UTC; ``None`` for endless ones."""
    ends = [feed.end for feed in feeds.values()]
    return instant(max(end for end in ends if end is not None)) if all(ends) else None


def markets_of(
    feeds: Mapping[str, BarFeed], symbols: Sequence[Symbol], server_time: ServerTime,
    holidays: Sequence[date] = (),
) -> dict[str, Market]:  # fmt: skip
    """Return the market of each symbol, by the broker's name for it."""
    return {
        symbol.name: Market(symbol, feeds[symbol.root], server_time, holidays) for symbol in symbols
    }
