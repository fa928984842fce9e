"""Names that orders carry: client ids that are a function of their intent, magics of strategies.

The same decision always yields the same id, so a repeated one is recognised and not sent again.
"""

from base64 import b32encode
from datetime import datetime
from hashlib import blake2b

import msgspec

from app.domain.market import Timeframe
from app.domain.orders import Action, CloseReason
from app.domain.signals import Direction

CLIENT_ID_LENGTH = 15
"""Characters of a client id, which stands first in an order's comment (of 31 at most)."""

_MAGIC_LIMIT = 2**53


def client_id(
    account: int,
    strategy: str,
    symbol: str,
    timeframe: Timeframe,
    candle_time: datetime,
    *,
    action: Action,
    leg: int,
    direction: Direction | None = None,
    ticket: int = 0,
    reason: CloseReason | None = None,
) -> str:
    """Return the id of an intent: 15 characters of A-Z and 2-7, 72 bits of its key's BLAKE2b.

    `candle_time` is when the deciding candle opened. `direction` tells apart two entries of one
    candle, `ticket` and `reason` its exits.
    """
    place = (account, strategy, symbol, str(timeframe), candle_time, action, leg)
    key = msgspec.json.encode((*place, direction, ticket, reason))
    digest = blake2b(key, digest_size=9).digest()
    return b32encode(digest).decode("ascii")[:CLIENT_ID_LENGTH]


def client_id_in(comment: str) -> str:
    """Return the client id an order's comment starts with (or whatever stands in its place)."""
    return comment[:CLIENT_ID_LENGTH]


def magic_of(strategy: str) -> int:
    """Return the number of a strategy on its orders: positive, below 2**53 (exact in JSON)."""
    digest = blake2b(strategy.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (_MAGIC_LIMIT - 1) + 1
