"""Keeps the books of a backtest while it runs: every trade, the equity, what was refused."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from app.backtest.equity import EquityCurve
from app.backtest.outcome import Trade
from app.bus import EventBus
from app.domain.broker_time import EPOCH
from app.domain.orders import Deal
from app.domain.signals import Decision
from app.events import (
    CycleCompletedEvent,
    EntrySignalEvent,
    OrderFilledEvent,
    PositionClosedEvent,
    PositionReducedEvent,
    StrategiesEvaluatedEvent,
    TradingBlockedEvent,
)
from app.ports import Broker

_NOTHING = Decimal(0)


class _Sum:
    """Lots and what was paid for them: their mean price."""

    def __init__(self) -> None:
        self.volume = self.paid = _NOTHING

    def add(self, deal: Deal) -> None:
        self.volume += deal.volume
        self.paid += deal.volume * deal.price

    @property
    def price(self) -> Decimal:
        return self.paid / self.volume


class _Open:
    """A position that is open, with what its deals have done so far."""

    def __init__(self, strategy: str, deal: Deal, regime: str, stops: "_Stops") -> None:
        self.strategy = strategy
        self.first = deal
        self.regime = regime
        self.stops = stops
        self.bought, self.sold = _Sum(), _Sum()
        self.profit = self.commission = self.swap = self.spread = _NOTHING

    def book(self, deal: Deal) -> None:
        self.profit += deal.profit
        self.commission += deal.commission
        self.swap += deal.swap


class _Stops(NamedTuple):
    stop: Decimal | None
    target: Decimal | None


class Book:
    """Listens on `bus` to what happens on `broker`; the account starts with `capital`."""

    def __init__(self, bus: EventBus, broker: Broker, equity: EquityCurve) -> None:
        self._broker = broker
        self._equity = equity
        self._open: dict[int, _Open] = {}
        self._decisions: dict[str, Decision] = {}
        """The latest of each strategy."""
        self._now = self._exposed_since = EPOCH
        self._exposed = timedelta()
        self._booked = False
        self.trades: list[Trade] = []
        self.signals = 0
        self.refused: Counter[str] = Counter()
        bus.subscribe(StrategiesEvaluatedEvent, self._on_evaluated, owner="backtest")
        bus.subscribe(EntrySignalEvent, self._on_signal, owner="backtest")
        bus.subscribe(TradingBlockedEvent, self._on_blocked, owner="backtest")
        bus.subscribe(OrderFilledEvent, self._on_filled, owner="backtest")
        bus.subscribe(PositionReducedEvent, self._on_reduced, owner="backtest")
        bus.subscribe(PositionClosedEvent, self._on_closed, owner="backtest")
        bus.subscribe(CycleCompletedEvent, self._on_cycle, owner="backtest")

    @property
    def still_open(self) -> int:
        """How many positions are open."""
        return len(self._open)

    @property
    def exposed(self) -> timedelta:
        """The market time in which at least one position was open."""
        going_on = self._now - self._exposed_since if self._open else timedelta()
        return self._exposed + going_on

    def _on_evaluated(self, event: StrategiesEvaluatedEvent) -> None:
        for decision in event.decisions:
            self._decisions[decision.strategy] = decision

    def _on_signal(self, _event: EntrySignalEvent) -> None:
        self.signals += 1

    def _on_blocked(self, event: TradingBlockedEvent) -> None:
        if event.direction is not None:
            self.refused[event.reason.value] += 1

    def _on_filled(self, event: OrderFilledEvent) -> None:
        deal = event.deal
        held = self._open.get(deal.position)
        if held is None:
            if not self._open:
                self._exposed_since = max(deal.time, self._exposed_since)
            decision = self._decisions.get(event.strategy)
            regime = decision.regimes.get(decision.timeframe, "") if decision else ""
            held = _Open(event.strategy, deal, regime, self._stops(deal.position))
            self._open[deal.position] = held
        held.bought.add(deal)
        held.spread += self._spread(deal)
        held.book(deal)
        self._booked = True

    def _on_reduced(self, event: PositionReducedEvent) -> None:
        self._take_out(event.deal)

    def _on_closed(self, event: PositionClosedEvent) -> None:
        deal = event.deal
        held = self._take_out(deal)
        if held is None:
            return
        del self._open[deal.position]
        if not self._open:
            ended = max(deal.time, self._exposed_since)
            self._exposed += ended - self._exposed_since
            self._exposed_since = ended
        self.trades.append(
            Trade(
                ticket=deal.position,
                symbol=event.symbol,
                strategy=event.strategy,
                direction=event.direction,
                regime=held.regime,
                volume=held.bought.volume,
                opened_at=held.first.time,
                entry=held.bought.price,
                stop=held.stops.stop,
                target=held.stops.target,
                closed_at=deal.time,
                exit=held.sold.price,
                reason=event.reason.value,
                profit=held.profit,
                commission=held.commission,
                swap=held.swap,
                spread=held.spread,
            )
        )

    def _take_out(self, deal: Deal) -> _Open | None:
        held = self._open.get(deal.position)
        if held is not None:
            held.sold.add(deal)
            held.book(deal)
            self._booked = True
        return held

    def _on_cycle(self, event: CycleCompletedEvent) -> None:
        now = event.time
        if self._open or self._booked:
            account = self._broker.account()
            self._equity.see(now, account.balance, account.equity, keep=self._booked)
            self._booked = False
        else:
            self._equity.idle(now)
        self._now = now

    def _stops(self, ticket: int) -> _Stops:
        for position in self._broker.positions():
            if position.ticket == ticket:
                return _Stops(position.stop_loss, position.take_profit)
        return _Stops(None, None)

    def _spread(self, deal: Deal) -> Decimal:
        """Return what crossing the spread cost at an opening: account currency, by the quote."""
        quote = self._broker.quote(deal.symbol)
        if quote is None:
            return _NOTHING
        rules = self._broker.rules(deal.symbol)
        width = rules.price(quote.ask) - rules.price(quote.bid)
        return width * deal.volume * self._broker.money_per_lot(deal.symbol)
