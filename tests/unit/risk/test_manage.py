from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.market import Quote, SymbolRules, Timeframe
from app.domain.orders import CloseReason
from app.domain.rules import ColumnRef, GuardedExit, StopKind, StopRule
from app.domain.signals import Direction
from app.risk.manage import Act, ClosePart, MoveStop, follows_candles, manage
from app.risk.plans import PlannedTarget, PositionPlan

Make = Callable[..., Any]
LONG, SHORT = Direction
BAND = ColumnRef(Timeframe("M5"), "bb_lower")
TRAIL = StopRule(StopKind.TRAILING, trail_step=10.0, activation=5.0, cap=20.0)
FOLLOW = StopRule(StopKind.INDICATOR, source=BAND)


@pytest.fixture(scope="session")
def managed(make_candle: Make, make_strategy: Make, eurusd: SymbolRules) -> Make:
    def run(
        plan: PositionPlan, candle: Any, levels: Any = None, **strategy: Any
    ) -> tuple[PositionPlan, tuple[Act, ...]]:
        ask = candle.close + candle.spread * 1e-5
        quote = strategy.pop("quote", None) or Quote("EURUSD", candle.close, ask, candle.close_time)
        rules = make_strategy(**strategy)
        return manage(plan, candle, levels or {}, rules, rules=eurusd, quote=quote)

    return run


def short(make_plan: Make, **changes: Any) -> PositionPlan:
    stops = {"stop": Decimal("1.10200"), "take_profit": Decimal("1.09600")}
    return make_plan(**{"direction": SHORT, **stops, **changes})


