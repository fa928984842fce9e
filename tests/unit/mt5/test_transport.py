"""Requests over real sockets: deadlines, limits, nothing followed, nothing shown."""

import itertools
import shutil
import socket
import ssl
import subprocess
import threading
from decimal import Decimal

import pytest

from app.adapters.mt5 import deadlines
from app.adapters.mt5.client import (
    MaybeSentError,
    NoAnswerError,
    NotSentError,
    UnreachableError,
)
from app.adapters.mt5.deadlines import Network
from app.adapters.mt5.orders import withdraw
from app.domain.errors import ConfigurationError, SourceError
from app.domain.market import Timeframe
from app.domain.orders import OrderState
from tests.unit.mt5.misbehaving import CLOSE, RESET, Misbehaving, reply

LOT = Decimal("0.1")
M1 = Timeframe("M1")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def endless(_):
    """Give white space for ever."""
    return itertools.chain([CHUNKED], itertools.repeat(b"10000\r\n" + b" " * 65536 + b"\r\n"))


def buy(client, **options):
    return client.create_order("EURUSD", "BUY", LOT, **options)


# Deadlines


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["headers", "body", "nothing"])
def test_a_reply_is_cut_at_its_deadline_however_it_drips(rogue, connect, part) -> None:
    """Headers or body dripped: cut at a total deadline.

    A byte comes every 20 ms for ever. Red when `Network` hands httpx's timeouts on as they are
    (seconds for each single wait): the call never ends.
    """
    client = connect(timeout=0.3)
    drips = {
        "headers": rogue.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000),
        "body": rogue.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", each=0.001),
        "nothing": rogue.hang,
    }
    rogue.answer(drips[part])
    with pytest.raises(NoAnswerError, match=r"^GET positions: no answer in 0.3 s$"):
        client.positions()
    with pytest.raises(MaybeSentError, match="POST orders/create: no answer"):
        buy(client)


def test_a_request_without_an_end_is_not_made() -> None:
    with pytest.raises(ValueError, match="without an end"):
        Network(threading.Event(), 0.0).connect_tcp("127.0.0.1", 1)


@pytest.mark.timeout(20)
def test_every_address_of_a_name_is_tried_and_the_good_one_first_next_time(
    rogue, connect, monkeypatch
) -> None:
    """A bridge that listens on 127.0.0.1 only, and ``localhost`` that is ::1 as well."""
    tried = []
    connected = socket.create_connection

    def create_connection(address, *args, **options):
        tried.append(address[0])
        return connected(address, *args, **options)

    def getaddrinfo(host, *args, **options):
        hosts = ("::1", "127.0.0.1") if host == "bridge.example" else (host,)
        return [found for one in hosts for found in looked_up(one, *args, **options)]

    looked_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    client = connect(rogue.url.replace("127.0.0.1", "bridge.example"))
    rogue.answer(reply({"retcode": 10009, "order": 7}))
    assert buy(client).ticket == buy(client).ticket == 7
    assert tried == ["::1", "127.0.0.1", "127.0.0.1"]


@pytest.mark.timeout(20)
def test_looking_up_a_name_is_cut_at_the_deadline(connect, monkeypatch) -> None:
    """Red when the look-up runs in the calling thread: it has no timeout, the call never ends."""
    ended = threading.Event()

    def never(*_args, **_options):
        ended.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    client = connect("http://bridge.example:5050", timeout=0.2)
    with pytest.raises(NotSentError, match="cannot connect"):
        client.positions()
    ended.set()


@pytest.mark.timeout(20)
def test_a_question_is_cut_when_the_process_stops(rogue, connect) -> None:
    """I24. Red without the look at `stop` in `_Stream`: it waits a minute for its deadline."""
    stop = threading.Event()
    client = connect(timeout=60.0, retry_attempts=9, stop=stop)
    rogue.answer(lambda _: stop.set() or rogue.hang())
    with pytest.raises(SourceError, match="no answer"):
        client.positions()
    assert len(rogue.asked) == 1


