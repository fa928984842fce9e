"""A rehearsal: ``python tests/proofs/rehearsal.py --minutes 10 --faults 0.2 --speed 20 --kills``.

The bridge and the daemon trade as real processes while a part of all calls goes wrong; with
``--kills`` the daemon is killed every now and then. It is started again whenever it is gone, as a
service manager would, and an operator lifts what blocks entries. Then nothing goes wrong any more
and nothing is opened: journal and account must agree, with nothing doubled, lost or in doubt, and
no traceback in any log. Prints a table; exit code 0 when all of it was so.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from app.adapters.switch_file import write_switch  # noqa: E402 - found by the path above
from app.ports import Switch  # noqa: E402
from tests.bridge import start_bridge  # noqa: E402

KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
SYMBOLS = ("EURUSD", "GBPUSD")
STRATEGY = """
name: to-and-fro
timeframes: ["1"]
entry:
  long: {conditions: [{signal: close, operator: ">", value: open}]}
  short: {conditions: [{signal: close, operator: "<", value: open}]}
exit:
  long: {conditions: [{signal: close, operator: "<", value: open}]}
  short: {conditions: [{signal: close, operator: ">", value: open}]}
risk:
  position_sizing: {type: fixed, value: 0.1}
  sl: {type: fixed, value: 10, trailing: {enabled: true, step: 5}}
  tp: {type: fixed, value: 20}
"""
NAMES = {
    "TRADE_MODE": "live",
    "TRADING_SYMBOLS": ",".join(SYMBOLS),
    "TRADING_TIMEFRAMES": "1",
    "API_TIMEOUT": "1",
    "RISK_DAILY_LOSS_LIMIT": "disabled",
    "BROKER_MAX_QUOTE_AGE": "600",
    "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "0",
    "SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED": "1",
}
BLOCKED = re.compile(r"Entries blocked.*?(?:ENABLE|Z): (?!kill_switch)")
RECOVERED = re.compile(r"The account answers again|Found at the broker|restarted \(restart")
UNAVAILABLE = 69
TRADING = "STARTING TRADING LOOP"
KILLED_AFTER = (2.0, 20.0)
"""Seconds a daemon trades, at least and at most, until it is killed."""
SETTLES_IN = 90.0
"""Seconds in which journal and account must agree once nothing goes wrong any more."""


class Outcome(NamedTuple):
    """What a rehearsal came to; all but `orders` to `recoveries` must be nothing."""

    orders: int
    starts: int
    kills: int
    blocks: int
    recoveries: int
    doubled: int
    lost: int
    in_doubt: int
    tracebacks: int
    exit_codes: tuple[int, ...]
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it traded, and all that must be nothing is nothing."""
        wrong = (self.doubled, self.lost, self.in_doubt, self.tracebacks)
        return self.orders > 0 and not any((*wrong, *self.exit_codes, *self.differences))