def test_a_candle_that_changes_nothing_asks_nothing(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    plan = make_plan()
    assert managed(plan, make_candle(1.0999)) == (plan, ())


def test_a_stop_trails_behind_the_close_once_active(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    plan, acts = managed(make_plan(), make_candle(1.1004, high=1.1004), stop=TRAIL)
    assert acts == ()
    plan, acts = managed(plan, make_candle(1.1015, high=1.1020), stop=TRAIL)
    assert acts == (MoveStop(5, Decimal("1.10050")),)
    assert (plan.best, plan.stop) == (1.1020, Decimal("1.09800"))


def test_a_short_trails_above_the_ask(managed: Make, make_plan: Make, make_candle: Make) -> None:
    candle = make_candle(1.0985, low=1.0980, spread=10.0)
    plan, acts = managed(short(make_plan), candle, stop=TRAIL)
    assert acts == (MoveStop(5, Decimal("1.09960")),)
    assert plan.best == pytest.approx(1.0981)


def test_a_short_is_managed_at_the_brokers_ask_whatever_the_candle_says(
    managed: Make, make_plan: Make, make_candle: Make, monday: datetime
) -> None:
    """Data without a spread, an aggregate with its widest: the broker's own decides."""
    target = PlannedTarget(Decimal("1.09900"), Decimal("0.05"), move_stop=False)
    narrow = StopRule(StopKind.TRAILING, trail_step=0.5)
    for spread in (0.0, 400.0):
        candle = make_candle(1.0985, low=1.0980, spread=spread)
        quote = Quote("EURUSD", 1.0985, 1.0995, monday)
        plan, acts = managed(short(make_plan, targets=(target,)), candle, stop=narrow, quote=quote)
        part, moved = acts
        assert (part.volume, plan.best) == (Decimal("0.05"), pytest.approx(1.0990))
        assert moved == MoveStop(5, Decimal("1.09960"))


def test_a_stop_keeps_its_distance_from_a_quote_that_has_moved_on(
    managed: Make, make_plan: Make, make_candle: Make, monday: datetime
) -> None:
    quote = Quote("EURUSD", 1.1012, 1.1013, monday)
    _, acts = managed(make_plan(), make_candle(1.1030), stop=TRAIL, quote=quote)
    assert acts == (MoveStop(5, Decimal("1.10110")),)


def test_only_the_close_counts_of_a_candle_that_opened_before_the_position(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    target = PlannedTarget(Decimal("1.10100"), Decimal("0.05"), move_stop=True)
    plan = make_plan(targets=(target,))
    before = make_candle(1.1, high=1.1050, minutes=-5)
    assert managed(plan, before) == (plan, ())
    after, acts = managed(plan, make_candle(1.1, high=1.1050))
    assert after.targets == ()
    assert acts[0] == ClosePart(5, Decimal("0.05"), CloseReason.TARGET, 0)


def test_a_stop_is_widened_to_what_the_broker_allows(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    narrow = StopRule(StopKind.TRAILING, trail_step=0.5)
    _, acts = managed(make_plan(), make_candle(1.1030), stop=narrow)
    assert acts == (MoveStop(5, Decimal("1.10290")),)
    _, acts = managed(short(make_plan), make_candle(1.0970), stop=narrow)
    assert acts == (MoveStop(5, Decimal("1.09710")),)


def test_an_indicator_stop_follows_its_column_but_not_through_the_price(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    candle = make_candle(1.1010)
    assert managed(make_plan(), candle, {BAND: 1.0990}, stop=FOLLOW)[1] == (
        MoveStop(5, Decimal("1.09900")),
    )
    for level in (1.0970, 1.1020, None):
        assert managed(make_plan(), candle, {BAND: level}, stop=FOLLOW)[1] == ()


def test_a_position_without_a_stop_is_given_the_one_that_trails(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    _, acts = managed(make_plan(stop=None), make_candle(1.1030), stop=TRAIL)
    assert acts == (MoveStop(5, Decimal("1.10200")),)


TARGETS = (
    PlannedTarget(Decimal("1.10100"), Decimal("0.05"), move_stop=True),
    PlannedTarget(Decimal("1.10200"), Decimal(0), move_stop=False),
    PlannedTarget(Decimal("1.10300"), Decimal("0.03"), move_stop=False),
)


def test_each_target_closes_its_part_once_and_moves_the_stop_to_break_even(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    plan, acts = managed(make_plan(targets=TARGETS), make_candle(1.1012, high=1.1015))
    assert acts == (
        ClosePart(5, Decimal("0.05"), CloseReason.TARGET, 0),
        MoveStop(5, Decimal("1.10000")),
    )
    assert (plan.targets, plan.targets_hit) == (TARGETS[1:], 1)
    moved = msgspec.structs.replace(plan, stop=Decimal("1.10000"))
    plan, acts = managed(moved, make_candle(1.1029, high=1.1031), stop=None)
    assert acts == (ClosePart(5, Decimal("0.03"), CloseReason.TARGET, 2),)
    assert plan.targets == ()


def test_a_break_even_too_near_the_price_is_asked_for_again(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    plan, acts = managed(make_plan(targets=TARGETS[:1]), make_candle(1.1, high=1.1011))
    assert acts == (ClosePart(5, Decimal("0.05"), CloseReason.TARGET, 0),)
    assert plan.break_even
    _, acts = managed(plan, make_candle(1.1009))
    assert acts == (MoveStop(5, Decimal("1.10000")),)


def test_a_position_on_its_way_out_is_left_alone(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    leaving = make_plan(closing=Decimal("0.10"), targets=TARGETS)
    plan, acts = managed(leaving, make_candle(1.1030), stop=TRAIL)
    assert acts == ()
    assert plan.targets == TARGETS


def test_a_guard_closes_a_profit_that_was_given_back(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    guarded = {"long_exit": GuardedExit(profit_drawdown=0.5)}
    plan, acts = managed(make_plan(), make_candle(1.1020), **guarded)
    assert acts == ()
    assert managed(plan, make_candle(1.1011), **guarded)[1] == ()
    everything = ClosePart(5, Decimal("0.10"), CloseReason.PROFIT_GUARD)
    assert managed(plan, make_candle(1.1009), **guarded)[1] == (everything,)
    other_side = {"short_exit": GuardedExit(profit_drawdown=0.5)}
    assert managed(plan, make_candle(1.1009), **other_side)[1] == ()


def test_a_guard_trails_behind_the_best_price(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    guarded = {"short_exit": GuardedExit(profit_trailing=0.001)}
    plan, acts = managed(short(make_plan), make_candle(1.0975, low=1.0970), **guarded)
    assert acts == ()
    assert managed(plan, make_candle(1.0980), **guarded)[1] == ()
    everything = ClosePart(5, Decimal("0.10"), CloseReason.PROFIT_GUARD)
    assert managed(plan, make_candle(1.0982), **guarded)[1] == (everything,)


def test_a_position_that_never_was_in_profit_has_nothing_to_guard(
    managed: Make, make_plan: Make, make_candle: Make
) -> None:
    guarded = {"long_exit": GuardedExit(profit_drawdown=0.1, profit_trailing=0.0001)}
    assert managed(make_plan(), make_candle(1.0990), **guarded)[1] == ()


walks = st.lists(
    st.tuples(st.integers(-300, 300), st.integers(0, 50), st.integers(0, 50)), max_size=15
)


@pytest.mark.parametrize(
    "case",
    [
        ({"stop": None}, False),
        ({"stop": StopRule(StopKind.FIXED, 20.0)}, False),
        ({"stop": StopRule(StopKind.MONETARY, 100.0)}, False),
        ({"stop": StopRule(StopKind.FIXED, 20.0, trail_step=10.0)}, True),
        ({"stop": StopRule(StopKind.MONETARY, 100.0, trail_step=10.0)}, True),
        ({"stop": TRAIL}, True),
        ({"stop": FOLLOW}, True),
        ({"long_exit": GuardedExit(profit_drawdown=0.5)}, True),
        ({"long_exit": GuardedExit(profit_trailing=0.001)}, True),
        ({"short_exit": GuardedExit(profit_drawdown=0.5)}, True),
        ({"short_exit": GuardedExit(profit_trailing=0.001)}, True),
    ],
)
def test_only_a_strategy_that_follows_candles_asks_anything_of_them(
    managed: Make,
    make_plan: Make,
    make_candle: Make,
    make_strategy: Make,
    case: tuple[dict[str, Any], bool],
) -> None:
    """A strategy that is said not to follow is never shown a candle, so none may move it.

    Price goes far in favour of either side and back, its column along with it.
    """
    rules, follows = case
    asked = []
    for opened, sign in ((make_plan(), 1), (short(make_plan), -1)):
        plan = opened
        for pips in (0, 10, 20, 30, 12):
            close = 1.1 + sign * pips * 1e-4
            plan, acts = managed(plan, make_candle(close), {BAND: close - sign * 9e-4}, **rules)
            asked += acts
    assert follows_candles(make_strategy(**rules)) is follows
    assert bool(asked) is follows


@settings(max_examples=150)
@given(
    walk=walks,
    direction=st.sampled_from(Direction),
    rule=st.sampled_from(
        [TRAIL, FOLLOW, StopRule(StopKind.FIXED, 20.0, trail_step=8.0), StopRule(StopKind.FIXED)]
    ),
    break_even=st.booleans(),
)
def test_a_stop_never_moves_against_the_position_nor_through_the_price(
    *,
    managed: Make,
    make_plan: Make,
    make_candle: Make,
    walk: list[tuple[int, int, int]],
    direction: Direction,
    rule: StopRule,
    break_even: bool,
) -> None:
    plan = make_plan() if direction is LONG else short(make_plan)
    plan = msgspec.structs.replace(plan, break_even=break_even)
    for at, (points, up, down) in enumerate(walk):
        price = 1.1 + points / 1e5
        candle = make_candle(
            price, high=price + up / 1e5, low=price - down / 1e5, minutes=5 * at, spread=5.0
        )
        level = {BAND: 1.1 + (points - up * direction.sign) / 1e5}
        plan, acts = managed(plan, candle, level, stop=rule)
        for act in acts:
            assert isinstance(act, MoveStop)
            assert direction.sign * (act.stop - plan.stop) > 0
            closing = Decimal(str(price)) + (
                Decimal(0) if direction is LONG else Decimal("0.00005")
            )
            assert direction.sign * (closing - act.stop) >= Decimal("0.00009")
            plan = msgspec.structs.replace(plan, stop=act.stop)
