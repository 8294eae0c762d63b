"""The rendered pages in a browser: nothing foreign is loaded, they fit a phone, everybody can use them."""

import pytest
from hand import press
from rendered import AXE, NARROW, PAGES, WIDE, theme_of

SIZED = ", ".join(f"...pageChecks.{what}()" for what in ("clipped", "small", "broken", "cut"))  # whatever the theme
WORD = 400 * "w"  # no room for it in a line


class Page:
    """What holds of every page; two classes share the pages out, so that two workers look at them."""

    def test_page_is_sound_in_both_themes_and_both_widths(self, visit, page_name):
        """Look at a page from disk, where a browser allows least; by axe dark and narrow, light and wide.

        It is opened dark and narrow, where nothing was laid out before. Figures are tried from a server as well.
        """
        page, wrong = visit(page_name, "file", "dark", NARROW)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        wrong += page.evaluate("[...pageChecks.content(), ...pageChecks.raw()]")
        for theme, sizes in (("dark", (NARROW, WIDE)), ("light", (WIDE, NARROW))):
            if theme_of(page) != theme:
                page.evaluate("document.querySelector('.theme-switch-button').click()")
            assert theme_of(page) == theme
            for size in sizes:
                page.set_viewport_size(size)
                page.evaluate("pageChecks.drawn()")
                found = page.evaluate("[...pageChecks.layout(), ...pageChecks.contrast()]")
                found += page.evaluate(f"[{SIZED}]") if theme == "light" else []
                if size is sizes[0]:
                    page.wait_for_timeout(400)  # the theme moves its columns and looks for boxes that scroll
                    found += page.evaluate("pageChecks.accessibility()")
                wrong += [f"{theme}, {size['width']} px: {problem}" for problem in found]
        page.evaluate("pageChecks.unfold()")
        for size in (NARROW, WIDE):
            page.set_viewport_size(size)
            page.evaluate("pageChecks.drawn()")
            wrong += [f"frames, {size['width']} px: {problem}" for problem in page.evaluate(f"[{SIZED}]")]
        assert not wrong, "\n".join([f"{page_name}:", *wrong])


@pytest.mark.browser
@pytest.mark.parametrize("page_name", PAGES[::2])
class TestEverySecondPage(Page):
    """One worker's part."""


@pytest.mark.browser
@pytest.mark.parametrize("page_name", PAGES[1::2])
class TestTheOtherPages(Page):
    """The other's."""


@pytest.mark.browser
@pytest.mark.parametrize("origin", ["file", "http"])
def test_start_page_leads_into_the_book(visit, origin):
    page, wrong = visit("index.html", origin)
    assert page.locator("article h1").count() == 1
    assert not wrong, "\n".join(wrong)


@pytest.mark.browser
@pytest.mark.parametrize("page_name", PAGES[:1])
def test_menus_and_the_phone_s_contents_are_usable_when_open(visit, page_name):
    """What a page hides until it is asked for is looked at as well."""
    page, wrong = visit(page_name, viewport=NARROW)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    menus = page.locator(".article-header-buttons .dropdown > button")
    assert menus.count() == 3  # launch, source, download
    for menu in menus.all():
        menu.click()
        page.locator(".dropdown-menu.show").wait_for()
        wrong += page.evaluate("[...pageChecks.layout()]") + page.evaluate("pageChecks.accessibility()")
        page.keyboard.press("Escape")
    page.locator(".primary-toggle").click()
    page.locator(".bd-sidebar-primary, #pst-primary-sidebar-modal").first.wait_for()
    wrong += page.evaluate("pageChecks.accessibility()")
    assert not wrong, "\n".join([f"{page_name}:", *wrong])


@pytest.mark.browser
@pytest.mark.parametrize("name", ["01_where_the_multiplications_go", "03_paying_only_for_what_you_open"])
def test_a_phone_shows_whole_figures_with_labels_that_can_be_read(visit, name):
    """Small labels grow where the window is narrow, and the figure with them; where it is wide all is as drawn."""
    page, _ = visit(f"book/{name}.html", viewport=NARROW)
    page.evaluate(
        """() => {
            const figures = [...document.querySelectorAll("article figure.mg-figure > svg")];
            const larger = (t) => parseFloat(t.style.fontSize) > t.dataset.size;
            window.grown = () => figures.filter((e) => [...e.querySelectorAll("text")].some(larger));
            const now = (e) => e.getAttribute("viewBox");
            window.widened = () => figures.filter((e) => now(e) != (e.dataset.drawn ?? now(e)));
            window.swiped = () => figures.filter(({ parentElement: e }) => e.scrollWidth > e.clientWidth + 1);
        }"""
    )
    page.wait_for_function("grown().length")
    assert page.evaluate("swiped().length") == 0
    assert (page.evaluate("widened().length") > 0) == name.startswith("03"), "labels of 03 leave their figures"
    assert page.evaluate("pageChecks.small()") == []
    page.set_viewport_size(WIDE)
    page.wait_for_function("!grown().length && !widened().length")


