"""The report of a backtest as a person opens it: from a file, in a browser, offline."""

import shutil
from decimal import Decimal

import msgspec
import pytest

from app.backtest import report
from tests.unit.backtest_report.outcomes import chart, outcome, trades_on

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium on this machine")
HOSTILE = "<img src=x onerror=\"document.title='got in'\">"
LABELS = """
    window.labels = [];
    const fillText = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const half = this.measureText(text).width / 2;
        if (text && this.canvas.closest("tr")?.matches(".chart tr:last-child"))
            labels.push({
                chart: this.canvas.closest(".chart").id, text,
                whole: x - half > -1 && x + half < this.canvas.clientWidth + 1,
            });
        return fillText.call(this, text, x, y);
    };"""
"""Notes what is written on the time axes of the charts, and whether their ends cut it."""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def written(of, folder):
    path = folder / "report.html"
    path.write_text(report.page(of), "utf-8")
    return path


@pytest.fixture
def opened(browser, tmp_path):
    """Open the report of an outcome; at the end nothing was asked of a network and nothing failed.

    Red when the policy lacks the hash of a script, or a script throws.
    """
    contexts, said, asked = [], [], []

    def open_report(of, width=1280, scheme="light", script=""):
        path = written(of, tmp_path)
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.add_init_script(script)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#assumptions li")
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert said == []
    assert asked
    assert [url for url in asked if not url.startswith("file://")] == []


def rows(page):
    return page.locator("#trade-table tbody tr")


def column(page, title):
    titles = page.locator("#trade-table thead th").all_inner_texts()
    at = [text.rstrip(" ↑↓") for text in titles].index(title)
    return [row.split("\t")[at] for row in rows(page).all_inner_texts()]


def until(page, truth):
    """Wait for a truth, frame by frame; `wait_for_function` would need eval, which is forbidden."""
    look = f"""
        const end = performance.now() + 30_000;
        const look = () => {{
            if ({truth}) resolve();
            else if (performance.now() > end) reject(new Error("it did not become true"));
            else requestAnimationFrame(look);
        }};
        look();"""
    page.evaluate(f"new Promise((resolve, reject) => {{ {look} }})")


def in_view(page, bar):
    """Wait until the chart, which moves with the next frame, shows a bar."""
    shown = "drawn.candles._chart.timeScale().getVisibleLogicalRange()"
    until(page, f"(({{from, to}}) => from <= {bar} && {bar} <= to)({shown})")


def two_symbols():
    euro = chart(count=600)
    coin = chart("BTCUSD", count=300, timeframe="H1", price=42_000.0, digits=2, seed=7)
    made = trades_on(euro, 150) + trades_on(coin, 30, ("coin",), first=900)
    return outcome([euro, coin], sorted(made, key=lambda trade: trade.closed_at))


def test_the_page_unpacks_the_very_bars(opened):
    """What the candles are drawn from is the chart of the outcome."""
    of = chart(count=500)
    page = opened(outcome([of]))
    unpacked = page.evaluate("unpackBars(data.charts[0])")
    keys = ("time", "open", "high", "low", "close")
    assert [tuple(bar[key] for key in keys) for bar in unpacked] == [
        (bar.time.timestamp(), *bar.prices) for bar in of.bars
    ]
    assert page.evaluate("drawn.candles.bars.length") == 500


def test_prices_have_the_digits_the_symbol_is_traded_in(opened):
    """Whole in the data but for one close of three digits; filled at two. Red with three."""
    coin = chart("BTCUSD", price=42_000.0, digits=0)
    coin.bars[-1] = msgspec.structs.replace(coin.bars[-1], close=coin.bars[-1].open + 0.125)
    (trade,) = trades_on(coin, 1)
    filled = msgspec.structs.replace(trade, entry=trade.entry + Decimal("0.01"))
    page = opened(outcome([coin], [filled]))
    assert column(page, "Entry") == [f"{filled.entry:,.2f}"]
    assert column(page, "Exit") == [f"{filled.exit:,.2f}"]
    assert page.evaluate("drawn.candles._series.priceFormatter().format(42000)") == "42000.00"
    assert f"O {coin.bars[-1].open:,.2f} " in page.locator("#candle-values").inner_text()


def test_a_click_on_a_trade_moves_the_chart_to_it(opened):
    """Its bars are in view, its stop and target drawn, and the row and its parts are shown."""
    of = two_symbols()
    page = opened(of)
    page.select_option("#symbol", label="BTCUSD")
    assert page.locator("#candles canvas").first.bounding_box()["width"] > 500
    first = min(of.trades, key=lambda trade: (trade.opened_at, of.trades.index(trade)))
    rows(page).first.click()
    assert rows(page).first.get_attribute("aria-current") == "true"
    assert page.locator("#selected").inner_text().startswith(f"Trade {first.ticket} ")
    assert page.locator("#symbol option:checked").inner_text() == first.symbol
    for time in (first.opened_at, first.closed_at):
        in_view(page, page.evaluate(f"drawn.candles.barAt({time.timestamp()})"))
    levels = [first.entry, first.exit, first.stop, first.target]
    lines = page.evaluate("drawn.candles._lines.map((line) => line.options().price)")
    assert lines == [float(level) for level in levels if level is not None]
    page.click("#next")
    assert rows(page).nth(1).get_attribute("aria-current") == "true"
    assert page.locator('tr[aria-current="true"]').count() == 1


