"""Logging: structlog over the standard library, as text or JSON, correlated by cycle.

Text, outside a cycle and inside one:

    2025-01-06 10:00:00 INFO orchestrator: === ALL SERVICES STARTED ===
    [2025-01-06 10:00:00] [a1b2c3d4] [DataFetchingService] INFO: Fetched data for EURUSD 1: 3 bars

JSON is one object a line: timestamp (UTC, microseconds), level, logger, message, correlation_id
(inside a cycle), service (for services), then the line's own fields. Records of foreign libraries
go the same way. The logger `console` writes bare lines in text: banners and summaries.

Take a logger in a constructor, not at import: its level is fixed when it is taken, so a suppressed
line costs one call of an empty function.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

import orjson
import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from app.events import NO_CYCLE, correlation_id

CONSOLE = "console"
QUIET_LIBRARIES = ("alembic", "httpcore", "httpx")
NEVER = logging.CRITICAL + 1
"""The level of a handler that writes nothing any more."""


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger `name` at the level that holds for it now."""
    stdlib = logging.getLogger(name)
    wrapper = structlog.make_filtering_bound_logger(stdlib.getEffectiveLevel())
    logger: FilteringBoundLogger = structlog.wrap_logger(
        stdlib,
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=wrapper,
        context_class=dict,
    ).bind()
    return logger


def configure(
    *,
    level: str = "INFO",
    as_json: bool = False,
    correlation_ids: bool = True,
    levels: Mapping[str, str] | None = None,
    file: Path | None = None,
    file_max_bytes: int = 10_000_000,
    file_backups: int = 5,
    on_stdout_closed: Callable[[], None] = lambda: None,
) -> None:
    """Set up all logging of the process, replacing any earlier set-up.

    Args:
        level: the least level shown.
        as_json: JSON lines instead of text.
        correlation_ids: whether lines carry the id of their cycle.
        levels: logger name -> level, for single loggers.
        file: also write there, rotating at `file_max_bytes`, keeping `file_backups` older files.
        file_max_bytes: see `file`.
        file_backups: see `file`.
        on_stdout_closed: called once when nobody reads standard output any more.

    Raises:
        OSError: the log file cannot be written.

    """
    render = _render_json if as_json else _render_text
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([] if correlation_ids else [_drop_correlation]),
            *([_JSON_EXCEPTIONS] if as_json else [structlog.processors.format_exc_info]),
            render,
        ],
        foreign_pre_chain=_SHARED,
    )
    handlers: list[logging.Handler] = [_Stdout(sys.stdout, on_stdout_closed)]
    if file is not None:
        handlers.append(_private_file(file, file_max_bytes, file_backups))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        if as_json:
            handler.addFilter(_is_no_decoration)
        root.addHandler(handler)
    root.setLevel(level)
    for name in _own_levels:
        logging.getLogger(name).setLevel(logging.NOTSET)
    _own_levels.clear()
    _own_levels.update(dict.fromkeys(QUIET_LIBRARIES, "WARNING"), **(levels or {}))
    for name, own in _own_levels.items():
        logging.getLogger(name).setLevel(own)


_own_levels: dict[str, str] = {}


def _add_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    cycle = correlation_id.get()
    if cycle != NO_CYCLE:
        event["correlation_id"] = cycle
    return event


def _drop_correlation(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("correlation_id", None)
    return event


_SHARED: list[Processor] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    _add_context,
]
_JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_JSON_EXCEPTIONS = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Locals could hold secrets, so they stay out of logs."""


def _render_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    name = str(event["logger"])
    # A line break in a value must not be able to forge a second line.
    message = _one_line(str(event["event"]))
    trace = "".join(
        f"\n  {_one_line(line)}" for line in str(event.get("exception", "")).splitlines()
    )
    if name == CONSOLE:
        return message + trace
    level = str(event["level"]).upper()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    cycle = event.get("correlation_id")
    if cycle is None:
        return f"{when} {level} {name}: {message}{trace}"
    return f"[{when}] [{cycle}] [{name.rpartition('.')[2]}] {level}: {message}{trace}"


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    name = str(event.pop("logger"))
    line: dict[str, object] = {
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
        "level": str(event.pop("level")).upper(),
        "logger": name,
        "message": str(event.pop("event")),
    }
    if "correlation_id" in event:
        line["correlation_id"] = event.pop("correlation_id")
    package, _dot, service = name.rpartition(".")
    if package == "services":
        line["service"] = service
    line.update(event)
    try:
        return orjson.dumps(line, default=str, option=_JSON_OPTIONS).decode()
    except orjson.JSONEncodeError:
        said = {_one_line(str(key)): _one_line(str(value)) for key, value in line.items()}
        return orjson.dumps(said).decode()


def _one_line(text: str) -> str:
    """Return `text` with line breaks and all else a terminal would obey written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _is_no_decoration(record: logging.LogRecord) -> bool:
    """Keep banners' rules and blank lines out of JSON."""
    if record.name != CONSOLE or not isinstance(record.msg, dict):
        return True
    return bool(str(record.msg.get("event", "")).strip("= "))


class _Stdout(logging.StreamHandler[IO[str]]):
    """Standard output that may go away: the program then goes on without it."""

    def __init__(self, stream: IO[str], on_closed: Callable[[], None]) -> None:
        if isinstance(stream, TextIOWrapper):
            # A console that knows no "✓" shows an escape instead.
            stream.reconfigure(errors="backslashreplace")
        super().__init__(stream)
        self._on_closed = on_closed

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base names it
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)
            return
        self.setLevel(NEVER)
        try:
            # The interpreter flushes stdout at exit and must find something that takes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            sys.stdout = None
        self._on_closed()


class _LogFile(RotatingFileHandler):
    """A log file for its owner's eyes; when its disk fills up that is said once, and it ends."""

    def _open(self) -> TextIOWrapper:
        # Also called for every file that rotation begins.
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base names it
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.setLevel(NEVER)
        with suppress(OSError):
            self.close()
        logging.getLogger("logging").error("log file given up: %s", error)


def _private_file(path: Path, max_bytes: int, backups: int) -> _LogFile:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _LogFile(
        path,
        maxBytes=max_bytes,
        backupCount=backups,
        encoding="utf-8",
        errors="backslashreplace",
    )
