"""A recorded market whose signals come by the clock, and a daemon that is drilled on it.

Every twenty minutes the same happens: EURUSD stands at 1.1000; the second minute closes above,
which is where the strategy `drilled` buys, the twelfth below, which is where it leaves. Each drill
has such a piece of the market, an account of the bridge and a folder for itself.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from app.events import OrderInDoubtEvent, OrderPlacedEvent, OrderRejectedEvent, TradingBlockedEvent
from app.journal_tools import compare_ledgers
from tests.live import Live

PIECE = timedelta(minutes=20)
BUY, LEAVE = 2, 12
"""Minutes of a piece after which the candle of the signal has closed."""
HIGH, USUAL, LOW = 1.101, 1.1, 1.099
DRILLED = """
name: drilled
timeframes: ["1"]
entry: {long: {conditions: [{signal: close, operator: ">", value: 1.1005}]}}
exit: {long: {conditions: [{signal: close, operator: "<", value: 1.0995}]}}
risk: {position_sizing: {type: fixed, value: 0.1}, sl: {type: fixed, value: 50}}
"""
NAMES = {
    "TRADE_MODE": "live",
    "TRADING_TIMEFRAMES": "1",
    "SERVICES_INDICATOR_CALCULATION_HISTORY_BARS": "0",
    "SERVICES_STRATEGY_EVALUATION_MIN_ROWS_REQUIRED": "1",
    "SERVICES_DATA_FETCHING_RETRY_ATTEMPTS": "0",
    "BROKER_LOST_AFTER": "60",
}
_DAY_ENDS = range(21, 23)
"""Hours UTC near the end of the broker's day, in which no piece is played."""


def closes(pieces):
    """Return the closes of the market's minutes."""
    piece = [USUAL] * (PIECE // timedelta(minutes=1))
    piece[BUY - 1], piece[LEAVE - 1] = HIGH, LOW
    return piece * pieces


class Drill(Live):
    """A daemon at the beginning of a piece of the market."""

    def __init__(self, connect, names, broker, began):
        super().__init__(connect(names).started(), broker)
        self.names = names
        self.began = began

    def after(self, *seconds):
        """Let so much market time pass, each time with a cycle at its end."""
        super().after(*seconds)
        return self

    def until(self, minute, second=0):
        """Run a cycle each minute, and one at that time of the piece."""
        to = self.began + timedelta(minutes=minute, seconds=second)
        while (now := self.run.parts.clock.now()) < to:
            self.after(min(60 - now.second, (to - now).total_seconds()))
        return self

    def entered(self, *faults):
        """Play up to the signal to buy; the order it makes goes wrong."""
        self.until(BUY - 1)
        self.broker.faults(*faults)
        return self.until(BUY)

    def left(self, *faults):
        """Play up to the signal to leave; the order it makes goes wrong."""
        self.until(LEAVE - 1)
        self.broker.faults(*faults)
        return self.until(LEAVE)

    def again(self, connect, **names):
        """Let go of everything as it is and let another daemon start on what is left."""
        self.run.parts.close()
        self.run = connect({**self.names, **names}).started()
        return self

    def settled(self, looks=9):
        """Let all be well and the account be looked at so often, every ten seconds."""
        self.broker.no_faults()
        self.after(*[10] * looks)
        return self

    def of(self, *kinds):
        """Return the events of some kinds."""
        return self.run.of(*kinds)

    @property
    def journal(self):
        """The journal of the account."""
        return self.run.parts.journal

    def intents(self):
        """Return everything that was to be done, in order, each once."""
        kinds = (OrderPlacedEvent, OrderInDoubtEvent, OrderRejectedEvent)
        return list({event.intent.client_id: event.intent for event in self.of(*kinds)}.values())

    def record(self, number=-1):
        """Return where an intent is, the newest unless told otherwise."""
        return self.journal.record(self.intents()[number].client_id)

    def state(self, number=-1):
        """Return the state of an intent, the newest unless told otherwise."""
        return self.record(number).state

    def blocked(self):
        """Return why entries were refused or blocked, in order."""
        return [event.reason for event in self.of(TradingBlockedEvent)]

    def standing(self):
        """Return why entries are blocked now."""
        return [block.reason for block in self.journal.blocks(self.run.parts.clock.now())]

    def counts(self):
        """Return the counts of the referee."""
        return self.broker.ledger()["counts"]

    def executed(self):
        """Return client id -> orders the referee saw executed, of all that was sent."""
        times = {}
        for order in self.broker.ledger()["orders"]:
            times[order["client_id"]] = times.get(order["client_id"], 0) + 1
        return times

    def lots(self, entry):
        """Return the lots of all deals ``IN`` or ``OUT``."""
        deals = self.broker.ledger()["deals"]
        return sum(Decimal(str(it["volume"])) for it in deals if it["entry"] == entry)

    def differences(self):
        """Return where the journal on disk and the account differ."""
        parts = self.run.parts
        self.journal.flush()
        compared = compare_ledgers(self.run.settings, parts.broker, None, parts.clock.now())
        return list(compared.comparison.differences)


class Ground:
    """A bridge on which one drill follows another, each on an account of its own."""

    def __init__(self, broker):
        self.broker = broker
        self._logins = count(1001)

    def login(self, balance=10_000):
        """Make all well again and log in to a new account; return its number."""
        self.broker.no_faults()
        self.broker.control("treatment")
        self.broker.control(
            "terminal", connected=True, frozen=False, trade_allowed=True, autotrading=True,
            server_autotrading=True, server_clock_offset=0,
        )  # fmt: skip
        self.broker.control("symbol", name=self.symbol, spread=2)
        login = next(self._logins)
        self.broker.control("account", login=login, balance=balance)
        return login

    @property
    def symbol(self):
        """What is traded."""
        return self.broker.get("symbols")[0]

    def piece(self):
        """Go to the beginning of a piece of the market; return it."""
        now = datetime.fromisoformat(self.broker.step(0))
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        began = midnight + -((midnight - now) // PIECE) * PIECE
        while began.hour in _DAY_ENDS:
            began += PIECE
        self.broker.step(to=began.isoformat())
        return began
