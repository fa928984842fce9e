"""market_data.* and broker.*: the keys that no other test shows."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

import pytest

from app.domain.errors import ConfigurationError
from app.domain.orders import CloseReason
from app.events import (
    CycleStartedEvent,
    IndicatorsCalculatedEvent,
    NewCandleEvent,
    OrderFilledEvent,
    PositionClosedEvent,
)

POINT = Decimal("0.00001")
HALF_PAST_NINE = datetime(2025, 1, 6, 9, 30, tzinfo=UTC)


def candles(run, timeframe="1"):
    return [e.candle for e in run.of(NewCandleEvent) if e.timeframe == timeframe]


def closes(run):
    return [candle.close for candle in candles(run)]


def opening(run):
    """Return the first deal that opened a position."""
    return run.of(OrderFilledEvent)[0].deal


class TestMarketData:
    def test_source(self, flat, simulated):
        """V3, V14: the file's bars, or the simulated market's; auto is the latter."""
        played = flat(MARKET_DATA_UNTIL="2025-01-06T08:10Z").to_the_end()
        assert set(closes(played)) == {1.1}
        drawn = closes(simulated(MARKET_DATA_SOURCE="simulated").to_the_end())
        assert len(set(drawn)) > 30
        assert closes(simulated(MARKET_DATA_SOURCE="auto").to_the_end()) == drawn
        with pytest.raises(ConfigurationError, match="MARKET_DATA_PATH"):
            simulated(MARKET_DATA_SOURCE="file")

    def test_path(self, flat, bars_file):
        """V14: the bars are those of the file named."""
        other = bars_file([1.25] * 5, "other.csv")
        assert closes(flat(5, MARKET_DATA_PATH=str(other)).to_the_end()) == [1.25] * 5
        assert closes(flat(5).to_the_end()) == [1.1] * 5

    @pytest.mark.parametrize(("speed", "least"), [("6000", 0.3), ("12000", 0.15), ("0", 0)])
    def test_speed(self, flat, speed, least):
        """C2: thirty minutes of market time take thirty minutes divided by it."""
        run = flat(30, MARKET_DATA_SPEED=speed).started()
        began = monotonic()
        run.orchestrator.run()
        assert least <= monotonic() - began < 2 * least + 2
        assert len(candles(run)) == 30

    @pytest.mark.parametrize(
        ("names", "note"),
        [
            ({"MARKET_DATA_SPEED": ""}, "60 seconds of market time a second"),
            ({"MARKET_DATA_SPEED": "5"}, "5 seconds of market time a second"),
            ({"MARKET_DATA_SPEED": "0"}, "as fast as possible"),
        ],
    )
    def test_speed_is_said(self, simulated, names, note):
        """P18: also the one that holds when nothing is set."""
        assert any(note in line for line in simulated(**names).parts.notes)

    def test_seed(self, simulated):
        """P18: another seed is another market, the same seed the same one."""
        usual, same, other = (
            closes(simulated(**names).to_the_end())
            for names in ({}, {"MARKET_DATA_SEED": "11"}, {"MARKET_DATA_SEED": "12"})
        )
        assert usual == same
        assert usual != other

    def test_start(self, flat):
        """S13: candles before it only warm up."""
        run = flat(200, MARKET_DATA_START="2025-01-06T09:30Z").to_the_end()
        assert candles(run)[0].time == HALF_PAST_NINE
        assert len(run.of(IndicatorsCalculatedEvent)[0].view["1"]) == 6, "rows of the history"
        assert candles(flat(200).to_the_end())[0].time == HALF_PAST_NINE - timedelta(minutes=90)

    def test_until(self, flat):
        """P18: the run ends then, though there are more bars."""
        run = flat(200, MARKET_DATA_UNTIL="2025-01-06T09:30Z").to_the_end()
        assert candles(run)[-1].close_time == HALF_PAST_NINE
        assert run.of(CycleStartedEvent)[-1].time == HALF_PAST_NINE
        assert len(candles(flat(200).to_the_end())) == 200


class TestBridge:
    @pytest.mark.parametrize("asks", [{"TRADE_MODE": "live"}, {"MARKET_DATA_SOURCE": "bridge"}])
    def test_what_needs_it_says_so(self, main_here, asks):
        """V3, V4: without an address, and with one where nobody answers."""
        missing = main_here(**asks)
        assert missing.code == 78
        assert "api.base_url is not set: expected API_BASE_URL" in missing.err
        silent = main_here(API_BASE_URL="http://me:secret@127.0.0.1:9/mt5", **asks)
        assert silent.code == 69
        assert "the bridge does not answer" in silent.err
        assert "http://127.0.0.1:9/mt5" in silent.err
        assert "secret" not in silent.err + silent.out


class TestServer:
    @pytest.mark.parametrize(
        ("zone", "opened", "shift"), [("UTC", 0, 0), ("NY+7", 22, 2), ("UTC+3", 21, 3)]
    )
    def test_server_timezone(self, simulated, folder, zone, opened, shift):
        """V14: the broker's days begin at its midnight, and its files tell its time."""
        run = simulated(
            TRADING_TIMEFRAMES="1440",
            MARKET_DATA_UNTIL="2025-01-08",
            BROKER_SERVER_TIMEZONE=zone,
            SERVICES_DATA_FETCHING_FETCH_INTERVAL="1800",
        ).to_the_end()
        assert {candle.time.hour for candle in candles(run, "1440")} == {opened}
        at = datetime(2025, 1, 6, 12)  # noqa: DTZ001 - the broker's wall clock
        rows = [f"{at + timedelta(minutes=n)},1.1,1.1,1.1,1.1" for n in range(5)]
        file = folder / "EURUSD.csv"
        file.write_text("\n".join(["time,open,high,low,close", *rows]))
        names = {"MARKET_DATA_SOURCE": "file", "MARKET_DATA_PATH": str(file)}
        run = simulated(BROKER_SERVER_TIMEZONE=zone, MARKET_DATA_UNTIL="", **names).to_the_end()
        assert candles(run)[0].time.hour == 12 - shift


