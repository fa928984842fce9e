"""The ledger's law over any sequence of orders and candles."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.paper.ledger import BEFORE_TRADING
from app.domain.orders import DealEntry, OrderKind

DEPOSIT = Decimal(5000)
SIDES = st.sampled_from(["long", "short"])
LOTS = st.sampled_from(["0.01", "0.1", "0.37", "1", "2.5"])
GAP, MOVE, WICK = st.integers(-80, 80), st.integers(-150, 150), st.integers(0, 60)
PICK = st.integers(0, 5)

candles = st.tuples(st.just("candle"), GAP, MOVE, WICK, WICK)
entries = st.tuples(
    st.just("enter"),
    SIDES,
    LOTS,
    st.sampled_from(list(OrderKind)),
    st.integers(5, 200),
    st.sampled_from([0, 60, 200, 500, 900]),
)
exits = st.tuples(st.just("exit"), PICK, LOTS)
moves = st.tuples(st.just("modify"), PICK, st.integers(1, 400))
steps = st.lists(st.one_of(candles, entries, candles, exits, moves), min_size=12, max_size=30)


class Trader:
    """Turns drawn numbers into orders around the current price of USDJPY and EURUSD."""

    def __init__(self, desk, symbol):
        self.desk, self.symbol = desk, symbol
        self.start, self.point = (150.0, 0.001) if symbol == "USDJPY" else (1.1, 0.00001)
        self.price = self.start
        desk.candle(self.price)

    def candle(self, gap, move, up, down):
        opened = self.price + gap * self.point
        self.price = opened + move * self.point
        high = max(opened, self.price) + up * self.point
        low = min(opened, self.price) - down * self.point
        return self.desk.candle(opened, high, low, self.price, spread=float(up % 30))

    def enter(self, side, lots, kind, away, stops):
        sign = 1 if side == "long" else -1
        price = self.price
        if kind is not OrderKind.MARKET:
            price += (away + 30) * self.point * (sign if kind is OrderKind.STOP else -sign)
        self.desk.enter(
            side,
            lots,
            kind,
            price=None if kind is OrderKind.MARKET else self._text(price),
            sl=self._text(price - stops * self.point * sign) if stops else None,
            tp=self._text(price + stops * self.point * sign) if stops else None,
        )

    def exit(self, pick, lots):
        self.desk.exit(self._ticket(pick), lots)

    def modify(self, pick, away):
        stop = Decimal(self._text(self.price - away * self.point))
        self.desk.broker.modify(self._ticket(pick), stop_loss=stop, take_profit=None)

    def _ticket(self, pick):
        tickets = [position.ticket for position in self.desk.broker.positions()]
        return tickets[pick % len(tickets)] if tickets else 3

    def _text(self, price):
        return str(self.desk.broker.rules(self.symbol).price(price))


@settings(max_examples=80)
@given(steps, st.booleans(), st.sampled_from(["EURUSD", "USDJPY"]))
def test_the_books_balance_to_the_cent(open_desk_once, steps, hedging, symbol):
    """I9: balance = deposits + sum of deals; equity = balance + floating; to the cent."""
    desk = open_desk_once(
        symbol,
        hedging=hedging,
        balance=DEPOSIT,
        spread_points=None,
        slippage_points=1.0,
        commission_per_lot=Decimal("3.33"),
    )
    trader, reported = Trader(desk, symbol), []
    for name, *numbers in steps:
        happened = getattr(trader, name)(*numbers)
        reported += happened or []
        _books_balance(desk.broker, hedging)
    deals = desk.broker.deals(BEFORE_TRADING)
    assert [event for event in reported if hasattr(event, "net")] == deals[1:]


def _books_balance(broker, hedging):
    account, deals = broker.account(), broker.deals(BEFORE_TRADING)
    positions = broker.positions()
    assert account.balance == DEPOSIT + sum(deal.net for deal in deals[1:])
    assert account.equity == account.balance + sum(position.profit for position in positions)
    assert account.margin_free == account.equity - account.margin
    for amount in (account.balance, account.equity, account.margin):
        assert amount == amount.quantize(Decimal("0.01"))
    volume = defaultdict(Decimal)
    for deal in deals[1:]:
        volume[deal.position] += deal.volume if deal.entry is DealEntry.IN else -deal.volume
        assert volume[deal.position] >= 0
    assert {position: left for position, left in volume.items() if left} == {
        position.ticket: position.volume for position in positions
    }
    assert hedging or len(positions) <= 1
    assert [deal.ticket for deal in deals] == list(range(1, len(deals) + 1))


@settings(max_examples=50)
@given(steps, st.booleans())
def test_profits_are_the_cash_that_flowed(open_desk_once, steps, hedging):
    """A referee that knows only prices and volumes agrees, within a cent a deal, once flat."""
    desk = open_desk_once("EURUSD", hedging=hedging, balance=Decimal(10**6))
    trader = Trader(desk, "EURUSD")
    for name, *numbers in steps:
        getattr(trader, name)(*numbers)
    for order in desk.broker.orders():
        desk.broker.cancel(order.ticket)
    desk.candle(trader.price)
    for position in desk.broker.positions():
        desk.exit(position.ticket, "100")
    desk.candle(trader.price)
    assert desk.broker.positions() == []
    deals = desk.broker.deals(BEFORE_TRADING)[1:]
    paid = sum(
        deal.price * deal.volume * deal.direction.sign * (1 if deal.entry is DealEntry.IN else -1)
        for deal in deals
    )
    profit = sum(deal.profit for deal in deals)
    assert abs(profit + paid * 100_000) <= Decimal("0.01") * len(deals)


@settings(max_examples=50)
@given(steps, st.booleans(), st.sampled_from(["EURUSD", "USDJPY"]))
def test_the_float_guard_never_changes_an_outcome(open_desk_once, steps, hedging, symbol):
    """Matching every candle in Decimal gives the same deals as skipping the quiet ones."""
    terms = {"hedging": hedging, "balance": Decimal(1300), "spread_points": None}
    quick, thorough = (open_desk_once(symbol, **terms) for _ in range(2))
    thorough.broker._solvent = lambda book, candle: False
    for book in thorough.broker._books.values():
        _always_match(book)
    traders = [Trader(quick, symbol), Trader(thorough, symbol)]
    for name, *numbers in steps:
        happened = [getattr(trader, name)(*numbers) for trader in traders]
        assert happened[0] == happened[1]
    assert quick.broker.account() == thorough.broker.account()


def _always_match(book):
    arm = type(book).arm

    class Watchful(type(book)):
        __slots__ = ()

        def arm(self, positions):
            arm(self, positions)
            self.low_guard = float("inf")

    book.__class__ = Watchful
    book.arm(())


def test_an_exit_is_always_taken_for_an_open_position(open_desk):
    """I10: however poor the account, its positions can be closed."""
    desk = open_desk(balance=Decimal(1200), stop_out_level=0.0)
    desk.candle(1.1)
    desk.enter("long")
    [deal] = desk.candle(1.1)
    desk.candle(1.0885)
    assert desk.broker.account().margin_free < 0
    assert desk.exit(deal.position).ticket
    [closed] = desk.candle(1.0885)
    assert closed.net == Decimal("-1150.00")
