"""Four ways to trade the same bars: a file, a backtest, the predecessor, our bridge over HTTP.

The bridge plays the very file (``--file``). For all four to begin and end alike it takes this:

- `MARKET_DATA_START` of the file and ``--start`` of the bridge are one instant, where candles of
  all timeframes close.
- The file begins earlier than the longest history that is asked for: all ways warm up on the newest
  `history_bars` of each timeframe, and on nothing else.
- `MARKET_DATA_UNTIL` of the file is where the bridge's clock is stopped, and the bridge's file goes
  on after it: the newest bar of a bridge is closed when something is seen after it.
- `BROKER_SERVER_TIMEZONE` is that of the bridge: schedules and days hang on it.
- The bridge's clock is stepped: a wait of the daemon's clock is so much market time there.
"""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest

from app import assembly, settings
from app.backtest.play import Play
from app.domain.orders import Action, CloseReason, DealEntry, OrderKind
from app.domain.signals import Direction
from app.events import (
    CycleStartedEvent,
    EntrySignalEvent,
    Event,
    ExitSignalEvent,
    NewCandleEvent,
    OrderPlacedEvent,
    PositionClosedEvent,
    StopMovedEvent,
    TradingBlockedEvent,
)
from app.live_trading import LiveTradingManager
from app.orchestrator import TradingOrchestrator

BEGINNING = datetime.min.replace(tzinfo=UTC)
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
START = datetime(2025, 1, 8, 11, tzinfo=UTC)
UNTIL = datetime(2025, 1, 8, 17, tzinfo=UTC)
FILE = "EURUSD.csv"
SERVER = {"BROKER_SERVER_TIMEZONE": "NY+7"}
PATIENT = """
name: patient
timeframes: ["5"]
entry:
  long: {conditions: [{signal: ema_3, operator: ">", value: ema_8, timeframe: "5"}]}
risk:
  position_sizing: {type: fixed, value: 0.1, atr_distance: 0.4, atr: atr}
  sl: {type: trailing, step: 2, cap: 8}
"""
"""Entries that wait at a limit, and stops that trail on a slower timeframe than that of fills."""
SIDES = {Direction.LONG: "BUY", Direction.SHORT: "SELL"}


@pytest.fixture
def recorded(folder, simulated_bars):
    """Write three days of one-minute bars here, each with its own spread or all with one.

    `dips` are how far price falls, and comes back, in every fifth minute.
    """

    def write(spread=None, dips=0.0):
        bars = simulated_bars(days=3, start=MONDAY)
        fifth = bars["time"].dt.minute % 5 == 4
        bars["low"] -= fifth * dips
        if spread is not None:
            bars["spread"] = spread
        bars.to_csv(FILE, index=False)

    return write


class Sent(NamedTuple):
    """When an order was sent and what it was, without prices and what one broker calls it."""

    at: datetime
    strategy: str
    symbol: str
    action: Action
    leg: int
    direction: Direction
    kind: OrderKind
    volume: Decimal
    close_reason: CloseReason | None


ORDERED = Sent._fields[1:]


