"""A market that plays the same ten minutes over and over, and two strategies that follow it.

So it is known in which minute a live daemon enters, trails a stop, takes two parts of a profit and
leaves, of both strategies in one cycle.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

from tests.bridge import ROOT, Bridge, start_bridge
from tests.proofs.held_daemon import CYCLE, HeldDaemon

SYMBOL = "BTCUSD"  # trades at the weekend too
CLOSES = (60_100, 60_200, 60_300, 60_290, 60_290, 59_900, 60_000, 60_000, 60_000, 60_000)
"""What each minute of the play closes at."""
ENTERS, TRAILS, TAKES_PARTS, RESTS, LEAVES = 0, 1, 2, 3, 5
"""The minutes at whose close a strategy acts, and one in which none does."""
SCALER, HOLDER = "scaler", "holder"
"""The strategies: one takes two parts of its profit and trails its stop, one only leaves."""
LOTS = {SCALER: Decimal("0.1"), HOLDER: Decimal("0.05")}
LOTS_BEFORE_LEAVING = {SCALER: Decimal("0.04"), HOLDER: Decimal("0.05")}
STOP_BEFORE_LEAVING = {SCALER: Decimal(59_300), HOLDER: Decimal(59_110)}
"""Of the best close, and of the price paid: 1000 pips behind."""
LOST_AFTER = 10
"""Market seconds after which an order that is not found counts as lost."""

_MINUTE = 60
_PLAY = _MINUTE * len(CLOSES)
_PLAYS = 120
_BEFORE = 6
"""Plays that are history when the first run begins."""
_OPENED = datetime(2025, 1, 6, tzinfo=UTC)
_FIRST_ACCOUNTS = count(100_000, 100_000)
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")

_FOLLOWS = f"""
timeframes: ["1"]
entry:
  long:
    conditions:
      - {{signal: close, operator: "==", value: {CLOSES[ENTERS]}}}
exit:
  long:
    conditions:
      - {{signal: close, operator: "==", value: {CLOSES[LEAVES]}}}
"""
_STRATEGIES = {
    SCALER: f"""
name: {SCALER}{_FOLLOWS}
risk:
  position_sizing: {{type: fixed, value: {LOTS[SCALER]}}}
  sl: {{type: fixed, value: 1000, trailing: {{enabled: true, step: 1000}}}}
  tp:
    type: multi_target
    targets:
      - {{value: 0.2, percent: 30}}
      - {{value: 0.3, percent: 30}}
      - {{value: 3.0, percent: 40}}
""",
    HOLDER: f"""
name: {HOLDER}{_FOLLOWS}
risk:
  position_sizing: {{type: fixed, value: {LOTS[HOLDER]}}}
  sl: {{type: fixed, value: 1000}}
""",
}


def after_close(minute: int) -> int:
    """Return the second of the play at which a daemon first sees that minute's candle."""
    return _MINUTE * (minute + 1) + 2


class Venue:
    """A bridge of our own that is stepped, and a new account on it for each run.

    It has no client ids and no idempotency keys to help, and is replaced by another one when its
    market comes to its end.
    """

    def __init__(self, folder: Path, journal_url: str | None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._journal_url = journal_url
        self._accounts = count(next(_FIRST_ACCOUNTS))
        self._plays = iter(())
        self._bridge: Bridge | None = None

    def run(self) -> "Run":
        """Return a run on an account of its own, half a minute into a play."""
        at = next(self._plays, None)
        if at is None:
            self.close()
            self._plays = iter(range(_BEFORE, _PLAYS - 1))
            at = next(self._plays)
            self._bridge = self._open()
        return Run(
            self._bridge,
            next(self._accounts),
            self._folder,
            timedelta(seconds=at * _PLAY),
            self._journal_url,
        )

    def close(self) -> None:
        """End the bridge."""
        if self._bridge is not None:
            self._bridge.stop()

    def _open(self) -> Bridge:
        bars = self._folder / f"{SYMBOL}.csv"
        bars.write_text("time,open,high,low,close,tick_volume,spread\n" + "".join(_bars()))
        start = _OPENED + timedelta(seconds=_BEFORE * _PLAY)
        return start_bridge(
            "--plain", "--faults", "--symbols", SYMBOL, "--file", bars, "--start", start.isoformat()
        )


def _bars() -> Iterator[str]:
    last = CLOSES[-1]
    for minute, close in enumerate(CLOSES * _PLAYS):
        at = _OPENED + timedelta(minutes=minute)
        low, high = sorted((last, close))
        yield f"{at.isoformat()},{last},{high},{low},{close},100,1000\n"
        last = close


class Run:
    """One account through one play; `second` counts from its start, in market time."""

    def __init__(
        self,
        bridge: Bridge,
        account: int,
        place: Path,
        begins: timedelta,
        journal_url: str | None,
    ) -> None:
        self.bridge = bridge
        self.account = account
        self.folder = place / str(account)
        self.log = self.folder / "daemon.log"
        self.journal_url = journal_url or f"sqlite:///{self.folder}/data/journal.db"
        self.second = 0
        self._begins = _OPENED + begins
        strategies = self.folder / "conf" / "strategies" / SYMBOL.lower()
        strategies.mkdir(parents=True)
        for name, text in _STRATEGIES.items():
            (strategies / f"{name}.yaml").write_text(text)
        self._environ = _environment(bridge.url, journal_url)
        bridge.no_faults()
        bridge.control("account", login=account)
        self.pass_to(30)

    def pass_to(self, second: int) -> str:
        """Let the market go on to a second of the play; return the time there."""
        self.second = second
        return self.bridge.step(to=(self._begins + timedelta(seconds=second)).isoformat())

    def daemon(self) -> HeldDaemon:
        """Return a daemon that is born and does nothing yet."""
        return HeldDaemon(self.folder, self._environ, self.log)

    def cycle(self, daemon: HeldDaemon, second: int) -> bool:
        """Let a daemon run a cycle at a second of the play; ``False`` when it ended in it."""
        return daemon.go(self.pass_to(second), CYCLE)

    def said(self) -> str:
        """Return what its daemons said."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def _environment(base_url: str, journal_url: str | None) -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    journal = {"JOURNAL_URL": journal_url} if journal_url else {}
    return {
        **kept,
        **journal,
        "PYTHONPATH": str(ROOT),
        "TRADE_MODE": "live",
        "API_BASE_URL": base_url,
        "API_CONCURRENCY": "1",
        "SYMBOL": SYMBOL,
        "TIMEFRAMES": "1",
        "BROKER_LOST_AFTER": str(LOST_AFTER),
        "REGIME_ENABLED": "false",
        "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "10",
    }
