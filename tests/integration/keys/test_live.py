"""api.*, journal.*, broker.* and risk.switch_file: the keys of an account behind a bridge."""

import json
import sqlite3
import threading
from contextlib import closing
from datetime import datetime, timedelta
from time import sleep

import pytest

from app.domain.orders import BlockReason
from app.events import (
    DataFetchedEvent,
    DataFetchFailedEvent,
    NewCandleEvent,
    OrderPlacedEvent,
    OrderRejectedEvent,
    TradingBlockedEvent,
)

BARS = "symbols/EURUSD/bars"
A_MONTH = 31 * 86_400


def reasons(run):
    return {event.reason for event in run.of(TradingBlockedEvent)}


def in_doubt(run):
    return run.metrics("services", "trade_execution", "orders_in_doubt")


class TestApi:
    @pytest.mark.parametrize("mode", ["paper", "monitor", "live"])
    def test_base_url(self, eurusd, live, mode):
        """V3, V14, X1, I18: its market is traded in every mode, its account in live mode alone."""
        broker = eurusd("--seed", "5", "--login", "77")
        run = live(broker, API_BASE_URL=broker.url + "/", TRADE_MODE=mode).after(60, 60)
        bars = broker.get(f"{BARS}?timeframe=1&num_bars=3")[:2]
        closes = [event.candle.close for event in run.of(NewCandleEvent)]
        assert closes == [bar["close"] for bar in bars]
        assert (run.parts.broker.account().login == 77) is (mode == "live")
        assert broker.ledger()["counts"]["received"] == (mode == "live")

    def test_base_url_beside_another_market(self, main_here):
        """V14: where that is named, nothing is asked of the address."""
        until = {"MARKET_DATA_UNTIL": "2025-01-06T08:05Z", "MARKET_DATA_SOURCE": "simulated"}
        ended = main_here(API_BASE_URL="http://127.0.0.1:9", **until)
        assert (ended.code, ended.err) == (0, "")

    @pytest.mark.parametrize(("timeout", "candles"), [("1", 0), ("10", 1)])
    def test_timeout(self, eurusd, live, timeout, candles):
        """V14: an answer that takes longer is none."""
        broker = eurusd()
        names = {"SERVICES_DATA_FETCHING_RETRY_ATTEMPTS": "0", "API_TIMEOUT": timeout}
        daemon = live(broker, **names)
        broker.faults({"what": "late_reply", "call": BARS, "seconds": 1.6})
        run = daemon.after(60)
        assert len(run.of(NewCandleEvent)) == candles
        assert len(run.of(DataFetchFailedEvent)) == 1 - candles

    @pytest.mark.parametrize(("allowed", "expected"), [("1", 1), ("2", 2), ("8", 4)])
    def test_concurrency(self, eurusd, live, relay, allowed, expected):
        """E1: so many questions at the same time, of the four that this cycle has, and no more.

        At the relay each waits for the others that are expected, and then for one too many.
        """
        broker = eurusd()
        before = relay(broker)
        names = {"TRADING_TIMEFRAMES": "1,5,15,30", "API_CONCURRENCY": allowed}
        daemon = live(broker, before.url, TRADE_MODE="monitor", **names)
        complete, lock = threading.Barrier(expected, timeout=10), threading.Lock()
        here, most = 0, 0

        def counted(_method, _path):
            nonlocal here, most
            with lock:
                here += 1
                most = max(most, here)
            complete.wait()
            sleep(0.05)
            with lock:
                here -= 1

        before.before = counted
        run = daemon.after(60)
        assert len(run.of(DataFetchedEvent)) == 4
        assert most == expected

    @pytest.mark.parametrize(("attempts", "candles"), [("0", 0), ("1", 0), ("2", 1)])
    def test_retry_attempts(self, eurusd, live, attempts, candles):
        """C3: a question that fails is asked again so often within its cycle."""
        broker = eurusd()
        daemon = live(broker, SERVICES_DATA_FETCHING_RETRY_ATTEMPTS=attempts)
        broker.faults({"what": "status", "call": BARS, "status": 500, "times": 2})
        run = daemon.after(60)
        assert len(run.of(NewCandleEvent)) == candles
        assert len(run.of(DataFetchFailedEvent)) == 1 - candles


