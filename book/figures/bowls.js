// Tasks as bowls in the plane: L(p) = ½ (p − c)ᵀ H (p − c). `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, HEIGHT = 400, SCALE = 66, REACH = [4, 2.9];
const LETTERS = "ABCDEFGH";
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);

// --- the maths, all in closed form ---------------------------------------------------------------------------------
const add = (a, b) => a.map((row, i) => row.map((x, j) => x + b[i][j]));
const times = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
const apply = (m, [x, y]) => [m[0][0] * x + m[0][1] * y, m[1][0] * x + m[1][1] * y];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const solve = ([[a, b], [c, d]], [x, y]) => [(d * x - b * y) / (a * d - b * c), (a * y - c * x) / (a * d - b * c)];
const half = (m, away) => 0.5 * (away[0] * apply(m, away)[0] + away[1] * apply(m, away)[1]);
const shrink = (h, rate) => [[1 - rate * h[0][0], -rate * h[0][1]], [-rate * h[1][0], 1 - rate * h[1][1]]];
// After a step, p − c has become (I − αH)(p − c): the loss after it is a bowl again, with another curvature.
const after = (h, rate) => times(shrink(h, rate), times(h, shrink(h, rate)));
const mean = (weights) => {
  const total = weights.reduce(add), pull = [0, 0];
  weights.forEach((m, i) => apply(m, data.centres[i]).forEach((x, k) => (pull[k] += x)));
  return { total, best: solve(total, pull) };
};
const meanLoss = (weights, p) =>
  weights.reduce((sum, m, i) => sum + half(m, minus(p, data.centres[i])), 0) / weights.length;

// --- drawing -------------------------------------------------------------------------------------------------------
const place = ([x, y]) => [WIDTH / 2 + SCALE * x, HEIGHT / 2 - SCALE * y];

// The level set ½ pᵀHp = level is an ellipse along the eigenvectors of H.
const ellipse = (h, centre, level, style) => {
  const middle = (h[0][0] + h[1][1]) / 2, spread = Math.hypot((h[0][0] - h[1][1]) / 2, h[0][1]);
  const angle = 0.5 * Math.atan2(2 * h[0][1], h[0][0] - h[1][1]), [x, y] = place(centre);
  const radius = (curvature) => SCALE * Math.sqrt((2 * level) / Math.max(curvature, 1e-3));
  draw("ellipse", {
    cx: 0, cy: 0, rx: radius(middle + spread), ry: radius(middle - spread), fill: "none",
    transform: `translate(${x} ${y}) rotate(${(-angle * 180) / Math.PI})`, ...style,
  });
};
const text = (words, p, style, [dx, dy] = [0, 0]) => {
  const [x, y] = place(p);
  draw("text", { x: x + dx, y: y + dy, "font-size": 18, fill: "currentColor", ...style }).textContent = words;
};
const arrow = (from, to) => {
  const [x, y] = place(from), [u, v] = place(to), length = Math.hypot(u - x, v - y);
  if (length < 2) return;
  const [dx, dy] = [(u - x) / length, (v - y) / length], head = Math.min(9, length);
  draw("path", { d: `M${x} ${y}L${u} ${v}`, stroke: ORANGE, "stroke-width": 2.5, fill: "none" });
  const [bx, by] = [u - head * dx, v - head * dy];
  draw("path", { d: `M${u} ${v}L${bx - 4 * dy} ${by + 4 * dx}L${bx + 4 * dy} ${by - 4 * dx}Z`, fill: ORANGE });
};

const state = { p: [...data.start], rate: data.rate, trail: [] };
const limit = (x, reach) => Math.max(-reach, Math.min(reach, x));

