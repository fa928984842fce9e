"""The bridge as a process: its socket, its connections, its end."""

import asyncio
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.domain.errors import UnavailableError

LINE = "app.bridge.line"
"""Where the state of a request's scope holds the connection it came on."""

_KEEP_ALIVE = 75
"""Seconds an idle connection is kept: longer than clients do, who would race its end."""
_GRACE = 1
"""Seconds that requests being answered may take at the end."""
_BACKLOG = 512
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Line(asyncio.Transport):
    """A connection to a client: what is written in one go leaves in one packet.

    uvicorn writes headers, body and end apart, and a client would be woken for each.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._unsent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` together with what else is written before the loop turns."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(bytes(data))

    def close(self) -> None:
        """End the connection once all is sent."""
        self._flush()
        self._transport.close()

    def reset(self) -> None:
        """Cut the connection at once, as a crashed peer does."""
        self._unsent.clear()
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Say whether it is closed or will be."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more in."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take in again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: object = None) -> Any:
        """Return what the transport knows."""
        return self._transport.get_extra_info(name, default)

    def _flush(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class Connection(H11Protocol):
    """uvicorn's HTTP over a line that its requests can reach."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is one of a socket
        line = Line(transport)
        self.app_state = {**self.app_state, LINE: line}
        super().connection_made(line)


class Server(uvicorn.Server):
    """uvicorn's server, which does not complain of requests that a fault holds at its end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of every client, after a moment for those that are being answered."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, on a free port for 0; raises UnavailableError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (")[0]
        raise UnavailableError(f"cannot listen on {host} port {port}: {reason}") from None


def address_of(listener: socket.socket) -> str:
    """Return where a socket listens, as it stands in a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(app: ASGIApp, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until Ctrl+C or SIGTERM; `ready` is called when both are heeded."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    server = Server(config)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    ready()
    server.run(sockets=[listener])
