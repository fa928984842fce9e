"""A recorded session once more: ``python -m app.main_replay FILE``.

Runs the services on what came in while the session ran, and says whether they decide the same.
0 the same · 1 a difference, the first of it is printed · 64 usage · 78 no recording, or damaged ·
130 interrupted.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.command_line import exit_code, new_command_line
from app.recording.file import Header, Recording
from app.recording.header import versions
from app.recording.replay import Replayed, replay
from app.recording.script import DifferenceError

DIFFERENT = 1


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def again(file: Annotated[Path, typer.Argument(help="The recording of a session.")]) -> None:
        """Run the services again on a recorded session, and name the first difference."""
        recording = Recording(file)
        for line in _other_versions(recording.header):
            print(line)
        try:
            with _silent():
                replayed = replay(recording)
        except DifferenceError as difference:
            for line in _difference(difference):
                print(line)
            raise typer.Exit(DIFFERENT) from None
        for line in _lines(replayed):
            print(line)

    return exit_code(app, arguments)


@contextmanager
def _silent() -> Iterator[None]:
    """Let the services say nothing: what they said stands in the session's own log."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _other_versions(header: Header) -> Iterator[str]:
    for name, now in versions().items():
        then = header.versions.get(name, "unknown")
        if then != now:
            yield f"note: recorded with {name} {then}, replayed with {now}"


def _difference(difference: DifferenceError) -> Iterator[str]:
    at = "" if difference.at is None else f" ({difference.at:%Y-%m-%d %H:%M:%S} UTC)"
    about = f", {difference.about}" if difference.about else ""
    yield f"first difference in cycle {difference.cycle}{at}{about}"
    yield f"  recorded: {difference.recorded}"
    yield f"  replayed: {difference.replayed}"


def _lines(replayed: Replayed) -> Iterator[str]:
    yield (
        f"the same: {replayed.cycles:,} cycles, {replayed.decisions:,} decisions, "
        f"{replayed.orders:,} orders"
    )
    if replayed.ended:
        yield f"it ended, as the session did: {replayed.ended}"
    if replayed.cut_off:
        yield "the recording is cut off: the session was killed, or its file reached its limit"
    yield f"trace {replayed.hash}"


if __name__ == "__main__":
    sys.exit(main())
