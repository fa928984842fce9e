"""trading.*, risk.*, splitting.* and restrictions.*: the keys that no other test shows."""

from decimal import Decimal

import pytest

from app.domain.orders import BlockReason, CloseReason, OrderKind
from app.events import (
    EntrySignalEvent,
    NewCandleEvent,
    OrderFilledEvent,
    OrderPlacedEvent,
    PositionClosedEvent,
    TradingBlockedEvent,
)

TWO = {"SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION": "2"}
MANY = {"SERVICES_TRADE_EXECUTION_POSITIONS_PER_DIRECTION": "30"}
NEWS_AT_8_20 = "Dates,Instrument,Restrictions,Description\n2025-01-06 08:20,USD,1,Payrolls\n"


def intents(run):
    return [event.intent for event in run.of(OrderPlacedEvent)]


def reasons(run):
    return {event.reason for event in run.of(TradingBlockedEvent)}


@pytest.fixture
def sized(flat, always_long):
    """Make a run of the strategy that always buys, so many lots."""

    def make(lots, minutes=10, **names):
        return flat(minutes, [always_long.replace("value: 0.1", f"value: {lots}")], **names)

    return make


@pytest.fixture
def volumes(folder, configuration, connect, always_long):
    """Return the lots by symbol when strategies of two symbols always buy a tenth of a lot."""

    def open_both(**names):
        configuration({"one": always_long})
        place = folder / "conf" / "strategies" / "gbpusd"
        place.mkdir()
        (place / "other.yaml").write_text(always_long.replace("always-long", "other"))
        both = {"SYMBOLS": "EURUSD,GBPUSD", "TRADING_TIMEFRAMES": "1"}
        until = {"MARKET_DATA_UNTIL": "2025-01-06T08:15Z"}
        run = connect({**both, **until, **MANY, **names}).to_the_end()
        lots = dict.fromkeys(run.settings.symbols, Decimal(0))
        for position in run.parts.broker.positions():
            lots[position.symbol] += position.volume
        return tuple(lots.values()), reasons(run)

    return open_both


class TestTrading:
    def test_timeframes(self, simulated):
        """C26, V6: those asked for, by minutes or by name, and those of the strategies."""
        for asked, expected in (("2,M10", {"1", "2", "10"}), ("30", {"1", "30"})):
            run = simulated(TRADING_TIMEFRAMES=asked).to_the_end()
            assert {str(event.timeframe) for event in run.of(NewCandleEvent)} == expected

    def test_several_symbols(self, connect):
        """C25, V14: several symbols side by side, each with its own strategies."""
        half_an_hour = {"MARKET_DATA_UNTIL": "2025-01-06T08:30Z"}
        both = connect({"SYMBOLS": "GBPUSD,BTCUSD", **half_an_hour}).to_the_end()
        assert {event.symbol for event in both.of(NewCandleEvent)} == {"GBPUSD", "BTCUSD"}
        one = connect(half_an_hour).to_the_end()
        assert {event.symbol for event in one.of(NewCandleEvent)} == {"EURUSD"}

    def test_conf_folder(self, flat, folder, always_long):
        """S13, V14: the strategies of the folder named are loaded, and of no other."""
        place = folder / "elsewhere" / "strategies" / "eurusd"
        place.mkdir(parents=True)
        (place / "other.yaml").write_text(always_long.replace("always-long", "other"))
        run = flat(CONF_FOLDER_PATH="elsewhere").to_the_end()
        assert {event.signal.strategy for event in run.of(EntrySignalEvent)} == {"other"}
        usual = flat().to_the_end()
        assert {event.signal.strategy for event in usual.of(EntrySignalEvent)} == {"always-long"}

    @pytest.mark.parametrize(
        ("names", "pip"),
        [
            ({}, "0.0001"),
            ({"EURUSD_PIP_VALUE": "1000"}, "0.001"),
            ({"TRADING_PIP_VALUES": "EURUSD=2000"}, "0.0005"),
        ],
    )
    def test_pip_values(self, flat, names, pip):
        """V14: a stop of fifty pips is that far from the price."""
        (intent,) = intents(flat(**names).to_the_end())
        assert intent.expected_price - intent.stop_loss == 50 * Decimal(pip)