class TestPaper:
    def test_balance(self, flat):
        """X1: what the account begins with."""
        for balance in ("10000", "2500.50"):
            account = flat(BROKER_PAPER_BALANCE=balance).parts.broker.account()
            assert account.balance == account.equity == Decimal(balance)

    def test_currency(self, on_closes):
        """C27: money is counted in it; profits in dollars come at the price of the deal."""
        market = [1.1] * 5 + [1.09] * 5
        lost = {}
        for currency in ("USD", "EUR"):
            run = on_closes(
                market, BROKER_PAPER_CURRENCY=currency, BROKER_PAPER_COMMISSION_PER_LOT="0"
            ).to_the_end()
            assert run.parts.broker.account().currency == currency
            (closed,) = run.of(PositionClosedEvent)
            lost[currency] = closed.profit
            price = closed.deal.price
        assert abs(lost["EUR"] - lost["USD"] / price) < Decimal("0.01")

    @pytest.mark.parametrize("leverage", ["100", "30"])
    def test_leverage(self, flat, leverage):
        """X1: a tenth of a lot binds its worth divided by it."""
        run = flat(BROKER_PAPER_LEVERAGE=leverage).to_the_end()
        worth = 10_000 * opening(run).price
        account = run.parts.broker.account()
        assert abs(account.margin - worth / int(leverage)) < Decimal("0.01")
        assert account.leverage == int(leverage)

    @pytest.mark.parametrize(("hedging", "positions"), [("true", 2), ("false", 1)])
    def test_hedging(self, flat, always_long, hedging, positions):
        """X1: long and short side by side, or one net position, held by the first."""
        short = always_long.replace("long", "short")
        run = flat(4, [always_long, short], BROKER_PAPER_HEDGING=hedging).to_the_end()
        assert len(run.parts.broker.positions()) == positions
        assert run.parts.broker.account().hedging is (hedging == "true")

    @pytest.mark.parametrize(
        ("names", "points"), [({}, 2), ({"BROKER_PAPER_SPREAD_POINTS": "20"}, 20)]
    )
    def test_spread_points(self, flat, names, points):
        """X1: a long position opens at the ask: that of the data, or so many points above."""
        run = flat(BROKER_PAPER_SLIPPAGE_POINTS="0", **names).to_the_end()
        assert opening(run).price == Decimal("1.1") + points * POINT

    @pytest.mark.parametrize("points", [1, 5])
    def test_slippage_points(self, flat, points):
        """X1: a market order is filled so many points worse."""
        run = flat(BROKER_PAPER_SLIPPAGE_POINTS=str(points)).to_the_end()
        assert opening(run).price == Decimal("1.1") + (2 + points) * POINT

    @pytest.mark.parametrize("per_lot", ["3.5", "12"])
    def test_commission_per_lot(self, flat, per_lot):
        """X1: a tenth of it for a tenth of a lot, when opened."""
        run = flat(BROKER_PAPER_COMMISSION_PER_LOT=per_lot).to_the_end()
        assert opening(run).commission == -Decimal(per_lot) / 10
        assert run.parts.broker.account().balance == 10_000 - Decimal(per_lot) / 10

    @pytest.mark.parametrize(("level", "closed"), [("50", []), ("99", [CloseReason.STOP_OUT])])
    def test_stop_out_level(self, on_closes, always_long, level, closed):
        """X1: at 200 with 110 bound, a loss of 100 leaves a margin level of 90 %."""
        run = on_closes(
            [1.1] * 5 + [1.09] * 5,
            [always_long.replace("value: 50", "value: 500")],
            BROKER_PAPER_BALANCE="200",
            BROKER_PAPER_STOP_OUT_LEVEL=level,
        ).to_the_end()
        assert [event.reason for event in run.of(PositionClosedEvent)][:1] == closed

    def test_conversion_rates(self, on_closes):
        """C27: a foreign profit needs a rate, and follows it."""
        market = [0.85] * 5 + [0.84] * 5
        with pytest.raises(ConfigurationError, match="BROKER_PAPER_CONVERSION_RATES=GBP="):
            on_closes(market, symbol="EURGBP")
        lost = {}
        for rate in ("1.25", "1.5"):
            run = on_closes(
                market,
                symbol="EURGBP",
                BROKER_PAPER_CONVERSION_RATES=f"GBP={rate}",
                BROKER_PAPER_COMMISSION_PER_LOT="0",
            ).to_the_end()
            (closed,) = run.of(PositionClosedEvent)
            lost[rate] = closed.profit / Decimal(rate)
        first, second = lost.values()
        assert first < -40
        assert abs(first - second) < Decimal("0.02")


def test_steps_of_the_clock_do_not_depend_on_speed(flat):
    """C2: speed is pace alone: the same cycles at the same market times."""
    times = [
        [
            event.time
            for event in flat(20, MARKET_DATA_SPEED=speed).to_the_end().of(CycleStartedEvent)
        ]
        for speed in ("0", "60000")
    ]
    assert times[0] == times[1]
    assert {b - a for a, b in itertools.pairwise(times[0])} == {timedelta(minutes=1)}
