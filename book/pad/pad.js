// The drawing pad: slots for an alphabet, a pad, one step, and what the network makes of the next drawing. Stands behind
// gated_net.js; `root` is the figure, `data` holds the model and ready-made characters as strokes.

const { ways: WAYS, image_size: SIDE, width: WIDTH, depth: DEPTH } = data.model, MAP = 84, QUESTION = null;
const net = loadModel(data.model), part = (name) => root.querySelector(`[data-part="${name}"]`), pad = part("pad");
const state = { slots: Array(WAYS).fill([]), target: 0, strokes: [], own: null, answer: null, filter: [0, 0], pointer: null };

function make(tag, attributes = {}, ...children) {
  const isDrawn = ["svg", "g", "rect"].includes(tag);
  const element = isDrawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const say = (text) => (part("status").textContent = text);
const percent = (share) => `${(100 * share).toFixed(0)} %`;

// ---- drawing -------------------------------------------------------------------------------------------------------

function paint(canvas, strokes) {
  const pen = canvas.getContext("2d"), size = canvas.width;
  pen.clearRect(0, 0, size, size);
  pen.strokeStyle = getComputedStyle(root).color;
  pen.lineWidth = size * 0.04;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.beginPath();
    pen.moveTo(stroke[0][0] * size, stroke[0][1] * size);
    for (const [x, y] of stroke.length > 1 ? stroke.slice(1) : stroke) pen.lineTo(x * size, y * size);
    pen.stroke();
  }
}

function place(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

// One pointer draws at a time, and only what began here: no right button, no palm, no press from elsewhere.
pad.addEventListener("pointerdown", (event) => {
  if (event.button || state.pointer !== null) return;
  event.preventDefault();
  state.pointer = event.pointerId;
  pad.setPointerCapture(event.pointerId);
  state.strokes.push([place(event)]);
  paint(pad, state.strokes);
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== state.pointer) return;
  state.strokes.at(-1)?.push(place(event));
  paint(pad, state.strokes);
});
for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, (event) => {
  if (event.pointerId !== state.pointer) return;
  state.pointer = null;
  drawn();
});

// A stroke has ended: it belongs to the slot that is open, or to a question.
function drawn() {
  paint(pad, state.strokes);
  if (state.target === QUESTION) return ask();
  const changed = state.slots[state.target].length + state.strokes.length > 0;
  state.slots[state.target] = [...state.strokes];
  showSlots();
  if (!changed) return;
  const slot = `Character ${state.target + 1} is ${state.strokes.length ? "drawn" : "empty"}.`;
  if (state.own) forget();
  say(state.adapted ? "A character has changed: press Adapt again." : slot);
}

// The adapted network and its answer are of characters that are no more.
function forget() {
  state.own = null;
  delete root.dataset.answer;
  showAnswer(null);
}

function open(target, message) {
  state.target = target;
  state.strokes = target === QUESTION ? [] : [...state.slots[target]];
  paint(pad, state.strokes);
  showSlots();
  say(message ?? (target === QUESTION ? "Draw one of your characters again." : `Draw character ${target + 1}.`));
}

part("undo").addEventListener("click", () => {
  if (!state.strokes.length) return say("There is no stroke to take back.");
  state.strokes.pop();
  drawn();
});
part("clear").addEventListener("click", () => {
  state.strokes = [];
  drawn();
});

// ---- ready-made characters, for those who cannot or will not draw: each time a little different -----------------------

for (const name of Object.keys(data.characters)) part("picker").append(make("option", { value: name }, name));
part("pick").addEventListener("click", () => {
  const either = (most) => most * (2 * Math.random() - 1), angle = either(0.1), size = 0.95 + either(0.1);
  const [cos, sin] = [size * Math.cos(angle), size * Math.sin(angle)];
  state.strokes = data.characters[part("picker").value].map((stroke) => stroke.map(([x, y]) => [
    0.5 + cos * (x - 0.5) - sin * (y - 0.5) + either(0.01), 0.5 + sin * (x - 0.5) + cos * (y - 0.5) + either(0.01),
  ]));
  drawn();
});

// ---- slots: one for each character, and one for questions ---------------------------------------------------------------

const slots = state.slots.map((_, slot) => {
  const canvas = make("canvas", { width: 96, height: 96, "aria-hidden": "true" });
  const button = make("button", { type: "button", onclick: () => open(slot) }, canvas, `${slot + 1}`);
  part("ask").before(button);
  return { button, canvas };
});
part("ask").addEventListener("click", () => (state.own ? open(QUESTION) : say("Draw your characters and adapt first.")));

