"""The table of indicators: names, parameters, columns; and what a configuration asks of it.

A key is ``base`` or ``base_suffix`` (``ema_20``); the base picks the indicator and the whole key
is the prefix of its columns. With ``kind:`` any indicator of the pandas-ta library is picked
instead, its columns being ``<key>_<pandas-ta's column in lower case>``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from app.domain.errors import nearest
from app.domain.rows import BASE_COLUMNS, Column, ColumnKind, Columns
from app.indicators import definitions as define
from app.indicators.definitions import Cells
from app.indicators.faults import IndicatorError
from app.indicators.kind_trial import KindCells, probe
from app.indicators.kinds import Parameters

Parameter: TypeAlias = "Whole | Number | Word"

_LONGEST: Final = 100_000
_KEY: Final = re.compile(r"[A-Za-z]\w*(?:[._-]\w+)*", re.ASCII)


class Whole(msgspec.Struct, frozen=True):
    """A whole number of candles; required when it has no default."""

    name: str
    default: int | None = None
    least: int = 2

    @property
    def expected(self) -> str:
        """What it may be, for the operator."""
        return f"a whole number from {self.least} to {_LONGEST}"

    def accepts(self, value: object) -> bool:
        """Say whether `value` may be given."""
        return type(value) is int and self.least <= value <= _LONGEST


class Number(msgspec.Struct, frozen=True):
    """A number above zero; required when it has no default."""

    name: str
    default: float | None = None
    most: float = 1000.0

    @property
    def expected(self) -> str:
        """What it may be, for the operator."""
        return f"a number above 0 up to {self.most:g}"

    def accepts(self, value: object) -> bool:
        """Say whether `value` may be given."""
        return type(value) in (int, float) and 0 < value <= self.most  # type: ignore[operator]


class Word(msgspec.Struct, frozen=True):
    """One of several words."""

    name: str
    default: str
    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What it may be, for the operator."""
        return f"one of {', '.join(self.words)}"

    def accepts(self, value: object) -> bool:
        """Say whether `value` may be given."""
        return value in self.words


class Indicator(msgspec.Struct, frozen=True):
    """One line of the table; ``{}`` in a column's name stands for the key.

    `ascending` names two parameters of which the first must be below the second.
    """

    definition: Callable[..., Cells]
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    ascending: tuple[str, str] | None = None


def _columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def _words(name: str) -> Column:
    return Column(name, ColumnKind.TEXT, define.TREND_WORDS)


_CHANNEL = _columns("{}_upper", "{}_middle", "{}_lower", "{}_percent_b")

INDICATORS: Final[Mapping[str, Indicator]] = {
    "ema": Indicator(define.ema, (Whole("period", 14, 1),), _columns("{}")),
    "sma": Indicator(define.sma, (Whole("period", 14, 1),), _columns("{}")),
    "rma": Indicator(define.rma, (Whole("period", 14, 1),), _columns("{}")),
    "atr": Indicator(define.atr, (Whole("window", 14, 1),), _columns("{}")),
    "rsi": Indicator(
        define.rsi,
        (Whole("period", 14), Whole("signal_period", 14, 1)),
        _columns("{}", "signal_{}"),
    ),
    "bb": Indicator(define.bb, (Whole("window", 20), Number("num_std_dev", 2.0)), _CHANNEL),
    "keltner": Indicator(
        define.keltner,
        (Whole("ema_window", 20, 1), Whole("atr_window", 10, 1), Number("multiplier", 2.0)),
        _CHANNEL,
    ),
    "macd": Indicator(
        define.macd,
        (Whole("fast", 12), Whole("slow", 26), Whole("signal", 9, 1)),
        _columns("{}", "{}_signal", "{}_hist"),
        ascending=("fast", "slow"),
    ),
    "stochrsi": Indicator(
        define.stochrsi,
        (
            Whole("rsi_period"),
            Whole("stochrsi_period"),
            Whole("k_smooth", least=1),
            Whole("d_smooth", least=1),
        ),
        _columns("{}_k", "{}_d"),
    ),
    "supertrend": Indicator(
        define.supertrend,
        (Whole("period", 10), Number("multiplier", 3.0)),
        (Column("{}"), _words("trend_{}")),
    ),
    "ichimoku": Indicator(
        define.ichimoku,
        (
            Whole("tenkan_period", 9),
            Whole("kijun_period", 26),
            Whole("senkou_b_period", 52),
            Whole("chikou_shift", 26, 1),
        ),
        (
            *_columns("{}_tenkan", "{}_kijun", "{}_senkou_a", "{}_senkou_b", "{}_chikou"),
            _words("{}_cloud"),
        ),
    ),
    "adx": Indicator(
        define.adx, (Whole("period", 14),), _columns("{}", "{}_plus_di", "{}_minus_di")
    ),
    "aroon": Indicator(define.aroon, (Whole("period", 14),), _columns("{}_up", "{}_down")),
    "sar": Indicator(
        define.sar,
        (Number("acceleration", most=1.0), Number("max_acceleration", most=1.0)),
        _columns("{}"),
        ascending=("acceleration", "max_acceleration"),
    ),
    "obv": Indicator(
        define.obv, (Whole("period", 14, 1),), (Column("{}", anchored=True), Column("{}_ema"))
    ),
    "ursi": Indicator(
        define.ursi,
        (
            Word("src", "close", tuple(define.SOURCES)),
            Whole("length", 14),
            Whole("smooth_length", 14, 1),
        ),
        _columns("{}", "signal_{}"),
    ),
    "stoch": Indicator(
        define.stoch,
        (Whole("k", 14, 1), Whole("d", 3, 1), Whole("smooth_k", 3, 1)),
        _columns("{}_k", "{}_d"),
    ),
}
"""Every indicator that needs no ``kind:``. ``stoch`` stands beyond the written table."""


