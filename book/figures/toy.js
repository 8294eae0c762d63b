// Two stages on L = ½ (θφ − 1)², and the step that the total derivative takes instead. `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, HEIGHT = 440, LEFT = 34, TOP = 6, RIGHT = 534, FLOOR = 386, SCALE = 200, LOW = [-0.1, 0.5];
const HIGH = [LOW[0] + (RIGHT - LEFT) / SCALE, LOW[1] + (FLOOR - TOP) / SCALE];
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
svg.setAttribute("role", "group"); // of a handle; a picture holds none
const state = { start: [...data.start], alpha: data.rates[0], beta: data.rates[1], trap: data.trap };

// --- the maths, as the chapter writes it ---------------------------------------------------------------------------
const loss = (theta, phi) => 0.5 * (theta * phi - 1) ** 2;
function stages() {
  const [theta, phi] = state.start, rest = theta * phi - 1;
  const moved = theta - state.alpha * phi * rest, left = moved * phi - 1;
  const own = moved * left; // the gates' slope where stage one has arrived
  const total = own - state.alpha * (2 * theta * phi - 1) * phi * left; // θ′ moves with φ at −α(2θφ − 1)
  return { moved, own, total, right: phi - state.beta * own, wrong: phi - state.beta * total };
}

// --- drawing -------------------------------------------------------------------------------------------------------
const across = (theta) => SCALE * (theta - LOW[0]), up = (phi) => FLOOR - TOP - SCALE * (phi - LOW[1]);
// A plane of its own: what leaves it is cut off at its edge.
const plane = draw("svg", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: FLOOR - TOP, "aria-hidden": "true" });
const line = (style) => draw("path", { fill: "none", ...style }, undefined, plane);
const text = (words, x, y, style = {}, parent = svg) => draw("text", { x, y, "font-size": 19, fill: "currentColor", ...style }, words, parent);
// On a level line the product θφ is constant: a hyperbola, or both axes where it is zero.
for (const level of [0.02, 0.1, 0.3, 0.6, 1, 1.6, 2.4]) {
  for (const product of [1 - Math.sqrt(2 * level), 1 + Math.sqrt(2 * level)]) levelLine(product, { stroke: FAINT, opacity: 0.6 });
}
levelLine(1, { stroke: BLUE, "stroke-width": 2.5, opacity: 0.6 });
function levelLine(product, style) {
  for (const sign of [1, -1]) {
    const places = Array.from({ length: 160 }, (_, i) => sign * 0.02 * 1.032 ** i);
    line({ d: "M" + places.map((x) => `${across(x).toFixed(1)} ${up(product / x).toFixed(1)}`).join("L"), ...style });
  }
}
draw("rect", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: FLOOR - TOP, fill: "none", stroke: FAINT });
text("loss 0", across(1.02), up(0.62), { fill: BLUE }, plane);
text("backbone θ", RIGHT, HEIGHT - 6, { "text-anchor": "end" });
text("gate φ", 8, 24, {}, plane);
for (const tick of [0, 1, 2]) {
  text(tick, LEFT + across(tick), FLOOR + 21, { "text-anchor": "middle" });
  if (tick) text(tick, LEFT - 8, TOP + up(tick) + 6, { "text-anchor": "end" });
}
const path = (stroke) => line({ stroke, "stroke-width": 4, "stroke-linejoin": "round" });
const first = path("currentColor"), right = path(BLUE), wrong = path(ORANGE);
const marks = { right: text("two stages", 0, 0, { fill: BLUE }, plane), wrong: text("the trap", 0, 0, { fill: ORANGE }, plane) };
const handle = draw("circle", { r: 12, fill: "currentColor", tabindex: 0, role: "slider", "aria-label": "start", style: "cursor: grab; touch-action: none" });
const arrow = ([x, y], [u, v]) => {
  const length = Math.hypot(u - x, v - y), head = Math.min(12, length);
  if (length < 1) return "M0 0";
  const [dx, dy] = [(head * (u - x)) / length, (head * (v - y)) / length];
  return `M${x} ${y}L${u} ${v}M${u - dx - dy / 2} ${v - dy + dx / 2}L${u} ${v}L${u - dx + dy / 2} ${v - dy - dx / 2}`;
};

