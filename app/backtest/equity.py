"""The equity as it goes: a point a day and a trade, and the deepest fall."""

from datetime import datetime
from decimal import Decimal

from app.backtest.outcome import Drawdown, EquityPoint
from app.domain.broker_time import ServerTime


class EquityCurve:
    """Keeps what is needed of the equity, not every value of it.

    Kept are the last point of each of the broker's days, those that must be kept, and between two
    of them the deepest fall yet below an earlier peak. Money is account currency, times aware UTC.
    """

    def __init__(self, capital: Decimal, began: datetime, server_time: ServerTime) -> None:
        self._next_day_start = server_time.next_day_start
        self._tomorrow = server_time.next_day_start(began)
        self._last = EquityPoint(began, capital, capital)
        self._peak = self._last
        self._deepest = Drawdown(Decimal(0), 0.0, began, began, None)
        self._under = False
        self._low: EquityPoint | None = None
        """The deepest point, until it is kept."""
        self.points = [self._last]

    @property
    def drawdown(self) -> Drawdown:
        """The deepest fall so far."""
        return self._deepest

    def see(self, time: datetime, balance: Decimal, equity: Decimal, *, keep: bool) -> None:
        """Take in what the account is worth; `keep` the point."""
        self._next_day(time)
        self._last = point = EquityPoint(time, balance, equity)
        if equity >= self._peak.equity:
            self._peak = point
            if self._under:
                self._under = False
                self._deepest = self._deepest._replace(recovered_at=time)
        elif self._peak.equity - equity > self._deepest.amount:
            fall = self._peak.equity - equity
            share = float(fall / self._peak.equity * 100) if self._peak.equity > 0 else 100.0
            self._deepest = Drawdown(fall, share, self._peak.time, time, None)
            self._under = True
            self._low = point
        if keep:
            self._keep(point)

    def idle(self, time: datetime) -> None:
        """Take in that time passed, and nothing was open."""
        self._next_day(time)
        self._last = EquityPoint(time, self._last.balance, self._last.equity)

    def end(self) -> None:
        """Keep the last point."""
        self._keep(self._last)

    def _next_day(self, time: datetime) -> None:
        if time >= self._tomorrow:
            self._tomorrow = self._next_day_start(time)
            self._keep(self._last)

    def _keep(self, point: EquityPoint) -> None:
        low, self._low = self._low, None
        if low is not None and self.points[-1].time < low.time < point.time:
            self.points.append(low)
        if self.points[-1].time == point.time:
            self.points[-1] = point
        else:
            self.points.append(point)