class TestJournal:
    def test_url(self, eurusd, live, folder):
        """X11: there, and nowhere else, is what a restart goes on from."""
        broker, place = eurusd(), f"sqlite:///{folder}/mine.db"
        daemon = live(broker, JOURNAL_URL=place)
        assert len(daemon.after(60).of(NewCandleEvent)) == 1
        daemon.end()
        assert (folder / "mine.db").exists()
        assert not (folder / "data" / "journal.db").exists()
        broker.step(120)
        same = live(broker, JOURNAL_URL=place)
        assert len(same.after(60).of(NewCandleEvent)) == 3, "the two meanwhile too"
        same.end()
        assert len(live(broker).after(60).of(NewCandleEvent)) == 1, "another journal"

    def test_url_of_postgresql(self, eurusd, live, folder, postgresql):
        """X11: the same in a PostgreSQL database."""
        broker = eurusd()
        daemon = live(broker, JOURNAL_URL=postgresql)
        daemon.after(60)
        daemon.end()
        broker.step(120)
        assert len(live(broker, JOURNAL_URL=postgresql).after(60).of(NewCandleEvent)) == 3
        assert not (folder / "data" / "journal.db").exists()

    def test_folder(self, eurusd, live, folder):
        """I17: journal and locks are in it, and nowhere else."""
        live(eurusd(), JOURNAL_FOLDER="elsewhere/mine").after(60)
        found = {path.name for path in (folder / "elsewhere" / "mine").iterdir()}
        assert {"journal.db", "locks"} <= found
        assert not (folder / "data").exists()

    @pytest.mark.parametrize(("days", "kept"), [("31", 0), ("400", 1)])
    def test_keep_days(self, eurusd, live, folder, days, kept):
        """I26: settled orders that are older are forgotten at a start."""
        broker = eurusd()
        broker.faults({"what": "retcode", "retcode": 10019, "execute": False})
        daemon = live(broker)
        assert daemon.after(60).of(OrderRejectedEvent)
        daemon.end()
        broker.step(A_MONTH + 3600)
        live(broker, JOURNAL_KEEP_DAYS=days).end()
        with closing(sqlite3.connect(folder / "data" / "journal.db")) as journal:
            assert journal.execute("SELECT count(*) FROM intents").fetchone() == (kept,)


