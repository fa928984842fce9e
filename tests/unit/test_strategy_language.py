"""What a strategy file may say, how liberally it may be spelled, and what is refused."""

from datetime import time, timedelta
from pathlib import Path

import pytest

from app.adapters.strategy_files import declared_timeframes, load_strategies
from app.domain.errors import ConfigurationError
from app.domain.market import Timeframe
from app.domain.rows import BASE_COLUMNS, Column, ColumnKind, Columns
from app.domain.rules import (
    ColumnRef,
    GuardedExit,
    Schedule,
    SessionHandling,
    Sizing,
    SizingKind,
    StopKind,
    StopRule,
    Target,
    TargetKind,
    TargetRule,
)
from app.strategies.evaluate import Strategy
from app.strategies.operators import SPELLINGS, Operator

M1, M5, M15 = Timeframe(1), Timeframe(5), Timeframe(15)
COLUMNS = Columns(
    (
        *BASE_COLUMNS,
        Column("ema_9"),
        Column("ema_21"),
        Column("atr"),
        Column("chikou", looks_ahead=True),
        Column("trend", ColumnKind.TEXT, ("bullish", "bearish")),
    )
)

ENTRY = """
entry:
  long:
    conditions:
      - {signal: ema_9, operator: ">", value: ema_21, timeframe: 1}
"""
RISK = """
risk:
  position_sizing: {type: fixed, value: 0.1}
"""
HEAD = "name: tested\ntimeframes: [1]\n"


def load(folder: Path, text: str, columns: Columns = COLUMNS) -> Strategy:
    path = folder / "strategies" / "eurusd" / "tested.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (found,) = load_strategies(folder, "EURUSD", lambda _: columns, magic=len)
    return found


def refusal(folder: Path, text: str, columns: Columns = COLUMNS) -> str:
    with pytest.raises(ConfigurationError) as error:
        load(folder, text, columns)
    message = str(error.value)
    assert "\n" not in message
    return message.removeprefix(str(folder / "strategies" / "eurusd") + "/")


def risk_of(folder: Path, risk: str, columns: Columns = COLUMNS):
    return load(folder, HEAD + ENTRY + "risk:\n" + risk, columns).rules.risk


FIXED = "  position_sizing: {type: fixed, value: 0.1}\n"


def test_a_minimal_file_loads(tmp_path):
    rules = load(tmp_path, HEAD + ENTRY + RISK).rules
    assert (rules.name, rules.symbol, rules.magic) == ("tested", "EURUSD", len("tested"))
    assert (rules.timeframes, rules.trigger) == ((M1,), M1)
    assert rules.risk.sizing == Sizing(SizingKind.FIXED, 0.1)
    assert rules.risk.references() == ()
    assert rules.schedule is None
    assert rules.long_exit == rules.short_exit == GuardedExit()


def test_a_whole_file_of_the_users_loads_unchanged(tmp_path):
    """V14 in spirit: words in capitals, quoted timeframes, anchors, empty blocks, free config."""
    subject = load(
        tmp_path,
        """
name: "Alpha: Trend"
meta: {version: "1.4.0", author: you, description: all of it, created_at: 2025-08-10T09:25:00Z}
config:
  anything: {goes: [here, 1, true]}
  up: &up
    signal: trend
    operator: CHANGES_TO
    value: "Bullish"
    timeframe: "15"
    lookback: 2
activation:
  enabled: true
  schedule:
    days: [MONDAY, "tue", Sunday]
    hours: "08:00-12:00, 13:30-24:00"
    session_handling: CLOSE_ALL
timeframes: ["15", M1, 5, "1"]
trigger: "5"
entry:
  long:
    mode: ALL
    conditions:
      - *up
      - {signal: ema_9, operator: GREATER_THAN, value: previous_ema_9, timeframe: "1", lookback: 1}
  short:
    mode: Complex
    tree:
      operator: AND
      conditions:
        - {signal: trend, operator: "==", value: BEARISH, timeframe: M15}
        - operator: NOT
          conditions:
            - {signal: ema_9, operator: between, value: [1, 1.5], timeframe: 5}
exit:
  long:
    mode: any
    conditions: []
    time_based: {max_duration: "1w", min_duration: 30m}
    profit_guard: {max_drawdown: 0.4, trailing: 0.25}
  short:
risk:
  position_sizing: {type: PERCENTAGE, value: 1.0}
  sl: {type: Monetary, value: 500, trailing: false}
  tp:
    type: multi_target
    targets:
      - {value: 2.0, percent: 40, move_stop: false}
      - {value: 1.0, percent: 60, move_stop: true}
""",
    )
    rules = subject.rules
    assert (rules.timeframes, rules.trigger) == ((M15, M1, M5), M5)
    assert rules.schedule == Schedule(
        frozenset({0, 1, 6}),
        ((time(8), time(12)), (time(13, 30), time(0))),
        SessionHandling.CLOSE_ALL,
    )
    assert rules.long_exit == GuardedExit(timedelta(weeks=1), timedelta(minutes=30), 0.4, 0.25)
    assert rules.risk.stop == StopRule(StopKind.MONETARY, 500.0)
    assert rules.risk.target == TargetRule(
        TargetKind.MULTI, targets=(Target(1.0, 60.0, move_stop=True), Target(2.0, 40.0))
    )
    held, sized = subject.warnings
    assert "min_duration: holds nothing back" in held
    assert "percentage beside a monetary stop" in sized