def test_the_trades_can_be_walked_with_the_keyboard(opened):
    """One row is a stop of the tab key; arrows go on, past the rows drawn; Enter chooses."""
    page = opened(two_symbols())
    assert page.locator("#trade-table tbody tr[tabindex='0']").count() == 1
    page.focus("#trade-box")
    page.keyboard.press("Tab")
    for _ in range(14):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TR":
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert rows(page).nth(2).get_attribute("aria-current") == "true"
    for _ in range(125):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert rows(page).nth(127).get_attribute("aria-current") == "true"


def test_trades_can_be_sorted_and_filtered(opened):
    of = two_symbols()
    page = opened(of)
    page.click("#trade-table thead button:text-is('Net')")
    best = sorted((trade.net for trade in of.trades), reverse=True)
    nets = [
        float(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) for text in column(page, "Net")
    ]
    assert nets == [float(net) for net in best[: len(nets)]]
    assert page.locator("th[aria-sort='descending']").inner_text().startswith("Net")
    page.locator("#filters label:has-text('Strategy') select").select_option("coin")
    page.locator("#filters label:has-text('Result') select").select_option("lost")
    lost = [trade for trade in of.trades if trade.strategy == "coin" and trade.net < 0]
    assert rows(page).count() == len(lost)
    assert f"{len(lost)} of 180 trades" in page.locator("#filters output").inner_text()
    page.locator("#filters label:has-text('Symbol') select").select_option("EURUSD")
    assert page.locator("#trade-table tbody").inner_text() == "No trade is like that."


def test_a_name_that_is_markup_is_shown_as_text(opened):
    """Red when a cell is filled with innerHTML."""
    made = [
        msgspec.structs.replace(one, strategy=HOSTILE, reason=HOSTILE, regime=HOSTILE)
        for one in trades_on(chart(HOSTILE), 4)
    ]
    changes = {"name": HOSTILE, "refused": {HOSTILE: 1}, "assumptions": [HOSTILE]}
    page = opened(outcome([chart(HOSTILE), chart("B")], made, **changes))
    rows(page).first.click()
    assert page.locator("h1").inner_text() == HOSTILE
    assert column(page, "Strategy") == [HOSTILE] * 4
    assert HOSTILE in page.locator("#selected").inner_text()
    assert page.locator("#assumptions").inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.title() == f"Backtest {HOSTILE}"


@pytest.mark.parametrize(
    ("act", "rule"),
    [
        ("fetch('https://example.invalid/').catch(() => 0)", "default-src"),
        (
            "document.body.append(Object.assign(new Image(), {src: 'https://example.invalid/'}))",
            "img",
        ),
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
            "script",
        ),
    ],
)
def test_the_policy_forbids_network_and_other_scripts(browser, tmp_path, act, rule):
    """Red without the policy in the head of the page."""
    page = browser.new_page()
    page.goto(written(outcome(), tmp_path).as_uri())
    page.evaluate(
        "window.forbidden = [];"
        "document.addEventListener('securitypolicyviolation',"
        " (event) => window.forbidden.push(event.effectiveDirective + ' ' + event.originalPolicy))"
    )
    page.evaluate(f"() => {{ {act}; }}")
    until(page, "window.forbidden.length > 0")
    assert rule in page.evaluate("window.forbidden[0]")
    page.close()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_both_widths_and_follows_the_theme(opened, width, scheme):
    """The page itself never scrolls sideways, and no table on a desktop; light or dark as is asked.

    Red with a table a little wider than its box.
    """
    page = opened(two_symbols(), width, scheme)
    rows(page).first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tables = "[...document.querySelectorAll('.scroll')]"
    if width > 1000:
        assert page.evaluate(f"{tables}.every((it) => it.scrollWidth <= it.clientWidth)")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(","))) > 384) == (
        scheme == "light"
    )
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    until(page, "drawn.candles._chart.options().layout.background.color === colour('ground')")


@pytest.mark.parametrize("width", [1280, 800])
def test_no_label_of_a_time_axis_is_cut(opened, width):
    """Wherever the candles are moved to; the equity, all of it in view, moves its outer ones in.

    Red without `_fits`, with labels that stay as they were, or an equity without fixed edges.
    """
    of = chart(count=2_000)
    page = opened(outcome([of]), width, script=LABELS)
    frame = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
    for step in range(60):
        page.evaluate(f"drawn.candles._view(1000 + {step} * 1.3, 150)")
        page.evaluate(frame)
    page.click("#everything")
    in_view(page, 1_999)
    page.evaluate(frame)
    labels = page.evaluate("labels")
    assert [label for label in labels if not label["whole"]] == []
    texts = {
        one: {label["text"] for label in labels if label["chart"] == one}
        for one in ("equity", "candles")
    }
    assert "2024" in texts["equity"]
    assert {"12:00", "18:00"} <= texts["candles"]


def test_all_bars_can_be_seen_at_once(opened):
    """Twenty thousand bars and five thousand trades; marks come when there is room for them."""
    of = chart(count=20_000, timeframe="M5")
    page = opened(outcome([of], trades_on(of, 5_000)))
    page.click("#everything")
    in_view(page, 0)
    in_view(page, 19_999)
    until(page, "document.getElementById('chart-hint').textContent.includes('zoom in')")
    for _ in range(14):
        page.click("#closer")
    until(page, "drawn.candles._marks.markers().length > 0")


def test_a_run_without_trades_says_why(opened):
    page = opened(outcome(trades=[], refused={"no_quote": 3}))
    assert (
        "No trades of 17 entry signals; most were refused for no_quote."
        in page.locator("#trade-table tbody").inner_text()
    )
    assert page.locator("#next").is_disabled()


def test_a_run_without_bars_has_no_chart(opened):
    page = opened(outcome([], trades_on(chart(), 3)))
    assert page.locator("#chart-section").is_hidden()
    rows(page).first.click()
    assert rows(page).first.get_attribute("aria-current") == "true"
