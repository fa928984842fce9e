"""The curves and the trades of a report, packed small: columns, whole numbers, differences.

The scripts `assets/candles.js`, `assets/equity.js` and `assets/trades.js` unpack them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from math import ceil, floor, log10

from app.backtest.outcome import Chart, Outcome, Trade
from app.domain.instruments import instrument

_DRAWN = 1_500
"""The equity is drawn with about as many points, all as far apart."""
_TELLING = 8
"""Digits of a price that are drawn at most, leading zeros not counted."""
_MINUTE = 60


class Words:
    """Texts by number, each held once."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.known = list(known)
        self._numbers = {word: number for number, word in enumerate(self.known)}

    def number(self, word: str) -> int:
        """Return the number of `word`, a new one if it was not known."""
        if word not in self._numbers:
            self._numbers[word] = len(self.known)
            self.known.append(word)
        return self._numbers[word]


def digits_of(charts: Sequence[Chart], trades: Sequence[Trade]) -> Mapping[str, int]:
    """Return symbol -> decimal places of its prices: those it is traded in.

    Those of a symbol that is not recognised are a guess: it may have more where its prices, those
    of the chart where there is one, are told apart by more.
    """
    prices: dict[str, list[float]] = {}
    for trade in trades:
        prices.setdefault(trade.symbol, []).extend((float(trade.entry), float(trade.exit)))
    for chart in charts:
        prices[chart.symbol] = [price for bar in chart.bars for price in bar.prices]
    return {symbol: _digits(symbol, of_symbol) for symbol, of_symbol in prices.items()}


def bars(chart: Chart, digits: int, regimes: Words) -> Mapping[str, object]:
    """Return the bars: opening against the close before, the rest against the bar's own body.

    Prices are whole numbers of the last of `digits` places, times minutes since the bar before.
    """
    scale = 10**digits
    packed: dict[str, list[int]] = {name: [] for name in ("open", "high", "low", "close")}
    before = 0
    for bar in chart.bars:
        open_, high, low, close = (round(price * scale) for price in bar.prices)
        packed["open"].append(open_ - before)
        packed["close"].append(close - open_)
        packed["high"].append(high - max(open_, close))
        packed["low"].append(min(open_, close) - low)
        before = close
    minutes = [_seconds(bar.time) // _MINUTE for bar in chart.bars]
    return {
        "symbol": chart.symbol,
        "timeframe": chart.timeframe.title_name,
        "digits": digits,
        "began": minutes[0],
        "minutes": [0, *(after - earlier for earlier, after in pairwise(minutes))],
        "regimes": _runs(chart, regimes),
        **packed,
    }


def equity(outcome: Outcome) -> Mapping[str, object]:
    """Return the curve at times equally far apart (seconds): the last of each, the deepest fall.

    The drawdown is in percent of the peak, negative.
    """
    points = outcome.equity
    began, ended = _seconds(points[0].time), _seconds(points[-1].time)
    step = max(1, ceil((ended - began) / _DRAWN / _MINUTE)) * _MINUTE
    count = (ended - began) // step + 1
    balances, equities, falls = ([0.0] * count for _ in range(3))
    peak = points[0].equity
    at, fall = -1, 0.0
    for point in points:
        now = (_seconds(point.time) - began) // step
        peak = max(peak, point.equity)
        for passed in range(at + 1, now):
            balances[passed], equities[passed], falls[passed] = balances[at], equities[at], fall
        fall = round(float((point.equity - peak) / peak * 100), 3) if peak > 0 else 0.0
        falls[now] = min(fall, falls[now]) if now == at else fall
        balances[now], equities[now] = _money(point.balance), _money(point.equity)
        at = now
    return {
        "began": began,
        "step": step,
        "balance": balances,
        "equity": equities,
        "drawdown": falls,
    }


def trades(of_run: Sequence[Trade], words: Words) -> Mapping[str, Sequence[float | None]]:
    """Return the trades as columns; texts by their number, times in seconds."""
    return {
        "ticket": [trade.ticket for trade in of_run],
        "symbol": [words.number(trade.symbol) for trade in of_run],
        "strategy": [words.number(trade.strategy) for trade in of_run],
        "direction": [words.number(trade.direction.value) for trade in of_run],
        "regime": [words.number(trade.regime) for trade in of_run],
        "reason": [words.number(trade.reason) for trade in of_run],
        "volume": [float(trade.volume) for trade in of_run],
        "opened": [_seconds(trade.opened_at) for trade in of_run],
        "closed": [_seconds(trade.closed_at) for trade in of_run],
        "entry": [float(trade.entry) for trade in of_run],
        "exit": [float(trade.exit) for trade in of_run],
        "stop": [_float(trade.stop) for trade in of_run],
        "target": [_float(trade.target) for trade in of_run],
        "profit": [float(trade.profit) for trade in of_run],
        "commission": [float(trade.commission) for trade in of_run],
        "swap": [float(trade.swap) for trade in of_run],
        "spread": [float(trade.spread) for trade in of_run],
        "net": [float(trade.net) for trade in of_run],
    }


def _runs(chart: Chart, regimes: Words) -> Sequence[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for at, bar in enumerate(chart.bars):
        number = regimes.number(bar.regime)
        if not runs or runs[-1][1] != number:
            runs.append((at, number))
    return runs


def _digits(symbol: str, prices: Sequence[float]) -> int:
    known = instrument(symbol)
    return known.digits if known.recognised else max(known.digits, _telling(prices))


def _telling(prices: Sequence[float]) -> int:
    """Return how many places tell the prices apart."""
    highest = max(prices)
    most = _TELLING - 1 - floor(log10(highest)) if highest > 0 else _TELLING
    return max(0, min(most, max(map(_places, prices))))


def _places(price: float) -> int:
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _money(amount: Decimal) -> float:
    return round(float(amount), 2)


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)
