"""The journal in SQLite or PostgreSQL: what the memory journal knows, and durable.

Notes (plans, deals, states, what became of intents) stay in memory, where all that is open is read
from, and are written by the next commit, all of them or none. What must be on disk before anything
else happens commits at once: an intent and its attempts before the order leaves, a block, and its
end. Candles wait for `flush`: until then they are still being acted on. Each commit asks first
whether another writer has taken the account over.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row

from app.adapters.journal import writers
from app.adapters.journal.database import Database
from app.adapters.journal.memory import MemoryJournal
from app.adapters.journal.noted import Noted
from app.adapters.journal.opening import open_database
from app.adapters.journal.retention import BATCH, outdated
from app.adapters.journal.rows import block_of, block_row, from_json, record_of
from app.adapters.journal.statements import (
    CANDLES,
    DEAL,
    INTENT,
    INTENT_OF_ORDER,
    LIFT,
    NEW_BLOCK,
    PLANS,
    STANDING_BLOCKS,
    STATES,
    UNSETTLED,
)
from app.domain.market import Timeframe
from app.domain.orders import (
    Action,
    Block,
    BlockReason,
    Deal,
    Intent,
    IntentRecord,
    Refusal,
)
from app.risk.plans import PositionPlan

T = TypeVar("T")

KEEP_DAYS = 400
REMEMBERED = 10_000
"""Final intents and deals kept in memory beside all that is open; older ones are looked up."""


def open_journal(
    url: str | None, account: str, *, now: datetime, keep_days: int = KEEP_DAYS
) -> "SqlJournal":
    """Open the journal at `url`, by default ``data/journal.db``, as the account's only writer.

    Whoever wrote for the account before is out: hold it (``lock.hold``) first. What is final and
    older than `keep_days` before `now` is forgotten.

    Raises ConfigurationError when `url` names no database, JournalError or PermissionDeniedError
    when it cannot be used.
    """
    database = open_database(url)
    try:
        journal = SqlJournal(database, account, now)
        journal.forget(now - timedelta(days=keep_days))
    except BaseException:
        database.close()
        raise
    return journal


class SqlJournal(MemoryJournal):
    """What must outlive the process, of one account, in an open database."""

    def __init__(self, database: Database, account: str, now: datetime) -> None:
        super().__init__()
        self._database = database
        self._account = account
        self._noted = Noted(account)
        self._announced: dict[tuple[str, Timeframe], datetime] = {}
        self._closed = False
        with database.write() as connection:
            self._epoch = writers.take_over(connection, account)
        self._load(now)

    # Notes

    def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
        """Remember it."""
        super().candle_announced(symbol, timeframe, opened)
        self._announced[symbol, timeframe] = opened

    def booked(self, deal: Deal, client_id: str) -> None:
        """Note a deal and add its volume to the intent it executed; once."""
        if not self.has_deal(deal.ticket):
            super().booked(deal, client_id)
            self._noted.deals.append((deal, client_id))

    def save_plan(self, plan: PositionPlan) -> None:
        """Insert or replace the plan of `plan.ticket`."""
        super().save_plan(plan)
        self._noted.plans[plan.ticket] = plan

    def drop_plan(self, ticket: int) -> None:
        """Forget the plan of a closed position."""
        super().drop_plan(ticket)
        self._noted.plans[ticket] = None

    def keep_state(self, name: str, text: str) -> None:
        """Keep a text: the paper account, what the limits must remember."""
        super().keep_state(name, text)
        self._noted.states[name] = text

    def _turn(self, record: IntentRecord, at: datetime) -> None:
        super()._turn(record, at)
        self._noted.turned(record, at)

    def _keep(self, record: IntentRecord) -> None:
        super()._keep(record)
        self._noted.records[record.intent.client_id] = record

    # What is looked up when it is not in memory

    def record(self, client_id: str) -> IntentRecord | None:
        """Return where the admitted intent of that id is."""
        known = super().record(client_id)
        if known is None and client_id:
            known = self._find(INTENT, of_client_id=client_id)
        return known

    def by_ticket(self, ticket: int) -> IntentRecord | None:
        """Return the intent whose order has that ticket."""
        known = super().by_ticket(ticket)
        if known is None and ticket:
            known = self._find(INTENT_OF_ORDER, of_ticket=ticket)
        return known

    def has_deal(self, ticket: int) -> bool:
        """Say whether the deal was noted."""
        if not super().has_deal(ticket):
            self._deals.update(self._read(DEAL, lambda row: row.ticket, of_ticket=ticket))
        return super().has_deal(ticket)

    def _find(self, wanted: Executable, **values: object) -> IntentRecord | None:
        return next(iter(self._read(wanted, record_of, **values)), None)

    def _read(self, wanted: Executable, made: Callable[[Row[Any]], T], **values: object) -> list[T]:
        return self._database.read(wanted, made, of_account=self._account, **values)

    # What is durable at once

    def admit(self, intent: Intent, at: datetime) -> Refusal | None:
        """Make an intent and its first attempt durable, before it is sent; or say why not."""
        with self._writing():
            if intent.action is Action.ENTRY:
                self._blocks = self._standing(at)
            refusal = super().admit(intent, at)
            if refusal is None:
                self._noted.admitted(self._records[intent.client_id], at)
        return refusal

    def still_ours(self) -> None:
        """Return if nobody else writes for the account; what was noted is durable then."""
        with self._writing():
            pass

    def attempt(self, client_id: str, at: datetime) -> None:
        """Make a further attempt durable; GaveUpError where none may be made (I6)."""
        super().attempt(client_id, at)
        with self._writing():
            self._noted.attempted(self._records[client_id], at)

    def block(self, block: Block) -> None:
        """Make a block durable, unless one that covers it stands when it begins."""
        with self._writing() as connection:
            self._blocks = self._standing(block.since)
            before = len(self._blocks)
            super().block(block)
            for new in self._blocks[before:]:
                connection.execute(NEW_BLOCK, block_row(self._account, new))

    def lift(self, at: datetime, by: str, reason: BlockReason | None = None) -> Sequence[Block]:
        """End the blocks of `reason`, or all, saying by whose act; return those that stood."""
        with self._writing() as connection:
            self._blocks = self._standing(at)
            lifted = super().lift(at, by, reason)
            if lifted:
                reasons = [block.reason for block in lifted]
                act = {"at": at, "new_by": by, "of_reasons": reasons}
                connection.execute(LIFT, {"of_account": self._account, **act})
        return lifted

    def flush(self) -> None:
        """Make everything noted durable, candles too; costs nothing when nothing was."""
        self._noted.candles, self._announced = self._announced, {}
        if self._noted:
            with self._writing():
                pass

    def forget(self, before: datetime) -> None:
        """Delete what was final before a time; what open positions came of stays."""
        for batch in outdated(self._account, before, self.plans()):
            deleted = BATCH
            while deleted == BATCH:
                with self._writing() as connection:
                    deleted = connection.execute(batch).rowcount

    def close(self) -> None:
        """Flush and let go; may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._database.failed:
                self.flush()
        finally:
            self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Give a transaction of the account's writer, in which all that was noted is written."""
        with self._database.write() as connection:
            writers.check(connection, self._account, self._epoch)
            yield connection
            self._noted.write(connection)
        self._noted = Noted(self._account)
        self._forget_final()

    # What is open

    def _load(self, now: datetime) -> None:
        self._candles = dict(
            self._read(CANDLES, lambda row: ((row.symbol, Timeframe(row.timeframe)), row.last))
        )
        for record in self._read(UNSETTLED, record_of):
            super()._keep(record)
        for plan in self._read(PLANS, lambda row: from_json(row.body, PositionPlan)):
            super().save_plan(plan)
        self._states = dict(self._read(STATES, lambda row: (row.name, row.text)))
        self._blocks = self._standing(now)

    def _standing(self, at: datetime) -> list[Block]:
        """Read the blocks that stand: another process may have set or lifted one."""
        return self._read(STANDING_BLOCKS, block_of, at=at)

    def _forget_final(self) -> None:
        """Keep memory bounded (I26): what is final and written can be looked up."""
        if len(self._records) - len(self._unsettled) > REMEMBERED:
            self._records = {one: self._records[one] for one in self._unsettled}
            self._by_ticket = {
                record.ticket: one for one, record in self._records.items() if record.ticket
            }
        if len(self._deals) > REMEMBERED:
            self._deals.clear()
