"""The options of history, as the settings know them: by their names in the environment."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app import settings
from app.domain.errors import UsageError


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
    without an offset; `capital` is account currency.

    Raises:
        UsageError: a time is none.
        ConfigurationError: a setting is wrong.

    """
    names = {**os.environ, "TRADE_MODE": "paper", "MARKET_DATA_SPEED": "0"}
    configured = settings.load(config, names).settings.market_data.path
    names["MARKET_DATA_SOURCE"] = "file" if data or configured else "simulated"
    if data:
        names["MARKET_DATA_PATH"] = ",".join(map(str, data))
    if begin:
        names["MARKET_DATA_START"] = _instant("--from", begin).isoformat()
    if end:
        names["MARKET_DATA_UNTIL"] = _instant("--to", end).isoformat()
    if symbols:
        names["TRADING_SYMBOLS"] = ",".join(symbols)
    if capital is not None:
        names["BROKER_PAPER_BALANCE"] = repr(capital)
    return names


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: '{text}' is no ISO date or time") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
