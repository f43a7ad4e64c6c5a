"use strict";
/* What both pages need: theme, quantities as people read them, axes of time, Plotly's looks. */

const DATA = JSON.parse(document.getElementById("data").textContent);

/* ── theme: the system's, unless the button says otherwise ── */

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const drawings = [];
let chosen = null;

function theme() {
  return chosen ?? (darkSystem.matches ? "dark" : "light");
}

function setTheme() {
  document.documentElement.dataset.theme = theme();
  document.getElementById("theme").textContent = theme() === "dark" ? "light" : "dark";
}

function applyTheme() {
  setTheme();
  for (const draw of drawings) draw();
}

function onTheme(draw) {
  drawings.push(draw);
  draw();
}

setTheme();
darkSystem.addEventListener("change", applyTheme);
document.getElementById("theme").addEventListener("click", () => {
  chosen = theme() === "dark" ? "light" : "dark";
  applyTheme();
});

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/* ── quantities; integers in, exact to 2^53 ── */

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
const MINUS = "\u2212";

function number(value) {
  const text = String(value);
  const digits = text.replace("-", "").replace(/\B(?=(\d{3})+$)/g, ",");
  return (text.startsWith("-") ? MINUS : "") + digits;
}

function duration(ns, decimals = 3) {
  if (ns === 0) return "0";
  const size = Math.abs(ns);
  const [unit, name] = UNITS.find(([unit]) => size >= unit) ?? UNITS[3];
  const text = (size / unit).toFixed(unit === 1 ? 0 : decimals).replace(/\.?0+$/, (end) => (end.includes(".") ? "" : end));
  return `${ns < 0 ? MINUS : ""}${text} ${name}`;
}

/* All digits of an instant: 1.130 368 592 s. */
function instant(ns) {
  const whole = Math.floor(ns / 1e9);
  const part = String(ns - whole * 1e9).padStart(9, "0");
  return `${number(whole)}.${part.slice(0, 3)}\u2009${part.slice(3, 6)}\u2009${part.slice(6)} s`;
}

function bytes(count) {
  for (const [unit, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (count >= unit) return `${(count / unit).toFixed(1).replace(/\.0$/, "")} ${name}`;
  }
  return `${count} B`;
}

/* Ticks of a timebase in so many ns, as text; BigInt, for the product goes past 2^53. */
function ticks(ns) {
  const twice = 2n * BigInt(Math.round(ns)) * BigInt(DATA.hz);
  const rounded = (twice + (twice < 0n ? -1n : 1n) * 1000000000n) / 2000000000n;
  return `${number(rounded)} ${rounded === 1n || rounded === -1n ? "tick" : "ticks"}`;
}

/* Plotly reads a few HTML tags in texts: what comes from a log is no such thing. */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/* ── an axis of time: round steps, and what all labels share said once ── */

function roundStep(least) {
  const decade = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((factor) => factor * decade).find((step) => step >= least * 0.999);
}

function timeAxis(from, to, width) {
  const step = roundStep((to - from) / Math.max(2, width / 105));
  const [unit, name] = UNITS.find(([unit]) => step >= unit) ?? UNITS[3];
  const first = Math.ceil(from / step) * step;
  const base = unit >= 1e6 ? 0 : Math.floor(first / (unit * 1000)) * unit * 1000;
  const values = [];
  for (let at = first; at <= to && values.length < 40; at += step) values.push(at);
  const scale = base ? unit : 1e9;
  const decimals = Math.max(0, Math.ceil(-Math.log10(step / scale) - 1e-9));
  const label = (at) => `${base ? "+" : ""}${((at - base) / scale).toFixed(base ? 0 : decimals)} ${base ? name : "s"}`;
  return { values, texts: values.map(label), base: base ? `from ${instant(base)}` : "" };
}

/* ── Plotly as this page wants it ── */

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };

function axis(more = {}) {
  return {
    gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, ticks: "", automargin: false,
    tickfont: { size: 11, color: colour("soft") }, title: { font: { size: 11, color: colour("soft") } }, ...more,
  };
}

function layout(height, more = {}) {
  return {
    height, margin: { l: 64, r: 16, t: 10, b: 36 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    hoverlabel: {
      align: "left", bgcolor: colour("card"), bordercolor: colour("faint"),
      font: { family: colour("mono"), size: 11, color: colour("ink") },
    },
    showlegend: false, hovermode: "closest", ...more,
  };
}

function shade(from, to, more = {}) {
  return {
    type: "rect", layer: "below", xref: "x", yref: "paper", x0: from, x1: to, y0: 0, y1: 1,
    fillcolor: colour("blackout"), line: { width: 0 }, ...more,
  };
}
