// The theorem's bound on the mean squared gradient, term by term, over the rate of the steps. `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, HEIGHT = 400, LEFT = 56, TOP = 34, RIGHT = 530, FLOOR = 350, RATES = [-5, -1], SIZES = [-3, 3]; // powers of ten
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
svg.setAttribute("role", "group"); // of a handle; a picture holds none
const state = { steps: data.steps, sampled: data.sampled, rounds: data.rounds, rate: data.rate };

// --- the maths, as the chapter writes it ---------------------------------------------------------------------------
const largest = () => data.u / (state.steps * data.smoothness);
function bound(rate) {
  const { steps, sampled, rounds } = state, u = rate * steps * data.smoothness, x = u / steps;
  const delta = steps === 1 ? 0 : Math.expm1(steps * Math.log1p(x)) / u - 1, kappa = (data.count - sampled) / (sampled * (data.count - 1));
  const a = delta ** 2 + u * kappa * delta * (1 + delta), b = delta ** 2 + u * kappa * (1 + delta) ** 2;
  const fall = (2 * data.fall) / ((1 - a) * rate * steps * rounds), floor = (b / (1 - a)) * data.dissimilarity;
  return { fall, floor, sum: fall + floor };
}
// The bound falls and then rises in the rate, so a third of the range can be dropped again and again.
function bestRate() {
  let [low, high] = [Math.log(1e-7), Math.log(largest())];
  for (let i = 0; i < 100; i++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if (bound(Math.exp(a)).sum > bound(Math.exp(b)).sum) low = a;
    else high = b;
  }
  return Math.exp(high);
}

