from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.market import Timeframe
from app.domain.orders import Account, Action, BlockReason, Intent, OrderKind, Refusal
from app.domain.rules import (
    ColumnRef,
    Sizing,
    SizingKind,
    StopKind,
    StopRule,
    TargetKind,
    TargetRule,
)
from app.domain.signals import Direction
from app.risk.entries import plan_entry
from app.risk.limits import entry_risk
from app.risk.sizing import Market
from app.risk.splitting import WHOLE, Scaling, Split

Make = Callable[..., Any]
LONG, SHORT = Direction
ATR = ColumnRef(Timeframe("M5"), "atr")
BAND = ColumnRef(Timeframe("M5"), "bb_lower")
ONE_PERCENT = Sizing(SizingKind.PERCENTAGE, 1.0)


@pytest.fixture(scope="session")
def planned(market: Market, account: Account, make_strategy: Make, make_signal: Make) -> Make:
    def plan(
        direction: Direction = LONG, split: Split = WHOLE, levels: Any = None, **strategy: Any
    ) -> tuple[Intent, ...] | Refusal:
        return plan_entry(
            make_signal(direction, levels),
            make_strategy(**strategy),
            market=market,
            account=account,
            split=split,
        )

    return plan


def test_a_market_entry_carries_its_stop_and_target_from_the_side_it_opens_at(
    planned: Make,
) -> None:
    (long,) = planned(LONG)
    assert (long.kind, long.price, long.volume) == (OrderKind.MARKET, None, Decimal("0.10"))
    assert (long.stop_loss, long.take_profit) == (Decimal("1.09810"), Decimal("1.10410"))
    assert (long.action, long.magic, long.group) == (Action.ENTRY, 77, "")
    (short,) = planned(SHORT)
    assert (short.stop_loss, short.take_profit) == (Decimal("1.10200"), Decimal("1.09600"))
    assert long.client_id != short.client_id


def test_the_same_signal_always_becomes_the_same_intent(planned: Make) -> None:
    """I7, I8: nothing but the signal, the account and the market decides."""
    assert planned(LONG) == planned(LONG)


def test_an_entry_without_stop_and_target_has_none(planned: Make) -> None:
    (intent,) = planned(stop=None, target=None)
    assert (intent.stop_loss, intent.take_profit) == (None, None)


def test_percentage_sizing_is_the_share_at_risk(planned: Make) -> None:
    (intent,) = planned(sizing=ONE_PERCENT)
    assert intent.volume == Decimal("0.50")


def test_volatility_sizing_reads_its_column(planned: Make) -> None:
    sizing = Sizing(SizingKind.VOLATILITY, 1.0, ATR)
    (intent,) = planned(sizing=sizing, levels={ATR: 0.001})
    assert intent.volume == Decimal("0.50")


@pytest.mark.parametrize("levels", [{}, {ATR: None}])
def test_a_column_that_is_not_ready_refuses_the_entry(planned: Make, levels: Any) -> None:
    refusal = planned(sizing=Sizing(SizingKind.VOLATILITY, 1.0, ATR), levels=levels)
    assert refusal == Refusal(BlockReason.NOT_READY, "atr of 5 is not ready")


def test_a_volume_below_the_minimum_is_no_trade(planned: Make) -> None:
    """I16: rounded down to nothing means no order."""
    refusal = planned(sizing=Sizing(SizingKind.PERCENTAGE, 0.01))
    assert refusal.reason is BlockReason.VOLUME_BELOW_MINIMUM
    assert refusal.detail == "0.0050 lots wanted, the least is 0.01"


def test_a_stop_on_the_wrong_side_refuses_the_entry(planned: Make) -> None:
    stop = StopRule(StopKind.INDICATOR, source=BAND)
    refusal = planned(SHORT, stop=stop, levels={BAND: 1.09})
    assert refusal.reason is BlockReason.STOP_TOO_CLOSE
    assert "1.09000 is on the wrong side of the short entry 1.10000" in refusal.detail


def test_atr_distance_makes_a_limit_order_away_from_the_close(planned: Make) -> None:
    (long,) = planned(LONG, atr_distance=1.5, atr=ATR, levels={ATR: 0.001})
    assert (long.kind, long.price) == (OrderKind.LIMIT, Decimal("1.09850"))
    assert (long.stop_loss, long.take_profit) == (Decimal("1.09650"), Decimal("1.10250"))
    (short,) = planned(SHORT, atr_distance=1.5, atr=ATR, levels={ATR: 0.001})
    assert short.price == Decimal("1.10150")


