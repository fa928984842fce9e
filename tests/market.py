"""A trader in a market where everything goes wrong that can: each step is one thing that happens.

Shared by the proofs of order safety, drawn by chance or by Hypothesis. A referee looks on.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from app.domain.errors import SourceError
from app.domain.orders import BlockReason, Refusal
from app.domain.signals import Direction
from app.events import EntrySignalEvent
from app.ports import Switch
from app.risk.splitting import Split
from tests.account import FaultyAccount
from tests.fates import Death, Fate, Killed
from tests.referee import Referee
from tests.trader import Trader, strategy

PIP = Decimal("0.0001")
Signals: TypeAlias = Sequence[tuple[str, Direction]]
STRATEGIES = (
    strategy("large", lots=0.3),
    strategy("patient", atr_distance=1.0),
    strategy("runner", target=None),
    *(strategy(f"cross_{at}") for at in range(4)),
    strategy("cable_limit", symbol="GBPUSD", atr_distance=0.5),
    strategy("cable_runner", symbol="GBPUSD", target=None),
    *(strategy(f"cable_{at}", symbol="GBPUSD") for at in range(4)),
)
ONE_A_SYMBOL = (strategy("cross"), strategy("cable", symbol="GBPUSD"))
LIMITS = {
    "daily_loss_limit": Decimal(2000),
    "max_drawdown": Decimal(5000),
    "max_positions": 16,
    "max_total_volume": Decimal(2),
}


class Market:
    """A trader, its faulty account and its referee: what can happen to them, a step each."""

    def __init__(self, *, hedging: bool = True) -> None:
        self.enabled: Switch | None = None
        self.trader = Trader(
            *(STRATEGIES if hedging else ONE_A_SYMBOL),
            account=FaultyAccount(hedging=hedging),
            limits=LIMITS,
            switch=lambda: self.enabled,
            flatten_on_breach=True,
            cooldown=timedelta(minutes=2),
            splits={"GBPUSD": Split(2, spacing_percent=0.05)} if hedging else {},
        )
        self.account = self.trader.account
        self.names = list(self.trader.strategies)
        self.referee = Referee(self.trader)
        self.running = True

    # What can happen

    def cycle(self, seconds: int, enter: Signals = (), leave: Signals = ()) -> None:
        """Run a cycle of the daemon, which may be killed in it; look at all the rules."""
        if not self.running:
            self.trader.now += timedelta(seconds=seconds)
            self.start()
            return
        try:
            self.trader.cycle(seconds, enter=enter, leave=leave)
        except Killed:
            self.running = False
            return
        self.referee.look()

    def start(self) -> None:
        """Start the daemon anew, if the bridge answers."""
        try:
            self.trader.restart()
        except (SourceError, Killed):
            self.running = False
        else:
            self.running = True
            self.referee.look()

    def kill(self) -> None:
        """Kill the daemon between two cycles, before what it noted is durable."""
        self.running = False

    def replace(self) -> None:
        """Replace the service, as the supervisor does."""
        if self.running:
            try:
                self.trader.connect()
            except SourceError:
                self.running = False
            else:
                self.referee.look()

    def fate(self, fate: Fate) -> None:
        """Let the next order have a fate."""
        self.account.fates.append(fate)

    def change(self, fate: Fate) -> None:
        """Let the next modification or withdrawal have a fate."""
        self.account.changes.append(fate)

    def admission(self, death: Death) -> None:
        """Kill the daemon at its next admission."""
        self.trader.journal.death = death

    def bridge(self, *, down: bool) -> None:
        """Stop the bridge, or start it."""
        self.account.down = down

    def history(self, *, missing: bool) -> None:
        """Let the history not be answered."""
        self.account.no_history = missing

    def doubt(self, *, there: bool) -> None:
        """Let the terminal lose its connection."""
        lost = Refusal(BlockReason.TERMINAL_DISCONNECTED, "no connection")
        self.account.doubtful = lost if there else None

    def price(self, symbol: str, pips: int) -> None:
        """Move the market."""
        self.account.move(symbol, max(self.account.prices[symbol] + pips * PIP, 100 * PIP))

    def by_hand(self, which: int, *, half: bool) -> None:
        """Let a person close a position, or half of it."""
        tickets = sorted(self.account.held)
        if tickets:
            ticket = tickets[which % len(tickets)]
            volume = self.account.held[ticket].volume
            lots = self.account.rules("EURUSD").volume(volume / 2) if half else volume
            self.account.close_by_hand(ticket, lots or volume)

    def drop_stop(self, which: int) -> None:
        """Let a position lose its stop."""
        tickets = sorted(self.account.held)
        if tickets:
            self.account.drop_stop(tickets[which % len(tickets)])

    def stranger(self, *, ours: bool, waits: bool) -> None:
        """Let somebody else trade the account, with a magic of ours or without."""
        magic = self.trader.strategies[self.names[0]].magic if ours else 0
        ticket = self.account.stranger(magic=magic, waits=waits)
        if ours:
            self.referee.impostors[ticket] = len(self.trader.events)

    def deposit(self, money: int, *, funding: bool = True) -> None:
        """Move money, or charge it."""
        self.account.deposit(Decimal(money), funding=funding)

    def step_clock(self, seconds: int) -> None:
        """Let our clock jump; the broker's does not."""
        self.referee.latest = max(self.referee.latest, self.trader.now)
        self.trader.now += timedelta(seconds=seconds)
        self.account.skew -= timedelta(seconds=seconds)

    def switch(self, *, enabled: bool) -> None:
        """Let the operator set the kill switch, which the next cycle obeys."""
        self.enabled = Switch(enabled, self.trader.now, "looked")
        if enabled:
            self.referee.operator_enables()

    def again(self) -> None:
        """Deliver the newest entry signals again."""
        newest = self.trader.of(EntrySignalEvent)[-3:] if self.running else []
        try:
            for event in newest:
                self.trader.bus.publish(event)
        except Killed:
            self.running = False

    def settle(self) -> None:
        """Let all be well, and hold that everything is settled."""
        self.account.down = self.account.no_history = False
        self.trader.journal.death = None
        self.account.fates.clear()
        self.account.changes.clear()
        if not self.running:
            self.start()
        self.referee.quiet()
