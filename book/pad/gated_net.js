// A gated network that predicts, skips and learns, in the page: what `mglib.nets` and `mglib.meta.adapt` do, in double
// precision. Maps are flat arrays, image after image, filter after filter, row after row.

const EPSILON = 1e-5;

// A model as `python -m pad export` writes it: sizes, rates with what was learnt of them, the price of the budget if
// one was learnt, and parameters by name as base64 of 32-bit floats.
export function loadModel(exported) {
  const params = {};
  for (const [name, text] of Object.entries(exported.params)) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    params[name] = Float64Array.from(new Float32Array(bytes.buffer));
  }
  return new GatedNet(exported, params);
}

export class GatedNet {
  constructor(sizes, params) {
    Object.assign(this, { sizes, params });
    const { depth, width, image_size: size } = sizes;
    this.layers = [];
    for (let index = 0, side = size, maps = 1; index < depth; index++) {
      const out = Math.ceil(side / 2), grid = index === 0 ? 4 : 1;
      this.layers.push({ index, maps, filters: width, side, out, grid, taps: 9 * out * out });
      [side, maps] = [out, width];
    }
    const last = this.layers[depth - 1];
    this.cells = last.out * last.out;
    const head = { taps: this.cells, maps: width, filters: sizes.ways };
    this.dense = [...this.layers, head].reduce((sum, { taps, maps, filters }) => sum + taps * maps * filters, 0);
  }

  // ---- prediction: closed filters are not computed ------------------------------------------------------------------

  // One image, and the statistics by which its maps are normalised: probabilities, logits, gates and MACs.
  predict(image, statistics, { skip = true } = {}) {
    this.check([image]);
    const { params, layers, sizes } = this;
    let inputs = Float64Array.from(image), open = [0], macs = 0;
    const gates = [], maps = [];
    for (const layer of layers) {
      const { filters, out } = layer, area = out * out, name = `layers.${layer.index}`;
      const logits = this.gateLogits(layer, inputs, 1).logits;
      const chosen = [];
      for (let f = 0; f < filters; f++) if (logits[f] > 0) chosen.push(f);
      const { mean, variance } = statistics[layer.index];
      const result = new Float64Array(filters * area);
      for (const f of skip ? chosen : layer.all ??= [...Array(filters).keys()]) {
        if (!skip && !(logits[f] > 0)) {
          convolve(layer, inputs, params[`${name}.conv.weight`], result, f, open);
          result.fill(0, f * area, (f + 1) * area); // computed, and thrown away
          continue;
        }
        convolve(layer, inputs, params[`${name}.conv.weight`], result, f, open);
        const scale = params[`${name}.scale`][f] / Math.sqrt(variance[f] + EPSILON);
        const shift = params[`${name}.shift`][f] - mean[f] * scale;
        for (let p = f * area; p < (f + 1) * area; p++) result[p] = Math.max(0, scale * result[p] + shift);
      }
      macs += layer.taps * open.length * chosen.length + params[`${name}.gate.linear.weight`].length;
      gates.push(Uint8Array.from({ length: filters }, (_, f) => (logits[f] > 0 ? 1 : 0)));
      maps.push(result);
      [inputs, open] = [result, skip ? chosen : layer.all];
      layer.opened = chosen;
    }
    macs += this.cells * layers[layers.length - 1].opened.length * sizes.ways;
    const logits = this.head(inputs, 1);
    return { logits, probabilities: softmax(logits), gates, maps, macs: macs / this.dense };
  }

  // ---- statistics: what a node's own drawings look like in every layer -----------------------------------------------

  statistics(images) {
    return this.forward(images).passes.map(({ mean, variance }) => ({ mean, variance }));
  }

  // ---- adaptation: one step on the backbone, then one on the gates ---------------------------------------------------

  // The network that a node owns after its step in two stages; `this` stays as it was.
  adapt(images, labels) {
    const isGate = (name) => name.includes(".gate.");
    const { backbone_learning_rate: alpha, gate_learning_rate: beta } = this.sizes;
    return this.step(images, labels, alpha, (name) => !isGate(name)).step(images, labels, beta, isGate);
  }