class TestBroker:
    def test_live_account(self, eurusd, live, main_here):
        """X2: any other account is not traded, by whichever name it is pinned."""
        broker = eurusd("--login", "123456")
        for name in ("LIVE_ACCOUNT", "BROKER_LIVE_ACCOUNT"):
            refused = main_here(TRADE_MODE="live", API_BASE_URL=broker.url, **{name: "654321"})
            assert refused.code == 78
            assert "account 123456 on Bridge-Demo, expected 654321" in refused.err
        assert live(broker, LIVE_ACCOUNT="123456").after(60).of(OrderPlacedEvent)

    @pytest.mark.parametrize("hedging", ["true", "false"])
    def test_hedging(self, eurusd, live, relay, hedging):
        """V14: believed of an account only where the bridge does not say."""
        broker = eurusd()
        before = relay(broker)
        told = live(broker, before.url, BROKER_HEDGING=hedging)
        assert told.run.parts.broker.account().hedging is True
        told.end()

        def silent(path, reply):
            if not path.endswith("/account"):
                return reply
            content = json.loads(reply)
            del content["data"]["hedging"], content["data"]["margin_mode"]
            return json.dumps(content).encode()

        before.changed = silent
        run = live(broker, before.url, BROKER_HEDGING=hedging).run
        assert run.parts.broker.account().hedging is (hedging == "true")

    @pytest.mark.parametrize("points", ["10", "9"])
    def test_max_slippage(self, bridge, bars_file, live, relay, points):
        """I6: after a requote a price that is worse by no more is taken, and a worse one is not.

        The third quarter of the minute is ten points above the second.
        """
        file = bars_file([1.1] * 61 + [1.1001] * 5)
        clock = ("--start", "2025-01-06T09:00Z")
        broker = bridge("--symbols", "EURUSD", "--faults", "--file", file, *clock)
        before = relay(broker)
        daemon = live(broker, before.url, BROKER_MAX_SLIPPAGE=points)
        broker.faults({"what": "requote"})
        sent = []

        def moved(method, path):
            if path.endswith("/orders/create"):
                sent.append(path)
                if len(sent) == 1:
                    broker.step(5)

        before.before = moved
        run = daemon.after(85)
        filled = points == "10"
        assert len(sent) == 1 + filled
        assert len(run.of(OrderPlacedEvent)) == filled
        assert ["1.10002 became 1.10012" in it.reason for it in run.of(OrderRejectedEvent)] == (
            [True] * (not filled)
        )

    @pytest.mark.parametrize(("pace", "sent"), [("1", 1), ("2", 2), ("120", 3)])
    def test_requests_per_minute(self, eurusd, live, pace, sent):
        """An entry of three legs: those beyond the pace are not sent, and it is said."""
        split = {"POSITION_SPLIT": "3", "BROKER_REQUESTS_PER_MINUTE": pace}
        run = live(eurusd(), **split).after(60)
        assert len(run.of(OrderPlacedEvent)) == sent
        assert (BlockReason.TOO_MANY_REQUESTS in reasons(run)) is (sent < 3)

    @pytest.mark.parametrize(("seconds", "old"), [("13", False), ("11", True)])
    def test_max_quote_age(self, eurusd, live, relay, seconds, old):
        """I20: on a price of twelve seconds ago nothing is opened, or still is."""
        broker = eurusd()
        before = relay(broker)

        def of_earlier(path, reply):
            if not path.endswith("/tick"):
                return reply
            content = json.loads(reply)
            tick = content["data"]
            tick["time"] = f"{datetime.fromisoformat(tick['time']) - timedelta(seconds=12)}"
            tick["time_msc"] -= 12_000
            return json.dumps(content).encode()

        before.changed = of_earlier
        run = live(broker, before.url, BROKER_MAX_QUOTE_AGE=seconds).after(60)
        assert reasons(run) == ({BlockReason.STALE_QUOTE} if old else set())
        assert len(run.of(OrderPlacedEvent)) == 1 - old

    @pytest.mark.parametrize(("seconds", "orders"), [("60", 1), ("300", 0)])
    def test_lost_after(self, eurusd, live, seconds, orders):
        """I5, I6: an order that nobody has seen is given up after so long, and made anew then."""
        broker = eurusd()
        daemon = live(broker, BROKER_LOST_AFTER=seconds)
        broker.faults({"what": "reset", "call": "orders/create"})
        assert in_doubt(daemon.after(60)) == 1
        run = daemon.after(25, 25, 25, 25)
        assert in_doubt(run) == 1 - orders
        assert broker.ledger()["counts"]["executed"] == orders

    @pytest.mark.parametrize(("seconds", "state"), [("30", "CANCELED"), ("600", "PLACED")])
    def test_order_time_to_live(self, eurusd, live, seconds, state):
        """I3: an order at market that is not filled is withdrawn after so long."""
        broker = eurusd()
        daemon = live(broker, BROKER_ORDER_TIME_TO_LIVE=seconds)
        broker.faults({"what": "placed"})
        daemon.after(60, 20, 20)
        first = broker.ledger()["orders"][0]
        assert (first["volume_initial"], first["state"]) == (0.1, state)


class TestRisk:
    @pytest.mark.parametrize("named", [True, False])
    def test_switch_file(self, eurusd, live, folder, named):
        """I12: DISABLE in the file blocks entries, ENABLE lifts it; another file says nothing."""
        switch = folder / "off"
        switch.write_text("DISABLE")
        names = {"RISK_SWITCH_FILE": str(switch)} if named else {}
        daemon = live(eurusd(), **names)
        run = daemon.after(60)
        assert (BlockReason.KILL_SWITCH in reasons(run)) is named
        assert len(run.of(OrderPlacedEvent)) == 1 - named
        switch.write_text("ENABLE 2100-01-01T00:00:00+00:00")
        assert len(daemon.after(60).of(OrderPlacedEvent)) == 1
