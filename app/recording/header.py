"""What a session ran with, besides what came in while it ran: its configuration and its files."""

import platform
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from pydantic import ValidationError

from app import assembly
from app.assembly import Parts
from app.domain.broker_time import ServerTime
from app.domain.errors import ConfigurationError
from app.ports import Broker, Clock, DataSource, Journal
from app.recording.file import Header
from app.settings import Settings
from app.validation import explain, without_credentials

_PROJECT: Final = Path(__file__).parents[2]
_PACKAGE: Final = "mt5-trading-daemon"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".csv"})


def header_of(parts: Parts, session: UUID, began: datetime) -> Header:
    """Return what a session with `parts` runs with, without secrets.

    Raises:
        ConfigurationError: a file of the conf folder cannot be read any more.

    """
    settings = parts.settings
    return Header(
        session=str(session),
        began=began,
        live_market=parts.live_market,
        server_time=str(parts.entry_rules.server_time),
        source=without_credentials(parts.source.name),
        broker=without_credentials(parts.broker.name),
        settings=_without_secrets(settings),
        files=dict(_files(settings)),
        seed=settings.market_data.seed,
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what decides, and the commit where it is known."""
    return {
        "python": platform.python_version(),
        "daemon": _version(_PACKAGE),
        "numpy": _version("numpy"),
        "TA-Lib": _version("TA-Lib"),
        "commit": commit(_PROJECT / ".git"),
    }


def commit(repository: Path) -> str:
    """Return the commit that is checked out; ``unknown`` where nobody says."""
    try:
        head = (repository / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (repository / name).is_file():
            return (repository / name).read_text("utf-8").strip()
        packed = (repository / "packed-refs").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "unknown"
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "unknown")


def rebuilt(
    header: Header,
    folder: Path,
    *,
    source: DataSource,
    broker: Broker,
    clock: Clock,
    journal: Journal,
) -> Parts:
    """Return the parts of a recorded session on other ports, its files put into `folder`.

    Raises:
        ConfigurationError: the configuration or a file is not accepted any more.

    """
    for name, text in header.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(f"{name}: expected a file of the conf folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    settings = _settings(header)
    trading = settings.trading.model_copy(update={"conf_folder": folder})
    settings = settings.model_copy(update={"trading": trading})
    indicators = assembly.indicators_of(settings)
    return Parts(
        settings=settings,
        source=source,
        broker=broker,
        clock=clock,
        journal=journal,
        indicators=indicators,
        strategies=assembly.strategies_of(settings, indicators),
        entry_rules=assembly.entry_rules_of(settings, ServerTime(header.server_time)),
        live_market=header.live_market,
        opened=ExitStack(),
    )


def _settings(header: Header) -> Settings:
    try:
        return Settings.model_validate_json(msgspec.json.encode(header.settings))
    except ValidationError as error:
        problem = explain(error, Settings)
        where = ".".join(map(str, problem.loc))
        raise ConfigurationError(f"the recorded configuration: {where}: {problem.text}") from None


def _without_secrets(settings: Settings) -> dict[str, object]:
    """Return every value; the journal's address stays out, for a replay needs none."""
    base_url = settings.api.base_url
    shown = None if base_url is None else without_credentials(base_url)
    api = settings.api.model_copy(update={"base_url": shown})
    journal = settings.journal.model_copy(update={"url": None})
    public = settings.model_copy(update={"api": api, "journal": journal})
    return public.model_dump(mode="json")


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    conf = settings.trading.conf_folder
    folders = [conf / "restrictions"]
    for symbol in settings.symbols:
        folders += [conf / kind / symbol.lower() for kind in ("strategies", "indicators")]
    for folder in folders:
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
                yield path.relative_to(conf).as_posix(), _text(path)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be recorded: {error}") from None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
