"""Between the journal's values and the rows of its tables."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Row

from app.domain.orders import Block, BlockReason, Deal, Intent, IntentRecord, IntentState

T = TypeVar("T")
Values: TypeAlias = Mapping[str, object]

_encoder = msgspec.json.Encoder(enc_hook=str)
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def to_json(value: msgspec.Struct) -> str:
    """Return the text a value is kept as; Decimals are texts in it, times have their offset."""
    return _encoder.encode(value).decode()


def from_json(body: str, kind: type[T]) -> T:
    """Return the value kept as `body`; raises msgspec.ValidationError when it is none."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = msgspec.json.Decoder(kind, dec_hook=lambda wanted, text: wanted(text))
        _decoders[kind] = decoder
    value: T = decoder.decode(body)
    return value


def intent_row(account: str, record: IntentRecord, at: datetime) -> Values:
    """Return the row of an intent admitted at `at`."""
    intent = record.intent
    return {
        "account": account,
        "client_id": intent.client_id,
        "symbol": intent.symbol,
        "strategy": intent.strategy,
        "magic": intent.magic,
        "action": intent.action,
        "volume": intent.volume,
        "state": record.state,
        "ticket": record.ticket,
        "attempts": record.attempts,
        "filled": record.filled,
        "detail": record.detail,
        "admitted_at": at,
        "sent_at": record.sent_at,
        "body": to_json(intent),
    }


def changed_intent(account: str, record: IntentRecord) -> Values:
    """Return what changes in the row of an intent."""
    return {
        "of_account": account,
        "of_client_id": record.intent.client_id,
        "new_state": record.state,
        "new_ticket": record.ticket,
        "new_attempts": record.attempts,
        "new_filled": record.filled,
        "new_detail": record.detail,
        "new_sent_at": record.sent_at,
    }


def record_of(row: Row[Any]) -> IntentRecord:
    """Return what a row of ``intents`` says."""
    return IntentRecord(
        intent=from_json(row.body, Intent),
        state=IntentState(row.state),
        sent_at=row.sent_at,
        ticket=row.ticket,
        attempts=row.attempts,
        filled=row.filled,
        detail=row.detail,
    )


def deal_row(account: str, deal: Deal, client_id: str) -> Values:
    """Return the row of a deal and the intent it executed."""
    return {
        "account": account,
        "ticket": deal.ticket,
        "client_id": client_id,
        "volume": deal.volume,
        "price": deal.price,
        "time": deal.time,
        "body": to_json(deal),
    }


def block_row(account: str, block: Block) -> Values:
    """Return the row of a block that stands."""
    return {
        "account": account,
        "reason": block.reason,
        "detail": block.detail,
        "strategy": block.strategy,
        "since": block.since,
        "until": block.until,
    }


def block_of(row: Row[Any]) -> Block:
    """Return what a row of ``blocks`` says."""
    return Block(
        reason=BlockReason(row.reason),
        detail=row.detail,
        since=row.since,
        until=row.until,
        strategy=row.strategy,
    )
