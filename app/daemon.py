"""The daemon from its command line to its summary: settings, logging, build, trade."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import typer

from app import log_setup, settings, summary, wiring
from app.adapters.decision_file import decision_file
from app.orchestrator import TradingOrchestrator
from app.ports import Clock
from app.settings import Loaded

BEGINNING = datetime.min.replace(tzinfo=UTC)


class Stop(Protocol):
    """Who asked for the end, and how it reaches the clock."""

    signal_name: str
    cause: str | None

    def stops(self, clock: Clock) -> None:
        """Let a request end the waits of `clock`."""
        ...

    def stdout_closed(self) -> None:
        """Take in that nobody reads the output any more."""
        ...


def command_line(arguments: list[str] | None, stop: Stop) -> None:
    """Do what the command line (that of the process by default) says.

    Raises:
        SystemExit: when it is done, with 2 for a wrong command line.
        OperatorError: see `run`.

    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.command()
    def trade(
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
        show_config: Annotated[
            bool, typer.Option("--show-config", help="Print every value and its origin, then end.")
        ] = False,
        decisions: Annotated[
            Path | None,
            typer.Option(help="Write one JSON line per strategy and evaluation here."),
        ] = None,
    ) -> None:
        """Run the trading daemon until Ctrl+C, SIGTERM or the end of the data."""
        if show_config:
            typer.echo(settings.load(config).show())
        else:
            run(config, decisions, stop)

    app(arguments)


def run(config: Path | None, decisions: Path | None, stop: Stop) -> None:
    """Trade until `stop` asks for the end or the data end.

    Raises:
        ConfigurationError: a setting, indicator, strategy or data file is wrong.
        GaveUpError: a service kept failing.

    """
    wiring.set_up_logging(settings.logging_from_environment(), to_file=False)
    _console(summary.banner("Starting Orchestrated Live Trading System"))
    log_setup.get_logger("__main__").info("Loading environment configuration...")
    loaded = settings.load(config)
    # Every source of this version is recorded or simulated: unwatched, its run has no purpose.
    wiring.set_up_logging(loaded.settings.logging, on_stdout_closed=stop.stdout_closed)
    log = log_setup.get_logger("__main__")
    log.info("=== Initializing Trading Components ===")
    parts = wiring.connect(loaded.settings, say=log.info)
    stop.stops(parts.clock)
    log.info("✓ All components initialized successfully")
    _say_configuration(loaded, parts)
    orchestrator = TradingOrchestrator(loaded.settings, parts)
    orchestrator.initialize()
    with ExitStack() as open_files:
        if decisions is not None:
            open_files.enter_context(decision_file(decisions, orchestrator.event_bus))
        _trade(orchestrator, stop)


def _trade(orchestrator: TradingOrchestrator, stop: Stop) -> None:
    _console([summary.RULE])
    orchestrator.start()
    _console(summary.initial_status(orchestrator.get_service_health()))
    _console([f"Trading session correlation ID: {orchestrator.session}"])
    try:
        orchestrator.run()
    finally:
        if stop.signal_name:
            _console(["", *summary.banner(f"Received shutdown signal ({stop.signal_name})")])
        orchestrator.stop(stop.cause)
        _console(summary.final_metrics(orchestrator.get_all_metrics()))
        broker = orchestrator.parts.broker
        _console(
            summary.final_account(
                broker.name, broker.account(), broker.deals(BEGINNING), len(broker.positions())
            )
        )
    _console(["", *summary.banner("Shutdown complete. Thank you for trading!")])


def _say_configuration(loaded: Loaded, parts: wiring.Parts) -> None:
    log = log_setup.get_logger("__main__")
    path = loaded.file or settings.DEFAULT_FILE
    log.info("Loading system configuration from %s...", path)
    if loaded.file is None:
        log.warning("No %s: running with defaults and the environment", path)
    for tell, lines in (
        (log.info, parts.notes),
        (log.warning, (*loaded.warnings, *parts.warnings)),
    ):
        _tell(tell, lines)


def _tell(tell: Callable[[str], object], lines: Iterable[str]) -> None:
    for line in lines:
        tell(line)


def _console(lines: Iterable[str]) -> None:
    _tell(log_setup.get_logger(log_setup.CONSOLE).info, lines)
