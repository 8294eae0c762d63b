"""A chapter as a Python script, beside its notebook: what the pages' download menu offers."""

from __future__ import annotations

from pathlib import Path

from nbconvert import PythonExporter
from sphinx.application import Sphinx
from traitlets.config import Config

HEAD = '''"""{title}

A chapter of {book}, as a script. It needs mglib, and what lies in the repository's folder `book`: put it there and run
it there, `python {name}.py`. Figures show themselves in the notebook only.
"""

from IPython.display import display  # which a notebook has without asking

del __file__  # the processes that a training starts would read it, and run this script again

'''


def script(notebook: Path, book: str) -> str:
    """Return a notebook as a Python script: its text as comments, without the cell for Colab."""
    config = Config({"TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": ["remove-cell"]}})
    exporter = PythonExporter(config=config, exclude_input_prompt=True)
    exporter.register_preprocessor("nbconvert.preprocessors.TagRemovePreprocessor", enabled=True)
    text, _ = exporter.from_filename(str(notebook))
    lines = [line for line in text.splitlines() if not line.startswith(("#!", "# coding"))]
    title = next(line.removeprefix("# # ") for line in lines if line.startswith("# # "))
    return HEAD.format(title=title, name=notebook.stem, book=book) + "\n".join(lines).strip() + "\n"


def offer(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Write a notebook's script beside the source of its page, and name it in the page's download menu."""
    source = Path(app.env.doc2path(page)) if doctree is not None else None
    if source is None or source.suffix != ".ipynb":
        return
    target = Path(app.outdir) / "_sources" / f"{page}.py"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(script(source, app.config.html_title), encoding="utf-8")
    for group in context["header_buttons"]:
        if group.get("label") == "download-buttons":
            group["buttons"].insert(
                1,
                {
                    "type": "link",
                    "url": context["pathto"](f"_sources/{page}.py", 1),
                    "text": ".py",
                    "icon": "fas fa-file-code",
                    "label": "download-script-button",
                    "tooltip": "Download as a Python script",
                },
            )


def setup(app: Sphinx) -> dict:
    """Register it, after the theme has made its buttons."""
    app.connect("html-page-context", offer, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
