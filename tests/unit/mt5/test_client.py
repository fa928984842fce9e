"""The calls of a bridge: what is asked, how often, and what is made of it."""

import threading
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mt5.client import MaybeSentError, NoAnswerError, UnreachableError
from app.adapters.mt5.dialect import RefusalError, WireResult
from app.adapters.mt5.questions import pause_asked_for
from app.adapters.mt5.server_clock import ServerClock
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError, SourceError
from app.domain.market import Timeframe
from tests.unit.mt5 import replies as told
from tests.unit.mt5.misbehaving import CLOSE, RESET, reply

M5 = Timeframe("M5")
LOT = Decimal("0.10")
START = datetime(2025, 1, 6, tzinfo=UTC)
DONE = {"retcode": 10009, "order": 7, "deal": 8}
FILLED = WireResult(10009, 7, 8)


# What is asked


@pytest.mark.parametrize(
    ("call", "target", "data"),
    [
        (lambda c: c.health(), "health", {"status": "ok"}),
        (lambda c: c.account(), "account", told.ACCOUNT),
        (lambda c: c.balance(), "account/balance", {"balance": 1}),
        (lambda c: c.equity(), "account/equity", {"equity": 1}),
        (lambda c: c.margin(), "account/margin", {"margin": 1, "margin_free": 1}),
        (lambda c: c.leverage(), "account/leverage", {"leverage": 100}),
        (lambda c: c.symbols(), "symbols", ["EURUSDm"]),
        (lambda c: c.symbol("EURUSDm"), "symbols/EURUSDm/info", told.SYMBOL),
        (lambda c: c.tick("EURUSDm"), "symbols/EURUSDm/tick", told.TICK),
        (lambda c: c.tradable("X"), "symbols/X/tradable", {"symbol": "X", "is_tradable": True}),
        (lambda c: c.bars("X", M5, count=3), "symbols/X/bars?timeframe=M5&num_bars=3", [told.BAR]),
        (
            lambda c: c.bars("X", M5, start=START, end=START + timedelta(hours=1)),
            "symbols/X/bars?timeframe=M5&start=2025-01-06T00%3A00%3A00%2B00%3A00"
            "&end=2025-01-06T01%3A00%3A00%2B00%3A00",
            [],
        ),
        (lambda c: c.positions(), "positions", [told.POSITION]),
        (lambda c: c.positions("X"), "positions/X", []),
        (lambda c: c.position(5001), "position/5001", told.POSITION),
        (lambda c: c.orders(), "orders", [told.ORDER]),
        (lambda c: c.orders("X"), "orders?symbol=X", []),
        (
            lambda c: c.deals(START),
            "history/closed_positions?start=2025-01-06T00%3A00%3A00%2B00%3A00",
            [told.DEAL, told.BALANCE],
        ),
        (lambda c: c.deal(4001), "history/closed_positions/4001", told.DEAL),
    ],
)
def test_every_question_of_the_dialect(rogue, client, call, target, data) -> None:
    for answer in (reply(data), reply(data, bare=True)):
        rogue.answer(answer)
        call(client)
        assert rogue.asked[-1].method == "GET"
        assert rogue.asked[-1].target == f"/mt5/{target}"
        assert rogue.asked[-1].body == b""


def test_a_symbol_is_selected_by_a_reply_that_has_a_success_of_its_own(rogue, client) -> None:
    rogue.answer(reply({"symbol": "X", "success": True, "action": "added"}))
    assert client.select("X") is True
    assert rogue.asked[0].json == {"symbol": "X", "enable": True}
    rogue.answer(reply({"symbol": "X", "success": False, "action": "added"}))
    assert client.select("X") is False


