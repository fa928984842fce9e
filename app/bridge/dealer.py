"""The trade server's counter: it refuses what cannot be done, and lets the rest be done."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from app.bridge.checks import check_order, check_price, check_stops, check_thawed, check_volume
from app.bridge.market import Market
from app.bridge.retcodes import Retcode
from app.bridge.trade_server import TradeServer
from app.bridge.values import (
    NONE,
    Order,
    OrderRequest,
    Position,
    Reason,
    Refused,
    Tick,
    TradeResult,
    Treatment,
)

LIMIT_ORDERS = 200
"""Orders that may wait at once."""


class Dealer:
    """Takes requests for one account, over the markets it watches; raises Refused."""

    def __init__(self, server: TradeServer, markets: Mapping[str, Market]) -> None:
        self._server = server
        self._markets = markets

    def create(self, request: OrderRequest, treatment: Treatment) -> TradeResult:
        """Send an order."""
        market, tick = self._dealing(request.symbol)
        check_order(market.symbol, request, tick)
        if request.type.is_market:
            side = request.type.side
            at = self._server.fill_at_market(request.symbol, side, tick)
            self._server.check_money(request.symbol, side, request.volume, at)
        elif len(self._server.ledger.waiting) >= LIMIT_ORDERS:
            raise Refused(Retcode.LIMIT_ORDERS)
        return self._server.send(request, tick, treatment)

    def close(
        self,
        symbol: str,
        ticket: int,
        volume: Decimal | None,
        treatment: Treatment,
        reason: Reason,
    ) -> TradeResult:
        """Close `volume` lots of a position, ``None`` all of it."""
        held = self._held(symbol, ticket)
        market, tick = self._dealing(symbol)
        wanted = held.volume if volume is None else volume
        if wanted > held.volume:
            raise Refused(Retcode.INVALID_CLOSE_VOLUME)
        if wanted != held.volume:
            check_volume(market.symbol, wanted)
        if self._server.is_closing(held):
            raise Refused(Retcode.CLOSE_ORDER_EXISTS)
        return self._server.close(held, wanted, tick, treatment, reason)

    def set_stops(
        self, symbol: str, ticket: int, sl: Decimal | None, tp: Decimal | None
    ) -> TradeResult:
        """Change the stops of a position; ``None`` leaves one, 0 removes it.

        A stop that stays where it is may be nearer to the market than a new one.
        """
        held = self._held(symbol, ticket)
        market, tick = self._dealing(symbol)
        new_sl = held.sl if sl is None else sl
        new_tp = held.tp if tp is None else tp
        if (new_sl, new_tp) == (held.sl, held.tp):
            raise Refused(Retcode.NO_CHANGES)
        price = tick.closes(held.type)
        check_thawed(market.symbol, price, (held.sl, held.tp))
        moved_sl = NONE if new_sl == held.sl else new_sl
        moved_tp = NONE if new_tp == held.tp else new_tp
        check_stops(market.symbol, held.type, price, moved_sl, moved_tp)
        self._server.ledger.set_stops(ticket, new_sl, new_tp)
        return TradeResult(Retcode.DONE, ticket)

    def change_order(
        self, ticket: int, *, price: Decimal | None, sl: Decimal | None, tp: Decimal | None
    ) -> TradeResult:
        """Change a pending order; ``None`` leaves a value as it is."""
        order = self._waiting(ticket)
        market, tick = self._dealing(order.symbol)
        changed = msgspec.structs.replace(
            order,
            price_open=order.price_open if price is None else price,
            sl=order.sl if sl is None else sl,
            tp=order.tp if tp is None else tp,
        )
        if changed == order:
            raise Refused(Retcode.NO_CHANGES)
        side = order.type.side
        check_thawed(market.symbol, tick.opens(side), (order.price_open,))
        check_price(market.symbol, order.type, changed.price_open, order.price_stoplimit, tick)
        at = order.price_stoplimit or changed.price_open
        check_stops(market.symbol, side, at, changed.sl, changed.tp)
        self._server.ledger.change(changed)
        return TradeResult(Retcode.DONE, ticket, price=changed.price_open)

    def cancel(self, ticket: int) -> TradeResult:
        """Withdraw a pending order, or one that is in flight."""
        order = self._waiting(ticket)
        market, tick = self._dealing(order.symbol)
        if not self._server.is_in_flight(ticket):
            check_thawed(market.symbol, tick.opens(order.type.side), (order.price_open,))
        self._server.cancel(order)
        return TradeResult(Retcode.DONE, ticket)

    def _dealing(self, name: str) -> tuple[Market, Tick]:
        """Return the market of a symbol and the price that is dealt at now."""
        market = self._markets.get(name)
        if market is None:
            raise Refused(Retcode.INVALID)
        if not market.is_open(self._server.now):
            raise Refused(Retcode.MARKET_CLOSED)
        tick = market.tick(self._server.now)
        if tick is None:
            raise Refused(Retcode.PRICE_OFF)
        return market, tick

    def _held(self, symbol: str, ticket: int) -> Position:
        held = self._server.ledger.positions.get(ticket)
        if held is None:
            raise Refused(Retcode.POSITION_CLOSED)
        if held.symbol != symbol:
            raise Refused(Retcode.INVALID)
        return held

    def _waiting(self, ticket: int) -> Order:
        order = self._server.ledger.waiting.get(ticket)
        if order is None:
            raise Refused(Retcode.INVALID)
        return order
