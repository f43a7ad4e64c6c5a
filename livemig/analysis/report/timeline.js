"use strict";
/* The timeline: a strip of who runs the guest, one of the passes, and a lane a CPU.

In a lane an arm is a line that falls from the top (armed) to the middle (due) and on to the bottom (delivered). Where
too many are in view for that, their number is drawn instead. At every zoom all is drawn anew from the exact times. */

const MOST_DRAWN = 900;
const MOST_LANES = 16;
const MOST_LABELS = 6;
const NARROWEST_NS = 20;
const MARGIN = { l: 64, r: 16, t: 4, b: 34 };
const RISE = 0.36;
const STYLE = {
  on_time: { tone: "on-time", symbol: "circle", size: 5, line: 0.8, words: "on time" },
  late: { tone: "late", symbol: "diamond", size: 9, line: 1.8, words: "late" },
  early: { tone: "early", symbol: "square", size: 7, line: 1.8, words: "early" },
  doubled: { tone: "early", symbol: "square-open", size: 8, line: 1.2, words: "not asked for" },
  lost: { tone: "lost", symbol: "x-thin-open", size: 12, line: 1.8, words: "lost" },
  superseded: { tone: "superseded", symbol: "circle-open", size: 4, line: 0.8, words: "superseded: armed anew first" },
  pending: { tone: "superseded", symbol: "circle-open", size: 4, line: 0.8, words: "not due, or masked, at the end" },
};

