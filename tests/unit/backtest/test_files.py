"""The files of a backtest: exact, the same each time, and never half written."""

import csv
import json
import os
import shutil
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from pyarrow import parquet

from app.backtest import files
from app.backtest.figures import by_regime, by_strategy, figures_of, monthly
from app.backtest.outcome import Drawdown
from app.domain.errors import ConfigurationError, PermissionDeniedError
from tests.unit.backtest.outcomes import (
    DAY,
    HOUR,
    MONDAY,
    equity_of,
    outcome,
    some_outcomes,
    trade,
    trades_of,
)

NAMES = [
    "trades.csv",
    "trades.parquet",
    "equity.csv",
    "equity.parquet",
    "figures.json",
    "report.html",
]


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def a_run(**other):
    return outcome(
        trades=[
            trade("12.5", ticket=7, commission="-0.70", swap="-0.05", spread="1.20"),
            trade("-3", ticket=8, stop=None, target=Decimal("1.2"), regime="", strategy='a,"b\n'),
        ],
        equity=equity_of("10011.75", "10008.75"),
        **other,
    )


def test_trades_are_written_exactly(tmp_path):
    files.write(a_run(), tmp_path)
    first, second = rows(tmp_path / "trades.csv")
    assert first == {
        "ticket": "7",
        "symbol": "EURUSD",
        "strategy": "cross",
        "direction": "long",
        "regime": "bull_expansion",
        "volume": "0.10",
        "opened_at": "2025-01-06T00:00:00+00:00",
        "entry": "1.10000",
        "stop": "1.09500",
        "target": "",
        "closed_at": "2025-01-06T01:00:00+00:00",
        "exit": "1.10100",
        "reason": "signal",
        "duration_seconds": "3600",
        "profit": "12.5",
        "commission": "-0.70",
        "swap": "-0.05",
        "net": "11.75",
        "spread": "1.20",
    }
    assert (second["strategy"], second["stop"], second["target"]) == ('a,"b\n', "", "1.2")


def test_the_equity_is_written_exactly(tmp_path):
    files.write(a_run(), tmp_path)
    assert (tmp_path / "equity.csv").read_text() == (
        "time,balance,equity\n"
        "2025-01-06T00:00:00+00:00,10000,10000\n"
        "2025-01-07T00:00:00+00:00,10011.75,10011.75\n"
        "2025-01-08T00:00:00+00:00,10008.75,10008.75\n"
    )


@pytest.mark.parametrize("name", ["trades", "equity"])
def test_parquet_holds_what_the_csv_holds(tmp_path, name):
    files.write(a_run(), tmp_path)
    table = parquet.read_table(tmp_path / f"{name}.parquet")
    types = {str(field.type) for field in table.schema}
    assert types <= {"int64", "string", "decimal128(38, 12)", "timestamp[us, tz=UTC]"}
    written = rows(tmp_path / f"{name}.csv")
    assert table.num_rows == len(written)
    for stored, text in zip(table.to_pylist(), written, strict=True):
        assert list(stored) == list(text)
        for column, value in stored.items():
            if isinstance(value, Decimal):
                assert value == Decimal(text[column])
            elif hasattr(value, "isoformat"):
                assert value.isoformat() == text[column]
            else:
                assert ("" if value is None else str(value)) == text[column]


def test_no_number_is_written_with_an_exponent(tmp_path):
    run = outcome(trades=[trade("1E+3", swap="0E-9", entry=Decimal(110) / 100 / 3)])
    files.write(run, tmp_path)
    [row] = rows(tmp_path / "trades.csv")
    assert (row["profit"], row["swap"]) == ("1000", "0.000000000")
    assert row["entry"] == "0.3666666666666666666666666667"
    [stored] = parquet.read_table(tmp_path / "trades.parquet").to_pylist()
    assert (stored["profit"], stored["entry"]) == (1000, Decimal("0.366666666667"))


