"use strict";
// Equity and balance, and below them on the same times how far the equity is below its peak.

/** Widen a range of prices about its middle to a `share` of it: a flat line is no mountain. */
function atLeast(info, share) {
  if (!info?.priceRange) return info;
  const { minValue, maxValue } = info.priceRange;
  const middle = (minValue + maxValue) / 2;
  const half = Math.max((maxValue - minValue) / 2, (Math.abs(middle) * share) / 2);
  return { ...info, priceRange: { minValue: middle - half, maxValue: middle + half } };
}

function fromZero(info) {
  if (!info?.priceRange) return info;
  const minValue = Math.min(info.priceRange.minValue, -1);
  return { ...info, priceRange: { minValue, maxValue: 0 } };
}

class EquityChart {
  constructor(box, said, onTime) {
    this._said = said;
    const { began, step, balance, equity, drawdown } = data.equity;
    this._times = equity.map((_, i) => began + i * step);
    const points = (values) => values.map((value, i) => ({ time: this._times[i], value }));
    const plain = { priceLineVisible: false, lastValueVisible: false, lineWidth: 2 };
    this._chart = makeChart(box);
    const { BaselineSeries, LineSeries, LineType } = LightweightCharts;
    this._balance = this._chart.addSeries(LineSeries, {
      ...plain, lineWidth: 1, lineType: LineType.WithSteps, crosshairMarkerVisible: false,
    });
    this._equity = this._chart.addSeries(LineSeries, plain);
    this._drawdown = this._chart.addSeries(
      BaselineSeries,
      {
        ...plain, lineWidth: 1, baseValue: { type: "price", price: 0 },
        priceFormat: { type: "custom", minMove: 0.01, formatter: (v) => `${fixed(v, 1)} %` },
      },
      1
    );
    const worth = { priceFormat: { type: "custom", minMove: 0.01, formatter: this._axis } };
    const wide = (info) => atLeast(info, 0.01);
    for (const one of [this._balance, this._equity])
      one.applyOptions({ ...worth, autoscaleInfoProvider: (original) => wide(original()) });
    this._drawdown.applyOptions({ autoscaleInfoProvider: (original) => fromZero(original()) });
    this._balance.setData(points(balance));
    this._equity.setData(points(equity));
    this._drawdown.setData(points(drawdown));
    const panes = this._chart.panes();
    panes[0].setStretchFactor(2.4);
    panes[1].setStretchFactor(1);
    panes[1].priceScale("right").applyOptions({ scaleMargins: { top: 0.06, bottom: 0.08 } });
    this.look();
    this._chart.timeScale().applyOptions({
      minBarSpacing: 0.05, fixLeftEdge: true, fixRightEdge: true, // or it cuts labels at its ends
    });
    this._chart.timeScale().fitContent();
    this._chart.subscribeCrosshairMove((move) => this._say(move.logical));
    this._chart.subscribeClick((click) => {
      const time = this._times[click.logical];
      if (time !== undefined) onTime(time);
    });
    this._say();
  }

  _axis(value) {
    return fixed(value, Math.abs(value) >= 1000 ? 0 : 2);
  }

  look() {
    this._chart.applyOptions(chartLook());
    this._balance.applyOptions({ color: colour("soft") });
    this._equity.applyOptions({ color: colour("accent") });
    const loss = colour("loss");
    this._drawdown.applyOptions({
      topLineColor: loss, topFillColor1: loss, topFillColor2: loss,
      bottomLineColor: loss, bottomFillColor1: `${loss}30`, bottomFillColor2: `${loss}70`,
    });
  }

  _say(logical) {
    const { balance, equity, drawdown } = data.equity;
    const last = equity.length - 1;
    const at = Number.isInteger(logical) && logical >= 0 && logical <= last ? logical : last;
    const falls = `drawdown ${fixed(drawdown[at], 2)} %`;
    const worth = [`equity ${money(equity[at])}`, `balance ${money(balance[at])}`, falls];
    this._said.textContent = [moment(this._times[at]), ...worth].join(" · ");
  }
}
