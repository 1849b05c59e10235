// The map of codes: pointer, touch and keys choose a place, whose code is drawn.
"use strict";

function extent() {
  const xs = model.points.map(p => p[0]), ys = model.points.map(p => p[1]);
  const low = [Math.min(...xs), Math.min(...ys)], high = [Math.max(...xs), Math.max(...ys)];
  return {low, scale: [0, 1].map(i => (MAP - 40) / (high[i] - low[i] || 1))};
}

const onCanvas = ([x, y]) => [20 + (x - model.extent.low[0]) * model.extent.scale[0], MAP - 20 - (y - model.extent.low[1]) * model.extent.scale[1]];
const onMap = ([u, v]) => [(u - 20) / model.extent.scale[0] + model.extent.low[0], (MAP - 20 - v) / model.extent.scale[1] + model.extent.low[1]];

function drawMap() {
  const canvas = get("map"), pen = canvas.getContext("2d"), {columns, size: [high, wide]} = model.sprite;
  canvas.width = canvas.height = MAP;
  model.points.forEach((point, i) => {
    const [u, v] = onCanvas(point);
    pen.fillStyle = colourOf(model.labels[i]);
    pen.globalAlpha = 0.55;
    pen.beginPath();
    pen.arc(u, v, 3, 0, 7);
    pen.fill();
  });
  pen.globalAlpha = 1;
  const taken = [];
  model.points.forEach((point, i) => {
    const [u, v] = onCanvas(point);
    if (taken.some(([a, b]) => Math.abs(a - u) < 34 && Math.abs(b - v) < 34)) return;
    taken.push([u, v]);
    pen.drawImage(model.sheet, i % columns * wide, (i / columns | 0) * high, wide, high, u - 14, v - 14, 28, 28);
    pen.strokeStyle = colourOf(model.labels[i]);
    pen.lineWidth = 2;
    pen.strokeRect(u - 14, v - 14, 28, 28);
  });
  const marked = [...(ends || []), ...(place ? [place] : [])];
  marked.forEach((each, i) => {
    const [u, v] = onCanvas(each);
    pen.strokeStyle = getComputedStyle(document.body).getPropertyValue("--mark");
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(u, v, i < (ends || []).length ? 7 : 11, 0, 7);
    pen.stroke();
  });
  if (ends && ends.length === 2) {
    pen.beginPath();
    ends.forEach(each => pen.lineTo(...onCanvas(each)));
    pen.stroke();
  }
}

// The code of a place: in the plane, and away from it as far as the codes near by are. Grids of codes have no mean, so it is the nearest one.
explorer.codeAt = at => {
  const near = model.points.map((p, i) => [(p[0] - at[0]) ** 2 + (p[1] - at[1]) ** 2, i]).sort((a, b) => a[0] - b[0]).slice(0, NEAREST);
  if (model.indices) return model.codes[near[0][1]];
  const width = near[near.length - 1][0] / 4 + 1e-9, shares = near.map(([square]) => Math.exp(-square / 2 / width)), sum = shares.reduce((a, b) => a + b);
  return Float32Array.from({length: model.width}, (_, d) =>
    inPlane(model, at, d) + (model.width > 2 ? near.reduce((all, [, i], k) => all + shares[k] / sum * model.residuals[i][d], 0) : 0));
};

function moveTo(at) {
  place = at;
  drawMap();
  show(explorer.codeAt(at), "the code at the pointer");
}

function pointed(event) {
  const box = get("map").getBoundingClientRect();
  return onMap([(event.clientX - box.left) / box.width * MAP, (event.clientY - box.top) / box.height * MAP]);
}

get("map").addEventListener("pointermove", event => { if (event.pointerType === "mouse" || event.buttons) moveTo(pointed(event)); });
get("map").addEventListener("pointerdown", event => {
  get("map").setPointerCapture(event.pointerId);
  moveTo(pointed(event));
});
get("map").addEventListener("click", event => {
  addEnd(pointed(event));
  if (model.indices) readGrid();
});
get("map").addEventListener("keydown", event => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
  if (event.key === "Enter" || event.key === " ") addEnd(place || model.points[0]);
  if (!step && event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  const far = event.shiftKey ? 40 : 8, from = place || model.points[0];
  if (step) moveTo(from.map((value, i) => value + far * step[i] / model.extent.scale[i]));
});

function addEnd(at) {
  ends = ends && ends.length === 1 ? [...ends, at] : [at];
  get("between-label").hidden = get("between").hidden = ends.length < 2;
  get("between").value = 0;
  drawMap();
}

get("between").addEventListener("input", () => {
  const share = Number(get("between").value), [from, to] = ends.map(explorer.codeAt);
  place = ends[0].map((value, i) => value + share * (ends[1][i] - value));
  drawMap();
  show(from.map((value, d) => value + share * (to[d] - value)), `${Math.round(100 * share)} % of the way between the two points`);
});
