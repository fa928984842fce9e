"""What the account has gained and lost: a function of the broker's ledger, nothing else.

Deposits and withdrawals are no result, what the broker charges is. Money is account currency.
"""

from datetime import date, datetime
from decimal import Decimal

from app.domain.broker_time import EPOCH, ServerTime
from app.domain.orders import Deal
from app.ports import Broker

_NOTHING = Decimal(0)


class Results:
    """The net result of the broker's day, and how far that of all deals lies below its best.

    Each is summed once from the ledger, then as deals happen, each counted once.
    """

    def __init__(self, server_time: ServerTime, *, drawdown_since: datetime = EPOCH) -> None:
        self._server_time = server_time
        self._day: date | None = None
        self._days_deals: set[int] = set()
        self._days_net = _NOTHING
        self._all: set[int] | None = None
        self._since = drawdown_since
        self._net = self._best = _NOTHING

    def add(self, deal: Deal) -> None:
        """Count a deal that just happened."""
        if deal.funding:
            return
        if deal.ticket not in self._days_deals and self._server_time.day(deal.time) == self._day:
            self._days_deals.add(deal.ticket)
            self._days_net += deal.net
        if self._all is not None and deal.ticket not in self._all and deal.time >= self._since:
            self._all.add(deal.ticket)
            self._net += deal.net
            self._best = max(self._best, self._net)

    def day(self, at: datetime, broker: Broker) -> Decimal:
        """Return the result of the day `at` lies in.

        Raises SourceError when the day is new and the broker cannot answer.
        """
        day = self._server_time.day(at)
        if day != self._day:
            deals = broker.deals(self._server_time.day_start(at))
            self._day, self._days_deals, self._days_net = day, set(), _NOTHING
            for deal in deals:
                self.add(deal)
        return self._days_net

    def drawdown(self, floating: Decimal, broker: Broker) -> Decimal:
        """Return how far the result, with the profit that floats, lies below its best.

        Raises SourceError when the ledger was not read yet and the broker cannot answer.
        """
        if self._all is None:
            deals = broker.deals(self._since)
            self._all = set()
            for deal in deals:
                self.add(deal)
        return self._best - self._net - floating

    def forget_drawdown(self, since: datetime) -> None:
        """Count the drawdown from `since` on: the operator has looked at what was before."""
        self._since, self._all, self._net, self._best = since, None, _NOTHING, _NOTHING
