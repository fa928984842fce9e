"""The side of a strategy file that execution obeys: risk, schedule and guarded exits as values."""

from app.domain.market import Timeframe
from app.domain.rows import ColumnKind
from app.domain.rules import (
    NO_GUARDS,
    ColumnRef,
    GuardedExit,
    RiskRules,
    Schedule,
    SessionHandling,
    Sizing,
    SizingKind,
    StopKind,
    StopRule,
    StrategyRules,
    Target,
    TargetKind,
    TargetRule,
)
from app.strategies import risk_schema, schema
from app.strategies.scope import Loc, Scope

_SUSPICIOUS_PIPS = 10.0
_SUSPICIOUS_LOTS = 100.0


def execution_rules(
    file: schema.StrategyFile, symbol: str, magic: int, scope: Scope
) -> StrategyRules:
    """Return what execution must know of a strategy.

    Values whose unit the old system read differently are noted as warnings of `scope`.

    Raises:
        ConfigurationError: the risk block names a column that does not exist or holds no numbers.

    """
    exits = file.exit or schema.Exit()
    return StrategyRules(
        name=file.name,
        symbol=symbol,
        magic=magic,
        timeframes=file.timeframes,
        trigger=scope.trigger,
        risk=_risk(file.risk, scope),
        schedule=_schedule(file.activation, scope),
        long_exit=_guards(exits.long),
        short_exit=_guards(exits.short),
    )


def _risk(risk: risk_schema.Risk, scope: Scope) -> RiskRules:
    sizing = risk.position_sizing
    distance = sizing.atr_distance or risk.atr_distance or None
    atr = None
    if distance is not None or sizing.type == "volatility":
        atr = _atr(sizing, scope)
    elif sizing.atr is not None:
        raise scope.error(
            ("risk", "position_sizing", "atr"),
            "nothing reads it: expected type: volatility or an atr_distance",
        )
    if sizing.type == "fixed" and sizing.value > _SUSPICIOUS_LOTS:
        scope.warn(
            ("risk", "position_sizing", "value"),
            f"{sizing.value:g} is read as lots (the old system read money)",
        )
    kind = SizingKind(sizing.type)
    if kind is SizingKind.PERCENTAGE and isinstance(risk.sl, risk_schema.MonetaryStop):
        scope.warn(
            ("risk", "position_sizing", "type"),
            "percentage beside a monetary stop is read as the share of the balance as notional, "
            "since the stop's distance follows from the size: fixed or volatility says more",
        )
    return RiskRules(
        sizing=Sizing(kind, sizing.value, atr if kind is SizingKind.VOLATILITY else None),
        stop=_stop(risk.sl, ("risk", "sl"), scope),
        target=_target(risk.tp, ("risk", "tp"), scope),
        atr_distance=distance,
        atr=atr if distance is not None else None,
    )


def _atr(sizing: risk_schema.PositionSizing, scope: Scope) -> ColumnRef:
    """Return the ATR column of the trigger timeframe: the named one, ``atr``, or the only one."""
    here = ("risk", "position_sizing")
    if sizing.atr is not None:
        return _source(sizing.atr, scope.trigger, (*here, "atr"), scope)
    found = [
        column.name
        for column in scope.columns(scope.trigger)
        if column.kind is ColumnKind.NUMBER and column.name.partition("_")[0] == "atr"
    ]
    if "atr" in found:
        found = ["atr"]
    if len(found) == 1:
        return _source(found[0], scope.trigger, here, scope)
    if found:
        raise scope.error(
            here,
            f"timeframe {scope.trigger} has several ATR columns: expected atr: one of "
            f"{', '.join(found)}",
        )
    raise scope.unknown(
        here, f"needs an ATR: no indicator of timeframe {scope.trigger} is an atr", scope.trigger
    )


def _source(name: str, timeframe: Timeframe, loc: Loc, scope: Scope) -> ColumnRef:
    cell = scope.number(name, timeframe, loc)
    if cell.back:
        raise scope.error(loc, f"'{name}': expected a column of the newest candle")
    return ColumnRef(timeframe, cell.column.name)


