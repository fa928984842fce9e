"""What a check of a backtest could not compare: it is said, so that it is no all-clear."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from app.backtest.play import Play, Series
from app.domain.errors import ConfigurationError
from app.domain.rows import WARMING_UP, View
from app.domain.signals import Fact
from app.strategies.evaluate import Strategy

_MORE = "begin later (--from) or give more data"


@dataclass
class Gaps:
    """What was not compared, a line each; complete once a check has yielded all it found."""

    partly: list[str] = field(default_factory=list)
    """Series with less than twice the history."""
    wholly: list[str] = field(default_factory=list)
    """Strategies of which nothing is known."""


class Readiness:
    """What each strategy lacked on every one of its candles that were compared."""

    def __init__(self) -> None:
        self._lacked: dict[tuple[str, str], Set[str]] = {}

    def compared(self, symbol: str, strategy: str, lacks: Set[str]) -> None:
        """Take in one candle and what the strategy lacked on it."""
        key = symbol, strategy
        self._lacked[key] = self._lacked.get(key, lacks) & lacks

    def gaps(self, strategies: Iterable[Strategy]) -> Iterator[str]:
        """Yield why nothing is known of a strategy."""
        for rules in (strategy.rules for strategy in strategies):
            lacked = self._lacked.get((rules.symbol, rules.name))
            if lacked is None:
                yield (
                    f"{rules.name}: no {rules.symbol} {rules.trigger.title_name} candle was "
                    "compared: give more data, or check it alone (--strategy)"
                )
            elif lacked:
                yield (
                    f"{rules.name}: was not ready in any candle that was compared: "
                    f"{', '.join(sorted(lacked))}"
                )


def lacks(strategy: Strategy, view: View) -> frozenset[str]:
    """Return the columns a strategy still waits for on the newest rows."""
    return frozenset(
        f"{_lacking(fact)} of {strategy.rules.symbol} {fact.timeframe.title_name}"
        for fact in strategy.explain(view)
        if fact.truth is None or fact.left == WARMING_UP
    )


def deepened(once: Play, twice: Play, gaps: Gaps) -> list[Strategy]:
    """Return the strategies to which `twice` shows more history; tell `gaps` where it ends early.

    Raises ConfigurationError when it shows more to none.
    """
    wanted = twice.history_bars
    if not wanted:
        raise ConfigurationError(
            "services.indicator_calculation.history_bars is 0: there is no history to compare"
        )
    if not once.strategies:
        raise ConfigurationError("no strategy is enabled: there is nothing to compare")
    less, more = once.history(), twice.history()
    grown = {series for series in more if more[series] > less[series]}
    depths = {series: _depth(series, candles, wanted) for series, candles in more.items()}
    seeing = [one for one in once.strategies if grown & _series(one)]
    if not seeing:
        raise ConfigurationError(f"{depths[_fastest(once.strategies)]}: {_MORE}")
    for series, depth in depths.items():
        if more[series] < wanted and any(series in _series(one) for one in seeing):
            gaps.partly.append(
                f"{depth}: compared with {'those' if series in grown else 'no more'}"
            )
    for one in once.strategies:
        if one not in seeing:
            gaps.wholly.append(f"{one.rules.name}: {depths[_fastest([one])]}: {_MORE}")
    return seeing


def _lacking(fact: Fact) -> str:
    by_target = fact.target and fact.left is not None and fact.right is None
    return fact.target if by_target else fact.signal


def _series(strategy: Strategy) -> set[Series]:
    return {(strategy.rules.symbol, timeframe) for timeframe in strategy.rules.timeframes}


def _fastest(strategies: Iterable[Strategy]) -> Series:
    every = [series for one in strategies for series in _series(one)]
    return min(every, key=lambda series: (series[1].minutes, series[0]))


def _depth(series: Series, candles: int, wanted: int) -> str:
    symbol, timeframe = series
    return (
        f"{symbol} {timeframe.title_name}: the data have {candles:,} candles before the start, "
        f"twice the history is {wanted:,}"
    )
