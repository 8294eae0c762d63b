"""A number in a chapter's prose is one that the chapter shows.

A number stands where a reader can check it: in what its own section prints or draws, in a section or chapter that its
sentence links to, or in the chapter's code. The part before the first section, what we chose, the summary and the
exercises gather numbers from all sections, and a whole number that is no percentage may stand in any of them. An
interval stands as one, `a ± b`, and never in code alone; so does a count, `3 of 10`.
"""

import re

import nbformat
import notebooks
import pytest
from chapters import PARTS, SIGNED, Section, plain, sections, sections_of, widest
from myst_parser.mdit_to_docutils.base import default_slugify

PATHS = notebooks.notebooks()
GATHERING = ("", "What we chose", "Summary", "Exercises")
# Nothing is claimed by code, formulas, headings, the box's times and years of publications; by the numbers of chapters,
# exercises and list entries; nor by words that define, and constants from cited sources.
EXCUSED = ("95 per cent interval", "Flower 1.41", "3.7 pJ", "0.9 pJ", "640 pJ", "225 mAh")
NO_CLAIM = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|^#+ .*?$|^> \*\*It runs.*?$|<!--.*?-->|(?<=[ ,(])(?:19|20)\d\d(?=\)?\]\()"
    r"|\b[Cc]hapters? \d+(?:(?:,| and|, and| to) \d+)*|^\*\*\d+\.\*\*|^(?:> )?\d+\. |"
    + "|".join(EXCUSED).replace(" ", r"\s+"),
    re.DOTALL | re.MULTILINE,
)
SENTENCES = re.compile(r"(?<=[.!?])[*_)]*\s+(?=[A-Z*\[(`])|\n\s*\n|\n(?=[-|])")
LINK = re.compile(r"\]\(([^)#]*)(#[^)]*)?\)")


def wrong_numbers(chapter: list[Section], book: dict[str, list[Section]]) -> list[str]:
    """Return what is wrong with the numbers of a chapter's prose, each with its sentence; links lead into the book."""
    code = set().union(*(section.code for section in chapter))
    found = []
    for section in chapter:
        own = chapter if section.title in GATHERING else [section]
        for sentence in SENTENCES.split(NO_CLAIM.sub(" ", section.prose)) if section.title != "Further reading" else ():
            targets = LINK.findall(sentence)
            linked = [
                each
                for page, anchor in targets
                for each in (book.get(page, []) if page else chapter if anchor else [])
                if not anchor or default_slugify(each.title) == anchor[1:]
            ]
            words = " ".join(plain(LINK.sub("]", sentence)).split())
            for match in SIGNED.finditer(words):
                here = chapter if match[0].isdigit() and not words[match.end() :].startswith(" %") else own
                offs = [part.shown[match[0]] for part in (*here, *linked) if match[0] in part.shown]
                codes = code.union(*(each.code for each in linked))
                in_code = match[0].lstrip("+−") in codes and not PARTS.search(match[0])
                if not offs and not in_code:
                    why = "is not shown here: print it, link to the section or chapter that does, or mend it"
                elif offs and not in_code and min(offs) > widest(match[0]):
                    why = f"may be off by {min(offs):.2g}: split its cell, or assert a bound and print it coarser"
                else:
                    continue
                place = words[max(0, match.start() - 40) : match.end() + 30]
                found.append(f"{section.title or 'before the first section'}: {match[0]} {why} — …{place}…")
    return found


