"""The live cycle against our own bridge on loopback, a process of its own, its clock stepped.

Time inside the client's calls counts as HTTP. The way of an order is timed from the moment the
reply with the new candle is there to the call that sends the order's first byte.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app import assembly, log_setup, settings  # noqa: E402 - the project must be found first
from app.orchestrator import TradingOrchestrator  # noqa: E402
from tests.bridge import Bridge, start_bridge  # noqa: E402

CYCLES = 120
ORDERS = 120
MANY = 50
CURRENCIES = ("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "JPY", "SEK", "NOK", "PLN")
STRATEGY = """
name: %s
timeframes: ["1"]
entry: {long: {conditions: [{signal: close, operator: ">", value: %s}]}}
risk: {position_sizing: {type: fixed, value: 0.01}, sl: {type: fixed, value: 500}}
"""


class Timed:
    """How long calls took, and when the last one came back."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.ended = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                self.ended = time.perf_counter()
                self.spent += self.ended - began

        return timed


@contextmanager
def _trading(
    symbols: str, timeframes: str, *, conf: Path | None = None, **more: str
) -> Iterator[tuple[Bridge, TradingOrchestrator]]:
    log_setup.configure(level="ERROR")
    bridge = start_bridge("--faults", "--symbols", symbols, "--balance", "1000000")
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "TRADE_MODE": "live",
            "API_BASE_URL": bridge.url,
            "SYMBOLS": symbols,
            "TIMEFRAMES": timeframes,
            "JOURNAL_FOLDER": folder,
            "CONF_FOLDER_PATH": str(conf or ROOT / "conf"),
            "BROKER_SERVER_TIMEZONE": "NY+7",
            **more,
        }
        parts = assembly.connect(settings.load(environ=environ, dotenv=None).settings)
        orchestrator = TradingOrchestrator(parts.settings, parts)
        orchestrator.initialize()
        try:
            yield bridge, orchestrator
        finally:
            orchestrator.stop()
            parts.close()
            bridge.stop()


def _cycle(bridge: Bridge, orchestrator: TradingOrchestrator, seconds: float) -> float:
    """Let market time pass, then run one cycle; return how long it took, seconds."""
    bridge.step(seconds=seconds)
    parts = orchestrator.parts
    health = parts.broker._client.health()  # type: ignore[attr-defined]
    parts.clock.told(health.clock, health.speed)  # type: ignore[attr-defined]
    began = time.perf_counter()
    orchestrator._run_cycle(parts.clock.now())
    return time.perf_counter() - began


def _one_symbol() -> list[tuple[str, float, str]]:
    with _trading("EURUSD", "1,5,15,60") as (bridge, orchestrator):
        began = time.perf_counter()
        orchestrator.start()
        warm_up = time.perf_counter() - began
        client = orchestrator.parts.broker._client  # type: ignore[attr-defined]
        http = Timed()
        for name in ("together", "create_order", "close_position", "update_position"):
            setattr(client, name, http.around(getattr(client, name)))
        cycles, without = [], []
        for _ in range(CYCLES):
            before = http.spent
            took = _cycle(bridge, orchestrator, 5)
            cycles.append(took)
            without.append(took - (http.spent - before))
        return [
            ("warm-up of a symbol in four timeframes", warm_up, "s"),
            ("a cycle, one symbol, four timeframes, median", median(cycles) * 1e3, "ms"),
            ("the same, p95", quantiles(cycles, n=20)[-1] * 1e3, "ms"),
            ("the same without HTTP, median", median(without) * 1e3, "ms"),
        ]


def _many_symbols() -> list[tuple[str, float, str]]:
    pairs = itertools.islice(itertools.permutations(CURRENCIES, 2), MANY)
    symbols = [base + quote for base, quote in pairs]
    with tempfile.TemporaryDirectory() as folder:
        for symbol in symbols:
            _strategy(Path(folder), symbol, f"quiet-{symbol}", "1e9")
        history = {"SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "300"}
        names = ",".join(symbols)
        with _trading(names, "1,5,15", conf=Path(folder), **history) as (bridge, orchestrator):
            orchestrator.start()
            took = [_cycle(bridge, orchestrator, 60) for _ in range(10)]
    return [(f"a cycle, {MANY} symbols, three timeframes, median", median(took) * 1e3, "ms")]


def _strategy(conf: Path, symbol: str, name: str, above: str) -> None:
    folder = conf / "strategies" / symbol.lower()
    folder.mkdir(parents=True)
    (folder / f"{name}.yaml").write_text(STRATEGY % (name, above), "utf-8")


def _order() -> list[tuple[str, float, str]]:
    """Return how long an order takes to leave once its candle is there, the journal apart."""
    with tempfile.TemporaryDirectory() as folder:
        _strategy(Path(folder), "EURUSD", "eager", "0")
        with _trading(
            "EURUSD",
            "1",
            conf=Path(folder),
            SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION="1000",
            RISK_MAX_POSITIONS="10000",
            RISK_DAILY_LOSS_LIMIT="disabled",
        ) as (bridge, orchestrator):
            orchestrator.start()
            parts = orchestrator.parts
            client = parts.broker._client  # type: ignore[attr-defined]
            replies, commits, ways = Timed(), Timed(), []
            client.together = replies.around(client.together)
            parts.journal.admit = commits.around(parts.journal.admit)  # type: ignore[method-assign]
            send = client.create_order

            def sent(*given: Any, **named: Any) -> Any:
                ways.append(time.perf_counter() - replies.ended - commits.spent)
                return send(*given, **named)

            client.create_order = sent
            durable = []
            for _ in range(ORDERS):
                commits.spent = 0.0
                _cycle(bridge, orchestrator, 60)
                durable.append(commits.spent)
            return [
                ("candle's reply to order's first byte, median", median(ways) * 1e3, "ms"),
                ("the same, p99", quantiles(ways, n=100)[-1] * 1e3, "ms"),
                ("the durable commit on top, median", median(durable) * 1e3, "ms"),
            ]


def _first_cycle() -> list[tuple[str, float, str]]:
    """Return what a process needs to its first cycle, and its memory then."""
    bridge = start_bridge(stepped=False)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "app.main_orchestrated"],
            cwd=ROOT,
            env={
                **os.environ,
                "TRADE_MODE": "live",
                "API_BASE_URL": bridge.url,
                "JOURNAL_FOLDER": folder,
                "LOGGING_LEVEL": "INFO",
                "BROKER_SERVER_TIMEZONE": "NY+7",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            next(line for line in process.stdout if "Fetched data for" in line)
            took = time.perf_counter() - began
            time.sleep(10)
            status = Path(f"/proc/{process.pid}/status")
            lines = status.read_text("utf-8").splitlines() if status.exists() else []
            memory = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
        finally:
            process.kill()
            process.wait()
            bridge.stop()
    rows = [("live: process start to first cycle", took, "s")]
    return rows + [("resident after ten seconds of trading", mb, "MB") for mb in memory]


def rows() -> list[tuple[str, float, str]]:
    """Return the figures of the live cycle."""
    return [*_one_symbol(), *_order(), *_many_symbols(), *_first_cycle()]
