"""A journal that lives as long as the process, and what every journal knows without asking a disk.

Enough for tests and backtests; ``sql`` keeps the same in a database.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.domain.errors import GaveUpError, printable
from app.domain.market import Timeframe
from app.domain.orders import (
    Action,
    Block,
    BlockReason,
    Deal,
    Intent,
    IntentRecord,
    IntentState,
    Refusal,
)
from app.risk.plans import PositionPlan

replace = msgspec.structs.replace


class MemoryJournal:
    """The candles, intents, deals, plans, blocks and states of one account, in memory."""

    def __init__(self) -> None:
        self._candles: dict[tuple[str, Timeframe], datetime] = {}
        self._records: dict[str, IntentRecord] = {}
        self._unsettled: dict[str, None] = {}
        self._by_ticket: dict[int, str] = {}
        self._deals: set[int] = set()
        self._plans: dict[int, PositionPlan] = {}
        self._blocks: list[Block] = []
        self._states: dict[str, str] = {}

    # Candles

    def last_candle(self, symbol: str, timeframe: Timeframe) -> datetime | None:
        """Return the open time of the last candle announced."""
        return self._candles.get((symbol, timeframe))

    def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
        """Remember it."""
        self._candles[symbol, timeframe] = opened

    # Intents

    def admit(self, intent: Intent, at: datetime) -> Refusal | None:
        """Record an intent and its first attempt; or say why not, a repeated id first."""
        if self.record(intent.client_id) is not None:
            return Refusal(
                BlockReason.ALREADY_DONE, f"order {intent.client_id} was admitted before"
            )
        if intent.action is Action.ENTRY:
            for block in self._blocks:
                if block.stops(intent.strategy, at):
                    return Refusal(block.reason, block.detail)
        self._turn(IntentRecord(intent, IntentState.SENDING, at), at)
        return None

    def still_ours(self) -> None:
        """Return: memory has one writer."""

    def attempt(self, client_id: str, at: datetime) -> None:
        """Record a further attempt.

        Raises GaveUpError where none may be made (I6): the intent is final, or an entry of
        unknown fate.
        """
        record = self._known(client_id)
        ambiguous = record.state is IntentState.UNKNOWN and record.intent.action is Action.ENTRY
        if record.state.final or ambiguous:
            raise GaveUpError(f"order {client_id} is {record.state}: it must not be sent again")
        self._turn(
            replace(record, state=IntentState.SENDING, sent_at=at, attempts=record.attempts + 1), at
        )

    def settle(
        self, client_id: str, state: IntentState, at: datetime, *, ticket: int = 0, detail: str = ""
    ) -> None:
        """Note what is known of an intent now; a final state stays, a ticket is not forgotten."""
        record = self._known(client_id)
        ticket, detail = ticket or record.ticket, printable(detail)
        settled = replace(record, state=state, ticket=ticket, detail=detail)
        if not record.state.final and settled != record:
            self._turn(settled, at)

    def intent(self, client_id: str) -> Intent | None:
        """Return the admitted intent of that id."""
        record = self.record(client_id)
        return record.intent if record else None

    def record(self, client_id: str) -> IntentRecord | None:
        """Return where the admitted intent of that id is."""
        return self._records.get(client_id)

    def unsettled(self) -> Sequence[IntentRecord]:
        """Return the intents that are not final, oldest first."""
        return [self._records[client_id] for client_id in self._unsettled]

    def by_ticket(self, ticket: int) -> IntentRecord | None:
        """Return the intent whose order has that ticket."""
        client_id = self._by_ticket.get(ticket)
        return self.record(client_id) if client_id else None

    def _turn(self, record: IntentRecord, at: datetime) -> None:  # noqa: ARG002 - SQL keeps it
        """Remember that an intent is where `record` says since `at`."""
        self._keep(record)

    def _keep(self, record: IntentRecord) -> None:
        """Remember what is known of an intent."""
        client_id = record.intent.client_id
        self._records[client_id] = record
        if record.ticket:
            self._by_ticket[record.ticket] = client_id
        if record.state.final:
            self._unsettled.pop(client_id, None)
        else:
            self._unsettled[client_id] = None

    def _known(self, client_id: str) -> IntentRecord:
        record = self.record(client_id)
        if record is None:
            raise KeyError(f"no order {client_id} was admitted")
        return record

    # Deals

    def booked(self, deal: Deal, client_id: str) -> None:
        """Note a deal and add its volume to the intent it executed; once."""
        if self.has_deal(deal.ticket):
            return
        self._deals.add(deal.ticket)
        record = self.record(client_id)
        if record is not None:
            self._keep(replace(record, filled=record.filled + deal.volume))

    def has_deal(self, ticket: int) -> bool:
        """Say whether the deal was noted."""
        return ticket in self._deals

    # Plans

    def plan(self, ticket: int) -> PositionPlan | None:
        """Return the plan of the open position `ticket`."""
        return self._plans.get(ticket)

    def plans(self) -> Sequence[PositionPlan]:
        """Return the plans of all open positions, by ticket."""
        return [self._plans[ticket] for ticket in sorted(self._plans)]

    def save_plan(self, plan: PositionPlan) -> None:
        """Insert or replace the plan of `plan.ticket`."""
        self._plans[plan.ticket] = plan

    def drop_plan(self, ticket: int) -> None:
        """Forget the plan of a closed position."""
        self._plans.pop(ticket, None)

    # Blocks

    def block(self, block: Block) -> None:
        """Add a block, unless one that covers it stands when it begins."""
        standing = self.blocks(block.since)
        if not any(one.covers(block) for one in standing):
            self._blocks = [*standing, replace(block, detail=printable(block.detail))]

    def blocks(self, at: datetime) -> Sequence[Block]:
        """Return the blocks that stand at `at`, oldest first."""
        return [block for block in self._blocks if block.until is None or at < block.until]

    def lift(
        self,
        at: datetime,
        by: str,  # noqa: ARG002 - SQL keeps it
        reason: BlockReason | None = None,
    ) -> Sequence[Block]:
        """End the blocks of `reason`, or all; return those that stood."""
        lifted = [block for block in self.blocks(at) if reason in {None, block.reason}]
        self._blocks = [block for block in self._blocks if block not in lifted]
        return lifted

    # States

    def state(self, name: str) -> str | None:
        """Return what was kept under a name."""
        return self._states.get(name)

    def keep_state(self, name: str, text: str) -> None:
        """Keep a text: the paper account, what the limits must remember."""
        self._states[name] = text

    def flush(self) -> None:
        """Do nothing: memory is all there is."""

    def close(self) -> None:
        """Do nothing: memory is all there is."""
