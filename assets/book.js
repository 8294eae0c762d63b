// On every page, before the theme's own scripts run.

// The theme's Font Awesome replaces every icon element that appears later by an SVG. Jupyter's widgets write such elements
// themselves, and their Play button and sliders stop working when they vanish.
window.FontAwesomeConfig = { ...window.FontAwesomeConfig, observeMutations: false };

// The widget manager asks MathJax in the words of its version 2 to set formulas in a widget's text; answer with version 3.
if (window.MathJax) {
  const Hub = {
    Queue: ([, , element]) => window.MathJax.startup.promise?.then(() => window.MathJax.typesetPromise([element])),
  };
  window.MathJax.Hub = Hub; // until MathJax has loaded; it then makes a new object
  window.MathJax.startup = {
    ready() {
      window.MathJax.Hub = Hub;
      window.MathJax.startup.defaultReady();
    },
  };
}

// What the theme and the widgets leave without a name, or under a name that hides the text to be seen, for those who hear
// the page or speak to it.
const PLAYER = [
  ["fa-play", "Play"],
  ["fa-pause", "Pause"],
  ["fa-stop", "Back to the first"],
  ["fa-retweet", "Repeat"],
];

// What a slider stands at: the text beside it or, where it turns frames, the caption of the one in sight, with its place if
// no number tells it from the others. Left to itself it says the place alone, counted from 0.
function valueOf(slider, handle) {
  const readout = slider.querySelector(".widget-readout");
  if (readout && readout.style.display !== "none") return readout.textContent.trim();
  const caption = slider.closest(".mg-explorer")?.querySelector("figcaption")?.textContent.trim();
  const [now, last] = ["now", "max"].map((which) => Number(handle.getAttribute(`aria-value${which}`)));
  return caption && (/\d/.test(caption) ? caption : `${now + 1} of ${last + 1}: ${caption}`);
}

function nameWidgets() {
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent.trim();
    for (const handle of slider.querySelectorAll("[role=slider]")) {
      const value = valueOf(slider, handle);
      if (label && !handle.hasAttribute("aria-label")) handle.setAttribute("aria-label", label);
      if (value && handle.getAttribute("aria-valuetext") !== value) handle.setAttribute("aria-valuetext", value);
    }
  }
  for (const button of document.querySelectorAll(".widget-play button")) {
    const [, name] = PLAYER.find(([icon]) => button.querySelector(`.${icon}`)) ?? [];
    if (name && button.title !== name) {
      button.title = name;
      button.setAttribute("aria-label", name);
    }
  }
}

function nameControls() {
  for (const element of document.querySelectorAll("details > summary[aria-label], .search-button-field[aria-label]")) {
    element.removeAttribute("aria-label"); // the text inside says more
  }
  for (const summary of document.querySelectorAll(".has-children > details > summary")) {
    const section = summary.closest("li").querySelector(":scope > a")?.textContent.trim();
    summary.setAttribute("aria-label", `Pages under ${section}`); // it shows an arrow alone
  }
  for (const element of document.querySelectorAll("dt.sig > dl, dt.sig > dl > dd")) {
    element.setAttribute("role", "presentation"); // the lines of a long signature, no list of terms
  }
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    hideIcons(button);
    new MutationObserver(() => hideIcons(button)).observe(button, { childList: true }); // Font Awesome draws them later
  }
}

// The icons' titles count as text that the button's name lacks.
function hideIcons(button) {
  for (const icon of button.children) {
    icon.removeAttribute("title");
    icon.querySelector(":scope > title")?.remove();
    icon.removeAttribute("aria-labelledby");
    icon.setAttribute("aria-hidden", "true");
  }
}

// A box that scrolls by itself can be reached with the Tab key, and only while there is something to scroll.
const BOXES = "figure.mg-figure, .math, mjx-container[display], .output.text_html, .output pre, .highlight pre, .pst-scrollable-table-container";

function openBoxesToKeys() {
  for (const box of document.querySelectorAll(BOXES)) {
    const scrolls = box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX);
    if (scrolls && box.getAttribute("tabindex") !== "0") box.tabIndex = 0;
    else if (!scrolls && box.tabIndex === 0) box.removeAttribute("tabindex");
  }
}

// No label is smaller than this many pixels. Where a figure is drawn too small for that, its small labels grow, by so
// much at most, and the figure makes room for them at its sides. Where they would meet, the window shows a part of it,
// and the rest by a swipe.
const LEAST = 11, GROWTH = 1.5;

const DRAWING = "figure.mg-figure > svg[viewBox]";

