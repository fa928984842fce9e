"""Taking over what the broker holds: ours goes on, strangers are told of (I4, I8).

Where a rule was removed to see its test fail, the docstring says so.
"""

from decimal import Decimal

import pytest

from app.domain.errors import SourceError
from app.domain.orders import Action, BlockReason, IntentState
from app.domain.rules import Target, TargetKind, TargetRule
from app.events import PositionAdoptedEvent, PositionClosedEvent
from tests.fates import FINE, LOST_REPLY, REFUSED, Death, Killed
from tests.ledger import replace
from tests.trader import LONG, SHORT, DurableJournal, Trader, opened, strategy

FILLED, LOST = IntentState.FILLED, IntentState.LOST
ENTER = {"enter": [("cross", LONG)]}
LEAVE = {"leave": [("cross", LONG)]}
HALVES = TargetRule(
    TargetKind.MULTI, targets=(Target(0.1, 40.0), Target(0.2, 30.0), Target(0.5, 30.0))
)


def killed(trader: Trader, **signals: object) -> None:
    """Let the process die in a cycle, and start again."""
    with pytest.raises(Killed):
        trader.minute(**signals)
    trader.restart()


def adopted(trader: Trader) -> list[str]:
    return [event.strategy for event in trader.of(PositionAdoptedEvent)]


def test_a_restart_goes_on_with_plans_and_orders() -> None:
    """I8: the same plans, the same orders on their way, nothing sent."""
    trader = opened(Trader(strategy(), strategy("limit", atr_distance=1.0)))
    trader.minute(enter=[("limit", SHORT)])
    plans, sent = trader.plans, len(trader.account.sent)
    trader.restart()
    assert (trader.plans, len(trader.account.sent)) == (plans, sent)
    trader.minute(enter=[("limit", SHORT), ("cross", LONG)])
    assert trader.refused() == [BlockReason.POSITION_OPEN] * 2


@pytest.mark.parametrize("death", Death)
@pytest.mark.parametrize("where", ["admission", "submission"])
def test_an_entry_in_which_the_process_dies_is_settled_after_it(death: Death, where: str) -> None:
    """I1, I3, I6: it is open if it was executed, and lost if not, and never sent again.

    Red with SENDING taken for nothing at a start.
    """
    trader = Trader()
    if where == "admission":
        trader.journal.death = death
    else:
        trader.account.fates.append(replace(FINE, death=death))
    killed(trader, **ENTER)
    trader.wait(8, seconds=60)
    executed = where == "submission" and death is Death.AFTER
    admitted = where == "submission" or death is Death.AFTER
    assert trader.states() == ([FILLED if executed else LOST] if admitted else [])
    assert len(trader.plans) == len(trader.account.held) == executed
    assert len(trader.account.sent) == (where == "submission")


@pytest.mark.parametrize("death", Death)
@pytest.mark.parametrize("where", ["admission", "submission"])
def test_an_exit_in_which_the_process_dies_is_made_all_the_same(death: Death, where: str) -> None:
    """I9, I10: noted before it is sent, so that none is lost. Red with the plan kept after it."""
    trader = opened(Trader())
    if where == "admission":
        trader.journal.death = death
    else:
        trader.account.fates.append(replace(FINE, death=death))
    with pytest.raises(Killed):
        trader.minute(**LEAVE)
    trader.restart()
    durable = where == "submission" or death is Death.AFTER
    trader.minute(**({} if durable else LEAVE))
    trader.wait(8)
    trader.minute()
    assert trader.account.held == {}
    assert trader.plans == []
    assert len(trader.of(PositionClosedEvent)) == 1


def test_an_exit_signal_is_for_all_positions_though_the_process_dies_at_the_first() -> None:
    """Red with the second noted only once its turn comes."""
    trader = Trader(limits={"positions_per_direction": 2})
    trader.minute(**ENTER)
    trader.minute(**ENTER)
    trader.account.fates.append(replace(FINE, death=Death.AFTER))
    killed(trader, **LEAVE)
    trader.minute()
    trader.minute()
    assert trader.account.held == {}


def test_all_targets_of_a_candle_are_closed_though_the_process_dies_at_the_first() -> None:
    """Red with the second noted only once its turn comes."""
    trader = opened(Trader(strategy(target=HALVES)))
    trader.account.move("EURUSD", Decimal("1.10300"))
    trader.account.fates.append(replace(FINE, death=Death.AFTER))
    killed(trader)
    trader.minute()
    assert [held.volume for held in trader.account.held.values()] == [Decimal("0.03")]


