"""A desk at the paper broker: hand it candles and orders, read what happened."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.adapters.paper.broker import PaperBroker
from app.adapters.paper.terms import PaperTerms
from app.domain.market import Candle, Timeframe
from app.domain.orders import Action, Intent, OrderKind
from app.domain.signals import Direction
from app.risk.limits import ApprovedOrder

M1 = Timeframe("M1")
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


def money(value):
    return None if value is None else Decimal(value)


class Desk:
    """Prices and lots are given as text; candles follow each other minute by minute."""

    def __init__(self, symbols, terms):
        self.broker = PaperBroker(terms, symbols)
        self.symbol = symbols[0]
        self.minute = dict.fromkeys(symbols, 0)
        self.legs = 0

    def candle(self, open_, high=None, low=None, close=None, *, symbol=None, spread=0.0):
        symbol = symbol or self.symbol
        opened = MONDAY + self.minute[symbol] * M1.delta
        self.minute[symbol] += 1
        close = open_ if close is None else close
        high = max(open_, close) if high is None else high
        low = min(open_, close) if low is None else low
        return list(
            self.broker.on_candle(
                Candle(
                    symbol, M1, opened, opened + M1.delta, open_, high, low, close, spread=spread
                )
            )
        )

    def enter(
        self, direction, volume="1", kind="market", *, price=None, sl=None, tp=None, symbol=None
    ):
        return self._send(
            action=Action.ENTRY,
            symbol=symbol or self.symbol,
            direction=Direction(direction),
            kind=OrderKind(kind),
            volume=Decimal(volume),
            price=money(price),
            stop_loss=money(sl),
            take_profit=money(tp),
        )

    def exit(self, ticket, volume="1", *, kind="market", symbol=None, reason=None):
        return self._send(
            action=Action.EXIT,
            symbol=symbol or self.symbol,
            direction=Direction.LONG,
            kind=OrderKind(kind),
            volume=Decimal(volume),
            ticket=ticket,
            close_reason=reason,
        )

    def _send(self, **fields):
        self.legs += 1
        return self.broker.submit(
            ApprovedOrder(
                Intent(
                    client_id=f"ID{self.legs}",
                    strategy="cross",
                    magic=77,
                    timeframe=M1,
                    candle_time=MONDAY,
                    leg=0,
                    **fields,
                )
            )
        )


def _open_desk(*symbols, **terms):
    free = {"spread_points": 0.0, "slippage_points": 0.0, "commission_per_lot": Decimal(0)}
    return Desk(symbols or ("EURUSD",), PaperTerms(**(free | terms)))


@pytest.fixture
def open_desk():
    """Open a desk; without further terms there is no spread, slippage or commission."""
    return _open_desk


@pytest.fixture(scope="session")
def open_desk_once():
    """Do the same where one fixture serves all examples of a property."""
    return _open_desk
