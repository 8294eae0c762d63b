"""The committed notebooks are executed, in canonical form, short in their cells and readable without sight."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent


def load_script(name: str):
    """Import a file of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notebooks = load_script("notebooks")
PATHS = notebooks.notebooks()


def executed(*sources: str, **first_cell) -> nbformat.NotebookNode:
    """Return a notebook as `make notebooks` would leave it, its first cell with what is given."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for key, value in first_cell.items():
        cells[0][key] = nbformat.from_dict(value)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebooks.normalise(notebook)
    return notebook


def problems_of(notebook: nbformat.NotebookNode, tmp_path: Path) -> str:
    """Return what the check says about a notebook."""
    path = tmp_path / "chapter.ipynb"
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
    notebook.cells[1].execution_count = None
    assert "numbered [1, None]" in problems_of(notebook, tmp_path)


def test_an_edit_without_execution_is_noticed(tmp_path):
    notebook = executed("x = 1", "print(x)")
    notebook.cells[0].source = "x = 2"
    assert "changed since it was executed" in problems_of(notebook, tmp_path)


def test_a_long_cell_is_noticed(tmp_path):
    assert "26 lines of code" in problems_of(executed("\n".join(["x = 1"] * 26)), tmp_path)


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
