"""Times and numbers on the wire, and the market's clock."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bridge import clock as bridge_clock
from app.bridge.clock import MarketClock
from app.bridge.desk import status_of
from app.bridge.retcodes import Retcode, text_of
from app.bridge.values import OrderType, Side, TradeResult
from app.bridge.wire import Stamps, encode
from app.domain.broker_time import ServerTime

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)


def test_times_show_the_servers_wall_clock_or_utc():
    assert Stamps(ServerTime("NY+7"), utc=False).text(NOON) == "2025-07-01T15:00:00"
    assert Stamps(ServerTime("NY+7"), utc=True).text(NOON) == "2025-07-01T12:00:00Z"


def test_a_wrong_clock_is_wrong_in_both_spellings():
    stamps = Stamps(ServerTime("NY+7"), utc=False)
    stamps.ahead = timedelta(minutes=-5)
    assert stamps.text(NOON) == "2025-07-01T14:55:00"
    assert stamps.milliseconds(NOON) == int((NOON.timestamp() + 3 * 3600 - 300) * 1000)


@given(st.integers(946_684_800, 2_208_988_800))
def test_a_time_that_was_written_in_utc_is_read_back(second):
    time = datetime.fromtimestamp(second, UTC)
    stamps = Stamps(ServerTime("NY+7"), utc=True)
    assert stamps.read(stamps.text(time)) == time
    assert stamps.read(time.isoformat()) == time
    assert stamps.read(time.isoformat().replace("+", " ")) == time


def test_a_naive_time_in_a_request_is_the_servers():
    assert Stamps(ServerTime("NY+7"), utc=False).read("2025-07-01T15:00:00") == NOON


def test_decimals_are_numbers_on_the_wire():
    assert encode({"price": Decimal("1.10300"), "type": OrderType.BUY}) == (
        b'{"price":1.10300,"type":0}'
    )


def test_odd_order_types_sell():
    assert [kind.side for kind in OrderType] == [Side.BUY, Side.SELL] * 4
    assert [kind.name for kind in OrderType if kind.is_limit] == ["BUY_LIMIT", "SELL_LIMIT"]


def test_every_return_code_has_words():
    assert all("Return code" not in text_of(code) for code in Retcode)
    assert text_of(10046) == "Return code 10046"


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (TradeResult(Retcode.DONE, 1, 2), "filled"),
        (TradeResult(Retcode.DONE, 1, volume=Decimal(1)), "placed"),
        (TradeResult(Retcode.DONE, 1), "done"),
        (TradeResult(Retcode.DONE_PARTIAL, 1, 2), "partial"),
        (TradeResult(Retcode.PLACED, 1), "placed"),
        (TradeResult(12345), "rejected"),
    ],
)
def test_a_result_has_a_status(result, word):
    assert status_of(result) == word


def test_the_clock_runs_at_its_speed_and_stops_where_the_data_end(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(bridge_clock, "monotonic", lambda: now)
    clock = MarketClock(NOON, 60, end=NOON + timedelta(hours=1))
    now += 10
    assert clock.now() == NOON + timedelta(minutes=10)
    clock.step(timedelta(minutes=5))
    clock.step(timedelta(minutes=-5))
    assert clock.now() == NOON + timedelta(minutes=15)
    now += 3600
    assert clock.now() == NOON + timedelta(hours=1)
