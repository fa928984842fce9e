"""What the terminal watches: asked for once, by whoever comes first."""

import pytest

from app.adapters.mt5.market_watch import MarketWatch, no_symbol
from app.domain.errors import ConfigurationError, SourceError, UnavailableError
from tests.unit.mt5.misbehaving import CLOSE, reply

ADDED = reply({"success": True})


def paths(rogue):
    """Return what was asked, below the bridge's address."""
    return [asked.path.removeprefix("/mt5/") for asked in rogue.asked]


def test_who_comes_second_asks_only_for_what_is_new(rogue, client) -> None:
    watch = MarketWatch(client)
    known = reply(["A", "B", "C"])
    rogue.answer(known, ADDED)
    watch.add(["A", "B"])
    watch.add(["B", "A"])
    assert paths(rogue) == ["symbols", "symbols/select", "symbols/select"]
    rogue.answer(known, ADDED)
    watch.add(["A", "C"])
    assert paths(rogue)[3:] == ["symbols", "symbols/select"]
    assert rogue.asked[-1].json == {"symbol": "C", "enable": True}


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([reply([])], UnavailableError),
        ([reply(["B"])], ConfigurationError),
        ([CLOSE], SourceError),
        ([reply(["A"]), CLOSE], SourceError),
    ],
)
def test_what_failed_is_asked_for_again(rogue, client, answers, error) -> None:
    watch = MarketWatch(client)
    rogue.answer(*answers)
    with pytest.raises(error):
        watch.add(["A"])
    rogue.answer(reply(["A"]), ADDED)
    asked = len(rogue.asked)
    watch.add(["A"])
    assert len(rogue.asked) == asked + 2


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [
        ("EURUSD", ": expected EURUSDm or EURUSD.r"),
        ("GBPUSDx", ": expected GBPUSD"),
        ("gbpusd", ": expected GBPUSD"),
        ("GPBUSD", " (did you mean 'GBPUSD'?)"),
        ("BTC", ""),
    ],
)
def test_a_symbol_that_is_spelled_otherwise_is_hinted_at(symbol, hint) -> None:
    known = ["EURUSDm", "EURUSD.r", "GBPUSD"]
    assert no_symbol(symbol, known) == f"the broker has no symbol '{symbol}'{hint}"