class Way:
    """What one way of trading published, and what its account came to."""

    def __init__(self, bus):
        self.events = []
        bus.subscribe(Event, self.events.append)
        self.deals = []
        self.account = None

    def settled(self, broker):
        """Keep the books as they are at the end."""
        self.deals = [deal for deal in broker.deals(BEGINNING) if deal.symbol]
        self.account = broker.account()
        return self

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def candles(self):
        return [event.candle for event in self.of(NewCandleEvent)]

    @property
    def signals(self):
        """Every signal, with the numbers behind it."""
        return [
            (type(event), it.strategy, it.direction, it.symbol, it.candle, it.facts)
            for event in self.of(EntrySignalEvent, ExitSignalEvent)
            for it in [event.signal]
        ]

    @property
    def refused(self):
        return [
            (event.symbol, event.strategy, event.direction, event.reason)
            for event in self.of(TradingBlockedEvent)
        ]

    @property
    def intents(self):
        return [event.intent for event in self.of(OrderPlacedEvent)]

    @property
    def sent(self):
        found, now = [], None
        for event in self.events:
            if isinstance(event, CycleStartedEvent):
                now = event.time
            elif isinstance(event, OrderPlacedEvent):
                found.append(Sent(now, **{name: getattr(event.intent, name) for name in ORDERED}))
        return found

    @property
    def levels(self):
        """The price each order was decided at, and where its stop and targets lay."""
        return [
            (it.expected_price, it.price, it.stop_loss, it.take_profit, it.targets)
            for it in self.intents
        ]

    @property
    def money(self):
        """What each deal was, to the cent, and in which minute."""
        return [
            (
                deal.time.replace(second=0),
                *(deal.symbol, deal.direction, deal.entry, deal.volume, deal.price),
                *(deal.profit, deal.commission, deal.swap),
            )
            for deal in self.deals
        ]

    @property
    def closed(self):
        return [
            (event.strategy, event.direction, event.deal.volume, event.reason, event.profit)
            for event in self.of(PositionClosedEvent)
        ]


class SteppedClock:
    """The daemon's clock at a bridge: each wait steps the market there, up to `until`."""

    def __init__(self, clock, broker, seconds, until):
        self._clock = clock
        self._broker = broker
        self._seconds = seconds
        self._until = until

    def now(self):
        return self._clock.now()

    def wait(self, _seconds):
        left = (self._until - self.now()).total_seconds()
        if left <= 0:
            return False
        self._clock.told(datetime.fromisoformat(self._broker.step(min(self._seconds, left))), 0.0)
        return True

    def stop(self):
        self._clock.stop()


def parts_of(names):
    return assembly.connect(settings.load(environ={**SERVER, **names}, dotenv=None).settings)


def from_file(start=START, until=UNTIL, **names):
    return parts_of(
        {
            "MARKET_DATA_SOURCE": "file",
            "MARKET_DATA_PATH": FILE,
            "MARKET_DATA_SPEED": "0",
            "MARKET_DATA_START": start.isoformat(),
            "MARKET_DATA_UNTIL": until.isoformat(),
            **names,
        }
    )


def by_daemon(parts):
    orchestrator = TradingOrchestrator(parts.settings, parts)
    way = Way(orchestrator.event_bus)
    orchestrator.start()
    orchestrator.run()
    way.settled(parts.broker)
    orchestrator.stop()
    return way


def by_backtest(parts):
    play = Play("test", parts)
    way = Way(play.orchestrator.event_bus)
    play.run()
    return way.settled(parts.broker)


def by_predecessor(parts):
    manager = LiveTradingManager(parts)
    way = Way(manager.event_bus)
    manager.run()
    return way.settled(parts.broker)


@pytest.fixture
def at_bridge(bridge):
    """Let the daemon trade at a bridge that plays the file; return it and the bridge's book."""

    def trade(mode, seconds, start=START, until=UNTIL):
        options = ("--symbols", "EURUSD", "--file", FILE, "--start", start.isoformat())
        broker = bridge(*options, "--server-timezone", "NY+7", "--commission", "3.5")
        parts = parts_of({"TRADE_MODE": mode, "API_BASE_URL": broker.url})
        clock = SteppedClock(parts.clock, broker, seconds, until)
        return by_daemon(dataclasses.replace(parts, clock=clock)), broker.ledger()

    return trade


def same_on_the_file(**names):
    """Hold daemon, backtest and predecessor together; return the daemon's way."""
    daemon = by_daemon(from_file(**names))
    assert len(daemon.signals) > 10
    assert len(daemon.deals) > 10
    for other in (by_backtest(from_file(**names)), by_predecessor(from_file(**names))):
        assert other.candles == daemon.candles
        assert other.signals == daemon.signals
        assert other.refused == daemon.refused
        assert other.intents == daemon.intents
        assert other.deals == daemon.deals
        assert other.account == daemon.account
    return daemon


