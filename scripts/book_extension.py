"""What the book adds to Sphinx: targets that Markdown links reach, and the API reference from plain docstrings.

Links are written `glossary.md#gate` or `05_one_step_is_enough.ipynb#exercise-2`, which other viewers of Markdown open
too. Sphinx resolves such a link to a heading only; here it learns of the terms of the glossary, of exercises, of
explicit targets and of the library's names.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from api_docstrings import API_NAME, link_names, mend_parameter_lists, skip, write_docstring, write_signature
from docutils import nodes
from executed import with_outputs
from myst_parser.mdit_to_docutils.base import default_slugify
from sphinx import addnodes
from sphinx.application import Sphinx

EXERCISE = re.compile(r"(\d+)\.")

SHORT_FORMULA = 60  # characters of TeX: a longer one may have to break
BEFORE_FORMULA, AFTER_FORMULA = re.compile(r"[(\[“]*$"), re.compile(r"[,.;:!?)\]”]*")

CHAPTER_LINK = re.compile(r"\[([^\[\]\"]+)\]\((\d\d_\w+)\.ipynb(?:#[\w-]+)?\)")  # without quotes: not across JSON

# --- targets -------------------------------------------------------------------------------------------------------


def unlink_missing_chapters(app: Sphinx, document: str, source: list[str]) -> None:
    """Leave a chapter that is not written yet as plain text, so that a page may speak of what is planned."""
    written = {name.rpartition("/")[2] for name in app.env.found_docs}
    source[0] = CHAPTER_LINK.sub(lambda link: link[0] if link[2] in written else link[1], source[0])


def take_outputs(app: Sphinx, document: str, source: list[str]) -> None:
    """Render a notebook with the outputs of its executed copy, if the build has made copies."""
    copy = Path(app.config.executed_notebooks) / f"{document.rpartition('/')[2]}.ipynb"
    if app.config.executed_notebooks and copy.is_file():
        notebook = with_outputs(nbformat.reads(source[0], as_version=4), nbformat.read(copy, as_version=4))
        source[0] = nbformat.writes(notebook)


def add_targets(app: Sphinx, document: nodes.document) -> None:
    """Let links of the form `page#target` reach more than the headings of the page just read."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for name, explicit in document.nametypes.items():
        if explicit and document.nameids.get(name):
            slugs.setdefault(name, (0, document.nameids[name], name))
    for signature in document.findall(addnodes.desc_signature):
        for name in signature["ids"]:
            slugs.setdefault(name, (0, name, name))
        for reference in signature.findall(addnodes.pending_xref):
            reference["refdomain"], reference["reftype"] = "", API_NAME  # for link_names
    if app.env.docname.endswith("glossary"):
        for term in document.findall(nodes.term):
            give_id(term, default_slugify(term.astext()), slugs)
    for section in document.findall(nodes.section):
        if section[0].astext() == "Exercises":
            for paragraph in section.findall(nodes.paragraph):
                first = next((child for child in paragraph.children if child.astext()), None)
                if isinstance(first, nodes.strong) and (number := EXERCISE.fullmatch(first.astext())):
                    give_id(paragraph, f"exercise-{number[1]}", slugs)


def give_id(node: nodes.Element, name: str, slugs: dict) -> None:
    """Give a part of the page an id, and let links reach it."""
    if name not in slugs:
        node["ids"].append(name)
        slugs[name] = (0, name, node.astext())


# --- names in tables ------------------------------------------------------------------------------------------------


def break_names(app: Sphinx, document: nodes.document) -> None:
    """Let a name of code in a table's narrow column go on in the next line after an underscore or a slash."""
    for code in [code for entry in document.findall(nodes.entry) for code in entry.findall(nodes.literal)]:
        parts = re.split(r"(?<=[_/])(?=\w)", code.astext())
        code.children = []
        for number, part in enumerate(parts):
            code += [nodes.raw("", "<wbr>", format="html")] * (number > 0) + [nodes.Text(part)]


# --- formulas ---------------------------------------------------------------------------------------------------------


def keep_punctuation(app: Sphinx, document: nodes.document) -> None:
    """Hold a formula in a line together with the marks next to it: a browser may break between the two."""
    for formula in [node for node in document.findall(nodes.math) if len(node.astext()) <= SHORT_FORMULA]:
        line, at = formula.parent, formula.parent.index(formula)
        before, after = (line[i] if 0 <= i < len(line) else None for i in (at - 1, at + 1))
        start = BEFORE_FORMULA.search(before)[0] if isinstance(before, nodes.Text) else ""
        end = AFTER_FORMULA.match(after)[0] if isinstance(after, nodes.Text) else ""
        if start or end:
            parts = (nodes.Text(start), formula.deepcopy(), nodes.Text(end))
            together = nodes.inline("", "", *parts, classes=["mg-together"])
            if end:
                line[at + 1] = nodes.Text(after[len(end) :])
            line[at] = together
            if start:
                line[at - 1] = nodes.Text(before[: -len(start)])


def setup(app: Sphinx) -> dict:
    """Register all of it."""
    app.add_config_value("executed_notebooks", "", "env")
    app.connect("source-read", take_outputs)
    app.connect("source-read", unlink_missing_chapters)
    app.connect("doctree-read", add_targets)
    app.connect("doctree-read", break_names)
    app.connect("doctree-read", keep_punctuation)
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", link_names)
    app.connect("html-page-context", mend_parameter_lists)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
