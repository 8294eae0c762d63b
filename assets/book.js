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

// Widgets are drawn after the page has loaded, and a slider's handle then has no name for a screen reader: give it the
// text of its label.
document.addEventListener("DOMContentLoaded", () => {
  const name = () => {
    for (const slider of document.querySelectorAll(".widget-slider")) {
      const label = slider.querySelector(".widget-label")?.textContent.trim();
      for (const handle of slider.querySelectorAll("[role=slider]:not([aria-label])")) {
        if (label) handle.setAttribute("aria-label", label);
      }
    }
  };
  if (document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]')) {
    new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  }
});
