"""From entry signals to orders: cleared, planned, approved, sent; or refused, with a reason."""

from collections import Counter
from datetime import UTC, datetime

from app.domain.errors import SourceError
from app.domain.market import Candle
from app.domain.orders import BlockReason, OrderState, Refusal
from app.domain.rules import StrategyRules
from app.domain.signals import Signal
from app.events import EntrySignalEvent, TradingBlockedEvent
from app.risk.entries import plan_entry
from app.risk.limits import (
    ApprovedOrder,
    Clearance,
    Moment,
    approve_entry,
    clear_moment,
    entry_risk,
)
from app.risk.sizing import Market
from app.risk.splitting import WHOLE
from app.services.account_watch import AccountWatch
from app.services.brakes import Brakes
from app.services.floor import Floor
from app.services.open_trades import SentEntry
from app.services.order_desk import OrderDesk
from app.services.pauses import Pauses

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_LOSSES = frozenset({BlockReason.DAILY_LOSS_LIMIT, BlockReason.MAX_DRAWDOWN})
_ENDING = Refusal(BlockReason.REDUCE_ONLY, "the daemon is being stopped")


class EntryDesk:
    """Opens positions, and withdraws what waits and would not be opened any more."""

    reduce_only = False
    """Set while nothing may be opened; what is open goes on being managed and closed."""
    ending = False
    """Set once the daemon is to stop: nothing is sent that opens anything."""

    def __init__(self, floor: Floor, desk: OrderDesk, watch: AccountWatch, brakes: Brakes) -> None:
        self._bus = floor.bus
        self._log = floor.log
        self._broker = floor.broker
        self._journal = floor.journal
        self._strategies = floor.terms.strategies
        self._rules = floor.terms.rules
        self._splits = floor.terms.splits
        self._trades = floor.trades
        self._desk = desk
        self._watch = watch
        self._brakes = brakes
        self._netting = not floor.broker.account().hedging
        self.blocked: Counter[BlockReason] = Counter()
        self._blocked_day = _BEGINNING.date()
        self._blocked_today: set[tuple[str, BlockReason]] = set()
        self._pauses = Pauses()
        """Of the pending entries that are to be withdrawn, by client id, between candles."""

    def enter(self, event: EntrySignalEvent) -> None:
        """Open a position, or say why not."""
        try:
            self._open(event)
        except SourceError as error:
            self.block(event.signal, Refusal(BlockReason.NO_ANSWER, str(error)))

    def _open(self, event: EntrySignalEvent) -> None:
        signal = event.signal
        strategy = self._strategies[signal.strategy]
        moment = Moment(
            at=signal.candle.close_time,
            late=event.late,
            reduce_only=self.reduce_only,
            open_entries=self._trades.entries(strategy, signal.direction),
            netted_with=self._netted_with(signal),
            doubt=self._broker.doubt(signal.symbol, self._desk.at),
        )
        symbol = self._broker.rules(signal.symbol)
        clearance = clear_moment(strategy, moment, symbol, self._rules)
        if isinstance(clearance, Refusal):
            self.block(signal, clearance)
            return
        quote = self._broker.quote(signal.symbol)
        if quote is None:
            self.block(signal, Refusal(BlockReason.NO_QUOTE, "no price yet"))
            return
        market = Market(symbol, quote, self._broker.money_per_lot(signal.symbol))
        orders = self._approved(signal, strategy, clearance, market)
        if isinstance(orders, Refusal):
            self.block(signal, orders)
            return
        for order in orders:
            if not self._send_entry(order, signal, market):
                return

    def _netted_with(self, signal: Signal) -> str:
        if not self._netting:
            return ""
        return self._trades.other_in(signal.symbol, signal.strategy, self._broker)

    def _approved(
        self, signal: Signal, strategy: StrategyRules, clearance: Clearance, market: Market
    ) -> tuple[ApprovedOrder, ...] | Refusal:
        intents = plan_entry(
            signal,
            strategy,
            market=market,
            account=self._broker.account(),
            split=self._splits.get(signal.symbol, WHOLE),
        )
        if isinstance(intents, Refusal):
            return intents
        at = signal.candle.close_time
        answer = approve_entry(
            intents, clearance=clearance, exposure=self._watch.exposure(at), market=market
        )
        if isinstance(answer, Refusal) and answer.reason in _LOSSES:
            self._brakes.breached(answer, at)
        return answer

    def _send_entry(self, order: ApprovedOrder, signal: Signal, market: Market) -> bool:
        """Send one leg; ``False`` when it was not taken and the further ones shall not go."""
        if self.ending:
            self.block(signal, _ENDING)
            return False
        intent = order.intent
        result = self._desk.submit(order)
        if isinstance(result, Refusal):
            self.block(signal, result)
            return False
        if result.state is OrderState.REJECTED:
            reason = result.blocks or BlockReason.BROKER_REFUSED
            self.block(signal, Refusal(reason, result.reason))
            return False
        self._trades.sent[intent.client_id] = SentEntry(
            intent, result.ticket, signal.candle.close_time, entry_risk(intent, market)
        )
        return True

    def withdraw_blocked(self, now: datetime) -> None:
        """Withdraw pending entries that are blocked by now, however far the next candle is."""
        self._pauses.keep(self._trades.sent)
        for name, entry in list(self._trades.sent.items()):
            why = self._blocked(entry, now) if entry.waits else ""
            if why and self._pauses.is_over(name, now):
                self._desk.withdraw(entry, why)

    def _blocked(self, entry: SentEntry, at: datetime) -> str:
        """Say what keeps an entry that waits from being made at `at`; empty when nothing does."""
        strategy = self._strategies.get(entry.intent.strategy)
        if strategy is None or strategy.symbol != entry.intent.symbol:
            return "its strategy is gone"
        if self.reduce_only:
            return f"{BlockReason.REDUCE_ONLY}: nothing is opened any more"
        for block in self._journal.blocks(at):
            if block.stops(entry.intent.strategy, at):
                return f"{block.reason}: {block.detail}"
        return ""

    def withdraw_stale(self, candle: Candle) -> None:
        """Withdraw pending entries that would not be made any more."""
        for entry in list(self._trades.sent.values()):
            if entry.waits and entry.intent.symbol == candle.symbol:
                why = self._stale(entry, candle.close_time)
                if why:
                    self._desk.withdraw(entry, why)

    def _stale(self, entry: SentEntry, at: datetime) -> str:
        """Say why an entry that waits would not be made at `at`; empty while it would."""
        day = self._rules.server_time.day
        if day(entry.sent_at) != day(at):
            return "its day at the broker is over"
        strategy = self._strategies.get(entry.intent.strategy)
        if strategy is None:
            return "its strategy is gone"
        blocked = self._blocked(entry, at)
        if blocked:
            return blocked
        moment = Moment(at, late=False, reduce_only=False, open_entries=0)
        symbol = self._broker.rules(entry.intent.symbol)
        answer = clear_moment(strategy, moment, symbol, self._rules)
        return f"{answer.reason}: {answer.detail}" if isinstance(answer, Refusal) else ""

    def block(self, signal: Signal, refusal: Refusal) -> None:
        """Say why an entry is not made: loudly once a day, strategy and reason, then quietly."""
        self.blocked[refusal.reason] += 1
        day = self._rules.server_time.day(signal.candle.close_time)
        if day != self._blocked_day:
            self._blocked_day = day
            self._blocked_today.clear()
        kind = (signal.strategy, refusal.reason)
        say = self._log.debug if kind in self._blocked_today else self._log.info
        self._blocked_today.add(kind)
        say(
            "Blocked: %s %s (%s), %s: %s",
            signal.symbol,
            signal.direction,
            signal.strategy,
            refusal.reason,
            refusal.detail,
            symbol=signal.symbol,
            strategy=signal.strategy,
        )
        self._bus.publish(
            TradingBlockedEvent(
                reason=refusal.reason,
                detail=refusal.detail,
                symbol=signal.symbol,
                strategy=signal.strategy,
                direction=signal.direction,
            )
        )