// --- drawing -------------------------------------------------------------------------------------------------------
const text = (words, x, y, style = {}) => draw("text", { x, y, "font-size": 19, fill: "currentColor", ...style }, words);
const across = (rate) => ((Math.log10(rate) - RATES[0]) / (RATES[1] - RATES[0])) * (RIGHT - LEFT);
const up = (size) => ((SIZES[1] - Math.log10(size)) / (SIZES[1] - SIZES[0])) * (FLOOR - TOP);
const power = (n) => "10" + String(n).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶"[digit]);
draw("rect", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: FLOOR - TOP, fill: "none", stroke: FAINT });
for (let n = RATES[0]; n <= RATES[1]; n++) text(power(n), LEFT + across(10 ** n), FLOOR + 22, { "text-anchor": n === RATES[1] ? "end" : "middle" });
for (let n = SIZES[0]; n <= SIZES[1]; n += 1) text(power(n), LEFT - 6, TOP + up(10 ** n) + 6, { "text-anchor": "end" });
text("rate η", RIGHT, HEIGHT - 4, { "text-anchor": "end" });
text("goes to zero", LEFT + 88, 22, { fill: BLUE });
text("floor", LEFT + 232, 22, { fill: ORANGE });
text("bound", LEFT, 22, { "font-weight": "bold" });
text("◇ best", LEFT + 306, 22);
// A plane of its own: what leaves it is cut off at its edge.
const plane = draw("svg", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: FLOOR - TOP, "aria-hidden": "true" });
const line = (style) => draw("path", { fill: "none", "stroke-width": 3, ...style }, undefined, plane);
for (let n = SIZES[0] + 1; n < SIZES[1]; n++) line({ d: `M0 ${up(10 ** n)}h${RIGHT - LEFT}`, stroke: FAINT, "stroke-width": 1, opacity: 0.3 });
const beyond = draw("rect", { y: 0, height: FLOOR - TOP, fill: FAINT, opacity: 0.2 }, undefined, plane);
const curves = { fall: line({ stroke: BLUE }), floor: line({ stroke: ORANGE, "stroke-dasharray": "7 4" }), sum: line({ stroke: "currentColor" }) };
const upright = line({ stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": "2 4" });
const mark = line({ stroke: "currentColor", "stroke-width": 2.5 });
const handle = draw("circle", { r: 11, fill: "currentColor", tabindex: 0, role: "slider", "aria-label": "rate η", "aria-valuemin": 1e-5, style: "cursor: grab" });

const short = (x) => (x === 0 ? "0" : x.toPrecision(3).includes("e") ? x.toPrecision(3) : String(+x.toPrecision(3)));
function redraw() {
  const most = largest(), best = bestRate(), { fall, floor, sum } = bound(state.rate);
  const rates = Array.from({ length: 121 }, (_, i) => 10 ** (RATES[0] + (i / 120) * (Math.log10(most) - RATES[0])));
  for (const [name, curve] of Object.entries(curves)) {
    const seen = rates.map((rate) => [across(rate), bound(rate)[name]]).filter(([, size]) => size > 1e-6);
    curve.setAttribute("d", "M" + (seen.length ? seen : [[0, 1e-6]]).map(([x, size]) => `${x.toFixed(1)} ${up(size).toFixed(1)}`).join("L"));
  }
  beyond.setAttribute("x", across(most));
  beyond.setAttribute("width", RIGHT - LEFT - across(most));
  upright.setAttribute("d", `M${across(state.rate)} 0V${FLOOR - TOP}`);
  mark.setAttribute("d", `M${across(best)} ${up(bound(best).sum)}m-12 0l12 -12l12 12l-12 12Z`);
  handle.setAttribute("cx", LEFT + across(state.rate));
  handle.setAttribute("cy", TOP + Math.max(0, Math.min(FLOOR - TOP, up(sum))));
  handle.setAttribute("aria-valuemax", short(most));
  handle.setAttribute("aria-valuenow", short(state.rate));
  readout.textContent =
    `K = ${state.steps}, S = ${state.sampled} of ${data.count}, T = ${state.rounds}, η = ${short(state.rate)} of at most ${short(most)}. The bound is ` +
    `${short(sum)}: ${short(fall)} goes to zero, ${short(floor)} is the floor. The best rate, ${short(best)}, brings it to ${short(bound(best).sum)}.`;
}

// --- the reader's hand ---------------------------------------------------------------------------------------------
const set = (change) => {
  Object.assign(state, change);
  state.rate = Math.max(10 ** RATES[0], Math.min(largest(), state.rate));
  redraw();
};
const slider = (name, key, values) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: values.length - 1, step: 1, value: values.indexOf(state[key]) });
  const say = () => input.setAttribute("aria-valuetext", values[input.value]);
  input.addEventListener("input", () => { say(); set({ [key]: values[input.value] }); });
  say();
  label.append(name, input);
  controls.append(label);
};
slider("local steps K", "steps", data.choices.steps);
slider("nodes a round, S", "sampled", data.choices.sampled);
slider("rounds T", "rounds", data.choices.rounds);
const button = document.createElement("button");
button.type = "button";
button.textContent = "Take the best rate";
button.addEventListener("click", () => set({ rate: bestRate() }));
controls.append(button);
const KEYS = { ArrowRight: 0.05, ArrowUp: 0.05, ArrowLeft: -0.05, ArrowDown: -0.05, PageUp: 0.5, PageDown: -0.5 };
handle.addEventListener("keydown", (event) => {
  const ends = { Home: RATES[0], End: RATES[1] };
  if (!(event.key in KEYS) && !(event.key in ends)) return;
  event.preventDefault();
  set({ rate: event.key in ends ? 10 ** ends[event.key] : state.rate * 10 ** KEYS[event.key] });
});
svg.style.touchAction = "pan-y";
let dragging = false;
const pointed = (event) => {
  const box = svg.getBoundingClientRect(), share = (((event.clientX - box.left) * WIDTH) / box.width - LEFT) / (RIGHT - LEFT);
  return 10 ** (RATES[0] + share * (RATES[1] - RATES[0]));
};
svg.addEventListener("pointerdown", (event) => {
  dragging = true;
  svg.setPointerCapture(event.pointerId);
  set({ rate: pointed(event) });
});
svg.addEventListener("pointermove", (event) => dragging && set({ rate: pointed(event) }));
for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (dragging = false));
set({});