def test_every_operator_has_its_symbol_and_its_word_in_capitals():
    assert {SPELLINGS[each.value.upper()] for each in Operator} == set(Operator)
    assert {SPELLINGS[each.name] for each in Operator} == set(Operator)


@pytest.mark.parametrize(
    "spelling", [">=", "GTE", "Greater Than Or Equal", "greater_than_or_equal"]
)
def test_an_operator_may_be_spelled_as_symbol_or_word_in_any_case(tmp_path, spelling):
    (fact,) = load(tmp_path, (HEAD + ENTRY + RISK).replace('">"', f'"{spelling}"')).explain({})
    assert fact.operator == ">="


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("name: tested", "nmae: tested"), "tested.yaml:1 nmae: unknown key 'nmae' (did you mean"),
        (("name: tested", "name: ''"), "tested.yaml:1 name:"),
        (("name: tested", "name: 7"), "expected text"),
        (("timeframes: [1]", "timeframes: []"), "tested.yaml:2 timeframes:"),
        (
            ("timeframes: [1]", "timeframes: [7]"),
            "tested.yaml:2 timeframes[0]: unknown timeframe '7'",
        ),
        (("timeframes: [1]", "timeframes: [1]\ntrigger: 5"), "trigger 5 is not among timeframes 1"),
        (("long:", "lnog:"), "entry.lnog: unknown key 'lnog' (did you mean 'long'?)"),
        (
            ("signal:", "signl:"),
            "tested.yaml:7 entry.long.conditions[0].signl: unknown key 'signl'",
        ),
        (
            ('">"', "crosses_abvoe"),
            "unknown operator 'crosses_abvoe' (did you mean 'crosses_above'?)",
        ),
        (("ema_21, ", "null, "), "value is missing: '>' compares with one"),
        (("ema_21, ", "{a: 1}, "), "expected a number, true, false, a text or a column name"),
        (("ema_9, ", "ema_8, "), "unknown column 'ema_8'"),
        (("timeframe: 1}", "timeframe: 1, lookback: 0}"), "lookback: got 0, expected at least 1"),
        (("timeframe: 1}", "timeframe: 1, lookback: two}"), "expected a whole number"),
        (("timeframe: 1}", "timeframe: 1, required_confidence: 60}"), "expected at most 1"),
        (("long:\n", "long:\n    mode: al\n"), "mode: got 'al', expected 'all', 'any', 'complex'"),
        (("long:\n", "long:\n    mode: complex\n"), "mode complex needs a tree"),
        (("type: fixed", "type: fxied"), "unknown"),
        (("value: 0.1", "value: '0.1'"), "position_sizing.value: got '0.1', expected a number"),
        (("value: 0.1", "value: 0"), "expected more than 0"),
        (("value: 0.1", "value: .nan"), "position_sizing.value"),
        (("{type: fixed, value: 0.1}", "{value: 0.1}"), "position_sizing.type: is missing"),
        (("risk:", "riks:"), "riks: unknown key 'riks' (did you mean 'risk'?)"),
    ],
)
def test_a_bad_value_is_named_with_file_line_path_and_nearest_name(tmp_path, changed, message):
    good = HEAD + ENTRY + RISK
    assert changed[0] in good
    text = refusal(tmp_path, good.replace(*changed, 1))
    expected = message if message != "unknown" else "'fixed', 'percentage' or 'volatility'"
    assert expected in text
    assert text.startswith("tested.yaml:")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("entry: {}", "expected a long or a short rule set"),
        (
            "entry: {long: {mode: any, tree: {operator: and, conditions: [*c]}}}",
            "needs mode complex",
        ),
        (
            "entry: {long: {mode: tree, conditions: [*c], tree: {operator: or, conditions: [*c]}}}",
            "mode tree takes a tree and no conditions of its own",
        ),
        (
            "entry: {long: {conditions: [*c], tree: {operator: and, conditions: [*c]}}}",
            "expected conditions or a tree, not both",
        ),
        (
            "entry: {long: {tree: {operator: not, conditions: [*c, *c]}}}",
            "'not' takes exactly one condition, not 2",
        ),
        ("entry: {long: {tree: {operator: nor, conditions: [*c]}}}", "tree.operator: got 'nor'"),
        ("entry: {long: {tree: {operator: or, conditions: []}}}", "entry.long.tree.conditions"),
        (
            "entry: {long: {tree: {operator: or, conditions: [{operator: or, conditoins: [*c]}]}}}",
            "entry.long.tree.conditions[0].conditoins: unknown key 'conditoins'",
        ),
        ("exit: {long: {time_based: {max_duration: 30}}}", "expected a duration such as 30m"),
        ("exit: {long: {time_based: {max_duration: 0m}}}", "expected a duration such as 30m"),
        (
            "exit: {long: {time_based: {max_duration: 1h, min_duration: 60m}}}",
            "min_duration must be shorter than max_duration",
        ),
        ("exit: {long: {profit_guard: {max_drawdown: 40}}}", "expected at most 1"),
        ("activation: {enabled: yes please}", "activation.enabled"),
        (
            "activation: {schedule: {days: [mon, tuseday]}}",
            "unknown day 'tuseday': expected mon … sun",
        ),
        ("activation: {schedule: {hours: 8-17}}", "expected hours such as 08:00-17:30"),
        ("activation: {schedule: {hours: 5}}", "expected hours such as 08:00-17:30"),
        ("activation: {schedule: {hours: '08:00-25:00'}}", "from 00:00 to 24:00"),
        ("activation: {schedule: {session_handling: keep}}", "session_handling: got 'keep'"),
        ("meta: {vesion: 1}", "meta.vesion: unknown key 'vesion' (did you mean 'version'?)"),
    ],
)
def test_a_bad_block_is_refused(tmp_path, block, message):
    anchored = (
        "config: {c: &c {signal: ema_9, operator: '>', value: 1, timeframe: 1}}\n" + block + "\n"
    )
    text = HEAD + anchored + RISK + ("" if block.startswith("entry") else ENTRY)
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("risk", "sizing"),
    [
        ("  position_sizing: {type: fixed, value: 1}\n", Sizing(SizingKind.FIXED, 1.0)),
        ("  position_sizing: {type: percentage, value: 2}\n", Sizing(SizingKind.PERCENTAGE, 2.0)),
        (
            "  position_sizing: {type: volatility, value: 1.5}\n",
            Sizing(SizingKind.VOLATILITY, 1.5, ColumnRef(M1, "atr")),
        ),
        (
            "  position_sizing: {type: volatility, value: 1.5, atr: ema_9}\n",
            Sizing(SizingKind.VOLATILITY, 1.5, ColumnRef(M1, "ema_9")),
        ),
    ],
)
def test_sizing(tmp_path, risk, sizing):
    assert risk_of(tmp_path, risk).sizing == sizing


