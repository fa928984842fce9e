"""The daemon: ``python -m app.main_orchestrated``.

Signals and exit codes; all the rest is imported once signals are taken over.
0 clean · 64 usage · 69 unavailable at start · 70 gave up · 78 configuration.
"""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from app.domain.errors import OperatorError

if TYPE_CHECKING:
    from app.ports import Clock

USAGE_EXIT_CODE = 64
TYPER_USAGE_ERROR = 2
CAUSES = {
    signal.SIGINT: ("Ctrl+C", "keyboard interrupt"),
    signal.SIGTERM: ("SIGTERM", "termination signal"),
}
if hasattr(signal, "SIGHUP"):  # not on Windows
    CAUSES[signal.SIGHUP] = ("SIGHUP", "hang-up signal")


class StopRequest:
    """Somebody asked the daemon to stop: by a signal, or by closing what reads its output.

    The first request ends the run after the running cycle, a second signal the process at once.
    """

    def __init__(self) -> None:
        self.signal_name = ""
        """How the signal is called on the console; empty when none came."""
        self.cause: str | None = None
        self._clock: Clock | None = None

    def listen(self) -> None:
        """Take over the signals that ask for an end."""
        for number in CAUSES:
            signal.signal(number, self._received)

    def stops(self, clock: "Clock") -> None:
        """Let a request end the waits of `clock`, also one that came before."""
        self._clock = clock
        if self.cause is not None:
            clock.stop()

    def stdout_closed(self) -> None:
        """End a run on recorded or simulated data that nobody watches any more."""
        if self._clock is not None:
            self._clock.stop()

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self.signal_name, self.cause = CAUSES[signal.Signals(number)]
        for handled in CAUSES:
            signal.signal(handled, signal.SIG_DFL)
        if self._clock is not None:
            self._clock.stop()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    stop = StopRequest()
    stop.listen()
    from app import daemon  # noqa: PLC0415 - takes a second, in which a signal may come

    try:
        daemon.command_line(arguments, stop)
    except SystemExit as ended:
        return USAGE_EXIT_CODE if ended.code == TYPER_USAGE_ERROR else int(ended.code or 0)
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
