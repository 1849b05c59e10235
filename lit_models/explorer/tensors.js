// Small tensors, {dims, data}: floats are Float32Array, integers Int32Array.
"use strict";

const size = dims => dims.reduce((a, b) => a * b, 1);
const tensor = (dims, data) => ({dims, data});
const empty = (dims, like) => tensor(dims, new (like || Float32Array)(size(dims)));
const strides = dims => dims.map((_, i) => size(dims.slice(i + 1)));
const map = (x, f) => tensor(x.dims, Float32Array.from(x.data, f));
const axisOf = (axis, dims) => (axis < 0 ? axis + dims.length : axis);

function broadcastDims(a, b) {
  const n = Math.max(a.length, b.length);
  return Array.from({length: n}, (_, i) => Math.max(a[a.length - n + i] ?? 1, b[b.length - n + i] ?? 1));
}

// For each place of a tensor of `dims`, the place in a tensor of `from` that is broadcast to it.
function places(from, dims) {
  const lead = dims.length - from.length, own = strides(from), found = new Int32Array(size(dims)), index = dims.map(() => 0);
  for (let at = 0; at < found.length; at++) {
    let place = 0;
    for (let i = lead; i < dims.length; i++) if (from[i - lead] > 1) place += own[i - lead] * index[i];
    found[at] = place;
    for (let i = dims.length - 1; i >= 0 && ++index[i] === dims[i]; i--) index[i] = 0;
  }
  return found;
}

function binary(a, b, f, like = Float32Array) {
  const dims = broadcastDims(a.dims, b.dims), out = empty(dims, like), n = out.data.length;
  if (a.data.length === n && b.data.length === n) for (let i = 0; i < n; i++) out.data[i] = f(a.data[i], b.data[i]);
  else if (a.data.length === n && b.data.length === 1) for (let i = 0; i < n; i++) out.data[i] = f(a.data[i], b.data[0]);
  else {
    const p = places(a.dims, dims), q = places(b.dims, dims);
    for (let i = 0; i < n; i++) out.data[i] = f(a.data[p[i]], b.data[q[i]]);
  }
  return out;
}

// Abramowitz & Stegun 7.1.26 is too coarse; this series and continued fraction are exact to single precision.
function erf(x) {
  const z = Math.abs(x);
  if (z > 4) return Math.sign(x);
  if (z < 2.5) {
    let sum = z, term = z;
    for (let n = 1; n < 60; n++) sum += (term *= -z * z / n) / (2 * n + 1);
    return Math.sign(x) * sum * 2 / Math.sqrt(Math.PI);
  }
  let fraction = z;
  for (let n = 40; n > 0; n--) fraction = z + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction);
}

function transpose(x, perm) {
  const dims = perm.map(i => x.dims[i]), own = strides(x.dims), step = perm.map(i => own[i]);
  const out = empty(dims, x.data.constructor), index = dims.map(() => 0);
  for (let at = 0, place = 0; at < out.data.length; at++) {
    out.data[at] = x.data[place];
    for (let i = dims.length - 1; i >= 0; i--) {
      place += step[i];
      if (++index[i] < dims[i]) break;
      place -= step[i] * dims[i];
      index[i] = 0;
    }
  }
  return out;
}

// (rows, inner) times (inner, columns), with b given by rows of its transpose if `turned`.
function product(a, aAt, b, bAt, out, outAt, rows, inner, columns, turned) {
  for (let r = 0; r < rows; r++) {
    const row = aAt + r * inner, place = outAt + r * columns;
    if (turned) {
      for (let c = 0; c < columns; c++) {
        let sum = 0;
        for (let i = 0, at = bAt + c * inner; i < inner; i++) sum += a[row + i] * b[at + i];
        out[place + c] += sum;
      }
    } else {
      for (let i = 0; i < inner; i++) {
        const value = a[row + i], at = bAt + i * columns;
        for (let c = 0; c < columns; c++) out[place + c] += value * b[at + c];
      }
    }
  }
}

