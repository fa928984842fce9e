"""What stands between the clients and the bridge and makes calls go wrong."""

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bridge.distortions import Reply, distorted
from app.bridge.faults import Fault, Schedule, What
from app.bridge.serving import LINE, Line
from app.bridge.trading_routes import TREATMENT
from app.bridge.treatments import treatment_of

_LATE = 1.0
"""Real seconds that a request or reply is late, unless said otherwise."""
_DRIP = 0.2
"""Real seconds between two bytes that drip, unless said otherwise."""
_NOTHING = Reply(200, b'{"success": true, "data": null}')
"""The reply to a request that never reached the terminal, where one is sent all the same."""


class Misbehaviour:
    """Lets calls below `prefix` go wrong as `schedule` says; all others pass."""

    def __init__(self, app: ASGIApp, schedule: Schedule, prefix: str) -> None:
        self._app = app
        self._schedule = schedule
        self._prefix = f"{prefix}/"
        self._replies: dict[str, Reply] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or not quite."""
        path: str = scope["path"]
        if not path.startswith(self._prefix) or path.startswith("/control/"):
            await self._app(scope, receive, send)
            return
        method, call = scope["method"], path.removeprefix(self._prefix)
        fault = self._schedule.next(method, call)
        if fault is None and method == "GET":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self._app, scope, await _body(receive), receive, send)
        if fault is None:
            reply = await exchange.executed()
            await exchange.answer(reply)
        else:
            reply = await self._go_wrong(fault, exchange, self._replies.get(method))
        self._replies[method] = reply

    async def _go_wrong(self, fault: Fault, exchange: "Exchange", previous: Reply | None) -> Reply:
        """Serve a request as the fault wants it; return what the right reply was."""
        if fault.what is What.DELAY:
            await asyncio.sleep(_seconds(fault, _LATE))
        reply = _NOTHING
        if fault.executes or fault.what in {What.RETCODE, What.SUCCESS_TEXT, What.REQUOTE}:
            reply = await exchange.executed(treatment_of(fault))
        if fault.what is What.DOUBLE:
            await exchange.executed(with_key=False)
        if fault.what is What.LATE_REPLY:
            await asyncio.sleep(_seconds(fault, _LATE))
        await _delivered(fault, exchange, distorted(fault, reply, previous))
        return reply


class Exchange:
    """A request that has been read, and the ways to answer it."""

    def __init__(
        self, app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        self.line: Line = scope["state"][LINE]
        self._app = app
        self._scope = scope
        self._body = body
        self._receive = receive
        self._send = send

    async def executed(
        self, treatment: dict[str, object] | None = None, *, with_key: bool = True
    ) -> Reply:
        """Let the bridge execute the request; return its reply."""
        headers = self._scope["headers"]
        if not with_key:
            headers = [(name, value) for name, value in headers if name != b"idempotency-key"]
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(
            {**self._scope, "headers": headers, TREATMENT: treatment or {}}, receive, send
        )
        start, *parts = sent
        body = b"".join(part.get("body", b"") for part in parts)
        kept = tuple((name, value) for name, value in start["headers"] if name == b"content-type")
        return Reply(start["status"], body, kept)

    async def answer(self, reply: Reply) -> None:
        """Send a whole reply as HTTP wants it."""
        length = (b"content-length", str(len(reply.body)).encode())
        headers = [*reply.headers, length]
        await self._send(
            {"type": "http.response.start", "status": reply.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": reply.body})

    async def drip(self, reply: Reply, pause: float, start: int) -> None:
        """Send a reply, from its byte `start` on one byte every `pause` seconds."""
        data = _raw(reply)
        self.line.write(data[:start])
        for at in range(start, len(data)):
            await asyncio.sleep(pause)
            if self.line.is_closing():
                break
            self.line.write(data[at : at + 1])
        await self.hang_up()

    async def cut(self, reply: Reply) -> None:
        """Send half a body and hang up."""
        data = _raw(reply)
        self.line.write(data[: len(data) - len(reply.body) // 2 - 1])
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close the connection in good order."""
        self.line.close()
        await self.gone()

    async def reset(self) -> None:
        """Cut the connection."""
        self.line.reset()
        await self.gone()

    async def gone(self) -> None:
        """Wait until the client has given up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _delivered(fault: Fault, exchange: Exchange, reply: Reply) -> None:
    """Bring a reply to the client, or not."""
    match fault.what:
        case What.RESET | What.RESET_AFTER | What.DOWN:
            await exchange.reset()
        case What.LOSE_REPLY:
            await exchange.gone()
        case What.DRIP:
            head = len(_raw(reply)) - len(reply.body)
            start = head if fault.part == "body" else 0
            await exchange.drip(reply, _seconds(fault, _DRIP), start)
        case What.TRUNCATE_BODY:
            await exchange.cut(reply)
        case _:
            await exchange.answer(reply)


def _raw(reply: Reply) -> bytes:
    """Return a reply as bytes on the wire."""
    lines = [b"HTTP/1.1 %d %s" % (reply.status, HTTPStatus(reply.status).phrase.encode())]
    lines += [name + b": " + value for name, value in reply.headers]
    lines += [b"content-length: %d" % len(reply.body), b"", b""]
    return b"\r\n".join(lines) + reply.body


def _seconds(fault: Fault, usual: float) -> float:
    return usual if fault.seconds is None else fault.seconds


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
