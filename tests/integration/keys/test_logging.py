"""logging.*: the keys that no other test shows, as the daemon's command writes them."""

import logging
import re

import orjson
import pytest

FIVE_MINUTES = {"MARKET_DATA_UNTIL": "2025-01-06T08:05Z"}
TO_FILE = {"LOGGING_FILE_OUTPUT": "true", **FIVE_MINUTES}
FETCHED = "Fetched data for EURUSD 1"


@pytest.fixture(autouse=True)
def _closed_files(own_process):
    """Close the log files that the daemon, which ran in this process, leaves to its exit."""
    before = logging.getLogger().handlers[:]
    yield
    for handler in logging.getLogger().handlers:
        if handler not in before:
            handler.close()


def test_level(main_here):
    """C20, V9, M10, M11, M12: nothing less severe than it is shown."""
    shown = {}
    for level in ("DEBUG", "INFO", "WARNING"):
        ended = main_here(LOGGING_LEVEL=level, MARKET_DATA_UNTIL="2025-01-06T12:00Z")
        shown[level] = set(re.findall(r"\b(DEBUG|INFO|WARNING|ERROR)\b:? ", ended.out))
    assert shown["WARNING"] == {"WARNING"}, "that there is no configuration file"
    assert shown["INFO"] == {"INFO", "WARNING"}
    assert shown["DEBUG"] == {"DEBUG", "INFO", "WARNING"}


def test_format(main_here):
    """C21, F1, F3, P7: lines for people, or an object each."""
    as_json = [
        orjson.loads(line) for line in main_here(LOGGING_FORMAT="json", **FIVE_MINUTES).lines
    ]
    assert any(line["message"].startswith(FETCHED) for line in as_json)
    as_text = main_here(LOGGING_FORMAT="text", **FIVE_MINUTES)
    assert not [line for line in as_text.lines if line.startswith("{")]
    assert FETCHED in as_text.out


def test_file_output(main_here, folder):
    """C23, S14: off, no file is made; on, it is written at its usual place."""
    usual = folder / "logs" / "trading_system.log"
    main_here(**FIVE_MINUTES)
    assert not usual.parent.exists()
    main_here(LOGGING_FILE_OUTPUT="true", **FIVE_MINUTES)
    assert FETCHED in usual.read_text("utf-8")


def test_log_file(main_here, folder):
    """C24: it is written where this says, and nowhere else."""
    main_here(LOGGING_LOG_FILE="elsewhere/mine.log", **TO_FILE)
    assert FETCHED in (folder / "elsewhere" / "mine.log").read_text("utf-8")
    assert not (folder / "logs").exists()


def test_file_max_bytes(main_here, folder):
    """C23, S14: no file grows beyond it; by default so little is in one."""
    main_here(**TO_FILE)
    assert [file.name for file in (folder / "logs").iterdir()] == ["trading_system.log"]
    main_here(LOGGING_FILE_MAX_BYTES="2048", **TO_FILE)
    _, *rotated = sorted((folder / "logs").iterdir())
    assert len(rotated) > 1
    assert all(file.stat().st_size <= 2048 for file in rotated[:-1])


def test_file_backups(main_here, folder):
    """C23, S14: so many rotated files are kept, the newest ones."""
    for kept in (2, 5):
        main_here(LOGGING_FILE_MAX_BYTES="1024", LOGGING_FILE_BACKUPS=str(kept), **TO_FILE)
        names = {file.name for file in (folder / "logs").iterdir()}
        assert names == {
            "trading_system.log",
            *(f"trading_system.log.{number}" for number in range(1, kept + 1)),
        }
