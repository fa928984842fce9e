"""The study of a window in a database, by Optuna: what was tried, and what to try next."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from app.domain.errors import ConfigurationError, JournalError, UsageError
from app.optimize.bench import Bench, InterruptedTrialError
from app.optimize.plan import Plan
from app.optimize.scores import WORST, Sample, Tried, sample_of, score_of
from app.optimize.space import values_of_file
from app.optimize.storage import opened
from app.optimize.windows import Window

_MADE_WITH = "made_with"
_GONE = TrialState.FAIL
_SURE = (TrialState.WAITING, TrialState.COMPLETE)


def studied(plan: Plan, window: Window, storage: optuna.storages.RDBStorage) -> Study:
    """Return the study of a window: the one there is, else a new one.

    Raises:
        ConfigurationError: there is one of that name that was made with something else.

    """
    name = plan.study_of(window)
    study = found(plan, window, storage)
    if study is None:
        try:
            study = optuna.create_study(
                study_name=name, storage=storage, direction="maximize", sampler=_Sampler(plan)
            )
        except optuna.exceptions.DuplicatedStudyError:
            return studied(plan, window, storage)
    if _MADE_WITH not in study.user_attrs:
        study.set_user_attr(_MADE_WITH, dict(plan.made_with))
    return study


def begin_with_file(plan: Plan, study: Study) -> None:
    """Let the file's own values be tried next, unless they were tried or are going to be.

    A trial that runs may be of a process that was killed: it is no reason not to.
    """
    of_file = values_of_file(plan.parameters)
    if of_file is not None and not any(
        trial.user_attrs.get("of_file") and trial.state in _SURE
        for trial in study.get_trials(deepcopy=False)
    ):
        study.enqueue_trial(dict(of_file), user_attrs={"of_file": True})


def found(plan: Plan, window: Window, storage: optuna.storages.RDBStorage) -> Study | None:
    """Return the study of a window where there is one already.

    Raises:
        ConfigurationError: it was made with something else.

    """
    name = plan.study_of(window)
    try:
        study = optuna.load_study(study_name=name, storage=storage, sampler=_Sampler(plan))
    except KeyError:
        return None
    begun = bool(study.get_trials(deepcopy=False))  # asked first: they come after the attribute
    made_with = study.user_attrs.get(_MADE_WITH)
    if made_with is None and begun:
        raise ConfigurationError(
            f"study '{name}' is none of ours: expected --study with a new name"
        )
    others = [
        part
        for part in plan.made_with
        if (made_with or plan.made_with).get(part) != plan.made_with[part]
    ]
    if others:
        raise ConfigurationError(
            f"study '{name}' was made with other {', '.join(others)}: expected the same, "
            "or --study with a new name"
        )
    return study


def done(study: Study) -> int:
    """Return how many trials are done."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def tried(study: Study) -> list[Tried]:
    """Return the trials that are done, in the order of their numbers."""
    return [
        Tried(
            number=trial.number,
            values=_values(trial),
            score=WORST if trial.value is None else trial.value,
            worst=trial.user_attrs.get("worst", ""),
            in_sample=_sample(trial, "in_sample"),
            out_of_sample=_sample(trial, "out_of_sample"),
            of_file=trial.user_attrs.get("of_file", False),
        )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ]


def trial_of(plan: Plan, written: str) -> tuple[Window, Tried]:
    """Return a trial by its number, ``17``, or ``2.17`` of the second window.

    Raises:
        UsageError: it is no number of a trial.
        ConfigurationError: there is no such trial, or its study was made with something else.

    """
    parts = written.split(".")
    if len(parts) == 1 and len(plan.windows) == 1:
        parts.insert(0, "1")
    if len(parts) != len(("window", "trial")) or not all(map(str.isdecimal, parts)):
        raise UsageError(f"--trial: '{written}' is none: expected 17, or 2.17 of the second window")
    number, wanted = map(int, parts)
    if not 1 <= number <= len(plan.windows):
        raise ConfigurationError(f"--trial: there is no window {number}")
    window = plan.windows[number - 1]
    with opened(plan.wish.storage) as storage:
        study = found(plan, window, storage)
        if study is None:
            raise ConfigurationError(
                f"--trial: there is no study '{plan.study_of(window)}' in that storage"
            )
        for trial in tried(study):
            if trial.number == wanted:
                return window, trial
    raise ConfigurationError(f"--trial: trial {written} is not done, or there is none")


def try_next(
    plan: Plan, window: Window, study: Study, bench: Bench, stopped: Callable[[], bool]
) -> None:
    """Run one more trial; one that is interrupted is dropped, and its turn comes again."""

    def objective(trial: optuna.Trial) -> float:
        values = {each.path: each.suggested(trial) for each in plan.parameters}
        trial.set_user_attr("values", {path: _plain(value) for path, value in values.items()})
        score, attributes = _earlier(study, values) or _judged(plan, window, bench, values, stopped)
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        return score

    study.optimize(objective, n_trials=1, catch=(InterruptedTrialError,))


def _judged(
    plan: Plan,
    window: Window,
    bench: Bench,
    values: Mapping[str, Any],
    stopped: Callable[[], bool],
) -> tuple[float, dict[str, Any]]:
    try:
        bench.strategy(values)
    except ConfigurationError as error:
        return WORST, {"worst": f"not possible together: {error}"}
    one = sample_of(bench.run(values, window.in_sample, stopped))
    other = sample_of(bench.run(values, window.out_of_sample, stopped))
    score, worst = score_of(one, plan.wish.objective)
    return score, {
        "in_sample": msgspec.to_builtins(one),
        "out_of_sample": msgspec.to_builtins(other),
        **({"worst": worst} if worst else {}),
    }


def _earlier(study: Study, values: Mapping[str, Any]) -> tuple[float, dict[str, Any]] | None:
    """Return what an earlier trial of the same values came to: it would come to the same."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.value is not None and _values(trial) == values:
            kept = ("in_sample", "out_of_sample", "worst")
            return trial.value, {k: v for k, v in trial.user_attrs.items() if k in kept}
    return None


def _values(trial: FrozenTrial) -> dict[str, Any]:
    return {
        path: tuple(value) if isinstance(value, list) else value
        for path, value in trial.user_attrs.get("values", {}).items()
    }


def _sample(trial: FrozenTrial, name: str) -> Sample | None:
    held = trial.user_attrs.get(name)
    try:
        return None if held is None else msgspec.convert(held, Sample, strict=False)
    except msgspec.ValidationError as error:
        raise JournalError(
            f"trial {trial.number} of the study holds what this version cannot read: {error}: "
            "expected --study with a new name"
        ) from None


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


class _Sampler(BaseSampler):
    """TPE whose random numbers follow from the seed and the trial's place alone.

    Whether a search was interrupted in between makes no difference to what is tried: a trial that
    was dropped gives its place to the next.
    """

    def __init__(self, plan: Plan) -> None:
        self._seed = plan.wish.seed
        self._jobs = plan.wish.jobs
        self._tpe: BaseSampler = TPESampler(seed=self._seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Begin a trial."""
        place = sum(
            other.number < trial.number and other.state is not _GONE
            for other in study.get_trials(deepcopy=False)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._tpe = TPESampler(
                seed=(self._seed * 1_000_003 + place) % (1 << 32),
                multivariate=False,
                constant_liar=self._jobs > 1,
            )
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Leave it to TPE."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Leave it to TPE."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)
