"""What every service has: a name, a life cycle, health by progress and metrics."""

import logging
from datetime import datetime
from typing import ClassVar

import msgspec

from app.bus import EventBus
from app.log_setup import get_logger


class Health(msgspec.Struct, frozen=True):
    """Whether a service makes progress, and if not, what stops it.

    A `foreign` fault lies with whom we talk to: it passes by waiting, nothing is given up for it.
    """

    healthy: bool
    reason: str = ""
    foreign: bool = False


class Service:
    """One stage of the pipeline.

    A service holds so little that restarting it means replacing it: `start` brings its state back
    from the source's history, the broker and the journal. Handlers count what they finish in
    `handled`; failures count as "in a row" only while nothing is finished between them.
    """

    name: ClassVar[str]
    gauges: ClassVar[frozenset[str]] = frozenset()
    """Metrics that say how things stand; the others count, and add up over replacements."""
    max_failures: int = 3
    """Failures in a row from which on the service is unhealthy."""

    def __init__(self, bus: EventBus) -> None:
        self.bus = bus
        self.log = get_logger(f"services.{type(self).__name__}")
        self.tells = self.log.is_enabled_for(logging.INFO)
        """Whether INFO lines are shown: the path of a candle does not even build what is not."""
        self.handled = 0
        self.failures_in_a_row = 0
        self._handled_at_failure = 0
        self._last_error = ""

    def start(self, now: datetime) -> None:
        """Get ready to handle events from the market's `now` on."""

    def wind_down(self) -> None:
        """Begin nothing new: the end is near; safe from a signal handler."""

    def succeed(self, failed: "Service") -> None:
        """Take over from the instance that this one replaces what must not be forgotten."""

    def stop(self) -> None:
        """Let go of what `start` took; must not raise."""

    def failed(self, error: Exception) -> None:
        """Take in that one of the service's handlers raised."""
        progressed = self.handled > self._handled_at_failure
        self.failures_in_a_row = 1 if progressed else self.failures_in_a_row + 1
        self._handled_at_failure = self.handled
        self._last_error = f"{type(error).__name__}: {error}"

    def broken(self, error: Exception) -> None:
        """Take in that no replacement could be started: nothing less than one helps."""
        self.failed(error)
        self.failures_in_a_row = self.max_failures

    @property
    def progress(self) -> int:
        """How much the service has finished since it was started."""
        return self.handled

    def health(self) -> Health:
        """Say whether the service makes progress, and if not, why: its ailment before failures."""
        ailment = self.ailment()
        if ailment is not None:
            return ailment
        fails = self.failures_in_a_row
        if fails >= self.max_failures and self.handled <= self._handled_at_failure:
            return Health(False, f"{fails} failures in a row: {self._last_error}")
        return HEALTHY

    def ailment(self) -> Health | None:
        """Return what keeps the service from its work besides handlers that raise."""
        return None

    def metrics(self) -> dict[str, int | float]:
        """Return the service's counters."""
        return {}


HEALTHY = Health(True)
