"""From rows to signals: every strategy, once per closed candle of its trigger timeframe."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

from msgspec.structs import replace

from app.bus import EventBus
from app.domain.rows import View
from app.domain.signals import Decision, Direction, Fact, Signal
from app.events import (
    EntrySignalEvent,
    ExitSignalEvent,
    IndicatorsCalculatedEvent,
    StrategiesEvaluatedEvent,
    StrategyFailedEvent,
)
from app.services.base import Service
from app.strategies.evaluate import Strategy

Standing: TypeAlias = frozenset[tuple[str, str, Direction]]
"""The signals of the last evaluation: kind, strategy, direction."""


_LONG, _SHORT = Direction.LONG, Direction.SHORT


class StrategyEvaluationService(Service):
    """Evaluates the strategies of a symbol and publishes exits, then entries.

    A strategy that raises, be it while it decides or while it says why, decides nothing on that
    candle: `StrategyFailedEvent` says so, none of its signals is sent, and its decision is
    published undecided, so that its positions go on being managed.

    Args:
        bus: where decisions and signals are published.
        strategies: symbol -> its strategies, in the order they are evaluated.
        min_rows: rows each declared timeframe needs before anything is decided.
        all_facts: put the facts of every condition on every decision, not only on signals.

    """

    name: ClassVar[str] = "strategy_evaluation"

    def __init__(
        self,
        bus: EventBus,
        strategies: Mapping[str, Sequence[Strategy]],
        *,
        min_rows: int,
        all_facts: bool,
    ) -> None:
        super().__init__(bus)
        self._triggered: dict[tuple[str, str], list[Strategy]] = {}
        for symbol, loaded in strategies.items():
            for strategy in loaded:
                self._triggered.setdefault((symbol, strategy.rules.trigger), []).append(strategy)
        self._views: dict[str, View] = {}
        self._standing: dict[tuple[str, str], Standing] = {}
        self._min_rows = min_rows
        self._all_facts = all_facts
        self._evaluated = 0
        self._entries = 0
        self._exits = 0
        self._not_ready = 0
        self._errors = 0

    def on_indicators(self, event: IndicatorsCalculatedEvent) -> None:
        """Evaluate the strategies this candle triggers."""
        self._views[event.symbol] = event.view
        triggered = self._triggered.get((event.symbol, event.timeframe))
        if triggered:
            self._evaluate(triggered, event)
        self.handled += 1

    def explain(self, strategy: str) -> tuple[Fact, ...]:
        """Return every condition of `strategy` with its numbers on the newest rows.

        Raises KeyError when there is no such strategy.
        """
        for (symbol, _), triggered in self._triggered.items():
            for candidate in triggered:
                if candidate.rules.name == strategy:
                    return candidate.explain(self._views.get(symbol, {}))
        raise KeyError(strategy)

    def metrics(self) -> dict[str, int | float]:
        """Return the counts of evaluations and signals."""
        return {
            "strategies_evaluated": self._evaluated,
            "entry_signals": self._entries,
            "exit_signals": self._exits,
            "not_ready": self._not_ready,
            "strategies_failed": self._errors,
        }

    def _evaluate(self, strategies: Sequence[Strategy], event: IndicatorsCalculatedEvent) -> None:
        decisions: list[Decision] = []
        exits: list[Signal] = []
        entries: list[Signal] = []
        for strategy in strategies:
            try:
                decision, leaving, entering = self._decide(strategy, event.view)
            except Exception as error:  # noqa: BLE001 - one strategy never touches another
                self._strategy_failed(strategy, event, error)
                decisions.append(strategy.undecided(event.view))
                continue
            decisions.append(decision)
            exits += leaving
            entries += entering
            self._evaluated += 1
            self._not_ready += decision.entry_long is None or decision.entry_short is None
        self._exits += len(exits)
        self._entries += len(entries)
        self._publish(event, tuple(decisions), exits, entries)

    def _decide(
        self, strategy: Strategy, view: View
    ) -> tuple[Decision, list[Signal], list[Signal]]:
        """Return what `strategy` decides, its signals to leave and its signals to enter."""
        decision = strategy.evaluate(view, self._min_rows)
        if self._all_facts:
            decision = replace(decision, facts=strategy.explain(view))
        exits: list[Signal] = []
        entries: list[Signal] = []
        if decision.exit_long:
            exits.append(_signal(decision, _LONG, strategy.explain(view, "exit.long")))
        if decision.exit_short:
            exits.append(_signal(decision, _SHORT, strategy.explain(view, "exit.short")))
        if decision.entry_long:
            entries.append(_signal(decision, _LONG, strategy.explain(view, "entry.long")))
        if decision.entry_short:
            entries.append(_signal(decision, _SHORT, strategy.explain(view, "entry.short")))
        return decision, exits, entries

    def _publish(
        self,
        event: IndicatorsCalculatedEvent,
        decisions: tuple[Decision, ...],
        exits: Sequence[Signal],
        entries: Sequence[Signal],
    ) -> None:
        symbol, timeframe = event.symbol, event.timeframe
        self.bus.publish(
            StrategiesEvaluatedEvent(
                symbol=symbol,
                timeframe=timeframe,
                candle=event.view[timeframe][-1].candle,
                decisions=decisions,
                late=event.late,
            )
        )
        if self.tells:
            self._tell(event, exits, entries)
        for signal in exits:
            self.bus.publish(ExitSignalEvent(signal=signal))
        for signal in entries:
            self.bus.publish(EntrySignalEvent(signal=signal, late=event.late))

    def _tell(
        self, event: IndicatorsCalculatedEvent, exits: Sequence[Signal], entries: Sequence[Signal]
    ) -> None:
        symbol, timeframe = event.symbol, event.timeframe
        self.log.info(
            "Evaluated strategies: %d entries, %d exits",
            len(entries),
            len(exits),
            symbol=symbol,
            timeframe=timeframe,
            entries=len(entries),
            exits=len(exits),
        )
        standing = self._standing.get((symbol, timeframe), frozenset())
        self._standing[symbol, timeframe] = frozenset(
            (kind, signal.strategy, signal.direction)
            for kind, signals in (("Exit", exits), ("Entry", entries))
            for signal in signals
        )
        for signal in exits:
            self._say("Exit", signal, standing)
        for signal in entries:
            self._say("Entry", signal, standing)

    def _say(self, kind: str, signal: Signal, standing: Standing) -> None:
        """Tell a signal when it begins; while it lasts, candle after candle, in debug lines."""
        lasts = (kind, signal.strategy, signal.direction) in standing
        say = self.log.debug if lasts else self.log.info
        say(
            "%s signal: %s %s by %s because %s",
            kind,
            signal.direction,
            signal.symbol,
            signal.strategy,
            "; ".join(str(fact) for fact in signal.facts if fact.truth),
            symbol=signal.symbol,
            timeframe=signal.timeframe,
            strategy=signal.strategy,
            direction=signal.direction,
        )

    def _strategy_failed(
        self, strategy: Strategy, event: IndicatorsCalculatedEvent, error: Exception
    ) -> None:
        self._errors += 1
        name = strategy.rules.name
        said = f"{type(error).__name__}: {error}"
        self.log.error(
            "Strategy %s failed: %s", name, said, symbol=event.symbol, strategy=name, exc_info=error
        )
        self.bus.publish(StrategyFailedEvent(symbol=event.symbol, strategy=name, error=said))


def _signal(decision: Decision, direction: Direction, facts: tuple[Fact, ...]) -> Signal:
    return Signal(
        strategy=decision.strategy,
        symbol=decision.symbol,
        timeframe=decision.timeframe,
        direction=direction,
        candle=decision.candle,
        facts=facts,
        levels=decision.levels,
    )
