"""What the checks look at, each fact found out when it is first asked for, and once.

Looking changes nothing: no file is made, no symbol watched, no order sent.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Generic, Self, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from app import settings
from app.adapters.journal.reader import JournalReader, read_journal
from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import (
    RefusalError,
    WireAccount,
    WireHealth,
    WireOrder,
    WirePosition,
    WireSymbol,
    WireTick,
)
from app.adapters.mt5.server_clock import Measured, look
from app.adapters.mt5.source import BridgeSource
from app.assembly import Series, entry_rules_of, indicators_of, strategies_of
from app.domain.broker_time import ServerTime
from app.domain.errors import OperatorError, SourceError, UnavailableError
from app.domain.market import Candle, Timeframe
from app.domain.rows import Row, View
from app.link import Link
from app.ports import Ask
from app.risk.limits import EntryRules
from app.setting_values import Mode
from app.settings import Loaded, Settings
from app.strategies.evaluate import Strategy
from app.wiring import engines_of

T = TypeVar("T")

_SERVER_ERROR = 500


class UnknownError(Exception):
    """A fact that an earlier check could not find out, and has said why."""


class Fact(Generic[T]):
    """Something to be known of a set-up; `unless` says it is not.

    Who asks first gets the error that hides it, who asks later an UnknownError.
    """

    def __init__(self, find: Callable[["Facts"], T], unless: str) -> None:
        self._find = find
        self._unless = unless
        self._known: WeakKeyDictionary[Facts, T] = WeakKeyDictionary()
        self._hidden: WeakSet[Facts] = WeakSet()

    def __get__(self, facts: "Facts", _: type["Facts"]) -> T:
        if facts in self._hidden:
            raise UnknownError(self._unless)
        if facts not in self._known:
            try:
                self._known[facts] = self._find(facts)
            except (OperatorError, SourceError):
                self._hidden.add(facts)
                raise
        return self._known[facts]


def fact(unless: str) -> Callable[[Callable[["Facts"], T]], Fact[T]]:
    """Make a fact of a method that finds it out."""
    return lambda find: Fact(find, unless)


class Facts:
    """All that is known of the set-up that `config` (and the environment) describes.

    A fact that cannot be known raises OperatorError or SourceError, later UnknownError.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    # The configuration

    @fact("the configuration cannot be read")
    def loaded(self) -> Loaded:
        """Return the settings, and where each came from."""
        return settings.load(self._config)

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.loaded.settings

    @property
    def is_live(self) -> bool:
        """Whether orders go to the account."""
        return self.settings.trading.mode is Mode.LIVE

    @fact("indicators and strategies cannot be read")
    def indicators(self) -> Series:
        """Return the indicators of every series, slowest first."""
        return indicators_of(self.settings)

    @fact("indicators and strategies cannot be read")
    def strategies(self) -> Mapping[str, tuple[Strategy, ...]]:
        """Return the enabled strategies of each symbol."""
        return strategies_of(self.settings, self.indicators)

    @fact("the limits and restrictions cannot be read")
    def entry_rules(self) -> EntryRules:
        """Return what entries are held against."""
        return entry_rules_of(self.settings, self.server_time)

    # The bridge and its terminal

    @fact("the address of the bridge is none")
    def link(self) -> Link:
        """Return the way to the bridge, and to its market's clock."""
        return Link(self.settings, self._opened)

    @fact("the bridge does not answer")
    def health(self) -> WireHealth:
        """Return what the bridge says of itself."""
        health = self.link.client.health()
        self.link.clock.told(health.clock, health.speed)
        return health

    @fact("the terminal is not connected")
    def terminal(self) -> BridgeClient:
        """Return the bridge, unless it says that its terminal has lost the broker."""
        if self.health.connected is False:
            raise UnavailableError("the terminal is not connected to its broker")
        return self.link.client

    @fact("the account is not known")
    def account(self) -> WireAccount:
        """Return the account the terminal is logged in to."""
        return self.terminal.account()

    @property
    def now(self) -> datetime:
        """The market's now, aware UTC."""
        return self.link.clock.now()

    # The market

    @fact("the symbols are not known")
    def names(self) -> Sequence[str]:
        """Return the broker's symbols, as it spells them."""
        names = self.terminal.symbols()
        if not names:
            raise UnavailableError("the bridge lists no symbols")
        return names

    @property
    def traded(self) -> Sequence[str]:
        """The symbols we trade and the broker has, one at least."""
        traded = [symbol for symbol in self.settings.symbols if symbol in self.names]
        if not traded:
            raise UnknownError("the broker has none of the symbols")
        return traded

    @fact("the symbols are not described")
    def described(self) -> Mapping[str, WireSymbol]:
        """Return what orders in each symbol must obey, where the terminal tells."""
        return self._of_each(self.terminal.symbol)

    @fact("the sessions are not known")
    def in_session(self) -> Mapping[str, bool]:
        """Return whether orders in each symbol are taken now, where the bridge says."""
        return self._of_each(self.terminal.tradable)

    @fact("the server's clock is not known")
    def measured(self) -> Measured:
        """Return the wall clock the bridge speaks in."""
        zone = self.settings.broker.server_timezone
        return look(self._tick_walls, self.link.clock, ServerTime(zone) if zone else None)

    @property
    def server_time(self) -> ServerTime:
        """The wall clock candles and days stand on."""
        if self.settings.uses_bridge:
            return self.measured.clock.server_time
        return ServerTime(self.settings.broker.server_timezone or "UTC")

    @property
    def dated(self) -> BridgeClient:
        """The bridge, its times read by the server's clock."""
        client = self.terminal
        client.clock = self.measured.clock
        return client

    @fact("the prices are not known")
    def ticks(self) -> Mapping[str, WireTick]:
        """Return the latest price of each symbol that has one."""
        return self._of_each(self.dated.tick)

    @fact("the history is not known")
    def history(self) -> Mapping[tuple[str, Timeframe], Sequence[Candle] | SourceError]:
        """Return the candles that warm each series up, or why there are none."""
        client, clock = self.dated, self.link.clock
        source = BridgeSource(client, self.traded, self.server_time, clock.now)
        count, now = self.settings.services.indicator_calculation.history_bars, clock.now()
        asks = [
            Ask(symbol, timeframe, count, now)
            for symbol, timeframe in self.indicators
            if symbol in self.traded
        ]
        answers = client.together(
            *(partial(source.latest, it.symbol, it.timeframe, count, now) for it in asks)
        )
        return {(it.symbol, it.timeframe): said for it, said in zip(asks, answers, strict=True)}

    @fact("the history is not known")
    def views(self) -> Mapping[str, View]:
        """Return the newest rows of each symbol after the warm-up."""
        rows = self.settings.services.indicator_calculation.recent_rows_limit
        views: dict[str, dict[Timeframe, tuple[Row, ...]]] = {}
        for (symbol, timeframe), engine in engines_of(self.settings, self.indicators).items():
            candles = self.history.get((symbol, timeframe), ())
            if not isinstance(candles, SourceError) and candles:
                engine.warm_up(candles[:-rows])
                newest = tuple(engine.update(candle) for candle in candles[-rows:])
                views.setdefault(symbol, {})[timeframe] = newest
        return views

    # What is open, and what we know of it

    @fact("what is open is not known")
    def open(self) -> Sequence[WirePosition | WireOrder]:
        """Return the account's positions and waiting orders."""
        client = self.dated
        return [*client.positions(), *client.orders()]

    @property
    def owner(self) -> str:
        """The name the journal and the lock know the account by."""
        if not self.is_live:
            return self.settings.trading.mode.value
        return f"{self.account.server}:{self.account.login}"

    @fact("the journal cannot be read")
    def journal(self) -> JournalReader | None:
        """Return the journal, ``None`` when there is none yet."""
        reader = read_journal(self.settings.journal.address)
        if reader is not None:
            self._opened.callback(reader.close)
        return reader

    def _tick_walls(self) -> Sequence[datetime]:
        """Return when the latest prices came, as the server's clock showed it."""
        return [tick.time for tick in self._of_each(self.terminal.tick).values()]

    def _of_each(self, ask: Callable[[str], T]) -> dict[str, T]:
        """Return what the bridge tells of each symbol; what it knows nothing of is left out."""
        symbols, told = self.traded, {}
        answers = self.terminal.together(*(partial(ask, symbol) for symbol in symbols))
        for symbol, answer in zip(symbols, answers, strict=True):
            if not isinstance(answer, SourceError):
                told[symbol] = answer
            elif not isinstance(answer, RefusalError) or answer.status >= _SERVER_ERROR:
                raise answer
        return told
