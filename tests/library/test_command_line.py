"""The commands as a user calls them: what they leave on disk, what they print, how they refuse."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import pad.__main__
import studies.__main__
from mglib.__main__ import main
from mglib.tasks import load_federation

GLYPH_RUN = str(Path(__file__).resolve().parents[2] / "results" / "runs" / "glyphs" / "gated-50")
FILES_OF_A_RUN = ["federation.json", "metrics.jsonl", "params.safetensors", "recipe.json"]
TINY = ["--image-size=14", "--width=8", "--depth=3", "--ways=3", "--queries=4", "--rounds=12", "--nodes-per-round=2"]


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A run made by the command itself, in a process of its own."""
    out = tmp_path_factory.mktemp("runs") / "run"
    data = ["--data", f"folder:{folder}", "--held-out", "alphabet3", "--validation", "alphabet2"]
    process = command("train", *data, *TINY, "--out", str(out), "--workers", "1")
    assert process.returncode == 0, process.stderr
    assert "12 rounds" in process.stdout
    assert "%|" not in process.stderr, "a progress bar belongs on a terminal only"
    return out


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "mglib", *arguments], capture_output=True, text=True, check=False)


def refused(capsys, *arguments):
    """Run a command that must refuse; return what it says."""
    try:
        code = main(arguments)
    except SystemExit as exit_:  # tyro's own way to refuse what is no number, no option, no choice
        code = exit_.code
    assert code == 2
    return capsys.readouterr().err


def test_train_writes_parameters_recipe_and_metrics(run):
    assert sorted(file.name for file in run.iterdir()) == FILES_OF_A_RUN


