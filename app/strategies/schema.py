"""The strategy language: what one YAML file may say, block by block.

Spelling is liberal (words in any case, a timeframe as ``5``, ``"5"`` or ``M5``); meaning is strict:
unknown keys, numbers written as text and unknown words are refused. What needs the columns of the
market (is ``ema_9`` there, is it a number?) is checked in `compile` and `execution_rules`.
"""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from app.domain.market import Timeframe
from app.domain.rules import SessionHandling
from app.strategies.risk_schema import Risk
from app.strategies.search_space import Range
from app.strategies.vocabulary import (
    AnyCase,
    Block,
    ConditionValue,
    Day,
    Duration,
    Fraction,
    Hours,
    Name,
    Number,
    OperatorName,
    TimeframeName,
    Truth,
)


class Condition(Block):
    """One comparison of a column with a value or another column of the same timeframe.

    `lookback` counts pairs of candles; `required_confidence` is a fraction of 1. `timeframe` may
    be left out where the strategy declares only one.
    """

    signal: Name
    operator: OperatorName
    value: ConditionValue = None
    timeframe: TimeframeName | None = None
    lookback: Annotated[int, Field(strict=True, ge=1, le=500)] = 1
    required_confidence: Annotated[Number, Field(ge=0, le=1)] | None = None


def _kind_of_node(value: object) -> str:
    return "tree" if isinstance(value, dict) and "conditions" in value else "condition"


class Tree(Block):
    """Conditions and further trees joined by *and*, *or* or *not* (which takes exactly one)."""

    operator: Annotated[Literal["and", "or", "not"], AnyCase]
    conditions: Annotated[tuple["Node", ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _not_takes_one(self) -> Self:
        if self.operator == "not" and len(self.conditions) != 1:
            raise ValueError(f"'not' takes exactly one condition, not {len(self.conditions)}")
        return self


Node: TypeAlias = Annotated[
    Annotated[Condition, Tag("condition")] | Annotated[Tree, Tag("tree")],
    Discriminator(_kind_of_node),
]

Tree.model_rebuild()

Mode = Annotated[Literal["all", "any", "complex", "tree"], AnyCase]


class RuleSet(Block):
    """Conditions under one mode: all, any, or a tree (mode complex or tree)."""

    mode: Mode | None = None
    conditions: tuple[Condition, ...] | None = None
    tree: Tree | None = None

    @model_validator(mode="after")
    def _mode_fits(self) -> Self:
        if self.mode in {"complex", "tree"}:
            if self.tree is None:
                raise ValueError(f"mode {self.mode} needs a tree: {{operator, conditions}}")
            if self.conditions:
                raise ValueError(f"mode {self.mode} takes a tree and no conditions of its own")
        elif self.tree is not None and self.mode is not None:
            raise ValueError(f"mode {self.mode} takes conditions; a tree needs mode complex")
        elif self.tree is not None and self.conditions:
            raise ValueError("expected conditions or a tree, not both")
        return self


class TimeBased(Block):
    """Exits by the age of the position; `min_duration` holds back rule exits only."""

    max_duration: Duration | None = None
    min_duration: Duration | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_duration and self.min_duration and self.min_duration >= self.max_duration:
            raise ValueError("min_duration must be shorter than max_duration")
        return self


class ProfitGuard(Block):
    """Exits that give back no more than a part of a profit (fractions of 1).

    `max_drawdown`: share of the peak profit; `trailing`: share of the entry price behind the best
    price reached.
    """

    max_drawdown: Fraction | None = None
    trailing: Fraction | None = None


class ExitRuleSet(RuleSet):
    """A rule set that may add exits depending on the position."""

    time_based: TimeBased | None = None
    profit_guard: ProfitGuard | None = None


class Entry(Block):
    """When to open: long, short or both."""

    long: RuleSet | None = None
    short: RuleSet | None = None

    @model_validator(mode="after")
    def _has_a_side(self) -> Self:
        if self.long is None and self.short is None:
            raise ValueError("expected a long or a short rule set")
        return self


class Exit(Block):
    """When to close, by direction of the open position."""

    long: ExitRuleSet | None = None
    short: ExitRuleSet | None = None


class ScheduleBlock(Block):
    """When entries are allowed, in the broker's day."""

    days: tuple[Day, ...] = ()
    hours: Hours = ()
    session_handling: Annotated[SessionHandling, AnyCase] | None = None


class Activation(Block):
    """Whether the strategy runs, and when it may open."""

    enabled: Truth = True
    schedule: ScheduleBlock | None = None


class Meta(Block):
    """For people: never read by the daemon."""

    version: str | float | None = None
    description: str | None = None
    author: str | None = None
    created_at: str | None = None


def _each_once(timeframes: tuple[Timeframe, ...]) -> tuple[Timeframe, ...]:
    return tuple(dict.fromkeys(timeframes))


class StrategyFile(Block):
    """A whole strategy file."""

    name: Name
    timeframes: Annotated[
        tuple[TimeframeName, ...], Field(min_length=1), AfterValidator(_each_once)
    ]
    trigger: TimeframeName | None = None
    entry: Entry
    exit: Exit | None = None
    risk: Risk
    activation: Activation | None = None
    optimize: dict[str, Range] | None = None
    meta: Meta | None = None
    config: object = None

    @model_validator(mode="after")
    def _trigger_is_declared(self) -> Self:
        if self.trigger is not None and self.trigger not in self.timeframes:
            declared = ", ".join(self.timeframes)
            raise ValueError(f"trigger {self.trigger} is not among timeframes {declared}")
        return self

    @property
    def enabled(self) -> bool:
        """Whether the strategy runs."""
        return self.activation is None or self.activation.enabled

    def trigger_timeframe(self) -> Timeframe:
        """Return the timeframe whose candles the strategy is evaluated on."""
        return self.trigger or min(self.timeframes, key=lambda timeframe: timeframe.minutes)
