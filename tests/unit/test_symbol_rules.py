"""Prices as a symbol writes them."""

from decimal import ROUND_HALF_EVEN, Decimal

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.adapters.paper.instruments import instrument

RULES = instrument("EURUSD", {}).rules


@given(st.floats(-1e9, 1e9) | st.integers(0, 10**9), st.integers(0, 8))
@example(0.5, 0)
@example(1.5, 0)
@example(-0.125, 2)
@example(2.675, 2)
@example(1.000005, 5)
def test_a_float_is_written_as_its_exact_value_rounds(value: float, digits: int) -> None:
    """A tie of the exact binary value goes to the even digit, whatever its shortest text is."""
    rules = replace(RULES, digits=digits)
    wanted = Decimal(value).quantize(rules.point, ROUND_HALF_EVEN)
    assert str(rules.price(value)) == str(wanted)
    assert str(rules.price(Decimal(value))) == str(wanted)