@pytest.mark.parametrize(
    "risk",
    [
        "  position_sizing: {type: fixed, value: 1, atr_distance: 0.5}\n",
        "  position_sizing: {type: fixed, value: 1}\n  atr_distance: 0.5\n",
    ],
)
def test_atr_distance_may_stand_in_either_place(tmp_path, risk):
    rules = risk_of(tmp_path, risk)
    assert (rules.atr_distance, rules.atr) == (0.5, ColumnRef(M1, "atr"))
    assert rules.references() == (ColumnRef(M1, "atr"),)


def test_an_atr_distance_of_zero_is_a_market_order(tmp_path):
    rules = risk_of(tmp_path, "  position_sizing: {type: fixed, value: 1, atr_distance: 0}\n")
    assert (rules.atr_distance, rules.atr) == (None, None)


@pytest.mark.parametrize(
    ("sl", "stop"),
    [
        ("{type: fixed, value: 20}", StopRule(StopKind.FIXED, 20.0)),
        (
            "{type: fixed, value: 20, trailing: {enabled: true, step: 5}}",
            StopRule(StopKind.FIXED, 20.0, trail_step=5.0),
        ),
        (
            "{type: fixed, value: 20, trailing: {enabled: false, step: 5}}",
            StopRule(StopKind.FIXED, 20.0),
        ),
        ("{type: MONETARY, value: 500}", StopRule(StopKind.MONETARY, 500.0)),
        (
            "{type: monetary, value: 500, trailing: {step: 25}}",
            StopRule(StopKind.MONETARY, 500.0, trail_step=25.0),
        ),
        (
            "{type: indicator, source: ema_21, timeframe: '1', offset: 2}",
            StopRule(StopKind.INDICATOR, source=ColumnRef(M1, "ema_21"), offset=2.0),
        ),
        (
            "{type: trailing, step: 20, activation_price: 30, cap: 100}",
            StopRule(StopKind.TRAILING, trail_step=20.0, activation=30.0, cap=100.0),
        ),
        ("{type: trailing, step: 20}", StopRule(StopKind.TRAILING, trail_step=20.0)),
    ],
)
def test_stops(tmp_path, sl, stop):
    assert risk_of(tmp_path, f"{FIXED}  sl: {sl}\n").stop == stop


