"""Each closed candle is announced once, in order, whatever the source does."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.journal.memory import MemoryJournal
from app.bus import EventBus
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError
from app.domain.market import Candle, Timeframe
from app.events import (
    CycleStartedEvent,
    DataFetchedEvent,
    DataFetchFailedEvent,
    Event,
    NewCandleEvent,
)
from app.ports import Ask
from app.services.data_fetching import DataFetchingService

M1, M5, M15, H4, D1 = (Timeframe(name) for name in ("M1", "M5", "M15", "H4", "D1"))
UTC_SERVER = ServerTime("UTC")
MONDAY = datetime(2025, 1, 6, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FOREVER = timedelta(days=365)


def at(minutes: float, *, after: datetime = MONDAY) -> datetime:
    return after + timedelta(minutes=minutes)


class Market:
    """A source of whatever candles its traded minutes make up; it fails and lags on request."""

    name = "market"

    def __init__(
        self,
        minutes: Iterable[datetime],
        timeframes: Sequence[Timeframe] = (M1,),
        *,
        symbols: Sequence[str] = ("EURUSD",),
        server_time: ServerTime = UTC_SERVER,
    ) -> None:
        self.candles: dict[tuple[str, Timeframe], list[Candle]] = {}
        self.failing: set[Timeframe] = set()
        self.failures_left = 0
        """How many of the next questions fail, whatever they are about."""
        self.lagging: set[Timeframe] = set()
        """Timeframes whose newest candle is not there yet."""
        self.asked: list[tuple[str, str, int | datetime]] = []
        minutes = list(minutes)
        for symbol in symbols:
            for timeframe in timeframes:
                opens = dict.fromkeys(server_time.candle_open(timeframe, t) for t in minutes)
                self.candles[symbol, timeframe] = [
                    Candle(symbol, timeframe, o, server_time.candle_close(timeframe, o), *prices)
                    for o in opens
                    for prices in [(1.0, 1.2, 0.9, 1.1)]
                ]

    def expect(self, asks: Sequence[Ask]) -> None:
        self.expected = asks

    def latest(
        self, symbol: str, timeframe: Timeframe, count: int, now: datetime
    ) -> Sequence[Candle]:
        self.asked.append(("latest", timeframe.title_name, count))
        return self._closed(symbol, timeframe, now)[-count:]

    def after(
        self, symbol: str, timeframe: Timeframe, last: datetime, now: datetime
    ) -> Sequence[Candle]:
        self.asked.append(("after", timeframe.title_name, last))
        return [c for c in self._closed(symbol, timeframe, now) if c.time > last]

    def open(self) -> None: ...

    def close(self) -> None: ...

    def _closed(self, symbol: str, timeframe: Timeframe, now: datetime) -> list[Candle]:
        self.failures_left -= 1
        if timeframe in self.failing or self.failures_left >= 0:
            raise SourceError("connection reset")
        closed = [c for c in self.candles[symbol, timeframe] if c.close_time <= now]
        return closed[:-1] if timeframe in self.lagging else closed


class Desk:
    """The service on a real bus, with what it said."""

    def __init__(
        self,
        market: Market,
        *,
        start: datetime = MONDAY,
        journal: MemoryJournal | None = None,
        server_time: ServerTime = UTC_SERVER,
        nbr_bars: int = 3,
        candle_index: int = 1,
        hold_back: timedelta = timedelta(seconds=10),
        max_failures: int = 3,
    ) -> None:
        self.bus = EventBus()
        self.events: list[Event] = []
        self.bus.subscribe(Event, self.events.append)
        self.journal = journal or MemoryJournal()
        series: dict[str, list[Timeframe]] = {}
        for symbol, timeframe in market.candles:
            series.setdefault(symbol, []).append(timeframe)
        self.service = DataFetchingService(
            self.bus,
            market,
            self.journal,
            series,
            server_time,
            nbr_bars=nbr_bars,
            candle_index=candle_index,
            hold_back=hold_back,
            max_failures=max_failures,
        )
        self.bus.subscribe(CycleStartedEvent, self.service.on_cycle)
        self.service.start(start)

    def cycle(self, now: datetime) -> list[str]:
        """Run one cycle; return the candles it announced, named by timeframe and closing time."""
        before = len(self.events)
        self.bus.publish(CycleStartedEvent(cycle=1, time=now))
        return [
            said(event.candle)
            for event in self.events[before:]
            if isinstance(event, NewCandleEvent)
        ]

    def candles(self) -> list[NewCandleEvent]:
        return [event for event in self.events if isinstance(event, NewCandleEvent)]


def said(candle: Candle) -> str:
    return f"{candle.timeframe.title_name} {candle.close_time:%H:%M}"


def traded(minutes: int, *, since: datetime = MONDAY) -> list[datetime]:
    return [at(minute, after=since) for minute in range(-60, minutes)]


# What is announced


def test_a_closed_candle_is_announced_once() -> None:
    """E2, X5, X11."""
    market = Market(traded(3))
    desk = Desk(market)
    assert desk.cycle(at(0.5)) == []
    assert desk.cycle(at(1)) == ["M1 10:01"]
    assert desk.cycle(at(1.5)) == []
    (event,) = desk.candles()
    assert (event.symbol, event.timeframe, event.late) == ("EURUSD", M1, False)
    assert event.candle is market.candles["EURUSD", M1][60]


def test_a_forming_candle_is_never_announced() -> None:
    """X5: closed means open + timeframe <= the market's clock."""
    desk = Desk(Market(traded(3)))
    assert desk.cycle(at(1) - timedelta(microseconds=1)) == []
    assert desk.cycle(at(1)) == ["M1 10:01"]


