"""The equity as it goes: a point a day and a trade, and the deepest fall."""

from bisect import bisect_left
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from operator import attrgetter

from app.backtest.outcome import Drawdown, EquityPoint
from app.backtest.returns import MOMENT

_DAY = timedelta(days=1)


class EquityCurve:
    """Keeps what is needed of the equity, not every value of it.

    Kept are the last point of each day (UTC; a point at midnight is that of the day before), those
    that must be kept, and the ends of each fall that was the deepest yet when one of them was kept.
    Money is account currency, times aware UTC.
    """

    def __init__(self, capital: Decimal, began: datetime) -> None:
        self._midnight = _day_end(began)
        self._last = EquityPoint(began, capital, capital)
        self._peak = self._last
        self._deepest = Drawdown(Decimal(0), 0.0, began, began, None)
        self._under = False
        self._fall: tuple[EquityPoint, ...] = ()
        """The ends of the deepest fall, until they are kept."""
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
            self._fall = (self._peak, point)
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
        for extreme in self._fall:
            self._insert(extreme)
        self._fall = ()
        if self.points[-1].time == point.time:
            self.points[-1] = point
        else:
            self.points.append(point)

    def _insert(self, extreme: EquityPoint) -> None:
        at = bisect_left(self.points, extreme.time, key=attrgetter("time"))
        if at == len(self.points) or self.points[at].time != extreme.time:
            self.points.insert(at, extreme)


def _day_end(at: datetime) -> datetime:
    """Return the midnight that ends the day of a point, which may be the point's own time."""
    return datetime.combine((at - MOMENT).date(), time(), UTC) + _DAY
