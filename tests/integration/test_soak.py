"""A slice of the soak: an hour of the market instead of days, and a daemon that does leak."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "proofs" / "soak.py"
LEAKS = ("memory", "handles", "threads")


@pytest.fixture(scope="module")
def soaks():
    """Soak a daemon and one with planted leaks, at the same time."""
    limit = ("--days", "2", "--limit", "100000")
    planted = [word for leak in LEAKS for word in ("--leak", leak)]
    started = [
        subprocess.Popen(
            [sys.executable, str(SOAK), *limit, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for options in (("--hours", "0.5"), ("--hours", "0.25", *planted))
    ]
    said = [process.communicate()[0] for process in started]
    return [(one.returncode, text) for one, text in zip(started, said, strict=True)]


def test_a_daemon_that_trades_keeps_neither_handles_nor_threads_nor_memory(soaks):
    """I26, I1, I3: of memory an hour shows only a gross leak; `tests/proofs/soak.py` takes days."""
    code, said = soaks[0]
    assert code == 0, said
    assert said.endswith("passed\n")
    days = [line.split() for line in said.splitlines()[1:4]]
    assert [day[0] for day in days] == ["warm-up", "1", "2"]
    assert all(int(day[8]) > 100 for day in days[1:]), f"candles: {said}"


@pytest.mark.parametrize("leak", LEAKS)
def test_a_soak_finds_what_leaks(soaks, leak):
    """Each is planted in the daemon's process; red without its line in `Outcome.wrong`."""
    code, said = soaks[1]
    assert code == 1, said
    assert any(line.startswith(f"{leak} gr") for line in said.splitlines()), said
    assert said.endswith("FAILED\n")