@pytest.mark.parametrize(
    ("call", "request_line", "body"),
    [
        (
            lambda c: c.create_order("X", "SELL", LOT, sl=Decimal("1.2"), comment="A b", magic=77),
            "POST orders/create",
            '{"symbol":"X","volume":0.10,"order_type":"SELL","price":null,"sl":1.2,"tp":null,'
            '"comment":"A b","magic":77}',
        ),
        (lambda c: c.close_position("X", 9, LOT), "POST positions/X/close/9", '{"volume":0.10}'),
        (
            lambda c: c.update_position("X", 9, None, Decimal(0)),
            "POST positions/X/update/9",
            '{"stop_loss":null,"take_profit":0}',
        ),
        (lambda c: c.close_all(), "POST positions/close_all", '{"symbol":null}'),
        (lambda c: c.close_all("X"), "POST positions/close_all", '{"symbol":"X"}'),
        (
            lambda c: c.update_order(9, price=LOT, sl=None, tp=None),
            "PUT orders/update",
            '{"ticket":9,"price":0.10,"sl":null,"tp":null,"comment":null}',
        ),
        (lambda c: c.delete_order(9), "DELETE orders/delete", '{"ticket":9}'),
    ],
)
def test_every_order_of_the_dialect(rogue, client, call, request_line, body) -> None:
    rogue.answer(reply(DONE))
    assert call(client) == FILLED
    [asked] = rogue.asked
    assert f"{asked.method} {asked.target}" == request_line.replace(" ", " /mt5/")
    assert asked.body.decode() == body
    assert asked.headers["content-type"] == "application/json"


def test_a_bare_yes_closes_changes_and_withdraws_but_opens_nothing(rogue, client) -> None:
    rogue.answer(reply(True))
    assert client.close_position("X", 9, LOT).ticket == 9
    assert client.update_position("X", 9, None, None).retcode == 10009
    assert client.delete_order(9).retcode == 10009
    assert client.create_order("X", "BUY", LOT).retcode is None
    assert client.close_all().retcode is None


def test_times_without_a_zone_are_read_by_the_clock_that_was_set(rogue, client) -> None:
    rogue.answer(reply(told.TICK))
    assert client.tick("X").time.hour == 12
    client.clock = measured = ServerClock(ServerTime("NY+7"))
    assert client.tick("X").time.hour == 10
    assert client.clock is measured


def test_a_refused_order_is_an_answer(rogue, client) -> None:
    rogue.answer(reply({"retcode": 10019, "message": "no money"}, status=400, bare=True))
    assert client.create_order("X", "BUY", LOT) == WireResult(10019, comment="no money")
    rogue.answer(reply({"detail": "no such route"}, status=404, bare=True))
    assert client.create_order("X", "BUY", LOT).retcode == 10013
    rogue.answer(reply({"detail": "slow down"}, status=429, bare=True))
    assert client.create_order("X", "BUY", LOT).retcode is None


# What is offered


def test_an_idempotency_key_is_sent_only_to_a_bridge_that_offers_it(rogue, client) -> None:
    rogue.answer(reply({"offers": []}), reply(DONE))
    client.health()
    client.create_order("X", "BUY", LOT, idempotency_key="ABC")
    rogue.answer(reply({"offers": ["idempotency_key"]}), reply(DONE))
    client.health()
    client.create_order("X", "BUY", LOT, idempotency_key="ABC")
    client.create_order("X", "BUY", LOT)
    keys = [asked.headers.get("idempotency-key") for asked in rogue.asked if asked.body]
    assert keys == [None, "ABC", None]


def test_an_order_is_looked_up_where_that_is_offered(rogue, client) -> None:
    rogue.answer(reply({"offers": ["client_order_id"]}), reply(DONE))
    client.health()
    assert client.find_order("ABC") == FILLED
    assert rogue.asked[-1].target == "/mt5/orders/by_client_id/ABC"
    rogue.answer(reply({"detail": "none"}, status=404, bare=True))
    assert client.find_order("ABC") is None


