"""Single values of a reply: every way bridges write them, and none that cannot be true."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.adapters.mt5.dialect.readings import Row, moment, read, read_all
from app.adapters.mt5.server_clock import UTC_CLOCK, ServerClock
from app.domain.broker_time import ServerTime
from app.domain.errors import SourceError

ATHENS = ServerClock(ServerTime("Europe/Athens"))
CONVERTED = ServerClock(ServerTime("Europe/Athens"), naive_is_utc=True)
AT = datetime(2025, 1, 6, 10, 30, tzinfo=UTC)
WALL = "2025-01-06T12:30:00"
EPOCH_OF_WALL = int(datetime(2025, 1, 6, 12, 30, tzinfo=UTC).timestamp())
FRACTIONS = st.decimals(allow_nan=False) | st.just(Decimal("NaN"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FRACTIONS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "said",
    [
        WALL,
        "2025-01-06 12:30:00",
        "2025-01-06T12:30",
        "2025-01-06T12:30:00.000",
        "2025.01.06 12:30:00",
        "2025.01.06 12:30",
        "2025-01-06T10:30:00Z",
        "2025-01-06T10:30:00+00:00",
        "2025-01-06T12:30:00+02:00",
        "2025-01-06T05:30:00-0500",
        EPOCH_OF_WALL,
        float(EPOCH_OF_WALL),
        Decimal(EPOCH_OF_WALL),
        str(EPOCH_OF_WALL),
        EPOCH_OF_WALL * 1000,
        f"{EPOCH_OF_WALL}000",
        f"{EPOCH_OF_WALL}.0",
    ],
)
def test_every_way_of_writing_a_time_is_read(said: object) -> None:
    """Milliseconds for seconds, and every format of the specification.

    Red without the division of milliseconds: the time is one of the year 56000.
    """
    assert moment(said, ATHENS) == AT
    assert moment(said, ATHENS).tzinfo is UTC


def test_a_bridge_that_has_converted_its_times_is_taken_at_its_word() -> None:
    assert moment("2025-01-06T10:30:00", CONVERTED) == AT
    assert moment(int(AT.timestamp()), CONVERTED) == AT


def test_fractions_of_a_second_stay() -> None:
    assert moment(EPOCH_OF_WALL * 1000 + 250, ATHENS) == AT + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    "said",
    [
        *("", " ", "yesterday", "10:30", "NaN", "inf", "-1", "1e400", "2025-13-01", "\ud800"),
        *(True, None, [], {}, float("nan"), float("inf"), 0, 5, 10**16, -(10**9), "1970-01-01"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2090-01-01", 20250106),
    ],
)
def test_what_is_no_time_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        moment(said, ATHENS)


def written(time: datetime, how: str, ahead: timedelta) -> object:
    """Return a time as a bridge writes it whose server's clock is `ahead` of UTC."""
    wall = (time + ahead).replace(tzinfo=UTC)
    naive = wall.replace(tzinfo=None)
    return {
        "naive": naive.isoformat(),
        "spaced": naive.isoformat(sep=" "),
        "dotted": f"{naive:%Y.%m.%d %H:%M:%S}",
        "Z": f"{time:%Y-%m-%dT%H:%M:%S}Z",
        "offset": time.astimezone(timezone(timedelta(hours=-3))).isoformat(),
        "seconds": int(wall.timestamp()),
        "text": str(int(wall.timestamp())),
        "milliseconds": int(wall.timestamp()) * 1000,
        "float": wall.timestamp(),
    }[how]


@settings(max_examples=300)
@given(
    st.integers(200_000_000, 2_900_000_000),
    st.sampled_from(
        ["naive", "spaced", "dotted", "Z", "offset", "seconds", "text", "milliseconds", "float"]
    ),
    st.integers(-12, 14),
)
def test_a_time_means_the_same_however_it_is_written(second: int, how: str, hours: int) -> None:
    time = datetime.fromtimestamp(second, UTC)
    clock = ServerClock(ServerTime(f"UTC{hours:+d}"))
    assert moment(written(time, how, timedelta(hours=hours)), clock) == time


@settings(max_examples=500)
@given(JSON | st.datetimes().map(str) | st.from_regex(r"[0-9:.+\-TZ ]{1,30}", fullmatch=True))
@example("٣٣٣٣٣٣٣٣٣٣")
@example("1e99999999999999999999")
def test_a_time_is_read_or_refused_and_nothing_else(said: object) -> None:
    """I21, for times: aware UTC within a century, or a ValueError."""
    try:
        time = moment(said, ATHENS)
    except ValueError:
        return
    assert time.tzinfo is UTC
    assert 1971 <= time.year <= 2068


READINGS = (
    *(Row.text, Row.number, Row.needed_number, Row.positive, Row.price, Row.whole, Row.ticket),
    *(Row.flag, Row.needed_flag, Row.mode, Row.time, Row.needed_time, Row.needed_text),
)


