"""The bridge to MetaTrader 5: its market, its account, and the journal that goes with it."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

from app.adapters.journal.lock import hold
from app.adapters.journal.sql import open_journal
from app.adapters.mt5.broker import Mt5Broker, Terms
from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.clock import BridgeClock
from app.adapters.mt5.dialect import WireHealth, WireTick
from app.adapters.mt5.market_watch import MarketWatch
from app.adapters.mt5.server_clock import UTC_CLOCK, look
from app.adapters.mt5.source import BridgeSource
from app.adapters.paper.broker import PaperBroker
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError, SourceError, UnavailableError
from app.feed import Market
from app.ports import Broker, Journal
from app.setting_values import Mode
from app.settings import Settings

PAPER_ACCOUNT = "paper_account"
"""The journal's name for the paper account's state."""

_CYCLES_OF_SILENCE = 6
_LEAST_SILENCE = timedelta(seconds=30)


class Link:
    """One bridge, opened; what must be closed again is put on `opened`."""

    def __init__(self, settings: Settings, opened: ExitStack) -> None:
        self._settings = settings
        self._opened = opened
        base_url = settings.api.base_url
        if base_url is None:
            raise ConfigurationError("the bridge's address is not set: expected API_BASE_URL")
        self.clock = BridgeClock()
        self.client = BridgeClient(
            base_url,
            timeout=settings.api.timeout,
            retry_attempts=settings.services.data_fetching.retry_attempts,
            concurrency=settings.api.concurrency,
            stop=self.clock.stopping,
        )
        self._opened.callback(self.client.close)
        self._watch = MarketWatch(self.client)
        self.server_time = ServerTime("UTC")
        """The wall clock of the broker's server; known once it was measured."""
        self._measured = ""
        self._is_measured = False

    def measure(self) -> ServerTime:
        """Compare the server's clock with ours; return the server's.

        Raises:
            UnavailableError: the bridge does not answer.
            ConfigurationError: `broker.server_timezone` is not the server's.

        """
        client = self.client
        try:
            self._heard(client.health())
            client.clock = UTC_CLOCK
            zone = self._settings.broker.server_timezone
            measured = look(self._tick_times, self.clock, ServerTime(zone) if zone else None)
        except SourceError as error:
            raise UnavailableError(f"the bridge does not answer: {error}") from None
        client.clock = measured.clock
        self._measured = measured.text
        self._is_measured = measured.offset is not None
        self.server_time = measured.clock.server_time
        return self.server_time

    def market(self) -> Market:
        """Return the bridge's market.

        Raises:
            UnavailableError: the bridge does not answer.
            ConfigurationError: the broker has no such symbol.

        """
        source = BridgeSource(
            self.client,
            self._settings.symbols,
            self.server_time,
            self.clock.now,
            watch=self._watch,
        )
        source.open()
        notes = [f"Market: {source.name}", self._measured]
        warnings = []
        if not self._is_measured and self._settings.broker.server_timezone is None:
            warnings = [f"{notes.pop()}: set BROKER_SERVER_TIMEZONE if it is another one"]
        return Market(source, self.clock, tuple(notes), tuple(warnings))

    def _heard(self, health: WireHealth) -> None:
        self.clock.told(health.clock, health.speed)

    def _tick_times(self) -> list[datetime]:
        """Return when the latest prices came; what cannot be had now is left out."""
        ticks = [partial(self.client.tick, symbol) for symbol in self._settings.symbols]
        return [it.time for it in self.client.together(*ticks) if isinstance(it, WireTick)]

    def account(
        self, paper: Callable[[str | None, Callable[[str], object]], PaperBroker]
    ) -> tuple[Broker, Journal]:
        """Return who takes the orders, and the journal of that account, held by us alone.

        Raises:
            UnavailableError: the bridge does not answer.
            ConfigurationError: it is another account, or has no such symbol.
            AccountHeldError: another daemon has the account.
            JournalError: the journal cannot be used.

        """
        if self._settings.trading.mode is Mode.LIVE:
            broker = self.live()
            account = broker.account()
            return broker, self._journal(f"{account.server}:{account.login}")
        journal = self._journal(self._settings.trading.mode.value)
        return (
            paper(journal.state(PAPER_ACCOUNT), partial(journal.keep_state, PAPER_ACCOUNT)),
            journal,
        )

    def live(self) -> Mt5Broker:
        """Return the account behind the bridge, looked at for the first time.

        Raises:
            UnavailableError: the bridge does not answer.
            ConfigurationError: it is another account, or has no such symbol.

        """
        settings = self._settings
        silence = settings.services.data_fetching.fetch_interval * _CYCLES_OF_SILENCE
        pips = {symbol: settings.trading.pip_value(symbol) for symbol in settings.symbols}
        terms = Terms(
            login=settings.broker.live_account,
            hedging=settings.broker.hedging,
            max_quote_age=timedelta(seconds=settings.broker.max_quote_age),
            max_silence=max(_LEAST_SILENCE, timedelta(seconds=silence)),
            pip_values={symbol: pip for symbol, pip in pips.items() if pip is not None},
        )
        broker = Mt5Broker(
            self.client,
            settings.symbols,
            terms,
            self.clock.now,
            heard=self._heard,
            watch=self._watch,
        )
        broker.open(self.clock.now())
        return broker

    def _journal(self, account: str) -> Journal:
        """Hold the account, then open its journal: whoever comes second does not touch it."""
        options = self._settings.journal
        self._opened.enter_context(hold(account, options.address, options.locks))
        journal = open_journal(
            options.address, account, now=self.clock.now(), keep_days=options.keep_days
        )
        self._opened.callback(journal.close)
        return journal
