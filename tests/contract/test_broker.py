"""What every Broker does, whoever it is: one suite, a desk for each.

A desk gives the suite a broker that trades EURUSD, and `candle`: the market moves through one
candle and the desk returns what the broker reported of it.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest

from app.adapters.mt5.broker import Mt5Broker, Terms
from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.server_clock import ServerClock
from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.domain.market import Candle, Timeframe
from app.domain.orders import (
    Action,
    BlockReason,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    OrderGone,
    OrderKind,
    OrderState,
)
from app.domain.signals import Direction
from app.ports import Broker
from app.risk.limits import ApprovedOrder
from tests.bridge import start_bridge

M1 = Timeframe("M1")
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Desk(NamedTuple):
    broker: Broker
    candle: Callable[..., Sequence[Deal | OrderGone]]
    look: Callable[[], object] = tuple
    """Look at the account, as every cycle does before and after orders."""
    names_exits: bool = True
    """Whether the deals of exits carry what we called them, as MetaTrader's do not."""
    tells_gone: bool = True
    """Whether an order that was cancelled is told, or just not shown any more."""


def paper_desk(request, tmp_path) -> Iterator[Desk]:
    broker, opened = PaperBroker(PaperTerms(), ["EURUSD"]), [MONDAY]

    def candle(open_, high=None, low=None):
        time = opened[0]
        opened[0] += M1.delta
        return broker.on_candle(
            Candle("EURUSD", M1, time, time + M1.delta, open_, high or open_, low or open_, open_)
        )

    yield Desk(broker, candle)


def market_of(test, given) -> list[tuple[float, float, float]]:
    """Return the candles a test asks for, found out by letting it trade on paper."""
    candles = []
    for desk in paper_desk(None, None):

        def candle(open_, high=None, low=None, desk=desk):
            candles.append((open_, high or open_, low or open_))
            return desk.candle(open_, high, low)

        test(**{**given, "desk": desk._replace(candle=candle)})
    return candles


def mt5_desk(request, tmp_path) -> Iterator[Desk]:
    """Play the market of the test from a file, through our own bridge, a process of its own."""
    given = {name: request.getfixturevalue(name) for name in request.fixturenames_of_test}
    candles = market_of(request.function, given)
    path = tmp_path / "EURUSD_M1.csv"
    lines = [
        f"{MONDAY + at * M1.delta:%Y-%m-%dT%H:%M:%SZ},{opened},{high},{low},{opened},1,10"
        for at, (opened, high, low) in enumerate([(1.1, 1.1, 1.1), *candles, (1.1, 1.1, 1.1)])
    ]
    path.write_text("\n".join(["time,open,high,low,close,volume,spread", *lines]), "utf-8")
    bridge = start_bridge(
        "--faults", "--symbols", "EURUSD", "--file", path, "--start", f"{MONDAY + M1.delta:%FT%TZ}",
    )  # fmt: skip
    now = [MONDAY + M1.delta]
    client = BridgeClient(
        bridge.url, timeout=5, retry_attempts=0, clock=ServerClock(ServerTime("NY+7"))
    )
    day = timedelta(days=1)
    broker = Mt5Broker(client, ["EURUSD"], Terms(None, True, day, day, {}), lambda: now[0])
    broker.open(now[0])

    def candle(open_, high=None, low=None):
        now[0] += M1.delta
        bridge.step(to=f"{now[0] - timedelta(seconds=1):%FT%TZ}")
        return tuple(broker.poll(now[0]))

    yield Desk(broker, candle, lambda: broker.poll(now[0]), names_exits=False, tells_gone=False)
    client.close()
    bridge.stop()


@pytest.fixture(params=[paper_desk, mt5_desk], ids=["paper", "mt5"])
def desk(request, tmp_path) -> Iterator[Desk]:
    request.fixturenames_of_test = [
        name for name in inspect.signature(request.function).parameters if name != "desk"
    ]
    yield from request.param(request, tmp_path)


