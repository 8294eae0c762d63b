"""Print the rendered book into one PDF, _build/metagater-book.pdf.

Chromium prints each page of _build/html with the print style of assets/book.css. This script joins them in the order of
_toc.yml behind a title page with the contents, turns links between pages into links within the PDF, and adds bookmarks
and page numbers. Folded code stays folded; a flip-book prints the frame that it opens on.
"""

from __future__ import annotations

import argparse
import html
import io
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import build_book
import yaml
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.constants import PageLabelStyle
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, NullObject

PDF = build_book.BUILD / "metagater-book.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
INSIDE = "https://book.invalid/"  # what links within the book are called until the pages are joined
SCALE = 0.8  # of the pages' 16 px letters; a line of code fits the paper's width
PAPER = {"width": 816, "height": 1160}  # CSS pixels at that scale, between the margins of A4
PATIENCE = 240_000  # milliseconds for a page

# Every link is named after the page it leads to; every target is linked to once, so that Chromium notes its place.
PREPARE = """
([inside, root]) => {
  dispatchEvent(new Event("beforeprint"));
  const article = document.querySelector("article");
  for (const a of article.querySelectorAll("a[href]")) {
    const url = new URL(a.href);
    if (url.protocol !== "file:") continue;
    const path = decodeURI(url.href.split("#")[0]);
    if (path.startsWith(root) && path.endsWith(".html")) {
      a.href = inside + path.slice(root.length, -".html".length) + url.hash;
    } else a.removeAttribute("href");
  }
  const targets = document.createElement("div");
  targets.hidden = true;
  for (const e of article.querySelectorAll("[id]:not(svg *)")) {
    const a = document.createElement("a");
    a.href = "#" + encodeURIComponent(e.id);
    targets.append(a);
  }
  article.append(targets);
  const boxes = [...article.querySelectorAll("pre, table, mjx-container[display], .output")];
  const zoom = (e) => Number(e.style.zoom) || 1;
  const width = (e) => Math.max(e.getBoundingClientRect().width, e.scrollWidth * zoom(e));
  for (const box of boxes) {
    const room = box.parentElement.clientWidth;
    for (let tries = 0; room && tries < 4 && width(box) > room + 1; tries++) {
      box.style.zoom = Math.max(0.5, (0.995 * zoom(box) * room) / width(box));
    }
  }
  for (const table of article.querySelectorAll("table")) {
    if (table.offsetHeight > 600) table.classList.add("mg-long"); // it breaks between rows, under its heads again
  }
  const right = (e) => e.getBoundingClientRect().left + width(e);
  const tall = [...article.querySelectorAll("figure")].filter((e) => e.getBoundingClientRect().height > innerHeight);
  const clipped = [...boxes.filter((e) => e.getClientRects().length && right(e) > innerWidth + 1), ...tall];
  const text = (e) => [...e.childNodes].filter((n) => !n.classList?.contains("headerlink")).map((n) => n.textContent);
  const headings = [...article.querySelectorAll("h1, h2")].map((e) => [
    Number(e.tagName[1]), text(e).join("").trim(), e.closest("[id]")?.id ?? "",
  ]);
  return { headings, clipped: clipped.map((e) => e.outerHTML.slice(0, 120)) };
}
"""

# What the page is given before anything is printed from it: its numbers continue those of the pages before it.
NUMBERS = """
@page {{
  size: A4;
  margin: 20mm 22mm 22mm;
  @bottom-left {{ content: "{running}"; font: 8pt sans-serif; color: #666; }}
  @bottom-right {{ content: counter(page{style}); font: 8pt sans-serif; color: #666; }}
}}
html {{ counter-reset: page {before}; }}
"""

CONTENTS = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 12.5px/1.5 sans-serif; }}
h1 {{ font-size: 40px; line-height: 1.2; margin-top: 38%; }}
h2 {{ font-size: 24px; break-before: page; }}
h3 {{ font-size: 14px; margin: 10px 0 2px; break-after: avoid; }}
a {{ color: inherit; text-decoration: none; display: flex; gap: 6px; break-inside: avoid; }}
a i {{ flex: 1; border-bottom: 1px dotted #999; margin-bottom: 6px; }}
</style></head><body><h1>{title}</h1><p>{author}</p><p>{copyright}</p>
<p>Each chapter's code is whole in its notebook and its script, which the download button of its page offers.</p>
<h2>Contents</h2>{lines}</body></html>"""


@dataclass
class Printed:
    """A page of the book on paper: its headings (level, text, target), its file, and where its targets are."""

    name: str
    headings: list[tuple[int, str, str]]
    reader: PdfReader
    first: int  # the number of its first sheet, from 1

    @property
    def title(self) -> str:
        """What the contents call it."""
        return self.headings[0][1] if self.headings else self.name

    def place(self, target: str) -> tuple[int, float | None]:
        """Return a target's sheet within the page, from 0, and its height there; the top for an unknown one."""
        found = self.reader.named_destinations.get("/" + target) or self.reader.named_destinations.get(target)
        if found is None:
            return 0, None
        return self.reader.get_destination_page_number(found), float(found.top)


def browser_path() -> str | None:
    """Return the path of MGLIB_CHROMIUM or of a browser on the PATH, or None for the one that playwright installs."""
    named = os.environ.get("MGLIB_CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def settle(page: Page) -> None:
    """Wait until formulas are set, widgets drawn and fonts loaded."""
    page.evaluate("() => window.MathJax?.startup?.promise")
    views = page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    page.wait_for_function("n => document.querySelectorAll('.widget-subarea > *').length >= n", arg=views)
    page.evaluate("() => document.fonts.ready")


def on_paper(page: Page, running: str, before: int, style: str = "") -> PdfReader:
    """Print what the page shows; its sheets are numbered from `before` + 1."""
    running = running.replace("\\", "").replace('"', "'")
    page.add_style_tag(content=NUMBERS.format(running=running, before=before, style=style))
    return PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True, print_background=True, scale=SCALE)))