function showSlots() {
  slots.forEach(({ button, canvas }, slot) => {
    paint(canvas, state.slots[slot]);
    button.setAttribute("aria-pressed", String(state.target === slot));
    button.setAttribute("aria-label", `Character ${slot + 1}, ${state.slots[slot].length ? "drawn" : "empty"}`);
  });
  part("ask").setAttribute("aria-pressed", String(state.target === QUESTION));
}

// ---- the step --------------------------------------------------------------------------------------------------------

part("adapt").addEventListener("click", () => {
  const labels = [...state.slots.keys()].filter((slot) => state.slots[slot].length);
  if (!labels.length) return say("There is no drawing yet: draw a character in each slot.");
  if (labels.length === 1) return say("One character only: with nothing to tell it from, there is nothing to learn.");
  const images = labels.map((slot) => rasterise(centred(state.slots[slot]), SIDE));
  const positions = labels.map((_, position) => position); // the network's outputs, one for each drawing
  const started = performance.now(), own = net.adapt(images, positions), taken = performance.now() - started;
  state.adapted = true; // to these or to older ones, since the last reset
  state.own = { labels, before: [net, net.statistics(images)], after: [own, own.statistics(images)] };
  root.dataset.adaptMilliseconds = String(taken);
  const left = WAYS - labels.length, empty = left ? ` ${left} of the slots are empty, and are never the answer.` : "";
  showAnswer(null);
  open(QUESTION, `Adapted in ${taken.toFixed(0)} ms, one step in two stages.${empty} Draw one of your characters again.`);
});

part("reset").addEventListener("click", () => {
  state.slots = Array(WAYS).fill([]);
  state.adapted = false;
  forget();
  open(0);
});

// ---- the answer --------------------------------------------------------------------------------------------------------

function ask() {
  if (!state.strokes.length) {
    delete root.dataset.answer;
    showAnswer(null);
    return say("An empty drawing: there is nothing to recognise.");
  }
  const image = rasterise(centred(state.strokes), SIDE), { labels, before, after } = state.own;
  const told = [before, after].map(([each, statistics]) => {
    const answer = each.predict(image, statistics), shares = softmax([...answer.logits.slice(0, labels.length)]);
    return { ...answer, shares, best: shares.indexOf(Math.max(...shares)) };
  });
  const [dense, gated] = times([false, true].map((skip) => () => after[0].predict(image, after[1], { skip })));
  showAnswer({ told, dense, gated });
  const { best, shares, macs } = told[1];
  Object.assign(root.dataset, { answer: labels[best], predictMilliseconds: gated });
  say(`Character ${labels[best] + 1}, ${percent(shares[best])}; ${percent(macs)} of the work.`);
}

// The milliseconds that each work takes, by turns: in the fastest of some blocks, since what else the machine does, and
// code that is not compiled yet, only slow them down. A block is several runs, because clocks here are coarse.
function times(works, blocks = 8, runs = 4) {
  const fastest = works.map(() => Infinity);
  for (let block = 0; block < blocks; block++) works.forEach((work, which) => {
    const started = performance.now();
    for (let run = 0; run < runs; run++) work();
    fastest[which] = Math.min(fastest[which], (performance.now() - started) / runs);
  });
  return fastest;
}

const bars = ["before", "after"].map((when) => {
  const lines = state.slots.map(() => {
    const bar = make("span", { class: "mg-bar" }), share = make("span", { class: "mg-share" });
    return { bar, share, line: make("li", {}, bar, share) };
  });
  part("answer").append(make("div", {}, make("strong", {}, `${when} the step`), make("ol", {}, ...lines.map((l) => l.line))));
  return lines;
});

// What the network says, a bar a slot; the work it took; and its gates. Without an answer all of it stands empty.
function showAnswer(answer) {
  state.answer = answer;
  bars.forEach((lines, when) => lines.forEach(({ line, bar, share }, slot) => {
    const position = answer ? state.own.labels.indexOf(slot) : -1, told = answer?.told[when];
    line.className = position < 0 ? "mg-none" : position === told.best ? "mg-best" : "";
    bar.style.width = position < 0 ? "0" : `${55 * told.shares[position]}%`;
    share.textContent = position < 0 ? "–" : percent(told.shares[position]);
  }));
  const macs = answer?.told[1].macs;
  part("work").style.width = answer ? `${100 * macs}%` : "0";
  part("cost").textContent = answer
    ? `${percent(macs)} of all multiplications: ${answer.gated.toFixed(2)} ms, all filters ${answer.dense.toFixed(2)} ms`
    : "How much of the network it takes to answer is shown here.";
  showGates(answer?.told.map((each) => each.gates));
}

