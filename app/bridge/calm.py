"""When nothing can be stopped out, so that not every tick needs the whole account valued."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

import msgspec

from app.bridge.values import Tick

_LASTS = timedelta(minutes=10)
"""How long it holds at most: the currencies that profits come in move too."""
_LARGEST = Decimal(1)


class Calm(msgspec.Struct, frozen=True):
    """Between which bid and ask of each symbol nothing is stopped out, while the books are as old.

    `until` is market time, aware UTC; `version` is the ledger's.
    """

    until: datetime
    version: int
    ranges: Mapping[str, tuple[Decimal, Decimal]]

    @classmethod
    def after(cls, now: datetime, version: int, ticks: Iterable[Tick], spare: Decimal) -> Self:
        """Return the calm after a look at the account, whose positions left `spare` equity.

        That is a part of all their worth: as much as every price may move against them. Half of it
        is granted.
        """
        part = min(spare, _LARGEST) / 2
        ranges = {tick.symbol: (tick.bid * (1 - part), tick.ask * (1 + part)) for tick in ticks}
        return cls(now + _LASTS, version, ranges)

    def holds(self, tick: Tick, version: int) -> bool:
        """Say whether a tick leaves everything in calm."""
        if version != self.version or tick.time > self.until:
            return False
        low, high = self.ranges.get(tick.symbol, (tick.bid, tick.ask))
        return low <= tick.bid and tick.ask <= high
