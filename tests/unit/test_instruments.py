"""The one table of symbols: what the paper broker trades by is what the simulated market draws."""

from decimal import Decimal

import pytest

from app.adapters.paper.instruments import instrument as paper_instrument
from app.adapters.simulated_market import DEFAULT_START, SimulatedMarket
from app.domain.instruments import Kind, instrument

START = int(DEFAULT_START.timestamp())


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("EURUSD", ("fx", 5, 100_000, Decimal("0.0001"), 8, 1.085)),
        ("EURUSDm", ("fx", 5, 100_000, Decimal("0.0001"), 8, 1.085)),
        ("eurusd.r", ("fx", 5, 100_000, Decimal("0.0001"), 8, 1.085)),
        ("USDBRL", ("fx", 5, 100_000, Decimal("0.0001"), 18, 1.2)),
        ("EURRON", ("fx", 5, 100_000, Decimal("0.0001"), 18, 1.2)),
        ("CHFJPY", ("fx", 3, 100_000, Decimal("0.01"), 18, 160.0)),
        ("GBPJPY", ("fx", 3, 100_000, Decimal("0.01"), 22, 160.0)),
        ("XAUUSD", ("metal", 2, 100, Decimal("0.01"), 25, 2650.0)),
        ("XAGEUR", ("metal", 3, 5_000, Decimal("0.01"), 25, 30.0)),
        ("BTCUSD", ("crypto", 2, 1, Decimal(1), 1000, 60_000.0)),
        ("ETHEUR", ("crypto", 2, 1, Decimal(1), 150, 3000.0)),
    ],
)
def test_pairs_metals_and_the_great_coins_are_recognised(
    symbol: str, expected: tuple[object, ...]
) -> None:
    """Kind, digits, units a lot, pip, spread in points, price."""
    known = instrument(symbol)
    assert known.recognised
    quoted = (known.kind, known.digits, known.contract_size, known.pip)
    assert (*quoted, known.spread, known.price) == expected
    root = symbol[:6].upper()
    assert (known.base_currency, known.profit_currency) == (root[:3], root[3:])


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("US30", Kind.INDEX),
        ("GOOGLE", Kind.INDEX),
        ("EUREUR", Kind.INDEX),
        ("XAUXYZ", Kind.INDEX),
        ("DOGUSD", Kind.INDEX),
        ("DOGEUSD", Kind.CRYPTO),
        ("SOLUSDT", Kind.CRYPTO),
        ("ETHBTC", Kind.CRYPTO),
    ],
)
def test_anything_else_is_guessed_and_says_so(symbol: str, kind: Kind) -> None:
    guessed = instrument(symbol)
    assert not guessed.recognised
    assert (guessed.kind, guessed.digits, guessed.contract_size) == (kind, 2, 1)
    assert (guessed.base_currency, guessed.profit_currency) == ("USD", "USD")


@pytest.mark.parametrize("symbol", ["EURUSD", "USDBRL", "USDKRW", "USDTHB", "EURRON", "US30.cash"])
def test_the_paper_broker_and_the_simulated_market_agree(symbol: str) -> None:
    """Every price drawn is one the broker's rules can write, and both mean the same spread."""
    traded = paper_instrument(symbol, {})
    bars = SimulatedMarket(symbol, 11).bars(START, START + 12 * 3600)
    rules = traded.rules
    assert all(float(rules.price(price)) == price for price in bars.close.tolist())
    assert any(round(price, rules.digits - 1) != price for price in bars.close.tolist())
    assert bars.spread.min() == pytest.approx(0.9 * traded.usual_spread, abs=1)
