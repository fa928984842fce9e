"""What every data source promises. To hold another to it, add its maker to `MAKERS`.

All makers are given the same recorded market, five days with a weekend, and must give it back.
"""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from app.adapters.history_files import FileFeed
from app.adapters.mt5.client import BridgeClient
from app.adapters.mt5.server_clock import ServerClock
from app.adapters.mt5.source import BridgeSource
from app.adapters.replay import BarFeed, ReplaySource
from app.adapters.simulated_market import SimulatedMarket
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from app.domain.market import Candle, Timeframe
from app.ports import DataSource
from tests.bridge import Bridge, start_bridge

SYMBOL = "EURUSD"
M1, M5, M15, H1 = TIMEFRAMES = tuple(Timeframe(name) for name in ("M1", "M5", "M15", "H1"))
FIRST = datetime(2025, 1, 9, tzinfo=UTC)
START = datetime(2025, 1, 10, 6, 30, tzinfo=UTC)
END = datetime(2025, 1, 14, tzinfo=UTC)
FRIDAYS_END = datetime(2025, 1, 10, 22, 0, tzinfo=UTC)
SUNDAYS_START = datetime(2025, 1, 12, 22, 0, tzinfo=UTC)


def market() -> pd.DataFrame:
    """Return the recorded market as a frame, opening times aware UTC in `time`."""
    bars = SimulatedMarket(SYMBOL, 7).bars(int(FIRST.timestamp()), int(END.timestamp()))
    time = pd.to_datetime(bars.time, unit="s", utc=True)
    names = ("open", "high", "low", "close", "volume", "spread")
    return pd.DataFrame({"time": time, **dict(zip(names, bars.columns(), strict=True))})


def replay(name: str, feed: BarFeed, server: str = "UTC") -> ReplaySource:
    timeframes = {SYMBOL: TIMEFRAMES}
    return ReplaySource(name, {SYMBOL: feed}, timeframes, ServerTime(server), start=START)


def simulated(folder: Path) -> DataSource:
    return replay("simulated market", SimulatedMarket(SYMBOL, 7, START))


def csv(folder: Path) -> DataSource:
    path = folder / "bars.csv"
    market().to_csv(path, index=False)
    return replay("CSV file", FileFeed(SYMBOL, path, ServerTime("UTC")))


def metatrader_export(folder: Path) -> DataSource:
    path, server = folder / "export.csv", ServerTime("NY+7")
    bars = market()
    wall = [server.wall(time) for time in bars.pop("time")]
    bars.insert(0, "<DATE>", [f"{time:%Y.%m.%d}" for time in wall])
    bars.insert(1, "<TIME>", [f"{time:%H:%M:%S}" for time in wall])
    bars.insert(7, "<VOL>", 0)
    bars = bars.rename(columns={"volume": "<TICKVOL>"}).rename(
        columns=lambda name: name if name.startswith("<") else f"<{name.upper()}>"
    )
    bars.to_csv(path, index=False, sep="\t")
    return replay("MetaTrader export", FileFeed(SYMBOL, path, server), "NY+7")


def parquet(folder: Path) -> DataSource:
    path = folder / "bars.parquet"
    market().to_parquet(path)
    return replay("Parquet file", FileFeed(SYMBOL, path, ServerTime("UTC")))


class Bridged(BridgeSource):
    """A source over a bridge that ends with it."""

    def __init__(self, bridge: Bridge) -> None:
        server = ServerTime("NY+7")
        self.client = BridgeClient(
            bridge.url, timeout=10, retry_attempts=0, clock=ServerClock(server)
        )
        super().__init__(self.client, [SYMBOL], server, lambda: END)
        self._bridge = bridge

    def end(self) -> None:
        self.client.close()
        self._bridge.stop()


def bridge(folder: Path) -> DataSource:
    path = folder / "bars.csv"
    market().to_csv(path, index=False)
    end = f"{END - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    started = start_bridge("--faults", "--symbols", SYMBOL, "--file", path)
    started.step(to=end)
    return Bridged(started)


MAKERS: tuple[Callable[[Path], DataSource], ...] = (
    simulated,
    csv,
    metatrader_export,
    parquet,
    bridge,
)


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DataSource]:
    made: DataSource = request.param(tmp_path)
    made.open()
    yield made
    made.close()
    if isinstance(made, Bridged):
        made.end()


@pytest.fixture(scope="module")
def recorded() -> list[Candle]:
    """Return the minutes of the recorded market."""
    return [
        Candle(SYMBOL, M1, bar.time.to_pydatetime(), bar.time.to_pydatetime() + M1.delta, *bar[2:])
        for bar in market().itertuples()
    ]


def made_of(minutes: list[Candle], timeframe: Timeframe) -> list[Candle]:
    """Return the larger candles that minutes make up, a minute at a time."""
    made: list[Candle] = []
    for m in minutes:
        opened = m.time - (m.time - FIRST) % timeframe.delta
        last = made.pop() if made and made[-1].time == opened else m
        made.append(
            Candle(
                symbol=SYMBOL,
                timeframe=timeframe,
                time=opened,
                close_time=opened + timeframe.delta,
                open=last.open,
                high=max(last.high, m.high),
                low=min(last.low, m.low),
                close=m.close,
                tick_volume=m.tick_volume + (last.tick_volume if last is not m else 0),
                spread=max(last.spread, m.spread),
            )
        )
    return made


def closed(candles: list[Candle], now: datetime) -> list[Candle]:
    return [candle for candle in candles if candle.close_time <= now]