class IndicatorSpec(msgspec.Struct, frozen=True):
    """One indicator asked for, checked and complete: a line of the table or a pandas-ta kind.

    Exactly one of `base` and `kind` is not empty. `parameters` of a base include its defaults;
    of a kind they are those given.
    """

    key: str
    base: str
    kind: str
    parameters: Parameters

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns it gives, in order."""
        if self.base:
            return tuple(
                msgspec.structs.replace(column, name=column.name.format(self.key))
                for column in INDICATORS[self.base].columns
            )
        kind = probe(self.kind, self.parameters)
        return tuple(
            Column(f"{self.key}_{name}", looks_ahead=name in kind.looks_ahead)
            for name in kind.columns
        )

    def cells(self) -> Cells | KindCells:
        """Return a fresh calculation of it."""
        if self.base:
            return INDICATORS[self.base].definition(**dict(self.parameters))
        return KindCells(probe(self.kind, self.parameters))


def spec_of(key: str, given: Mapping[str, object]) -> IndicatorSpec:
    """Check what a file asks for under `key`.

    Raises:
        IndicatorError: no such indicator or parameter, or a value it cannot have.

    """
    if not _KEY.fullmatch(key):
        raise IndicatorError("expected a name such as ema_20", (key,))
    if "kind" in given:
        return _kind_spec(key, given)
    base = key.split("_", 1)[0]
    indicator = INDICATORS.get(base)
    if indicator is None:
        raise IndicatorError(
            f"unknown indicator '{base}'{nearest(base, INDICATORS)}: expected one of "
            f"{', '.join(INDICATORS)}, or 'kind:' with the name of a pandas-ta indicator",
            (key,),
        )
    return IndicatorSpec(key, base, "", _parameters(key, base, indicator, given))


def columns_of(specs: Sequence[IndicatorSpec]) -> Columns:
    """Return the columns of a row: those every row has, then each indicator's in order.

    Raises:
        IndicatorError: two indicators would give a column of the same name.

    """
    columns = list(BASE_COLUMNS)
    owners = {column.name: "every row" for column in columns}
    for spec in specs:
        for column in spec.columns:
            if column.name in owners:
                raise IndicatorError(
                    f"column '{column.name}' is given by {owners[column.name]} already: "
                    "expected another name for one of them",
                    (spec.key,),
                )
            owners[column.name] = f"'{spec.key}'"
            columns.append(column)
    return Columns(tuple(columns))


def _kind_spec(key: str, given: Mapping[str, object]) -> IndicatorSpec:
    kind = given["kind"]
    if not isinstance(kind, str):
        raise IndicatorError("expected the name of a pandas-ta indicator", (key, "kind"))
    parameters: dict[str, int | float | str | bool] = {}
    for name, value in given.items():
        if name == "kind":
            continue
        if not isinstance(value, int | float | str):
            raise IndicatorError("expected a number, a word, true or false", (key, name))
        parameters[name] = value
    spec = IndicatorSpec(key, "", kind, tuple(sorted(parameters.items())))
    try:
        probe(kind, spec.parameters)
    except IndicatorError as error:
        raise IndicatorError(str(error), (key, *error.loc)) from None
    return spec


def _parameters(
    key: str, base: str, indicator: Indicator, given: Mapping[str, object]
) -> Parameters:
    known = {parameter.name: parameter for parameter in indicator.parameters}
    for name in given:
        if name not in known:
            raise IndicatorError(
                f"{base} has no parameter '{name}'{nearest(name, known)}: "
                f"expected {', '.join(known)}",
                (key, name),
            )
    taken: dict[str, int | float | str | bool] = {}
    for name, parameter in known.items():
        value = given.get(name, parameter.default)
        if name not in given and value is None:
            raise IndicatorError(f"{base} needs '{name}': {parameter.expected}", (key,))
        if not isinstance(value, int | float | str) or not parameter.accepts(value):
            raise IndicatorError(f"{value!r}: expected {parameter.expected}", (key, name))
        taken[name] = value
    if indicator.ascending:
        first, second = indicator.ascending
        if taken[first] >= taken[second]:  # type: ignore[operator]
            raise IndicatorError(
                f"{first} {taken[first]} is not below {second} {taken[second]}", (key, first)
            )
    return tuple(taken.items())
