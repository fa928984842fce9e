"use strict";
// The candles of a symbol with the regimes behind them and the trades upon them.

const TEXT_UP_TO = 130; // bars in view
const PIXELS_A_MARK = 3; // at least, for marks to be told apart
const HALF_A_LABEL = 20; // pixels, of the widest one of the time axis

/** The bars of a chart as they were before they were packed (see app/backtest/report_data.py). */
function unpackBars(packed) {
  const scale = 10 ** packed.digits;
  const bars = new Array(packed.minutes.length);
  let minute = packed.began;
  let before = 0;
  for (let i = 0; i < bars.length; i++) {
    minute += packed.minutes[i];
    const open = before + packed.open[i];
    const close = open + packed.close[i];
    bars[i] = {
      time: minute * 60,
      open: open / scale,
      high: (Math.max(open, close) + packed.high[i]) / scale,
      low: (Math.min(open, close) - packed.low[i]) / scale,
      close: close / scale,
    };
    before = close;
  }
  return bars;
}

class CandleChart {
  constructor(box, said, hint) {
    this._said = said;
    this._hint = hint;
    this._lines = [];
    this._bars = new Map();
    this._chart = makeChart(box);
    this._chart.timeScale().applyOptions({
      minBarSpacing: 0.02, tickMarkFormatter: (time) => (this._fits(time) ? null : ""),
    });
    this._series = this._chart.addSeries(LightweightCharts.CandlestickSeries, {
      priceLineVisible: false, lastValueVisible: false, borderVisible: true,
    });
    this._series.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.12 } });
    this._backdrop = new Backdrop();
    this._series.attachPrimitive(this._backdrop);
    this._marks = LightweightCharts.createSeriesMarkers(this._series, [], { autoScale: false });
    this._chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
      this._chart.timeScale().applyOptions({}); // forgets the labels of the range before
      this._later();
    });
    this._chart.subscribeCrosshairMove((move) => this._say(move.logical));
    this.look();
  }

  look() {
    this._chart.applyOptions(chartLook());
    this._series.applyOptions({
      upColor: colour("body-up"), downColor: colour("body-down"),
      borderUpColor: colour("wick"), borderDownColor: colour("wick"),
      wickUpColor: colour("wick"), wickDownColor: colour("wick"),
    });
    this._backdrop.look();
    this._later();
    if (this._chosen !== undefined && this._backdrop.trade) this._drawLines(this._chosen);
  }

  /** Show the bars of the chart at `index` of the data, about its last trades. */
  show(index) {
    this.index = index;
    const packed = data.charts[index];
    if (!this._bars.has(index)) this._bars.set(index, unpackBars(packed));
    const bars = this._bars.get(index);
    this.bars = bars;
    this.times = bars.map((bar) => bar.time);
    this._clear();
    this._series.applyOptions({
      priceFormat: { type: "price", precision: packed.digits, minMove: 10 ** -packed.digits },
    });
    this._series.setData(bars);
    this._runs = packed.regimes.map(([from, regime]) => ({ from, regime: data.regimes[regime] }));
    this._runStarts = this._runs.map((run) => run.from);
    Object.assign(this._backdrop, { runs: this._runs, count: bars.length });
    this._backdrop.look();
    this._events = this._eventsOf(packed.symbol);
    this._eventBars = this._events.map((event) => event.bar);
    const last = this._eventBars.at(-1) ?? bars.length - 1;
    const width = this._typicalWidth();
    this._view(Math.min(last + width * 0.1, bars.length + 2) - width, width);
    this._say();
  }

  _typicalWidth() {
    return Math.max(40, Math.min(180, Math.round(this._chart.timeScale().width() / 7)));
  }

  /** Whether the ends of the time axis leave a label whole. */
  _fits(time) {
    const axis = this._chart.timeScale();
    const x = axis.timeToCoordinate(time);
    return x >= HALF_A_LABEL && x <= axis.width() - HALF_A_LABEL;
  }

  _eventsOf(symbol) {
    const events = [];
    trades.forEach((trade, index) => {
      if (trade.symbol !== symbol) return;
      events.push({ bar: this.barAt(trade.opened), trade, index, entry: true });
      events.push({ bar: this.barAt(trade.closed), trade, index, entry: false });
    });
    return events.sort((a, b) => a.bar - b.bar || b.entry - a.entry);
  }

  barAt(seconds) { return Math.max(0, lastAtMost(this.times, seconds)); }

  _view(from, width) {
    this._chart.timeScale().setVisibleLogicalRange({ from, to: from + width });
  }

  /** Bring the bar of a time to the middle. */
  goTo(seconds) {
    const shown = this._chart.timeScale().getVisibleLogicalRange();
    const width = Math.min(shown ? shown.to - shown.from : 150, 400);
    this._view(this.barAt(seconds) - width / 2, width);
  }

  zoom(factor) {
    const shown = this._chart.timeScale().getVisibleLogicalRange();
    if (!shown) return;
    const width = Math.min(Math.max((shown.to - shown.from) * factor, 10), this.bars.length + 10);
    const middle = Math.min(Math.max((shown.from + shown.to) / 2, 0), this.bars.length);
    this._view(middle - width / 2, width);
  }

  everything() { this._view(-1, this.bars.length + 3); }

  /** Show a trade of this chart's symbol and mark it. */
  select(index) {
    const trade = trades[index];
    const [from, to] = [this.barAt(trade.opened), this.barAt(trade.closed)];
    this._clear();
    this._chosen = index;
    const prices = [trade.entry, trade.exit, trade.stop, trade.target].filter((p) => p !== null);
    this._backdrop.trade = {
      from, to, entry: trade.entry, exit: trade.exit,
      low: Math.min(...prices), high: Math.max(...prices),
    };
    this._drawLines(index);
    const width = Math.max(this._typicalWidth(), (to - from) * 1.6);
    this._view((from + to) / 2 - width / 2, width);
    this._series.priceScale().applyOptions({ autoScale: true });
    this._backdrop.update?.();
  }

  _clear() {
    for (const line of this._lines) this._series.removePriceLine(line);
    this._lines = [];
    this._backdrop.trade = null;
    this._chosen = undefined;
  }

  _drawLines(index) {
    const trade = trades[index];
    for (const line of this._lines) this._series.removePriceLine(line);
    const { Dashed, Dotted } = LightweightCharts.LineStyle;
    this._lines = [
      ["entry", trade.entry, "accent", Dotted], ["exit", trade.exit, "accent", Dotted],
      ["first stop", trade.stop, "loss", Dashed], ["first target", trade.target, "gain", Dashed],
    ].filter(([, price]) => price !== null).map(([title, price, name, lineStyle]) =>
      this._series.createPriceLine({
        price, title, lineStyle, lineWidth: 1, color: colour(name), axisLabelColor: colour(name),
        axisLabelTextColor: colour("ground"),
      }));
  }

  _later() {
    if (this._waiting || !this._events) return;
    this._waiting = true;
    requestAnimationFrame(() => {
      this._waiting = false;
      this._mark();
    });
  }

  /** Mark the entries and exits in view, those of one bar joined, with words when there is room. */
  _mark() {
    const shown = this._chart.timeScale().getVisibleLogicalRange();
    if (!shown) return;
    const first = lastAtMost(this._eventBars, shown.from - 3) + 1;
    const last = lastAtMost(this._eventBars, shown.to + 3);
    const count = last - first + 1;
    const groups = new Map();
    const readable = count <= this._chart.timeScale().width() / PIXELS_A_MARK;
    if (readable) {
      for (const event of this._events.slice(first, last + 1)) {
        const { trade, entry } = event;
        const key = `${event.bar} ${entry} ${trade.direction} ${!entry && trade.net > 0}`;
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(event);
      }
    }
    const room = shown.to - shown.from <= TEXT_UP_TO && groups.size <= 40;
    const words = room && this._chosen === undefined; // the chosen trade has its own
    this._marks.setMarkers([...groups.values()].map((events) => this._marker(events, words)));
    if (!this._events.length) this._hint.textContent = "No trades of this symbol.";
    else if (!readable)
      this._hint.textContent =
        `${count.toLocaleString("en-US")} entries and exits in view: zoom in to see them.`;
    else this._hint.textContent = "Drag to move; click, then turn the wheel to zoom.";
  }

  _marker(events, words) {
    const { bar, trade, entry } = events[0];
    const long = trade.direction === "long";
    const chosen = events.some((event) => event.index === this._chosen);
    const won = trade.net > 0 ? "gain" : "loss";
    let text = "";
    if (events.length > 1) text = `${events.length} ×`;
    if (words || chosen) text += ` ${entry ? trade.direction : spoken(trade.reason)}`;
    return {
      time: this.times[bar],
      position: long === entry ? "belowBar" : "aboveBar",
      shape: entry ? (long ? "arrowUp" : "arrowDown") : "circle",
      color: colour(entry ? "accent" : won),
      size: chosen ? 1.6 : entry ? 1 : 0.7,
      text: text.trim(),
    };
  }

  _say(logical) {
    const at = Number.isInteger(logical) && this.bars[logical] ? logical : this.bars.length - 1;
    const bar = this.bars[at];
    if (!bar) return;
    const { digits, timeframe } = data.charts[this.index];
    const run = this._runs[lastAtMost(this._runStarts, at)];
    const price = (value) => fixed(value, digits);
    const prices = ["open", "high", "low", "close"].map(
      (name) => `${name[0].toUpperCase()} ${price(bar[name])}`
    );
    const regime = run?.regime ? [spoken(run.regime)] : [];
    this._said.textContent =
      [timeframe, moment(bar.time), prices.join(" "), ...regime].join(" · ");
  }
}