def _stop(sl: risk_schema.Stop | None, loc: Loc, scope: Scope) -> StopRule | None:
    if sl is None:
        return None
    if isinstance(sl, risk_schema.TrailingStop):
        _warn_if_odd(sl.step, (*loc, "step"), scope)
        _warn_if_odd(sl.activation_price, (*loc, "activation_price"), scope)
        _warn_if_odd(sl.cap, (*loc, "cap"), scope)
        return StopRule(
            StopKind.TRAILING,
            trail_step=sl.step,
            activation=sl.activation_price or 0.0,
            cap=sl.cap,
        )
    trailing = sl.trailing if sl.trailing is not None and sl.trailing.enabled else None
    if isinstance(sl, risk_schema.IndicatorStop):
        if trailing is not None:
            scope.warn((*loc, "trailing"), "an indicator stop follows its column: step is not used")
        timeframe = scope.timeframe(sl.timeframe, loc)
        return StopRule(
            StopKind.INDICATOR,
            source=_source(sl.source, timeframe, (*loc, "source"), scope),
            offset=sl.offset,
        )
    step = None if trailing is None else trailing.step
    _warn_if_odd(step, (*loc, "trailing", "step"), scope)
    if isinstance(sl, risk_schema.FixedStop) and sl.value < _SUSPICIOUS_PIPS:
        scope.warn(
            (*loc, "value"),
            f"a fixed stop of {sl.value:g} is read as {sl.value:g} pips from the entry "
            f"(the old system read values below {_SUSPICIOUS_PIPS:g} as a price)",
        )
    return StopRule(StopKind(sl.type), sl.value, trail_step=step)


def _warn_if_odd(pips: float | None, loc: Loc, scope: Scope) -> None:
    if pips is not None and 0 < pips < 1:
        scope.warn(loc, f"{pips:g} is read as {pips:g} pips, a part of one pip")
    elif pips is not None and pips != round(pips, 1):
        scope.warn(loc, f"{pips:g} is read as {pips:g} pips, not as a price")


def _target(tp: risk_schema.TakeProfit | None, loc: Loc, scope: Scope) -> TargetRule | None:
    if tp is None:
        return None
    if isinstance(tp, risk_schema.FixedTarget):
        return TargetRule(TargetKind.FIXED, tp.value)
    if isinstance(tp, risk_schema.IndicatorTarget):
        timeframe = scope.timeframe(tp.timeframe, loc)
        source = _source(tp.source, timeframe, (*loc, "source"), scope)
        return TargetRule(TargetKind.INDICATOR, source=source)
    nearest_first = sorted(tp.targets, key=lambda target: target.value)
    return TargetRule(
        TargetKind.MULTI,
        targets=tuple(Target(each.value, each.percent, each.move_stop) for each in nearest_first),
    )


def _schedule(activation: schema.Activation | None, scope: Scope) -> Schedule | None:
    if activation is None or activation.schedule is None:
        return None
    schedule = activation.schedule
    handling = schedule.session_handling or SessionHandling.HOLD
    if "days" in schedule.model_fields_set and not schedule.days:
        scope.warn(("activation", "schedule", "days"), "names no day, which is read as every day")
    if handling is not SessionHandling.HOLD and not schedule.days and not schedule.hours:
        scope.warn(
            ("activation", "schedule", "session_handling"),
            f"{handling} never comes: a schedule without days and hours has no end",
        )
    return Schedule(frozenset(schedule.days), schedule.hours, handling)


def _guards(exits: schema.ExitRuleSet | None) -> GuardedExit:
    if exits is None:
        return NO_GUARDS
    age = exits.time_based or schema.TimeBased()
    profit = exits.profit_guard or schema.ProfitGuard()
    return GuardedExit(
        max_duration=age.max_duration,
        min_duration=age.min_duration,
        profit_drawdown=profit.max_drawdown,
        profit_trailing=profit.trailing,
    )
