// Loaded between require.js and the widget manager, on pages with widgets only. Tells RequireJS that the manager and its
// fonts lie beside this file, so that no page asks a content delivery network for them.
(() => {
  const here = new URL("./", document.currentScript.src).href;
  window.require.config({
    paths: {
      "@jupyter-widgets": `${here}vendor/html-manager`,
      "@jupyter-widgets/html-manager/dist": `${here}vendor/html-manager`,
    },
  });
})();
