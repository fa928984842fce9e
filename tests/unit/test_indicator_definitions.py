"""Each definition against the table's words in plain Python, over whole series at once."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from app.domain.market import Candle, Timeframe
from app.indicators.registry import spec_of

Line = list[float | None]
M1 = Timeframe("1")
START = datetime(2025, 1, 6, tzinfo=UTC)


def walk(bars: int, *, seed: int = 5, price: float = 1.1, step: float = 0.0004) -> list[Candle]:
    """Walk at random on a price grid, so that equal prices occur."""
    dice = random.Random(seed)
    candles = []
    close = price
    for at in range(bars):
        open_ = close
        close = round(open_ + dice.gauss(0, step), 4)
        high = round(max(open_, close) + abs(dice.gauss(0, step / 2)), 4)
        low = round(min(open_, close) - abs(dice.gauss(0, step / 2)), 4)
        candles.append(candle(at, open_, high, low, close, float(dice.randint(1, 300))))
    return candles


def candle(at: int, *prices_and_volume: float) -> Candle:
    opened = START + at * M1.delta
    return Candle("EURUSD", M1, opened, opened + timedelta(minutes=1), *prices_and_volume)


def flat(bars: int, price: float) -> list[Candle]:
    return [candle(at, price, price, price, price) for at in range(bars)]


def table(key: str, candles: Sequence[Candle], **parameters: object) -> list[tuple[object, ...]]:
    cells = spec_of(key, parameters).cells()
    return [cells(one) for one in candles]


MARKET = walk(1500)
CLOSES: Line = [one.close for one in MARKET]


def averaged(line: Line, period: int, weight: float) -> Line:
    """Average recursively, seeded with the mean of the first `period` values there are."""
    start = next(at for at, value in enumerate(line) if value is not None)
    result: Line = [None] * (start + period - 1)
    value = fmean(line[start : start + period])  # type: ignore[arg-type]
    result.append(value)
    for one in line[start + period :]:
        value += weight * (one - value)  # type: ignore[operator]
        result.append(value)
    return result


def ema(line: Line, period: int) -> Line:
    return averaged(line, period, 2 / (period + 1))


def rma(line: Line, period: int) -> Line:
    return averaged(line, period, 1 / period)


def rolled(line: Line, period: int, function: Callable[[list[float]], float]) -> Line:
    result: Line = []
    for end in range(1, len(line) + 1):
        part = [one for one in line[max(0, end - period) : end] if one is not None]
        result.append(function(part) if len(part) == period else None)
    return result


def with_(one: Line, other: Line, function: Callable[[float, float], float | None]) -> Line:
    return [
        None if a is None or b is None else function(a, b) for a, b in zip(one, other, strict=True)
    ]


def true_ranges(candles: Sequence[Candle]) -> Line:
    result: Line = [None]
    for before, now in pairwise(candles):
        result.append(
            max(now.high - now.low, abs(now.high - before.close), abs(now.low - before.close))
        )
    return result


def changes(line: Line) -> Line:
    return [None, *(b - a for a, b in pairwise(line))]  # type: ignore[operator]


def wilder_rsi(line: Line, period: int) -> Line:
    ups = rma([None if one is None else max(one, 0.0) for one in changes(line)], period)
    downs = rma([None if one is None else max(-one, 0.0) for one in changes(line)], period)
    return with_(ups, downs, lambda up, down: 100 * up / (up + down) if up + down else None)


def place(lines: tuple[Line, Line, Line]) -> tuple[Line, ...]:
    upper, middle, lower = lines
    width = with_(upper, lower, lambda up, down: up - down)
    over = with_(CLOSES, lower, lambda close, down: close - down)
    return upper, middle, lower, with_(over, width, lambda a, b: a / b if b else None)


def expected_ema() -> tuple[Line, ...]:
    return (ema(CLOSES, 14),)


def expected_sma() -> tuple[Line, ...]:
    return (rolled(CLOSES, 14, fmean),)


def expected_rma() -> tuple[Line, ...]:
    return (rma(CLOSES, 14),)


def expected_atr() -> tuple[Line, ...]:
    return (rma(true_ranges(MARKET), 14),)


def expected_rsi() -> tuple[Line, ...]:
    line = wilder_rsi(CLOSES, 14)
    return line, ema(line, 14)


def expected_bb() -> tuple[Line, ...]:
    middle, sigma = rolled(CLOSES, 20, fmean), rolled(CLOSES, 20, pstdev)
    upper = with_(middle, sigma, lambda mean, one: mean + 2 * one)
    return place((upper, middle, with_(middle, sigma, lambda mean, one: mean - 2 * one)))


def expected_keltner() -> tuple[Line, ...]:
    middle = ema([(one.high + one.low + one.close) / 3 for one in MARKET], 20)
    mean = rolled(true_ranges(MARKET), 10, fmean)
    upper = with_(middle, mean, lambda price, reach: price + 2 * reach)
    return place((upper, middle, with_(middle, mean, lambda price, reach: price - 2 * reach)))


def expected_macd() -> tuple[Line, ...]:
    fast = [None] * 14 + ema(CLOSES[14:], 12)  # both averages start on the same candle
    line = with_(fast, ema(CLOSES, 26), lambda a, b: a - b)
    signal = ema(line, 9)
    shown = with_(line, signal, lambda value, _: value)
    return shown, signal, with_(line, signal, lambda value, mean: value - mean)


def expected_stochrsi() -> tuple[Line, ...]:
    line = wilder_rsi(CLOSES, 14)
    lowest, highest = rolled(line, 14, min), rolled(line, 14, max)
    width = with_(highest, lowest, lambda a, b: a - b)
    over = with_(line, lowest, lambda a, b: a - b)
    raw = with_(over, width, lambda a, b: 100 * a / b)
    k = rolled(raw, 3, fmean)
    return k, rolled(k, 3, fmean)


def expected_stoch() -> tuple[Line, ...]:
    lowest = rolled([one.low for one in MARKET], 14, min)
    highest = rolled([one.high for one in MARKET], 14, max)
    over = with_(CLOSES, lowest, lambda a, b: a - b)
    raw = with_(over, with_(highest, lowest, lambda a, b: a - b), lambda a, b: 100 * a / b)
    k = rolled(raw, 3, fmean)
    d = rolled(k, 3, fmean)
    return with_(k, d, lambda value, _: value), d


def middles(period: int) -> Line:
    highest = rolled([one.high for one in MARKET], period, max)
    lowest = rolled([one.low for one in MARKET], period, min)
    return with_(highest, lowest, lambda a, b: (a + b) / 2)


def expected_ichimoku() -> tuple[Sequence[object], ...]:
    tenkan, kijun, senkou_b = middles(9), middles(26), middles(52)
    senkou_a = with_(tenkan, kijun, lambda a, b: (a + b) / 2)
    cloud = [
        None if a is None or b is None else "bullish" if a > b else "bearish"
        for a, b in zip(senkou_a, senkou_b, strict=True)
    ]
    chikou = [None] * 26 + CLOSES[:-26]
    return tenkan, kijun, senkou_a, senkou_b, chikou, cloud


def expected_aroon() -> tuple[Line, ...]:
    def since(line: list[float], best: float) -> float:
        return 100 * (14 - line[::-1].index(best)) / 14

    highs: Line = [one.high for one in MARKET]
    lows: Line = [one.low for one in MARKET]
    return (
        rolled(highs, 15, lambda line: since(line, max(line))),
        rolled(lows, 15, lambda line: since(line, min(line))),
    )


def expected_obv() -> tuple[Line, ...]:
    total = MARKET[0].tick_volume
    line: Line = [total]
    for before, now in pairwise(MARKET):
        total += now.tick_volume * ((now.close > before.close) - (now.close < before.close))
        line.append(total)
    return line, with_(line, ema(line, 14), lambda a, b: a - b)


def expected_ursi() -> tuple[Line, ...]:
    lowest, highest = rolled(CLOSES, 14, min), rolled(CLOSES, 14, max)
    diffs: Line = [None] * 14
    for at in range(14, len(CLOSES)):
        up, down = highest[at], lowest[at]
        assert up is not None
        assert down is not None
        if up > (highest[at - 1] or 0.0):
            diffs.append(up - down)
        elif down < (lowest[at - 1] or 0.0):
            diffs.append(down - up)
        else:
            diffs.append((CLOSES[at] or 0.0) - (CLOSES[at - 1] or 0.0))
    sizes = [None if one is None else abs(one) for one in diffs]
    line = with_(rma(diffs, 14), rma(sizes, 14), lambda a, b: 50 + 50 * a / b)
    return line, rma(line, 14)


def agree(got: Sequence[object], expected: Sequence[object], first: int = 0) -> None:
    assert len(got) == len(expected)
    for at in range(first, len(expected)):
        one, other = got[at], expected[at]
        if isinstance(other, float):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-9 * max(1.0, abs(other))), at
        else:
            assert one == other, at


@pytest.mark.parametrize(
    ("key", "parameters", "expected"),
    [
        ("ema", {}, expected_ema),
        ("sma", {}, expected_sma),
        ("rma", {}, expected_rma),
        ("atr", {}, expected_atr),
        ("rsi", {}, expected_rsi),
        ("bb", {}, expected_bb),
        ("keltner", {}, expected_keltner),
        ("macd", {}, expected_macd),
        (
            "stochrsi",
            {"rsi_period": 14, "stochrsi_period": 14, "k_smooth": 3, "d_smooth": 3},
            expected_stochrsi,
        ),
        ("stoch", {}, expected_stoch),
        ("ichimoku", {}, expected_ichimoku),
        ("aroon", {}, expected_aroon),
        ("obv", {}, expected_obv),
        ("ursi", {}, expected_ursi),
    ],
)
def test_a_streamed_indicator_is_the_table_s_definition_from_the_first_value_on(
    key: str, parameters: dict[str, object], expected: Callable[[], tuple[Sequence[object], ...]]
) -> None:
    columns = list(zip(*table(key, MARKET, **parameters), strict=True))
    wanted = expected()
    assert len(columns) == len(wanted)
    for got, line in zip(columns, wanted, strict=True):
        assert any(value is not None for value in line)
        agree(got, line)


def test_adx_is_wilders_once_its_seed_is_gone() -> None:
    plus, minus = [None], [None]
    for before, now in pairwise(MARKET):
        up, down = now.high - before.high, before.low - now.low
        plus.append(up if up > down and up > 0 else 0.0)  # type: ignore[arg-type]
        minus.append(down if down > up and down > 0 else 0.0)  # type: ignore[arg-type]
    reach = rma(true_ranges(MARKET), 14)
    plus_di = with_(rma(plus, 14), reach, lambda a, b: 100 * a / b)  # type: ignore[arg-type]
    minus_di = with_(rma(minus, 14), reach, lambda a, b: 100 * a / b)  # type: ignore[arg-type]
    dx = with_(plus_di, minus_di, lambda a, b: 100 * abs(a - b) / (a + b))
    got = list(zip(*table("adx", MARKET), strict=True))
    for line, expected in zip(got, (rma(dx, 14), plus_di, minus_di), strict=True):
        agree(line, expected, first=700)


def test_supertrend_trails_the_middle_by_its_atr_and_turns_on_a_close_beyond_it() -> None:
    ranges = rma(true_ranges(MARKET), 10)
    lines: list[object] = []
    words: list[object] = []
    upper = lower = None
    rising = True
    before = MARKET[0]
    for now, reach in zip(MARKET, ranges, strict=True):
        if reach is not None:
            middle = (now.high + now.low) / 2
            top, bottom = middle + 3 * reach, middle - 3 * reach
            if upper is not None and lower is not None:
                top = top if top < upper or before.close > upper else upper
                bottom = bottom if bottom > lower or before.close < lower else lower
                rising = now.close >= bottom if rising else now.close > top
            upper, lower = top, bottom
        lines.append(lower if rising else upper)
        words.append("bullish" if rising else "bearish")
        before = now
    got = list(zip(*table("supertrend", MARKET), strict=True))
    assert {"bullish", "bearish"} <= set(words[700:])
    agree(got[0], lines, first=700)
    agree(got[1], words, first=700)


def test_sar_is_wilders_parabola() -> None:
    line: list[float] = []
    rising, factor = True, 0.02
    extreme, stop = MARKET[1].high, MARKET[0].low
    for at in range(1, len(MARKET)):
        now, before = MARKET[at], MARKET[at - 1]
        reached = now.low <= stop if rising else now.high >= stop
        if reached:
            rising = not rising
            stop = extreme
            stop = (
                max(stop, before.high, now.high) if not rising else min(stop, before.low, now.low)
            )
            line.append(stop)
            factor, extreme = 0.02, now.high if rising else now.low
        else:
            line.append(stop)
            if (now.high > extreme) if rising else (now.low < extreme):
                extreme = now.high if rising else now.low
                factor = min(0.2, factor + 0.02)
        stop += factor * (extreme - stop)
        stop = min(stop, before.low, now.low) if rising else max(stop, before.high, now.high)
    got = [one[0] for one in table("sar", MARKET, acceleration=0.02, max_acceleration=0.2)]
    agree(got[1:], line, first=700)


@pytest.mark.parametrize(
    ("source", "price"),
    [
        ("open", lambda one: one.open),
        ("high", lambda one: one.high),
        ("low", lambda one: one.low),
        ("hl2", lambda one: (one.high + one.low) / 2),
        ("hlc3", lambda one: (one.high + one.low + one.close) / 3),
        ("ohlc4", lambda one: (one.open + one.high + one.low + one.close) / 4),
    ],
)
def test_ursi_reads_the_price_it_is_told_to(source: str, price: Callable[[Candle], float]) -> None:
    as_close = [
        candle(at, value, value, value, value)
        for at, value in enumerate(price(one) for one in MARKET[:100])
    ]
    assert table("ursi", MARKET[:100], src=source) == table("ursi", as_close)


@pytest.mark.parametrize("price", [1.1, 40000.3, 0.00001])
def test_a_price_that_never_moves_has_no_place_in_a_channel_and_no_momentum(price: float) -> None:
    still = flat(150, price)
    smooth = {"rsi_period": 14, "stochrsi_period": 14, "k_smooth": 3, "d_smooth": 3}
    for key, parameters, undefined in (
        ("bb", {}, (3,)),
        ("keltner", {}, (3,)),
        ("rsi", {}, (0, 1)),
        ("stochrsi", smooth, (0, 1)),
        ("stoch", {}, (0, 1)),
        ("ursi", {}, (0, 1)),
    ):
        last = table(key, still, **parameters)[-1]
        assert [at for at, value in enumerate(last) if value is None] == list(undefined), key


def test_a_market_that_falls_silent_keeps_its_rsi_rather_than_being_oversold() -> None:
    moved = walk(60)
    price = moved[-1].close
    silent = [candle(at, price, price, price, price) for at in range(60, 1000)]
    values = table("rsi", [*moved, *silent])
    assert values[-1] == pytest.approx((values[59][0], values[59][0]))


def test_an_unbroken_fall_is_an_rsi_of_zero_not_a_silent_market() -> None:
    falling = [candle(at, *(2.0 - at / 1000,) * 4) for at in range(40)]
    assert table("rsi", falling)[-1] == (0.0, 0.0)


def test_a_stochastic_returns_with_the_first_movement() -> None:
    still = flat(30, 1.1)
    moved = candle(30, 1.1, 1.2, 1.1, 1.15)
    again = flat(40, 1.15)[31:]
    values = table("stoch", [*still, moved, *again])
    assert values[29] == (None, None)
    assert values[30][0] == pytest.approx(50 / 3)


def test_a_stochastic_rsi_starts_its_smoothing_anew_after_a_window_without_range() -> None:
    falling = [candle(at, *(2.0 - at / 1000,) * 4) for at in range(40)]
    rising = [candle(at, *(2.0 + at / 1000,) * 4) for at in range(40, 60)]
    smooth = {"rsi_period": 5, "stochrsi_period": 5, "k_smooth": 2, "d_smooth": 2}
    values = table("stochrsi", [*falling, *rising], **smooth)
    assert values[39] == (None, None)  # an RSI of zero throughout has no range
    assert values[40] == (None, None)
    assert values[41][0] is not None
    assert values[41][1] is None
    assert values[42][1] is not None