  step(images, labels, rate, moves) {
    const { gradient } = this.lossGradient(images, labels, moves), params = { ...this.params };
    for (const name of Object.keys(params).filter(moves)) {
      const own = rate * (this.sizes.factors[name] ?? 1);
      params[name] = params[name].map((value, k) => value - own * gradient[name][k]);
    }
    return new GatedNet(this.sizes, params);
  }

  // Cross-entropy plus the price of being over budget, and its gradient by the chain rule, from the head back; `moves`
  // says by the name of a convolution's weights whether theirs is wanted, which takes half of the time.
  lossGradient(images, labels, moves = () => true) {
    const { sizes, layers, params } = this, batch = images.length, { ways } = sizes;
    if (labels.length !== batch || !labels.every((label) => Number.isInteger(label) && label >= 0 && label < ways)) {
      throw new Error(`labels ${labels} of ${batch} images: need as many, whole numbers from 0 to ${ways - 1}`);
    }
    const { passes, features, logits, macs } = this.forward(images);
    const gradient = {}, slopes = new Float64Array(batch * ways);
    let loss = 0;
    for (let b = 0; b < batch; b++) {
      const probabilities = softmax(logits.subarray(b * ways, (b + 1) * ways));
      loss -= Math.log(probabilities[labels[b]]) / batch;
      for (let k = 0; k < ways; k++) slopes[b * ways + k] = (probabilities[k] - (k === labels[b] ? 1 : 0)) / batch;
    }
    const ratio = macs.reduce((sum, each) => sum + each, 0) / batch;
    const perMac = sizes.price ?? (ratio > sizes.budget ? sizes.penalty : 0);
    loss += perMac * (ratio - sizes.budget);
    const price = perMac / (batch * this.dense);

    const linear = linearBackward(features, params["head.weight"], slopes, batch);
    gradient["head.weight"] = linear.weight;
    gradient["head.bias"] = linear.bias;
    let back = linear.inputs;
    for (let index = layers.length - 1; index >= 0; index--) {
      const layer = layers[index], { filters } = layer;
      const before = passes[index - 1], after = passes[index + 1];
      const ofGates = new Float64Array(batch * filters); // what one more open filter adds to the price
      for (let b = 0; b < batch; b++) {
        const read = before ? before.counts[b] : layer.maps;
        const onward = after ? layers[index + 1].taps * after.counts[b] : this.cells * ways;
        ofGates.fill(price * (layer.taps * read + onward), b * filters, (b + 1) * filters);
      }
      back = this.layerBackward(layer, passes[index], back, ofGates, gradient, moves);
    }
    return { loss, gradient, ratio };
  }

  // All images together, with everything that the way back needs; closed filters are computed, for their gates learn.
  forward(images) {
    this.check(images);
    const { params, layers, sizes } = this, batch = images.length, passes = [];
    let inputs = new Float64Array(batch * sizes.image_size ** 2);
    images.forEach((image, b) => inputs.set(image, b * image.length));
    const macs = new Float64Array(batch);
    for (const layer of layers) {
      const { filters, out } = layer, area = out * out, name = `layers.${layer.index}`;
      const maps = new Float64Array(batch * filters * area), all = [...Array(layer.maps).keys()];
      for (let b = 0; b < batch; b++) {
        const image = inputs.subarray(b * layer.maps * layer.side ** 2, (b + 1) * layer.maps * layer.side ** 2);
        const mine = maps.subarray(b * filters * area, (b + 1) * filters * area);
        for (let f = 0; f < filters; f++) convolve(layer, image, params[`${name}.conv.weight`], mine, f, all);
      }
      const { mean, variance } = moments(maps, batch, filters, area);
      const gate = this.gateLogits(layer, inputs, batch);
      const result = new Float64Array(maps.length), counts = new Float64Array(batch);
      for (let b = 0; b < batch; b++) {
        for (let f = 0; f < filters; f++) {
          if (!(gate.logits[b * filters + f] > 0)) continue;
          counts[b] += 1;
          const root = Math.sqrt(variance[f] + EPSILON), start = (b * filters + f) * area;
          const scale = params[`${name}.scale`][f], shift = params[`${name}.shift`][f];
          for (let p = start; p < start + area; p++) {
            result[p] = Math.max(0, (scale * (maps[p] - mean[f])) / root + shift);
          }
        }
        const read = layer.index ? passes[layer.index - 1].counts[b] : layer.maps;
        macs[b] += (layer.taps * read * counts[b] + params[`${name}.gate.linear.weight`].length) / this.dense;
      }
      passes.push({ inputs, maps, mean, variance, gate, counts });
      inputs = result;
    }
    const last = passes[passes.length - 1];
    for (let b = 0; b < batch; b++) macs[b] += (this.cells * last.counts[b] * sizes.ways) / this.dense;
    return { passes, features: inputs, logits: this.head(inputs, batch), macs };
  }

