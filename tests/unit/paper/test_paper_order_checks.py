"""Why orders are refused."""

from decimal import Decimal

import msgspec
import pytest

from app.adapters.paper.instruments import instrument
from app.adapters.paper.order_checks import price_fault, stops_fault, volume_fault
from app.domain.orders import OrderKind
from app.domain.signals import Direction

LONG, SHORT = Direction.LONG, Direction.SHORT
EURUSD = instrument("EURUSD", {}).rules
WIDE = msgspec.structs.replace(EURUSD, stops_level=20)


@pytest.mark.parametrize("volume", ["0.01", "1", "100", "0.37"])
def test_volumes_on_a_step_are_tradable(volume):
    """I16."""
    assert volume_fault(EURUSD, Decimal(volume)) == ""


@pytest.mark.parametrize("volume", ["0", "-1", "0.005", "0.015", "100.01", "NaN", "Infinity"])
def test_other_volumes_are_refused(volume):
    """I16."""
    assert volume_fault(EURUSD, Decimal(volume)) == (
        f"invalid volume {volume}: expected 0.01 to 100 lots in steps of 0.01"
    )


@pytest.mark.parametrize(
    ("kind", "side", "good", "bad"),
    [
        (OrderKind.LIMIT, LONG, "1.0999", "1.1001"),
        (OrderKind.LIMIT, SHORT, "1.1001", "1.0999"),
        (OrderKind.STOP, LONG, "1.1001", "1.0999"),
        (OrderKind.STOP, SHORT, "1.0999", "1.1001"),
    ],
)
def test_pending_orders_wait_on_their_side_of_the_market(kind, side, good, bad):
    market = Decimal("1.1")
    assert price_fault(EURUSD, kind, side, Decimal(good), market) == ""
    assert f"invalid {kind} price {bad}: expected" in price_fault(
        EURUSD, kind, side, Decimal(bad), market
    )
    assert price_fault(EURUSD, kind, side, market, market) != ""
    assert (
        price_fault(EURUSD, kind, side, None, market) == f"invalid price: a {kind} order needs one"
    )


@pytest.mark.parametrize("price", ["1.123456", "-1", "0", "NaN", "Infinity"])
def test_prices_must_be_prices_of_the_symbol(price):
    """I21."""
    fault = price_fault(EURUSD, OrderKind.STOP, LONG, Decimal(price), Decimal("1.1"))
    assert fault == f"invalid stop price {price}: expected a positive price of 5 digits"


@pytest.mark.parametrize(
    ("direction", "stop", "target", "fault"),
    [
        (LONG, "1.09", "1.11", ""),
        (SHORT, "1.11", "1.09", ""),
        (LONG, None, None, ""),
        (LONG, "1.10", None, "invalid stop loss 1.10: expected below the market at 1.1"),
        (LONG, None, "1.09", "invalid take profit 1.09: expected above the market at 1.1"),
        (SHORT, "1.09", "1.12", "invalid stop loss 1.09: expected above the market at 1.1"),
        (SHORT, None, "1.11", "invalid take profit 1.11: expected below the market at 1.1"),
    ],
)
def test_stops_stand_on_their_side_of_the_market(direction, stop, target, fault):
    levels = [None if level is None else Decimal(level) for level in (stop, target)]
    assert stops_fault(EURUSD, direction, Decimal("1.1"), *levels) == fault


def test_stops_keep_the_distance_the_broker_demands():
    assert stops_fault(WIDE, LONG, Decimal("1.1"), Decimal("1.0998"), None) == ""
    assert stops_fault(WIDE, LONG, Decimal("1.1"), Decimal("1.09981"), None) == (
        "invalid stop loss 1.09981: closer than 20 points to the market at 1.1"
    )
