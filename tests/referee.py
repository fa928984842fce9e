"""The rules of order safety, asked after every step of a trader and before every order it sends.

The account's ledger says what is true, the journal what the daemon knows; each rule names the
invariant it is. Some faults nobody can see through but a person: an order that comes back without
its name, executed twice, or under the ticket of another. What can be one of those is excused from
the rules about its fate, and from no other; so is what was taken for a stranger that is its double.
"""

from collections import Counter
from decimal import Decimal

from app.domain.orders import (
    Action,
    Block,
    BlockReason,
    Intent,
    IntentRecord,
    IntentState,
)
from app.events import TradingBlockedEvent
from app.risk.plans import PositionPlan
from tests.account import FaultyAccount
from tests.fates import Comment, Fate
from tests.trader import LONG, SHORT, Trader

NEVER_EXECUTED = frozenset({IntentState.LOST, IntentState.REJECTED, IntentState.CANCELLED})
HEALING_CYCLES = 8
QUIET_CYCLES = 10
MINUTE = 60


class Referee:
    """Watches a trader and its account."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self.account: FaultyAccount = trader.account
        self.magics = {(one.magic, one.symbol) for one in trader.strategies.values()}
        self.submissions: Counter[str] = Counter()
        self.last_fate: dict[str, Fate] = {}
        self.impostors: dict[int, int] = {}
        """Tickets of strangers that carry our magic, and how many events were before them."""
        self.known_blocks: list[Block] = []
        self.liftable: list[Block] = []
        self._sent_before = self._deals_before = 0
        self._unsettled_before: set[str] = set()
        self.latest = trader.now
        """The latest time the daemon has seen, however its clock was stepped."""
        self._twice: set[str] = set()
        """Client ids of orders that the bridge was made to execute twice."""
        self.account.before_sending = self.before_sending

    # Before an order leaves

    def before_sending(self, intent: Intent) -> None:
        """Hold an order that is about to leave against the rules."""
        name = intent.client_id
        self.submissions[name] += 1
        record = self.trader.journal.durable(name)
        assert record is not None, f"I2: {name} leaves and is not in the journal"
        assert record.intent == intent, f"I2: {name} is not what the journal says"
        assert record.state is IntentState.SENDING, f"I2: {name} leaves while {record.state}"
        assert record.attempts == self.submissions[name], f"I2: {name} leaves unrecorded"
        if self.submissions[name] > 1:
            sent = [fate for it, fate in self.account.sent if it.client_id == name]
            assert len(sent) == 1, f"I6: {name} leaves for the {len(sent) + 1}th time"
            assert sent[0].moved, f"I6: {name} is sent again after {sent[0].reply}"
        rules = self.account.rules(intent.symbol)
        assert intent.volume == rules.volume(intent.volume) > 0, f"I16: {intent.volume} lots"
        if intent.action is Action.ENTRY:
            self._before_entry(intent)
        else:
            held = self.account.held.get(intent.ticket or 0)
            assert held is None or held.direction is intent.direction, f"I9: {name} turns {held}"

    def _before_entry(self, intent: Intent) -> None:
        trader, name = self.trader, intent.client_id
        # A clock that was set back shows from the next cycle on.
        at = max(trader.now, trader.service.desks.orders.at)
        standing = [
            block for block in trader.journal.blocks(at) if block.stops(intent.strategy, at)
        ]
        assert not standing, f"I11: {name} is sent under {standing}"
        doubt = self.account.doubt(intent.symbol, trader.now)
        assert doubt is None, f"I20: {name} is sent on {doubt}"
        limits = trader.rules.limits
        ours = self._ours_in_truth()
        assert len(ours) < limits.max_positions, f"I15: {name} on top of {ours}"
        alike = [
            it for it in ours if (it.strategy, it.direction) == (intent.strategy, intent.direction)
        ]
        assert not alike or intent.group, f"I15: {name} beside {alike}"
        volume = sum((it.volume for it in ours), intent.volume)
        most = limits.max_total_volume
        assert most is None or volume <= most, f"I15: {name} makes it {volume} lots"

    def _ours_in_truth(self) -> list[Intent]:
        """Return the entries of ours that are open or waiting at the broker, seen or not.

        Those that were given up are left out: whether they were so rightly is another rule. So are
        those whose answers were mixed up.
        """
        live = {
            self.account.owners.get(it, "") for it in (*self.account.held, *self.account.waiting)
        }
        intents = []
        for name in sorted(live - self.account.mixed_up):
            record = self.trader.journal.record(name)
            entry = record is not None and record.intent.action is Action.ENTRY
            if entry and record.state not in NEVER_EXECUTED:
                intents.append(record.intent)
        return intents

    # After every step

    def look(self) -> None:
        """Hold what is against the rules."""
        self._executed_once()
        self._bounded()
        self._judged()
        self._blocks_stand()
        self._strangers_are_said()
        if self.trader.cycles % 8 == 0:
            self._day_adds_up()
        for failure in self.trader.failures:
            if isinstance(failure, AssertionError):
                raise failure
            raise AssertionError(f"a handler raised {failure!r}") from failure

    def _executed_once(self) -> None:
        sent = self.account.sent[self._sent_before :]
        self._twice |= {intent.client_id for intent, fate in sent if fate.times > 1}
        for intent, _ in sent:
            tickets = self.account.executions.get(intent.client_id, ())
            once = len(tickets) <= 1 + (intent.client_id in self._twice)
            assert once, f"I1: {intent.client_id} became orders {tickets}"
        self._sent_before = len(self.account.sent)

    def _bounded(self) -> None:
        for ticket, closed in self.account.closed.items():
            assert closed <= self.account.opened[ticket], f"I9: {ticket} closed more than it was"
        for plan in self.trader.plans:
            fault = _plan_fault(plan)
            assert not fault, f"I9: {fault} in {plan}"

    def _judged(self) -> None:
        """Let no entry be given up that the broker showed in time."""
        names = {
            self.account.owners.get(deal.order, "")
            for deal in self.account.book[self._deals_before :]
        }
        self._deals_before = len(self.account.book)
        unsettled = self.trader.journal._unsettled
        names |= self._unsettled_before - unsettled.keys()
        self._unsettled_before = set(unsettled)
        for name in names:
            record = self.trader.journal.record(name)
            if record is None or record.intent.action is Action.EXIT:
                continue
            if record.state in NEVER_EXECUTED and not self.excused(record):
                fills = self.account.fills_of(name)
                assert not fills, f"I5: {record} was executed: {fills}"

    def excused(self, record: IntentRecord) -> bool:
        """Say whether only a person can tell what became of an intent."""
        intent = record.intent
        if record.ticket and record.ticket not in self.account.owners:
            return True
        return intent.client_id in self.account.mixed_up or any(
            fate.comment is not Comment.KEPT or fate.times > 1
            for it, fate in self.account.sent
            if (it.strategy, it.volume) == (intent.strategy, intent.volume)
        )

    def _blocks_stand(self) -> None:
        now = self.trader.now
        self.latest = max(self.latest, now)
        standing = self.trader.journal.blocks(now)
        for block in self.known_blocks:
            over = block.until is not None and self.latest >= block.until
            assert over or block in standing or block in self.liftable, (
                f"I12: {block} is gone at {now}"
            )
        self.known_blocks = list(standing)

    def operator_enables(self) -> None:
        """Take in that the operator lifts what stands."""
        self.liftable += self.trader.journal.blocks(self.trader.now)

    def _strangers_are_said(self) -> None:
        account = self.account
        if self.trader.service.desks.watch._silent:
            return
        for ticket, before in list(self.impostors.items()):
            if account.shows(ticket):
                del self.impostors[ticket]
                said = BlockReason.UNKNOWN_ORDER in self.trader.standing() or any(
                    isinstance(event, TradingBlockedEvent)
                    and event.reason is BlockReason.UNKNOWN_ORDER
                    for event in self.trader.events[before:]
                )
                said = said or any(
                    f"position {ticket} " in detail for _, detail in self.trader.logged
                )
                taken_for_ours = self.trader.journal.by_ticket(ticket) is not None
                assert said or taken_for_ours, f"I4: nobody says stranger {ticket}"

    def _day_adds_up(self) -> None:
        results, time = self.trader.service.desks.watch._results, self.trader.rules.server_time
        if results._day is None or self.trader.service.desks.watch.told:
            return
        shown = [deal for deal in self.account._deals if time.day(deal.time) == results._day]
        net = sum((deal.net for deal in shown if not deal.funding), Decimal(0))
        assert results._days_net == net, f"I13: the day is {net}, not {results._days_net}"

    # When all is well again

    def quiet(self) -> None:
        """Let all be well, the strategies leave, and time pass: then everything is settled."""
        account, trader = self.account, self.trader
        account.down = account.no_history = False
        account.doubtful = None
        account.fates.clear()
        account.changes.clear()
        account.show_everything()
        for _ in range(HEALING_CYCLES):
            trader.cycle(MINUTE)
            self.look()
        self._agreed()
        everything = [(name, side) for name in trader.strategies for side in (LONG, SHORT)]
        for _ in range(QUIET_CYCLES):
            trader.cycle(MINUTE, leave=everything)
            self.look()
        self._settled()
        before = {name: it.state for name, it in trader.journal._records.items()}
        trader.restart()
        trader.cycle(MINUTE)
        self.look()
        after = {name: it.state for name, it in trader.journal._records.items()}
        assert after == before, "I8: a restart changed what is settled"

    def _agreed(self) -> None:
        """Hold plans against positions: all of ours are managed, as they are, with a stop."""
        ours = {
            it.ticket: it
            for it in self.account.held.values()
            if (it.magic, it.symbol) in self.magics
        }
        plans = {plan.ticket: plan for plan in self.trader.plans}
        assert plans.keys() == ours.keys(), f"I3: plans {plans.keys()}, positions {ours.keys()}"
        for ticket, held in ours.items():
            plan = plans[ticket]
            assert plan.volume == held.volume, f"I3: {plan} is {held}"
            assert plan.direction is held.direction, f"I3: {plan} is {held}"
            made_by = self.trader.journal.by_ticket(ticket)
            if made_by is not None and made_by.intent.action is Action.ENTRY:
                assert held.stop_loss is not None, f"no stop: {held}"
            assert plan.stop == held.stop_loss, f"I3: {plan} is {held}"

    def _settled(self) -> None:
        trader, account = self.trader, self.account
        unsettled = trader.journal.unsettled()
        for record in unsettled:
            assert self.excused(record), f"I3: {record} is not final"
        for record in trader.records(Action.ENTRY):
            fills = account.fills_of(record.intent.client_id)
            volume = sum((deal.volume for deal in fills), Decimal(0))
            told = record.filled == volume
            assert told or self.excused(record), f"I3: {record} filled {volume} in {fills}"
        for deal in account.book:
            if deal.order in account.owners:
                assert trader.journal.has_deal(deal.ticket), f"I3: {deal} is not in the journal"
        ours = [held for held in account.held.values() if held.ticket in account.owners]
        assert not ours, f"I10: not closed: {ours}, plans {trader.plans}"
        waiting = [
            name
            for name in map(account.owners.get, account.waiting)
            if name and not self.excused(trader.journal._records[name])
        ]
        assert not waiting, f"I3: still waiting: {waiting}"


def _plan_fault(plan: PositionPlan) -> str:
    if min(plan.closing, plan.owed, plan.volume) < 0:
        return "negative lots"
    if plan.closing + plan.owed > plan.volume:
        return "more is leaving than is open"
    return ""
