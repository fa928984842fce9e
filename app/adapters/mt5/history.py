"""The deals of an account between two times, however far apart, in replies that can be read.

Pages go back from the newest. Each is 31 days, twice as long as the one before while that was
empty: the years before an account began cost a handful of requests. A page too long for one reply
is halved. Neighbours share a second, and a deal counts once by its ticket, so it does not matter
whether a bridge counts the ends of a page in.

Requests are in UTC, but some bridges take the numbers for their server's wall clock. Of a server
behind UTC that is later than was meant, of one ahead of it earlier: both ends are set so that
nothing is missed either way.
"""

from datetime import UTC, datetime, timedelta

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import WireDeal
from app.adapters.mt5.transport import TooLongError
from app.domain.broker_time import ServerTime

PAGE = timedelta(days=31)
EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
"""MetaTrader 5 has no older deals."""

_SLIVER = timedelta(days=2)
"""What is not worth a request of its own."""
_SEAM = timedelta(seconds=1)
_SHORTEST = timedelta(minutes=1)


def deals_between(client: BridgeClient, since: datetime, until: datetime) -> list[WireDeal]:
    """Return the deals from `since` to `until` (aware), and perhaps some around, in any order.

    Raises SourceError when any part of the answer is missing.
    """
    server = client.clock.server_time
    start, end = _before(server, max(since, EARLIEST)), _after(server, until)
    found: dict[int, WireDeal] = {}
    width = PAGE
    while True:
        begin = end - width if end - start > width + _SLIVER else start
        try:
            page = client.deals(begin, end)
        except TooLongError:
            width = min(width, end - start) / 2
            if width < _SHORTEST:
                raise
            continue
        found |= {deal.ticket: deal for deal in page}
        if begin <= start:
            return list(found.values())
        end = begin + _SEAM
        width = PAGE if page else 2 * width


def _before(server: ServerTime, time: datetime) -> datetime:
    """Return a time that, in UTC and by the server's clock, is before `time`."""
    return min(time, server.wall(time).replace(tzinfo=UTC)) - _SEAM


def _after(server: ServerTime, time: datetime) -> datetime:
    """Return a time that, in UTC and by the server's clock, is after `time`."""
    return max(time, server.wall(time).replace(tzinfo=UTC)) + _SEAM