  // Images must be lists of numbers, as many as the network has pixels; bytes are refused, for ink is 1 and not 255.
  check(images) {
    const side = this.sizes.image_size, pixels = side * side, kinds = ["Array", "Float32Array", "Float64Array"];
    if (!images.length) throw new Error("there is no image");
    for (const [b, image] of images.entries()) {
      const kind = Object.prototype.toString.call(image).slice(8, -1);
      if (!kinds.includes(kind)) throw new Error(`image ${b} is a ${kind}: need ${kinds.join(" or ")}, from 0 to 1`);
      if (image.length !== pixels) throw new Error(`image ${b} has ${image.length} pixels: need ${side} × ${side}`);
      for (const value of image) {
        if (!Number.isFinite(value)) throw new Error(`image ${b} holds ${value}: need finite numbers from 0 to 1`);
      }
    }
  }

  head(features, batch) {
    return linear(features, this.params["head.weight"], this.params["head.bias"], batch);
  }

  // Inputs averaged to a small grid, normalised among themselves, one linear map: a logit a filter.
  gateLogits({ index, maps, side, grid }, inputs, batch) {
    const cell = side / grid, count = maps * grid * grid, values = new Float64Array(batch * count);
    for (let b = 0; b < batch; b++) {
      for (let m = 0; m < maps; m++) {
        for (let row = 0; row < side; row++) {
          for (let column = 0; column < side; column++) {
            const k = (m * grid + Math.floor(row / cell)) * grid + Math.floor(column / cell);
            values[b * count + k] += inputs[((b * maps + m) * side + row) * side + column] / (cell * cell);
          }
        }
      }
    }
    const roots = new Float64Array(batch);
    for (let b = 0; b < batch; b++) {
      const mine = values.subarray(b * count, (b + 1) * count);
      const mean = mine.reduce((sum, value) => sum + value, 0) / count;
      const variance = mine.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
      roots[b] = Math.sqrt(variance + EPSILON);
      mine.forEach((value, k) => (mine[k] = (value - mean) / roots[b]));
    }
    const name = `layers.${index}.gate.linear`;
    return { values, roots, logits: linear(values, this.params[`${name}.weight`], this.params[`${name}.bias`], batch) };
  }

