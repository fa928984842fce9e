from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.market import SymbolRules
from app.domain.orders import (
    Action,
    CloseReason,
    Deal,
    DealEntry,
    Intent,
    OrderKind,
    Position,
)
from app.domain.rules import (
    GuardedExit,
    Schedule,
    SessionHandling,
    Target,
    TargetKind,
    TargetRule,
)
from app.domain.signals import Direction
from app.risk.plans import (
    Deadline,
    PositionPlan,
    adopted,
    exit_intent,
    held_back,
    increased,
    kept,
    leaving,
    next_deadline,
    opened,
    reconciled,
    reduced,
)
from app.risk.restrictions import Restrictions

Make = Callable[..., Any]
LONG, SHORT = Direction
HOUR = timedelta(hours=1)
THREE = TargetRule(
    TargetKind.MULTI,
    targets=(Target(0.1, 50.0, move_stop=True), Target(0.2, 30.0), Target(0.3, 20.0)),
)


@pytest.fixture(scope="session")
def make_deal(monday: datetime) -> Make:
    deal = Deal(
        ticket=1, order=5, position=5, symbol="EURUSD", direction=LONG, entry=DealEntry.IN,
        volume=Decimal("0.10"), price=Decimal("1.10000"), profit=Decimal(0),
        commission=Decimal("-0.35"), swap=Decimal(0), time=monday, magic=77, comment="A" * 15,
    )  # fmt: skip

    def make(**changes: Any) -> Deal:
        return msgspec.structs.replace(deal, **changes)

    return make


@pytest.fixture(scope="session")
def intent(make_plan: Make, monday: datetime) -> Intent:
    plan = make_plan()
    return Intent(
        client_id=plan.client_id, strategy="cross", magic=77, symbol="EURUSD",
        timeframe=plan.timeframe, candle_time=monday, action=Action.ENTRY, leg=0, direction=LONG,
        kind=OrderKind.MARKET, volume=Decimal("0.10"), stop_loss=plan.stop,
        take_profit=plan.take_profit, group="G",
    )  # fmt: skip


@pytest.fixture(scope="session")
def open_plan(
    make_deal: Make, intent: Intent, make_strategy: Make, make_rules: Make, eurusd: SymbolRules
) -> Make:
    first, usual = make_deal(), make_rules()

    def make(
        deal: Deal = first, entry: Intent = intent, rules: Any = usual, **strategy: Any
    ) -> PositionPlan:
        return opened(
            deal,
            entry,
            make_strategy(**strategy),
            rules=eurusd,
            house=rules,
            seen=deal.time + timedelta(minutes=1),
        )

    return make


def test_a_fill_opens_a_plan_with_what_the_order_carried(
    open_plan: Make, intent: Intent, monday: datetime
) -> None:
    plan = open_plan()
    assert (plan.ticket, plan.client_id, plan.strategy) == (5, intent.client_id, "cross")
    assert (plan.stop, plan.take_profit) == (intent.stop_loss, intent.take_profit)
    assert (plan.opened_at, plan.entry_keys, plan.free) == (monday, ("G",), Decimal("0.10"))
    assert (plan.realised, plan.deals, plan.targets, plan.due) == (
        Decimal("-0.35"), (1,), (), None,
    )  # fmt: skip


def test_an_order_that_waited_counts_as_opened_when_its_candle_closed(
    open_plan: Make, intent: Intent, monday: datetime
) -> None:
    waited = msgspec.structs.replace(intent, kind=OrderKind.LIMIT)
    assert open_plan(entry=waited).opened_at == monday + timedelta(minutes=1)


def test_targets_stand_where_the_order_announced_them(open_plan: Make, intent: Intent) -> None:
    announced = msgspec.structs.replace(
        intent, targets=(Decimal("1.102"), Decimal("1.103"), Decimal("1.104"))
    )
    plan = open_plan(entry=announced, target=THREE)
    assert [target.price for target in plan.targets] == [Decimal("1.102"), Decimal("1.103")]


def test_all_targets_but_the_last_are_planned_with_their_parts(open_plan: Make) -> None:
    first, second = open_plan(target=THREE).targets
    assert (first.price, first.volume, first.move_stop) == (
        Decimal("1.10110"), Decimal("0.05"), True,
    )  # fmt: skip
    assert (second.price, second.volume, second.move_stop) == (
        Decimal("1.10220"), Decimal("0.03"), False,
    )  # fmt: skip


