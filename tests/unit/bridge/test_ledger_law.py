"""The law of the books: balance is the sum of deals, and no volume comes from nowhere."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bridge.calm import Calm
from app.bridge.values import Entry, OrderType, Refused, Side
from tests.unit.bridge.scenes import FLAT, Scene

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "close", "stops", "limit", "wait"]),
        st.integers(0, 40),
    ),
    max_size=25,
)
WAVES = [(1.1, 1.103, 1.099, 1.102), (1.102, 1.102, 1.097, 1.098), (1.099, 1.104, 1.099, 1.1)]


MOVES = st.lists(st.integers(-60, 60), min_size=5, max_size=40)


@settings(max_examples=60)
@given(MOVES, st.integers(50, 99), st.booleans())
def test_calm_never_hides_a_stop_out(moves, lots, buys):
    """The account is valued at few ticks, and every stop-out happens at the tick it belongs to.

    Red when `Calm.after` grants ten times what is spare, or `Calm.holds` in changed books.
    """
    price, bars = 1.1, []
    for move in moves:
        after = round(price + move / 20_000, 5)
        bars.append((price, max(price, after), min(price, after), after))
        price = after

    def deals(calm):
        with pytest.MonkeyPatch.context() as patched:
            if not calm:
                patched.setattr(Calm, "holds", lambda *_: False)
            scene = Scene(FLAT, *bars, leverage=1000)
            kind = OrderType.BUY if buys else OrderType.SELL
            scene.order(kind, "0.01")
            scene.step(20)
            for _ in range(4):
                scene.order(kind, str(Decimal(lots) / 10))
            scene.step(60 * len(moves) + 120)
            return scene.ledger.deals

    assert deals(calm=True) == deals(calm=False)


def act(scene, what, number):
    volume = str(Decimal(number + 1) / 100)
    tickets = list(scene.ledger.positions)
    ticket = tickets[number % len(tickets)] if tickets else 1
    match what:
        case "buy":
            scene.order(OrderType.BUY, volume)
        case "sell":
            scene.order(OrderType.SELL, volume)
        case "limit":
            scene.order(OrderType.BUY_LIMIT, volume, price=1.098)
        case "close":
            scene.close(ticket, volume)
        case "stops":
            scene.terminal.set_stops("EURUSD", ticket, Decimal("1.0975"), Decimal("1.1035"))
        case "wait":
            scene.step(number)


@settings(max_examples=150)
@given(STEPS, st.booleans())
def test_balance_is_the_sum_of_deals_and_no_volume_is_lost(steps, hedging):
    """I9 of the referee itself: what was closed and what is open make up what was opened.

    Red when `Ledger._reduce` keeps the closed volume in the position.
    """
    scene = Scene(*WAVES * 5, FLAT, hedging=hedging, commission=Decimal("3.5"))
    for what, number in steps:
        try:
            act(scene, what, number)
        except Refused:
            continue
    ledger = scene.ledger
    assert ledger.balance == sum(deal.net for deal in ledger.deals)
    for identifier in {deal.position_id for deal in ledger.deals if deal.symbol}:
        mine = [deal for deal in ledger.deals if deal.position_id == identifier]
        signed = sum(deal.volume * Side(deal.type).sign for deal in mine)
        held = ledger.by_identifier(identifier)
        assert signed == (held.volume * held.type.sign if held else 0)
        assert mine[0].entry is Entry.IN
    if not hedging:
        assert len(ledger.positions) <= 1
