"""A live daemon that is watched for days of the market, and what it holds meanwhile.

It runs with all that is shipped: the strategies and indicators of ``conf``, three symbols, every
default but a login of its own. Its log, in JSON and in a file that rotates, tells what it does.
"""

import os
import re
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from tests.bridge import ROOT, Bridge
from tests.proofs.rehearsal import BLOCKED, NAMES, TRADING, Daemon

SYMBOLS = ("EURUSD", "GBPUSD", "BTCUSD")
STEP = timedelta(minutes=1)
AFTER_CLOSE = timedelta(seconds=5)
"""How far behind the full minute a stepped clock stands."""
PATIENCE = 60.0
"""Real seconds in which the daemon must have seen a step."""
SETTLES_IN = 30
"""Steps in which journal and account must agree at the end."""
MEGABYTE = 1 << 20

_LEAK = """
import os, threading, time
kept = []
def leak():
    while True:
        time.sleep(0.1)
        {}
threading.Thread(target=leak, daemon=True).start()
"""
LEAKS = {
    "memory": "kept.append(b'leak' * 100_000)",
    "handles": "kept.append(open(os.devnull))",
    "threads": "threading.Thread(target=threading.Event().wait, daemon=True).start()",
}
WRONG_CALLS = ("reset", "reset_after", "status", "html", "null", "truncate_body")
"""Faults of any call that a daemon must survive."""
_CYCLE = re.compile(rb'"message":"Status at (\S+ \S+): .*"cycle":(\d+)')
_CANDLE = re.compile(rb'"message":"New candle detected.*')


class Held(NamedTuple):
    """What a process holds: kilobytes of memory, handles, threads."""

    rss: int
    handles: int
    threads: int


class Look(NamedTuple):
    """What was seen at a time of the market; all that is counted is so since the start."""

    at: datetime
    daemon: Held
    bridge: Held
    journal: int
    candles: int
    late: int
    cycles: int


class SoakError(Exception):
    """The soak cannot go on."""