def test_the_first_start_begins_with_what_closes_next() -> None:
    desk = Desk(Market(traded(20), (M1, M15)), start=at(7.5))
    assert desk.cycle(at(7.5)) == []
    assert desk.cycle(at(8)) == ["M1 10:08"]
    assert desk.cycle(at(9)) == ["M1 10:09"]
    assert [c for minute in range(10, 16) for c in desk.cycle(at(minute))][-2:] == [
        "M15 10:15",
        "M1 10:15",
    ]


def test_a_clock_behind_the_last_candle_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A candle is never evaluated twice. Red when nothing says why none comes."""
    market = Market(traded(9))
    journal = Desk(market, start=at(5)).journal
    desk = Desk(market, start=at(1), journal=journal)
    assert [desk.cycle(at(minute)) for minute in (2, 3, 4, 5, 6)] == [[], [], [], [], ["M1 10:06"]]
    (record,) = caplog.records
    assert "a candle that opened 2025-01-06 10:04 UTC was seen before" in record.getMessage()


@pytest.mark.parametrize("index", [1, 2, 3])
def test_candle_index_sees_the_market_later(index: int) -> None:
    """C4: 1 is the most recent closed candle, 2 the one before it."""
    desk = Desk(Market(traded(10)), candle_index=index)
    announced = [desk.cycle(at(minute)) for minute in range(3, 7)]
    assert [names[-1] for names in announced] == [
        f"M1 10:0{minute - (index - 1)}" for minute in range(3, 7)
    ]


@pytest.mark.parametrize("index", [1, 2])
def test_candle_index_keeps_timeframes_together(index: int) -> None:
    """C4: a slow candle is announced just before the fast one that closed with it."""
    desk = Desk(Market(traded(40), (M1, M15)), candle_index=index)
    names = [name for minute in range(5, 40) for name in desk.cycle(at(minute))]
    assert names[names.index("M15 10:15") + 1] == "M1 10:15"


@pytest.mark.parametrize("nbr_bars", [3, 5])
def test_so_many_bars_are_asked_for(nbr_bars: int) -> None:
    """C5."""
    market = Market(traded(3))
    desk = Desk(market, nbr_bars=nbr_bars)
    desk.cycle(at(2))
    assert market.asked == [("latest", "M1", nbr_bars)]
    fetched = [event for event in desk.events if isinstance(event, DataFetchedEvent)]
    assert fetched == [DataFetchedEvent(symbol="EURUSD", timeframe=M1, bars=nbr_bars, newest=at(1))]


def test_a_fetch_is_said_before_its_candles(caplog: pytest.LogCaptureFixture) -> None:
    """E1, E2, L31, L32."""
    caplog.set_level(logging.INFO)
    desk = Desk(Market(traded(3)))
    desk.cycle(at(1))
    assert [type(event) for event in desk.events] == [
        CycleStartedEvent,
        DataFetchedEvent,
        NewCandleEvent,
    ]
    assert [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)] == [
        "Fetched data for EURUSD 1: 3 bars",
        "New candle detected for EURUSD 1",
        "EURUSD M1 2025-01-06 10:00: open 1.0, high 1.2, low 0.9, close 1.1",
    ]


def test_an_empty_answer_is_no_failure() -> None:
    market = Market([])
    desk = Desk(market)
    assert desk.cycle(at(1)) == []
    assert desk.service.health().healthy
    (fetched,) = (event for event in desk.events if isinstance(event, DataFetchedEvent))
    assert (fetched.bars, fetched.newest) == (0, None)


def test_the_service_counts_what_it_did() -> None:
    """A4, P14."""
    market = Market(traded(10))
    desk = Desk(market)
    for minute in (1, 2, 5):
        desk.cycle(at(minute))
    market.failing.add(M1)
    desk.cycle(at(6))
    assert desk.service.metrics() == {
        "data_fetches": 3,
        "failed_fetches": 1,
        "failed_cycles_in_a_row": 1,
        "new_candles": 5,
        "late_candles": 2,
        "held_back": 0,
    }


# Several timeframes and symbols


def test_at_the_same_instant_the_slowest_timeframe_comes_first() -> None:
    desk = Desk(Market(traded(20), (M1, M15, M5)), start=at(14))
    assert desk.cycle(at(15)) == ["M15 10:15", "M5 10:15", "M1 10:15"]


def test_what_was_missed_is_announced_by_closing_time_then_slowest_first() -> None:
    desk = Desk(Market(traded(20), (M1, M5)), start=at(3))
    assert desk.cycle(at(6)) == ["M1 10:04", "M5 10:05", "M1 10:05", "M1 10:06"]


def test_a_slow_timeframe_is_asked_only_when_its_next_candle_can_have_closed() -> None:
    """X6: a rate-limited bridge is not asked for the same daily candle every few seconds."""
    market = Market(traded(60), (M1, M15))
    desk = Desk(market, start=at(7))
    for minute in range(7, 31):
        desk.cycle(at(minute))
    asked = [timeframe for _, timeframe, _ in market.asked]
    assert asked.count("M1") == 24
    assert asked.count("M15") == 3, "when it started, at 10:15 and at 10:30"


def test_a_slow_timeframe_is_not_asked_every_cycle_whatever_the_candle_index(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C4: with 2, the candles of 10:15 are taken at 10:16, M15 and M1 alike."""
    market = Market(traded(60), (M1, M15))
    desk = Desk(market, start=at(7), candle_index=2)
    announced = [c for minute in range(7, 46) for c in desk.cycle(at(minute))]
    assert [c for c in announced if c.startswith("M15")] == ["M15 10:15", "M15 10:30"]
    assert announced.index("M15 10:15") == announced.index("M1 10:15") - 1
    assert [timeframe for _, timeframe, _ in market.asked].count("M15") == 3
    assert desk.service.metrics()["held_back"] == 0
    assert not caplog.records