@pytest.mark.timeout(20)
def test_an_order_under_way_is_not_cut_at_once_when_the_process_stops(rogue, connect) -> None:
    """Cutting it off would make an unknown order of every one. Red with a grace of 0."""
    stop = threading.Event()
    client = connect(timeout=60.0, stop=stop)

    def late(_):
        stop.set()
        rogue.ended.wait(0.5)
        return reply({"retcode": 10009, "order": 7})

    rogue.answer(late)
    assert buy(client).ticket == 7
    rogue.answer(rogue.hang)
    with pytest.raises(MaybeSentError, match="no answer"):
        buy(client)


# Limits


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "answer", [reply(body=b" " * (1 << 20) + b"[]"), endless], ids=["long", "endless"]
)
def test_a_reply_over_one_mebibyte_is_cut(rogue, client, answer) -> None:
    """Red without the count in `Transport`: the long one is read, the endless one until its end."""
    rogue.answer(answer)
    with pytest.raises(SourceError, match="a reply of more than 1,048,576 bytes"):
        client.positions()
    with pytest.raises(MaybeSentError, match="a reply of more than"):
        buy(client)


def test_three_thousand_bars_are_no_long_reply(rogue, client) -> None:
    bar = {"time": "2025-01-06T10:00:00", "open": 1, "high": 1, "low": 1, "close": 1}
    padded = bar | {"tick_volume": 1, "comment": "x" * 300}
    rogue.answer(reply([padded] * 5000))
    assert client.bars("EURUSD", M1, count=5000).listed == 5000


# What left and what did not


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_nothing_left_when_nobody_listens(connect) -> None:
    client = connect(f"http://127.0.0.1:{closed_port()}/mt5")
    for call in (client.positions, lambda: buy(client)):
        with pytest.raises(NotSentError, match=r"cannot connect to http://127\.0\.0\.1:\d+/mt5"):
            call()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid"])
def test_nothing_left_when_nobody_has_that_name(connect, host) -> None:
    with pytest.raises(NotSentError):
        buy(connect(f"http://{host}:5050"))


class Tries:
    """Counts the connections wished for."""

    def __init__(self, monkeypatch):
        self.count = 0
        genuine = Network.connect_tcp

        def counted(network, *args, **options):
            self.count += 1
            return genuine(network, *args, **options)

        monkeypatch.setattr(Network, "connect_tcp", counted)


@pytest.mark.timeout(30)
def test_where_nothing_answers_no_question_is_asked_again(connect, swallowing, monkeypatch) -> None:
    """Each try costs seconds. Red when it is retried like a connection refused."""
    monkeypatch.setattr(deadlines, "_CONNECT_WITHIN", 0.2)
    tries = Tries(monkeypatch)
    with pytest.raises(UnreachableError, match="cannot connect"):
        connect(swallowing, retry_attempts=3).positions()
    assert tries.count == 1


