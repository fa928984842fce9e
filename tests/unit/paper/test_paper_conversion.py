"""How profits become account currency."""

from decimal import Decimal

import pytest

from app.domain.errors import ConfigurationError, SourceError


def test_profits_in_account_currency_stay_as_they_are(open_desk):
    assert open_desk("EURUSD").broker.money_per_lot("EURUSD") == 100_000


def test_the_base_currency_converts_at_the_price_of_the_deal(open_desk):
    """1.000 up on one lot of USDJPY closed at 160: 100000 / 160 = 625 dollars."""
    desk = open_desk("USDJPY")
    desk.candle(159.0)
    desk.enter("long")
    [opened] = desk.candle(159.0)
    desk.exit(opened.position)
    [closed] = desk.candle(160.0)
    assert closed.profit == Decimal("625.00")
    assert desk.broker.money_per_lot("USDJPY") == 625


def test_a_traded_symbol_that_joins_both_currencies_converts_at_its_bid(open_desk):
    """EURGBP earns pounds: the bid of GBPUSD makes them dollars."""
    desk = open_desk("EURGBP", "GBPUSD")
    desk.candle(1.25, symbol="GBPUSD")
    desk.candle(0.85)
    desk.enter("long")
    [opened] = desk.candle(0.85)
    desk.exit(opened.position)
    desk.candle(1.30, symbol="GBPUSD")
    [closed] = desk.candle(0.86)
    assert closed.profit == Decimal("1300.00")


def test_the_profit_of_an_open_position_follows_the_converting_symbol(open_desk):
    desk = open_desk("EURGBP", "GBPUSD")
    desk.candle(1.25, symbol="GBPUSD")
    desk.candle(0.85)
    desk.enter("long")
    desk.candle(0.85)
    assert desk.candle(0.86) == []
    assert desk.broker.positions()[0].profit == Decimal("1250.00")
    desk.candle(1.30, symbol="GBPUSD")
    assert desk.broker.positions()[0].profit == Decimal("1300.00")


def test_a_joining_symbol_the_other_way_round_is_inverted(open_desk):
    desk = open_desk("EURJPY", "USDJPY")
    desk.candle(125.0, symbol="USDJPY")
    desk.candle(160.0)
    assert desk.broker.money_per_lot("EURJPY") == 800


def test_nothing_is_quoted_or_traded_before_the_converting_symbol_has_a_price(open_desk):
    desk = open_desk("EURJPY", "USDJPY")
    desk.candle(160.0)
    assert desk.broker.quote("EURJPY") is None
    assert desk.enter("long").reason.startswith("off quotes")
    with pytest.raises(SourceError, match="no price of USDJPY yet"):
        desk.broker.money_per_lot("EURJPY")
    desk.candle(125.0, symbol="USDJPY")
    assert desk.broker.quote("EURJPY").bid == 160.0


def test_given_rates_convert_what_no_traded_symbol_does(open_desk):
    desk = open_desk("EURGBP", conversion_rates={"GBP": 1.27})
    assert desk.broker.money_per_lot("EURGBP") == 127_000
    assert desk.broker.notes == ("EURGBP profits are converted at a fixed rate: 1 GBP = 1.27 USD",)


def test_a_missing_rate_is_a_configuration_error_that_names_the_setting(open_desk):
    with pytest.raises(ConfigurationError, match="set BROKER_PAPER_CONVERSION_RATES=GBP=<USD") as e:
        open_desk("EURGBP")
    assert "\n" not in str(e.value)


def test_a_plain_contract_never_serves_as_a_rate(open_desk):
    """The index's rules say USD twice; a euro account needs a real EURUSD."""
    with pytest.raises(ConfigurationError, match="profits of US30 in USD"):
        open_desk("US30", currency="EUR")
    desk = open_desk("US30", "EURUSD", currency="EUR")
    desk.candle(1.25, symbol="EURUSD")
    desk.candle(44000.0)
    assert desk.broker.money_per_lot("US30") == Decimal("0.8")
    assert "US30 is not a symbol the paper broker knows" in desk.broker.notes[0]


def test_yen_accounts_count_whole_yen(open_desk):
    desk = open_desk("USDJPY", currency="JPY", balance=Decimal(1_000_000))
    desk.candle(150.0)
    desk.enter("long", "0.01")
    desk.candle(150.0)
    desk.candle(150.0005)
    assert desk.broker.account().equity == 1_000_000
    assert desk.broker.account().balance.as_tuple().exponent == 0