function redraw() {
  const [theta, phi] = state.start, found = stages(), shown = state.trap ? found.wrong : found.right;
  const corner = [across(found.moved), up(phi)];
  first.setAttribute("d", arrow([across(theta), up(phi)], corner));
  right.setAttribute("d", arrow(corner, [corner[0], up(found.right)]));
  right.setAttribute("opacity", state.trap ? 0.7 : 1);
  wrong.setAttribute("d", state.trap ? arrow(corner, [corner[0], up(found.wrong)]) : "M0 0");
  for (const [name, mark] of Object.entries(marks)) {
    const end = Math.max(20, Math.min(FLOOR - TOP - 8, up(found[name]) + 6)), left = corner[0] > 100;
    for (const [key, value] of Object.entries({ x: corner[0] + (left ? -12 : 12), y: end, "text-anchor": left ? "end" : "start" })) mark.setAttribute(key, value);
  }
  marks.wrong.setAttribute("opacity", +state.trap);
  marks.right.setAttribute("opacity", state.trap && Math.abs(up(found.right) - up(found.wrong)) < 24 ? 0 : 1);
  handle.setAttribute("cx", LEFT + across(theta));
  handle.setAttribute("cy", TOP + up(phi));
  handle.setAttribute("aria-valuemin", (LOW[0] + 0.1).toFixed(2));
  handle.setAttribute("aria-valuemax", (HIGH[0] - 0.1).toFixed(2));
  handle.setAttribute("aria-valuenow", theta.toFixed(2));
  handle.setAttribute("aria-valuetext", `θ ${theta.toFixed(2)}, φ ${phi.toFixed(2)}`);
  const way = found.own * found.total < 0 ? ", and points the wrong way" : "";
  readout.textContent =
    `θ = ${theta.toFixed(2)}, φ = ${phi.toFixed(2)}, α = ${state.alpha.toFixed(3)}, β = ${state.beta.toFixed(2)}. Loss before ` +
    `${loss(theta, phi).toFixed(3)}, after stage one ${loss(found.moved, phi).toFixed(3)}, after stage two ` +
    `${loss(found.moved, shown).toFixed(3)}${state.trap ? " (the trap)" : ""}. The gates’ own slope is ${found.own.toFixed(3)}; the total ` +
    `derivative is ${found.total.toFixed(3)}${way}: with it φ′ ends ${Math.abs(found.wrong - found.right).toFixed(3)} away.`;
}

// --- the reader's hand ---------------------------------------------------------------------------------------------
const limit = (x, low, high) => Math.max(low, Math.min(high, Math.round(20 * x) / 20));
const moveTo = (point) => {
  state.start = point.map((x, k) => limit(x, LOW[k] + 0.1, HIGH[k] - 0.1));
  redraw();
};
const slider = (name, max, step, value, act) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max, step, value });
  input.addEventListener("input", () => { act(+input.value); redraw(); });
  label.append(name, input);
  controls.append(label);
};
slider("rate of stage one, α", data.highest[0], 0.005, state.alpha, (value) => (state.alpha = value));
slider("rate of stage two, β", data.highest[1], 0.01, state.beta, (value) => (state.beta = value));
const label = document.createElement("label"), box = document.createElement("input");
Object.assign(box, { type: "checkbox", checked: state.trap, style: "width: auto" });
label.style = "flex-direction: row; gap: 0.5em; grid-column: 1 / -1";
box.addEventListener("change", () => { state.trap = box.checked; redraw(); });
label.append(box, "the trap: stage two takes the total derivative");
controls.append(label);
const KEYS = { ArrowRight: [0.05, 0], ArrowLeft: [-0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };
handle.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS)) return;
  event.preventDefault();
  moveTo(state.start.map((x, k) => x + KEYS[event.key][k]));
});
let held = false;
handle.addEventListener("pointerdown", (event) => { held = true; handle.setPointerCapture(event.pointerId); });
handle.addEventListener("pointermove", (event) => {
  if (!held) return;
  const box = svg.getBoundingClientRect(), scale = WIDTH / box.width;
  const [x, y] = [(event.clientX - box.left) * scale - LEFT, (event.clientY - box.top) * scale - TOP];
  moveTo([LOW[0] + x / SCALE, LOW[1] + (FLOOR - TOP - y) / SCALE]);
});
for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => (held = false));
redraw();
