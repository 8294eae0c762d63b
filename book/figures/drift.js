// Nodes with bowls of their own take local steps, and a server averages. `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, HEIGHT = 450, SCALE = 70, MIDDLE = [0, -0.45], EDGE = 14;
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
svg.setAttribute("role", "group"); // of a handle for each node and one for the start
const AXES = [0, 1], level = AXES.map((k) => data.curvatures.reduce((sum, c) => sum + c[k], 0) / data.curvatures.length);
const state = { steps: data.steps, rounds: data.rounds, rate: data.rate, differ: 1, points: {} };
const begin = () => (state.points = Object.fromEntries([["start", data.start], ...data.names.map((name, i) => [name, data.minima[i]])]));
begin();

// --- the maths, as the chapter writes it ---------------------------------------------------------------------------
const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const minima = () => data.names.map((name) => state.points[name]);
// How much the steepness of the bowls differs: 0, all have the mean; 1, each has its own.
const curvatures = () => data.curvatures.map((c) => c.map((x, k) => level[k] + state.differ * (x - level[k])));
const pulled = (weights) => AXES.map((k) => {
  const total = weights.reduce((sum, w) => sum + w[k], 0);
  return minima().reduce((sum, m, i) => sum + weights[i][k] * m[k], 0) / total;
});
const best = () => pulled(curvatures());
const rest = () => pulled(curvatures().map((c) => c.map((x) => 1 - (1 - state.rate * x) ** state.steps)));
function walk(p, i) {
  const [m, c] = [minima()[i], curvatures()[i]], points = [p];
  for (let step = 0; step < state.steps; step++) points.push(points.at(-1).map((x, k) => x - state.rate * c[k] * (x - m[k])));
  return points;
}
function train() {
  const server = [state.points.start], walks = [];
  for (let round = 0; round < state.rounds; round++) {
    const those = data.names.map((_, i) => walk(server.at(-1), i));
    server.push(AXES.map((k) => those.reduce((sum, w) => sum + w.at(-1)[k], 0) / those.length));
    walks.push(...those);
  }
  return { server, walks };
}

// --- drawing -------------------------------------------------------------------------------------------------------
const place = (p) => [WIDTH / 2 + SCALE * (p[0] - MIDDLE[0]), HEIGHT / 2 - SCALE * (p[1] - MIDDLE[1])];
const trail = (points) => "M" + points.map((p) => place(p).map((x) => x.toFixed(1)).join(" ")).join("L");
const ring = (centre, curvature, height, style, parent) => {
  const [cx, cy] = place(centre), [rx, ry] = curvature.map((c) => SCALE * Math.sqrt((2 * height) / c));
  draw("ellipse", { cx, cy, rx, ry, fill: "none", ...style }, undefined, parent);
};
const under = draw("g", {}), handles = {};
for (const name of Object.keys(state.points)) {
  const handle = draw("g", { tabindex: 0, role: "slider", style: "cursor: grab; touch-action: none" });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!step) return;
    event.preventDefault();
    moveTo(name, state.points[name].map((x, k) => x + step[k]));
  });
  handle.addEventListener("pointerdown", (event) => { event.preventDefault(); handle.setPointerCapture(event.pointerId); handle.held = true; });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.held) return;
    const box = svg.getBoundingClientRect(), scale = WIDTH / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    moveTo(name, [MIDDLE[0] + (x - WIDTH / 2) / SCALE, MIDDLE[1] + (HEIGHT / 2 - y) / SCALE]);
  });
  for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => (handle.held = false));
  handles[name] = handle;
}
const over = draw("g", { "pointer-events": "none" });

