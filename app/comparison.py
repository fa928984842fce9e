"""Two systems beside each other: what their decision files say of the same candles."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.domain.errors import ConfigurationError

SIGNALS = ("entry_long", "entry_short", "exit_long", "exit_short")
_Line = Mapping[str, Any]
_Key = tuple[str, str, str]


class Counts(NamedTuple):
    """What a session came to; of its decision file's lines, in the time both sessions cover."""

    evaluations: int
    entry_signals: int
    exit_signals: int
    not_ready: int
    orders: int


class Difference(NamedTuple):
    """The first decision that is not the same: ``None`` where a session has none."""

    time: str
    symbol: str
    strategy: str
    old: _Line | None
    new: _Line | None


class Comparison(NamedTuple):
    """Both sessions in the time they share; `differing` decisions, the first of them told."""

    since: str
    until: str
    old: Counts
    new: Counts
    differing: int
    first: Difference | None


def compare(old: Path, new: Path) -> Comparison:
    """Compare two files that ``--decisions`` wrote, in the time that both cover.

    Raises:
        ConfigurationError: one is no such file, or they share no time.

    """
    spans = [_span(path) for path in (old, new)]
    since, until = max(first for first, _ in spans), min(last for _, last in spans)
    if since > until:
        raise ConfigurationError(f"{old} and {new} share no time: nothing can be compared")
    counted = (Counter[str](), Counter[str]())
    decided = [
        {_key(line): _signals(line) for line in _counted(path, since, until, counts)}
        for path, counts in zip((old, new), counted, strict=True)
    ]
    differing = sorted(
        key
        for key in decided[0].keys() | decided[1].keys()
        if decided[0].get(key) != decided[1].get(key)
    )
    first = None
    if differing:
        first = Difference(*differing[0], _line_of(old, differing[0]), _line_of(new, differing[0]))
    return Comparison(since, until, _counts(counted[0]), _counts(counted[1]), len(differing), first)


def _counted(path: Path, since: str, until: str, counts: Counter[str]) -> Iterator[_Line]:
    """Count the lines of that time; yield those that decide something.

    They come in no order of time: candles that were fetched late are decided late.
    """
    for line in _lines(path):
        if since <= line["time"] <= until:
            _count(line, counts)
            if True in _signals(line):
                yield line


def _key(line: _Line) -> _Key:
    return line["time"], line["symbol"], line["strategy"]


def _line_of(path: Path, key: _Key) -> _Line | None:
    return next((line for line in _lines(path) if _key(line) == key), None)


def _signals(line: _Line) -> tuple[object, ...]:
    return tuple(line[signal] for signal in SIGNALS)


def _count(line: _Line, counts: Counter[str]) -> None:
    counts["evaluations"] += 1
    counts["entry_signals"] += sum(line[name] is True for name in SIGNALS[:2])
    counts["exit_signals"] += sum(line[name] is True for name in SIGNALS[2:])
    counts["not_ready"] += "not_ready" in (line["entry_long"], line["entry_short"])
    counts["orders"] += len(line["trades"])


def _counts(counted: Counter[str]) -> Counts:
    return Counts(**{name: counted[name] for name in Counts._fields})


def _span(path: Path) -> tuple[str, str]:
    times = [line["time"] for line in _lines(path)]
    if not times:
        raise ConfigurationError(f"{path}: there is no decision in it")
    return min(times), max(times)


def _lines(path: Path) -> Iterator[_Line]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                yield _line(path, number, text)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None


def _line(path: Path, number: int, text: bytes) -> _Line:
    try:
        line = orjson.loads(text)
        named = all(isinstance(line[name], str) for name in ("time", "symbol", "strategy"))
        if named and isinstance(line["trades"], list) and line.keys() >= set(SIGNALS):
            return dict(line)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise ConfigurationError(f"{path}:{number}: no line of a decision file (--decisions)")


def lines(comparison: Comparison, names: tuple[str, str] = ("old", "new")) -> Iterator[str]:
    """Say it: both counts, and the first difference with both lines."""
    yield f"Compared from {comparison.since} to {comparison.until}"
    yield f"{'':<16}{names[0]:>14}{names[1]:>14}"
    for name in Counts._fields:
        left, right = getattr(comparison.old, name), getattr(comparison.new, name)
        mark = "" if left == right else "   <- differs"
        yield f"{name.replace('_', ' '):<16}{left:>14,}{right:>14,}{mark}"
    first = comparison.first
    if first is None:
        yield "signals         the same"
        return
    yield f"signals         {comparison.differing:,} decisions differ, the first:"
    yield f"  {first.strategy} on {first.symbol}, candle that closed {first.time}"
    for name, line in zip(names, (first.old, first.new), strict=True):
        yield f"  {name}: {_said(line)}"


def _said(line: _Line | None) -> str:
    if line is None:
        return "no decision"
    decided = [name.replace("_", " ") for name in SIGNALS if line[name] is True]
    facts = (
        f"{fact['timeframe']} {fact['signal']} {fact['left']} {fact['operator']} {fact['right']}"
        f" {fact['truth']}"
        for fact in line.get("facts", ())
    )
    regimes = ", ".join(f"{name} {label}" for name, label in line.get("regime", {}).items())
    return "; ".join((" and ".join(decided) or "no signal", *filter(None, (regimes,)), *facts))
