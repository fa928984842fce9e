"""What the desks of trade execution share: the market's sides, and the terms they trade on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import msgspec
from structlog.typing import FilteringBoundLogger

from app.bus import EventBus
from app.domain.market import Timeframe
from app.domain.rules import StrategyRules
from app.ports import Broker, Journal, Switch
from app.risk.limits import EntryRules
from app.risk.splitting import Split
from app.services.open_trades import OpenTrades

DEFAULT_SLIPPAGE = 20
"""Points."""
DEFAULT_PACE = 120
"""Requests a minute."""


class Patience(msgspec.Struct, frozen=True):
    """When what the broker does not show is believed.

    It takes so many complete `looks` in a row. An order in doubt can appear for `entry` after it
    was sent, and one that was accepted for as long after it was seen last; an `exit` of all that is
    open is asked for again sooner where positions are not netted: the position bounds what it can
    close. `in_flight` is how long
    an order at market may stay unfilled until it is withdrawn.
    """

    looks: int = 3
    entry: timedelta = timedelta(minutes=5)
    exit: timedelta = timedelta(seconds=15)
    in_flight: timedelta = timedelta(minutes=1)


AT_HAND = Patience(looks=1, entry=timedelta(), exit=timedelta())
"""For a broker in this process: what it does not show is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingTerms:
    """What is traded, and within which rules.

    Args:
        strategies: name -> strategy, in the order entries are made in batch mode.
        rules: limits, restrictions and the broker's clock.
        splits: symbol -> how its entries are split; whole when it has none.
        base_timeframes: symbol -> its fastest timeframe, whose candles the broker takes in.
        batch: collect the signals of a cycle and act at its end, exits first.
        trade: ``False`` answers every entry signal with MONITOR_MODE and sends nothing.
        max_slippage: points a second attempt may be worse than the decision.
        requests_per_minute: beyond so many, entries are refused.
        flatten_on_breach: close everything of ours once a loss limit is broken.
        cooldown: how long a strategy opens nothing after a loss.
        switch: reads the kill switch; ``None`` where there is none.
        remote: the account is looked at every cycle: things happen there between candles. On paper
            nothing does, so an order never meets a candle that closed before it was sent.
        patience: how long orders in doubt are looked for.

    """

    strategies: Mapping[str, StrategyRules]
    rules: EntryRules
    base_timeframes: Mapping[str, Timeframe]
    splits: Mapping[str, Split] = field(default_factory=dict)
    batch: bool = False
    trade: bool = True
    max_slippage: int = DEFAULT_SLIPPAGE
    requests_per_minute: int = DEFAULT_PACE
    flatten_on_breach: bool = False
    cooldown: timedelta = timedelta()
    switch: Callable[[], Switch | None] | None = None
    remote: bool = False
    patience: Patience = AT_HAND

    @property
    def by_magic(self) -> dict[int, StrategyRules]:
        """Return the strategies by the number their orders carry."""
        return {strategy.magic: strategy for strategy in self.strategies.values()}


class Floor(NamedTuple):
    """Where the desks stand; each takes from it what it works with."""

    bus: EventBus
    log: FilteringBoundLogger
    broker: Broker
    journal: Journal
    trades: OpenTrades
    terms: TradingTerms
