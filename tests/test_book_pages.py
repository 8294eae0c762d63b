"""The rendered book in a browser: nothing foreign is loaded, pages fit a phone, pictures have words, widgets move."""

import functools
import http.server
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOADING = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "audio": "src"}
ELEMENT = """const name = e => {
  const where = e.closest("[id]")?.id;
  return e.outerHTML.slice(0, 120) + (where ? ` in #${where}` : "");
};"""


def chapters() -> list[str]:
    """Return the documents of _toc.yml, those in parts and sections as well."""

    def walk(entry):
        if isinstance(entry, list):
            return [name for item in entry for name in walk(item)]
        if not isinstance(entry, dict):
            return []
        own = [str(Path(entry[key]).with_suffix("")) for key in ("root", "file") if key in entry]
        return own + [name for value in entry.values() for name in walk(value)]

    return walk(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))


PAGES = [f"{name}.html" for name in [*chapters(), "search"]]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line in the terminal for each."""

    def log_message(self, format, *args):
        """Say nothing."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Answers side by side, and says nothing when the browser has left before the answer was through."""

    def handle_error(self, request, client_address):
        """Say nothing: what a page misses is seen in the page."""


@pytest.fixture(scope="module")
def origins(rendered_book):
    """Return the two addresses of the book: from disk, and from a server on this machine."""
    handler = functools.partial(QuietHandler, directory=str(rendered_book))
    with QuietServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {"file": rendered_book.as_uri(), "http": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(chromium):
    """Return one browser for all tests of this file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, origins):
    """Return a function that opens a page and the list of everything that goes wrong on it."""
    contexts = []

    def open_page(path: str, origin: str = "http", theme: str = "light", viewport: dict = WIDE):
        context = browser.new_context(viewport=viewport, color_scheme=theme)
        contexts.append(context)
        page, wrong = context.new_page(), []

        def check_request(request):
            if not request.url.startswith((origins[origin], "data:", "blob:")):
                wrong.append(f"request to another place: {request.url}")

        page.on("request", check_request)
        page.on("requestfailed", lambda request: wrong.append(f"request failed: {request.url}: {request.failure}"))
        page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"))
        page.on("console", lambda message: message.type == "error" and wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"JavaScript error: {error}"))
        page.goto(f"{origins[origin]}/{path}", wait_until="load")
        if path == "index.html":  # it sends the reader on at once
            page.wait_for_url(f"**/{chapters()[0]}.html")
        settle(page)
        return page, wrong

    yield open_page
    for context in contexts:
        context.close()


def settle(page) -> None:
    """Wait until formulas are set, widgets drawn and fonts loaded."""
    page.evaluate("() => window.MathJax?.startup?.promise")
    widgets = page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    if widgets:
        page.wait_for_function(
            "n => document.querySelectorAll('.widget-subarea, .jupyter-widgets').length >= n", arg=widgets
        )
    page.evaluate("() => document.fonts.ready")


def layout_problems(page) -> list[str]:
    """Return what makes the page scroll sideways."""
    return page.evaluate(
        f"""() => {{
          {ELEMENT}
          const page = document.scrollingElement, found = [];
          if (page.scrollWidth <= innerWidth) return found;
          found.push(`page is ${{page.scrollWidth}} px wide in a window of ${{innerWidth}}`);
          const clipped = e => e && (getComputedStyle(e).overflowX != "visible" || clipped(e.parentElement));
          for (const e of document.querySelectorAll("article *")) {{
            const right = e.getBoundingClientRect().right;
            if (right > innerWidth + 1 && !clipped(e.parentElement)) found.push("sticks out: " + name(e));
          }}
          return found.slice(0, 5);
        }}"""
    )


def content_problems(page) -> list[str]:
    """Return the pictures without words and the formulas that could not be set."""
    return page.evaluate(
        f"""() => {{
          {ELEMENT}
          const found = [], words = (e, text) => {{
            const file = (e.getAttribute("src") || "").split("/").pop().split("?")[0];
            const name_only = file && text && (text.includes(file) || text === file.replace(/\\.\\w+$/, ""));
            const file_like = /^[\\w./-]+\\.(png|svg|jpe?g)$/.test(text);
            if (!text?.trim() || name_only || file_like) found.push("no text alternative: " + name(e));
          }};
          for (const e of document.querySelectorAll("img")) words(e, e.getAttribute("alt"));
          for (const e of document.querySelectorAll("svg[role=img]:not(.svg-inline--fa)"))
            words(e, e.getAttribute("aria-label") || e.querySelector(":scope > title")?.textContent);
          for (const e of document.querySelectorAll("main .cell_output svg:not([role=img]):not([aria-hidden=true])"))
            if (!e.closest("[role=img], mjx-container, button")) found.push("svg without role=img: " + name(e));
          for (const e of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
            found.push("TeX error: " + (e.getAttribute("data-mjx-error") || e.textContent) + " in " + name(e));
          for (const e of document.querySelectorAll("main .math"))
            if (!e.querySelector("mjx-container")) found.push("formula not set: " + name(e));
          return found;
        }}"""
    )


def contrast_problems(page) -> list[str]:
    """Return the widgets and own figures whose text nearly has the colour of the ground it stands on."""
    return page.evaluate(
        f"""() => {{
          {ELEMENT}
          const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
          const ground = e => {{
            for (; e; e = e.parentElement) {{
              const c = numbers(getComputedStyle(e).backgroundColor);
              if (c.length < 4 || c[3] > 0.5) return c;
            }}
            return [255, 255, 255];
          }};
          const light = c => {{
            const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]);
          }};
          const found = [];
          for (const e of document.querySelectorAll(
              "main .widget-label, main .widget-html-content, main .jupyter-button, main .widget-readout, " +
              "main figure.mg-figure, main figcaption")) {{
            if (!e.getClientRects().length) continue;
            const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) found.push(`contrast ${{ratio.toFixed(1)}} : 1, at least 4.5 is needed: ` + name(e));
          }}
          return found;
        }}"""
    )


def theme_of(page) -> str:
    """Return the theme that the page shows."""
    return page.evaluate("() => document.documentElement.dataset.theme")


@pytest.mark.browser
@pytest.mark.parametrize("page_name", PAGES)
@pytest.mark.parametrize(("origin", "theme", "viewport"), [("http", "light", WIDE), ("file", "dark", NARROW)])
def test_page_is_sound(visit, page_name, origin, theme, viewport):
    """Each page is loaded twice, and in both loads looked at in both themes and both widths."""
    page, wrong = visit(page_name, origin, theme, viewport)
    assert theme_of(page) == theme
    wrong += content_problems(page)
    for theme_now in (theme, "dark" if theme == "light" else "light"):
        page.emulate_media(color_scheme=theme_now)
        page.wait_for_function("theme => document.documentElement.dataset.theme == theme", arg=theme_now)
        for size in (viewport, NARROW if viewport is WIDE else WIDE):
            page.set_viewport_size(size)
            at = f"{theme_now}, {size['width']} px: "
            wrong += [at + problem for problem in layout_problems(page) + contrast_problems(page)]
    assert not wrong, "\n".join([f"{page_name} from {origin}:", *wrong])


@pytest.mark.browser
@pytest.mark.parametrize("origin", ["file", "http"])
def test_start_page_leads_into_the_book(visit, origin):
    page, wrong = visit("index.html", origin)
    assert page.locator("article h1").count() == 1
    assert not wrong, "\n".join(wrong)


def explorer_pages() -> list[str]:
    """Return the rendered pages with an explorer; one entry at least, so that its absence is a failure, not silence."""
    found = [p for p in PAGES if (HTML / p).is_file() and "mg-explorer" in (HTML / p).read_text(encoding="utf-8")]
    return found or [f"{chapters()[-1]}.html"]


@pytest.mark.browser
@pytest.mark.parametrize("origin", ["file", "http"])
@pytest.mark.parametrize("page_name", explorer_pages())
def test_explorer_moves_without_a_kernel(visit, page_name, origin):
    """Keyboard, mouse and the play button each bring up another frame."""
    page, wrong = visit(page_name, origin)
    explorers = page.locator(".mg-explorer")
    assert explorers.count() >= 1, f"{page_name} has no explorer"
    for index in range(explorers.count()):
        explorer = explorers.nth(index)
        explorer.scroll_into_view_if_needed()
        handle = explorer.get_by_role("slider").first
        assert handle.get_attribute("aria-label"), f"{page_name}: explorer {index}: the slider has no name"

        before = shown_frame(explorer)
        handle.focus()
        page.keyboard.press("ArrowRight")
        after_key = wait_for_other_frame(page, explorer, before, f"{page_name}: explorer {index}: ArrowRight")

        track = explorer.locator(".noUi-base").first.bounding_box()
        page.mouse.click(track["x"] + 0.6 * track["width"], track["y"] + track["height"] / 2)
        after_click = wait_for_other_frame(page, explorer, after_key, f"{page_name}: explorer {index}: mouse")

        explorer.locator(".widget-play button").first.click()
        wait_for_other_frame(page, explorer, after_click, f"{page_name}: explorer {index}: Play")
    assert not wrong, "\n".join([f"{page_name}:", *wrong])


FRAME = """e => [...e.querySelectorAll(".widget-html-content")].filter(f => f.getClientRects().length)
  .map(f => f.innerHTML).join()"""


def shown_frame(explorer) -> str:
    """Return the markup of the frame that is to be seen."""
    frame = explorer.evaluate(FRAME)
    assert frame, "the explorer shows no frame"
    return frame


def wait_for_other_frame(page, explorer, frame: str, cause: str) -> str:
    """Return the frame that replaces the given one, and fail when none does within five seconds."""
    for _ in range(100):
        if (now := shown_frame(explorer)) != frame:
            return now
        page.wait_for_timeout(50)
    pytest.fail(f"{cause} brings up no other frame")


class Resources(HTMLParser):
    """Collects what a page loads by itself; links that a reader may follow are not among it."""

    def __init__(self):
        """Start with nothing."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attributes):
        """Note the address of a script, picture, style sheet or preconnection."""
        attributes = dict(attributes)
        if tag in LOADING:
            self.found.append(attributes.get(LOADING[tag]) or "")
        elif tag == "link" and attributes.get("rel") not in ("canonical", "license"):
            self.found.append(attributes.get("href") or "")


@pytest.mark.parametrize("page_name", PAGES)
def test_page_names_no_foreign_resource(rendered_book, page_name):
    resources = Resources()
    resources.feed((rendered_book / page_name).read_text(encoding="utf-8"))
    local = [r for r in resources.found if r and not r.startswith(("data:", "#"))]
    assert [r for r in local if urlsplit(r).netloc] == []
    missing = [r for r in local if not ((rendered_book / page_name).parent / urlsplit(r).path).resolve().is_file()]
    assert missing == []
