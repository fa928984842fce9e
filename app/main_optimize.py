"""Better values for a strategy, and whether they hold: ``python -m app.main_optimize``.

Tries what the strategy file's `optimize:` section allows, each trial a backtest on in-sample
history and one on the out-of-sample history that follows it. Ctrl+C ends the search and keeps what
it had; running it again goes on.
0 done · 1 a trial run again came to something else · 64 usage · 70 gave up · 74 study storage ·
77 permission · 78 configuration or data · 130 interrupted before the search, or in a trial
run again.
"""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from app import assembly, settings
from app.backtest import figures
from app.backtest import files as outcome_files
from app.backtest import tables as report_tables
from app.backtest.options import names_of
from app.command_line import exit_code, new_command_line, warn
from app.domain.errors import ConfigurationError, UsageError, nearest
from app.optimize import files, tables
from app.optimize.bench import InterruptedTrialError
from app.optimize.plan import Plan, Wish, planned
from app.optimize.scores import OBJECTIVES, Tried, sample_of
from app.setting_services import LoggingSettings
from app.setting_values import LogLevel
from app.validation import without_credentials


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def optimize(
        *,
        strategy: Annotated[str, typer.Option(help="The strategy's name.")],
        data: Annotated[
            list[Path] | None, typer.Option(help="The file of bars of its symbol.")
        ] = None,
        begin: Annotated[
            str, typer.Option("--from", help="Use history from here on, ISO, UTC if not said.")
        ] = "",
        end: Annotated[str, typer.Option("--to", help="Until here.")] = "",
        symbol: Annotated[str, typer.Option(help="The symbol of the strategy.")] = "",
        trials: Annotated[
            int, typer.Option(help="Trials a window, earlier ones counted.", min=1, max=1_000_000)
        ] = 50,
        jobs: Annotated[int, typer.Option(help="Processes.", min=1, max=256)] = 1,
        storage: Annotated[
            str, typer.Option(help="Where studies are kept: sqlite:///file, postgresql://….")
        ] = "",
        study: Annotated[str, typer.Option(help="Its name (default: symbol-strategy).")] = "",
        objective: Annotated[
            str, typer.Option(help=f"What to maximise: {', '.join(OBJECTIVES)}.")
        ] = OBJECTIVES[0],
        splits: Annotated[
            int, typer.Option(help="Windows of a walk-forward.", min=1, max=1000)
        ] = 1,
        out_of_sample: Annotated[
            float, typer.Option(help="The part of a window that is out of sample.")
        ] = 0.3,
        seed: Annotated[int, typer.Option(help="Of what is tried.", min=0, max=1 << 31)] = 1,
        best: Annotated[int, typer.Option(help="How many trials to show.", min=1)] = 5,
        trial: Annotated[
            str, typer.Option(help="Run this trial again: 17, or 2.17 of the second window.")
        ] = "",
        capital: Annotated[float | None, typer.Option(help="The deposit.", min=0)] = None,
        out: Annotated[
            Path | None, typer.Option(help="A folder for trials.csv, best.yaml, the study.")
        ] = None,
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
    ) -> None:
        """Search a strategy's parameters in-sample, and judge them out-of-sample."""
        if objective not in OBJECTIVES:
            raise UsageError(
                f"--objective: there is no '{objective}'{nearest(objective, OBJECTIVES)}: expected "
                f"one of {', '.join(OBJECTIVES)}"
            )
        if not 0 < out_of_sample < 1:
            raise UsageError(f"--out-of-sample: {out_of_sample} is not between 0 and 1")
        if find_spec("optuna") is None:
            raise ConfigurationError(
                "a search needs Optuna: pip install 'mt5-trading-daemon[optimize]'"
            )
        symbols = [symbol] if symbol else []
        names = names_of(config, data or [], begin=begin, end=end, symbols=symbols, capital=capital)
        loaded = settings.load(config, names)
        assembly.set_up_logging(LoggingSettings(level=LogLevel.ERROR), to_file=False)
        wish = Wish(
            settings=loaded.settings,
            strategy=strategy,
            storage=storage,
            study=study,
            trials=trials,
            jobs=jobs,
            objective=objective,
            splits=splits,
            share=out_of_sample,
            seed=seed,
        )
        market = ", ".join(path.name for path in data or []) or "simulated market"
        title = f"{strategy} on {market}"
        if out is not None:
            outcome_files.prepare(out)
        if trial and not storage and out is None:
            raise UsageError("--trial: expected the --storage or the --out of its search")
        plan = planned(wish)
        if not storage:
            plan = replace(plan, wish=replace(plan.wish, storage=_own_storage(out)))
        if trial:
            _run_again(plan, trial, out)
        else:
            _search(plan, title, best, out)

    return exit_code(app, arguments)


