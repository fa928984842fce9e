"""The ledger as a file: what was written is what is read, and a torn line is dropped."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.bridge.chronicle import Chronicle, Reading
from app.bridge.feeds import symbol_of
from app.bridge.ledger import Ledger
from app.bridge.terms import Fill, Terms, Tickets
from app.bridge.values import OrderRequest, OrderType
from app.domain.errors import ConfigurationError

NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
AT = Fill(Decimal("1.1"), Decimal(1), NOON)


def books(written=lambda _: None):
    return Ledger(Terms(commission=Decimal(2)), symbol_of, Tickets(), written)


def trade(ledger):
    """Deposit, open two positions, close one in two parts and leave an order waiting."""
    ledger.deposit(Decimal(500), NOON)
    request = OrderRequest("EURUSD", OrderType.BUY, Decimal("0.3"), comment="A")
    first = ledger.place(request, NOON)
    ledger.fill(first, Decimal("0.3"), AT)
    ledger.fill(ledger.place(request, NOON), Decimal("0.3"), AT)
    for volume in ("0.1", "0.2"):
        closing = OrderRequest("EURUSD", OrderType.SELL, Decimal(volume))
        ledger.fill(ledger.place(closing, NOON, closes=first.ticket), Decimal(volume), AT)
    limit = OrderRequest("EURUSD", OrderType.BUY_LIMIT, Decimal("0.1"), price=Decimal(1))
    ledger.place(limit, NOON)


def state(ledger):
    return ledger.balance, ledger.positions, ledger.waiting, ledger.done, ledger.deals


def test_books_read_back_are_the_books_that_were_written(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with Chronicle(path) as chronicle:
        ledger = books(lambda record: chronicle.record(7, NOON, record))
        trade(ledger)
    restored = books()
    with Chronicle(path) as again:
        for line in again.of(7):
            restored.restore(line.record)
    assert state(restored) == state(ledger)
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize("torn", [b"{", b'{"at":"2025', b"\x00\x00"])
def test_a_line_torn_by_a_crash_is_dropped_and_written_over(tmp_path, torn):
    path = tmp_path / "ledger.jsonl"
    with Chronicle(path) as chronicle:
        chronicle.reading(NOON, 60)
    path.write_bytes(path.read_bytes() + torn)
    with Chronicle(path) as chronicle:
        chronicle.reading(NOON + timedelta(hours=1), 60)
    with Chronicle(path) as chronicle:
        assert len(chronicle.past) == 2
        assert chronicle.clock.market == NOON + timedelta(hours=1)


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")
    with pytest.raises(ConfigurationError, match=r"notes.txt:1: is no line of a ledger"):
        Chronicle(path)
    assert path.read_text() == "buy milk\n"


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere"):
        Chronicle(tmp_path / "nowhere" / "ledger.jsonl")


def test_the_market_goes_on_without_the_bridge():
    reading = Reading(NOON, real=1000.0, speed=60)
    assert reading.later(1010.0) == NOON + timedelta(minutes=10)
    assert reading.later(900.0) == NOON
    assert Reading(NOON, 1000.0, 0).later(9999.0) == NOON
