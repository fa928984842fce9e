"""Which calls go wrong, and how: a schedule that depends on its seeds and the count of calls."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from time import monotonic

import msgspec

_LOG_LENGTH = 10_000
_VARYING = re.compile(r"[^/]*[^/a-z_][^/]*")
"""The symbols, tickets and client ids in a path."""


class What(StrEnum):
    """What goes wrong; the comments name the fields of `Fault` that matter."""

    # On the wire: the request is `seconds` late; the connection is reset before or after it was
    # executed; every connection is, for `lasting`; the reply never comes, is `seconds` late, comes
    # a byte every `seconds` from the `part` on, ends half way, is `count` bytes longer.
    DELAY = "delay"
    RESET = "reset"
    RESET_AFTER = "reset_after"
    DOWN = "down"
    LOSE_REPLY = "lose_reply"
    LATE_REPLY = "late_reply"
    DRIP = "drip"
    TRUNCATE_BODY = "truncate_body"
    HUGE = "huge"

    # In place of the reply: `status` with JSON, or with `text`; a page, with `status`; null; a
    # redirect; the reply to another request.
    STATUS = "status"
    HTML = "html"
    NULL = "null"
    REDIRECT = "redirect"
    SWAP_REPLY = "swap_reply"

    # At the order desk: executed twice; `retcode` and `ticket` answered; the same as a success;
    # a requote.
    DOUBLE = "double"
    RETCODE = "retcode"
    SUCCESS_TEXT = "success_text"
    REQUOTE = "requote"

    # At the broker: in no list for `seconds` of the market; filled after `seconds` of the market,
    # or never; a `fraction` filled; `points` of slippage; without its stops; the comment cut to
    # `count` characters, removed, or `text`.
    INVISIBLE = "invisible"
    PLACED = "placed"
    PARTIAL = "partial"
    SLIPPAGE = "slippage"
    NO_STOPS = "no_stops"
    CUT_COMMENT = "cut_comment"
    STRIP_COMMENT = "strip_comment"
    REPLACE_COMMENT = "replace_comment"

    # In lists: nothing; the last `count` missing; a number that is NaN, or `text`; times as
    # milliseconds since 1970.
    EMPTY_LIST = "empty_list"
    TRUNCATE_LIST = "truncate_list"
    NAN = "nan"
    MS_TIMES = "ms_times"

    # In bars: the newest alone; all twice; in any order; `count` in the middle missing; one of
    # tomorrow; the newest closed one `points` higher at its high, or off at its close.
    FORMING_ONLY = "forming_only"
    DUPLICATE_BARS = "duplicate_bars"
    SHUFFLED_BARS = "shuffled_bars"
    MISSING_BARS = "missing_bars"
    FUTURE_BARS = "future_bars"
    SPIKE = "spike"
    REVISED_BAR = "revised_bar"


W = What
UNHEARD = frozenset({W.RESET, W.DOWN, W.REDIRECT, W.RETCODE, W.SUCCESS_TEXT, W.REQUOTE})
"""What keeps a request from the terminal unless `execute` says otherwise."""

_AT_DESK_AND_BROKER = (
    W.DOUBLE, W.RETCODE, W.SUCCESS_TEXT, W.REQUOTE, W.INVISIBLE, W.PLACED, W.PARTIAL, W.SLIPPAGE,
    W.NO_STOPS, W.CUT_COMMENT, W.STRIP_COMMENT, W.REPLACE_COMMENT, W.SWAP_REPLY,
)  # fmt: skip
_IN_BARS = (
    W.FORMING_ONLY, W.DUPLICATE_BARS, W.SHUFFLED_BARS, W.MISSING_BARS, W.FUTURE_BARS, W.SPIKE,
    W.REVISED_BAR, W.NAN, W.MS_TIMES,
)  # fmt: skip
_CALLS = {
    **dict.fromkeys(_AT_DESK_AND_BROKER, "orders/create"),
    **dict.fromkeys(_IN_BARS, "symbols/*/bars"),
    W.EMPTY_LIST: "positions*",
    W.TRUNCATE_LIST: "positions*",
}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong with which calls.

    `call` is a pattern of paths below the prefix, such as ``orders/create`` or ``positions*``; by
    default those that the fault makes sense for. Of the calls that match, `skip` go well, then
    each goes wrong with probability `rate` (drawn from `seed`), `times` times (``None``, and a
    bridge that is down: for ever) and for `lasting` real seconds from its announcement at most.
    `execute` decides whether the request reaches the terminal, where the fault leaves that open.
    The rest is explained at :class:`What`; `seconds` are real ones unless said otherwise there.
    """

    what: What
    call: str = ""
    method: str = "*"
    skip: int = 0
    times: int | None = 1
    rate: float = 1.0
    seed: int = 0
    lasting: float | None = None
    execute: bool | None = None
    seconds: float | None = None
    part: str = "headers"
    status: int = 502
    retry_after: str | None = None
    text: str | None = None
    retcode: int = 10011
    ticket: int = 0
    fraction: float = 0.5
    points: int = 20
    count: int | None = None

    @property
    def limit(self) -> int | None:
        """How often it strikes, ``None`` without end."""
        return None if self.what is What.DOWN else self.times

    @property
    def executes(self) -> bool:
        """Whether the request reaches the terminal."""
        return self.what not in UNHEARD if self.execute is None else self.execute

    def concerns(self, method: str, call: str) -> bool:
        """Say whether a call is one of those that go wrong."""
        pattern = self.call or _CALLS.get(self.what, "*")
        return fnmatchcase(call, pattern) and fnmatchcase(method, self.method.upper())