def test_each_symbol_has_its_own_candles() -> None:
    market = Market(traded(20), (M1, M5), symbols=("EURUSD", "GBPUSD"))
    desk = Desk(market, start=at(4))
    desk.cycle(at(5))
    assert [(event.symbol, event.timeframe) for event in desk.candles()] == [
        ("EURUSD", M5),
        ("GBPUSD", M5),
        ("EURUSD", M1),
        ("GBPUSD", M1),
    ]


def test_a_candle_cut_short_by_the_clock_change_is_not_missed() -> None:
    """H4 of the night the clocks go forward closes an hour early, and M1 comes after it."""
    athens = ServerTime("Europe/Athens")
    change = datetime(2025, 3, 30, 1, 0, tzinfo=UTC)
    minutes = [at(minute, after=change) for minute in range(-600, 300)]
    desk = Desk(
        Market(minutes, (M1, H4), server_time=athens),
        start=at(-181, after=change),
        server_time=athens,
    )
    announced = [desk.cycle(at(minute, after=change)) for minute in range(-180, 125)]
    assert [names for names in announced if len(names) > 1] == [
        ["H4 22:00", "M1 22:00"],
        ["H4 01:00", "M1 01:00"],
    ]


# Gaps and late candles


def test_a_gap_wider_than_nbr_bars_is_fetched_until_it_is_closed() -> None:
    """C5."""
    market = Market(traded(20))
    desk = Desk(market, nbr_bars=3)
    assert desk.cycle(at(10)) == [f"M1 10:{minute:02}" for minute in range(1, 11)]
    assert market.asked[-1] == ("after", "M1", at(-1))


