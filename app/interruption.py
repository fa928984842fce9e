"""Ctrl+C before a command's work is done: one line and an exit code instead of a traceback.

A command that is being imported ends at once; one that plays candles, after the running cycle. In
between Ctrl+C is Python's own KeyboardInterrupt. That is no way to end a run: it is raised between
any two steps, also where it is lost, as in a finaliser.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
LINE = "interrupted\n"


def end_while_starting() -> None:
    """Let Ctrl+C end the process at once when it is a command of ours that is only being imported.

    Anywhere else, and where Ctrl+C is ignored, nothing changes.
    """
    starting = sys.argv[:1] == ["-m"]  # Python puts the file's name there before it runs the file.
    if starting and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _received)


def raise_from_now_on() -> None:
    """Let Ctrl+C be a KeyboardInterrupt again: there may be something to tidy up."""
    if signal.getsignal(signal.SIGINT) is _received:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def deferred(stop: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl+C call `stop`, and raise KeyboardInterrupt once what runs here has ended.

    Where Ctrl+C is ignored or somebody else's, nothing changes.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    wished = False

    def wish(_number: int, _frame: FrameType | None) -> None:
        nonlocal wished
        wished = True
        stop()

    signal.signal(signal.SIGINT, wish)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if wished:
            raise KeyboardInterrupt


def end_at_once(line: str, code: int) -> NoReturn:
    """End the process as a kill would, but say so; here Python's own files cannot be written."""
    if sys.stderr is not None:
        with suppress(OSError):
            os.write(2, line.encode())
    os._exit(code)


def _received(_number: int, _frame: FrameType | None) -> None:
    end_at_once(LINE, EXIT_CODE)
