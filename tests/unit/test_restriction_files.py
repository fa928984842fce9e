from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest

from app.adapters.restriction_files import load_restrictions
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.risk.restrictions import Holiday, News, Restrictions

MINUTES = timedelta(minutes=1)


def load(folder: Path, zone: str = "UTC", close: str | None = None) -> Restrictions:
    return load_restrictions(
        folder,
        ServerTime(zone),
        news_margin=7 * MINUTES,
        close_margin=9 * MINUTES,
        close_time=close,
        flatten=True,
    )


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_both_files_are_optional(tmp_path: Path) -> None:
    assert load(tmp_path / "absent") == Restrictions(
        news_margin=7 * MINUTES, close_margin=9 * MINUTES, flatten=True
    )


def test_news_are_the_restricting_rows_in_order_of_time(tmp_path: Path) -> None:
    write(
        tmp_path,
        "economic-calendar.csv",
        "\ufeffDescription,Instrument,Dates,Forecast,Previous,Restrictions\n"
        '"Payrolls, US",USD,2025-01-10T13:30:00+00:00,160K,227K,1\n'
        "Rates,EUR,2025.01.09 15:15+02:00,,,1\n"
        "\n"
        "Speech,USD,2025-01-08 10:00,,,0\n"
        "CPI,EUR/USD; gbp,2025-01-08 12:00,,,1\n"
        "Everyone,ALL,2025-01-11 12:00,,,1\n",
    )
    noon = datetime(2025, 1, 8, 12, tzinfo=UTC)
    assert load(tmp_path).news == (
        News(noon, "EURUSD", "CPI"),
        News(noon, "GBP", "CPI"),
        News(datetime(2025, 1, 9, 13, 15, tzinfo=UTC), "EUR", "Rates"),
        News(datetime(2025, 1, 10, 13, 30, tzinfo=UTC), "USD", "Payrolls, US"),
        News(datetime(2025, 1, 11, 12, tzinfo=UTC), "", "Everyone"),
    )


def test_news_without_an_instrument_column_concern_everything(tmp_path: Path) -> None:
    write(tmp_path, "economic-calendar.csv", "Dates,Restrictions\n2025-01-10 13:30:00,1\n")
    assert [news.instrument for news in load(tmp_path).news] == [""]


def test_a_holiday_is_a_day_or_an_early_close_on_the_brokers_day(tmp_path: Path) -> None:
    """22:30 UTC is the next day at a broker on New York + 7."""
    write(
        tmp_path,
        "holidays.csv",
        "Description,Instrument,Dates\nChristmas,,2025-12-25\nEve,XAUUSD,2025-12-23 22:30:00\n",
    )
    assert load(tmp_path, "NY+7").holidays == (
        Holiday(date(2025, 12, 25), None, "", "Christmas"),
        Holiday(date(2025, 12, 24), datetime(2025, 12, 23, 22, 30, tzinfo=UTC), "XAUUSD", "Eve"),
    )


def test_the_close_time_may_carry_an_offset(tmp_path: Path) -> None:
    """V14: DEFAULT_CLOSE_TIME as users write it."""
    moscow = timezone(timedelta(hours=3))
    assert load(tmp_path, close="23:40:00+03:00").close_time == time(23, 40, tzinfo=moscow)
    assert load(tmp_path, close="16:55").close_time == time(16, 55)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("economic-calendar.csv", "", ":1: expected a column 'Dates': the file is empty"),
        (
            "economic-calendar.csv",
            "Date,Restrictions\n",
            ":1: expected a column 'Dates' (did you mean 'Date'?)",
        ),
        (
            "economic-calendar.csv",
            "Dates,Restrictions\n2025-01-01 10:00,yes\n",
            ":2 Restrictions: expected 0 or 1, not 'yes'",
        ),
        (
            "economic-calendar.csv",
            "Dates,Restrictions\n2025-01-01 10:00,1\n2025-01-02,1\n",
            ":3 Dates: expected a time of day after '2025-01-02'",
        ),
        (
            "economic-calendar.csv",
            "Dates,Restrictions\n2025-01-01 10:00\n",
            ":2: expected 2 cells, not 1",
        ),
        (
            "holidays.csv",
            "Dates\n25.12.2025\n",
            ":2 Dates: expected a time such as 2025-01-31T13:30:00+00:00, not '25.12.2025'",
        ),
        ("holidays.csv", 'Dates\n"2025-12-25\n', ":2: no CSV: unexpected end of data"),
    ],
)
def test_a_bad_file_is_one_message_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    write(tmp_path, name, text)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path / name}{message}"


def test_a_file_that_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "holidays.csv").mkdir()
    with pytest.raises(ConfigurationError, match=r"holidays.csv: expected a CSV file in UTF-8"):
        load(tmp_path)
    (tmp_path / "economic-calendar.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"calendar.csv: expected a CSV file in UTF-8"):
        load(tmp_path)
