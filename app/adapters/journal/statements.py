"""What the journal asks and tells its database, built once. Values are bound by name.

Names that begin with ``of_`` or ``new_`` keep apart what a row is found by and what it becomes.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Insert,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.journal.schema import (
    Utc,
    attempts,
    blocks,
    candles,
    deals,
    intents,
    plans,
    states,
    transitions,
    writers,
)
from app.domain.orders import IntentState

FINAL = tuple(state for state in IntentState if state.final)

_ACCOUNT: BindParameter[str] = bindparam("of_account")
_AT = bindparam("at", type_=Utc)
_CHANGING = ("state", "ticket", "attempts", "filled", "detail", "sent_at")

_own_intents = select(intents).where(intents.c.account == _ACCOUNT)
INTENT = _own_intents.where(intents.c.client_id == bindparam("of_client_id"))
INTENT_OF_ORDER = (
    _own_intents.where(intents.c.ticket == bindparam("of_ticket"))
    .order_by(intents.c.admitted_at.desc())
    .limit(1)
)
UNSETTLED = _own_intents.where(intents.c.state.not_in(FINAL)).order_by(
    intents.c.admitted_at, intents.c.client_id
)
DEAL = select(deals.c.ticket).where(
    deals.c.account == _ACCOUNT, deals.c.ticket == bindparam("of_ticket")
)
CANDLES = select(candles).where(candles.c.account == _ACCOUNT)
PLANS = select(plans.c.body).where(plans.c.account == _ACCOUNT)
STATES = select(states).where(states.c.account == _ACCOUNT)

_standing = and_(
    blocks.c.account == _ACCOUNT,
    blocks.c.lifted_at.is_(None),
    or_(blocks.c.until.is_(None), blocks.c.until > _AT),
)
STANDING_BLOCKS = select(blocks).where(_standing).order_by(blocks.c.id)
LIFT = (
    update(blocks)
    .where(_standing, blocks.c.reason.in_(bindparam("of_reasons", expanding=True)))
    .values(lifted_at=_AT, lifted_by=bindparam("new_by"))
)

WRITER = select(writers).where(writers.c.account == _ACCOUNT).with_for_update()
NEW_WRITER = (
    update(writers)
    .where(writers.c.account == _ACCOUNT)
    .values({name: bindparam(f"new_{name}") for name in ("epoch", "holder", "at")})
)
FIRST_WRITER = insert(writers)

NEW_INTENT = insert(intents)
NEW_ATTEMPT = insert(attempts)
NEW_TRANSITION = insert(transitions)
NEW_DEAL = insert(deals)
NEW_BLOCK = insert(blocks)
CHANGED_INTENT = (
    update(intents)
    .where(intents.c.account == _ACCOUNT, intents.c.client_id == bindparam("of_client_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
DROPPED_PLAN = delete(plans).where(
    plans.c.account == _ACCOUNT, plans.c.ticket == bindparam("of_ticket")
)

_INSERTS: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


@lru_cache
def upsert(table: Table, dialect: str) -> Insert:
    """Return what inserts a row, or replaces the one with its key."""
    statement = _INSERTS[dialect](table)
    complete: Insert = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={
            column.name: statement.excluded[column.name]
            for column in table.columns
            if not column.primary_key
        },
    )
    return complete
