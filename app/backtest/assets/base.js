"use strict";
// What every part of the report uses. Text reaches the page as text nodes only, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const NONE = "–";

const byId = (id) => document.getElementById(id);

function make(tag, className, ...parts) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...parts);
  return node;
}

const numberFormats = new Map();
function fixed(value, digits) {
  if (value === null || value === undefined) return NONE;
  if (!numberFormats.has(digits)) {
    const places = {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      signDisplay: "negative", // zero has none
    };
    numberFormats.set(digits, new Intl.NumberFormat("en-US", places));
  }
  return numberFormats.get(digits).format(value).replace("-", "−");
}
const money = (value) => fixed(value, 2);
const signed = (value) => (value > 0 ? "+" : "") + money(value);
const lotFormat = new Intl.NumberFormat("en-US", { maximumFractionDigits: 8 });
const lots = (value) => lotFormat.format(value);
const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");

/** Seconds since 1970 as "2012-02-03 14:05", UTC. */
function moment(seconds) {
  const text = new Date(seconds * 1000).toISOString();
  return text.slice(0, 10) + " " + text.slice(11, 16);
}

function lasted(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** The index of the last of the ascending `values` that is at most `value`; -1 before the first. */
function lastAtMost(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const PLAIN_REGIMES = {
  bull_expansion: "bull-strong", bull_contraction: "bull-weak",
  bear_expansion: "bear-strong", bear_contraction: "bear-weak",
  neutral_expansion: "neutral-strong", neutral_contraction: "neutral-weak",
};
const otherRegimes = data.regimes.filter(
  (name) => name && name !== "warming_up" && !Object.hasOwn(PLAIN_REGIMES, name)
);

/** The name of the colour of a regime; "" where none is drawn. */
function regimeColour(name) {
  if (!name || name === "warming_up") return "";
  if (Object.hasOwn(PLAIN_REGIMES, name)) return PLAIN_REGIMES[name];
  return `other-${(otherRegimes.indexOf(name) % 2) + 1}`;
}
const spoken = (name) => (name ? name.replaceAll("_", " ") : "none known");

function legendEntry(colourName, text, thin) {
  const swatch = make("span", thin ? "swatch thin" : "swatch");
  swatch.style.background = `var(--${colourName})`;
  return make("li", "", swatch, text);
}

function markEntry(sign, colourName, text) {
  const mark = make("span", "mark", sign);
  mark.style.color = `var(--${colourName})`;
  return make("li", "", mark, text);
}

const themeChanged = matchMedia("(prefers-color-scheme: dark)");

function chartLook() {
  return {
    layout: {
      background: { color: colour("ground") }, textColor: colour("soft"),
      fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12, attributionLogo: false,
      panes: { separatorColor: colour("line"), enableResize: false },
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colour("line") } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderColor: colour("line") },
    crosshair: {
      mode: LightweightCharts.CrosshairMode.Normal,
      vertLine: { color: colour("soft"), labelBackgroundColor: colour("soft") },
      horzLine: { color: colour("soft"), labelBackgroundColor: colour("soft") },
    },
  };
}

/** A chart in `box` that leaves the wheel to the page until it was clicked. */
function makeChart(box) {
  const chart = LightweightCharts.createChart(box, {
    autoSize: true,
    ...chartLook(),
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
  });
  chart.applyOptions({
    timeScale: { ...chartLook().timeScale, timeVisible: true, secondsVisible: false },
  });
  const wheel = (on) =>
    chart.applyOptions({ handleScroll: { mouseWheel: on }, handleScale: { mouseWheel: on } });
  box.addEventListener("pointerdown", () => wheel(true));
  box.addEventListener("pointerleave", () => wheel(false));
  return chart;
}
