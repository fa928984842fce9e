"""One symbol at the paper broker: its latest candle, waiting orders and what to watch for.

Most candles change nothing. A book therefore keeps, in plain floats, the prices between which no
order and no stop can be touched; only a candle that leaves them is matched in Decimal.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import ceil, inf

import msgspec

from app.adapters.paper.instruments import Instrument
from app.adapters.paper.ledger import OpenPosition, Order
from app.adapters.paper.matching import Bar, bar_of
from app.adapters.paper.terms import PaperTerms
from app.domain.errors import SourceError
from app.domain.market import Candle
from app.domain.orders import OrderGone, OrderKind
from app.domain.signals import Direction


class Mark(msgspec.Struct, frozen=True):
    """Prices to value the positions of `symbol` at."""

    symbol: str
    bid: Decimal
    ask: Decimal

    def closes(self, direction: Direction) -> Decimal:
        """Return the price a position in `direction` would be closed at."""
        return self.bid if direction is Direction.LONG else self.ask

    def opens(self, direction: Direction) -> Decimal:
        """Return the price a position in `direction` would be opened at."""
        return self.closes(direction.opposite)


class Book:
    """What the paper broker knows of one symbol."""

    __slots__ = (
        "_mark",
        "_marked",
        "_step",
        "blur",
        "candle",
        "cost",
        "data_spread",
        "data_spread_price",
        "exposed",
        "gone",
        "high_guard",
        "instrument",
        "low_guard",
        "orders",
        "point",
        "rate",
        "rules",
        "short_units",
        "slippage",
        "spread",
        "symbol",
        "units",
    )  # fmt: skip

    rate: "Rate"
    _mark: Mark

    def __init__(self, instrument: Instrument, terms: PaperTerms) -> None:
        self.instrument = instrument
        self.rules = instrument.rules
        self.symbol = self.rules.symbol
        self._step = self.rules.point
        self.point = float(self._step)
        fixed = terms.spread_points
        self.spread = terms.costs * (instrument.usual_spread if fixed is None else ceil(fixed))
        self.data_spread = float(terms.costs) if fixed is None else 0.0
        self.data_spread_price = self.data_spread * self.point
        self.slippage = terms.costs * ceil(terms.slippage_points)
        self.candle: Candle | None = None
        self._marked: Candle | None = None
        """The candle that `_mark` is of."""
        self.orders: dict[int, Order] = {}
        self.gone: list[OrderGone] = []
        self.arm(())

    @property
    def ready(self) -> bool:
        """Whether the symbol has a price and its profits have a rate."""
        through = self.rate.through
        return self.candle is not None and (through is None or through.candle is not None)

    @property
    def latest(self) -> Candle:
        """The latest candle; SourceError before the first."""
        if self.candle is None:
            raise SourceError(f"no price of {self.symbol} yet")
        return self.candle

    @property
    def mark(self) -> Mark:
        """The latest close and the ask above it; SourceError before the first candle."""
        latest = self.latest
        if self._marked is not latest:
            bid = self.rules.price(latest.close)
            ask = bid + self._spread_of(latest) * self._step
            self._mark, self._marked = Mark(self.symbol, bid, ask), latest
        return self._mark

    def bar(self, candle: Candle) -> Bar:
        """Return `candle` with its spread and slippage, in Decimal."""
        return bar_of(candle, self.rules, self._spread_of(candle), self.slippage)

    def arm(self, positions: Iterable[OpenPosition]) -> None:
        """Watch for everything that waits: set the guards and the exposure in floats.

        A candle with ``low > low_guard`` and ``high + spread < high_guard`` touches nothing.
        """
        falls, rises = [-inf], [inf]
        if self.gone or any(
            order.intent.kind is OrderKind.MARKET for order in self.orders.values()
        ):
            falls.append(inf)
        for order in self.orders.values():
            intent = order.intent
            if intent.price is not None:
                buys_low = (intent.direction is Direction.LONG) is (intent.kind is OrderKind.LIMIT)
                (falls if buys_low else rises).append(float(intent.price))
        self.units = self.short_units = self.cost = self.blur = 0.0
        for position in positions:
            is_long = position.direction is Direction.LONG
            if position.stop_loss is not None:
                (falls if is_long else rises).append(float(position.stop_loss))
            if position.take_profit is not None:
                (rises if is_long else falls).append(float(position.take_profit))
            size = float(position.volume * self.rules.contract_size)
            self.units += size * position.direction.sign
            self.short_units += 0.0 if is_long else size
            self.cost += size * position.direction.sign * float(position.price_open)
            self.blur += size * self.point
        self.exposed = self.blur > 0.0
        self.low_guard = max(falls) + self.point
        self.high_guard = min(rises) - (self.spread + 2) * self.point

    def floating(self) -> float:
        """Return what the positions' profit at the latest close is at least (account currency)."""
        return self._value(self.latest, self.latest.close)

    def worst_floating(self, candle: Candle) -> float:
        """Return what their profit is at least where `candle` was worst for them."""
        if 0.0 < self.short_units != -self.units:  # both sides are open
            return min(self._value(candle, candle.low), self._value(candle, candle.high))
        return self._value(candle, candle.low if self.units > 0.0 else candle.high)

    def _value(self, candle: Candle, bid: float) -> float:
        spread = self._spread_of(candle) * self.point
        profit = self.units * bid - self.short_units * spread - self.cost - self.blur
        return profit * self.rate.about(bid)

    def _spread_of(self, candle: Candle) -> int:
        """Return the spread in whole points, a fraction counting as one."""
        return ceil(candle.spread * self.data_spread) or self.spread


class Rate(msgspec.Struct, frozen=True):
    """How a symbol's profit currency becomes account currency.

    `fixed`, or else the latest bid of `through` (its own price when that is ``None``), inverted
    when the account currency is that symbol's base.
    """

    fixed: Decimal | None = None
    through: Book | None = None
    inverse: bool = False

    def at(self, price: Decimal) -> Decimal:
        """Return the rate for a deal at `price`; SourceError while there is no price to use."""
        if self.fixed is not None:
            return self.fixed
        if self.through is not None:
            price = self.through.mark.bid
        return 1 / price if self.inverse else price

    def about(self, price: float) -> float:
        """Return the same in floats."""
        if self.fixed is not None:
            return float(self.fixed)
        if self.through is not None:
            price = self.through.latest.close
        return 1.0 / price if self.inverse else price
