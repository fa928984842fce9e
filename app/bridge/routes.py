"""What can be asked over HTTP: the market, the account, its positions, orders and deals."""

import asyncio
from datetime import datetime

from fastapi import APIRouter, Response

from app.bridge import wire
from app.bridge.replies import reply
from app.bridge.terminal import Terminal
from app.bridge.wire import Stamps
from app.domain.market import Timeframe

MOST_BARS = 100_000

_ACCOUNT_PARTS = {
    "balance": ("balance",),
    "equity": ("equity",),
    "margin": ("margin", "margin_free", "margin_level"),
    "leverage": ("leverage",),
}


def market_routes(terminal: Terminal, stamps: Stamps) -> APIRouter:
    """Return the routes of the symbols, their prices and bars."""
    routes = APIRouter(tags=["market"])

    @routes.get("/symbols/{symbol}/bars")
    async def bars(
        symbol: str,
        timeframe: str,
        num_bars: int = 0,
        start: str | None = None,
        end: str | None = None,
    ) -> Response:
        """Return the newest bars, or those that opened from `start` to `end`; the last may form."""
        length, count = Timeframe(timeframe), min(num_bars, MOST_BARS)
        since, until = _read(start, stamps), _read(end, stamps)
        if count < 1 and since is None:
            raise ValueError("expected num_bars, or start and end")
        while terminal.dig(symbol, length, count=count, since=since):
            await asyncio.sleep(0)
        found = terminal.bars(symbol, length, count=count, since=since, until=until)
        return reply([wire.bar(one, stamps) for one in found])

    @routes.get("/symbols/{symbol}/tick")
    async def tick(symbol: str) -> Response:
        """Return the newest price."""
        return reply(wire.tick(terminal.tick(symbol), stamps))

    @routes.get("/symbols")
    async def symbols() -> Response:
        """Return the names of all symbols."""
        return reply(list(terminal.symbols()))

    @routes.get("/symbols/{symbol}/info")
    async def info(symbol: str) -> Response:
        """Return what orders in a symbol must obey."""
        known, worth = terminal.symbol(symbol), terminal.money_per_tick(symbol)
        try:
            newest = terminal.tick(symbol)
        except LookupError:
            newest = None
        return reply(wire.symbol(known, newest, worth))

    @routes.get("/symbols/{symbol}/tradable")
    async def tradable(symbol: str) -> Response:
        """Say whether orders in a symbol are taken now."""
        return reply({"symbol": symbol, "is_tradable": terminal.tradable(symbol)})

    return routes


def account_routes(terminal: Terminal) -> APIRouter:
    """Return the routes of the account."""
    routes = APIRouter(tags=["account"])

    @routes.get("/account")
    async def account() -> Response:
        """Return the account."""
        return reply(wire.account(terminal.account()))

    @routes.get("/account/{part}")
    async def account_part(part: str) -> Response:
        """Return the balance, the equity, the margin or the leverage."""
        if part not in _ACCOUNT_PARTS:
            raise LookupError(f"an account has no {part}: expected {', '.join(_ACCOUNT_PARTS)}")
        whole = wire.account(terminal.account())
        return reply({name: whole[name] for name in _ACCOUNT_PARTS[part]})

    return routes


def position_routes(terminal: Terminal, stamps: Stamps) -> APIRouter:
    """Return the routes of open positions and waiting orders."""
    routes = APIRouter(tags=["account"])

    @routes.get("/positions")
    async def positions() -> Response:
        """Return the open positions."""
        return reply([wire.position(one, stamps) for one in terminal.positions()])

    @routes.get("/positions/{symbol}")
    async def positions_of(symbol: str) -> Response:
        """Return the open positions of a symbol."""
        held = terminal.positions()
        return reply([wire.position(one, stamps) for one in held if one.position.symbol == symbol])

    @routes.get("/position/{ticket}")
    async def position(ticket: int) -> Response:
        """Return one open position."""
        held = {one.position.ticket: one for one in terminal.positions()}
        if ticket not in held:
            raise LookupError(f"no position {ticket}")
        return reply(wire.position(held[ticket], stamps))

    @routes.get("/orders")
    async def orders(symbol: str | None = None) -> Response:
        """Return the orders that wait."""
        waiting = terminal.orders()
        return reply([wire.order(one, stamps) for one in waiting if symbol in {None, one.symbol}])

    return routes


def history_routes(terminal: Terminal, stamps: Stamps) -> APIRouter:
    """Return the routes of the deals: of openings, closings and deposits."""
    routes = APIRouter(tags=["history"])

    @routes.get("/history/closed_positions")
    async def deals(start: str | None = None, end: str | None = None) -> Response:
        """Return the deals from `start` to `end`."""
        found = terminal.deals(_read(start, stamps), _read(end, stamps))
        return reply([wire.deal(one, stamps) for one in found])

    @routes.get("/history/closed_positions/{ticket}")
    async def deal(ticket: int) -> Response:
        """Return one deal."""
        found = {one.ticket: one for one in terminal.deals(None, None)}
        if ticket not in found:
            raise LookupError(f"no deal {ticket}")
        return reply(wire.deal(found[ticket], stamps))

    return routes


def _read(text: str | None, stamps: Stamps) -> datetime | None:
    return None if text is None else stamps.read(text)
