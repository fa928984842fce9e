"""From conditions in words to rules over rows, with every name and value checked beforehand."""

import operator
from collections.abc import Callable, Iterator

import msgspec

from app.domain.market import Timeframe
from app.domain.rows import ColumnKind
from app.domain.signals import Fact
from app.strategies import schema
from app.strategies.operators import (
    CROSSINGS,
    HAPPENINGS,
    LOOKING_BACK,
    ORDERINGS,
    RANGES,
    Operator,
    Test,
    changed_to,
    differs,
    is_none_of,
    is_one_of,
    remained,
    same_text,
)
from app.strategies.scope import Loc, Scope, family
from app.strategies.truth import (
    Cell,
    Constant,
    Frames,
    Rule,
    Term,
    all_of,
    any_of,
    negation,
    on_newest,
    on_pair,
    when_first_seen,
)
from app.strategies.values import RightHandSide

_REGIME_SIGNALS = frozenset({"regime", "is_transition"})


class Condition(msgspec.Struct, frozen=True):
    """A compiled condition, and what is needed to tell what made it true or false."""

    path: str
    signal: str
    operator: Operator
    left: Cell
    rights: tuple[Term, ...]
    target: str
    """The columns on the right-hand side, empty for constants."""
    rule: Rule
    rows: int
    """Rows of its timeframe it needs before it can be false as well as true."""

    def fact(self, frames: Frames) -> Fact:
        """Return the condition with its truth and values."""
        left, back = self.left, self.operator in LOOKING_BACK
        return Fact(
            self.path,
            left.timeframe,
            self.signal,
            self.operator.value,
            self.rule(frames),
            left.read(frames),
            self._right(frames, 0),
            left.read(frames, 1) if back else None,
            self._right(frames, 1) if back else None,
            self.target,
        )

    def _right(self, frames: Frames, earlier: int) -> object:
        if len(self.rights) == 1:
            return self.rights[0].read(frames, earlier)
        return tuple(term.read(frames, earlier) for term in self.rights)


class Part(msgspec.Struct, frozen=True):
    """A compiled rule set: its rule and all its conditions in the order of the file."""

    rule: Rule
    conditions: tuple[Condition, ...]


def compile_rules(rules: schema.RuleSet | None, loc: Loc, scope: Scope) -> Part | None:
    """Compile a rule set; None when the file declares no conditions for it.

    Raises:
        ConfigurationError: a condition names no column, or compares what cannot be compared.

    """
    if rules is None:
        return None
    if rules.tree is not None:
        conditions: list[Condition] = []
        rule = _tree(rules.tree, (*loc, "tree"), scope, conditions)
        return Part(rule, tuple(conditions))
    if not rules.conditions:
        return None
    each = tuple(_conditions(rules.conditions, (*loc, "conditions"), scope))
    default = "any" if isinstance(rules, schema.ExitRuleSet) else "all"
    joined = any_of if (rules.mode or default) == "any" else all_of
    return Part(joined([condition.rule for condition in each]), each)


def _conditions(
    conditions: tuple[schema.Condition, ...], loc: Loc, scope: Scope
) -> Iterator[Condition]:
    for at, condition in enumerate(conditions):
        yield compile_condition(condition, (*loc, at), scope)


def _tree(tree: schema.Tree, loc: Loc, scope: Scope, found: list[Condition]) -> Rule:
    rules = []
    for at, node in enumerate(tree.conditions):
        here = (*loc, "conditions", at)
        if isinstance(node, schema.Tree):
            rules.append(_tree(node, here, scope, found))
        else:
            found.append(compile_condition(node, here, scope))
            rules.append(found[-1].rule)
    if tree.operator == "not":
        return negation(rules[0])
    return all_of(rules) if tree.operator == "and" else any_of(rules)


