"""Looking at the account: what happened there, whether it answers, what is at stake."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from app.domain.errors import SourceError
from app.domain.orders import CloseReason, Deal, OrderGone
from app.risk.limits import Exposure, breached
from app.services.base import Health
from app.services.brakes import Brakes
from app.services.broker_reports import BrokerReports
from app.services.floor import Floor
from app.services.open_trades import floating_profit
from app.services.order_desk import OrderDesk
from app.services.reconciliation import Reconciliation
from app.services.results import Results


class AccountWatch:
    """Takes in what looks at the account tell, and knows what is at stake there."""

    def __init__(
        self,
        floor: Floor,
        *,
        desk: OrderDesk,
        reports: BrokerReports,
        reconciliation: Reconciliation,
        brakes: Brakes,
        results: Results,
    ) -> None:
        self._log = floor.log
        self._broker = floor.broker
        self._limits = floor.terms.rules.limits
        self._trades = floor.trades
        self._desk = desk
        self._reports = reports
        self._reconciliation = reconciliation
        self._brakes = brakes
        self._results = results
        self.told: deque[Deal | OrderGone] = deque()
        """What the account told and was not taken in yet."""
        self._silent = 0
        """Looks in a row that were not answered."""
        self._silence = ""

    def ailment(self, max_failures: int) -> Health | None:
        """Return that the account does not answer, from so many looks in a row on."""
        if self._silent < max_failures:
            return None
        reason = f"{self._silent} looks at the account in a row failed: {self._silence}"
        return Health(False, reason, foreign=True)

    def look(self, now: datetime) -> bool:
        """Take in what happened at the account, and make the journal agree with it.

        ``False`` when it did not answer. What was told before it fell silent is taken in by the
        next look.
        """
        try:
            self.told.extend(self._broker.poll(now))
            self._reconciliation.identify(now)
            self.take_in((), now)
            self._reconciliation.check(now)
        except SourceError as error:
            self._silent += 1
            self._silence = str(error)
            self._log.error("The account does not answer (%d in a row): %s", self._silent, error)
            return False
        if self._silent:
            self._log.warning("The account answers again after %d failures", self._silent)
            self._silent = 0
        return True

    def begin(self, now: datetime, *, remote: bool) -> None:
        """See the account, and read its ledger as far back as the limits look: no cycle waits.

        Raises SourceError when the broker does not answer.
        """
        if remote:
            self.told.extend(self._broker.poll(now))
        if self._limits.max_drawdown is not None:
            self._results.drawdown(Decimal(0), self._broker)

    def take_in(self, happened: Iterable[Deal | OrderGone], at: datetime) -> None:
        """Take in what happened up to `at`, after what was told before and is not taken in yet."""
        self.told.extend(happened)
        while self.told:
            self._reports.take_in(self.told[0], at)
            self.told.popleft()

    def losses(self, at: datetime) -> Exposure:
        """Return what was lost, without what is at risk; raises SourceError as `exposure`."""
        floating = floating_profit(self._broker.positions())
        exposure = Exposure(0, self._results.day(at, self._broker), floating, Decimal(0))
        return self._with_drawdown(exposure)

    def exposure(self, at: datetime) -> Exposure:
        """Return what is at stake; raises SourceError when the broker cannot say."""
        exposure = self._trades.exposure(self._broker, self._results.day(at, self._broker))
        return self._with_drawdown(exposure)

    def _with_drawdown(self, exposure: Exposure) -> Exposure:
        if self._limits.max_drawdown is None:
            return exposure
        drawdown = self._results.drawdown(exposure.floating, self._broker)
        return msgspec.structs.replace(exposure, drawdown=drawdown)

    def flatten_if_breached(self, at: datetime) -> None:
        """Close everything of ours when a loss limit is broken, until nothing is left."""
        try:
            breach = breached(self.losses(at), self._limits)
        except SourceError as error:
            self._log.error("The day's result is not known: %s", error)
            return
        if breach is None:
            return
        self._brakes.breached(breach, at)
        for plan in list(self._trades.plans.values()):
            if plan.free > plan.owed:
                self._desk.close(plan, at, plan.free - plan.owed, CloseReason.LOSS_LIMIT)
        for entry in list(self._trades.sent.values()):
            if entry.waits:
                self._desk.withdraw(entry, breach.detail)
