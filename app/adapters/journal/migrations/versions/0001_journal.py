"""The first journal."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, ForeignKeyConstraint, Integer, Text

revision = "0001"
down_revision = None

UTC = DateTime(timezone=True)
SERIAL = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "candles",
        Column("account", Text, primary_key=True),
        Column("symbol", Text, primary_key=True),
        Column("timeframe", Text, primary_key=True),
        Column("last", UTC, nullable=False),
    )
    _make_intents()
    op.create_table(
        "deals",
        Column("account", Text, primary_key=True),
        Column("ticket", BigInteger, primary_key=True, autoincrement=False),
        Column("client_id", Text, nullable=False),
        Column("volume", Text, nullable=False),
        Column("price", Text, nullable=False),
        Column("time", UTC, nullable=False),
        Column("body", Text, nullable=False),
    )
    _index("deals", "account", "client_id")
    _index("deals", "account", "time")
    op.create_table(
        "plans",
        Column("account", Text, primary_key=True),
        Column("ticket", BigInteger, primary_key=True, autoincrement=False),
        Column("body", Text, nullable=False),
    )
    op.create_table(
        "blocks",
        Column("id", SERIAL, primary_key=True),
        Column("account", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("detail", Text, nullable=False),
        Column("strategy", Text, nullable=False),
        Column("since", UTC, nullable=False),
        Column("until", UTC),
        Column("lifted_at", UTC),
        Column("lifted_by", Text),
    )
    _index("blocks", "account", "lifted_at")
    op.create_table(
        "states",
        Column("account", Text, primary_key=True),
        Column("name", Text, primary_key=True),
        Column("text", Text, nullable=False),
    )
    op.create_table(
        "writers",
        Column("account", Text, primary_key=True),
        Column("epoch", BigInteger, nullable=False),
        Column("holder", Text, nullable=False),
        Column("at", UTC, nullable=False),
    )


def _make_intents() -> None:
    op.create_table(
        "intents",
        Column("account", Text, primary_key=True),
        Column("client_id", Text, primary_key=True),
        Column("symbol", Text, nullable=False),
        Column("strategy", Text, nullable=False),
        Column("magic", BigInteger, nullable=False),
        Column("action", Text, nullable=False),
        Column("volume", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("ticket", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("filled", Text, nullable=False),
        Column("detail", Text, nullable=False),
        Column("admitted_at", UTC, nullable=False),
        Column("sent_at", UTC, nullable=False),
        Column("body", Text, nullable=False),
    )
    _index("intents", "account", "state")
    _index("intents", "account", "ticket")
    op.create_table(
        "attempts",
        Column("account", Text, primary_key=True),
        Column("client_id", Text, primary_key=True),
        Column("n", Integer, primary_key=True, autoincrement=False),
        Column("at", UTC, nullable=False),
        _belongs_to_an_intent("attempts"),
    )
    op.create_table(
        "transitions",
        Column("id", SERIAL, primary_key=True),
        Column("account", Text, nullable=False),
        Column("client_id", Text, nullable=False),
        Column("at", UTC, nullable=False),
        Column("state", Text, nullable=False),
        Column("ticket", BigInteger, nullable=False),
        Column("detail", Text, nullable=False),
        Column("correlation_id", Text, nullable=False),
        _belongs_to_an_intent("transitions"),
    )
    _index("transitions", "account", "client_id")


def _belongs_to_an_intent(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["account", "client_id"],
        ["intents.account", "intents.client_id"],
        name=f"fk_{table}_intents",
        ondelete="CASCADE",
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
