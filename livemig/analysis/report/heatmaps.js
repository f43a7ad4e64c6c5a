"use strict";
/* The maps of a campaign: one measure at a time, all maps on the same scale. */

let measure = Object.keys(DATA.maps[0].z)[0];

function extent() {
  const values = DATA.maps.flatMap((map) => map.z[measure].flat()).filter((value) => value !== null);
  return Math.max(1e-9, ...values);
}

function drawMap(map, name, highest) {
  const text = map.z[measure].map((row) => row.map((value) => (value === null ? "nothing ran" : String(Number(value.toPrecision(4))))));
  const heat = {
    type: "heatmap", x: map.columns, y: map.rows, z: map.z[measure], text, zmin: 0, zmax: highest, xgap: 1, ygap: 1,
    colorscale: [[0, colour("good")], [1e-6, colour("grid")], [1, colour("lost")]], hoverongaps: true,
    hovertemplate: `${plain(map.x)} %{x}<br>${plain(map.y)} %{y}<br>%{text}<extra></extra>`,
    colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11, color: colour("soft") } },
  };
  const widest = Math.max(...map.rows.map((row) => row.length));
  Plotly.react(name, [heat], layout(Math.max(160, 70 + map.rows.length * 22), {
    margin: { l: Math.min(60 + widest * 7, 240), r: 16, t: 10, b: 60 },
    xaxis: axis({ type: "category", title: { text: plain(map.x) }, fixedrange: true }),
    yaxis: axis({ type: "category", title: { text: plain(map.y), standoff: 8 }, fixedrange: true, autorange: "reversed" }),
  }), CONFIG);
}

function drawMaps() {
  const highest = extent();
  DATA.maps.forEach((map, number) => drawMap(map, `map${number}`, highest));
}

for (const button of document.querySelectorAll("[data-measure]")) {
  button.addEventListener("click", () => {
    measure = button.dataset.measure;
    for (const other of document.querySelectorAll("[data-measure]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    drawMaps();
  });
}
onTheme(drawMaps);
