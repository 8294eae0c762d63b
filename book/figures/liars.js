// Ten nodes' moves in the plane, some of which lie, and what five means make of them. `root` and `data` come from the page, the rest from live.js.
const SIZE = 440, REACH = data.reach, UNIT = SIZE / (2 * REACH), COUNT = data.moves.length;
svg.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE + 30}`);
svg.setAttribute("role", "group"); // of ten sliders; a picture holds none

// --- the means, as the chapter writes them -------------------------------------------------------------------------
const mean = (points) => [0, 1].map((k) => points.reduce((sum, p) => sum + p[k], 0) / points.length);
const column = (points, k) => points.map((p) => p[k]).sort((a, b) => a - b);
const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const each = (points, act) => [0, 1].map((k) => { const kept = act(column(points, k)); return kept.reduce((a, b) => a + b, 0) / kept.length; });
const cut = Math.round(data.share * COUNT);
const MEANS = {
  mean,
  clipped: (points) => mean(points.map((p) => p.map((x) => (x * data.norm) / Math.max(data.norm, Math.hypot(...p))))),
  median: (points) => each(points, (x) => x.slice(Math.floor((COUNT - 1) / 2), Math.floor(COUNT / 2) + 1)),
  trimmed: (points) => each(points, (x) => x.slice(cut, COUNT - cut)),
  Krum: (points) => {
    const score = (p) => points.map((q) => apart(p, q) ** 2).sort((a, b) => a - b).slice(1, COUNT - cut - 1).reduce((a, b) => a + b, 0);
    const order = points.map((p, i) => [score(p), i]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return mean(order.slice(0, COUNT - cut).map(([, i]) => points[i]));
  },
};

// --- drawing -------------------------------------------------------------------------------------------------------
const state = { moves: [], liars: data.liars, strength: data.strength };
const lie = () => {
  state.moves = data.moves.map((p, i) => (i < COUNT - state.liars ? state.moves[i] ?? p : p.map((x) => -state.strength * x)));
};
const place = (p) => {
  const inside = Math.min(1, (0.96 * REACH) / Math.max(Math.abs(p[0]), Math.abs(p[1]), 1e-9));
  return [SIZE / 2 + UNIT * inside * p[0], SIZE / 2 - UNIT * inside * p[1]];
};
const MARKS = {
  mean: "M-8-8L8 8M8-8L-8 8", clipped: "M0-9V9M-9 0H9", median: "M0-9L9 0L0 9L-9 0Z", trimmed: "M-8 7L0-8L8 7Z", Krum: "M-8-7L8-7L0 8Z",
};
const LEGEND = [14, 88, 176, 266, 362]; // where each mean's mark stands below the plane
const under = draw("g", {}), over = draw("g", {});
const handles = data.moves.map((_, i) => {
  const handle = draw("g", { tabindex: 0, role: "slider", style: "cursor: grab" });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    moveTo(i, state.moves[i].map((x, k) => x + step[k]));
  });
  handle.addEventListener("pointerdown", (event) => { event.preventDefault(); handle.setPointerCapture(event.pointerId); handle.held = true; });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.held) return;
    const box = svg.getBoundingClientRect(), scale = SIZE / box.width;
    moveTo(i, [((event.clientX - box.left) * scale - SIZE / 2) / UNIT, (SIZE / 2 - (event.clientY - box.top) * scale) / UNIT]);
  });
  for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, () => (handle.held = false));
  handle.style.touchAction = "none";
  return handle;
});

function redraw() {
  under.replaceChildren();
  over.replaceChildren();
  const [x, y] = place([0, 0]), honest = mean(state.moves.slice(0, COUNT - state.liars));
  draw("path", { d: `M${x - 7} ${y}h14M${x} ${y - 7}v14`, stroke: FAINT, "stroke-width": 1.5 }, undefined, under);
  state.moves.forEach((move, i) => {
    const lies = i >= COUNT - state.liars, colour = lies ? ORANGE : BLUE, [u, v] = place(move), handle = handles[i];
    draw("path", { d: `M${x} ${y}L${u} ${v}`, stroke: colour, opacity: 0.45 }, undefined, under);
    handle.replaceChildren();
    const box = lies ? ["rect", { x: u - 7, y: v - 7, width: 14, height: 14 }] : ["circle", { cx: u, cy: v, r: 7 }];
    draw("circle", { cx: u, cy: v, r: 16, fill: "transparent" }, undefined, handle);
    draw(box[0], { ...box[1], fill: colour }, undefined, handle);
    handle.setAttribute("aria-label", `move of node ${i + 1}, ${lies ? "lying" : "honest"}`);
    const length = Math.hypot(...move); // a lie may begin beyond what a hand can reach
    handle.setAttribute("aria-valuemin", 0);
    handle.setAttribute("aria-valuemax", Math.max(length, REACH * Math.SQRT2).toFixed(1));
    handle.setAttribute("aria-valuenow", length.toFixed(1));
    handle.setAttribute("aria-valuetext", `${move[0].toFixed(2)} across, ${move[1].toFixed(2)} up`);
  });
  const told = Object.entries(MEANS).map(([name, of], k) => {
    const found = of(state.moves), style = { fill: "none", stroke: "currentColor", "stroke-width": 2.5 };
    draw("path", { d: MARKS[name], transform: `translate(${place(found).join(" ")})`, ...style, "pointer-events": "none" }, undefined, over);
    draw("path", { d: MARKS[name], transform: `translate(${LEGEND[k]} ${SIZE + 14}) scale(0.8)`, ...style }, undefined, under);
    draw("text", { x: LEGEND[k] + 12, y: SIZE + 20, "font-size": 16, fill: "currentColor" }, name, under);
    return `${name} ${apart(found, honest).toFixed(2)}`;
  });
  readout.textContent = `Distance from the honest nodes' mean: ${told.join(", ")}.`;
}
const moveTo = (i, p) => {
  state.moves[i] = p.map((x) => Math.round(100 * Math.max(-REACH, Math.min(REACH, x))) / 100); // what is said is all
  redraw();
};

// --- the reader's hand ---------------------------------------------------------------------------------------------
const slider = (name, max, step, value, act) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max, step, value });
  input.addEventListener("input", () => { act(+input.value); lie(); redraw(); });
  label.append(name, input);
  controls.append(label);
  return input;
};
const many = slider("how many lie", Math.floor(COUNT / 2) + 1, 1, state.liars, (value) => { state.moves.length = COUNT - Math.max(state.liars, value); state.liars = value; });
const far = slider("how far they go the wrong way", 10, 0.1, state.strength, (value) => (state.strength = value));
const button = document.createElement("button");
button.type = "button";
button.textContent = "Back to the start";
button.addEventListener("click", () => {
  Object.assign(state, { moves: [], liars: data.liars, strength: data.strength });
  [many.value, far.value] = [data.liars, data.strength];
  lie();
  redraw();
});
controls.append(button);
lie();
redraw();
