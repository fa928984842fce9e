"""Which calls go wrong is a function of the seeds and the count of calls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bridge.distortions import Reply, distorted
from app.bridge.faults import Fault, Mix, Schedule, What
from app.bridge.treatments import treatment_of
from app.bridge.values import PROPER

CALLS = st.lists(
    st.sampled_from(
        [("GET", "positions"), ("POST", "orders/create"), ("GET", "symbols/EURUSD/bars")]
    ),
    max_size=60,
)


@given(CALLS, st.integers(0, 5), st.floats(0, 1))
def test_the_same_seed_makes_the_same_calls_go_wrong(calls, seed, rate):
    """I25 for the bridge's own faults."""

    def run():
        schedule = Schedule(Mix(rate, seed))
        return [schedule.next(*call) for call in calls]

    assert run() == run()


def test_a_mix_strikes_as_often_as_it_is_told():
    mix = Mix(0.2, 7)
    struck = sum(mix.fault(n, "GET", "positions") is not None for n in range(5000))
    assert 900 < struck < 1100
    assert not any(Mix(0, 7).fault(n, "GET", "positions") for n in range(100))


def test_a_mix_never_lies_about_what_is_open_and_never_executes_twice():
    """What a daemon need not survive, it blocks at: a mix for long runs leaves it out."""
    mix = Mix(1, 3)
    drawn = {mix.fault(n, "POST", "orders/create").what for n in range(3000)}
    drawn |= {mix.fault(n, "GET", "positions").what for n in range(3000)}
    assert not drawn & {What.DOUBLE, What.EMPTY_LIST, What.TRUNCATE_LIST, What.SWAP_REPLY}
    assert {What.LOSE_REPLY, What.INVISIBLE, What.PLACED, What.RESET} <= drawn


def test_reads_are_spared_what_only_orders_can_suffer():
    mix = Mix(1, 3)
    drawn = {mix.fault(n, "GET", "positions").what for n in range(3000)}
    assert not drawn & {What.LOSE_REPLY, What.REQUOTE, What.PARTIAL}


def test_a_fault_concerns_the_calls_it_makes_sense_for_unless_told_otherwise():
    assert Fault(What.PARTIAL).concerns("POST", "orders/create")
    assert not Fault(What.PARTIAL).concerns("GET", "positions")
    assert Fault(What.SPIKE).concerns("GET", "symbols/EURUSD/bars")
    assert Fault(What.DELAY).concerns("GET", "anything")
    assert not Fault(What.DELAY, method="post").concerns("GET", "anything")
    assert Fault(What.PARTIAL, call="positions/*/close/*").concerns("POST", "positions/X/close/1")


def test_the_first_fault_that_strikes_hides_the_others():
    schedule = Schedule()
    schedule.add([Fault(What.NULL), Fault(What.HTML, times=None)])
    assert [schedule.next("GET", "account").what for _ in range(3)] == [
        What.NULL, What.HTML, What.HTML,
    ]  # fmt: skip
    schedule.clear()
    assert schedule.next("GET", "account") is None
    assert [event.number for event in schedule.log] == [1, 2, 3]


def test_a_rate_is_drawn_from_the_faults_own_seed():
    def struck(seed):
        schedule = Schedule()
        schedule.add([Fault(What.NULL, rate=0.5, seed=seed, times=None)])
        return [schedule.next("GET", "account") is not None for _ in range(50)]

    assert struck(1) == struck(1) != struck(2)
    assert 10 < sum(struck(1)) < 40


def test_a_fault_at_the_broker_changes_the_treatment_and_others_do_not():
    for what in What:
        changed = treatment_of(Fault(what))
        assert set(changed) <= set(PROPER.__struct_fields__)
    assert treatment_of(Fault(What.DELAY)) == {}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(VALUES)
def test_a_nan_takes_the_place_of_one_fraction_and_leaves_all_else(data):
    body = json.dumps({"success": True, "data": data}).encode()
    after = json.loads(distorted(Fault(What.NAN), Reply(200, body), None).body)["data"]
    expected = ["nan", *fractions(data)[1:]] if fractions(data) else []
    assert fractions(after) == expected


def fractions(data):
    """Return all floats of a value as text, in order."""
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        return [text for one in data for text in fractions(one)]
    return [repr(data)] if isinstance(data, float) else []


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize("data", [[], None])
def test_no_fault_stumbles_over_a_reply_that_says_nothing(what, data):
    reply = Reply(200, json.dumps({"success": data is not None, "data": data}).encode())
    assert isinstance(distorted(Fault(what), reply, None), Reply)


BARS = [{"time": f"2025-01-06T10:0{n}:00", "close": 1.1, "high": 1.2} for n in range(5)]


@pytest.mark.parametrize("what", [What.MISSING_BARS, What.REVISED_BAR, What.SPIKE])
def test_bar_faults_hold_with_few_bars(what):
    for count in (1, 2, 5):
        body = json.dumps({"success": True, "data": BARS[:count]}).encode()
        after = json.loads(distorted(Fault(what), Reply(200, body), None).body)["data"]
        assert after[-1]["time"] == BARS[count - 1]["time"]
