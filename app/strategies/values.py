"""The `value` of a condition: a literal the signal can hold, or a column of the same kind."""

from app.domain.errors import nearest
from app.domain.rows import ColumnKind, Value
from app.strategies import schema
from app.strategies.operators import CROSSINGS, ORDERINGS, RANGES, Operator
from app.strategies.scope import Loc, Scope, family
from app.strategies.truth import Cell, Constant, Term

_TRUTHS = {Operator.IS_TRUE: True, Operator.IS_FALSE: False}
_LISTS = frozenset({Operator.IN, Operator.NOT_IN})

_HOLDS = {
    ColumnKind.NUMBER: "numbers",
    ColumnKind.TEXT: "text",
    ColumnKind.TRUTH: "true or false",
}


class RightHandSide:
    """Reads the `value` of a condition as terms of the same kind as its signal."""

    def __init__(self, condition: schema.Condition, left: Cell, loc: Loc, scope: Scope) -> None:
        self._operator = condition.operator
        self._value = condition.value
        self._signal = condition.signal
        self._left = left
        self._kind = family(left.column)
        self._loc = loc
        self._scope = scope

    def terms(self) -> tuple[Term, ...]:
        """Return the terms on the right: two for a range, otherwise one."""
        terms = self._terms()
        for term in terms:
            self._refuse_one_anchor(term)
        return terms

    def _terms(self) -> tuple[Term, ...]:
        op, value = self._operator, self._value
        if op in _TRUTHS:
            return (self._truth(_TRUTHS[op]),)
        if op in ORDERINGS or op in CROSSINGS or op in RANGES:
            self._needs(ColumnKind.NUMBER)
        if value is None:
            raise self._error(f"value is missing: '{op}' compares with one", self._loc[:-1])
        if op in RANGES:
            return self._bounds(value)
        if op in _LISTS:
            return (self._listed(value),)
        if isinstance(value, tuple):
            raise self._error(f"'{op}' compares with one value, not with a list")
        return (self._term(value),)

    def _refuse_one_anchor(self, right: Term) -> None:
        """Refuse what a restart would change: a running total against what is none."""
        totals = [
            term.column.name
            for term in (self._left, right)
            if isinstance(term, Cell) and term.column.anchored
        ]
        if len(totals) == 1:
            (name,) = totals
            raise self._error(
                f"the level of '{name}' depends on where history begins, so each restart would "
                f"change it: compare '{name}' with 'previous_{name}', or use '{name}_ema'"
            )

    def _error(self, text: str, loc: Loc | None = None) -> Exception:
        return self._scope.error(self._loc if loc is None else loc, text)

    def _needs(self, kind: ColumnKind) -> None:
        if self._kind is not kind:
            raise self._error(
                f"'{self._operator}' needs a signal of {kind}: '{self._signal}' holds {self._kind}",
                (*self._loc[:-1], "signal"),
            )

    def _truth(self, wanted: bool) -> Constant:
        self._needs(ColumnKind.TRUTH)
        if self._value not in (None, wanted):
            raise self._error(f"'{self._operator}' needs no value: leave it out")
        return Constant(wanted)

    def _bounds(self, value: object) -> tuple[Term, Term]:
        if not isinstance(value, tuple) or len(value) != 2:  # noqa: PLR2004 - a range
            raise self._error(f"'{self._operator}' takes a list of two: [low, high]")
        low, high = map(self._term, value)
        if isinstance(low, Constant) and isinstance(high, Constant) and value[0] > value[1]:
            raise self._error(f"the range is empty: {value[0]:g} is above {value[1]:g}")
        return low, high

    def _listed(self, value: object) -> Constant:
        if not isinstance(value, tuple) or not value:
            raise self._error(f"'{self._operator}' takes a list of values")
        return Constant(tuple(self._literal(each) for each in value))

    def _literal(self, value: Value) -> Value:
        literal = self._as_literal(value)
        if literal is not None:
            return literal
        if isinstance(value, str) and self._scope.find(value, self._left.timeframe) is not None:
            raise self._error(f"'{self._operator}' takes a list of values: '{value}' is a column")
        raise self._not_comparable(value)

    def _term(self, value: Value) -> Term:
        literal = self._as_literal(value)
        column = None
        if isinstance(value, str):
            column = self._scope.find(value, self._left.timeframe)
            known_word = literal is not None and bool(self._left.column.words)
            if column is not None and not known_word and family(column.column) is self._kind:
                return self._scope.tradable(column, self._loc)
        if literal is None:
            raise self._not_comparable(value, column)
        return Constant(literal)

    def _as_literal(self, value: Value) -> Value:
        """Return `value` as the signal spells it; None when it is no literal for the signal."""
        if self._kind is ColumnKind.TRUTH:
            return value if isinstance(value, bool) else None
        if self._kind is ColumnKind.NUMBER:
            return value if isinstance(value, float) else None
        if not isinstance(value, str):
            return None
        words = {word.casefold(): word for word in self._left.column.words}
        return words.get(value.casefold()) if words else value

    def _not_comparable(self, value: Value, column: Cell | None = None) -> Exception:
        said = f"'{value}'" if isinstance(value, str) else f"{value:g}"
        if isinstance(value, bool):
            said = str(value).lower()
        holds = f"'{self._signal}' holds {_HOLDS[self._kind]}"
        if column is not None:
            there = _HOLDS[family(column.column)]
            return self._error(f"{holds}, but the column {said} holds {there}")
        words = self._left.column.words
        expected = f" ({', '.join(words)})" if words else ""
        hint = ""
        if isinstance(value, str):
            names = self._scope.columns(self._left.timeframe).names()
            hint = nearest(value, words or names)
        text = (
            f"{holds}{expected}: {said} is neither one of them nor a column of timeframe "
            f"{self._left.timeframe}{hint}"
        )
        if words or not isinstance(value, str):
            return self._error(text)
        return self._scope.unknown(self._loc, text, self._left.timeframe)
