"""A strategy on years of bars: ``python -m app.main_backtest --data FILE``.

The very services that trade live, on history and a paper account. Ctrl+C ends the run and keeps
what it had.
0 done · 1 a check found something · 64 usage · 70 gave up · 77 permission · 78 configuration or
data, too little of them for a check included · 130 interrupted before the run, or in a check.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app import assembly, settings
from app.adapters.paper.broker import PaperBroker
from app.assembly import Parts
from app.backtest import figures, files, honesty, tables
from app.backtest.coverage import Gaps
from app.backtest.options import names_of
from app.backtest.outcome import Outcome
from app.backtest.play import Play
from app.command_line import exit_code, new_command_line, warn
from app.domain.errors import ConfigurationError, UsageError, nearest
from app.setting_services import LoggingSettings
from app.setting_values import LogLevel
from app.settings import Settings


class Costs(StrEnum):
    """How much of what trading costs is charged."""

    ZERO = "zero"
    CONFIG = "config"
    DOUBLE = "double"

    @property
    def times(self) -> int:
        """How many times what is configured."""
        return {Costs.ZERO: 0, Costs.CONFIG: 1, Costs.DOUBLE: 2}[self]


_SAID = {Costs.ZERO: ", costs zero", Costs.CONFIG: "", Costs.DOUBLE: ", costs doubled"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def backtest(
        *,
        data: Annotated[
            list[Path] | None,
            typer.Option(help="A file of bars, one a symbol; may be repeated."),
        ] = None,
        begin: Annotated[
            str, typer.Option("--from", help="Trade from here on, ISO, UTC without an offset.")
        ] = "",
        end: Annotated[str, typer.Option("--to", help="Until here.")] = "",
        symbol: Annotated[
            list[str] | None, typer.Option(help="Trade this symbol; may be repeated.")
        ] = None,
        strategy: Annotated[
            list[str] | None, typer.Option(help="Only this strategy; may be repeated.")
        ] = None,
        capital: Annotated[float | None, typer.Option(help="The deposit.", min=0)] = None,
        out: Annotated[
            Path | None, typer.Option(help="A folder for trades, equity, figures and the report.")
        ] = None,
        costs: Annotated[
            Costs, typer.Option(help="What trading costs: nothing, as configured, or twice that.")
        ] = Costs.CONFIG,
        check_look_ahead: Annotated[
            bool,
            typer.Option(
                "--check-look-ahead", help="See that nothing hangs on what came later, and end."
            ),
        ] = False,
        check_warm_up: Annotated[
            bool,
            typer.Option(
                "--check-warm-up", help="See that twice the history decides the same, and end."
            ),
        ] = False,
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
    ) -> None:
        """Play history through the services that trade live, and say what came of it."""
        if check_look_ahead and check_warm_up:
            raise UsageError("expected one of --check-look-ahead and --check-warm-up at a time")
        if out is not None and (check_look_ahead or check_warm_up):
            raise UsageError("--out: a check writes no files, expected one or the other")
        assembly.set_up_logging(LoggingSettings(level=LogLevel.ERROR), to_file=False)
        names = names_of(
            config, data or [], begin=begin, end=end, symbols=symbol or [], capital=capital
        )

        def play(until: datetime | None = None, warm_up: int = 1) -> Play:
            ends = {} if until is None else {"MARKET_DATA_UNTIL": until.isoformat()}
            loaded = settings.load(config, {**names, **ends}).settings
            parts = _only(strategy or [], assembly.connect(_warmed_up(loaded, warm_up)))
            market = ", ".join(path.name for path in data or []) or "simulated market"
            name = f"{', '.join(loaded.symbols)} on {market}{_SAID[costs]}"
            return Play(name, _at(costs, parts), costs.times)

        gaps = Gaps()
        if check_look_ahead:
            _tell(
                honesty.looks_ahead(play, gaps),
                gaps,
                "Nothing looks ahead: with the future cut off, rows and signals are the same",
            )
        elif check_warm_up:
            _tell(
                honesty.warms_up_too_late(lambda times: play(None, times), gaps),
                gaps,
                "Warmed up: twice the history decides the same",
            )
        else:
            if out is not None:
                files.prepare(out)
            _run(play(), out)

    return exit_code(app, arguments)


def _only(names: Sequence[str], parts: Parts) -> Parts:
    """Return the parts with the strategies of these names; all when there is no name."""
    known = [one.rules.name for loaded in parts.strategies.values() for one in loaded]
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"--strategy: there is no '{name}'{nearest(name, known)}: "
                f"expected one of {', '.join(known) or 'none, for no strategy is enabled'}"
            )
    if not names:
        return parts
    kept = {
        symbol: tuple(one for one in loaded if one.rules.name in names)
        for symbol, loaded in parts.strategies.items()
    }
    return replace(parts, strategies=kept)


def _warmed_up(options: Settings, times: int) -> Settings:
    """Return the settings with so many times the candles of warm-up."""
    services = options.services
    calculation = services.indicator_calculation
    more = calculation.model_copy(update={"history_bars": calculation.history_bars * times})
    services = services.model_copy(update={"indicator_calculation": more})
    return options.model_copy(update={"services": services})


def _at(costs: Costs, parts: Parts) -> Parts:
    """Return the parts with what trading costs multiplied."""
    if costs is Costs.CONFIG:
        return parts
    terms = msgspec.structs.replace(assembly.paper_terms(parts.settings), costs=costs.times)
    return replace(parts, broker=PaperBroker(terms, parts.settings.symbols))


def _tell(findings: Iterable[str], gaps: Gaps, well: str) -> None:
    """Say what was found; raises SystemExit with 1 when there is anything.

    Raises ConfigurationError when nothing was found but not every strategy could be compared.
    """
    found = list(findings)
    if found:
        for line in (*found, *gaps.wholly):
            print(line)
        print(f"{len(found)} finding{'s' if len(found) > 1 else ''}")
        raise SystemExit(1)
    if gaps.wholly:
        raise ConfigurationError("; ".join(gaps.wholly))
    print(well)
    for line in gaps.partly:
        print(f"Except {line}")


def _run(play: Play, out: Path | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: play.stop())
    warn(play.warnings)
    started = time.perf_counter()
    with _progress(*play.span) as progress:
        play.run(progress)
    took = time.perf_counter() - started
    outcome = play.outcome()
    for line in _lines(outcome):
        print(line)
    print(f"{outcome.candles:,} candles in {took:.1f} s")
    if out is not None:
        for path in files.write(outcome, out):
            print(f"wrote {path}")


@contextmanager
def _progress(began: datetime, until: datetime) -> Iterator[Callable[[datetime], object]]:
    """Show a bar on standard error where somebody looks; give what is told the market's time."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _now: None
        return
    length = int((until - began).total_seconds())
    with typer.progressbar(length=length, file=sys.stderr) as bar:
        yield lambda now: bar.update(int((now - began).total_seconds()) - bar.pos)


def _lines(outcome: Outcome) -> Iterator[str]:
    yield from tables.head(outcome)
    yield from tables.key_figures(outcome, figures.whole(outcome))
    yield from tables.per_strategy(figures.by_strategy(outcome))
    yield from tables.per_regime(figures.by_regime(outcome))
    yield from tables.per_month(figures.monthly(outcome))
    yield from tables.refused(outcome)
    yield from tables.assumptions(outcome)


if __name__ == "__main__":
    sys.exit(main())
