"""A soak: ``python tests/proofs/soak.py --days 3`` (I26).

A live daemon with all that is shipped trades at our bridge, each a process of its own, for days of
the market: a quarter of a day to warm up, then those that are judged. Every hour of them ``/proc``
tells what the daemon holds. Exit code 0 when from the first day to the last its handles and threads
did not grow at all and its memory by no more than the limit, and no order was doubled, lost or left
in doubt, nor a traceback written; else every failure is a line below the table.

The bridge's clock is stepped by a minute whenever the daemon has seen the last one, so no candle is
late however slow the machine is: some 450 market seconds a second. With ``--speed`` it runs by
itself; at 600 less than one candle in a hundred is late on two busy cores.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bridge import start_bridge  # noqa: E402 - found by the path above
from tests.proofs.soaked import (  # noqa: E402
    LEAKS,
    MEGABYTE,
    SYMBOLS,
    Look,
    Soak,
    SoakedDaemon,
    SoakError,
    in_doubt,
)

LIMIT = 512.0
"""Kilobytes by which memory may grow a day. Three days measured 97, and 311 at ``--speed 600``.
Some 240 orders a day leave 1 to 2 KB each in what is remembered within bounds, 10,000 orders and
two weeks of deals. A leak of 100 bytes a candle would be 534."""
LOOKS = 24
"""At what the daemon holds, a day."""
WARM_UP = LOOKS // 4
"""Looks ahead of the first day."""


class Outcome(NamedTuple):
    """What a soak came to: looks while it warmed up, then those of each day, and what was wrong."""

    warm_up: list[Look]
    days: list[list[Look]]
    orders: list[int]
    """Those of the account, while it warmed up, then on each day."""
    faults: list[str]

    @property
    def slope(self) -> float:
        """Kilobytes by which the daemon's memory grew a day (least squares)."""
        looks = [look for day in self.days for look in day]
        spans = [(look.at - looks[0].at) / timedelta(days=1) for look in looks]
        return linear_regression(spans, [look.daemon.rss for look in looks]).slope

    def wrong(self, limit: float) -> Iterator[str]:
        """Yield all that must not be, growth by more than `limit` KB a day among it."""
        if self.slope > limit:
            yield f"memory grows by more than {limit:g} KB a day"
        for name in ("handles", "threads"):
            first, *_, last = (_middle(day, name) for day in self.days)
            if last > first:
                yield f"{name} grew from {first:g} on the first day to {last:g} on the last"
        if not sum(self.orders):
            yield "nothing was traded"
        yield from self.faults


def soak(options: argparse.Namespace, folder: Path) -> Outcome:
    """Let a daemon trade for so many days; SoakError when it does not live to their end."""
    bridge = start_bridge(
        *("--symbols", ",".join(SYMBOLS), "--faults", "--seed", options.seed),
        *("--speed", options.speed, "--login", os.getpid()),
        stepped=False,
    )
    daemon = SoakedDaemon(folder, options.journal, options.leak)
    try:
        daemon.at(bridge.url)
        daemon.trades()
        run = Soak(bridge, daemon, options.speed)
        run.faults(options.faults, options.seed)
        every = timedelta(hours=options.hours) / LOOKS
        looks = [run.look()]
        while len(looks) <= WARM_UP + LOOKS * options.days:
            run.pass_by(every)
            looks.append(run.look())
        compared = run.settle()
        daemon.stop()
        referee = bridge.ledger()
    finally:
        daemon.kill()
        bridge.stop()
    warm_up, looks = looks[: WARM_UP + 1], looks[WARM_UP + 1 :]
    days = [looks[at : at + LOOKS] for at in range(0, len(looks), LOOKS)]
    edges = [warm_up[0].at, warm_up[-1].at, *(day[-1].at for day in days)]
    times = [datetime.fromisoformat(order["time_setup"]) for order in referee["orders"]]
    orders = [sum(a < at <= b for at in times) for a, b in pairwise(edges)]
    return Outcome(warm_up, days, orders, [*_faults(daemon, referee, compared)])


def _faults(
    daemon: SoakedDaemon, referee: dict[str, Any], compared: dict[str, Any]
) -> Iterator[str]:
    known = {order["client_id"] for order in compared["orders"]}
    for client_id in referee["doubled"]:
        yield f"doubled: {client_id}"
    for receipt in referee["received"]:
        if receipt["order"] and receipt["client_id"] not in known:
            yield f"lost: order {receipt['order']}, {receipt['client_id']}"
    yield from (f"in doubt still: {client_id}" for client_id in in_doubt(compared))
    yield from (f"journal and account differ: {it}" for it in compared["differences"])
    said = daemon.said()
    for mark in ("Traceback", '"exception":'):
        if mark in said:
            yield f"a traceback: {said[said.index(mark) :][:1000]}"
    yield from (f"the daemon ended with {code}" for code in daemon.exit_codes)


def _middle(looks: list[Look], name: str) -> float:
    return median(getattr(look.daemon, name) for look in looks)


def table(outcome: Outcome) -> Iterator[str]:
    """Yield what was seen, a line a day; of handles and threads the medians."""
    yield (
        "day      RSS MB min/median/max  handles  threads  journal MB  orders  candles  late"
        "  cycles  bridge MB"
    )
    before = outcome.warm_up[0]
    for number, looks in enumerate((outcome.warm_up, *outcome.days)):
        rss = [look.daemon.rss / 1024 for look in looks]
        last = looks[-1]
        yield (
            f"{number or 'warm-up':<7} {min(rss):8.1f}{median(rss):7.1f}{max(rss):7.1f}"
            f"{_middle(looks, 'handles'):9g}{_middle(looks, 'threads'):9g}"
            f"{last.journal / MEGABYTE:12.2f}{outcome.orders[number]:8}"
            f"{last.candles - before.candles:9}{last.late - before.late:6}"
            f"{last.cycles - before.cycles:8}{last.bridge.rss / 1024:11.1f}"
        )
        before = last


def main() -> int:
    """Soak and print the table; return 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=3, help="at least 2")
    parser.add_argument("--hours", type=float, default=24, help="a day has")
    parser.add_argument("--speed", type=float, default=0, help="market seconds a second; 0: steps")
    parser.add_argument("--seed", type=int, default=11, help="of market and faults")
    parser.add_argument("--faults", type=float, default=0, help="part of all calls")
    parser.add_argument("--limit", type=float, default=LIMIT, help="KB that memory may grow a day")
    parser.add_argument("--journal", metavar="URL", help="in PostgreSQL (default: a new file)")
    parser.add_argument("--leak", action="append", default=[], choices=LEAKS, help="to be found")
    parser.add_argument("--keep", type=Path, help="an empty folder that keeps log and journal")
    options = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("what a process holds is read from /proc/PID, which only Linux has")
    if options.days < 2:
        parser.error("--days: expected at least 2, of which the first and last are compared")
    with TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            outcome = soak(options, folder)
        except SoakError as error:
            print(f"FAILED: {error}")
            return 1
    wrong = list(outcome.wrong(options.limit))
    print("\n".join(table(outcome)))
    print(f"memory: {outcome.slope:+.0f} KB a day")
    print("\n".join((*wrong, "FAILED" if wrong else "passed")))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
