"use strict";
/* Very many interrupts: how dense they are. `laneOf` maps the CPUs that are shown to their lanes. */

const BAR_PIXELS = 3;

function delivered(arcs) {
  return arcs.outcomes.map((name) => ["on_time", "late", "early", "doubled"].includes(name));
}

/* The bins that came with the page count every delivery of the run; here so many of them together. */
function binsOfAll(data, laneOf, together = 1) {
  return new Map([...laneOf.keys()].map((cpu) => {
    const bins = new Map();
    for (const [bin, much] of data.density.counts[cpu] ?? []) {
      const wide = Math.floor(bin / together);
      bins.set(wide, (bins.get(wide) ?? 0) + much);
    }
    return [cpu, bins];
  }));
}

/* As fine as the picture; right only where the page has all arcs. */
function binsOfArcs(data, laneOf, [from, to], step) {
  const { arcs } = data;
  const counts = delivered(arcs);
  const bins = new Map([...laneOf.keys()].map((cpu) => [cpu, new Map()]));
  arcs.end.forEach((end, at) => {
    const mine = bins.get(arcs.cpu[at]);
    if (!mine || !counts[arcs.outcome[at]] || end < from || end > to) return;
    const bin = Math.floor(end / step);
    mine.set(bin, (mine.get(bin) ?? 0) + 1);
  });
  return bins;
}

function densityTrace(data, laneOf, [from, to], width) {
  const shared = data.stride > 1;
  const least = Math.max(1, Math.ceil(((to - from) / width) * BAR_PIXELS));
  const together = Math.ceil(least / 2 ** data.density.shift);
  const step = shared ? together * 2 ** data.density.shift : least;
  const bins = shared ? binsOfAll(data, laneOf, together) : binsOfArcs(data, laneOf, [from, to], step);
  const shown = [...bins].flatMap(([cpu, mine]) =>
    [...mine].filter(([bin]) => (bin + 1) * step > from && bin * step < to).map(([bin, much]) => ({ cpu, bin, much })));
  const most = shown.reduce((highest, { much }) => Math.max(highest, much), 1);
  const trace = { x: [], y: [], mode: "lines", fill: "toself", fillcolor: colour("density"), line: { width: 0 }, hoverinfo: "skip" };
  for (const { cpu, bin, much } of shown) {
    const low = -laneOf.get(cpu) - RISE;
    const top = low + (2 * RISE * much) / most;
    trace.x.push(bin * step, bin * step, (bin + 1) * step, (bin + 1) * step, bin * step, null);
    trace.y.push(low, top, top, low, low, null);
  }
  return trace;
}

/* Deliveries in view, to the bin. */
function countedInView(data, laneOf, [from, to]) {
  const width = 2 ** data.density.shift;
  let sum = 0;
  for (const mine of binsOfAll(data, laneOf).values()) {
    for (const [bin, much] of mine) if ((bin + 1) * width > from && bin * width < to) sum += much;
  }
  return sum;
}
