// A drawing, the filters that it opens, and the answer while they close. `root` and `data` come from the page, the rest from live.js.
const WIDTH = 540, HEIGHT = 250, CELL = 11, COLUMNS = 4;
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
const orders = Object.keys(data.orders), state = { image: 0, order: orders[0], step: data.opens_at };

const text = (words, x, y, style) => draw("text", { x, y, "font-size": 18, fill: "currentColor", ...style }, words);
const picture = (pixels, x, y, size) => {
  const each = size / data.side;
  pixels.forEach((ink, i) => {
    if (ink < 25) return;
    const [column, row] = [i % data.side, Math.floor(i / data.side)];
    const box = { x: x + column * each, y: y + row * each, width: each * 1.04, height: each * 1.04 };
    draw("rect", { ...box, fill: "currentColor", opacity: (ink / 255).toFixed(2) });
  });
};

function redraw() {
  svg.replaceChildren();
  const { image, order, step } = state, { closes, answers } = data.orders[order];
  const probabilities = answers[step][image], answer = probabilities.indexOf(Math.max(...probabilities));
  const right = answer === data.labels[image];
  picture(data.images[image], 0, 60, 120);
  text("the drawing", 60, 20, { "text-anchor": "middle" });
  text("its filters, by layer", 260, 20, { "text-anchor": "middle" });
  let open = 0, closed = 0;
  data.gates[image].forEach((gate, layer) => {
    const left = 142 + layer * 62;
    text(layer + 1, left + (COLUMNS * (CELL + 1)) / 2, 46, { "text-anchor": "middle" });
    gate.forEach((isOpen, i) => {
      const when = closes[image][layer][i], gone = isOpen && when > 0 && when <= step;
      const x = left + (i % COLUMNS) * (CELL + 1), y = 60 + Math.floor(i / COLUMNS) * (CELL + 4);
      const box = { x, y, width: CELL, height: CELL };
      if (!isOpen) draw("rect", { ...box, fill: FAINT, opacity: 0.25 });
      else if (!gone) draw("rect", { ...box, fill: BLUE });
      else draw("path", { d: `M${x + 2} ${y + 2}l7 7m0 -7l-7 7`, stroke: ORANGE, "stroke-width": 2.5, fill: "none" });
      open += isOpen && !gone ? 1 : 0;
      closed += gone ? 1 : 0;
    });
  });
  text("the answer", 470, 20, { "text-anchor": "middle" });
  probabilities.forEach((probability, label) => {
    const y = 40 + label * 40, best = label === answer;
    picture(data.support[label], 412, y, 32);
    draw("rect", { x: 450, y: y + 6, width: 88, height: 20, fill: FAINT, opacity: 0.2 });
    draw("rect", { x: 450, y: y + 6, width: 88 * probability, height: 20, fill: best ? (right ? BLUE : ORANGE) : FAINT });
    if (label === data.labels[image]) text("▸", 396, y + 22);
  });
  readout.textContent =
    `${closed} filters closed, ${open} still open; the answer is ${right ? "right" : "wrong"}, with ` +
    `${Math.round(100 * probabilities[answer])} % (the true class, marked ▸, has ${Math.round(100 * probabilities[data.labels[image]])} %).`;
}

// --- the reader's hand ---------------------------------------------------------------------------------------------
const slider = (name, max, value, act) => {
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max, step: 1, value });
  input.addEventListener("input", () => { act(+input.value); redraw(); });
  label.append(name, input);
  controls.append(label);
  return input;
};
slider("drawing", data.images.length - 1, state.image, (value) => (state.image = value));
slider("filters closed", data.steps, state.step, (value) => (state.step = value));
const label = document.createElement("label"), select = document.createElement("select");
for (const name of orders) select.append(new Option(name, name));
select.addEventListener("change", () => { state.order = select.value; redraw(); });
label.append("which first ", select);
controls.append(label);
redraw();
