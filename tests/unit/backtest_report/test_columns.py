"""What a report draws is what the backtest came to, however small it is packed."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backtest.outcome import Chart, ChartBar, Drawdown, EquityPoint
from app.backtest.report_columns import Words, bars, digits_of, equity, trades
from app.domain.market import Timeframe
from tests.unit.backtest_report.outcomes import BEGAN, CAPITAL, REGIMES, chart, outcome, trades_on


@dataclass
class Step:
    minutes: int
    prices: tuple[int, ...]
    regime: str


def steps():
    prices = st.lists(st.integers(1, 10**7), min_size=4, max_size=4).map(
        lambda four: (four[1], max(four), min(four), four[2])
    )
    regimes = st.sampled_from(["", *REGIMES])
    return st.lists(st.builds(Step, st.integers(1, 5_000), prices, regimes), min_size=1)


@given(steps(), st.integers(0, 8))
def test_bars_can_be_unpacked(steps, places):
    """Prices, times and regimes, of any number of decimals; the page does the same sums.

    Red when a high is taken against the opening alone.
    """
    scale = 10**places
    times = accumulate(step.minutes for step in steps)
    given_bars = [
        ChartBar(BEGAN + timedelta(minutes=at), *(one / scale for one in step.prices), step.regime)
        for at, step in zip(times, steps, strict=True)
    ]
    of = Chart("X", Timeframe("M1"), given_bars)
    digits = digits_of([of], [])["X"]
    regimes = Words()
    packed = bars(of, digits, regimes)
    close, minute, unpacked = 0, packed["began"], []
    for at in range(len(given_bars)):
        minute += packed["minutes"][at]
        open_ = close + packed["open"][at]
        close = open_ + packed["close"][at]
        high = max(open_, close) + packed["high"][at]
        low = min(open_, close) - packed["low"][at]
        run = [number for start, number in packed["regimes"] if start <= at][-1]
        prices = (one / 10**digits for one in (open_, high, low, close))
        unpacked.append((minute * 60, *prices, regimes.known[run]))
    assert unpacked == [(bar.time.timestamp(), *bar.prices, bar.regime) for bar in given_bars]


def test_prices_keep_the_digits_that_tell_them_apart():
    """Where the symbol is not known, and not fewer than it is traded in.

    Noise of floats is not drawn; small prices keep their leading zeros.
    """

    def digits(*prices):
        of = Chart("X", Timeframe("M1"), [ChartBar(BEGAN, *prices, "")])
        return digits_of([of], [])["X"]

    assert digits(1.1, 1.10005, 1.1, 1.1) == 5
    assert digits(42_000.0, 42_001.25, 42_000.0, 42_000.5) == 2
    assert digits(0.1 + 0.2, 0.4, 0.3, 0.3) == 8
    assert digits(0.00001234, 0.00001234, 0.00001234, 0.00001234) == 8
    assert digits(100.0, 100.0, 100.0, 100.0) == 2


@pytest.mark.parametrize(
    ("symbol", "prices", "digits"),
    [
        ("BTCUSD", (42_000.0, 42_001.5, 42_000.0, 42_000.125), 2),
        ("BTCUSD", (42_000.0, 42_001.0, 42_000.0, 42_000.0), 2),
        ("EURUSD.r", (1.1, 1.1, 1.1, 1.1), 5),
        ("USDJPY", (150.1, 150.12345, 150.1, 150.1), 3),
    ],
)
def test_a_known_symbol_has_the_digits_it_is_traded_in(symbol, prices, digits):
    """Whatever a bar of the data has. Red with the digits of the data."""
    of = Chart(symbol, Timeframe("M1"), [ChartBar(BEGAN, *prices, "")])
    assert digits_of([of], []) == {symbol: digits}


def test_a_symbol_without_a_chart_has_the_digits_of_its_trades():
    of = chart("BTCUSD", price=42_000.0, digits=2)
    assert digits_of([], trades_on(of)) == {"BTCUSD": 2}


changes = st.lists(st.tuples(st.integers(1, 40_000), st.integers(-90_000, 120_000)), max_size=60)


@given(changes)
def test_the_equity_ends_where_the_run_ended_and_falls_as_deep(changes):
    """However the points lie, the last value and the deepest fall are those of the outcome.

    Red when a time draws its last drawdown in place of its deepest.
    """
    points, worst = walked(changes)
    last = points[-1]
    curve = equity(
        outcome([], [], equity=points, drawdown=worst, ended=last.time, final_equity=last.equity)
    )
    assert len({len(curve[name]) for name in ("balance", "equity", "drawdown")}) == 1
    assert len(curve["equity"]) <= 1_502
    assert curve["equity"][-1] == float(last.equity)
    assert curve["balance"][-1] == float(last.balance)
    assert abs(min(curve["drawdown"]) + worst.percent) < 0.001
    last_drawn = curve["began"] + (len(curve["equity"]) - 1) * curve["step"]
    assert last_drawn <= last.time.timestamp() < last_drawn + curve["step"]


def walked(changes):
    points = [EquityPoint(BEGAN, CAPITAL, CAPITAL)]
    worst, peak = Drawdown(Decimal(0), 0.0, BEGAN, BEGAN, None), points[0]
    for minutes, cents in changes:
        worth = max(points[-1].equity + Decimal(cents).scaleb(-2), Decimal(1))
        points.append(EquityPoint(points[-1].time + timedelta(minutes=minutes), worth, worth))
        peak = max(peak, points[-1], key=lambda point: point.equity)
        fall = peak.equity - worth
        if fall > 0 and fall / peak.equity * 100 > worst.percent:
            share = float(fall / peak.equity * 100)
            worst = Drawdown(fall, share, peak.time, points[-1].time, None)
    return points, worst


def test_trades_are_columns_of_numbers():
    made = trades_on(chart(), 3)
    bare = msgspec.structs.replace(made[0], stop=None, regime="")
    words = Words()
    packed = trades([bare, *made[1:]], words)
    assert packed["ticket"] == [trade.ticket for trade in made]
    assert packed["net"] == [float(trade.net) for trade in made]
    assert packed["stop"][0] is None
    assert [words.known[number] for number in packed["regime"]] == [
        "",
        *(trade.regime for trade in made[1:]),
    ]
    assert [words.known[number] for number in packed["reason"]] == [t.reason for t in made]
    assert packed["opened"] == [int(trade.opened_at.timestamp()) for trade in made]