  // From the slope by a layer's output to those by its parameters, into `gradient`, and by its inputs, returned.
  layerBackward(layer, { inputs, maps, mean, variance, gate, counts }, back, ofGates, gradient, moves) {
    const { params } = this, { filters, out, side, grid } = layer, area = out * out, batch = counts.length;
    const name = `layers.${layer.index}`, weight = params[`${name}.conv.weight`];
    const ofScale = new Float64Array(filters), ofShift = new Float64Array(filters);
    const ofLogits = new Float64Array(batch * filters), ofMaps = new Float64Array(maps.length);
    for (let f = 0; f < filters; f++) {
      const root = Math.sqrt(variance[f] + EPSILON), scale = params[`${name}.scale`][f];
      let sum = 0, along = 0; // of the slopes by the normalised map, and of those times the map
      for (let b = 0; b < batch; b++) {
        const start = (b * filters + f) * area, logit = gate.logits[b * filters + f], open = logit > 0 ? 1 : 0;
        let ofGate = ofGates[b * filters + f];
        for (let p = start; p < start + area; p++) {
          const normal = (maps[p] - mean[f]) / root, value = scale * normal + params[`${name}.shift`][f];
          if (value <= 0) continue;
          ofGate += back[p] * value;
          const slope = back[p] * open;
          ofScale[f] += slope * normal;
          ofShift[f] += slope;
          ofMaps[p] = slope * scale;
          sum += slope * scale;
          along += slope * scale * normal;
        }
        const soft = 1 / (1 + Math.exp(-logit)); // the step's slope is taken for the sigmoid's
        ofLogits[b * filters + f] = ofGate * soft * (1 - soft);
      }
      const number = batch * area;
      for (let b = 0; b < batch; b++) {
        const start = (b * filters + f) * area;
        for (let p = start; p < start + area; p++) {
          const normal = (maps[p] - mean[f]) / root;
          ofMaps[p] = (ofMaps[p] - sum / number - (normal * along) / number) / root;
        }
      }
    }
    const linear = linearBackward(gate.values, params[`${name}.gate.linear.weight`], ofLogits, batch);
    Object.assign(gradient, { [`${name}.scale`]: ofScale, [`${name}.shift`]: ofShift });
    gradient[`${name}.gate.linear.weight`] = linear.weight;
    gradient[`${name}.gate.linear.bias`] = linear.bias;
    const wanted = moves(`${name}.conv.weight`) ? new Float64Array(weight.length) : null;
    if (wanted) gradient[`${name}.conv.weight`] = wanted;
    if (layer.index === 0 && !wanted) return null; // nobody asks for slopes by the image
    const ofInputs = new Float64Array(inputs.length), size = layer.maps * side * side;
    for (let b = 0; b < batch; b++) {
      const [from, to] = [b * size, (b + 1) * size], mine = ofMaps.subarray(b * filters * area, (b + 1) * filters * area);
      const slopes = layer.index === 0 ? null : ofInputs.subarray(from, to);
      convolveBackward(layer, inputs.subarray(from, to), weight, mine, slopes, wanted);
    }
    unpool(layer, gate, linear.inputs, ofInputs, grid);
    return ofInputs;
  }
}

// ---- the pieces ----------------------------------------------------------------------------------------------------

// Filter `f` of a 3×3 convolution of stride 2 over the input maps in `open`, into its place in `result`.
function convolve({ maps, side, out }, inputs, weight, result, f, open) {
  for (const m of open) {
    for (let y = 0; y < 3; y++) {
      for (let x = 0; x < 3; x++) {
        const w = weight[((f * maps + m) * 3 + y) * 3 + x];
        const [top, bottom] = reach(y, side, out), [left, right] = reach(x, side, out);
        for (let row = top; row < bottom; row++) {
          const from = (m * side + 2 * row + y - 1) * side + x - 1, to = (f * out + row) * out;
          for (let column = left; column < right; column++) result[to + column] += w * inputs[from + 2 * column];
        }
      }
    }
  }
}

// The rows of the output (or its columns) for which a kernel's row lies within the input: from, and up to.
function reach(y, side, out) {
  return [y === 0 ? 1 : 0, Math.min(out, Math.floor((side - y) / 2) + 1)];
}

// Slopes by the inputs and by the weights, each added to the array that is given for them, or left out without one.
function convolveBackward({ maps, filters, side, out }, inputs, weight, back, ofInputs, ofWeight) {
  for (let f = 0; f < filters; f++) {
    for (let m = 0; m < maps; m++) {
      for (let y = 0; y < 3; y++) {
        for (let x = 0; x < 3; x++) {
          const k = ((f * maps + m) * 3 + y) * 3 + x;
          const [top, bottom] = reach(y, side, out), [left, right] = reach(x, side, out), w = weight[k];
          let sum = 0;
          for (let row = top; row < bottom; row++) {
            const at = (m * side + 2 * row + y - 1) * side + x - 1, from = (f * out + row) * out;
            if (ofWeight) for (let c = left; c < right; c++) sum += back[from + c] * inputs[at + 2 * c];
            if (ofInputs) for (let c = left; c < right; c++) ofInputs[at + 2 * c] += w * back[from + c];
          }
          if (ofWeight) ofWeight[k] += sum;
        }
      }
    }
  }
}

