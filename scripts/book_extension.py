"""What the book adds to Sphinx: targets that Markdown links reach, and the API reference from plain docstrings.

Links are written `glossary.md#gate` or `05_one_step_is_enough.ipynb#exercise-2`, which other viewers of Markdown open
too. Sphinx resolves such a link to a heading only; here it learns of the terms of the glossary, of exercises, of
explicit targets and of the library's names.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path

import nbformat
from docutils import nodes
from executed import with_outputs
from myst_parser.mdit_to_docutils.base import default_slugify
from sphinx import addnodes
from sphinx.application import Sphinx

EXERCISE = re.compile(r"(\d+)\.")
FIELD = re.compile(r"(\w+(?:, \w+)*): (\S.*)")
CHOICE = re.compile(r"([\w:-]+(?:, [\w:-]+)*): (\S.*)")

SHORT_FORMULA = 60  # characters of TeX: a longer one may have to break
BEFORE_FORMULA, AFTER_FORMULA = re.compile(r"[(\[“]*$"), re.compile(r"[,.;:!?)\]”]*")

PARAMETER_LIST = re.compile(r"<dl>\s*(<dd>.*?)</dl>", re.DOTALL)
API_NAME = "mglib-name"  # our kind of reference
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


# --- API reference -------------------------------------------------------------------------------------------------


def write_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn a plain docstring, in place, into what Sphinx reads: parameters become a list."""
    if lines and lines[0].startswith("Create new instance of"):  # what Python says of any named tuple
        lines.clear()
        return
    lines[:] = markup(lines)
    if what == "class" and (fields := commented_fields(obj)):
        listed = {name for line in lines for name in re.findall(r"^   \* \*\*(\w+)\*\*", line)}
        lines += [":Fields:", *(f"   * **{key}**: {text}" for key, text in fields.items() if key not in listed), ""]


def markup(lines: list[str]) -> list[str]:
    """Return a docstring's lines as reStructuredText."""
    out: list[str] = []
    inside, choices = False, 0  # whether the parameters are being listed; how far a parameter's choices are indented
    for line in lines:
        line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
        text = line.strip()
        indented, field = line.index(text), FIELD.fullmatch(line)
        if choices and indented < choices:
            out.append("")
            choices = 0
        if field and out:
            if not inside:
                inside = True
                out += ["", ":Parameters:"]
            names = ", ".join(f"**{name}**" for name in field[1].split(", "))
            out.append(f"   * {names}: {field[2]}")
        elif inside and indented and (choice := CHOICE.fullmatch(text)) and choices in (0, indented):
            choices = indented
            names = ", ".join(f"``{name}``" for name in choice[1].split(", "))
            out += ["", f"     * {names}: {choice[2]}"]
        elif inside and indented:
            out.append(" " * (7 if choices else 5) + text)
        else:
            if inside:
                out.append("")
            inside = False
            out.append(line)
    return [*out, ""]


def commented_fields(cls: type) -> dict[str, str]:
    """Return what the comments beside a class's fields say of them."""
    body = textwrap.dedent(inspect.getsource(cls)).splitlines()
    matches = (re.fullmatch(r"    (\w+): [^#]+  # (.+)", line) for line in body)
    return {match[1]: match[2] for match in matches if match}


def write_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Return the signature as the source has it: `Params` says more than what it stands for."""
    function = obj.__init__ if what == "class" else obj
    if what not in ("function", "method", "class") or not inspect.isfunction(inspect.unwrap(function)):
        return arguments, result
    try:
        definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError):  # made by @dataclass, not written; Sphinx spells out where each type comes from
        return arguments and re.sub(r"~?(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", arguments), None
    if what != "function" and not any(getattr(each, "id", "") == "staticmethod" for each in definition.decorator_list):
        definition.args.args.pop(0)  # self, cls
    returned = definition.returns and what != "class"
    return f"({ast.unparse(definition.args)})", ast.unparse(definition.returns) if returned else None


def link_names(app: Sphinx, env, node: addnodes.pending_xref, contnode: nodes.Element) -> nodes.Node | None:
    """Link a name in a signature to its entry, or leave it as text: other projects' names are not fetched."""
    if node["reftype"] != API_NAME:
        return None
    objects, last = env.get_domain("py").objects, node["reftarget"].rpartition(".")[2]
    found = [name for name in objects if name.rpartition(".")[2] == last and not objects[name].aliased]
    if not found:
        return contnode
    entry = objects[min(found, key=lambda name: (objects[name].docname != node["refdoc"], len(name)))]
    address = app.builder.get_relative_uri(node["refdoc"], entry.docname)
    return nodes.reference("", "", contnode, refuri=f"{address}#{entry.node_id}", internal=True)


def skip(app: Sphinx, what: str, name: str, obj: object, skipped: bool, options: object) -> bool | None:
    """Leave out the fields of a named tuple, whose docstrings say their number alone."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def mend_parameter_lists(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Write a signature's parameters as lines: Sphinx makes a definition list without terms, which is no valid HTML."""

    def as_lines(found: re.Match) -> str:
        lines = re.sub(r"(</?)dd>", r"\1span>", found[1])
        return f'<span class="mg-parameters">{lines}</span>'

    if doctree is not None:
        context["body"] = PARAMETER_LIST.sub(as_lines, context["body"])


def setup(app: Sphinx) -> dict:
    """Register all of it."""
    app.add_config_value("executed_notebooks", "", "env")
    app.connect("source-read", take_outputs)
    app.connect("source-read", unlink_missing_chapters)
    app.connect("doctree-read", add_targets)
    app.connect("doctree-read", keep_punctuation)
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", link_names)
    app.connect("html-page-context", mend_parameter_lists)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
