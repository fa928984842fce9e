"""The options of history, as the settings know them: by their names in the environment."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app import settings
from app.domain.errors import UsageError
from app.feed import is_named_after
from app.settings import Settings


def names_of(
    config: Path | None,
    data: Sequence[Path],
    *,
    begin: str,
    end: str,
    symbols: Sequence[str],
    capital: float | None,
) -> Mapping[str, str]:
    """Return the process's environment with the options in it.

    Whatever it says of live trading and of a bridge is no matter: what is played are the files of
    `data`, those of the configuration, or the simulated market. `begin` and `end` are ISO, UTC
    without an offset; `capital` is account currency. Without `symbols` the names of the files say
    which are traded, where strategies of such symbols exist.

    Raises:
        UsageError: a time is none, a file is named twice, a symbol has no name, no capital is left.
        ConfigurationError: a setting is wrong.

    """
    if len(set(data)) < len(data):
        raise UsageError("--data: the same file is named twice")
    if not all(symbols):
        raise UsageError("--symbol: expected a name")
    if capital is not None and not (capital > 0 and math.isfinite(capital)):
        raise UsageError(f"--capital: expected more than 0, not {capital}")
    names = {**os.environ, "TRADE_MODE": "paper", "MARKET_DATA_SPEED": "0"}
    configured = settings.load(config, names).settings
    names["MARKET_DATA_SOURCE"] = "file" if data or configured.market_data.path else "simulated"
    if data:
        names["MARKET_DATA_PATH"] = ",".join(map(str, data))
        symbols = symbols or list(_symbols_of(data, configured))
    if begin:
        names["MARKET_DATA_START"] = _instant("--from", begin).isoformat()
    if end:
        names["MARKET_DATA_UNTIL"] = _instant("--to", end).isoformat()
    if symbols:
        names["TRADING_SYMBOLS"] = ",".join(symbols)
    if capital is not None:
        names["BROKER_PAPER_BALANCE"] = repr(capital)
    return names


def _symbols_of(data: Sequence[Path], configured: Settings) -> Iterator[str]:
    """Yield the symbols that files are named after: those traded, else those with strategies.

    Nothing where a file is named after none or several: then what is configured counts.
    """
    for known in (configured.symbols, _with_strategies(configured.trading.conf_folder)):
        found = [[name for name in known if is_named_after(path, name)] for path in data]
        if all(len(names) == 1 for names in found):
            yield from (names[0] for names in found)
            return


def _with_strategies(conf: Path) -> Sequence[str]:
    folders = sorted((conf / "strategies").glob("*/"))
    return [folder.name.upper() for folder in folders if folder.is_dir()]


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: '{text}' is no ISO date or time") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