def test_a_limit_the_price_has_reached_is_a_market_order(
    market: Market, account: Account, make_strategy: Make, make_signal: Make
) -> None:
    strategy = make_strategy(atr_distance=1.0, atr=ATR)
    signal = make_signal(LONG, {ATR: 0.001}, close=1.105)
    intents = plan_entry(signal, strategy, market=market, account=account, split=WHOLE)
    assert [(intent.kind, intent.price) for intent in intents] == [(OrderKind.MARKET, None)]


def test_a_split_entry_is_one_group_of_limit_orders_behind_a_market_order(planned: Make) -> None:
    legs = planned(split=Split(3, Scaling.PYRAMID_DOWN), sizing=Sizing(SizingKind.FIXED, 0.6))
    assert [leg.kind for leg in legs] == [OrderKind.MARKET, OrderKind.LIMIT, OrderKind.LIMIT]
    assert [leg.price for leg in legs] == [None, Decimal("1.09900"), Decimal("1.09790")]
    assert [str(leg.volume) for leg in legs] == ["0.30", "0.20", "0.10"]
    assert {leg.group for leg in legs} == {legs[0].client_id}
    assert len({leg.client_id for leg in legs}) == 3
    assert legs[1].stop_loss == Decimal("1.09700")


def test_a_leg_beyond_an_indicator_stop_is_left_out(planned: Make) -> None:
    stop = StopRule(StopKind.INDICATOR, source=BAND)
    legs = planned(split=Split(3), stop=stop, target=None, levels={BAND: 1.0985})
    assert [leg.price for leg in legs] == [None, Decimal("1.09900")]
    assert {leg.stop_loss for leg in legs} == {Decimal("1.09850")}


def test_a_leg_at_no_price_is_left_out(planned: Make) -> None:
    assert len(planned(split=Split(3, spacing_percent=60.0), stop=None, target=None)) == 2


def test_a_monetary_stop_holds_for_the_whole_group(planned: Make, market: Market) -> None:
    stop = StopRule(StopKind.MONETARY, 100.0)
    legs = planned(split=Split(2), stop=stop, sizing=Sizing(SizingKind.FIXED, 0.5))
    assert sum(entry_risk(leg, market) for leg in legs) == 100
    (alone,) = planned(stop=stop, sizing=Sizing(SizingKind.FIXED, 0.5))
    assert entry_risk(alone, market) == 100


stop_rules = st.one_of(
    st.builds(StopRule, st.just(StopKind.FIXED), st.floats(2, 200)),
    st.builds(StopRule, st.just(StopKind.MONETARY), st.floats(50, 2000)),
    st.builds(
        StopRule,
        st.just(StopKind.INDICATOR),
        source=st.just(BAND),
        offset=st.floats(0, 20),
    ),
    st.builds(StopRule, st.just(StopKind.TRAILING), trail_step=st.floats(2, 50)),
)


@settings(max_examples=150)
@given(
    stop_rules,
    st.builds(
        Split, st.integers(1, 5), st.sampled_from(Scaling), st.floats(0, 0.5), st.floats(0.1, 3)
    ),
    st.one_of(
        st.builds(Sizing, st.just(SizingKind.FIXED), st.floats(0.01, 20)),
        st.builds(Sizing, st.just(SizingKind.PERCENTAGE), st.floats(0.1, 50)),
    ),
)
def test_a_group_never_risks_more_than_is_allowed_to_it(
    planned: Make, market: Market, stop: StopRule, split: Split, sizing: Sizing
) -> None:
    """I15: RISK_PER_GROUP bounds what all legs together lose at their stops."""
    legs = planned(split=split, stop=stop, sizing=sizing, target=None, levels={BAND: 1.0985})
    if isinstance(legs, Refusal):
        assert legs.reason is BlockReason.VOLUME_BELOW_MINIMUM
        return
    risk = sum(entry_risk(leg, market) for leg in legs)
    assert 0 <= risk <= Decimal(10000) * Decimal(repr(split.risk_percent)) / 100


def test_without_a_stop_the_risk_allowed_bounds_the_notional(planned: Make) -> None:
    (intent,) = planned(stop=None, split=Split(risk_percent=50.0), target=None)
    assert intent.volume == Decimal("0.04")


def test_an_indicator_target_is_read_at_the_entry(planned: Make) -> None:
    target = TargetRule(TargetKind.INDICATOR, source=BAND)
    (intent,) = planned(target=target, levels={BAND: 1.11})
    assert intent.take_profit == Decimal("1.11000")
