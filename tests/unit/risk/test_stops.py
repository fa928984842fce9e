from decimal import Decimal
from typing import Any

import pytest

from app.domain.market import SymbolRules, Timeframe
from app.domain.rules import ColumnRef, StopKind, StopRule, Target, TargetKind, TargetRule
from app.domain.signals import Direction
from app.risk.stops import initial_stop, monetary_stop, target_prices, trailed_stop

BAND = ColumnRef(Timeframe("M5"), "bb_lower")
ENTRY = Decimal("1.10000")
LONG, SHORT = Direction


@pytest.mark.parametrize(
    ("rule", "long", "short"),
    [
        (None, None, None),
        (StopRule(StopKind.MONETARY, 100.0), None, None),
        (StopRule(StopKind.FIXED, 20.0), "1.09800", "1.10200"),
        (StopRule(StopKind.TRAILING, trail_step=15.0), "1.09850", "1.10150"),
        (StopRule(StopKind.TRAILING, trail_step=15.0, cap=30.0), "1.09700", "1.10300"),
        (StopRule(StopKind.INDICATOR, source=BAND, offset=5.0), "1.09850", "1.09950"),
    ],
)
def test_initial_stops(
    rule: StopRule | None, long: str | None, short: str | None, eurusd: SymbolRules
) -> None:
    """fixed: pips; trailing: its cap, else its step; indicator: beyond the column."""
    levels = {BAND: 1.099}
    for direction, expected in ((LONG, long), (SHORT, short)):
        stop = initial_stop(rule, direction, ENTRY, levels, eurusd)
        assert stop == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("rule", "long", "short"),
    [
        (None, (), ()),
        (TargetRule(TargetKind.FIXED, 30.0), ("1.10300",), ("1.09700",)),
        (
            TargetRule(TargetKind.MULTI, targets=(Target(0.1, 50.0), Target(0.2, 50.0))),
            ("1.10110", "1.10220"),
            ("1.09890", "1.09780"),
        ),
        (TargetRule(TargetKind.INDICATOR, source=BAND), ("1.09900",), ("1.09900",)),
    ],
)
def test_targets(
    rule: TargetRule | None, long: tuple[str], short: tuple[str], eurusd: SymbolRules
) -> None:
    """fixed: pips; several: in % of the entry; indicator: the column."""
    for direction, expected in ((LONG, long), (SHORT, short)):
        prices = target_prices(rule, direction, ENTRY, {BAND: 1.099}, eurusd)
        assert prices == tuple(Decimal(price) for price in expected)


def test_a_column_that_is_not_ready_gives_no_level(eurusd: SymbolRules) -> None:
    levels: Any = {BAND: None}
    stop = StopRule(StopKind.INDICATOR, source=BAND)
    target = TargetRule(TargetKind.INDICATOR, source=BAND)
    assert initial_stop(stop, LONG, ENTRY, levels, eurusd) is None
    assert target_prices(target, LONG, ENTRY, levels, eurusd) == ()


def test_a_monetary_stop_never_loses_more_than_its_money(eurusd: SymbolRules) -> None:
    stop = monetary_stop(
        Decimal(100),
        LONG,
        ENTRY,
        volume=Decimal("0.30"),
        money_per_lot=Decimal(100000),
        rules=eurusd,
    )
    assert stop == Decimal("1.09667")
    assert (ENTRY - stop) * Decimal("0.30") * 100000 <= 100


def trailed(rule: StopRule, best: float, price: float, rules: SymbolRules) -> Decimal | None:
    return trailed_stop(
        rule, LONG, entry=ENTRY, best=best, price=price, levels={BAND: 1.0995}, rules=rules
    )


def test_a_trailing_stop_waits_for_its_activation_then_follows(eurusd: SymbolRules) -> None:
    rule = StopRule(StopKind.TRAILING, trail_step=10.0, activation=20.0)
    assert trailed(rule, 1.1019, 1.1019, eurusd) is None
    assert trailed(rule, 1.1020, 1.1015, eurusd) == Decimal("1.10050")


def test_a_fixed_stop_moves_only_when_it_trails(eurusd: SymbolRules) -> None:
    assert trailed(StopRule(StopKind.FIXED, 20.0), 1.2, 1.2, eurusd) is None
    moving = StopRule(StopKind.FIXED, 20.0, trail_step=20.0)
    assert trailed(moving, 1.1, 1.0995, eurusd) is None
    assert trailed(moving, 1.1030, 1.1030, eurusd) == Decimal("1.10100")


def test_an_indicator_stop_follows_its_column(eurusd: SymbolRules) -> None:
    rule = StopRule(StopKind.INDICATOR, source=BAND, offset=5.0)
    assert trailed(rule, 1.1, 1.1, eurusd) == Decimal("1.09900")
