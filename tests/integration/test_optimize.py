"""A search on real bars: reproducible trials, both sides of the cut, and studies that last."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import optuna
import psycopg
import pytest

from app import main_backtest, main_optimize, settings
from app.optimize.bench import Bench
from app.optimize.plan import Wish, planned
from app.optimize.scores import WORST
from app.optimize.search import search
from app.optimize.storage import opened
from app.optimize.study import begin_with_file, studied
from app.strict_yaml import load as load_yaml

RULES = """name: searched
timeframes: ["1"]
entry:
  long:
    conditions:
      - {signal: ema_5, operator: crosses_above, value: ema_13}
      - {signal: rsi, operator: "<", value: 70}
exit:
  long: {conditions: [{signal: rsi, operator: ">", value: 101}],
    time_based: {max_duration: "45m", min_duration: "3m"}}
risk:
  position_sizing: {type: fixed, value: 0.1}
  sl: {type: fixed, value: 10}
  tp: {type: fixed, value: 8}
"""
SPACE = """optimize:
  entry.long.conditions[0].value: {choices: [ema_13, ema_20]}
  entry.long.conditions[1].value: {low: 10, high: 90, step: 20}
  risk.sl.value: {low: 5.0, high: 20.0}
  risk.tp.value: {low: 4, high: 16, step: 4}
"""
INDICATORS = {"1": "ema_5: {period: 5}\nema_13: {period: 13}\nema_20: {period: 20}\nrsi: {}\n"}
HEARD = """
import sys
from contextlib import nullcontext
from app import main_optimize
from app.optimize import search
search._out_of_reach_of_ctrl_c = nullcontext
sys.exit(main_optimize.main(sys.argv[1:]))
"""
"""The search where Ctrl+C cannot be kept from what it starts."""
SEARCH = ("--strategy", "searched", "--data", "EURUSD.csv")


@pytest.fixture
def place(folder, configuration, simulated_bars):
    """Write the strategy, its indicators, and a day and a half of the simulated market."""

    def write(text=RULES + SPACE):
        configuration({"searched": text}, indicators=INDICATORS)

    write()
    simulated_bars(days=1.5).to_csv("EURUSD.csv", index=False)
    return write


@pytest.fixture
def optimize(main_here, place):
    """Run the command here; return how it ended."""
    return lambda *arguments, **names: main_here(
        *SEARCH, *arguments, main=main_optimize.main, **names
    )


def plan_of(storage, **other):
    names = {
        "MARKET_DATA_SOURCE": "file",
        "MARKET_DATA_PATH": "EURUSD.csv",
        "MARKET_DATA_SPEED": "0",
    }
    usual = {
        "settings": settings.load(environ=names, dotenv=None).settings,
        "strategy": "searched",
        "storage": storage,
        "study": "",
        "trials": 6,
        "jobs": 1,
        "objective": "net_profit",
        "splits": 1,
        "share": 0.3,
        "seed": 1,
    }
    return planned(Wish(**(usual | other)))


def searched(plan, **how):
    return search(plan, plan.windows[0], **how)


def trials_in(folder):
    with Path(folder, "trials.csv").open() as file:
        return list(csv.DictReader(file))


def workers_of(parent):
    """Return the processes that `parent` spawned to work, by their command lines."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    return [command for command in commands if b"spawn_main" in command]