def print_pages(page: Page, folder: Path, names: list[str]) -> list[Printed]:
    """Print the named pages of a rendered book, one after the other.

    Raises:
        ValueError: if something does not fit the paper, even at half its width.
    """
    done: list[Printed] = []
    before = 0
    for name in names:
        page.goto((folder / f"{name}.html").as_uri(), wait_until="load")
        settle(page)
        found = page.evaluate(PREPARE, [INSIDE, folder.as_uri() + "/"])
        if found["clipped"]:
            raise ValueError(f"{name} is larger than the paper at {'; '.join(found['clipped'])}")
        headings = [tuple(each) for each in found["headings"]]
        reader = on_paper(page, headings[0][1] if headings else name, before)
        done.append(Printed(name, headings, reader, before + 1))
        before += len(reader.pages)
        print(f"{name}: {len(reader.pages)} sheets", flush=True)
    return done


def captions(toc: dict, names: list[str]) -> dict[str, str]:
    """Return the first page of each part and what the part is called."""
    found = {}
    for part in toc.get("parts", []):
        inside = [name for name in build_book.documents(part) if name in names]
        if inside and "caption" in part:
            found[inside[0]] = part["caption"]
    return found


def front_matter(page: Page, printed: list[Printed], parts: dict[str, str], config: dict) -> PdfReader:
    """Print the title page and the contents, numbered in Roman figures."""
    lines = []
    for each in printed:
        if each.name in parts:
            lines.append(f"<h3>{html.escape(parts[each.name])}</h3>")
        title, link = html.escape(each.title), html.escape(INSIDE + each.name)
        lines.append(f'<a href="{link}">{title}<i></i>{each.first}</a>')
    known = {key: html.escape(str(config[key])) for key in ("title", "author", "copyright")}
    page.set_content(CONTENTS.format(lines="".join(lines), **known))
    return on_paper(page, "", 0, ", lower-roman")


def join(front: PdfReader, printed: list[Printed], parts: dict[str, str], config: dict) -> PdfWriter:
    """Return one PDF of all sheets, with bookmarks, page numbers and links between them."""
    writer = PdfWriter()
    for reader in (front, *(each.reader for each in printed)):
        for sheet in reader.pages:
            writer.add_page(sheet)
    offset = len(front.pages)
    by_name = {each.name: each for each in printed}
    link_within(writer, by_name, offset)
    writer.set_page_label(0, offset - 1, PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(offset, len(writer.pages) - 1, PageLabelStyle.DECIMAL, start=1)
    part = None
    for each in printed:
        start = offset + each.first - 1
        if each.name in parts:
            part = writer.add_outline_item(title=parts[each.name], page_number=start, bold=True, is_open=False)
        chapter = writer.add_outline_item(title=each.title, page_number=start, parent=part, is_open=False)
        for level, text, target in each.headings:
            if level == 2:
                sheet = start + each.place(target)[0]
                writer.add_outline_item(title=text, page_number=sheet, parent=chapter, is_open=False)
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    writer.page_mode = "/UseOutlines"
    writer.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    return writer


def link_within(writer: PdfWriter, by_name: dict[str, Printed], offset: int) -> None:
    """Let the links that name a page of the book lead to its sheet; those to pages left out lead nowhere."""
    for sheet in writer.pages:
        kept = ArrayObject()
        for reference in sheet.get("/Annots", ()):
            note = reference.get_object()
            address = str(note.get("/A", {}).get("/URI", ""))
            if address.startswith(INSIDE):
                name, _, target = address.removeprefix(INSIDE).partition("#")
                if name not in by_name:
                    continue
                number, top = by_name[name].place(unquote(target))
                goal = writer.pages[offset + by_name[name].first - 1 + number].indirect_reference
                height = NullObject() if top is None else FloatObject(top)
                place = ArrayObject([goal, NameObject("/XYZ"), NullObject(), height, NullObject()])
                note[NameObject("/A")] = DictionaryObject(
                    {NameObject("/S"): NameObject("/GoTo"), NameObject("/D"): place}
                )
            kept.append(reference)
        if "/Annots" in sheet:
            sheet[NameObject("/Annots")] = kept


def make(browser: Browser, names: list[str], out: Path, folder: Path = build_book.HTML) -> None:
    """Print the named pages of a rendered book into one PDF."""
    config, toc = build_book.settings(), yaml.safe_load((build_book.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = captions(toc, names)
    page = browser.new_page(viewport=PAPER, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    page.emulate_media(media="print")
    printed = print_pages(page, folder, names)
    front = front_matter(page, printed, parts, config)
    page.close()
    join(front, printed, parts, config).write(out)


def main() -> int:
    """Print the book; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="pages of _toc.yml, such as book/preface (default: all)")
    parser.add_argument("--out", type=Path, default=PDF)
    arguments = parser.parse_args()
    known = build_book.contents()
    if unknown := [name for name in arguments.pages if name not in known]:
        parser.error(f"not in _toc.yml: {', '.join(unknown)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        make(browser, arguments.pages or known, arguments.out)
    print(f"The book lies in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
