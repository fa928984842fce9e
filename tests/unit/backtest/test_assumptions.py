"""What a backtest says it took for granted."""

from app.backtest.assumptions import assumptions
from app.settings import Settings


def test_only_what_waits_at_the_broker_is_said_to_fill_no_worse_than_its_price():
    """Parts of several targets are closed at market, so that they may."""
    said = " ".join(assumptions(Settings()))
    assert "limits and take profits never worse" in said
    assert "Several targets: all but the last" in said
    assert "their parts closed at market" in said
