from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.market import Timeframe
from app.domain.orders import (
    Action,
    BlockReason,
    CloseReason,
    Intent,
    OrderKind,
    Position,
    Refusal,
)
from app.domain.rules import Schedule
from app.domain.signals import Direction
from app.risk.limits import (
    ApprovedOrder,
    Exposure,
    Moment,
    approve_entry,
    approve_exit,
    clear_moment,
    entry_risk,
    loss_at_stop,
    position_risk,
)
from app.risk.restrictions import News, Restrictions
from app.risk.sizing import Market

Make = Callable[..., Any]
LONG, SHORT = Direction
NONE = Decimal(0)
FREE = Exposure(0, NONE, NONE, NONE)


@pytest.fixture(scope="session")
def intent(monday: datetime) -> Intent:
    return Intent(
        client_id="A" * 15,
        strategy="cross",
        magic=77,
        symbol="EURUSD",
        timeframe=Timeframe("M5"),
        candle_time=monday,
        action=Action.ENTRY,
        leg=0,
        direction=LONG,
        kind=OrderKind.MARKET,
        volume=Decimal("0.50"),
        stop_loss=Decimal("1.09810"),
        take_profit=Decimal("1.10410"),
    )


@pytest.fixture(scope="session")
def asked(
    intent: Intent, monday: datetime, market: Market, make_strategy: Make, make_rules: Make
) -> Make:
    """Ask for the approval of one entry, everything allowed unless said otherwise."""
    plain, usual = make_strategy(), make_rules()

    def ask(
        *,
        intents: tuple[Intent, ...] = (intent,),
        exposure: Exposure = FREE,
        strategy: Any = plain,
        rules: Any = usual,
        **moment: Any,
    ) -> tuple[ApprovedOrder, ...] | Refusal:
        known = {"at": monday, "late": False, "reduce_only": False, "open_entries": 0}
        answer = clear_moment(strategy, Moment(**{**known, **moment}), market.rules, rules)
        if isinstance(answer, Refusal):
            return answer
        return approve_entry(intents, clearance=answer, exposure=exposure, market=market)

    return ask


def refusal(answer: tuple[ApprovedOrder, ...] | Refusal) -> BlockReason:
    assert isinstance(answer, Refusal)
    return answer.reason


def test_an_entry_within_all_limits_is_approved(asked: Make, intent: Intent) -> None:
    assert [order.intent for order in asked()] == [intent]


def test_late_candles_and_reduce_only_open_nothing(asked: Make) -> None:
    assert refusal(asked(late=True)) is BlockReason.LATE_CANDLE
    assert refusal(asked(reduce_only=True)) is BlockReason.REDUCE_ONLY


def test_the_schedule_is_read_in_the_brokers_day(
    asked: Make, make_strategy: Make, make_rules: Make
) -> None:
    """Monday 10:00 UTC is 17:00 at a broker on New York + 12 and 10:00 at one on UTC."""
    mornings = make_strategy(schedule=Schedule(hours=((time(9), time(12)),)))
    assert not isinstance(asked(strategy=mornings), Refusal)
    answer = asked(strategy=mornings, rules=make_rules(zone="NY+12"))
    assert answer == Refusal(BlockReason.OUTSIDE_SCHEDULE, "Mon 17:00 broker's time")


def test_restrictions_refuse_entries(asked: Make, make_rules: Make, monday: datetime) -> None:
    news = Restrictions(news=(News(monday + timedelta(minutes=5), "USD", "payrolls"),))
    assert refusal(asked(rules=make_rules(news))) is BlockReason.NEWS


def test_one_entry_per_strategy_and_direction_unless_configured(
    asked: Make, make_rules: Make
) -> None:
    assert refusal(asked(open_entries=1)) is BlockReason.POSITION_OPEN
    two = make_rules(positions_per_direction=2)
    assert not isinstance(asked(open_entries=1, rules=two), Refusal)
    assert refusal(asked(open_entries=2, rules=two)) is BlockReason.POSITION_OPEN


def test_the_number_of_positions_is_limited_legs_counted(asked: Make, intent: Intent) -> None:
    """C28: positions, waiting orders and those on their way, ten at most."""
    nine = msgspec.structs.replace(FREE, taken=9)
    assert len(asked(exposure=nine)) == 1
    answer = asked(exposure=nine, intents=(intent, intent))
    assert answer == Refusal(
        BlockReason.MAX_POSITIONS,
        "9 positions and orders, 2 more wanted, risk.max_positions is 10",
    )


def test_the_size_of_an_entry_is_limited_as_a_group(asked: Make, intent: Intent) -> None:
    """C29: one lot at most, all legs together."""
    assert len(asked(intents=(intent, intent))) == 2
    answer = asked(intents=(intent, intent, intent))
    assert answer == Refusal(
        BlockReason.MAX_POSITION_SIZE, "1.50 lots wanted, risk.max_position_size is 1"
    )


@pytest.mark.parametrize(
    ("realised", "floating", "reason"),
    [
        ("-600", "-400", BlockReason.DAILY_LOSS_LIMIT),
        ("-1500", "600", BlockReason.LOSS_AT_RISK),
        ("-900.01", "0", BlockReason.LOSS_AT_RISK),
        ("-900", "0", None),
        ("-950", "200", BlockReason.LOSS_AT_RISK),
        ("500", "-1400", None),
    ],
)
def test_the_days_loss_is_limited_with_the_loss_at_the_stop(
    asked: Make, realised: str, floating: str, reason: BlockReason | None
) -> None:
    """C27: realised and floating together, and what the stop (100 here) would add to them."""
    answer = asked(exposure=Exposure(1, Decimal(realised), Decimal(floating), NONE))
    assert (answer.reason if isinstance(answer, Refusal) else None) is reason


