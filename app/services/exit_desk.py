"""From exit signals, plans and deadlines to orders that close."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.domain.errors import ConfigurationError
from app.domain.market import Candle
from app.domain.orders import CloseReason
from app.domain.rules import StrategyRules
from app.events import ExitSignalEvent, StrategiesEvaluatedEvent
from app.risk.manage import Act, ClosePart, MoveStop, follows_candles, manage, take_targets
from app.risk.plans import PositionPlan, held_back, next_deadline, owing
from app.risk.stops import Levels
from app.services.floor import Floor
from app.services.order_desk import OrderDesk
from app.services.pauses import Pauses


class ExitDesk:
    """Closes positions, moves their stops, and withdraws entries whose signal is over."""

    def __init__(self, floor: Floor, desk: OrderDesk) -> None:
        self._log = floor.log
        self._broker = floor.broker
        self._strategies = floor.terms.strategies
        self._rules = floor.terms.rules
        self._trades = floor.trades
        self._desk = desk
        self._following = {
            name for name, strategy in self._strategies.items() if follows_candles(strategy)
        }
        self._pauses = Pauses()
        """Of what is owed of each position, by its ticket, between candles."""

    def leave(self, event: ExitSignalEvent) -> None:
        """Close the positions of the strategy in the signal's direction; withdraw what waits."""
        signal = event.signal
        strategy = self._strategies[signal.strategy]
        candle = signal.candle
        closing = []
        for plan in self._trades.of(strategy, signal.direction):
            wait = held_back(plan, strategy, candle.close_time)
            if wait is not None:
                self._log.debug(
                    "Exit of %s held back for %s", plan.ticket, wait, symbol=plan.symbol
                )
            else:
                closing.append(owing(plan, plan.free, CloseReason.SIGNAL))
        self._close_all(closing, candle)
        for entry in list(self._trades.sent.values()):
            intent = entry.intent
            ours = (intent.strategy, intent.symbol) == (strategy.name, strategy.symbol)
            if ours and intent.direction is signal.direction and entry.waits:
                self._desk.withdraw(entry, "exit signal")

    def _close_all(self, plans: Sequence[PositionPlan], candle: Candle) -> None:
        """Close what is owed of positions; all of it is noted before the first exit leaves."""
        for plan in plans:
            self._trades.keep(plan)
        for plan in plans:
            if plan.owed:
                self._desk.close_owed(plan, candle.time)

    def any_follows_price(self) -> bool:
        """Say whether any position has a plan that closed candles move."""
        return any(map(self._follows_price, self._trades.plans.values()))

    def _follows_price(self, plan: PositionPlan) -> bool:
        return bool(plan.strategy in self._following or plan.targets or plan.break_even)

    def manage(self, event: StrategiesEvaluatedEvent) -> None:
        """Trail and move stops, and take partial profits, of the strategies that were evaluated."""
        for decision in event.decisions:
            strategy = self._strategies[decision.strategy]
            for plan in self._trades.of(strategy):
                if self._follows_price(plan):
                    self._manage_one(plan, strategy, decision.candle, decision.levels)

    def _manage_one(
        self, plan: PositionPlan, strategy: StrategyRules, candle: Candle, levels: Levels
    ) -> None:
        quote = self._broker.quote(plan.symbol)
        if quote is None:
            return
        rules = self._broker.rules(plan.symbol)
        after, acts = manage(plan, candle, levels, strategy, rules=rules, quote=quote)
        self._carry_out(plan, after, acts, candle)

    def take_targets(self, candle: Candle) -> None:
        """Take the targets a candle faster than the trigger of their strategy touched."""
        for plan in list(self._trades.plans.values()):
            wanted = plan.targets or plan.break_even
            if wanted and plan.symbol == candle.symbol and plan.timeframe != candle.timeframe:
                self._take_targets_of(plan, candle)

    def _take_targets_of(self, plan: PositionPlan, candle: Candle) -> None:
        strategy = self._strategies.get(plan.strategy)
        quote = self._broker.quote(plan.symbol)
        if strategy is None or strategy.symbol != plan.symbol or quote is None:
            return
        rules = self._broker.rules(plan.symbol)
        after, acts = take_targets(plan, candle, rules=rules, quote=quote)
        self._carry_out(plan, after, acts, candle)

    def _carry_out(
        self, plan: PositionPlan, after: PositionPlan, acts: Sequence[Act], candle: Candle
    ) -> None:
        """Do what is asked; all that is owed is noted before the first order leaves."""
        for act in acts:
            if isinstance(act, ClosePart):
                after = owing(after, act.volume, act.reason)
        if after is not plan:
            self._trades.keep(after)
        for act in acts:
            newest = self._trades.plans[plan.ticket]
            if isinstance(act, MoveStop):
                self._desk.move_stop(newest, act.stop)
            else:
                rest = msgspec.structs.replace(newest, owed=newest.owed - act.volume)
                self._desk.close(rest, candle.time, act.volume, act.reason, act.leg)

    def meet_deadlines(self, candle: Candle) -> None:
        """Close what is owed or due: its longest duration, the session's or the day's end."""
        for plan in list(self._trades.plans.values()):
            wanted = plan.owed or plan.due is not None
            if wanted and plan.symbol == candle.symbol and plan.free > 0:
                if plan.owed:
                    self._desk.close_owed(plan, candle.time)
                self._meet_deadline(plan.ticket, candle.close_time, candle.time)

    def press_on(self, now: datetime) -> None:
        """Close what is owed or due by now, however far away the next candle is.

        An exit that was refused is asked for again soon, then after twice as long each time.
        """
        plans = self._trades.plans
        self._pauses.keep({ticket for ticket, plan in plans.items() if plan.owed})
        for plan in list(plans.values()):
            if plan.owed and self._pauses.is_over(plan.ticket, now):
                self._desk.close_owed(plan, now)
            if plan.free > 0:
                self._meet_deadline(plan.ticket, now, now)

    def _meet_deadline(self, ticket: int, now: datetime, at: datetime) -> None:
        """Close what a deadline that has come asks for; `at` is what the exit's id hangs on."""
        plan = self._trades.plans[ticket]
        due = plan.due
        if due is None or now < due.at or plan.free <= plan.owed:
            return
        strategy = self._strategies.get(plan.strategy)
        try:
            rules = self._broker.rules(plan.symbol)
        except ConfigurationError:  # not traded any more: what half of it is, is not known
            after, volume = None, plan.free
        else:
            after = next_deadline(plan, strategy, rules, self._rules, now) if strategy else None
            volume = due.lots(plan, rules)
        waiting = msgspec.structs.replace(plan, due=after)
        self._trades.keep(waiting)
        self._desk.close(waiting, at, volume, due.reason)
