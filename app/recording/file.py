"""The file of a session: JSON lines, a header, then a line for each cycle.

The first line after the header is the start, each further one a cycle, beginning with the wait
before it; the last one says what came of the session. A line is a list of entries::

    ["!", "broker.poll", [now], {"a": answer}]   a call whose place counts
    ["?", "broker.quote", [symbol], {"a": ...}]  what was asked between two of those
    ["=", item]                                  what was decided, ordered or refused
    ["stop"]                                     the end was asked for

Without an outcome the answer is the one before of the same call; ``{"e": [class, text]}`` is a
failure.
"""

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, TypeAlias

import msgspec

from app.domain.errors import ConfigurationError
from app.log_setup import get_logger
from app.recording.calls import to_json

FORMAT = "trading-session"
VERSION = 1

Entry: TypeAlias = list[Any]

_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError)


class DamagedError(ConfigurationError):
    """A recording, or a line of it, cannot be read as it was written."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a session ran with; `files` are those of the conf folder, by their path in it."""

    session: str
    began: datetime
    live_market: bool
    server_time: str
    source: str
    broker: str
    settings: dict[str, Any]
    files: dict[str, str]
    seed: int
    versions: dict[str, str]
    format: str = FORMAT
    version: int = VERSION


class Ending(msgspec.Struct, frozen=True):
    """What came of a session."""

    cycles: int
    decisions: int
    orders: int
    hash: str


class Sink:
    """Takes lines as long as the file is below its size and the disk takes them.

    Whatever happens, trading goes on: the file ends then, which is said once.

    Args:
        path: a new file, for its owner's eyes.
        max_bytes: of the whole file.

    Raises:
        OSError: the file cannot be made.

    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        # Unbuffered: what a full disk refused is not tried again when the file is closed.
        self._file: IO[bytes] | None = os.fdopen(handle, "wb", buffering=0)
        self._left = max_bytes
        self._path = path
        self._log = get_logger("recording")

    @property
    def open(self) -> bool:
        """Whether lines are taken."""
        return self._file is not None

    def write(self, line: object) -> None:
        """Write one line, or say why there will be no more."""
        file = self._file
        if file is None:
            return
        try:
            content = to_json(line) + b"\n"
            if len(content) > self._left:
                self._give_up("recording.max_bytes is reached")
                return
            self._left -= len(content)
            if file.write(content) < len(content):
                self._give_up("the disk took only part of it")
        except OSError as error:
            self._give_up(str(error.strerror))
        except Exception as error:  # noqa: BLE001 - a recording never stops trading
            self._give_up(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _give_up(self, why: str) -> None:
        self._log.warning("Recording ended, trading goes on: %s: %s", self._path, why)
        try:
            self.close()
        except OSError as error:
            self._log.warning("%s: %s", self._path, error.strerror)


class Recording:
    """A recorded session, read line by line.

    Args:
        path: its file, gzipped or not.

    Raises:
        ConfigurationError: there is no such file, or it is none of this format and version.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ending: Ending | None = None
        """Known once all lines were read, unless the session was cut off."""
        self._at = 0
        """The number of the line read last."""
        self._lines = self._numbered()
        self.header = self._header()

    def entries(self) -> Iterator[list[Entry]]:
        """Yield the entries of the start, then of each cycle.

        Raises ConfigurationError for a line that is damaged; a cut-off last one is left out.
        """
        for number, line in self._lines:
            decoded = self._decoded(number, line)
            if isinstance(decoded, Mapping) and "end" in decoded:
                self.ending = self._as(Ending, decoded["end"], number)
            elif isinstance(decoded, list) and all(isinstance(it, list) and it for it in decoded):
                yield decoded
            else:
                raise self.damaged(number)

    def damaged(self, number: int | None = None) -> DamagedError:
        """Return that a line, by default the one read last, is not what was written."""
        return DamagedError(f"{self.path}:{number or self._at}: the recording is damaged")

    def without_start(self) -> DamagedError:
        """Return that nothing follows the header."""
        return DamagedError(
            f"{self.path}: holds no more than its header: the session was killed as it started, "
            "or recording.max_bytes is too small"
        )

    def _header(self) -> Header:
        number, line = next(self._lines, (1, b""))
        try:
            found = msgspec.json.decode(line)
        except _NO_JSON:
            found = None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ConfigurationError(f"{self.path}: expected a recorded session, this is none")
        if found.get("version") != VERSION:
            raise ConfigurationError(
                f"{self.path}: the recording has format version {found.get('version')}, "
                f"expected {VERSION}: replay it with the version that recorded it"
            )
        header: Header = self._as(Header, found, number)
        return header

    def _as(self, kind: type[Any], found: object, number: int) -> Any:
        try:
            return msgspec.convert(found, kind)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{self.path}:{number}: {error}") from None

    def _decoded(self, number: int, line: bytes) -> object:
        try:
            return msgspec.json.decode(line)
        except _NO_JSON:
            raise self.damaged(number) from None

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines: what a killed process did not finish is left out."""
        try:
            with self._opened() as file:
                for number, line in enumerate(file, 1):
                    self._at = number
                    if line.endswith(b"\n"):
                        yield number, line
        except EOFError:
            return
        except zlib.error:
            raise self.damaged(self._at + 1) from None
        except OSError as error:
            raise DamagedError(f"{self.path}: {error.strerror or error}") from None

    def _opened(self) -> BufferedIOBase:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rb")
        return self.path.open("rb")
