"""What keeps entries from being made, across restarts: losses, refusals, strangers, the operator.

Exits never ask here. A brake ends at a boundary of the broker's day, after its time, or by the
operator's hand; `docs/OPERATIONS.md` says what to do about each.
"""

from collections import Counter
from datetime import datetime, timedelta
from logging import CRITICAL, INFO, WARNING

from app.domain.orders import Action, Block, BlockReason, Intent, OrderResult, Refusal
from app.events import TradingBlockedEvent, TradingResumedEvent
from app.ports import Switch
from app.services.floor import Floor
from app.services.results import Results

DRAWDOWN_SINCE = "drawdown_since"
"""The journal's name for the time from which the drawdown counts: the operator's last ENABLE."""

_PATIENCE = 3
"""Refusals in a row, for the same fault of ours, that block a strategy."""
_NO_TIME = timedelta()
_QUIET = frozenset({BlockReason.COOLDOWN})
_PASSING = frozenset({BlockReason.MARKET_CLOSED, BlockReason.TOO_MANY_REQUESTS})
"""What ends by itself."""


class Brakes:
    """Sets and lifts the journal's blocks; each is said aloud once.

    What lasts a day ends with the broker's. The drawdown is counted in `results`, anew once the
    operator has lifted its block.
    """

    def __init__(self, floor: Floor, results: Results) -> None:
        self._bus = floor.bus
        self._log = floor.log
        self._journal = floor.journal
        self._results = results
        self._server_time = floor.terms.rules.server_time
        self._cooldown = floor.terms.cooldown
        self._switch = floor.terms.switch
        self._seen: Switch | None = None
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._found: set[tuple[BlockReason, str]] = set()

    def start(self, at: datetime) -> None:
        """Obey the kill switch as it stands by now, and say what stands since an earlier run."""
        self.look(at)
        for block in self._journal.blocks(at):
            self._say(WARNING, block)

    def look(self, at: datetime) -> None:
        """Obey the kill switch: DISABLE blocks, a later ENABLE lifts every block."""
        if self._switch is None:
            return
        switch = self._switch()
        if switch == self._seen:
            return
        self._seen = switch
        if switch is None:
            return
        known = self._journal.state("switch") == switch.at.isoformat()
        self._journal.keep_state("switch", switch.at.isoformat())
        if not switch.enabled:
            self._set(Block(BlockReason.KILL_SWITCH, switch.reason or "DISABLE", at))
        elif not known:
            self._enable(at, switch)

    def _enable(self, at: datetime, switch: Switch) -> None:
        standing = self._journal.blocks(at)
        if any(block.reason is BlockReason.MAX_DRAWDOWN for block in standing):
            self._journal.keep_state(DRAWDOWN_SINCE, at.isoformat())
            self._results.forget_drawdown(at)
        self._found.clear()
        lifted = self._journal.lift(at, f"operator: ENABLE {switch.reason}".strip())
        for block in lifted:
            self._log.warning("Entries allowed again: %s lifted by the operator", block.reason)
            self._bus.publish(
                TradingResumedEvent(reason=block.reason, strategy=block.strategy, by="operator")
            )

    def breached(self, refusal: Refusal, at: datetime) -> None:
        """Block all entries: for the broker's day after its loss, for good after the drawdown."""
        for_today = refusal.reason is BlockReason.DAILY_LOSS_LIMIT
        until = self._server_time.next_day_start(at) if for_today else None
        self._set(Block(refusal.reason, refusal.detail, at, until))

    def refused(self, intent: Intent, result: OrderResult, at: datetime) -> None:
        """Take in a refusal: what any further entry would meet too is not tried again today."""
        reason = result.blocks
        if intent.action is not Action.ENTRY or reason is None:
            return
        strategy = "" if reason is BlockReason.TRADING_OFF else intent.strategy
        if reason is BlockReason.REPEATED_REFUSALS:
            self._refusals[strategy, result.reason] += 1
            if self._refusals[strategy, result.reason] < _PATIENCE:
                return
        elif reason in _PASSING:
            return
        until = self._server_time.next_day_start(at)
        self._set(Block(reason, result.reason, at, until, strategy))

    def taken(self, intent: Intent) -> None:
        """Take in that an entry was accepted: refusals before it are no row any more."""
        if self._refusals:
            for key in [key for key in self._refusals if key[0] == intent.strategy]:
                del self._refusals[key]

    def lost_money(self, strategy: str, lost_at: datetime, at: datetime) -> None:
        """Let a strategy cool down after a position that was closed at a loss at `lost_at`."""
        until = lost_at + self._cooldown
        if self._cooldown > _NO_TIME and at < until:
            detail = f"cooling down after a loss until {until:%Y-%m-%d %H:%M}Z"
            self._set(Block(BlockReason.COOLDOWN, detail, at, until, strategy))

    def stop(self, reason: BlockReason, detail: str, at: datetime) -> None:
        """Block all entries until the operator has looked.

        What is found while they are blocked already is said too, once: who lifts the block must
        know of it.
        """
        if not self._set(Block(reason, detail, at)) and (reason, detail) not in self._found:
            self._announce(Block(reason, detail, at))
        self._found.add((reason, detail))

    def _set(self, block: Block) -> bool:
        """Set a block, unless one stands that covers it."""
        if any(standing.covers(block) for standing in self._journal.blocks(block.since)):
            return False
        self._journal.block(block)
        self._announce(block)
        return True

    def _announce(self, block: Block) -> None:
        self._say(INFO if block.reason in _QUIET else CRITICAL, block)
        self._bus.publish(
            TradingBlockedEvent(
                reason=block.reason, detail=block.detail, symbol="", strategy=block.strategy
            )
        )

    def _say(self, level: int, block: Block) -> None:
        until = (
            "the operator says ENABLE" if block.until is None else f"{block.until:%Y-%m-%d %H:%M}Z"
        )
        self._log.log(
            level,
            "Entries blocked%s until %s: %s, %s",
            f" for {block.strategy}" if block.strategy else "",
            until,
            block.reason,
            block.detail,
            strategy=block.strategy,
        )