def test_paper_trades_are_the_same_to_the_cent(recorded, at_bridge):
    """Bars over HTTP, the paper broker here: the same candles, signals, orders, deals, account.

    A cycle at the bridge is 45 seconds, so most see bars that are forming still. Red when one of
    those is taken for closed, when one way warms up on other bars, or when a paper account is
    pressed between candles: its time exits would fill with a candle from before they were sent.
    """
    recorded()
    daemon = same_on_the_file()
    remote, book = at_bridge("paper", seconds=45)
    assert remote.candles == daemon.candles
    assert remote.signals == daemon.signals
    assert remote.refused == daemon.refused
    assert remote.intents == daemon.intents
    assert remote.deals == daemon.deals
    assert remote.account == daemon.account
    assert CloseReason.MAX_DURATION in {reason for *_, reason, _ in remote.closed}
    assert book["received"] == []


def test_entries_that_wait_and_stops_that_trail_slowly_are_the_same(
    recorded, configuration, at_bridge
):
    """An entry that fills in the minute in which its trigger closes is managed by that candle."""
    averages = "ema_3: {period: 3}\nema_8: {period: 8}\natr: {window: 14}\n"
    configuration({"patient": PATIENT}, indicators={"5": averages})
    recorded(dips=0.0010)
    daemon = same_on_the_file()
    entries = [deal for deal in daemon.deals if deal.entry is DealEntry.IN]
    assert {deal.time.minute % 5 for deal in entries} == {4}
    moved = daemon.of(StopMovedEvent)
    assert moved
    remote, _ = at_bridge("paper", seconds=45)
    assert remote.deals == daemon.deals
    assert remote.account == daemon.account
    assert len(remote.of(StopMovedEvent)) == len(moved)


@pytest.mark.parametrize("spread", [8, None])
def test_the_account_of_the_bridge_trades_the_same(recorded, at_bridge, spread):
    """Orders filled by the bridge: the same signals, and the same orders in the same cycles.

    Both brokers fill a market order at the open of the minute it is sent in, a stop or target at
    its level. What differs by construction, and how it is kept out:

    - The paper broker makes market fills worse by `slippage_points`, here 0.
    - A decision's price is the quote, whose bid is the same: the bridge shows the tick that opens
      the next minute, the paper broker the last close, and these bars open where the last closed.
      But each has the spread of its own minute, and stops and targets follow the price. So prices
      and money are held together where all minutes have one spread; else what is decided and sent.
    - The bridge knows the order of extremes, the paper broker does not: where a minute touches both
      a stop and the target, the paper broker takes the stop. No minute here does.
    - A stop or target is filled at its tick; on paper its time is that of its candle. Minutes are
      compared.
    - An exit by time hangs on the cycle live, on the candle elsewhere: when it is sent is compared,
      and not its `candle_time`. The bridge commissions what the paper broker does by default.
    - The reason of an exit is the daemon's to know, not the deal's: it is held by the events.
    """
    recorded(spread)
    daemon = same_on_the_file(BROKER_PAPER_SLIPPAGE_POINTS="0")
    remote, book = at_bridge("live", seconds=60)
    assert remote.candles == daemon.candles
    assert remote.signals == daemon.signals
    assert remote.refused == daemon.refused
    assert remote.sent == daemon.sent
    assert [trade[:-1] for trade in remote.closed] == [trade[:-1] for trade in daemon.closed]
    assert {CloseReason.SIGNAL, CloseReason.MAX_DURATION, CloseReason.STOP_LOSS} < {
        reason for *_, reason, _ in daemon.closed
    }
    received = [
        (datetime.fromisoformat(one["at"]), one["symbol"], one["type"], Decimal(str(one["volume"])))
        for one in book["received"]
    ]
    assert received == [
        (one.at, one.symbol, SIDES[one.direction], one.volume)
        for one in daemon.sent
        if one.action is Action.ENTRY
    ]
    assert book["doubled"] == {}
    if spread is not None:
        assert remote.levels == daemon.levels
        assert remote.money == daemon.money
        assert remote.closed == daemon.closed
        assert remote.account.balance == daemon.account.balance
        assert remote.account.equity == daemon.account.equity
