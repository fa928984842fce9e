"""From an entry signal to the orders that express it: sized, stopped, targeted, split."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from app.domain.market import SymbolRules
from app.domain.orders import Account, Action, BlockReason, Intent, OrderKind, Refusal
from app.domain.rules import RiskRules, StopKind, StrategyRules
from app.domain.signals import Signal
from app.risk.ids import client_id
from app.risk.sizing import Market, exact, lots_losing, lots_wanted
from app.risk.splitting import Split, leg_price, leg_volumes
from app.risk.stops import initial_stop, level, monetary_stop, target_prices


class _Draft(msgspec.Struct, frozen=True):
    """An entry in the making: its first order's price, and what it is sized by."""

    signal: Signal
    risk: RiskRules
    market: Market
    balance: Decimal
    split: Split
    limit: Decimal | None
    entry: Decimal
    stop: Decimal | None

    @property
    def by_money(self) -> bool:
        """Whether the stop depends on the volume: so much money, wherever that is in price."""
        return self.risk.stop is not None and self.risk.stop.kind is StopKind.MONETARY

    @property
    def allowed(self) -> Decimal | None:
        """What the group may lose, account currency; ``None`` without a cap."""
        percent = self.split.risk_percent
        return None if percent is None else self.balance * exact(percent) / 100


class _Leg(msgspec.Struct, frozen=True):
    """One order to be; `limit` is its price unless it is sent at market."""

    volume: Decimal
    entry: Decimal
    limit: Decimal | None
    stop: Decimal | None


def plan_entry(
    signal: Signal, strategy: StrategyRules, *, market: Market, account: Account, split: Split
) -> tuple[Intent, ...] | Refusal:
    """Return the orders of an entry, or why there are none.

    The first order is at market, or a limit order `atr_distance` away; the further ones of a split
    are limit orders, each with stop and target at the same distance from its own price (an
    indicator's level is the same for all; a leg beyond its stop is left out).
    """
    risk = strategy.risk
    for ref in risk.references():
        if signal.levels.get(ref) is None:
            return Refusal(BlockReason.NOT_READY, f"{ref.column} of {ref.timeframe} is not ready")
    direction = signal.direction
    limit = _limit_price(signal, risk, market)
    entry = limit or market.entry_price(direction)
    stop = initial_stop(risk.stop, direction, entry, signal.levels, market.rules)
    if stop is not None and direction.sign * (entry - stop) <= 0:
        return Refusal(
            BlockReason.STOP_TOO_CLOSE,
            f"stop loss {stop} is on the wrong side of the {direction} entry {entry}",
        )
    draft = _Draft(signal, risk, market, account.balance, split, limit, entry, stop)
    lots = _lots(draft)
    volumes = leg_volumes(lots, split, market.rules)
    if not volumes:
        return Refusal(
            BlockReason.VOLUME_BELOW_MINIMUM,
            f"{lots:.4f} lots wanted, the least is {market.rules.volume_min}",
        )
    legs = _stopped_by_money(draft, volumes) if draft.by_money else tuple(_legs(draft, volumes))
    return tuple(_intents(legs, signal, strategy, account.login, market.rules))


def _limit_price(signal: Signal, risk: RiskRules, market: Market) -> Decimal | None:
    """Return where the entry waits; ``None`` at market, also when the price is already there."""
    atr = level(signal.levels, risk.atr)
    if risk.atr_distance is None or atr is None:
        return None
    sign = signal.direction.sign
    away = exact(risk.atr_distance) * exact(atr)
    price = market.rules.price(exact(signal.candle.close) - sign * away)
    reached = sign * (market.entry_price(signal.direction) - price) <= 0
    return None if reached else price


def _lots(draft: _Draft) -> Decimal:
    """Return the lots of the whole group, capped by the risk allowed to it."""
    distance = None if draft.stop is None else abs(draft.entry - draft.stop)
    money_per_lot = draft.market.money_per_lot
    lots = lots_wanted(
        draft.risk.sizing,
        balance=draft.balance,
        price=draft.entry,
        stop_distance=distance,
        atr=level(draft.signal.levels, draft.risk.sizing.atr) or 0.0,
        money_per_lot=money_per_lot,
    )
    if draft.allowed is None or draft.by_money:
        return lots
    return min(lots, lots_losing(draft.allowed, distance or draft.entry, money_per_lot))


def _legs(draft: _Draft, volumes: tuple[Decimal, ...]) -> Iterator[_Leg]:
    direction, rules = draft.signal.direction, draft.market.rules
    for at, volume in enumerate(volumes):
        price = leg_price(draft.entry, at, draft.split, direction, rules)
        stop = initial_stop(draft.risk.stop, direction, price, draft.signal.levels, rules)
        if price > 0 and (stop is None or direction.sign * (price - stop) > 0):
            yield _Leg(volume, price, price if at else draft.limit, stop)


def _stopped_by_money(draft: _Draft, volumes: tuple[Decimal, ...]) -> tuple[_Leg, ...]:
    """Return the legs with the stops at which all of them together lose the money given up."""
    money = exact(draft.risk.stop.value if draft.risk.stop else 0.0)
    if draft.allowed is not None:
        money = min(money, draft.allowed)
    total = sum(volumes, Decimal(0))
    direction, market = draft.signal.direction, draft.market
    return tuple(
        msgspec.structs.replace(
            leg,
            stop=monetary_stop(
                money,
                direction,
                leg.entry,
                volume=total,
                money_per_lot=market.money_per_lot,
                rules=market.rules,
            ),
        )
        for leg in _legs(draft, volumes)
    )


def _intents(
    legs: Sequence[_Leg], signal: Signal, strategy: StrategyRules, login: int, rules: SymbolRules
) -> Iterator[Intent]:
    group = ""
    for at, leg in enumerate(legs):
        name = client_id(
            login,
            strategy.name,
            signal.symbol,
            signal.timeframe,
            signal.candle.time,
            action=Action.ENTRY,
            leg=at,
            direction=signal.direction,
        )
        if len(legs) > 1 and not group:
            group = name
        targets = target_prices(
            strategy.risk.target, signal.direction, leg.entry, signal.levels, rules
        )
        yield Intent(
            client_id=name,
            strategy=strategy.name,
            magic=strategy.magic,
            symbol=signal.symbol,
            timeframe=signal.timeframe,
            candle_time=signal.candle.time,
            action=Action.ENTRY,
            leg=at,
            direction=signal.direction,
            kind=OrderKind.MARKET if leg.limit is None else OrderKind.LIMIT,
            volume=leg.volume,
            price=leg.limit,
            stop_loss=leg.stop,
            take_profit=targets[-1] if targets else None,
            group=group,
            expected_price=leg.entry,
            targets=targets,
        )
