"""The API reference: which names `mglib` offers, and the directives that make Sphinx document them.

scripts/back_matter.py writes the pages; scripts/api_docstrings.py turns the docstrings into lists.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # document this copy of mglib, wherever another is installed
FOLDERS = {
    "nets": "Networks that choose",
    "tasks": "Tasks",
    "meta": "Learning to learn",
    "federated": "Many nodes",
    "training": "Training",
    "fast": "The same, sooner",
    "show": "Pictures",
    "params": "Parameters",
}


def public_names(folder: str) -> list[str]:
    """Return the full names of what a folder of mglib offers, those that `mglib` itself offers first."""
    import mglib

    module = importlib.import_module(f"mglib.{folder}")
    public = {n: value for n, value in vars(module).items() if not n.startswith("_") and not inspect.ismodule(value)}
    own = [n for n, value in public.items() if getattr(value, "__module__", "") == module.__name__]
    names = sorted(public) if hasattr(module, "__path__") else getattr(module, "__all__", ["Params", *own])
    flat = [n for n in names if n in mglib.__all__ and getattr(mglib, n) is getattr(module, n)]
    return [f"mglib.{n}" for n in flat] + [f"mglib.{folder}.{n}" for n in names if n not in flat]


def entry(full_name: str) -> tuple[str, str]:
    """Return the directive that documents a name, and its first sentence."""
    module, _, name = full_name.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    if inspect.isfunction(value) or (inspect.isclass(value) and value.__module__.startswith("mglib")):
        kind = "autoclass" if inspect.isclass(value) else "autofunction"
        options = "\n   :members:\n   :special-members: __call__, __len__" if inspect.isclass(value) else ""
        first = re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join((value.__doc__ or "").partition("\n\n")[0].split()))[0]
        first = re.sub(r"<(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\<", first)  # no tag, outside code
        return f".. {kind}:: {full_name}{options}", first
    if isinstance(value, tuple):
        return f".. py:data:: {full_name}\n\n   ``{value!r}``", f"`{value!r}`"
    pattern = re.compile(rf"^{name}(?:: .+?)? = (.+?)(?:  # (.+))?$", re.MULTILINE)
    files = sorted((ROOT / module.replace(".", "/")).rglob("*.py")) or [ROOT / "mglib/params.py"]
    definition = next(filter(None, (pattern.search(path.read_text(encoding="utf-8")) for path in files)))
    stands_for = f"``{definition[1]}``" + (f": {definition[2]}" if definition[2] else "")
    return f".. py:data:: {full_name}\n\n   {stands_for}", stands_for.replace("``", "`")


def api_pages() -> dict[str, str]:
    """Return the API reference: an overview, and a page for each folder of mglib."""
    overview = [
        "# The library, name by name",
        "Everything that `mglib` offers. A name written `mglib.…` without a folder is imported from `mglib` itself. "
        "A name leads to its entry.",
    ]
    pages = {}
    for folder, title in FOLDERS.items():
        said = " ".join(importlib.import_module(f"mglib.{folder}").__doc__.split())
        overview += [f"## {title}", f"`mglib.{folder}`. {said}"]
        blocks = []
        for full_name in public_names(folder):
            directive, first = entry(full_name)
            blocks.append(directive)
            overview.append(f"[`{full_name}`](api/{folder}.md#{full_name})\n: {first}")
        reference = "```{eval-rst}\n" + "\n\n".join(blocks) + "\n```"
        pages[f"api/{folder}.md"] = "\n\n".join([f"# {title}", f"`mglib.{folder}`. {said}", reference])
    return {"api.md": "\n\n".join(overview), **pages}