def test_it_says_what_it_is(source: DataSource) -> None:
    assert source.name


@pytest.mark.parametrize("timeframe", TIMEFRAMES, ids=lambda t: t.title_name)
def test_it_gives_back_the_market_recorded(
    source: DataSource, recorded: list[Candle], timeframe: Timeframe
) -> None:
    now = END - timedelta(minutes=7)
    given = source.after(SYMBOL, timeframe, FIRST - timedelta(seconds=1), now)
    assert list(given) == closed(made_of(recorded, timeframe), now)


@pytest.mark.parametrize("timeframe", TIMEFRAMES, ids=lambda t: t.title_name)
def test_a_candle_is_given_when_it_has_closed_and_not_before(
    source: DataSource, timeframe: Timeframe
) -> None:
    """Proves X5: open time + timeframe is at or before the market's clock."""
    closes = START + timedelta(minutes=90)
    before = source.latest(SYMBOL, timeframe, 1, closes - timedelta(microseconds=1))
    at = source.latest(SYMBOL, timeframe, 1, closes)
    assert before[0].close_time == closes - timeframe.delta
    assert at[0].close_time == closes


def test_latest_gives_the_newest_closed_oldest_first_without_duplicates(
    source: DataSource, recorded: list[Candle]
) -> None:
    for now in (START, START + timedelta(seconds=61), FRIDAYS_END, END - timedelta(minutes=1)):
        for timeframe in TIMEFRAMES:
            expected = closed(made_of(recorded, timeframe), now)
            for count in (1, 3, 20):
                assert list(source.latest(SYMBOL, timeframe, count, now)) == expected[-count:]


def test_latest_reaches_back_before_the_start(source: DataSource, recorded: list[Candle]) -> None:
    history = closed(recorded, START)
    assert list(source.latest(SYMBOL, M1, 1500, START)) == history[-1500:]


def test_none_are_given_when_none_are_asked_for(source: DataSource) -> None:
    assert list(source.latest(SYMBOL, M1, 0, START)) == []
    newest = source.latest(SYMBOL, M1, 1, START)[-1]
    assert list(source.after(SYMBOL, M1, newest.time, START)) == []


def test_after_gives_all_that_opened_later_and_closed(
    source: DataSource, recorded: list[Candle]
) -> None:
    now = SUNDAYS_START + timedelta(minutes=125)
    for last in (FIRST + timedelta(hours=3), FRIDAYS_END - timedelta(minutes=30), now):
        for timeframe in TIMEFRAMES:
            expected = [c for c in closed(made_of(recorded, timeframe), now) if c.time > last]
            assert list(source.after(SYMBOL, timeframe, last, now)) == expected


def test_nothing_closes_over_the_weekend(source: DataSource) -> None:
    saturday = FRIDAYS_END + timedelta(hours=14)
    assert source.latest(SYMBOL, M5, 1, saturday)[0].close_time == FRIDAYS_END
    newest = source.latest(SYMBOL, M5, 2, SUNDAYS_START + timedelta(minutes=5))
    assert [candle.close_time for candle in newest] == [
        FRIDAYS_END,
        SUNDAYS_START + timedelta(minutes=5),
    ]


def test_step_by_step_gives_the_same_as_at_once(source: DataSource) -> None:
    """Proves I19 at the source: each candle once, in increasing time."""
    step = 1800 if isinstance(source, Bridged) else 150
    for timeframe in (M1, M5):
        seen: list[Candle] = []
        now = FRIDAYS_END - timedelta(hours=6)
        since = source.latest(SYMBOL, timeframe, 1, now)[-1].time
        while now < SUNDAYS_START + timedelta(hours=6):
            now += timedelta(seconds=step if now.weekday() != 5 else 14_400)
            seen.extend(c for c in source.latest(SYMBOL, timeframe, 60, now) if c not in seen[-60:])
        assert seen[-1].close_time == now
        steps = [c for c in seen if c.time > since]
        assert steps == list(source.after(SYMBOL, timeframe, since, now))


def test_going_back_in_time_shows_the_market_as_it_was(source: DataSource) -> None:
    for timeframe in TIMEFRAMES:
        then = list(source.latest(SYMBOL, timeframe, 30, START))
        source.latest(SYMBOL, timeframe, 30, END - timedelta(hours=1))
        assert list(source.latest(SYMBOL, timeframe, 30, START)) == then


def test_every_value_is_one_that_can_be_traded_on(source: DataSource) -> None:
    for timeframe in TIMEFRAMES:
        for candle in source.latest(SYMBOL, timeframe, 100, END - timedelta(hours=1)):
            assert candle.symbol == SYMBOL
            assert candle.timeframe == timeframe
            assert candle.time.tzinfo is candle.close_time.tzinfo is UTC
            assert 0 < candle.low <= min(candle.open, candle.close)
            assert max(candle.open, candle.close) <= candle.high < math.inf
            assert 0 <= candle.tick_volume < math.inf
            assert 0 <= candle.spread < math.inf


def test_what_it_does_not_have_is_an_error_and_no_empty_answer(source: DataSource) -> None:
    with pytest.raises(SourceError, match="NOSUCH"):
        source.latest("NOSUCH", M1, 3, START)
    with pytest.raises(SourceError, match="NOSUCH"):
        source.after("NOSUCH", M1, START - M1.delta, START)


def test_it_can_be_closed_twice_and_opened_again(source: DataSource) -> None:
    before = list(source.latest(SYMBOL, M1, 3, START))
    source.close()
    source.close()
    source.open()
    assert list(source.latest(SYMBOL, M1, 3, START)) == before
