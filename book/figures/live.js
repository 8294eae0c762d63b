// What every figure that computes in the page begins with. `root`, its element, and `data` come from the page.
const svg = root.querySelector("svg"), controls = root.querySelector(".mg-controls"), readout = root.querySelector(".mg-readout");
const BLUE = "var(--mg-open, #2f7fd1)", ORANGE = "var(--mg-accent, #d9730d)", FAINT = "var(--mg-faint, #8a93a0)";
const draw = (tag, style, words, parent = svg) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(style)) element.setAttribute(name, value);
  if (words !== undefined) element.textContent = words;
  return parent.appendChild(element);
};
