"""A journal looked into from outside, beside the daemon that writes it. It changes nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from sqlalchemy import select

from app.adapters.journal.database import Database
from app.adapters.journal.opening import open_to_read
from app.adapters.journal.rows import block_of, from_json, record_of
from app.adapters.journal.schema import candles, deals, intents, writers
from app.adapters.journal.statements import STANDING_BLOCKS
from app.domain.orders import Block, Deal, IntentRecord


class JournalReader:
    """What stands in an open journal, of every account. Raises JournalError."""

    def __init__(self, database: Database) -> None:
        self.name = database.name
        self._database = database

    def accounts(self) -> Sequence[str]:
        """Return the accounts that were ever written for, by name."""
        return self._database.read(
            select(writers.c.account).order_by(writers.c.account), lambda row: row.account
        )

    def newest_candle(self, account: str) -> datetime | None:
        """Return when the newest candle announced for an account opened."""
        newest = select(candles.c.last).where(candles.c.account == account)
        return max(self._database.read(newest, lambda row: row.last), default=None)

    def blocks(self, account: str, at: datetime) -> Sequence[Block]:
        """Return the blocks of an account that stand at a time, oldest first."""
        return self._database.read(STANDING_BLOCKS, block_of, of_account=account, at=at)

    def records(self, account: str, since: datetime) -> Sequence[IntentRecord]:
        """Return the intents sent at or after a time, in the order they were admitted in."""
        sent = select(intents).where(intents.c.account == account, intents.c.sent_at >= since)
        return self._database.read(
            sent.order_by(intents.c.admitted_at, intents.c.client_id), record_of
        )

    def deals(self, account: str, since: datetime) -> Sequence[tuple[Deal, str]]:
        """Return the deals made at or after a time and the client id each executed, oldest first.

        The id of a deal that executed none of ours is empty.
        """
        made = select(deals).where(deals.c.account == account, deals.c.time >= since)
        return self._database.read(
            made.order_by(deals.c.time, deals.c.ticket),
            lambda row: (from_json(row.body, Deal), row.client_id),
        )

    def close(self) -> None:
        """Let go."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journal(url: str | None) -> JournalReader | None:
    """Look into the journal at `url`; ``None`` when there is none yet.

    Raises ConfigurationError when `url` names no database, JournalError or PermissionDeniedError
    when it cannot be read.
    """
    database = open_to_read(url)
    return None if database is None else JournalReader(database)
