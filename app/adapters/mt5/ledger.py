"""The deals of the account: fetched once, added to at every look, each told once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import msgspec

from app.adapters.mt5.dialect import WireDeal
from app.domain.orders import CloseReason, Deal, DealEntry
from app.domain.signals import Direction

OVERLAP = timedelta(hours=1)
"""How far behind the newest deal every look reads again: a deal may be shown late."""

_KEPT = timedelta(days=8)
_NOTHING = Decimal(0)
_BOUGHT = 0
_IN, _TURNED = 0, 2
_PERSON = 2
_REASONS = {
    4: CloseReason.STOP_LOSS,
    5: CloseReason.TAKE_PROFIT,
    6: CloseReason.STOP_OUT,
}


class Ledger:
    """The deals since `since` (UTC), which moves back when older ones are asked for."""

    def __init__(self, since: datetime) -> None:
        self.since = since
        self._deals: dict[int, Deal] = {}

    def next_since(self) -> datetime:
        """Return from when on the next look has to read."""
        newest = max((deal.time for deal in self._deals.values()), default=self.since)
        return max(self.since, newest - OVERLAP)

    def add(
        self, told: Iterable[WireDeal], held: Mapping[int, Decimal] = MappingProxyType({})
    ) -> list[Deal]:
        """Take deals in; return those that are new, oldest first.

        What lies before `since` was told long ago or never asked for: a bridge may list more than
        it was asked. `held` are the lots of each position before them, by ticket.
        """
        new = []
        asked_for = (wire for wire in told if wire.time >= self.since)
        for wire in sorted(asked_for, key=lambda wire: (wire.time, wire.ticket)):
            for deal in self._read(wire, held):
                if deal.ticket not in self._deals:
                    self._deals[deal.ticket] = deal
                    new.append(deal)
        return new

    def of(self, since: datetime) -> Sequence[Deal]:
        """Return the deals at or after `since`, oldest first."""
        found = [deal for deal in self._deals.values() if deal.time >= since]
        return sorted(found, key=lambda deal: (deal.time, abs(deal.ticket), -deal.ticket))

    def forget(self, now: datetime) -> None:
        """Let go of what is so old that it is fetched again if it is ever asked for."""
        horizon = now - _KEPT
        if self.since < horizon - _KEPT:
            self.since = horizon
            self._deals = {t: deal for t, deal in self._deals.items() if deal.time >= horizon}

    def _read(self, wire: WireDeal, held: Mapping[int, Decimal]) -> list[Deal]:
        """Return the deal; a turn of a netting position is what it closed, then what it opened.

        The part that opened has the ticket with a minus sign.
        """
        if not wire.is_trade:
            return [_deal(wire, DealEntry.IN, "")]
        if wire.entry == _TURNED:
            return self._turned(wire, held.get(wire.position_id))
        inward = wire.order == wire.position_id if wire.entry is None else wire.entry == _IN
        return [_deal(wire, DealEntry.IN if inward else DealEntry.OUT, wire.symbol)]

    def _turned(self, wire: WireDeal, held: Decimal | None) -> list[Deal]:
        before = held or sum(
            (
                deal.volume if deal.entry is DealEntry.IN else -deal.volume
                for deal in self._deals.values()
                if deal.position == wire.position_id and abs(deal.ticket) != wire.ticket
            ),
            _NOTHING,
        )
        closed = min(before, wire.volume) if before > 0 else wire.volume / 2
        out = msgspec.structs.replace(wire, volume=closed)
        rest = msgspec.structs.replace(
            wire,
            volume=wire.volume - closed,
            profit=_NOTHING,
            commission=_NOTHING,
            swap=_NOTHING,
            fee=_NOTHING,
            ticket=-wire.ticket,
        )
        return [_deal(out, DealEntry.OUT, wire.symbol), _deal(rest, DealEntry.IN, wire.symbol)]


def _deal(wire: WireDeal, entry: DealEntry, symbol: str) -> Deal:
    bought = (wire.type == _BOUGHT) is (entry is DealEntry.IN)
    reason = None
    if entry is DealEntry.OUT and wire.reason is not None:
        reason = CloseReason.MANUAL if wire.reason <= _PERSON else _REASONS.get(wire.reason)
    return Deal(
        ticket=wire.ticket,
        order=wire.order,
        position=wire.position_id,
        symbol=symbol,
        direction=Direction.LONG if bought else Direction.SHORT,
        entry=entry,
        volume=wire.volume,
        price=wire.price,
        profit=wire.profit,
        commission=wire.commission + wire.fee,
        swap=wire.swap,
        time=wire.time,
        magic=wire.magic,
        comment=wire.comment,
        reason=reason,
        funding=wire.is_funding,
    )
