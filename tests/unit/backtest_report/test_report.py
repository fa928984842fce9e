"""The report as a file: whole, alone, and with nothing in it that the data could have said."""

import base64
import hashlib
import json
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files

import msgspec
import pytest

from app.backtest import report
from tests.unit.backtest_report.outcomes import chart, outcome, trades_on

HOSTILE = "<img src=x onerror=\"document.title='got in'\">"
ENDING = "</script><script>document.title='got in'</script><!-- {{script}} {{data}} \u2028"


class Page(HTMLParser):
    """The elements of a page, with the text of scripts and styles as a browser takes it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts = [], []
        self._inside = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag in {"script", "style", "title"}:
            self.texts.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, text):
        if self._inside in {"script", "style", "title"}:
            tag, attrs, before = self.texts.pop()
            self.texts.append((tag, attrs, before + text))

    def all(self, tag):
        return [(attrs, text) for name, attrs, text in self.texts if name == tag]

    @property
    def data(self):
        (block,) = [text for attrs, text in self.all("script") if attrs.get("id") == "data"]
        return json.loads(block)


def hostile():
    made = [
        msgspec.structs.replace(
            trade, strategy=HOSTILE, reason=ENDING, regime=ENDING, symbol=HOSTILE
        )
        for trade in trades_on(chart(), 5)
    ]
    changes = {"name": ENDING + HOSTILE, "refused": {HOSTILE: 3}, "assumptions": [HOSTILE, ENDING]}
    return outcome([chart(HOSTILE)], made, currency=ENDING, **changes)


def test_what_strategies_and_data_say_is_never_markup():
    """A name may be anything; the page has the elements of its template and no other.

    Red when `<` is not escaped in the data, or the title is not.
    """
    plain, made = Page(report.page(outcome())), Page(report.page(hostile()))
    assert [tag for tag, _ in made.tags] == [tag for tag, _ in plain.tags]
    assert made.data["head"]["name"] == ENDING + HOSTILE
    assert made.data["assumptions"] == [HOSTILE, ENDING]
    assert [row["name"] for row in made.data["strategies"]["rows"]] == [HOSTILE]
    ((_, title),) = made.all("title")
    assert title == f"Backtest {ENDING}{HOSTILE}"


def test_it_stands_alone():
    """No element loads anything, none has a handler or a style of its own, one link leads out."""
    for tag, attrs in Page(report.page(outcome())).tags:
        assert not [name for name in attrs if name.startswith("on") or name in {"src", "style"}], (
            tag
        )
        assert tag not in {"link", "iframe", "img", "object", "embed", "base", "form"}
        if not attrs.get("href", "#").startswith("#"):
            assert attrs["href"] == "https://www.tradingview.com/"


def test_its_policy_allows_its_own_scripts_and_nothing_else():
    """The hashes are those of the scripts as they stand there. Red with a space added to one."""
    page = Page(report.page(outcome()))
    (policy,) = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))

    def hashes(tag):
        runs = [text for attrs, text in page.all(tag) if attrs.get("type") != "application/json"]
        digests = [base64.b64encode(hashlib.sha256(it.encode()).digest()).decode() for it in runs]
        return [f"'sha256-{digest}'" for digest in digests]

    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(hashes("script")),
        "style-src": " ".join(hashes("style")),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert len(hashes("script")) == 2


def test_the_same_outcome_gives_the_same_page():
    assert report.page(outcome()) == report.page(outcome())


def test_every_figure_is_there():
    data = Page(report.page(outcome())).data
    named = {label for label, _, _ in data["figures"]}
    assert {"Net profit", "Profit factor", "Sharpe", "Sortino", "Drawdown low at"} <= named
    assert [tile["label"] for tile in data["tiles"]][:3] == ["Result", "Return", "Maximum drawdown"]
    assert "None" not in {text for _, text, _ in data["figures"]}
    assert data["strategies"]["head"][:3] == ["Strategy", "Trades", "Net profit"]
    assert {row["name"] for row in data["strategies"]["rows"]} == {"ema-cross", "range-fade"}
    assert [month["month"] for month in data["months"]["grid"]] == [1]
    assert data["months"]["table"]["rows"][0]["name"] == "2024-01"
    assert not {"Year", "Month"} & set(data["months"]["table"]["head"][1:])
    assert all(
        len(row["cells"]) + 1 == len(data["months"]["table"]["head"])
        for row in data["months"]["table"]["rows"]
    )
    assert data["refused"] == {
        "signals": 37,
        "rows": [["max_open_positions", 12], ["daily_loss_limit", 5]],
    }


def test_an_interrupted_run_says_so():
    whole = Page(report.page(outcome())).data["head"]
    cut = Page(report.page(outcome(complete=False, still_open=1))).data["head"]
    assert whole["warning"] == ""
    assert "complete" in whole["period"]
    assert "interrupted" in cut["period"]
    assert "before the end of its data" in cut["warning"]
    assert "1 position was still open" in cut["warning"]


def test_a_run_without_trades_and_bars_has_a_report():
    """Nothing is divided by nothing, and no figure stands for one that is not there."""
    data = Page(report.page(outcome([], [], ended=outcome().began))).data
    tiles = {tile["label"]: (tile["value"], tile["note"]) for tile in data["tiles"]}
    assert tiles["Trades"] == ("0", "")
    assert tiles["Profit factor"] == ("\N{EN DASH}", "")
    assert tiles["Maximum drawdown"] == ("0.00 %", "never below its peak")
    assert data["charts"] == []
    assert set(data["equity"]["equity"]) == {10_000}


@pytest.mark.parametrize(
    ("lasts", "said"),
    [
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=3, minutes=5), "3 h 5 min"),
        (timedelta(days=2, hours=7, minutes=59), "2 d 7 h"),
    ],
)
def test_durations_are_said_in_two_units(lasts, said):
    (trade,) = trades_on(chart(), 1)
    held = msgspec.structs.replace(trade, closed_at=trade.opened_at + lasts)
    figures = {
        label: text for label, text, _ in Page(report.page(outcome(trades=[held]))).data["figures"]
    }
    assert figures["Average duration"] == said


def test_the_charts_are_the_published_ones():
    """What is vendored is what its notice says, with licence and the attribution it asks for."""
    assets = files("app.backtest") / "assets"
    notice = (assets / "NOTICE-lightweight-charts").read_text("utf-8")
    library = (assets / "lightweight-charts.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() in notice
    assert "Apache License" in (assets / "LICENSE-lightweight-charts").read_text("utf-8")
    said = report.page(outcome())
    assert "Copyright © 2026 TradingView, Inc." in said
    assert '<a href="https://www.tradingview.com/"' in said
