"""Profits reach the account in its own currency, at the market's own prices."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.bridge.feeds import markets_of, simulated_feeds, symbol_of
from app.bridge.rates import Rates
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError

START = datetime(2025, 1, 6, 8, tzinfo=UTC)


def markets(*names):
    feeds = simulated_feeds(names, 11, START)
    return markets_of(feeds, [symbol_of(name, "m") for name in names], ServerTime("NY+7"))


def hidden(name):
    return markets(name)[f"{name}m"]


def none(name):
    raise AssertionError(f"{name} is offered: no other market is needed")


def test_the_accounts_own_currency_is_worth_one():
    assert Rates("USD", markets("EURUSD").values(), none).rate("USD", START) == 1


@pytest.mark.parametrize(("symbol", "profit", "inverse"), [("EURUSD", "USD", True),
                                                           ("GBPEUR", "GBP", False)])  # fmt: skip
def test_an_offered_pair_converts(symbol, profit, inverse):
    offered = markets("EURUSD", "GBPEUR")
    bid = offered[f"{symbol}m"].tick(START).bid
    rates = Rates("EUR", [*offered.values(), *markets("EURGBP").values()], none)
    assert rates.rate(profit, START) == (1 / bid if inverse else bid)


@pytest.mark.parametrize(
    ("symbol", "account", "low", "high"),
    [
        ("EURJPY", "USD", "0.005", "0.01"),
        ("EURUSD", "GBP", "0.7", "0.9"),
        ("EURGBP", "USD", "1.1", "1.4"),
        ("XAUUSD", "JPY", "100", "200"),
    ],
)
def test_a_pair_that_is_not_offered_converts_at_its_usual_level(symbol, account, low, high):
    rates = Rates(account, markets(symbol).values(), hidden)
    assert Decimal(low) < rates.rate(symbol[3:], START) < Decimal(high)


def test_a_currency_that_nothing_converts_is_refused():
    with pytest.raises(ConfigurationError, match="profits in USD cannot be converted to XYZ"):
        Rates("XYZ", markets("EURUSD").values(), none)
