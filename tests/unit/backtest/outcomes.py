"""Outcomes of backtests that never ran: written by hand, or any that could be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from app.backtest.equity import EquityCurve
from app.backtest.outcome import Drawdown, EquityPoint, Outcome, Trade
from app.domain.signals import Direction

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CAPITAL = Decimal(10000)
NEVER_FELL = Drawdown(Decimal(0), 0.0, MONDAY, MONDAY, None)


def trade(profit="0", *, closed=MONDAY + HOUR, lasted=HOUR, ticket=1, **other):
    """Return a trade; money and prices are given as text."""
    money = {name: Decimal(other.pop(name, "0")) for name in ("commission", "swap", "spread")}
    values = {
        "ticket": ticket,
        "symbol": "EURUSD",
        "strategy": "cross",
        "direction": Direction.LONG,
        "regime": "bull_expansion",
        "volume": Decimal("0.10"),
        "opened_at": closed - lasted,
        "entry": Decimal("1.10000"),
        "stop": Decimal("1.09500"),
        "target": None,
        "closed_at": closed,
        "exit": Decimal("1.10100"),
        "reason": "signal",
    }
    return Trade(profit=Decimal(profit), **money, **(values | other))


def trades_of(*profits, **other):
    """Return trades closed an hour after each other."""
    return [
        trade(profit, ticket=at, closed=MONDAY + at * HOUR, **other)
        for at, profit in enumerate(profits, start=1)
    ]


def equity_of(*values, began=MONDAY, step=DAY):
    """Return the points of an equity that starts with the capital; balance is the same."""
    amounts = [CAPITAL, *map(Decimal, values)]
    return [EquityPoint(began + at * step, one, one) for at, one in enumerate(amounts)]


def outcome(*, trades=(), equity=None, **other):
    """Return a run of MONDAY in which that happened, its final equity the last point's."""
    if equity is None:
        total = sum((one.net for one in trades), CAPITAL)
        equity = [*equity_of(), EquityPoint(MONDAY + DAY, total, total)]
    values = {
        "name": "cross on EURUSD",
        "began": equity[0].time,
        "ended": equity[-1].time,
        "complete": True,
        "currency": "EUR",
        "capital": CAPITAL,
        "balance": equity[-1].balance,
        "final_equity": equity[-1].equity,
        "still_open": 0,
        "drawdown": NEVER_FELL,
        "exposed": timedelta(),
        "signals": len(trades),
        "refused": {},
        "candles": 1440,
        "charts": [],
        "assumptions": [],
    }
    return Outcome(trades=trades, equity=equity, **(values | other))


CENTS = st.integers(-500_000, 500_000).map(lambda cents: Decimal(cents).scaleb(-2))
COSTS = st.integers(-5_000, 0).map(lambda cents: Decimal(cents).scaleb(-2))
SPREADS = st.fractions(0, 100).map(lambda part: Decimal(part.numerator) / part.denominator)


@st.composite
def some_trades(draw):
    """Return trades, each with its own ticket, with costs of as many digits as a mean has."""
    count = draw(st.integers(0, 12))
    return [
        trade(
            draw(CENTS),
            ticket=ticket,
            closed=MONDAY + draw(st.integers(0, 5000)) * HOUR,
            lasted=draw(st.integers(0, 100)) * timedelta(minutes=7),
            strategy=draw(st.sampled_from("abc")),
            regime=draw(st.sampled_from(["", "bull", "bear"])),
            commission=draw(COSTS),
            swap=draw(CENTS),
            spread=draw(SPREADS),
        )
        for ticket in range(1, count + 1)
    ]


@st.composite
def some_outcomes(draw):
    """Return a run whose equity went anywhere, even below zero, kept as a backtest keeps it."""
    began = MONDAY + draw(st.integers(0, 400)) * timedelta(hours=7)
    curve = EquityCurve(CAPITAL, began)
    equity, now = CAPITAL, began
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.integers(1, 900)) * HOUR
        equity += draw(CENTS)
        curve.see(now, equity, equity, keep=draw(st.booleans()))
    curve.end()
    return outcome(
        trades=draw(some_trades()),
        equity=curve.points,
        drawdown=curve.drawdown,
        began=began,
        ended=now + draw(st.integers(0, 100)) * HOUR,
        exposed=(now - began) * draw(st.floats(0, 1)),
        still_open=draw(st.integers(0, 2)),
        complete=draw(st.booleans()),
        refused=draw(st.dictionaries(st.text(max_size=40), st.integers(1, 10**6), max_size=3)),
        assumptions=draw(st.lists(st.text(max_size=300), max_size=3)),
        name=draw(st.text(max_size=150)),
    )
