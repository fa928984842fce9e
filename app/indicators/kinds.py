"""Any indicator of the pandas-ta library (pandas-ta-classic), called by its name.

The library is imported when the first kind is asked for, not before: it brings pandas along.
"""

import inspect
import re
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.domain.errors import nearest
from app.indicators.faults import IndicatorError

Floats: TypeAlias = NDArray[np.float64]
Parameters: TypeAlias = tuple[tuple[str, int | float | str | bool], ...]

_PRICES: Final = {"open_": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
"""The row of each series the library asks for in an array of bars; row 0 holds open times."""
_ALWAYS_GIVEN: Final = frozenset({"high", "low", "close", "volume"})
"""Prices given even where the library could do without, as its own frame accessor does."""
_NOT_OURS: Final = frozenset({"talib", "offset", "as_dataframe", "append_span"})
"""Parameters about the library itself, or that would shift a column in time."""
_MAY_BE_ZERO: Final = frozenset({"ddof"})
_EXPECTED: Final = {
    int: "a whole number above 0",
    float: "a number",
    bool: "true or false",
    str: "a word",
}
_TYPE_NAMES: Final = {kind.__name__: kind for kind in _EXPECTED}


class Call(msgspec.Struct, frozen=True):
    """A function of the library, the prices it takes, and the parameters it is given."""

    function: Callable[..., object]
    prices: tuple[str, ...]
    parameters: Parameters

    def compute(self, bars: Floats) -> dict[str, Floats]:
        """Return its columns over `bars`, named in lower case; empty when they are too few.

        `bars` has six rows: open time (seconds, UTC), open, high, low, close, tick volume. Not a
        number is the library's way to say there is no value.
        """
        pandas = import_module("pandas")
        index = pandas.DatetimeIndex(bars[0].astype("datetime64[s]"))
        series = {
            name: pandas.Series(bars[_PRICES[name]].copy(), index=index) for name in self.prices
        }
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = self.function(**series, **dict(self.parameters))
        if isinstance(result, pandas.Series):
            result = result.to_frame()
        if not isinstance(result, pandas.DataFrame):
            return {}
        return {
            str(name).lower(): result.iloc[:, at].to_numpy(dtype=float, na_value=np.nan)
            for at, name in enumerate(result.columns)
        }


def call_of(name: str, parameters: Parameters) -> Call:
    """Return the call that `kind: name` with `parameters` stands for.

    Raises:
        IndicatorError: no such indicator or parameter, a value it cannot have, or it needs more
            than candles. `loc` starts below the indicator's key.

    """
    function = _function(name)
    signature = inspect.signature(function).parameters
    known = {
        one.name: str(one.annotation)
        for one in signature.values()
        if one.name not in _PRICES.keys() | _NOT_OURS and one.kind is not one.VAR_KEYWORD
    }
    for parameter, value in parameters:
        if parameter not in known:
            raise IndicatorError(
                f"pandas-ta's {name} has no parameter '{parameter}'{nearest(parameter, known)}: "
                f"expected {', '.join(known) or 'none'}",
                (parameter,),
            )
        _check_value(parameter, value, known[parameter])
    required = {
        one.name
        for one in signature.values()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD
    }
    missing = sorted(required & known.keys() - dict(parameters).keys())
    if missing:
        raise IndicatorError(f"pandas-ta's {name} needs {', '.join(missing)}", ("kind",))
    prices = (required | _ALWAYS_GIVEN) & _PRICES.keys() & signature.keys()
    one_frame: Parameters = (("as_dataframe", True),) if "as_dataframe" in signature else ()
    return Call(function, tuple(sorted(prices)), parameters + one_frame)


def _function(name: str) -> Callable[..., object]:
    with warnings.catch_warnings():
        warning = getattr(import_module("pandas.errors"), "Pandas4Warning", DeprecationWarning)
        warnings.simplefilter("ignore", warning)
        library = import_module("pandas_ta_classic")
        known = {one for names in library.Category.values() for one in names}
        if name not in known:
            raise IndicatorError(
                f"pandas-ta has no indicator '{name}'{nearest(name, known)}", ("kind",)
            )
        function: Callable[..., object] = getattr(library, name)
    return function


def _check_value(name: str, value: float | str | bool, annotation: str) -> None:
    """Refuse what the library would silently replace by its default."""
    types = [_TYPE_NAMES[one] for one in re.findall(r"\b(int|float|bool|str)\b", annotation)]
    if "Series" in annotation or not types:
        raise IndicatorError("it takes a series of prices, which a file cannot give", (name,))
    taken = {int, *types} if float in types else set(types)
    too_small = type(value) is int and types == [int] and value < (name not in _MAY_BE_ZERO)
    if type(value) not in taken or too_small:
        expected = " or ".join(_EXPECTED[one] for one in types)
        raise IndicatorError(f"{value!r}: expected {expected}", (name,))
