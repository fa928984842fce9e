"""What a bug report needs comes in one file, without secrets."""

import stat
import sys
from pathlib import Path

import pytest

from app import main_bug_report

SECRETS = {
    "API_BASE_URL": "http://trader:hunter2@127.0.0.1:9/mt5",
    "JOURNAL_URL": "postgresql://root:sesame@127.0.0.1:1/none",
}


@pytest.fixture
def report(main_here):
    def run(*arguments, **names):
        ended = main_here("--out", "report.txt", *arguments, main=main_bug_report.main, **names)
        return ended, Path("report.txt").read_text() if ended.code == 0 else ""

    return run


def test_it_holds_versions_settings_files_and_the_end_of_the_log(report, folder, main_here):
    """S18: after a run that wrote a log."""
    log = {"LOGGING_FILE_OUTPUT": "true", "MARKET_DATA_UNTIL": "2025-01-06T08:30Z"}
    assert main_here(**log).code == 0
    ended, text = report(LOGGING_FILE_OUTPUT="true")
    assert (ended.code, ended.err) == (0, "")
    assert "What I expected:" in text
    assert f"python {sys.version.split()[0]}" in text
    assert "httpx 0." in text
    assert "ta-lib 0." in text
    assert "logging.file_output = true" in text
    assert "# environment LOGGING_FILE_OUTPUT" in text
    assert "strategies/eurusd/" in text
    assert "Shutdown complete. Thank you for trading!" in text


def test_no_secret_is_in_it(report):
    """Nor what stands in its way: a journal that cannot be reached is a line."""
    ended, text = report(**SECRETS)
    assert ended.code == 0
    assert "hunter2" not in text
    assert "sesame" not in text
    assert "=== Journal ===\nswitch: " in text
    assert "cannot be read: journal" in text


def test_settings_that_are_wrong_are_part_of_it(report):
    ended, text = report(RISK_MAX_POSITIONS="many")
    assert ended.code == 0
    assert "cannot be read: " in text
    assert "RISK_MAX_POSITIONS" in text


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes there")
def test_only_its_owner_can_read_it(report):
    report()
    assert stat.S_IMODE(Path("report.txt").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_one_line(report, folder):
    Path("file").write_text("")
    ended, _ = report("--out", "file/report.txt")
    assert ended.code == 78
    assert ended.err.startswith("error: file/report.txt: ")