function keepLabelsLegible(drawings = document.querySelectorAll(DRAWING)) {
  for (const svg of drawings) {
    const labels = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim());
    const { paddingLeft, paddingRight } = getComputedStyle(svg.parentElement);
    const room = Math.floor(svg.parentElement.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
    if (!labels.length || room <= 0 || (svg.dataset.room == room && labels.every((text) => text.dataset.size))) continue;
    svg.dataset.room = room;
    svg.dataset.drawn ??= svg.getAttribute("viewBox");
    for (const text of labels) text.dataset.size ??= parseFloat(getComputedStyle(text).fontSize);
    const smallest = Math.min(...labels.map((text) => text.dataset.size));
    const fit = (growth) => {
      const { width } = svg.viewBox.baseVal, shown = Math.max(room, (width * LEAST) / (smallest * growth));
      for (const text of labels) text.style.fontSize = `${Math.max(text.dataset.size, (width * LEAST) / shown)}px`;
      svg.style.minWidth = shown > room ? `${Math.ceil(shown)}px` : "";
    };
    svg.setAttribute("viewBox", svg.dataset.drawn);
    fit(1);
    if (!svg.style.minWidth) continue; // all of it is seen as it was drawn
    const before = meetings(labels);
    fit(GROWTH);
    const turns = svg.closest(".mg-live") ? 0 : 8; // one that computes finds the pointer by the box as drawn
    for (let turn = 0, sides; turn < turns && (sides = leaving(svg, labels)); turn++) {
      widen(svg, sides);
      fit(GROWTH); // for the labels grow with it
    }
    if (meetings(labels) <= before && !leaving(svg, labels)) continue;
    svg.setAttribute("viewBox", svg.dataset.drawn);
    fit(1);
  }
}

// By how many pixels labels leave the figure on its left and on its right; null where none does.
function leaving(svg, labels) {
  const figure = svg.getBoundingClientRect(), boxes = labels.map((text) => text.getBoundingClientRect());
  const left = figure.left - Math.min(...boxes.map((box) => box.left));
  const right = Math.max(...boxes.map((box) => box.right)) - figure.right;
  return left < 1 && right < 1 ? null : [left, right];
}

// Make so much room at a figure's sides.
function widen(svg, sides) {
  const { x, y, width, height } = svg.viewBox.baseVal, unit = width / svg.getBoundingClientRect().width;
  const [before, after] = sides.map((side) => (side > 0 ? side + 3 : 0) * unit);
  svg.setAttribute("viewBox", `${x - before} ${y} ${width + before + after} ${height}`);
}

// How many pairs of labels meet. Two lines of one label may touch where the first has no tail and the second no head.
function meetings(labels) {
  const boxes = labels.map((text) => text.getBoundingClientRect());
  const meet = (a, b) => {
    const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    return width > 3 && height > 0.2 * Math.min(a.height, b.height);
  };
  return boxes.flatMap((a, i) => boxes.slice(0, i).filter((b) => meet(a, b))).length;
}

// The drawings that a change of the page is in, or brought: one that moves under the reader's hand asks for no other.
function drawingsOf(changes) {
  const places = [...new Set(changes.map(({ target }) => target))];
  return new Set(places.flatMap((place) => place.closest(DRAWING) ?? [...place.querySelectorAll(DRAWING)]));
}

// On a phone printed tables keep their columns where letters down to this size, in pixels, let their longest line fit.
const LEAST_PRINT = 10;

function keepColumns() {
  const phone = matchMedia("(max-width: 576px)").matches; // as in book.css
  const outputs = [...document.querySelectorAll("article .cell_output pre")];
  const sizes = outputs.map((output) => {
    const { paddingLeft, paddingRight, fontSize } = getComputedStyle(output);
    const size = parseFloat((output.dataset.size ??= fontSize)), all = output.textContent.split("\n");
    const table = all.filter((line) => /\S {2,}\S/.test(line)), lines = table.length ? table : all; // sentences may break
    const room = output.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const fits = room / (0.61 * Math.max(...lines.map((line) => line.length))); // a letter's width over its height
    return phone && fits < size && fits >= LEAST_PRINT ? `${fits}px` : "";
  });
  outputs.forEach((output, place) => (output.style.fontSize = sizes[place])); // after all is measured: one layout
}

document.addEventListener("DOMContentLoaded", () => {
  nameControls();
  if (document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]')) {
    // Widgets are drawn after the page has loaded, and the player's button changes with its state.
    const changes = { childList: true, subtree: true, attributeFilter: ["class", "aria-valuetext"] };
    new MutationObserver(nameWidgets).observe(document.querySelector("main") ?? document.body, changes);
  }
  const article = document.querySelector("article");
  if (!article) return;
  const look = () => {
    keepLabelsLegible();
    keepColumns();
    openBoxesToKeys();
  };
  new ResizeObserver(look).observe(article); // formulas, figures, fonts and the window change its size
  // The theme does the same for code, a moment after the window has changed, and may still see what was before.
  new MutationObserver(openBoxesToKeys).observe(article, { subtree: true, attributeFilter: ["tabindex"] });
  const frames = new MutationObserver((changes) => keepLabelsLegible(drawingsOf(changes)));
  frames.observe(article, { subtree: true, childList: true });
});

// Paper is light, and nothing on it can be opened.
let beforePrint = null;

addEventListener("beforeprint", () => {
  if (beforePrint) return; // told twice
  const closed = [...document.querySelectorAll("details:not([open])")];
  beforePrint = { theme: document.documentElement.dataset.theme, closed };
  document.documentElement.dataset.theme = "light";
  for (const element of closed) element.open = true;
});

addEventListener("afterprint", () => {
  if (!beforePrint) return;
  document.documentElement.dataset.theme = beforePrint.theme;
  for (const element of beforePrint.closed) element.open = false;
  beforePrint = null;
});
