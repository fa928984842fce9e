"""The recording as ports: all answers as it did, and the first thing that differs is said."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from app.domain.orders import OrderResult
from app.ports import Broker, Clock, DataSource, Journal, Switch
from app.recording.calls import (
    BROKER,
    CALLS,
    CLOCK,
    JOURNAL,
    SOURCE,
    SWITCH,
    WAIT,
    Call,
    plain,
    to_json,
)
from app.recording.failures import failure_from
from app.recording.file import Entry, Recording
from app.recording.trace import Item, Trace, cancelled, modified, ordered, said, subject
from app.risk.limits import ApprovedOrder


class DifferenceError(BaseException):
    """The replay and the recording part; no service may go on, so none can catch it.

    `cycle` 0 is the start; `about` names candle and strategy where the difference has them.
    """

    def __init__(
        self, cycle: int, at: datetime | None, about: str, recorded: str, replayed: str
    ) -> None:
        super().__init__(f"cycle {cycle}: recorded {recorded}; replayed {replayed}")
        self.cycle = cycle
        self.at = at
        self.about = about
        self.recorded = recorded
        self.replayed = replayed


class Script:
    """Follows a recording entry by entry.

    Args:
        recording: the session.

    Raises:
        ConfigurationError: now or in any call: the recording is damaged.

    """

    def __init__(self, recording: Recording) -> None:
        self.trace = Trace()
        self.cycles = 0
        self.at: datetime | None = None
        """The market's now of the cycle that is run."""
        self.ran_out = False
        """Whether the recording ended where the session did not."""
        self.on_stop: Callable[[], None] = lambda: None
        """Called where the end was asked for."""
        self._recording = recording
        self._lines = recording.entries()
        self._entries: deque[Entry] = deque()
        self._answers: dict[bytes, deque[Entry]] = {}
        """What can be asked until the next step."""
        self._last: dict[bytes, object] = {}
        if not self._load():
            raise recording.without_start()

    # The ports

    def source(self, name: str) -> DataSource:
        """Return the market as it was."""
        calls = self._each("source", SOURCE)
        nothing = {"open": _nothing, "close": _nothing}
        return cast("DataSource", SimpleNamespace(name=name, **nothing, **calls))

    def broker(self, name: str) -> Broker:
        """Return the account as it was; what is sent is compared first."""
        calls = self._each("broker", BROKER)
        submit, modify, cancel = calls["submit"], calls["modify"], calls["cancel"]

        def submitted(order: ApprovedOrder) -> OrderResult:
            self.traced(ordered(order.intent))
            return cast("OrderResult", submit(order))

        def moved(
            ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
        ) -> OrderResult:
            self.traced(modified(ticket, stop_loss, take_profit))
            return cast("OrderResult", modify(ticket))

        def withdrawn(ticket: int) -> OrderResult:
            self.traced(cancelled(ticket))
            return cast("OrderResult", cancel(ticket))

        calls |= {"submit": submitted, "modify": moved, "cancel": withdrawn}
        return cast("Broker", SimpleNamespace(name=name, **calls))

    def clock(self) -> Clock:
        """Return the time as it went by, without waiting for it."""
        calls = self._each("clock", CLOCK)
        now = calls["now"]

        def told() -> datetime:
            self.at = now()
            return self.at

        calls |= {"now": told, "wait": self._wait, "stop": _nothing}
        return cast("Clock", SimpleNamespace(**calls))

    def journal(self) -> Journal:
        """Return the journal as it was."""
        return cast("Journal", SimpleNamespace(close=_nothing, **self._each("journal", JOURNAL)))

    def switch(self) -> Switch | None:
        """Return the kill switch as it stood."""
        return cast("Switch | None", self._asked("switch.read", SWITCH, ()))

    # Following

    def traced(self, item: Item) -> None:
        """Compare what the replay decided with what the session did."""
        item = plain(item)
        entry = self._next()
        if entry is None or entry[0] != "=" or entry[1] != item:
            recorded = entry[1] if entry is not None and entry[0] == "=" else None
            about = [subject(it) for it in (recorded, item) if it is not None and subject(it)]
            raise self._difference(
                about[0] if about else "", _said(entry, item), said(item, recorded)
            )
        self.trace.take(item)
        self._passed()

    def finish(self) -> None:
        """Compare the ends: nothing may be left that the session decided.

        Raises DifferenceError.
        """
        for entry in self._entries:
            if entry[0] == "=" or entry[:2] == ["!", WAIT]:
                about = subject(entry[1]) if entry[0] == "=" else ""
                raise self._difference(about, _said(entry), "the end of the session")
        if self._load():
            raise self._difference("", "a further cycle", "the end of the session")

    def _each(self, port: str, calls: tuple[Call, ...]) -> dict[str, Any]:
        return {call.name: self._answering(f"{port}.{call.name}", call) for call in calls}

    def _answering(self, name: str, call: Call) -> Callable[..., Any]:
        ask = self._stepped if call.step else self._asked

        def answer(*args: Any, **named: Any) -> Any:
            return ask(name, call, (*args, *named.values()) if call.told else ())

        return answer

    def _stepped(self, name: str, call: Call, told: tuple[Any, ...]) -> Any:
        args = plain(told)
        entry = self._next()
        if entry is None or entry[:3] != ["!", name, args]:
            about = subject(entry[1]) if entry is not None and entry[0] == "=" else ""
            raise self._difference(about, _said(entry), _call(name, args))
        self._passed()
        return _outcome(entry, call)

    def _asked(self, name: str, call: Call, told: tuple[Any, ...]) -> Any:
        found = self._answers.get(to_json((name, told)))
        if not found:
            args = plain(told)
            raise self._difference("", "no such question there", _call(name, args))
        return _outcome(found.popleft() if len(found) > 1 else found[0], call)

    def _wait(self, seconds: float) -> bool:
        if not self._entries and not self._load():
            self.ran_out = True
            return False
        going = bool(self._stepped(WAIT, CALLS[WAIT], (seconds,)))
        self.cycles += going
        return going

    def _next(self) -> Entry | None:
        """Return the next entry that was a step or was traced, if the cycle has one."""
        return self._entries[0] if self._entries else None

    def _passed(self) -> None:
        """Go past a step, to what was asked between it and the next."""
        self._entries.popleft()
        self._answers.clear()
        self._gather()

    def _load(self) -> bool:
        """Take in the next cycle; ``False`` when there is none."""
        line = next(self._lines, None)
        if line is None:
            return False
        try:
            for entry in line:
                if entry[0] in {"!", "?"}:
                    self._complete(entry)
        except (KeyError, TypeError, ValueError):
            raise self._recording.damaged() from None
        self._entries.extend(line)
        self._gather()
        return True

    def _gather(self) -> None:
        entries, stopped = self._entries, False
        while entries and entries[0][0] in {"?", "stop"}:
            entry = entries.popleft()
            if entry[0] == "stop":
                stopped = True
            else:
                key = to_json(entry[1:3])
                self._answers.setdefault(key, deque()).append(entry)
        if stopped:
            self.on_stop()

    def _complete(self, entry: Entry) -> None:
        """Give an entry without an outcome the one before."""
        _, name, args, *outcome = entry
        call = CALLS[name]
        key = to_json((name, args if call.same_by is None else args[: call.same_by]))
        if not outcome:
            entry.append({"a": self._last.get(key)})
        elif "a" in outcome[0]:
            self._last[key] = outcome[0]["a"]

    def _difference(self, about: str, recorded: str, replayed: str) -> DifferenceError:
        return DifferenceError(self.cycles, self.at, about, recorded, replayed)


def _outcome(entry: Entry, call: Call) -> Any:
    outcome = entry[3]
    if "e" in outcome:
        raise failure_from(*outcome["e"])
    return call.answer.read(outcome["a"])


def _said(entry: Entry | None, beside: Item | None = None) -> str:
    if entry is None:
        return "the end of the cycle"
    if entry[0] == "=":
        return said(entry[1], beside)
    return _call(entry[1], entry[2])


def _call(name: str, args: list[object]) -> str:
    return f"{name}({', '.join(map(str, args))})"


def _nothing() -> None:
    return None
