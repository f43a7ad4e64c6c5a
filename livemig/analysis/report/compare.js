"use strict";
/* The page of a comparison. */

const longest = Math.max(...DATA.names.map((name) => name.length));

const options = { labels: 60, lanes: DATA.cpus, left: Math.min(64 + longest * 5, 220) };
const [blackoutPart, wakingPart] = document.querySelectorAll(".timeline");

timeline(blackoutPart, DATA, { ...options, view: "blackout" });
timeline(wakingPart, DATA, { ...options, view: "resume" });
onTheme(() => drawDrift(DATA.drifts));
