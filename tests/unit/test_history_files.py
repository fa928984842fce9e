"""Recorded bars: sensible spellings are read, bad bars counted, bad files refused."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.history_checks import History
from app.adapters.history_files import FileFeed, read_history
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError

UTC_SERVER = ServerTime("UTC")
MARKET_DATA = Path(__file__).parents[2] / "../shared/market_data"
FIRST = 1_704_103_200  # 2024-01-01 10:00 UTC

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str, name: str = "bars.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def refusal(path: Path, server: ServerTime = UTC_SERVER) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read_history(path, server)
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def plain(*rows: str, header: str = "time,open,high,low,close,volume,spread") -> str:
    return "\n".join((header, *rows)) + "\n"


def good(minute: int) -> str:
    return f"2024-01-01 10:{minute:02},1.1,1.3,1.0,1.2,5,8"


def minutes(history: History) -> list[int]:
    return ((history.bars.time - FIRST) // 60).tolist()


def test_a_metatrader_export_is_read(write: Write) -> None:
    path = write(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2024.01.01\t10:00:00\t1.57597\t1.57606\t1.57576\t1.57580\t42\t7\t11\n"
        "2024.01.01\t10:01:00\t1.57580\t1.57583\t1.57543\t1.57543\t17\t8\t9\n"
    )
    history = read_history(path, UTC_SERVER)
    bars = history.bars
    assert bars.time.tolist() == [FIRST, FIRST + 60]
    assert [column[0] for column in bars.columns()] == [1.57597, 1.57606, 1.57576, 1.5758, 42, 11]
    assert history.timeframe == "1"
    assert history.bad.total == 0


def test_a_metatrader_export_of_days_has_no_time_column(write: Write) -> None:
    path = write(
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2024.03.08\t1.1\t1.3\t1.0\t1.2\t42\t0\t11\n"
        "2024.03.11\t1.1\t1.3\t1.0\t1.2\t42\t0\t11\n"
        "2024.03.12\t1.1\t1.3\t1.0\t1.2\t42\t0\t11\n"
    )
    history = read_history(path, ServerTime("NY+7"))
    assert history.timeframe == "1440"
    opened = [datetime.fromtimestamp(second, UTC) for second in history.bars.time.tolist()]
    assert [(when.day, when.hour) for when in opened] == [(7, 22), (10, 21), (11, 21)]


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        ("time,open,high,low,close", "2024-01-01T10:00:00", "2024-01-01T10:01:00"),
        ("Date;O;H;L;C", "2024-01-01 10:00", "2024-01-01 10:01"),
        ("timestamp\topen\thigh\tlow\tclose", "1704103200", "1704103260"),
        ("datetime,Open,High,Low,Close", "1704103200000", "1704103260000"),
        ("Time, Open, High, Low, Close", "1704103200000000", "1704103260000000"),
        ("time,open,high,low,close", "1704103200000000000", "1704103260000000000"),
        ("time,open,high,low,close", "2024-01-01T10:00:00Z", "2024-01-01T10:01:00Z"),
        ("time,open,high,low,close", "2024-01-01 12:00:00+02:00", "2024-01-01 12:01:00+02:00"),
        ("time,open,high,low,close", "2024/01/01 10:00", "2024/01/01 10:01"),
        ("DATE,TIME,OPEN,HIGH,LOW,CLOSE", "2024.01.01,10:00", "2024.01.01,10:01"),
        ("date,time,open,high,low,close", "20240101,10:00:00", "20240101,10:01:00"),
        ("\ufefftime,open,high,low,close", "2024-01-01 10:00", "2024-01-01 10:01"),
    ],
)
def test_sensible_headers_and_times_are_understood(
    write: Write, header: str, first: str, second: str
) -> None:
    separator = next(s for s in "\t;," if s in header)
    prices = separator.join(("1.1", "1.3", "1.0", "1.2"))
    rows = [f"{time.replace(',', separator)}{separator}{prices}" for time in (first, second)]
    bars = read_history(write(plain(*rows, header=header)), UTC_SERVER).bars
    assert bars.time.tolist() == [FIRST, FIRST + 60]
    assert [column[1] for column in bars.columns()] == [1.1, 1.3, 1.0, 1.2, 0.0, 0.0]


@pytest.mark.parametrize("name", ["volume", "tick_volume", "TickVol", "<TICKVOL>", "vol"])
def test_volume_goes_by_several_names(write: Write, name: str) -> None:
    header = f"time,open,high,low,close,{name}"
    rows = [f"2024-01-01 10:0{m},1.1,1.3,1.0,1.2,7" for m in range(2)]
    assert read_history(write(plain(*rows, header=header)), UTC_SERVER).bars.volume[0] == 7


def test_text_of_two_bytes_a_letter_is_read_as_terminal_scripts_write_it(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(plain(good(0), good(1)), encoding="utf-16")
    assert len(read_history(path, UTC_SERVER).bars) == 2


def test_times_without_an_offset_are_the_servers_and_others_are_not(write: Write) -> None:
    server = ServerTime("NY+7")
    naive = [f"2024-01-01 12:0{m},1,1,1,1,0,0" for m in range(2)]
    aware = [f"2024-01-01 10:0{m}Z,1,1,1,1,0,0" for m in range(2)]
    for rows in (naive, aware):
        assert read_history(write(plain(*rows)), server).bars.time[0] == FIRST


def test_prices_are_read_to_the_last_digit(write: Write) -> None:
    rows = [f"2024-01-01 10:0{m},1.10007,1.10009,1.10003,1.10003,0,0" for m in range(2)]
    bars = read_history(write(plain(*rows)), UTC_SERVER).bars
    assert (bars.open[0], bars.high[0], bars.low[0]) == (1.10007, 1.10009, 1.10003)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("2024-01-01 10:02,nan,1.3,1.0,1.2,5,8", "not a finite price"),
        ("2024-01-01 10:02,1.1,inf,1.0,1.2,5,8", "not a finite price"),
        ("2024-01-01 10:02,1.1,1.3,1.0,what,5,8", "not a finite price"),
        ("2024-01-01 10:02,1.1,1.3", "not a finite price"),
        ("2024-01-01 10:02,1.1,1.3,0,1.2,5,8", "not a positive price"),
        ("2024-01-01 10:02,1.1,1.3,-1.0,1.2,5,8", "not a positive price"),
        ("2024-01-01 10:02,1.1,1.0,1.3,1.2,5,8", "high below low"),
        ("2024-01-01 10:02,1.1,1.3,1.0,1.4,5,8", "open or close outside high and low"),
        ("2024-01-01 10:02,0.9,1.3,1.0,1.2,5,8", "open or close outside high and low"),
        ("2024-01-01 10:02,1.1,1.3,1.0,1.2,-1,8", "no volume or spread of 0 or more"),
        ("2024-01-01 10:02,1.1,1.3,1.0,1.2,5,nan", "no volume or spread of 0 or more"),
        ("2024-01-01 10:02:30,1.1,1.3,1.0,1.2,5,8", "off the M1 grid"),
        ("2024-01-01 10:01,1.1,1.3,1.0,1.2,5,8", "duplicate"),
        ("2024-01-01 09:59,1.1,1.3,1.0,1.2,5,8", "out of order"),
    ],
)
def test_a_bad_bar_is_counted_with_its_line_and_left_out(write: Write, row: str, kind: str) -> None:
    path = write(plain(good(0), good(1), row, *map(good, range(3, 12))))
    history = read_history(path, UTC_SERVER)
    assert dict(history.bad.counts) == {kind: 1}
    assert history.bad.examples[kind] == (4,)
    assert str(history.bad) == f"1 {kind} (line 4)"
    assert minutes(history) == [0, 1, *range(3, 12)]


def test_a_bad_bar_hides_no_later_one_and_many_are_summed_up(write: Write) -> None:
    bad = "2024-01-01 11:00,nan,1.3,1.0,1.2,5,8"
    later = map(good, range(2, 50))
    path = write(plain(good(0), bad, bad, good(1), bad, bad, good(1), *later))
    history = read_history(path, UTC_SERVER)
    assert dict(history.bad.counts) == {"not a finite price": 4, "duplicate": 1}
    assert history.bad.total == 5
    assert str(history.bad) == ("4 not a finite price (lines 3, 4, 6, …), 1 duplicate (line 8)")
    assert minutes(history) == list(range(50))


def test_blank_lines_are_no_bars_and_keep_line_numbers_right(write: Write) -> None:
    path = write(plain(good(0), "", good(1), good(1), *map(good, range(2, 10)), "", ""))
    history = read_history(path, UTC_SERVER)
    assert len(history.bars) == 10
    assert history.bad.examples == {"duplicate": (5,)}


@pytest.mark.parametrize(
    ("step", "timeframe"),
    [(60, "1"), (300, "5"), (3600, "60"), (14_400, "240"), (604_800, "10080")],
)
def test_the_timeframe_is_the_step_most_bars_take(write: Write, step: int, timeframe: str) -> None:
    first = 1_704_585_600  # a Sunday
    times = [first + step * at for at in (0, 1, 2, 5, 6, 9)]
    path = write(plain(*(f"{time},1,1,1,1,0,0" for time in times)))
    assert read_history(path, UTC_SERVER).timeframe == timeframe


def test_bars_out_of_order_do_not_hide_the_timeframe(write: Write) -> None:
    path = write(plain(*map(good, (2, 5, 0, 6, 1, *range(7, 30)))))
    history = read_history(path, UTC_SERVER)
    assert history.timeframe == "1"
    assert dict(history.bad.counts) == {"out of order": 2}


def of_times(path: Path, times: Sequence[int]) -> History:
    path.write_text(plain(*(f"{time},1.1,1.3,1.0,1.2,5,8" for time in times)), encoding="utf-8")
    return read_history(path, UTC_SERVER)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (FIRST + 900 * 60, "out of order"),
        (FIRST - 3600, "out of order"),
        (FIRST + 86_400, "out of order"),
        (FIRST * 1000, "years from the others"),
        (2_588_000_400, "years from the others"),  # 2052
        (0, "years from the others"),
        (10**30, "years from the others"),
    ],
)
@pytest.mark.parametrize("at", [1, 3, 500, 998])
def test_a_wrong_time_costs_its_own_bar_and_no_other(
    tmp_path: Path, wrong: int, kind: str, at: int
) -> None:
    times = [FIRST + 60 * minute for minute in range(1000)]
    history = of_times(tmp_path / "bars.csv", [*times[:at], wrong, *times[at + 1 :]])
    assert str(history.bad) == f"1 {kind} (line {at + 2})"
    assert history.bars.time.tolist() == [time for time in times if time != times[at]]


@pytest.mark.parametrize("wrong", [FIRST * 1000, 2_588_000_400, 0])
@pytest.mark.parametrize("at", [0, -1])
def test_a_wrong_year_is_seen_at_either_end_too(tmp_path: Path, wrong: int, at: int) -> None:
    times = [FIRST + 60 * minute for minute in range(1000)]
    times[at] = wrong
    history = of_times(tmp_path / "bars.csv", times)
    assert dict(history.bad.counts) == {"years from the others": 1}
    assert len(history.bars) == 999


@settings(max_examples=60)
@given(
    count=st.integers(10, 60),
    where=st.floats(0, 1, exclude_max=True),
    moved=st.integers(-10_000_000, 10_000_000),
)
def test_one_corrupted_time_loses_exactly_that_bar(
    tmp_path_factory: pytest.TempPathFactory, count: int, where: float, moved: int
) -> None:
    """Unless it leads to where no bar is and the order still holds: then nothing is lost."""
    path = tmp_path_factory.getbasetemp() / "one_wrong_time.csv"
    times = [FIRST + 60 * minute for minute in range(count)]
    at = int(where * count)
    wrong = times[at] + 60 * moved
    given_times = [*times[:at], wrong, *times[at + 1 :]]
    history = of_times(path, given_times)
    year = 366 * 86_400
    near = times[0] - year < wrong < times[-1] + year
    ordered = near and given_times == sorted(set(given_times))
    left = given_times if ordered else [time for time in times if time != times[at]]
    assert history.bars.time.tolist() == left


@settings(max_examples=60)
@given(order=st.permutations(range(9)))
def test_no_bar_out_of_order_costs_more_bars_than_it_must(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    """Among a hundred good ones, the most bars that can stay in order do stay."""
    path = tmp_path_factory.getbasetemp() / "shuffled.csv"
    minutes_given = [*order, *range(9, 100)]
    kept = minutes(of_times(path, [FIRST + 60 * minute for minute in minutes_given]))
    assert kept == sorted(kept)
    assert len(kept) == 91 + longest_rise(order)


def longest_rise(values: Sequence[int]) -> int:
    longest: list[int] = []
    for at, value in enumerate(values):
        longest.append(1 + max((longest[b] for b in range(at) if values[b] < value), default=0))
    return max(longest)


def test_years_of_two_decades_in_one_file_are_both_kept(tmp_path: Path) -> None:
    """Far from the others is what few bars are, not a file with a long pause."""
    times = [start + 60 * at for start in (FIRST - 600_000_000, FIRST) for at in range(30)]
    assert of_times(tmp_path / "bars.csv", times).bad.total == 0


def test_a_file_that_loses_more_than_a_tenth_of_its_bars_is_refused(write: Write) -> None:
    bad = "2024-01-01 11:00,nan,1.3,1.0,1.2,5,8"
    kept = write(plain(good(0), bad, *map(good, range(1, 9))))
    assert read_history(kept, UTC_SERVER).bad.total == 1
    refused = write(plain(good(0), bad, good(0), *map(good, range(1, 17))))
    assert refusal(refused) == (
        f"{refused}: 2 of 19 bars are bad: 1 not a finite price (line 3), 1 duplicate (line 4): "
        "expected 10 % at most"
    )


@pytest.mark.parametrize(
    "given_minutes", [range(9, -1, -1), [*range(20, 5, -1), 7, *range(5)[::-1]]]
)
def test_a_file_with_the_newest_bar_first_is_refused(
    write: Write, given_minutes: Sequence[int]
) -> None:
    path = write(plain(*map(good, given_minutes)))
    assert refusal(path) == f"{path}: is sorted newest first: expected the oldest bar first"


def parquet(path: Path, **columns: object) -> Path:
    frame = {"open": [1.1, 1.2], "high": [1.3, 1.3], "low": [1.0, 1.0], "close": [1.2, 1.1]}
    pd.DataFrame({**columns, **frame}).to_parquet(path)
    return path


@pytest.mark.parametrize("zone", ["UTC", "Europe/Athens", None])
def test_parquet_is_read_with_and_without_a_zone(tmp_path: Path, zone: str | None) -> None:
    times = pd.Series(pd.to_datetime([FIRST, FIRST + 60], unit="s", utc=True))
    times = times.dt.tz_convert(zone) if zone else times.dt.tz_localize(None)
    path = parquet(tmp_path / "bars.parquet", time=times, volume=[5.5, 6.5])
    bars = read_history(path, UTC_SERVER).bars
    assert bars.time.tolist() == [FIRST, FIRST + 60]
    assert bars.volume.tolist() == [5.5, 6.5]


def test_parquet_times_without_a_zone_are_the_servers(tmp_path: Path) -> None:
    times = pd.to_datetime(["2024-01-01 12:00", "2024-01-01 12:01"])
    path = parquet(tmp_path / "bars.parquet", time=times)
    assert read_history(path, ServerTime("UTC+2")).bars.time[0] == FIRST


def test_parquet_may_keep_its_times_in_the_index(tmp_path: Path) -> None:
    path = parquet(tmp_path / "bars.parquet", time=pd.to_datetime([FIRST, FIRST + 60], unit="s"))
    pd.read_parquet(path).set_index("time").to_parquet(path)
    assert read_history(path, UTC_SERVER).bars.time.tolist() == [FIRST, FIRST + 60]


def test_rows_of_parquet_count_from_one(tmp_path: Path) -> None:
    times = [FIRST + 60 * minute for minute in (0, 1, 1, *range(2, 10))]
    prices = dict.fromkeys(("open", "high", "low", "close"), 1.1)
    path = tmp_path / "bars.parquet"
    pd.DataFrame({"time": times, **prices}).to_parquet(path)
    assert read_history(path, UTC_SERVER).bad.examples == {"duplicate": (3,)}


def outcome(path: Path, piece: int) -> object:
    """Return all that is read of a file, or why it is refused."""
    try:
        history = read_history(path, ServerTime("NY+7"), piece)
    except ConfigurationError as refused:
        return str(refused)
    bars = [column.tolist() for column in (history.bars.time, *history.bars.columns())]
    return bars, history.timeframe, history.bad


ONE_PIECE = 1 << 20
SOME = st.sampled_from(
    ["1.1"] * 8
    + ["1", "", "what", "True", "nan", "inf", "-1", "1.1234567890123", "99999999999999999999"]
)
CLOCKS: dict[str, Callable[[int], str]] = {
    "time": lambda m: f"2024-01-01 10:{m:02}",
    "Time": lambda m: f"2024-01-01 10:{m:02}Z",
    "timestamp": lambda m: str(FIRST + 60 * m),
    "open_time": lambda m: str((FIRST + 60 * m) * 1000),
    "<DATE>,<TIME>": lambda m: f"2024.01.01,10:{m:02}",
    "date,time": lambda m: f"20240101,10:{m:02}:00",
}


DECIMAL_COMMAS = str.maketrans(",.", ";,")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw a file of bars, most of them good, and a few lines of every kind that is not."""
    header = draw(st.sampled_from(list(CLOCKS)))
    clock = CLOCKS[header]
    lines = [f"{header},open,high,low,close,volume,note"]
    for minute in range(draw(st.integers(0, 40))):
        lines.append(f"{clock(minute)},1.1,1.3,1.0,1.2,5,")
        match draw(st.integers(0, 60)):
            case 0 | 1 | 2:
                lines += [""] * draw(st.integers(1, 5))
            case 3:
                lines += ["," * draw(st.integers(0, 6))]
            case 4 | 5 | 6 | 7:
                cells = ",".join(draw(st.lists(SOME, min_size=5, max_size=5)))
                lines.append(f"{clock(minute)},{cells},{draw(SOME)}")
            case 8:
                other = CLOCKS[draw(st.sampled_from(list(CLOCKS)))]
                lines.append(f"{other(minute)},1.1,1.3,1.0,1.2,5,")
            case 9:
                wrong = draw(st.sampled_from(["", "soon", "3", "2024-01-01"]))
                lines.append(f"{wrong}{',' * header.count(',')},1.1,1.3,1.0,1.2,5,")
            case 10:
                lines.append(f"{clock(minute)},1.1,1.3,1.0,1.2,5,,,,")
            case 11:
                lines.append(f'"{clock(minute)}')
    if header != "<DATE>,<TIME>" and draw(st.booleans()):
        lines = [line.translate(DECIMAL_COMMAS) for line in lines]
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n\n\n"]))


