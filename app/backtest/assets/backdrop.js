"use strict";
// What is drawn behind and upon the candles: the regimes, and the chosen trade.

/** Draws regimes as a strip and a veil, and the chosen trade from its entry to its exit. */
class Backdrop {
  constructor() {
    this.runs = [];
    this.count = 0;
    this.trade = null;
    this.colours = new Map();
    const draw = (target) => target.useMediaCoordinateSpace((scope) => this._draw(scope));
    const over = (target) => target.useMediaCoordinateSpace((scope) => this._drawTrade(scope));
    this._views = [
      { zOrder: () => "bottom", renderer: () => ({ draw }) },
      { zOrder: () => "top", renderer: () => ({ draw: over }) },
    ];
  }
  attached({ chart, series, requestUpdate }) {
    this._time = chart.timeScale();
    this._series = series;
    this.update = requestUpdate;
  }
  paneViews() { return this._views; }
  autoscaleInfo(first, last) {
    const trade = this.trade;
    if (!trade || trade.to < first || trade.from > last) return null;
    return { priceRange: { minValue: trade.low, maxValue: trade.high } };
  }
  look() {
    this.colours.clear();
    for (const { regime } of this.runs) {
      const name = regimeColour(regime);
      if (name) this.colours.set(regime, colour(name));
    }
    this._veil = Number(colour("veil"));
    this._accent = colour("accent");
    this.update?.();
  }
  _x(index) { return this._time.logicalToCoordinate(index); }
  _draw({ context, mediaSize }) {
    const half = this._time.options().barSpacing / 2;
    const shown = this._time.getVisibleLogicalRange();
    if (!shown) return;
    for (const [at, run] of this.runs.entries()) {
      const end = this.runs[at + 1]?.from ?? this.count;
      if (end < shown.from || run.from > shown.to + 1 || !this.colours.has(run.regime)) continue;
      const left = this._x(run.from) - half;
      const width = this._x(end) - half - left;
      context.fillStyle = this.colours.get(run.regime);
      context.globalAlpha = this._veil;
      context.fillRect(left, 0, width, mediaSize.height);
      context.globalAlpha = 1;
      context.fillRect(left, mediaSize.height - 7, width, 7);
    }
  }
  _drawTrade({ context, mediaSize }) {
    const trade = this.trade;
    if (!trade) return;
    const half = this._time.options().barSpacing / 2;
    const [left, right] = [this._x(trade.from), this._x(trade.to)];
    context.fillStyle = this._accent;
    context.globalAlpha = 0.1;
    context.fillRect(left - half, 0, right - left + 2 * half, mediaSize.height);
    context.globalAlpha = 1;
    context.strokeStyle = this._accent;
    context.lineWidth = 2;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(left, this._series.priceToCoordinate(trade.entry));
    context.lineTo(right, this._series.priceToCoordinate(trade.exit));
    context.stroke();
    context.setLineDash([]);
  }
}
