"""The project around the code: what is declared, shipped and written about it is so."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DISTRIBUTION = {
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "pandas_ta_classic": "pandas-ta-classic",
    "talib": "ta-lib",
    "yaml": "pyyaml",
}
BROUGHT_ALONG = {"annotated_types", "pydantic_core", "typing_extensions"}
"""By pydantic, which cannot be without them."""


def test_what_the_code_imports_is_declared():
    """M1: after `pip install` nothing is missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {Requirement(line).name.lower() for line in project["dependencies"]}
    imported = set()
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"app"} - BROUGHT_ALONG
    assert {DISTRIBUTION.get(name, name).lower() for name in foreign} <= declared


def test_the_coverage_that_is_demanded():
    """P15: of lines and of branches, in every CI run."""
    branch = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage"]["run"]
    assert branch["branch"] is True
    demanded = re.search(r"--cov-fail-under=(\d+)", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert int(demanded[1]) >= 95


def test_every_path_in_the_architecture_exists():
    """S15: the tree of docs/ARCHITECTURE.md is the tree of the project."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    tree = next(block for block in page.split("```") if block.strip().startswith("app/"))
    named = re.findall(r"^  ([\w/]+(?:\.py|/))", tree, re.MULTILINE)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "app" / name).exists()] == []
    written = re.findall(r"`(app/[\w/]+\.py|conf/\w*|docs/[\w./]+)`", page)
    assert [name for name in written if not (ROOT / name).exists()] == []
    linked = re.findall(r"\]\(([\w./-]+\.md)\)", page)
    assert linked
    assert [name for name in linked if not (ROOT / "docs" / name).exists()] == []


@pytest.mark.parametrize("symbol", ["EURUSD", "GBPUSD", "BTCUSD"])
def test_every_shipped_symbol_runs(connect, symbol):
    """M3, S13, V1: conf/ has strategies and indicators that work for it."""
    run = connect({"SYMBOL": symbol, "MARKET_DATA_UNTIL": "2025-01-06T08:30Z"}).to_the_end()
    evaluated = run.metrics("services", "strategy_evaluation", "strategies_evaluated")
    assert evaluated >= 6 * len(run.parts.strategies[symbol])
    assert run.metrics("services", "strategy_evaluation", "not_ready") == 0
    assert all(run.parts.indicators[symbol, each] for each in run.parts.timeframes(symbol))
