"""The bridge as a process: over real HTTP, with its own ledger as the referee."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from tests.bridge import ROOT, BridgeRefusedError, start_bridge

CALLS = [
    "health", "account", "account/balance", "account/equity", "account/margin", "account/leverage",
    "symbols", "symbols/EURUSD/info", "symbols/EURUSD/tick", "symbols/EURUSD/tradable",
    "symbols/EURUSD/bars?timeframe=1&num_bars=2", "symbols/EURUSD/bars?timeframe=1w&num_bars=2",
    "positions", "positions/EURUSD", "orders", "orders?symbol=EURUSD", "history/closed_positions",
    "history/closed_positions?start=2025-01-01T00:00:00%2B00:00&end=2030-01-01T00:00:00%2B00:00",
]  # fmt: skip


@pytest.fixture(scope="module")
def shared():
    """Start one bridge for the tests that leave nothing behind."""
    started = start_bridge("--symbols", "EURUSD,GBPUSD")
    yield started
    assert started.stop() == 0, started.said


def by_hand(*arguments, **how):
    """Run the command to its end."""
    command = [sys.executable, "-m", "app.bridge", "--port", "0", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, **how
    )


def test_it_does_not_depend_on_what_else_is_installed(bridge, tmp_path):
    """Uvicorn takes uvloop where it finds it; its connections are not those of asyncio."""
    (tmp_path / "uvloop.py").write_text("raise SystemExit('uvloop was taken')")
    assert bridge("--symbols", "EURUSD", modules=[tmp_path]).get("health")


@pytest.mark.parametrize("call", CALLS)
def test_every_question_is_answered_in_the_envelope(shared, call):
    answer = shared.call("GET", call)
    assert answer["success"] is True
    assert answer["data"] is not None


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("symbols/eurusd/tick", 404),
        ("position/4711", 404),
        ("history/closed_positions/4711", 404),
        ("account/shoes", 404),
        ("nothing", 404),
        ("orders/by_client_id/NOBODY", 404),
        ("symbols/EURUSD/bars?timeframe=M7&num_bars=3", 400),
        ("symbols/EURUSD/bars?timeframe=M1&start=yesterday", 400),
        ("symbols/EURUSD/bars", 422),
        ("symbols/EURUSD/bars?timeframe=M1", 400),
        ("symbols/EURUSD/bars?timeframe=M1&num_bars=-3", 400),
    ],
)
def test_what_is_not_there_is_an_error_in_the_envelope(shared, call, status):
    with pytest.raises(BridgeRefusedError) as refused:
        shared.get(call)
    answer = json.loads(refused.value.text)
    assert (refused.value.status, answer["success"]) == (status, False)
    assert answer["message"]
    assert answer["error_code"]


@pytest.mark.parametrize(
    "body",
    [
        {"symbol": "EURUSD"},
        {"symbol": "EURUSD", "volume": "NaN", "order_type": "BUY"},
        {"symbol": "EURUSD", "volume": float("nan"), "order_type": "BUY"},
        {"symbol": "EURUSD", "volume": 0.1, "order_type": "BUY", "sl": -1},
        {"symbol": "EURUSD", "volume": 0.1, "order_type": "BUY", "tp": float("inf")},
    ],
)
def test_an_order_that_makes_no_sense_is_not_sent(shared, body):
    """I21 at the bridge's own edge."""
    before = shared.ledger()["counts"]
    with pytest.raises(BridgeRefusedError) as refused:
        shared.call("POST", "orders/create", **body)
    assert refused.value.status == 422
    assert shared.ledger()["counts"] == before


def test_a_refused_order_carries_its_return_code_twice(shared):
    answer = shared.call("POST", "orders/create", symbol="EURUSD", volume=0.001, order_type="BUY")
    assert (answer["success"], answer["error_code"]) == (False, "10014")
    assert (answer["data"]["retcode"], answer["data"]["order"]) == (10014, 0)


