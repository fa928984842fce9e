"""The law of the journal: on disk it knows what the one in memory knows, whatever comes (I8, I12).

A machine does the same to both, restarts and kills the one on disk at any moment, and asks both
everything. Killed, it must be where its last commit was: all that was noted until then, and nothing
that was noted since; of the candles, those of the last flush.
"""

import tempfile
from copy import copy
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.adapters.journal import sql
from app.adapters.journal.memory import MemoryJournal
from app.adapters.journal.sql import open_journal
from app.domain.errors import GaveUpError
from app.domain.orders import BlockReason, IntentState
from tests.journals import ACCOUNT, M1, M5, MONDAY, block, deal, entry, exit_, plan

NAMES = [f"{kind}{number}" for kind in "EX" for number in range(3)]
STRATEGIES = ["cross", "other"]
TICKETS = range(1, 7)
SERIES = [("EURUSD", M1), ("EURUSD", M5), ("GBPUSD", M1)]

names = st.sampled_from(NAMES)
tickets = st.sampled_from(TICKETS)
reasons = st.sampled_from([BlockReason.KILL_SWITCH, BlockReason.COOLDOWN])


class JournalLaw(RuleBasedStateMachine):
    """Both journals, and a copy of the one in memory as it was at the last commit."""

    @initialize()
    def open(self):
        self._remembered, sql.REMEMBERED = sql.REMEMBERED, 0
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name)}/journal.db"
        self.now = MONDAY
        self.model = MemoryJournal()
        self.disk = open_journal(self.url, ACCOUNT, now=self.now)
        self.committed()

    def teardown(self):
        self.disk.close()
        self.folder.cleanup()
        sql.REMEMBERED = self._remembered

    def committed(self, *, candles=True):
        flushed = self.model._candles if candles else self.durable._candles
        self.durable = MemoryJournal()
        for name, value in {**vars(self.model), "_candles": flushed}.items():
            setattr(self.durable, name, copy(value))

    def both(self, act, *, commits=False, candles=False):
        """Do the same to both; they answer the same, or refuse in the same way."""
        self.now += timedelta(seconds=1)
        answers = []
        for journal in (self.model, self.disk):
            try:
                answers.append(act(journal))
            except (KeyError, GaveUpError) as error:
                answers.append(repr(error))
                commits = False
        assert answers[0] == answers[1]
        if commits:
            self.committed(candles=candles)

    @rule(name=names, strategy=st.sampled_from(STRATEGIES))
    def admit(self, name, strategy):
        make = entry if name.startswith("E") else exit_
        intent = make(name, strategy=strategy)
        self.both(lambda journal: journal.admit(intent, self.now), commits=True)

    @rule(name=names)
    def attempt(self, name):
        self.both(lambda journal: journal.attempt(name, self.now), commits=True)

    @rule(
        name=names,
        state=st.sampled_from(IntentState),
        ticket=st.sampled_from([0, *TICKETS]),
        detail=st.text(max_size=3),
    )
    def settle(self, name, state, ticket, detail):
        self.both(lambda one: one.settle(name, state, self.now, ticket=ticket, detail=detail))

    @rule(ticket=tickets, name=st.sampled_from([*NAMES, ""]), cents=st.integers(1, 99))
    def book(self, ticket, name, cents):
        made = deal(ticket, str(Decimal(cents).scaleb(-2)))
        self.both(lambda journal: journal.booked(made, name))

    @rule(series=st.sampled_from(SERIES))
    def announce(self, series):
        self.both(lambda journal: journal.candle_announced(*series, self.now))

    @rule(ticket=tickets, best=st.floats(0.5, 2))
    def save_plan(self, ticket, best):
        self.both(lambda journal: journal.save_plan(plan(ticket, best=best)))

    @rule(ticket=tickets)
    def drop_plan(self, ticket):
        self.both(lambda journal: journal.drop_plan(ticket))

    @rule(name=st.sampled_from(["paper", "limits"]), text=st.text(st.characters(codec="utf-8")))
    def keep_state(self, name, text):
        self.both(lambda journal: journal.keep_state(name, text))

    @rule(
        reason=reasons,
        strategy=st.sampled_from(["", *STRATEGIES]),
        seconds=st.none() | st.integers(1, 30),
    )
    def set_block(self, reason, strategy, seconds):
        until = None if seconds is None else self.now + timedelta(seconds=seconds)
        made = block(reason, strategy=strategy, since=self.now, until=until)
        self.both(lambda journal: journal.block(made), commits=True)

    @rule(reason=st.none() | reasons)
    def lift(self, reason):
        self.both(lambda journal: journal.lift(self.now, "operator", reason), commits=True)

    @rule()
    def flush(self):
        self.both(lambda journal: journal.flush(), commits=True, candles=True)

    @rule()
    def restart(self):
        self.disk.close()
        self.committed()
        self.disk = open_journal(self.url, ACCOUNT, now=self.now)

    @rule()
    def kill(self):
        self.disk._database.close()
        self.model = self.durable
        self.committed()
        self.disk = open_journal(self.url, ACCOUNT, now=self.now)

    @invariant()
    def they_know_the_same(self):
        if not hasattr(self, "disk"):
            return
        for ask in (
            lambda one: [one.record(name) for name in NAMES],
            lambda one: [one.intent(name) for name in NAMES],
            lambda one: [record.intent.client_id for record in one.unsettled()],
            lambda one: [one.has_deal(ticket) for ticket in TICKETS],
            lambda one: [one.last_candle(*series) for series in SERIES],
            lambda one: (one.plans(), [one.plan(ticket) for ticket in TICKETS]),
            lambda one: one.blocks(self.now),
            lambda one: (one.state("paper"), one.state("limits")),
        ):
            assert ask(self.disk) == ask(self.model)


TestJournalLaw = JournalLaw.TestCase
TestJournalLaw.settings = settings(max_examples=8, stateful_step_count=25)
