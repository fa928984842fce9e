"""TradingOrchestrator: builds the bus and the services, runs the cycles, replaces what fails."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID, uuid4

from app import assembly, wiring
from app import settings as settings_module
from app.bus import EventBus, Subscription
from app.domain.errors import GaveUpError, SourceError, nearest
from app.domain.market import Quote
from app.events import (
    CycleCompletedEvent,
    CycleStartedEvent,
    Event,
    RestartBudgetSpentEvent,
    ServiceFailedEvent,
    ServiceRestartedEvent,
    correlation_id,
)
from app.log_setup import get_logger
from app.services.base import Health, Service
from app.settings import Settings
from app.supervisor import RestartPolicy, Verdict

NEEDED_TO_MANAGE = frozenset({"data_fetching", "trade_execution"})
"""Without these an open position cannot be managed; its stops at the broker stay."""

CYCLE_ID_MASK = 0xFFFFFFFF


class State(StrEnum):
    """Where in its life the orchestrator is."""

    CREATED = "created"
    INITIALIZED = "initialized"
    RUNNING = "running"
    STOPPED = "stopped"


class TradingOrchestrator:
    """Runs the pipeline.

        orchestrator = TradingOrchestrator.from_config("config/services.yaml")
        orchestrator.event_bus.subscribe(NewCandleEvent, my_handler)
        orchestrator.initialize()
        orchestrator.start()
        orchestrator.run()
        orchestrator.stop()

    Args:
        settings: how the process runs.
        parts: the adapters and strategies it runs with.
        session: the id of this run; the ids of its cycles follow from it.

    """

    def __init__(
        self, settings: Settings, parts: assembly.Parts, *, session: UUID | None = None
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.session = session or uuid4()
        self.state = State.CREATED
        self.services: dict[str, Service] = {}
        self._log = get_logger("orchestrator")
        bus = settings.event_bus
        self.event_bus = EventBus(
            history_limit=bus.event_history_limit,
            log_all_events=bus.log_all_events,
            on_error=self._handler_failed,
        )
        self._stages = {stage.name: stage for stage in wiring.stages(parts, self.event_bus)}
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._restarts: dict[str, list[datetime]] = {}
        self._futile: Counter[str] = Counter()
        """How many replacements in a row finished nothing."""
        self._given_up = ""
        self._counted: dict[str, Counter[str]] = {name: Counter() for name in self._stages}
        """What the replaced instances of each service had counted."""
        self._reported: set[str] = set()
        restart = settings.orchestrator
        self._policy = RestartPolicy(
            timedelta(seconds=restart.restart_backoff),
            restart.restart_budget,
            timedelta(seconds=restart.restart_window),
        )
        self._now = parts.clock.now()
        self._first_id = self.session.int
        self._cycles = 0
        self._started_at: float | None = None
        self._stopped_at: float | None = None
        self._healthy_at_stop: int | None = None

    @classmethod
    def from_config(
        cls, config: str | Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> "TradingOrchestrator":
        """Return an orchestrator for the configuration file and the environment.

        Logging is set up too, unless the program that calls has done so.

        Raises:
            ConfigurationError: a setting, indicator, strategy or data file is wrong.

        """
        loaded = settings_module.load(Path(config) if config else None, environ)
        if not logging.getLogger().handlers:
            assembly.set_up_logging(loaded.settings.logging)
        return cls(loaded.settings, assembly.connect(loaded.settings))

    def initialize(self) -> None:
        """Create the enabled services and connect them, in pipeline order; once."""
        if self.state is not State.CREATED:
            return
        self._log.info("=== INITIALIZING TRADING SYSTEM ===")
        self._log.info("Creating EventBus...")
        for stage in self._stages.values():
            self._log.info("Creating %s...", stage.title)
            service, bindings = stage.create()
            self.services[stage.name] = service
            self._subscribe(stage.name, bindings)
            self._log.info("✓ %s created", stage.title)
        self._log.info("=== INITIALIZED %d SERVICES ===", len(self.services))
        self.state = State.INITIALIZED

    def start(self) -> None:
        """Start all services in pipeline order; when one cannot, stop those already started.

        Raises:
            RuntimeError: it was started before; a new run needs a new orchestrator.

        """
        self.initialize()
        if self.state is not State.INITIALIZED:
            raise RuntimeError(f"the orchestrator is {self.state}: build a new one to start again")
        self._log.info("=== STARTING ALL SERVICES ===")
        started: list[Service] = []
        try:
            for name, service in self.services.items():
                service.start(self._now)
                started.append(service)
                self._log.info("✓ %s started", name)
        except BaseException:
            for service in reversed(started):
                service.stop()
            self.parts.close()
            raise
        self.state = State.RUNNING
        self._started_at = time.monotonic()
        self._log.info("=== ALL SERVICES STARTED ===")

    def run(self, interval_seconds: float | None = None, max_cycles: int | None = None) -> None:
        """Run cycles until stopped, out of data, or `max_cycles` are done.

        Args:
            interval_seconds: market time between cycles (default: the fetch interval).
            max_cycles: end after so many.

        Raises:
            GaveUpError: a service kept failing after all its restarts.
            RuntimeError: it was not started.

        """
        if self.state is not State.RUNNING:
            raise RuntimeError(f"the orchestrator is {self.state}: start() it before run()")
        interval = interval_seconds
        if interval is None:
            interval = self.settings.services.data_fetching.fetch_interval
        self._log.info("=== STARTING TRADING LOOP (interval=%gs) ===", interval)
        clock = self.parts.clock
        options = self.settings.orchestrator
        check_every = timedelta(seconds=options.health_check_interval)
        next_check = self._now + check_every
        status_every = options.status_log_interval
        last_cycle = None if max_cycles is None else self._cycles + max_cycles
        while self._cycles != last_cycle and clock.wait(interval):
            now = clock.now()
            self._run_cycle(now)
            check_after = now + check_every
            if now >= next_check:
                self.check_health()
                next_check = check_after
            elif check_after < next_check:  # the clock was set back
                next_check = check_after
            if self._cycles % status_every == 0:
                self._log_status()
            if self._given_up and self._flat():
                break
        if self._given_up:
            raise GaveUpError(self._given_up)

    def wind_down(self) -> None:
        """End the run after the running cycle, in which nothing is opened any more.

        Safe from a signal handler.
        """
        for service in self.services.values():
            service.wind_down()
        self.parts.clock.stop()

    def stop(self, cause: str | None = None) -> None:
        """Stop all services in reverse order, saying the `cause`; may be called twice."""
        if self.state is not State.RUNNING:
            return
        if cause:
            self._log.info("Received %s", cause)
        self._healthy_at_stop = self._healthy()
        self._log.info("=== STOPPING ALL SERVICES ===")
        for name, service in reversed(self.services.items()):
            service.stop()
            self._log.info("✓ %s stopped", name)
        self.parts.close()
        self._stopped_at = time.monotonic()
        self.state = State.STOPPED
        self._log.info("=== ALL SERVICES STOPPED ===")

    def restart_service(self, name: str) -> bool:
        """Replace a service by a new instance; ``False`` when the new one cannot start.

        Raises:
            KeyError: there is no such service.

        """
        if name not in self.services:
            raise KeyError(f"no service '{name}'{nearest(name, self.services)}")
        self._restarts.setdefault(name, []).append(self._now)
        failed = self.services[name]
        failed.stop()
        held = self._subscriptions.pop(name, [])
        for subscription in held:
            self.event_bus.unsubscribe(subscription)
        self._futile[name] = 0 if failed.progress else self._futile[name] + 1
        try:
            service, bindings = self._stages[name].create()
            service.succeed(failed)
            service.start(self._now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next check tries again
            if isinstance(error, SourceError) and failed.health().foreign:
                # Nothing is wrong with the one that runs: its counterpart does not answer.
                self._log.warning("%s goes on until it is answered: %s", name, error)
                self._subscriptions[name] = [
                    self.event_bus.subscribe(it.event_type, it.handler, owner=name, order=it.order)
                    for it in held
                ]
            else:
                # Nothing half started handles events: the failed one stays, unsubscribed.
                self._log.error("Restarting %s failed: %s", name, error, exc_info=error)
                failed.broken(error)
            return False
        self._counted[name].update(
            {key: n for key, n in failed.metrics().items() if key not in failed.gauges}
        )
        self.services[name] = service
        self._subscribe(name, bindings)
        restarts = len(self._restarts[name])
        self._reported.discard(name)
        self._log.warning("✓ %s restarted (restart %d)", name, restarts)
        self.event_bus.publish(ServiceRestartedEvent(service=name, restarts=restarts))
        return True

    def check_health(self) -> None:
        """Look at every service's progress; report, restart or give up what makes none.

        Raises:
            GaveUpError: a service kept failing that open positions cannot be managed without.

        """
        for name, service in list(self.services.items()):
            health = service.health()
            if health.healthy:
                if self._reported:
                    self._reported.discard(name)
                continue
            if name not in self._reported:
                self._reported.add(name)
                self._log.error("Service %s is unhealthy: %s", name, health.reason)
                self.event_bus.publish(ServiceFailedEvent(service=name, error=health.reason))
            if self.settings.orchestrator.enable_auto_restart:
                self._restart_or_give_up(name, health)

    def get_service_health(self) -> dict[str, bool]:
        """Return whether each service is healthy, in pipeline order."""
        return {name: service.health().healthy for name, service in self.services.items()}

    def get_all_metrics(self) -> dict[str, dict[str, object]]:
        """Return the metrics of the orchestrator, of each service and of the bus."""
        healthy = self._healthy() if self._healthy_at_stop is None else self._healthy_at_stop
        return {
            "orchestrator": {
                "status": self.state.value,
                "uptime_seconds": self._uptime(),
                "session": str(self.session),
                "cycles": self._cycles,
                "services": len(self.services),
                "services_healthy": healthy,
                "restarts": {name: len(at) for name, at in self._restarts.items()},
            },
            "services": {name: self._metrics(name) for name in self.services},
            "event_bus": self.event_bus.metrics(),
        }

    def _metrics(self, name: str) -> dict[str, int | float]:
        counted = self._counted[name]
        return {key: n + counted[key] for key, n in self.services[name].metrics().items()}

    def _subscribe(self, name: str, bindings: Sequence[wiring.Binding]) -> None:
        order = list(self._stages).index(name)
        self._subscriptions[name] = [
            self.event_bus.subscribe(event_type, handler, owner=name, order=-1 if ahead else order)
            for event_type, handler, ahead in bindings
        ]

    def _run_cycle(self, now: datetime) -> None:
        self._now = now
        self._cycles = cycle = self._cycles + 1
        # Odd multiplier: ids of one session never repeat within 2**32 cycles.
        number = (self._first_id + cycle * 0x9E3779B1) & CYCLE_ID_MASK
        token = correlation_id.set(f"{number:08x}")
        try:
            self.event_bus.publish(CycleStartedEvent(cycle=cycle, time=now))
            self.event_bus.publish(CycleCompletedEvent(cycle=cycle, time=now))
            self.parts.journal.flush()
        finally:
            correlation_id.reset(token)

    def _restart_or_give_up(self, name: str, health: Health) -> None:
        restarts = self._restarts.setdefault(name, [])
        verdict = self._policy.verdict(restarts, self._now, self._futile[name])
        if verdict is Verdict.RESTART:
            self.restart_service(name)
        elif verdict is Verdict.GIVE_UP and not health.foreign and not self._given_up:
            self._give_up(name, health, len(restarts))

    def _give_up(self, name: str, health: Health, restarts: int) -> None:
        """Open nothing any more; end now, or when what is open and can be managed is closed."""
        self._given_up = f"{name} still fails after {restarts} restarts ({health.reason})"
        self.event_bus.publish(RestartBudgetSpentEvent(service=name, restarts=restarts))
        if name in NEEDED_TO_MANAGE:
            raise GaveUpError(f"{self._given_up}; open positions keep their stops at the broker")
        self._log.critical("%s: nothing is opened any more, ending when flat", self._given_up)

    def _handler_failed(self, owner: str, _event: Event, error: Exception) -> None:
        service = self.services.get(owner)
        if service is not None:
            service.failed(error)

    def _flat(self) -> bool:
        """Say whether none of our positions is open, and no order on its way to be one."""
        execution = self.services.get("trade_execution")
        if execution is None:
            return True
        counts = execution.metrics()
        return not (counts["open_positions"] or counts["orders_on_their_way"])

    def _healthy(self) -> int:
        return sum(self.get_service_health().values())

    def _uptime(self) -> float:
        if self._started_at is None:
            return 0.0
        return (self._stopped_at or time.monotonic()) - self._started_at

    def _log_status(self) -> None:
        if not self._log.is_enabled_for(logging.INFO):
            return
        account = self.parts.broker.account()
        said = {name: ok for name, ok in self.get_service_health().items() if not ok}
        self._log.info(
            "Status at %s: %s%d open, balance %.2f, equity %.2f %s%s",
            f"{self._now:%Y-%m-%d %H:%M}",
            "".join(f"{symbol} {quote.bid:g} · " for symbol, quote in self._quotes()),
            len(self.parts.broker.positions()),
            account.balance,
            account.equity,
            account.currency,
            f", unhealthy: {', '.join(said)}" if said else "",
            cycle=self._cycles,
        )

    def _quotes(self) -> list[tuple[str, Quote]]:
        quotes = ((symbol, self.parts.broker.quote(symbol)) for symbol in self.settings.symbols)
        return [(symbol, quote) for symbol, quote in quotes if quote is not None]
