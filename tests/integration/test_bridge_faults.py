"""What the bridge does wrong when it is told to: every fault seen from the client's side."""

import http.client
import json
import math
import socket
from urllib.parse import urlsplit

import pytest

from tests.bridge import BridgeRefusedError, start_bridge

BARS = "symbols/EURUSD/bars?timeframe=M1&num_bars=6"


@pytest.fixture(scope="module")
def broken():
    """One bridge for all tests of this file, a hundred thousand rich."""
    started = start_bridge("--faults", "--balance", 100_000, "--symbols", "EURUSD,GBPUSD")
    yield started
    assert started.stop() == 0, started.said


@pytest.fixture
def broker(broken):
    """Forget all faults of that bridge and close what is open."""
    broken.no_faults()
    broken.control("treatment")
    broken.control("terminal", connected=True, frozen=False, server_clock_offset=0)
    broken.call("POST", "positions/close_all", symbol=None)
    return broken


def raw(broker, method, path, body=None, timeout=2.0):
    """Return status, headers and body of an answer, or what its lack raises."""
    connection = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, f"/mt5/{path}", data, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def entry(comment, **fields):
    return {"symbol": "EURUSD", "volume": 0.1, "order_type": "BUY", "comment": comment, **fields}


def executed(broker, client_id):
    """Return how many orders the referee knows for a client id."""
    return sum(order["client_id"] == client_id for order in broker.ledger()["orders"])


LOST = [
    # The fault, what the client sees of it, and how often the order was executed.
    ({"what": "reset"}, ConnectionResetError, 0),
    ({"what": "reset_after"}, ConnectionResetError, 1),
    ({"what": "lose_reply"}, TimeoutError, 1),
    ({"what": "lose_reply", "execute": False}, TimeoutError, 0),
    ({"what": "late_reply", "seconds": 3}, TimeoutError, 1),
    ({"what": "truncate_body"}, http.client.IncompleteRead, 1),
    ({"what": "drip", "part": "headers", "seconds": 0.3}, None, 1),
    ({"what": "drip", "part": "body", "seconds": 0.3}, None, 1),
]


@pytest.mark.parametrize("case", LOST, ids=lambda case: case[0]["what"])
def test_an_order_whose_reply_is_lost_was_executed_or_not_as_the_fault_says(broker, case):
    fault, seen, times = case
    client_id = f"LOST{LOST.index(case):011}"
    broker.faults({"call": "orders/create", **fault})
    if seen is None:
        with pytest.raises(TimeoutError):
            dripped(broker, client_id)
    else:
        with pytest.raises(seen):
            raw(broker, "POST", "orders/create", entry(client_id), timeout=0.5)
    assert executed(broker, client_id) == times


