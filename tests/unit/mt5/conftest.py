"""Clients of a bridge that misbehaves."""

import socket
from contextlib import ExitStack

import pytest

from app.adapters.mt5.client import BridgeClient
from tests.unit.mt5.misbehaving import Misbehaving


@pytest.fixture
def rogue():
    """Start a bridge that answers as the test says."""
    made = Misbehaving()
    yield made
    made.close()


@pytest.fixture
def connect(rogue):
    """Make clients of the bridge; questions are not asked again unless the test wants it."""
    clients = []

    def make(url=None, **options):
        options = {"timeout": 5.0, "retry_attempts": 0} | options
        clients.append(BridgeClient(url or rogue.url, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def swallowing():
    """Return the address of a host that answers no wish for a connection, as firewalls do."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/mt5"


@pytest.fixture
def client(connect):
    """Return a client of the bridge that asks once."""
    return connect()
