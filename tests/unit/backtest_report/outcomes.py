"""Outcomes of backtests that were never run: a seeded walk, and trades upon it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec

from app.backtest.outcome import Chart, ChartBar, Drawdown, EquityPoint, Outcome, Trade
from app.domain.market import Timeframe
from app.domain.signals import Direction

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
CAPITAL = Decimal(10_000)
REGIMES = [
    f"{way}_{size}" for way in ("bull", "bear", "neutral") for size in ("expansion", "contraction")
]
ASSUMPTIONS = (
    "Market orders fill at the close of the candle they were decided on, plus the spread.",
    "Spread of the candle where the file has one, else 8 points.",
    "Commission 3.50 USD a lot and side; swap as in instruments.yaml.",
    "Where a candle touches both stop and target, the stop is taken: the worse of the two.",
    "The first 500 candles of every timeframe warm up indicators and are not traded.",
)


def chart(symbol="EURUSD", count=400, timeframe="M15", *, price=1.1, digits=5, seed=1):
    """Return a walk of `count` bars, weekends left out."""
    random = Random(seed)
    frame = Timeframe(timeframe)
    bars, time, close = [], BEGAN, price
    regime = ""
    for at in range(count):
        while time.weekday() >= 5:
            time += frame.delta
        if at >= 30 and (not regime or random.random() < 0.02):
            regime = random.choice(REGIMES)
        drift = 0.0001 * (regime.startswith("bull") - regime.startswith("bear"))
        open_ = close
        close = round(open_ * (1 + random.gauss(drift, 0.0006)), digits)
        high = round(max(open_, close) * (1 + abs(random.gauss(0, 0.0003))), digits)
        low = round(min(open_, close) * (1 - abs(random.gauss(0, 0.0003))), digits)
        bars.append(ChartBar(time, open_, high, low, close, regime))
        time += frame.delta
    return Chart(symbol, frame, bars)


def trades_on(of, count=20, strategies=("ema-cross", "range-fade"), first=1, seed=2):
    """Return `count` trades that open and close at closes of the bars of a chart."""
    random = Random(seed)
    trades = []
    for ticket in range(first, first + count):
        opened = random.randrange(len(of.bars) - 1)
        closed = min(opened + 1 + int(random.expovariate(1 / 12)), len(of.bars) - 1)
        start, end = of.bars[opened], of.bars[closed]
        direction = random.choice(list(Direction))
        entry, exit_ = Decimal(str(start.close)), Decimal(str(end.close))
        gap = entry * Decimal("0.002")
        volume = Decimal(random.choice(["0.10", "0.20", "0.35"]))
        profit = direction.sign * (exit_ - entry) / entry * volume * 100_000
        won = "take_profit" if profit > 0 else "stop_loss"
        trades.append(
            Trade(
                ticket=ticket,
                symbol=of.symbol,
                strategy=random.choice(strategies),
                direction=direction,
                regime=start.regime,
                volume=volume,
                opened_at=start.time + of.timeframe.delta,
                entry=entry,
                stop=(entry - direction.sign * gap).quantize(entry),
                target=(entry + direction.sign * gap * 2).quantize(entry) if ticket % 3 else None,
                closed_at=end.time + of.timeframe.delta,
                exit=exit_,
                reason=random.choice([won, won, "signal", "max_duration"]),
                profit=profit.quantize(Decimal("0.01")),
                commission=-7 * volume,
                swap=Decimal("-0.31") if ticket % 5 == 0 else Decimal(0),
                spread=8 * volume,
            )
        )
    return sorted(trades, key=lambda trade: (trade.closed_at, trade.ticket))


def outcome(charts=None, trades=None, **changes):
    """Return what came of `trades`, the equity marked whenever one closes and a day ends."""
    charts = [chart()] if charts is None else charts
    trades = trades_on(charts[0]) if trades is None else trades
    ended = max((one.bars[-1].time for one in charts if one.bars), default=BEGAN)
    ended = max([ended, *(trade.closed_at for trade in trades)]) + timedelta(minutes=15)
    points, balance = [EquityPoint(BEGAN, CAPITAL, CAPITAL)], CAPITAL
    worst, peak = Drawdown(Decimal(0), 0.0, BEGAN, BEGAN, None), points[0]
    for trade in sorted(trades, key=lambda trade: trade.closed_at):
        balance += trade.net
        point = EquityPoint(trade.closed_at, balance, balance)
        points.append(point)
        if point.equity > peak.equity:
            peak = point
        fall = peak.equity - point.equity
        if fall > worst.amount:
            worst = Drawdown(fall, float(fall / peak.equity * 100), peak.time, point.time, None)
    points.append(EquityPoint(ended, balance, balance))
    made = Outcome(
        name="ema-cross, range-fade",
        began=BEGAN,
        ended=ended,
        complete=True,
        currency="USD",
        capital=CAPITAL,
        balance=balance,
        final_equity=balance,
        trades=trades,
        still_open=0,
        equity=points,
        drawdown=worst,
        exposed=timedelta(hours=30),
        signals=len(trades) + 17,
        refused={"max_open_positions": 12, "daily_loss_limit": 5},
        candles=len(charts[0].bars) * 15 if charts else 0,
        charts=charts,
        assumptions=ASSUMPTIONS,
    )
    return msgspec.structs.replace(made, **changes)
