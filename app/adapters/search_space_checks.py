"""Whether the `optimize:` section of a strategy file names values of it, and possible ones."""

from pydantic import ValidationError

from app.domain.errors import ConfigurationError, nearest
from app.strategies.schema import StrategyFile
from app.strategies.search_space import (
    SEARCHED,
    Candidate,
    Loc,
    Range,
    Span,
    is_searched,
    parsed,
    paths_of,
    value_at,
    with_value,
)
from app.strict_yaml import Document
from app.validation import dotted, explain, shown


def check_search_space(document: Document, file: StrategyFile) -> None:
    """Refuse paths that name no value of the file, and values that it could not hold there.

    What only several values together make impossible is left to the search.

    Raises:
        ConfigurationError: what is wrong, with file and line, and the nearest name.

    """
    for path, candidates in (file.optimize or {}).items():
        loc = _location(document, path, candidates)
        for candidate in candidates.extremes():
            _check_candidate(document, path, loc, candidate)


def _location(document: Document, path: str, candidates: Range) -> Loc:
    where = document.where(("optimize", path))
    loc = parsed(path)
    if loc is None:
        raise ConfigurationError(
            f"{where}: is no path: expected one such as entry.long.conditions[0].value"
        )
    if not is_searched(path):
        raise ConfigurationError(f"{where}: expected a value below {', '.join(SEARCHED)}")
    if dotted(loc) != path:
        raise ConfigurationError(f"{where}: expected it written {dotted(loc)}")
    try:
        value = value_at(document.data, loc)
    except LookupError:
        known = [each for each in map(dotted, paths_of(document.data)) if is_searched(each)]
        raise ConfigurationError(
            f"{where}: the file has no such value{nearest(path, known)}"
        ) from None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(candidates, Span) and not is_number:
        raise ConfigurationError(
            f"{where}: the value there is {shown(value)}, no number: expected choices"
        )
    if isinstance(value, dict):
        raise ConfigurationError(f"{where}: is a whole block: expected one value of it")
    return loc


def _check_candidate(document: Document, path: str, loc: Loc, candidate: Candidate) -> None:
    try:
        StrategyFile.model_validate(with_value(document.data, loc, candidate))
    except ValidationError as error:
        problem = explain(error, StrategyFile)
        if problem.loc[: len(loc)] == loc:
            raise ConfigurationError(
                f"{document.where(('optimize', path))}: {problem.text}"
            ) from None
