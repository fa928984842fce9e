"""Runs over bars and strategies made for one key, compared with and without it."""

import pytest

from app.events import CycleStartedEvent
from tests.live import ALWAYS_LONG


@pytest.fixture
def always_long():
    return ALWAYS_LONG


@pytest.fixture
def on_closes(folder, configuration, bars_file, connect):
    """Make a run over one-minute closes; unless told otherwise its strategy always buys.

    Bars open where the last one closed, and their spread is 2 points.
    """

    def make(closes, strategies=(ALWAYS_LONG,), symbol="EURUSD", news=None, **names):
        configuration({f"s{at}": text for at, text in enumerate(strategies)}, symbol)
        if news is not None:
            (folder / "conf" / "restrictions").mkdir()
            (folder / "conf" / "restrictions" / "economic-calendar.csv").write_text(news)
        environ = {
            "TRADING_SYMBOL": symbol,
            "TRADING_TIMEFRAMES": "1",
            "MARKET_DATA_SOURCE": "file",
            "MARKET_DATA_PATH": str(bars_file(closes, f"{symbol}_M1.csv")),
        }
        return connect({**environ, **names})

    return make


@pytest.fixture
def flat(on_closes):
    """Make a run over `minutes` of candles at 1.1."""
    return lambda minutes=10, *arguments, **names: on_closes([1.1] * minutes, *arguments, **names)


@pytest.fixture
def simulated(configuration, connect):
    """Make a run on the simulated EURUSD, by default for an hour; its strategy always buys."""

    def make(indicators=None, parts=None, **names):
        configuration({"always_long": ALWAYS_LONG}, indicators=indicators)
        hour = {"TRADING_TIMEFRAMES": "1", "MARKET_DATA_UNTIL": "2025-01-06T09:00Z"}
        return connect({**hour, **names}, **(parts or {}))

    return make


@pytest.fixture
def minutes_of():
    """Return of each event of a kind at which minute of its run it was published."""

    def minutes(run, kind):
        began, now, found = None, None, []
        for event in run.events:
            if isinstance(event, CycleStartedEvent):
                now = event.time
                began = began or now
            elif isinstance(event, kind):
                found.append(1 + int((now - began).total_seconds() // 60))
        return found

    return minutes