def test_an_order_goes_its_way_from_the_ask_to_the_bid(bridge):
    broker = bridge()
    tick = broker.get("symbols/EURUSD/tick")
    opened = broker.order(comment="ABCDEFGHIJKLMNO ema", magic=77)
    assert (opened["retcode"], opened["price"]) == (10009, tick["ask"])
    changed = broker.call(
        "POST", f"positions/EURUSD/update/{opened['ticket']}", stop_loss=1.05, take_profit=None
    )
    assert changed["data"]["status"] == "done"
    assert broker.get(f"position/{opened['ticket']}")["sl"] == 1.05
    assert broker.close("EURUSD", opened["ticket"], 0.04)["price"] == tick["bid"]
    assert broker.close("EURUSD", opened["ticket"])["retcode"] == 10009
    deals = broker.get("history/closed_positions")[1:]
    assert [(deal["entry"], deal["volume"]) for deal in deals] == [(0, 0.1), (1, 0.04), (1, 0.06)]
    assert [(deal["comment"], deal["magic"]) for deal in deals[1:]] == [("", 0)] * 2
    assert {deal["position_id"] for deal in deals} == {opened["ticket"]}
    book = broker.ledger()
    assert book["balance"] == book["sum_of_deals"] == broker.get("account")["balance"]
    assert book["received"][0]["client_id"] == "ABCDEFGHIJKLMNO"
    assert [order["client_id"] for order in book["orders"]] == ["ABCDEFGHIJKLMNO", "", ""]


def test_one_key_is_one_order_even_when_requests_cross(bridge):
    """I1 with a bridge that knows keys: ten copies of a request are one order.

    Red when `OrderDesk.create` does not look the key up.
    """
    broker = bridge()
    body = {"headers": {"Idempotency-Key": "k-1"}, "comment": "ONCE00000000001"}
    results = []
    copies = [threading.Thread(target=lambda: results.append(broker.order(**body)))
              for _ in range(10)]  # fmt: skip
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()
    assert len(results) == 10
    assert all(result == results[0] for result in results)
    book = broker.ledger()
    assert (book["counts"]["received"], book["counts"]["repeated"]) == (10, 9)
    assert book["counts"]["positions"] == 1
    assert book["doubled"] == {}
    with pytest.raises(BridgeRefusedError, match="another order"):
        broker.order(headers={"Idempotency-Key": "k-1"}, volume=0.2)


def test_an_order_is_found_by_its_client_id(bridge):
    broker = bridge()
    created = broker.order(comment="FINDME000000001 and more words than fit")
    assert broker.get("orders/by_client_id/FINDME000000001") == created
    refused = broker.order(comment="REFUSED00000001", volume=0.001)
    assert broker.get("orders/by_client_id/REFUSED00000001") == refused


def test_a_plain_bridge_offers_nothing_and_knows_no_keys(bridge):
    broker = bridge("--plain")
    assert "offers" not in broker.get("health")
    for _ in range(2):
        broker.order(comment="TWICE0000000001", headers={"Idempotency-Key": "k-1"})
    assert len(broker.ledger()["doubled"]["TWICE0000000001"]) == 2
    with pytest.raises(BridgeRefusedError, match="404"):
        broker.get("orders/by_client_id/TWICE0000000001")


def test_pending_orders_are_changed_and_withdrawn_and_all_positions_closed_at_once(bridge):
    broker = bridge()
    waiting = broker.order(order_type="BUY_LIMIT", price=1.05, sl=1.04)["ticket"]
    changed = broker.call("PUT", "orders/update", ticket=waiting, price=1.06, comment="x")
    assert changed["data"]["retcode"] == 10009
    assert [(one["price_open"], one["sl"], one["type"]) for one in broker.get("orders")] == [
        (1.06, 1.04, 2)
    ]
    assert broker.call("DELETE", "orders/delete", ticket=waiting)["data"]["retcode"] == 10009
    assert broker.call("DELETE", "orders/delete", ticket=waiting)["data"]["retcode"] == 10013
    for symbol in ("EURUSD", "EURUSD", "GBPUSD"):
        broker.order(symbol=symbol)
    closed = [
        broker.call("POST", "positions/close_all", symbol=symbol)["data"]["closed"]
        for symbol in ("EURUSD", None)
    ]
    assert closed == [2, 1]
    assert broker.order(order_type="UP")["retcode"] == 10013


def test_symbols_are_watched_or_not(bridge):
    broker = bridge("--symbols", "EURUSD,GBPUSD")
    told = broker.call("POST", "symbols/select", symbol="GBPUSD", enable=False)["data"]
    assert told == {"symbol": "GBPUSD", "success": True, "action": "removed"}
    with pytest.raises(BridgeRefusedError, match="no price of 'GBPUSD'"):
        broker.get("symbols/GBPUSD/tick")
    assert broker.get("symbols/GBPUSD/info")["spread"] > 0
    told = broker.call("POST", "symbols/select", symbol="GBPUSDx", enable=True)["data"]
    assert told["success"] is False


