"""Where stops and targets stand. Pips become prices here; all results obey the symbol's digits."""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from app.domain.market import SymbolRules
from app.domain.rules import ColumnRef, StopKind, StopRule, TargetKind, TargetRule
from app.domain.signals import Direction
from app.risk.sizing import exact

Levels = Mapping[ColumnRef, float | None]
"""The values of the columns a risk block reads; ``None`` while not ready."""


def level(levels: Levels, source: ColumnRef | None) -> float | None:
    """Return the value of `source`, ``None`` when it is not ready or no column is asked for."""
    return levels.get(source) if source is not None else None


def pips(distance: float, rules: SymbolRules) -> Decimal:
    """Return `distance` pips as a distance in price."""
    return exact(distance) * rules.pip


def initial_stop(
    rule: StopRule | None, direction: Direction, entry: Decimal, levels: Levels, rules: SymbolRules
) -> Decimal | None:
    """Return the stop an entry at `entry` starts with; ``None`` without one.

    A monetary stop depends on the volume: see `monetary_stop`. A trailing stop starts `cap` pips
    away, or `trail_step` pips when there is no cap.
    """
    if rule is None or rule.kind is StopKind.MONETARY:
        return None
    if rule.kind is StopKind.INDICATOR:
        return indicator_stop(rule, direction, levels, rules)
    if rule.kind is StopKind.FIXED:
        distance = rule.value
    else:
        distance = rule.cap if rule.cap is not None else rule.trail_step or 0.0
    return rules.price(entry - direction.sign * pips(distance, rules))


def indicator_stop(
    rule: StopRule, direction: Direction, levels: Levels, rules: SymbolRules
) -> Decimal | None:
    """Return the stop `offset` pips beyond its column; ``None`` while the column is not ready."""
    value = level(levels, rule.source)
    if value is None:
        return None
    return rules.price(exact(value) - direction.sign * pips(rule.offset, rules))


def monetary_stop(
    money: Decimal,
    direction: Direction,
    entry: Decimal,
    *,
    volume: Decimal,
    money_per_lot: Decimal,
    rules: SymbolRules,
) -> Decimal:
    """Return the stop at which `volume` lots lose at most `money` of the account's currency."""
    distance = (money / (volume * money_per_lot)).quantize(rules.point, ROUND_DOWN)
    return rules.price(entry - direction.sign * distance)


def target_prices(
    rule: TargetRule | None,
    direction: Direction,
    entry: Decimal,
    levels: Levels,
    rules: SymbolRules,
) -> tuple[Decimal, ...]:
    """Return where profit is taken, nearest first; the last is the take profit the broker holds."""
    if rule is None:
        return ()
    if rule.kind is TargetKind.INDICATOR:
        value = level(levels, rule.source)
        return () if value is None else (rules.price(value),)
    if rule.kind is TargetKind.MULTI:
        return tuple(
            percent_away(target.distance_percent, direction, entry, rules)
            for target in rule.targets
        )
    return (rules.price(entry + direction.sign * pips(rule.value, rules)),)


def percent_away(
    percent: float, direction: Direction, entry: Decimal, rules: SymbolRules
) -> Decimal:
    """Return the price `percent` % of `entry` away from it, in the position's favour."""
    return rules.price(entry * (1 + direction.sign * exact(percent) / 100))


def trailed_stop(
    rule: StopRule,
    direction: Direction,
    *,
    entry: Decimal,
    best: float,
    price: float,
    levels: Levels,
    rules: SymbolRules,
) -> Decimal | None:
    """Return where a moving stop should stand now; ``None`` when the rule does not move it (yet).

    `best` is the best price since the entry, `price` the newest one. An indicator stop follows its
    column; the others stand `trail_step` pips behind `price` once `best` was `activation` pips
    ahead of the entry. The caller never moves a stop against the position.
    """
    if rule.kind is StopKind.INDICATOR:
        return indicator_stop(rule, direction, levels, rules)
    if rule.trail_step is None:
        return None
    ahead = direction.sign * (exact(best) - entry)
    if ahead <= 0 or ahead < pips(rule.activation, rules):
        return None
    return rules.price(exact(price) - direction.sign * pips(rule.trail_step, rules))