class TestSearch:
    def test_both_sides_of_every_trial(self, optimize):
        """The console, trials.csv and best.yaml say the same; the first trial is the file's."""
        ended = optimize("--trials", "6", "--out", "out")
        assert (ended.code, ended.err) == (0, "")
        trials = trials_in("out")
        assert [row["trial"] for row in trials] == list("012345")
        assert [row["of_file"] for row in trials] == ["true", *["false"] * 5]
        assert all(row["in_sample_trades"] and row["out_of_sample_trades"] for row in trials)
        assert "nan" not in Path("out/trials.csv").read_text().lower()
        best = max(
            (row for row in trials if row["net_profit"]), key=lambda r: float(r["net_profit"])
        )
        assert best["net_profit"] == f"{float(best['in_sample_net_profit'])}"
        values = load_yaml(Path("out/best.yaml")).data
        assert {path: str(value) for path, value in values.items()} == {
            path: best[path] for path in values
        }
        assert len(values) == 4
        table = ended.out.partition("diff a day")[2].splitlines()
        assert table[1].split()[:2] == [best["trial"], best["in_sample_trades"]]
        assert "In-sample:     2025-01-06 00:00 to 2025-01-07 01:12 UTC" in ended.out
        assert "Out-of-sample: 2025-01-07 01:12 to 2025-01-07 12:00 UTC" in ended.out

    def test_the_file_itself_is_never_changed(self, optimize):
        file = Path("conf/strategies/eurusd/searched.yaml")
        assert optimize("--trials", "3", "--out", "out").code == 0
        assert file.read_text() == RULES + SPACE

    def test_a_trial_is_the_backtest_of_its_values(self, optimize, main_here, place):
        """Red when a trial is run without its values: all of them come to the file's figure.

        Bars before a piece are history, not traded, in both.
        """
        assert optimize("--trials", "4", "--out", "out").code == 0
        row = trials_in("out")[2]
        text = RULES.replace("value: ema_13", f"value: {row['entry.long.conditions[0].value']}")
        text = text.replace("value: 70", f"value: {row['entry.long.conditions[1].value']}")
        text = text.replace("value: 10}", f"value: {row['risk.sl.value']}}}")
        place(text.replace("value: 8}", f"value: {row['risk.tp.value']}}}"))
        for side, span in (
            ("in_sample", ("--to", "2025-01-07T01:12")),
            ("out_of_sample", ("--from", "2025-01-07T01:12")),
        ):
            out = Path(side)
            data = ("--data", "EURUSD.csv", "--out", str(out))
            assert main_here(*data, *span, main=main_backtest.main).code == 0
            with (out / "trades.csv").open() as file:
                trades = list(csv.DictReader(file))
            assert len(trades) == int(row[f"{side}_trades"])
            net = sum(float(trade["net"]) for trade in trades)
            assert net == pytest.approx(float(row[f"{side}_net_profit"]))

    def test_a_trial_run_again_comes_to_the_same(self, optimize):
        """Every trial is reproducible from its number; red when `--trial` ignores its values."""
        assert optimize("--trials", "4", "--out", "out").code == 0
        row = trials_in("out")[3]
        ended = optimize("--trial", "3", "--out", "out")
        assert (ended.code, ended.err) == (0, "")
        net = float(row["in_sample_net_profit"])
        assert f"net_profit in-sample: {net!r}, recorded {net!r}" in ended.out
        assert Path("out/trial-3/out-of-sample/trades.csv").exists()

    def test_a_trial_run_again_that_is_interrupted_is_not_done(self, optimize, monkeypatch):
        """Red when the search's own end is taken for the trial's: code 0."""
        assert optimize("--trials", "1", "--out", "out").code == 0
        run = Bench.run

        def interrupted(*arguments):
            signal.raise_signal(signal.SIGINT)
            return run(*arguments)

        monkeypatch.setattr(Bench, "run", interrupted)
        ended = optimize("--trial", "0", "--out", "out")
        assert (ended.code, ended.err) == (130, "interrupted\n")

    @pytest.mark.parametrize(
        ("more", "code", "said"),
        [
            ('"trades": 1', 1, "something else than recorded"),
            ('"gone": ', 74, "trial 0 of the study holds what this version cannot read"),
        ],
    )
    def test_a_trial_that_comes_to_something_else_is_said(self, optimize, more, code, said):
        assert optimize("--trials", "2", "--out", "out").code == 0
        with closing(sqlite3.connect("out/study.db")) as database, database:
            database.execute(
                "UPDATE trial_user_attributes SET value_json = replace(value_json, ?, ?) "
                "WHERE key = 'in_sample'",
                ('"trades": ', more),
            )
        ended = optimize("--trial", "0", "--out", "out")
        assert ended.code == code
        assert said in ended.err

    def test_a_walk_forward(self, optimize):
        ended = optimize("--trials", "3", "--splits", "2", "--out", "out", "--objective", "sharpe")
        assert (ended.code, ended.err) == (0, "")
        assert "=== Window 2 of 2 ===" in ended.out
        assert "=== Walk-forward" in ended.out
        assert [row["window"] for row in trials_in("out")] == list("111222")
        again = optimize("--trial", "2.1", "--splits", "2", "--out", "out", "--objective", "sharpe")
        assert again.code == 0

    def test_steps_of_decimals_are_free_of_rounding_errors(self, place):
        place(
            f"{RULES}optimize:\n  risk.position_sizing.value: {{low: 0.1, high: 0.7, step: 0.2}}\n"
        )
        trials = searched(plan_of("sqlite:///study.db", trials=8))
        found = {value for trial in trials for value in trial.values.values()}
        assert len(found) > 1
        assert found <= {0.1, 0.3, 0.5, 0.7}

    def test_without_trades_there_is_no_best(self, optimize, place):
        """No NaN and no best.yaml: a trial without trades is the worst, and said to be."""
        place((RULES + SPACE).replace("low: 10, high: 90, step: 20", "low: -9, high: -1"))
        ended = optimize("--trials", "3", "--out", "out")
        assert (ended.code, ended.err) == (0, "")
        assert "No trial has a score: no trades" in ended.out
        assert "3 without trades" in ended.out
        assert {row["worst"] for row in trials_in("out")} == {"no trades"}
        assert not Path("out/best.yaml").exists()

    def test_values_that_do_not_fit_each_other(self, place):
        """A trial without a score, not the end of the search."""
        place(f'{RULES}optimize:\n  exit.long.time_based.max_duration: {{choices: ["2m", "9m"]}}\n')
        trials = searched(plan_of("sqlite:///study.db", trials=8))
        bad = [trial for trial in trials if "2m" in trial.values.values()]
        assert bad
        for trial in bad:
            assert trial.score == WORST
            assert "min_duration must be shorter than max_duration" in trial.worst
        assert any(trial.in_sample for trial in trials)

    def test_a_file_with_the_section_trades_as_without_it(self, main_here, place):
        outs = []
        for text in (RULES, RULES + SPACE):
            place(text)
            data = ("--data", "EURUSD.csv", "--out", "out")
            assert main_here(*data, main=main_backtest.main).code == 0
            outs.append(Path("out/trades.csv").read_bytes())
        assert outs[0] == outs[1]
        assert outs[0].count(b"\n") > 5


