"""Checks of the bridge and its market: reached, connected, spelled, timed, priced, remembered."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlsplit

from app.adapters.mt5.client import BridgeClient, NoAnswerError, NotSentError
from app.adapters.mt5.dialect import IDEMPOTENCY, LOOK_UP, RefusalError
from app.adapters.mt5.market_watch import no_symbol
from app.doctor.facts import Facts
from app.doctor.findings import Finding, fails, failure, ok, warning
from app.domain.errors import ConfigurationError, SourceError, UnavailableError
from app.domain.rows import WARMING_UP, View
from app.strategies.evaluate import Strategy
from app.validation import without_credentials

_NOT_FOUND = 404
_PROBABLE_PATHS = ("/mt5", "")
_PROBE_WITHIN = 3.0
_AHEAD = timedelta(seconds=10)
"""How far ahead of our clock a price may be: what entries are refused beyond."""


def bridge(facts: Facts) -> Iterator[Finding]:
    """See that a bridge answers at API_BASE_URL."""
    try:
        offers = facts.health.offers
    except (NotSentError, NoAnswerError):
        raise
    except RefusalError as refusal:
        place = _elsewhere(facts) if refusal.status == _NOT_FOUND else None
        if place is None:
            raise
        yield fails(str(refusal), f"set API_BASE_URL to {place}", UnavailableError)
    except SourceError as error:
        yield fails(
            str(error),
            "see that API_BASE_URL is the bridge itself, and no other program or a proxy before it",
            UnavailableError,
        )
    else:
        safe = LOOK_UP in offers or IDEMPOTENCY in offers
        more = ", and can say what became of an order" if safe else ""
        yield ok(f"{facts.link.client.address} answers{more}")


def _elsewhere(facts: Facts) -> str | None:
    """Return where on the same host a bridge answers."""
    base = urlsplit(facts.settings.api.base_url or "")
    for path in _PROBABLE_PATHS:
        address = base._replace(path=path).geturl()
        with closing(BridgeClient(address, timeout=_PROBE_WITHIN, retry_attempts=0)) as client:
            try:
                client.account()
            except SourceError:
                continue
            return without_credentials(address)
    return None


def terminal(facts: Facts) -> Iterator[Finding]:
    """See that the terminal behind the bridge is connected to its broker."""
    if facts.terminal and facts.health.connected is None:
        yield warning(
            "the bridge does not say whether it is connected to its broker",
            "see in the terminal itself that it is",
        )
    else:
        yield ok("connected to its broker")


def symbols(facts: Facts) -> Iterator[Finding]:
    """See that the broker has the symbols under the names we trade them by."""
    for symbol in facts.settings.symbols:
        if symbol not in facts.names:
            yield fails(
                no_symbol(symbol, facts.names),
                "write it in TRADING_SYMBOL as the broker does, and name its folders in conf/ "
                "after it",
            )
        elif symbol in facts.described:
            yield ok(f"{symbol} is known to the broker")
        else:
            yield warning(
                f"the terminal tells nothing of {symbol} yet",
                "add it to the Market Watch to have it checked; the daemon does so when it starts",
            )


def server_clock(facts: Facts) -> Iterator[Finding]:
    """See that the broker server's wall clock is the configured one, and ours right."""
    try:
        measured = facts.measured
    except ConfigurationError as error:
        yield fails(str(error), "set BROKER_SERVER_TIMEZONE, or the clock of this machine")
        return
    if measured.offset is None:
        yield warning(measured.text, "ask again while the market is open")
    elif measured.skew > _AHEAD.total_seconds():
        yield fails(
            f"prices are {measured.skew:.0f} s ahead of this machine's clock",
            "set the clock of this machine by a time server (NTP)",
        )
    else:
        yield ok(measured.text)


def prices(facts: Facts) -> Iterator[Finding]:
    """See that every symbol has a price young enough to open a position on."""
    most = facts.settings.broker.max_quote_age
    for symbol in facts.traded:
        tick = facts.ticks.get(symbol)
        age = None if tick is None else (facts.now - tick.time).total_seconds()
        if tick is not None and age is not None and age <= most:
            yield ok(f"{symbol} {tick.bid} / {tick.ask}, {max(age, 0.0):.0f} s old")
            continue
        old = "has no price yet" if age is None else f"has had no new price for {age:.0f} s"
        yield warning(
            f"{symbol} {old}: nothing is opened on it",
            "see whether its market is open and the Market Watch shows it",
        )


def history(facts: Facts) -> Iterator[Finding]:
    """See that there are candles enough to make every strategy ready."""
    wanted = facts.settings.services.indicator_calculation.history_bars
    if not wanted:
        yield warning(
            "services.indicator_calculation.history_bars is 0: strategies begin without a past",
            "set it to 3000",
        )
        return
    for symbol in facts.traded:
        yield from _depth(facts, symbol, wanted)
        view = facts.views.get(symbol, {})
        for strategy in facts.strategies[symbol]:
            if all(view.get(timeframe) for timeframe in strategy.rules.timeframes):
                yield from _readiness(facts, strategy, view)


def _depth(facts: Facts, symbol: str, wanted: int) -> Iterator[Finding]:
    counts = []
    for (of, timeframe), candles in facts.history.items():
        if of != symbol:
            continue
        if isinstance(candles, SourceError):
            yield failure(candles)
        elif not candles:
            yield fails(
                f"there are no candles of {symbol} {timeframe.title_name}",
                "open its chart in the terminal, so that it loads them",
                UnavailableError,
            )
        else:
            counts.append(f"{timeframe.title_name} {len(candles)}")
    if counts:
        yield ok(f"{symbol} {', '.join(counts)} of {wanted} candles asked for")


def _readiness(facts: Facts, strategy: Strategy, view: View) -> Iterator[Finding]:
    """Say what a strategy still waits for on the newest rows."""
    waits = {
        f"{fact.signal} of {fact.timeframe.title_name}"
        for fact in strategy.explain(view)
        if fact.truth is None
    }
    if facts.settings.regime.enabled:
        waits |= {
            f"the regime of {timeframe.title_name}"
            for timeframe in strategy.rules.timeframes
            if view[timeframe][-1].regime == WARMING_UP
        }
    if waits:
        yield warning(
            f"{strategy.rules.name} is not ready after this history: {', '.join(sorted(waits))}",
            "raise services.indicator_calculation.history_bars, or the terminal's max bars in "
            "chart; else it waits for new candles",
        )