def test_what_is_open_counts_as_if_it_were_stopped_out(asked: Make) -> None:
    """I15: an entry whose stop would break what is left of the day's limit is denied."""
    answer = asked(exposure=Exposure(1, NONE, Decimal(300), Decimal("900.01")))
    assert answer == Refusal(
        BlockReason.LOSS_AT_RISK,
        "100.00 lost at the stop, 99.99 left of risk.daily_loss_limit 1000 "
        "with everything open stopped out",
    )
    assert not isinstance(asked(exposure=Exposure(1, NONE, NONE, Decimal(900))), Refusal)


def test_a_disabled_loss_limit_limits_nothing(asked: Make, make_rules: Make) -> None:
    ruined = Exposure(0, Decimal(-9999), NONE, NONE)
    assert not isinstance(asked(exposure=ruined, rules=make_rules(daily_loss_limit=None)), Refusal)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"stop_loss": Decimal("1.09991")}, "stop loss 1.09991 for long at 1.10000"),
        ({"take_profit": Decimal("1.10005")}, "take profit 1.10005 for long at 1.10000"),
        (
            {"kind": OrderKind.LIMIT, "price": Decimal("1.09"), "stop_loss": Decimal("1.08995")},
            "at 1.09:",
        ),
        (
            {"direction": SHORT, "stop_loss": Decimal("1.10015"), "take_profit": None},
            "for short at 1.10010",
        ),
    ],
)
def test_stops_too_close_to_the_market_are_refused_before_sending(
    asked: Make, intent: Intent, changes: Any, word: str
) -> None:
    answer = asked(intents=(msgspec.structs.replace(intent, **changes),))
    assert refusal(answer) is BlockReason.STOP_TOO_CLOSE
    assert word in answer.detail


def test_limits_are_asked_in_a_fixed_order(asked: Make, intent: Intent, make_rules: Make) -> None:
    strict = make_rules(max_positions=1, max_position_size=Decimal("0.1"))
    full = Exposure(5, Decimal(-5000), NONE, NONE)
    close = (msgspec.structs.replace(intent, stop_loss=Decimal("1.09999")),)
    assert refusal(asked(intents=close, exposure=full, rules=strict)) is BlockReason.MAX_POSITIONS
    assert (
        refusal(asked(intents=close, exposure=FREE, rules=strict)) is BlockReason.MAX_POSITION_SIZE
    )
    lost = Exposure(0, Decimal(-5000), NONE, NONE)
    assert refusal(asked(intents=close, exposure=lost)) is BlockReason.DAILY_LOSS_LIMIT


@settings(max_examples=100)
@given(
    volume=st.decimals("0.01", "100", places=2),
    ticket=st.integers(1, 2**40),
    reason=st.sampled_from(CloseReason),
)
def test_every_exit_is_approved(
    intent: Intent, volume: Decimal, ticket: int, reason: CloseReason
) -> None:
    """I10: there is nothing an exit could be refused for."""
    leaving = msgspec.structs.replace(
        intent, action=Action.EXIT, volume=volume, ticket=ticket, close_reason=reason
    )
    assert approve_exit(leaving).intent is leaving


def test_an_entry_cannot_pass_as_an_exit(intent: Intent) -> None:
    with pytest.raises(ValueError, match="is not the exit of a position"):
        approve_exit(intent)
    with pytest.raises(ValueError, match="is not the exit of a position"):
        approve_exit(msgspec.structs.replace(intent, action=Action.EXIT))


def test_what_an_entry_and_a_position_can_lose(
    intent: Intent, market: Market, monday: datetime
) -> None:
    assert entry_risk(intent, market) == 100
    waiting = msgspec.structs.replace(intent, price=Decimal("1.10000"), kind=OrderKind.LIMIT)
    assert entry_risk(waiting, market) == 95
    assert loss_at_stop(LONG, Decimal(1), None, Decimal(1), Decimal(1)) == 0
    assert loss_at_stop(SHORT, Decimal(2), Decimal(1), Decimal(1), Decimal(1)) == 0
    held = Position(
        ticket=1, symbol="EURUSD", direction=LONG, volume=Decimal(1), price_open=Decimal("1.1"),
        stop_loss=Decimal("1.09"), take_profit=None, profit=Decimal(-20), swap=Decimal(-3),
        opened_at=monday, magic=1, comment="",
    )  # fmt: skip
    assert position_risk(held, Decimal(100000)) == 1000
    assert position_risk(msgspec.structs.replace(held, stop_loss=None), Decimal(100000)) == 23


@settings(max_examples=100)
@given(st.lists(st.integers(1, 3), min_size=20, max_size=20), st.integers(1, 6))
def test_no_interleaving_of_signals_exceeds_the_number_of_positions(
    asked: Make, intent: Intent, make_rules: Make, sizes: list[int], slots: int
) -> None:
    """I15: whatever was approved counts at once, so twenty signals never share one slot."""
    rules = make_rules(max_positions=slots, max_position_size=Decimal(100))
    taken = 0
    for legs in sizes:
        exposure = msgspec.structs.replace(FREE, taken=taken)
        answer = asked(intents=(intent,) * legs, exposure=exposure, rules=rules)
        assert isinstance(answer, Refusal) == (taken + legs > slots)
        taken += 0 if isinstance(answer, Refusal) else len(answer)


def test_nothing_is_netted_into_another_strategys_position(asked: Make, make_rules: Make) -> None:
    answer = asked(netted_with="other")
    assert answer == Refusal(
        BlockReason.NETTED_BY_ANOTHER, "EURUSD is one net position, held by other"
    )
    assert refusal(asked(netted_with="other", open_entries=1)) is BlockReason.POSITION_OPEN
