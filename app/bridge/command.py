"""The command line of the bridge."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app.bridge.options import Options
from app.bridge.running import run
from app.bridge.terms import Terms
from app.domain.broker_time import ServerTime
from app.domain.errors import UsageError

T = TypeVar("T")

ALL_KINDS = "EURUSD,GBPUSD,USDJPY,XAUUSD,BTCUSD"


class AccountKind(StrEnum):
    """How positions are kept."""

    HEDGING = "hedging"
    NETTING = "netting"


def command_line(arguments: list[str] | None) -> None:
    """Do what the command line (that of the process by default) says.

    Raises:
        SystemExit: when it is done, with 2 for a wrong command line.
        OperatorError: a value, file or address is wrong.

    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(bridge)
    app(arguments)


def bridge(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 5050,
    prefix: Annotated[str, typer.Option(help="What paths begin with.")] = "/mt5",
    symbols: Annotated[str, typer.Option(help="Separated by commas.")] = ALL_KINDS,
    suffix: Annotated[str, typer.Option(help="What the broker adds to symbols.")] = "",
    seed: Annotated[int, typer.Option(help="Of the simulated market.", min=0)] = 11,
    file: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded bars to trade on, one file a symbol; may be repeated."),
    ] = None,
    start: Annotated[
        str, typer.Option(help="When the market begins, ISO, UTC without an offset.")
    ] = "",
    speed: Annotated[
        float,
        typer.Option(help="Market seconds a second; 0: stepped by control/step.", min=0, max=1e6),
    ] = 60.0,
    holiday: Annotated[
        list[str] | None, typer.Option(help="A day without trading, ISO; may be repeated.")
    ] = None,
    server_timezone: Annotated[str, typer.Option(help="The broker's wall clock.")] = "NY+7",
    utc_times: Annotated[bool, typer.Option("--utc-times", help="Answer in UTC.")] = False,
    login: Annotated[int, typer.Option(help="The account's number.", min=1)] = 123456,
    server_name: Annotated[str, typer.Option(help="The broker's server.")] = "Bridge-Demo",
    account: Annotated[
        AccountKind, typer.Option(help="A position an order, or one a symbol.")
    ] = AccountKind.HEDGING,
    balance: Annotated[float, typer.Option(help="The deposit.", min=0)] = 10_000,
    currency: Annotated[str, typer.Option(help="The account's.")] = "USD",
    leverage: Annotated[int, typer.Option(help="1 to this.", min=1)] = 100,
    commission: Annotated[
        float, typer.Option(help="Account currency a lot and side.", min=0)
    ] = 0.0,
    swap: Annotated[float, typer.Option(help="Account currency a lot and night.")] = 0.0,
    stops_level: Annotated[
        int, typer.Option(help="Points a stop must be away from the market.", min=0)
    ] = 0,
    freeze_level: Annotated[
        int, typer.Option(help="Points from the market at which orders freeze.", min=0)
    ] = 0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Know no Idempotency-Key and no client order ids.")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Append all that happens here, and go on from what is there."),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Open control/ to make things go wrong.")
    ] = False,
    fault_rate: Annotated[
        float, typer.Option(help="How much of all calls goes wrong by itself.", min=0, max=1)
    ] = 0.0,
    fault_seed: Annotated[int, typer.Option(help="Of what goes wrong by itself.")] = 1,
) -> None:
    """Serve a simulated MetaTrader 5 terminal to whoever speaks the bridges' dialect."""
    options = Options(
        host=host,
        port=port,
        prefix=f"/{prefix.strip('/')}" if prefix.strip("/") else "",
        symbols=tuple(dict.fromkeys(part.strip() for part in symbols.split(",") if part.strip())),
        suffix=suffix,
        seed=seed,
        files=tuple(file or ()),
        start=_read("--start", start, _instant) if start else None,
        speed=speed,
        holidays=tuple(_read("--holiday", day, date.fromisoformat) for day in holiday or ()),
        server_time=ServerTime(server_timezone),
        stops_level=stops_level,
        freeze_level=freeze_level,
        balance=Decimal(str(balance)),
        terms=Terms(
            login=login,
            server=server_name,
            currency=currency,
            leverage=leverage,
            hedging=account is AccountKind.HEDGING,
            commission=Decimal(str(commission)),
            swap=Decimal(str(swap)),
        ),
        utc_times=utc_times,
        plain=plain,
        ledger=ledger,
        faults=faults,
        fault_rate=fault_rate,
        fault_seed=fault_seed,
    )
    if not options.symbols:
        raise UsageError("--symbols: expected one at least")
    for name, number in (("balance", balance), ("commission", commission), ("swap", swap)):
        if not isfinite(number):
            raise UsageError(f"--{name}: expected a number, not {number}")
    run(options)


def _instant(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _read(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError:
        raise UsageError(f"{option}: '{text}' is no ISO date or time") from None