@pytest.mark.parametrize("answer", [reply({"detail": "?"}, status=500), reply(None), CLOSE])
def test_a_look_up_without_an_answer_is_no_proof_that_there_is_no_order(
    rogue, client, answer
) -> None:
    """I5: LOST only by proof. Red when every refusal is taken for "not there"."""
    with pytest.raises(SourceError, match="does not look orders up"):
        client.find_order("ABC")
    rogue.answer(reply({"offers": ["client_order_id"]}), answer)
    client.health()
    with pytest.raises(SourceError, match="orders/by_client_id/ABC"):
        client.find_order("ABC")
    with pytest.raises(ConfigurationError):
        client.find_order("../ABC")


# Asked again


POSITIONS = reply([told.POSITION])


@pytest.mark.parametrize(
    "first",
    [
        RESET,
        CLOSE,
        reply(None),
        reply({}),
        reply(body=b"<html>"),
        reply(body=b'[{"ticket": 5001'),
        reply([told.POSITION, {}]),
        reply({"detail": "busy"}, status=503, bare=True),
        reply(status=429, headers=["Retry-After: 0"]),
        reply(status=429, headers=["Retry-After: soon"]),
    ],
)
def test_a_question_is_asked_again_until_it_is_answered(rogue, connect, first) -> None:
    """Null, empty or truncated lists and broken replies are no answer. Red with one try only."""
    client = connect(retry_attempts=2)
    rogue.answer(first, first, POSITIONS)
    assert [position.ticket for position in client.positions()] == [5001]
    assert len(rogue.asked) == 3


def test_a_question_is_asked_no_more_often_than_it_may_be(rogue, connect) -> None:
    rogue.answer(reply(None))
    with pytest.raises(SourceError, match="positions: expected a list, not nothing"):
        connect(retry_attempts=2).positions()
    assert len(rogue.asked) == 3


def test_a_question_that_was_refused_is_not_asked_again(rogue, connect) -> None:
    client = connect(retry_attempts=5)
    for status in (200, 400, 404):
        rogue.answer(reply({"success": False, "message": "no"}, status=status, bare=True))
        with pytest.raises(RefusalError, match="account: no"):
            client.account()
    assert len(rogue.asked) == 3


@pytest.mark.timeout(20)
def test_a_bridge_that_hangs_is_waited_for_once(rogue, connect) -> None:
    """Red without `stop_after_delay`: each try waits its whole deadline."""
    rogue.answer(rogue.hang)
    with pytest.raises(NoAnswerError):
        connect(timeout=0.2, retry_attempts=50).positions()
    assert len(rogue.asked) == 1


@pytest.mark.timeout(4)
def test_a_wait_for_the_next_try_ends_when_the_process_stops(rogue, connect) -> None:
    """I24. Red without the look at `stop` in `_sleep`: it sleeps five seconds a try."""
    stop = threading.Event()
    client = connect(retry_attempts=50, timeout=60, stop=stop)

    def busy(_):
        threading.Timer(0.1, stop.set).start()
        return reply(status=429, headers=["Retry-After: 3600"])

    rogue.answer(busy)
    with pytest.raises(SourceError, match="positions: too many requests"):
        client.positions()
    assert len(rogue.asked) == 2


