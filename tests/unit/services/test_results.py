"""What the account has gained and lost is a function of its ledger (I13, I14)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from app.domain.orders import Deal, DealEntry
from app.domain.signals import Direction
from app.services.results import Results
from tests.account import FaultyAccount

MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOTHING = Decimal(0)


def deal(ticket: int, profit: int, at: datetime = MONDAY, **parts: object) -> Deal:
    values = {"commission": NOTHING, "swap": NOTHING, "symbol": "EURUSD", **parts}
    return Deal(
        ticket=ticket, order=ticket, position=1, direction=Direction.LONG, entry=DealEntry.OUT,
        volume=Decimal(1), price=Decimal(1), profit=Decimal(profit), time=at, magic=1, comment="",
        **values,
    )  # fmt: skip


class Ledger(FaultyAccount):
    """An account whose ledger is given."""

    def __init__(self, deals: Sequence[Deal] = ()) -> None:
        super().__init__()
        self._deals = list(deals)


def test_a_day_is_the_sum_of_its_deals_with_what_they_cost() -> None:
    """Swap and commission too. Red with the profit alone."""
    ledger = Ledger([deal(1, 100, commission=Decimal(-7), swap=Decimal(-3)), deal(2, -20)])
    assert Results(ServerTime("UTC")).day(MONDAY, ledger) == 70


def test_deposits_and_withdrawals_are_no_result() -> None:
    """Neither of the day nor of the drawdown. Red when `funding` is not asked for."""
    ledger = Ledger([deal(1, -5000, symbol="", funding=True), deal(2, 10)])
    results = Results(ServerTime("UTC"))
    results.add(deal(3, 800, symbol="", funding=True))
    assert results.day(MONDAY, ledger) == 10
    assert results.drawdown(NOTHING, ledger) == 0


def test_what_the_broker_charges_apart_from_trades_is_lost() -> None:
    """A day's commission is booked in one, without a symbol. Red when a symbol is asked for."""
    ledger = Ledger([deal(1, 10), deal(2, -7, symbol="")])
    results = Results(ServerTime("UTC"))
    assert results.day(MONDAY, ledger) == 3
    assert results.drawdown(NOTHING, ledger) == 7


def test_a_deal_counts_once_however_often_it_is_told() -> None:
    """By the ledger and by a look, in either order. Red without remembering tickets."""
    ledger = Ledger([deal(1, 10)])
    results = Results(ServerTime("UTC"))
    for _ in range(3):
        results.add(deal(1, 10))
        assert results.day(MONDAY, ledger) == 10
        assert results.drawdown(Decimal(-5), ledger) == 5
    results.add(deal(2, -30))
    results.add(deal(2, -30))
    assert results.day(MONDAY, ledger) == -20
    assert results.drawdown(NOTHING, ledger) == 30


def test_a_day_begins_when_the_brokers_does() -> None:
    """I14: at 17:00 in New York, which is 22:00 UTC in winter. Red with UTC days."""
    before = datetime(2025, 1, 6, 21, 59, 59, tzinfo=UTC)
    after = before + timedelta(seconds=1)
    ledger = Ledger([deal(1, -10, before), deal(2, -3, after)])
    results = Results(ServerTime("NY+7"))
    assert [results.day(at, ledger) for at in (before, after, before)] == [-10, -3, -10]


def test_a_new_day_that_the_ledger_does_not_tell_is_not_known() -> None:
    ledger = Ledger([deal(1, -10)])
    results = Results(ServerTime("UTC"))
    assert results.day(MONDAY, ledger) == -10
    ledger.no_history = True
    assert results.day(MONDAY + HOUR, ledger) == -10
    with pytest.raises(SourceError):
        results.day(MONDAY + 24 * HOUR, ledger)
    with pytest.raises(SourceError):
        results.drawdown(NOTHING, ledger)


def test_the_drawdown_is_how_far_the_result_lies_below_its_best() -> None:
    """What floats counts. Red with the best at the end, or without what floats."""
    ledger = Ledger([deal(1, 100), deal(2, -30), deal(3, 10)])
    results = Results(ServerTime("UTC"))
    assert results.drawdown(NOTHING, ledger) == 20
    assert results.drawdown(Decimal(-15), ledger) == 35
    assert results.drawdown(Decimal(50), ledger) == -30


def test_the_drawdown_is_counted_anew_from_when_the_operator_says() -> None:
    ledger = Ledger([deal(1, -100), deal(2, -7, MONDAY + HOUR)])
    results = Results(ServerTime("UTC"))
    assert results.drawdown(NOTHING, ledger) == 107
    results.forget_drawdown(MONDAY + HOUR)
    assert results.drawdown(NOTHING, ledger) == 7
    since = Results(ServerTime("UTC"), drawdown_since=MONDAY + HOUR)
    assert since.drawdown(NOTHING, ledger) == 7


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 60)), max_size=20),
    st.lists(st.sampled_from(["look", "ask", "restart"]), max_size=20),
)
def test_who_looked_when_makes_no_difference(
    made: list[tuple[int, int]], doings: list[str]
) -> None:
    """I13: a function of the ledger, not of the process: any looks, questions and restarts."""
    deals = [deal(at, profit, MONDAY + hours * HOUR) for at, (profit, hours) in enumerate(made)]
    deals.sort(key=lambda it: it.time)
    ledger, now = Ledger(), MONDAY
    results = Results(ServerTime("NY+7"))
    coming = list(deals)
    for doing in [*doings, *["look"] * len(deals)]:
        if doing == "look" and coming:
            now = coming[0].time
            ledger._deals.append(coming[0])
            results.add(coming.pop(0))
        elif doing == "ask":
            results.day(now, ledger)
            results.drawdown(NOTHING, ledger)
        else:
            results = Results(ServerTime("NY+7"))
    fresh = Results(ServerTime("NY+7"))
    assert results.day(now, ledger) == fresh.day(now, ledger)
    assert results.drawdown(NOTHING, ledger) == fresh.drawdown(NOTHING, ledger)
