"""What a bug report needs, in one file: ``python -m app.main_bug_report``.

Versions, every setting and where it came from, the files of ``conf`` by name and hash, the
journal's accounts and blocks, the end of the log, and what only you can tell; no credentials.
0 done · 64 usage · 77 permission · 78 the file cannot be written · 130 interrupted.
"""

import hashlib
import os
import platform
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated

import typer

from app import journal_tools, settings
from app.adapters.private_files import write_private
from app.command_line import exit_code, new_command_line
from app.domain.errors import (
    ConfigurationError,
    OperatorError,
    PermissionDeniedError,
    printable,
)
from app.settings import Loaded

PACKAGE = "mt5-trading-daemon"
LOG_LINES = 400
_NAME = re.compile(r"[^A-Za-z0-9._-]")
"""What ends the name in a requirement."""
TO_BE_TOLD = (
    "What I did:",
    "What I expected:",
    "What happened instead:",
    "Since when, and how often:",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    app = new_command_line()

    @app.command()
    def bug_report(
        config: Annotated[
            Path | None,
            typer.Option(help="The configuration file (default: config/services.yaml)."),
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="The file to write (default: bug-report-TIME.txt).")
        ] = None,
    ) -> None:
        """Gather what a bug report needs into one file, which only you can read."""
        now = datetime.now(UTC)
        file = out or Path(f"bug-report-{now:%Y%m%d-%H%M%S}.txt")
        try:
            write_private(file, "\n".join(_report(config, now)) + "\n")
        except PermissionError as error:
            raise PermissionDeniedError(f"{file}: {error.strerror}") from None
        except OSError as error:
            raise ConfigurationError(f"{file}: {error.strerror}") from None
        print(f"wrote {file}: read it, fill in its first lines, and send it")

    return exit_code(app, arguments)


def _report(config: Path | None, now: datetime) -> Iterator[str]:
    yield f"Bug report of {now:%Y-%m-%d %H:%M:%S} UTC"
    for question in TO_BE_TOLD:
        yield ""
        yield question
    yield from _section("Versions", _versions)
    try:
        loaded = settings.load(config)
    except OperatorError as error:
        yield from ("", "=== Settings ===", f"cannot be read: {error}")
        return
    yield from _section("Settings", lambda: iter(loaded.show().splitlines()))
    yield from _section("Warnings", lambda: iter(loaded.warnings or ("none",)))
    yield from _section("Files of conf", lambda: _files(loaded))
    yield from _section("Journal", lambda: journal_tools.say_switch(loaded.settings, now))
    yield from _section(f"The last {LOG_LINES} lines of the log", lambda: _log(loaded))


def _section(title: str, lines: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Yield a section; one that cannot be gathered says why and keeps none of the others away."""
    yield ""
    yield f"=== {title} ==="
    try:
        yield from lines()
    except (OperatorError, OSError) as error:
        yield f"cannot be read: {error}"


def _versions() -> Iterator[str]:
    yield f"python {platform.python_version()} ({platform.python_implementation()})"
    yield f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores"
    yield _version(PACKAGE)
    for requirement in requires(PACKAGE) or ():
        if "extra ==" not in requirement:
            yield _version(_NAME.split(requirement, maxsplit=1)[0])


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} is not installed"


def _files(loaded: Loaded) -> Iterator[str]:
    folder = loaded.settings.trading.conf_folder
    for path in sorted(folder.rglob("*.yaml")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        yield f"{digest} {path.relative_to(folder).as_posix()}"


def _log(loaded: Loaded) -> Iterator[str]:
    options = loaded.settings.logging
    if not options.file_output:
        yield "logging.file_output is off: paste the end of the daemon's output here"
        return
    with options.log_file.open(encoding="utf-8", errors="replace") as file:
        yield from (printable(line.rstrip("\n")) for line in deque(file, LOG_LINES))


if __name__ == "__main__":
    sys.exit(main())
