"""The indicator files: ``conf/indicators/<symbol lower>/<symbol lower>_<timeframe>.yaml``."""

from collections.abc import Mapping
from pathlib import Path

from app import strict_yaml
from app.domain.errors import ConfigurationError, nearest
from app.domain.market import Timeframe
from app.indicators.faults import IndicatorError
from app.indicators.registry import IndicatorSpec, columns_of, spec_of


def load_indicators(folder: Path, symbol: str, timeframe: Timeframe) -> tuple[IndicatorSpec, ...]:
    """Read the indicators of one symbol and timeframe, in the order of the file.

    `folder` is the one that CONF_FOLDER_PATH names. The file may spell the timeframe in any way,
    as in ``eurusd_5.yaml`` or ``eurusd_M5.yaml``; no file means no indicators.

    Raises:
        ConfigurationError: a file that belongs to no timeframe, two for one, or one that asks for
            what there is not; with file, line and the nearest name.

    """
    paths = _paths(_home(folder, symbol), symbol.lower(), timeframe)
    if len(paths) > 1:
        raise ConfigurationError(
            f"{paths[0]} and {paths[1].name} are both for {symbol} {timeframe}: expected one file"
        )
    return _read(paths[0]) if paths else ()


def missing_file(folder: Path, symbol: str, timeframe: Timeframe) -> Path | None:
    """Return the file to write if a symbol and timeframe have none, as `load_indicators` looks."""
    home, stem = _home(folder, symbol), symbol.lower()
    return None if _paths(home, stem, timeframe) else home / f"{stem}_{timeframe}.yaml"


def _home(folder: Path, symbol: str) -> Path:
    return folder / "indicators" / symbol.lower()


def _paths(folder: Path, stem: str, timeframe: Timeframe) -> list[Path]:
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in {".yaml", ".yml"}:
            continue
        if _timeframe(path, stem) == timeframe:
            found.append(path)
    return found


def _timeframe(path: Path, stem: str) -> Timeframe:
    name, _, spelling = path.stem.rpartition("_")
    if name.lower() != stem or path.suffix != ".yaml":
        right = f"{stem}_{spelling}.yaml"
        raise ConfigurationError(
            f"{path}: expected a name such as {stem}_5.yaml{nearest(path.name, [right])}"
        )
    try:
        return Timeframe(spelling)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _read(path: Path) -> tuple[IndicatorSpec, ...]:
    document = strict_yaml.load(path)
    try:
        specs = tuple(_spec(key, given) for key, given in document.data.items())
        columns_of(specs)
    except IndicatorError as error:
        raise ConfigurationError(f"{document.where(error.loc)}: {error}") from None
    return specs


def _spec(key: str, given: object) -> IndicatorSpec:
    parameters = {} if given is None else given
    if not isinstance(parameters, Mapping):
        raise IndicatorError("expected {parameters}, such as {period: 20}", (key,))
    return spec_of(key, parameters)