@pytest.mark.timeout(30)
def test_one_address_that_swallows_all_the_time_is_out_of_reach(
    connect, swallowing, monkeypatch
) -> None:
    """Red when the host's next address is tried with no time left: it counts as refused."""
    genuine = socket.getaddrinfo

    def two(host, port, *args, **options):
        if host != "bridge.example":
            return genuine(host, port, *args, **options)
        return [(None, None, 0, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    client = connect(swallowing.replace("127.0.0.1", "bridge.example"), timeout=0.3)
    with pytest.raises(UnreachableError):
        client.positions()


def test_a_connection_refused_is_tried_again(connect, monkeypatch) -> None:
    """It costs nothing, and a bridge that is started anew is back soon."""
    tries = Tries(monkeypatch)
    with pytest.raises(NotSentError) as refused:
        connect(f"http://127.0.0.1:{closed_port()}/mt5", retry_attempts=2).positions()
    assert not isinstance(refused.value, UnreachableError)
    assert tries.count == 3


@pytest.mark.timeout(30)
def test_an_order_says_whether_it_waited_in_vain(rogue, connect, swallowing) -> None:
    """Whoever has more of them to send can count it. Red without `silent` in `orders._once`."""
    result = withdraw(connect(swallowing, timeout=0.3), 1)
    assert (result.state, result.silent) == (OrderState.REJECTED, True)
    result = withdraw(connect(f"http://127.0.0.1:{closed_port()}/mt5"), 1)
    assert (result.state, result.silent) == (OrderState.REJECTED, False)
    rogue.answer(CLOSE)
    assert withdraw(connect(), 1).silent is False
    rogue.answer(rogue.hang)
    result = withdraw(connect(timeout=0.3), 1)
    assert (result.state, result.silent) == (OrderState.UNKNOWN, True)


GARBAGE = {
    "reset": RESET,
    "closed": CLOSE,
    "half": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", CLOSE),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
    "HTML": reply(body=b"<html>Welcome</html>"),
    "HTML 502": reply(status=502, body=b"<html>Bad gateway</html>"),
    "500": reply({"retcode": 10009, "order": 7}, status=500),
    "503 in JSON": reply({"detail": "busy"}, status=503, bare=True),
    "504": reply(body=b"", status=504),
    "null": reply(None),
    "bare null": reply(bare=True),
    "empty": reply(body=b""),
    "number": reply(7),
    "list": reply([]),
    "broken": reply(body=b'{"success": true, "data": {"retcode": 10009'),
    "nan": reply(body=b'{"retcode": NaN, "order": 7}'),
    "ticket of another kind": reply({"retcode": 10009, "order": {"id": 7}}),
    "refusal of another kind": reply({"retcode": []}, status=400, bare=True),
    "redirect": reply(status=307, headers=["Location: /mt5/orders/create2"]),
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
def test_an_order_without_a_sensible_answer_may_have_been_sent(rogue, connect, answer) -> None:
    """I6: anything after the connection stood is ambiguous, and sent once only.

    Red when orders are asked like questions: each of these arrives four times.
    """
    client = connect(retry_attempts=3, timeout=5.0)
    rogue.answer(answer)
    with pytest.raises(MaybeSentError):
        buy(client)
    assert [asked.method for asked in rogue.asked] == ["POST"]


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
def test_a_question_without_a_sensible_answer_is_a_source_error(rogue, client, answer) -> None:
    rogue.answer(answer)
    with pytest.raises(SourceError) as failed:
        client.account()
    assert str(failed.value).isprintable()


def test_each_order_has_a_connection_of_its_own(rogue, client) -> None:
    """One that was kept may have been closed by the bridge at the very moment it is used.

    Red with kept connections: the second order finds a dead one and is ambiguous.
    """
    rogue.answer(reply({"retcode": 10009, "order": 7}))
    assert buy(client).ticket == buy(client).ticket == 7
    assert rogue.connections == 2


def test_questions_share_connections(rogue, client) -> None:
    for _ in range(5):
        client.positions()
    assert rogue.connections == 1


# Encrypted


@pytest.fixture
def tls(tmp_path):
    """Make a bridge that speaks HTTPS, and the file of its certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    where = ["-addext", names, "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", *what, *where], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = Misbehaving(context)
    yield made, certificate
    made.close()


@pytest.mark.timeout(20)
def test_a_bridge_may_be_asked_over_https(tls, connect, monkeypatch) -> None:
    bridge, certificate = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    client = connect(bridge.url, timeout=0.5)
    assert client.positions() == []
    bridge.answer(reply({"retcode": 10009, "order": 7}))
    assert buy(client).ticket == 7
    bridge.answer(bridge.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000))
    with pytest.raises(NoAnswerError):
        client.positions()


def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent(tls, connect) -> None:
    """Red with ``verify=False``: orders go to whoever answers."""
    bridge, _ = tls
    with pytest.raises(NotSentError, match="certificate"):
        buy(connect(bridge.url))
    assert bridge.asked == []


@pytest.mark.timeout(20)
def test_a_handshake_that_hangs_is_cut_before_anything_is_sent(connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NotSentError, match="cannot connect to https"):
            buy(connect(url, timeout=0.3))


# Nothing followed, nothing shown


def test_redirects_are_not_followed(rogue, client) -> None:
    """Red with httpx's client and ``follow_redirects``: the second address is asked."""
    elsewhere = f"Location: {rogue.url}/elsewhere"
    for status in (301, 302, 303, 307, 308):
        rogue.answer(reply(status=status, headers=[elsewhere], body=b"[]"))
        with pytest.raises(SourceError, match="a redirect"):
            client.positions()
        with pytest.raises(MaybeSentError, match="a redirect"):
            buy(client)
    assert {asked.path for asked in rogue.asked} == {"/mt5/positions", "/mt5/orders/create"}


def test_proxies_of_the_environment_are_not_used(rogue, connect, monkeypatch) -> None:
    """HTTP_PROXY set: ignored. Red with httpx's own client, which reads it."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert connect().positions() == []
    assert rogue.asked[0].target == "/mt5/positions"


def test_cookies_are_not_kept(rogue, client) -> None:
    rogue.answer(reply([], headers=["Set-Cookie: a=b"]))
    client.positions()
    client.positions()
    assert "cookie" not in rogue.asked[1].headers


def test_credentials_are_sent_and_never_shown(rogue, connect) -> None:
    """I27. Red when messages name the address as it was given."""
    at = f"127.0.0.1:{rogue.port}/mt5"
    client = connect(f"http://trader:s%40cret@{at}")
    client.positions()
    assert rogue.asked[0].headers["authorization"] == "Basic dHJhZGVyOnNAY3JldA=="
    assert rogue.asked[0].headers["host"] == f"127.0.0.1:{rogue.port}"
    assert client.address == f"http://{at}"
    rogue.answer(CLOSE)
    messages = []
    for url in (
        f"http://trader:s%40cret@{at}",
        f"http://trader:s%40cret@x.invalid:{closed_port()}",
    ):
        with pytest.raises(SourceError) as failed:
            connect(url).positions()
        messages += [str(failed.value), repr(failed.value), str(failed.value.__cause__)]
    assert not any(secret in text for text in messages for secret in ("cret", "trader"))


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://\x00", "http://xn--.x", "ftp://x", "http://"]
)
def test_an_address_that_is_none_is_a_wrong_setting(connect, url) -> None:
    with pytest.raises(ConfigurationError, match=r"^api\.base_url: "):
        connect(url)


def test_a_slash_at_the_end_of_the_address_is_dropped(rogue, connect) -> None:
    connect(f"{rogue.url}/").positions()
    assert rogue.asked[0].target == "/mt5/positions"


@pytest.mark.parametrize(
    ("symbol", "path"),
    [
        ("EURUSDm", "EURUSDm"),
        ("EURUSD.r", "EURUSD.r"),
        ("US500#", "US500%23"),
        ("BRENT Oil", "BRENT%20Oil"),
        ("A+B&C", "A%2BB%26C"),
        (".US30", ".US30"),
    ],
)
def test_a_symbol_stays_one_part_of_the_path(rogue, client, symbol, path) -> None:
    client.positions(symbol)
    assert rogue.asked[0].target == f"/mt5/positions/{path}"


@pytest.mark.parametrize(
    "symbol",
    ["../orders", "..", ".", "", "a/b", "a\\b", "a?b", "EURUSD\n", "EURUSD\r\nX: y", "É", "x" * 33],
)
def test_a_symbol_that_is_none_is_refused_before_anything_is_sent(rogue, client, symbol) -> None:
    """Symbol ``../orders``, line breaks. Red without the pattern: another call is made."""
    calls = (
        lambda: client.tick(symbol),
        lambda: client.symbol(symbol),
        lambda: client.tradable(symbol),
        lambda: client.select(symbol),
        lambda: client.bars(symbol, M1, count=3),
        lambda: client.positions(symbol),
        lambda: client.close_position(symbol, 7, LOT),
        lambda: client.update_position(symbol, 7, None, None),
        lambda: client.close_all(symbol),
        lambda: client.create_order(symbol, "BUY", LOT),
    )
    for call in calls:
        with pytest.raises(ConfigurationError, match="is not a symbol"):
            call()
    assert rogue.asked == []
