// Layers as rows of filters that a click closes, and what is left of their MACs, as areas. `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, BESIDE = 16, CELL = WIDTH / BESIDE, LINES = Math.ceil(data.width / BESIDE), BLOCK = 28 + LINES * CELL + 10;
const gates = data.costs.flatMap((cost, i) => (cost.writes === null ? [] : [i])); // the layers whose filters close
const UNIT = 0.3, AREAS = gates.length * BLOCK + 34; // pixels to the root of a tap; where the areas begin
const side = (cost) => UNIT * Math.sqrt(cost.taps), first = data.costs[0], second = data.costs[1];
const SECOND_TOP = AREAS + side(first) * first.in_channels + 40;
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${Math.ceil(SECOND_TOP + side(second) * second.in_channels + 4)}`);
svg.setAttribute("role", "group"); // of switches; a picture holds none
svg.style.maxWidth = "34rem";
const open = gates.map(() => Array(data.width).fill(true));
for (const [gate, i] of data.closed) open[gate][i] = false;

// --- the sum, as the library does it -------------------------------------------------------------------------------
const channels = (gate, otherwise) => (gate === null ? Array(otherwise).fill(true) : open[gate]);
const rows = (cost) => channels(cost.reads, cost.in_channels), columns = (cost) => channels(cost.writes, cost.out_channels);
const count = (those) => those.filter(Boolean).length;
const macs = (cost) => cost.taps * count(rows(cost)) * count(columns(cost)) + cost.gate_macs;
const dense = data.costs.reduce((sum, cost) => sum + cost.taps * cost.in_channels * cost.out_channels, 0);
const told = (n) => n.toLocaleString("en-US");

// --- drawing -------------------------------------------------------------------------------------------------------
const text = (words, x, y, style = {}) => draw("text", { x, y, "font-size": 19, fill: "currentColor", ...style }, words);
const tops = gates.map((_, i) => i * BLOCK);
const lines = tops.map((top) => text("", 0, top + 19));
const cells = gates.map((layer, gate) => open[gate].map((_, i) => {
  const x = (i % BESIDE) * CELL + 1.5, y = tops[gate] + 28 + Math.floor(i / BESIDE) * CELL + 1.5, name = data.costs[layer].name;
  const cell = draw("rect", { x, y, width: CELL - 3, height: CELL - 3, rx: 4, tabindex: -1, role: "switch", style: "cursor: pointer" });
  cell.setAttribute("aria-label", `${name}, filter ${i + 1}`);
  cell.addEventListener("click", () => { focusOn(gate, i); turn(gate, i); });
  cell.addEventListener("keydown", (event) => press(event, gate, i));
  return cell;
}));
cells[0][0].setAttribute("tabindex", 0);
// The areas: one rectangle a layer, its columns the filters and its rows the channels that they read.
const GAP = 38;
let across = 0;
const areas = data.costs.map((cost, i) => {
  const wide = side(cost) * cost.out_channels, spot = i === 0 ? [0, AREAS] : [across, SECOND_TOP];
  if (i > 0) across += Math.max(wide, 54) + GAP;
  const high = side(cost) * cost.in_channels;
  draw("rect", { x: spot[0], y: spot[1], width: wide, height: high, fill: FAINT, opacity: 0.25 });
  const left = draw("path", { fill: BLUE });
  text(cost.name, spot[0], spot[1] - 7);
  return { left, spot };
});
// Neighbours that are open together are drawn as one.
const runs = (those) => those.flatMap((yes, i) => (yes && !those[i - 1] ? [[i, those.indexOf(false, i) < 0 ? those.length : those.indexOf(false, i)]] : []));
const total = text("", WIDTH, SECOND_TOP + 198, { "text-anchor": "end", "font-size": 34, fill: BLUE });

function redraw() {
  gates.forEach((layer, gate) => {
    lines[gate].textContent = `${data.costs[layer].name}: ${count(open[gate])} of ${data.width} filters open`;
    open[gate].forEach((yes, i) => {
      const style = { fill: yes ? BLUE : "transparent", stroke: yes ? "none" : ORANGE, "stroke-width": 2, "aria-checked": yes };
      for (const [name, value] of Object.entries(style)) cells[gate][i].setAttribute(name, value);
    });
  });
  data.costs.forEach((cost, i) => {
    const { left, spot: [x, y] } = areas[i], unit = side(cost), wide = runs(columns(cost));
    const parts = runs(rows(cost)).flatMap(([a, b]) => wide.map(([c, d]) => `M${x + c * unit} ${y + a * unit}h${(d - c) * unit}v${(b - a) * unit}h${(c - d) * unit}Z`));
    left.setAttribute("d", parts.join("") || "M0 0");
  });
  const costs = data.costs.map(macs), sum = costs.reduce((a, b) => a + b);
  total.textContent = `${((100 * sum) / dense).toFixed(1)} %`;
  const layers = data.costs.map((cost, i) => `${cost.name} ${told(costs[i])}`).join(", ");
  readout.textContent = `MACs, gate heads included: ${layers}. In all ${told(sum)}, ${((100 * sum) / dense).toFixed(1)} % of the dense network’s ${told(dense)}.`;
  inputs.forEach((input, gate) => (input.value = count(open[gate])));
}

// --- the reader's hand ---------------------------------------------------------------------------------------------
const turn = (gate, i) => { open[gate][i] = !open[gate][i]; redraw(); };
// One cell at a time can be reached by the tabulator; the arrow keys go from there to the others.
function focusOn(gate, i) {
  for (const row of cells) for (const cell of row) cell.setAttribute("tabindex", -1);
  cells[gate][i].setAttribute("tabindex", 0);
  cells[gate][i].focus();
}
function press(event, gate, i) {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -BESIDE, ArrowDown: BESIDE }[event.key];
  if (step) {
    const place = Math.max(0, Math.min(gates.length * data.width - 1, gate * data.width + i + step));
    focusOn(Math.floor(place / data.width), place % data.width);
  } else if (event.key === "Enter" || event.key === " ") turn(gate, i);
  else return;
  event.preventDefault();
}
const keep = (gate, wanted) => open[gate].fill(true, 0, wanted).fill(false, wanted);
const inputs = gates.map((layer, gate) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: data.width, step: 1, value: data.width });
  input.addEventListener("input", () => { keep(gate, +input.value); redraw(); });
  label.append(`open in ${data.costs[layer].name}`, input);
  controls.append(label);
  return input;
});
for (const [words, wanted] of [["Half of each", data.width / 2], ["Open all", data.width]]) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: words, style: "grid-column: auto" });
  button.addEventListener("click", () => { gates.forEach((_, gate) => keep(gate, wanted)); redraw(); });
  controls.append(button);
}
redraw();
