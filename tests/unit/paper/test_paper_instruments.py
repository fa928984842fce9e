"""The symbol table of the paper broker."""

from decimal import Decimal

import pytest

from app.adapters.paper.instruments import instrument
from app.adapters.paper.terms import PaperTerms


@pytest.mark.parametrize(
    ("symbol", "digits", "contract", "pip", "currencies"),
    [
        ("EURUSD", 5, 100_000, "0.0001", ("EUR", "USD")),
        ("USDJPY", 3, 100_000, "0.01", ("USD", "JPY")),
        ("NOKSEK", 5, 100_000, "0.0001", ("NOK", "SEK")),
        ("XAUUSD", 2, 100, "0.01", ("XAU", "USD")),
        ("XAGUSD", 3, 5_000, "0.01", ("XAG", "USD")),
        ("BTCUSD", 2, 1, "1", ("BTC", "USD")),
        ("ETHEUR", 2, 1, "1", ("ETH", "EUR")),
        ("EURUSDm", 5, 100_000, "0.0001", ("EUR", "USD")),
        ("EURUSD.r", 5, 100_000, "0.0001", ("EUR", "USD")),
    ],
)
def test_known_symbols_have_their_rules(symbol, digits, contract, pip, currencies):
    known = instrument(symbol, {})
    assert known.recognised
    assert known.rules.symbol == symbol
    assert known.rules.digits == digits
    assert known.rules.contract_size == contract
    assert known.rules.pip == Decimal(pip)
    assert (known.rules.base_currency, known.rules.profit_currency) == currencies
    assert known.rules.volume(Decimal("0.019")) == Decimal("0.01")
    assert known.usual_spread > 0


@pytest.mark.parametrize("symbol", ["US30", "GOOGLE", "EUREUR", "DOGUSD"])
def test_any_other_name_is_a_plain_contract_in_dollars(symbol):
    other = instrument(symbol, {})
    assert not other.recognised
    assert (other.rules.digits, other.rules.contract_size) == (2, 1)
    assert other.rules.profit_currency == "USD"


@pytest.mark.parametrize(
    ("symbol", "given"), [("XAUUSD", "XAUUSD"), ("XAUUSDm", "XAUUSDM"), ("XAUUSD.r", "XAUUSD")]
)
def test_a_given_pip_value_decides_the_pip(symbol, given):
    """V14: XAUUSD_PIP_VALUE=10 makes a pip of gold 0.1."""
    assert instrument(symbol, {given: 10.0}).rules.pip == Decimal("0.1")


def test_money_has_cents_except_in_yen():
    assert PaperTerms().money(Decimal("1.005")) == Decimal("1.00")
    assert PaperTerms(currency="JPY").money(Decimal("2.5")) == 2