def test_a_netting_account_reverses_and_says_so(bridge):
    broker = bridge("--account", "netting")
    assert broker.get("account")["margin_mode"] == 0
    first = broker.order(volume=0.1)["ticket"]
    second = broker.order(volume=0.3, order_type="SELL")["ticket"]
    held = broker.get("positions")
    assert [(one["ticket"], one["identifier"]) for one in held] == [(second, first)]
    assert (held[0]["type"], held[0]["volume"]) == (1, 0.2)
    assert broker.get("history/closed_positions")[-1]["entry"] == 2


def test_a_stop_is_hit_while_nobody_asks(bridge):
    broker = bridge("--commission", 3.5, "--swap", -2)
    tick = broker.get("symbols/EURUSD/tick")
    stop = round(tick["bid"] - 0.0005, 5)
    ticket = broker.order(sl=stop)["ticket"]
    broker.step(2 * 86_400)
    assert broker.get("positions") == []
    closed = broker.get("history/closed_positions")[-1]
    assert (closed["position_id"], closed["reason"], closed["price"]) == (ticket, 4, stop)
    assert closed["comment"] == f"[sl {stop}]"
    book = broker.ledger()
    assert book["balance"] == book["sum_of_deals"]


def test_times_are_the_servers_unless_utc_is_wanted(bridge):
    for arguments, text in (
        ((), "2025-07-01T12:00:00"),
        (("--utc-times",), "2025-07-01T09:00:00Z"),
    ):
        broker = bridge("--start", "2025-07-01T09:00:00", *arguments)
        assert broker.get("symbols/EURUSD/tick")["time"] == text
        assert broker.get("health")["clock"] == "2025-07-01T09:00:00.000Z"
        bars = broker.get("symbols/EURUSD/bars?timeframe=1d&num_bars=2")
        midnight = "00:00:00" if not arguments else "21:00:00Z"
        assert [bar["time"].split("T")[1] for bar in bars] == [midnight] * 2


def test_a_suffix_belongs_to_the_name_and_case_matters(bridge):
    broker = bridge("--suffix", "m", "--symbols", "EURUSD,XAUUSD")
    assert broker.get("symbols") == ["EURUSDm", "XAUUSDm"]
    assert broker.order(symbol="EURUSD")["retcode"] == 10013
    assert broker.order(symbol="EURUSDm")["retcode"] == 10009
    with pytest.raises(BridgeRefusedError, match="no symbol 'EURUSDM'"):
        broker.get("symbols/EURUSDM/tick")


def test_the_market_closes_on_friday_and_a_close_has_to_wait(bridge):
    broker = bridge("--start", "2025-01-10T21:59:00")
    ticket = broker.order()["ticket"]
    broker.step(60)
    assert broker.get("symbols/EURUSD/tradable")["is_tradable"] is False
    assert broker.close("EURUSD", ticket)["retcode"] == 10018
    broker.step(to="2025-01-12T22:00:00+00:00")
    assert broker.close("EURUSD", ticket)["retcode"] == 10009


def test_the_market_is_that_of_a_file_when_one_is_given(bridge, bars_file):
    closes = [1.1 + n / 10_000 for n in range(120)]
    path = bars_file(closes)
    broker = bridge("--symbols", "EURUSD", "--file", path, "--server-timezone", "UTC")
    bars = broker.get("symbols/EURUSD/bars?timeframe=M1&num_bars=5")
    assert bars[-2]["close"] == closes[59]
    broker.step(86_400)
    assert broker.get("symbols/EURUSD/tick")["bid"] == closes[-1]


def test_a_running_clock_runs_and_the_same_seed_is_the_same_market(bridge):
    first = bridge("--speed", 600, stepped=False)
    told = [datetime.fromisoformat(first.get("health")["clock"]) for _ in range(20)]
    assert told == sorted(told)
    assert told[-1] > told[0]
    assert first.get("health")["speed"] == 600
    question = "symbols/EURUSD/bars?timeframe=M15&num_bars=50"
    closed = {bar["time"]: bar for bar in first.get(question)[:-1]}
    second = {bar["time"]: bar for bar in bridge("--seed", 11).get(question)[:-1]}
    both = closed.keys() & second.keys()
    assert len(both) > 20
    assert all(closed[time] == second[time] for time in both)


