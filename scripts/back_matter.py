"""Write the pages that follow from other files: bibliography, index of terms, answers, run times, API reference.

``write`` brings them up to date, ``check`` says which are not. A chapter counts once _toc.yml names it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import nbformat
from api_pages import api_pages
from build_book import contents
from myst_parser.mdit_to_docutils.base import default_slugify
from notebook_checks import exercises
from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
RUN_TIMES = ROOT / "results" / "run_times.json"
MADE = "<!-- Made by scripts/back_matter.py (`make notebooks`); edit what it is made of instead. -->\n"
MANY_SECTIONS = 3  # a term in more sections of a chapter than this is there throughout
EVERYDAY = {  # terms whose words the book also uses in another sense
    *("Bounded", "Cell", "Direction", "Drift", "Floor", "Graph", "Lever", "Mask", "Neighbours", "Noise", "Panel"),
    *("Price", "Record", "Rival", "Smooth", "Stroke", "Trial", "Ways", "Weight", "Worth"),
}


@dataclass(frozen=True)
class Section:
    """A part of a chapter under one heading of the second level; the first has the chapter's title."""

    title: str
    slug: str
    text: str


@dataclass(frozen=True)
class Chapter:
    """A notebook that the contents name."""

    path: Path

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The notebook's content."""
        return nbformat.read(self.path, as_version=4)

    @cached_property
    def text(self) -> str:
        """All Markdown of the chapter."""
        return "\n\n".join(cell.source for cell in self.notebook.cells if cell.cell_type == "markdown")

    @property
    def title(self) -> str:
        """The chapter's first heading."""
        return self.sections[0].title

    @property
    def page(self) -> str:
        """The chapter as other pages of the book link to it."""
        return self.path.name

    @cached_property
    def sections(self) -> list[Section]:
        """The chapter's sections in order, each with the name that a link to it ends in."""
        parts = re.split(r"^##? (.+)$", re.sub(r"```.*?```", "", self.text, flags=re.DOTALL), flags=re.MULTILINE)
        titles, texts = parts[1::2], parts[2::2]
        return [Section(t, default_slugify(t.strip()), text) for t, text in zip(titles, texts, strict=True)]


@cache
def chapters() -> tuple[Chapter, ...]:
    """Return the numbered notebooks of _toc.yml; each is read once."""
    paths = [BOOK / f"{Path(name).name}.ipynb" for name in contents()]
    return tuple(Chapter(path) for path in paths if re.match(r"\d\d_", path.name))


def glossary() -> dict[str, str]:
    """Return the terms of the glossary and what it says of each."""
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    return {term: " ".join(said.split()) for term, said in re.findall(r"^(\w.+)\n: ((?:.+\n?)+)", text, re.M)}


# --- pages ---------------------------------------------------------------------------------------------------------


def bibliography() -> str:
    """Return the page of sources, each with the pages that cite it."""
    style = find_plugin("pybtex.style.formatting", "plain")(sorting_style="none")
    backend = find_plugin("pybtex.backends", "markdown")()
    entries = parse_file(BOOK / "references.bib").entries
    ordered = sorted(entries.values(), key=lambda entry: (names(entry), entry.fields["year"], entry.fields["title"]))
    pages = [(each.title, each.page, each.text) for each in (Chapter(BOOK / "index.ipynb"), *chapters())]
    for name in ("preface", "how_to_read", "practice", "claims", "results"):
        text = (BOOK / f"{name}.md").read_text(encoding="utf-8")
        pages.append((re.search(r"^# (.+)$", text, re.M)[1], f"{name}.md", text))
    out = ["# Bibliography", "The sources that the book cites, each with the pages that cite it."]
    for formatted in style.format_entries(ordered):
        text = re.sub(r"\\([^\w\s])", r"\1", " ".join(formatted.text.render(backend).split()))
        cited = [f"[{t}]({p})" for t, p, content in pages if f"bibliography.md#{formatted.key})" in content]
        out.append(f"({formatted.key})=\n{text} {'Cited in ' + ', '.join(cited) if cited else 'Not cited yet'}.")
    return "\n\n".join(out)


def names(entry: Entry) -> str:
    """Return what an entry is sorted by: its authors, each by the surname."""
    words = (word for person in entry.persons["author"] for word in (*person.last_names, *person.first_names))
    return re.sub(r"[{}]", "", " ".join(words)).lower()


