"""The strategies that come with the project, and the examples of its documentation, load."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app import strict_yaml
from app.adapters.indicator_files import load_indicators
from app.adapters.strategy_files import load_strategies
from app.domain.market import Timeframe
from app.domain.rows import Columns
from app.domain.rules import SizingKind, StopKind, TargetKind
from app.indicators.registry import columns_of
from app.strategies.evaluate import Strategy

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"
GUIDE = (PROJECT / "docs" / "STRATEGIES.md").read_text("utf-8")
EXAMPLES = re.findall(r"(?ms)^```yaml\n(.*?)^```", GUIDE)
DEFAULTS = {
    "name": "name: example\n",
    "timeframes": 'timeframes: ["1"]\n',
    "entry": 'entry: {long: {conditions: [{signal: close, operator: ">", value: ema_13}]}}\n',
    "risk": "risk: {position_sizing: {type: fixed, value: 0.1}}\n",
}


def columns(symbol: str) -> Callable[[Timeframe], Columns]:
    return lambda timeframe: columns_of(load_indicators(CONF, symbol, timeframe))


def shipped(symbol: str) -> tuple[Strategy, ...]:
    return load_strategies(CONF, symbol, columns(symbol), magic=len, rows_kept=6)


@pytest.mark.parametrize(("symbol", "least"), [("EURUSD", 4), ("GBPUSD", 1), ("BTCUSD", 1)])
def test_shipped_strategies_load_without_warnings(symbol, least):
    """S13: conf/ holds working strategies that keep within the default recent_rows_limit (C7)."""
    strategies = shipped(symbol)
    assert len(strategies) >= least
    assert [strategy.warnings for strategy in strategies] == [()] * len(strategies)
    assert all(strategy.rules.risk.stop is not None for strategy in strategies)


def test_shipped_strategies_show_the_language():
    strategies = {strategy.rules.name: strategy.rules for strategy in shipped("EURUSD")}
    follower = strategies["regime-trend-follower"]
    assert follower.timeframes == ("1", "5", "15")
    assert follower.risk.stop.kind is StopKind.TRAILING
    assert strategies["bollinger-breakout"].risk.target.kind is TargetKind.MULTI
    assert strategies["rsi-bollinger-reversion"].schedule is not None
    assert strategies["ema-cross-m1"].long_exit.max_duration is not None
    (bitcoin,) = shipped("BTCUSD")
    assert bitcoin.rules.risk.sizing.kind is SizingKind.VOLATILITY


def test_the_documentation_has_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_documentation_loads(example, tmp_path):
    """A fragment is completed with what a strategy file needs besides it."""
    if example.startswith("# conf/indicators/"):
        path = tmp_path / example.splitlines()[0].removeprefix("# conf/")
        path.parent.mkdir(parents=True)
        path.write_text(example, encoding="utf-8")
        assert load_indicators(tmp_path, "EURUSD", Timeframe(1))
        return
    path = tmp_path / "strategies" / "eurusd" / "example.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(example, encoding="utf-8")
    given = strict_yaml.load(path).data
    missing = "".join(text for key, text in DEFAULTS.items() if key not in given)
    path.write_text(missing + example, encoding="utf-8")
    (strategy,) = load_strategies(tmp_path, "EURUSD", columns("EURUSD"), magic=len, rows_kept=6)
    assert strategy.warnings == ()
