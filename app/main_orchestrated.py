"""The daemon: ``python -m app.main_orchestrated``.

Signals, the watchdog and exit codes; all the rest is imported once signals are taken over.

0 clean · 64 usage · 69 unavailable at start · 70 gave up, hung or failed · 74 journal · 75 another
daemon holds the account · 77 permission · 78 configuration · 130 Ctrl+C in its very first moment.
"""

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from types import FrameType
from typing import NoReturn

from app import interruption
from app.domain.errors import OperatorError
from app.watchdog import EXIT_CODE, Watchdog

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

    The first signal ends the run after the running cycle, in which nothing is opened any more, and
    the process within five seconds whatever hangs; a second one ends the process at once. So does
    the first while there is no run yet.

    Args:
        watchdog: sees to it that the process ends.

    """

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog
        self.signal_name = ""
        """How the signal is called on the console; empty when none came."""
        self.cause: str | None = None
        self._end_run: Callable[[], None] | None = None
        self._needs_reader = True
        self._unread = False

    def listen(self) -> None:
        """Take over the signals that ask for an end."""
        for number in CAUSES:
            signal.signal(number, self._received)

    def ends(self, run: Callable[[], None], *, needs_reader: bool) -> None:
        """Let a request call `run`, which ends the run; output closed before is such a request.

        A run that `needs_reader` has no purpose when nobody reads its output; one that trades a
        real account has.
        """
        self._end_run, self._needs_reader = run, needs_reader
        if self._unread:
            self.stdout_closed()

    def stdout_closed(self) -> None:
        """Take in that nobody reads the output any more."""
        self._unread = True
        if self._end_run is None:
            return
        if self._needs_reader:
            self._end_run()
        else:
            logging.getLogger("__main__").warning("Standard output was closed: trading goes on")

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self._end_run is None:
            interruption.end_at_once("stopped before trading began\n", 0)
        self.signal_name, self.cause = CAUSES[signal.Signals(number)]
        for handled in CAUSES:
            signal.signal(handled, signal.SIG_DFL)
        self.watchdog.stop_soon()
        self._end_run()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    with closing(Watchdog().start()) as watchdog:
        return _run(arguments, watchdog)


def _run(arguments: list[str] | None, watchdog: Watchdog) -> int:
    stop = StopRequest(watchdog)
    stop.listen()
    try:
        from app import daemon  # noqa: PLC0415 - takes a second, in which a signal may come

        daemon.command_line(arguments, stop)
    except SystemExit as ended:
        return USAGE_EXIT_CODE if ended.code == TYPER_USAGE_ERROR else int(ended.code or 0)
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        logging.getLogger("__main__").critical(
            "Unexpected %s: %s", type(error).__name__, error, exc_info=error
        )
        return EXIT_CODE
    return 0


def _leave(code: int) -> NoReturn:
    """End the process with `code`.

    Not as Python does: it waits for threads that wait for others, then tidies up memory that the
    system frees anyway, half a second long, in which no watchdog thread runs any more.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.stderr is not None:
        # Stacks, too, where a library crashes or the service manager aborts a frozen process.
        faulthandler.enable()
    _leave(_run(None, Watchdog().start()))
