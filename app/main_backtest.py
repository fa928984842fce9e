"""A strategy on years of bars: ``python -m app.main_backtest --data FILE``.

The very services that trade live, on history and a paper account. Ctrl+C ends the run and keeps
what it had.
0 done · 64 usage · 70 gave up · 77 permission · 78 configuration or data.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from app import assembly, settings
from app.assembly import Parts
from app.backtest import figures, files, report, tables
from app.backtest.outcome import Outcome
from app.backtest.play import Play
from app.command_line import exit_code, new_command_line
from app.domain.errors import ConfigurationError, UsageError, nearest
from app.setting_services import LoggingSettings
from app.setting_values import LogLevel

DEFAULT_DAYS = timedelta(days=30)
"""Of the simulated market, where no data and no end are given."""


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
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
    ) -> None:
        """Play history through the services that trade live, and say what came of it."""
        names = _names(data or [], begin, end, symbol or [], capital)
        loaded = settings.load(config, {**os.environ, **names})
        assembly.set_up_logging(LoggingSettings(level=LogLevel.ERROR), to_file=False)
        parts = _only(strategy or [], assembly.connect(loaded.settings))
        _run(parts, _title(parts, data or []), out)

    return exit_code(app, arguments)


def _names(
    data: Sequence[Path], begin: str, end: str, symbols: Sequence[str], capital: float | None
) -> Mapping[str, str]:
    """Return the options as the settings know them, by their names in the environment."""
    names = {
        "TRADE_MODE": "paper",
        "MARKET_DATA_SPEED": "0",
        "MARKET_DATA_SOURCE": "file" if data else "auto",
    }
    if data:
        names["MARKET_DATA_PATH"] = ",".join(map(str, data))
    if begin:
        names["MARKET_DATA_START"] = _instant("--from", begin).isoformat()
    if end:
        names["MARKET_DATA_UNTIL"] = _instant("--to", end).isoformat()
    if symbols:
        names["TRADING_SYMBOLS"] = ",".join(symbols)
    if capital is not None:
        names["BROKER_PAPER_BALANCE"] = repr(capital)
    return names


def _instant(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: '{text}' is no ISO date or time") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _only(names: Sequence[str], parts: Parts) -> Parts:
    """Return the parts with the strategies of these names; all when there is no name."""
    known = [one.rules.name for loaded in parts.strategies.values() for one in loaded]
    for name in names:
        if name not in known:
            raise ConfigurationError(f"--strategy: there is no '{name}'{nearest(name, known)}")
    if not names:
        return parts
    kept = {
        symbol: tuple(one for one in loaded if one.rules.name in names)
        for symbol, loaded in parts.strategies.items()
    }
    return replace(parts, strategies=kept)


def _title(parts: Parts, data: Sequence[Path]) -> str:
    market = ", ".join(path.name for path in data) or "simulated market"
    return f"{', '.join(parts.settings.symbols)} on {market}"


def _run(parts: Parts, title: str, out: Path | None) -> None:
    play = Play(title, parts)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: play.stop())
    started = time.perf_counter()
    with _progress(*play.span) as progress:
        play.run(progress)
    took = time.perf_counter() - started
    outcome = play.outcome()
    for line in _lines(outcome):
        print(line)
    print(f"{outcome.candles:,} candles in {took:.1f} s")
    if out is not None:
        for path in (*files.write(outcome, out), report.write(outcome, out)):
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