def index_of_terms() -> str:
    """Return the index: where each term of the glossary occurs."""
    out = [
        "# Index",
        "Where the terms of the [glossary](glossary.md) occur, by chapter and section. "
        f"A term that occurs in more than {MANY_SECTIONS} sections of a chapter is found there throughout. A word with "
        "other senses too, such as *cell* or *drift*, is listed in the chapter that explains it, from there on.",
    ]
    letter = ""
    for term, said in sorted(glossary().items(), key=lambda entry: entry[0].lower()):
        if term[0].upper() != letter:
            letter = term[0].upper()
            out.append(f"## {letter}")
        *_, home = re.findall(r"\((\w+\.ipynb)\)", said)
        in_these = [each for each in chapters() if term not in EVERYDAY or each.page == home]
        places = [place for chapter in in_these if (place := occurrences(term, chapter))]
        out.append(f"[{term}](glossary.md#{default_slugify(term)})\n: {'; '.join(places) or 'in no chapter yet'}.")
    return "\n\n".join(out)


def occurrences(term: str, chapter: Chapter) -> str:
    """Return links to the sections of a chapter in which a term stands, singular or plural.

    An everyday word counts from the section that has it in bold or in its heading.
    """
    words = re.escape(term).replace(r"\ ", r"\s+")
    pattern = re.compile(rf"(?<![\w-]){words}(?:s|es)?(?![\w-])", re.IGNORECASE)
    sections, bold = chapter.sections, re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
    if term in EVERYDAY:
        explained = [pattern.search(" | ".join([s.title, *bold.findall(s.text)])) is not None for s in sections]
        sections = sections[explained.index(True) :] if any(explained) else []
    found = [s for s in sections if pattern.search(f"{s.title}\n{s.text}") and s.title != "Further reading"]
    if not found:
        return ""
    if len(found) > MANY_SECTIONS:
        return f"[{chapter.title}]({chapter.page}) throughout"
    return f"{chapter.title}: " + ", ".join(f"[{s.title}]({chapter.page}#{s.slug})" for s in found)


def answers() -> str:
    """Return the solution of each exercise and what it printed when it was run."""
    out = [
        "# Answers",
        "The solution of each exercise, and what its code printed when the chapter was last executed. The code is "
        "folded under the exercise; it asserts what it claims, and the tests run it.",
    ]
    for chapter in chapters():
        out.append(f"## {chapter.title}")
        for number, text, cells in exercises(chapter.notebook):
            question, _, solution = text.partition("**A project.**")[0].partition("**Solution.**")
            question = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", question)  # links are the chapter's affair
            asked = " ".join(question.partition("** ")[2].partition("*Hint")[0].split())
            printed = "".join(o.text for cell in cells for o in cell.outputs if o.get("name") == "stdout").rstrip()
            out.append(f"[Exercise {number}]({chapter.page}#exercise-{number}): {asked}")
            if solution:
                out.append(f"**Solution.** {solution.strip()}")
            out.append(f"```text\n{printed or '(prints nothing)'}\n```")
    return "\n\n".join(out)


def run_times() -> str:
    """Return how long each chapter took when it was measured, and whether it has changed since."""
    measured = json.loads(RUN_TIMES.read_text(encoding="utf-8")) if RUN_TIMES.is_file() else {}
    out = ["| chapter | seconds | measured on |", "|---|--:|---|"]
    for chapter in chapters():
        record = measured.get(chapter.path.stem)
        row = f"| [{chapter.title}]({chapter.page}) "
        if record is None:
            out.append(row + "| not measured yet | |")
            continue
        changed = record["executed_source"] != chapter.notebook.metadata.get("mglib", {}).get("executed_source")
        note = ", its code has changed since" if changed else ""
        date = f'<span class="mg-together">{record["date"][:10]}</span>'
        out.append(row + f"| {record['seconds']:.0f} | {date}{note} |")
    intro = (
        "Wall-clock time of executing each chapter from top to bottom in a fresh kernel, on two cores, no GPU. "
        "Every chapter is meant to run within a minute there, if nothing else does."
    )
    return "\n\n".join(["# Run times", intro, "\n".join(out)])


def pages() -> dict[Path, str]:
    """Return every page that this script makes."""
    made = {f"{make.__name__}.md": make() for make in (bibliography, index_of_terms, answers, run_times)} | api_pages()
    return {BOOK / name: f"{MADE}\n{text}\n" for name, text in made.items()}


def main() -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["write", "check"])
    writing = parser.parse_args().action == "write"
    stale = {p: t for p, t in pages().items() if not p.is_file() or p.read_text(encoding="utf-8") != t}
    for path, text in stale.items():
        if writing:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'written' if writing else 'out of date; run `make notebooks`'}")
    return 1 if stale and not writing else 0


if __name__ == "__main__":
    sys.exit(main())