@pytest.mark.parametrize(
    ("tp", "target"),
    [
        ("{type: fixed, value: 30}", TargetRule(TargetKind.FIXED, 30.0)),
        (
            "{type: Indicator, source: ema_21}",
            TargetRule(TargetKind.INDICATOR, source=ColumnRef(M1, "ema_21")),
        ),
    ],
)
def test_targets(tmp_path, tp, target):
    assert risk_of(tmp_path, f"{FIXED}  tp: {tp}\n").target == target


@pytest.mark.parametrize(
    ("risk", "message"),
    [
        (FIXED + "  sl: {type: atr, value: 1}", "risk.sl: unknown 'type' 'atr': expected one of"),
        (FIXED + "  sl: {value: 1}", "risk.sl: 'type' is missing"),
        (FIXED + "  sl: 12", "risk.sl"),
        (FIXED + "  sl: {type: fixed, value: -5}", "risk.sl.value: got -5, expected more than 0"),
        (FIXED + "  sl: {type: fixed, value: 20, setp: 5}", "risk.sl.setp: unknown key 'setp'"),
        (FIXED + "  sl: {type: fixed, value: 20, trailing: true}", "true alone gives no distance"),
        (FIXED + "  sl: {type: indicator, source: emma_21}", "(did you mean 'ema_21'?)"),
        (FIXED + "  sl: {type: indicator, source: trend}", "expected a column of numbers"),
        (FIXED + "  sl: {type: indicator, source: chikou}", "'chikou' looks ahead"),
        (FIXED + "  sl: {type: indicator, source: previous_ema_9}", "column of the newest candle"),
        (FIXED + "  sl: {type: indicator, source: ema_9, timeframe: 5}", "is not among timeframes"),
        (FIXED + "  tp: {type: indicator, source: ema_21, offset: 3}", "risk.tp.offset"),
        (
            FIXED + "  tp: {type: multi_target, targets: [{value: 1, percent: 60}]}",
            "risk.tp: the percents of the targets must sum to 100, not 60",
        ),
        (FIXED + "  tp: {type: multi_target, targets: []}", "risk.tp.targets"),
        (
            "  position_sizing: {type: percentage, value: 150}",
            "a percentage of the balance up to 100",
        ),
        ("  position_sizing: {type: fixed, value: 1, atr: atr}", "nothing reads it"),
        (
            "  atr_distance: 1\n  position_sizing: {type: fixed, value: 1, atr_distance: 1}",
            "atr_distance is given twice",
        ),
        ("  sl: {type: fixed, value: 20}", "risk.position_sizing: is missing"),
    ],
)
def test_a_bad_risk_block_is_refused(tmp_path, risk, message):
    assert message in refusal(tmp_path, HEAD + ENTRY + "risk:\n" + risk + "\n")


VOLATILITY = HEAD + ENTRY + "risk: {position_sizing: {type: volatility, value: 1}}\n"


