"""The report of a backtest: one HTML file that opens offline and asks for nothing from a network.

The scripts and the style are part of it; a policy in its head allows just those, by their hashes.
What comes from strategies and data is a block of JSON that the scripts show as text, never as HTML.
"""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files

import msgspec

from app.backtest.outcome import Outcome
from app.backtest.report_data import packed

_SCRIPTS = ("base", "backdrop", "candles", "equity", "trades", "page")


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
    text = json.dumps(msgspec.to_builtins(content), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
