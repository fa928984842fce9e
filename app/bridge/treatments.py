"""Faults at the order desk and the broker, as a treatment that differs from the proper one."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from app.bridge.faults import Fault, What
from app.bridge.retcodes import Retcode
from app.bridge.values import NEVER

_UNSEEN = 180.0
"""Seconds of the market for which an order is in no list, unless said otherwise."""
_COMMENT_LEFT = 20
"""Characters of a comment that is cut, unless said otherwise."""


def treatment_of(fault: Fault) -> dict[str, object]:
    """Return the fields of `Treatment` that a fault changes."""
    change = _CHANGES.get(fault.what)
    return {} if change is None else change(fault)


def _told(fault: Fault) -> dict[str, object]:
    return {"retcode": fault.retcode, "ticket": fault.ticket, "executed": fault.executes}


_CHANGES: Mapping[What, Callable[[Fault], dict[str, object]]] = {
    What.RETCODE: _told,
    What.SUCCESS_TEXT: _told,
    What.REQUOTE: lambda _: {"retcode": int(Retcode.REQUOTE), "executed": False},
    What.INVISIBLE: lambda fault: {"hidden_for": fault.seconds or _UNSEEN},
    What.PLACED: lambda fault: {"fill_after": fault.seconds or NEVER},
    What.PARTIAL: lambda fault: {"filled_part": Decimal(str(fault.fraction))},
    What.SLIPPAGE: lambda fault: {"slippage": fault.points},
    What.NO_STOPS: lambda _: {"drops_stops": True},
    What.CUT_COMMENT: lambda fault: {"comment_length": fault.count or _COMMENT_LEFT},
    What.STRIP_COMMENT: lambda _: {"comment_text": ""},
    What.REPLACE_COMMENT: lambda fault: {"comment_text": fault.text or "broker"},
}
