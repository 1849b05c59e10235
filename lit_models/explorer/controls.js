// Other ways to make a code: a class and noise, a flow, a grid of indices, each number.
"use strict";

// -- a class and noise

function showClass() {
  const label = model.label, sigma = Number(get("noise").value), {centres, units} = model.places;
  get("noise-value").textContent = sigma.toFixed(2);
  show(centres[label].map((value, d) => value + sigma * units[label][d] * noise[d]), `${model.classes[label]}, noise ${sigma.toFixed(2)}`);
}

function chooseClass(label) {
  model.label = label;
  get("classes").querySelectorAll("button").forEach((button, i) => button.setAttribute("aria-pressed", i === label));
  showClass();
}

get("noise").addEventListener("input", showClass);
get("walk").addEventListener("input", () => {
  const at = Number(get("walk").value), {centres} = model.places, from = Math.min(Math.floor(at), centres.length - 2), share = at - from;
  show(centres[from].map((value, d) => value + share * (centres[from + 1][d] - value)), `${Math.round(100 * share)} % of the way from ${model.classes[from]} to ${model.classes[from + 1]}`);
});
get("new-noise").addEventListener("click", () => { noise = gaussian(model.width); showClass(); });

// -- a flow

explorer.flow = (start, label, steps, guidance) => {
  const none = model.flow.classes ?? 0, asked = model.flow.classes === null ? 0 : label;
  const given = (codes, time, which) => run(model.graphs.velocity, codes, tensor([1], Float32Array.of(time)), tensor([1], Int32Array.of(which))).data;
  const velocity = (codes, time) => {
    const strength = time < GUIDED_FROM ? Math.min(guidance, 1) : guidance;
    if (strength === 1) return given(codes, time, asked);
    const free = given(codes, time, none);
    return strength === 0 ? free : given(codes, time, asked).map((value, d) => free[d] + strength * (value - free[d]));
  };
  const moved = (codes, direction, far) => tensor(codes.dims, codes.data.map((value, d) => value + far * direction[d]));
  let codes = run(model.graphs.start, tensor([1, model.flow.width], start));
  for (let step = 0; step < steps; step++) {
    const first = velocity(codes, step / steps), second = velocity(moved(codes, first, 1 / steps), (step + 1) / steps);
    codes = moved(moved(codes, first, 0.5 / steps), second, 0.5 / steps);
  }
  return codes.data;
};

function showFlow() {
  const steps = Number(get("steps").value), guidance = Number(get("guidance").value), label = Number(get("flow-label").value || 0);
  get("steps-value").textContent = steps;
  get("guidance-value").textContent = guidance.toFixed(1);
  const began = performance.now(), found = explorer.flow(flowNoise, label, steps, guidance);
  show(found, `a sample of the flow, ${model.classes[label] ?? ""}, ${steps} steps, guidance ${guidance.toFixed(1)}`);
  get("time").textContent = `drawn in ${(performance.now() - began).toFixed(0)} ms in this page, the flow included`;
}

["steps", "guidance", "flow-label"].forEach(id => get(id).addEventListener("input", showFlow));
get("flow-noise").addEventListener("click", () => { flowNoise = gaussian(model.flow.width); showFlow(); });

// -- a grid of codes

const lookup = given => run(model.graphs.lookup, tensor([1, ...model.indices.grid], Int32Array.from(given))).data;
const nearestIndices = () => {
  const {count, grid} = model.indices, cells = grid[0] * grid[1], depth = model.width / cells;
  model.table ??= Array.from({length: count}, (_, k) => {
    const vectors = lookup(Array(cells).fill(k));
    return Array.from({length: depth}, (_, d) => vectors[d * cells]);
  });
  return Array.from({length: cells}, (_, at) => {
    let best = 0, least = Infinity;
    model.table.forEach((vector, k) => {
      const square = vector.reduce((sum, value, d) => sum + (value - code[d * cells + at]) ** 2, 0);
      if (square < least) [best, least] = [k, square];
    });
    return best;
  });
};

explorer.logits = given => {
  const logits = run(model.graphs.logits, tensor([1, given.length], Int32Array.from(given)), tensor([1], Int32Array.of(Number(get("prior-class").value || 0))));
  return at => logits.data.subarray(at * model.indices.count, (at + 1) * model.indices.count);
};

function maskedFrom(at) {
  return indices.map((index, i) => (model.indices.prior === "masked" && i >= at ? model.indices.count : index));
}

function drawGrid() {
  explorer.indices = [...indices];
  get("cells").replaceChildren(...indices.map((index, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = index;
    button.setAttribute("aria-label", `cell ${at + 1}, code ${index}`);
    button.setAttribute("aria-pressed", at === cell);
    button.addEventListener("click", () => { cell = at; drawGrid(); get("cells").children[at].focus(); });
    return button;
  }));
  const scores = model.indices.prior ? explorer.logits(maskedFrom(cell))(cell) : new Float32Array(model.indices.count);
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]).slice(0, CHOICES);
  get("palette").replaceChildren(...order.map(index => {
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    button.type = "button";
    button.setAttribute("aria-label", `code ${index}`);
    button.setAttribute("aria-pressed", index === indices[cell]);
    paint(canvas, explorer.decode(lookup(indices.map((each, at) => (at === cell ? index : each)))));
    button.append(canvas);
    button.addEventListener("click", () => { indices[cell] = index; showGrid(`code ${index} in cell ${cell + 1}`); });
    return button;
  }));
}

// The grid of the code that is shown.
function readGrid() {
  indices = nearestIndices();
  const image = model.codes.findIndex(each => each.every((value, d) => value === code[d]));
  if (image >= 0 && model.labels[image] >= 0) get("prior-class").value = model.labels[image];
  drawGrid();
}

function showGrid(what) {
  show(lookup(indices), what);
  drawGrid();
}

get("finish").addEventListener("click", () => {
  for (let at = cell + 1; at < indices.length; at++) {
    const scores = explorer.logits(maskedFrom(at))(at), most = Math.max(...scores), weights = scores.map(score => Math.exp(score - most));
    let left = Math.random() * weights.reduce((a, b) => a + b);
    indices[at] = weights.findIndex(weight => (left -= weight) < 0);
    if (indices[at] < 0) indices[at] = 0;
  }
  showGrid(`cells ${cell + 2} to ${indices.length} drawn by the prior`);
});
get("prior-class").addEventListener("input", drawGrid);

// -- each number

function makeNumbers() {
  const many = model.width > 64;
  get("numbers-section").hidden = many;
  get("numbers").replaceChildren(...(many ? [] : Array.from({length: model.width}, (_, d) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, {type: "range", min: model.low[d], max: model.high[d], step: "any", value: 0});
    label.append(`number ${d + 1}`, input);
    input.addEventListener("input", () => show(code.map((value, i) => (i === d ? Number(input.value) : value)), `number ${d + 1} is ${Number(input.value).toFixed(2)}`));
    return label;
  })));
}