def test_evaluate_prints_one_object_with_what_tables_need(run, capsys):
    assert main(["evaluate", str(run), "--tasks", "5", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for name in ("accuracy", "ci95", "macs_ratio", "accuracy_zero_step"):
        assert 0 <= record[name] <= 1.1
    assert (record["tasks"], record["ways"], record["shots"], record["budget"]) == (5, 3, 1, 0.5)
    assert record["nodes"] == ["alphabet3"]
    assert record["recipe"]["held_out"] == ["alphabet3"]
    assert {"versions", "date", "seed"} <= record.keys()


def test_evaluate_speaks_to_people_too(run, capsys):
    assert main(["evaluate", str(run), "--tasks", "3", "--split", "validation"]) == 0
    said = capsys.readouterr().out
    assert "alphabet2" in said
    assert "MACs" in said


def test_own_images_become_a_network_that_names_them(run, folder, tmp_path, capsys):
    support = tmp_path / "support"
    support.mkdir()
    for name in ("character0", "character2", "character5"):
        source = folder / "alphabet3" / name / "1.png"
        (support / f"{name}.png").write_bytes(source.read_bytes())
    assert main(["adapt", str(run), "--support", str(support), "--out", str(tmp_path / "mine")]) == 0
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["network.safetensors", "recipe.json"]
    said = capsys.readouterr().out
    assert "character0, character2, character5" in said
    image = folder / "alphabet3" / "character2" / "1.png"
    assert main(["predict", str(tmp_path / "mine"), str(image), str(image), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == second
    assert first["class"] in ("character0", "character2", "character5")
    assert 0 < first["macs_ratio"] < 1.1


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    """Three characters of a script that the book's run never saw, an image each, and one more of the second."""
    folder, node = tmp_path_factory.mktemp("glyphs"), load_federation("glyphs").test[0]
    task = node.sample_task(3, 1, 1, np.random.default_rng(0))
    (folder / "support").mkdir()
    for name, image in zip(("one", "two", "three"), task.support.images, strict=True):
        Image.fromarray((255 * image[0]).byte().numpy()).save(folder / "support" / f"{name}.png")
    query = task.query.images[task.query.labels == 1][0, 0]
    Image.fromarray((255 * query).byte().numpy()).save(folder / "query.png")
    return folder


def test_adapt_writes_a_smaller_network_and_says_what_it_saved(glyphs, tmp_path, capsys):
    images = sorted((glyphs / "support").iterdir())
    said, size, shares, rows = {}, {}, {}, {}
    for name, options in (("small", []), ("whole", ["--no-freeze"])):
        out = tmp_path / name
        assert main(["adapt", GLYPH_RUN, "--support", str(glyphs / "support"), "--out", str(out), *options]) == 0
        said[name], size[name] = capsys.readouterr().out, (out / "network.safetensors").stat().st_size
        assert f"{size[name]:,} bytes on disk" in said[name]
        shares[name] = [float(share) for share in re.findall(r"([\d.]+)% ", said[name])]
        assert main(["predict", str(out), *map(str, images), "--json"]) == 0
        rows[name] = json.loads(capsys.readouterr().out)
    assert size["small"] < size["whole"]
    (kept,) = re.findall(r"filters kept, of 32: (.*)", said["small"])
    assert 4 <= sum(map(int, kept.split(", "))) < 4 * 32
    assert "filters kept" not in said["whole"]
    assert 0 < shares["small"][0] < 100, "bytes saved"
    assert "by freezing" not in said["whole"], "where nothing is saved"
    assert shares["small"][1] < shares["whole"][0], "MACs needed"
    for row, of_whole in zip(rows["small"], rows["whole"], strict=True):
        assert row["class"] == of_whole["class"]
        assert row["probability"] == pytest.approx(of_whole["probability"], abs=1e-5)
        assert row["macs_ratio"] < of_whole["macs_ratio"]


def test_export_writes_what_onnxruntime_answers_as_predict_does(glyphs, tmp_path, capsys):
    mine, file, query = tmp_path / "mine", tmp_path / "exported" / "mine.onnx", glyphs / "query.png"
    assert main(["adapt", GLYPH_RUN, "--support", str(glyphs / "support"), "--out", str(mine)]) == 0
    capsys.readouterr()
    assert main(["predict", str(mine), str(query), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert main(["export", str(mine), "--out", str(file)]) == 0
    said = capsys.readouterr()
    assert f"{file.stat().st_size:,} bytes" in said.out
    assert "logits, gates_conv_1, gates_conv_2, gates_conv_3, gates_conv_4" in said.out
    assert said.err == ""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    pixels = np.asarray(Image.open(query), np.float32)[None, None] / 255
    (logits,) = session.run(["logits"], {"images": pixels})[0]
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"])[logits.argmax()] == answer["class"]
    assert np.exp(logits.max()) / np.exp(logits).sum() == pytest.approx(answer["probability"], abs=1e-5)


def test_export_overwrites_nothing_and_wants_a_network(glyphs, tmp_path, capsys):
    mine, file = tmp_path / "mine", tmp_path / "mine.onnx"
    assert main(["adapt", GLYPH_RUN, "--support", str(glyphs / "support"), "--out", str(mine)]) == 0
    file.write_text("do not lose me")
    assert "exists already" in refused(capsys, "export", str(mine), "--out", str(file))
    assert file.read_text() == "do not lose me"
    assert "holds no network" in refused(capsys, "export", str(tmp_path), "--out", str(tmp_path / "x.onnx"))


def test_images_dark_on_light_are_turned_if_told_and_stay_so(run, folder, tmp_path, capsys):
    for name, turn in (("light", False), ("dark", True)):
        (tmp_path / name).mkdir()
        for character in ("character0", "character2"):
            pixels = Image.open(folder / "alphabet3" / character / "1.png").convert("L")
            pixels.point(lambda value: 255 - value if turn else value).save(tmp_path / name / f"{character}.png")  # noqa: B023
        told = ["--invert", "True"] if turn else []
        out = ["--out", str(tmp_path / f"{name}-net")]
        assert main(["adapt", str(run), "--support", str(tmp_path / name), *out, *told]) == 0
    capsys.readouterr()
    answers = []
    for name in ("light", "dark"):
        image = tmp_path / name / "character2.png"
        assert main(["predict", str(tmp_path / f"{name}-net"), str(image), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)[0]["probability"])
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "0"], "budget"),
        (["--budget", "1.2"], "1.2"),
        (["--budget", "nan"], "nan"),
        (["--budget", "half"], "half"),
        (["--server", "transformer"], "adam"),
        (["--ways", "9"], "9"),
        (["--shots", "30"], "30"),
        (["--queries", "30"], "30"),
        (["--nodes-per-round", "50"], "50"),
        (["--held-out", "Klingon"], "Klingon"),
        (["--device", "abacus"], "abacus"),
        (["--workers", "0"], "workers"),
        (["--seed", "-1"], "seed"),
        (["--seed", str(2**64)], str(2**63 - 1)),
        (["--deadline", "nan"], "deadline"),
        (["--gate-learning-rate", "inf"], "gate_learning_rate"),
    ],
)
def test_train_refuses_and_leaves_nothing_behind(folder, tmp_path, capsys, options, message):
    data = ["--data", f"folder:{folder}", *TINY, "--out", str(tmp_path / "run")]
    assert message in refused(capsys, "train", *data, *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data", ["mnist-of-cats", "folder:", "folder:/does/not/exist", "folder:~nobody-here/x"])
def test_data_that_do_not_exist_are_refused_by_name(tmp_path, capsys, data):
    said = refused(capsys, "train", "--data", data, "--out", str(tmp_path / "run"))
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert data.removeprefix("folder:") in said
    assert not (tmp_path / "run").exists()


def test_an_empty_folder_and_a_truncated_image_are_refused_by_name(run, folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(capsys, "adapt", str(run), "--support", str(tmp_path / "empty"), "--out", "x")
    broken = tmp_path / "broken"
    broken.mkdir()
    whole = (folder / "alphabet0" / "character0" / "0.png").read_bytes()
    (broken / "a.png").write_bytes(whole)
    (broken / "b.png").write_bytes(whole[: len(whole) // 2])
    said = refused(capsys, "adapt", str(run), "--support", str(broken), "--out", str(tmp_path / "mine"))
    assert "b.png" in said
    assert not (tmp_path / "mine").exists()


def test_a_run_in_the_way_is_refused_and_kept(run, folder, capsys):
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    data = ["--data", f"folder:{folder}", "--held-out", "alphabet3", "--validation", "alphabet2", *TINY]
    assert "already holds a run" in refused(capsys, "train", *data, "--out", str(run))
    assert "another recipe" in refused(capsys, "train", *data, "--out", str(run), "--resume", "--seed", "9")
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_commands_that_get_the_wrong_folder_say_so(tmp_path, capsys):
    assert "holds no run" in refused(capsys, "evaluate", str(tmp_path))
    assert "holds no run" in refused(capsys, "adapt", str(tmp_path), "--support", str(tmp_path), "--out", "x")
    told = refused(capsys, "predict", str(tmp_path), "x.png")
    assert f"{tmp_path} holds no network that adapt wrote: there is no network.safetensors" in told


def test_a_run_and_a_network_are_told_apart(glyphs, tmp_path, capsys):
    support, own = str(glyphs / "support"), str(tmp_path / "own")
    assert main(["adapt", GLYPH_RUN, "--support", support, "--out", own]) == 0
    commands = ["evaluate", own], ["adapt", own, "--support", support, "--out", "x"], ["train", "--out", own]
    for command in (*commands, ["train", "--resume", "--out", own]):
        assert f"{own} holds a network that adapt wrote, no run: predict" in refused(capsys, *command)
    assert f"{GLYPH_RUN} holds a run, no network that adapt wrote: ev" in refused(capsys, "predict", GLYPH_RUN, "x.png")
    (tmp_path / "own" / "network.safetensors").unlink()
    assert f"{own} holds no network that adapt wrote: there is no" in refused(capsys, "predict", own, "x.png")


def test_what_is_in_the_way_of_a_command_is_not_overwritten(run, folder, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("do not lose me")
    support = tmp_path / "support"
    for name in ("character0", "character2"):
        (support / name).mkdir(parents=True)
        (support / name / "1.png").write_bytes((folder / "alphabet3" / name / "1.png").read_bytes())
    assert pad.__main__.main(["export", GLYPH_RUN, "--out", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
    commands = [["adapt", str(run), "--support", str(support)], ["train"]]
    for command in commands:
        assert str(file) in refused(capsys, *command, "--out", str(file)), command
        assert file.read_text() == "do not lose me"


def test_a_disk_that_is_full_leaves_nothing_half_written(folder, tmp_path, capsys, full_disk):
    data = ["--data", f"folder:{folder}", "--held-out", "alphabet3", "--validation", "alphabet2", *TINY]
    with full_disk(bytes_left=5000):
        trained = refused(capsys, "train", *data, "--out", str(tmp_path / "run"), "--workers", "1")
    assert f"checkpoint.safetensors'; no checkpoint yet: remove {tmp_path / 'run'} to begin again\n" in trained
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["run", "run/federation.json", "run/metrics.jsonl", "run/recipe.json"]


@pytest.fixture
def spoken(monkeypatch):
    """Return a function that puts a stream of the process's own in the place of standard output."""

    def put(stream):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        return stream

    return put


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_of_few_characters_and_no_stderr_is_enough(run, encoding, spoken, monkeypatch):
    said = spoken(io.TextIOWrapper(io.BytesIO(), encoding)).buffer
    for name in ("stderr", "__stderr__"):  # as Python has it where the shell closed it
        monkeypatch.setattr(sys, name, None)
    assert main(["evaluate", str(run), "--tasks", "2"]) == 0
    accuracy = r"accuracy after adaptation +[\d.]+% (±|\\xb1) [\d.]+% \(95 %, over tasks\)\n"
    assert re.search(accuracy, said.getvalue().decode(encoding))
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    sys.stdout.flush()
    assert ended.value.code == 0
    assert "\\u03bb: cross-entropy" in said.getvalue().decode(encoding)
    sys.stderr.close()


def test_a_reader_who_leaves_stops_no_work_and_a_full_disk_does(run, spoken, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with spoken(os.fdopen(writer, "w")):
        assert main(["evaluate", str(run), "--tasks", "2"]) == 0
    if os.path.exists("/dev/full"):
        with spoken(open("/dev/full", "w")):
            said = refused(capsys, "evaluate", str(run), "--tasks", "2")
        assert said.startswith("error: [Errno 28]")


SITE = """
import os, signal, sys

class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            sys.meta_path.remove(Interrupt)
            os.killpg(0, signal.SIGINT)

if os.environ["INTERRUPTED"] in " ".join(sys.orig_argv):
    sys.meta_path.insert(0, Interrupt)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the workers are started by the fork server")
@pytest.mark.parametrize("program", ["-m mglib", "multiprocessing.forkserver"])
def test_ctrl_c_while_a_process_imports_torch_is_one_line(program, folder, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    data = ["--data", f"folder:{folder}", "--held-out", "alphabet3", "--validation", "alphabet2", *TINY]
    process = subprocess.run(
        [sys.executable, "-m", "mglib", "train", *data, "--workers", "2", "--out", str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": path, "INTERRUPTED": program},
        start_new_session=True, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (process.returncode, process.stdout) == (130, "")
    assert re.fullmatch(r"stopped(; no checkpoint yet: .*)?\n", process.stderr)


def test_the_command_line_begins_without_torch():
    code = "import sys, mglib.__main__; assert not {'torch', 'tyro'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_evaluate_refuses_a_seed_that_nothing_takes(run, capsys, seed):
    assert f"`seed` (={seed}) must be a whole number from 0 to" in refused(
        capsys, "evaluate", str(run), f"--seed={seed}"
    )


def test_a_table_shown_away_from_its_records_says_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for table in ("ablations", "gates"):
        assert studies.__main__.main(["reproduce", table, "--show", "--out", "nowhere"]) == 2
        said = capsys.readouterr().err
        assert f"no records in {tmp_path / 'nowhere'}: name their folder with --out" in said


@pytest.mark.realdata
def test_on_real_images_one_step_reads_an_alphabet_never_seen(real_data, tmp_path, capsys):
    """A short training on four alphabets of Omniglot; the long one is in results/ and the README."""
    data = ["--data", f"folder:{real_data / 'omniglot-small1'}", "--held-out", "Latin", "--rotate"]
    out = str(tmp_path / "run")
    assert main(["train", *data, "--rounds", "150", "--width", "16", "--out", out, "--workers", "1"]) == 0
    assert main(["evaluate", out, "--tasks", "40", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    assert record["nodes"] == ["Latin"]
    assert record["accuracy"] - record["ci95"] > 0.3
    assert abs(record["accuracy_zero_step"] - 0.2) < 0.06


@pytest.mark.realdata
def test_own_photographs_in_colour_make_a_network(real_data, tmp_path):
    data = ["--data", f"folder:{real_data / 'cifar10-train-5000'}", "--image-size", "16", "--width", "8"]
    out = str(tmp_path / "run")
    assert main(["train", *data, "--rounds", "4", "--nodes-per-round", "1", "--out", out, "--workers", "1"]) == 0
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["channels"] == 3
