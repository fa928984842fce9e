"""Values the risk tests share: EURUSD as a broker sees it, a plain strategy, a signal, a plan."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from app.domain.broker_time import ServerTime
from app.domain.market import Candle, Quote, SymbolRules, Timeframe
from app.domain.orders import Account
from app.domain.rules import (
    RiskRules,
    Sizing,
    SizingKind,
    StopKind,
    StopRule,
    StrategyRules,
    TargetKind,
    TargetRule,
)
from app.domain.signals import Direction, Signal
from app.risk.limits import EntryRules, RiskLimits
from app.risk.plans import PositionPlan
from app.risk.restrictions import Restrictions
from app.risk.sizing import Market

MONDAY = datetime(2025, 1, 6, 10, 0, tzinfo=UTC)
M5 = Timeframe("M5")
Make = Callable[..., Any]

TENTH = Sizing(SizingKind.FIXED, 0.1)
STOP = StopRule(StopKind.FIXED, 20.0)
TARGET = TargetRule(TargetKind.FIXED, 40.0)


@pytest.fixture(scope="session")
def monday() -> datetime:
    return MONDAY


@pytest.fixture(scope="session")
def eurusd() -> SymbolRules:
    return SymbolRules(
        symbol="EURUSD",
        digits=5,
        contract_size=Decimal(100000),
        volume_min=Decimal("0.01"),
        volume_max=Decimal(100),
        volume_step=Decimal("0.01"),
        base_currency="EUR",
        profit_currency="USD",
        pip=Decimal("0.0001"),
        stops_level=10,
    )


@pytest.fixture(scope="session")
def market(eurusd: SymbolRules) -> Market:
    return Market(eurusd, Quote("EURUSD", 1.1, 1.1001, MONDAY), Decimal(100000))


@pytest.fixture(scope="session")
def account() -> Account:
    money = Decimal(10000)
    return Account(7, "paper", "USD", 100, True, money, money, Decimal(0), money)


@pytest.fixture(scope="session")
def make_candle() -> Make:
    def make(
        close: float = 1.1, *, minutes: int = 0, high: float = 0.0, low: float = 0.0, **extra: Any
    ) -> Candle:
        opened = MONDAY + timedelta(minutes=minutes)
        return Candle(
            "EURUSD",
            M5,
            opened,
            opened + M5.delta,
            open=close,
            high=high or close,
            low=low or close,
            close=close,
            **extra,
        )

    return make


@pytest.fixture(scope="session")
def make_strategy() -> Make:
    def make(
        *,
        sizing: Sizing = TENTH,
        stop: StopRule | None = STOP,
        target: TargetRule | None = TARGET,
        atr_distance: float | None = None,
        atr: Any = None,
        **rest: Any,
    ) -> StrategyRules:
        risk = RiskRules(sizing, stop, target, atr_distance, atr)
        return StrategyRules("cross", "EURUSD", 77, (M5,), M5, risk, **rest)

    return make


@pytest.fixture(scope="session")
def make_signal(make_candle: Make) -> Make:
    def make(
        direction: Direction = Direction.LONG, levels: Any = None, close: float = 1.1
    ) -> Signal:
        return Signal("cross", "EURUSD", M5, direction, make_candle(close), (), levels or {})

    return make


@pytest.fixture(scope="session")
def make_rules() -> Make:
    def make(restrictions: Any = None, zone: str = "UTC", **limits: Any) -> EntryRules:
        known = {
            "daily_loss_limit": Decimal(1000),
            "max_positions": 10,
            "max_position_size": Decimal(1),
        }
        return EntryRules(
            RiskLimits(**{**known, **limits}), restrictions or Restrictions(), ServerTime(zone)
        )

    return make


@pytest.fixture(scope="session")
def make_plan() -> Make:
    plan = PositionPlan(
        ticket=5,
        client_id="A" * 15,
        strategy="cross",
        magic=77,
        symbol="EURUSD",
        timeframe=M5,
        direction=Direction.LONG,
        opened_at=MONDAY,
        entry=Decimal("1.10000"),
        opened=Decimal("0.10"),
        volume=Decimal("0.10"),
        best=1.1,
        stop=Decimal("1.09800"),
        take_profit=Decimal("1.10400"),
    )

    def make(**changes: Any) -> PositionPlan:
        return msgspec.structs.replace(plan, **changes)

    return make