function matmul(a, b) {
  const [rows, inner] = a.dims.slice(-2), columns = b.dims[b.dims.length - 1];
  const lead = broadcastDims(a.dims.slice(0, -2), b.dims.slice(0, -2)), out = empty([...lead, rows, columns]);
  const p = places(a.dims.slice(0, -2), lead), q = places(b.dims.slice(0, -2), lead);
  for (let i = 0; i < size(lead); i++) product(a.data, p[i] * rows * inner, b.data, q[i] * inner * columns, out.data, i * rows * columns, rows, inner, columns);
  return out;
}

function convolution(x, w, bias, {pads = [0, 0, 0, 0], strides: step = [1, 1]}) {
  const [batch, inside, high, wide] = x.dims, [outside, , kernel, across] = w.dims;
  const height = (high + pads[0] + pads[2] - kernel) / step[0] + 1 | 0, width = (wide + pads[1] + pads[3] - across) / step[1] + 1 | 0;
  const out = empty([batch, outside, height, width]), columns = inside * kernel * across, patches = new Float32Array(height * width * columns);
  for (let n = 0; n < batch; n++) {
    patches.fill(0);
    for (let c = 0; c < inside; c++) for (let u = 0; u < kernel; u++) for (let v = 0; v < across; v++) {
      const column = (c * kernel + u) * across + v;
      for (let i = 0; i < height; i++) {
        const row = i * step[0] + u - pads[0];
        if (row < 0 || row >= high) continue;
        for (let j = 0; j < width; j++) {
          const place = j * step[1] + v - pads[1];
          if (place >= 0 && place < wide) patches[(i * width + j) * columns + column] = x.data[((n * inside + c) * high + row) * wide + place];
        }
      }
    }
    const at = n * outside * height * width;
    if (bias) for (let o = 0; o < outside; o++) out.data.fill(bias.data[o], at + o * height * width, at + (o + 1) * height * width);
    product(w.data, 0, patches, 0, out.data, at, outside, columns, height * width, true);
  }
  return out;
}

function transposedConvolution(x, w, bias, {pads = [0, 0, 0, 0], strides: step = [1, 1]}) {
  const [batch, inside, high, wide] = x.dims, [, outside, kernel, across] = w.dims;
  const height = (high - 1) * step[0] + kernel - pads[0] - pads[2], width = (wide - 1) * step[1] + across - pads[1] - pads[3];
  const out = empty([batch, outside, height, width]);
  for (let n = 0; n < batch; n++) for (let o = 0; o < outside; o++) {
    const at = (n * outside + o) * height * width;
    if (bias) out.data.fill(bias.data[o], at, at + height * width);
    for (let c = 0; c < inside; c++) for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) {
      const value = x.data[((n * inside + c) * high + i) * wide + j];
      for (let u = 0; u < kernel; u++) for (let v = 0; v < across; v++) {
        const row = i * step[0] + u - pads[0], place = j * step[1] + v - pads[1];
        if (row >= 0 && row < height && place >= 0 && place < width) {
          out.data[at + row * width + place] += value * w.data[((c * outside + o) * kernel + u) * across + v];
        }
      }
    }
  }
  return out;
}

// Rows of `length` to mean 0 and variance 1.
function normalised(x, length, epsilon) {
  const out = empty(x.dims);
  for (let at = 0; at < x.data.length; at += length) {
    let mean = 0, square = 0;
    for (let i = 0; i < length; i++) mean += x.data[at + i];
    mean /= length;
    for (let i = 0; i < length; i++) square += (x.data[at + i] - mean) ** 2;
    const scale = 1 / Math.sqrt(square / length + epsilon);
    for (let i = 0; i < length; i++) out.data[at + i] = (x.data[at + i] - mean) * scale;
  }
  return out;
}