@pytest.mark.browser
def test_a_phone_keeps_a_printed_table_s_columns(visit):
    page, _ = visit("book/11_against_its_relatives.html", viewport=NARROW)
    table = page.locator(".cell_output pre", has_text="… with names").first
    lines = len(table.inner_text().rstrip().splitlines())
    page.wait_for_function(
        "([e, n]) => e.clientHeight < 1.5 * n * parseFloat(getComputedStyle(e).lineHeight)",
        arg=[table.element_handle(), lines],
    )
    assert table.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 10
    page.set_viewport_size(WIDE)
    smaller = "[...document.querySelectorAll('.cell_output pre')].some((e) => e.style.fontSize)"
    page.wait_for_function(f"!({smaller})")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("chapter", "label", "values"),
    [
        ("01_where_the_multiplications_go", "value", ["5 of 18: Window", "6 of 18: Window"]),
        ("06_two_stages", "rate β", ["β = 16:", "β = 32:"]),
        ("10_one_step_on_a_new_node", "steps", ["After 1 step of each", "After 2 steps of each"]),
    ],
)
def test_a_flip_book_s_slider_says_the_frame_it_shows(visit, chapter, label, values):
    page, _ = visit(f"book/{chapter}.html")
    handle = page.get_by_role("slider", name=label).first
    for value in values:
        page.wait_for_function(
            "([handle, value]) => handle.getAttribute('aria-valuetext').startsWith(value)",
            arg=[handle.element_handle(), value],
            timeout=5000,
        )
        press(handle, "ArrowRight")


@pytest.mark.browser
def test_the_theme_s_button_has_one_name_whenever_its_icons_are_drawn(visit):
    page, _ = visit(PAGES[0])
    button = "document.querySelector('.theme-switch-button')"
    page.evaluate(f"{button}.insertAdjacentHTML('beforeend', '<svg role=img><title>Late</title></svg>')")
    page.wait_for_function(f"!{button}.textContent.trim() && {button}.lastChild.ariaHidden == 'true'", timeout=5000)


@pytest.mark.browser
def test_axe_sees_what_is_wrong(visit):
    """The checks are not blind: a page that is made worse is complained about, page and element named."""
    page, _ = visit(PAGES[0])
    page.evaluate(AXE.read_text(encoding="utf-8"))
    page.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<button id=nameless></button>')")
    assert any("axe button-name, critical: #nameless" in found for found in page.evaluate("pageChecks.accessibility()"))


@pytest.mark.browser
@pytest.mark.parametrize(
    ("check", "worse", "complaint"),
    [
        ("raw", "<p>at most: $x$</p>", "raw $"),
        ("raw", r"<p>\\lVert p \\rVert</p>", r"raw \lVert"),
        (
            "clipped",
            "<div class=cell_output style='overflow: auto'><pre style='white-space: pre'>" + WORD,
            "out of sight",
        ),
        ("small", "<figure class=mg-figure><svg><text y=9 font-size=9>low</text></svg></figure>", "9.0 px, low"),
        (
            "small",
            "<figure class=mg-figure><svg><text y=9><tspan font-size=7>raised</tspan></text></svg></figure>",
            "7.0 px, raised",
        ),
        ("clipped", "<div class=highlight style='overflow: auto'><pre>" + WORD, "out of sight"),
        ("cut", "<figure class=mg-figure><svg><text y=9 x=-40>left out</text></svg></figure>", "are cut off, left out"),
        ("broken", "<p><mjx-container><mjx-math style='display: inline-block; width: 999px'>", "px too wide"),
        ("contrast", "<div class=highlight><pre><span class=k style='color: #999'>def", "contrast 2."),
        ("clipped", "<div style='overflow: hidden'><table><td>" + WORD, "are cut off"),
    ],
)
def test_what_would_be_hard_to_read_is_seen(visit, check, worse, complaint):
    page, _ = visit(PAGES[0], viewport=WIDE)
    assert not any(complaint in found for found in page.evaluate(f"pageChecks.{check}()"))
    page.evaluate(f'document.querySelector("article").insertAdjacentHTML("beforeend", "{worse}")')
    assert any(complaint in found for found in page.evaluate(f"pageChecks.{check}()"))


@pytest.mark.browser
def test_frames_out_of_sight_are_looked_at(visit):
    """The last frame's labels are made too small in the page's own data, and found when the frames are laid out."""
    page, _ = visit("book/19_when_the_labels_decide.html", viewport=NARROW)
    page.evaluate(
        """() => {
            const state = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
            const whole = JSON.parse(state.textContent), models = Object.values(whole.state).map(({ state }) => state);
            const last = models.filter(({ value }) => `${value}`.includes("mg-figure")).at(-1);
            last.value = last.value.replace("<text", "<text><tspan font-size=5>low</tspan></text><text");
            state.textContent = JSON.stringify(whole);
        }"""
    )
    assert page.evaluate("pageChecks.small()") == []
    page.evaluate("pageChecks.unfold()")
    assert any(", low: " in found for found in page.evaluate("pageChecks.small()"))


@pytest.mark.browser
def test_paper_is_light_and_shows_the_solutions(visit):
    page, _ = visit("book/00_metagater_in_one_page.html", theme="dark")
    closed = page.locator("article details:not([open])")
    number = closed.count()
    assert number >= 3
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (theme_of(page), closed.count()) == ("light", 0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (theme_of(page), closed.count()) == ("dark", number)
