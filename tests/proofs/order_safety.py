"""Order safety under every fault: ``python tests/proofs/order_safety.py --intents 1000000``.

Episodes of random prices, signals and faults: replies lost, orders shown late, twice, in part or
under another name, processes killed at every step of sending, a bridge that is down, clocks
stepped, people and strangers trading the account. A referee holds the daemon against I1 to I6, I8
to I13, I15, I16 and I20 before every order and after every step; at the end of each episode all is
well again and everything must be settled. Exit code 0 when no rule was broken; else a line says
which, and ``--episode`` tells the whole story.

`OrderSafety` is the same as a state machine of Hypothesis, which finds the shortest way to a fault;
``tests/integration/test_order_safety.py`` plays a slice of both.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from app.domain.signals import Direction  # noqa: E402
from app.events import CycleStartedEvent, Event  # noqa: E402
from tests.fates import FINE, LOST_REPLY, MOVED, NEVER_ARRIVED, REFUSED, Comment, Death, Fate, Reply  # noqa: E402
from tests.ledger import replace  # noqa: E402
from tests.market import Market, Signals  # noqa: E402
from tests.trader import quiet  # noqa: E402

STEPS = 60
"""Cycles of an episode before all is well again."""
BATCH = 20
"""Episodes a process plays before it reports."""
MOST_ORDERS = 8
"""Fates drawn before a cycle; orders beyond them go well."""


SOON = (5, 30, 120)
"""Seconds, well below those after which what is not shown is believed."""
TROUBLES = (
    (0.15, "unseen", SOON),
    (0.10, "fills_after", (*SOON, None)),
    (0.03, "deal_later", SOON),
    (0.03, "position_later", SOON),
    (0.05, "part", (Decimal("0.5"),)),
    (0.03, "keeps_stop", (False,)),
    (0.04, "comment", tuple(Comment)),
    (0.01, "times", (2,)),
    (0.005, "reply", (Reply.SWAPPED,)),
    (0.02, "death", tuple(Death)),
)
"""How often an order has them, beside its reply: chance, part of its fate, what it may be."""


class Chance:
    """Draws what happens; the same for the same seed. `ambiguous` is the share of lost replies."""

    def __init__(self, seed: str, ambiguous: float) -> None:
        self.draw = random.Random(seed)
        self.ambiguous = ambiguous
        self.steps = (
            (0.10, self._fault_of_a_change),
            (0.04, lambda market: market.bridge(down=not market.account.down)),
            (0.02, lambda market: market.history(missing=not market.account.no_history)),
            (0.02, lambda market: market.doubt(there=market.account.doubtful is None)),
            (0.03, lambda market: market.kill()),
            (0.02, lambda market: market.replace()),
            (0.01, lambda market: market.admission(self.draw.choice(tuple(Death)))),
            (0.03, lambda market: market.by_hand(self._any(), half=self._coin())),
            (0.02, lambda market: market.drop_stop(self._any())),
            (0.01, lambda market: market.stranger(ours=False, waits=self._coin())),
            (0.005, lambda market: market.stranger(ours=True, waits=self._coin())),
            (0.01, lambda market: market.deposit(self.draw.randrange(-500, 500))),
            (0.01, lambda market: market.deposit(-self.draw.randrange(9), funding=False)),
            (0.01, lambda market: market.step_clock(self.draw.choice((-30, -5, 5, 30)))),
            (0.10, lambda market: market.switch(enabled=True)),
            (0.01, lambda market: market.switch(enabled=False)),
            (0.05, lambda market: market.again()),
        )

    def step(self, market: Market) -> None:
        """Let something happen, then a cycle."""
        draw = self.draw
        for chance, happen in self.steps:
            if draw.random() < chance:
                happen(market)
        for symbol in market.account.prices:
            market.price(symbol, draw.randrange(-12, 13))
        while len(market.account.fates) < MOST_ORDERS:
            market.fate(self.fate())
        seconds = draw.choices((5, 20, 60, 7200), (20, 20, 60, 1))[0]
        market.cycle(seconds, *self.signals(market))

    def fate(self) -> Fate:
        """Draw what becomes of an order."""
        draw = self.draw
        if draw.random() < self.ambiguous:
            fate = draw.choice((LOST_REPLY, NEVER_ARRIVED))
        else:
            fate = draw.choices((FINE, REFUSED, MOVED), (20, 2, 1))[0]
        changes = {
            name: draw.choice(values) for chance, name, values in TROUBLES if draw.random() < chance
        }
        changes = {name: value for name, value in changes.items() if name != "times" or fate.times}
        return replace(fate, **changes) if changes else fate

    def signals(self, market: Market) -> tuple[Signals, Signals]:
        """Draw entries, mostly of strategies that hold nothing, and exits of those that do."""
        draw = self.draw
        held = {(plan.strategy, plan.direction) for plan in market.trader.plans}
        names = {name for name, _ in held}
        enter = [
            (name, draw.choice(tuple(Direction)))
            for name in market.names
            if draw.random() < (0.1 if name in names else 0.8)
        ]
        return enter, [it for it in sorted(held) if draw.random() < 0.5]

    def _fault_of_a_change(self, market: Market) -> None:
        market.change(self.draw.choice((LOST_REPLY, NEVER_ARRIVED, REFUSED)))

    def _any(self) -> int:
        return self.draw.randrange(100)

    def _coin(self) -> bool:
        return self.draw.random() < 0.5


class Played(NamedTuple):
    """What a batch of episodes came to: intents by their final state, and the rules broken."""

    intents: Counter[str]
    faults: list[str]


def episode(seed: str, ambiguous: float) -> Market:
    """Play an episode. Raises Broken where a rule was broken."""
    chance = Chance(seed, ambiguous)
    market = Market(hedging=chance.draw.random() < 0.8)
    try:
        for _ in range(STEPS):
            chance.step(market)
        market.settle()
    except AssertionError as error:
        raise BrokenError(str(error), market) from error
    return market


class BrokenError(Exception):
    """A rule was broken, in a market whose events tell how."""

    def __init__(self, rule_: str, market: Market) -> None:
        super().__init__(rule_)
        self.market = market


def play(seed: int, first: int, ambiguous: float) -> Played:
    """Play a batch of episodes."""
    intents: Counter[str] = Counter()
    faults = []
    for number in range(first, first + BATCH):
        try:
            with quiet():
                market = episode(f"{seed}:{number}", ambiguous)
        except BrokenError as error:
            faults.append(f"--seed {seed} --episode {number}: {error}")
        else:
            intents.update(it.state for it in market.trader.journal._records.values())
    return Played(intents, faults)


def tell(seed: int, number: int, ambiguous: float) -> int:
    """Play one episode and, where a rule is broken, tell what happened."""
    try:
        with quiet():
            episode(f"{seed}:{number}", ambiguous)
    except BrokenError as error:
        for line in _told(error.market.trader.events):
            print(line)
        print(error)
        return 1
    return 0


def _told(events: list[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event, CycleStartedEvent):
            yield f"-- {event.time:%d %H:%M:%S}"
        elif type(event).__name__.startswith(("Order", "Position", "Trading")):
            yield f"   {event}"


def main() -> int:
    """Play episodes until there were enough intents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--intents", type=int, default=20_000)
    parser.add_argument("--ambiguous", type=float, default=0.3, help="share of replies lost")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--episode", type=int, help="play this one alone and tell of it")
    options = parser.parse_args()
    if options.episode is not None:
        return tell(options.seed, options.episode, options.ambiguous)
    started, total, faults = time.monotonic(), Counter(), []
    firsts = count(0, BATCH)
    with ProcessPoolExecutor(options.workers) as pool:
        while total.total() < options.intents and not faults:
            batches = [
                pool.submit(play, options.seed, first, options.ambiguous)
                for first in islice(firsts, 2 * options.workers)
            ]
            for batch in batches:
                played = batch.result()
                total += played.intents
                faults += played.faults
    took = time.monotonic() - started
    states = ", ".join(f"{number} {state}" for state, number in total.most_common())
    print(f"{total.total()} intents ({states}), {total.total() / took:.0f} a second")
    for fault in faults:
        print(fault)
    print(f"{len(faults)} rules broken")
    return 1 if faults else 0


