"""The build executes what has changed and nothing else, and renders the outputs of the executed copies."""

import socket

import book_extension
import executed
import nbformat
import pytest
from executed import bring_up_to_date, fingerprint, with_outputs
from jupyter_client.manager import KernelManager
from notebook_checks import colab_source
from notebooks import execute

LIBRARY = "def answer():\n    return {number}\n"


@pytest.fixture
def project(tmp_path):
    """A library of one line, and two notebooks of which one fails if it is asked to."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "tiny.py").write_text(LIBRARY.format(number=41))
    for name in ("one", "two"):
        cells = [
            nbformat.v4.new_markdown_cell("# A title", id="title"),
            nbformat.v4.new_code_cell(colab_source(), id="colab"),
            nbformat.v4.new_code_cell("sys.path.insert(0, 'lib')\nimport tiny", id="import"),
            nbformat.v4.new_code_cell(f"print('{name}', tiny.answer())", id="print"),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    return tmp_path


def build(project, capsys):
    """Bring both copies up to date; return which were executed, and whether all went well."""
    inputs = fingerprint(project, ["lib"])
    paths = [project / "one.ipynb", project / "two.ipynb"]
    well = bring_up_to_date(paths, project / "executed", workers=2, inputs=inputs)
    said = capsys.readouterr()
    return [name for name in ("one", "two") if f" {name}, " in said.out], well, said


def printed(project, name):
    copy = nbformat.read(project / "executed" / f"{name}.ipynb", as_version=4)
    return copy.cells[-1].outputs[0].text


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_only_what_has_changed_is_executed_again(project, capsys):
    assert build(project, capsys)[:2] == (["one", "two"], True)
    assert (printed(project, "one"), printed(project, "two")) == ("one 41\n", "two 41\n")
    assert build(project, capsys)[:2] == ([], True)
    change(project / "lib" / "tiny.py", "41", "42")  # a line of the library, and all that use it run again
    assert build(project, capsys)[0] == ["one", "two"]
    assert printed(project, "two") == "two 42\n"
    (project / "lib" / "run_times.json").write_text("{}")  # which no notebook reads
    assert build(project, capsys)[0] == []
    change(project / "one.ipynb", "A title", "Another title")  # its words need no kernel
    assert build(project, capsys)[0] == []
    change(project / "one.ipynb", "'one'", "'the first'")
    assert build(project, capsys)[0] == ["one"]
    assert printed(project, "one") == "the first 42\n"


def test_a_kernel_whose_port_was_taken_is_started_anew(project, monkeypatch):
    write, kernels = KernelManager.write_connection_file, []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def on_a_port_that_is_taken_once(manager, **options):
            kernels.append(manager)
            manager.shell_port = 0 if len(kernels) > 1 else other.getsockname()[1]
            write(manager, **options)

        monkeypatch.setattr(KernelManager, "write_connection_file", on_a_port_that_is_taken_once)
        assert execute(project / "one.ipynb", 60).cells[-1].outputs[0].text == "one 41\n"
    assert len(kernels) == 2


def test_a_failing_cell_is_told_and_leaves_no_fresh_copy(project, capsys):
    change(project / "two.ipynb", "tiny.answer()", "1 / 0")
    done, well, said = build(project, capsys)
    assert (done, well) == (["one"], False)
    assert "two.ipynb" in said.err
    assert "ZeroDivisionError" in said.err
    assert build(project, capsys)[:2] == ([], False)


def test_pages_show_the_executed_outputs_under_the_present_words(project, capsys):
    build(project, capsys)
    change(project / "one.ipynb", "A title", "Another title")
    config = type("Config", (), {"executed_notebooks": str(project / "executed")})
    source = [(project / "one.ipynb").read_text()]
    book_extension.take_outputs(type("App", (), {"config": config}), "book/one", source)
    shown = nbformat.reads(source[0], as_version=4)
    assert shown.cells[0].source == "# Another title"
    assert shown.cells[-1].outputs[0].text == "one 41\n"
    source = [(project / "two.ipynb").read_text()]
    config.executed_notebooks = ""
    book_extension.take_outputs(type("App", (), {"config": config}), "book/two", source)
    assert nbformat.reads(source[0], as_version=4).cells[-1].outputs == []


def test_widgets_come_from_the_executed_copy():
    cell = nbformat.v4.new_code_cell("x", id="x")
    old, new = (nbformat.v4.new_notebook(cells=[cell.copy()], metadata={"widgets": {"state": n}}) for n in (1, 2))
    assert with_outputs(old, new).metadata.widgets == {"state": 2}
    assert "widgets" not in with_outputs(old, nbformat.v4.new_notebook(cells=[cell])).metadata


def test_the_library_and_the_results_are_among_what_notebooks_read():
    assert {"mglib", "results", "book/figures", "book/studies"} <= set(executed.READS)
    assert all((executed.ROOT / name).exists() for name in executed.READS)
