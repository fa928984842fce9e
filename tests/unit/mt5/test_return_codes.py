"""What the terminal's answers mean: every code, with and without a ticket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mt5.return_codes import DONE, TABLE, Outcome, is_success, judge
from app.domain.orders import BlockReason

SUCCESS = {Outcome.DONE, Outcome.PLACED, Outcome.PARTIAL, Outcome.NO_CHANGE}
CLASSES = {
    Outcome.DONE: [10009],
    Outcome.PARTIAL: [10010],
    Outcome.PLACED: [10008],
    Outcome.NO_CHANGE: [10025],
    Outcome.MOVED: [10004, 10020, 10021],
    Outcome.AMBIGUOUS: [10011, 10012, 10028, 10031],
    Outcome.THROTTLED: [10024],
    Outcome.MISTAKE: [10013, 10014, 10015, 10016, 10022, 10030, 10035, 10038],
    Outcome.REFUSED: [
        *(10017, 10018, 10019, 10026, 10027, 10032, 10033, 10034, 10040),
        *(10042, 10043, 10044, 10045, 10046),
    ],
    Outcome.ALREADY_CLOSED: [10036],
    Outcome.ALREADY_CLOSING: [10039],
    Outcome.REREAD: [10023, 10029],
}
"""The table of the bridge's specification."""
NOT_CLASSED = [10006, 10007, 10041]
"""Codes of MetaTrader's that the specification does not class."""


def test_every_code_of_the_specification_has_its_class() -> None:
    assert set(TABLE) == {code for codes in CLASSES.values() for code in codes} | set(NOT_CLASSED)
    for outcome, codes in CLASSES.items():
        for code in codes:
            assert TABLE[code].outcome is outcome
    for code in NOT_CLASSED:
        assert TABLE[code].outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize("ticket", [0, 7])
@pytest.mark.parametrize("code", sorted(TABLE))
def test_success_needs_a_ticket_and_an_error_needs_none(code: int, ticket: int) -> None:
    """Every return code by ticket 0 / not 0.

    Red without either check in `judge`: an order reported done that has no ticket, and an order
    taken for refused that has one.
    """
    outcome = judge(code, ticket).outcome
    by_itself = TABLE[code].outcome
    assert is_success(code) is (by_itself in SUCCESS)
    believed = (by_itself in SUCCESS) is (ticket > 0)
    assert outcome is (by_itself if believed else Outcome.AMBIGUOUS)


@given(code=st.integers() | st.none(), ticket=st.integers(), deal=st.integers())
def test_nothing_surely_refused_was_executed(code: int | None, ticket: int, deal: int) -> None:
    """I6: what may have been executed is never among the outcomes that may be tried again."""
    outcome = judge(code, ticket, deal).outcome
    if code not in TABLE:
        assert outcome is Outcome.AMBIGUOUS
    elif outcome not in SUCCESS | {Outcome.AMBIGUOUS}:
        assert (ticket, deal) == (0, 0)
    elif outcome in SUCCESS:
        assert ticket > 0


def test_an_error_with_a_deal_was_executed() -> None:
    assert judge(10018, 0, deal=9).outcome is Outcome.AMBIGUOUS


def test_success_in_words_with_an_error_code_goes_by_the_code() -> None:
    """``"success"`` text with retcode 10015 and ticket 0."""
    verdict = judge(10015, 0)
    assert verdict.outcome is Outcome.MISTAKE
    assert verdict.text == "invalid price (10015)"


def test_the_words_say_what_a_trader_can_do_about() -> None:
    assert judge(10018, 0).text == "market closed (10018)"
    assert judge(10027, 0).text == "autotrading is off in the terminal (10027)"
    assert judge(None, 0).text == "no return code"
    assert judge(4711, 0).text == "unknown return code 4711"
    assert judge(DONE, 0).text == "done (10009), but without a ticket"
    assert judge(10019, 0, 5).text == "not enough money (10019), but with ticket 5"


def test_only_refusals_of_account_and_market_block_entries() -> None:
    for code, verdict in TABLE.items():
        blocks = verdict.outcome in {Outcome.REFUSED, Outcome.THROTTLED}
        assert (verdict.blocks is not None) is blocks, code
        assert judge(code, 7).blocks is None
    assert judge(10019, 0).blocks is BlockReason.NO_MONEY
    assert judge(10018, 0).blocks is BlockReason.MARKET_CLOSED
    assert judge(10026, 0).blocks is judge(10027, 0).blocks is BlockReason.TRADING_OFF