function moments(maps, batch, filters, area) {
  const mean = new Float64Array(filters), variance = new Float64Array(filters);
  for (let f = 0; f < filters; f++) {
    for (const [into, term] of [[mean, (value) => value], [variance, (value) => (value - mean[f]) ** 2]]) {
      let sum = 0;
      for (let b = 0; b < batch; b++) {
        const start = (b * filters + f) * area;
        for (let p = start; p < start + area; p++) sum += term(maps[p]);
      }
      into[f] = sum / (batch * area);
    }
  }
  return { mean, variance };
}

// Through the gate's normalisation and average, back to the layer's inputs.
function unpool({ maps, side }, { values, roots }, slopes, ofInputs, grid) {
  const cell = side / grid, count = maps * grid * grid;
  for (let b = 0; b < roots.length; b++) {
    let sum = 0, along = 0;
    for (let k = b * count; k < (b + 1) * count; k++) {
      sum += slopes[k];
      along += slopes[k] * values[k];
    }
    for (let m = 0; m < maps; m++) {
      for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
          const k = b * count + (m * grid + Math.floor(row / cell)) * grid + Math.floor(column / cell);
          const slope = (slopes[k] - sum / count - (values[k] * along) / count) / roots[b];
          ofInputs[((b * maps + m) * side + row) * side + column] += slope / (cell * cell);
        }
      }
    }
  }
}

function linear(inputs, weight, bias, batch) {
  const out = bias.length, count = weight.length / out, result = new Float64Array(batch * out);
  for (let b = 0; b < batch; b++) {
    for (let k = 0; k < out; k++) {
      let sum = bias[k];
      for (let i = 0; i < count; i++) sum += weight[k * count + i] * inputs[b * count + i];
      result[b * out + k] = sum;
    }
  }
  return result;
}

function linearBackward(inputs, weight, slopes, batch) {
  const out = slopes.length / batch, count = weight.length / out;
  const back = { weight: new Float64Array(weight.length), bias: new Float64Array(out) };
  back.inputs = new Float64Array(inputs.length);
  for (let b = 0; b < batch; b++) {
    for (let k = 0; k < out; k++) {
      const slope = slopes[b * out + k];
      back.bias[k] += slope;
      for (let i = 0; i < count; i++) {
        back.weight[k * count + i] += slope * inputs[b * count + i];
        back.inputs[b * count + i] += slope * weight[k * count + i];
      }
    }
  }
  return back;
}

export function softmax(logits) {
  const most = Math.max(...logits), powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}

// ---- drawings: the lines of a pen as an image, as `pad/strokes.py` has it ------------------------------------------

const INSIDE = 20 / 28, PEN = 1.1 / 28, SHORTEST = 0.12;

export function centred(strokes) {
  const points = strokes.flat();
  if (!points.length) throw new Error("an empty drawing: there is no point in it");
  const low = [0, 1].map((d) => Math.min(...points.map((point) => point[d])));
  const high = [0, 1].map((d) => Math.max(...points.map((point) => point[d])));
  const factor = INSIDE / Math.max(high[0] - low[0], high[1] - low[1], SHORTEST);
  const moved = (point) => point.map((value, d) => (value - (low[d] + high[d]) / 2) * factor + 0.5);
  return strokes.filter((stroke) => stroke.length).map((stroke) => stroke.map(moved));
}

// Grey values from 0 to 1, in the 255 steps that images have.
export function rasterise(strokes, side = 28, pen = PEN) {
  const nearest = new Float64Array(side * side).fill(Infinity);
  for (const stroke of strokes) {
    for (let k = 0; k < Math.max(1, stroke.length - 1); k++) {
      const [ax, ay] = stroke[k], [bx, by] = stroke[Math.min(k + 1, stroke.length - 1)];
      const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
      for (let p = 0; p < nearest.length; p++) {
        const x = ((p % side) + 0.5) / side - ax, y = (Math.floor(p / side) + 0.5) / side - ay;
        const share = Math.min(1, Math.max(0, length > 0 ? (x * dx + y * dy) / length : 0));
        nearest[p] = Math.min(nearest[p], (x - share * dx) ** 2 + (y - share * dy) ** 2);
      }
    }
  }
  return nearest.map((square) => {
    const ink = Math.min(1, Math.max(0, (pen - Math.sqrt(square)) * side + 0.5));
    return Math.floor(ink * 255 + 0.5) / 255;
  });
}
