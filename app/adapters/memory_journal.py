"""A journal that lives as long as the process: enough for paper, tests and backtests."""

from datetime import datetime

from app.domain.market import Timeframe
from app.domain.orders import Intent
from app.risk.plans import PositionPlan


class MemoryJournal:
    """Candles announced, intents admitted and plans of open positions, in memory."""

    def __init__(self) -> None:
        self._announced: dict[tuple[str, Timeframe], datetime] = {}
        self._intents: dict[str, Intent] = {}
        self._plans: dict[int, PositionPlan] = {}

    def last_candle(self, symbol: str, timeframe: Timeframe) -> datetime | None:
        """Return the open time of the last candle announced."""
        return self._announced.get((symbol, timeframe))

    def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
        """Remember it."""
        self._announced[symbol, timeframe] = opened

    def admit(self, intent: Intent) -> bool:
        """Record an intent before it is sent; ``False`` when its id was admitted before."""
        if intent.client_id in self._intents:
            return False
        self._intents[intent.client_id] = intent
        return True

    def intent(self, client_id: str) -> Intent | None:
        """Return the admitted intent of that id."""
        return self._intents.get(client_id)

    def plan(self, ticket: int) -> PositionPlan | None:
        """Return the plan of the open position `ticket`."""
        return self._plans.get(ticket)

    def save_plan(self, plan: PositionPlan) -> None:
        """Insert or replace the plan of `plan.ticket`."""
        self._plans[plan.ticket] = plan

    def drop_plan(self, ticket: int) -> None:
        """Forget the plan of a closed position."""
        self._plans.pop(ticket, None)
