"""What faults make of a reply: pure functions of its JSON."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeAlias

import msgspec

from app.bridge.faults import Fault, What

Json: TypeAlias = Any
"""Whatever a reply holds."""

_A_DAY = timedelta(days=1)
_EXTRA = 2**21
"""Bytes that a huge reply is longer, unless said otherwise."""
_POINT = 1e-5
_ANOTHER = {
    "retcode": 10009,
    "order": 49999999,
    "ticket": 49999999,
    "deal": 39999999,
    "price": 1.0,
    "volume": 0.01,
    "comment": "Request completed",
    "status": "filled",
}


class Reply(msgspec.Struct, frozen=True):
    """A reply as it goes out."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)


def distorted(fault: Fault, reply: Reply, previous: Reply | None) -> Reply:
    """Return what is sent in place of `reply`; `previous` answered another call of its kind."""
    if fault.what is What.SWAP_REPLY:
        return previous or Reply(200, _dumped({"success": True, "data": _ANOTHER}))
    if fault.what is What.SUCCESS_TEXT:
        content = {**json.loads(reply.body), "success": True, "message": "success"}
        return Reply(200, _dumped(content))
    if fault.what in _INSTEAD:
        return _INSTEAD[fault.what](fault, reply)
    content = json.loads(reply.body)
    if fault.what not in _DATA or content["data"] in (None, []):
        return reply
    content["data"] = _DATA[fault.what](content["data"], fault)
    return msgspec.structs.replace(reply, body=_dumped(content))


def _status(fault: Fault, _reply: Reply) -> Reply:
    headers = [(b"content-type", b"application/json")]
    if fault.retry_after is not None:
        headers.append((b"retry-after", fault.retry_after.encode()))
    content = {"success": False, "data": None, "message": "the bridge stumbled"}
    body = _dumped(content) if fault.text is None else fault.text.encode()
    return Reply(fault.status, body, tuple(headers))


def _page(fault: Fault, _reply: Reply) -> Reply:
    page = f"<html><body><h1>{fault.status} Bad Gateway</h1></body></html>"
    return Reply(fault.status, page.encode(), ((b"content-type", b"text/html"),))


_INSTEAD: Mapping[What, Callable[[Fault, Reply], Reply]] = {
    What.STATUS: _status,
    What.HTML: _page,
    What.NULL: lambda _fault, _reply: Reply(200, b"null"),
    What.REDIRECT: lambda fault, _: Reply(
        307, b"", ((b"location", (fault.text or "/elsewhere").encode()),)
    ),
    What.HUGE: lambda fault, reply: msgspec.structs.replace(
        reply, body=reply.body + b" " * (fault.count or _EXTRA)
    ),
}


def _with_nan(data: Json, fault: Fault) -> Json:
    """Return `data` with its first fraction replaced, wherever it stands."""
    wanted = iter([float(fault.text or "nan")])

    def replaced(value: Json) -> Json:
        if isinstance(value, dict):
            return {name: replaced(one) for name, one in value.items()}
        if isinstance(value, list):
            return [replaced(one) for one in value]
        return next(wanted, value) if isinstance(value, float) else value

    return replaced(data)


def _in_milliseconds(data: Json, _fault: Fault) -> Json:
    if isinstance(data, list):
        return [_in_milliseconds(one, _fault) for one in data]
    since_1970 = _time(data["time"]).replace(tzinfo=UTC).timestamp()
    return {**data, "time": int(since_1970 * 1000)}


def _shuffled(data: Json, fault: Fault) -> Json:
    return Random(fault.seed).sample(data, len(data))  # noqa: S311 - a schedule, not a secret


def _with_gap(data: Json, fault: Fault) -> Json:
    gone = min(fault.count or 1, max(len(data) - 2, 0))
    start = (len(data) - gone) // 2
    return data[:start] + data[start + gone :]


def _with_tomorrow(data: Json, _fault: Fault) -> Json:
    text = data[-1]["time"]
    later = (_time(text) + _A_DAY).replace(tzinfo=None).isoformat() + text[19:]
    return [*data, {**data[-1], "time": later}]


def _closed_changed(data: Json, field: str, fault: Fault) -> Json:
    """Return bars of which the newest closed one differs."""
    at = max(len(data) - 2, 0)
    changed = {**data[at], field: data[at][field] + fault.points * _POINT}
    return [*data[:at], changed, *data[at + 1 :]]


_DATA: Mapping[What, Callable[[Json, Fault], Json]] = {
    What.EMPTY_LIST: lambda _data, _fault: [],
    What.TRUNCATE_LIST: lambda data, fault: data[: max(len(data) - (fault.count or 1), 0)],
    What.NAN: _with_nan,
    What.MS_TIMES: _in_milliseconds,
    What.FORMING_ONLY: lambda data, _: data[-1:],
    What.DUPLICATE_BARS: lambda data, _: [bar for bar in data for _ in range(2)],
    What.SHUFFLED_BARS: _shuffled,
    What.MISSING_BARS: _with_gap,
    What.FUTURE_BARS: _with_tomorrow,
    What.SPIKE: lambda data, fault: _closed_changed(data, "high", fault),
    What.REVISED_BAR: lambda data, fault: _closed_changed(data, "close", fault),
}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _dumped(content: Json) -> bytes:
    return json.dumps(content).encode()