class SoakedDaemon(Daemon):
    """The daemon with all that is shipped, as whoever watches it sees it.

    Attributes:
        seen: the minute of the market its last cycle was in; empty before the first.
        candles, late, cycles: how many there were.

    """

    def __init__(self, folder: Path, url: str | None, leaks: Iterable[str]) -> None:
        super().__init__(folder)
        self._folder = folder
        self._journal_url = url
        self._leaks = tuple(leaks)
        self._read = 0
        self.seen = ""
        self.candles = self.late = self.cycles = self.blocks = 0

    def at(self, address: str) -> None:
        """Trade at this bridge from the next start on."""
        super().at(address)
        for name in NAMES:
            del self._environ[name]
        self._environ |= {
            "TRADE_MODE": "live",
            "RISK_DAILY_LOSS_LIMIT": "disabled",
            "API_TIMEOUT": "1",
            "CONF_FOLDER_PATH": str(ROOT / "conf"),
            "TRADING_SYMBOLS": ",".join(SYMBOLS),
            "ORCHESTRATOR_STATUS_LOG_INTERVAL": "1",
            "LOGGING_FORMAT": "json",
            "LOGGING_FILE_OUTPUT": "true",
            "LOGGING_FILE_MAX_BYTES": str(MEGABYTE),
        }
        if self._journal_url:
            self._environ["JOURNAL_URL"] = self._journal_url
        if self._leaks:
            text = _LEAK.format("; ".join(LEAKS[leak] for leak in self._leaks))
            (self._folder / "sitecustomize.py").write_text(text)
            self._environ["PYTHONPATH"] = f"{self._folder}{os.pathsep}{ROOT}"

    @property
    def pid(self) -> int:
        """Its process; SoakError when that has ended."""
        if self._process is None or self._process.poll() is not None:
            raise SoakError(f"the daemon ended: {self.said()[-2000:]}")
        return self._process.pid

    def trades(self) -> None:
        """Start it and wait until it trades; what goes wrong meanwhile ends the soak."""
        self.runs()
        while self.pid and TRADING not in self.said():
            time.sleep(0.05)

    def listen(self) -> None:
        """Take in what it has said since the last time."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            said = log.read()
        said = said[: said.rfind(b"\n") + 1]
        self._read += len(said)
        candles = _CANDLE.findall(said)
        self.candles += len(candles)
        self.late += sum(b'"late":true' in candle for candle in candles)
        self.blocks += len(BLOCKED.findall(said.decode("utf-8", "replace")))
        for minute, cycle in _CYCLE.findall(said):
            self.seen, self.cycles = minute.decode(), int(cycle)

    def journal_size(self) -> int:
        """Return the bytes of its journal."""
        if self._journal_url:
            with closing(psycopg.connect(self._journal_url)) as connection:
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
                return row[0]
        return sum(file.stat().st_size for file in self._folder.glob("data/journal.db*"))


class Soak:
    """A daemon at a bridge whose time passes by steps, or by itself at a `speed`."""

    def __init__(self, bridge: Bridge, daemon: SoakedDaemon, speed: float) -> None:
        self.bridge = bridge
        self.daemon = daemon
        self._speed = speed
        self._trades = True
        self.now = self._clock(AFTER_CLOSE)

    def _clock(self, by: timedelta) -> datetime:
        """Let so much time pass, unless it does by itself; return the bridge's clock."""
        seconds = 0 if self._speed else by.total_seconds()
        return datetime.fromisoformat(self.bridge.step(seconds))

    def pass_by(self, span: timedelta) -> None:
        """Let the daemon live through so much time of the market."""
        end = self.now + span
        while self.now < end:
            if self._speed:
                time.sleep(min((end - self.now).total_seconds() / self._speed, 1))
            self.now = self._clock(STEP)
            self._watch()

    def _watch(self) -> None:
        """Wait until the daemon has seen a step, and lift what blocks it, as an operator would."""
        blocks = self.daemon.blocks
        since = time.monotonic()
        self.daemon.listen()
        while not self._speed and self.daemon.seen != f"{self.now:%Y-%m-%d %H:%M}":
            if self.daemon.pid and time.monotonic() - since > PATIENCE:
                raise SoakError(f"the daemon did not see {self.now} within {PATIENCE:.0f} s")
            time.sleep(0.005)
            self.daemon.listen()
        if self._trades and self.daemon.blocks > blocks:
            self.daemon.switch("ENABLE")

    def look(self) -> Look:
        """See what there is now."""
        daemon = self.daemon
        return Look(
            self.now,
            held_by(daemon.pid),
            held_by(self.bridge.process.pid),
            daemon.journal_size(),
            daemon.candles,
            daemon.late,
            daemon.cycles,
        )

    def faults(self, rate: float, seed: int) -> None:
        """Let that part of all calls go wrong."""
        part = rate / len(WRONG_CALLS)
        self.bridge.faults(
            *(
                {"what": what, "times": None, "rate": part, "seed": seed * 100 + number}
                for number, what in enumerate(WRONG_CALLS)
            )
        )

    def settle(self) -> dict[str, Any]:
        """Let all go well and nothing be opened until journal and account agree."""
        self.bridge.no_faults()
        self._trades = False
        self.daemon.switch("DISABLE")
        compared = None
        for _ in range(SETTLES_IN):
            self.pass_by(2 * STEP)
            compared = self.daemon.ledgers() or compared
            if compared and not compared["differences"] and not in_doubt(compared):
                break
        return compared or {"orders": [], "differences": ["they could not be compared"]}


def held_by(pid: int) -> Held:
    """Return what a process holds; its memory exactly, which ``status`` gives by estimate."""
    folder = Path(f"/proc/{pid}")
    rss = re.search(r"^Rss:\s+(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE)
    handles, threads = (sum(1 for _ in (folder / part).iterdir()) for part in ("fd", "task"))
    return Held(int(rss[1]), handles, threads)


def in_doubt(compared: dict[str, Any]) -> list[str]:
    """Return the orders whose fate the journal does not know."""
    orders = compared["orders"]
    return [it["client_id"] for it in orders if it["state"] in {"sending", "unknown"}]