def test_a_gap_that_nbr_bars_cover_is_not_asked_for_again() -> None:
    market = Market(traded(20))
    desk = Desk(market, nbr_bars=3)
    desk.cycle(at(1))
    assert desk.cycle(at(3)) == ["M1 10:02", "M1 10:03"]
    assert [kind for kind, _, _ in market.asked] == ["latest", "latest"]


def test_a_candle_is_late_once_the_next_one_has_closed() -> None:
    desk = Desk(Market(traded(20)))
    desk.cycle(at(3.99))
    assert [event.late for event in desk.candles()] == [True, True, False]
    desk.cycle(at(5))
    assert [event.late for event in desk.candles()[3:]] == [True, False]


def test_a_slow_candle_is_not_late_when_fast_ones_are() -> None:
    desk = Desk(Market(traded(20), (M1, M5)), start=at(4))
    desk.cycle(at(8))
    late = {said(event.candle): event.late for event in desk.candles()}
    assert late == {
        "M5 10:05": False,
        "M1 10:05": True,
        "M1 10:06": True,
        "M1 10:07": True,
        "M1 10:08": False,
    }


# Failures


def test_a_failure_is_logged_and_published(caplog: pytest.LogCaptureFixture) -> None:
    """P27."""
    market = Market(traded(3), (M1, M5))
    market.failing.add(M5)
    desk = Desk(market)
    desk.cycle(at(1))
    desk.cycle(at(2))
    failures = [event for event in desk.events if isinstance(event, DataFetchFailedEvent)]
    assert failures == [
        DataFetchFailedEvent(
            symbol="EURUSD", timeframe=M5, error="connection reset", consecutive=number
        )
        for number in (1, 2)
    ]
    errors = [r.msg["event"] for r in caplog.records if isinstance(r.msg, dict)]
    assert errors.count("Fetching EURUSD 5 failed: connection reset") == 2


def test_a_failing_timeframe_does_not_stop_the_others() -> None:
    market = Market(traded(30), (M1, M15), symbols=("EURUSD", "GBPUSD"))
    desk = Desk(market, start=at(0))
    desk.cycle(at(1))
    market.failing.add(M15)
    assert desk.cycle(at(2)) == ["M1 10:02", "M1 10:02"]


def test_many_failed_cycles_in_a_row_are_unhealthy_and_one_good_cycle_is_healthy() -> None:
    """P27."""
    market = Market(traded(10))
    desk = Desk(market, max_failures=3)
    market.failing.add(M1)
    for minute in (1, 2):
        desk.cycle(at(minute))
    assert desk.service.health().healthy
    desk.cycle(at(3))
    health = desk.service.health()
    assert not health.healthy
    assert health.reason == "3 failed cycles in a row: connection reset"
    market.failing.clear()
    assert desk.cycle(at(4)) == [f"M1 10:0{minute}" for minute in (1, 2, 3, 4)]
    assert desk.service.health().healthy


def test_a_gap_whose_second_question_fails_is_closed_by_the_next_cycle() -> None:
    market = Market(traded(20))

    class SecondFails(Market):
        def after(
            self, symbol: str, timeframe: Timeframe, last: datetime, now: datetime
        ) -> Sequence[Candle]:
            if now < at(11):
                raise SourceError("connection reset")
            return super().after(symbol, timeframe, last, now)

    market = SecondFails(traded(20))
    desk = Desk(market)
    assert desk.cycle(at(10)) == []
    assert len(desk.cycle(at(11))) == 11


class Holed(Market):
    """A source that lists what is newest and cannot tell what was before: it gives `told`."""

    told: Sequence[Candle] | None = ()

    def after(
        self, symbol: str, timeframe: Timeframe, last: datetime, now: datetime
    ) -> Sequence[Candle]:
        genuine = super().after(symbol, timeframe, last, now)
        if self.told is None:
            raise SourceError("no such call")
        return [candle for candle in self.told if candle in genuine]