function redraw() {
  under.replaceChildren();
  over.replaceChildren();
  const bowls = curvatures(), goal = best(), { server, walks } = train();
  const mean = AXES.map((k) => bowls.reduce((sum, c) => sum + c[k], 0) / bowls.length);
  for (const height of [0.1, 0.4, 0.9, 1.6, 2.5, 3.6]) ring(goal, mean, height, { stroke: FAINT, opacity: 0.5 }, under);
  for (const points of walks) draw("path", { d: trail(points), stroke: ORANGE, opacity: 0.45, fill: "none" }, undefined, under);
  for (const [name, handle] of Object.entries(handles)) {
    const p = state.points[name], [x, y] = place(p), node = data.names.indexOf(name), colour = node < 0 ? BLUE : ORANGE;
    if (node >= 0) for (const height of [0.03, 0.15]) ring(p, bowls[node], height, { stroke: ORANGE, opacity: 0.6 }, under);
    handle.replaceChildren();
    draw("circle", { cx: x, cy: y, r: 18, fill: "transparent" }, undefined, handle);
    if (node < 0) draw("circle", { cx: x, cy: y, r: 9, fill: colour }, undefined, handle);
    else draw("rect", { x: x - 8, y: y - 8, width: 16, height: 16, fill: colour }, undefined, handle);
    const style = { y: y < HEIGHT - 50 ? y + 30 : y - 18, "text-anchor": "middle", "font-size": 19, fill: colour };
    draw("text", { x: Math.max(30, Math.min(WIDTH - 30, x)), ...style }, name, over);
    handle.setAttribute("aria-label", node < 0 ? "start of the server" : `minimum of ${name}`);
    handle.setAttribute("aria-valuemin", (MIDDLE[0] - WIDTH / 2 / SCALE).toFixed(1));
    handle.setAttribute("aria-valuemax", (MIDDLE[0] + WIDTH / 2 / SCALE).toFixed(1));
    handle.setAttribute("aria-valuenow", p[0].toFixed(1));
    handle.setAttribute("aria-valuetext", `${p[0].toFixed(2)} across, ${p[1].toFixed(2)} up`);
  }
  draw("path", { d: trail(server), stroke: BLUE, "stroke-width": 3, fill: "none" }, undefined, over);
  for (const [cx, cy] of server.slice(1).map(place)) draw("circle", { cx, cy, r: 4.5, fill: BLUE }, undefined, over);
  const [x, y] = place(goal);
  draw("path", { d: `M${x - 11} ${y}h22M${x} ${y - 11}v22`, stroke: "currentColor", "stroke-width": 3 }, undefined, over);
  const where = x > WIDTH / 2 ? { x: x - 14, "text-anchor": "end" } : { x: x + 14, "text-anchor": "start" };
  draw("text", { ...where, y: y - 8, "font-size": 19, fill: "currentColor" }, "best", over);
  readout.textContent =
    `${state.steps} local step${state.steps > 1 ? "s" : ""} at η = ${state.rate.toFixed(2)}: after ${state.rounds} round${state.rounds > 1 ? "s" : ""} the server is ` +
    `${apart(server.at(-1), goal).toFixed(2)} from the minimum of the average. In the end it rests ${apart(rest(), goal).toFixed(2)} from it.`;
}
const moveTo = (name, p) => {
  const reach = [WIDTH, HEIGHT].map((size) => size / 2 / SCALE - EDGE / SCALE);
  state.points = { ...state.points, [name]: p.map((x, k) => Math.max(MIDDLE[k] - reach[k], Math.min(MIDDLE[k] + reach[k], Math.round(20 * x) / 20))) };
  redraw();
};

// --- the reader's hand ---------------------------------------------------------------------------------------------
const slider = (name, key, min, max, step) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min, max, step, value: state[key] });
  input.addEventListener("input", () => { state[key] = +input.value; redraw(); });
  label.append(name, input);
  controls.append(label);
};
slider("local steps", "steps", 1, data.most.steps, 1);
slider("learning rate η", "rate", 0.02, data.most.rate, 0.02);
slider("rounds", "rounds", 1, data.most.rounds, 1);
slider("how much the curvatures differ", "differ", 0, 1, 0.05);
const button = document.createElement("button");
button.type = "button";
button.textContent = "Put all points back";
button.addEventListener("click", () => { begin(); redraw(); });
controls.append(button);
redraw();
