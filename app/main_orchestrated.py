"""The daemon: ``python -m app.main_orchestrated``.

Settings, build, run, exit code. 0 clean · 64 usage · 69 unavailable at start · 70 gave up ·
78 configuration.
"""

import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from app import log_setup, settings, summary, wiring
from app.adapters.decision_file import decision_file
from app.domain.errors import ConfigurationError, OperatorError
from app.orchestrator import TradingOrchestrator
from app.settings import Loaded, LoggingSettings, MarketDataSource

USAGE_EXIT_CODE = 64
TYPER_USAGE_ERROR = 2
CAUSES = {
    signal.SIGINT: ("Ctrl+C", "keyboard interrupt"),
    signal.SIGTERM: ("SIGTERM", "termination signal"),
}


class StopRequest:
    """Somebody asked the daemon to stop: a signal, or the reader of its output went away.

    The first request stops after the running cycle; a second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._stop_clock: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """Take over SIGINT and SIGTERM."""
        for number in CAUSES:
            signal.signal(number, self._received)

    def stops(self, parts: wiring.Parts) -> None:
        """Let a request end the waits of the clock of `parts`."""
        self._stop_clock = parts.clock.stop
        if self.signal is not None:
            self._stop_clock()

    def stdout_closed(self) -> None:
        """End a run on recorded or simulated data that nobody watches any more."""
        self._stop_clock()

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for handled in CAUSES:
            signal.signal(handled, signal.SIG_DFL)
        self._stop_clock()


def run(
    config: Annotated[
        Path | None, typer.Option(help="The configuration file (default: config/services.yaml).")
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print every value and its origin, then end.")
    ] = False,
    decisions: Annotated[
        Path | None, typer.Option(help="Write one JSON line per strategy and evaluation here.")
    ] = None,
) -> None:
    """Run the trading daemon until Ctrl+C, SIGTERM or the end of the data."""
    if show_config:
        print(settings.load(config).show())
        return
    stop = StopRequest()
    stop.listen()
    _log_by(settings.logging_from_environment(), stop)
    _console(summary.banner("Starting Orchestrated Live Trading System"))
    log = log_setup.get_logger("__main__")
    log.info("Loading environment configuration...")
    loaded = settings.load(config)
    _log_by(loaded.settings.logging, stop, loaded.settings)
    log = log_setup.get_logger("__main__")
    log.info("=== Initializing Trading Components ===")
    parts = wiring.connect(loaded.settings, say=log.info)
    stop.stops(parts)
    log.info("✓ All components initialized successfully")
    _say_configuration(loaded)
    for note in parts.notes:
        log.info("%s", note)
    orchestrator = TradingOrchestrator(loaded.settings, parts)
    orchestrator.initialize()
    with ExitStack() as open_files:
        if decisions is not None:
            open_files.enter_context(decision_file(decisions, orchestrator.event_bus))
        _trade(orchestrator, stop)


def _trade(orchestrator: TradingOrchestrator, stop: StopRequest) -> None:
    _console([summary.RULE])
    orchestrator.start()
    _console(summary.initial_status(orchestrator.get_service_health()))
    _console([f"Trading session correlation ID: {orchestrator.session}"])
    try:
        orchestrator.run()
    finally:
        cause = None
        if stop.signal is not None:
            name, cause = CAUSES[stop.signal]
            _console(["", *summary.banner(f"Received shutdown signal ({name})")])
        orchestrator.stop(cause)
        _console(summary.final_metrics(orchestrator.get_all_metrics()))
        broker = orchestrator.parts.broker
        _console(
            summary.final_account(
                broker.name,
                broker.account(),
                tuple(broker.deals(datetime.min.replace(tzinfo=UTC))),
                len(broker.positions()),
            )
        )
    _console(["", *summary.banner("Shutdown complete. Thank you for trading!")])


def _log_by(
    options: LoggingSettings, stop: StopRequest, known: settings.Settings | None = None
) -> None:
    """Set logging up; the first time from the environment alone, the second from all settings."""
    replayed = known is not None and known.market_data.source is not MarketDataSource.BRIDGE
    file = options.log_file if options.file_output and known is not None else None
    try:
        log_setup.configure(
            level=options.level,
            as_json=options.format == "json",
            correlation_ids=options.correlation_ids,
            levels=options.levels,
            file=file,
            file_max_bytes=options.file_max_bytes,
            file_backups=options.file_backups,
            on_stdout_closed=stop.stdout_closed if replayed else lambda: None,
        )
    except OSError as error:
        raise ConfigurationError(f"logging.log_file {file}: {error.strerror}") from None


def _say_configuration(loaded: Loaded) -> None:
    log = log_setup.get_logger("__main__")
    path = loaded.file or settings.DEFAULT_FILE
    log.info("Loading system configuration from %s...", path)
    if loaded.file is None:
        log.warning("No %s: running with defaults and the environment", path)


def _console(lines: Iterable[str]) -> None:
    console = log_setup.get_logger(log_setup.CONSOLE)
    for line in lines:
        console.info(line)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(run)
    try:
        app(arguments)
    except SystemExit as ended:
        return USAGE_EXIT_CODE if ended.code == TYPER_USAGE_ERROR else int(ended.code or 0)
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
