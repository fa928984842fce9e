"""The referee's window and the hand behind the scenes: ``/control``, no part of the dialect.

The book can always be read; time is stepped by whoever asked for a stepped clock; all the rest is
there only on a bridge that was started with ``--faults``.
"""

from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from app.bridge import wire
from app.bridge.chronicle import Chronicle
from app.bridge.clock import MarketClock
from app.bridge.desk import OrderDesk
from app.bridge.faults import Fault, Schedule
from app.bridge.referee import book
from app.bridge.replies import failure, outcome, reply
from app.bridge.retcodes import Retcode
from app.bridge.simulated import SimulatedTerminal
from app.bridge.trading_routes import CreateOrder, order_request
from app.bridge.values import PROPER, Reason, Refused
from app.bridge.wire import Stamps

T = TypeVar("T", bound=msgspec.Struct)

Given = dict[str, Any]
"""Fields to change, checked against the value they belong to."""


class Step(BaseModel):
    """How far to let the market go: so many seconds on, or to a time (ISO with offset)."""

    seconds: float | None = Field(None, ge=0)
    to: AwareDatetime | None = None


class ByHand(BaseModel):
    """What a person does to a position or order: `volume` null is all of it, stops null stay."""

    ticket: int
    volume: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


class Deposit(BaseModel):
    """A payment into the account, in its currency; negative out of it."""

    amount: Decimal


class Login(BaseModel):
    """Another account of the same server; one that is new begins with `balance`."""

    login: int = Field(ge=1)
    balance: Decimal = Decimal(10_000)


def book_routes(terminal: SimulatedTerminal, desk: OrderDesk) -> APIRouter:
    """Return the route of the referee's book, for this machine only."""
    routes = APIRouter(tags=["control"])

    @routes.get("/ledger")
    async def ledger(request: Request) -> Response:
        """Return all that was received and done on the account that is logged in."""
        if request.client is None or not ip_address(request.client.host).is_loopback:
            return failure(403, "FORBIDDEN", "the book is for this machine only")
        return reply(book(terminal.ledger, desk, terminal.now()))

    return routes


def step_routes(
    terminal: SimulatedTerminal, clock: MarketClock, chronicle: Chronicle | None
) -> APIRouter:
    """Return the route that moves the clock."""
    routes = APIRouter(tags=["control"])

    @routes.post("/step")
    async def step(body: Step) -> Response:
        """Let market time pass."""
        if body.to is not None:
            clock.step(body.to - terminal.now())
        clock.step(timedelta(seconds=body.seconds or 0))
        if chronicle is not None:
            chronicle.reading(terminal.now(), clock.speed)
        return reply({"clock": terminal.now().isoformat()})

    return routes


def scene_routes(terminal: SimulatedTerminal, desk: OrderDesk, stamps: Stamps) -> APIRouter:
    """Return the routes that change the terminal, the broker and the account."""
    routes = APIRouter(tags=["control"])

    @routes.post("/terminal")
    async def change_terminal(given: Given) -> Response:
        """Change what is wrong with the terminal; `server_clock_offset` is seconds."""
        offset = given.pop("server_clock_offset", None)
        terminal.conditions = _changed(terminal.conditions, given)
        if offset is not None:
            stamps.ahead = timedelta(seconds=offset)
        return reply(msgspec.to_builtins(terminal.conditions))

    @routes.post("/treatment")
    async def change_treatment(given: Given) -> Response:
        """Change how every order is treated; an empty object treats them properly again."""
        desk.treatment = _changed(desk.treatment, given) if given else PROPER
        return reply(msgspec.structs.asdict(desk.treatment))

    @routes.post("/symbol")
    async def change_symbol(given: Given) -> Response:
        """Change properties of the symbol `name`."""
        changed = _changed(terminal.symbol(str(given.get("name"))), given)
        terminal.change_symbol(changed)
        return reply(msgspec.structs.asdict(changed))

    @routes.post("/deposit")
    async def deposit(body: Deposit) -> Response:
        """Pay into the account."""
        return reply(wire.deal(terminal.deposit(body.amount), stamps))

    @routes.post("/account")
    async def change_account(body: Login) -> Response:
        """Log the terminal in to another account."""
        terms = msgspec.structs.replace(terminal.ledger.terms, login=body.login)
        terminal.log_in(terms, body.balance)
        return reply(wire.account(terminal.account()))

    return routes


def fault_routes(schedule: Schedule) -> APIRouter:
    """Return the routes of the fault schedule."""
    routes = APIRouter(prefix="/faults", tags=["control"])

    @routes.get("")
    async def faults() -> Response:
        """Return the faults with their counts, and the calls that went wrong."""
        armed: list[wire.Json] = [
            {
                "fault": msgspec.to_builtins(one.fault),
                "matched": one.matched,
                "applied": one.applied,
            }
            for one in schedule.armed
        ]
        log: list[wire.Json] = [msgspec.to_builtins(event) for event in schedule.log]
        seen: wire.Object = dict(schedule.seen)
        return reply({"calls": schedule.calls, "seen": seen, "faults": armed, "log": log})

    @routes.post("")
    async def add(given: list[Given] | Given) -> Response:
        """Add a fault, or several."""
        given = given if isinstance(given, list) else [given]
        schedule.add(msgspec.convert(given, list[Fault]))
        return reply({"faults": len(schedule.armed)})

    @routes.delete("")
    async def clear() -> Response:
        """Forget all faults."""
        schedule.clear()
        return reply({"faults": 0})

    return routes


def manual_routes(terminal: SimulatedTerminal) -> APIRouter:
    """Return the routes of a person who trades at the terminal, unseen by the order desk."""
    routes = APIRouter(prefix="/manual", tags=["control"])

    @routes.post("/open")
    async def open_by_hand(body: CreateOrder) -> Response:
        """Send an order."""
        return outcome(terminal.create(order_request(body, Reason.CLIENT)))

    @routes.post("/close")
    async def close_by_hand(body: ByHand) -> Response:
        """Close (part of) a position."""
        symbol = _symbol_of(terminal, body.ticket)
        return outcome(terminal.close(symbol, body.ticket, body.volume, reason=Reason.CLIENT))

    @routes.post("/stops")
    async def stops_by_hand(body: ByHand) -> Response:
        """Change the stops of a position; 0 removes one."""
        symbol = _symbol_of(terminal, body.ticket)
        stops = (body.stop_loss, body.take_profit)
        return outcome(terminal.set_stops(symbol, body.ticket, *stops, reason=Reason.CLIENT))

    @routes.post("/cancel")
    async def cancel_by_hand(body: ByHand) -> Response:
        """Withdraw a pending order."""
        return outcome(terminal.cancel(body.ticket, reason=Reason.CLIENT))

    return routes


def _symbol_of(terminal: SimulatedTerminal, ticket: int) -> str:
    held = terminal.ledger.positions.get(ticket)
    if held is None:
        raise Refused(Retcode.POSITION_CLOSED)
    return held.symbol


def _changed(value: T, given: Given) -> T:
    """Return `value` with other fields; ValueError when one is unknown or of the wrong type."""
    kept = msgspec.structs.asdict(value)
    unknown = ", ".join(given.keys() - kept.keys())
    if unknown:
        raise ValueError(f"unknown {unknown}: expected {', '.join(kept)}")
    return msgspec.convert({**kept, **given}, type(value))
