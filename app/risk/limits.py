"""What may reach a broker: the limits, and the one type that proves they were asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from app.domain.broker_time import ServerTime
from app.domain.market import SymbolRules
from app.domain.orders import Action, BlockReason, Intent, OrderKind, Position, Refusal
from app.domain.rules import StrategyRules
from app.domain.signals import Direction
from app.risk.restrictions import Restrictions
from app.risk.schedule import is_open
from app.risk.sizing import Market

_NOTHING = Decimal(0)


class ApprovedOrder(msgspec.Struct, frozen=True):
    """An intent that passed the limits. Only this module makes one; only it reaches a broker."""

    intent: Intent


class RiskLimits(msgspec.Struct, frozen=True):
    """The account's limits.

    `daily_loss_limit` and `max_drawdown` are account currency (``None``: disabled), the latter what
    the result of all trades may lie below its best; `max_positions` counts positions and orders of
    the whole account, each leg of a split entry as one; `max_position_size` is lots of one entry,
    all its legs together; `max_symbol_volume` and `max_total_volume` are lots open and on their way
    in one symbol and in all; `positions_per_direction` counts entries per strategy and direction, a
    split one once. What has no stop loss counts as losing nothing more at its stop: only
    `daily_loss_limit` itself, once the loss is there, then holds entries back.
    """

    daily_loss_limit: Decimal | None
    max_positions: int
    max_position_size: Decimal
    positions_per_direction: int = 1
    max_drawdown: Decimal | None = None
    max_symbol_volume: Decimal | None = None
    max_total_volume: Decimal | None = None


class EntryRules(msgspec.Struct, frozen=True):
    """What every entry of a run is held against; plans of positions keep to it too."""

    limits: RiskLimits
    restrictions: Restrictions
    server_time: ServerTime


class Moment(msgspec.Struct, frozen=True):
    """The situation of one signal: the deciding candle closed at `at` (UTC).

    `open_entries` counts the entries of its strategy and direction that are open or on their way.
    `netted_with` names the other strategy whose position the entry would become part of, on a
    netting account. `doubt` is why what is known of account and market is not good enough.
    """

    at: datetime
    late: bool
    reduce_only: bool
    open_entries: int
    netted_with: str = ""
    doubt: Refusal | None = None


class Exposure(msgspec.Struct, frozen=True):
    """What the account has at stake, pessimistically; money in account currency.

    `taken` counts positions, waiting orders and orders on their way. `realised` is the net result
    of the broker's day, `floating` that of what is open; `at_risk` is what all of it can still lose
    from its entry prices at its stops. `volumes` are lots by symbol. `drawdown` is how far the
    result of all trades lies below its best.
    """

    taken: int
    realised: Decimal
    floating: Decimal
    at_risk: Decimal
    volumes: Mapping[str, Decimal] = {}
    drawdown: Decimal = _NOTHING


class Clearance(msgspec.Struct, frozen=True):
    """Proof that the moment allows an entry. Only `clear_moment` makes one."""

    limits: RiskLimits


def clear_moment(
    strategy: StrategyRules, moment: Moment, symbol: SymbolRules, rules: EntryRules
) -> Clearance | Refusal:
    """Return why nothing is opened now, whatever the order would be, or that it may be.

    Asked in this order: reduce-only, late candle, doubts about account and market, schedule, news,
    holiday and market close, position open, netted with another strategy's position.
    """
    refusal = (
        _refuse_trading(moment)
        or moment.doubt
        or _refuse_time(strategy, moment.at, symbol, rules)
        or _refuse_standing(moment, symbol, rules.limits)
    )
    return refusal or Clearance(rules.limits)


def approve_entry(
    intents: Sequence[Intent], *, clearance: Clearance, exposure: Exposure, market: Market
) -> tuple[ApprovedOrder, ...] | Refusal:
    """Return the orders of one entry if every limit allows them together, else the first refusal.

    Asked in this order, the moment being clear: number of positions, size, lots in the symbol and
    in all, the day's loss and the drawdown, the loss at the stops, stops too close to the market.
    """
    limits = clearance.limits
    refusal = (
        _refuse_number(intents, exposure, limits)
        or _refuse_size(intents, limits)
        or _refuse_volume(intents, exposure, limits)
        or breached(exposure, limits)
        or _refuse_loss(intents, exposure, market, limits)
        or _refuse_stops(intents, market)
    )
    return refusal or tuple(ApprovedOrder(intent) for intent in intents)


def breached(exposure: Exposure, limits: RiskLimits) -> Refusal | None:
    """Return which loss the account must not exceed is there, open positions counted."""
    result = exposure.realised + exposure.floating
    if limits.daily_loss_limit is not None and result <= -limits.daily_loss_limit:
        return Refusal(
            BlockReason.DAILY_LOSS_LIMIT,
            f"today's result is {result:.2f}, risk.daily_loss_limit is {limits.daily_loss_limit}",
        )
    if limits.max_drawdown is not None and exposure.drawdown >= limits.max_drawdown:
        return Refusal(
            BlockReason.MAX_DRAWDOWN,
            f"the result is {exposure.drawdown:.2f} below its best, "
            f"risk.max_drawdown is {limits.max_drawdown}",
        )
    return None


def approve_exit(intent: Intent) -> ApprovedOrder:
    """Approve the exit of a position, always: what blocks entries never blocks it.

    Raises:
        ValueError: the intent is no exit, or names no position.

    """
    if intent.action is not Action.EXIT or intent.ticket is None:
        raise ValueError(f"{intent.client_id} is not the exit of a position")
    return ApprovedOrder(intent)


def loss_at_stop(
    direction: Direction,
    entry: Decimal | None,
    stop: Decimal | None,
    volume: Decimal,
    money_per_lot: Decimal,
) -> Decimal:
    """Return what is lost from `entry` to `stop`, account currency; 0 without one of them."""
    if entry is None or stop is None:
        return _NOTHING
    return max(_NOTHING, direction.sign * (entry - stop) * money_per_lot * volume)


def entry_risk(intent: Intent, market: Market) -> Decimal:
    """Return what an entry loses at its stop loss, account currency; 0 without one."""
    entry = intent.price or market.entry_price(intent.direction)
    return loss_at_stop(
        intent.direction, entry, intent.stop_loss, intent.volume, market.money_per_lot
    )


def position_risk(position: Position, money_per_lot: Decimal) -> Decimal:
    """Return the worse of what a position has lost by now and what it loses at its stop."""
    loss = loss_at_stop(
        position.direction,
        position.price_open,
        position.stop_loss,
        position.volume,
        money_per_lot,
    )
    return max(loss, -position.profit - position.swap)


def _refuse_trading(moment: Moment) -> Refusal | None:
    if moment.reduce_only:
        return Refusal(BlockReason.REDUCE_ONLY, "no new trades: open positions are only reduced")
    if moment.late:
        closed = f"{moment.at:%H:%M:%S}Z"
        return Refusal(BlockReason.LATE_CANDLE, f"the candle that closed {closed} came late")
    return None


def _refuse_time(
    strategy: StrategyRules, at: datetime, symbol: SymbolRules, rules: EntryRules
) -> Refusal | None:
    if strategy.schedule is not None:
        wall = rules.server_time.wall(at)
        if not is_open(strategy.schedule, wall):
            return Refusal(BlockReason.OUTSIDE_SCHEDULE, f"{wall:%a %H:%M} broker's time")
    return rules.restrictions.refuse(symbol, at, rules.server_time)


def _refuse_standing(moment: Moment, symbol: SymbolRules, limits: RiskLimits) -> Refusal | None:
    allowed = limits.positions_per_direction
    if moment.open_entries >= allowed:
        return Refusal(
            BlockReason.POSITION_OPEN,
            f"{moment.open_entries} open or on the way, {allowed} allowed in this direction",
        )
    if moment.netted_with:
        return Refusal(
            BlockReason.NETTED_BY_ANOTHER,
            f"{symbol.symbol} is one net position, held by {moment.netted_with}",
        )
    return None


def _refuse_number(
    intents: Sequence[Intent], exposure: Exposure, limits: RiskLimits
) -> Refusal | None:
    if exposure.taken + len(intents) <= limits.max_positions:
        return None
    return Refusal(
        BlockReason.MAX_POSITIONS,
        f"{exposure.taken} positions and orders, {len(intents)} more wanted, "
        f"risk.max_positions is {limits.max_positions}",
    )


def _refuse_size(intents: Sequence[Intent], limits: RiskLimits) -> Refusal | None:
    volume = sum((intent.volume for intent in intents), _NOTHING)
    if volume <= limits.max_position_size:
        return None
    return Refusal(
        BlockReason.MAX_POSITION_SIZE,
        f"{volume} lots wanted, risk.max_position_size is {limits.max_position_size}",
    )


def _refuse_volume(
    intents: Sequence[Intent], exposure: Exposure, limits: RiskLimits
) -> Refusal | None:
    wanted = sum((intent.volume for intent in intents), _NOTHING)
    symbol = intents[0].symbol
    held = exposure.volumes.get(symbol, _NOTHING)
    if limits.max_symbol_volume is not None and held + wanted > limits.max_symbol_volume:
        return Refusal(
            BlockReason.MAX_SYMBOL_VOLUME,
            f"{held} lots of {symbol} and {wanted} more wanted, "
            f"risk.max_symbol_volume is {limits.max_symbol_volume}",
        )
    total = sum(exposure.volumes.values(), _NOTHING)
    if limits.max_total_volume is not None and total + wanted > limits.max_total_volume:
        return Refusal(
            BlockReason.MAX_TOTAL_VOLUME,
            f"{total} lots in all and {wanted} more wanted, "
            f"risk.max_total_volume is {limits.max_total_volume}",
        )
    return None


def _refuse_loss(
    intents: Sequence[Intent], exposure: Exposure, market: Market, limits: RiskLimits
) -> Refusal | None:
    limit = limits.daily_loss_limit
    if limit is None:
        return None
    result = exposure.realised + exposure.floating
    loss = sum((entry_risk(intent, market) for intent in intents), _NOTHING)
    left = limit + min(result, exposure.realised - exposure.at_risk)
    if loss <= left:
        return None
    return Refusal(
        BlockReason.LOSS_AT_RISK,
        f"{loss:.2f} lost at the stop, {max(left, _NOTHING):.2f} left of risk.daily_loss_limit "
        f"{limit} with everything open stopped out",
    )


def _refuse_stops(intents: Sequence[Intent], market: Market) -> Refusal | None:
    symbol = market.rules
    least = max(symbol.stops_level, 1) * symbol.point
    for intent in intents:
        sign = intent.direction.sign
        price = market.exit_price(intent.direction)
        if intent.kind is not OrderKind.MARKET and intent.price is not None:
            price = intent.price
        for name, stop, side in (
            ("stop loss", intent.stop_loss, sign),
            ("take profit", intent.take_profit, -sign),
        ):
            if stop is not None and side * (price - stop) < least:
                return Refusal(
                    BlockReason.STOP_TOO_CLOSE,
                    f"{name} {stop} for {intent.direction} at {price}: at least {least} away",
                )
    return None