def book() -> dict[str, list[Section]]:
    """Return all chapters by the name that a link to them has."""
    return {path.name: sections(path) for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_numbers_in_prose_are_shown_where_they_are_stated(path):
    wrong = wrong_numbers(sections(path), book())
    assert not wrong, "\n".join(wrong)


def test_numbers_on_the_page_of_claims_stand_in_chapters():
    page = (notebooks.BOOK / "claims.md").read_text(encoding="utf-8")  # its scoreboard is made of the result files
    claims = Section("", re.sub(r"<!-- scoreboard -->.*<!-- /scoreboard -->", "", page, flags=re.DOTALL))
    assert len(set(re.findall(r"\d+\.\d+ ± \d+\.\d+", claims.prose))) > 15
    for section in (each for chapter in book().values() for each in chapter):
        claims.shown |= section.shown
        claims.code |= section.code
    wrong = wrong_numbers([claims], book())
    assert not wrong, "\n".join(wrong)


OF_A_FILE = "measured 2026-11-23: slim 2.6 ± 0.3 points, at 48.9% of 1,500 rounds; 3 of 10; +0.4 and -1.9; 2.0 in all"


def chapter_of(prose: str, *, tolerance: dict | None = None, code: str = "x = 1", shows: str = OF_A_FILE):
    """Return a chapter with two sections: one with the prose and a cell that prints, one on bytes with a figure."""
    cells = [nbformat.v4.new_markdown_cell(f"# Title\n\n## One\n\n{prose}"), nbformat.v4.new_code_cell(code)]
    cells[1].outputs = [nbformat.v4.new_output("stream", text=f"{shows}\n")]
    cells[1].metadata = nbformat.from_dict({"tolerance": tolerance} if tolerance else {})
    drawn = {"text/html": '<svg aria-label="A bar of 712 kB"><text>7.5 ± 0.2</text></svg><script>81</script>'}
    other = nbformat.v4.new_code_cell("draw(64)", outputs=[nbformat.v4.new_output("display_data", drawn)])
    return sections_of(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_markdown_cell("## Bytes"), other]))


@pytest.mark.parametrize(
    "prose",
    [
        "Slim is 2.6 ± 0.3 points behind, at 48.9 % after 1,500 rounds, as of 2026-11-23. It is +0.4, or −1.9.",
        "By 1.9 points, in 3 of 10; in `75` and $75$ and [(Lin, 2020)](bibliography.md#lin), chapter 75, on CIFAR-10.",
        "Layers of 64 filters. [Its bytes](#bytes) are 712 kB and lead by 7.5 ± 0.2.",
        "As [elsewhere](other.ipynb#bytes), 712 kB.\n\n## Summary\n\n712 kB, by 7.5 ± 0.2.",
        "Few.\n\n## Further reading\n\nOn pages 17 to 23, of 1999.",
    ],
)
def test_a_number_that_is_shown_is_accepted(prose):
    assert wrong_numbers(chapter_of(prose), {"other.ipynb": chapter_of("")}) == []


@pytest.mark.parametrize(
    ("prose", "number"),
    [
        ("Slim is 2.6 ± 0.4 points behind.", "2.6 ± 0.4"),
        ("It takes 8.9 %.", "8.9"),
        ("It has 10 of 64.", "10 of 64"),
        ("After 500 rounds.", "500"),
        ("Of 2026-11-24.", "2026−11−24"),
        ("It is +1.9.", "+1.9"),
        ("It is −0.4.", "−0.4"),
        ("A bar of 713 kB.", "713"),
        ("It is 712 %.", "712"),
        ("It leads by 7.5 ± 0.2, as [here](other.ipynb#one).", "7.5 ± 0.2"),
        ("As [here](#bytes), 81.", "81"),
        ("As [here](#bytes). It has 7.5 ± 0.2.", "7.5 ± 0.2"),
    ],
)
def test_a_number_that_is_not_shown_is_noticed(prose, number):
    (wrong,) = wrong_numbers(chapter_of(prose), {"other.ipynb": chapter_of("")})
    assert wrong.startswith(f"One: {number} is not shown here")


def test_a_number_within_its_own_tolerance_is_noticed():
    prose = "By 2.6 ± 0.3 points, at 48.9 %, of 2026-11-23."
    assert wrong_numbers(chapter_of(prose, tolerance={"absolute": 0.8, "relative": 0.3}), {}) == []
    (wrong,) = wrong_numbers(chapter_of(prose, tolerance={"absolute": 0.9}), {})
    assert wrong.startswith("One: 2.6 ± 0.3 may be off by 0.9")
    assert len(wrong_numbers(chapter_of(prose, tolerance={"relative": 0.5}), {})) == 2
    assert wrong_numbers(chapter_of("By 2.0.", code="x = 2.0", tolerance={"absolute": 3}), {}) == []
