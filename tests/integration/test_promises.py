"""The map of the promises: each row is cited by a test of the suite, or named here as open."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = {"S": 18, "E": 8, "C": 29, "V": 14, "M": 18, "L": 56, "A": 10, "F": 12, "P": 30}
NOT_YET = {}
ROW = r"[SECVMLAFP]\d{1,2}(?:[-\u2013][SECVMLAFP]?\d{1,2})?"
LIST = re.compile(rf"(?:^|\()\s*({ROW}(?:(?:,| and)\s+{ROW})*)(?=[:.,;)]|$)", re.MULTILINE)
ONE = re.compile(r"([SECVMLAFP])(\d{1,2})(?:[-\u2013]\1?(\d{1,2}))?")


def rows():
    return {f"{letter}{n}" for letter, last in ROWS.items() for n in range(1, last + 1)}


def cited_in(text):
    """Return the rows cited at the beginning of a line or in parentheses.

    Elsewhere M5 is a timeframe. ``L1-L34`` cites all from the first to the last.
    """
    found = set()
    for listed in LIST.findall(text):
        for letter, first, last in ONE.findall(listed):
            found.update(f"{letter}{n}" for n in range(int(first), int(last or first) + 1))
    return found & rows()


def citations(folder=TESTS):
    """Return row -> the tests whose docstring, or whose class's docstring, cites it."""
    found = {}
    for path in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            named = getattr(node, "name", "")
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and named[:4].lower() == "test":
                for row in cited_in(ast.get_docstring(node) or ""):
                    found.setdefault(row, []).append(f"{path.name}::{named}")
    return found


def test_every_row_is_proven_or_named_as_open():
    """No promise is lost: a row without a test says who will keep it."""
    missing = sorted(rows() - citations().keys() - NOT_YET.keys())
    assert not missing, f"neither cited by a test nor in NOT_YET: {', '.join(missing)}"


def test_nothing_proven_is_named_as_open():
    """The map stays honest when a promise is kept at last."""
    kept = {row: tests for row, tests in citations().items() if row in NOT_YET}
    assert not kept, f"cited, so take them out of NOT_YET: {kept}"


def test_only_rows_are_named_as_open():
    assert NOT_YET.keys() <= rows()


def test_citations_are_read_from_docstrings_of_tests(tmp_path):
    (tmp_path / "test_x.py").write_text(
        'def test_a():\n    """S1, L3-L5 and M18: not S3, nor M1 bars (M16, P2). S4.\n\n'
        '    A1, A2."""\n'
        'def helper():\n    """S2."""\n'
        'class TestB:\n    """E1."""\n    def test_c(self):\n        # E2\n        pass\n'
    )
    found = citations(tmp_path)
    assert found.keys() == {"S1", "L3", "L4", "L5", "M18", "M16", "P2", "A1", "A2", "E1"}
    assert found["E1"] == ["test_x.py::TestB"]