def intent(**fields) -> Intent:
    return Intent(
        **{
            "client_id": "ABCDEFGHIJKLMNO",
            "strategy": "a strategy with a very long name",
            "magic": 2**53 - 1,
            "symbol": "EURUSD",
            "timeframe": M1,
            "candle_time": MONDAY,
            "action": Action.ENTRY,
            "leg": 0,
            "direction": Direction.LONG,
            "kind": OrderKind.MARKET,
            "volume": Decimal("0.10"),
        }
        | fields
    )


def send(desk, **fields):
    return desk.broker.submit(ApprovedOrder(intent(**fields)))


def buy(desk, **fields):
    """Return the deal that opened a position."""
    desk.candle(1.1)
    assert send(desk, **fields).state in {OrderState.PLACED, OrderState.FILLED}
    [deal] = desk.candle(1.1)
    return deal


def leave(desk, position, volume):
    return send(
        desk,
        action=Action.EXIT,
        client_id="EXIT",
        ticket=position,
        volume=Decimal(volume),
        close_reason=CloseReason.PROFIT_GUARD,
    )


def test_it_says_what_it_is(desk):
    assert desk.broker.name


def test_the_account_adds_up(desk):
    buy(desk)
    account = desk.broker.account()
    floating = sum(position.profit for position in desk.broker.positions())
    assert account.equity == account.balance + floating
    assert account.margin_free == account.equity - account.margin
    assert account.margin > 0
    assert len(account.currency) == 3


def test_it_knows_the_rules_of_its_symbols_and_no_others(desk):
    rules = desk.broker.rules("EURUSD")
    assert (rules.symbol, rules.digits, rules.pip) == ("EURUSD", 5, Decimal("0.0001"))
    with pytest.raises(ConfigurationError, match="did you mean 'EURUSD'"):
        desk.broker.rules("EURUSB")


def test_it_quotes_the_latest_price(desk):
    desk.candle(1.1)
    desk.candle(1.2)
    quote = desk.broker.quote("EURUSD")
    assert quote.bid == 1.2
    assert quote.ask >= quote.bid
    assert quote.time.utcoffset() == timedelta(0)


def test_it_knows_what_a_move_of_one_lot_is_worth(desk):
    desk.candle(1.1)
    assert desk.broker.money_per_lot("EURUSD") == 100_000


def test_an_entry_becomes_a_deal_and_a_position_that_name_it(desk):
    """I7: the client id, at most 15 characters, survives at the start of the comment."""
    deal = buy(desk, stop_loss=Decimal("1.09000"), take_profit=Decimal("1.12000"))
    assert (deal.entry, deal.direction, deal.volume) == (
        DealEntry.IN,
        Direction.LONG,
        Decimal("0.10"),
    )
    [position] = desk.broker.positions()
    assert (position.ticket, position.price_open) == (deal.position, deal.price)
    assert (position.stop_loss, position.take_profit) == (Decimal("1.09"), Decimal("1.12"))
    for carrier in (deal, position):
        assert carrier.comment.startswith("ABCDEFGHIJKLMNO")
        assert len(carrier.comment) <= 31
        assert carrier.magic == 2**53 - 1


def test_a_pending_order_is_listed_until_it_is_cancelled(desk):
    desk.candle(1.1)
    placed = send(desk, kind=OrderKind.LIMIT, price=Decimal("1.09000"))
    desk.look()
    [order] = desk.broker.orders()
    assert (order.ticket, order.kind, order.price) == (
        placed.ticket,
        OrderKind.LIMIT,
        Decimal("1.09"),
    )
    assert order.comment.startswith("ABCDEFGHIJKLMNO")
    assert desk.broker.cancel(placed.ticket).state is not OrderState.REJECTED
    told = [(gone.ticket, gone.client_id) for gone in desk.candle(1.1)]
    assert told == ([(placed.ticket, "ABCDEFGHIJKLMNO")] if desk.tells_gone else [])
    assert list(desk.broker.orders()) == []
    assert desk.broker.cancel(placed.ticket).state is OrderState.REJECTED


def test_a_pending_order_fills_when_the_market_reaches_it(desk):
    desk.candle(1.1)
    send(desk, kind=OrderKind.LIMIT, price=Decimal("1.09000"))
    [deal] = desk.candle(1.1, low=1.08)
    assert deal.price == Decimal("1.09")
    assert list(desk.broker.orders()) == []


