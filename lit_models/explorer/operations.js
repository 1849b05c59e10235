// Runs the graphs of a model: ONNX nodes on small tensors.
"use strict";

const OPERATIONS = {
  Add: ([a, b]) => binary(a, b, (p, q) => p + q, a.data.constructor),
  Sub: ([a, b]) => binary(a, b, (p, q) => p - q, a.data.constructor),
  Mul: ([a, b]) => binary(a, b, (p, q) => p * q, a.data.constructor),
  Div: ([a, b]) => binary(a, b, (p, q) => p / q),
  Equal: ([a, b]) => binary(a, b, (p, q) => Number(p === q), Int32Array),
  Sigmoid: ([x]) => map(x, v => 1 / (1 + Math.exp(-v))),
  LeakyRelu: ([x], {alpha = 0.01}) => map(x, v => (v < 0 ? alpha * v : v)),
  Relu: ([x]) => map(x, v => Math.max(v, 0)),
  Neg: ([x]) => map(x, v => -v),
  Sin: ([x]) => map(x, Math.sin),
  Cos: ([x]) => map(x, Math.cos),
  Erf: ([x]) => map(x, erf),
  Gelu: ([x]) => map(x, v => 0.5 * v * (1 + erf(v / Math.SQRT2))),
  Clip: ([x, low, high]) => map(x, v => Math.min(Math.max(v, low ? low.data[0] : -Infinity), high ? high.data[0] : Infinity)),
  Softmax: ([x]) => softmax(x),
  MatMul: ([a, b]) => matmul(a, b),
  Gemm: ([a, b, c], {alpha = 1, beta = 1, transA = 0, transB = 0}) => {
    if (transA) throw new Error("a Gemm of a transposed matrix is not known");
    const rows = a.dims[0], inner = a.dims[1], columns = transB ? b.dims[0] : b.dims[1], out = empty([rows, columns]);
    product(a.data, 0, b.data, 0, out.data, 0, rows, inner, columns, Boolean(transB));
    if (alpha !== 1) out.data.forEach((value, i) => { out.data[i] = alpha * value; });
    return c ? binary(out, c, (p, q) => p + beta * q) : out;
  },
  Conv: ([x, w, bias], attributes) => convolution(x, w, bias, attributes),
  ConvTranspose: ([x, w, bias], attributes) => transposedConvolution(x, w, bias, attributes),
  InstanceNormalization: ([x, scale, bias], {epsilon = 1e-5}) => {
    const length = size(x.dims.slice(2)), out = normalised(x, length, epsilon);
    out.data.forEach((value, i) => { const c = (i / length | 0) % x.dims[1]; out.data[i] = value * scale.data[c] + bias.data[c]; });
    return out;
  },
  LayerNormalization: ([x, scale, bias], {epsilon = 1e-5}) => {
    const length = x.dims[x.dims.length - 1], out = normalised(x, length, epsilon);
    out.data.forEach((value, i) => { out.data[i] = value * scale.data[i % length] + (bias ? bias.data[i % length] : 0); });
    return out;
  },
  Reshape: ([x, wanted]) => reshaped(x, wanted.data),
  Transpose: ([x], {perm}) => transpose(x, perm),
  Shape: ([x], {start = 0, end}) => tensor([x.dims.slice(start, end).length], Int32Array.from(x.dims.slice(start, end))),
  Squeeze: ([x, axes]) => tensor(x.dims.filter((d, i) => !(axes ? Array.from(axes.data, a => axisOf(a, x.dims)).includes(i) : d === 1)), x.data),
  Unsqueeze: ([x, axes]) => {
    const dims = [...x.dims], n = dims.length + axes.data.length;
    Array.from(axes.data, a => (a < 0 ? a + n : a)).sort((a, b) => a - b).forEach(a => dims.splice(a, 0, 1));
    return tensor(dims, x.data);
  },
  Concat: (parts, {axis}) => joined(parts, axisOf(axis, parts[0].dims)),
  Split: ([x, sizes], {axis = 0, num_outputs}) => {
    const along = axisOf(axis, x.dims), each = sizes ? Array.from(sizes.data) : Array(num_outputs).fill(x.dims[along] / num_outputs);
    let at = 0;
    return each.map(n => part(x, along, at, at += n));
  },
  Slice: ([x, starts, ends, axes, steps]) => sliced(x, starts, ends, axes, steps),
  Gather: ([x, indices], {axis = 0}) => gathered(x, indices, axisOf(axis, x.dims)),
  Expand: ([x, wanted]) => {
    const dims = broadcastDims(x.dims, Array.from(wanted.data)), at = chosen(x, dims), out = empty(dims, x.data.constructor);
    at.forEach((place, i) => { out.data[i] = x.data[place]; });
    return out;
  },
  Where: ([condition, a, b]) => {
    const dims = broadcastDims(broadcastDims(condition.dims, a.dims), b.dims), out = empty(dims, a.data.constructor);
    const [c, p, q] = [condition, a, b].map(x => chosen(x, dims));
    for (let i = 0; i < out.data.length; i++) out.data[i] = condition.data[c[i]] ? a.data[p[i]] : b.data[q[i]];
    return out;
  },
  Trilu: ([x, k], {upper = 1}) => {
    const [rows, columns] = x.dims.slice(-2), shift = k ? k.data[0] : 0, out = empty(x.dims, x.data.constructor);
    x.data.forEach((value, i) => {
      const column = i % columns, row = (i / columns | 0) % rows;
      out.data[i] = (upper ? column - row >= shift : column - row <= shift) ? value : 0;
    });
    return out;
  },
  DepthToSpace: ([x], {blocksize: b, mode}) => {
    const [n, c, h, w] = x.dims, out = c / (b * b);
    if (mode !== "CRD") throw new Error("DepthToSpace in this order is not known");
    return tensor([n, out, h * b, w * b], transpose(tensor([n, out, b, b, h, w], x.data), [0, 1, 4, 2, 5, 3]).data);
  },
  Resize: ([x, , scales, sizes], {mode, coordinate_transformation_mode: places = "half_pixel"}) => {
    if (mode !== "linear" || places !== "half_pixel") throw new Error("this way to resize is not known");
    const [n, c, h, w] = x.dims, [high, wide] = sizes ? Array.from(sizes.data).slice(2) : [h * scales.data[2], w * scales.data[3]];
    return resized(x, n * c, h, w, high, wide);
  },
  ArgMin: ([x], {axis = 0, keepdims = 1}) => {
    const along = axisOf(axis, x.dims), length = x.dims[along], inner = size(x.dims.slice(along + 1)), outer = size(x.dims.slice(0, along));
    const dims = x.dims.flatMap((d, i) => (i === along ? (keepdims ? [1] : []) : [d])), out = empty(dims, Int32Array);
    for (let i = 0; i < outer; i++) for (let j = 0; j < inner; j++) {
      let best = 0;
      for (let k = 1; k < length; k++) if (x.data[(i * length + k) * inner + j] < x.data[(i * length + best) * inner + j]) best = k;
      out.data[i * inner + j] = best;
    }
    return out;
  },
};

// The output of a graph, {inputs, output, nodes, constants}, for tensors in the order of its inputs.
function run(graph, ...inputs) {
  const known = {...graph.constants};
  graph.inputs.forEach((name, i) => { known[name] = inputs[i]; });
  for (const [operation, given, made, attributes] of graph.nodes) {
    if (!OPERATIONS[operation]) throw new Error(`the operation ${operation} is not known`);
    const found = OPERATIONS[operation](given.map(name => (name ? known[name] : undefined)), attributes);
    if (Array.isArray(found)) made.forEach((name, i) => { known[name] = found[i]; });
    else known[made[0]] = found;
  }
  return known[graph.output];
}

// Half-precision numbers of a buffer.
function halves(bytes) {
  const codes = new Uint16Array(bytes), out = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    const sign = codes[i] >> 15 ? -1 : 1, exponent = codes[i] >> 10 & 31, fraction = codes[i] & 1023;
    out[i] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * fraction / 1024);
  }
  return out;
}
