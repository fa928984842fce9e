"""A month of one-minute bars in three timeframes with the shipped strategies, as a whole process.

Uses the real bars beside the project when they are there, else a month of the simulated market.
"""

from pathlib import Path

import own_process

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
    return own


def rows() -> list[tuple[str, float, str]]:
    """Return the figures: the median time, and the largest peak of memory."""
    environ = _environment()
    runs = sorted(
        own_process.run("-m", "app.main_orchestrated", environ=environ) for _ in range(RUNS)
    )
    source = "GBPUSD 2012-02, real" if REAL.exists() else "EURUSD, simulated"
    return [
        (f"a month of M1 in 3 timeframes ({source}), start to exit", runs[RUNS // 2].seconds, "s"),
        ("peak memory", max(run.peak for run in runs), "MB"),
    ]
