"""Replies: the envelope the users' bridges answer in, and errors as they say them."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.bridge import wire
from app.bridge.desk import KeyReused
from app.bridge.retcodes import SUCCESSES, Retcode, text_of
from app.bridge.values import Refused, TradeResult
from app.domain.errors import ConfigurationError

_JSON = "application/json"


def reply(data: wire.Json) -> Response:
    """Return `data` in the envelope."""
    return Response(wire.encode({"success": True, "data": data}), media_type=_JSON)


def failure(status: int, code: str, message: str) -> Response:
    """Return an error in the envelope."""
    content = {"success": False, "data": None, "message": message, "error_code": code}
    return Response(wire.encode(content), status, media_type=_JSON)


def outcome(result: TradeResult) -> Response:
    """Return the answer to a request to trade: an error when it was refused, as HTTP 200."""
    data = wire.result(result)
    if result.retcode in SUCCESSES:
        return reply(data)
    content: wire.Object = {
        "success": False,
        "data": data,
        "message": text_of(result.retcode),
        "error_code": str(result.retcode),
    }
    return Response(wire.encode(content), media_type=_JSON)


def handle_errors(app: FastAPI) -> None:
    """Let what terminal and framework raise become replies."""

    async def missing(_request: Request, error: Exception) -> Response:
        return failure(404, "NOT_FOUND", str(error.args[0] if error.args else error))

    async def not_connected(_request: Request, error: Exception) -> Response:
        return failure(503, "NOT_CONNECTED", str(error))

    async def not_understood(_request: Request, error: Exception) -> Response:
        return failure(400, "INVALID_REQUEST", str(error))

    async def refused(_request: Request, error: Exception) -> Response:
        return outcome(TradeResult(error.code if isinstance(error, Refused) else Retcode.INVALID))

    async def key_reused(_request: Request, error: Exception) -> Response:
        message = f"Idempotency-Key {error} was used for another order"
        return failure(422, "IDEMPOTENCY_KEY_REUSED", message)

    async def wrong_body(_request: Request, error: Exception) -> Response:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
        where = ".".join(map(str, first.get("loc", ())))
        return failure(422, "INVALID_REQUEST", f"{where}: {first.get('msg', error)}")

    async def http_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return failure(status, f"HTTP_{status}", str(getattr(error, "detail", error)))

    app.add_exception_handler(LookupError, missing)
    app.add_exception_handler(ConnectionError, not_connected)
    app.add_exception_handler(ConfigurationError, not_understood)
    app.add_exception_handler(ValueError, not_understood)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(KeyReused, key_reused)
    app.add_exception_handler(RequestValidationError, wrong_body)
    app.add_exception_handler(HTTPException, http_error)
