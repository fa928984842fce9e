"use strict";
// The trades, and their table: filtered, sorted, and leading the chart.

const ROWS_AT_ONCE = 120;

/** The trades as objects, from the columns they are packed in; money is account currency. */
const trades = data.trades.ticket.map((ticket, i) => {
  const at = (name) => data.trades[name][i];
  const word = (name) => data.words[at(name)];
  return {
    ticket, symbol: word("symbol"), strategy: word("strategy"), regime: word("regime"),
    direction: word("direction"), reason: word("reason"), volume: at("volume"),
    opened: at("opened"), closed: at("closed"), duration: at("closed") - at("opened"),
    entry: at("entry"), exit: at("exit"), stop: at("stop"), target: at("target"),
    profit: at("profit"), commission: at("commission"), swap: at("swap"), spread: at("spread"),
    costs: at("commission") + at("swap"), net: at("net"),
  };
});
const symbolsTraded = new Set(trades.map((trade) => trade.symbol));
const priceOf = (trade, value) => fixed(value, data.digits[trade.symbol] ?? 5);

const oneSymbol = symbolsTraded.size < 2;
const COLUMNS = [
  { key: "ticket", title: "Ticket", text: (t) => String(t.ticket) },
  { key: "symbol", title: "Symbol", left: true, text: (t) => t.symbol, hide: oneSymbol },
  { key: "direction", title: "Side", left: true, text: (t) => t.direction },
  { key: "net", title: "Net", text: (t) => signed(t.net), tone: (t) => tone(t.net) },
  { key: "opened", title: "Opened", text: (t) => moment(t.opened) },
  { key: "closed", title: "Closed", text: (t) => moment(t.closed) },
  { key: "strategy", title: "Strategy", left: true, name: true, text: (t) => t.strategy },
  { key: "regime", title: "Regime", left: true, text: (t) => (t.regime ? spoken(t.regime) : NONE) },
  { key: "reason", title: "Closed by", left: true, text: (t) => spoken(t.reason) },
  { key: "entry", title: "Entry", text: (t) => priceOf(t, t.entry) },
  { key: "exit", title: "Exit", text: (t) => priceOf(t, t.exit) },
  { key: "volume", title: "Lots", text: (t) => lots(t.volume) },
  { key: "costs", title: "Costs", text: (t) => money(t.costs) },
  { key: "duration", title: "Open for", text: (t) => lasted(t.duration) },
].filter((column) => !column.hide);

function noTrades() {
  const { signals, rows } = data.refused;
  if (!signals) return "No trades: no strategy gave an entry signal.";
  const [most] = rows;
  const count = signals.toLocaleString("en-US");
  const why = most ? `; most were refused for ${most[0]}` : "";
  return `No trades of ${count} entry signals${why}.`;
}

