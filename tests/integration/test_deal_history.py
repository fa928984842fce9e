"""The broker's deals as bridges give them: by whatever clock, over whatever length of time."""

from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.mt5.broker import Mt5Broker, Terms
from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.server_clock import ServerClock
from app.domain.broker_time import ServerTime
from app.domain.orders import CloseReason
from app.events import OrderPlacedEvent, PositionClosedEvent
from tests.live import ByTheServersClock

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HISTORY = "GET history/closed_positions"


@pytest.fixture
def by_the_servers_clock():
    """Put such a relay before a bridge."""
    made = []

    def before(broker):
        made.append(ByTheServersClock(broker))
        return made[-1]

    yield before
    for one in made:
        one.close()


@pytest.mark.parametrize("server", ["America/New_York", "Pacific/Honolulu", "NY+7"])
def test_a_deal_is_seen_whatever_clock_the_bridge_reads_requests_by(
    eurusd, live, by_the_servers_clock, server
):
    """I3: two hours after the newest deal, which is where such a bridge begins to look too late.

    Red without `ServerClock.around`, where the server is behind UTC: the position is gone without
    a deal.
    """
    broker = eurusd("--server-timezone", server)
    relay = by_the_servers_clock(broker)
    one = live(broker, relay.url, BROKER_SERVER_TIMEZONE=server)
    one.after(60, 10, *[1800] * 4)
    [held] = broker.ledger()["positions"]
    broker.control("manual/close", ticket=held["ticket"])
    one.after(10, 10)
    assert len(one.run.of(OrderPlacedEvent)) == 1
    assert [it.reason for it in one.run.of(PositionClosedEvent)] == [CloseReason.MANUAL]


class TestAllOfHistory:
    @pytest.fixture
    def account(self, eurusd):
        """Open the account of a bridge whose market can go on for years."""
        broker = eurusd("--plain")
        now = [datetime.fromisoformat(broker.step(0))]
        client = BridgeClient(
            broker.url, timeout=10, retry_attempts=0, clock=ServerClock(ServerTime("NY+7"))
        )

        def opened():
            now[0] = datetime.fromisoformat(broker.step(0))
            terms = Terms(None, True, DAY, DAY, {})
            made = Mt5Broker(client, ["EURUSD"], terms, lambda: now[0])
            made.open(now[0])
            return made

        yield broker, opened
        client.close()

    def test_a_first_look_is_one_request(self, account):
        """The account began within a month, and so does every look of a cycle."""
        broker, opened = account
        before = broker.applied()["seen"].get(HISTORY, 0)
        made = opened()
        assert broker.applied()["seen"][HISTORY] - before == 1
        made.poll(datetime.fromisoformat(broker.step(5)))
        assert broker.applied()["seen"][HISTORY] - before == 2

    def test_years_of_deals_all_come_each_once(self, account):
        """In pages, and without a request for every month there was nothing."""
        broker, opened = account
        for days in (1, 20, 31, 31, 200, 1, 30, 400):
            broker.step(days * 86_400)
            broker.control("deposit", amount=days)
        made = opened()
        before = broker.applied()["seen"][HISTORY]
        deals = made.deals(BEGINNING)
        assert [float(deal.profit) for deal in deals] == [10_000, 1, 20, 31, 31, 200, 1, 30, 400]
        assert len({deal.ticket for deal in deals}) == 9
        assert broker.applied()["seen"][HISTORY] - before <= 25
        assert sum(deal.profit for deal in deals) == made.account().balance