@pytest.mark.parametrize("told", ["nothing", "the oldest", "an error"])
def test_a_gap_that_cannot_be_filled_is_no_fetch(told: str) -> None:
    """Said and counted. Red without `_since`: no candle comes any more, and all is well."""
    market = Holed(traded(20))
    oldest = market.candles["EURUSD", M1][:4]
    market.told = {"nothing": [], "the oldest": oldest, "an error": None}[told]
    desk = Desk(market, max_failures=3)
    for failures in (1, 2):
        assert desk.cycle(at(10)) == []
        assert desk.service.metrics()["failed_cycles_in_a_row"] == failures
        assert len([it for it in desk.events if isinstance(it, DataFetchFailedEvent)]) == failures
    market.told = market.candles["EURUSD", M1]
    assert desk.cycle(at(10)) == [f"M1 10:{minute:02}" for minute in range(1, 11)]
    assert desk.service.health().healthy


def test_after_so_many_failures_a_gap_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Red without the count: it stays blind for ever. Unhealthy for once, then it goes on."""
    market = Holed(traded(40))
    desk = Desk(market, max_failures=3)
    assert [desk.cycle(at(10 + tenths / 10)) for tenths in (0, 1)] == [[], []]
    assert desk.service.health().healthy
    with caplog.at_level(logging.WARNING):
        assert desk.cycle(at(10.2)) == ["M1 10:08", "M1 10:09", "M1 10:10"]
    assert (
        "candles after 2025-01-06 09:59:00+00:00 and before 2025-01-06 10:07:00+00:00 are lost"
        in (caplog.text)
    )
    assert not desk.service.health().healthy
    assert desk.service.metrics()["failed_fetches"] == 3
    assert desk.cycle(at(11)) == ["M1 10:11"]
    assert desk.service.health().healthy
    assert [desk.cycle(at(30 + tenths / 10)) for tenths in (0, 1)] == [[], []], "each gap anew"
    assert desk.cycle(at(30.2)) == ["M1 10:28", "M1 10:29", "M1 10:30"]


def test_a_broken_source_costs_the_candles_of_no_other_series() -> None:
    """P12: what one series gave before another raised is announced in the next cycle."""
    market = Market(traded(10), (M1, M5))
    desk = Desk(market, start=at(4))
    genuine = market.candles["EURUSD", M1]
    market.candles["EURUSD", M1] = [None]  # type: ignore[list-item]
    assert desk.cycle(at(5)) == []
    market.candles["EURUSD", M1] = genuine
    assert desk.cycle(at(5.1)) == ["M5 10:05", "M1 10:05"]


def test_a_journal_that_cannot_remember_loses_and_repeats_no_candle() -> None:
    """X11: an unremembered candle is not announced; it is tried again in the next cycle."""

    class FullDisk(MemoryJournal):
        full = False

        def candle_announced(self, symbol: str, timeframe: Timeframe, opened: datetime) -> None:
            if self.full and timeframe is M1 and opened >= at(4):
                raise OSError("disk full")
            super().candle_announced(symbol, timeframe, opened)

    journal = FullDisk()
    desk = Desk(Market(traded(10), (M1, M5)), start=at(3), journal=journal)
    journal.full = True
    assert desk.cycle(at(6)) == ["M1 10:04", "M5 10:05"]
    assert desk.service.metrics()["held_back"] == 2
    journal.full = False
    assert desk.cycle(at(6.1)) == ["M1 10:05", "M1 10:06"]


# Holding back


def test_a_fast_candle_waits_for_the_slower_one_that_closed_with_it() -> None:
    market = Market(traded(20), (M1, M5), symbols=("EURUSD",))
    desk = Desk(market, start=at(4))
    desk.cycle(at(4))
    market.lagging.add(M5)
    assert desk.cycle(at(5)) == []
    assert desk.service.metrics()["held_back"] == 1
    market.lagging.clear()
    assert desk.cycle(at(5.1)) == ["M5 10:05", "M1 10:05"]
    assert not any(event.late for event in desk.candles())
    assert desk.service.metrics()["held_back"] == 0


@pytest.mark.parametrize("trouble", ["lagging", "failing"])
def test_a_fast_candle_waits_so_long_and_no_longer(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    market = Market(traded(20), (M1, M5))
    desk = Desk(market, start=at(4), hold_back=timedelta(seconds=10), max_failures=100)
    desk.cycle(at(4))
    getattr(market, trouble).add(M5)
    assert desk.cycle(at(5)) == []
    assert desk.cycle(at(5) + timedelta(seconds=9)) == []
    assert desk.cycle(at(5) + timedelta(seconds=10)) == ["M1 10:05"]
    assert desk.cycle(at(6)) == ["M1 10:06"], "who waited in vain does not wait again"
    warnings = [
        record.msg["event"]
        for record in caplog.records
        if record.levelno == logging.WARNING and isinstance(record.msg, dict)
    ]
    assert warnings == ["Candle of EURUSD 1 announced without waiting longer for M5"]
    getattr(market, trouble).clear()
    assert desk.cycle(at(6.5)) == ["M5 10:05"]
    market.lagging.add(M5)
    assert desk.cycle(at(10)) == ["M1 10:07", "M1 10:08", "M1 10:09"], "it is awaited again"


def test_later_candles_of_the_symbol_wait_too_and_other_symbols_do_not() -> None:
    market = Market(traded(20), (M1, M5), symbols=("EURUSD", "GBPUSD"))
    desk = Desk(market, start=at(4), hold_back=FOREVER)
    desk.cycle(at(4))
    euro = market.candles["EURUSD", M5]
    market.candles["EURUSD", M5] = [c for c in euro if c.close_time < at(5)]
    assert desk.cycle(at(5)) == ["M5 10:05", "M1 10:05"]
    assert {event.symbol for event in desk.candles()} == {"GBPUSD"}
    assert desk.cycle(at(6)) == ["M1 10:06"]
    market.candles["EURUSD", M5] = euro
    assert desk.cycle(at(6.1)) == ["M5 10:05", "M1 10:05", "M1 10:06"]


def test_a_slow_candle_waits_for_fast_ones_the_source_failed_to_give() -> None:
    """Otherwise the fast candles would meet a row from their future."""
    market = Market(traded(20), (M1, M5))
    desk = Desk(market, start=at(2), hold_back=FOREVER)
    desk.cycle(at(2))
    market.failing.add(M1)
    assert [desk.cycle(at(minute)) for minute in (3, 4, 5)] == [[], [], []]
    market.failing.clear()
    assert desk.cycle(at(5.1)) == ["M1 10:03", "M1 10:04", "M5 10:05", "M1 10:05"]


def test_a_slow_candle_does_not_wait_for_the_fast_one_that_comes_after_it() -> None:
    market = Market(traded(20), (M1, M5))
    desk = Desk(market, start=at(4), hold_back=FOREVER)
    desk.cycle(at(4))
    market.failing.add(M1)
    assert desk.cycle(at(5)) == ["M5 10:05"]
    market.failing.clear()
    assert desk.cycle(at(5.1)) == ["M1 10:05"]


def test_a_slow_timeframe_that_is_not_due_is_not_waited_for() -> None:
    market = Market(traded(20), (M1, M15))
    desk = Desk(market, start=at(0), hold_back=FOREVER)
    desk.cycle(at(0))
    market.failing.add(M15)
    assert desk.cycle(at(5)) == [f"M1 10:0{minute}" for minute in range(1, 6)]


def test_the_weekend_holds_nothing_back() -> None:
    """The last minute of the week closes with no slower candle, the first of the next neither."""
    friday = datetime(2025, 1, 10, 22, 0, tzinfo=UTC)
    sunday = datetime(2025, 1, 12, 22, 0, tzinfo=UTC)
    minutes = [at(m, after=friday) for m in range(-600, -1)]
    minutes += [at(m, after=sunday) for m in range(5, 60)]
    desk = Desk(Market(minutes, (M1, H4, D1)), start=at(-3, after=friday), hold_back=FOREVER)
    assert desk.cycle(at(-2, after=friday)) == ["M1 21:58"]
    assert desk.cycle(at(-1, after=friday)) == ["M1 21:59"]
    assert desk.cycle(at(0, after=friday)) == []
    assert desk.cycle(at(300, after=friday)) == ["D1 00:00", "H4 00:00"]
    assert desk.cycle(at(5, after=sunday)) == []
    assert desk.cycle(at(6, after=sunday)) == ["M1 22:06"]


def test_after_a_hole_the_slower_candle_is_awaited_when_the_fast_one_closes_with_it() -> None:
    minutes = [m for m in traded(20) if not at(2) <= m < at(14)]
    market = Market(minutes, (M1, M5))
    desk = Desk(market, start=at(1), hold_back=FOREVER)
    desk.cycle(at(2))
    assert desk.cycle(at(5)) == ["M5 10:05"]
    market.lagging.add(M5)
    assert desk.cycle(at(15)) == []
    market.lagging.clear()
    assert desk.cycle(at(15.1)) == ["M5 10:15", "M1 10:15"]


# Restarts


def test_a_restart_repeats_no_candle_and_loses_none() -> None:
    """X11."""
    market = Market(traded(20), (M1, M5))
    first = Desk(market)
    first.cycle(at(3))
    second = Desk(market, start=at(6.5), journal=first.journal)
    assert second.cycle(at(6.5)) == ["M1 10:04", "M5 10:05", "M1 10:05", "M1 10:06"]


def test_a_restart_before_the_first_candle_loses_none() -> None:
    """P27, X11: the source failed from the beginning until the service was replaced."""
    market = Market(traded(20), (M1, M5))
    first = Desk(market, start=at(0.5))
    market.failing = {M1, M5}
    first.cycle(at(5))
    market.failing = set()
    second = Desk(market, start=at(5.5), journal=first.journal)
    assert second.cycle(at(5.5)) == [
        *(f"M1 10:0{minute}" for minute in range(1, 5)),
        "M5 10:05",
        "M1 10:05",
    ]


def test_a_candle_held_back_when_the_service_is_replaced_is_fetched_again() -> None:
    """X11."""
    market = Market(traded(20), (M1, M5))
    first = Desk(market, start=at(4))
    market.lagging.add(M5)
    assert first.cycle(at(5)) == []
    market.lagging.clear()
    second = Desk(market, start=at(5.1), journal=first.journal)
    assert second.cycle(at(5.1)) == ["M5 10:05", "M1 10:05"]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sets(st.sampled_from([M1, M5, M15])),
        st.sets(st.sampled_from([M1, M5, M15])),
        st.booleans(),
    ),
    max_size=25,
)
"""Per cycle: half-minutes since the last, what fails, what lags, whether a restart comes first."""


@settings(max_examples=150)
@given(
    steps=STEPS,
    holes=st.just(set()) | st.sets(st.integers(0, 100)),
    nbr_bars=st.integers(1, 4),
    start=st.integers(0, 40),
)
def test_any_failures_and_restarts_announce_the_same_candles_in_the_same_order(
    steps: list[tuple[int, set[Timeframe], set[Timeframe], bool]],
    holes: set[int],
    nbr_bars: int,
    start: int,
) -> None:
    """X11, P13, P27: candles by closing time, slowest first, each once, none missing.

    Where minutes were not traded nothing lags: a fast candle after such a hole cannot know that a
    slow one before it is still to come.
    """
    minutes = [minute for minute in traded(110) if minute not in {at(hole) for hole in holes}]
    market = Market(minutes, (M1, M5, M15))
    began = at(start / 2)
    journal = MemoryJournal()
    desk = Desk(market, start=began, journal=journal, nbr_bars=nbr_bars, hold_back=FOREVER)
    announced: list[Candle] = []
    now = began

    def run_cycle() -> None:
        desk.events.clear()
        desk.cycle(now)
        announced.extend(event.candle for event in desk.candles())

    for pause, failing, lagging, restart in steps:
        now = min(now + pause * MINUTE / 2, at(105))
        if restart:
            desk = Desk(market, start=now, journal=journal, nbr_bars=nbr_bars, hold_back=FOREVER)
        market.failing, market.lagging = failing, set() if holes else lagging
        run_cycle()
    market.failing = market.lagging = set()
    now = at(105)
    run_cycle()
    expected = sorted(
        (
            candle
            for candles in market.candles.values()
            for candle in candles
            if began < candle.close_time <= now
        ),
        key=lambda candle: (candle.close_time, -candle.timeframe.minutes),
    )
    assert [said(candle) for candle in announced] == [said(candle) for candle in expected]
    for timeframe in (M1, M5, M15):
        last = [c.time for c in expected if c.timeframe is timeframe]
        if last:
            assert journal.last_candle("EURUSD", timeframe) == last[-1]
