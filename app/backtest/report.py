"""The report of a backtest: one HTML file that opens offline and asks for nothing from a network.

The scripts and the style are part of it; a policy in its head allows just those, by their hashes.
What comes from strategies and data is a block of JSON that the scripts show as text, never as HTML.
"""

import base64
import hashlib
import html
import re
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import msgspec

from app.backtest.outcome import Outcome
from app.backtest.report_data import packed
from app.domain.errors import ConfigurationError, PermissionDeniedError

NAME = "report.html"
_SCRIPTS = ("base", "backdrop", "candles", "equity", "trades", "page")


def write(outcome: Outcome, folder: Path) -> Path:
    """Write `report.html` into `folder`, which is made, and return its path.

    Whoever opens it meanwhile sees the old file or the new one.

    Raises:
        PermissionDeniedError: the system does not allow it.
        ConfigurationError: it cannot be written for another reason.

    """
    path = folder / NAME
    fresh = folder / f".{NAME}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fresh.write_bytes(page(outcome).encode())
            fresh.replace(path)
        finally:
            with suppress(OSError):
                fresh.unlink()
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: {error.strerror}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    return path


def page(outcome: Outcome) -> str:
    """Return the report as HTML. The same outcome gives the same text."""
    library = _asset("lightweight-charts.js")
    script = "".join(_asset(f"{name}.js") for name in _SCRIPTS)
    style = _asset("report.css")
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; "
        f"style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "title": html.escape(f"Backtest {outcome.name}"),
        "policy": policy,
        "style": style,
        "data": _embedded(packed(outcome)),
        "library": library,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("report.html"))


def _asset(name: str) -> str:
    return (files("app.backtest") / "assets" / name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _embedded(content: object) -> str:
    """Return JSON in which nothing can end the script element it stands in."""
    return msgspec.json.encode(content).decode().replace("<", "\\u003c")
