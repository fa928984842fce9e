"""Replies of any shape: values that can be true or a source error, and nothing else."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from app.adapters.mt5.client import MaybeSentError
from app.domain.errors import SourceError
from tests.proofs.mangled_replies import mangled
from tests.unit.mt5 import replies
from tests.unit.mt5.misbehaving import reply

ROOT = Path(__file__).parents[3]


def test_a_mangled_reply_is_read_or_refused() -> None:
    """I21: a slice of `tests/proofs/mangled_replies.py`, which does a million.

    Red without the check of `decimal_of`, or with `RecursionError` not caught in `payload`.
    """
    proof = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "proofs" / "mangled_replies.py"), "--times", "8000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "0 wrong" in proof.stdout


def test_over_the_wire_too(rogue, client) -> None:
    calls = {
        "account": (client.account, replies.ACCOUNT),
        "positions": (client.positions, [replies.POSITION]),
        "order": (lambda: client.create_order("X", "BUY", 1), replies.MARKET_ORDER),
    }
    answered = 0
    for name, (call, said) in calls.items():
        for number in range(40):
            status, body = mangled(said, random.Random(f"{name} {number}"))
            rogue.answer(reply(status=status, body=body))
            try:
                call()
            except SourceError as error:
                assert name != "order" or isinstance(error, MaybeSentError)  # noqa: PT017 - or none
            else:
                answered += 1
    assert answered > 20
    assert sum(asked.method == "POST" for asked in rogue.asked) == 40


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000])
def test_brackets_and_digits_without_end_are_no_answer(rogue, client, body) -> None:
    rogue.answer(reply(body=body))
    with pytest.raises(SourceError, match="positions: no JSON"):
        client.positions()