def dripped(broker, client_id):
    """Read an answer for a second in all; whatever drips has not ended by then."""
    host, port = urlsplit(broker.url).netloc.split(":")
    body = json.dumps(entry(client_id)).encode()
    with socket.create_connection((host, int(port)), timeout=0.5) as line:
        line.sendall(
            b"POST /mt5/orders/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        came = b"".join(line.recv(65536) for _ in range(3))
        assert came.startswith(b"HTT")
        assert not came.endswith(b"}}")
    raise TimeoutError


def test_a_late_request_is_executed_after_the_client_has_given_up(broker):
    broker.faults({"what": "delay", "call": "orders/create", "seconds": 0.6})
    with pytest.raises(TimeoutError):
        raw(broker, "POST", "orders/create", entry("LATEREQUEST0001"), timeout=0.2)
    assert executed(broker, "LATEREQUEST0001") == 0
    raw(broker, "GET", "health")
    broker.faults({"what": "delay", "call": "health", "seconds": 0.8})
    raw(broker, "GET", "health")
    assert executed(broker, "LATEREQUEST0001") == 1


INSTEAD = [
    ({"what": "status", "status": 500}, 500, b"stumbled"),
    ({"what": "status", "status": 502, "text": "bad"}, 502, b"bad"),
    ({"what": "status", "status": 429, "retry_after": "-7"}, 429, b"stumbled"),
    ({"what": "html", "status": 504}, 504, b"<html>"),
    ({"what": "null"}, 200, b"null"),
]


@pytest.mark.parametrize("case", INSTEAD, ids=lambda case: f"{case[0]['what']}-{case[1]}")
@pytest.mark.parametrize("execute", [True, False])
def test_another_answer_may_stand_in_place_of_the_reply(broker, case, execute):
    fault, status, text = case
    client_id = f"INSTEAD{INSTEAD.index(case)}{execute}".ljust(15, "X")
    broker.faults({"call": "orders/create", "execute": execute, **fault})
    got, headers, body = raw(broker, "POST", "orders/create", entry(client_id))
    assert (got, text in body) == (status, True)
    assert headers["retry-after"] == fault.get("retry_after")
    assert executed(broker, client_id) == execute


def test_a_redirect_leads_elsewhere_and_executes_nothing(broker):
    broker.faults({"what": "redirect", "call": "orders/create", "text": "/mt5/orders/create"})
    status, headers, _ = raw(broker, "POST", "orders/create", entry("REDIRECT0000001"))
    assert (status, headers["location"]) == (307, "/mt5/orders/create")
    assert executed(broker, "REDIRECT0000001") == 0


def test_a_huge_reply_is_longer_than_a_mebibyte(broker):
    broker.faults({"what": "huge", "call": "positions"})
    assert len(raw(broker, "GET", "positions")[2]) > 2**21


def test_a_bridge_that_is_down_resets_every_connection(broker):
    broker.faults({"what": "down"})
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            raw(broker, "GET", "health")
    broker.no_faults()
    assert raw(broker, "GET", "health")[0] == 200


def test_a_fault_that_lasts_ends_by_itself(broker):
    broker.faults({"what": "down", "lasting": 0})
    assert raw(broker, "GET", "health")[0] == 200


@pytest.mark.parametrize("ticket", [0, 777])
@pytest.mark.parametrize("execute", [True, False])
def test_any_return_code_comes_with_any_ticket_executed_or_not(broker, ticket, execute):
    client_id = f"CODE{ticket}{execute}".ljust(15, "X")
    broker.faults({"what": "retcode", "retcode": 10012, "ticket": ticket, "execute": execute})
    result = broker.order(comment=client_id)
    assert (result["retcode"], result["order"]) == (10012, ticket)
    assert executed(broker, client_id) == execute


def test_a_success_in_words_may_be_a_refusal_in_numbers(broker):
    broker.faults({"what": "success_text", "retcode": 10015})
    answer = broker.call("POST", "orders/create", **entry("SUCCESSTEXT0001"))
    assert (answer["success"], answer["data"]["retcode"], answer["data"]["order"]) == (
        True,
        10015,
        0,
    )
    assert executed(broker, "SUCCESSTEXT0001") == 0


def test_a_storm_of_requotes_lasts_as_long_as_it_is_told(broker):
    broker.faults({"what": "requote", "times": 3})
    codes = [broker.order(comment=f"REQUOTE{n:08}")["retcode"] for n in range(4)]
    assert codes == [10004, 10004, 10004, 10009]


def test_a_reply_may_be_that_of_another_order(broker):
    first = broker.order(comment="SWAPPED00000001")
    broker.faults({"what": "swap_reply"})
    second = broker.order(comment="SWAPPED00000002")
    assert second["order"] == first["order"]
    assert executed(broker, "SWAPPED00000002") == 1


def test_the_bridge_may_execute_twice_and_the_referee_says_so(broker):
    """I1: two orders for one client id are a double, whatever key the request carried."""
    broker.faults({"what": "double"})
    broker.order(comment="DOUBLE000000001", headers={"Idempotency-Key": "double-1"})
    doubled = broker.ledger()["doubled"]
    assert len(doubled["DOUBLE000000001"]) == 2


def test_an_executed_order_may_be_in_no_list_for_minutes(broker):
    broker.faults({"what": "invisible", "seconds": 120})
    ticket = broker.order(comment="INVISIBLE000001")["order"]
    history = broker.get("history/closed_positions")
    assert broker.get("positions") == []
    assert ticket not in [deal["order"] for deal in history]
    broker.step(119)
    assert broker.get("positions") == []
    broker.step(1)
    assert [held["ticket"] for held in broker.get("positions")] == [ticket]


def test_an_order_may_be_placed_and_filled_later(broker):
    broker.faults({"what": "placed", "seconds": 60})
    result = broker.order(comment="PLACED000000001")
    assert (result["retcode"], result["deal"]) == (10008, 0)
    assert [order["ticket"] for order in broker.get("orders")] == [result["order"]]
    broker.step(75)
    assert broker.get("orders") == []
    assert [held["ticket"] for held in broker.get("positions")] == [result["order"]]


def test_an_order_that_is_never_filled_can_be_withdrawn(broker):
    broker.faults({"what": "placed"})
    ticket = broker.order(comment="NEVER0000000001")["order"]
    broker.step(3600)
    assert [order["ticket"] for order in broker.get("orders")] == [ticket]
    assert broker.call("DELETE", "orders/delete", ticket=ticket)["data"]["retcode"] == 10009
    assert broker.get("orders") == broker.get("positions") == []


def test_a_close_in_flight_refuses_a_second_one(broker):
    ticket = broker.order()["order"]
    broker.faults({"what": "placed", "call": "positions/*/close/*", "seconds": 30})
    assert broker.close("EURUSD", ticket)["retcode"] == 10008
    assert broker.close("EURUSD", ticket)["retcode"] == 10039
    broker.step(45)
    assert broker.get("positions") == []
    assert broker.close("EURUSD", ticket)["retcode"] == 10036


def test_a_partial_fill_says_what_was_filled(broker):
    broker.faults({"what": "partial", "fraction": 0.35})
    result = broker.order(volume=0.1)
    assert (result["retcode"], result["volume"]) == (10010, 0.03)
    assert broker.get("positions")[0]["volume"] == 0.03


def test_slippage_is_points_against_the_trader(broker):
    broker.faults({"what": "slippage", "points": 30})
    asked = broker.get("symbols/EURUSD/tick")["ask"]
    assert broker.order()["price"] == pytest.approx(asked + 0.0003)


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        ({"what": "cut_comment", "count": 12}, "COMMENT00000"),
        ({"what": "strip_comment"}, ""),
        ({"what": "replace_comment", "text": "b2b"}, "b2b"),
        ({}, "COMMENT00000001 strategy on EUR"),
    ],
)
def test_a_broker_does_what_it_likes_with_comments(broker, fault, stored):
    broker.faults(*([fault] if fault else []))
    broker.order(comment="COMMENT00000001 strategy on EURUSD")
    assert broker.get("positions")[0]["comment"] == stored
    assert broker.ledger()["positions"][0]["client_id"] == "COMMENT00000001"


