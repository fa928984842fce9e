"""Runs the trials of a window, in this process or in several."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event

from optuna.study import Study

from app import assembly
from app.domain.errors import GaveUpError, OperatorError
from app.optimize.plan import Plan
from app.optimize.scores import Tried
from app.optimize.storage import opened
from app.optimize.study import begin_with_file, done, found, studied, tried, try_next
from app.optimize.windows import Window
from app.setting_services import LoggingSettings
from app.setting_values import LogLevel

_LOOK_EVERY = 0.2
"""Seconds."""


def check(plan: Plan) -> None:
    """See that the storage can be used, and that no study in it was made with something else.

    Raises:
        ConfigurationError: the storage is none, or such a study is there.
        JournalError: the storage cannot be used.

    """
    with opened(plan.wish.storage) as storage:
        for window in plan.windows:
            found(plan, window, storage)


def search(
    plan: Plan,
    window: Window,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], object] = lambda _done: None,
) -> list[Tried]:
    """Try values until the study of the window has as many trials as wished, or until `stopped`.

    `progress` is told how many are done. All that are done are returned.

    Raises:
        ConfigurationError: the study was made with something else.
        JournalError: the storage cannot be used.
        GaveUpError: a backtest gave up, or a worker ended.

    """
    with opened(plan.wish.storage) as storage:
        study = studied(plan, window, storage)
        begin_with_file(plan, study)
        if done(study) < plan.wish.trials and not stopped():
            if plan.wish.jobs == 1:
                _work(plan, window, study, _Turns(plan.wish.trials), stopped, progress=progress)
            else:
                _share(plan, window, study, stopped, progress)
        return tried(study)


class _Turns:
    """Whose turn it is: no more trials are begun than are wanted, by all workers together."""

    def __init__(self, wanted: int, running: "Synchronized[int] | None" = None) -> None:
        self._wanted = wanted
        self._running: Synchronized[int] = running or multiprocessing.Value("i", 0)

    def take(self, study: Study) -> bool:
        with self._running.get_lock():
            if done(study) + self._running.value >= self._wanted:
                return False
            self._running.value += 1
            return True

    def give_back(self) -> None:
        with self._running.get_lock():
            self._running.value -= 1


def _work(
    plan: Plan,
    window: Window,
    study: Study,
    turns: _Turns,
    stopped: Callable[[], bool],
    *,
    progress: Callable[[int], object] = lambda _done: None,
) -> None:
    bench = plan.bench()
    while not stopped() and turns.take(study):
        try:
            try_next(plan, window, study, bench, stopped)
        finally:
            turns.give_back()
        progress(done(study))


def _share(
    plan: Plan,
    window: Window,
    study: Study,
    stopped: Callable[[], bool],
    progress: Callable[[int], object],
) -> None:
    context = multiprocessing.get_context("spawn")
    stop, running, failures = context.Event(), context.Value("i", 0), context.SimpleQueue()
    workers = [
        context.Process(target=_worker, args=(plan, window, stop, running, failures), daemon=True)
        for _ in range(min(plan.wish.jobs, plan.wish.trials - done(study)))
    ]
    with _out_of_reach_of_ctrl_c():
        for worker in workers:
            worker.start()
    known = done(study)
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.join(_LOOK_EVERY / len(workers))
        if stopped() or any(worker.exitcode for worker in workers):
            stop.set()
        if (now := done(study)) != known:
            known = now
            progress(now)
    if not failures.empty():
        kind, text = failures.get()
        raise kind(text)
    for worker in workers:
        if worker.exitcode and not stopped():
            raise GaveUpError(
                f"a worker of the search ended with exit code {worker.exitcode}: "
                "what was tried is kept, the same command goes on"
            )


@contextmanager
def _out_of_reach_of_ctrl_c() -> Iterator[None]:
    """Let what is started here never see Ctrl+C; this process sees it afterwards.

    Windows cannot do this: there Ctrl+C ends a worker that is still importing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _worker(
    plan: Plan,
    window: Window,
    stop: Event,
    running: "Synchronized[int]",
    failures: "SimpleQueue[tuple[type[OperatorError], str]]",
) -> None:
    """Run trials; Ctrl+C reaches the whole group, and the parent says when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assembly.set_up_logging(LoggingSettings(level=LogLevel.ERROR), to_file=False)
    parent = multiprocessing.parent_process()

    def stopped() -> bool:
        return stop.is_set() or (parent is not None and not parent.is_alive())

    try:
        with opened(plan.wish.storage) as storage:
            study = studied(plan, window, storage)
            _work(plan, window, study, _Turns(plan.wish.trials, running), stopped)
    except OperatorError as error:
        failures.put((type(error), str(error)))
        raise SystemExit(1) from None
