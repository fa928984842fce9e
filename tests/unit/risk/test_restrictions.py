from datetime import UTC, date, datetime, time, timedelta, timezone

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.broker_time import ServerTime
from app.domain.market import SymbolRules
from app.domain.orders import BlockReason
from app.risk.restrictions import Holiday, News, Restrictions, concerns

BROKER = ServerTime("UTC")
MINUTE = timedelta(minutes=1)
EVENING = time(23, 40, tzinfo=timezone(timedelta(hours=3)))
CLOSE = datetime(2025, 1, 6, 20, 40, tzinfo=UTC)


@pytest.mark.parametrize("instrument", ["", "EURUSD", "eurusd", "EUR", "usd"])
def test_an_instrument_is_a_symbol_a_currency_of_it_or_everything(
    instrument: str, eurusd: SymbolRules
) -> None:
    assert concerns(instrument, eurusd)
    assert concerns(instrument, msgspec.structs.replace(eurusd, symbol="EURUSDm"))


@pytest.mark.parametrize("instrument", ["GBP", "GBPUSD", "EU", "EURU"])
def test_other_instruments_do_not_concern_a_symbol(instrument: str, eurusd: SymbolRules) -> None:
    assert not concerns(instrument, eurusd)


def reason(restrictions: Restrictions, rules: SymbolRules, at: datetime) -> BlockReason | None:
    refusal = restrictions.refuse(rules, at, BROKER)
    return None if refusal is None else refusal.reason


def test_news_block_before_and_after(eurusd: SymbolRules, monday: datetime) -> None:
    quiet = News(monday, "JPY", "of no interest")
    restrictions = Restrictions(
        news=(quiet, News(monday, "USD", "payrolls"), News(monday + 60 * MINUTE, "EUR", "")),
        news_margin=5 * MINUTE,
    )
    for minutes, blocked in ((-6, False), (-5, True), (0, True), (5, True), (6, False), (60, True)):
        expected = BlockReason.NEWS if blocked else None
        assert reason(restrictions, eurusd, monday + minutes * MINUTE) is expected
    refusal = restrictions.refuse(eurusd, monday, BROKER)
    assert refusal is not None
    assert refusal.detail == "payrolls at 2025-01-06 10:00Z"


def test_a_holiday_blocks_the_brokers_whole_day(eurusd: SymbolRules, monday: datetime) -> None:
    restrictions = Restrictions(holidays=(Holiday(date(2025, 1, 6), None, "EUR", "Epiphany"),))
    refusal = restrictions.refuse(eurusd, monday, BROKER)
    assert refusal is not None
    assert (refusal.reason, refusal.detail) == (BlockReason.HOLIDAY, "Epiphany 2025-01-06")
    assert reason(restrictions, eurusd, monday + timedelta(days=1)) is None
    yen = msgspec.structs.replace(
        eurusd, symbol="GBPJPY", base_currency="GBP", profit_currency="JPY"
    )
    assert reason(restrictions, yen, monday) is None


def test_an_early_close_blocks_before_it(eurusd: SymbolRules, monday: datetime) -> None:
    early = monday.replace(hour=18)
    restrictions = Restrictions(holidays=(Holiday(early.date(), early, "", ""),))
    for minutes, blocked in ((-16, False), (-15, True), (0, True), (1, False), (24 * 60, False)):
        expected = BlockReason.HOLIDAY if blocked else None
        assert reason(restrictions, eurusd, early + minutes * MINUTE) is expected


def test_the_daily_close_blocks_before_it(eurusd: SymbolRules) -> None:
    restrictions = Restrictions(close_time=EVENING, close_margin=15 * MINUTE)
    for minutes, blocked in ((-16, False), (-15, True), (0, True), (1, False), (24 * 60, True)):
        expected = BlockReason.MARKET_CLOSING if blocked else None
        assert reason(restrictions, eurusd, CLOSE + minutes * MINUTE) is expected


closes = st.times().map(lambda at: at.replace(microsecond=0))
offsets = st.none() | st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))


@settings(max_examples=150)
@given(closes, offsets, st.integers(0, 120), st.integers(0, 7 * 24 * 60))
@example(time(0, 0), timezone(timedelta(hours=3)), 15, 600)
@example(time(0, 5), None, 15, 24 * 60 - 5)
def test_a_close_blocks_its_margin_of_every_day_and_no_more(
    eurusd: SymbolRules, close: time, offset: timezone | None, margin: int, minute: int
) -> None:
    """Also a close at midnight or shortly after it, which the evening before comes to."""
    restrictions = Restrictions(
        close_time=close.replace(tzinfo=offset), close_margin=margin * MINUTE, flatten=True
    )
    at = datetime(2025, 1, 6, tzinfo=UTC) + minute * MINUTE
    first = datetime.combine(date(2025, 1, 4), close, tzinfo=offset or UTC)
    days = [first + timedelta(days=n) for n in range(12)]
    blocked = any(day - margin * MINUTE <= at <= day for day in days)
    assert (reason(restrictions, eurusd, at) is not None) == blocked
    begins = min(day - margin * MINUTE for day in days if day - margin * MINUTE > at)
    assert restrictions.next_flatten(eurusd, at, BROKER) == begins


def test_a_close_without_an_offset_is_the_brokers(eurusd: SymbolRules) -> None:
    """16:55 at a broker on New York + 7 is 14:55 UTC in January."""
    broker = ServerTime("NY+7")
    restrictions = Restrictions(close_time=time(16, 55), close_margin=5 * MINUTE)
    at = datetime(2025, 1, 6, 14, 50, tzinfo=UTC)
    assert restrictions.refuse(eurusd, at, broker) is not None
    assert restrictions.refuse(eurusd, at - MINUTE, broker) is None
    assert restrictions.refuse(eurusd, at + 5 * MINUTE, broker) is not None
    assert restrictions.refuse(eurusd, at + 6 * MINUTE, broker) is None


def test_a_daily_account_is_flat_before_an_early_close_however_far(
    eurusd: SymbolRules, monday: datetime
) -> None:
    early = monday + timedelta(days=9)
    restrictions = Restrictions(holidays=(Holiday(early.date(), early, "", ""),), flatten=True)
    assert restrictions.next_flatten(eurusd, monday, BROKER) == early - 15 * MINUTE
    assert restrictions.next_flatten(eurusd, early - 15 * MINUTE, BROKER) is None


def test_only_a_daily_account_is_flattened(eurusd: SymbolRules, monday: datetime) -> None:
    swing = Restrictions(close_time=EVENING)
    assert swing.next_flatten(eurusd, monday, BROKER) is None
    daily = msgspec.structs.replace(swing, flatten=True)
    assert daily.next_flatten(eurusd, monday, BROKER) == CLOSE - 15 * MINUTE
    tonight = CLOSE - 15 * MINUTE
    assert daily.next_flatten(eurusd, tonight, BROKER) == tonight + timedelta(days=1)


def test_a_daily_account_without_a_close_is_not_flattened(
    eurusd: SymbolRules, monday: datetime
) -> None:
    assert Restrictions(flatten=True).next_flatten(eurusd, monday, BROKER) is None


def test_without_restrictions_nothing_is_blocked(eurusd: SymbolRules, monday: datetime) -> None:
    assert reason(Restrictions(), eurusd, monday) is None
