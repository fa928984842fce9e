"""Mangled replies of a bridge: ``python tests/proofs/mangled_replies.py --times 1000000`` (I21).

Each is a true reply to one of the calls with something done to it: values replaced, fields lost,
lists doubled, text cut, bytes changed, numbers that are none. Reading it gives values that can be
true or a `SourceError`, and never anything else. Exit code 0 when all did; else every failure is a
line, with what to repeat it.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app.adapters.mt5 import dialect  # noqa: E402 - the folder must be known first
from app.adapters.mt5.dialect import RefusalError  # noqa: E402
from app.adapters.mt5.return_codes import Outcome, judge  # noqa: E402
from app.adapters.mt5.server_clock import ServerClock  # noqa: E402
from app.domain.broker_time import ServerTime  # noqa: E402
from app.domain.errors import SourceError  # noqa: E402
from tests.unit.mt5 import replies  # noqa: E402

SERVER = ServerClock(ServerTime("NY+7"))
STATUSES = (200,) * 8 + (201, 204, 302, 400, 404, 422, 429, 500, 502)
ODD_VALUES = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 0.0, -0.0, 1e-300, 1e300),
    *("", "NaN", "Infinity", "-inf", "1e999", "0x10", "1,5", "null", "x" * 300, "\ud800", "\x00\n"),
    *([], {}, [[]], [None], {"": ""}, {"success": False}, {"retcode": 10009}, "2025-02-30", "0"),
    *(1736166600, 1736166600000, 1736166600000000, "24:00", "9999-12-31T23:59:59-14:00"),
)
ODD_TOKENS = (b"NaN", b"-Infinity", b"1e999", b"-", b"{}", b"1" * 400, b"[" * 2000, b'"\\ud800"')


def _one(kind: Callable) -> Callable:
    return lambda status, body: dialect.read(
        kind, dialect.payload(status, body, "call"), "call", SERVER
    )


def _all(kind: Callable) -> Callable:
    return lambda status, body: dialect.read_all(
        kind, dialect.payload(status, body, "call"), "call", SERVER
    )


def _ordered(status: int, body: bytes) -> object:
    try:
        said = dialect.payload(status, body, "call")
    except RefusalError as refusal:
        return dialect.refused_order(refusal, "call")
    return dialect.order_result(said, "call")


CALLS = (
    (_one(dialect.WireHealth.read), replies.HEALTH),
    (_one(dialect.WireAccount.read), replies.ACCOUNT),
    (_one(dialect.WireMargin.read), replies.ACCOUNT),
    (_one(dialect.WireSymbol.read), replies.SYMBOL),
    (_one(dialect.WireTick.read), replies.TICK),
    (_all(dialect.WirePosition.read), [replies.POSITION, replies.POSITION]),
    (_all(dialect.WireOrder.read), [replies.ORDER]),
    (_all(dialect.WireDeal.read), [replies.DEAL, replies.BALANCE]),
    (lambda status, body: dialect.bars(status, body, "call", SERVER), [replies.BAR] * 3),
    (
        lambda status, body: dialect.names(dialect.payload(status, body, "call"), "call"),
        ["EURUSD", "GBPUSD.r"],
    ),
    (_ordered, replies.MARKET_ORDER),
)


def mangled(reply: object, chosen: random.Random) -> tuple[int, bytes]:
    """Return a status and a body that were a reply once."""
    said = json.loads(json.dumps(reply))
    if chosen.random() < 0.5:
        said = {"success": True, "data": said, "message": None}
    for _ in range(chosen.choice((0, 1, 1, 1, 2, 5))):
        said = _changed(said, chosen)
    body = json.dumps(said).encode()
    for _ in range(chosen.choice((0, 0, 0, 1, 2))):
        body = _torn(body, chosen)
    return chosen.choice(STATUSES), body


def _changed(said: object, chosen: random.Random) -> object:
    """Return it with one value replaced, lost, doubled or moved, at any depth."""
    if isinstance(said, dict) and said and chosen.random() < 0.9:
        return _changed_object(said, chosen)
    if isinstance(said, list) and said and chosen.random() < 0.9:
        return _changed_list(said, chosen)
    if isinstance(said, int | float) and chosen.random() < 0.4:
        return chosen.choice((str(said), -said, said * 10 ** chosen.randrange(40), float(said)))
    return chosen.choice(ODD_VALUES)


def _changed_object(said: dict[str, object], chosen: random.Random) -> object:
    name, what = chosen.choice(list(said)), chosen.random()
    if what < 0.2:
        return {key: value for key, value in said.items() if key != name}
    if what < 0.3:
        return {chosen.choice((key.upper(), f"{key}_x")): value for key, value in said.items()}
    return said | {name: _changed(said[name], chosen)}


def _changed_list(said: list[object], chosen: random.Random) -> object:
    at, what = chosen.randrange(len(said)), chosen.random()
    if what < 0.2:
        return said[:at]
    if what < 0.3:
        return said * chosen.choice((2, 50))
    return [*said[:at], _changed(said[at], chosen), *said[at + 1 :]]


def _torn(body: bytes, chosen: random.Random) -> bytes:
    """Return it cut, or with some bytes changed."""
    at = chosen.randrange(len(body) + 1)
    how = chosen.randrange(4)
    if how == 0:
        return body[:at]
    if how == 1:
        return body[:at] + bytes([chosen.randrange(256)]) + body[at + 1 :]
    if how == 2:
        start = body.find(b": ", at) + 2
        return body[:start] + chosen.choice(ODD_TOKENS) + body[start + chosen.randrange(6) :]
    return chosen.choice(
        (b"\xef\xbb\xbf" + body, body + body, body.decode(errors="replace").encode("utf-16"))
    )


def untrue(value: object) -> Iterator[str]:
    """Say what of a value that was read cannot be true."""
    if isinstance(value, msgspec.Struct):
        yield from _untrue_struct(value)
        for name in value.__struct_fields__:
            yield from (f"{name}: {fault}" for fault in untrue(getattr(value, name)))
    elif isinstance(value, list):
        for one in value:
            yield from untrue(one)
    elif isinstance(value, datetime):
        if value.tzinfo is not UTC or not 1971 <= value.year <= 2068:
            yield f"time {value}"
    elif isinstance(value, int | float | Decimal) and not (isfinite(value) and abs(value) < 2**63):
        yield f"number {value}"
    elif isinstance(value, str) and not value.isprintable():
        yield f"text {value!r}"


def _untrue_struct(value: msgspec.Struct) -> Iterator[str]:
    if isinstance(value, dialect.WireBar) and not 0 < value.low <= value.open <= value.high:
        yield "bar"
    if isinstance(value, dialect.WireTick) and not 0 < value.bid <= value.ask:
        yield "tick"
    if isinstance(value, dialect.WirePosition) and not (value.volume > 0 and value.price_open > 0):
        yield "position"
    if isinstance(value, dialect.WireResult):
        verdict = judge(value.retcode, value.ticket, value.deal)
        if verdict.outcome is Outcome.DONE and not (value.retcode == 10009 and value.ticket > 0):
            yield "an order that was not done"


def outcome(read: Callable, status: int, body: bytes) -> str:
    """Return how a reply was read: ``read``, ``refused``, or what was wrong with that."""
    try:
        return "; ".join(untrue(read(status, body))) or "read"
    except SourceError as error:
        return "refused" if str(error).isprintable() else f"a message of several lines: {error!r}"
    except Exception as error:  # noqa: BLE001 - which is what must not come
        return f"{type(error).__name__}: {error}"


def main() -> int:
    """Mangle so many replies; return 1 when one of them was not read as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts = Counter[str]()
    for number in range(options.times):
        chosen = random.Random(f"{options.seed} {number}")
        reader, reply = CALLS[number % len(CALLS)]
        status, body = mangled(reply, chosen)
        how = outcome(reader, status, body)
        if how not in {"read", "refused"}:
            print(f"reply {number}: {how}: HTTP {status} {body[:300]!r}", flush=True)
            how = "wrong"
        counts[how] += 1
    print(
        f"{options.times:,} mangled replies (seed {options.seed}): {counts['read']:,} read, "
        f"{counts['refused']:,} refused, {counts['wrong']:,} wrong"
    )
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
