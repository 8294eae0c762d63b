// What the tests of the rendered pages ask a page, each answer a list of complaints that name the element.
window.pageChecks = (() => {
  const name = (e) => {
    const where = e.closest("[id]")?.id;
    return e.outerHTML.slice(0, 120) + (where ? ` in #${where}` : "");
  };

  // Until the page has answered a change, of its size for instance: figures look at their labels in the next frame.
  function drawn() {
    const frames = new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return Promise.race([frames, new Promise((done) => setTimeout(done, 2000))]);
  }

  // Lay all frames of the page's flip-books into the place of one that is in sight: the others are drawn when asked for.
  async function unfold() {
    const states = [...document.querySelectorAll('script[type="application/vnd.jupyter.widget-state+json"]')];
    const values = states.flatMap((e) => Object.values(JSON.parse(e.textContent).state)).map((model) => model.state.value);
    const frames = values.filter((value) => typeof value == "string" && value.includes("mg-figure"));
    const shown = [...document.querySelectorAll("article .mg-explorer figure.mg-figure")].find((e) => e.getClientRects().length);
    if (frames.length) shown.insertAdjacentHTML("afterend", frames.join(""));
    await drawn();
  }

  function layout() {
    const page = document.scrollingElement, found = [];
    if (page.scrollWidth <= innerWidth) return found;
    found.push(`page is ${page.scrollWidth} px wide in a window of ${innerWidth}`);
    const clipped = (e) => e && (getComputedStyle(e).overflowX != "visible" || clipped(e.parentElement));
    for (const e of document.querySelectorAll("article *")) {
      const right = e.getBoundingClientRect().right;
      if (right > innerWidth + 1 && !clipped(e.parentElement)) found.push("sticks out: " + name(e));
    }
    return found.slice(0, 5);
  }

  // Output, tables and code between paragraphs of which a part is out of sight. Output goes on in the next line; a narrow
  // window lets tables and code scroll.
  function clipped() {
    const found = [];
    for (const e of document.querySelectorAll("article pre:not(.cell_input pre), article table")) {
      for (let box = e; box && box.tagName != "ARTICLE"; box = box.parentElement) {
        const flow = getComputedStyle(box).overflowX, beyond = box.scrollWidth - box.clientWidth;
        if (flow == "visible" || beyond <= 1 || !box.clientWidth) continue;
        if (flow != "auto" && flow != "scroll") found.push(`${beyond} px are cut off: ` + name(e));
        else if (innerWidth >= 1280 || e.matches(".cell_output pre")) found.push(`${beyond} px are out of sight: ` + name(e));
      }
    }
    return found.slice(0, 5);
  }

  // Formulas wider than their column, of which a part is out of sight.
  function broken() {
    const found = [];
    for (const e of document.querySelectorAll("article :not(table *) > mjx-container")) {
      const room = e.closest("p, li, dd, div.math, figcaption")?.clientWidth;
      const beyond = e.querySelector("mjx-math")?.getBoundingClientRect().width - room;
      if (room && beyond > 1) found.push(`a formula is ${Math.round(beyond)} px too wide: ` + e.textContent.slice(0, 80));
    }
    return found.slice(0, 5);
  }

  // Labels of figures too small to read: the size of each piece in the drawing times the scale at which it is shown.
  function small() {
    const found = [];
    for (const e of document.querySelectorAll("article figure.mg-figure svg :is(text, tspan)")) {
      const written = [...e.childNodes].some((part) => part.nodeType == Node.TEXT_NODE && part.data.trim());
      const to = written && e.getClientRects().length ? e.closest("text").getScreenCTM() : null;
      const size = to && parseFloat(getComputedStyle(e).fontSize) * Math.sqrt(Math.abs(to.a * to.d - to.b * to.c));
      if (to && size < 10.9) found.push(`a label of ${size.toFixed(1)} px, ${e.textContent.trim().slice(0, 40)}: ` + name(e.closest("figure")));
    }
    return found.slice(0, 5);
  }

  // Labels of figures, and their captions, of which a part is cut off: beyond a box that hides what leaves it.
  function cut() {
    const found = [];
    for (const e of document.querySelectorAll("article figure.mg-figure > svg text, article figure.mg-figure figcaption")) {
      const label = e.getBoundingClientRect();
      for (let box = e.closest("figure"); box && box.tagName != "ARTICLE"; box = box.parentElement) {
        if (getComputedStyle(box).overflowX == "visible" || box.scrollWidth > box.clientWidth + 1) continue;
        const { left, right } = box.getBoundingClientRect(), beyond = Math.max(left - label.left, label.right - right);
        if (label.width && beyond > 1) found.push(`${Math.round(beyond)} px are cut off, ${e.textContent.trim().slice(0, 40)}: ` + name(box));
      }
    }
    return found.slice(0, 5);
  }

  // Formulas that stayed text: a dollar or a command of TeX outside code; $NAMES of an environment are fine.
  function raw() {
    const found = [], fine = "code, pre, script, style, noscript, select, mjx-container, .math";
    const walk = document.createTreeWalker(document.querySelector("article") ?? document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const { data, parentElement } = walk.currentNode, sign = data.match(/\$(?![A-Z_]{2})|\\[A-Za-z]+/);
      if (sign && !parentElement.closest(fine)) found.push(`raw ${sign[0]} in "${data.trim().slice(0, 80)}": ` + name(parentElement));
    }
    return found.slice(0, 5);
  }

  // Pictures without words, and formulas that could not be set.
  function content() {
    const found = [];
    const words = (e, text) => {
      const file = (e.getAttribute("src") || "").split("/").pop().split("?")[0];
      const nameOnly = file && text && (text.includes(file) || text === file.replace(/\.\w+$/, ""));
      const fileLike = /^[\w./-]+\.(png|svg|jpe?g)$/.test(text);
      if (!text?.trim() || nameOnly || fileLike) found.push("no text alternative: " + name(e));
    };
    for (const e of document.querySelectorAll("img")) words(e, e.getAttribute("alt"));
    for (const e of document.querySelectorAll("svg[role=img]:not(.svg-inline--fa)"))
      words(e, e.getAttribute("aria-label") || e.querySelector(":scope > title")?.textContent);
    const unnamed = ":not([role=img]):not([role=group]):not([aria-hidden=true])"; // a group's handles have names: axe sees
    for (const e of document.querySelectorAll(`main .cell_output svg${unnamed}`))
      if (!e.closest("[role=img], mjx-container, button")) found.push("svg without role=img: " + name(e));
    for (const e of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
      found.push("TeX error: " + (e.getAttribute("data-mjx-error") || e.textContent) + " in " + name(e));
    for (const e of document.querySelectorAll("main .math"))
      if (!e.querySelector("mjx-container")) found.push("formula not set: " + name(e));
    for (const e of document.querySelectorAll("main [role=slider]")) { // without limits they are taken for 0 to 100
      const [least, now, most] = ["min", "now", "max"].map((which) => parseFloat(e.getAttribute("aria-value" + which)));
      if (!(least <= now && now <= most)) found.push(`a slider at ${now} of ${least} to ${most}: ${name(e)}`);
    }
    return found;
  }

  // Text of our own figures and of code that nearly has the colour of its ground: axe is shown neither.
  function contrast() {
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const c = numbers(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0.5) return c;
      }
      return [255, 255, 255];
    };
    const light = (c) => {
      const f = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]);
    };
    const found = [], kinds = {};
    const shown = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.getClientRects().length);
    for (const e of shown("main .highlight pre span[class]")) kinds[e.className] ??= e; // alike in all cells
    for (const e of [...shown("main figure.mg-figure, main .mg-live"), ...Object.values(kinds)]) {
      const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(1)} : 1, at least 4.5 is needed: ` + name(e));
    }
    return found;
  }

  // Serious and critical findings of axe-core, with everything open that a reader can open.
  async function accessibility() {
    for (const e of document.querySelectorAll("details")) e.open = true;
    await drawn(); // boxes that scroll open to keys
    for (const a of document.getAnimations()) a.finish(); // half-faded text has half its contrast
    // Half of its time and more would go into the pieces of code, whose colours are compared above.
    const listings = [...document.querySelectorAll(".highlight pre")].map((e) => [e, [...e.childNodes]]);
    for (const [e] of listings) e.textContent = e.textContent;
    // `preload` would fetch style sheets a second time, for rules about turned screens; from disk a browser refuses. What
    // `region` finds is moderate, and takes a tenth of the time.
    const rules = { region: { enabled: false } };
    const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false, rules });
    for (const [e, nodes] of listings) e.replaceChildren(...nodes);
    const grave = violations.filter((v) => ["serious", "critical"].includes(v.impact));
    return grave.flatMap((v) => v.nodes.slice(0, 5).map((n) => `axe ${v.id}, ${v.impact}: ${n.target.join(" ")}: ${n.html.slice(0, 160)}`));
  }

  // The picture that an interactive figure shows: every drawing to be seen, not the controls beside it.
  function picture(figure) {
    const seen = [...figure.querySelectorAll("svg, canvas, img")].filter(
      (e) => e.getClientRects().length && !e.closest("button, .svg-inline--fa"),
    );
    return seen.map((e) => (e.tagName == "CANVAS" ? e.toDataURL() : e.outerHTML)).join("\n");
  }

  return { drawn, unfold, layout, clipped, broken, cut, raw, small, content, contrast, accessibility, picture };
})();
