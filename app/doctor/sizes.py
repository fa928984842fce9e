"""What every strategy would order now, by the very functions that make its orders.

An account without other positions is assumed; schedule and calendars are left aside.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec.structs import replace

from app.adapters.mt5.translation import account_of, money_per_lot, rules_of
from app.doctor.facts import Facts
from app.doctor.findings import Finding, fails, not_checked, ok, warning
from app.domain.errors import UnavailableError
from app.domain.market import Quote, SymbolRules
from app.domain.orders import BlockReason, Intent, OrderKind, Refusal
from app.domain.rows import View
from app.domain.rules import SizingKind
from app.domain.signals import Direction, Signal
from app.risk.entries import plan_entry
from app.risk.limits import Exposure, Moment, approve_entry, clear_moment
from app.risk.restrictions import Restrictions
from app.risk.sizing import Market, exact
from app.strategies.evaluate import Strategy
from app.wiring import splits_of

_NOTHING = Decimal(0)
_ALONE = Exposure(taken=0, realised=_NOTHING, floating=_NOTHING, at_risk=_NOTHING)
_FIXES: Mapping[BlockReason, str] = {
    BlockReason.VOLUME_BELOW_MINIMUM: "raise the value of its position_sizing, or split less",
    BlockReason.STOP_TOO_CLOSE: "set its stop and target further away than the broker demands",
    BlockReason.MAX_POSITION_SIZE: "raise RISK_MAX_POSITION_SIZE or lower its position_sizing",
    BlockReason.MAX_POSITIONS: "raise RISK_MAX_POSITIONS or split less",
    BlockReason.MAX_SYMBOL_VOLUME: "raise RISK_MAX_SYMBOL_VOLUME or lower its position_sizing",
    BlockReason.MAX_TOTAL_VOLUME: "raise RISK_MAX_TOTAL_VOLUME or lower its position_sizing",
    BlockReason.LOSS_AT_RISK: "raise RISK_DAILY_LOSS_LIMIT or let it risk less",
    BlockReason.NOT_READY: "wait until its indicators are ready",
}


def sizes(facts: Facts) -> Iterator[Finding]:
    """See that every strategy's orders obey the symbol's rules, and the limits."""
    for symbol in facts.described:
        if symbol not in facts.ticks:
            yield not_checked(f"{symbol} has no price")
            continue
        market, view = _market(facts, symbol), facts.views.get(symbol, {})
        yield ok(_demanded(market.rules))
        for strategy in facts.strategies[symbol]:
            if not view.get(strategy.rules.trigger):
                yield not_checked(f"{strategy.rules.name} has no candle to decide on")
                continue
            for direction in Direction:
                if strategy.explain(view, f"entry.{direction}"):
                    orders = _ordered(facts, strategy, direction, view, market)
                    yield _judged(strategy, direction, orders, market.rules)


def _market(facts: Facts, symbol: str) -> Market:
    """Return what orders meet; raises ConfigurationError, or UnavailableError without a rate."""
    wire, tick, trading = facts.described[symbol], facts.ticks[symbol], facts.settings.trading
    pips = trading.pip_value(symbol)
    money = money_per_lot(wire, facts.account.currency)
    if money is None:
        raise UnavailableError(
            f"the bridge does not tell trade_tick_value of {symbol}, so no volume can be reckoned "
            f"in {facts.account.currency}"
        )
    return Market(
        rules_of(wire, {} if pips is None else {symbol: pips}),
        Quote(symbol, float(tick.bid), float(tick.ask), tick.time),
        money,
    )


def _demanded(rules: SymbolRules) -> str:
    return (
        f"{rules.symbol} {rules.volume_min} to {rules.volume_max} lots in steps of "
        f"{rules.volume_step}, stops {rules.stops_level} points away"
    )


def _ordered(
    facts: Facts, strategy: Strategy, direction: Direction, view: View, market: Market
) -> tuple[Intent, ...] | Refusal:
    """Return the orders of an entry on the newest candle, or why it would be refused."""
    rules, house = replace(strategy.rules, schedule=None), facts.entry_rules
    decision = strategy.undecided(view)
    moment = Moment(decision.time, late=False, reduce_only=False, open_entries=0)
    clearance = clear_moment(
        rules, moment, market.rules, replace(house, restrictions=Restrictions())
    )
    if isinstance(clearance, Refusal):
        return clearance
    orders = plan_entry(
        Signal(
            strategy=rules.name,
            symbol=rules.symbol,
            timeframe=rules.trigger,
            direction=direction,
            candle=decision.candle,
            facts=(),
            levels=decision.levels,
        ),
        rules,
        market=market,
        account=account_of(facts.account, hedging=facts.settings.broker.hedging),
        split=splits_of(facts.settings)[rules.symbol],
    )
    if isinstance(orders, Refusal):
        return orders
    approved = approve_entry(orders, clearance=clearance, exposure=_ALONE, market=market)
    return approved if isinstance(approved, Refusal) else orders


def _judged(
    strategy: Strategy,
    direction: Direction,
    orders: tuple[Intent, ...] | Refusal,
    rules: SymbolRules,
) -> Finding:
    risk, name = strategy.rules.risk, f"{strategy.rules.name} {direction}"
    if isinstance(orders, Refusal):
        fix = _FIXES.get(orders.reason, "correct its risk block")
        says = f"{name} is refused, {orders.reason}: {orders.detail}"
        # What stands on indicators may be otherwise on the next candle.
        return warning(f"{says} (now)", fix) if risk.references() else fails(says, fix)
    volume = sum((order.volume for order in orders), _NOTHING)
    if risk.sizing.kind is SizingKind.FIXED and volume != exact(risk.sizing.value):
        return warning(
            f"{name} asks for {risk.sizing.value:g} lots, {volume} are ordered",
            f"ask for {rules.volume_min} to {rules.volume_max} lots in steps of "
            f"{rules.volume_step}, or leave it so",
        )
    return ok(f"{name} would order {' and '.join(_said(order) for order in orders)}")


def _said(order: Intent) -> str:
    at = "at market" if order.kind is OrderKind.MARKET else f"at {order.price}"
    stop = "no stop" if order.stop_loss is None else f"stop {order.stop_loss}"
    target = "" if order.take_profit is None else f", target {order.take_profit}"
    return f"{order.volume} {order.symbol} {at}, {stop}{target}"
