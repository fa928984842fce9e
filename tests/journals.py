"""What tests write into journals."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from app.domain.market import Timeframe
from app.domain.orders import (
    Action,
    Block,
    BlockReason,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    OrderKind,
)
from app.domain.signals import Direction
from app.risk.plans import PlannedTarget, PositionPlan

ACCOUNT = "Broker-Demo:123456"
M1, M5 = Timeframe("M1"), Timeframe("M5")
MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def entry(client_id="A", **fields):
    return Intent(
        **{
            "client_id": client_id,
            "strategy": "cross",
            "magic": 2**53 - 1,
            "symbol": "EURUSD.r",
            "timeframe": M5,
            "candle_time": MONDAY,
            "action": Action.ENTRY,
            "leg": 0,
            "direction": Direction.LONG,
            "kind": OrderKind.LIMIT,
            "volume": Decimal("0.10"),
            "price": Decimal("1.10500"),
            "stop_loss": Decimal("1.1"),
            "take_profit": Decimal("1.12"),
            "group": "G",
            "expected_price": Decimal("1.1050"),
            "targets": (Decimal("1.11"), Decimal("1.12")),
        }
        | fields
    )


def exit_(client_id="X", **fields):
    closing = {"action": Action.EXIT, "ticket": 5, "close_reason": CloseReason.SIGNAL}
    return entry(client_id, **{**closing, "kind": OrderKind.MARKET, "price": None} | fields)


def deal(ticket=7, volume="0.04", **fields):
    return Deal(
        **{
            "ticket": ticket,
            "order": 6,
            "position": 5,
            "symbol": "EURUSD.r",
            "direction": Direction.LONG,
            "entry": DealEntry.IN,
            "volume": Decimal(volume),
            "price": Decimal("1.10500"),
            "profit": Decimal("-0.10"),
            "commission": Decimal("-0.07"),
            "swap": Decimal(0),
            "time": MONDAY + SECOND,
            "magic": 1,
            "comment": "A",
        }
        | fields
    )


def plan(ticket=5, **fields):
    return PositionPlan(
        **{
            "ticket": ticket,
            "client_id": "A",
            "strategy": "cross",
            "magic": 1,
            "symbol": "EURUSD.r",
            "timeframe": M1,
            "direction": Direction.LONG,
            "opened_at": MONDAY,
            "entry": Decimal("1.10"),
            "opened": Decimal(1),
            "volume": Decimal("1.00"),
            "best": 1.1 + 1e-16,
            "targets": (PlannedTarget(Decimal("1.2"), Decimal("0.5"), move_stop=True),),
            "deals": (7, 8),
        }
        | fields
    )


def block(reason=BlockReason.DAILY_LOSS_LIMIT, **fields):
    return Block(**{"reason": reason, "detail": "lost 100.00", "since": MONDAY} | fields)