class Daemon:
    """The daemon in a folder of its own, started again whenever it is gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._environ: dict[str, str] = {}
        self.log = folder / "said.log"
        self.log.touch()
        self.starts = self.kills = 0
        self.exit_codes: list[int] = []
        """Those that neither a kill nor a bridge that did not answer at the start explains."""
        for symbol in SYMBOLS:
            place = folder / "conf" / "strategies" / symbol.lower()
            place.mkdir(parents=True)
            name = f"to-and-fro-{symbol.lower()}"
            (place / "it.yaml").write_text(STRATEGY.replace("to-and-fro", name))

    def at(self, address: str) -> None:
        """Trade at this bridge from the next start on."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environ = {**kept, "PYTHONPATH": str(ROOT), "API_BASE_URL": address, **NAMES}

    def runs(self) -> None:
        """Start it unless it runs."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._gone(code)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.main_orchestrated"],
                cwd=self._folder, env=self._environ, stdout=log, stderr=log,
            )  # fmt: skip
        self.starts += 1

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.kills += 1

    def stop(self) -> None:
        """End it as a service manager does."""
        if self._process is not None:
            self._process.terminate()
            self._gone(self._process.wait(timeout=30))
            self._process = None

    def _gone(self, code: int) -> None:
        if code and code != UNAVAILABLE:
            self.exit_codes.append(code)

    def said(self) -> str:
        """Return all it has written."""
        return self.log.read_text("utf-8", "replace")

    def switch(self, word: str) -> None:
        """Set the kill switch, as the operator."""
        switch = Switch(word == "ENABLE", datetime.now(UTC), "the rehearsal")
        write_switch(self._folder / "data" / "trading.switch", switch)

    def ledgers(self) -> dict[str, object] | None:
        """Return journal and account compared; ``None`` when they cannot be."""
        done = subprocess.run(
            [sys.executable, "-m", "app.main_ledger", "--json"],
            cwd=self._folder, env=self._environ, capture_output=True, check=False,
        )  # fmt: skip
        return json.loads(done.stdout)["comparison"] if done.stdout.startswith(b"{") else None


def rehearse(
    folder: Path, seconds: float, *, faults: float, speed: float, kills: bool, seed: int
) -> Outcome:
    """Trade for so many real seconds with that part of all calls going wrong, then without."""
    book = folder / "ledger.jsonl"
    options = ("--symbols", ",".join(SYMBOLS), "--ledger", book, "--plain", "--speed", speed)
    daemon = Daemon(folder)
    bridge = start_bridge(*options, "--fault-rate", faults, "--fault-seed", seed, stepped=False)
    try:
        daemon.at(bridge.url)
        _trade(daemon, seconds, random.Random(seed) if kills else None)
        daemon.stop()
        bridge.stop()
        bridge = start_bridge(*options, stepped=False)
        daemon.at(bridge.url)
        daemon.switch("DISABLE")
        compared = _settled(daemon)
        daemon.stop()
        referee = bridge.ledger()
    finally:
        daemon.kill()
        bridge.stop()
    said = daemon.said()
    return Outcome(
        orders=referee["counts"]["executed"],
        starts=daemon.starts,
        kills=daemon.kills,
        blocks=len(BLOCKED.findall(said)),
        recoveries=len(RECOVERED.findall(said)),
        doubled=len(referee["doubled"]),
        lost=_lost(referee, compared),
        in_doubt=sum(it["state"] in {"sending", "unknown"} for it in compared["orders"]),
        tracebacks=said.count("Traceback"),
        exit_codes=tuple(daemon.exit_codes),
        differences=tuple(compared["differences"]),
    )


def _trade(daemon: Daemon, seconds: float, killer: random.Random | None) -> None:
    """Keep it trading: start it again when it is gone, lift what blocks it, kill it at times.

    It goes on until something was traded; a daemon is killed so long after it began to trade.
    """
    began = time.monotonic()
    trading = blocks = 0
    dies = float("inf")
    while (passed := time.monotonic() - began) < seconds or (
        passed < seconds + SETTLES_IN and "Order placed" not in daemon.said()
    ):
        daemon.runs()
        time.sleep(0.2)
        said = daemon.said()
        if killer and said.count(TRADING) > trading:
            trading = said.count(TRADING)
            dies = time.monotonic() + killer.uniform(*KILLED_AFTER)
        if len(BLOCKED.findall(said)) > blocks:
            blocks = len(BLOCKED.findall(said))
            daemon.switch("ENABLE")
        if time.monotonic() > dies:
            daemon.kill()
            dies = float("inf")


def _settled(daemon: Daemon) -> dict:
    """Wait until journal and account agree, or for as long as that may take."""
    end = time.monotonic() + SETTLES_IN
    compared = None
    while time.monotonic() < end:
        daemon.runs()
        time.sleep(2)
        compared = daemon.ledgers() or compared
        if compared and not compared["differences"]:
            break
    return compared or {"orders": [], "differences": ["they could not be compared"]}


def _lost(referee: dict, compared: dict) -> int:
    """Return how many orders the referee executed for us and the journal does not know."""
    known = {order["client_id"] for order in compared["orders"]}
    return sum(bool(it["order"]) and it["client_id"] not in known for it in referee["received"])


def main() -> int:
    """Rehearse and print the table; return 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="of real time")
    parser.add_argument("--faults", type=float, default=0.2, help="part of all calls")
    parser.add_argument("--speed", type=float, default=20, help="market seconds a second")
    parser.add_argument("--kills", action="store_true", help="kill the daemon now and then")
    parser.add_argument("--seed", type=int, default=1, help="of faults and kills")
    parser.add_argument("--keep", type=Path, help="an empty folder that keeps logs and journal")
    options = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = rehearse(
            folder,
            options.minutes * 60,
            faults=options.faults,
            speed=options.speed,
            kills=options.kills,
            seed=options.seed,
        )
    for name, value in outcome._asdict().items():
        said = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else value
        print(f"{name.replace('_', ' '):<12} {said}")
    print("passed" if outcome.passed else "FAILED")
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
