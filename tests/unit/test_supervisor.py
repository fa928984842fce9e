"""When a failed service is replaced, waited for or given up."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.supervisor import RestartPolicy, Verdict

NOW = datetime(2025, 1, 6, 10, 0, tzinfo=UTC)
POLICY = RestartPolicy(backoff=timedelta(seconds=10), budget=4, window=timedelta(minutes=5))


def ago(*seconds: float) -> list[datetime]:
    return [NOW - timedelta(seconds=before) for before in seconds]


@pytest.mark.parametrize(
    ("restarts", "verdict"),
    [
        (ago(), Verdict.RESTART),
        (ago(9.999), Verdict.WAIT),
        (ago(10), Verdict.RESTART),
        (ago(200, 19.999), Verdict.WAIT),
        (ago(200, 20), Verdict.RESTART),
        (ago(200, 100, 39.999), Verdict.WAIT),
        (ago(200, 100, 40), Verdict.RESTART),
        (ago(200, 100, 50, 0), Verdict.GIVE_UP),
        (ago(200, 100, 50, 49), Verdict.GIVE_UP),
        (ago(300, 100, 50, 41), Verdict.RESTART),
        (ago(299.999, 100, 50, 41), Verdict.GIVE_UP),
        (ago(4000, 3000, 2000, 1000), Verdict.RESTART),
    ],
)
def test_verdicts(restarts: list[datetime], verdict: Verdict) -> None:
    """P5, P13."""
    assert POLICY.verdict(restarts, NOW) is verdict


def test_the_wait_doubles_with_each_restart_in_the_window() -> None:
    """P13."""
    policy = RestartPolicy(timedelta(seconds=1), budget=8, window=timedelta(hours=1))
    restarts = [NOW]
    now = NOW
    waits = []
    while len(restarts) < policy.budget:
        now += timedelta(milliseconds=250)
        if policy.verdict(restarts, now) is Verdict.RESTART:
            waits.append((now - restarts[-1]).total_seconds())
            restarts.append(now)
    assert waits == [1, 2, 4, 8, 16, 32, 64]
    assert policy.verdict(restarts, now) is Verdict.GIVE_UP


def test_no_budget_means_no_restart() -> None:
    policy = RestartPolicy(timedelta(seconds=1), budget=0, window=timedelta(hours=1))
    assert policy.verdict([], NOW) is Verdict.GIVE_UP


def test_restarts_outside_the_window_no_longer_count() -> None:
    restarts = ago(301, 300, 299.5, 1)
    assert POLICY.recent(restarts, NOW) == restarts[2:]


policies = st.builds(
    RestartPolicy,
    backoff=st.integers(0, 120).map(lambda s: timedelta(seconds=s)),
    budget=st.integers(0, 6),
    window=st.integers(1, 600).map(lambda s: timedelta(seconds=s)),
)


@settings(max_examples=200)
@given(policies, st.lists(st.integers(0, 200), max_size=80))
def test_restarts_within_any_window_never_exceed_the_budget(
    policy: RestartPolicy, pauses: list[int]
) -> None:
    """P13: whatever the times a failing service is looked at."""
    restarts: list[datetime] = []
    now = NOW
    for pause in pauses:
        now += timedelta(seconds=pause)
        if policy.verdict(restarts, now) is Verdict.RESTART:
            restarts.append(now)
    for first in restarts:
        within = [at for at in restarts if first <= at < first + policy.window]
        assert len(within) <= policy.budget
    for earlier, later in pairwise(restarts):
        assert later - earlier >= min(policy.backoff, policy.window)
