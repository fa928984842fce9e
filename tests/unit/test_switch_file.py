"""The kill switch as a file: what a command, an editor, a shell or a stray hand leaves in it."""

import codecs
import os
import stat
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.switch_file import read_switch, write_switch
from app.ports import Switch

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "trading.switch"


@pytest.fixture
def holding(file):
    """Put bytes into the file, written at noon; return how the switch stands then."""

    def read(content):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (NOON.timestamp(), NOON.timestamp()))
        return read_switch(file)

    return read


def test_without_a_file_nobody_has_switched(file):
    assert read_switch(file) is None


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("reason", ["", "before the news", "ümlaut 🙂"])
def test_what_was_set_is_read(file, enabled, reason):
    switch = Switch(enabled, NOON + timedelta(microseconds=7), reason)
    write_switch(file, switch)
    assert read_switch(file) == switch


@pytest.mark.parametrize("word", ["DISABLE", "disable", " Disable\r\n", "\n\tDISABLE\n"])
def test_a_bare_word_counts_from_when_it_was_written(holding, word):
    """A person writes it with whatever is at hand, in a hurry."""
    assert holding(word.encode()) == Switch(False, NOON)


@pytest.mark.parametrize(
    ("bom", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_the_mark_of_an_editor_or_a_shell_is_no_part_of_the_word(holding, bom, encoding):
    """PowerShell's ``>`` writes UTF-16."""
    assert holding(bom + "ENABLE\r\n".encode(encoding)) == Switch(True, NOON)


def test_a_reason_without_a_time_is_a_reason(holding):
    assert holding(b"DISABLE lunch break\n") == Switch(False, NOON, "lunch break")
    assert holding(b"DISABLE 2026-11-23\n") == Switch(False, NOON, "2026-11-23")


def test_a_time_is_taken_in_whatever_zone_it_has(holding):
    there = datetime(2026, 11, 23, 7, tzinfo=timezone(timedelta(hours=-5)))
    assert holding(f"ENABLE {there.isoformat()} fine".encode()) == Switch(True, NOON, "fine")


@pytest.mark.parametrize("content", [b"", b"   \n", b"OFF", b"ENABLED", b"\xff\xfe\xff", b"0"])
def test_what_cannot_be_understood_disables_and_says_so(holding, file, content):
    """Whoever wrote it meant something: no entry until it is clear."""
    switch = holding(content)
    assert (switch.enabled, switch.at) == (False, NOON)
    assert f"{file} holds neither ENABLE nor DISABLE" in switch.reason


def test_what_cannot_be_read_disables_and_says_so(file):
    file.mkdir(parents=True)
    switch = read_switch(file)
    assert not switch.enabled
    assert str(file) in switch.reason


@given(content=st.binary(max_size=200))
def test_no_content_is_an_error_and_only_the_word_enables(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.switch"
    file.write_bytes(content)
    switch = read_switch(file)
    assert "\n" not in switch.reason
    if switch.enabled:
        assert b"enable" in content.lower().replace(b"\0", b"")


def test_a_huge_file_is_not_read_whole(holding):
    assert holding(b"DISABLE " + b"x" * 100_000_000).reason == "x" * (4096 - 8)


@pytest.mark.skipif(os.name != "posix", reason="POSIX file modes")
def test_the_switch_is_for_its_owner_and_replaced_in_one_step(file):
    write_switch(file, Switch(True, NOON))
    before = file.stat().st_ino
    write_switch(file, Switch(False, NOON))
    assert file.stat().st_ino != before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]
