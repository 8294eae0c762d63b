"""Every chapter has a figure that answers to the reader's hand, by mouse and by keyboard, without a kernel."""

from itertools import cycle

import pytest
from hand import drag_by
from rendered import CHAPTERS, HTML, PAGES

INTERACTIVE = ".mg-explorer, .mg-live"  # a flip book of widgets; a figure that computes in the page
HANDLE = "[role=slider], input[type=range]"


def interactive_pages() -> list[str]:
    """Return the pages to try: every numbered chapter, whatever is on it, and others that have such a figure."""
    required = [f"{name}.html" for name in CHAPTERS]
    texts = {page: (HTML / page).read_text(encoding="utf-8") for page in PAGES if (HTML / page).is_file()}
    others = [page for page, text in texts.items() if "mg-explorer" in text or "mg-live" in text]
    return list(dict.fromkeys(required + others))


@pytest.mark.browser
@pytest.mark.parametrize(("page_name", "origin"), list(zip(interactive_pages(), cycle(["file", "http"]))))
def test_figures_move_without_a_kernel(visit, page_name, origin):
    """Each handle brings up another picture by the arrow keys and by the mouse, and so does a Play button.

    Every second page comes from disk, the others from a server; both kinds of figure are on either.
    """
    page, wrong = visit(page_name, origin)
    figures = page.locator(INTERACTIVE).all()
    assert figures, f"{page_name} has no interactive figure (class mg-explorer or mg-live)"
    for number, figure in enumerate(figures):
        figure.scroll_into_view_if_needed()
        name = f"{page_name}: figure {number} ({figure.get_attribute('id') or figure.get_attribute('class')})"
        handles = figure.locator(HANDLE).all()
        assert handles, f"{name} has no handle: {HANDLE}"
        for handle in handles:
            move(page, figure, handle, name)
        play = figure.locator(".widget-play button")
        if play.count():
            before = picture(figure)
            play.first.click()
            wait_for_another(page, figure, before, f"{name}: Play")
    assert not wrong, "\n".join([f"{page_name}:", *wrong])


def move(page, figure, handle, name: str, patience: float = 2) -> None:
    """Move one handle by keyboard and by mouse; patience: seconds that a picture has to change."""
    called = handle.evaluate("e => e.ariaLabel || e.labels?.[0]?.textContent || e.getAttribute('aria-labelledby')")
    assert called, f"{name}: a handle has no name: {handle.evaluate('e => e.outerHTML')}"
    before = picture(figure)
    handle.focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):  # at its right end it can only go back
        page.keyboard.press(key)
        if (after_key := another(page, figure, before, patience)) != before:
            break
    else:
        pytest.fail(f"{name}: the arrow keys do not move {called}")
    for share in (0.6, 0.25, 0.1):  # of the track's width: one of them is not where the handle is, even of three places
        by_mouse(page, handle, share)
        if another(page, figure, after_key, patience) != after_key:
            return
    pytest.fail(f"{name}: the mouse does not move {called}")


def by_mouse(page, handle, share: float) -> None:
    """Click on a slider's track at a share of its width, or drag a handle drawn in a picture towards it."""
    track = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]")
    if track.count() or handle.evaluate("e => e.tagName") == "INPUT":
        box = (track.first if track.count() else handle).bounding_box()
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        return
    drag_by(page, handle, 100 * (share - 0.4), 5)


def picture(figure) -> str:
    """Return what the figure shows."""
    shown = figure.evaluate("e => pageChecks.picture(e)")
    assert shown, "the figure shows no picture"
    return shown


def another(page, figure, before: str, seconds: float) -> str:
    """Return the picture that replaces the given one, or the given one when none does in time."""
    for _ in range(int(seconds / 0.05)):
        if (now := picture(figure)) != before:
            return now
        page.wait_for_timeout(50)
    return before


def wait_for_another(page, figure, before: str, cause: str) -> None:
    """Fail when no other picture comes up within five seconds."""
    if another(page, figure, before, 5) == before:
        pytest.fail(f"{cause} brings up no other picture")


LIVE = """<figure class="mg-live" id="made-here"><svg role="group" viewBox="0 0 200 50" width="200" height="50">
<circle cx="100" cy="25" r="9" tabindex="0" role="slider" aria-label="start" aria-valuenow="100"/></svg>
<label>step <input type="range" min="0" max="10" value="0"></label><svg role="img" aria-label="bar" width="99"
height="9"><rect height="9" width="0"/></svg></figure>"""
ANSWERS = """() => {
  const [input, rect, dot] = ["input", "rect", "circle"].map(n => document.querySelector("#made-here " + n));
  input.oninput = () => rect.setAttribute("width", 9 * input.value);
  const go = by => dot.setAttribute("cx", +dot.getAttribute("cx") + by);
  dot.onkeydown = e => e.key == "ArrowRight" && go(2);
  let held = false;
  dot.onpointerdown = () => held = true;
  onpointerup = () => held = false;
  onpointermove = e => held && go(e.movementX);
}"""


@pytest.mark.browser
@pytest.mark.parametrize("alive", [True, False])
def test_a_figure_that_computes_in_the_page_is_moved_too(visit, alive):
    page, _ = visit(PAGES[0])
    page.evaluate("html => document.querySelector('article').insertAdjacentHTML('beforeend', html)", LIVE)
    figure = page.locator("#made-here")
    figure.scroll_into_view_if_needed()
    if alive:
        page.evaluate(ANSWERS)
    for handle in figure.locator(HANDLE).all():
        if alive:
            move(page, figure, handle, "made here", patience=0.2)
        else:
            with pytest.raises(pytest.fail.Exception, match=r"the arrow keys do not move (start|step)"):
                move(page, figure, handle, "made here", patience=0.2)
