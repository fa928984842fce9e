"""The daemon from its command line to its summary: settings, logging, build, trade."""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol
from uuid import uuid4

import typer

from app import assembly, log_setup, settings, summary
from app.adapters.decision_file import decision_file
from app.orchestrator import TradingOrchestrator
from app.recording.recorder import Recorder
from app.service_manager import ServiceManager
from app.settings import Loaded
from app.watchdog import Watchdog

BEGINNING = datetime.min.replace(tzinfo=UTC)


class Stop(Protocol):
    """Who asked for the end, how it reaches the run, and who sees to it that it comes.

    Until it knows of a run, whoever asks ends the process at once: nothing was begun by then that
    is not safe against being killed.
    """

    signal_name: str
    cause: str | None
    watchdog: Watchdog

    def ends(self, run: Callable[[], None], *, needs_reader: bool) -> None:
        """Let a request call `run`, which ends the run; so does a closed output if it needs it."""
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
    assembly.set_up_logging(settings.logging_from_environment(), to_file=False)
    _console(summary.banner("Starting Orchestrated Live Trading System"))
    log_setup.get_logger("__main__").info("Loading environment configuration...")
    loaded = settings.load(config)
    assembly.set_up_logging(loaded.settings.logging, on_stdout_closed=stop.stdout_closed)
    log = log_setup.get_logger("__main__")
    log.info("=== Initializing Trading Components ===")
    parts = assembly.connect(loaded.settings, say=log.info)
    log.info("✓ All components initialized successfully")
    _say_configuration(loaded, parts)
    manager = ServiceManager(os.environ)
    clock = manager.watch(parts.clock) if parts.live_market else parts.clock
    clock = stop.watchdog.watch(clock, loaded.settings.orchestrator.cycle_budget)
    session, parts = uuid4(), replace(parts, clock=clock)
    recorder = Recorder(parts, session) if loaded.settings.recording.enabled else None
    if recorder is not None:
        parts = recorder.parts
        log.info("Recording the session to %s", recorder.path)
    orchestrator = TradingOrchestrator(loaded.settings, parts, session=session)
    if recorder is not None:
        recorder.listen(orchestrator.event_bus)
    orchestrator.initialize()
    with ExitStack() as open_files:
        if decisions is not None:
            open_files.enter_context(decision_file(decisions, orchestrator.event_bus))
        _trade(orchestrator, stop, manager)


def _trade(orchestrator: TradingOrchestrator, stop: Stop, manager: ServiceManager) -> None:
    _console([summary.RULE])
    orchestrator.start()
    _console(summary.initial_status(orchestrator.get_service_health()))
    _console([f"Trading session correlation ID: {orchestrator.session}"])
    parts = orchestrator.parts
    # Unwatched, a run on recorded or simulated data has no purpose.
    stop.ends(orchestrator.wind_down, needs_reader=not parts.live_market)
    manager.ready(f"trading {', '.join(parts.settings.symbols)}, {parts.broker.name}")
    try:
        orchestrator.run()
    finally:
        manager.stopping()
        if stop.signal_name:
            _console(["", *summary.banner(f"Received shutdown signal ({stop.signal_name})")])
        orchestrator.stop(stop.cause)
        _console(summary.final_metrics(orchestrator.get_all_metrics()))
        broker = parts.broker
        ledger = None if parts.live_market else broker.deals(BEGINNING)
        _console(
            summary.final_account(broker.name, broker.account(), ledger, len(broker.positions()))
        )
    _console(["", *summary.banner("Shutdown complete. Thank you for trading!")])


def _say_configuration(loaded: Loaded, parts: assembly.Parts) -> None:
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
