"""The kill switch as a file: ENABLE or DISABLE, since when, and why. Made by command or by hand."""

import codecs
from datetime import UTC, datetime
from pathlib import Path

from app.adapters.private_files import write_private
from app.domain.errors import printable
from app.ports import Switch

_WORDS = {"ENABLE": True, "DISABLE": False}
_READ = 4096
"""Bytes of the file that are looked at: a switch and its reason, whatever else was put there."""


def read_switch(path: Path) -> Switch | None:
    """Return how the switch stands; ``None`` when there is no such file.

    A bare word counts from when the file was written. What cannot be read disables: whoever wrote
    it meant something.
    """
    try:
        with path.open("rb") as file:
            text = _decoded(file.read(_READ))
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Switch(False, datetime.fromtimestamp(0, UTC), f"{path}: {error.strerror}")
    word, *rest = text.split(maxsplit=2) or [""]
    enabled = _WORDS.get(word.upper())
    if enabled is None:
        return Switch(False, written, f"{path} holds neither ENABLE nor DISABLE")
    at = _time(rest[0]) if rest else None
    reason = printable(" ".join(rest if at is None else rest[1:]))
    return Switch(enabled, at or written, reason)


def write_switch(path: Path, switch: Switch) -> None:
    """Set the switch, in one step. Raises OSError."""
    word = "ENABLE" if switch.enabled else "DISABLE"
    write_private(path, f"{word} {switch.at.isoformat()} {printable(switch.reason)}\n")


def _decoded(content: bytes) -> str:
    """Return a line of text, in whatever an editor or a shell makes of it."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig", errors="replace").strip()


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
