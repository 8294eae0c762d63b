"""The book on paper: what `make pdf` joins has bookmarks, page numbers and working links, and nothing is cut off."""

import unicodedata

import make_pdf
import pytest
from pypdf import PdfReader
from rendered import HTML

PAGES = ["book/preface", "book/01_where_the_multiplications_go", "book/claims", "book/bibliography"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pdf(browser, rendered_book, tmp_path_factory) -> PdfReader:
    """Return four pages of the book, printed."""
    out = tmp_path_factory.mktemp("pdf") / "book.pdf"
    make_pdf.make(browser, PAGES, out, rendered_book)
    return PdfReader(out)


def words(text: str) -> str:
    """Return a text without its white space and ligatures, which a PDF sets as it likes."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def entries(pdf: PdfReader, outline: list, depth: int = 0):
    """Yield the bookmarks with their depth and sheet."""
    for entry in outline:
        if isinstance(entry, list):
            yield from entries(pdf, entry, depth + 1)
        else:
            yield depth, entry.title, pdf.get_destination_page_number(entry)


def test_bookmarks_lead_to_the_sheets_that_carry_their_headings(pdf):
    found = list(entries(pdf, pdf.outline))
    chapters = [title for depth, title, _ in found if depth == 1 and title[:2] == "1."]
    assert len(chapters) == 1
    assert sum(title == "Exercises" for _, title, _ in found) == 1
    headings = [(title, sheet) for depth, title, sheet in found if depth]  # without the parts
    for title, sheet in headings:
        assert words(title) in words(pdf.pages[sheet].extract_text()), (title, sheet)
    assert len({sheet for _, sheet in headings}) > 8


def test_every_sheet_has_its_number_and_something_to_read(pdf):
    titles = [title for depth, title, _ in entries(pdf, pdf.outline) if depth == 1]  # at the sheets' feet
    labels = pdf.page_labels
    assert labels[:3] == ["i", "ii", "1"]
    assert labels[2:] == [str(number + 1) for number in range(len(pdf.pages) - 2)]
    for label, sheet in zip(labels, pdf.pages, strict=True):
        lines = sheet.extract_text().split("\n")
        said = [line for line in lines if line in (label, *(label + title for title in titles))]
        assert said, f"sheet {label} does not say its number: {lines}"
        assert len(words(sheet.extract_text())) > 60, f"sheet {label} is all but blank"
        assert sheet.mediabox.width == pytest.approx(595, abs=2)  # A4


def test_links_between_pages_lead_to_sheets_and_none_is_left_behind(pdf):
    notes = [note.get_object()["/A"] for sheet in pdf.pages for note in sheet.get("/Annots", ())]
    inside = [note for note in notes if note["/S"] == "/GoTo"]
    sheets = {sheet.indirect_reference.idnum for sheet in pdf.pages}
    assert len(inside) >= len(PAGES)  # the contents name each of them
    assert all(note["/D"][0].idnum in sheets for note in inside)
    outside = [str(note["/URI"]) for note in notes if note["/S"] == "/URI"]
    assert outside
    assert not [address for address in outside if not address.startswith("http") or "book.invalid" in address]


def test_open_code_and_outputs_are_printed_whole_and_folded_code_is_not(pdf, visit):
    page, _ = visit(f"{PAGES[1]}.html")
    text = words("".join(sheet.extract_text() for sheet in pdf.pages))
    open_code, folded = page.evaluate("""() => {
      const of = (all) => all.map((e) => e.textContent), every = [...document.querySelectorAll(".cell_input pre")];
      const hidden = (e) => e.closest(".tag_hide-input, .tag_hide-cell");
      const outputs = [...document.querySelectorAll(".cell_output pre")];
      return [of([...every.filter((e) => !hidden(e)), ...outputs]), of(every.filter(hidden))];
    }""")
    lines = [line for block in open_code for line in block.splitlines() if len(line) > 8]
    missing = [line for line in lines if words(line) not in text]
    assert not missing[:3]
    assert len(lines) > 50
    longest = [max(block.splitlines(), key=len) for block in folded]
    assert longest
    assert not [line for line in longest if words(line) in text]


def test_what_is_larger_than_the_paper_is_made_to_fit_or_complained_about(browser, rendered_book):
    page = browser.new_page(viewport=make_pdf.PAPER)
    page.emulate_media(media="print")
    page.goto((HTML / f"{PAGES[0]}.html").as_uri())
    for width in (1200, 4000):
        table = f"<table><td><div id=w{width} style='width: {width}px'>.</div></table>"
        page.evaluate("t => document.querySelector('article').insertAdjacentHTML('beforeend', t)", table)
    tower = "<figure id=tower class=mg-figure style='height: 2000px'></figure>"
    page.evaluate("t => document.querySelector('article').insertAdjacentHTML('beforeend', t)", tower)
    found = page.evaluate(make_pdf.PREPARE, [make_pdf.INSIDE, HTML.as_uri() + "/"])
    assert page.locator("#w1200").bounding_box()["width"] < make_pdf.PAPER["width"]
    assert [text for text in found["clipped"] if "w4000" in text]
    assert [text for text in found["clipped"] if "tower" in text]
    assert not [text for text in found["clipped"] if "w1200" in text]
    page.close()
