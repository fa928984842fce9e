"""What a journal noted since its last commit, and how that is written."""

from datetime import datetime

from sqlalchemy import Connection

from app.adapters.journal.rows import Values, changed_intent, deal_row, intent_row, to_json
from app.adapters.journal.schema import candles, plans, states
from app.adapters.journal.statements import (
    CHANGED_INTENT,
    DROPPED_PLAN,
    NEW_ATTEMPT,
    NEW_DEAL,
    NEW_INTENT,
    NEW_TRANSITION,
    upsert,
)
from app.domain.market import Timeframe
from app.domain.orders import Deal, IntentRecord
from app.events import correlation_id
from app.risk.plans import PositionPlan


class Noted:
    """What waits for the next commit of one account; of what changed, the newest."""

    def __init__(self, account: str) -> None:
        self._account = account
        self.candles: dict[tuple[str, Timeframe], datetime] = {}
        self.records: dict[str, IntentRecord] = {}
        """Intents that changed."""
        self.deals: list[tuple[Deal, str]] = []
        self.plans: dict[int, PositionPlan | None] = {}
        """``None`` for one that is dropped."""
        self.states: dict[str, str] = {}
        self._admitted: list[Values] = []
        self._attempts: list[Values] = []
        self._transitions: list[Values] = []

    def __bool__(self) -> bool:
        return bool(
            self.candles
            or self.records
            or self.deals
            or self.plans
            or self.states
            or self._admitted
        )

    def admitted(self, record: IntentRecord, at: datetime) -> None:
        """Note a new intent and its first attempt."""
        self._admitted.append(intent_row(self._account, record, at))
        self.attempted(record, at)
        self.records.pop(record.intent.client_id, None)

    def attempted(self, record: IntentRecord, at: datetime) -> None:
        """Note an attempt, the newest of `record`."""
        key = {"account": self._account, "client_id": record.intent.client_id}
        self._attempts.append({**key, "n": record.attempts, "at": at})

    def turned(self, record: IntentRecord, at: datetime) -> None:
        """Note that an intent is where `record` says, since `at`."""
        self._transitions.append(
            {
                "account": self._account,
                "client_id": record.intent.client_id,
                "at": at,
                "state": record.state,
                "ticket": record.ticket,
                "detail": record.detail,
                "correlation_id": correlation_id.get(),
            }
        )

    def write(self, connection: Connection) -> None:
        """Write all of it, in the transaction `connection` is in."""
        dialect = connection.dialect.name
        for statement, rows in (
            (NEW_INTENT, self._admitted),
            (CHANGED_INTENT, self._changed()),
            (NEW_ATTEMPT, self._attempts),
            (NEW_TRANSITION, self._transitions),
            (NEW_DEAL, [deal_row(self._account, *each) for each in self.deals]),
            (upsert(candles, dialect), self._of_candles()),
            (upsert(plans, dialect), self._of_plans()),
            (DROPPED_PLAN, self._dropped()),
            (upsert(states, dialect), self._of_states()),
        ):
            if rows:
                connection.execute(statement, rows)

    def _changed(self) -> list[Values]:
        return [changed_intent(self._account, record) for record in self.records.values()]

    def _of_candles(self) -> list[Values]:
        return [
            {"account": self._account, "symbol": symbol, "timeframe": timeframe, "last": last}
            for (symbol, timeframe), last in self.candles.items()
        ]

    def _of_plans(self) -> list[Values]:
        return [
            {"account": self._account, "ticket": plan.ticket, "body": to_json(plan)}
            for plan in self.plans.values()
            if plan is not None
        ]

    def _dropped(self) -> list[Values]:
        return [
            {"of_account": self._account, "of_ticket": ticket}
            for ticket, plan in self.plans.items()
            if plan is None
        ]

    def _of_states(self) -> list[Values]:
        return [
            {"account": self._account, "name": name, "text": kept}
            for name, kept in self.states.items()
        ]
