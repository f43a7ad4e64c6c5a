"use strict";
/* The charts of one run below its timeline. */

const PASS_WIDTH = 0.62;

function drawLateness() {
  const { edges, counts, lost } = DATA.lateness;
  const bins = counts.map((count) => count[0]);
  const first = Math.min(...bins.filter((bin) => bin > 0), 10);
  const last = Math.max(...bins, first + 9) + 1;
  const gap = first - 2;
  const place = (bin) => (bin === 0 ? gap : bin);
  const name = (bin) => (bin === 0 ? "at the very nanosecond" : `${duration(edges[bin - 1])} to ${duration(edges[bin])}`);
  const bar = (outcome, label, fill) => {
    const mine = counts.filter((count) => count[1] === outcome);
    return {
      type: "bar", x: mine.map((count) => place(count[0])), y: mine.map((count) => count[2]), width: 0.84,
      marker: { color: colour(fill) }, text: mine.map((count) => number(count[2])), textposition: "outside",
      textfont: { size: 11, color: colour("soft") }, cliponaxis: false, constraintext: "none", textangle: 0,
      customdata: mine.map((count) => `${number(count[2])} ${label}<br>${name(count[0])}`),
      hovertemplate: "%{customdata}<extra></extra>",
    };
  };
  const never = {
    type: "bar", x: lost ? [last + 1] : [], y: lost ? [lost] : [], width: 0.84, marker: { color: colour("lost") },
    text: [number(lost)], textposition: "outside", textfont: { size: 11, color: colour("lost") }, cliponaxis: false, constraintext: "none",
    hovertemplate: "%{y} lost<extra></extra>",
  };
  const decades = [];
  for (let bin = first; bin <= last; bin += 1) if (String(edges[bin - 1])[0] === "1") decades.push(bin);
  const values = [gap, ...decades.map((bin) => bin - 0.5), ...(lost ? [last + 1] : [])];
  const texts = ["exact", ...decades.map((bin) => duration(edges[bin - 1])), ...(lost ? ["never"] : [])];
  const most = Math.max(1, lost, ...counts.map((count) => count[2]));
  const powers = [];
  for (let power = 1; power <= most * 10; power *= 10) powers.push(power);
  Plotly.react("lateness", [bar("on_time", "on time", "on-time"), bar("late", "late", "late"), never], layout(230, {
    barmode: "stack", margin: { l: 64, r: 16, t: 16, b: 30 },
    xaxis: axis({ range: [gap - 0.8, last + (lost ? 1.8 : 0.6)], tickvals: values, ticktext: texts, showgrid: false, fixedrange: true, tickangle: 0 }),
    yaxis: axis({ type: "log", range: [-0.35, Math.log10(most) + 0.35], tickvals: powers, ticktext: powers.map(number), fixedrange: true, title: { text: "interrupts", font: { size: 11, color: colour("soft") }, standoff: 6 } }),
  }), CONFIG);
}

