"""What can be ordered over HTTP."""

from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import APIRouter, Body, Header, Request, Response
from pydantic import BaseModel, Field

from app.bridge import wire
from app.bridge.desk import OrderDesk
from app.bridge.replies import outcome, reply
from app.bridge.retcodes import SUCCESSES, Retcode
from app.bridge.terminal import Terminal
from app.bridge.values import NONE, OrderRequest, OrderType, Reason, Refused, Treatment

TREATMENT = "app.bridge.treatment"
"""Where the scope of a request holds what is different in the treatment of its order."""

Price = Annotated[Decimal | None, Field(ge=0)]


class CreateOrder(BaseModel):
    """An order; prices 0 or null are none, and a market order's price does not matter."""

    symbol: str
    volume: Decimal
    order_type: str | int
    price: Price = None
    sl: Price = None
    tp: Price = None
    comment: str | None = None
    magic: int | None = None
    stop_limit: Price = None


class UpdateOrder(BaseModel):
    """Changes of a pending order: null leaves a value; MetaTrader cannot change a comment."""

    ticket: int
    price: Price = None
    sl: Price = None
    tp: Price = None
    comment: str | None = None


class Stops(BaseModel):
    """Both stops of a position: null leaves one, 0 removes it."""

    stop_loss: Price = None
    take_profit: Price = None


class Close(BaseModel):
    """How much of a position to close, in lots; null is all of it."""

    volume: Decimal | None = None


class CloseAll(BaseModel):
    """Whose positions to close; null is all symbols."""

    symbol: str | None = None


class Select(BaseModel):
    """Whether to watch a symbol."""

    symbol: str
    enable: bool = True


def order_routes(terminal: Terminal, desk: OrderDesk) -> APIRouter:
    """Return the routes that send, change and withdraw orders."""
    routes = APIRouter(tags=["trading"])

    @routes.post("/orders/create")
    async def create(
        body: CreateOrder, request: Request, idempotency_key: Annotated[str, Header()] = ""
    ) -> Response:
        """Send an order; one of an Idempotency-Key that was seen before is not sent again."""
        key = idempotency_key if desk.knows_keys else ""
        order = order_request(body, Reason.EXPERT)
        return outcome(desk.create(order, key, _treatment(desk, request)))

    @routes.put("/orders/update")
    async def update_order(body: UpdateOrder, request: Request) -> Response:
        """Change a pending order."""
        price, sl, tp = body.price or None, body.sl, body.tp
        return outcome(
            desk.trade(
                lambda: terminal.change_order(body.ticket, price=price, sl=sl, tp=tp),
                _treatment(desk, request),
            )
        )

    @routes.delete("/orders/delete")
    async def delete_order(ticket: Annotated[int, Body(embed=True)], request: Request) -> Response:
        """Withdraw a pending order."""
        return outcome(desk.trade(lambda: terminal.cancel(ticket), _treatment(desk, request)))

    if desk.knows_keys:

        @routes.get("/orders/by_client_id/{client_id}")
        async def by_client_id(client_id: str) -> Response:
            """Return what became of the order whose comment began with `client_id`."""
            found = desk.find(client_id)
            if found is None:
                raise LookupError(f"no order of {client_id} was received")
            return reply(wire.result(found))

    return routes


def position_trading_routes(terminal: Terminal, desk: OrderDesk) -> APIRouter:
    """Return the routes that change and close positions, and choose the symbols watched."""
    routes = APIRouter(tags=["trading"])

    @routes.post("/positions/close_all")
    async def close_all(body: CloseAll, request: Request) -> Response:
        """Close every position, or those of a symbol."""
        treatment = _treatment(desk, request)
        held = [one.position for one in terminal.positions()]
        results = [
            desk.close(one.symbol, one.ticket, None, treatment)
            for one in held
            if body.symbol in {None, one.symbol}
        ]
        closed = sum(result.retcode in SUCCESSES for result in results)
        return reply({"closed": closed, "results": [wire.result(one) for one in results]})

    @routes.post("/positions/{symbol}/update/{ticket}")
    async def update_position(symbol: str, ticket: int, body: Stops, request: Request) -> Response:
        """Change the stops of a position."""
        return outcome(
            desk.trade(
                lambda: terminal.set_stops(symbol, ticket, body.stop_loss, body.take_profit),
                _treatment(desk, request),
            )
        )

    @routes.post("/positions/{symbol}/close/{ticket}")
    async def close_position(symbol: str, ticket: int, body: Close, request: Request) -> Response:
        """Close (part of) a position."""
        treatment = _treatment(desk, request)
        return outcome(desk.close(symbol, ticket, body.volume or None, treatment))

    @routes.post("/symbols/select")
    async def select(body: Select) -> Response:
        """Watch a symbol, or no longer."""
        done = terminal.select(body.symbol, enable=body.enable)
        action = "added" if body.enable else "removed"
        return reply({"symbol": body.symbol, "success": done, "action": action})

    return routes


def _treatment(desk: OrderDesk, request: Request) -> Treatment:
    return msgspec.structs.replace(desk.treatment, **request.scope.get(TREATMENT, {}))


def order_request(body: CreateOrder, reason: Reason) -> OrderRequest:
    """Return what is asked for; raises Refused for an order type there is not."""
    kind = body.order_type
    try:
        named = OrderType[kind.strip().upper()] if isinstance(kind, str) else OrderType(kind)
    except (KeyError, ValueError):
        raise Refused(Retcode.INVALID) from None
    return OrderRequest(
        symbol=body.symbol,
        type=named,
        volume=body.volume,
        price=body.price or NONE,
        stop_limit=body.stop_limit or NONE,
        sl=body.sl or NONE,
        tp=body.tp or NONE,
        comment=body.comment or "",
        magic=body.magic or 0,
        reason=reason,
    )
