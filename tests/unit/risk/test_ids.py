import ast
import re
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.market import Timeframe
from app.domain.orders import Action, CloseReason
from app.domain.signals import Direction
from app.risk.ids import client_id, client_id_in, magic_of

APP = Path(__file__).parents[3] / "app"

keys = st.fixed_dictionaries(
    {
        "account": st.integers(0, 2**40),
        "strategy": st.text(max_size=12),
        "symbol": st.sampled_from(("EURUSD", "EURUSDm", "BTCUSD")),
        "timeframe": st.sampled_from((Timeframe("M1"), Timeframe("M5"))),
        "candle_time": st.datetimes(timezones=st.just(UTC)),
        "action": st.sampled_from(Action),
        "leg": st.integers(0, 9),
        "direction": st.sampled_from((None, *Direction)),
        "ticket": st.integers(0, 9),
        "reason": st.sampled_from((None, *CloseReason)),
    }
)


@settings(max_examples=60)
@given(st.lists(keys, min_size=2, max_size=30, unique_by=lambda key: tuple(key.items())))
def test_distinct_intents_have_distinct_ids_that_fit_an_orders_comment(many: list[dict]) -> None:
    """I7: the id is a function of the intent's key, 15 characters at most."""
    ids = [client_id(**key) for key in many]
    assert len(set(ids)) == len(many)
    assert ids == [client_id(**key) for key in many]
    assert all(re.fullmatch("[A-Z2-7]{15}", name) for name in ids)


def test_an_id_is_the_same_in_every_process() -> None:
    """I25: no seed of the process enters it."""
    made = client_id(
        1,
        "cross",
        "EURUSD",
        Timeframe("M5"),
        datetime(2025, 1, 6, tzinfo=UTC),
        action=Action.ENTRY,
        leg=0,
    )
    assert made == "CX6SOJKNDXVCZHI"
    assert client_id_in(f"{made} cross") == made


@given(st.text())
def test_a_magic_number_is_positive_and_exact_in_json(name: str) -> None:
    assert 0 < magic_of(name) < 2**53
    assert magic_of(name) == magic_of(name) != magic_of(name + "x")


def test_only_the_limits_module_makes_an_approved_order() -> None:
    """An unapproved order cannot be sent: nothing else in the app constructs the type."""
    makers = {
        path.relative_to(APP).as_posix()
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "ApprovedOrder"
    }
    assert makers == {"risk/limits.py"}
