// The drawing pad: five slots, a pad, a step, and what the network says of the next drawing. Uses gated_net.js above it;
// `root` is the figure, `data` holds the model and ready-made characters as strokes.

const WAYS = data.model.ways, SIDE = data.model.image_size;
const net = loadModel(data.model), state = { slots: Array(WAYS).fill(null), target: 0, strokes: [], own: null };
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const pad = part("pad"), status = part("status");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const say = (text) => (status.textContent = text);

// ---- drawing -------------------------------------------------------------------------------------------------------

function paint(canvas, strokes) {
  const pen = canvas.getContext("2d"), size = canvas.width;
  pen.clearRect(0, 0, size, size);
  pen.strokeStyle = pen.fillStyle = getComputedStyle(root).color;
  pen.lineWidth = Math.max(4, size * 0.04);
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.beginPath();
    const [first] = stroke;
    pen.moveTo(first[0] * size, first[1] * size);
    for (const [x, y] of stroke) pen.lineTo(x * size, y * size);
    pen.lineTo(stroke[stroke.length - 1][0] * size + 0.01, stroke[stroke.length - 1][1] * size);
    pen.stroke();
  }
}

function place(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

pad.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  state.strokes.push([place(event)]);
  paint(pad, state.strokes);
});
pad.addEventListener("pointermove", (event) => {
  if (!pad.hasPointerCapture(event.pointerId)) return;
  state.strokes[state.strokes.length - 1].push(place(event));
  paint(pad, state.strokes);
});
pad.addEventListener("pointerup", () => drawn());
pad.addEventListener("pointercancel", () => drawn());

// A stroke has ended: it belongs to the slot that is open, or is a question to the network.
function drawn() {
  if (state.target === null) return ask();
  state.slots[state.target] = state.strokes.length ? state.strokes.map((stroke) => [...stroke]) : null;
  showSlots();
}

function open(target) {
  state.target = target;
  state.strokes = target === null ? [] : (state.slots[target] ?? []).map((stroke) => [...stroke]);
  paint(pad, state.strokes);
  showSlots();
  say(target === null ? "Draw one of your characters again." : `Draw character ${target + 1}.`);
}

part("undo").addEventListener("click", () => {
  if (!state.strokes.length) return say("There is no stroke to take back.");
  state.strokes.pop();
  paint(pad, state.strokes);
  drawn();
});
part("clear").addEventListener("click", () => {
  state.strokes = [];
  paint(pad, state.strokes);
  drawn();
});

// ---- ready-made characters, for those who cannot or will not draw ------------------------------------------------------

for (const [name, strokes] of Object.entries(data.characters)) {
  part("picker").append(make("option", { value: name }, `${name}`));
}
part("pick").addEventListener("click", () => {
  const shake = () => (Math.random() - 0.5) * 0.02;
  const strokes = data.characters[part("picker").value];
  const [angle, size] = [(Math.random() - 0.5) * 0.2, 0.85 + 0.2 * Math.random()];
  const [cos, sin] = [size * Math.cos(angle), size * Math.sin(angle)];
  state.strokes = strokes.map((stroke) => stroke.map(([x, y]) => [
    0.5 + cos * (x - 0.5) - sin * (y - 0.5) + shake(), 0.5 + sin * (x - 0.5) + cos * (y - 0.5) + shake(),
  ]));
  paint(pad, state.strokes);
  drawn();
});

// ---- slots -----------------------------------------------------------------------------------------------------------

const slots = state.slots.map((_, slot) => {
  const canvas = make("canvas", { width: 96, height: 96, "aria-hidden": "true" });
  const button = make("button", { type: "button", onclick: () => open(slot) }, canvas, `${slot + 1}`);
  part("slots").append(button);
  return { button, canvas };
});

function showSlots() {
  slots.forEach(({ button, canvas }, slot) => {
    paint(canvas, state.slots[slot] ?? []);
    button.setAttribute("aria-pressed", String(state.target === slot));
    button.setAttribute("aria-label", `Character ${slot + 1}, ${state.slots[slot] ? "drawn" : "empty"}`);
  });
}

// ---- the step --------------------------------------------------------------------------------------------------------

part("adapt").addEventListener("click", () => {
  const filled = state.slots.map((strokes, slot) => ({ strokes, slot })).filter(({ strokes }) => strokes);
  if (!filled.length) return say("There is no drawing yet: draw a character in each slot.");
  if (filled.length === 1) return say("One character only: with nothing to tell it from, there is nothing to learn.");
  const images = filled.map(({ strokes }) => rasterise(centred(strokes), SIDE)), labels = filled.map(({ slot }) => slot);
  const started = performance.now(), own = net.adapt(images, labels), taken = performance.now() - started;
  const before = { net, statistics: net.statistics(images) }, after = { net: own, statistics: own.statistics(images) };
  state.own = { before, after, labels };
  root.dataset.adaptMilliseconds = String(taken);
  open(null);
  const left = filled.length < WAYS ? ` ${WAYS - filled.length} of the slots are empty, and are never the answer.` : "";
  say(`Adapted in ${taken.toFixed(0)} ms, one step in two stages.${left} Now draw one of your characters again.`);
});

