"""Runs the services again on a recorded session."""

from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID

import msgspec

from app.interruption import gone_afterwards
from app.orchestrator import TradingOrchestrator
from app.recording.file import DamagedError, Recording
from app.recording.header import rebuilt
from app.recording.script import Script
from app.recording.trace import listen


class Replayed(msgspec.Struct, frozen=True):
    """A session that was run again and decided the same.

    `ended` is how it failed, in both alike; `cut_off` says that it was killed, or its recording
    ended before it.
    """

    cycles: int
    decisions: int
    orders: int
    hash: str
    cut_off: bool
    ended: str = ""


def replay(recording: Recording) -> Replayed:
    """Run the session again; return what it decided.

    Raises:
        DifferenceError: something is not as it was; the first of it.
        ConfigurationError: the recording is damaged, or its configuration is not accepted.

    """
    header = recording.header
    script = Script(recording)
    with gone_afterwards(Path(mkdtemp(prefix="replay-"))) as folder:
        parts = rebuilt(
            header,
            folder,
            source=script.source(header.source),
            broker=script.broker(header.broker),
            clock=script.clock(),
            journal=script.journal(),
        )
        parts = replace(parts, switch=script.switch if header.live_market else None)
        orchestrator = TradingOrchestrator(parts.settings, parts, session=UUID(header.session))
        script.on_stop = orchestrator.wind_down
        listen(orchestrator.event_bus, script.traced)
        ended = _run(orchestrator)
        script.finish()
    trace, ending = script.trace, recording.ending
    if ending is not None and ending.hash != trace.hexdigest():
        raise DamagedError(f"{recording.path}: its trace has not the hash that it names")
    return Replayed(
        cycles=script.cycles,
        decisions=trace.decisions,
        orders=trace.orders,
        hash=trace.hexdigest(),
        cut_off=ending is None,
        ended=ended,
    )


def _run(orchestrator: TradingOrchestrator) -> str:
    """Run to the end; return why it failed, if it did."""
    try:
        orchestrator.start()
        orchestrator.run()
    except DamagedError:
        raise
    except Exception as error:  # noqa: BLE001 - the session may have failed so, too
        return f"{type(error).__name__}: {error}"
    return ""
