"""`--decisions FILE`: one JSON line per strategy and evaluation, with what was traded on it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from app.adapters.decision_file import decision_file
from app.bus import EventBus
from app.domain.errors import ConfigurationError
from app.domain.market import Candle, Timeframe
from app.domain.orders import Action, CloseReason, Intent, OrderKind
from app.domain.signals import Decision, Direction, Fact, Truth
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    OrderPlacedEvent,
    StrategiesEvaluatedEvent,
)

M5, H1 = Timeframe(5), Timeframe(60)
OPENED = datetime(2025, 1, 6, 11, 55, tzinfo=UTC)


def candle(symbol: str = "EURUSD", opened: datetime = OPENED) -> Candle:
    return Candle(symbol, M5, opened, opened + M5.delta, 1.1, 1.2, 1.0, 1.1)


def decision(
    strategy: str = "cross",
    *,
    of: Candle | None = None,
    entry_long: Truth = False,
    facts: tuple[Fact, ...] = (),
) -> Decision:
    of = of or candle()
    return Decision(
        time=of.close_time,
        symbol=of.symbol,
        strategy=strategy,
        timeframe=M5,
        candle=of,
        entry_long=entry_long,
        entry_short=None,
        exit_long=False,
        exit_short=True,
        regimes={M5: "bull_expansion", H1: "warming_up"},
        levels={},
        facts=facts,
    )


def evaluated(*decisions: Decision) -> StrategiesEvaluatedEvent:
    of = decisions[0].candle
    return StrategiesEvaluatedEvent(symbol=of.symbol, timeframe=M5, candle=of, decisions=decisions)


def order(
    strategy: str = "cross",
    *,
    action: Action = Action.ENTRY,
    of: Candle | None = None,
    stop: str | None = "1.0950",
    targets: tuple[str, ...] = ("1.1100", "1.1200"),
) -> OrderPlacedEvent:
    of = of or candle()
    intent = Intent(
        client_id="id",
        strategy=strategy,
        magic=7,
        symbol=of.symbol,
        timeframe=M5,
        candle_time=of.time,
        action=action,
        leg=0,
        direction=Direction.LONG,
        kind=OrderKind.MARKET,
        volume=Decimal("0.30"),
        stop_loss=None if stop is None else Decimal(stop),
        ticket=None if action is Action.ENTRY else 12,
        close_reason=None if action is Action.ENTRY else CloseReason.SIGNAL,
        expected_price=Decimal("1.1003"),
        targets=tuple(Decimal(target) for target in targets),
    )
    return OrderPlacedEvent(intent=intent, ticket=12)


class Cycles:
    """Publishes cycles as the orchestrator does."""

    def __init__(self, bus: EventBus) -> None:
        self.bus = bus
        self.number = 0

    def run(self, *events: StrategiesEvaluatedEvent | OrderPlacedEvent) -> None:
        self.number += 1
        time = OPENED + timedelta(minutes=self.number)
        self.bus.publish(CycleStartedEvent(cycle=self.number, time=time))
        for event in events:
            self.bus.publish(event)
        self.bus.publish(CycleCompletedEvent(cycle=self.number, time=time))


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_tells_the_decision(bus: EventBus, path: Path) -> None:
    with decision_file(path, bus):
        Cycles(bus).run(evaluated(decision(entry_long=True)))
    (line,) = lines(path)
    assert list(line.items()) == [
        ("time", "2025-01-06T12:00:00+00:00"),
        ("symbol", "EURUSD"),
        ("strategy", "cross"),
        ("timeframe", "5"),
        ("entry_long", True),
        ("entry_short", "not_ready"),
        ("exit_long", False),
        ("exit_short", True),
        ("regime", {"5": "bull_expansion", "60": "warming_up"}),
        ("trades", []),
    ]


def test_a_line_tells_what_was_traded_on_it(bus: EventBus, path: Path) -> None:
    with decision_file(path, bus):
        Cycles(bus).run(
            evaluated(decision(entry_long=True)),
            order(action=Action.EXIT),
            order(),
            order(stop=None, targets=()),
        )
    (line,) = lines(path)
    assert line["trades"] == [
        {"action": "exit", "direction": "long", "size": 0.3, "reason": "signal"},
        {
            "action": "entry",
            "direction": "long",
            "size": 0.3,
            "entry": 1.1003,
            "stop": 1.095,
            "targets": [1.11, 1.12],
        },
        {
            "action": "entry",
            "direction": "long",
            "size": 0.3,
            "entry": 1.1003,
            "stop": None,
            "targets": [],
        },
    ]


def test_orders_stand_with_the_decision_of_their_strategy_symbol_and_candle(
    bus: EventBus, path: Path
) -> None:
    pound, later = candle("GBPUSD"), candle(opened=OPENED + M5.delta)
    with decision_file(path, bus):
        Cycles(bus).run(
            evaluated(decision("cross"), decision("other")),
            evaluated(decision("cross", of=pound)),
            evaluated(decision("cross", of=later)),
            order("other"),
            order("cross", of=pound),
            order("cross", of=later),
            order("unheard of"),
        )
    traded = [(line["symbol"], line["strategy"], len(line["trades"])) for line in lines(path)]  # type: ignore[arg-type]
    assert traded == [
        ("EURUSD", "cross", 0),
        ("EURUSD", "other", 1),
        ("GBPUSD", "cross", 1),
        ("EURUSD", "cross", 1),
    ]


def test_orders_placed_at_the_end_of_a_cycle_still_stand_with_their_decision(
    bus: EventBus, path: Path
) -> None:
    """C13: batch execution acts when the cycle is completed."""
    bus.subscribe(CycleCompletedEvent, lambda _: bus.publish(order()), order=0)
    with decision_file(path, bus):
        cycles = Cycles(bus)
        cycles.run(evaluated(decision(entry_long=True)))
        cycles.run()
        (line,) = lines(path)
        assert len(line["trades"]) == 1  # type: ignore[arg-type]


def test_an_exit_of_a_faster_candle_stands_in_the_line_of_its_cycle(
    bus: EventBus, path: Path
) -> None:
    """Durations and sessions end on the fastest candles, not on those of the strategy."""
    fast = candle(opened=OPENED + timedelta(minutes=4))
    with decision_file(path, bus):
        Cycles(bus).run(order(action=Action.EXIT, of=fast), evaluated(decision()))
    (line,) = lines(path)
    assert [trade["reason"] for trade in line["trades"]] == ["signal"]  # type: ignore[index, union-attr]


def test_an_exit_between_two_evaluations_stands_in_the_next_line_of_its_strategy(
    bus: EventBus, path: Path
) -> None:
    later = candle(opened=OPENED + M5.delta)
    between = candle(opened=OPENED + timedelta(minutes=7))
    with decision_file(path, bus):
        cycles = Cycles(bus)
        cycles.run(evaluated(decision(), decision("other")))
        cycles.run(order(action=Action.EXIT, of=between))
        cycles.run(evaluated(decision("other", of=later), decision(of=later)))
        cycles.run(evaluated(decision(of=later)))
    traded = [(line["strategy"], len(line["trades"])) for line in lines(path)]  # type: ignore[arg-type]
    assert traded == [("cross", 0), ("other", 0), ("other", 0), ("cross", 1), ("cross", 0)]


def test_lines_are_written_as_cycles_begin_and_the_last_ones_at_the_end(
    bus: EventBus, path: Path
) -> None:
    with decision_file(path, bus):
        cycles = Cycles(bus)
        cycles.run(evaluated(decision("first")))
        cycles.run()
        assert [line["strategy"] for line in lines(path)] == ["first"]
        cycles.run(evaluated(decision("second")))
    assert [line["strategy"] for line in lines(path)] == ["first", "second"]


def test_nothing_is_lost_when_the_run_is_interrupted(bus: EventBus, path: Path) -> None:
    def interrupted() -> None:
        with decision_file(path, bus):
            bus.publish(evaluated(decision()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(lines(path)) == 1


def test_the_facts_are_written_when_the_decision_has_them(bus: EventBus, path: Path) -> None:
    fact = Fact("entry.long.conditions[0]", M5, "ema_9", "between", None, None, (1.1, 1.2))
    with decision_file(path, bus):
        Cycles(bus).run(evaluated(decision(facts=(fact,))))
    (line,) = lines(path)
    assert line["facts"] == [
        {
            "path": "entry.long.conditions[0]",
            "timeframe": "5",
            "signal": "ema_9",
            "operator": "between",
            "truth": "not_ready",
            "left": None,
            "right": [1.1, 1.2],
        }
    ]


def test_an_older_file_is_replaced_and_the_bus_left_as_it_was(bus: EventBus, path: Path) -> None:
    path.write_text("old\n")
    with decision_file(path, bus):
        Cycles(bus).run(evaluated(decision()))
    assert len(lines(path)) == 1
    bus.publish(evaluated(decision()))
    assert bus.metrics()["event_types_subscribed"] == 0


def test_a_run_without_decisions_leaves_an_empty_file(bus: EventBus, path: Path) -> None:
    with decision_file(path, bus):
        Cycles(bus).run(order())
    assert path.read_bytes() == b""


@pytest.mark.parametrize("name", ["", "missing/decisions.jsonl"])
def test_a_file_that_cannot_be_written_is_one_message(
    name: str, bus: EventBus, tmp_path: Path
) -> None:
    wrong = tmp_path / name
    with pytest.raises(ConfigurationError) as raised, decision_file(wrong, bus):
        pytest.fail("nothing is started")
    assert str(raised.value).startswith(f"--decisions {wrong}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
def test_a_full_disk_costs_decisions_and_not_the_run(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    with decision_file(Path("/dev/full"), bus):
        cycles = Cycles(bus)
        cycles.run(evaluated(decision(), decision("other")))
        cycles.run(evaluated(decision()))
    said = [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]
    assert said == [
        "2 decisions were not written: No space left on device",
        "1 decisions were not written: No space left on device",
    ]
    assert bus.metrics()["handler_errors"] == 0