def test_the_figures_hold_everything(tmp_path):
    run = a_run(
        drawdown=Drawdown(Decimal(3), 0.03, MONDAY + DAY, MONDAY + 2 * DAY, None),
        exposed=DAY,
        still_open=1,
        signals=5,
        refused={"spread": 1, "news": 2},
        assumptions=["Orders fill at the next open."],
        complete=False,
    )
    files.write(run, tmp_path)
    got = json.loads((tmp_path / "figures.json").read_text())
    assert {name: got[name] for name in list(got)[:12]} == {
        "name": "cross on EURUSD",
        "began": "2025-01-06T00:00:00+00:00",
        "ended": "2025-01-08T00:00:00+00:00",
        "complete": False,
        "currency": "EUR",
        "capital": "10000",
        "balance": "10008.75",
        "final_equity": "10008.75",
        "candles": 1440,
        "signals": 5,
        "refused": {"news": 2, "spread": 1},
        "still_open": 1,
    }
    figures = got["whole"].pop("figures")
    assert (figures["net_profit"], figures["expectancy"]) == ("8.75", "4.37500000")
    assert figures["average_duration"] == 3600.0
    assert figures["longest_losing_run"] == 1
    assert got["whole"] == {
        "equity_change": "8.75",
        "return_percent": pytest.approx(0.0875),
        "cagr_percent": None,
        "drawdown": "3",
        "drawdown_percent": 0.03,
        "drawdown_peak_at": "2025-01-07T00:00:00+00:00",
        "drawdown_low_at": "2025-01-08T00:00:00+00:00",
        "drawdown_recovered_at": None,
        "recovery_factor": pytest.approx(8.75 / 3),
        "exposure_percent": 50.0,
        "sharpe": pytest.approx(6.663, abs=0.001),
        "sortino": pytest.approx(32.79, abs=0.01),
        "trading_days_a_year": 252,
    }
    assert list(got["by_strategy"]) == list(by_strategy(run)) == ['a,"b\n', "cross"]
    assert list(got["by_regime"]) == list(by_regime(run)) == ["bull_expansion", ""]
    assert [month["net_profit"] for month in got["monthly"]] == [
        str(month.net_profit) for month in monthly(run)
    ]
    assert got["assumptions"] == ["Orders fill at the next open."]


def test_a_run_without_trades_leaves_whole_files(tmp_path):
    files.write(outcome(), tmp_path)
    assert rows(tmp_path / "trades.csv") == []
    table = parquet.read_table(tmp_path / "trades.parquet")
    assert (table.num_rows, str(table.schema.field("target").type)) == (0, "decimal128(38, 12)")
    assert json.loads((tmp_path / "figures.json").read_text())["by_strategy"] == {}


def test_times_keep_their_microseconds_and_durations_whole_seconds(tmp_path):
    closed = MONDAY + timedelta(microseconds=1)
    files.write(outcome(trades=[trade(closed=closed, lasted=1.9 * HOUR / 3600)]), tmp_path)
    [row] = rows(tmp_path / "trades.csv")
    assert (row["closed_at"], row["duration_seconds"]) == ("2025-01-06T00:00:00.000001+00:00", "1")


@given(run=some_outcomes())
@settings(max_examples=30)
def test_the_same_outcome_is_the_same_bytes(tmp_path_factory, run):
    folder = tmp_path_factory.getbasetemp()
    paths = files.write(run, folder / "one")
    assert [path.name for path in paths] == NAMES
    others = files.write(run, folder / "other")
    for path, other in zip(paths, others, strict=True):
        assert path.read_bytes() == other.read_bytes()
    total = figures_of(run.trades).net_profit
    assert sum(Decimal(row["net"]) for row in rows(paths[0])) == total
    assert json.loads((folder / "one" / "figures.json").read_bytes())["whole"]["figures"][
        "net_profit"
    ] == str(total)


