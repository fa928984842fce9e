"""Old and new beside each other: ``python -m app.main_compare [OLD.jsonl NEW.jsonl]``.

With two decision files (``--decisions``) they are compared, of recorded sessions for instance.
Without, both systems play the same data here: the predecessor first, then the daemon's build.
0 the same signals · 1 they differ · 64 usage · 78 configuration, data or a file that is none ·
130 interrupted.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, NamedTuple

import typer

from app import assembly, comparison, settings
from app.adapters.decision_file import decision_file
from app.assembly import Parts
from app.backtest.options import names_of
from app.bus import EventBus
from app.command_line import exit_code, new_command_line, warn
from app.domain.errors import ConfigurationError, UsageError
from app.events import NewCandleEvent, OrderRejectedEvent, StrategyFailedEvent
from app.interruption import gone_afterwards
from app.live_trading import LiveTradingManager
from app.orchestrator import TradingOrchestrator
from app.setting_services import LoggingSettings
from app.setting_values import LogLevel

BEGINNING = datetime.min.replace(tzinfo=UTC)


class Session(NamedTuple):
    """What one system did with the data."""

    decisions: Path
    candles: int
    errors: int
    balance: str
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def compare(
        *,
        files: Annotated[
            list[Path] | None, typer.Argument(help="Two decision files, the old system's first.")
        ] = None,
        data: Annotated[
            list[Path] | None, typer.Option(help="A file of bars, one a symbol; may be repeated.")
        ] = None,
        symbol: Annotated[
            list[str] | None, typer.Option(help="This symbol; may be repeated.")
        ] = None,
        until: Annotated[
            str, typer.Option("--to", help="Until here, ISO, UTC without an offset.")
        ] = "",
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
    ) -> None:
        """Say where two systems decide differently; the first difference with both sides."""
        if files:
            if len(files) != 2:  # noqa: PLR2004 - the old one's and the new one's
                raise UsageError("expected two decision files, or none")
            if data or symbol or until:
                raise UsageError("--data, --symbol and --to are of a run: expected no files then")
            _end(comparison.compare(*files))
            return
        assembly.set_up_logging(LoggingSettings(level=LogLevel.CRITICAL), to_file=False)
        names = names_of(
            config, data or [], begin="", end=until, symbols=symbol or [], capital=None
        )
        if names["MARKET_DATA_SOURCE"] == "simulated" and not until:
            raise UsageError("expected --data, --to, or two decision files")
        names = {**names, "SERVICES_STRATEGY_EVALUATION_FACTS": "all"}

        def parts() -> Parts:
            return assembly.connect(settings.load(config, names).settings)

        with gone_afterwards(Path(mkdtemp(prefix="compare-"))) as folder:
            first = parts()
            warn(first.warnings)
            old = _played(folder / "old.jsonl", *_predecessor(first))
            new = _played(folder / "new.jsonl", *_daemon(parts()))
            for name in ("candles", "errors", "balance"):
                left, right = getattr(old, name), getattr(new, name)
                print(f"{name:<16}{left:>14}{right:>14}{'' if left == right else '   <- differs'}")
            print(f"{'seconds':<16}{old.seconds:>14.2f}{new.seconds:>14.2f}")
            _end(comparison.compare(old.decisions, new.decisions))

    return exit_code(app, arguments)


def _predecessor(parts: Parts) -> tuple[Parts, EventBus, Callable[[], None]]:
    manager = LiveTradingManager(parts)
    return parts, manager.event_bus, manager.run


def _daemon(parts: Parts) -> tuple[Parts, EventBus, Callable[[], None]]:
    orchestrator = TradingOrchestrator(parts.settings, parts)

    def run() -> None:
        orchestrator.start()
        orchestrator.run()
        orchestrator.stop()

    return parts, orchestrator.event_bus, run


def _played(decisions: Path, parts: Parts, bus: EventBus, run: Callable[[], None]) -> Session:
    candles: list[None] = []
    errors: list[object] = []
    bus.subscribe(NewCandleEvent, lambda _: candles.append(None), owner="compare")
    bus.subscribe(StrategyFailedEvent, errors.append, owner="compare")
    bus.subscribe(OrderRejectedEvent, errors.append, owner="compare")
    with decision_file(decisions, bus):
        began = time.perf_counter()
        run()
        took = time.perf_counter() - began
    if not decisions.stat().st_size:
        raise ConfigurationError(
            f"no strategy decided anything in {len(candles):,} candles: "
            "expected more data, and services that are enabled"
        )
    account = parts.broker.account()
    return Session(decisions, len(candles), len(errors), f"{account.balance:,.2f}", took)


def _end(compared: comparison.Comparison) -> None:
    for line in comparison.lines(compared):
        print(line)
    if compared.differing:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
