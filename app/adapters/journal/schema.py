"""The journal's tables, the same in SQLite and PostgreSQL.

Every row belongs to an `account`: ``server:login``, or ``paper``. Decimals are kept as their text,
times as UTC, whole values (intents, deals, plans) as JSON beside the columns that are asked for.
``migrations`` makes these tables; a test holds the two together.
"""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

VERSION_TABLE = "journal_version"
HEAD = "0001"
"""The newest revision in ``migrations/versions``."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the key is an INTEGER."""


class Utc(TypeDecorator[datetime]):
    """An aware UTC time; SQLite, which knows no zones, keeps it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what the database keeps."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Exact(TypeDecorator[Decimal]):
    """A Decimal as its text, digit by digit."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, _dialect: Dialect) -> str | None:
        """Return its text."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Decimal | None:
        """Return the number that was kept."""
        return None if value is None else Decimal(value)


METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _account() -> Column[str]:
    return Column("account", Text, primary_key=True)


candles = Table(
    "candles",
    METADATA,
    _account(),
    Column("symbol", Text, primary_key=True),
    Column("timeframe", Text, primary_key=True),
    Column("last", Utc, nullable=False),
)
"""The open time of the last candle announced of each series."""

intents = Table(
    "intents",
    METADATA,
    _account(),
    Column("client_id", Text, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("magic", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("volume", Exact, nullable=False),
    Column("state", Text, nullable=False),
    Column("ticket", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("filled", Exact, nullable=False),
    Column("detail", Text, nullable=False),
    Column("admitted_at", Utc, nullable=False),
    Column("sent_at", Utc, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "account", "state"),
    Index(None, "account", "ticket"),
)
"""What we wanted done, and where it is: one row an intent, for good."""


def _belongs_to_an_intent() -> ForeignKeyConstraint:
    """Return the key that lets a row go with its intent."""
    return ForeignKeyConstraint(
        ["account", "client_id"], ["intents.account", "intents.client_id"], ondelete="CASCADE"
    )


attempts = Table(
    "attempts",
    METADATA,
    _account(),
    Column("client_id", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at", Utc, nullable=False),
    _belongs_to_an_intent(),
)
"""Each time an intent was sent, written before it left."""

transitions = Table(
    "transitions",
    METADATA,
    Column("id", Serial, primary_key=True),
    Column("account", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("state", Text, nullable=False),
    Column("ticket", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    _belongs_to_an_intent(),
    Index(None, "account", "client_id"),
)
"""What was learned of an intent, in order; rows are only added."""

deals = Table(
    "deals",
    METADATA,
    _account(),
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
    Column("client_id", Text, nullable=False),
    Column("volume", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("time", Utc, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "account", "client_id"),
    Index(None, "account", "time"),
)
"""Deals of the broker's ledger and the intent each executed; "" for none of ours."""

plans = Table(
    "plans",
    METADATA,
    _account(),
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
"""The plans of open positions."""

blocks = Table(
    "blocks",
    METADATA,
    Column("id", Serial, primary_key=True),
    Column("account", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("since", Utc, nullable=False),
    Column("until", Utc),
    Column("lifted_at", Utc),
    Column("lifted_by", Text),
    Index(None, "account", "lifted_at"),
)
"""Why no position was opened, and who ended it."""

states = Table(
    "states",
    METADATA,
    _account(),
    Column("name", Text, primary_key=True),
    Column("text", Text, nullable=False),
)
"""Texts kept under a name: the paper account, what the limits must remember."""

writers = Table(
    "writers",
    METADATA,
    _account(),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("at", Utc, nullable=False),
)
"""Who writes for the account: each new writer counts `epoch` up, and the one before is out."""
