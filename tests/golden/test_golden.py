"""The run on the simulated market, byte for byte, in processes that hash differently."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GOLDEN = HERE / "trace.txt"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_run_is_the_committed_one(tmp_path, seed):
    """P16: same bars in, same decisions and trades out, in every process.

    When it is meant to differ: ``python tests/golden/regenerate.py``.
    """
    file = tmp_path / "trace.txt"
    subprocess.run(
        [sys.executable, str(HERE / "regenerate.py"), str(file)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    now, committed = file.read_text("utf-8"), GOLDEN.read_text("utf-8")
    assert now.splitlines() == committed.splitlines()
    assert now == committed


def test_the_committed_run_is_worth_comparing():
    """P16: it enters, moves stops, takes part of a profit, and leaves for many reasons."""
    committed = GOLDEN.read_text("utf-8")
    for told in ("placed", "filled", "stop of", "reduced", "take_profit", "stop_loss", "signal"):
        assert f" {told}" in committed
    assert committed.count(" closed ") > 100
    assert GOLDEN.stat().st_size < 200_000