def test_more_volume_averages_the_entry_and_plans_the_targets_anew(
    open_plan: Make, make_deal: Make, make_strategy: Make, eurusd: SymbolRules, intent: Intent
) -> None:
    """On a netting account a second entry joins the position, and counts once."""
    more = make_deal(ticket=2, volume=Decimal("0.30"), price=Decimal("1.10400"))
    second = msgspec.structs.replace(intent, group="", client_id="B" * 15)
    plan = increased(open_plan(), more, second, make_strategy(target=THREE), eurusd)
    assert (plan.entry, plan.opened, plan.volume) == (
        Decimal("1.10300"), Decimal("0.40"), Decimal("0.40"),
    )  # fmt: skip
    assert plan.targets[0].volume == Decimal("0.20")
    assert (plan.realised, plan.deals) == (Decimal("-0.70"), (1, 2))
    assert plan.entry_keys == ("G", "B" * 15)
    rest = make_deal(ticket=3, volume=Decimal("0.30"))
    assert increased(plan, rest, second, make_strategy(), eurusd).entry_keys == plan.entry_keys


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.decimals("0.01", "0.20", places=2), st.booleans(), st.booleans()),
        max_size=12,
    )
)
def test_closed_volume_never_exceeds_what_was_opened(
    open_plan: Make, make_deal: Make, steps: list[tuple[Decimal, bool, bool]]
) -> None:
    """I9: whatever is asked for and whoever closes, no exit asks for more than is open."""
    plan = open_plan()
    asked_for = Decimal(0)
    for at, (volume, ask, ours) in enumerate(steps):
        if ask and plan.free > 0:
            exit_ = exit_intent(
                plan, 1, volume=volume, reason=CloseReason.SIGNAL, candle_time=plan.opened_at
            )
            assert 0 < exit_.volume <= plan.free
            plan = leaving(plan, exit_.volume, CloseReason.SIGNAL)
            asked_for += exit_.volume
        else:
            out = make_deal(ticket=10 + at, entry=DealEntry.OUT, volume=volume)
            plan = reduced(plan, out, ours=ours)
        assert 0 <= plan.closing <= plan.volume <= plan.opened
    assert plan.opened - plan.volume <= plan.opened


def test_a_deal_of_ours_takes_its_volume_off_the_way_out(open_plan: Make, make_deal: Make) -> None:
    sent = leaving(open_plan(), Decimal("0.05"), CloseReason.TARGET)
    out = make_deal(ticket=2, entry=DealEntry.OUT, volume=Decimal("0.05"), profit=Decimal(5))
    ours = reduced(sent, out, ours=True)
    assert (ours.volume, ours.closing) == (Decimal("0.05"), Decimal(0))
    assert ours.realised == Decimal("4.30")
    stopped = reduced(sent, out, ours=False)
    assert (stopped.volume, stopped.closing) == (Decimal("0.05"), Decimal("0.05"))


def test_the_first_deadline_wins(
    open_plan: Make, make_rules: Make, make_strategy: Make, eurusd: SymbolRules, monday: datetime
) -> None:
    assert open_plan(long_exit=GuardedExit(max_duration=HOUR)).due == Deadline(
        monday + HOUR, CloseReason.MAX_DURATION
    )
    assert open_plan(short_exit=GuardedExit(max_duration=HOUR)).due is None
    hours = ((time(8), time(12)),)
    closing = Schedule(hours=hours, session_handling=SessionHandling.CLOSE_ALL)
    noon = monday + 2 * HOUR
    assert open_plan(schedule=closing).due == Deadline(noon, CloseReason.SESSION_END)
    halving = Schedule(hours=hours, session_handling=SessionHandling.PARTIAL_CLOSE)
    assert open_plan(schedule=halving).due == Deadline(noon, CloseReason.SESSION_END, half=True)
    assert open_plan(schedule=Schedule(hours=hours)).due is None
    endless = Schedule(session_handling=SessionHandling.CLOSE_ALL)
    assert open_plan(schedule=endless).due is None
    daily = make_rules(Restrictions(close_time=time(11, 15), flatten=True))
    assert open_plan(schedule=closing, rules=daily).due == Deadline(
        monday + HOUR, CloseReason.MARKET_CLOSE
    )
    halved = next_deadline(open_plan(), make_strategy(schedule=halving), eurusd, make_rules(), noon)
    assert halved is not None
    assert halved.at == noon + 24 * HOUR


def test_how_much_a_deadline_closes(open_plan: Make, eurusd: SymbolRules, monday: datetime) -> None:
    plan = open_plan()
    everything = Deadline(monday, CloseReason.SESSION_END)
    assert everything.lots(plan, eurusd) == Decimal("0.10")
    half = Deadline(monday, CloseReason.SESSION_END, half=True)
    assert half.lots(plan, eurusd) == Decimal("0.05")
    smallest = msgspec.structs.replace(plan, volume=Decimal("0.01"))
    assert half.lots(smallest, eurusd) == 0


