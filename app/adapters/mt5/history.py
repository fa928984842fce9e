"""The deals of an account between two times, however far apart, in replies that can be read.

Pages go back from the newest. Each is 31 days, twice as long as the one before while that was
empty: the years before an account began cost a handful of requests. A page too long for one reply
is halved, and those before it grow to a month again. Neighbours share a second, and a deal counts
once by its ticket, so it does not matter whether a bridge counts the ends of a page in.
"""

from datetime import UTC, datetime, timedelta

from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.dialect import WireDeal
from app.adapters.mt5.transport import TooLongError

PAGE = timedelta(days=31)
EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
"""MetaTrader 5 has no older deals."""

_SLIVER = timedelta(days=2)
"""What is not worth a request of its own beside a month."""
_NOTHING = timedelta()
_SEAM = timedelta(seconds=1)
_SHORTEST = timedelta(minutes=1)


def deals_between(client: BridgeClient, since: datetime, until: datetime) -> list[WireDeal]:
    """Return the deals from `since` to `until` (aware), and perhaps some around, in any order.

    Raises SourceError when any part of the answer is missing.
    """
    start, end = client.clock.around(max(since, EARLIEST), until)
    found: dict[int, WireDeal] = {}
    width = PAGE
    while True:
        sliver = _SLIVER if width >= PAGE else _NOTHING
        begin = end - width if end - start > width + sliver else start
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
        width = min(2 * width, PAGE) if page else 2 * width
