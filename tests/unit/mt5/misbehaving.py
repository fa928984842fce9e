"""A bridge that misbehaves as it is told: a socket, and what to write to it."""

import json
import os
import socket
import struct
import threading
from contextlib import closing, suppress
from typing import NamedTuple

RESET, CLOSE = object(), object()
"""Instead of bytes: cut the connection off with a reset, or close it."""


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def json(self):
        return json.loads(self.body)


def reply(data=None, *, status=200, body=None, headers=(), bare=False):
    """Return a whole reply, enveloped unless it is to be `bare`."""
    if body is None:
        body = json.dumps(data if bare else {"success": status < 400, "data": data}).encode()
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Misbehaving:
    """Answers each request with what `answers` gives for it, the last one again and again.

    An answer is bytes, `RESET` or `CLOSE`, an iterable of these, or a function of the request that
    returns one. `ended` is set when the test is over; whoever drips waits on it. With `tls`, an SSL
    context, it is asked over HTTPS.
    """

    def __init__(self, tls=None):
        self.tls = tls
        self.asked = []
        self.answers = [reply([])]
        self.connections = 0
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/mt5"
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def answer(self, *answers):
        self.answers = list(answers)

    def hang(self, request=None):
        """Say nothing until the test is over."""
        self.ended.wait()
        return CLOSE

    def drip(self, whole, each=0.02):
        """Give it a byte at a time, and then for ever nothing new."""

        def answer(request):
            for byte in whole:
                if self.ended.wait(each):
                    return
                yield bytes([byte])
            while not self.ended.wait(each):
                yield b" "

        return answer

    def close(self):
        self.ended.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self.threads:
            thread.join(5)

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            if self.ended.is_set():
                connection.close()
                self.listener.close()
                return
            self.connections += 1
            connection.settimeout(5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection):
        with suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
        with closing(connection), suppress(OSError), connection.makefile("rb") as stream:
            while (request := self._read(stream)) is not None:
                self.asked.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                answer = answer(request) if callable(answer) else answer
                for part in (
                    [answer] if answer in (RESET, CLOSE) or isinstance(answer, bytes) else answer
                ):
                    if part is RESET:
                        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    if part in (RESET, CLOSE):
                        return
                    connection.sendall(part)

    def _read(self, stream):
        first = stream.readline().decode()
        if not first:
            return None
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        method, target, _ = first.split()
        body = stream.read(int(headers.get("content-length", 0)))
        return Asked(method, target, headers, body)
