"""Position splitting: one entry becomes several orders, at most as many as the volume allows."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from app.domain.market import SymbolRules
from app.domain.signals import Direction
from app.risk.sizing import exact


class Scaling(StrEnum):
    """How the volume is spread over the legs, from the first to the last."""

    EQUAL = "equal"
    PYRAMID_UP = "pyramid_up"
    PYRAMID_DOWN = "pyramid_down"


class Split(msgspec.Struct, frozen=True):
    """How entries of a symbol are split.

    `legs` orders, `spacing_percent` % of the entry price apart, against the move; `risk_percent` of
    the balance is the most the whole group may lose at its stops (``None``: no cap).
    """

    legs: int = 1
    scaling: Scaling = Scaling.EQUAL
    spacing_percent: float = 0.1
    risk_percent: float | None = None


WHOLE = Split()


def leg_volumes(lots: Decimal, split: Split, rules: SymbolRules) -> tuple[Decimal, ...]:
    """Return the volumes of the legs `lots` are split into; empty when not even one is tradable.

    Each obeys the volume rules, rounded down, so that their sum never exceeds `lots`. Legs are
    given up until the smallest of them reaches the minimum volume.
    """
    for count in range(split.legs, 0, -1):
        weights = _weights(split.scaling, count)
        total = sum(weights)
        volumes = tuple(rules.volume(lots * weight / total) for weight in weights)
        if min(volumes) > 0:
            return volumes
    return ()


def _weights(scaling: Scaling, count: int) -> tuple[int, ...]:
    if scaling is Scaling.PYRAMID_UP:
        return tuple(range(1, count + 1))
    if scaling is Scaling.PYRAMID_DOWN:
        return tuple(range(count, 0, -1))
    return (1,) * count


def leg_price(
    entry: Decimal, leg: int, split: Split, direction: Direction, rules: SymbolRules
) -> Decimal:
    """Return the price of `leg` (0 is the first): further against the move with each leg."""
    away = direction.sign * exact(split.spacing_percent) * leg / 100
    return rules.price(entry * (1 - away))
