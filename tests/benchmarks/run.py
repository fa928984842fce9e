"""All benchmarks in one table: ``python tests/benchmarks/run.py [backtest bus run ...]``.

A topic is a file beside this one, ``bench_<topic>.py``.
Absolute figures drift with the machine; ratios of one run are what counts.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def load(path: Path) -> ModuleType:
    """Import one benchmark by its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main(wanted: list[str]) -> None:
    """Run the named benchmarks, all by default."""
    for path in sorted(HERE.glob("bench_*.py")):
        topic = path.stem.removeprefix("bench_")
        if wanted and topic not in wanted:
            continue
        print(f"\n{topic}")
        for name, value, unit in load(path).rows():
            print(f"  {name:<62} {value:>12,.2f} {unit}")


if __name__ == "__main__":
    main(sys.argv[1:])