class TradeTable {
  constructor(onSelect) {
    this._onSelect = onSelect;
    this._sort = { key: "opened", up: true };
    this._filters = new Map();
    this._box = byId("trade-box");
    this._head = byId("trade-table").tHead;
    this._body = byId("trade-table").tBodies[0];
    this._makeFilters();
    this._makeHead();
    this._box.addEventListener("scroll", () => {
      if (this._box.scrollTop + this._box.clientHeight > this._box.scrollHeight - 600) this._more();
    });
    this._body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-trade]");
      if (row) this.select(Number(row.dataset.trade));
    });
    this._body.addEventListener("keydown", (event) => this._onKey(event));
    this._fill();
  }

  _makeFilters() {
    const filters = byId("filters");
    const choice = (title, values, test) => {
      const select = make("select");
      select.append(new Option("all", ""));
      for (const [text, value] of values) select.append(new Option(text, value));
      select.addEventListener("change", () => {
        if (select.value === "") this._filters.delete(title);
        else this._filters.set(title, (trade) => test(trade, select.value.slice(1)));
        this._fill();
      });
      filters.append(make("label", "", title, select));
    };
    const distinct = (key, text) =>
      [...new Set(trades.map((trade) => trade[key]))].sort().map((it) => [text(it), `=${it}`]);
    const same = (key) => (trade, value) => trade[key] === value;
    if (symbolsTraded.size > 1) choice("Symbol", distinct("symbol", String), same("symbol"));
    choice("Strategy", distinct("strategy", String), same("strategy"));
    choice("Regime", distinct("regime", spoken), same("regime"));
    choice("Side", distinct("direction", String), same("direction"));
    choice("Result", [["won", "=won"], ["lost", "=lost"]], (trade, value) =>
      value === "won" ? trade.net > 0 : trade.net < 0);
    this._count = make("output", "values");
    filters.append(this._count);
  }

  _makeHead() {
    const row = make("tr");
    for (const column of COLUMNS) {
      const button = make("button", "", column.title);
      button.type = "button";
      button.addEventListener("click", () => {
        const up = this._sort.key === column.key ? !this._sort.up : column.key !== "net";
        this._sort = { key: column.key, up };
        this._fill();
      });
      const cell = make("th", column.left ? "left" : "", button);
      cell.scope = "col";
      cell.dataset.key = column.key;
      row.append(cell);
    }
    this._head.append(row);
  }

  _fill() {
    const { key, up } = this._sort;
    const tests = [...this._filters.values()];
    const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    this._shown = trades.map((_, i) => i).filter((i) => tests.every((test) => test(trades[i])));
    this._shown.sort((a, b) => (up ? 1 : -1) * order(trades[a][key], trades[b][key]) || a - b);
    for (const cell of this._head.rows[0].cells)
      if (cell.dataset.key === key) cell.ariaSort = up ? "ascending" : "descending";
      else cell.ariaSort = null;
    const net = this._shown.reduce((sum, i) => sum + trades[i].net, 0);
    const all = trades.length.toLocaleString("en-US");
    const some = this._shown.length.toLocaleString("en-US");
    const count = tests.length ? `${some} of ${all}` : all;
    this._count.textContent = `${count} trades, net ${signed(net)}`;
    this._body.replaceChildren();
    this._rendered = 0;
    this._box.scrollTop = 0;
    this._more();
    if (!this._shown.length) {
      const cell = make("td", "left soft", trades.length ? "No trade is like that." : noTrades());
      cell.colSpan = COLUMNS.length;
      this._body.append(make("tr", "", cell));
    }
  }

  _more() {
    const until = Math.min(this._rendered + ROWS_AT_ONCE, this._shown.length);
    const rows = [];
    for (const index of this._shown.slice(this._rendered, until)) rows.push(this._row(index));
    this._rendered = until;
    this._body.append(...rows);
    this._reachable();
  }

  _row(index) {
    const trade = trades[index];
    const row = make("tr");
    row.dataset.trade = index;
    row.tabIndex = -1;
    if (index === this.chosen) row.ariaCurrent = "true";
    for (const column of COLUMNS) {
      const classes = [column.left && "left", column.name && "name", column.tone?.(trade)];
      const cell = make("td", classes.filter(Boolean).join(" "), column.text(trade));
      if (column.name) cell.title = column.text(trade);
      row.append(cell);
    }
    return row;
  }

  /** One row is in the order of the tab key: the chosen one, or the first. */
  _reachable() {
    this._tab?.setAttribute("tabindex", "-1");
    this._tab = this._body.querySelector('tr[aria-current="true"]') ?? this._body.rows[0];
    if (this._tab?.dataset.trade !== undefined) this._tab.tabIndex = 0;
  }

  _onKey(event) {
    const row = event.target.closest("tr[data-trade]");
    if (!row) return;
    const rows = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling };
    if (event.key === "Enter" || event.key === " ") this.select(Number(row.dataset.trade));
    else if (event.key in rows) rows[event.key]?.focus();
    else return;
    event.preventDefault();
  }

  /** Go `by` rows on from the chosen one. */
  step(by) {
    if (!this._shown.length) return;
    const at = this._shown.indexOf(this.chosen);
    const from = at < 0 ? (by > 0 ? -1 : this._shown.length) : at;
    const to = Math.min(Math.max(from + by, 0), this._shown.length - 1);
    while (this._rendered <= to) this._more();
    this.select(this._shown[to], false);
    const row = this._body.rows[to];
    const top = row.offsetTop - this._head.offsetHeight;
    if (top < this._box.scrollTop) this._box.scrollTop = top;
    const bottom = row.offsetTop + row.offsetHeight - this._box.clientHeight;
    if (bottom > this._box.scrollTop) this._box.scrollTop = bottom;
  }

  select(index, scroll = true) {
    this._body.querySelector('tr[aria-current="true"]')?.removeAttribute("aria-current");
    this.chosen = index;
    const row = this._body.querySelector(`tr[data-trade="${index}"]`);
    if (row) row.ariaCurrent = "true";
    this._reachable();
    this._onSelect(index, scroll);
  }
}
