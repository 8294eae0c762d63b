"""The rendered book as the page tests see it: which pages there are, what a page holds."""

import re
from html.parser import HTMLParser
from pathlib import Path

import build_book

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
CHECKS = (Path(__file__).parent / "page_checks.js").read_text(encoding="utf-8")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"  # scripts/fetch_page_assets.py puts it there
LOADING = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "audio": "src"}


DOCUMENTS = build_book.contents()
CHAPTERS = [name for name in DOCUMENTS if re.match(r"\d\d_", Path(name).name)]
PAGES = [f"{name}.html" for name in [*DOCUMENTS, "search"]]


class Page(HTMLParser):
    """What a page says of itself: the names of its parts, where its links lead, what it loads."""

    def __init__(self, text: str):
        """Read the page."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note the tag's name, link and source; what a reader may follow is not loaded."""
        attributes = {key: value or "" for key, value in attributes}
        self.anchors |= {attributes[key] for key in ("id", "name") if key in attributes}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in LOADING:
            self.loaded.append(attributes.get(LOADING[tag], ""))
        elif tag == "link" and attributes.get("rel") not in ("canonical", "license"):
            self.loaded.append(attributes.get("href", ""))


def theme_of(page) -> str:
    """Return the theme that the page shows."""
    return page.evaluate("() => document.documentElement.dataset.theme")
