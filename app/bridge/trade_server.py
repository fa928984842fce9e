"""The trade server of one account: it executes orders, stops and targets against the ticks."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from heapq import merge
from operator import attrgetter

import msgspec

from app.bridge.calm import Calm
from app.bridge.ledger import Ledger
from app.bridge.market import Market
from app.bridge.rates import Rates
from app.bridge.retcodes import Retcode
from app.bridge.terms import Fill
from app.bridge.values import (
    NONE,
    PROPER,
    Deal,
    OpenPosition,
    Order,
    OrderRequest,
    OrderState,
    OrderType,
    Position,
    Reason,
    Refused,
    Side,
    Tick,
    TradeResult,
    Treatment,
)
from app.domain.broker_time import ServerTime

_TRIPLE_SWAP_DAY = 2
"""Wednesday, whose night pays for the weekend."""
_WEEKEND = 5


class InFlight(msgspec.Struct, frozen=True):
    """A market order on its way; ``due`` is ``None`` when it never arrives."""

    order: Order
    treatment: Treatment
    due: datetime | None


class TradeServer:
    """Executes the orders of one account up to the time it was last advanced to."""

    def __init__(
        self,
        ledger: Ledger,
        markets: Mapping[str, Market],
        rates: Rates,
        server_time: ServerTime,
        now: datetime,
    ) -> None:
        self.ledger = ledger
        self.now = now
        self._markets = markets
        self._rates = rates
        self._server_time = server_time
        self._midnight = server_time.next_day_start(now)
        self._in_flight: dict[int, InFlight] = {}
        self._hidden: dict[int, datetime] = {}
        self._calm = Calm(now, version=-1, ranges={})

    # The market moves

    def advance(self, now: datetime) -> None:
        """Let the market move on to `now`: whatever its ticks reach, happens."""
        watched = self._held_symbols()
        watched |= {order.symbol for order in self.ledger.waiting.values()}
        ticks = (self._markets[symbol].ticks(self.now, now) for symbol in sorted(watched))
        for tick in merge(*ticks, key=attrgetter("time")):
            self.now = tick.time
            self._take(tick)
        self.now = max(now, self.now)
        self._roll_over()

    def _take(self, tick: Tick) -> None:
        self._roll_over()
        for flight in list(self._in_flight.values()):
            if flight.order.symbol == tick.symbol and flight.due and flight.due <= tick.time:
                self._arrive(flight, tick)
        for held in self.ledger.of(tick.symbol):
            self._protect(held, tick)
        for order in list(self.ledger.waiting.values()):
            if order.symbol == tick.symbol and order.ticket not in self._in_flight:
                self._trigger(order, tick)
        if not self._calm.holds(tick, self.ledger.version):
            self._stop_out()

    def _roll_over(self) -> None:
        while self.now >= self._midnight:
            ended = self._server_time.day(self._midnight - timedelta(seconds=1))
            if ended.weekday() < _WEEKEND:
                self.ledger.charge_swaps(3 if ended.weekday() == _TRIPLE_SWAP_DAY else 1)
            self._midnight = self._server_time.next_day_start(self._midnight)

    def _protect(self, held: Position, tick: Tick) -> None:
        """Close a position whose stop or target the tick reaches."""
        price, sign = tick.closes(held.type), held.type.sign
        if held.sl and (price - held.sl) * sign <= 0:
            level, reason, word = held.sl, Reason.STOP_LOSS, "sl"
        elif held.tp and (price - held.tp) * sign >= 0:
            level, reason, word = held.tp, Reason.TAKE_PROFIT, "tp"
        else:
            return
        self._force(held, level if tick.continuous else price, reason, f"[{word} {level}]")

    def _trigger(self, order: Order, tick: Tick) -> None:
        """Fill a pending order that the tick reaches, or turn a stop-limit into a limit."""
        side = order.type.side
        price = tick.opens(side)
        beyond = (price - order.price_open) * side.sign
        if beyond > 0 if order.type.is_limit else beyond < 0:
            return
        if order.type.is_stop_limit:
            limit = OrderType.BUY_LIMIT if side is Side.BUY else OrderType.SELL_LIMIT
            self.ledger.change(
                msgspec.structs.replace(
                    order, type=limit, price_open=order.price_stoplimit, price_stoplimit=NONE
                )
            )
            return
        at = self._fill_at(order.symbol, order.price_open if tick.continuous else price)
        try:
            self.check_money(order.symbol, side, order.volume_current, at)
        except Refused:
            self.ledger.end(order, OrderState.REJECTED, self.now)
        else:
            self.ledger.fill(order, order.volume_current, at)

    def _arrive(self, flight: InFlight, tick: Tick) -> None:
        order = flight.order
        del self._in_flight[order.ticket]
        if order.position_id and self.ledger.by_identifier(order.position_id) is None:
            self.ledger.end(order, OrderState.CANCELED, self.now)
        else:
            self._execute(order, tick, flight.treatment)

    def _stop_out(self) -> None:
        """Close the worst position, again and again, while the margin level is too low."""
        while self.ledger.positions:
            margin = self.ledger.margin()
            equity = self.equity()
            spare = equity - margin * self.ledger.terms.stop_out / 100
            if not margin or spare >= 0:
                self._calm = self._calm_with(spare)
                return
            worst = min(self.open_positions(), key=attrgetter("profit"))
            level = f"so: {equity * 100 / margin:.1f}%/{equity}/{margin}"
            self._force(worst.position, worst.price_current, Reason.STOP_OUT, level)

    def _calm_with(self, spare: Decimal) -> Calm:
        """Return how long nothing needs a look after all positions left `spare` equity."""
        ticks = (self._markets[symbol].tick(self.now) for symbol in self._held_symbols())
        worth = sum((self._worth(held) for held in self.ledger.positions.values()), NONE)
        seen = [tick for tick in ticks if tick is not None]
        return Calm.after(self.now, self.ledger.version, seen, spare / worth if worth else NONE)

    def _worth(self, held: Position) -> Decimal:
        """Return what a position would cost without leverage, in account currency."""
        at = self._fill_at(held.symbol, held.price_open)
        per_lot = self.ledger.margin_per_lot(held.symbol, at)
        return held.volume * per_lot * self.ledger.terms.leverage

    def _held_symbols(self) -> set[str]:
        return {held.symbol for held in self.ledger.positions.values()}

    def _force(self, held: Position, price: Decimal, reason: Reason, comment: str) -> None:
        """Close a position without anybody having asked."""
        request = _closing(held, held.volume, reason, comment[: PROPER.comment_length])
        request = msgspec.structs.replace(request, magic=held.magic)
        order = self.ledger.place(request, self.now, closes=held.identifier)
        self.ledger.fill(order, held.volume, self._fill_at(held.symbol, price))

    # Orders come in

    def send(
        self, request: OrderRequest, tick: Tick, treatment: Treatment, *, closes: int = 0
    ) -> TradeResult:
        """Take an order that nothing speaks against: fill it, or let it wait."""
        comment = request.comment if treatment.comment_text is None else treatment.comment_text
        price = tick.opens(request.type.side) if request.type.is_market else request.price
        request = msgspec.structs.replace(
            request, comment=comment[: treatment.comment_length], price=price
        )
        if treatment.drops_stops:
            request = msgspec.structs.replace(request, sl=NONE, tp=NONE)
        order = self.ledger.place(request, self.now, closes=closes)
        if treatment.hidden_for:
            self._hidden[order.ticket] = self.now + timedelta(seconds=treatment.hidden_for)
        if not request.type.is_market:
            return TradeResult(Retcode.DONE, order.ticket, 0, price, request.volume)
        if treatment.fill_after:
            due = None
            if not treatment.never_fills:
                due = self.now + timedelta(seconds=treatment.fill_after)
            self._in_flight[order.ticket] = InFlight(order, treatment, due)
            return TradeResult(Retcode.PLACED, order.ticket, 0, NONE, request.volume)
        deal = self._execute(order, tick, treatment)
        code = Retcode.DONE if deal.volume == request.volume else Retcode.DONE_PARTIAL
        return TradeResult(code, order.ticket, deal.ticket, deal.price, deal.volume)

    def close(
        self, held: Position, volume: Decimal, tick: Tick, treatment: Treatment,
        reason: Reason = Reason.EXPERT,
    ) -> TradeResult:  # fmt: skip
        """Close `volume` of a position; the dialect leaves no room for a comment or a magic."""
        request = _closing(held, volume, reason, "")
        return self.send(request, tick, treatment, closes=held.identifier)

    def cancel(self, order: Order) -> None:
        """Withdraw an order that waits or is in flight."""
        self._in_flight.pop(order.ticket, None)
        self.ledger.end(order, OrderState.CANCELED, self.now)

    def is_closing(self, held: Position) -> bool:
        """Say whether an order that closes a position is in flight."""
        flights = self._in_flight.values()
        return any(flight.order.position_id == held.identifier for flight in flights)

    def is_in_flight(self, ticket: int) -> bool:
        """Say whether a market order has been placed and not filled."""
        return ticket in self._in_flight

    def is_hidden(self, order: int) -> bool:
        """Say whether an order and its consequences are in no list yet."""
        return order in self._hidden and self.now < self._hidden[order]

    def check_money(self, symbol: str, side: Side, volume: Decimal, at: Fill) -> None:
        """Refuse an order that free margin cannot carry."""
        before = self.ledger.margin()
        more = volume * self.ledger.margin_per_lot(symbol, at)
        added = self.ledger.margin((symbol, side, more)) - before
        if added > 0 and added > self.equity() - before:
            raise Refused(Retcode.NO_MONEY)

    def _execute(self, order: Order, tick: Tick, treatment: Treatment) -> Deal:
        symbol = self._markets[order.symbol].symbol
        steps = (order.volume_current * treatment.filled_part - symbol.volume_min) / (
            symbol.volume_step
        )
        part = symbol.volume_min + steps.to_integral_value(ROUND_DOWN) * symbol.volume_step
        volume = min(max(part, symbol.volume_min), order.volume_current)
        if order.position_id:
            held = self.ledger.by_identifier(order.position_id)
            volume = min(volume, held.volume) if held else volume
        side = order.type.side
        price = tick.opens(side) + side.sign * treatment.slippage * symbol.point
        return self.ledger.fill(order, volume, self._fill_at(order.symbol, price))

    # What it is all worth

    def equity(self) -> Decimal:
        """Return balance, floating profit and swap."""
        floating = (one.profit + one.position.swap for one in self.open_positions())
        return sum(floating, self.ledger.balance)

    def open_positions(self) -> Iterator[OpenPosition]:
        """Yield the open positions with their prices and profits, oldest first."""
        for held in self.ledger.positions.values():
            tick = self._markets[held.symbol].tick(self.now)
            price = held.price_open if tick is None else tick.closes(held.type)
            at = self._fill_at(held.symbol, price)
            yield OpenPosition(held, price, self.ledger.profit(held, price, at.rate))

    def fill_at_market(self, symbol: str, side: Side, tick: Tick) -> Fill:
        """Return where an order on `side` would be filled now."""
        return self._fill_at(symbol, tick.opens(side))

    def _fill_at(self, symbol: str, price: Decimal) -> Fill:
        currency = self._markets[symbol].symbol.currency_profit
        return Fill(price, self._rates.rate(currency, self.now), self.now)


def _closing(held: Position, volume: Decimal, reason: Reason, comment: str) -> OrderRequest:
    kind = OrderType(held.type.opposite)
    return OrderRequest(held.symbol, kind, volume, comment=comment, reason=reason)