class TestRisk:
    def test_daily_loss_limit(self, on_closes):
        """C27, V7, V14: what has been lost today blocks; a higher limit or none does not."""
        closes = [1.1] * 5 + [1.09] * 10
        for name, value, blocked in (
            ("DAILY_LOSS_LIMIT", "60", True),
            ("RISK_DAILY_LOSS_LIMIT", "disabled", False),
            ("RISK_DAILY_LOSS_LIMIT", "1000", False),
        ):
            run = on_closes(closes, **{name: value}).to_the_end()
            (closed,) = run.of(PositionClosedEvent)
            assert closed.reason is CloseReason.STOP_LOSS
            assert closed.profit < -50
            late = {BlockReason.DAILY_LOSS_LIMIT, BlockReason.LOSS_AT_RISK} & reasons(run)
            assert bool(late) is blocked
            assert len(run.of(OrderPlacedEvent)) == (1 if blocked else 2)

    @pytest.mark.parametrize(("most", "opened"), [("2", 2), ("10", 10), ("25", 18)])
    def test_max_positions(self, sized, most, opened):
        """C28: so many at once, however many are allowed to the strategy."""
        run = sized("0.01", 20, RISK_MAX_POSITIONS=most, **MANY).to_the_end()
        assert len(run.of(OrderPlacedEvent)) == opened
        assert (BlockReason.MAX_POSITIONS in reasons(run)) is (opened < 18)

    @pytest.mark.parametrize(("most", "allowed"), [("1.0", True), ("0.99", False)])
    def test_max_position_size(self, sized, most, allowed):
        """C29: an entry above it is refused, not trimmed."""
        run = sized("1.0", RISK_MAX_POSITION_SIZE=most).to_the_end()
        assert [intent.volume for intent in intents(run)] == [Decimal("1.0")] * allowed
        assert (BlockReason.MAX_POSITION_SIZE in reasons(run)) is not allowed

    @pytest.mark.parametrize(
        ("limit", "blocked"), [("50", True), ("disabled", False), ("1000", False)]
    )
    def test_max_drawdown(self, on_closes, limit, blocked):
        """I13: what lies below the best result so far blocks; a higher limit or none does not."""
        run = on_closes([1.1] * 5 + [1.09] * 10, RISK_MAX_DRAWDOWN=limit).to_the_end()
        assert run.of(PositionClosedEvent)[0].profit < -50
        assert (BlockReason.MAX_DRAWDOWN in reasons(run)) is blocked
        assert len(run.of(OrderPlacedEvent)) == (1 if blocked else 2)

    def test_max_symbol_volume(self, volumes):
        """I15: so many lots in one symbol, whatever there is in others; by default ten orders."""
        free, why = volumes()
        assert sum(free) == 1
        assert BlockReason.MAX_SYMBOL_VOLUME not in why
        held, why = volumes(RISK_MAX_SYMBOL_VOLUME="0.3")
        assert held == (Decimal("0.3"), Decimal("0.3"))
        assert BlockReason.MAX_SYMBOL_VOLUME in why

    def test_max_total_volume(self, volumes):
        """I15: so many lots in all symbols together."""
        held, why = volumes(RISK_MAX_TOTAL_VOLUME="0.3")
        assert sum(held) == Decimal("0.3")
        assert min(held) > 0
        assert BlockReason.MAX_TOTAL_VOLUME in why

    @pytest.mark.parametrize("limit", ["RISK_DAILY_LOSS_LIMIT", "RISK_MAX_DRAWDOWN"])
    def test_flatten_on_breach(self, on_closes, always_long, limit):
        """I10: on, a broken limit closes what is open and nothing follows; off, it stays open."""
        bare = always_long.replace(", sl: {type: fixed, value: 50}", "")
        for flatten, closed in (("true", [CloseReason.LOSS_LIMIT]), ("false", [])):
            run = on_closes(
                [1.1] * 5 + [1.096] * 10, [bare], RISK_FLATTEN_ON_BREACH=flatten, **{limit: "30"}
            ).to_the_end()
            assert [event.reason for event in run.of(PositionClosedEvent)] == closed
            assert len(run.parts.broker.positions()) == 1 - len(closed)
            assert len(run.of(OrderPlacedEvent)) == 1 + len(closed)

    @pytest.mark.parametrize(("minutes", "entries"), [("0", [3, 6]), ("5", [3, 10])])
    def test_cooldown(self, on_closes, minutes_of, minutes, entries):
        """I12: a strategy that lost waits so long; without it, it buys again at once."""
        run = on_closes([1.1] * 5 + [1.09] * 10, RISK_COOLDOWN=minutes).to_the_end()
        assert minutes_of(run, PositionClosedEvent) == [6]
        assert minutes_of(run, OrderPlacedEvent) == entries
        assert (BlockReason.COOLDOWN in reasons(run)) is (minutes == "5")


