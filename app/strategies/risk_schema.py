"""The `risk:` block of a strategy file: how much to trade and where to get out."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from app.strategies.vocabulary import (
    AnyCase,
    Block,
    Name,
    NotNegative,
    Number,
    Positive,
    TimeframeName,
    Truth,
    in_lower_case,
)


class PositionSizing(Block):
    """`value`: lots (fixed) or percent of the balance (percentage, volatility).

    `atr` names the ATR column where the trigger timeframe has several.
    """

    type: Annotated[Literal["fixed", "percentage", "volatility"], AnyCase]
    value: Positive
    atr_distance: NotNegative | None = None
    atr: Name | None = None

    @model_validator(mode="after")
    def _percent(self) -> Self:
        if self.type != "fixed" and self.value > 100:  # noqa: PLR2004 - percent
            raise ValueError(f"expected a percentage of the balance up to 100, not {self.value:g}")
        return self


class Trailing(Block):
    """Makes a stop follow the price at a distance of `step` pips."""

    enabled: bool = True
    step: Positive


def _trailing(value: object) -> object:
    if value is False:
        return None
    if value is True:
        raise ValueError("expected {enabled: true, step: <pips>}: true alone gives no distance")
    return value


MaybeTrailing = Annotated[Trailing | None, BeforeValidator(_trailing)]


class FixedStop(Block):
    """`value` pips from the entry, trailing if asked."""

    type: Literal["fixed"]
    value: Positive
    trailing: MaybeTrailing = None


class MonetaryStop(Block):
    """`value` in account currency is lost by the whole position at the stop."""

    type: Literal["monetary"]
    value: Positive
    trailing: MaybeTrailing = None


class IndicatorStop(Block):
    """The `source` column, moved `offset` pips away from the price."""

    type: Literal["indicator"]
    source: Name
    timeframe: TimeframeName | None = None
    offset: NotNegative = 0.0
    trailing: MaybeTrailing = None


class TrailingStop(Block):
    """`step` pips behind the price once the profit reached `activation_price` pips.

    Until then the stop stands `cap` pips from the entry, where given.
    """

    type: Literal["trailing"]
    step: Positive
    activation_price: NotNegative | None = None
    cap: Positive | None = None


class FixedTarget(Block):
    """`value` pips from the entry."""

    type: Literal["fixed"]
    value: Positive


class PartialTarget(Block):
    """Close `percent` of the position `value` % of the entry price away from the entry."""

    value: Positive
    percent: Annotated[Number, Field(gt=0, le=100)]
    move_stop: Truth = False


class MultiTarget(Block):
    """Several targets whose percents sum to 100."""

    type: Literal["multi_target"]
    targets: Annotated[tuple[PartialTarget, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole_position(self) -> Self:
        total = sum(target.percent for target in self.targets)
        if abs(total - 100) > 1e-9:  # noqa: PLR2004 - percent, but for rounding
            raise ValueError(f"the percents of the targets must sum to 100, not {total:g}")
        return self


class IndicatorTarget(Block):
    """The `source` column as it stands at the entry."""

    type: Literal["indicator"]
    source: Name
    timeframe: TimeframeName | None = None
    offset: Annotated[Number, Field(ge=0, le=0)] = 0.0


def _with_type_in_lower_case(value: object) -> object:
    if isinstance(value, dict) and "type" in value:
        return {**value, "type": in_lower_case(value["type"])}
    return value


Stop: TypeAlias = Annotated[
    Annotated[FixedStop | MonetaryStop | IndicatorStop | TrailingStop, Field(discriminator="type")],
    BeforeValidator(_with_type_in_lower_case),
]
TakeProfit: TypeAlias = Annotated[
    Annotated[FixedTarget | MultiTarget | IndicatorTarget, Field(discriminator="type")],
    BeforeValidator(_with_type_in_lower_case),
]


class Risk(Block):
    """How much to trade and where to get out: obeyed by `app.risk`."""

    position_sizing: PositionSizing
    sl: Stop | None = None
    tp: TakeProfit | None = None
    atr_distance: NotNegative | None = None

    @model_validator(mode="after")
    def _one_distance(self) -> Self:
        if self.atr_distance is not None and self.position_sizing.atr_distance is not None:
            raise ValueError("atr_distance is given twice: here and in position_sizing")
        return self
