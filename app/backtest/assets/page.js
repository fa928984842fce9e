"use strict";
// Fills the page from the data.

function figureTable(box, table, empty) {
  if (!table.rows.length) {
    box.append(make("p", "none", empty));
    return;
  }
  const head = make("tr");
  for (const title of table.head) {
    const cell = make("th", head.childElementCount ? "" : "left", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = make("tbody");
  for (const { name, cells } of table.rows) {
    const title = make("th", "left name", name);
    title.scope = "row";
    title.title = name;
    body.append(make("tr", "", title, ...cells.map(([text, mood]) => make("td", mood, text))));
  }
  const scroll = make("div", "scroll wrap", make("table", "", make("thead", "", head), body));
  scroll.tabIndex = 0;
  box.append(scroll);
}

function monthGrid(box) {
  const { grid, table } = data.months;
  if (!grid.length) {
    figureTable(box, table, "No month has a figure.");
    return;
  }
  const names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const heat = grid.map((month) => Math.abs(month.share ?? 0)).sort((a, b) => a - b);
  const most = heat[Math.ceil((heat.length - 1) * 0.95)] || heat.at(-1) || 1;
  const row = make("tr", "", ...["", ...names, "Year"].map((name) => make("th", "", name)));
  const body = make("tbody");
  for (const year of [...new Set(grid.map((month) => month.year))]) {
    const line = make("tr", "", make("th", "", String(year)));
    let sum = 0;
    for (let number = 1; number <= 12; number++) {
      const month = grid.find((one) => one.year === year && one.month === number);
      if (!month) {
        line.append(make("td", "empty", "·"));
        continue;
      }
      sum += month.net;
      const mood = month.net > 0 ? "up" : month.net < 0 ? "down" : "";
      const cell = make("td", mood, month.share === null ? NONE : `${fixed(month.share, 1)} %`);
      cell.append(make("small", "", fixed(month.net, 0)));
      const strength = Math.min(1, Math.abs(month.share ?? 0) / most);
      cell.style.setProperty("--heat", `${Math.round(10 + 42 * strength)}%`);
      line.append(cell);
    }
    const total = make("td", `year ${tone(sum)}`, fixed(sum, 0));
    line.append(total);
    body.append(line);
  }
  const scroll = make("div", "scroll", make("table", "months", make("thead", "", row), body));
  scroll.tabIndex = 0;
  const more = make("details", "", make("summary", "", "Months in figures"));
  figureTable(more, table, "");
  const said = "Return on the equity at the month's start; below it the net result.";
  box.append(scroll, make("p", "hint", said), more);
}

function refusals(box) {
  const { signals, rows } = data.refused;
  const count = signals.toLocaleString("en-US");
  if (!rows.length) {
    box.append(make("p", "none", `None of the ${count} entry signals was refused.`));
    return;
  }
  const body = make("tbody");
  for (const [reason, number] of rows) {
    const cells = [make("td", "left", reason), make("td", "", number.toLocaleString("en-US"))];
    body.append(make("tr", "", ...cells));
  }
  const head = make("tr", "", make("th", "left", "Reason"), make("th", "", "Signals"));
  box.append(make("p", "soft", `Of ${count} entry signals these were not traded:`));
  box.append(make("div", "scroll narrow", make("table", "", make("thead", "", head), body)));
}

function detailsOf(trade) {
  const part = (name, text, mood) =>
    make("span", "", make("span", "", name), " ", make("b", mood ?? "", text), " ");
  const price = (value) => priceOf(trade, value);
  return make(
    "div", "parts",
    part("Trade", `${trade.ticket} ${trade.direction} ${lots(trade.volume)} ${trade.symbol}`),
    part("by", trade.strategy), part("in", trade.regime ? spoken(trade.regime) : "no known regime"),
    part("opened", `${moment(trade.opened)} at ${price(trade.entry)}`),
    part("first stop", price(trade.stop)), part("first target", price(trade.target)),
    part("closed", `${moment(trade.closed)} at ${price(trade.exit)}`),
    part("because of", spoken(trade.reason)), part("profit", signed(trade.profit)),
    part("commission", money(trade.commission)), part("swap", money(trade.swap)),
    part("spread", money(trade.spread)), part("net", signed(trade.net), tone(trade.net))
  );
}

function fillHead() {
  byId("name").textContent = data.head.name;
  byId("period").textContent = data.head.period;
  byId("currency").textContent = data.head.currency;
  byId("interrupted").hidden = !data.head.warning;
  byId("interrupted").textContent = data.head.warning;
  for (const { label, value, note, mood } of data.tiles)
    byId("tiles").append(
      make("div", "tile", make("div", "label", label), make("div", `value ${mood}`, value),
        make("div", "note", note)));
  for (const [label, text, mood] of data.figures)
    byId("figures").append(make("div", "", make("dt", "", label), make("dd", mood, text)));
  byId("all-figures").hidden = !data.figures.length;
  byId("assumptions").append(...data.assumptions.map((text) => make("li", "", text)));
  if (!data.assumptions.length)
    byId("assumptions").replaceWith(make("p", "none", "None were stated."));
}

function fillCharts() {
  const symbol = byId("symbol");
  const shows = data.charts.findIndex((chart) => symbolsTraded.has(chart.symbol));
  let candles = null;
  const show = (index) => {
    symbol.value = String(index);
    candles.show(index);
  };
  if (data.charts.length) {
    candles = new CandleChart(byId("candles"), byId("candle-values"), byId("chart-hint"));
    data.charts.forEach((chart, i) => symbol.append(new Option(chart.symbol, String(i))));
    byId("symbol-choice").hidden = data.charts.length < 2;
    byId("symbol-only").textContent = data.charts.length < 2 ? data.charts[0].symbol : "";
    symbol.addEventListener("change", () => show(Number(symbol.value)));
    byId("closer").addEventListener("click", () => candles.zoom(0.6));
    byId("farther").addEventListener("click", () => candles.zoom(1 / 0.6));
    byId("everything").addEventListener("click", () => candles.everything());
    show(Math.max(0, shows));
  } else {
    byId("chart-section").hidden = true;
  }
  const equity = new EquityChart(byId("equity"), byId("equity-values"), (t) => candles?.goTo(t));
  byId("equity-legend").append(
    legendEntry("accent", "Equity", true), legendEntry("soft", "Balance", true),
    legendEntry("loss", "Drawdown below the peak", false));
  const regimes = new Set(data.charts.flatMap((chart) => chart.regimes.map(([, name]) => name)));
  for (const [i, name] of data.regimes.entries())
    if (regimes.has(i) && regimeColour(name))
      byId("regime-legend").append(legendEntry(regimeColour(name), spoken(name), false));
  byId("marker-legend").append(
    markEntry("▲", "accent", "long"), markEntry("▼", "accent", "short"),
    markEntry("●", "gain", "exit, won"), markEntry("●", "loss", "exit, lost"));
  const table = new TradeTable((index, scroll) => {
    const trade = trades[index];
    const chart = data.charts.findIndex((one) => one.symbol === trade.symbol);
    byId("selected").hidden = false;
    byId("selected").replaceChildren(detailsOf(trade));
    if (chart < 0) return;
    if (candles.index !== chart) show(chart);
    candles.select(index);
    const box = byId("candles").getBoundingClientRect();
    if (scroll && (box.top < 0 || box.bottom > innerHeight))
      byId("chart-section").scrollIntoView({ block: "start" });
  });
  byId("previous").addEventListener("click", () => table.step(-1));
  byId("next").addEventListener("click", () => table.step(1));
  for (const id of ["previous", "next"]) byId(id).disabled = !trades.length;
  themeChanged.addEventListener("change", () => {
    candles?.look();
    equity.look();
  });
  return { candles, equity, table };
}

fillHead();
const drawn = fillCharts();
figureTable(byId("strategies"), data.strategies, "No strategy traded.");
figureTable(byId("regimes-table"), data.regime_figures, "No trade in any regime.");
monthGrid(byId("months"));
refusals(byId("refused"));
