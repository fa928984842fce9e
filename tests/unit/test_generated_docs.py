"""What is generated from the code says what the code says, and drift is noticed."""

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app import events, generated_docs
from app.generated_docs import configuration_page, documents, events_page, main
from app.setting_sources import leaves
from app.settings import Settings

PROJECT = Path(__file__).parents[2]


def test_nothing_generated_has_drifted(capsys):
    """S11, S12: the committed files are those the code writes."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_key_and_name_has_its_row():
    rows = [line for line in configuration_page().splitlines() if line.startswith("| `")]
    keys = list(leaves(Settings))
    assert len(rows) == len(keys)
    for row, leaf in zip(rows, keys, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4
        assert cells[0] == f"`{leaf.path[-1]}`"
        assert all(f"`{name}`" in cells[1] for name in leaf.names)
        assert len(cells[3]) > len("seconds")


def test_meanings_carry_bounds_and_choices():
    page = configuration_page()
    assert "between cycles; a replay steps from candle to candle (above 0 to 86400)" in page
    assert "on_any_candle: on the fastest it declares" in page
    assert "how often a failed fetch is tried again within its cycle (0 to 100)" in page
    assert "(paper, monitor, live)" in page
    assert "(synchronous)" in page
    assert "(above 0) |" in page
    assert "`XAUUSD" not in page
    assert "`<SYMBOL>_PIP_VALUE`" in page


def test_every_event_is_on_the_page_in_order_with_its_fields():
    """E1-E8."""
    page = events_page()
    classes = [
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
        if value.__module__ == events.__name__
    ]
    places = [page.index(f"### {event.__name__}\n") for event in classes]
    assert places == sorted(places)
    for event in classes:
        part = page.partition(f"### {event.__name__}\n")[2].partition("\n##")[0]
        assert str(event.__doc__).partition("\n")[0] in part
        for name in event.__annotations__:
            assert f"| `{name}` | `" in part


def test_an_event_shows_its_base_section_types_and_derived_values():
    page = events_page()
    section = page.partition("## Data fetching\n")[2].partition("\n## ")[0]
    assert "### NewCandleEvent\n\nBase: `Event`. A candle closed." in section
    assert "| `late` | `bool` | default `False` |" in section
    assert "| `symbol` | `str` | The candle's symbol. |" in section
    assert "| `newest` | `datetime \\| None` |" in section


def test_headings_are_those_of_the_page():
    source = Path(events.__file__).read_text("utf-8")
    headings = [line[2:] for line in source.splitlines() if line.startswith("# ")]
    assert headings
    assert [line[3:] for line in events_page().splitlines() if line.startswith("## ")] == headings
    assert ast.parse(source)


def test_a_drifted_file_fails_the_check_and_is_written_again(tmp_path, capsys):
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.count("has drifted from the code: run python -m") == len(
        generated_docs.documents()
    )
    assert list(tmp_path.iterdir()) == [], "a check writes nothing"
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    page = tmp_path / "docs/EVENTS.md"
    page.write_text("old", "utf-8")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.startswith("docs/EVENTS.md has drifted")
    assert page.read_text("utf-8") == "old"
    assert main([], tmp_path) == 0
    assert page.read_text("utf-8") == documents()[Path("docs/EVENTS.md")]


def test_a_wrong_argument_is_refused(capsys):
    assert main(["--chek"]) == 64
    assert "expected no argument or --check, got --chek" in capsys.readouterr().err


def test_the_command_checks():
    command = [sys.executable, "-m", "app.generated_docs", "--check"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("path", documents(), ids=str)
def test_documents_end_in_one_newline_and_keep_to_the_width(path):
    text = documents()[path]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    if path.suffix != ".md":
        assert max(len(line) for line in text.splitlines()) <= 100
    assert generated_docs.__name__ in text or path.suffix != ".md"
