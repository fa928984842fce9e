"""The symbols a terminal watches for us: found under the names we know, and added, once a start."""

from collections.abc import Sequence
from functools import partial

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import RefusalError
from app.domain.errors import ConfigurationError, SourceError, UnavailableError, nearest
from app.log_setup import get_logger

_MOST_HINTS = 5


class MarketWatch:
    """The Market Watch of the terminal behind `client`, whoever of us wants symbols in it."""

    def __init__(self, client: BridgeClient) -> None:
        self._client = client
        self._watched: set[str] = set()
        self._log = get_logger("bridge")

    def add(self, symbols: Sequence[str]) -> None:
        """Have the terminal watch the symbols; nothing is asked for those it was told of before.

        One that it does watch already may be refused.

        Raises:
            ConfigurationError: the broker has no such symbol; names those it may be.
            UnavailableError: it lists none at all.
            SourceError: no answer.

        """
        wanted = [symbol for symbol in symbols if symbol not in self._watched]
        if not wanted:
            return
        known = self._client.symbols()
        if not known:
            raise UnavailableError(
                f"the bridge at {self._client.address} lists no symbols: log its terminal in"
            )
        for symbol in wanted:
            if symbol not in known:
                raise ConfigurationError(no_symbol(symbol, known))
        answers = self._client.together(
            *(partial(self._client.select, symbol) for symbol in wanted)
        )
        for symbol, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, RefusalError) or answer is False:
                self._log.warning("the terminal was not made to watch %s: %s", symbol, answer)
            elif isinstance(answer, SourceError):
                raise answer
        self._watched.update(wanted)


def no_symbol(symbol: str, known: Sequence[str]) -> str:
    """Say that the broker has no such symbol, and which may be meant: with a suffix, or alike."""
    return f"the broker has no symbol '{symbol}'{_hint(symbol, known)}"


def _hint(symbol: str, known: Sequence[str]) -> str:
    stem = symbol.casefold()
    alike = [
        name
        for name in known
        if name.casefold().startswith(stem) or stem.startswith(name.casefold())
    ]
    if alike:
        return f": expected {' or '.join(alike[:_MOST_HINTS])}"
    return nearest(symbol, known)