def test_the_book_outlives_a_killed_bridge_and_the_market_goes_on(bridge, tmp_path):
    """A bridge that is started again is the same broker: keys, look-up, stops and all.

    Red when `OrderDesk.go_on` forgets the keys, or `Ledger.restore` the balance.
    """
    path = tmp_path / "ledger.jsonl"
    before = bridge("--ledger", path, "--commission", 3)
    key = {"Idempotency-Key": "k-1"}
    stop = round(before.get("symbols/EURUSD/tick")["bid"] - 0.0005, 5)
    first = before.order(comment="OUTLIVE00000001", headers=key, sl=stop)
    closed = before.order(symbol="GBPUSD")
    before.close("GBPUSD", closed["ticket"])
    before.step(60)
    book = before.ledger()
    before.kill()

    after = bridge("--ledger", path, "--commission", 3)
    again = after.ledger()
    assert {**again, "clock": ""} == {**book, "clock": ""}
    assert after.order(comment="OUTLIVE00000001", headers=key, sl=stop) == first
    assert after.get("orders/by_client_id/OUTLIVE00000001") == first
    assert after.order()["ticket"] > closed["ticket"]
    after.step(2 * 86_400)
    assert first["ticket"] not in [held["ticket"] for held in after.get("positions")]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {name for line in lines for name in line} >= {"order", "deal", "position", "receipt"}


def test_the_book_is_for_this_machine_only():
    """Red when `book_routes` does not look at who asks."""
    address = other_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    broker = start_bridge("--host", "0.0.0.0")
    try:
        assert "can be reached by others" in broker.said
        port = urlsplit(broker.url).port
        connection = http.client.HTTPConnection(address, port, timeout=10)
        connection.request("GET", "/control/ledger")
        assert connection.getresponse().status == 403
        connection.close()
    finally:
        assert broker.stop() == 0


def other_address():
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def test_without_faults_there_is_no_way_to_make_any(bridge):
    broker = bridge("--speed", 60, stepped=False)
    for path in ("faults", "terminal", "deposit", "account", "manual/open", "step"):
        with pytest.raises(BridgeRefusedError, match="404"):
            broker.control(path)
    assert broker.ledger()["counts"]["received"] == 0


def test_a_fault_rate_makes_calls_go_wrong_without_a_control_endpoint(bridge):
    broker = bridge("--fault-rate", 0.5, "--fault-seed", 4)

    def outcome():
        connection = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=5)
        try:
            connection.request("GET", "/mt5/positions")
            answer = connection.getresponse()
            return answer.status, len(answer.read())
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    outcomes = [outcome() for _ in range(40)]
    right = outcomes.count((200, len('{"success":true,"data":[]}')))
    assert 8 < right < 36
    with pytest.raises(BridgeRefusedError, match="404"):
        broker.control("faults")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_while_a_client_is_kept_waiting(number):
    """Red when `serve` grants requests any time at the end, or `Server` lets uvicorn complain."""
    broker = start_bridge("--faults")
    broker.faults({"what": "lose_reply", "call": "positions"})
    waiting = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=30)
    waiting.request("GET", "/mt5/positions")
    while not broker.applied()["log"]:
        pass
    broker.process.send_signal(number)
    out, _ = broker.process.communicate(timeout=20)
    waiting.close()
    assert (broker.process.returncode, out) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--colour", "red"], 64, "--colour"),
        (["--symbols", ","], 64, "expected one at least"),
        (["--start", "soon"], 64, "--start: 'soon'"),
        (["--swap", "nan"], 64, "--swap"),
        (["--server-timezone", "Mars"], 78, "unknown time zone 'Mars'"),
        (["--currency", "XYZ"], 78, "cannot be converted to XYZ"),
        (["--symbols", "EURUSD", "--file", "nowhere.csv"], 78, "nowhere.csv"),
        (["--host", "203.0.113.1"], 69, "cannot listen on 203.0.113.1"),
    ],
)
def test_a_wrong_start_is_one_line_and_an_exit_code(arguments, code, said):
    ended = by_hand(*arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said(bridge):
    port = urlsplit(bridge().url).port
    ended = by_hand("--port", str(port))
    assert ended.returncode == 69
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.stderr


def test_what_the_bridge_says_at_its_start(bridge):
    broker = bridge("--login", 4711, "--server-name", "Demo-1", "--symbols", "EURUSD")
    assert broker.said == (
        f"bridge at {broker.url}, account 4711 on Demo-1, market simulated (seed 11) EURUSD "
        "from 2025-01-06 08:00 UTC, stepped\n"
    )


def test_a_deep_question_keeps_nobody_waiting(bridge):
    """Two thousand daily bars take seconds to make; a price is answered meanwhile."""
    broker = bridge()
    answers = []
    deep = threading.Thread(
        target=lambda: answers.append(broker.get("symbols/EURUSD/bars?timeframe=1d&num_bars=2000"))
    )
    deep.start()
    while not answers:
        broker.get("symbols/EURUSD/tick")
        answers.append("a price")
    deep.join()
    assert answers[0] == "a price"
    assert len(answers[1]) == 2000
