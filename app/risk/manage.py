"""What a closed candle asks of an open position: move the stop, close a part, or all. Pure."""

from decimal import Decimal
from typing import TypeAlias

import msgspec

from app.domain.market import Candle, Quote, SymbolRules
from app.domain.orders import CloseReason
from app.domain.rules import StopKind, StopRule, StrategyRules
from app.domain.signals import Direction
from app.risk.plans import PlannedTarget, PositionPlan, guards
from app.risk.stops import Levels, trailed_stop


class MoveStop(msgspec.Struct, frozen=True):
    """Move the stop loss of a position, in its favour."""

    ticket: int
    stop: Decimal


class ClosePart(msgspec.Struct, frozen=True):
    """Close `volume` lots of a position; `leg` tells apart several parts on one candle."""

    ticket: int
    volume: Decimal
    reason: CloseReason
    leg: int = 0


Act: TypeAlias = MoveStop | ClosePart


def follows_candles(strategy: StrategyRules) -> bool:
    """Say whether the strategy has a rule that closed candles move: a stop or a profit guard.

    Where it has none, and its position no target or break-even left, no candle asks anything and
    none is shown to the plan. Rules that an edited strategy file brings to an open position begin
    with what the plan knows by then.
    """
    rule = strategy.risk.stop
    return bool(
        (rule is not None and (rule.kind is StopKind.INDICATOR or rule.trail_step is not None))
        or any(
            guard.profit_drawdown is not None or guard.profit_trailing is not None
            for guard in (strategy.long_exit, strategy.short_exit)
        )
    )


def manage(
    plan: PositionPlan,
    candle: Candle,
    levels: Levels,
    strategy: StrategyRules,
    *,
    rules: SymbolRules,
    quote: Quote,
) -> tuple[PositionPlan, tuple[Act, ...]]:
    """Return the plan after a closed candle of the strategy's trigger timeframe, and what to do.

    A short is closed at the ask: the candle's bid plus the spread of `quote`, the broker's newest.
    Of a candle that opened before the position only the close counts. A profit guard closes
    everything; otherwise the targets touched close their parts, and the stop goes to the best of
    where it is, break-even and where it trails. A stop nearer to the price or the quote than the
    broker allows waits for a later candle; a distance trailed is widened to what is allowed. The
    plan's stop is what the broker holds, so a move it refused is asked for again.
    """
    price, reach = _price_and_reach(plan, candle, quote)
    best = max(plan.best, reach) if plan.direction is Direction.LONG else min(plan.best, reach)
    profit = plan.direction.sign * (price - float(plan.entry))
    peak = max(plan.peak_profit, profit)
    if best != plan.best or peak != plan.peak_profit:
        plan = msgspec.structs.replace(plan, best=best, peak_profit=peak)
    if plan.free <= 0:
        return plan, ()
    if _given_back(plan, profit, price, strategy):
        return plan, (ClosePart(plan.ticket, plan.free, CloseReason.PROFIT_GUARD),)
    plan, acts = _targets(plan, reach, rules)
    stop = _better_stop(plan, price, levels, strategy.risk.stop, rules=rules, quote=quote)
    return plan, acts if stop is None else (*acts, MoveStop(plan.ticket, stop))


def take_targets(
    plan: PositionPlan, candle: Candle, *, rules: SymbolRules, quote: Quote
) -> tuple[PositionPlan, tuple[Act, ...]]:
    """Return the plan after a closed candle faster than the strategy's trigger, and what to do.

    Of what `manage` does, this need not wait for the slower candle: the targets touched close their
    parts, and the stop goes to break-even where one of them asked for it.
    """
    if plan.free <= 0:
        return plan, ()
    price, reach = _price_and_reach(plan, candle, quote)
    plan, acts = _targets(plan, reach, rules)
    stop = _better_stop(plan, price, {}, None, rules=rules, quote=quote)
    return plan, acts if stop is None else (*acts, MoveStop(plan.ticket, stop))


def _price_and_reach(plan: PositionPlan, candle: Candle, quote: Quote) -> tuple[float, float]:
    """Return the price the position could be closed at as the candle closed, and its best one."""
    long = plan.direction is Direction.LONG
    spread = 0.0 if long else quote.ask - quote.bid
    price = candle.close + spread
    if candle.time < plan.opened_at:
        return price, price
    return price, candle.high if long else candle.low + spread


def _given_back(plan: PositionPlan, profit: float, price: float, strategy: StrategyRules) -> bool:
    """Say whether a profit guard closes the position, which must have been in profit."""
    guard = guards(strategy, plan.direction)
    peak = plan.peak_profit
    if peak <= 0:
        return False
    if guard.profit_drawdown is not None and peak - profit >= guard.profit_drawdown * peak:
        return True
    if guard.profit_trailing is None:
        return False
    behind = plan.direction.sign * (plan.best - price)
    return behind >= guard.profit_trailing * float(plan.entry)


def _targets(
    plan: PositionPlan, reach: float, rules: SymbolRules
) -> tuple[PositionPlan, tuple[Act, ...]]:
    """Return the plan without the targets that `reach` touched, and the parts they close."""
    if not plan.targets:
        return plan, ()
    sign, reached = plan.direction.sign, rules.price(reach)
    touched: list[PlannedTarget] = []
    for target in plan.targets:
        if sign * (reached - target.price) < 0:
            break
        touched.append(target)
    if not touched:
        return plan, ()
    acts = []
    free = plan.free
    first = plan.targets_hit
    for at, target in enumerate(touched):
        volume = min(target.volume, free)
        if volume > 0:
            acts.append(ClosePart(plan.ticket, volume, CloseReason.TARGET, first + at))
            free -= volume
    plan = msgspec.structs.replace(
        plan,
        targets=plan.targets[len(touched) :],
        targets_hit=first + len(touched),
        break_even=plan.break_even or any(target.move_stop for target in touched),
    )
    return plan, tuple(acts)


def _better_stop(
    plan: PositionPlan,
    price: float,
    levels: Levels,
    rule: StopRule | None,
    *,
    rules: SymbolRules,
    quote: Quote,
) -> Decimal | None:
    """Return where the stop should go; ``None`` when it should not move."""
    trailed = None
    if rule is not None:
        trailed = trailed_stop(
            rule,
            plan.direction,
            entry=plan.entry,
            best=plan.best,
            price=price,
            levels=levels,
            rules=rules,
        )
    if trailed is None and not plan.break_even:
        return None
    sign = plan.direction.sign
    market = rules.price(quote.bid if plan.direction is Direction.LONG else quote.ask)
    worse = min(rules.price(price), market, key=lambda at: sign * at)
    nearest = worse - sign * max(rules.stops_level, 1) * rules.point
    wanted = [plan.entry] if plan.break_even else []
    if rule is not None and trailed is not None:
        follows = rule.kind is StopKind.INDICATOR
        wanted.append(trailed if follows else sign * min(sign * trailed, sign * nearest))
    stops = [
        stop
        for stop in wanted
        if sign * (nearest - stop) >= 0 and (plan.stop is None or sign * (stop - plan.stop) > 0)
    ]
    return max(stops, key=lambda stop: sign * stop, default=None)
