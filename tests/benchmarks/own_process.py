"""A command in a process of its own: how long it took, its peak of memory, and what it said.

A process that asks for its own `ru_maxrss` is told, on Linux, at least what its starter had
resident, and RUSAGE_CHILDREN is the largest of all children so far. So a small process that holds
nothing starts the command, and asks for that one child. POSIX only.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_STARTER = """
import os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(child.pid, 0)
print(time.perf_counter() - began, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Ended(NamedTuple):
    """A process that ended well."""

    seconds: float
    peak: float  # resident MB
    said: list[str]


def run(*arguments: str, environ: Mapping[str, str] | None = None) -> Ended:
    """Run Python with `arguments` in the project's folder; raise when it fails."""
    command: Sequence[str] = (sys.executable, "-c", _STARTER, sys.executable, *arguments)
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    *said, figures = ended.stdout.splitlines()
    seconds, peak = figures.split()
    return Ended(float(seconds), float(peak), said)