// ---- the gates: a row a layer, a mark a filter, and what the filter sees ---------------------------------------------------

const CELL = 10, ROW = 26;
const KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -WIDTH, End: WIDTH };
const rows = Array.from({ length: DEPTH }, (_, layer) => {
  const cells = Array.from({ length: WIDTH }, (_, filter) =>
    make("rect", { class: "mg-cell", x: CELL * filter + 1, y: ROW * layer + 3, width: CELL - 2, height: ROW - 6, rx: 1.5 }));
  const room = make("rect", { class: "mg-room", x: 0, y: ROW * layer, width: CELL * WIDTH, height: ROW });
  const look = (event) => {
    const box = room.getBoundingClientRect(), filter = Math.floor(((event.clientX - box.left) / box.width) * WIDTH);
    showFilter(layer, filter);
  };
  const row = make("g", {
    class: "mg-row", style: `--mg-layer: ${layer}`, tabindex: 0, role: "slider", "aria-valuemin": 1, "aria-valuemax": WIDTH,
    onpointermove: look, onpointerdown: look, onfocus: () => state.filter[0] === layer || showFilter(layer, state.filter[1]),
    onkeydown: (event) => {
      const by = KEYS[event.key];
      if (!by) return;
      event.preventDefault();
      showFilter(layer, state.filter[1] + by);
    },
  }, room, ...cells);
  return { row, cells };
});
const frame = make("rect", { class: "mg-frame", width: CELL, height: ROW, rx: 2 });
part("gates").append(make("svg", { role: "group", "aria-label": "Gates, a row for each layer, a mark for each filter",
  viewBox: `-1 -1 ${CELL * WIDTH + 2} ${ROW * DEPTH + 2}` }, ...rows.map(({ row }) => row), frame));

function showGates(gates) {
  for (const { row } of rows) row.classList.remove("mg-lit");
  rows.forEach(({ row, cells }, layer) => {
    cells.forEach((cell, filter) => {
      const [before, after] = gates ? gates.map((each) => each[layer][filter]) : [0, 0];
      cell.classList.toggle("mg-open", after === 1);
      cell.classList.toggle("mg-changed", before !== after);
    });
    const number = gates ? `${gates[1][layer].reduce((sum, bit) => sum + bit, 0)} of ${WIDTH} filters open` : "no drawing yet";
    row.setAttribute("aria-label", `Layer ${layer + 1}: ${number}`);
  });
  root.getBoundingClientRect(); // so that the light goes through the layers again
  for (const { row } of rows) row.classList.toggle("mg-lit", Boolean(gates));
  showFilter(...state.filter);
}

function showFilter(layer, wanted) {
  const filter = Math.min(WIDTH - 1, Math.max(0, wanted)), told = state.answer?.told, canvas = part("map");
  state.filter = [layer, filter];
  frame.setAttribute("x", CELL * filter);
  frame.setAttribute("y", ROW * layer);
  const [before, after] = told ? told.map(({ gates }) => gates[layer][filter]) : [];
  const changed = before === after ? "" : after ? ", opened by the step" : ", closed by the step";
  const gate = told ? (after ? "open" : "closed, not computed") + changed : "no drawing yet";
  rows[layer].row.setAttribute("aria-valuenow", filter + 1);
  rows[layer].row.setAttribute("aria-valuetext", `filter ${filter + 1}, ${gate}`);
  part("filter").textContent = `Layer ${layer + 1}, filter ${filter + 1}: ${gate}.`;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, MAP, MAP);
  if (!after) return;
  const maps = told[1].maps[layer], side = Math.round(Math.sqrt(maps.length / WIDTH)), size = MAP / side;
  const values = maps.subarray(filter * side * side, (filter + 1) * side * side), most = Math.max(1e-9, ...values);
  pen.fillStyle = getComputedStyle(root).color;
  values.forEach((value, k) => {
    pen.globalAlpha = value / most;
    pen.fillRect((k % side) * size, Math.floor(k / side) * size, size, size);
  });
  pen.globalAlpha = 1;
}

// Ink has the colour of the page's text, which may change.
function repaint() {
  paint(pad, state.strokes);
  showSlots();
  showFilter(...state.filter);
}
new MutationObserver(repaint).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

for (const { row } of rows) row.setAttribute("aria-valuenow", 1);
showAnswer(null);
open(0);
if (data.opening) {
  state.slots = data.opening.slots;
  part("adapt").click();
  state.strokes = data.opening.question;
  drawn();
  showFilter(0, state.answer.told[1].gates[0].indexOf(1)); // an open one, which has a map to show
}
root.dataset.ready = "yes";
