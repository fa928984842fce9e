"""Where settings come from: environment names out of the model, and the text found under them.

Each leaf's environment name is its path in capitals joined with ``_``, besides the names it
declares with :class:`Env`. Libraries guess such names from a delimiter, which cannot work where
the names themselves contain it, so the model is walked instead.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Annotated, Final, TypeAlias, cast, get_args

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.domain.errors import ConfigurationError, nearest
from app.validation import explain

KeyPath: TypeAlias = tuple[str, ...]

_MISSPELT: Final = 0.91
"""How alike a foreign name must be to one of ours to be taken for a mistake."""
_DOUBTFUL: Final = 0.85
"""How alike it must be to be pointed out."""
_NAME: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*).*", re.DOTALL)


class Env:
    """Declares the environment names of a leaf in order of priority, before the one of its path."""

    def __init__(self, *names: str) -> None:
        self.names = names


@dataclass(frozen=True, slots=True)
class PerSymbol:
    """Declares ``<SYMBOL>_<suffix>`` for a mapping of symbols: a value, or a `field` of it."""

    suffix: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One configuration key."""

    path: KeyPath
    info: FieldInfo

    @property
    def key(self) -> str:
        """The path with dots."""
        return ".".join(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """The environment names, the first wins."""
        declared = chain.from_iterable(m.names for m in self.info.metadata if isinstance(m, Env))
        return tuple(dict.fromkeys([*declared, "_".join(self.path).upper()]))

    @property
    def per_symbol(self) -> tuple[PerSymbol, ...]:
        """The patterns of names for single symbols."""
        return tuple(m for m in self.info.metadata if isinstance(m, PerSymbol))


def leaves(model: type[BaseModel], path: KeyPath = ()) -> Iterator[Leaf]:
    """Yield every key of the model, in the order it declares them."""
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from leaves(section, (*path, name))
        else:
            yield Leaf((*path, name), info)


@dataclass(frozen=True, slots=True)
class Given:
    """A value from the environment, and where it was found: ``environment RISK_MAX_POSITIONS``."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Names and texts of the process's environment and of a ``.env`` file, which it beats.

    A name whose text is empty counts as not set.
    """

    process: Mapping[str, str]
    dotenv: Mapping[str, str]
    dotenv_name: str
    unreadable: Mapping[str, int]
    """The first words of what is no ``NAME=value`` in ``.env``, and their lines."""

    @classmethod
    def read(cls, process: Mapping[str, str], dotenv: Path | None) -> "Environment":
        """Read the ``.env`` file, when there is one.

        Raises:
            ConfigurationError: it cannot be read.

        """
        bindings = list(parse_stream(io.StringIO(_text(dotenv)))) if dotenv is not None else []
        good = "".join(binding.original.string for binding in bindings if not binding.error)
        bad = {
            _NAME.sub(r"\1", binding.original.string): binding.original.line
            for binding in bindings
            if binding.error
        }
        return cls(
            _set_ones(process), _set_ones(dotenv_values(stream=io.StringIO(good))), str(dotenv), bad
        )

    def get(self, name: str) -> str | None:
        """Return the text under `name`."""
        return self.process.get(name, self.dotenv.get(name))

    def names(self) -> Iterator[str]:
        """Yield every name once."""
        yield from {**self.dotenv, **self.process}

    def origin(self, name: str) -> str:
        """Say where `name` was found."""
        return f"{'environment' if name in self.process else self.dotenv_name} {name}"

    def given(self, model: type[BaseModel]) -> dict[KeyPath, Given]:
        """Return what is set, by key, checked.

        Raises:
            ConfigurationError: a bad value; or a name that misspells one of ours.

        """
        found: dict[KeyPath, Given] = {}
        keys = list(leaves(model))
        known = {name for leaf in keys for name in leaf.names}
        for word, line in self.unreadable.items():
            if word in known:
                raise ConfigurationError(f"{self.dotenv_name}:{line}: expected {word}=value")
        for leaf in keys:
            name = next((name for name in leaf.names if self.get(name) is not None), None)
            if name is not None:
                found[leaf.path] = self._value(name, _annotation(leaf.info))
        for leaf in keys:
            for pattern in leaf.per_symbol:
                found.update(self._of_symbols(leaf, pattern, known))
        self._refuse_misspelt(known, model)
        return found

    def doubtful(self, model: type[BaseModel]) -> Iterator[str]:
        """Say which foreign names and lines may be meant for us."""
        for line in self.unreadable.values():
            yield f"{self.dotenv_name}:{line} is not read: expected NAME=value"
        keys = list(leaves(model))
        known = {name for leaf in keys for name in leaf.names}
        short = known - {"_".join(leaf.path).upper() for leaf in keys}
        for name in sorted(set(self.names()) - known):
            if near := get_close_matches(name, short, n=1, cutoff=_DOUBTFUL):
                yield f"{self.origin(name)} is not read{nearest(name, near)}"

    def _of_symbols(
        self, leaf: Leaf, pattern: PerSymbol, known: set[str]
    ) -> Iterator[tuple[KeyPath, Given]]:
        path_name = "_".join(leaf.path).upper()
        named = re.compile(rf"(?:{path_name}_)?([A-Za-z0-9][\w.#+-]*)_{pattern.suffix}")
        value_type = get_args(leaf.info.annotation)[1]
        for name in self.names():
            if (match := named.fullmatch(name)) and name not in known:
                path = (*leaf.path, match[1])
                if pattern.field is None:
                    yield path, self._value(name, value_type)
                else:
                    info = value_type.model_fields[pattern.field]
                    yield (*path, pattern.field), self._value(name, _annotation(info))

    def _value(self, name: str, annotation: object) -> Given:
        adapter = TypeAdapter(
            cast("type[object]", annotation), config=ConfigDict(allow_inf_nan=False)
        )
        origin = self.origin(name)
        try:
            return Given(adapter.validate_python(self.get(name)), origin)
        except ValidationError as error:
            problem = explain(error, annotation)
            raise ConfigurationError(f"{origin}: {problem.text}") from None

    def _refuse_misspelt(self, known: set[str], model: type[BaseModel]) -> None:
        prefixes = tuple(f"{name.upper()}_" for name in model.model_fields if name != "api")
        for name in self.names():
            if name in known or not name.startswith(prefixes):
                continue
            if near := get_close_matches(name, known, n=1, cutoff=_MISSPELT):
                raise ConfigurationError(
                    f"{self.origin(name)}: unknown name (did you mean '{near[0]}'?)"
                )


def _annotation(info: FieldInfo) -> object:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _set_ones(texts: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text.strip() for name, text in texts.items() if text and text.strip()}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: expected UTF-8 text") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
