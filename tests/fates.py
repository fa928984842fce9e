"""What can become of a request to a broker, and of the process that makes it."""

from decimal import Decimal
from enum import Enum

import msgspec

from app.domain.orders import BlockReason


class Killed(BaseException):
    """The process ends here, as kill -9 ends it."""


class Reply(Enum):
    """What we hear of a request."""

    TOLD = "told"
    LOST = "lost"
    REFUSED = "refused"
    SWAPPED = "swapped"
    """The answer to an earlier order comes instead."""


class Comment(Enum):
    """What the server makes of an order's comment."""

    KEPT = "kept"
    CUT = "cut"
    STRIPPED = "stripped"
    REPLACED = "replaced"

    def of(self, text: str) -> str:
        """Return what is left of `text`."""
        changed = {Comment.CUT: text[:8], Comment.STRIPPED: "", Comment.REPLACED: "dealer 17"}
        return changed.get(self, text)


class Death(Enum):
    """When the process is killed: before the request has any effect, or after all of it."""

    BEFORE = "before"
    AFTER = "after"


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a request, and what we hear of it.

    It is executed `times` times, filled after so many seconds (``None``: never), only `part` of it.
    For `unseen` seconds nothing of it is shown; then the deal or the position may be shown
    `deal_later` or `position_later` seconds after the other.
    """

    times: int = 1
    reply: Reply = Reply.TOLD
    fills_after: int | None = 0
    part: Decimal = Decimal(1)
    unseen: int = 0
    deal_later: int = 0
    position_later: int = 0
    comment: Comment = Comment.KEPT
    keeps_stop: bool = True
    reason: str = "refused"
    blocks: BlockReason | None = None
    moved: bool = False
    death: Death | None = None


FINE = Fate()
LOST_REPLY = Fate(reply=Reply.LOST)
NEVER_ARRIVED = Fate(reply=Reply.LOST, times=0)
REFUSED = Fate(reply=Reply.REFUSED)
MOVED = Fate(reply=Reply.REFUSED, reason="requote", moved=True)
