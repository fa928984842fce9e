from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.strategy_files import load_strategies
from app.domain.market import SymbolRules
from app.domain.rows import BASE_COLUMNS, Columns
from app.domain.rules import Sizing, SizingKind
from app.domain.signals import Direction
from app.risk.sizing import Market, exact, lots_wanted, part_volumes
from app.risk.splitting import Scaling, Split, leg_price, leg_volumes


def wanted(sizing: Sizing, distance: str | None = "0.0020", atr: float = 0.001) -> Decimal:
    return lots_wanted(
        sizing,
        balance=Decimal(10000),
        price=Decimal("1.25"),
        stop_distance=None if distance is None else Decimal(distance),
        atr=atr,
        money_per_lot=Decimal(100000),
    )


@pytest.mark.parametrize(
    ("sizing", "distance", "lots"),
    [
        (Sizing(SizingKind.FIXED, 0.3), "0.0020", "0.3"),
        (Sizing(SizingKind.PERCENTAGE, 1.0), "0.0020", "0.5"),
        (Sizing(SizingKind.PERCENTAGE, 1.0), None, "0.0008"),
        (Sizing(SizingKind.VOLATILITY, 1.0), "0.0500", "0.5"),
    ],
)
def test_each_kind_of_sizing(sizing: Sizing, distance: str | None, lots: str) -> None:
    """Fixed lots; share at risk; share as notional without a stop; share over two ATRs."""
    assert wanted(sizing, distance) == Decimal(lots)


def test_a_share_at_risk_over_a_stop_given_in_money_loads_with_a_warning(
    tmp_path: Path,
) -> None:
    """Each of the two waits for the other: the stop's distance needs the lots, these the stop."""
    path = tmp_path / "strategies" / "eurusd" / "tested.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "name: tested\ntimeframes: [1]\nentry:\n  long:\n    conditions:\n"
        "      - {signal: close, operator: '>', value: 1, timeframe: 1}\n"
        "risk:\n  position_sizing: {type: percentage, value: 1}\n"
        "  sl: {type: monetary, value: 50}\n"
    )
    (strategy,) = load_strategies(tmp_path, "EURUSD", lambda _: Columns(BASE_COLUMNS), magic=len)
    (warning,) = strategy.warnings
    assert "tested.yaml:8" in warning
    assert "share of the balance as notional" in warning


def test_an_account_in_debt_or_a_flat_market_sizes_to_nothing() -> None:
    assert wanted(Sizing(SizingKind.VOLATILITY, 1.0), atr=0.0) == 0
    assert wanted(Sizing(SizingKind.PERCENTAGE, -1.0)) == 0


def test_a_fixed_size_is_never_a_rounding_error_below_its_step(eurusd: SymbolRules) -> None:
    for hundredths in range(1, 101):
        lots = hundredths / 100
        assert eurusd.volume(wanted(Sizing(SizingKind.FIXED, lots))) == exact(lots)


def test_a_long_opens_at_the_ask_and_closes_at_the_bid(market: Market) -> None:
    assert market.entry_price(Direction.LONG) == market.exit_price(Direction.SHORT)
    assert market.entry_price(Direction.LONG) == Decimal("1.10010")
    assert market.exit_price(Direction.LONG) == Decimal("1.10000")


grids = st.builds(
    lambda low, step: SymbolRules(
        symbol="X",
        digits=2,
        contract_size=Decimal(1),
        volume_min=low,
        volume_max=Decimal(50),
        volume_step=step,
        base_currency="X",
        profit_currency="USD",
        pip=Decimal(1),
    ),
    st.sampled_from([Decimal("0.01"), Decimal("0.05"), Decimal("0.1"), Decimal(1)]),
    st.sampled_from([Decimal("0.01"), Decimal("0.03"), Decimal("0.1")]),
)
lots_of = st.decimals("0.001", "60", places=3)


def on_grid(volume: Decimal, rules: SymbolRules) -> bool:
    return (
        rules.volume_min <= volume <= rules.volume_max
        and (volume - rules.volume_min) % rules.volume_step == 0
    )


@settings(max_examples=200)
@given(grids, lots_of)
def test_a_volume_is_the_largest_tradable_one_not_above_what_is_wanted(
    rules: SymbolRules, lots: Decimal
) -> None:
    """I16: min + k * step, rounded down, no trade below the minimum."""
    volume = rules.volume(lots)
    if volume == 0:
        assert lots < rules.volume_min
    else:
        assert on_grid(volume, rules)
        assert volume <= lots < volume + rules.volume_step or volume + rules.volume_step > 50


@settings(max_examples=200)
@given(grids, lots_of, st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_partial_closes_obey_the_rules_and_sum_to_the_whole(
    rules: SymbolRules, lots: Decimal, weights: list[int]
) -> None:
    """I16: every part but the last is tradable or nothing and leaves a tradable rest."""
    whole = rules.volume(lots)
    percents = [100 * weight / sum(weights) for weight in weights]
    parts = part_volumes(whole, percents, rules)
    assert sum(parts) == whole
    assert all(part == 0 or on_grid(part, rules) for part in parts[:-1])
    assert whole == 0 or parts[-1] >= rules.volume_min


@settings(max_examples=200)
@given(grids, lots_of, st.integers(1, 6), st.sampled_from(Scaling))
def test_legs_are_tradable_and_never_more_than_the_whole(
    rules: SymbolRules, lots: Decimal, count: int, scaling: Scaling
) -> None:
    """I16: splitting rounds down, and gives legs up rather than the minimum volume."""
    volumes = leg_volumes(lots, Split(count, scaling), rules)
    assert len(volumes) <= count
    assert sum(volumes, Decimal(0)) <= lots
    assert all(on_grid(volume, rules) for volume in volumes)
    assert bool(volumes) is (rules.volume(lots) > 0)
    if scaling is Scaling.PYRAMID_UP:
        assert list(volumes) == sorted(volumes)
    elif scaling is Scaling.PYRAMID_DOWN:
        assert list(volumes) == sorted(volumes, reverse=True)
    else:
        assert len(set(volumes)) <= 1


def test_volumes_of_three_legs(eurusd: SymbolRules) -> None:
    def split(scaling: Scaling) -> list[str]:
        return [str(volume) for volume in leg_volumes(Decimal("0.6"), Split(3, scaling), eurusd)]

    assert split(Scaling.EQUAL) == ["0.20", "0.20", "0.20"]
    assert split(Scaling.PYRAMID_UP) == ["0.10", "0.20", "0.30"]
    assert split(Scaling.PYRAMID_DOWN) == ["0.30", "0.20", "0.10"]


def test_legs_stand_further_against_the_move(eurusd: SymbolRules) -> None:
    split = Split(3, spacing_percent=0.1)
    longs = [leg_price(Decimal("1.1"), leg, split, Direction.LONG, eurusd) for leg in range(3)]
    shorts = [leg_price(Decimal("1.1"), leg, split, Direction.SHORT, eurusd) for leg in range(3)]
    assert longs == [Decimal("1.1"), Decimal("1.0989"), Decimal("1.0978")]
    assert shorts == [Decimal("1.1"), Decimal("1.1011"), Decimal("1.1022")]