def test_lists_may_be_empty_or_cut_while_positions_are_open(broker):
    broker.order()
    broker.order(symbol="GBPUSD")
    broker.faults({"what": "empty_list", "call": "positions"}, {"what": "truncate_list"})
    assert [len(broker.get("positions")) for _ in range(3)] == [0, 1, 2]


def test_a_broker_may_lose_the_stops_of_an_order(broker):
    broker.faults({"what": "no_stops"})
    broker.order(sl=1.0, tp=1.2)
    held = broker.get("positions")[0]
    assert (held["sl"], held["tp"]) == (0, 0)


def test_a_broker_can_treat_every_order_badly(broker):
    broker.control("treatment", comment_length=4, filled_part=0.5, slippage=10)
    results = [broker.order(volume=0.2, comment="TREATED") for _ in range(2)]
    assert [result["retcode"] for result in results] == [10010, 10010]
    assert {held["comment"] for held in broker.get("positions")} == {"TREA"}
    with pytest.raises(BridgeRefusedError, match="unknown politeness"):
        broker.control("treatment", politeness=1)


def changed_bars(broker, **fault):
    broker.step(60)
    right = broker.get(BARS)
    broker.faults(fault)
    return right, broker.get(BARS)


def test_bars_may_be_wrong_in_every_way(broker):
    right, wrong = changed_bars(broker, what="forming_only")
    assert wrong == right[-1:]
    right, wrong = changed_bars(broker, what="duplicate_bars")
    assert wrong == [bar for bar in right for _ in range(2)]
    right, wrong = changed_bars(broker, what="shuffled_bars", seed=4)
    assert wrong != right == sorted(wrong, key=lambda bar: bar["time"])
    right, wrong = changed_bars(broker, what="missing_bars", count=2)
    assert wrong == right[:2] + right[4:]
    right, wrong = changed_bars(broker, what="future_bars")
    assert wrong[:-1] == right
    assert wrong[-1]["time"] > right[-1]["time"]
    right, wrong = changed_bars(broker, what="revised_bar", points=50)
    assert wrong[-2]["close"] == pytest.approx(right[-2]["close"] + 0.0005)
    right, wrong = changed_bars(broker, what="spike", points=50000)
    assert wrong[-2]["high"] == pytest.approx(right[-2]["high"] + 0.5)
    right, wrong = changed_bars(broker, what="nan")
    assert math.isnan(wrong[0]["open"])
    right, wrong = changed_bars(broker, what="nan", text="-Infinity")
    assert wrong[0]["open"] == -math.inf
    right, wrong = changed_bars(broker, what="ms_times")
    assert wrong[1]["time"] - wrong[0]["time"] == 60_000


