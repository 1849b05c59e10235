// What the page knows: its models, the code that is shown, and how it is drawn.
"use strict";

const COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const MAP = 560, GUIDED_FROM = 0.5, NEAREST = 8, CHOICES = 16;
const get = id => document.getElementById(id);
const {models: knowledge, weights: packed} = JSON.parse(get("knowledge").textContent);
let unpacked;  // a promise of all weights
const explorer = {models: knowledge.map(each => each.title), ready: false};
window.explorer = explorer;
let model, code, indices, cell, noise, flowNoise, ends, place;

const colourOf = label => (label < 0 ? "#7f7f7f" : model.classes.length <= 10 ? COLOURS[label % 10] : `hsl(${360 * label / model.classes.length} 80% 45%)`);

function gaussian(n) {
  return Float32Array.from({length: n}, () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function prepare(known) {
  const weights = await (unpacked ??= unpack(packed).then(halves));
  for (const graph of Object.values(known.graphs)) {
    for (const [name, {dims, at, floats, values}] of Object.entries(graph.constants)) {
      const data = floats ? Float32Array.from(floats) : values ? Int32Array.from(values) : weights.subarray(at, at + size(dims));
      graph.constants[name] = tensor(dims, data);
    }
  }
  const width = size(known.shape), n = known.points.length;
  known.width = width;
  known.codes = Array.from({length: n}, (_, i) => weights.subarray(known.codes + i * width, known.codes + (i + 1) * width));
  known.residuals = known.codes.map((each, i) => each.map((value, d) => value - inPlane(known, known.points[i], d)));
  known.low = Array.from({length: width}, (_, d) => Math.min(...known.codes.map(each => each[d])));
  known.high = Array.from({length: width}, (_, d) => Math.max(...known.codes.map(each => each[d])));
  known.sheet = new Image();
  known.sheet.src = known.sprite.uri;
  await known.sheet.decode();
  known.ready = true;
}

const inPlane = (known, [x, y], d) => known.mean[d] + x * known.axes[0][d] + y * known.axes[1][d];

// The image of a code, numbers in [0, 1] in the order (C, H, W).
explorer.decode = given => run(model.graphs.decode, tensor([1, ...model.shape], Float32Array.from(given))).data;

function paint(canvas, image) {
  const [channels, high, wide] = model.image, pixels = new ImageData(wide, high);
  for (let i = 0; i < high * wide; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round(255 * Math.min(Math.max(image[channels === 3 ? c * high * wide + i : i], 0), 1));
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = wide;
  canvas.height = high;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function show(given, what) {
  const began = performance.now();
  code = Float32Array.from(given);
  paint(get("image"), explorer.decode(code));
  explorer.code = Array.from(code);
  explorer.milliseconds = performance.now() - began;
  get("time").textContent = `drawn in ${explorer.milliseconds.toFixed(0)} ms in this page`;
  get("what").textContent = what;
  document.querySelectorAll("#numbers input").forEach((input, d) => { input.value = code[d]; });
}
