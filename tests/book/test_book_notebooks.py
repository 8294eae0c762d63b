"""The committed notebooks are executed, in canonical form, short in their cells and readable without sight."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import notebook_checks
import notebooks
import pytest

PATHS = notebooks.notebooks()


def executed(*sources: str, **first_cell) -> nbformat.NotebookNode:
    """Return a notebook as `make notebooks` would leave it, its first own code cell, cells[2], with what is given."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for key, value in first_cell.items():
        cells[0][key] = nbformat.from_dict(value)
    return canonical(nbformat.v4.new_markdown_cell("# A title"), *cells)


def canonical(*cells: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook of these cells in the form that is committed, with the cell for Colab."""
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    notebooks.put_colab_cell(notebook)
    notebooks.normalise(notebook)
    return notebook


def problems_of(notebook: nbformat.NotebookNode, tmp_path: Path, name: str = "page") -> str:
    """Return what the check says about a notebook."""
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return "\n".join(notebooks.problems(path))


def display(**data: str) -> dict:
    """Return an output of the given kinds, image_png standing for image/png."""
    return {
        "output_type": "display_data",
        "data": {kind.replace("_", "/"): value for kind, value in data.items()},
        "metadata": {},
    }


def test_there_are_notebooks():
    assert PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_is_fit_to_be_committed(path):
    assert notebooks.problems(path) == []


def test_notebooks_are_formatted():
    assert notebooks.format_problems(PATHS) == []


def test_a_sound_notebook_passes(tmp_path):
    assert problems_of(executed("x = 1", "print(x)"), tmp_path) == ""


def test_an_unexecuted_cell_is_noticed(tmp_path):
    notebook = executed("x = 1", "print(x)")
    notebook.cells[3].execution_count = None
    assert "numbered [1, 2, None]" in problems_of(notebook, tmp_path)


def test_an_edit_without_execution_is_noticed(tmp_path):
    notebook = executed("x = 1", "print(x)")
    notebook.cells[2].source = "x = 2"
    assert "changed since it was executed" in problems_of(notebook, tmp_path)


def test_a_long_cell_is_noticed(tmp_path):
    assert "26 lines of code" in problems_of(executed("\n".join(["x = 1"] * 26)), tmp_path)


def test_a_table_too_wide_for_a_phone_is_noticed(tmp_path):
    words = " ".join(["a sentence, however long, is folded"] * 3)
    for text, fine in (("left" + " " * 48 + "last", True), ("left" + " " * 49 + "last", False), (words, True)):
        printed = {"output_type": "stream", "name": "stdout", "text": text + "\n"}
        assert (problems_of(executed("print()", outputs=[printed]), tmp_path) == "") == fine, text


@pytest.mark.parametrize("tag", sorted(notebook_checks.FOLDED))
def test_a_cell_folded_in_one_place_alone_is_noticed(tmp_path, tag):
    notebook = executed("x = 1", metadata={"tags": [tag]})
    assert problems_of(notebook, tmp_path) == "", "`make notebooks` folds it in JupyterLab"
    notebook.cells[2].metadata.jupyter.source_hidden = False
    assert "folded on the page" in problems_of(notebook, tmp_path)
    alone = executed("x = 1", metadata={"jupyter": {"source_hidden": True}})
    assert "folded on the page" in problems_of(alone, tmp_path)


def test_a_line_that_ends_in_a_truth_value_is_noticed(tmp_path):
    for text, fine in (("equal: True", False), ("all (False).", False), ("True to 6 digits", True), ("Untrue", True)):
        printed = {"output_type": "stream", "name": "stdout", "text": f"70.1 %\n{text}\n"}
        assert (problems_of(executed("print()", outputs=[printed]), tmp_path) == "") == fine, text


def test_an_error_is_noticed_unless_it_is_announced(tmp_path):
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    assert "failed with ValueError: no" in problems_of(executed("f()", outputs=[error]), tmp_path)
    announced = executed("f()", outputs=[error], metadata={"tags": ["raises-exception"]})
    assert problems_of(announced, tmp_path) == ""


def test_another_kernel_is_noticed(tmp_path):
    notebook = executed("x = 1")
    notebook.metadata.kernelspec.name = "my-kernel"
    assert "metadata.kernelspec" in problems_of(notebook, tmp_path)


def test_a_picture_without_words_is_noticed(tmp_path):
    picture = display(image_png="iVBORw0KGgo=", text_plain="<Figure>")
    assert "text alternative ''" in problems_of(executed("plot()", outputs=[picture]), tmp_path)
    alt = {"mystnb": {"image": {"alt": "Two curves that cross at step ten."}}}
    assert problems_of(executed("plot()", outputs=[picture], metadata=alt), tmp_path) == ""


@pytest.mark.parametrize(
    ("html", "fine"),
    [
        ("<svg viewBox='0 0 1 1'></svg>", False),
        ('<svg role="img" aria-label=""></svg>', False),
        ('<svg role="img" aria-label="Three of four filters are open"></svg>', True),
        ('<svg aria-hidden="true"></svg>', True),
        ('<img src="data:image/png;base64,AA=="/>', False),
        ('<img src="data:image/png;base64,AA==" alt="Three of four filters are open"/>', True),
    ],
)
def test_pictures_in_html_need_words(tmp_path, html, fine):
    notebook = executed("show()", outputs=[display(text_html=html, text_plain="<Figure>")])
    assert (problems_of(notebook, tmp_path) == "") == fine


def widget_notebook(prefix: str) -> nbformat.NotebookNode:
    """Return a notebook that shows a box around a slider, their ids made of a prefix."""
    state = {
        f"{prefix}f0": {"model_name": "IntSliderModel", "state": {"value": 3}},
        f"{prefix}a1": {"model_name": "VBoxModel", "state": {"children": [f"IPY_MODEL_{prefix}f0"]}},
    }
    view = display(text_plain="VBox()")
    view["data"][notebooks.WIDGET_VIEW] = {"model_id": f"{prefix}a1", "version_major": 2}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("box", outputs=[nbformat.from_dict(view)])])
    notebook.cells[0].id = "box"
    notebook.metadata.widgets = nbformat.from_dict({notebooks.WIDGET_STATE: {"state": state}})
    return notebook


def test_widgets_get_the_same_ids_run_after_run():
    first, second = widget_notebook("7c1"), widget_notebook("e02")
    notebooks.normalise(first)
    notebooks.normalise(second)
    assert nbformat.writes(first) == nbformat.writes(second)
    state = first.metadata.widgets[notebooks.WIDGET_STATE]["state"]
    box = state[first.cells[0].outputs[0].data[notebooks.WIDGET_VIEW]["model_id"]]
    assert state[box.state.children[0].removeprefix("IPY_MODEL_")].model_name == "IntSliderModel"


def test_normalising_twice_changes_nothing():
    notebook = executed("x = 1", "print(x)")
    before = nbformat.writes(notebook)
    notebooks.normalise(notebook)
    assert nbformat.writes(notebook) == before


def test_a_shown_widget_without_its_state_is_noticed(tmp_path):
    notebook = widget_notebook("7c1")
    notebooks.normalise(notebook)
    notebook.metadata.pop("widgets")
    assert "its state was not saved" in problems_of(notebook, tmp_path)


def test_a_widget_picture_without_words_is_noticed(tmp_path):
    notebook = widget_notebook("7c1")
    state = notebook.metadata.widgets[notebooks.WIDGET_STATE]["state"]
    state["7c1f0"] = nbformat.from_dict({"model_name": "ImageModel", "state": {}})
    notebooks.normalise(notebook)
    assert "widgets.Image has no text alternative" in problems_of(notebook, tmp_path)


# --- the cell for Colab, and the time it takes ---------------------------------------------------------------------


def test_the_cell_for_colab_is_put_once_and_brought_up_to_date(tmp_path, monkeypatch):
    notebook = executed("x = 1")
    assert problems_of(notebook, tmp_path) == ""
    notebooks.put_colab_cell(notebook)
    assert len(notebook.cells) == 3
    (tmp_path / "_config.yml").write_text("repository: {url: https://github.com/reader/fork}")
    monkeypatch.setattr(notebook_checks, "ROOT", tmp_path)  # a fork has changed its settings
    assert "cell 1 is not the one for Colab" in problems_of(notebook, tmp_path)
    notebooks.put_colab_cell(notebook)
    assert len(notebook.cells) == 3
    assert "clone --quiet --depth 1 https://github.com/reader/fork\n" in notebook.cells[1].source
    assert "%pip install --quiet ./fork\n" in notebook.cells[1].source


def test_a_visible_cell_for_colab_is_noticed(tmp_path):
    notebook = executed("x = 1")
    notebook.cells[1].metadata.tags = []
    assert "cell 1 is not the one for Colab" in problems_of(notebook, tmp_path)


def test_every_notebook_has_a_time_within_its_limit():
    assert notebooks.time_problems(PATHS) == []
    assert set(notebooks.run_times()) == {path.stem for path in PATHS}


def test_a_time_of_other_code_or_over_the_limit_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "BOOK", tmp_path)
    monkeypatch.setattr(notebooks, "TIMES", tmp_path / "run_times.json")
    path = tmp_path / "page.ipynb"
    nbformat.write(executed("x = 1"), path)
    assert "no time for its present code" in notebooks.time_problems([path])[0]
    notebooks.note_time(path, 60.04, cores=2)
    assert notebooks.time_problems([path]) == []
    notebooks.note_time(path, 61, cores=2)
    assert "takes 61 s on 2 cores, at most 60 s" in notebooks.time_problems([path])[0]
    nbformat.write(executed("x = 2"), path)
    assert "no time for its present code" in notebooks.time_problems([path])[0]


SECONDS = {"a minute": 60, "half a minute": 30, "a quarter of a minute": 15}
SECONDS |= {f"{word} seconds": number for word, number in {"five": 5, "ten": 10, "twenty": 20, "forty": 40}.items()}


@pytest.mark.parametrize("path", [path for path in PATHS if path.stem != "index"], ids=lambda path: path.stem)
def test_a_chapter_s_box_says_how_long_it_runs(path):
    """Within a factor of two of what was measured."""
    (said,) = re.findall(r"^> \*\*It runs\*\* in about (.+?) on two cores", notebooks.read(path).cells[0].source, re.M)
    measured = notebooks.run_times()[path.stem]["seconds"]
    assert measured / 2 < SECONDS[said] < 2 * measured


# --- the parts of a chapter ----------------------------------------------------------------------------------------

TITLE = """\
# A chapter

> **After this chapter** you can
> add.
>
> **You need** two.
>
> **It runs** in a minute and **reads**.
"""


def chapter(*exercises: tuple[str, str, list[str]], title: str = TITLE, end: str = "## Further reading"):
    """Return a chapter with the given exercises: question, solution, the solution's tags."""
    cells = [nbformat.v4.new_markdown_cell(title), nbformat.v4.new_markdown_cell("## Summary\n\n## Exercises\n")]
    for question, solution, tags in exercises:
        cells += [nbformat.v4.new_markdown_cell(question), nbformat.v4.new_code_cell(solution, metadata={"tags": tags})]
    return canonical(*cells, nbformat.v4.new_markdown_cell(end))


WORDS = "\n\n**Solution.** It is 0.5, as $a . b$ says. Add."
SOUND = [(f"**{number}.** ★ Why?{WORDS}", "assert 1 + 1 == 2", ["hide-cell"]) for number in (1, 2, 3)]
PROJECT = "**A project.** ★★★ What if it is three?\n\n## Further reading"


def test_a_chapter_with_all_its_parts_passes(tmp_path):
    assert problems_of(chapter(*SOUND), tmp_path, "08_more") == ""
    hard = (f"**3.** ★★★ Why?\n*Hint:* count.{WORDS}", *SOUND[2][1:])
    assert problems_of(chapter(*SOUND[:2], hard), tmp_path, "08_more") == ""
    last = max(notebook_checks.last_of_parts())
    assert problems_of(chapter(*SOUND, end=PROJECT), tmp_path, last) == ""
    assert "ends its exercises with `**A project.**" in problems_of(chapter(*SOUND), tmp_path, last)
    assert problems_of(chapter(*SOUND[:1]), tmp_path, "a_page_without_number") == ""


@pytest.mark.parametrize(
    ("notebook", "complaint"),
    [
        (chapter(*SOUND[:2]), "exercises are numbered [1, 2]"),
        (chapter(*SOUND, *SOUND), "exercises are numbered [1, 2, 3, 1, 2, 3]"),
        (
            chapter(*SOUND[:2], (SOUND[2][0], "print(2)", ["hide-cell"])),
            "exercise 3: no cell of its solution asserts",
        ),
        (chapter(*SOUND[:2], (SOUND[2][0], "assert True", [])), "exercise 3: the solution's cells"),
        (chapter(*SOUND[:2], (f"**3.** Why?{WORDS}", *SOUND[2][1:])), "exercise 3: it does not begin with how hard"),
        (chapter(*SOUND[:2], (f"**3.** ★★★ Why?{WORDS}", *SOUND[2][1:])), "exercise 3: three stars and no `*Hint:*"),
        (
            chapter(*SOUND[:2], (SOUND[2][0].removesuffix("Add."), *SOUND[2][1:]), end=PROJECT),
            "exercise 3: `**Solution.**` says less than 2 sentences",
        ),
        (chapter(*SOUND, end="## Sources"), "the last sections are ['Summary', 'Exercises', 'Sources']"),
        (chapter(*SOUND, title=TITLE.replace("You need", "Needed")), "the box under the title has no line like"),
        (chapter(*SOUND, title=TITLE.replace(">\n> **You", "> **You")), "entry **You need** runs into the one before"),
        (chapter(*SOUND, title=TITLE.replace(">\n> **It", "> **It")), "entry **It runs** runs into the one before"),
        (chapter(*SOUND, title=TITLE.replace("**reads**", "reads")), "the box under the title has no line like"),
    ],
)
def test_a_chapter_that_lacks_a_part_is_noticed(tmp_path, notebook, complaint):
    assert complaint in problems_of(notebook, tmp_path, "08_more")


# --- spelling ------------------------------------------------------------------------------------------------------

AMERICAN = re.compile(
    r"\b\w*(?:behavior|color|gray|center|favor|neighbor|labeled|labeling|modeled|modeling|analyz|summariz|"
    r"(?:general|initial|normal|optim|regular|visual|minim|maxim|personal|random|real|recogn|central)iz)\w*",
    re.IGNORECASE,
)
PAGES = sorted(path for path in notebooks.BOOK.rglob("*.md") if path.stem != "bibliography")  # titles are not ours
# Code, formulas, the names of works, addresses and link targets keep their own spelling.
FOREIGN = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|(?<!\*)\*[^*]+\*(?!\*)|<[^>]*>|\]\([^)]*\)|https?://\S+", re.DOTALL
)


def american(text: str) -> list[str]:
    """Return the American spellings in the prose of a page's Markdown."""
    return AMERICAN.findall(FOREIGN.sub(" ", text))


@pytest.mark.parametrize("path", [*PATHS, *PAGES], ids=lambda path: path.name)
def test_prose_is_spelled_the_british_way(path):
    if path.suffix == ".md":
        texts = [path.read_text(encoding="utf-8")]
    else:
        texts = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown"]
    assert [word for text in texts for word in american(text)] == []


def test_an_american_spelling_is_noticed():
    assert american("A neighbor *optimizes* its `color`, $normalized$, [x](color.md)") == ["neighbor"]
    assert american("It generalizes.") == ["generalizes"]


def test_codespell_reads_notebooks_and_pages(tmp_path):
    wrong = "recie" + "ve"
    nbformat.write(executed("x = 1", source=f"x = 1  # {wrong}"), tmp_path / "a.ipynb")
    (tmp_path / "b.md").write_text(f"And {wrong} page.")
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(notebooks.ROOT / "pyproject.toml"), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    assert "a.ipynb" in said
    assert "b.md" in said
