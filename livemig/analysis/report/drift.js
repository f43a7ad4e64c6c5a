"use strict";
/* Guest time against the world's: one line a guest, named at its end. */

function errorNs(point) {
  return (point[1] / DATA.hz) * 1e9;
}

/* Each stretch that the guest ran, and each that it stood still: there nobody read its time. */
function stretches(points, stops) {
  const running = { x: [], y: [], text: [] };
  const stopped = { x: [], y: [] };
  points.forEach((point, at) => {
    running.x.push(point[0]);
    running.y.push(errorNs(point));
    running.text.push(`${plain(instant(point[0]))}<br>${number(point[1])} ticks, ${duration(errorNs(point))}`);
    const next = points[at + 1];
    if (next && stops.has(point[0]) && next[0] > point[0]) {
      stopped.x.push(point[0], next[0], null);
      stopped.y.push(errorNs(point), errorNs(next), null);
      running.x.push(null);
      running.y.push(null);
      running.text.push("");
    }
  });
  return { running, stopped };
}

function inWords(ticks) {
  if (!ticks) return "the world's, to the tick";
  return `${duration(Math.abs(errorNs([0, ticks])))} ${ticks < 0 ? "behind" : "ahead"}`;
}

/* Guests that end at the same error share a label. */
function endLabels(guests) {
  const groups = new Map();
  for (const { name, points } of guests) {
    const last = points.at(-1);
    if (!last) continue;
    const group = groups.get(last[1]) ?? { last, names: [] };
    if (last[0] > group.last[0]) group.last = last;
    groups.set(last[1], { ...group, names: [...group.names, name] });
  }
  const wide = document.getElementById("drift").clientWidth > 480;
  return [...groups.values()].map(({ last, names }) => {
    const silent = last[0] < DATA.endNs * 0.6;
    const who = names.filter(Boolean).map(plain).join(", ");
    return {
      x: last[0], y: errorNs(last), showarrow: false, xanchor: silent ? "left" : "right", yanchor: silent ? "middle" : "bottom",
      xshift: silent ? 6 : 0, yshift: silent ? 0 : 3, font: { size: 12, color: colour(last[1] ? "lost" : "good") },
      text: `${who ? `<b>${who}</b>  ` : ""}${inWords(last[1])}${silent && wide ? " at the last reading" : ""}`,
    };
  });
}

function drawDrift(guests) {
  const time = timeAxis(0, DATA.endNs, document.getElementById("drift").clientWidth - 80);
  const pauses = DATA.pauses.filter((pause) => pause.resume_ns !== null);
  const stops = new Set(pauses.map((pause) => pause.stop_ns));
  const errors = guests.flatMap(({ points }) => points.map(errorNs));
  const [lowest, highest] = [Math.min(0, ...errors), Math.max(0, ...errors)];
  const room = highest - lowest || 1e10 / DATA.hz;
  const [low, high] = [lowest - room * 0.18, highest + room * 0.28];
  const step = roundStep((high - low) / 5);
  const levels = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) levels.push(at);
  const traces = guests.flatMap(({ points }) => {
    const { running, stopped } = stretches(points, stops);
    const line = { color: colour(points.at(-1)?.[1] ? "lost" : "on-time"), width: 2 };
    return [
      { ...stopped, mode: "lines", line: { ...line, dash: "dot", width: 1.5 }, hoverinfo: "skip" },
      { ...running, mode: "lines", line, hovertemplate: "%{text}<extra></extra>" },
    ];
  });
  const blackouts = pauses.slice(0, 3).map((pause) => ({
    x: (pause.stop_ns + pause.resume_ns) / 2, y: 1, yref: "paper", yanchor: "top", showarrow: false,
    text: "blackout", font: { size: 11, color: colour("soft") },
  }));
  Plotly.react("drift", traces, layout(230, {
    margin: { l: 64, r: 16, t: 6, b: 30 },
    xaxis: axis({ range: [0, DATA.endNs], tickvals: time.values, ticktext: time.texts, showgrid: false, fixedrange: true }),
    yaxis: axis({ range: [low, high], tickvals: levels, ticktext: levels.map((level) => duration(level)), fixedrange: true, zeroline: true, zerolinecolor: colour("faint") }),
    shapes: pauses.map((pause) => shade(pause.stop_ns, pause.resume_ns)), annotations: [...blackouts, ...endLabels(guests)],
  }), CONFIG);
}
