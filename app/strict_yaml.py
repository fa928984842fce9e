"""YAML read strictly, with the file and line of everything in it.

Scalars mean what they look like (YAML 1.2): ``true``/``false``, decimal whole numbers, floats and
``null``; ``NO``, ``on``, ``017``, ``12:30:45`` and dates stay text, and so does every key. Files
are built from parser events here, so no tag can name a Python type and no nesting or alias can
blow up. Every fault is a ConfigurationError of one line.
"""

import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ValidationError

from app.domain.errors import ConfigurationError, nearest
from app.validation import dotted, explain, shown

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 50
MAX_NODES: Final = 100_000

_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_BREAK: Final = re.compile(r"\r\n?|\n")


@dataclass(slots=True)
class _Node:
    """A value and where it stands; `size` and `height` are of its tree with aliases expanded."""

    line: int
    value: object = None
    size: int = 1
    height: int = 0
    children: "dict[str | int, _Node]" = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)

    def take(self, child: "_Node") -> None:
        """Count `child` in."""
        self.size += child.size
        self.height = max(self.height, child.height + 1)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its values, and the line of each."""

    path: Path
    data: dict[str, object]
    root: _Node = field(repr=False, compare=False)

    def where(self, loc: Sequence[str | int]) -> str:
        """Say where `loc` stands: ``conf/x.yaml:12 entry.long.conditions[0].signal``.

        The line is that of the deepest part that exists in the file.
        """
        return f"{self.path}:{self.line(loc)} {dotted(loc)}".rstrip()

    def line(self, loc: Sequence[str | int]) -> int:
        """Return the line of the deepest part of `loc` that exists."""
        node, line = self.root, self.root.line
        for part in loc:
            child = node.children.get(part)
            if child is None:
                break
            line = node.key_lines.get(str(part), child.line)
            node = child
        return line


def load(path: Path) -> Document:
    """Read one YAML mapping; an empty file is an empty one.

    Raises:
        ConfigurationError: the file cannot be read, is no YAML, or is no mapping.

    """
    text = _read(path)
    with _clear_errors(path, text):
        root = _Composer(path, text).document()
    data = root.value
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}:{root.line}: expected 'key: value' lines at the top")
    return Document(path, data, root)


def complain(
    document: Document, error: ValidationError, model: type[BaseModel]
) -> ConfigurationError:
    """Turn what pydantic found wrong with `document.data` into one line for the operator.

    Where a model takes one of several models, a discriminator is what makes the line exact.
    """
    problem = explain(error, model)
    return ConfigurationError(f"{document.where(problem.loc)}: {problem.text}")


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ConfigurationError(f"{path} is a directory: expected a YAML file")
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"{path} is not a regular file: expected a YAML file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist{_sibling(path)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path} cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {MAX_BYTES} bytes: expected a YAML file")
    return _decode(path, content)


def _sibling(path: Path) -> str:
    try:
        return nearest(path.name, (entry.name for entry in path.parent.iterdir()))
    except OSError:
        return ""


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: expected UTF-8 text") from None
    if found := _UNPRINTABLE.search(text):
        line = len(_BREAK.findall(text, 0, found.start())) + 1
        raise ConfigurationError(
            f"{path}:{line}: unprintable character U+{ord(found[0]):04X}: expected plain text"
        )
    return text


@contextmanager
def _clear_errors(path: Path, text: str) -> Iterator[None]:
    """Say a parser's complaint in one line."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        index = mark.line if mark else 0
        lines = _BREAK.split(text)
        start = lines[index] if index < len(lines) else ""
        blank = start[: len(start) - len(start.lstrip())]
        problem = " ".join(str(getattr(error, "problem", error)).split())
        if "\t" in blank:
            problem = "indented with a tab: expected spaces"
        raise ConfigurationError(f"{path}:{index + 1}: not valid YAML: {problem}") from None


class _Composer:
    """Builds nodes from parser events, refusing what an operator cannot have meant."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._events = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, _Node] = {}

    def document(self) -> _Node:
        """Return the root of the one document."""
        root = _Node(line=1)
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._fault(event, "a second document ('---'): expected only one")
                root = self._node(next(self._events), depth=0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            node = self._alias(event)
            if depth + node.height > MAX_DEPTH:
                raise self._too_deep(event)
            return node
        if depth > MAX_DEPTH:
            raise self._too_deep(event)
        node = _Node(_line(event))
        if isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._refuse_tag(event)
            self._fill_list(node, depth)
        else:
            self._refuse_tag(event)
            self._fill_mapping(node, depth)
        if node.size > MAX_NODES:
            raise self._fault(event, f"more than {MAX_NODES} values with aliases expanded")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> _Node:
        name = str(event.anchor)
        node = self._anchors.get(name)
        if node is None:
            hint = nearest(name, self._anchors)
            raise self._fault(event, f"alias '*{name}' has no anchor before it{hint}")
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        self._refuse_tag(event)
        text = event.value
        if "\x00" in text:
            raise self._fault(event, "unprintable character U+0000: expected plain text")
        if not event.implicit[0]:  # quoted or a block: text as written
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                raise self._fault(event, f"number {shown(text)} is out of range")
            return number
        return text

    def _fill_list(self, node: _Node, depth: int) -> None:
        values: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            child = self._node(event, depth + 1)
            node.children[len(values)] = child
            values.append(child.value)
            node.take(child)
        node.value = values

    def _fill_mapping(self, node: _Node, depth: int) -> None:
        merged: list[_Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key.value in node.key_lines:
                first = node.key_lines[key.value]
                raise self._fault(event, f"key '{key.value}' is already given in line {first}")
            node.key_lines[key.value] = _line(event)
            child = self._node(next(self._events), depth + 1)
            node.take(child)
            if key.value == "<<" and key.implicit[0]:
                merged += self._merged(key, child)
            else:
                node.children[key.value] = child
        for source in merged:
            for name, child in source.children.items():
                if name not in node.children:
                    node.children[name] = child
                    node.key_lines[str(name)] = source.key_lines[str(name)]
        node.value = {name: child.value for name, child in node.children.items()}

    def _key(self, event: yaml.Event) -> yaml.ScalarEvent:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None:
            raise self._fault(event, "this key is no plain text: expected 'key: value'")
        self._refuse_tag(event)
        if not event.value:
            raise self._fault(event, "a key is empty: expected 'key: value'")
        return event

    def _merged(self, key: yaml.Event, node: _Node) -> list[_Node]:
        sources = list(node.children.values()) if isinstance(node.value, list) else [node]
        if not sources or not all(isinstance(source.value, dict) for source in sources):
            raise self._fault(key, "'<<' merges mappings: expected an alias such as *defaults")
        return sources

    def _refuse_tag(self, event: yaml.Event) -> None:
        if (tag := getattr(event, "tag", None)) is not None:
            raise self._fault(event, f"tag '{tag}' is not allowed: expected a plain value")

    def _too_deep(self, event: yaml.Event) -> ConfigurationError:
        return self._fault(event, f"nested more than {MAX_DEPTH} levels deep")

    def _fault(self, event: yaml.Event, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}:{_line(event)}: {what}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