class TestSplitting:
    def test_position_split(self, sized):
        """V14: one order, or so many of one group that share its volume."""
        (whole,) = intents(sized("0.6").to_the_end())
        assert (whole.volume, whole.group) == (Decimal("0.6"), "")
        legs = intents(sized("0.6", POSITION_SPLIT="3").to_the_end())
        assert [leg.volume for leg in legs] == [Decimal("0.2")] * 3
        assert [leg.kind for leg in legs] == [OrderKind.MARKET, OrderKind.LIMIT, OrderKind.LIMIT]
        assert {leg.group for leg in legs} == {legs[0].client_id}

    @pytest.mark.parametrize(
        ("scaling", "volumes"),
        [
            ("equal", ["0.2", "0.2", "0.2"]),
            ("pyramid_up", ["0.1", "0.2", "0.3"]),
            ("pyramid_down", ["0.3", "0.2", "0.1"]),
        ],
    )
    def test_scaling_type(self, sized, scaling, volumes):
        """V14: the volume from the first order to the last."""
        run = sized("0.6", POSITION_SPLIT="3", SCALING_TYPE=scaling).to_the_end()
        assert [leg.volume for leg in intents(run)] == [Decimal(volume) for volume in volumes]

    @pytest.mark.parametrize("percent", ["0.1", "0.5"])
    def test_entry_spacing(self, sized, percent):
        """V14: limit orders that many per cent of the price apart, against the move."""
        run = sized("0.6", POSITION_SPLIT="3", ENTRY_SPACING=percent).to_the_end()
        first, *further = [leg.expected_price for leg in intents(run)]
        for at, price in enumerate(further, start=1):
            wanted = first * (1 - Decimal(percent) * at / 100)
            assert abs(price - wanted) <= Decimal("0.00001")

    @pytest.mark.parametrize(("percent", "volume"), [("1", "0.2"), ("0.5", "0.1"), ("50", "0.6")])
    def test_risk_per_group(self, sized, percent, volume):
        """V14: fifty pips lose 500 a lot; the group may lose so much of 10,000 and no more."""
        run = sized("0.6", POSITION_SPLIT="2", RISK_PER_GROUP=percent).to_the_end()
        assert sum(leg.volume for leg in intents(run)) == Decimal(volume)

    def test_symbols_split_their_own_way(self, sized):
        """V14: what is said of one symbol beats what holds for all; another symbol's is nothing."""
        names = {
            "EURUSD_POSITION_SPLIT": "2",
            "EURUSD_SCALING_TYPE": "pyramid_up",
            "EURUSD_ENTRY_SPACING": "1",
            "EURUSD_RISK_PER_GROUP": "1.5",
        }
        general = {"POSITION_SPLIT": "3", "ENTRY_SPACING": "0.2"}
        own = intents(sized("0.6", **general, **names).to_the_end())
        assert [leg.volume for leg in own] == [Decimal("0.1"), Decimal("0.2")]
        assert abs(own[1].expected_price - own[0].expected_price * Decimal("0.99")) < Decimal(
            "1e-4"
        )
        foreign = {name.replace("EURUSD", "GBPUSD"): value for name, value in names.items()}
        legs = intents(sized("0.6", **general, **foreign).to_the_end())
        assert [leg.volume for leg in legs] == [Decimal("0.2")] * 3


class TestRestrictions:
    def blocked_at(self, run, minutes_of, reason):
        events = [event.reason for event in run.of(TradingBlockedEvent)]
        at = minutes_of(run, TradingBlockedEvent)
        return [minute for minute, why in zip(at, events, strict=True) if why is reason]

    @pytest.mark.parametrize(("margin", "minutes"), [("5", range(15, 26)), ("2", range(18, 23))])
    def test_news_duration(self, flat, minutes_of, margin, minutes):
        """V14, E8: that many minutes before and after the release, both ends included."""
        run = flat(40, news=NEWS_AT_8_20, NEWS_RESTRICTION_DURATION=margin).to_the_end()
        assert self.blocked_at(run, minutes_of, BlockReason.NEWS) == list(minutes)

    @pytest.mark.parametrize(("margin", "first"), [("15", 15), ("5", 25)])
    def test_market_close_duration(self, flat, minutes_of, margin, first):
        """V14, E8: nothing is opened so many minutes before the close."""
        run = flat(
            40,
            DEFAULT_CLOSE_TIME="10:30:00+02:00",
            MARKET_CLOSE_RESTRICTION_DURATION=margin,
        ).to_the_end()
        found = self.blocked_at(run, minutes_of, BlockReason.MARKET_CLOSING)
        assert found == list(range(first, 31))

    @pytest.mark.parametrize(
        ("names", "minutes"),
        [
            ({}, []),
            ({"DEFAULT_CLOSE_TIME": "08:25:00+00:00"}, range(10, 26)),
            ({"DEFAULT_CLOSE_TIME": "10:35:00+02:00"}, range(20, 36)),
            ({"DEFAULT_CLOSE_TIME": "00:00:00+03:00"}, []),
        ],
    )
    def test_default_close_time(self, flat, minutes_of, names, minutes):
        """V14, E8: unset, the market does not close; set, it closes every day then."""
        run = flat(40, **names).to_the_end()
        found = self.blocked_at(run, minutes_of, BlockReason.MARKET_CLOSING)
        assert found == list(minutes)

    @pytest.mark.parametrize(("account", "closed"), [("swing", 0), ("daily", 1)])
    def test_account_type(self, flat, minutes_of, account, closed):
        """V14: a daily account is flat before the close, a swing account keeps its positions."""
        run = flat(30, DEFAULT_CLOSE_TIME="08:30:00+00:00", ACCOUNT_TYPE=account).to_the_end()
        assert len(run.of(OrderFilledEvent)) == 1
        assert [event.reason for event in run.of(PositionClosedEvent)] == (
            [CloseReason.MARKET_CLOSE] * closed
        )
        assert minutes_of(run, PositionClosedEvent) == [16] * closed
        assert len(run.parts.broker.positions()) == 1 - closed
