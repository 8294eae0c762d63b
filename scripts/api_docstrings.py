"""The API reference from plain docstrings: what Sphinx's autodoc finds, written as lists.

scripts/api_pages.py says which names there are; scripts/book_extension.py registers what stands here.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Container

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

FIELD = re.compile(r"(\w+(?:, \w+)*): (\S.*)")
CHOICE = re.compile(r"([\w:-]+(?:, [\w:-]+)*): (\S.*)")

PARAMETER_LIST = re.compile(r"<dl>\s*(<dd>.*?)</dl>", re.DOTALL)
API_NAME = "mglib-name"  # our kind of reference


def write_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn a plain docstring, in place, into what Sphinx reads: parameters and attributes become lists."""
    if lines and lines[0].startswith("Create new instance of"):  # what Python says of any named tuple
        lines.clear()
        return
    lines[:] = markup(lines, parameters_of(obj), attributes_of(obj) if what == "class" else ())
    if what == "class" and (fields := described_fields(obj)):
        listed = {name for line in lines for name in re.findall(r"^   \* \*\*(\w+)\*\*", line)}
        said = (f"   * **{key}**: {literal(text)}" for key, text in fields.items() if key not in listed)
        lines += [":Fields:", *said, ""]


def literal(text: str) -> str:
    """Return a text with its code as reStructuredText marks it."""
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)


def parameters_of(obj: object) -> Container[str]:
    """Return the names that a call of a function or a class may give."""
    try:
        return inspect.signature(obj).parameters
    except (TypeError, ValueError):  # a property, and some classes of Python's own
        return ()


def attributes_of(cls: type) -> set[str]:
    """Return the names that a class gives to itself while it is made."""
    return set(re.findall(r"\bself\.([a-z]\w*)\b(?=[^=\n]* = )", inspect.getsource(cls)))


def markup(lines: list[str], parameters: Container[str], attributes: Container[str] = ()) -> list[str]:
    """Return a docstring's lines as reStructuredText; only what it says of these names is a list."""
    out: list[str] = []
    inside, choices = "", 0  # the field list that is being written; how far a parameter's choices are indented
    for line in map(literal, lines):
        text = line.strip()
        indented, field = line.index(text), FIELD.fullmatch(line)
        named = field[1].split(", ") if field else ()
        kinds = {"Parameters": parameters, "Fields": attributes}
        kind = next((kind for kind, names in kinds.items() if named and all(name in names for name in named)), "")
        if choices and indented < choices:
            out.append("")
            choices = 0
        if kind and out:
            if inside != kind:
                inside = kind
                out += ["", f":{kind}:"]
            names = ", ".join(f"**{name}**" for name in field[1].split(", "))
            out.append(f"   * {names}: {field[2]}")
        elif inside == "Parameters" and indented and (choice := CHOICE.fullmatch(text)) and choices in (0, indented):
            choices = indented
            names = ", ".join(f"``{name}``" for name in choice[1].split(", "))
            out += ["", f"     * {names}: {choice[2]}"]
        elif inside and indented:
            out.append(" " * (7 if choices else 5) + text)
        else:
            if inside:
                out.append("")
            inside = ""
            out.append(line)
    return [*out, ""]


def described_fields(cls: type) -> dict[str, str]:
    """Return what stands of a class's fields beside or below them, in their order, base classes included."""
    said = {}
    for each in (each for each in reversed(cls.__mro__) if each.__module__.startswith("mglib")):
        source = textwrap.dedent(inspect.getsource(each))
        body = ast.parse(source).body[0].body
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
                below = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                beside = re.search(r"  # (.+)$", source.splitlines()[node.end_lineno - 1])
                if below or beside:
                    said[node.target.id] = " ".join(after.value.value.split()) if below else beside[1]
    return said


def write_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Return the signature as the source has it: `Params` says more than what it stands for."""
    function = obj.__init__ if what == "class" else obj
    if getattr(obj, "_is_protocol", False):  # nobody makes one
        return "", None
    if what not in ("function", "method", "class") or not inspect.isfunction(inspect.unwrap(function)):
        return arguments, result
    try:
        definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError):  # made by @dataclass, not written; Sphinx spells out where each type comes from
        plain = arguments and re.sub(r"~?(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", arguments)
        return plain and re.sub(r"<function (\w+)>", r"\1", plain), None
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
    """Leave out the fields of a class: `write_docstring` lists them, and a function as a default is no method."""
    owner = getattr(sys.modules[app.env.temp_data["autodoc:module"]], app.env.temp_data.get("autodoc:class", ""), None)
    fields = {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else ()
    annotated = name in getattr(owner, "__annotations__", ())  # constants of the class, and a named tuple's fields
    return True if name in fields or annotated else None


def mend_parameter_lists(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Write a signature's parameters as lines: Sphinx makes a definition list without terms, which is no valid HTML."""

    def as_lines(found: re.Match) -> str:
        lines = re.sub(r"(</?)dd>", r"\1span>", found[1])
        return f'<span class="mg-parameters">{lines}</span>'

    if doctree is not None:
        context["body"] = PARAMETER_LIST.sub(as_lines, context["body"])
