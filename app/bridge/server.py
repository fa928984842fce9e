"""The bridge as a web application: the dialect's routes under its prefix."""

from fastapi import APIRouter, FastAPI, Response

from app.bridge.clock import MarketClock
from app.bridge.desk import OrderDesk
from app.bridge.replies import handle_errors, reply
from app.bridge.routes import account_routes, history_routes, market_routes, position_routes
from app.bridge.terminal import Terminal
from app.bridge.trading_routes import order_routes, position_trading_routes
from app.bridge.wire import Object, Stamps

OFFERS = ("idempotency_key", "client_order_id")


def bridge_app(
    terminal: Terminal, desk: OrderDesk, stamps: Stamps, clock: MarketClock, prefix: str
) -> FastAPI:
    """Return the application that speaks the dialect under `prefix`, such as ``/mt5``."""
    app = FastAPI(title="MetaTrader 5 bridge", openapi_url=f"{prefix}/openapi.json",
                  docs_url=f"{prefix}/docs", redoc_url=None)  # fmt: skip
    handle_errors(app)
    for routes in (
        market_routes(terminal, stamps),
        account_routes(terminal),
        position_routes(terminal, stamps),
        history_routes(terminal, stamps),
        order_routes(terminal, desk),
        position_trading_routes(terminal, desk),
        _health(terminal, desk, clock),
    ):
        app.include_router(routes, prefix=prefix)
    return app


def _health(terminal: Terminal, desk: OrderDesk, clock: MarketClock) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/health")
    async def health() -> Response:
        """Say how the terminal is, and what time it is in its market (UTC)."""
        connected, account = terminal.is_connected(), terminal.account()
        now = terminal.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told: Object = {
            "status": "ok",
            "terminal_connected": connected,
            "trade_allowed": connected and account.trade_allowed and account.trade_expert,
            "clock": now,
            "speed": clock.speed,
        }
        return reply(told | ({"offers": OFFERS} if desk.knows_keys else {}))

    return routes