def _own_storage(out: Path | None) -> str:
    """Return where studies are kept when the operator does not say."""
    folder = out or Path(tempfile.mkdtemp(prefix="optimize-"))
    return f"sqlite:///{folder.absolute() / 'study.db'}"


class _Stop:
    """Whether the operator ended the search."""

    def __init__(self) -> None:
        self._wished = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._wish)

    def __call__(self) -> bool:
        return self._wished

    def _wish(self, _number: int, _frame: object) -> None:
        self._wished = True


def _search(plan: Plan, title: str, best: int, out: Path | None) -> None:
    from app.optimize.search import check, search  # noqa: PLC0415 - needs Optuna, an extra

    check(plan)
    warn(plan.warnings)
    stop = _Stop()
    results: dict[int, list[Tried]] = {}
    for line in tables.head(plan, title):
        print(line)
    for window in plan.windows:
        with _progress(f"Window {window.number}", plan.wish.trials) as progress:
            results[window.number] = search(plan, window, stop, progress)
        for line in tables.window_results(plan, window, results[window.number], best):
            print(line)
        if stop():
            break
    for line in tables.walk_forward(plan, results):
        print(line)
    print()
    storage = without_credentials(plan.wish.storage)
    if stop():
        print(f"Interrupted: the same command goes on from here, with --storage {storage}")
    else:
        print(f"Studies are kept: --storage {storage}")
    if out is not None:
        for path in files.write(plan, results, out):
            print(f"wrote {path}")


@contextmanager
def _progress(label: str, trials: int) -> Iterator[Callable[[int], object]]:
    """Show a bar on standard error where somebody looks; give what is told how many are done."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done: None
        return
    with typer.progressbar(length=trials, label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _run_again(plan: Plan, trial: str, out: Path | None) -> None:
    from app.optimize.study import trial_of  # noqa: PLC0415 - needs Optuna, an extra

    stop = _Stop()
    window, known = trial_of(plan, trial)
    objective, bench, same = plan.wish.objective, plan.bench(), True
    for side, piece, recorded in (
        ("in-sample", window.in_sample, known.in_sample),
        ("out-of-sample", window.out_of_sample, known.out_of_sample),
    ):
        if recorded is None:
            raise ConfigurationError(f"--trial: trial {trial} was not run: {known.worst}")
        try:
            outcome = bench.run(known.values, piece, stop, f"trial {trial}, {side}")
        except InterruptedTrialError:
            raise KeyboardInterrupt from None
        sample = sample_of(outcome)
        same = same and sample == recorded
        for line in (
            *report_tables.head(outcome),
            *report_tables.key_figures(outcome, figures.whole(outcome)),
        ):
            print(line)
        figure, before = sample.figure(objective), recorded.figure(objective)
        print(f"{objective} {side}: {_figure(figure)}, recorded {_figure(before)}")
        if out is not None:
            for path in outcome_files.write(outcome, out / f"trial-{trial}" / side):
                print(f"wrote {path}")
    if not same:
        print("error: it came to something else than recorded", file=sys.stderr)
        raise typer.Exit(1)


def _figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure!r}"


if __name__ == "__main__":
    sys.exit(main())