@pytest.mark.parametrize(
    ("level", "reason"),
    [("1.09000", CloseReason.STOP_LOSS), ("1.12000", CloseReason.TAKE_PROFIT)],
)
def test_stops_close_the_position_and_say_so(desk, level, reason):
    opened = buy(desk, stop_loss=Decimal("1.09000"), take_profit=Decimal("1.12000"))
    move = {"low": 1.08} if reason is CloseReason.STOP_LOSS else {"high": 1.13}
    [deal] = desk.candle(1.1, **move)
    assert (deal.entry, deal.position, deal.reason) == (DealEntry.OUT, opened.position, reason)
    assert abs(deal.price - Decimal(level)) <= Decimal("0.0001")
    assert list(desk.broker.positions()) == []


def test_both_stops_can_be_set_and_removed(desk):
    opened = buy(desk)
    done = desk.broker.modify(
        opened.position, stop_loss=Decimal("1.08000"), take_profit=Decimal("1.13000")
    )
    assert done.state is not OrderState.REJECTED
    desk.look()
    [position] = desk.broker.positions()
    assert (position.stop_loss, position.take_profit) == (Decimal("1.08"), Decimal("1.13"))
    desk.broker.modify(opened.position, stop_loss=None, take_profit=None)
    desk.look()
    [position] = desk.broker.positions()
    assert (position.stop_loss, position.take_profit) == (None, None)


def test_a_stop_on_the_wrong_side_is_rejected_with_a_reason(desk):
    opened = buy(desk)
    result = desk.broker.modify(opened.position, stop_loss=Decimal("1.20000"), take_profit=None)
    assert result.state is OrderState.REJECTED
    assert result.reason


def test_a_position_is_closed_in_part_then_whole(desk):
    """I9: never more than is open."""
    opened = buy(desk)
    leave(desk, opened.position, "0.04")
    [part] = desk.candle(1.1)
    assert (part.volume, part.position) == (Decimal("0.04"), opened.position)
    assert part.comment.startswith("EXIT") is desk.names_exits
    assert part.reason is (CloseReason.PROFIT_GUARD if desk.names_exits else None)
    assert desk.broker.positions()[0].volume == Decimal("0.06")
    leave(desk, opened.position, "0.06")
    [rest] = desk.candle(1.1)
    assert rest.volume == Decimal("0.06")
    assert list(desk.broker.positions()) == []


def test_closing_what_is_gone_closes_nothing_and_says_so(desk):
    opened = buy(desk)
    leave(desk, opened.position, "0.10")
    desk.candle(1.1)
    result = leave(desk, opened.position, "0.10")
    assert result.ticket == 0
    assert result.reason
    assert desk.candle(1.1) == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"volume": Decimal("0.001")},
        {"symbol": "EURUSB"},
        {"stop_loss": Decimal("1.20000")},
        {"kind": OrderKind.LIMIT, "price": Decimal("1.20000")},
        {"volume": Decimal(90)},
    ],
)
def test_a_bad_order_is_rejected_with_a_reason_and_leaves_nothing(desk, bad):
    desk.candle(1.1)
    result = send(desk, **bad)
    assert result.state is OrderState.REJECTED
    assert result.reason
    assert desk.candle(1.1) == ()
    assert [*desk.broker.orders(), *desk.broker.positions()] == []


def test_an_order_without_money_says_so_first(desk):
    desk.candle(1.1)
    result = send(desk, volume=Decimal(90))
    assert (result.state, result.blocks) == (OrderState.REJECTED, BlockReason.NO_MONEY)


def test_the_ledger_tells_all_deals_since_a_time_and_sums_to_the_balance(desk):
    opened = buy(desk)
    leave(desk, opened.position, "0.10")
    [closed] = desk.candle(1.11)
    deals = desk.broker.deals(ANY_TIME)
    assert list(deals[-2:]) == [opened, closed]
    assert sum(deal.net for deal in deals) == desk.broker.account().balance
    assert list(desk.broker.deals(closed.time)) == [closed]
    assert list(desk.broker.deals(closed.time + timedelta(days=1))) == []