def test_a_terminal_without_its_server_still_answers_pings_but_its_prices_stand(broker):
    broker.control("terminal", connected=False)
    before = broker.get("symbols/EURUSD/tick")
    broker.step(300)
    assert broker.get("health")["terminal_connected"] is False
    assert broker.get("symbols/EURUSD/tick") == before
    with pytest.raises(BridgeRefusedError, match="503"):
        broker.get("positions")
    assert broker.order()["retcode"] == 10031


def test_a_terminal_that_hangs_says_that_all_is_well(broker):
    broker.control("terminal", frozen=True)
    before = broker.get(BARS)
    broker.step(300)
    assert broker.get("health")["terminal_connected"] is True
    assert broker.get(BARS) == before


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("trade_allowed", 10017), ("server_autotrading", 10026), ("autotrading", 10027)],
)
def test_trading_can_be_off_in_three_places(broker, wrong, code):
    broker.control("terminal", **{wrong: False})
    assert broker.order()["retcode"] == code
    assert broker.get("health")["trade_allowed"] is False
    broker.control("terminal", **{wrong: True})
    assert broker.order()["retcode"] == 10009


def test_the_servers_clock_can_be_wrong(broker):
    before = broker.get("symbols/EURUSD/tick")
    broker.control("terminal", server_clock_offset=3600)
    after = broker.get("symbols/EURUSD/tick")
    assert after["time_msc"] - before["time_msc"] == 3_600_000


def test_a_symbol_can_change_its_digits_under_way(broker):
    broker.control("symbol", name="GBPUSD", digits=4)
    info = broker.get("symbols/GBPUSD/info")
    bar = broker.get("symbols/GBPUSD/bars?timeframe=M1&num_bars=1")[0]
    broker.control("symbol", name="GBPUSD", digits=5)
    assert (info["digits"], info["point"]) == (4, 0.0001)
    assert round(bar["open"], 4) == bar["open"]


def test_a_person_can_trade_at_the_terminal(broker):
    body = {"symbol": "EURUSD", "volume": 0.2, "order_type": "SELL", "magic": 77}
    ticket = broker.control("manual/open", **body)["order"]
    assert broker.get("positions")[0]["reason"] == 0
    broker.control("manual/stops", ticket=ticket, stop_loss=1.3)
    assert broker.get("positions")[0]["sl"] == 1.3
    broker.control("manual/close", ticket=ticket, volume=0.1)
    broker.control("manual/close", ticket=ticket)
    book = broker.ledger()
    assert [deal["reason"] for deal in book["deals"] if deal["position_id"] == ticket] == [
        "CLIENT"
    ] * 3
    assert ticket not in [receipt["order"] for receipt in book["received"]]


def test_another_account_can_be_logged_in_under_us(broker):
    broker.order()
    broker.control("account", login=654321, balance=500)
    account = broker.get("account")
    assert (account["login"], account["balance"]) == (654321, 500)
    assert broker.get("positions") == []
    broker.control("account", login=123456)
    assert len(broker.get("positions")) == 1


def test_a_deposit_is_a_deal_of_its_own(broker):
    before = broker.get("account")["balance"]
    deal = broker.control("deposit", amount=-250)
    assert (deal["type"], deal["profit"]) == (2, -250)
    assert broker.get("account")["balance"] == before - 250


def test_faults_skip_count_and_end_as_told(broker):
    broker.faults({"what": "null", "call": "account", "skip": 1, "times": 2})
    answers = [json.loads(raw(broker, "GET", "account")[2]) is None for _ in range(4)]
    assert answers == [False, True, True, False]
    applied = broker.applied()
    assert applied["faults"][0]["applied"] == 2
    assert applied["log"][-1]["what"] == "null"


def test_all_calls_are_counted_by_their_kind(broker):
    """I6, I18: what was attempted shows even where nothing was heard of it."""
    before = broker.applied()["seen"]
    broker.close("EURUSD", broker.order()["ticket"])
    broker.get("symbols/EURUSD/tick")
    after = broker.applied()["seen"]
    more = {call: after[call] - before.get(call, 0) for call in after}
    assert {call: count for call, count in more.items() if count} == {
        "POST orders/create": 1,
        "POST positions/*/close/*": 1,
        "GET symbols/*/tick": 1,
    }


def test_an_unknown_fault_is_refused_by_name(broker):
    with pytest.raises(BridgeRefusedError, match="what"):
        broker.faults({"what": "flood"})
    with pytest.raises(BridgeRefusedError, match="secnods"):
        broker.faults({"what": "delay", "secnods": 3})
