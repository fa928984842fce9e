"""The predecessor: ``python -m app.main_live_regime``, one loop of direct calls.

What users roll back to, and compare with: the same settings, market, indicators, regimes,
strategies, limits and account as the daemon, without its bus, its services' supervision and its
watchdog. It holds the account as the daemon does, so only one of them trades it.
0 clean · 64 usage · 69 unavailable at start · 70 gave up · 74 journal · 75 another process holds
the account · 77 permission · 78 configuration · 130 interrupted before it traded.
"""

import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from app import assembly, settings
from app.adapters.decision_file import decision_file
from app.command_line import exit_code, new_command_line
from app.live_trading import LiveTradingManager
from app.log_setup import get_logger

__all__ = ["LiveTradingManager", "main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def trade(
        *,
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
        decisions: Annotated[
            Path | None,
            typer.Option(help="Write one JSON line per strategy and evaluation here."),
        ] = None,
    ) -> None:
        """Trade with the sequential predecessor until Ctrl+C, SIGTERM or the end of the data."""
        loaded = settings.load(config)
        assembly.set_up_logging(loaded.settings.logging)
        log = get_logger("__main__")
        parts = assembly.connect(loaded.settings, say=log.info)
        try:
            for tell, lines in (
                (log.info, parts.notes),
                (log.warning, (*loaded.warnings, *parts.warnings)),
            ):
                for line in lines:
                    tell(line)
            manager = LiveTradingManager(parts)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda _number, _frame: manager.stop())
            log.info("Live trading manager started (sequential, %s)", parts.broker.name)
            with decision_file(decisions, manager.event_bus) if decisions else nullcontext():
                manager.run()
            for name, value in manager.metrics().items():
                log.info("%s: %s", name, value)
        finally:
            parts.close()

    return exit_code(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