def compile_condition(condition: schema.Condition, loc: Loc, scope: Scope) -> Condition:
    """Compile one condition of the file.

    Raises:
        ConfigurationError: see `compile_rules`.

    """
    timeframe = scope.timeframe(condition.timeframe, loc)
    left = scope.cell(condition.signal, timeframe, (*loc, "signal"))
    rights = RightHandSide(condition, left, (*loc, "value"), scope).terms()
    rule = _rule(condition, left, rights)
    if condition.required_confidence is not None:
        rule = _confident(condition, left, rule, loc, scope)
    if condition.operator in HAPPENINGS and timeframe.minutes > scope.trigger.minutes:
        rule = when_first_seen(rule, left.frame, scope.frame(scope.trigger))
    if condition.lookback > 1 and condition.operator not in LOOKING_BACK:
        scope.warn(
            (*loc, "lookback"),
            f"lookback {condition.lookback} is for crossings, changes and persistence: "
            f"'{condition.operator}' is read on the newest candle only",
        )
    return Condition(
        path=_path(loc),
        signal=condition.signal,
        operator=condition.operator,
        left=left,
        rights=rights,
        target=" ".join(term.name for term in rights if isinstance(term, Cell)),
        rule=rule,
        rows=_rows(condition, left, rights),
    )


def _path(loc: Loc) -> str:
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return parts.removeprefix(".")


def _rows(condition: schema.Condition, left: Cell, rights: tuple[Term, ...]) -> int:
    back = max(term.back for term in (left, *rights) if isinstance(term, Cell))
    return 1 + back + (condition.lookback if condition.operator in LOOKING_BACK else 0)


def _confident(condition: schema.Condition, left: Cell, rule: Rule, loc: Loc, scope: Scope) -> Rule:
    here = (*loc, "required_confidence")
    if left.column.name not in _REGIME_SIGNALS:
        scope.warn(
            here,
            "required_confidence is for the regime signals "
            f"(regime, is_transition): it is not applied to '{condition.signal}'",
        )
        return rule
    confidence = scope.number("regime_confidence", left.timeframe, here)
    enough = on_newest(confidence, Constant(condition.required_confidence), operator.ge)
    return all_of([enough, rule])


def _rule(condition: schema.Condition, left: Cell, rights: tuple[Term, ...]) -> Rule:
    if condition.operator in RANGES:
        low, high = rights
        inside = all_of([on_newest(left, low, operator.ge), on_newest(left, high, operator.le)])
        return inside if condition.operator is Operator.BETWEEN else negation(inside)
    test = _test(condition.operator, operator.eq if _exact(left, rights) else same_text)
    right = rights[0]
    if condition.operator not in LOOKING_BACK:
        return on_newest(left, right, test)
    pairs = [on_pair(left, right, test, earlier) for earlier in range(condition.lookback)]
    return all_of(pairs) if condition.operator is Operator.REMAINS else any_of(pairs)


def _exact(left: Cell, rights: tuple[Term, ...]) -> bool:
    """Tell whether values can be compared as they are.

    Text cannot, unless the column's words are known and the constant is spelled as one of them.
    """
    if family(left.column) is not ColumnKind.TEXT:
        return True
    return bool(left.column.words) and all(isinstance(right, Constant) for right in rights)


def _test(op: Operator, same: Test) -> Test:
    if op in ORDERINGS:
        return ORDERINGS[op]
    if op in CROSSINGS:
        return CROSSINGS[op]
    make: dict[Operator, Callable[[Test], Test]] = {
        Operator.NOT_EQUALS: differs,
        Operator.IN: is_one_of,
        Operator.NOT_IN: is_none_of,
        Operator.CHANGES_TO: changed_to,
        Operator.REMAINS: remained,
    }
    return make[op](same) if op in make else same


def rows_needed(parts: list[Part]) -> dict[Timeframe, int]:
    """Return how many rows of each timeframe the conditions look at."""
    needed: dict[Timeframe, int] = {}
    for part in parts:
        for condition in part.conditions:
            timeframe = condition.left.timeframe
            needed[timeframe] = max(needed.get(timeframe, 0), condition.rows)
    return needed
