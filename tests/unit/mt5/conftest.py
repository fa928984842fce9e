"""Clients of a bridge that misbehaves."""

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
def client(connect):
    """Return a client of the bridge that asks once."""
    return connect()
