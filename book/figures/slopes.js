// One gate that should say t: its hard loss, the loss on average, and two slopes. `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, HEIGHT = 300, LEFT = 30, TOP = 20, [LOW, HIGH] = data.logits, LOSS = [0.4, 1.6];
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
svg.setAttribute("role", "group");
const state = { z: data.z, t: data.t };

// --- the maths -----------------------------------------------------------------------------------------------------
const sigmoid = (z) => 1 / (1 + Math.exp(-z)), gate = (z) => (z > 0 ? 1 : 0);
const loss = (g) => data.floor + (g - state.t) ** 2;
const average = (z) => sigmoid(z) * loss(1) + (1 - sigmoid(z)) * loss(0);
const bend = (z) => sigmoid(z) * (1 - sigmoid(z));
const exact = (z) => bend(z) * (loss(1) - loss(0));
const straight = (z) => bend(z) * 2 * (gate(z) - state.t);

// --- drawing -------------------------------------------------------------------------------------------------------
const across = (z) => LEFT + ((z - LOW) / (HIGH - LOW)) * (WIDTH - LEFT - 10);
const up = (y) => TOP + ((LOSS[1] - y) / (LOSS[1] - LOSS[0])) * (HEIGHT - TOP - 40);
const line = (stroke, width, dashes = "none") => draw("path", { stroke, "stroke-width": width, "stroke-dasharray": dashes, fill: "none" });
const text = (words, x, y, style) => draw("text", { x, y, "font-size": 18, fill: "currentColor", ...style }, words);
draw("path", { d: `M${LEFT} ${up(LOSS[0])}H${WIDTH - 10}M${LEFT} ${up(LOSS[0])}V${TOP}`, stroke: FAINT, fill: "none" });
text("loss", LEFT + 6, TOP + 12);
text("logit z", WIDTH - 10, HEIGHT - 8, { "text-anchor": "end" });
for (const z of [LOW, 0, HIGH]) text(z, across(z), HEIGHT - 8, { "text-anchor": z === LOW ? "start" : "middle", opacity: z === HIGH ? 0 : 1 });
const hard = line("currentColor", 2), smooth = line(BLUE, 2.5), rise = line(BLUE, 4), guess = line(ORANGE, 4, "7 4");
const handle = draw("circle", { r: 11, fill: ORANGE, tabindex: 0, role: "slider", "aria-label": "logit z", "aria-valuemin": LOW, "aria-valuemax": HIGH, style: "cursor: grab" });

// A piece of a straight line through the loss on average at z.
const through = (slope) => {
  const reach = 1.5 / Math.hypot(1, 2 * slope), y = average(state.z);
  return `M${across(state.z - reach)} ${up(y - slope * reach)}L${across(state.z + reach)} ${up(y + slope * reach)}`;
};

function redraw() {
  const { z, t } = state, places = Array.from({ length: 121 }, (_, i) => LOW + ((HIGH - LOW) * i) / 120);
  hard.setAttribute("d", `M${across(LOW)} ${up(loss(0))}H${across(0)}V${up(loss(1))}H${across(HIGH)}`);
  smooth.setAttribute("d", "M" + places.map((x) => `${across(x).toFixed(1)} ${up(average(x)).toFixed(1)}`).join("L"));
  rise.setAttribute("d", through(exact(z)));
  guess.setAttribute("d", through(straight(z)));
  handle.setAttribute("cx", across(z));
  handle.setAttribute("cy", up(loss(gate(z))));
  handle.setAttribute("aria-valuenow", z.toFixed(2));
  const [wanted, said] = [exact(z), straight(z)], same = wanted * said > 0;
  const apart = wanted === 0 ? "" : said === 0 ? ", no slope at all"
    : same ? `, ${(said / wanted).toFixed(2)} times the exact one` : ", the wrong way";
  readout.textContent =
    `z = ${z.toFixed(2)}, t = ${t.toFixed(2)}, the gate is ${gate(z) ? "open" : "closed"}. Exact slope (blue) ` +
    `${wanted.toFixed(3)}; straight-through (orange, dashed) ${said.toFixed(3)}${apart}.`;
}

// --- the reader's hand ---------------------------------------------------------------------------------------------
const limit = (x, low, high) => Math.max(low, Math.min(high, x));
const set = (change) => {
  if ("z" in change) state.z = limit(Math.round(change.z * 20) / 20, LOW, HIGH);
  if ("t" in change) state.t = change.t;
  redraw();
};
const label = document.createElement("label"), input = document.createElement("input");
Object.assign(input, { type: "range", min: 0, max: 1, step: 0.05, value: state.t });
input.addEventListener("input", () => set({ t: +input.value }));
label.append("what the gate should say, t", input);
controls.append(label);
const KEYS = { ArrowRight: 0.1, ArrowUp: 0.1, ArrowLeft: -0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1, Home: -Infinity, End: Infinity };
handle.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS)) return;
  event.preventDefault();
  set({ z: state.z + KEYS[event.key] });
});
svg.style.touchAction = "pan-y";
let dragging = false;
const pointed = (event) => {
  const box = svg.getBoundingClientRect();
  return LOW + ((((event.clientX - box.left) * WIDTH) / box.width - LEFT) / (WIDTH - LEFT - 10)) * (HIGH - LOW);
};
svg.addEventListener("pointerdown", (event) => {
  dragging = true;
  svg.setPointerCapture(event.pointerId);
  set({ z: pointed(event) });
});
svg.addEventListener("pointermove", (event) => dragging && set({ z: pointed(event) }));
for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (dragging = false));
redraw();
