"""Several questions at the same time, few enough for the bridge, answered in their order."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from app.adapters.mt5.transport import NoAnswerError, UnreachableError
from app.domain.errors import SourceError

T = TypeVar("T")


class Workers:
    """Threads that ask, `count` of them at most."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="bridge")

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T | SourceError]:
        """Make the calls; return what each gave, in their order.

        Once one has waited in vain, for its whole deadline or for a connection, those not begun
        are not made.
        """
        silent = threading.Event()

        def made(call: Callable[[], T]) -> T | SourceError:
            if silent.is_set():
                return NoAnswerError("not asked, for the bridge does not answer")
            try:
                return call()
            except (NoAnswerError, UnreachableError) as error:
                silent.set()
                return error
            except SourceError as error:
                return error

        if len(calls) == 1:
            return [made(calls[0])]
        begun = [self._threads.submit(copy_context().run, made, call) for call in calls]
        return [one.result() for one in begun]

    def close(self) -> None:
        """End the threads once they are done with what they do."""
        self._threads.shutdown(cancel_futures=True)