def test_volatility_without_an_atr_column_is_refused(tmp_path):
    columns = Columns((*BASE_COLUMNS, Column("ema_9"), Column("ema_21")))
    assert "no indicator of timeframe 1 is an atr" in refusal(tmp_path, VOLATILITY, columns)


SLOW = """name: tested
timeframes: [60]
risk: {position_sizing: {type: fixed, value: 0.1}}
entry:
  long:
    conditions:
      - {signal: SIGNAL, operator: ">", value: VALUE}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SLOW.replace("SIGNAL", "close").replace("VALUE", "ema_5"),
            "'close' holds numbers: 'ema_5' is neither one of them nor a column of timeframe 60",
        ),
        (
            SLOW.replace("SIGNAL", "ema_5").replace("VALUE", "1"),
            "unknown column 'ema_5': no indicator of timeframe 60 provides it",
        ),
        (
            SLOW.replace("SIGNAL", "close").replace("VALUE", "1").replace("fixed", "volatility"),
            "needs an ATR: no indicator of timeframe 60 is an atr",
        ),
    ],
)
def test_a_column_of_a_timeframe_without_an_indicator_file_names_the_file(tmp_path, text, message):
    columns = Columns(BASE_COLUMNS)
    path = tmp_path / "indicators" / "eurusd" / "eurusd_60.yaml"
    refused = refusal(tmp_path, text, columns)
    assert message in refused
    assert refused.endswith(f": {path} is missing")
    path.parent.mkdir(parents=True)
    path.with_name("eurusd_H1.yaml").write_text("# nothing yet", encoding="utf-8")
    assert "is missing" not in refusal(tmp_path, text, columns)


def test_several_atr_columns_are_not_guessed_between(tmp_path):
    columns = Columns((*COLUMNS.columns[:-3], Column("atr_7"), Column("atr_50")))
    assert "expected atr: one of atr_7, atr_50" in refusal(tmp_path, VOLATILITY, columns)


@pytest.mark.parametrize(
    ("risk", "warning"),
    [
        (
            FIXED + "  sl: {type: fixed, value: 2.5}",
            ":10 risk.sl.value: a fixed stop of 2.5 is read as 2.5 pips from the entry "
            "(the old system read values below 10 as a price)",
        ),
        (
            FIXED + "  sl: {type: trailing, step: 0.004}",
            ":10 risk.sl.step: 0.004 is read as 0.004 pips, a part of one pip",
        ),
        (
            FIXED + "  sl: {type: fixed, value: 20, trailing: {step: 0.5}}",
            ":10 risk.sl.trailing.step: 0.5 is read as 0.5 pips, a part of one pip",
        ),
        (
            FIXED + "  sl: {type: trailing, step: 5, activation_price: 1.1052}",
            ":10 risk.sl.activation_price: 1.1052 is read as 1.1052 pips, not as a price",
        ),
        (
            FIXED + "  sl: {type: indicator, source: ema_9, trailing: {step: 5}}",
            ":10 risk.sl.trailing: an indicator stop follows its column: step is not used",
        ),
        (
            "  position_sizing: {type: fixed, value: 1000}",
            ":9 risk.position_sizing.value: 1000 is read as lots (the old system read money)",
        ),
    ],
)
def test_values_read_differently_by_the_old_system_load_with_a_warning(tmp_path, risk, warning):
    (said,) = load(tmp_path, HEAD + ENTRY + "risk:\n" + risk + "\n").warnings
    assert said == f"{tmp_path / 'strategies' / 'eurusd' / 'tested.yaml'}{warning}"


@pytest.mark.parametrize(
    ("block", "warning"),
    [
        (
            "exit: {short: {time_based: {max_duration: 1h}}}",
            "exit.short: has nothing to close: there is no entry.short",
        ),
        (
            "exit: {long: {time_based: {min_duration: 1h}}}",
            "exit.long.time_based.min_duration: holds nothing back: exit.long has no conditions",
        ),
        (
            "activation: {schedule: {days: []}}",
            "activation.schedule.days: names no day, which is read as every day",
        ),
        (
            "activation: {schedule: {session_handling: close_all}}",
            "activation.schedule.session_handling: close_all never comes: a schedule without days "
            "and hours has no end",
        ),
    ],
)
def test_what_cannot_act_as_written_loads_with_a_warning(tmp_path, block, warning):
    (said,) = load(tmp_path, HEAD + ENTRY + RISK + block + "\n").warnings
    assert said.endswith(warning)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / "strategies" / "eurusd" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def load_all(folder: Path, symbol: str = "EURUSD", **more: int) -> list[str]:
    loaded = load_strategies(folder, symbol, lambda _: COLUMNS, magic=len, **more)
    return [strategy.rules.name for strategy in loaded]


def named(name: str, more: str = "") -> str:
    return (HEAD + ENTRY + RISK).replace("tested", name) + more


def test_strategies_load_in_the_order_of_their_file_names(tmp_path):
    for file, name in (("b.yaml", "first"), ("c.yml", "second"), ("a.yaml", "zeroth")):
        write(tmp_path, file, named(name))
    write(tmp_path, ".c.yaml", "not: read")
    write(tmp_path, "notes.txt", "not read")
    assert load_all(tmp_path) == ["zeroth", "first", "second"]


def test_two_strategies_of_one_name_are_refused(tmp_path):
    write(tmp_path, "a.yaml", named("twin"))
    write(tmp_path, "b.yaml", named("twin"))
    with pytest.raises(
        ConfigurationError, match=r"b\.yaml:1 name: 'twin' is already the name of .*a\.yaml"
    ):
        load_all(tmp_path)


DISABLED = "activation: {enabled: false}\n"


def test_a_disabled_strategy_is_checked_but_not_loaded(tmp_path):
    write(tmp_path, "a.yaml", named("on"))
    write(tmp_path, "b.yaml", named("off", DISABLED).replace("[1]", "[1, 60]"))
    assert load_all(tmp_path) == ["on"]
    assert declared_timeframes(tmp_path, "EURUSD") == (M1,)
    write(tmp_path, "b.yaml", named("off", DISABLED).replace("ema_9", "ema_8"))
    with pytest.raises(ConfigurationError, match="unknown column 'ema_8'"):
        load_all(tmp_path)


def test_declared_timeframes_are_those_of_all_enabled_strategies(tmp_path):
    """C26: the timeframes traded are the configured ones and those a strategy declares."""
    write(tmp_path, "a.yaml", named("a").replace("[1]", "[H1, 1]"))
    write(tmp_path, "b.yaml", named("b").replace("[1]", "['5', 1]"))
    assert declared_timeframes(tmp_path, "EURUSD") == (M1, M5, Timeframe("H1"))


def test_a_symbol_without_strategies_is_refused_with_those_that_have_some(tmp_path):
    write(tmp_path, "a.yaml", named("a"))
    (tmp_path / "strategies" / "gbpusd").mkdir()
    with pytest.raises(ConfigurationError) as error:
        load_all(tmp_path, "EURUSDm")
    assert str(error.value) == (
        f"no strategies for EURUSDm: expected {tmp_path}/strategies/eurusdm/*.yaml; "
        "there are some for eurusd (did you mean 'eurusd'?)"
    )


def test_a_missing_conf_folder_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no strategies for EURUSD: expected"):
        load_all(tmp_path / "nowhere")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "strategies").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no strategies for EURUSD"):
        load_all(tmp_path)


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    write(tmp_path, "a.yaml", named("a"))

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigurationError, match="eurusd cannot be read: Permission denied"):
        load_all(tmp_path)


def test_looking_back_over_more_rows_than_are_kept_is_refused(tmp_path):
    """C7: a lookback beyond recent_rows_limit could never be answered."""
    crossing = named("deep").replace('">"', "crosses_above").replace("ema_21,", "1, lookback: 6,")
    write(tmp_path, "a.yaml", crossing)
    assert load_all(tmp_path, rows_kept=7) == ["deep"]
    with pytest.raises(ConfigurationError, match="looks back over 7 rows of timeframe 1, but 6"):
        load_all(tmp_path, rows_kept=6)


def test_any_candle_triggers_on_the_fastest_declared_timeframe(tmp_path):
    """C10: evaluation_mode on_any_candle overrides `trigger:`."""
    text = HEAD.replace("[1]", "[1, 5]\ntrigger: 5") + ENTRY + RISK
    assert load(tmp_path, text).rules.trigger == M5
    (found,) = load_strategies(tmp_path, "EURUSD", lambda _: COLUMNS, magic=len, any_candle=True)
    assert found.rules.trigger == M1
