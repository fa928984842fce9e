"""YAML is read strictly, and every fault is one line with file and line."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic import Strict as StrictMark
from typing_extensions import TypeAliasType

from app import strict_yaml
from app.domain.errors import ConfigurationError
from app.strict_yaml import Document, complain, load


@pytest.fixture(params=[yaml.CSafeLoader, yaml.SafeLoader], ids=["libyaml", "pure"])
def loader(request, monkeypatch):
    """Both parsers PyYAML may come with."""
    monkeypatch.setattr(strict_yaml, "_LOADER", request.param)


@pytest.fixture
def read(tmp_path, loader):
    """Write a file and load it."""

    def read_text(content: str | bytes) -> Document:
        path = tmp_path / "x.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load(path)

    return read_text


def fault(read, content) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(content)
    message = str(caught.value)
    assert "\n" not in message
    assert "x.yaml" in message
    return message.partition("x.yaml")[2]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("-12", -12),
        ("0", 0),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("017", "017"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2025-01-06", "2025-01-06"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("|-\n  5", "5"),
        ("[1, a, [true]]", [1, "a", [True]]),
        ("{1: a, true: b}", {"1": "a", "true": "b"}),
    ],
)
def test_a_scalar_means_what_it_looks_like(read, text, value):
    data = read(f"key: {text}\n").data["key"]
    assert data == value
    assert type(data) is type(value)


def test_a_number_of_thousands_of_digits_is_out_of_range(read):
    assert f"number '{'9' * 60}…' is out of range" in fault(read, f"key: {'9' * 5000}")


@pytest.mark.parametrize("content", ["", "# nothing\n", b"\xef\xbb\xbf", "---\n", "null\n"])
def test_an_empty_file_is_an_empty_mapping(read, content):
    document = read(content)
    assert document.data == {}
    assert re.search(r"x\.yaml:[12] a$", document.where(("a",)))


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(read):
    document = read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert document.data == {"a": 1, "b": 2}
    assert document.line(("b",)) == 2


def test_anchors_and_merge_keys_work_and_explicit_keys_win(read):
    document = read(
        "base: &base\n  a: 1\n  b: 2\nmore: &more {b: 3, c: 4}\n"
        "one:\n  <<: *base\n  b: 5\ntwo:\n  <<: [*base, *more]\nthree: *base\n"
    )
    assert document.data["one"] == {"b": 5, "a": 1}
    assert document.data["two"] == {"a": 1, "b": 2, "c": 4}
    assert document.data["three"] == {"a": 1, "b": 2}
    assert document.line(("one", "a")) == 2
    assert document.line(("one", "b")) == 7
    assert document.line(("three",)) == 10
    assert document.line(("three", "b")) == 3


def test_a_quoted_merge_key_is_a_plain_key(read):
    assert read("'<<': 1").data == {"<<": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\na: 2\n", ":2: key 'a' is already given in line 1"),
        ("{a: 1, 'a': 2}", ":1: key 'a' is already given in line 1"),
        ("x: {1: a, '1': b}", ":1: key '1' is already given in line 1"),
        ("b: &b {c: 1}\na:\n  <<: *b\n  <<: *b\n", ":4: key '<<' is already given in line 3"),
        ("a: !!python/object/apply:os.system [ls]", ":1: tag 'tag:yaml.org,2002:python/object"),
        ("a: !!python/object:os.x {b: 1}", ":1: tag 'tag:yaml.org,2002:python/object"),
        ("a: !mine 1", ":1: tag '!mine' is not allowed"),
        ("!!str a: 1", ":1: tag 'tag:yaml.org,2002:str' is not allowed"),
        ("- a\n- b\n", ":1: expected 'key: value' lines at the top"),
        ("just text", ":1: expected 'key: value' lines at the top"),
        ("a: 1\n---\nb: 2\n", ":2: a second document ('---')"),
        ("? [a]\n: 1\n", ":1: this key is no plain text"),
        ("&k a: 1", ":1: this key is no plain text"),
        ("? \n: 1", ":1: a key is empty"),
        ("a: *nope", ":1: alias '*nope' has no anchor before it"),
        (
            "base: &base 1\nb: *bas",
            ":2: alias '*bas' has no anchor before it (did you mean 'base'?)",
        ),
        ("a: &a [*a]", ":1: alias '*a' has no anchor before it"),
        ("a: &a 1\nb:\n  <<: *a\n", ":3: '<<' merges mappings"),
        ("b:\n  <<: []\n", ":2: '<<' merges mappings"),
        ("a: 1e999", ":1: number '1e999' is out of range"),
        ("a: -1e999", ":1: number '-1e999' is out of range"),
        ("a:\n\tb: 1\n", ":2: not valid YAML: indented with a tab: expected spaces"),
        ('a: "open\n', ": not valid YAML: "),
        ("a: [1\nb: 2\n", ": not valid YAML: "),
        ("a: b: c", ":1: not valid YAML: mapping values are not allowed"),
        (b"a: 1\nb: \x00\n", ":2: unprintable character U+0000"),
        (b"a: \x07", ":1: unprintable character U+0007"),
        ('a: "\\0"', ":1: unprintable character U+0000"),
        (b"a: 1\nb: \xff\n", ":2: expected UTF-8 text"),
        ("a: 1\n".encode("utf-16"), ":1: expected UTF-8 text"),
    ],
)
def test_a_fault_is_said_in_one_line_with_its_place(read, content, said):
    assert said in fault(read, content)


def test_an_unknown_directive_is_one_line_too(read):
    assert ": not valid YAML: " in fault(read, "%YAML 9.9\n---\na: @\n")


def test_nesting_is_bounded(read):
    assert ":1: nested more than 50 levels deep" in fault(read, "a: " + "[" * 100)
    assert read("a: " + "[" * 49 + "]" * 49).data


def test_nesting_by_aliases_is_bounded(read):
    half = "a: &a " + "[" * 30 + "]" * 30
    assert ":2: nested more than 50 levels deep" in fault(
        read, f"{half}\nb: {'[' * 25}*a{']' * 25}"
    )


def test_an_alias_bomb_is_refused_before_it_grows(read):
    lines = ["a: &a [" + ",".join("1" * 10) + "]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert ":5: more than 100000 values with aliases expanded" in fault(read, "\n".join(lines))


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "services.yaml").touch()
    with pytest.raises(ConfigurationError, match=r"did you mean 'services\.yaml'\?"):
        load(tmp_path / "service.yaml")
    with pytest.raises(ConfigurationError, match=r"gone/x\.yaml does not exist$"):
        load(tmp_path / "gone" / "x.yaml")


def test_what_is_no_readable_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="is a directory"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="is not a regular file"):
        load(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigurationError, match="cannot be read: "):
        load(tmp_path / "loop")
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*null"):
        load(Path("a\0b"))


def test_a_file_above_a_mebibyte_is_refused(read):
    assert " is larger than 1048576 bytes" in fault(read, "#" * (1 << 20) + "\n")


KEYS = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60)
@given(data=st.dictionaries(KEYS, VALUES, max_size=3))
def test_what_yaml_writes_is_read_back(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=False), "utf-8")
    assume("\\0" not in path.read_text("utf-8"))
    assert load(path).data == data


@settings(max_examples=150)
@given(content=st.binary(max_size=60) | st.text("ab:-[]{}&*!<?|>'\"#%@ \n\t0", max_size=40))
def test_whatever_the_bytes_only_configuration_errors_come_out(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        outcome: object = load(path).data
    except ConfigurationError as error:
        outcome = str(error).splitlines()
    assert isinstance(outcome, dict) or len(outcome) == 1


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Leaf(Strict):
    signal: str
    operator: Literal["gt", "lt"]
    value: float | str | list[float]


class AllOf(Strict):
    all: "list[Tree]"


def _kind(value: object) -> str:
    return "all" if isinstance(value, dict) and "all" in value else "leaf"


Tree = Annotated[Annotated[Leaf, Tag("leaf")] | Annotated[AllOf, Tag("all")], Discriminator(_kind)]


class Fixed(Strict):
    type: Literal["fixed"]
    value: float


class Trailing(Strict):
    type: Literal["trailing"]
    trailing: Annotated[float, Field(gt=0)]


PlainStrict = StrictMark(strict=False)


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd: two by two")
    return value


def _asked(value: int) -> int:
    if value % 2:
        raise ValueError("expected an even number")
    return value


Nested = TypeAliasType("Nested", "dict[str, Nested | int]")
Branches = TypeAliasType("Branches", dict[str, int])


class Strategy(Strict):
    entry: dict[str, Tree] = {}
    stop: Annotated[Fixed | Trailing, Field(discriminator="type")] | None = None
    target: Fixed | Trailing | None = None
    pair: Annotated[tuple[int, str], PlainStrict] = (1, "a")
    even: Annotated[int, AfterValidator(_even)] = 2
    asked: Annotated[int, AfterValidator(_asked)] = 2
    either: Annotated[int, AfterValidator(_asked)] | bool = True
    rates: dict[Annotated[str, Field(max_length=3)], int] = {}
    nested: Nested = {}
    tree: dict[str, Branches] = {}
    code: str = Field("A", pattern="^[A-Z]$")
    count: Annotated[int, Field(ge=1)] = 1
    named: int = Field(1, alias="also")
    short: list[int] = Field([1], min_length=1)


AllOf.model_rebuild()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "entry:\n  long:\n    all:\n      - signal: a\n        operater: gt\n        value: 1",
            ":5 entry.long.all[0].operater: unknown key 'operater' (did you mean 'operator'?)"
            " (and 1 more)",
        ),
        (
            "entry:\n  long: {signal: a, operator: gte, value: 1}\n",
            ":2 entry.long.operator: got 'gte', expected 'gt' or 'lt' (did you mean 'gt'?)",
        ),
        (
            "entry:\n  long: {signal: a, operator: gt, value: {}}\n",
            ":2 entry.long.value: got a mapping, expected a number or text or a list",
        ),
        ("entry:\n  long:\n    signal: a\n    value: 1\n", ":2 entry.long.operator: is missing"),
        (
            "stop: {type: fixd}",
            ":1 stop: unknown 'type' 'fixd': expected one of 'fixed', 'trailing'",
        ),
        ("stop: {value: 1}", ":1 stop: 'type' is missing"),
        (
            "stop:\n  type: trailing\n  trailing: 0\n",
            ":3 stop.trailing: got 0, expected more than 0",
        ),
        ("stop: {type: trailing, trailig: 1}", "unknown key 'trailig' (did you mean 'trailing'?)"),
        ("code: x", ":1 code: got 'x', expected text such as ^[A-Z]$"),
        ("tree:\n  a:\n    b: x\n", ":3 tree.a.b: got 'x', expected a whole number"),
        ("even: 3", ":1 even: 3 is odd: two by two"),
        ("asked: 3", ":1 asked: got 3, expected an even number"),
        ("either: 3", ":1 either: got 3, expected an even number or true or false"),
        ("rates: {a: 1, long: 2}", ":1 rates.long: got 'long', expected at most 3 characters"),
        ("nested:\n  a:\n    b: x\n", ":3 nested.a.b: got 'x', expected a mapping"),
        ("pair: [1, 2]", ":1 pair[1]: got 2, expected text"),
        ("pair: [a, a]", ":1 pair[0]: got 'a', expected a whole number"),
        ("count: yes", ":1 count: got 'yes', expected a whole number"),
        ("count: 0", ":1 count: got 0, expected at least 1"),
        ("count: true", ":1 count: got true, expected a whole number"),
        ("also: x", ":1 also: got 'x', expected a whole number"),
        ("short: []", ":1 short: got a list, expected at least 1 item"),
        ("zzz: 1", ":1 zzz: unknown key 'zzz': expected one of entry, stop, target, pair"),
        ("count:", ":1 count: got nothing, expected a whole number"),
        ("entry: 1", ":1 entry: got 1, expected a mapping"),
        ("count: " + "x" * 99, "got '" + "x" * 60 + "…', expected"),
        ("count: http://me:se@cret@host/", "got 'http://***@host/', expected"),
    ],
)
def test_what_validation_found_is_one_useful_line(read, content, said):
    document = read(content)
    with pytest.raises(ValidationError) as caught:
        Strategy.model_validate(document.data)
    message = str(complain(document, caught.value, Strategy))
    assert said in message
    assert "\n" not in message
