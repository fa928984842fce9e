"""What a journal may forget, so that it stays bounded (I26)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Delete, delete, or_, select

from app.adapters.journal.schema import blocks, deals, intents
from app.adapters.journal.statements import FINAL
from app.risk.plans import PositionPlan

BATCH = 1000
"""Rows a commit deletes: nobody waits long for the database meanwhile."""


def outdated(account: str, before: datetime, open_plans: Sequence[PositionPlan]) -> list[Delete]:
    """Return what deletes, batch by batch, the account's rows of before a time that ended.

    The intents and deals of open positions stay; attempts and transitions go with their intents.
    """
    entries = {key for plan in open_plans for key in (plan.client_id, *plan.joined)}
    executed = {ticket for plan in open_plans for ticket in plan.deals}
    return [
        _batch(
            account,
            intents.c.client_id,
            intents.c.state.in_(FINAL),
            intents.c.sent_at < before,
            intents.c.client_id.not_in(entries),
        ),
        _batch(account, deals.c.ticket, deals.c.time < before, deals.c.ticket.not_in(executed)),
        _batch(account, blocks.c.id, or_(blocks.c.lifted_at < before, blocks.c.until < before)),
    ]


def _batch(account: str, key: Column[Any], *ended: ColumnElement[bool]) -> Delete:
    table = key.table
    own = table.c.account == account
    return delete(table).where(own, key.in_(select(key).where(own, *ended).limit(BATCH)))
