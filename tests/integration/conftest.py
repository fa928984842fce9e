"""The daemon as a process or in this one, folders to run it in, and bars to run it on."""

import dataclasses
import logging
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import assembly, log_setup, main_orchestrated, settings
from app.adapters.simulated_market import SimulatedMarket
from app.events import Event
from app.main_orchestrated import CAUSES
from app.orchestrator import TradingOrchestrator
from tests.live import ALWAYS_LONG, Live, Relay

ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
MONDAY = datetime(2025, 1, 6, 8, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a process left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()


class Daemon:
    """Starts the daemon in a folder with an environment of its own."""

    command = (sys.executable, "-m", "app.main_orchestrated")

    def environment(self, names):
        kept = {k: v for k, v in os.environ.items() if k in KEPT or k.startswith("COV")}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **names}

    def started(self, folder, *arguments, **names):
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=folder,
            env=self.environment(names),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, folder, *arguments, **names):
        """Run to the end, as fast as possible unless told otherwise."""
        process = self.started(folder, *arguments, **{"MARKET_DATA_SPEED": "0", **names})
        return self.ended(process)

    def ended(self, process):
        """Read what is left to read; lines read before are not in it."""
        with process:
            try:
                out, err = process.stdout.read(), process.stderr.read()
                return Ended(process.wait(), out, err)
            except BaseException:
                process.kill()
                raise


@pytest.fixture(scope="session")
def daemon():
    return Daemon()


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory):
    """Make a place like a clone of the project, without a configuration file."""

    def make():
        folder = tmp_path_factory.mktemp("clone")
        (folder / "conf").symlink_to(ROOT / "conf")
        return folder

    return make


@pytest.fixture
def folder(new_folder, monkeypatch):
    """Where this test runs, with nothing of ours in the environment."""
    made = new_folder()
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def own_process():
    """Give back signals and logging as they were after the daemon ran in this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    signals = {number: signal.getsignal(number) for number in CAUSES}
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)


@pytest.fixture
def main_here(folder, monkeypatch, capsys, own_process):
    """Run the daemon's command, or another's, in this process: quicker, for what ends early."""

    def run(*arguments, main=main_orchestrated.main, **names):
        with monkeypatch.context() as patched:
            for name in [name for name in os.environ if name not in KEPT]:
                patched.delenv(name)
            for name, value in {"MARKET_DATA_SPEED": "0", **names}.items():
                patched.setenv(name, value)
            code = main(list(arguments))
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


class Console:
    """What the daemon's logging writes while the test runs."""

    def __init__(self, capsys):
        self._capsys = capsys

    def listen(self, **options):
        """Set logging up; loggers taken from now on write to this console."""
        log_setup.configure(**options)

    def lines(self):
        """Return the lines since the last call."""
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def console(capsys, own_process):
    return Console(capsys)


@pytest.fixture
def configuration(folder):
    """Write conf/ of this test: strategies (name -> YAML text) of a symbol, and indicators."""

    def write(strategies, symbol="EURUSD", indicators=None):
        conf = folder / "conf"
        if conf.is_symlink():
            conf.unlink()
        else:
            shutil.rmtree(conf)
        place = conf / "strategies" / symbol.lower()
        place.mkdir(parents=True)
        for name, text in strategies.items():
            (place / f"{name}.yaml").write_text(text)
        for timeframe, text in (indicators or {}).items():
            file = conf / "indicators" / symbol.lower() / f"{symbol.lower()}_{timeframe}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return write


@pytest.fixture
def bars_file(folder):
    """Write one-minute bars that close at `closes`, each opening where the last one closed."""

    def write(closes, name="EURUSD_M1.csv", start=MONDAY):
        lines = ["time,open,high,low,close,tick_volume,spread"]
        previous = closes[0]
        for minute, close in enumerate(closes):
            at = start + timedelta(minutes=minute)
            high, low = max(previous, close), min(previous, close)
            lines.append(f"{at.isoformat()},{previous},{high},{low},{close},100,2")
            previous = close
        path = folder / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def simulated_bars():
    """Bars of the simulated market as a frame, to be written to any kind of file."""

    def frame(symbol="EURUSD", days=2, seed=7, start=MONDAY - timedelta(hours=8)):
        import pandas as pd  # noqa: PLC0415 - only file tests pay for it

        since = int(start.timestamp())
        bars = SimulatedMarket(symbol, seed, start).bars(since, since + days * 86_400)
        return pd.DataFrame(
            {
                "time": pd.to_datetime(bars.time, unit="s", utc=True),
                "open": bars.open,
                "high": bars.high,
                "low": bars.low,
                "close": bars.close,
                "tick_volume": bars.volume.astype(int),
                "spread": bars.spread.astype(int),
            }
        )

    return frame


class Run:
    """An orchestrator of this process and every event it published."""

    def __init__(self, environ, parts):
        environ = {"MARKET_DATA_SPEED": "0", **environ}
        self.settings = settings.load(environ=environ, dotenv=None).settings
        self.parts = dataclasses.replace(assembly.connect(self.settings), **parts)
        self.orchestrator = TradingOrchestrator(self.settings, self.parts)
        self.bus = self.orchestrator.event_bus
        self.events: list[Event] = []
        self.bus.subscribe(Event, self.events.append)

    def started(self):
        self.orchestrator.start()
        return self

    def to_the_end(self):
        self.orchestrator.start()
        self.orchestrator.run()
        self.orchestrator.stop()
        return self

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]

    def names(self, since=0):
        return [type(event).__name__.removesuffix("Event") for event in self.events[since:]]

    def service(self, name):
        return self.orchestrator.services[name]

    def metrics(self, *path):
        value = self.orchestrator.get_all_metrics()
        for part in path:
            value = value[part]
        return value


@pytest.fixture
def connect(folder):
    """Connect the pipeline for an environment; parts given by name replace the connected ones."""

    def make(environ=None, **parts):
        return Run(environ or {}, parts)

    return make


@pytest.fixture
def eurusd(bridge):
    """Start a bridge of EURUSD alone, whose clock stands at eight o'clock on a Monday."""
    return lambda *options: bridge(
        "--symbols", "EURUSD", "--start", "2025-01-06T08:00Z", "--faults", *options
    )


@pytest.fixture
def live(configuration, connect):
    """Start daemons at a bridge, or at what stands before it; their strategy always buys."""
    made = []

    def start(broker, address=None, *, strategy=ALWAYS_LONG, **names):
        configuration({"always_long": strategy}, names.get("TRADING_SYMBOL", "EURUSD"))
        usual = {
            "TRADE_MODE": "live",
            "API_BASE_URL": address or broker.url,
            "TRADING_TIMEFRAMES": "1",
            "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "0",
            "SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED": "1",
        }
        one = Live(connect({**usual, **names}), broker)
        made.append(one)
        one.run.started()
        return one

    yield start
    for one in made:
        one.end()


@pytest.fixture
def relay():
    """Put a relay before a bridge."""
    made = []

    def before(broker):
        made.append(Relay(broker))
        return made[-1]

    yield before
    for one in made:
        one.close()
