"""A slice of the proofs of order safety; the whole is ``tests/proofs/order_safety.py``."""

from hypothesis import HealthCheck, settings

from tests.proofs.order_safety import OrderSafety, play


class TestAnyOrderOfFaults(OrderSafety.TestCase):
    """I1-I6, I8-I13, I15, I16, I20, in the shortest way that Hypothesis finds to break one."""

    settings = settings(
        max_examples=250,
        stateful_step_count=25,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_twenty_episodes_with_every_third_reply_lost_break_no_rule() -> None:
    """A thousand intents of the million that the proof plays."""
    played = play(seed=0, first=0, ambiguous=0.3)
    assert played.faults == []
    assert played.intents.total() > 800