@settings(max_examples=500)
@given(st.sampled_from(READINGS), JSON)
def test_a_value_is_what_it_should_be_or_a_source_error(reading, said: object) -> None:
    """I21: nothing that is not finite crosses the boundary.

    Red without the check of `decimal_of`: NaN, infinity and 1e400 are numbers.
    """
    try:
        value = reading(Row({"it": said}, "reply", UTC_CLOCK), "it")
    except SourceError as error:
        complaint = str(error)
        assert complaint.isprintable()
        assert complaint.startswith("reply: it ")
        return
    assert not isinstance(value, float)
    if isinstance(value, Decimal):
        assert value.is_finite()
        assert abs(value) < 10**18
        assert round(value, 8).is_finite()
    if reading is Row.positive:
        assert value > 0
    if reading is Row.ticket:
        assert 0 < value < 2**63


def row(**fields: object) -> Row:
    return Row(fields, "account", ATHENS)


def test_numbers_may_come_as_text_and_integers_as_fractions() -> None:
    given = row(
        volume="0.10", ticket="123", digits=Decimal("5.0"), sl=0, tp="", swap=Decimal("-1e-15")
    )
    assert given.number("volume") == Decimal("0.10")
    assert given.ticket("ticket") == 123
    assert given.whole("digits") == 5
    assert given.price("sl") is None
    assert given.price("tp") is None
    assert given.number("swap") == Decimal("-1e-15")


def test_a_text_has_no_control_characters() -> None:
    """Line breaks in comments: escaped. Red without it: a comment writes log lines of its own."""
    assert row(comment="a\r\n2025 CRITICAL\x1b[2J\ud800").text("comment").isprintable()
    assert row(comment="Grüße ABC").text("comment") == "Grüße ABC"
    assert row(comment=77).text("comment") == "77"


def test_a_mode_is_a_word_or_a_number() -> None:
    assert row(mode="FULL").mode("mode") == "FULL"
    assert row(mode=4).mode("mode") == 4
    assert row().mode("mode") is None


def test_the_first_name_that_has_a_value_counts() -> None:
    assert row(volume=None, volume_initial=2).number("volume", "volume_initial") == 2
    assert row(time=0, time_msc=EPOCH_OF_WALL * 1000).time("time", "time_msc") == AT
    assert row(time=0).time("time") is None


@pytest.mark.parametrize(
    ("reading", "said", "complaint"),
    [
        (Row.positive, None, "account: it is missing"),
        (Row.positive, "-1", "account: it '-1' is not above zero"),
        (Row.price, -1, "account: it '-1' is not a price"),
        (Row.whole, Decimal("1.5"), "account: it '1.5' is not an integer"),
        (Row.ticket, 0, "account: it '0' is not a ticket"),
        (Row.flag, "maybe", "account: it 'maybe' is not true or false"),
        (Row.text, [1], r"account: it '\[1\]' is not a text"),
        (Row.number, True, "account: it 'True' is not a number"),
        (Row.number, "a\nb" * 30, r"account: it 'a\\nba\\nb[^\n]*…' is not a number"),
        (Row.needed_time, "soon", "account: it 'soon' is not a time"),
        (Row.needed_flag, None, "account: it is missing"),
    ],
)
def test_what_cannot_be_true_is_said_on_one_line(reading, said: object, complaint: str) -> None:
    with pytest.raises(SourceError, match=f"^{complaint}$"):
        reading(row(it=said), "it")


def test_constants_come_as_numbers_or_under_metatraders_names() -> None:
    words = {"BUY": 0, "SELL": 1, "BUY_LIMIT": 2}
    for said in (2, "2", "BUY_LIMIT", "buy_limit", "Buy Limit", "ORDER_TYPE_BUY_LIMIT"):
        assert row(type=said).needed_code(words, "type") == 2
    assert row(entry="DEAL_ENTRY_OUT").code({"IN": 0, "OUT": 1}, "entry") == 1
    assert row().code(words, "type") is None
    assert row(type=17).code(words, "type") == 17
    for said in (17, "HOLD", None):
        with pytest.raises(SourceError, match="account: type"):
            row(type=said).needed_code(words, "type")


def test_a_list_that_is_no_list_is_no_answer() -> None:
    """Empty or truncated lists: "no positions" and "no answer" differ.

    Red without the check of `read_all`: null and an object are taken for no positions.
    """
    assert read_all(lambda one: one.ticket("t"), [{"t": 1}], "positions", ATHENS) == [1]
    assert read_all(lambda one: one.ticket("t"), [], "positions", ATHENS) == []
    for said in (None, {}, "", 0, False):
        with pytest.raises(SourceError, match="positions: expected a list"):
            read_all(lambda one: one.ticket("t"), said, "positions", ATHENS)
    with pytest.raises(SourceError, match="positions, row 2: expected an object, not int"):
        read_all(lambda one: one.ticket("t"), [{"t": 1}, 2], "positions", ATHENS)


def test_an_object_that_is_none_is_no_answer() -> None:
    for said in (None, [], "OK", True):
        with pytest.raises(SourceError, match="health: expected an object"):
            read(lambda one: one, said, "health", ATHENS)
