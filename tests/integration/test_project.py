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
BROUGHT_ALONG = {
    "annotated_types": "pydantic",
    "httpcore": "httpx",
    "pydantic_core": "pydantic",
    "starlette": "fastapi",
    "typing_extensions": "pydantic",
}
"""Module -> the distribution that cannot be without it."""
EXTRAS = {
    "app/bridge": "bridge",
    "app/adapters/journal": "postgresql",
    "app/optimize": "optimize",
}
"""Folder -> the extra whose distributions it may import, besides what is always installed."""
MARKETS = ("history_files", "replay", "simulated_market")
"""The adapters whose candles the bridge trades on too."""


def imports(path):
    """Return the absolute names of what a file imports: modules, or names in them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def distribution(module):
    name = module.partition(".")[0]
    return BROUGHT_ALONG.get(name) or DISTRIBUTION.get(name, name).lower()


def test_what_the_code_imports_is_declared():
    """M1: after `pip install` nothing is missing, and extras are asked for only where they belong.

    Red when EXTRAS is empty: the bridge imports what only its extra brings.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    always = {Requirement(line).name.lower() for line in project["dependencies"]}
    undeclared = []
    for path in (ROOT / "app").rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        extra = next((extras[it] for folder, it in EXTRAS.items() if place.startswith(folder)), [])
        declared = always | {Requirement(line).name.lower() for line in extra}
        undeclared += [
            (place, module)
            for module in imports(path)
            if module.partition(".")[0] not in sys.stdlib_module_names | {"app"}
            and distribution(module) not in declared
        ]
    assert undeclared == []


def test_the_bridge_and_the_daemon_do_not_need_each_other():
    """M1: the daemon runs without the extra, and the referee of its orders is independent of it.

    Red with any import of `app.bridge` elsewhere, or of a broker, service or limit in it.
    """
    shared = ("app.bridge.", "app.domain.", *(f"app.adapters.{name}." for name in MARKETS))
    for path in (ROOT / "app").rglob("*.py"):
        ours = [f"{it}." for it in imports(path) if it.startswith("app.")]
        if ROOT / "app" / "bridge" in path.parents:
            assert [it for it in ours if not it.startswith(shared)] == [], path
        else:
            assert [it for it in ours if it.startswith("app.bridge.")] == [], path


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


def test_every_command_the_guides_name_exists():
    """S17: the migration guide, the manual and the README name nothing that is not there."""
    named = set()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        named |= set(re.findall(r"python3? -m (app\.\w+)", page.read_text("utf-8")))
    assert {"app.main_orchestrated", "app.main_live_regime", "app.main_compare"} <= named
    for module in named:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