def test_exits_that_were_refused_add_up_and_all_of_it_says_what_for(open_plan: Make) -> None:
    part, rest, everything = Decimal("0.03"), Decimal("0.02"), Decimal("0.10")
    plan = kept(leaving(open_plan(), part, CloseReason.TARGET), part)
    assert (plan.owed, plan.closing, plan.exit_reason) == (part, 0, CloseReason.TARGET)
    both = kept(leaving(plan, rest, CloseReason.SESSION_END), rest)
    assert (both.owed, both.exit_reason) == (part + rest, CloseReason.TARGET)
    plan = kept(leaving(both, everything, CloseReason.SIGNAL), everything)
    assert (plan.owed, plan.exit_reason) == (everything, CloseReason.SIGNAL)
    again = kept(leaving(plan, part, CloseReason.TARGET), part)
    assert (again.owed, again.exit_reason) == (everything, CloseReason.SIGNAL)
    assert kept(again, part) == again, "what is not on its way cannot be refused"


@pytest.mark.parametrize(
    ("in_flight", "closing", "owed"),
    [("0", "0", "0.05"), ("0.05", "0.05", "0"), ("0.08", "0.08", "0")],
)
def test_an_exit_the_broker_does_not_know_of_is_owed(
    open_plan: Make, monday: datetime, in_flight: str, closing: str, owed: str
) -> None:
    held = Position(
        ticket=5, symbol="EURUSD", direction=LONG, volume=Decimal("0.10"),
        price_open=Decimal("1.1"), stop_loss=Decimal("1.09"), take_profit=None, profit=Decimal(0),
        swap=Decimal(0), opened_at=monday, magic=77, comment="",
    )  # fmt: skip
    sent = leaving(open_plan(), Decimal("0.05"), CloseReason.TARGET)
    plan = reconciled(sent, held, Decimal(in_flight))
    assert (plan.closing, plan.owed) == (Decimal(closing), Decimal(owed))
    assert (plan.stop, plan.take_profit) == (held.stop_loss, None)


def test_rule_exits_are_held_back_for_the_least_duration(
    open_plan: Make, make_strategy: Make, monday: datetime
) -> None:
    patient = make_strategy(long_exit=GuardedExit(min_duration=HOUR))
    plan = open_plan()
    assert held_back(plan, patient, monday + HOUR / 4) == HOUR * 3 / 4
    assert held_back(plan, patient, monday + HOUR) is None
    assert held_back(plan, make_strategy(), monday) is None


def test_exits_of_one_candle_are_told_apart(make_plan: Make, monday: datetime) -> None:
    """I7: by position, by reason and by leg."""

    def name(plan: PositionPlan, reason: CloseReason, leg: int = 0) -> str:
        return exit_intent(
            plan, 1, volume=Decimal(1), reason=reason, candle_time=monday, leg=leg
        ).client_id

    plan, other = make_plan(), make_plan(ticket=6)
    names = {
        name(plan, CloseReason.SIGNAL),
        name(other, CloseReason.SIGNAL),
        name(plan, CloseReason.TARGET),
        name(plan, CloseReason.TARGET, 1),
    }
    assert len(names) == 4


@pytest.mark.parametrize("known", [True, False])
def test_a_position_without_a_plan_is_given_one(
    *,
    known: bool,
    intent: Intent,
    make_deal: Make,
    make_strategy: Make,
    make_rules: Make,
    eurusd: SymbolRules,
    monday: datetime,
) -> None:
    held = Position(
        ticket=5, symbol="EURUSD", direction=LONG, volume=Decimal("0.10"),
        price_open=Decimal("1.10000"), stop_loss=Decimal("1.09"), take_profit=None,
        profit=Decimal(0), swap=Decimal(0), opened_at=monday, magic=77, comment="B" * 15 + " cross",
    )  # fmt: skip
    strategy = make_strategy(target=THREE, long_exit=GuardedExit(max_duration=HOUR))
    plan = adopted(
        held,
        [make_deal()],
        intent if known else None,
        strategy,
        rules=eurusd,
        house=make_rules(),
    )
    assert (plan.client_id, plan.group) == (("A" * 15, "G") if known else ("B" * 15, ""))
    assert (plan.realised, plan.deals, plan.stop) == (Decimal("-0.35"), (1,), held.stop_loss)
    assert plan.joined == (() if known else ("A" * 15,))
    assert len(plan.targets) == 2
    assert plan.due is not None
