"""Connections on which no wait outlives its request.

What httpx passes down as the timeout of each single wait is read as an instant of the monotonic
clock here, the request's end: a reply dripped byte by byte ends there, too. So does looking up the
host's name, which has no timeout of its own anywhere.
"""

import socket
import ssl
import threading
from collections.abc import Iterable
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

import httpcore

_CONNECT_WITHIN = 3.0
"""Seconds a connection may take to be made, which nothing can interrupt."""
_LOOK = 0.1
"""How often a wait looks whether it is to stop, seconds."""


class Flag(Protocol):
    """Whether the process is to stop: a `threading.Event`, or what a signal handler may set."""

    def is_set(self) -> bool:
        """Say so."""
        ...


class Network(httpcore.SyncBackend):
    """TCP connections whose timeouts are instants.

    Args:
        stop: when it is set, waiting for a reply ends.
        grace: how many seconds after that.

    """

    def __init__(self, stop: Flag, grace: float) -> None:
        self._stop = stop
        self._grace = grace
        self._reached = ""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers, last time's before others.

        One that says nothing takes all the time there is: ConnectTimeout.
        """
        end = min(_instant(timeout), monotonic() + _CONNECT_WITHIN)
        failure: Exception = httpcore.ConnectError("its name has no address")
        for address in sorted(_addresses(host, port, end), key=lambda one: one != self._reached):
            left = max(0.0, end - monotonic())
            try:
                stream = super().connect_tcp(address, port, left, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
            else:
                self._reached = address
                return _Stream(stream, self._stop, self._grace)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection; one request at a time, known by its instant."""

    def __init__(self, stream: httpcore.NetworkStream, stop: Flag, grace: float) -> None:
        self._stream = stream
        self._stop = stop
        self._grace = grace
        self._request = self._end = 0.0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what comes next; ReadTimeout at the end of the request or of the process."""
        while True:
            left = self._left(timeout)
            if not left:
                raise httpcore.ReadTimeout("timed out")
            try:
                return self._stream.read(max_bytes, min(left, _LOOK))
            except httpcore.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all; WriteTimeout at the end of the request."""
        self._stream.write(buffer, self._left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the connection encrypted."""
        left = min(self._left(timeout), _CONNECT_WITHIN)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _Stream(stream, self._stop, self._grace)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of the socket."""
        return self._stream.get_extra_info(info)

    def _left(self, timeout: float | None) -> float:
        """Return the seconds left of the request that ends at an instant."""
        request = _instant(timeout)
        if request != self._request:
            self._request = self._end = request
        if self._stop.is_set():
            self._end = min(self._end, monotonic() + self._grace)
        return max(0.0, self._end - monotonic())


def _instant(timeout: float | None) -> float:
    if timeout is None:
        raise ValueError("a request without an end")
    return timeout


def _addresses(host: str, port: int, end: float) -> list[str]:
    """Return the addresses of a host; ConnectError without any, ConnectTimeout after `end`."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    outcome: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome.put([str(one[4][0]) for one in found])
        except (OSError, UnicodeError) as error:
            outcome.put(httpcore.ConnectError(f"{error}"))

    threading.Thread(target=look_up, name="name look-up", daemon=True).start()
    try:
        found = outcome.get(timeout=max(0.0, end - monotonic()))
    except Empty:
        raise httpcore.ConnectTimeout("its name was not found in time") from None
    if isinstance(found, Exception):
        raise found
    return list(dict.fromkeys(found))