function drawPasses() {
  const passes = DATA.passes;
  if (!passes.length) {
    document.getElementById("passes").textContent = "There was none.";
    return;
  }
  const inside = (pass) => DATA.pauses.some((pause) => pass.t_ns - pass.duration_ns >= pause.stop_ns && pass.t_ns <= (pause.resume_ns ?? Infinity));
  const labels = passes.map((pass) => pass.pass);
  const hover = passes.map((pass) => [
    `pass ${number(pass.pass)}${inside(pass) ? ", in the blackout" : ""}, ${duration(pass.duration_ns)}`,
    `${number(pass.dirty_pages)} dirty pages, ${number(pass.zero_pages)} of them zero`,
    `${bytes(pass.bytes)} sent, ${bytes(pass.remaining)} dirty at its end`,
    `${bytes(pass.dirty_rate)}/s dirtied, ${bytes(pass.rate)}/s sent`,
    ...(pass.encoded_pages || pass.skipped_pages
      ? [`${number(pass.encoded_pages)} as deltas or compressed, ${number(pass.skipped_pages)} unchanged and not sent`] : []),
    ...(pass.downtime_limit_ns ? [`downtime expected ${duration(pass.expected_downtime_ns)}, limit ${duration(pass.downtime_limit_ns)}`] : []),
  ].join("<br>"));
  const common = { customdata: hover, hovertemplate: "%{customdata}<extra></extra>", x: labels };
  const rates = (key, name, tone) => ({
    ...common, y: passes.map((pass) => pass[key] / 2 ** 20), mode: "lines+markers", name, xaxis: "x2", yaxis: "y2",
    line: { color: colour(tone), width: 1.5 }, marker: { size: 7, color: colour(tone) },
  });
  const higher = passes[0].rate >= passes[0].dirty_rate ? "rate" : "dirty_rate";
  const apart = Math.abs(passes[0].rate - passes[0].dirty_rate) > 0.15 * Math.max(...passes.map((pass) => Math.max(pass.rate, pass.dirty_rate)));
  const above = (key) => apart || key === higher;
  const direct = (key, text, tone) => ({
    xref: "x2", yref: "y2", x: labels[0], y: passes[0][key] / 2 ** 20, text, showarrow: false, xanchor: "left",
    yanchor: above(key) ? "bottom" : "top", yshift: above(key) ? 5 : -5, font: { size: 11, color: colour(tone) },
  });
  const traces = [
    { ...common, type: "bar", y: passes.map((pass) => pass.dirty_pages), width: passes.length < 60 ? PASS_WIDTH : 1,
      marker: { color: passes.map((pass) => colour(inside(pass) ? "soft" : "density")) },
      text: passes.length <= 16 ? passes.map((pass) => number(pass.dirty_pages)) : "", textposition: "outside",
      textfont: { size: 11, color: colour("soft") }, cliponaxis: false, constraintext: "none", textangle: 0 },
    rates("rate", "sent", "on-time"), rates("dirty_rate", "dirtied", "late"),
  ];
  const ends = [Math.min(...labels) - 0.7, Math.max(...labels) + 0.7];
  const top = Math.max(...passes.map((pass) => Math.max(pass.rate, pass.dirty_rate) / 2 ** 20), 1);
  const most = Math.max(...passes.map((pass) => pass.dirty_pages), 1);
  const few = labels.length <= 16 ? { tickvals: labels, ticktext: passes.map((pass) => `pass ${pass.pass}${inside(pass) ? "<br>in the blackout" : ""}`) } : {};
  const titled = (text) => ({ text, font: { size: 11, color: colour("soft") }, standoff: 6 });
  const narrow = document.getElementById("passes").clientWidth < 640;
  const [left, right] = narrow ? [[0, 1], [0, 1]] : [[0, 0.47], [0.55, 1]];
  const [upper, lower] = narrow ? [[0.6, 1], [0, 0.42]] : [[0, 1], [0, 1]];
  Plotly.react("passes", traces, layout(narrow ? 380 : 210, {
    margin: { l: 64, r: 16, t: 18, b: 36 },
    xaxis: axis({ domain: left, range: ends, showgrid: false, ...few, fixedrange: true, anchor: "y" }),
    yaxis: axis({ domain: upper, range: [0, most * 1.12], title: titled("dirty pages"), fixedrange: true, nticks: 5 }),
    xaxis2: axis({ domain: right, range: ends, showgrid: false, ...few, fixedrange: true, anchor: "y2" }),
    yaxis2: axis({ domain: lower, range: [-top * 0.04, top * 1.2], title: titled("MiB a second"), fixedrange: true, anchor: "x2", nticks: 5 }),
    annotations: [direct("rate", "sent", "on-time"), direct("dirty_rate", "dirtied", "late")],
  }), CONFIG);
}

timeline(document.querySelector(".timeline"), DATA);
onTheme(() => drawDrift([{ name: "", points: DATA.drift }]));
onTheme(drawLateness);
onTheme(drawPasses);