part("reset").addEventListener("click", () => {
  Object.assign(state, { slots: Array(WAYS).fill(null), own: null });
  part("answer").replaceChildren();
  part("gates").replaceChildren();
  part("cost").textContent = "";
  open(0);
});

part("ask").addEventListener("click", () => (state.own ? open(null) : say("Draw your characters and adapt first.")));

// ---- the answer --------------------------------------------------------------------------------------------------------

function ask() {
  if (!state.strokes.length) return say("An empty drawing: there is nothing to recognise.");
  if (!state.own) return say("Draw your characters and adapt first.");
  const image = rasterise(centred(state.strokes), SIDE), told = {};
  for (const when of ["before", "after"]) {
    const { net: each, statistics } = state.own[when], answer = each.predict(image, statistics);
    const shares = softmax(state.own.labels.map((slot) => answer.logits[slot]));
    told[when] = { ...answer, shares, best: state.own.labels[shares.indexOf(Math.max(...shares))] };
  }
  const { net: own, statistics } = state.own.after;
  const [dense, gated] = [false, true].map((skip) => timed(() => own.predict(image, statistics, { skip })));
  showAnswer(told);
  showGates(told.after);
  const share = (100 * told.after.macs).toFixed(0);
  part("cost").textContent =
    `${share} % of the dense network's multiply-adds, ${gated.toFixed(2)} ms; all filters ${dense.toFixed(2)} ms.`;
  Object.assign(root.dataset, { answer: told.after.best, predictMilliseconds: gated });
  say(`Character ${told.after.best + 1}, ${(100 * Math.max(...told.after.shares)).toFixed(0)} %; ${share} % of the work.`);
}

function timed(work, times = 5) {
  const taken = Array.from({ length: times }, () => {
    const started = performance.now();
    work();
    return performance.now() - started;
  });
  return taken.sort((a, b) => a - b)[times >> 1];
}

function showAnswer(told) {
  part("answer").replaceChildren(...["before", "after"].map((when) => {
    const bars = state.own.labels.map((slot, k) => {
      const share = 100 * told[when].shares[k];
      const bar = make("span", { class: "mg-bar", style: `width:${share.toFixed(1)}%` });
      return make("li", slot === told[when].best ? { class: "mg-best" } : {}, `${slot + 1} `, bar, ` ${share.toFixed(0)} %`);
    });
    return make("div", {}, make("strong", {}, `${when} the step`), make("ol", {}, ...bars));
  }));
}

function showGates({ gates, maps }) {
  const rows = gates.map((gate, layer) => {
    const side = Math.round(Math.sqrt(maps[layer].length / gate.length));
    const cells = [...gate].map((isOpen, filter) => {
      const look = () => showMap(maps[layer], filter, side, layer, isOpen);
      return make("span", { class: isOpen ? "mg-cell mg-open" : "mg-cell", onmouseenter: look, onclick: look });
    });
    const count = gate.reduce((sum, bit) => sum + bit, 0), row = make("div", {
      class: "mg-row", tabindex: "0", role: "img", "aria-label": `Layer ${layer + 1}: ${count} of ${gate.length} filters open`,
    }, ...cells);
    let at = -1;
    row.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      at = (at + move + cells.length) % cells.length;
      cells[at].click();
    });
    return row;
  });
  part("gates").replaceChildren(...rows, make("canvas", { "data-part": "map", width: 84, height: 84, "aria-hidden": "true" }),
    make("p", { "data-part": "filter" }, "Point at a filter to see its map."));
}

function showMap(maps, filter, side, layer, isOpen) {
  const canvas = part("map"), pen = canvas.getContext("2d"), size = canvas.width / side;
  const values = maps.subarray(filter * side * side, (filter + 1) * side * side), most = Math.max(1e-9, ...values);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = getComputedStyle(root).color;
  values.forEach((value, k) => {
    pen.globalAlpha = value / most;
    pen.fillRect((k % side) * size, Math.floor(k / side) * size, size, size);
  });
  part("filter").textContent = `Layer ${layer + 1}, filter ${filter + 1}: ${isOpen ? "open" : "closed, not computed"}.`;
}

// Ink has the colour of the page's text, which may change.
function repaint() {
  paint(pad, state.strokes);
  showSlots();
}
const themes = { attributes: true, attributeFilter: ["data-theme", "class"] };
new MutationObserver(repaint).observe(document.documentElement, themes);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

open(0);
root.dataset.ready = "yes";
