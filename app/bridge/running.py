"""One run of the bridge: markets, terminal, web application, server."""

from contextlib import ExitStack
from functools import cache
from ipaddress import ip_address
from time import time

import typer
from fastapi import FastAPI
from starlette.types import ASGIApp

from app.adapters.simulated_market import DEFAULT_START
from app.bridge.chronicle import Chronicle
from app.bridge.clock import MarketClock
from app.bridge.control import (
    book_routes,
    fault_routes,
    manual_routes,
    scene_routes,
    step_routes,
)
from app.bridge.desk import OrderDesk
from app.bridge.faults import Mix, Schedule
from app.bridge.feeds import (
    data_end,
    default_start,
    file_feeds,
    markets_of,
    simulated_feeds,
    symbol_of,
)
from app.bridge.market import Market
from app.bridge.misbehaviour import Misbehaviour
from app.bridge.options import Options
from app.bridge.rates import Rates
from app.bridge.server import bridge_app
from app.bridge.serving import address_of, listen, serve
from app.bridge.simulated import SimulatedTerminal
from app.bridge.wire import Stamps


def run(options: Options) -> None:
    """Serve until Ctrl+C or SIGTERM.

    Raises:
        UsageError: a symbol has no file of its own.
        UnavailableError: the address is taken.
        ConfigurationError: a file cannot be read, or profits cannot be converted.

    """
    with ExitStack() as stack:
        listener = stack.enter_context(listen(options.host, options.port))
        chronicle = Chronicle(options.ledger) if options.ledger else None
        if chronicle:
            stack.enter_context(chronicle)
        terminal, clock = open_terminal(options, chronicle)
        address = address_of(listener)
        pace = f"speed {options.speed:g}" if options.speed else "stepped"

        def announce() -> None:
            if not ip_address(listener.getsockname()[0]).is_loopback:
                typer.echo(f"warning: {address} can be reached by others, without a password")
            typer.echo(
                f"bridge at http://{address}{options.prefix}, account {options.terms.login} on "
                f"{options.terms.server}, market {options.market} "
                f"from {terminal.now():%Y-%m-%d %H:%M} UTC, {pace}"
            )

        serve(_application(options, terminal, clock, chronicle), listener, announce)


def open_terminal(
    options: Options, chronicle: Chronicle | None = None
) -> tuple[SimulatedTerminal, MarketClock]:
    """Open the markets, start the clock and log in; all goes on where a chronicle ended.

    Raises:
        UsageError: a symbol has no file of its own.
        ConfigurationError: a file cannot be read, or profits cannot be converted.

    """
    server_time, start = options.server_time, options.start
    if options.files:
        feeds = file_feeds(options.symbols, options.files, server_time)
        start = start or default_start(feeds)
    else:
        start = start or DEFAULT_START
        feeds = simulated_feeds(options.symbols, options.seed, start)
    levels = {"stops_level": options.stops_level, "freeze_level": options.freeze_level}
    symbols = [symbol_of(root, options.suffix, **levels) for root in options.symbols]
    markets = markets_of(feeds, symbols, server_time, options.holidays)
    began = start

    def hidden(pair: str) -> Market:
        feed = simulated_feeds([pair], options.seed, began)
        return markets_of(feed, [symbol_of(pair)], server_time)[pair]

    @cache
    def rates(currency: str) -> Rates:
        return Rates(currency, markets.values(), hidden)

    last = chronicle.clock if chronicle else None
    now = last.later(time()) if last else start
    clock = MarketClock(now, options.speed, end=data_end(feeds))
    if chronicle:
        chronicle.reading(now, options.speed)
    terminal = SimulatedTerminal(markets, rates, clock, server_time, chronicle)
    terminal.log_in(options.terms, options.balance)
    return terminal, clock


def _application(
    options: Options,
    terminal: SimulatedTerminal,
    clock: MarketClock,
    chronicle: Chronicle | None,
) -> ASGIApp:
    """Return the dialect and what is behind it, with all that is to go wrong."""
    desk = OrderDesk(terminal, knows_keys=not options.plain)
    if chronicle:
        desk.go_on(chronicle.receipts, chronicle.receipt)
    stamps = Stamps(options.server_time, utc=options.utc_times)
    app: FastAPI = bridge_app(terminal, desk, stamps, clock, options.prefix)
    mix = Mix(options.fault_rate, options.fault_seed) if options.fault_rate else None
    schedule = Schedule(mix)
    control = [book_routes(terminal, desk)]
    if options.faults or not options.speed:
        control.append(step_routes(terminal, clock, chronicle))
    if options.faults:
        control.append(scene_routes(terminal, desk, stamps))
        control.append(manual_routes(terminal))
        control.append(fault_routes(schedule))
    for routes in control:
        app.include_router(routes, prefix="/control")
    if options.faults or mix:
        return Misbehaviour(app, schedule, options.prefix)
    return app
