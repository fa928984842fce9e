"""A start asks the bridge for its symbols once, whatever parts of the daemon want them."""

import pytest

from app.domain.errors import ConfigurationError


@pytest.mark.parametrize("mode", ["live", "monitor"])
def test_a_start_lists_symbols_once_and_selects_each_once(bridge, live, mode):
    """Red when market and account do not share a `MarketWatch`."""
    broker = bridge("--symbols", "EURUSD,GBPUSD", "--faults")
    live(broker, TRADE_MODE=mode)
    seen = broker.applied()["seen"]
    assert (seen["GET symbols"], seen["POST symbols/select"]) == (1, 1)


def test_a_symbol_of_another_spelling_ends_the_start_by_naming_it(bridge, live):
    broker = bridge("--symbols", "EURUSD", "--suffix", ".r", "--faults")
    with pytest.raises(ConfigurationError, match=r"no symbol 'EURUSD': expected EURUSD\.r"):
        live(broker)
    assert broker.applied()["seen"]["GET symbols"] == 1