def test_a_start_that_is_not_answered_says_so() -> None:
    """What cannot be known is not taken over; the next start tries again."""
    trader = opened(Trader())
    trader.account.no_history = True
    with pytest.raises(SourceError):
        trader.restart()
    trader.account.no_history = False
    trader.restart()
    assert adopted(trader) == ["cross"]


def test_what_a_successor_saw_before_it_could_not_start_is_taken_in() -> None:
    """The service that goes on learns it; red when each has what it was told to itself."""
    trader = opened(Trader())
    trader.account.move("EURUSD", Decimal("1.09700"))
    trader.account.no_history = True
    with pytest.raises(SourceError):
        trader.begin_successor()
    trader.account.no_history = False
    trader.wait(1)
    assert trader.plans == []
    assert len(trader.of(PositionClosedEvent)) == 1


def test_what_happened_while_nobody_looked_is_taken_in() -> None:
    trader = opened(Trader())
    trader.account.move("EURUSD", Decimal("1.09700"))
    trader.restart()
    assert trader.plans == []
    assert len(trader.of(PositionClosedEvent)) == 1


def test_a_stop_that_is_missing_at_a_start_is_still_due() -> None:
    """Red with the broker's word taken for it."""
    trader = opened(Trader())
    (ticket,) = trader.account.held
    stop = trader.account.held[ticket].stop_loss
    trader.account.drop_stop(ticket)
    trader.restart()
    trader.wait(2)
    assert trader.account.held[ticket].stop_loss == stop


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_a_stranger_is_left_alone(*, waits: bool, restart: bool) -> None:
    """Told, counted, and neither managed nor closed; it blocks nothing but its place."""
    trader = Trader(limits={"max_positions": 1})
    ticket = trader.account.stranger(waits=waits)
    if restart:
        trader.restart()
    trader.wait(4)
    trader.minute(**ENTER)
    assert trader.refused() == [BlockReason.MAX_POSITIONS]
    trader.minute(**LEAVE)
    assert ticket in (trader.account.waiting if waits else trader.account.held)
    assert trader.standing() == []
    assert adopted(trader) == ([] if waits else [""])


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_a_stranger_with_our_magic_blocks_within_one_look(*, waits: bool, restart: bool) -> None:
    """I4. Red without asking the journal whose it is."""
    trader = Trader()
    trader.account.stranger(magic=trader.strategies["cross"].magic, waits=waits)
    if restart:
        trader.restart()
    else:
        trader.cycle()
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]
    trader.minute(**ENTER)
    assert trader.states() == []


def test_a_position_with_our_magic_is_managed_also_when_nobody_knows_it() -> None:
    """An exit beats everything. The order it was waits as a stranger's before that.

    Red with one set of strangers for orders and positions.
    """
    trader = Trader()
    ticket = trader.account.stranger(magic=trader.strategies["cross"].magic, waits=True)
    trader.cycle()
    trader.account.move("EURUSD", Decimal("1.04000"))
    trader.account.held[ticket] = replace(trader.account.held[ticket], take_profit=None)
    trader.wait(4)
    assert adopted(trader) == ["cross"]
    trader.minute(**LEAVE)
    assert trader.account.held == {}


def test_our_magic_in_a_symbol_that_is_not_the_strategys_is_a_strangers() -> None:
    """Reported, left alone, and no reason to stop working. Red without comparing the symbol."""
    trader = Trader()
    trader.account.stranger(magic=trader.strategies["cross"].magic, symbol="GBPUSD")
    trader.account._rules.pop("GBPUSD")
    trader.restart()
    trader.wait(2)
    assert (adopted(trader), trader.plans, trader.failures) == ([""], [], [])
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]


def test_a_journal_that_is_not_the_accounts_blocks_and_manages() -> None:
    """Lost, or of another account: what carries our magic is adopted, entries wait for a person."""
    trader = opened(Trader())
    trader.journal = DurableJournal()
    trader.connect()
    assert trader.standing() == [BlockReason.UNKNOWN_ORDER]
    assert adopted(trader) == ["cross"]
    trader.minute(**LEAVE)
    assert trader.account.held == {}
    assert trader.states(Action.EXIT) == [FILLED]


def test_an_entry_that_waits_is_known_again_and_can_be_withdrawn() -> None:
    trader = Trader(strategy(atr_distance=1.0))
    trader.account.fates.append(LOST_REPLY)
    trader.minute(**ENTER)
    trader.restart()
    trader.account.changes.append(REFUSED)
    trader.minute(**LEAVE)
    assert len(trader.account.waiting) == 1
    trader.minute(**LEAVE)
    assert trader.account.waiting == {}
