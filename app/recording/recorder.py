"""Writes what comes in over the ports while a session runs, and what it decides."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

from app.assembly import Parts
from app.bus import EventBus
from app.domain.errors import ConfigurationError
from app.domain.orders import OrderResult
from app.ports import Broker, Clock, DataSource, Journal
from app.recording.calls import BROKER, CALLS, CLOCK, JOURNAL, SOURCE, SWITCH, WAIT, Call
from app.recording.failures import failure_of
from app.recording.file import Sink
from app.recording.header import header_of
from app.recording.trace import Item, Trace, cancelled, listen, modified, ordered
from app.risk.limits import ApprovedOrder

_SEVERAL: Final = 4096
"""Answers remembered, so that those that did not change are written once."""


class Recorder:
    """The recording of one session, and the parts that write it.

    What is asked of a port is answered as ever and noted; the notes of a cycle are written at its
    end, before the loop waits. The file ends when the parts are closed.

    Args:
        parts: what the session runs with.
        session: its id.

    Raises:
        ConfigurationError: the file cannot be made.

    """

    def __init__(self, parts: Parts, session: UUID) -> None:
        options = parts.settings.recording
        began = datetime.now(UTC)
        path = options.folder / f"{began:%Y%m%dT%H%M%SZ}-{session.hex[:8]}.jsonl"
        try:
            self._sink = Sink(path, options.max_bytes)
        except OSError as error:
            raise ConfigurationError(f"recording.folder {path}: {error.strerror}") from None
        self.path = path
        self._notes: list[object] = []
        self._last: dict[tuple[object, ...], object] = {}
        self._asked: dict[tuple[object, ...], object] = {}
        """What was asked since the last step."""
        self._trace = Trace()
        self._cycles = 0
        self._sink.write(header_of(parts, session, began))
        self.parts = self._recorded(parts)
        parts.opened.callback(self.close)

    def listen(self, bus: EventBus) -> None:
        """Note what is decided and refused from now on."""
        listen(bus, self._traced)

    def close(self) -> None:
        """Write the end; may be called twice."""
        if not self._sink.open:
            return
        self._write()
        trace = self._trace
        self._sink.write(
            {
                "end": {
                    "cycles": self._cycles,
                    "decisions": trace.decisions,
                    "orders": trace.orders,
                    "hash": trace.hexdigest(),
                }
            }
        )
        self._sink.close()

    def _recorded(self, parts: Parts) -> Parts:
        source, broker, clock, journal = parts.source, parts.broker, parts.clock, parts.journal
        switch = parts.switch
        of_source = self._each("source", SOURCE, source)
        of_source |= {"name": source.name, "open": source.open, "close": source.close}
        of_broker = self._each("broker", BROKER, broker)
        of_broker |= {"name": broker.name, **self._sending(broker)}
        of_clock = self._each("clock", CLOCK, clock) | self._waiting(clock)
        of_journal = self._each("journal", JOURNAL, journal) | {"close": journal.close}
        return replace(
            parts,
            source=cast("DataSource", SimpleNamespace(**of_source)),
            broker=cast("Broker", SimpleNamespace(**of_broker)),
            clock=cast("Clock", SimpleNamespace(**of_clock)),
            journal=cast("Journal", SimpleNamespace(**of_journal)),
            switch=None if switch is None else self._noting("switch", SWITCH, switch),
        )

    def _each(self, port: str, calls: tuple[Call, ...], of: object) -> dict[str, Any]:
        return {call.name: self._noting(port, call, getattr(of, call.name)) for call in calls}

    def _noting(self, port: str, call: Call, do: Callable[..., Any]) -> Callable[..., Any]:
        """Return `do` as a function that also notes what it answers."""
        name = f"{port}.{call.name}"
        sink, note = self._sink, self._note

        def noted(*args: Any, **named: Any) -> Any:
            if not sink.open:
                return do(*args, **named)
            told = (*args, *named.values()) if call.told else ()
            try:
                answer = do(*args, **named)
            except Exception as error:
                self._failed(name, call, told, error)
                raise
            note(name, call, told, answer)
            return answer

        return noted

    def _note(self, name: str, call: Call, told: tuple[Any, ...], answer: object) -> None:
        kept = call.answer.kept(answer)
        whole = (name, *told)
        if call.step:
            self._asked.clear()
        else:
            if whole in self._asked and self._asked[whole] == kept:
                return
            self._asked[whole] = kept
        key = whole if call.same_by is None else whole[: call.same_by + 1]
        mark = "!" if call.step else "?"
        if self._last.get(key, self) == kept:
            self._notes.append((mark, name, told))
            return
        if len(self._last) >= _SEVERAL:
            self._last.pop(next(iter(self._last)))
        self._last[key] = kept
        self._notes.append((mark, name, told, {"a": call.answer.written(kept)}))

    def _failed(self, name: str, call: Call, told: tuple[Any, ...], error: Exception) -> None:
        if call.step:
            self._asked.clear()
        mark = "!" if call.step else "?"
        self._notes.append((mark, name, told, {"e": failure_of(error)}))

    def _traced(self, item: Item) -> None:
        if self._sink.open:
            self._asked.clear()
            self._trace.take(item)
            self._notes.append(("=", item))

    def _sending(self, broker: Broker) -> dict[str, Any]:
        """Return the calls that send something, traced before they leave."""
        calls = {call.name: call for call in BROKER}
        submit = self._noting("broker", calls["submit"], broker.submit)
        modify = self._noting("broker", calls["modify"], broker.modify)
        cancel = self._noting("broker", calls["cancel"], broker.cancel)

        def submitted(order: ApprovedOrder) -> OrderResult:
            self._traced(ordered(order.intent))
            return cast("OrderResult", submit(order))

        def moved(
            ticket: int, *, stop_loss: Decimal | None, take_profit: Decimal | None
        ) -> OrderResult:
            self._traced(modified(ticket, stop_loss, take_profit))
            return cast("OrderResult", modify(ticket, stop_loss=stop_loss, take_profit=take_profit))

        def withdrawn(ticket: int) -> OrderResult:
            self._traced(cancelled(ticket))
            return cast("OrderResult", cancel(ticket))

        return {"submit": submitted, "modify": moved, "cancel": withdrawn}

    def _waiting(self, clock: Clock) -> dict[str, Any]:
        """Return the clock's calls between two cycles: what one left is written before the wait."""
        wait, note, call = clock.wait, self._note, CALLS[WAIT]

        def waited(seconds: float) -> bool:
            if not self._sink.open:
                return wait(seconds)
            self._write()
            going = wait(seconds)
            self._cycles += going
            note(WAIT, call, (seconds,), going)
            return going

        def stop() -> None:
            # Called by a signal handler, between any two of the loop's own steps.
            if self._sink.open:
                self._notes.append(("stop",))
            clock.stop()

        return {"wait": waited, "stop": stop}

    def _write(self) -> None:
        notes, self._notes = self._notes, []
        self._sink.write(notes)