NOW = datetime(2025, 1, 6, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("-5", 0),
        ("86400", 5),
        ("1e999", None),
        ("nan", None),
        ("Mon, 06 Jan 2025 10:00:02 GMT", 2),
        ("Mon, 06 Jan 2025 09:00:00 GMT", 0),
        ("Mon, 06 Jan 2025 10:00:03 -0000", 3),
        ("Mon, 06 Jan 9999 10:00:03 GMT", 5),
        ("Mon, 99 Jan 2025 10:00:03 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_pause_a_bridge_asks_for_is_read_and_clamped(header, seconds) -> None:
    """429 with any Retry-After. Red without the clamp: a day is waited for."""
    assert pause_asked_for(header, NOW) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .{0,5}"))
def test_any_pause_asked_for_is_short_or_none(header) -> None:
    pause = pause_asked_for(header, NOW)
    assert pause is None or 0 <= pause <= 5


# All at once


def test_answers_come_in_the_order_of_the_questions(rogue, client) -> None:
    def answer(asked):
        symbol = asked.path.split("/")[3]
        return reply(told.TICK | {"symbol": symbol}) if symbol != "BAD" else reply(None)

    rogue.answer(answer)
    names = [f"S{n}" for n in range(30)]
    ticks = client.together(*(partial(client.tick, name) for name in [*names, "BAD"]))
    assert [tick.symbol for tick in ticks[:-1]] == names
    assert isinstance(ticks[-1], SourceError)


def test_questions_are_asked_at_the_same_time_but_not_too_many(rogue, connect) -> None:
    """Red with one after the other: the first never sees the others come, and waits in vain."""
    client = connect(concurrency=3)
    together = threading.Barrier(3)
    under_way, most = [], []

    def answer(asked):
        under_way.append(asked)
        most.append(len(under_way))
        together.wait(10)
        under_way.remove(asked)
        return reply(told.TICK)

    rogue.answer(answer)
    answers = client.together(*[partial(client.tick, "X")] * 9)
    assert not any(isinstance(answer, SourceError) for answer in answers)
    assert max(most) == 3


def test_what_a_cycle_is_known_by_goes_with_its_questions(client) -> None:
    """P6. Red without ``copy_context``: threads of a pool see none of the caller's variables."""
    cycle = ContextVar("cycle", default="none")
    cycle.set("a1b2")
    assert client.together(cycle.get, cycle.get) == ["a1b2", "a1b2"]


def test_a_single_question_is_asked_where_it_stands(client) -> None:
    assert client.together(threading.get_ident) == [threading.get_ident()]
    assert client.together() == []


@pytest.mark.timeout(30)
def test_a_bridge_that_hangs_costs_one_deadline_and_not_one_for_each(rogue, connect) -> None:
    """Red without `silent`: two hundred questions, two at a time, wait half a minute in all."""
    client = connect(timeout=0.3, concurrency=2)
    rogue.answer(rogue.hang)
    answers = client.together(*[client.positions] * 200)
    assert all(isinstance(answer, NoAnswerError) for answer in answers)
    assert len(rogue.asked) <= 4


@pytest.mark.timeout(30)
def test_a_host_that_swallows_what_is_sent_costs_one_wait_too(connect, swallowing) -> None:
    """Red when `Workers` waits for each: a minute here, and half of one in every cycle."""
    client = connect(swallowing, timeout=0.3, concurrency=2)
    answers = client.together(*[client.positions] * 200)
    tried = [answer for answer in answers if isinstance(answer, UnreachableError)]
    assert 1 <= len(tried) <= 4
    assert all(isinstance(answer, UnreachableError | NoAnswerError) for answer in answers)


def test_a_symbol_that_is_none_is_no_missing_answer(client) -> None:
    with pytest.raises(ConfigurationError, match="is not a symbol"):
        client.together(client.positions, partial(client.tick, "../X"))


def test_it_may_be_closed_twice(connect) -> None:
    client = connect()
    client.positions()
    client.close()
    client.close()


def test_a_thousand_failures_leave_no_connection_behind(rogue, connect) -> None:
    """I26: connections of cut, broken and endless replies are closed."""
    client = connect(concurrency=2)
    answers = (RESET, CLOSE, reply(None), reply(body=b" " * (1 << 20) + b"[]"))
    for answer in answers * 10:
        rogue.answer(answer)
        with pytest.raises(SourceError):
            client.positions()
        with pytest.raises(MaybeSentError):
            client.create_order("X", "BUY", LOT)
    rogue.answer(reply([]))
    assert client.positions() == []
    kept = client._questions._transport._wire._pool.connections
    assert len(kept) <= 1
    assert client._submissions._transport._wire._pool.connections == []


def test_a_query_is_quoted(rogue, client) -> None:
    client.orders("A&B")
    assert parse_qs(rogue.asked[0].target.partition("?")[2]) == {"symbol": ["A&B"]}