class TestSeed:
    def test_the_same_seed_tries_the_same(self, place):
        one, other, third = (
            searched(plan_of(f"sqlite:///{name}.db", seed=seed))
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        assert one == other
        assert [trial.values for trial in one] != [trial.values for trial in third]

    def test_an_interrupted_search_goes_on_as_if_it_had_not_been(self, place):
        """Red when trials are seeded by their number: what was dropped shifts all that follow."""
        whole = searched(plan_of("sqlite:///whole.db", trials=14))
        asked, finished = [], []

        def stopped():
            asked.extend(finished[3:4])
            return len(asked) > 1

        plan = plan_of("sqlite:///part.db", trials=14)
        part = searched(plan, stopped=stopped, progress=finished.append)
        assert len(part) == 4
        with opened(plan.wish.storage) as storage:
            study = optuna.load_study(study_name=plan.study, storage=storage)
            assert [trial.state.name for trial in study.get_trials()][4:] == ["FAIL"]
        resumed = searched(plan)
        assert [trial.number for trial in resumed] == [0, 1, 2, 3, *range(5, 15)]
        assert [(t.values, t.score) for t in resumed] == [(t.values, t.score) for t in whole]


class TestStudies:
    def test_a_search_killed_in_its_first_trial_still_tries_the_file(self, place):
        """Its trial runs for ever, as far as the storage knows. Red when that one counts."""
        place()
        plan = plan_of("sqlite:///killed.db", trials=3)
        with opened(plan.wish.storage) as storage:
            study = studied(plan, plan.windows[0], storage)
            begin_with_file(plan, study)
            assert study.ask().user_attrs["of_file"]
        assert [trial.of_file for trial in searched(plan)] == [True, False, False]

    def test_trials_that_are_there_count(self, optimize):
        assert optimize("--trials", "3", "--out", "out").code == 0
        before = trials_in("out")
        assert optimize("--trials", "5", "--out", "out").code == 0
        assert trials_in("out")[:3] == before
        assert len(trials_in("out")) == 5

    @pytest.mark.parametrize(
        ("change", "arguments", "said"),
        [
            (("value: 0.1}", "value: 0.2}"), (), "made with other strategy: expected"),
            (("high: 20.0", "high: 21.0"), (), "made with other parameters: expected"),
            (None, ("--objective", "sharpe"), "made with other objective: expected"),
            (None, ("--out-of-sample", "0.5"), "made with other windows: expected"),
            (None, ("--capital", "500"), "made with other settings: expected"),
            ("data", (), "made with other data: expected"),
            ("indicators", (), "made with other indicators: expected"),
        ],
    )
    def test_a_study_made_with_something_else_is_refused(
        self, optimize, place, simulated_bars, *, change, arguments, said
    ):
        """Red without the fingerprint: trials that mean something else are ranked together."""
        assert optimize("--trials", "1", "--out", "out").code == 0
        if change == "data":
            simulated_bars(days=1.5, seed=8).to_csv("EURUSD.csv", index=False)
        elif change == "indicators":
            file = Path("conf/indicators/eurusd/eurusd_1.yaml")
            file.write_text(file.read_text().replace("period: 13", "period: 14"))
        elif change:
            place((RULES + SPACE).replace(*change))
        ended = optimize("--trials", "2", "--out", "out", *arguments)
        assert ended.code == 78
        assert ended.err.startswith("error: study 'EURUSD-searched' was")
        assert said in ended.err
        assert ended.err.count("\n") == 1
        assert len(trials_in("out")) == 1

    def test_what_people_read_may_change(self, optimize, place):
        assert optimize("--trials", "1", "--out", "out").code == 0
        place(f"# a comment\n{RULES}{SPACE}meta: {{version: '2'}}\n")
        assert optimize("--trials", "2", "--out", "out").code == 0

    def test_somebody_elses_study_is_left_alone(self, optimize):
        with opened("sqlite:///study.db") as storage:
            study = optuna.create_study(study_name="theirs", storage=storage)
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        ended = optimize("--storage", "sqlite:///study.db", "--study", "theirs")
        assert ended.code == 78
        assert "study 'theirs' is none of ours" in ended.err

    def test_several_processes_share_a_study_in_postgresql(self, optimize, postgresql):
        """What several machines do; each trial is done once, and no more than wanted."""
        ended = optimize("--trials", "5", "--jobs", "2", "--storage", postgresql, "--out", "out")
        assert (ended.code, ended.err) == (0, "")
        assert len(trials_in("out")) == 5
        assert optimize("--trials", "6", "--storage", postgresql, "--out", "out").code == 0
        assert len(trials_in("out")) == 6

    def test_machines_that_begin_together_share_a_study(self, daemon, place, postgresql):
        """No more trials than wanted, but for those that are running when the last one is done."""
        command = (sys.executable, "-m", "app.main_optimize", *SEARCH)
        processes = [
            subprocess.Popen(
                [*command, "--trials", "4", "--storage", postgresql],
                env=daemon.environment({}),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        ended = [daemon.ended(process) for process in processes]
        assert [(one.code, one.err) for one in ended] == [(0, "")] * 3
        with opened(postgresql) as storage:
            study = optuna.load_study(study_name="EURUSD-searched", storage=storage)
            assert 4 <= len(study.get_trials()) <= 6
            assert {trial.state.name for trial in study.get_trials()} == {"COMPLETE"}

    def test_tables_another_machine_is_making_are_waited_for(self, postgresql):
        """Red with one attempt only: the name is taken by what was not there a moment ago."""
        with psycopg.connect(postgresql) as other, ThreadPoolExecutor(1) as here:
            other.execute("CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE')")
            opening = here.submit(self.studies_in, postgresql)
            waiting = (
                "SELECT count(*) FROM pg_locks "
                "WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            while not opening.done() and other.execute(waiting).fetchone() == (0,):
                time.sleep(0.05)
            other.commit()
            assert opening.result() == []

    def studies_in(self, storage):
        with opened(storage) as kept:
            return kept.get_all_studies()

    @pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is no signal one can send there")
    def test_ctrl_c_keeps_what_is_done(self, daemon, optimize):
        """Of a search in two processes, which end with it."""
        process = self.searching(daemon)
        while process.poll() is None and len(self.complete()) < 2:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        ended = daemon.ended(process)
        assert (ended.code, ended.err) == (0, "")
        assert "Interrupted: the same command goes on from here" in ended.out
        kept = len(trials_in("out"))
        assert 2 <= kept < 500
        assert optimize("--trials", str(kept + 1), "--out", "out").code == 0
        assert len(trials_in("out")) == kept + 1

    @pytest.mark.skipif(not Path("/proc").exists(), reason="the children are looked up in /proc")
    @pytest.mark.parametrize("later", [0, 0.4])
    def test_ctrl_c_while_the_workers_start_keeps_what_there_is(self, daemon, place, later):
        """Red when they hear of it while they import: code 70, tracebacks, no trials.csv."""
        ended = self.interrupted_at_its_start(daemon, self.searching(daemon), later)
        assert ended.err == ""

    @pytest.mark.skipif(not Path("/proc").exists(), reason="the children are looked up in /proc")
    def test_ctrl_c_that_the_workers_hear_of_keeps_what_there_is(self, daemon, place):
        """As on Windows. Red when their exit codes are errors whatever was asked: code 70."""
        self.interrupted_at_its_start(daemon, self.searching(daemon, "-c", HEARD), 0.1)

    def interrupted_at_its_start(self, daemon, process, later):
        while process.poll() is None and len(workers_of(process.pid)) < 2:
            time.sleep(0.005)
        time.sleep(later)
        os.killpg(process.pid, signal.SIGINT)
        ended = daemon.ended(process)
        assert (ended.code, "\nerror: " in f"\n{ended.err}") == (0, False)
        assert "Interrupted: the same command goes on from here" in ended.out
        assert Path("out/trials.csv").exists()
        return ended

    def searching(self, daemon, *how):
        """Start a search of two processes, in a group of its own."""
        command = (sys.executable, *(how or ("-m", "app.main_optimize")), *SEARCH, "--out", "out")
        return subprocess.Popen(
            [*command, "--trials", "500", "--jobs", "2"],
            env=daemon.environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def complete(self):
        try:
            with closing(sqlite3.connect("file:out/study.db?mode=ro", uri=True)) as database:
                return database.execute("SELECT 1 FROM trials WHERE state='COMPLETE'").fetchall()
        except sqlite3.OperationalError:
            return []

    def test_a_workers_error_is_the_commands(self, place):
        """Red when workers only end: the data are gone, and nobody says so."""
        plan = plan_of("sqlite:///study.db", jobs=2)
        Path("EURUSD.csv").unlink()
        with pytest.raises(settings.ConfigurationError, match=r"EURUSD\.csv: no such file"):
            searched(plan)


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (("--strategy", "serched"), 78, "no 'serched' of EURUSD (did you mean 'searched'?)"),
            (("--symbol", "GBPUSD"), 78, "no strategies for GBPUSD"),
            (("--data", "nowhere.csv"), 78, "nowhere.csv"),
            (("--from", "yesterday"), 64, "--from: 'yesterday' is no ISO date or time"),
            (("--to", "2031-01-01"), 78, "the data end at 2025-01-07 12:00"),
            (("--trials", "0"), 64, "--trials"),
            (("--objective", "sharp"), 64, "there is no 'sharp' (did you mean 'sharpe'?)"),
            (("--out-of-sample", "1"), 64, "--out-of-sample: 1.0 is not between 0 and 1"),
            (("--splits", "100"), 78, "1.5 days are too few for 100 windows"),
            (("--out", "file/out"), 78, "a file stands in its way"),
            (("--storage", "mysql://here/x"), 78, "--storage: expected sqlite:///"),
            (("--storage", "study.db"), 78, "--storage: expected sqlite:///"),
            (("--storage", "sqlite:///no/folder/x.db"), 74, "unable to open database file"),
            (("--storage", "sqlite:///EURUSD.csv"), 74, "file is not a database"),
            (("--trial", "1"), 64, "--trial: expected the --storage or the --out"),
            (("--trial", "x", "--out", "out"), 64, "--trial: 'x' is none"),
            (("--trial", "2.1", "--out", "out"), 78, "--trial: there is no window 2"),
            (("--trial", "1", "--out", "out"), 78, "there is no study 'EURUSD-searched'"),
        ],
    )
    def test_is_one_line(self, optimize, arguments, code, said):
        Path("file").write_text("")
        ended = optimize(*arguments)
        assert ended.code == code
        assert said in ended.err
        assert "Traceback" not in ended.err
        assert "secret" not in ended.err
        if code != 64:
            assert ended.err.count("\n") == 1

    def test_a_server_that_is_not_there(self, optimize):
        """One line, without the password."""
        ended = optimize("--storage", "postgresql://me:secret@127.0.0.1:1/x")
        assert ended.code == 74
        assert "study storage postgresql://me@127.0.0.1:1/x cannot be used" in ended.err
        assert "secret" not in ended.err + ended.out

    @pytest.mark.parametrize(
        ("space", "said"),
        [
            ("", "searched.yaml: has no 'optimize:' section"),
            ("optimize:\n  risk.sl.valu: {low: 5, high: 9}\n", "yaml:16 optimize.risk.sl.valu: "),
            ("optimize:\n  risk.sl.value: {low: 0, high: 9}\n", "got 0, expected more than 0"),
            (
                "optimize:\n  entry.long.conditions[0].value: {choices: [ema_13, ema_21]}\n",
                "yaml:16 optimize.entry.long.conditions[0].value: with 'ema_21'",
            ),
            ("activation: {enabled: false}\n", "'searched' is not enabled"),
        ],
    )
    def test_in_the_strategy_file_is_one_line(self, optimize, place, space, said):
        place(RULES + space)
        ended = optimize()
        assert ended.code == 78
        assert said in ended.err
        assert ended.err.count("\n") == 1

    def test_without_optuna_the_extra_is_named(self, optimize, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        ended = optimize()
        assert ended.code == 78
        assert "pip install 'mt5-trading-daemon[optimize]'" in ended.err
