"""The equity as it goes: a point a day and a trade, and the deepest fall."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from app.backtest.outcome import Drawdown, EquityPoint
from app.backtest.returns import MOMENT

_DAY = timedelta(days=1)


class EquityCurve:
    """Keeps what is needed of the equity, not every value of it.

    Kept are the last point of each day (UTC; a point at midnight is that of the day before), those
    that must be kept, and between two of them the deepest fall yet below an earlier peak. Money is
    account currency, times aware UTC.
    """

    def __init__(self, capital: Decimal, began: datetime) -> None:
        self._midnight = _day_end(began)
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

    def see(self, now: datetime, balance: Decimal, equity: Decimal, *, keep: bool) -> None:
        """Take in what the account is worth; `keep` the point."""
        if now > self._midnight:
            self._next_day(now)
        self._last = point = EquityPoint(now, balance, equity)
        if equity >= self._peak.equity:
            self._peak = point
            if self._under:
                self._under = False
                self._deepest = self._deepest._replace(recovered_at=now)
        elif (fall := self._peak.equity - equity) > self._deepest.amount:
            share = float(fall / self._peak.equity * 100) if self._peak.equity > 0 else 100.0
            self._deepest = Drawdown(fall, share, self._peak.time, now, None)
            self._under = True
            self._low = point
        if keep:
            self._keep(point)

    def idle(self, now: datetime) -> None:
        """Take in that time passed, and nothing was open."""
        if now > self._midnight:
            self._next_day(now)
        self._last = EquityPoint(now, self._last.balance, self._last.equity)

    def end(self) -> None:
        """Keep the last point."""
        self._keep(self._last)

    def _next_day(self, now: datetime) -> None:
        self._midnight = _day_end(now)
        self._keep(self._last)

    def _keep(self, point: EquityPoint) -> None:
        low, self._low = self._low, None
        if low is not None and self.points[-1].time < low.time < point.time:
            self.points.append(low)
        if self.points[-1].time == point.time:
            self.points[-1] = point
        else:
            self.points.append(point)


def _day_end(at: datetime) -> datetime:
    """Return the midnight that ends the day of a point, which may be the point's own time."""
    return datetime.combine((at - MOMENT).date(), time(), UTC) + _DAY