# As a state machine

SECONDS = st.sampled_from((0, 5, 30, 120))
FATES = st.one_of(
    st.sampled_from((FINE, LOST_REPLY, NEVER_ARRIVED, REFUSED, MOVED)),
    st.builds(
        Fate,
        times=st.sampled_from((1, 1, 1, 0, 2)),
        reply=st.sampled_from(Reply),
        fills_after=st.one_of(st.none(), SECONDS),
        part=st.sampled_from((Decimal(1), Decimal("0.5"))),
        unseen=SECONDS,
        deal_later=SECONDS,
        position_later=SECONDS,
        comment=st.sampled_from(Comment),
        keeps_stop=st.booleans(),
        death=st.one_of(st.none(), st.sampled_from(Death)),
    ).map(lambda fate: replace(fate, times=max(fate.times, fate.reply is Reply.TOLD))),
)
WHICH = st.integers(0, 20)
SIGNALS = st.lists(st.tuples(WHICH, st.sampled_from(Direction)), max_size=4)


class OrderSafety(RuleBasedStateMachine):
    """The rules of `Market` in any order; the referee looks after each, and once all is well."""

    market: Market

    @initialize(hedging=st.booleans())
    def begin(self, *, hedging: bool) -> None:
        self.market = Market(hedging=hedging)

    def _named(self, signals: list[tuple[int, Direction]]) -> Signals:
        names = self.market.names
        return [(names[which % len(names)], direction) for which, direction in signals]

    @rule(seconds=st.sampled_from((5, 60, 60, 60)), fates=st.lists(FATES, max_size=4),
          enter=SIGNALS, leave=SIGNALS)  # fmt: skip
    def cycle(
        self, seconds: int, fates: list[Fate], enter: list[tuple[int, Direction]],
        leave: list[tuple[int, Direction]],
    ) -> None:  # fmt: skip
        self.market.account.fates.clear()
        for fate in fates:
            self.market.fate(fate)
        self.market.cycle(seconds, self._named(enter), self._named(leave))

    @rule(cycles=st.integers(1, 8))
    def wait(self, cycles: int) -> None:
        for _ in range(cycles):
            self.market.cycle(60)

    @rule(symbol=st.sampled_from(("EURUSD", "GBPUSD")), pips=st.integers(-60, 60))
    def price(self, symbol: str, pips: int) -> None:
        self.market.price(symbol, pips)

    @rule(fate=st.sampled_from((LOST_REPLY, NEVER_ARRIVED, REFUSED)))
    def change(self, fate: Fate) -> None:
        self.market.change(fate)

    @rule(down=st.booleans(), missing=st.booleans(), doubtful=st.booleans())
    def bridge(self, *, down: bool, missing: bool, doubtful: bool) -> None:
        self.market.bridge(down=down)
        self.market.history(missing=missing)
        self.market.doubt(there=doubtful)

    @rule()
    def kill(self) -> None:
        self.market.kill()

    @rule()
    def replace(self) -> None:
        self.market.replace()

    @rule(death=st.sampled_from(Death))
    def admission(self, death: Death) -> None:
        self.market.admission(death)

    @rule(which=WHICH, half=st.booleans())
    def by_hand(self, which: int, *, half: bool) -> None:
        self.market.by_hand(which, half=half)

    @rule(which=WHICH)
    def drop_stop(self, which: int) -> None:
        self.market.drop_stop(which)

    @rule(ours=st.booleans(), waits=st.booleans())
    def stranger(self, *, ours: bool, waits: bool) -> None:
        self.market.stranger(ours=ours, waits=waits)

    @rule(seconds=st.sampled_from((-30, 30)))
    def step_clock(self, seconds: int) -> None:
        self.market.step_clock(seconds)

    @rule(enabled=st.booleans())
    def switch(self, *, enabled: bool) -> None:
        self.market.switch(enabled=enabled)

    @rule()
    def again(self) -> None:
        self.market.again()

    def teardown(self) -> None:
        if hasattr(self, "market"):
            self.market.settle()


if __name__ == "__main__":
    sys.exit(main())
