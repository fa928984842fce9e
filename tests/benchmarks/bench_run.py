"""A month of one-minute bars in three timeframes with the shipped strategies, as a whole process.

Uses the real bars beside the project when they are there, else a month of the simulated market.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "market_data" / "GBPUSD_M1_201202.csv"
RUNS = 3


def _environment() -> dict[str, str]:
    own = {"LOGGING_LEVEL": "WARNING", "MARKET_DATA_SPEED": "0"}
    if REAL.exists():
        own |= {
            "TRADING_SYMBOL": "GBPUSD",
            "MARKET_DATA_SOURCE": "file",
            "MARKET_DATA_PATH": str(REAL),
        }
    else:
        own |= {
            "TRADING_SYMBOL": "EURUSD",
            "MARKET_DATA_START": "2025-01-06",
            "MARKET_DATA_UNTIL": "2025-02-06",
        }
    return {**os.environ, **own}


def _run() -> tuple[float, float]:
    """Return wall seconds and peak resident MB of one run."""
    import resource  # noqa: PLC0415 - POSIX only, and so is this figure

    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "app.main_orchestrated"],
        cwd=ROOT,
        env=_environment(),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wall = time.perf_counter() - started
    return wall, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def rows() -> list[tuple[str, float, str]]:
    """Return the figures: the median time, and the largest peak of memory."""
    runs = sorted(_run() for _ in range(RUNS))
    source = "GBPUSD 2012-02, real" if REAL.exists() else "EURUSD, simulated"
    return [
        (f"a month of M1 in 3 timeframes ({source}), start to exit", runs[RUNS // 2][0], "s"),
        ("peak memory", max(memory for _, memory in runs), "MB"),
    ]
