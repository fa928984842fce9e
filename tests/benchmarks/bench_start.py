"""From the start of the process to its first cycle, on the simulated market."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 5


def _first_cycle() -> float:
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "app.main_orchestrated"],
        cwd=ROOT,
        env={**os.environ, "LOGGING_LEVEL": "INFO", "MARKET_DATA_SPEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Fetched data for" in line:
                return time.perf_counter() - started
    finally:
        process.kill()
        process.wait()
    raise RuntimeError("the daemon ended before its first cycle")


def rows() -> list[tuple[str, float, str]]:
    """Return the median."""
    return [("process start to first cycle", sorted(_first_cycle() for _ in range(RUNS))[2], "s")]