class Armed:
    """A fault that waits for its calls."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.matched = 0
        self.applied = 0
        self._random = Random(fault.seed)  # noqa: S311 - a schedule, not a secret
        self._ends = None if fault.lasting is None else monotonic() + fault.lasting

    def strikes(self, method: str, call: str) -> bool:
        """Say whether this call goes wrong, and count it."""
        fault = self.fault
        past = self._ends is not None and monotonic() > self._ends
        if self.applied == fault.limit or past or not fault.concerns(method, call):
            return False
        self.matched += 1
        if self.matched <= fault.skip or self._random.random() >= fault.rate:
            return False
        self.applied += 1
        return True


class Mix:
    """Faults that a trading daemon must survive, on any call with probability `rate`.

    The same seed makes the same calls go wrong in the same way, by their count.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self._rate = rate
        self._seed = seed

    def fault(self, number: int, method: str, call: str) -> Fault | None:
        """Return what goes wrong with the call of that number."""
        random = Random(f"{self._seed}/{number}")  # noqa: S311 - a schedule, not a secret
        if random.random() >= self._rate:
            return None
        choices = list(_ON_ANY_CALL)
        if method != "GET":
            choices += _ON_TRADES
        if call == "orders/create":
            choices += _ON_ORDERS
        fault = random.choice(choices)
        if fault.what is What.DELAY or fault.what is What.LATE_REPLY:
            return msgspec.structs.replace(fault, seconds=random.uniform(0.05, 0.5))
        return fault


_ON_ANY_CALL = (
    Fault(W.DELAY),
    Fault(W.RESET),
    Fault(W.RESET_AFTER),
    Fault(W.LATE_REPLY),
    Fault(W.STATUS, status=500),
    Fault(W.STATUS, status=503, execute=False),
    Fault(W.STATUS, status=429, execute=False, retry_after="1"),
    Fault(W.HTML, status=504),
    Fault(W.NULL),
    Fault(W.TRUNCATE_BODY),
)
_ON_TRADES = (
    Fault(W.LOSE_REPLY),
    Fault(W.LOSE_REPLY, execute=False),
    Fault(W.RESET_AFTER),
    Fault(W.RETCODE, retcode=10012, execute=True),
    Fault(W.REQUOTE),
)
_ON_ORDERS = (
    Fault(W.PLACED, seconds=20),
    Fault(W.PARTIAL),
    Fault(W.INVISIBLE, seconds=60),
    Fault(W.CUT_COMMENT, count=20),
    Fault(W.STRIP_COMMENT),
    Fault(W.SLIPPAGE),
)


class Event(msgspec.Struct, frozen=True):
    """A call that went wrong, by its count."""

    number: int
    method: str
    call: str
    what: What


class Schedule:
    """Chooses what goes wrong: the first fault that concerns a call, else one of the mix.

    `seen` counts all calls, each ticket and symbol's together: ``POST positions/*/close/*``.
    """

    def __init__(self, mix: Mix | None = None) -> None:
        self.calls = 0
        self.seen: Counter[str] = Counter()
        self.log: deque[Event] = deque(maxlen=_LOG_LENGTH)
        self._mix = mix
        self._armed: list[Armed] = []

    @property
    def armed(self) -> Sequence[Armed]:
        """The faults that were added, with their counts."""
        return self._armed

    def add(self, faults: Iterable[Fault]) -> None:
        """Let more go wrong."""
        self._armed += map(Armed, faults)

    def clear(self) -> None:
        """Let all go well, but for the mix."""
        self._armed.clear()

    def next(self, method: str, call: str) -> Fault | None:
        """Return what goes wrong with the next call."""
        self.calls += 1
        self.seen[f"{method} {_VARYING.sub('*', call)}"] += 1
        armed = next((one for one in self._armed if one.strikes(method, call)), None)
        fault = armed.fault if armed else None
        if fault is None and self._mix is not None:
            fault = self._mix.fault(self.calls, method, call)
        if fault is not None:
            self.log.append(Event(self.calls, method, call, fault.what))
        return fault