/* In `root` (a .chart, and .overview, .views, .span, .drawn) the timeline of `data`. Options: `view`, the name of the
first; `labels`, of how many arms that went wrong all say so; `lanes`, how many are drawn; `left`, px for their names. */
function timeline(root, data, options = {}) {
  const arcs = data.arcs;
  const outcomes = arcs.outcomes;
  const count = arcs.cpu.length;
  const isTrouble = outcomes.map((name) => ["late", "early", "doubled", "lost"].includes(name));
  const isDelivered = delivered(arcs);
  const lanes = chooseLanes();
  const laneOf = new Map(lanes.map((cpu, lane) => [cpu, lane]));
  const pauses = data.pauses.map((pause) => ({ stop: pause.stop_ns, resume: pause.resume_ns ?? data.endNs, to: pause.to, from: pause.from }));
  const blackout = pauses.find((pause) => pause.to !== null && pause.to !== pause.from) ?? pauses[0];
  const gap = usualGap();
  const margin = { ...MARGIN, l: options.left ?? MARGIN.l };
  const box = root.querySelector(".chart");
  let view = options.view ? (named(options.view) ?? [0, data.endNs]).map(inside) : firstView();
  let pointed = null;

  /* All CPUs, or of very many those in trouble first. */
  function chooseLanes() {
    const troubled = new Set(arcs.cpu.filter((_, at) => isTrouble[arcs.outcome[at]]));
    const all = Array.from({ length: data.cpus }, (_, cpu) => cpu);
    return [...all].sort((a, b) => troubled.has(b) - troubled.has(a) || a - b).slice(0, options.lanes ?? MOST_LANES).sort((a, b) => a - b);
  }

  /* What stands to the left of a lane: the names in `data.names`, of a comparison, or the CPU. */
  function laneName(cpu) {
    return data.names ? plain(data.names[cpu]) : `cpu ${cpu}`;
  }

  function usualGap() {
    const gaps = [];
    for (let at = 1; at < count; at += 1) {
      if (arcs.cpu[at] === arcs.cpu[at - 1] && isDelivered[arcs.outcome[at]]) gaps.push(arcs.end[at] - arcs.end[at - 1]);
    }
    gaps.sort((a, b) => a - b);
    return Math.max(gaps[gaps.length >> 1] ?? data.endNs / 100, 1000);
  }

  function firstView() {
    const long = blackout ? blackout.resume - blackout.stop : data.endNs;
    return long * 50 >= data.endNs ? [0, data.endNs] : [blackout.stop - 12 * long, blackout.resume + 12 * long].map(inside);
  }

  function inside(t) {
    return Math.min(Math.max(Math.round(t), 0), data.endNs);
  }

  function start(at) {
    return arcs.arm[at] ?? arcs.end[at];
  }

  function due(at) {
    return arcs.due[at] === null ? null : arcs.arm[at] + arcs.due[at];
  }

  /* Where its line ends: an interrupt that came early goes on to when it was due, an arm that was given up does not. */
  function reach(at) {
    return isDelivered[arcs.outcome[at]] ? Math.max(arcs.end[at], due(at) ?? 0) : arcs.end[at];
  }

  function inView([from, to]) {
    const found = [];
    for (let at = 0; at < count; at += 1) {
      if (laneOf.has(arcs.cpu[at]) && start(at) <= to && reach(at) >= from) found.push(at);
    }
    return found;
  }

  /* ── one arm ── */

  function where(place, at) {
    return place.line[at] ? `${plain(arcs.files[place.file[at]])}:${place.line[at]}` : "";
  }

  function describe(at) {
    const style = STYLE[outcomes[arcs.outcome[at]]];
    const deadline = due(at);
    const lines = [`<b>${laneName(arcs.cpu[at])} ${plain(arcs.timers[arcs.timer[at]])}: ${style.words}</b>`];
    if (arcs.arm[at] !== null) {
      lines.push(`armed      ${instant(arcs.arm[at])}  ${where(arcs.armedAt, at)}`, `with       ${number(arcs.value[at])} ticks`);
    }
    if (deadline !== null) lines.push(`due        ${instant(deadline)}  +${duration(deadline - arcs.arm[at])}`);
    const ended = isDelivered[arcs.outcome[at]] ? "delivered " : "until     ";
    lines.push(`${ended} ${instant(arcs.end[at])}  ${where(arcs.endedAt, at)}`);
    if (deadline !== null && arcs.end[at] > deadline) {
      const late = arcs.end[at] - deadline;
      lines.push(`after due  ${number(late)} ns, ${ticks(late)}`);
    }
    return lines.join("<br>").replace(/ {2}/g, "\u00a0\u00a0");
  }

  /* The points of its line: armed, due, delivered; cut short where it was given up before it was due. */
  function course(at, y) {
    const name = outcomes[arcs.outcome[at]];
    const [armed, deadline, end] = [arcs.arm[at], due(at), arcs.end[at]];
    if (armed === null) return [[end, y - RISE]];
    if (name === "superseded" || name === "pending") {
      const fallen = deadline === null ? 0 : Math.min(1, (end - armed) / Math.max(1, deadline - armed));
      return [[armed, y + RISE], [end, y + RISE * (1 - fallen)]];
    }
    const points = [[armed, y + RISE]];
    if (deadline !== null) points.push([deadline, y]);
    if (name !== "lost") points.push([end, y - RISE]);
    return points;
  }

  function armTraces(found) {
    const traces = [];
    outcomes.forEach((name, outcome) => {
      const mine = found.filter((at) => arcs.outcome[at] === outcome);
      if (!mine.length) return;
      const style = STYLE[name];
      const tone = colour(style.tone);
      const line = { x: [], y: [], mode: "lines", hoverinfo: "skip", line: { color: tone, width: style.line } };
      const marks = { x: [], y: [], text: [], mode: "markers", hovertemplate: "%{text}<extra></extra>",
        marker: { symbol: [], size: [], color: tone, line: { color: tone, width: name === "lost" ? 2.4 : 1.2 } } };
      const never = { x: [], y: [], mode: "lines", hoverinfo: "skip", line: { color: tone, width: 1.6, dash: "dot" } };
      for (const at of mine) {
        const y = -laneOf.get(arcs.cpu[at]);
        const points = course(at, y);
        const text = describe(at);
        points.forEach(([x, height], step) => {
          line.x.push(x);
          line.y.push(height);
          const final = step === points.length - 1;
          const bare = step === 1 && !final && name === "on_time";
          if (bare) return;
          marks.x.push(x);
          marks.y.push(height);
          marks.text.push(text);
          marks.marker.symbol.push(final ? style.symbol : step === 0 ? "line-ns-open" : "diamond-open");
          marks.marker.size.push(final ? style.size : step === 0 ? 5 : 8);
        });
        line.x.push(null);
        line.y.push(null);
        if (name === "lost" && due(at) !== null) {
          never.x.push(due(at), arcs.end[at], null);
          never.y.push(y, y, null);
        }
      }
      traces.push(line, never, marks);
    });
    return traces;
  }

  /* ── what stands around the lanes ── */

  function strip(from, to, low, high, fill, more = {}) {
    return { type: "rect", layer: "between", x0: from, x1: to, y0: low, y1: high, fillcolor: fill, line: { width: 0 }, ...more };
  }

  function label(from, to, y, text, room, more = {}) {
    const [left, right] = [Math.max(from, view[0]), Math.min(to, view[1])];
    const pixels = ((right - left) / (view[1] - view[0])) * room;
    if (pixels < text.length * 6.2 + 6) return [];
    return [{ x: (left + right) / 2, y, text, showarrow: false, font: { size: 11, color: colour("ink") }, ...more }];
  }

  function surroundings(room) {
    const shapes = [];
    const notes = [];
    const pixel = (view[1] - view[0]) / room;
    let [side, since] = ["source", 0];
    const ran = (from, to, name) => {
      if (to <= from) return;
      shapes.push(strip(from, to, level(1.14), level(1.5), colour(name)));
      notes.push(...label(from, to, level(1.32), name, room));
    };
    for (const pause of pauses) {
      ran(since, pause.stop, side);
      const right = Math.max(pause.resume, pause.stop + 3 * pixel);
      shapes.push(shade(pause.stop, right));
      const edge = { type: "line", yref: "paper", y0: 0, y1: 1, line: { color: colour("edge"), width: 1 } };
      shapes.push({ ...edge, x0: pause.stop, x1: pause.stop }, { ...edge, x0: pause.resume, x1: pause.resume });
      const name = pause === blackout && pause.to ? "blackout" : "paused";
      const bold = { font: { size: 12, color: colour("ink"), weight: 600 } };
      const long = duration(pause.resume - pause.stop);
      const said = label(pause.stop, pause.resume, level(1.32), `${name} ${long}`, room, bold);
      notes.push(...(said.length ? said : label(pause.stop, pause.resume, level(1.32), long, room, bold)));
      [side, since] = [pause.to ?? pause.from, pause.resume];
    }
    if (!pauses.length || pauses.at(-1).to !== null) ran(since, data.endNs, side);
    data.passes.forEach((pass) => {
      shapes.push(strip(pass.t_ns - pass.duration_ns, pass.t_ns, level(0.7), level(1.02), colour("pass"), { line: { width: 1, color: colour("card") } }));
      notes.push(...label(pass.t_ns - pass.duration_ns, pass.t_ns, level(0.86), `pass ${pass.pass}`, room, { font: { size: 10, color: colour("soft") } }));
    });
    lanes.forEach((_, lane) => {
      const apart = data.names && lane % data.perRun === 0;
      if (lane) shapes.push({ type: "line", xref: "paper", x0: apart ? -0.2 : 0, x1: 1, y0: 0.5 - lane, y1: 0.5 - lane, line: { color: colour(apart ? "faint" : "grid"), width: 1 }, layer: "below" });
    });
    for (const [lane, deadline] of data.guides ?? []) {
      if (laneOf.has(lane)) shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: deadline, x1: deadline, line: { color: colour("soft"), width: 1, dash: "dot" } });
    }
    if (pointed) {
      shapes.push({ type: "line", yref: "paper", x0: pointed.ns, x1: pointed.ns, y0: 0, y1: 1, line: { color: colour("late"), width: 1.5 } });
      notes.push({ x: pointed.ns, y: level(0.86), xanchor: "left", xshift: 4, bgcolor: colour("card"), showarrow: false, text: plain(pointed.place), font: { size: 11, color: colour("late") } });
    }
    return { shapes, notes };
  }

  /* The few that went wrong say so in words. */
  function troubleNotes(found, room) {
    const wrong = found.filter((at) => isTrouble[arcs.outcome[at]] && due(at) !== null);
    if (wrong.length > (options.labels ?? MOST_LABELS)) return [];
    return wrong.flatMap((at) => {
      const lost = outcomes[arcs.outcome[at]] === "lost";
      const x = Math.max(lost ? due(at) : arcs.end[at], view[0]);
      if (x > view[1]) return [];
      const late = arcs.end[at] - due(at);
      const open = lost && !arcs.endedAt.line[at];
      const never = room < 600 ? "never delivered" : `never delivered: overdue for ${duration(late)} when the log ends`;
      const words = lost ? (open ? never : "lost") : `${duration(Math.abs(late))} ${late < 0 ? "early" : "late"}`;
      const right = x + ((words.length * 6 + 14) / room) * (view[1] - view[0]) > view[1];
      return [{
        x, y: -laneOf.get(arcs.cpu[at]) + (lost ? 0 : -RISE), text: words, showarrow: false, xanchor: right ? "right" : "left",
        yanchor: lost ? "bottom" : "middle", xshift: right ? -9 : 9, yshift: lost ? 3 : 0, bgcolor: lost ? undefined : colour("card"), borderpad: 1,
        font: { size: 11, color: colour(lost ? "lost" : "late") },
      }];
    });
  }

  /* ── drawing ── */

  /* The strips above the lanes are as high whatever the lanes are: their places count in lanes of 62 px. */
  function level(y) {
    return 0.5 + (y - 0.5) * Math.max(1, 62 / laneHeight());
  }

  function laneHeight() {
    return lanes.length <= 3 ? 68 : lanes.length <= 6 ? 50 : 32;
  }

  function drawTimeline() {
    const room = Math.max(200, box.clientWidth - margin.l - margin.r);
    const found = inView(view);
    const weighty = found.filter((at) => isDelivered[arcs.outcome[at]] || isTrouble[arcs.outcome[at]]);
    const each = found.length <= MOST_DRAWN;
    const shown = each ? found : weighty.filter((at) => isTrouble[arcs.outcome[at]]).slice(0, MOST_DRAWN);
    const traces = [...(each ? [] : [densityTrace(data, laneOf, view, room)]), ...armTraces(shown)];
    if (!traces.length) traces.push({ x: [null], y: [null], mode: "markers" });
    const { shapes, notes } = surroundings(room);
    const time = timeAxis(view[0], view[1], room);
    Plotly.react(box, traces, layout(Math.round((level(1.56) - 0.45 + lanes.length) * laneHeight()) + margin.b, {
      margin, dragmode: "zoom", shapes, annotations: [...notes, ...troubleNotes(shown, room)],
      xaxis: axis({ range: [...view], tickvals: time.values, ticktext: time.texts, title: { text: time.base, font: { size: 11, color: colour("soft") }, standoff: 2 } }),
      yaxis: axis({
        range: [0.45 - lanes.length, level(1.56)], fixedrange: true, showgrid: false, zeroline: false,
        tickvals: [level(1.32), level(0.86), ...lanes.map((_, lane) => -lane)], ticktext: ["guest on", "passes", ...lanes.map(laneName)],
      }),
    }), CONFIG);
    tell(data.stride > 1 ? countedInView(data, laneOf, view) : weighty.length, found.length, each);
  }

  function tell(interrupts, arms, each) {
    const span = view[1] - view[0];
    root.querySelector(".span").textContent = `${duration(span)} · ${ticks(span)}`;
    const hidden = data.cpus - lanes.length;
    const few = hidden ? ` ${hidden} CPUs without trouble are not drawn.` : "";
    const share = data.stride > 1 && each ? " Away from trouble this is a share of them." : "";
    root.querySelector(".drawn").textContent = (each
      ? `${number(arms)} ${arms === 1 ? "arm" : "arms"} in view, each one drawn: armed above, due in the middle, delivered below.`
      : `${data.stride > 1 ? "About " : ""}${number(interrupts)} interrupts in view, drawn as density: zoom in to see each.`) + share + few;
    const at = root.querySelector(".window");
    at.style.left = `${(view[0] / data.endNs) * 100}%`;
    at.style.width = `${(span / data.endNs) * 100}%`;
    for (const button of root.querySelectorAll("[data-view]")) {
      const [from, to] = (named(button.dataset.view) ?? []).map(inside);
      button.setAttribute("aria-pressed", String(from === view[0] && to === view[1]));
    }
    box.dataset.from = view[0];
    box.dataset.to = view[1];
    box.dataset.drawn = each ? "each" : "density";
  }

  function show(from, to) {
    const span = Math.min(Math.max(to - from, NARROWEST_NS), data.endNs);
    const left = Math.min(Math.max(Math.round((from + to - span) / 2), 0), data.endNs - Math.round(span));
    view = [left, left + Math.round(span)];
    drawTimeline();
  }

  function zoom(factor, around = (view[0] + view[1]) / 2) {
    show(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
  }

  /* When the last interrupt came that the blackout delayed; no further from it than it is long. */
  function lastLate() {
    const { stop, resume } = blackout;
    const ends = arcs.end.filter((end, at) => outcomes[arcs.outcome[at]] === "late" && start(at) < stop && end >= resume);
    return Math.min(ends.reduce((last, end) => Math.max(last, end), resume), 2 * resume - stop);
  }

  function named(name) {
    if (name === "run") return [0, data.endNs];
    if (!blackout) return undefined;
    const { stop, resume } = blackout;
    const long = resume - stop;
    const begun = data.passes.length ? data.passes[0].t_ns - data.passes[0].duration_ns : stop;
    const awake = Math.max(6 * gap, 1.2 * (lastLate() - resume));
    return {
      migration: [begun - long * 0.1, resume + long * 0.1],
      blackout: [stop - long * 0.08, Math.max(resume, lastLate()) + long * 0.08],
      stop: [stop - 6 * gap, stop + 6 * gap], resume: [resume - awake / 2, resume + awake],
    }[name];
  }

  /* ── what the reader does ── */

  function listen() {
    box.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (from !== undefined && to !== undefined) show(Math.min(from, to), Math.max(from, to));
    });
    box.on("plotly_doubleclick", () => show(0, data.endNs));
    box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const share = (event.clientX - box.getBoundingClientRect().left - margin.l) / (box.clientWidth - margin.l - margin.r);
      zoom(1.25 ** Math.sign(event.deltaY), view[0] + share * (view[1] - view[0]));
    }, { passive: false });
    box.addEventListener("keydown", (event) => {
      const span = view[1] - view[0];
      const keys = {
        "+": () => zoom(0.5), "-": () => zoom(2), Home: () => show(0, data.endNs),
        ArrowLeft: () => show(view[0] - span / 4, view[1] - span / 4), ArrowRight: () => show(view[0] + span / 4, view[1] + span / 4),
      };
      if (keys[event.key]) {
        event.preventDefault();
        keys[event.key]();
      }
    });
    for (const button of root.querySelectorAll("[data-view]")) {
      const wanted = button.dataset.view;
      if (wanted === "in" || wanted === "out") button.addEventListener("click", () => zoom(wanted === "in" ? 0.4 : 2.5));
      else if (named(wanted)) button.addEventListener("click", () => show(...named(wanted)));
      else button.disabled = true;
    }
    for (const button of document.querySelectorAll(".jump")) {
      button.addEventListener("click", () => {
        pointed = { ns: Number(button.dataset.ns), place: button.dataset.place };
        show(pointed.ns - 6 * gap, pointed.ns + 6 * gap);
        root.scrollIntoView({ block: "center", behavior: "smooth" });
      });
    }
  }

  function fillOverview() {
    const bar = root.querySelector(".overview");
    bar.style.marginLeft = `${margin.l}px`;
    const add = (kind, from, to) => {
      const part = document.createElement("div");
      part.className = kind;
      part.style.left = `${(from / data.endNs) * 100}%`;
      part.style.width = `${((to - from) / data.endNs) * 100}%`;
      bar.prepend(part);
    };
    for (const pause of pauses) {
      add("blackout", pause.stop, pause.resume);
      if (pause.to === "destination") add("destination", pause.resume, data.endNs);
    }
  }

  fillOverview();
  onTheme(drawTimeline);
  listen();
  addEventListener("resize", drawTimeline);
}
