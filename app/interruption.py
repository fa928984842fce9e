"""Ctrl+C before a command's work is done: one line and an exit code instead of a traceback.

The process ends where it stands, as a kill would end it; but what `gone_afterwards` names is gone.
Python's own KeyboardInterrupt is no way out: it is raised between any two steps, also where code
of others catches everything, and then the command goes on as if nobody had asked.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
LINE = "interrupted\n"
_passing: list[Path] = []


def end_commands() -> None:
    """Let Ctrl+C end the process when it is a command of ours, until that takes over itself.

    Anywhere else, and where Ctrl+C is ignored, nothing changes.
    """
    starting = sys.argv[:1] == ["-m"]  # Python puts the file's name there before it runs the file.
    if starting and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _received)


@contextmanager
def gone_afterwards(path: Path) -> Iterator[Path]:
    """Remove a file or folder, if it is there, after this block and where Ctrl+C ends it.

    On Windows Ctrl+C leaves what is open.
    """
    _passing.append(path)
    try:
        yield path
    finally:
        _remove(path)
        _passing.remove(path)


def end_at_once(line: str, code: int) -> NoReturn:
    """End the process as a kill would, but say so; here Python's own files cannot be written."""
    if sys.stderr is not None:
        with suppress(OSError):
            os.write(2, line.encode())
    os._exit(code)


def _received(_number: int, _frame: FrameType | None) -> None:
    for path in _passing:
        _remove(path)
    end_at_once(LINE, EXIT_CODE)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
