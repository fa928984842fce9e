"""A market drawn by hand, a clock that is stepped, and a terminal over both."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from app.bridge.clock import MarketClock
from app.bridge.feeds import symbol_of
from app.bridge.market import Market
from app.bridge.rates import Rates
from app.bridge.simulated import SimulatedTerminal
from app.bridge.terms import Terms
from app.bridge.values import OrderRequest, OrderType
from app.domain.aggregation import Bars
from app.domain.broker_time import ServerTime
from app.domain.market import Timeframe

MONDAY = datetime(2025, 1, 6, 10, tzinfo=UTC)
SERVER_TIME = ServerTime("NY+7")
FLAT = (1.1, 1.1, 1.1, 1.1)


class HandDrawn:
    """A feed of one-minute bars: (open, high, low, close) each, from Monday 10:00 UTC on."""

    timeframe = Timeframe("M1")

    def __init__(self, *bars, spread=10, start=MONDAY):
        prices = np.array(bars, np.float64).T
        times = int(start.timestamp()) + 60 * np.arange(len(bars), dtype=np.int64)
        flat = np.full(len(bars), 1.0)
        self._bars = Bars(times, *prices, volume=flat * 80, spread=flat * spread)
        self.first = int(times[0])
        self.end = int(times[-1]) + 60

    def open(self):
        """Do nothing."""

    def bars(self, since, before):
        return self._bars.between(since, before)

    def report(self):
        return ()

    def warnings(self):
        return ()


class Scene:
    """A terminal on hand-drawn EURUSD bars."""

    def __init__(self, *bars, spread=10, start=MONDAY, symbol=None, **terms):
        symbol = symbol or symbol_of("EURUSD")
        market = Market(symbol, HandDrawn(*bars, spread=spread, start=start), SERVER_TIME)
        self.market = market
        self.clock = MarketClock(start, 0)
        rates = Rates(terms.get("currency", "USD"), [market], lambda _: market)
        self.terminal = SimulatedTerminal(
            {symbol.name: market}, lambda _: rates, self.clock, SERVER_TIME
        )
        self.terminal.log_in(Terms(**terms), Decimal(10_000))

    @property
    def ledger(self):
        return self.terminal.ledger

    def step(self, seconds):
        self.clock.step(timedelta(seconds=seconds))

    def order(self, kind=OrderType.BUY, volume="0.1", **fields):
        for name in {"price", "sl", "tp", "stop_limit"} & fields.keys():
            fields[name] = Decimal(str(fields[name]))
        request = OrderRequest("EURUSD", kind, Decimal(volume), **fields)
        return self.terminal.create(request)

    def close(self, ticket, volume=None):
        wanted = None if volume is None else Decimal(volume)
        return self.terminal.close("EURUSD", ticket, wanted)

    def last_deal(self):
        deal = self.ledger.deals[-1]
        return deal.reason.name, deal.price, deal.volume
