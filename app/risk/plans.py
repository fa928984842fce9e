"""What we mean to do with an open position, and how the broker's deals change it. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from app.domain.market import SymbolRules, Timeframe
from app.domain.orders import Action, CloseReason, Deal, DealEntry, Intent, OrderKind, Position
from app.domain.rules import (
    GuardedExit,
    SessionHandling,
    StrategyRules,
    TargetKind,
)
from app.domain.signals import Direction
from app.risk.ids import client_id, client_id_in
from app.risk.limits import EntryRules
from app.risk.schedule import next_end
from app.risk.sizing import part_volumes
from app.risk.stops import target_prices

_NOTHING = Decimal(0)


class PlannedTarget(msgspec.Struct, frozen=True):
    """A price at which `volume` lots are closed (possibly none), then the stop moved or not."""

    price: Decimal
    volume: Decimal
    move_stop: bool


class Deadline(msgspec.Struct, frozen=True):
    """When the position, or `half` of it, is closed whatever the market does."""

    at: datetime
    reason: CloseReason
    half: bool = False

    def lots(self, plan: "PositionPlan", rules: SymbolRules) -> Decimal:
        """Return the lots to close of what is free; 0 where half of it is below the minimum."""
        if self.half:
            return min(part_volumes(plan.volume, (50.0, 50.0), rules)[0], plan.free)
        return plan.free


class PositionPlan(msgspec.Struct, frozen=True):
    """The plan of the open position `ticket`.

    Volumes are lots: `opened` in all, `volume` still open, `closing` of it on its way out, `owed`
    of it refused, to be asked for again; `exit_reason` says what for. `entry` is the average price,
    `stop` and `take_profit` what the broker holds. `targets` are those before the last, which is
    the take profit. `best` is the best price since the entry, `peak_profit` the best closing one,
    in price. `realised` is the net of `deals` (tickets) in account currency. `break_even` asks for
    a stop at the entry. `timeframe` triggers the strategy. `joined` are the keys of further entries
    that a netting account added to the position. `untold` lots of the volume, as the broker shows
    it, are in no deal it has told yet; negative ones are missing for the same reason.
    """

    ticket: int
    client_id: str
    strategy: str
    magic: int
    symbol: str
    timeframe: Timeframe
    direction: Direction
    opened_at: datetime
    entry: Decimal
    opened: Decimal
    volume: Decimal
    best: float
    stop: Decimal | None = None
    take_profit: Decimal | None = None
    targets: tuple[PlannedTarget, ...] = ()
    targets_hit: int = 0
    peak_profit: float = 0.0
    break_even: bool = False
    group: str = ""
    realised: Decimal = _NOTHING
    closing: Decimal = _NOTHING
    owed: Decimal = _NOTHING
    exit_reason: CloseReason | None = None
    deals: tuple[int, ...] = ()
    due: Deadline | None = None
    joined: tuple[str, ...] = ()
    untold: Decimal = _NOTHING

    @property
    def entry_keys(self) -> tuple[str, ...]:
        """What the entries in it are counted by: their groups, else their orders."""
        return (self.group or self.client_id, *self.joined)

    @property
    def free(self) -> Decimal:
        """The lots that are open and not on their way out: no exit may ask for more."""
        return self.volume - self.closing


def opened(
    deal: Deal,
    intent: Intent,
    strategy: StrategyRules,
    *,
    rules: SymbolRules,
    house: EntryRules,
    seen: datetime,
) -> PositionPlan:
    """Return the plan of the position `deal` opened, `seen` on the candle that closed then.

    An order that waited was filled somewhere within that candle, so the position counts as opened
    when the candle closed: what the candle did before must not count for it.
    """
    opened_at = deal.time if intent.kind is OrderKind.MARKET else max(deal.time, seen)
    plan = PositionPlan(
        ticket=deal.position,
        client_id=intent.client_id,
        strategy=strategy.name,
        magic=intent.magic,
        symbol=deal.symbol,
        timeframe=strategy.trigger,
        direction=deal.direction,
        opened_at=opened_at,
        entry=deal.price,
        opened=deal.volume,
        volume=deal.volume,
        best=float(deal.price),
        stop=intent.stop_loss,
        take_profit=intent.take_profit,
        group=intent.group,
        realised=deal.net,
        deals=(deal.ticket,),
    )
    return msgspec.structs.replace(
        plan,
        targets=planned_targets(plan, strategy, rules, intent.targets),
        due=next_deadline(plan, strategy, rules, house, opened_at),
    )


def adopted(
    position: Position,
    deals: Sequence[Deal],
    intent: Intent | None,
    strategy: StrategyRules,
    *,
    rules: SymbolRules,
    house: EntryRules,
) -> PositionPlan:
    """Return a plan for a position found at the broker without one; `deals` are what made it.

    Its targets are planned as if it were new, so only its stops and its last target are as before.
    A stop loss that the order carried and the broker does not show is still due; so is its take
    profit where the broker does not tell stops.
    """
    stop, take_profit = position.stop_loss, position.take_profit
    if stop is None and intent is not None:
        stop = intent.stop_loss
    if not position.stops_known and intent is not None:
        take_profit = intent.take_profit
    plan = PositionPlan(
        ticket=position.ticket,
        client_id=client_id_in(position.comment) if intent is None else intent.client_id,
        strategy=strategy.name,
        magic=strategy.magic,
        symbol=position.symbol,
        timeframe=strategy.trigger,
        direction=position.direction,
        opened_at=position.opened_at,
        entry=position.price_open,
        opened=position.volume,
        volume=position.volume,
        best=float(position.price_open),
        stop=stop,
        take_profit=take_profit,
        group="" if intent is None else intent.group,
        realised=sum((deal.net for deal in deals), _NOTHING),
        deals=tuple(deal.ticket for deal in deals),
        untold=position.volume - _left_open(deals),
    )
    return msgspec.structs.replace(
        plan,
        targets=planned_targets(plan, strategy, rules, intent.targets if intent else ()),
        due=next_deadline(plan, strategy, rules, house, plan.opened_at),
        joined=_joined(plan.client_id, deals),
    )


def is_closed(deals: Sequence[Deal]) -> bool:
    """Say whether the deals of a position opened it and closed all of it."""
    return any(deal.entry is DealEntry.IN for deal in deals) and _left_open(deals) <= 0


def _left_open(deals: Sequence[Deal]) -> Decimal:
    return sum(
        (deal.volume if deal.entry is DealEntry.IN else -deal.volume for deal in deals), _NOTHING
    )


def _joined(own: str, deals: Sequence[Deal]) -> tuple[str, ...]:
    names = (client_id_in(deal.comment) for deal in deals if deal.entry is DealEntry.IN)
    return tuple(dict.fromkeys(name for name in names if name != own))


def increased(
    plan: PositionPlan, deal: Deal, intent: Intent, strategy: StrategyRules, rules: SymbolRules
) -> PositionPlan:
    """Return the plan after `deal` of `intent` added volume: averaged, targets made anew.

    What the broker's position showed before its deal was told is in the plan already.
    """
    key = intent.entry_key
    shown = min(max(plan.untold, _NOTHING), deal.volume)
    added = deal.volume - shown
    volume = plan.volume + added
    plan = msgspec.structs.replace(
        plan,
        untold=plan.untold - shown,
        realised=plan.realised + deal.net,
        deals=(*plan.deals, deal.ticket),
        joined=plan.joined if key in plan.entry_keys else (*plan.joined, key),
    )
    if not added:
        return plan
    entry = (plan.entry * plan.volume + deal.price * added) / volume
    plan = msgspec.structs.replace(
        plan, entry=rules.price(entry), opened=plan.opened + added, volume=volume
    )
    return msgspec.structs.replace(plan, targets=planned_targets(plan, strategy, rules))


def owing(plan: PositionPlan, volume: Decimal, reason: CloseReason) -> PositionPlan:
    """Return the plan with `volume` more lots to be closed, as far as they are not on their way."""
    return kept(leaving(plan, volume, reason), volume)


def leaving(plan: PositionPlan, volume: Decimal, reason: CloseReason) -> PositionPlan:
    """Return the plan with `volume` more lots on their way out; what closes all says what for."""
    part_of_more = volume < plan.free and plan.closing + plan.owed > 0
    closing = plan.closing + volume
    return msgspec.structs.replace(
        plan,
        closing=closing,
        owed=min(plan.owed, plan.volume - closing),
        exit_reason=plan.exit_reason if part_of_more else reason,
    )


def kept(plan: PositionPlan, volume: Decimal) -> PositionPlan:
    """Return the plan after `volume` lots on their way out were refused: they are owed."""
    volume = min(volume, plan.closing)
    closing = plan.closing - volume
    owed = min(plan.owed + volume, plan.volume - closing)
    return msgspec.structs.replace(plan, closing=closing, owed=owed)


def reconciled(plan: PositionPlan, position: Position, in_flight: Decimal) -> PositionPlan:
    """Return the plan as the broker holds the position, `in_flight` lots of it on their way out.

    Lots that left it untold are taken for some that were on their way. What was on its way and is
    neither there nor gone from the position was lost, so it is owed. A stop loss that is not there
    is still due.
    """
    left = max(_NOTHING, plan.volume - position.volume)
    lost = max(_NOTHING, plan.closing - in_flight - left)
    closing = max(_NOTHING, max(plan.closing, in_flight) - left)
    plan = msgspec.structs.replace(
        plan,
        volume=position.volume,
        closing=min(closing, position.volume),
        stop=plan.stop if position.stop_loss is None else position.stop_loss,
        take_profit=position.take_profit if position.stops_known else plan.take_profit,
        untold=plan.untold + position.volume - plan.volume,
    )
    return kept(plan, lost)


def reduced(plan: PositionPlan, deal: Deal, *, ours: bool) -> PositionPlan:
    """Return the plan after `deal` closed volume, at most what is open; `ours` was asked for.

    What had left the broker's position before its deal was told is not taken off again.
    """
    shown = min(max(-plan.untold, _NOTHING), deal.volume)
    left = deal.volume - shown
    volume = max(_NOTHING, plan.volume - left)
    closing = max(_NOTHING, plan.closing - left) if ours else plan.closing
    closing = min(closing, volume)
    return msgspec.structs.replace(
        plan,
        volume=volume,
        closing=closing,
        owed=min(plan.owed, volume - closing),
        untold=plan.untold + shown,
        realised=plan.realised + deal.net,
        deals=(*plan.deals, deal.ticket),
    )


def planned_targets(
    plan: PositionPlan,
    strategy: StrategyRules,
    rules: SymbolRules,
    prices: Sequence[Decimal] = (),
) -> tuple[PlannedTarget, ...]:
    """Return the targets before the last; the last takes the rest and is the take profit.

    They stand at the `prices` the order announced, else where the entry price puts them.
    """
    rule = strategy.risk.target
    if rule is None or rule.kind is not TargetKind.MULTI:
        return ()
    prices = prices or target_prices(rule, plan.direction, plan.entry, {}, rules)
    volumes = part_volumes(plan.opened, [target.percent for target in rule.targets], rules)
    return tuple(
        PlannedTarget(price, volume, target.move_stop)
        for price, volume, target in zip(prices[:-1], volumes, rule.targets, strict=False)
    )


def guards(strategy: StrategyRules, direction: Direction) -> GuardedExit:
    """Return the guarded exits of one direction."""
    return strategy.long_exit if direction is Direction.LONG else strategy.short_exit


def next_deadline(
    plan: PositionPlan,
    strategy: StrategyRules,
    rules: SymbolRules,
    house: EntryRules,
    after: datetime,
) -> Deadline | None:
    """Return what comes first after `after`: the longest duration, the session's or day's end."""
    deadlines = []
    duration = guards(strategy, plan.direction).max_duration
    if duration is not None:
        deadlines.append(Deadline(plan.opened_at + duration, CloseReason.MAX_DURATION))
    schedule = strategy.schedule
    if schedule is not None and schedule.session_handling is not SessionHandling.HOLD:
        end = next_end(schedule, house.server_time, after)
        if end is not None:
            half = schedule.session_handling is SessionHandling.PARTIAL_CLOSE
            deadlines.append(Deadline(end, CloseReason.SESSION_END, half))
    flatten = house.restrictions.next_flatten(rules, after, house.server_time)
    if flatten is not None:
        deadlines.append(Deadline(flatten, CloseReason.MARKET_CLOSE))
    return min(deadlines, key=lambda deadline: deadline.at, default=None)


def held_back(plan: PositionPlan, strategy: StrategyRules, at: datetime) -> timedelta | None:
    """Return how much longer rule exits are held back at `at`; ``None`` when they are not."""
    least = guards(strategy, plan.direction).min_duration
    if least is None or at - plan.opened_at >= least:
        return None
    return least - (at - plan.opened_at)


def exit_intent(
    plan: PositionPlan,
    account: int,
    *,
    volume: Decimal,
    reason: CloseReason,
    candle_time: datetime,
    leg: int = 0,
) -> Intent:
    """Return the order that closes `volume` lots of the position, never more than is free."""
    return Intent(
        client_id=client_id(
            account,
            plan.strategy,
            plan.symbol,
            plan.timeframe,
            candle_time,
            action=Action.EXIT,
            leg=leg,
            ticket=plan.ticket,
            reason=reason,
        ),
        strategy=plan.strategy,
        magic=plan.magic,
        symbol=plan.symbol,
        timeframe=plan.timeframe,
        candle_time=candle_time,
        action=Action.EXIT,
        leg=leg,
        direction=plan.direction,
        kind=OrderKind.MARKET,
        volume=min(volume, plan.free),
        ticket=plan.ticket,
        group=plan.group,
        close_reason=reason,
    )
