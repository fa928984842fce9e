"""Candles at the edge of what a terminal shows: it hangs, its session ends, its history is flawed.

The daemon is the real one, in this process; the bridge another process, whose clock is stepped.
"""

from contextlib import closing
from datetime import timedelta

import pytest

from app.events import DataFetchFailedEvent, IndicatorsCalculatedEvent, NewCandleEvent
from tests.integration.conftest import MONDAY
from tests.live import ByTheServersClock

MINUTE = timedelta(minutes=1)
FRIDAYS_LAST = MONDAY.replace(day=10, hour=21, minute=59)


def opens(run, symbol="EURUSD"):
    """Return when the candles of a symbol that were announced opened."""
    return [it.candle.time for it in run.of(NewCandleEvent) if it.candle.symbol == symbol]


def listed(broker, count=9):
    """Return the closes of the newest minutes, as the bridge lists them."""
    bars = broker.get(f"symbols/EURUSD/bars?timeframe=M1&num_bars={count}")
    return [bar["close"] for bar in bars]


class TestATerminalThatHangs:
    def test_announces_no_bar_whose_close_it_never_saw(self, eurusd, live):
        """I19: all is well, it says; what it lists as its newest bar is forming still.

        Red when the newest bar is taken two seconds after its close by our clock.
        """
        broker = eurusd()
        one = live(broker)
        one.after(60, 60, 30)
        assert opens(one.run) == [MONDAY, MONDAY + MINUTE]
        broker.control("terminal", frozen=True)
        forming = listed(broker)[-1]
        one.after(31, 5, 5, 30, 30)
        assert opens(one.run) == [MONDAY, MONDAY + MINUTE]
        broker.control("terminal", frozen=False)
        one.after(10)
        assert opens(one.run) == [MONDAY + at * MINUTE for at in range(4)]
        third = one.run.of(NewCandleEvent)[2].candle
        assert third.close == listed(broker)[-3] != forming

    def test_announces_none_either_while_it_is_not_connected(self, eurusd, live):
        broker = eurusd()
        one = live(broker)
        one.after(60, 30)
        broker.control("terminal", connected=False)
        one.after(31, *[60] * 5)
        assert opens(one.run) == [MONDAY]
        broker.control("terminal", connected=True)
        one.after(10)
        assert opens(one.run) == [MONDAY + at * MINUTE for at in range(7)]

    def test_costs_a_live_candle_nothing(self, eurusd, live):
        """The bars of a market that goes on are asked for once a cycle, and nothing besides."""
        broker = eurusd()
        one = live(broker, TRADE_MODE="monitor")
        one.after(60)
        before = broker.applied()["seen"]
        one.after(60, 5, 55, 60)
        after = broker.applied()["seen"]
        assert after["GET symbols/*/bars"] - before["GET symbols/*/bars"] == 4
        assert after["GET symbols/*/tick"] == before["GET symbols/*/tick"]


class TestTheLastCandleOfASession:
    def test_comes_within_minutes_and_once(self, bridge, live):
        """No bar and no tick follows it until Sunday night. Red without `Closing._quiet`."""
        broker = bridge(
            *("--symbols", "EURUSD", "--faults", "--start", "2025-01-10T21:57Z"),
        )
        one = live(broker, BROKER_SERVER_TIMEZONE="NY+7")
        one.after(*[60] * 3, 5, *[30] * 3)
        assert opens(one.run) == [FRIDAYS_LAST - 2 * MINUTE, FRIDAYS_LAST - MINUTE]
        one.after(30)
        assert opens(one.run)[-1] == FRIDAYS_LAST
        before = broker.applied()["seen"]["GET health"]
        one.after(*[3600] * 3)
        assert opens(one.run)[-1] == FRIDAYS_LAST
        assert broker.applied()["seen"]["GET health"] - before <= 2 * 3
        assert len(opens(one.run)) == 3

    def test_is_part_of_a_start_at_the_weekend(self, bridge, live):
        """Warm-up has all of Friday, and no cycle brings it again."""
        broker = bridge("--symbols", "EURUSD", "--faults", "--start", "2025-01-11T12:00Z")
        one = live(
            broker,
            BROKER_SERVER_TIMEZONE="NY+7",
            SERVICES_INDICATOR_CALCULATION_HISTORY_BARS="100",
        )
        service = one.run.orchestrator.parts.source
        now = one.run.parts.clock.now()
        timeframe = next(iter(one.run.parts.indicators))[1]
        assert service.latest("EURUSD", timeframe, 5, now)[-1].time == FRIDAYS_LAST
        one.after(5, 200, 200)
        assert opens(one.run) == []


class TestAGap:
    @pytest.mark.parametrize("server", ["America/New_York", "NY+7", "UTC+14"])
    def test_is_filled_whatever_clock_the_bridge_reads_requests_by(self, eurusd, live, server):
        """C5: wider than `nbr_bars`. Red without `ServerClock.around`: no candle ever comes again.

        Of a server ahead of UTC hours-old ones came at every cycle, and were none of them new.
        """
        broker = eurusd("--server-timezone", server)
        with closing(ByTheServersClock(broker)) as relay:
            one = live(
                broker,
                relay.url,
                BROKER_SERVER_TIMEZONE=server,
                SERVICES_DATA_FETCHING_NBR_BARS="3",
            )
            one.after(60, 600, 60, 60)
            assert opens(one.run) == [MONDAY + at * MINUTE for at in range(13)]
            assert one.run.of(DataFetchFailedEvent) == []

    def test_that_cannot_be_filled_is_a_failure_and_in_the_end_a_loss(
        self, eurusd, live, relay, caplog
    ):
        """Red without `DataFetchingService._since`: it is silent, healthy and blind for ever."""
        broker = eurusd()
        before = relay(broker)
        before.changed = lambda path, reply: (
            b"[]" if "/bars" in path and "start=" in path else reply
        )
        names = {"NBR_BARS": "3", "MAX_FAILURES": "3"}
        one = live(
            broker, before.url, **{f"SERVICES_DATA_FETCHING_{k}": v for k, v in names.items()}
        )
        one.after(60, 600, 5)
        assert opens(one.run) == [MONDAY]
        assert len(one.run.of(DataFetchFailedEvent)) == 2
        one.after(5)
        assert opens(one.run) == [MONDAY, *(MONDAY + at * MINUTE for at in (8, 9, 10))]
        assert not one.run.service("data_fetching").health().healthy
        said = (
            "candles after 2025-01-06 08:00:00+00:00 and before 2025-01-06 08:08:00+00:00 are lost"
        )
        assert said in caplog.text
        one.after(60)
        assert opens(one.run)[-1] == MONDAY + 11 * MINUTE
        assert one.run.service("data_fetching").health().healthy
        assert len(one.run.of(DataFetchFailedEvent)) == 3


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0"])
def test_one_impossible_bar_in_the_history_does_not_keep_the_daemon_from_starting(
    eurusd, live, caplog, text
):
    """I21: it is left out, counted and said. Red when `bars` refuses the reply that holds it."""
    broker = eurusd()
    broker.faults({"what": "nan", "text": text, "call": "symbols/*/bars", "times": None})
    one = live(
        broker,
        SERVICES_INDICATOR_CALCULATION_HISTORY_BARS="300",
        SERVICES_DATA_FETCHING_RETRY_ATTEMPTS="0",
    )
    one.after(60, 60)
    assert "EURUSD M1: bars that cannot be true: 1 so far" in caplog.text
    assert opens(one.run) == [MONDAY, MONDAY + MINUTE]
    [rows] = one.run.of(IndicatorsCalculatedEvent)[-1].view.values()
    assert len(rows) > 2
