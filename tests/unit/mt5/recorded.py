"""A recorded market behind a bridge: what it lists, at the time it is there."""

from datetime import datetime, timedelta
from urllib.parse import parse_qs

from app.domain.broker_time import ServerTime
from app.domain.market import Timeframe
from tests.unit.mt5.misbehaving import reply


def bar(time, price=1.1, **fields):
    """Return a bar as a bridge writes it; `time` as it is to be written."""
    prices = {"open": price, "high": price + 0.001, "low": price - 0.001, "close": price}
    return {"time": str(time), **prices, "tick_volume": 42, "spread": 8} | fields


class Recorded:
    """Answers questions for bars out of `markets`: (symbol, timeframe) -> open time (UTC) -> bar.

    Bars that open after `now` are not there yet; the last one given may be forming. `spoil` may
    change a list before it is sent. The tick of a symbol is that of `ticks`, else one in the last
    second of its newest minute, or of `now`; those of `refusing` get that reply instead of a tick.
    With `reads_wall` the times of requests are taken for the server's wall clock. `asked` are the
    questions for bars, `looks` those for ticks and the terminal's health.
    """

    def __init__(self, markets, now, server="NY+7"):
        self.markets = markets
        self.now = now
        self.server = ServerTime(server)
        self.spoil = lambda rows: rows
        self.asked = []
        self.reads_wall = False
        self.ticks = {}
        self.refusing = {}
        self.connected = True
        self.looks = []

    def __call__(self, request):
        name, _, query = request.path.removeprefix("/mt5/").rpartition("/")[0], "", {}
        query = {key: one[0] for key, one in parse_qs(request.target.partition("?")[2]).items()}
        call = request.path.rpartition("/")[2]
        if call == "health":
            self.looks.append("health")
            return reply({"status": "ok", "terminal_connected": self.connected})
        if call == "symbols":
            return reply(sorted({symbol for symbol, _ in self.markets}))
        if call == "select":
            return reply({"symbol": request.json["symbol"], "success": True, "action": "added"})
        symbol = name.partition("/")[2]
        if call == "tick":
            self.looks.append(symbol)
            return self.tick(symbol)
        self.asked.append((symbol, query))
        market = self.markets.get((symbol, Timeframe(query["timeframe"])))
        if market is None:
            return reply({"detail": f"no symbol {symbol}"}, status=404, bare=True)
        return reply(self.spoil(self.rows(market, query)))

    def tick(self, symbol):
        if symbol in self.refusing:
            return self.refusing[symbol]
        time = self.ticks.get(symbol)
        if time is None:
            opens = [o for (of, _), market in self.markets.items() if of == symbol for o in market]
            newest = max(opened for opened in opens if opened <= self.now)
            time = min(newest + timedelta(seconds=59), self.now)
        price = {"symbol": symbol, "time": self.written(time), "bid": 1.1, "ask": 1.10008}
        return reply(price)

    def rows(self, market, query):
        opens = [opened for opened in market if opened <= self.now]
        if "num_bars" in query:
            opens = opens[-int(query["num_bars"]) :]
        else:
            start, end = (self.read(query[name]) for name in ("start", "end"))
            opens = [opened for opened in opens if start <= opened <= end]
        return [market[opened] | {"time": self.written(opened)} for opened in opens]

    def read(self, text):
        time = datetime.fromisoformat(text)
        return self.server.to_utc(time.replace(tzinfo=None)) if self.reads_wall else time

    def written(self, opened):
        return self.server.wall(opened).isoformat()


def minutes(first, count, timeframe=None, server="NY+7"):
    """Return `count` bars one after the other from `first` (UTC) on, none at weekends."""
    step = timeframe.delta if timeframe else timedelta(minutes=1)
    opened, market = first, {}
    while len(market) < count:
        wall = ServerTime(server).wall(opened)
        if wall.weekday() < 5:
            market[opened] = bar(opened, price=1.1 + len(market) % 50 / 1e4)
        opened += step
    return market
