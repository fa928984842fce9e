"""What the service manager is told: systemd's notification protocol, sd_notify(3).

It names a socket in NOTIFY_SOCKET and how long it waits for a sign of life in WATCHDOG_USEC. Where
it does not, as in a terminal, in a container or on Windows, nobody is told anything.
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from app.domain.errors import printable
from app.ports import Clock

_MICROSECONDS: Final = 1_000_000
_PATIENCE: Final = 0.5
"""Real seconds a manager that does not read is waited for, when it must not miss what is said."""


class ServiceManager:
    """Hears when the daemon trades, that it lives, and when it ends.

    Args:
        environ: the environment the manager started the process with.

    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._pulse_every = _pulse_every(environ) if self._address else None
        self._log = logging.getLogger("service_manager")
        self._listens = True
        self._watched = False

    def watch(self, clock: Clock) -> Clock:
        """Return `clock` for a loop that lives in real time and is to be seen living."""
        self._watched = True
        if self._pulse_every is None:
            return clock
        return PulsingClock(clock, self._pulse_every, self.pulse)

    def ready(self, status: str) -> None:
        """Say that trading begins, and not to wait for signs of life of a loop not watched."""
        unwatched = () if self._watched else ("WATCHDOG_USEC=0",)
        self._tell("READY=1", f"STATUS={printable(status)}", *unwatched, patience=_PATIENCE)

    def pulse(self) -> None:
        """Give a sign of life; one that cannot be taken at once is followed by others."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1", "STATUS=stopping", patience=_PATIENCE)

    def _tell(self, *assignments: str, patience: float = 0.0) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(patience)
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if self._listens:
                self._log.warning("the service manager cannot be told %s: %s", assignments, error)
            self._listens = False
        else:
            self._listens = True


class PulsingClock:
    """A clock in real time whose waits are cut into slices, each with a sign of life before it.

    Args:
        clock: the clock itself, which passes at least a second of market time in a real one.
        every: real seconds between two signs at most.
        pulse: gives one.

    """

    def __init__(self, clock: Clock, every: float, pulse: Callable[[], None]) -> None:
        self.now: Callable[[], datetime] = clock.now
        self.stop: Callable[[], None] = clock.stop
        self._wait = clock.wait
        self._every = every
        self._pulse = pulse

    def wait(self, seconds: float) -> bool:
        """Let `seconds` pass; ``False`` as soon as the clock is stopped."""
        left = seconds
        while left > self._every:
            self._pulse()
            if not self._wait(self._every):
                return False
            left -= self._every
        self._pulse()
        return self._wait(left)


def _address(name: str) -> str | None:
    """Return where `name` leads; sockets of other kinds than unix ones are not spoken to."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    if name.startswith("@"):
        return f"\0{name[1:]}"
    return name if name.startswith("/") else None


def _pulse_every(environ: Mapping[str, str]) -> float | None:
    """Return half of what the manager waits for a sign of life of this process, in seconds."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID") or str(os.getpid())
    if not microseconds.isdecimal() or int(microseconds) == 0 or meant != str(os.getpid()):
        return None
    return int(microseconds) / _MICROSECONDS / 2