function softmax(x) {
  const length = x.dims[x.dims.length - 1], out = empty(x.dims);
  for (let at = 0; at < x.data.length; at += length) {
    let most = -Infinity, sum = 0;
    for (let i = 0; i < length; i++) most = Math.max(most, x.data[at + i]);
    for (let i = 0; i < length; i++) sum += out.data[at + i] = Math.exp(x.data[at + i] - most);
    for (let i = 0; i < length; i++) out.data[at + i] /= sum;
  }
  return out;
}

function reshaped(x, wanted) {
  const dims = Array.from(wanted, (d, i) => (d === 0 ? x.dims[i] : d)), known = dims.filter(d => d > 0).reduce((a, b) => a * b, 1);
  return tensor(dims.map(d => (d < 0 ? x.data.length / known : d)), x.data);
}

// Rows `from` to `to` of one axis.
function part(x, axis, from, to) {
  const inner = size(x.dims.slice(axis + 1)), outer = size(x.dims.slice(0, axis)), length = x.dims[axis];
  const dims = x.dims.map((d, i) => (i === axis ? to - from : d)), out = empty(dims, x.data.constructor), block = (to - from) * inner;
  for (let i = 0; i < outer; i++) out.data.set(x.data.subarray((i * length + from) * inner, (i * length + to) * inner), i * block);
  return out;
}

function joined(parts, axis) {
  const first = parts[0], inner = size(first.dims.slice(axis + 1)), outer = size(first.dims.slice(0, axis));
  const length = parts.reduce((sum, x) => sum + x.dims[axis], 0), dims = first.dims.map((d, i) => (i === axis ? length : d));
  const out = empty(dims, first.data.constructor);
  for (let i = 0, at = 0; i < outer; i++) for (const x of parts) {
    const block = x.dims[axis] * inner;
    out.data.set(x.data.subarray(i * block, (i + 1) * block), at);
    at += block;
  }
  return out;
}

function gathered(x, indices, axis) {
  const inner = size(x.dims.slice(axis + 1)), outer = size(x.dims.slice(0, axis)), length = x.dims[axis], n = indices.data.length;
  const out = empty([...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)], x.data.constructor);
  for (let i = 0; i < outer; i++) for (let k = 0; k < n; k++) {
    const row = indices.data[k] < 0 ? indices.data[k] + length : indices.data[k];
    out.data.set(x.data.subarray((i * length + row) * inner, (i * length + row + 1) * inner), (i * n + k) * inner);
  }
  return out;
}

function sliced(x, starts, ends, axes, steps) {
  let out = x;
  starts.data.forEach((start, k) => {
    const axis = axisOf(axes ? axes.data[k] : k, out.dims), length = out.dims[axis];
    if (steps && steps.data[k] !== 1) throw new Error("slices in steps are not known");
    const bound = at => Math.min(Math.max(at < 0 ? at + length : at, 0), length);
    out = part(out, axis, bound(start), bound(ends.data[k]));
  });
  return out;
}

// Bilinear interpolation between the centres of pixels.
function resized(x, maps, h, w, high, wide) {
  const out = empty([...x.dims.slice(0, 2), high, wide]);
  const at = (i, from, to) => Math.min(Math.max((i + 0.5) * from / to - 0.5, 0), from - 1);
  for (let m = 0; m < maps; m++) for (let i = 0; i < high; i++) {
    const row = at(i, h, high), top = row | 0, below = Math.min(top + 1, h - 1), down = row - top;
    for (let j = 0; j < wide; j++) {
      const column = at(j, w, wide), left = column | 0, beside = Math.min(left + 1, w - 1), right = column - left, base = m * h * w;
      const upper = x.data[base + top * w + left] * (1 - right) + x.data[base + top * w + beside] * right;
      const lower = x.data[base + below * w + left] * (1 - right) + x.data[base + below * w + beside] * right;
      out.data[(m * high + i) * wide + j] = upper * (1 - down) + lower * down;
    }
  }
  return out;
}

const chosen = (x, indices) => places(x.dims, indices);
