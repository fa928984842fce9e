"""Strategies from ``<conf>/strategies/<symbol in lower case>/*.yaml``, one strategy a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from app import strict_yaml
from app.adapters.indicator_files import missing_file
from app.adapters.search_space_checks import check_search_space
from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe
from app.domain.rows import Columns
from app.strategies.evaluate import Strategy
from app.strategies.schema import StrategyFile
from app.strategies.scope import UnknownColumnError
from app.strict_yaml import Document

_SUFFIXES = frozenset({".yaml", ".yml"})


def declared_timeframes(conf: Path, symbol: str) -> tuple[Timeframe, ...]:
    """Return the timeframes the enabled strategies of `symbol` declare, fastest first.

    Raises:
        ConfigurationError: no file, or a file that is no strategy.

    """
    found = {
        timeframe
        for _, file in read_strategies(conf, symbol)
        if file.enabled
        for timeframe in file.timeframes
    }
    return tuple(sorted(found, key=lambda timeframe: timeframe.minutes))


def load_strategies(
    conf: Path,
    symbol: str,
    columns: Callable[[Timeframe], Columns],
    *,
    magic: Callable[[str], int],
    rows_kept: int | None = None,
    any_candle: bool = False,
) -> tuple[Strategy, ...]:
    """Return the enabled strategies of `symbol`, compiled, in the order of their file names.

    `columns` gives the columns of a timeframe, `magic` the order number of a strategy's name;
    `rows_kept` is how many rows of each timeframe strategies will see, where that is known;
    `any_candle` triggers each on the fastest timeframe it declares, whatever its `trigger:` says.
    Disabled strategies are checked like the others and left out.

    Raises:
        ConfigurationError: what is wrong, with file and line, and the nearest name.

    """
    by_name: dict[str, Document] = {}
    strategies = []
    for document, file in read_strategies(conf, symbol):
        if file.name in by_name:
            raise ConfigurationError(
                f"{document.where(['name'])}: '{file.name}' is already the name of "
                f"{by_name[file.name].path}: expected a name of its own"
            )
        by_name[file.name] = document
        try:
            strategy = compile_strategy(
                document,
                file,
                symbol,
                columns,
                magic=magic,
                rows_kept=rows_kept,
                any_candle=any_candle,
            )
        except UnknownColumnError as error:
            missing = missing_file(conf, symbol, error.timeframe)
            hint = f": {missing} is missing" if missing else ""
            raise ConfigurationError(f"{error}{hint}") from None
        if file.enabled:
            strategies.append(strategy)
    return tuple(strategies)


def compile_strategy(
    document: Document,
    file: StrategyFile,
    symbol: str,
    columns: Callable[[Timeframe], Columns],
    *,
    magic: Callable[[str], int],
    rows_kept: int | None = None,
    any_candle: bool = False,
) -> Strategy:
    """Return `file`, which `document` holds, perhaps with other values, compiled.

    Raises:
        ConfigurationError: what is wrong, with file and line, and the nearest name.

    """
    strategy = Strategy.compiled(
        file.model_copy(update={"trigger": None}) if any_candle else file,
        symbol,
        magic(file.name),
        {timeframe: columns(timeframe) for timeframe in file.timeframes},
        document.where,
    )
    _check_rows(strategy, document, rows_kept)
    return strategy


def _check_rows(strategy: Strategy, document: Document, kept: int | None) -> None:
    for timeframe, needed in strategy.rows_needed.items():
        if kept is not None and needed > kept:
            raise ConfigurationError(
                f"{document.path}: '{strategy.rules.name}' looks back over {needed} rows of "
                f"timeframe {timeframe}, but {kept} are kept: expected a shorter lookback, or "
                f"services.indicator_calculation.recent_rows_limit of at least {needed}"
            )


def read_strategies(conf: Path, symbol: str) -> Iterator[tuple[Document, StrategyFile]]:
    """Yield the strategy files of `symbol`, in the order of their names, disabled ones too.

    Raises:
        ConfigurationError: no file, or a file that is no strategy.

    """
    for path in _paths(conf, symbol):
        document = strict_yaml.load(path)
        try:
            file = StrategyFile.model_validate(document.data)
        except ValidationError as error:
            raise strict_yaml.complain(document, error, StrategyFile) from None
        check_search_space(document, file)
        yield document, file


def _paths(conf: Path, symbol: str) -> list[Path]:
    folder = conf / "strategies" / symbol.lower()
    paths = _yaml_files(folder)
    if not paths:
        known = sorted(each.name for each in _listed(conf / "strategies") if _yaml_files(each))
        exist = f"; there are some for {', '.join(known)}" if known else ""
        raise ConfigurationError(
            f"no strategies for {symbol}: expected {folder}/*.yaml{exist}"
            f"{nearest(symbol.lower(), known)}"
        )
    return paths


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in _listed(folder)
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read: {error.strerror}") from None
