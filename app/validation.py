"""What pydantic found wrong, said to an operator in one line.

Pydantic's locations name the branch of a union beside real keys; here they are followed through
the model so that only what stands in the file remains.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypeIs

from app.domain.errors import nearest

Loc: TypeAlias = tuple[str | int, ...]

_EXPECTED: Final = {
    "bool": "true or false",
    "bytes": "text",
    "date": "a date such as 2025-01-06",
    "datetime": "a date or a time such as 2025-01-06T10:00:00Z",
    "decimal": "a number",
    "dict": "a mapping ('key: value' lines)",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "mapping": "a mapping ('key: value' lines)",
    "model": "a mapping ('key: value' lines)",
    "none": "nothing",
    "string": "text",
    "tuple": "a list",
}
"""By the first word of pydantic's error type."""

_BOUNDS: Final = {
    "greater_than": ("more than {}", "gt"),
    "greater_than_equal": ("at least {}", "ge"),
    "less_than": ("less than {}", "lt"),
    "less_than_equal": ("at most {}", "le"),
}
_EXPECTATION: Final = "expected "
"""A validator whose ValueError begins so gets what was given put before it."""

_KEY: Final = "[key]"
_USERINFO: Final = re.compile(r"(?<=://)\S*@|^[^\s/:@]+:(?!//)\S*@")
_PASSWORD: Final = re.compile(r"(?<=password=)[^&\s]+", re.IGNORECASE)
_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """The most useful complaint: `loc` is the path in the data, `text` ends in "and N more"."""

    loc: Loc
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A location without union branches, and the annotations its parent and itself may have."""

    loc: Loc
    parents: tuple[object, ...]


def dotted(loc: Sequence[str | int]) -> str:
    """Write a location as ``entry.long.conditions[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def explain(error: ValidationError, annotation: object) -> Problem:
    """Return the most useful complaint: an unknown key before what it leaves missing.

    `annotation` is the model or type the data was validated against.
    """
    by_loc: dict[Loc, list[tuple[ErrorDetails, _Place]]] = {}
    for details in error.errors(include_url=False):
        place = _place(details["loc"], annotation)
        by_loc.setdefault(place.loc, []).append((details, place))
    loc, found = min(by_loc.items(), key=lambda item: min(_rank(d) for d, _ in item[1]))
    text = _say(found)
    others = len(by_loc) - 1
    return Problem(loc, f"{text} (and {others} more)" if others else text)


def without_credentials(text: str) -> str:
    """Hide the name and password of every URL in `text`."""
    return _PASSWORD.sub("***", _USERINFO.sub("***@", text))


def shown(value: object) -> str:
    """Write a value for a message: short, on one line, without the credentials of a URL."""
    text = without_credentials(str(value)) if isinstance(value, str) else _plain(value)
    text = " ".join(text.split())
    if len(text) > _LONGEST_SHOWN:
        text = text[:_LONGEST_SHOWN] + "…"
    return f"'{text}'" if isinstance(value, str) else text


def _plain(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return str(value)


def _rank(details: ErrorDetails) -> int:
    return {"extra_forbidden": 0, "missing": 2}.get(details["type"], 1)


def _say(found: list[tuple[ErrorDetails, _Place]]) -> str:
    """Say one complaint, or what each branch of a union would have taken."""
    details, place = min(found, key=lambda item: _rank(item[0]))
    ctx = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(place)
        case "missing":
            return "is missing"
        case "union_tag_not_found":
            return f"{_tag_key(ctx)} is missing"
        case "union_tag_invalid":
            tags = str(ctx["expected_tags"])
            hint = nearest(str(ctx["tag"]), re.findall(r"'([^']*)'", tags))
            return f"unknown {_tag_key(ctx)} '{ctx['tag']}': expected one of {tags}{hint}"
        case "value_error" | "assertion_error" if not _is_expectation(details):
            return str(ctx["error"])
    expected = " or ".join(dict.fromkeys(_expected(each) for each, _ in found))
    value = details["input"]
    hint = ""
    if isinstance(value, str):
        choices = [name for each, _ in found for name in _choices(each)]
        hint = nearest(value, choices)
    return f"got {shown(value)}, expected {expected}{hint}"


def _is_expectation(details: ErrorDetails) -> bool:
    return str(details.get("ctx", {}).get("error", "")).startswith(_EXPECTATION)


def _tag_key(ctx: dict[str, object]) -> str:
    return str(ctx["discriminator"]).removesuffix("()")


def _choices(details: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))


def _expected(details: ErrorDetails) -> str:
    kind, ctx = details["type"], details.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return str(ctx["expected"])
    if kind in ("value_error", "assertion_error"):
        return str(ctx["error"]).removeprefix(_EXPECTATION)
    if kind in _BOUNDS:
        phrase, bound = _BOUNDS[kind]
        return phrase.format(_plain_number(ctx[bound]))
    if kind == "string_pattern_mismatch":
        return f"text such as {ctx['pattern']}"
    if kind.endswith(("too_short", "too_long")):
        return details["msg"].partition(" after ")[0].partition(" should have ")[2]
    return _EXPECTED.get(kind.partition("_")[0], details["msg"].removeprefix("Input should be "))


def _plain_number(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _unknown_key(place: _Place) -> str:
    name = str(place.loc[-1])
    known = list(dict.fromkeys(n for model in _models(place.parents) for n in _field_names(model)))
    hint = nearest(name, known)
    if not hint and known:
        hint = f": expected one of {', '.join(known)}"
    return f"unknown key '{name}'{hint}"


def _field_names(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield info.alias or name


def _place(loc: Loc, annotation: object) -> _Place:
    """Follow `loc` through the types, leaving out the union branches it names."""
    kept: list[str | int] = []
    parents: tuple[object, ...] = (annotation,)
    here: tuple[object, ...] = (annotation,)
    for part in loc:
        members = tuple(_members(here))
        if (branch := _branch(members, part)) is not None:
            here = branch
            continue
        if part == _KEY:
            continue
        kept.append(part)
        parents, here = members, tuple(_below(members, part))
    return _Place(tuple(kept), parents)


def _members(annotations: Iterable[object]) -> Iterator[object]:
    """Take unions apart; a branch's Tag stays with it as ``Annotated[branch, Tag]``."""
    for annotation in annotations:
        origin = get_origin(annotation)
        if hasattr(annotation, "__value__"):  # a named type alias, possibly recursive
            yield from _members([annotation.__value__])
        elif origin is Annotated:
            inner, *metadata = get_args(annotation)
            tags = [extra for extra in metadata if isinstance(extra, Tag)]
            if tags:
                yield annotation
            else:
                yield from _members([inner])
        elif origin in (Union, UnionType):
            yield from _members(get_args(annotation))
        elif annotation is not NoneType:
            yield annotation


def _branch(members: tuple[object, ...], part: str | int) -> tuple[object, ...] | None:
    """Return the union branches that `part` names, ``None`` when it is a real key."""
    labelled = tuple(member for member in members if part in _labels(member))
    if labelled and len(members) > 1:
        return tuple(_untagged(labelled))
    models = _models(members)
    is_field = any(part in set(_field_names(model)) for model in models)
    if isinstance(part, str) and not is_field and _GENERIC_LABEL.fullmatch(part):
        return members
    return None


_GENERIC_LABEL: Final = re.compile(r"[a-z][\w-]*\[.*\]|constrained-\w+")
"""How pydantic names the branches of a union that are no models."""


def _labels(member: object) -> set[str]:
    if get_origin(member) is Annotated:
        return {extra.tag for extra in get_args(member)[1:] if isinstance(extra, Tag)}
    if not _is_model(member):
        name = getattr(get_origin(member) or member, "__name__", "")
        return {name.lower()}
    literals = {
        str(value)
        for info in member.model_fields.values()
        if get_origin(info.annotation) is Literal
        for value in get_args(info.annotation)
    }
    return {member.__name__, *literals}


def _untagged(members: Iterable[object]) -> Iterator[object]:
    for member in members:
        yield from _members([get_args(member)[0]] if get_origin(member) is Annotated else [member])


def _is_model(annotation: object) -> TypeIs[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _models(members: Iterable[object]) -> list[type[BaseModel]]:
    return [member for member in _untagged(members) if _is_model(member)]


def _below(members: Iterable[object], part: str | int) -> Iterator[object]:
    """Yield the annotations of what `part` leads to."""
    for member in _untagged(members):
        arguments = [a for a in get_args(member) if a is not Ellipsis]
        if _is_model(member):
            for name, info in member.model_fields.items():
                if part in (name, info.alias):
                    yield info.annotation
        elif isinstance(part, str):
            yield from arguments[1:2]
        elif len(arguments) > 1 and part < len(arguments):
            yield arguments[part]
        else:
            yield from arguments[:1]