def test_the_order_in_which_reasons_came_up_is_not_told(tmp_path):
    for name, reasons in (("one", ["news", "spread"]), ("other", ["spread", "news"])):
        files.write(outcome(refused=dict.fromkeys(reasons, 3)), tmp_path / name)
    one, other = (tmp_path / name / "figures.json" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_what_utf8_cannot_hold_is_escaped(tmp_path):
    """A name may come from a file name that is no text; shown red by encoding as it is."""
    run = outcome(trades=[trade(strategy="a\udcffb", regime="ümlaut 🙂")], name="a\udcffb")
    files.write(run, tmp_path)
    assert rows(tmp_path / "trades.csv")[0]["strategy"] == "a\\udcffb"
    [stored] = parquet.read_table(tmp_path / "trades.parquet").to_pylist()
    assert (stored["strategy"], stored["regime"]) == ("a\\udcffb", "ümlaut 🙂")
    text = (tmp_path / "figures.json").read_text(encoding="utf-8")
    assert json.loads(text)["name"] == "a\udcffb"
    assert "ümlaut 🙂" in text
    assert "<title>Backtest a\\udcffb</title>" in (tmp_path / "report.html").read_text("utf-8")


# Folders and disks


def test_a_folder_is_made_and_older_files_are_replaced(tmp_path):
    folder = tmp_path / "runs" / "one"
    files.write(a_run(), folder)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    (folder / "notes.txt").write_text("of somebody else")
    paths = files.write(outcome(trades=trades_of("1")), folder)
    assert paths == [folder / name for name in NAMES]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*NAMES, "notes.txt"])
    assert all(path.stat().st_ino != before[path.name] for path in paths)
    assert len(rows(folder / "trades.csv")) == 1


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_what_does_not_fit_leaves_the_older_files_whole(tmp_path):
    """Half of the new ones was written; shown red by writing in place."""
    import resource  # noqa: PLC0415 - not on Windows

    files.write(a_run(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == len(NAMES)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    longer = outcome(trades=trades_of(*["1"] * 100), equity=equity_of(*range(1, 100)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(ConfigurationError) as raised:
            files.write(longer, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(raised.value) == f"{tmp_path / 'trades.csv'}: cannot be written: File too large"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_interruption_leaves_the_older_files_whole(tmp_path, monkeypatch):
    files.write(a_run(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    synced = []

    def interrupted(handle):
        synced.append(handle)
        if len(synced) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(outcome(), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("file", "cannot be made: a file stands in its way"),
        ("file/below", "cannot be made: a file stands in its way"),
        ("n" * 300, "cannot be written: File name too long"),
    ],
)
def test_a_folder_that_cannot_be_is_one_message(tmp_path, inside, says):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(ConfigurationError) as raised:
        files.write(outcome(), tmp_path / inside)
    assert str(raised.value) == f"{tmp_path / inside}: {says}"


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "equity.csv").mkdir()
    with pytest.raises(ConfigurationError) as raised:
        files.write(outcome(), tmp_path)
    assert str(raised.value) == f"{tmp_path / 'equity.csv'}: cannot be written: Is a directory"
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def of_another():
    """Make a folder of another user, and act as that user where root could not be refused."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    nobody = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(folder, nobody, -1)
    os.setresuid(nobody, nobody, os.geteuid())
    yield folder
    saved = os.getresuid()[2]
    os.setresuid(saved, saved, saved)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs setresuid, to be another user")
@pytest.mark.parametrize(("inside", "blamed"), [("", "trades.csv"), ("new", "new")])
def test_a_missing_permission_is_named(of_another, inside, blamed):
    """Exit code 77, not 78: somebody has to grant it."""
    of_another.chmod(0o500)
    with pytest.raises(PermissionDeniedError) as denied:
        files.write(outcome(), of_another / inside)
    of_another.chmod(0o700)
    assert denied.value.exit_code == 77
    assert str(denied.value) == f"{of_another / blamed}: cannot be written: Permission denied"