function redraw() {
  svg.replaceChildren();
  const bowls = data.curvatures, later = bowls.map((h) => after(h, state.rate));
  const before = mean(bowls), then = mean(later);
  const faint = { stroke: FAINT, "stroke-width": 1 };
  bowls.forEach((h, i) => {
    for (const level of [0.12, 0.5]) ellipse(h, data.centres[i], level, faint);
    text(LETTERS[i], data.centres[i], { "text-anchor": "middle" }, [0, 5]);
  });
  for (const level of [0.1, 0.3, 0.7]) {
    ellipse(then.total, then.best, level, { stroke: BLUE, "stroke-width": 1.2, "stroke-dasharray": "5 4" });
  }
  const [rx, ry] = place(before.best), [cx, cy] = place(then.best);
  draw("circle", { cx: rx, cy: ry, r: 7, fill: "none", stroke: "currentColor", "stroke-width": 2 });
  text("lowest before the step", before.best, { "text-anchor": "end" }, [-12, 18]);
  text("lowest after it", then.best, { "text-anchor": "middle", fill: BLUE }, [0, -14]);
  draw("path", { d: `M${cx - 8} ${cy}h16M${cx} ${cy - 8}v16`, stroke: BLUE, "stroke-width": 3 });
  if (state.trail.length > 1) {
    draw("path", { d: "M" + state.trail.map((p) => place(p).join(" ")).join("L"), stroke: BLUE, "stroke-width": 2, fill: "none" });
  }
  bowls.forEach((h, i) => {
    const [gx, gy] = apply(h, minus(state.p, data.centres[i]));
    arrow(state.p, [state.p[0] - state.rate * gx, state.p[1] - state.rate * gy]);
  });
  const [x, y] = place(state.p);
  draw("circle", { cx: x, cy: y, r: 9, fill: BLUE, stroke: "var(--pst-color-background, #fff)", "stroke-width": 2, style: "cursor: grab" });
  readout.textContent =
    `Mean loss at the start ${meanLoss(bowls, state.p).toFixed(2)}, after one step ${meanLoss(later, state.p).toFixed(2)} ` +
    `(at ✚ ${meanLoss(later, then.best).toFixed(2)}, from ○ ${meanLoss(later, before.best).toFixed(2)}).`;
}

// --- the reader's hand ---------------------------------------------------------------------------------------------
const slider = (name, low, high, value, act) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: low, max: high, step: 0.02, value });
  input.addEventListener("input", () => { act(+input.value); redraw(); });
  label.append(name, input);
  controls.append(label);
  return input;
};
const across = slider("start, across", -REACH[0], REACH[0], state.p[0], (x) => { state.p[0] = x; state.trail = []; });
const up = slider("start, up", -REACH[1], REACH[1], state.p[1], (y) => { state.p[1] = y; state.trail = []; });
slider("step size α", 0, 0.6, state.rate, (rate) => { state.rate = rate; state.trail = []; });
const moveTo = (p) => {
  state.p = [limit(p[0], REACH[0]), limit(p[1], REACH[1])];
  [across.value, up.value] = state.p;
  redraw();
};

// Steps down the exact gradient of the mean loss after the step.
const button = document.createElement("button");
button.type = "button";
button.textContent = "Descend on the loss after the step";
button.addEventListener("click", () => {
  state.trail = [[...state.p]];
  const later = data.curvatures.map((h) => after(h, state.rate));
  let left = 60;
  const next = () => {
    const slope = [0, 0];
    later.forEach((m, i) => apply(m, minus(state.p, data.centres[i])).forEach((g, k) => (slope[k] += g)));
    moveTo([state.p[0] - 0.25 * slope[0], state.p[1] - 0.25 * slope[1]]);
    state.trail.push([...state.p]);
    if (--left && state.trail.length) requestAnimationFrame(next);
  };
  next();
});
controls.append(button);

svg.style.touchAction = "pan-y";
let dragging = false;
const pointed = (event) => {
  const box = svg.getBoundingClientRect(), unit = WIDTH / box.width;
  return [((event.clientX - box.left) * unit - WIDTH / 2) / SCALE, (HEIGHT / 2 - (event.clientY - box.top) * unit) / SCALE];
};
svg.addEventListener("pointerdown", (event) => {
  dragging = true;
  svg.setPointerCapture(event.pointerId);
  state.trail = [];
  moveTo(pointed(event));
});
svg.addEventListener("pointermove", (event) => dragging && moveTo(pointed(event)));
svg.addEventListener("pointerup", () => (dragging = false));
svg.addEventListener("pointercancel", () => (dragging = false));
redraw();