@settings(max_examples=300)
@given(text=texts(), piece=st.integers(1, 12))
def test_text_in_pieces_is_read_as_in_one(
    tmp_path_factory: pytest.TempPathFactory, text: str, piece: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "pieces.csv"
    path.write_text(text, encoding="utf-8")
    assert outcome(path, piece) == outcome(path, ONE_PIECE)


@settings(max_examples=100)
@given(
    kind=st.sampled_from(["naive", "aware", "text", "seconds", "index"]),
    wrong=st.dictionaries(
        st.integers(0, 39), st.sampled_from([None, "time", "open", "price"]), max_size=6
    ),
    piece=st.integers(1, 12),
    rows_in_a_group=st.sampled_from([5, 1000]),
)
def test_parquet_in_pieces_is_read_as_in_one(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    wrong: dict[int, str | None],
    piece: int,
    rows_in_a_group: int,
) -> None:
    seconds = [FIRST + 60 * minute for minute in range(40)]
    times = pd.Series(pd.to_datetime(seconds, unit="s", utc=kind == "aware"))
    if kind == "text":
        times = times.dt.strftime("%Y-%m-%d %H:%M")
    elif kind == "seconds":
        times = pd.Series(seconds, dtype="Int64")
    prices = {"open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2}
    frame = pd.DataFrame({"time": times, **prices, "extra": range(40)})
    for row, what in wrong.items():
        if what == "price":
            frame.loc[row, "open"] = -1.0
        else:
            frame.loc[row, [what] if what else ["time", *prices]] = None
    frame = frame.set_index("time") if kind == "index" else frame
    path = tmp_path_factory.getbasetemp() / "pieces.parquet"
    frame.to_parquet(path, row_group_size=rows_in_a_group)
    assert outcome(path, piece) == outcome(path, ONE_PIECE)


def test_the_first_wrong_line_of_many_pieces_is_told(write: Write) -> None:
    bars = [good(minute) for minute in range(9)]
    path = write(plain(*bars[:3], "", "", *bars[3:], "soon,1,1,1,1,0,0", "later,1,1,1,1,0,0"))
    for piece in (1, 2, 3, 100):
        assert f"{path}:13: unreadable time 'soon'" in str(outcome(path, piece))


def test_the_unit_of_epoch_times_is_that_of_most_whatever_a_piece_holds(write: Write) -> None:
    rows = [f"{FIRST + 60 * minute},1.1,1.3,1.0,1.2,5,8" for minute in range(12)]
    path = write(plain(*rows[:6], *[f"{FIRST * 1000},1.1,1.3,1.0,1.2,5,8"], *rows[6:]))
    for piece in (1, 2, 100):
        history = read_history(path, UTC_SERVER, piece)
        assert history.bad.examples == {"years from the others": (8,)}
        assert minutes(history) == list(range(12))


def test_text_after_pieces_of_epoch_times_is_no_time(write: Write) -> None:
    rows = [f"{FIRST + 60 * minute},1.1,1.3,1.0,1.2,5,8" for minute in range(6)]
    path = write(plain(*rows, *map(good, range(6, 9))))
    for piece in (1, 2, 3, 100):
        assert f"{path}:8: unreadable time 'nan'" in str(outcome(path, piece))


def test_a_line_of_too_many_fields_goes_before_what_the_lines_above_say(write: Write) -> None:
    path = write(plain("soon,1,1,1,1,0,0", *map(good, range(9)), good(9) + ",9,9"))
    for piece in (1, 2, 3, 100):
        assert outcome(path, piece) == f"{path}:12: 9 fields: expected 7"


def test_dates_written_as_numbers_may_stand_beside_blank_lines(write: Write) -> None:
    rows = [f"20240101,10:0{minute}:00,1,1,1,1" for minute in range(3)]
    path = write(plain(*rows, "", header="date,time,open,high,low,close"))
    for piece in (1, 2, 100):
        assert minutes(read_history(path, UTC_SERVER, piece)) == [0, 1, 2]


def test_a_blank_line_is_blank_beside_a_number_beyond_64_bits(write: Write) -> None:
    huge = "2024-01-01 10:02,1.1,1.3,1.0,1.2,99999999999999999999,8"
    fractional = "2024-01-01 10:03,1.1,1.3,1.0,1.2,1.5,8"
    path = write(plain(good(0), good(1), "", huge, fractional, ",,,nan,,,", *map(good, (4, 5))))
    for piece in (1, 2, 100):
        history = read_history(path, UTC_SERVER, piece)
        assert minutes(history) == list(range(6))
        assert history.bad.total == 0


def test_a_word_for_truth_is_no_price_beside_numbers_or_alone(write: Write) -> None:
    path = write(plain(*map(good, range(12)), "2024-01-01 10:12,True,1.3,1.0,1.2,5,8"))
    for piece in (1, 2, 100):
        assert read_history(path, UTC_SERVER, piece).bad.examples == {"not a finite price": (14,)}


def test_a_missing_file_is_refused_with_the_nearest_name(write: Write) -> None:
    path = write(plain(good(0)), "GBPUSD_M1.csv")
    message = refusal(path.with_name("GBPUSD_M2.csv"))
    assert "no such file (did you mean 'GBPUSD_M1.csv'?)" in message


def test_a_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nowhere" / "bars.csv")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: expected a header and bars"),
        ("time,open,high,low,close\n", "has no bars"),
        ("time,open,high,low,close\n\n\n", "has no bars"),
        (
            "time,open,hihg,low,close\n1,1,1,1,1\n",
            ":1: no column 'high': the header has time, open, hihg, low, close "
            "(did you mean 'hihg'?)",
        ),
        (
            "time|open|high|low|close\n1|1|1|1|1\n",
            ":1: no column 'time': the header has time|open|high|low|close "
            "(separators are comma, semicolon, tab)",
        ),
        (
            "2024-01-01 10:00,1.1,1.3,1.0,1.2\n2024-01-01 10:01,1.1,1.3,1.0,1.2\n",
            ":1: no header: '2024-01-01 10:00,1.1,1.3,1.0,1.2' is a bar: expected a first line "
            "such as 'time,open,high,low,close,volume'",
        ),
        (
            "2024.01.01,10:00,1.1,1.3,1.0,1.2,5\n",
            "expected a first line such as 'date,time,open,high,low,close,volume'",
        ),
        (
            "20240101 100000;1.1;1.3;1.0;1.2;0\n",
            "expected a first line such as 'time;open;high;low;close;volume'",
        ),
        (
            plain(good(0), "yesterday,1.1,1.3,1.0,1.2,5,8", good(2)),
            ":3: unreadable time 'yesterday': expected ISO such as 2024-01-31 10:00, or epoch",
        ),
        (plain(good(0), ",1.1,1.3,1.0,1.2,5,8"), ":3: unreadable time 'nan'"),
        (plain("31.01.2024 10:00,1,1,1,1,0,0"), ":2: unreadable time '31.01.2024 10:00'"),
        (plain("20240131,1,1,1,1,0,0"), ":2: unreadable time '20240131.0'"),
        (plain("1704103200,1,1,1,1,0,0", "soon,1,1,1,1,0,0"), ":3: unreadable time"),
        (
            plain("1704103200,1,1,1,1,0,0", "inf,1,1,1,1,0,0", "-inf,1,1,1,1,0,0"),
            ":3: unreadable time 'inf': expected ISO such as 2024-01-31 10:00, or epoch seconds",
        ),
        (plain("-inf,1,1,1,1,0,0", "inf,1,1,1,1,0,0"), ":2: unreadable time '-inf'"),
        (
            plain("2024-01-01 10:00Z,1,1,1,1,0,0", good(1)),
            ":3: unreadable time '2024-01-01 10:01': expected all times with an offset or none",
        ),
        (plain(good(0), good(1) + ",9,9"), ":3: 9 fields: expected 7"),
        (plain(*[good(0)] * 200, good(1) + ",9,9"), ":202: 9 fields: expected 7"),
        (
            plain("2024-01-01 10:00,1,nan,1,1,0,0", "2024-01-01 10:01,1,0,1,1,0,0"),
            "no good bar: 1 not a finite price (line 2), 1 not a positive price (line 3)",
        ),
        (plain(good(0)), "has one good bar: expected two at least"),
        (
            plain("2024-01-01 10:00:00,1,1,1,1,0,0", "2024-01-01 10:01:30,1,1,1,1,0,0"),
            "bars are 90 seconds apart: expected the length of a timeframe",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(write: Write, text: str, message: str) -> None:
    assert message in refusal(write(text))


def with_commas(*prices: str) -> str:
    rows = (f"2024-01-01 10:{minute:02};{cells}" for minute, cells in enumerate(prices))
    return plain(*rows, header="time;open;high;low;close;volume")


def test_decimal_commas_are_read_where_they_cannot_separate_thousands(write: Write) -> None:
    path = write(with_commas("1,58050;2;1,381;1,5;7", "1,581;1,581;1,581;1,581;7,5"))
    bars = read_history(path, UTC_SERVER).bars
    assert [column.tolist() for column in bars.columns()[:5]] == [
        [1.5805, 1.581],
        [2, 1.581],
        [1.381, 1.581],
        [1.5, 1.581],
        [7, 7.5],
    ]


def test_a_price_with_a_point_among_decimal_commas_is_a_bad_bar(write: Write) -> None:
    rows = ["1,1;1,3;1,0;1,2;5"] * 12
    path = write(with_commas(*rows[:4], "1.1;1,3;1,0;1,2;5", *rows[4:]))
    assert read_history(path, UTC_SERVER).bad.examples == {"not a finite price": (6,)}


def test_a_price_with_a_comma_among_decimal_points_is_a_bad_bar(write: Write) -> None:
    rows = ["1.1;1.3;1.0;1.2;5"] * 12
    path = write(with_commas("1,1;1.3;1.0;1.2;5", *rows))
    assert read_history(path, UTC_SERVER).bad.examples == {"not a finite price": (2,)}


@pytest.mark.parametrize("price", ["185,123", "43.250,50", "43,250.50", "1,234,567"])
def test_commas_that_may_separate_thousands_are_refused(write: Write, price: str) -> None:
    path = write(with_commas(*[";".join([price] * 4 + ["5"])] * 3))
    assert refusal(path) == (
        f"{path}: a price is '{price}': expected a decimal point and nothing between thousands, "
        "such as 1234.5"
    )


def test_days_that_do_not_stand_on_the_servers_midnight_are_refused(write: Write) -> None:
    """A day's bar that ends after the server's day would be known before it is over."""
    rows = [f"2024-01-0{day}T00:00:00Z,1,1,1,1,0,0" for day in (2, 3, 4)]
    message = refusal(write(plain(*rows)), ServerTime("NY+7"))
    assert "no good bar: 3 off the D1 grid (lines 2, 3, 4)" in message


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(b"\x81\xff\xfe\x00time")
    assert "is no text" in refusal(path)


def test_text_after_a_readable_header_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(b"time,open,high,low,close\n" + b"x" * 10_000 + b"\xff\xfe\x81\n")
    assert "is no text" in refusal(path)


def test_a_quote_that_never_ends_is_refused(write: Write) -> None:
    assert "EOF inside string" in refusal(write(plain(good(0), '"2024-01-01 10:01,1,1,1,1')))


def test_what_is_called_parquet_and_is_none_is_refused(write: Write) -> None:
    assert "is no readable Parquet file" in refusal(write("time,open", "bars.parquet"))


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "bars.parquet", time=[FIRST, FIRST + 60])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "Parquet needs pyarrow: pip install pyarrow" in refusal(path)


def test_a_file_that_may_not_be_read_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(plain(good(0), good(1)))
    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read: Permission denied" in refusal(path)


def test_a_feed_gives_its_bars_span_and_report(write: Write) -> None:
    path = write(plain(*map(good, (0, 1, 2, 9, 9, *range(10, 16)))))
    feed = FileFeed("EURUSD", path, UTC_SERVER)
    feed.open()
    assert (feed.timeframe, feed.first, feed.end) == ("1", FIRST, FIRST + 960)
    assert feed.bars(FIRST + 60, FIRST + 540).time.tolist() == [FIRST + 60, FIRST + 120]
    assert feed.report() == [
        "EURUSD: 10 M1 bars from 2024-01-01 10:00 to 2024-01-01 10:15 UTC, "
        "1 gap of 6 bars (bars.csv)",
    ]
    assert feed.warnings() == ["EURUSD: left out 1 bad bar: 1 duplicate (line 6)"]


@pytest.mark.parametrize(
    ("given_minutes", "gaps"),
    [
        (range(5), "no gaps"),
        ((0, 1, 2, 4), "1 gap of 1 bar"),
        ((0, 1, 3, 4, 6), "2 gaps, the longest of 1 bar"),
        ((0, 1, 3, 4, 8, 9), "2 gaps, the longest of 3 bars"),
    ],
)
def test_a_feed_counts_its_gaps(write: Write, given_minutes: Sequence[int], gaps: str) -> None:
    feed = FileFeed("EURUSD", write(plain(*map(good, given_minutes))), UTC_SERVER)
    feed.open()
    (line,) = feed.report()
    assert line.endswith(f" UTC, {gaps} (bars.csv)")


def test_a_feed_of_good_bars_alone_warns_of_nothing(write: Write) -> None:
    feed = FileFeed("EURUSD", write(plain(good(0), good(1))), UTC_SERVER)
    feed.open()
    assert feed.report() == [
        "EURUSD: 2 M1 bars from 2024-01-01 10:00 to 2024-01-01 10:01 UTC, no gaps (bars.csv)"
    ]
    assert feed.warnings() == []


@pytest.mark.market_data
@pytest.mark.parametrize(
    ("name", "rows", "first", "last"),
    [
        ("GBPUSD_M1_201202.csv", 30_117, "2012-02-01T00:00", "2012-03-01T00:00"),
        ("BTCUSD_M1_202201.parquet", 45_031, "2021-12-31T23:01", "2022-02-01T05:31"),
    ],
)
def test_real_bars_are_read_whole(name: str, rows: int, first: str, last: str) -> None:
    path = MARKET_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    history = read_history(path, UTC_SERVER)
    assert len(history.bars) == rows
    assert history.timeframe == "1"
    assert history.bad.total == 0
    ends = history.bars.time[[0, -1]].astype("datetime64[s]")
    assert ends.tolist() == np.array([first, last], "datetime64[s]").tolist()
