"""The `optimize:` section: what it may say, and what is refused with file and line."""

import re
from pathlib import Path

import pytest

from app import strict_yaml
from app.adapters.indicator_files import load_indicators
from app.adapters.strategy_files import load_strategies
from app.domain.errors import ConfigurationError
from app.indicators.registry import columns_of
from app.optimize.space import parameters_of, values_of_file
from app.strategies.search_space import Choices, Span, parsed, value_at, with_values

PROJECT = Path(__file__).parents[3]
RULES = """name: searched
timeframes: ["1"]
entry:
  long:
    conditions:
      - {signal: ema_5, operator: crosses_above, value: ema_13}
      - {signal: rsi, operator: "<", value: 70}
exit:
  long:
    time_based: {max_duration: "45m", min_duration: "3m"}
risk:
  position_sizing: {type: fixed, value: 0.1}
  sl: {type: fixed, value: 15}
optimize:
"""
FIRST = RULES.count("\n") + 1


@pytest.fixture
def load(tmp_path):
    """Load a strategy with these lines in its section; return its document."""

    def written(*lines):
        path = tmp_path / "strategies" / "eurusd" / "searched.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RULES + "".join(f"  {line}\n" for line in lines))
        columns = columns_of(load_indicators(PROJECT / "conf", "EURUSD", "1"))
        load_strategies(tmp_path, "EURUSD", lambda _: columns, magic=len)
        return strict_yaml.load(path)

    return written


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "entry.long.conditions[2].value: {low: 1, high: 2}",
            "no such value (did you mean 'entry.",
        ),
        ("entry.lomg.conditions[1].value: {low: 1, high: 2}", "did you mean 'entry.long.cond"),
        ("entry.long.conditions.1.value: {low: 1, high: 2}", "is no path"),
        ("entry.long.conditions[01].value: {low: 1, high: 2}", "is no path"),
        ("risk..sl.value: {low: 1, high: 2}", "is no path"),
        ("name: {choices: [a, b]}", "expected a value below entry, exit, risk"),
        ("timeframes[0]: {choices: [1, 5]}", "expected a value below entry, exit, risk"),
        ("risk.sl: {choices: [1, 5]}", "is a whole block"),
        ("entry.long.conditions[0].value: {low: 1, high: 2}", "is 'ema_13', no number"),
        ("risk.sl.value: {low: 0, high: 20}", "got 0, expected more than 0"),
        ("risk.sl.value: {choices: [10, ten]}", "got 'ten', expected a number"),
        ("risk.sl.value: {low: 20, high: 10}", "low is 20, expected less than high"),
        ("risk.sl.value: {low: 10, high: 20, step: 11}", "step is 11"),
        ("risk.sl.value: {low: 10, high: 20, step: 0}", "step is 0"),
        ("risk.sl.value: {low: ten, high: 20}", "got 'ten', expected a number"),
        ("risk.sl.value: {low: true, high: 20}", "got true, expected a number"),
        ("risk.sl.value: {low: 10, hihg: 20}", "did you mean 'high'?"),
        ("risk.sl.value: {choices: [10]}", "at least 2"),
        ("risk.sl.value: {choices: [10, 10.0]}", "choice 10.0 is given twice"),
        ("risk.sl.value: 10", "expected a mapping"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_line(load, line, said):
    """Red without `check_search_space`: the first eleven load as if nothing were wrong."""
    with pytest.raises(ConfigurationError) as error:
        load(line)
    assert re.match(rf".*searched\.yaml:{FIRST} optimize\.", str(error.value))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_only_several_values_make_impossible_is_left_to_the_trials(load):
    load('exit.long.time_based.max_duration: {choices: ["2m", "45m"]}')


def test_ranges_and_the_files_own_values(load):
    document = load(
        "entry.long.conditions[0].value: {choices: [ema_13, ema_20]}",
        "entry.long.conditions[1].value: {low: 60, high: 79, step: 5}",
        "risk.sl.value: {low: 5.0, high: 20}",
        "risk.position_sizing.value: {low: 0.1, high: 0.35, step: 0.1}",
    )
    average, level, stop, lots = parameters_of(document)
    assert average.candidates.extremes() == ("ema_13", "ema_20")
    assert level.candidates.extremes() == (60, 75)
    assert (level.candidates.whole, level.line) == (True, 7)
    assert (stop.candidates.whole, stop.candidates.steps) == (False, None)
    assert [lots.candidates.at(step) for step in range(3)] == [0.1, 0.2, 0.3]
    values = values_of_file((average, level, stop, lots))
    assert values == {
        "entry.long.conditions[0].value": "ema_13",
        "entry.long.conditions[1].value": 70,
        "risk.sl.value": 15.0,
        "risk.position_sizing.value": 0.1,
    }


@pytest.mark.parametrize("line", ["{low: 60, high: 79, step: 4}", "{low: 71, high: 79}"])
def test_a_value_of_the_file_outside_its_range_is_no_candidate(load, line):
    assert values_of_file(parameters_of(load(f"entry.long.conditions[1].value: {line}"))) is None


def test_only_the_place_named_is_changed():
    """What an anchor shares stays as it is elsewhere, and so does the document."""
    shared = {"value": 1}
    data = {"entry": [shared, shared]}
    changed = with_values(data, {"entry[1].value": (2, 3)})
    assert changed == {"entry": [{"value": 1}, {"value": [2, 3]}]}
    assert data == {"entry": [{"value": 1}, {"value": 1}]}


def test_a_path_is_what_messages_write():
    loc = parsed("entry.long.conditions[0].value")
    assert loc == ("entry", "long", "conditions", 0, "value")
    assert value_at({"a": [{"b": 5}]}, parsed("a[0].b")) == 5
    assert [parsed(path) for path in ("", ".a", "a.", "a[", "a[-1]", "a b")] == [None] * 6


def test_ranges_of_floats_have_no_rounding_errors():
    span = Span(low=0.1, high=0.7, step=0.2)
    assert [span.at(step) for step in range(span.steps + 1)] == [0.1, 0.3, 0.5, 0.7]
    assert Choices(choices=[True, "a", [1, 2]]).extremes() == (True, "a", (1, 2))


def test_the_example_of_the_guide_loads(tmp_path):
    """docs/OPTIMIZE.md shows what works."""
    guide = (PROJECT / "docs" / "OPTIMIZE.md").read_text("utf-8")
    (example,) = re.findall(r"(?ms)^```yaml\n(.*?)^```", guide)
    path = tmp_path / "strategies" / "eurusd" / "example.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(example)
    columns = columns_of(load_indicators(PROJECT / "conf", "EURUSD", "1"))
    load_strategies(tmp_path, "EURUSD", lambda _: columns, magic=len)
    assert len(parameters_of(strict_yaml.load(path))) == 4
