"""The commands as a user calls them: what they leave on disk, what they print, how they refuse."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from small_data import write_alphabets

from mglib.__main__ import main

TINY = ["--image-size=14", "--width=8", "--depth=3", "--ways=3", "--queries=4", "--rounds=12", "--nodes-per-round=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_alphabets(tmp_path_factory.mktemp("alphabets"))


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
    assert sorted(file.name for file in run.iterdir()) == ["metrics.jsonl", "params.safetensors", "recipe.json"]


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


def test_images_dark_on_light_are_turned_as_in_training_and_stay_so(run, folder, tmp_path, capsys):
    for name, turn in (("light", False), ("dark", True)):
        (tmp_path / name).mkdir()
        for character in ("character0", "character2"):
            pixels = Image.open(folder / "alphabet3" / character / "1.png").convert("L")
            pixels.point(lambda value: 255 - value if turn else value).save(tmp_path / name / f"{character}.png")  # noqa: B023
        assert main(["adapt", str(run), "--support", str(tmp_path / name), "--out", str(tmp_path / f"{name}-net")]) == 0
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
        (["--architecture", "transformer"], "conv"),
        (["--ways", "9"], "9"),
        (["--shots", "30"], "30"),
        (["--queries", "30"], "30"),
        (["--nodes-per-round", "50"], "50"),
        (["--held-out", "Klingon"], "Klingon"),
        (["--device", "abacus"], "abacus"),
        (["--workers", "0"], "workers"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_train_refuses_and_leaves_nothing_behind(folder, tmp_path, capsys, options, message):
    data = ["--data", f"folder:{folder}", *TINY, "--out", str(tmp_path / "run")]
    assert message in refused(capsys, "train", *data, *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data", ["mnist-of-cats", "folder:", "folder:/does/not/exist"])
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
    assert "recipe.json" in refused(capsys, "predict", str(tmp_path), "x.png")


@pytest.mark.realdata
def test_on_real_images_one_step_reads_an_alphabet_never_seen(real_data, tmp_path, capsys):
    """A short training on four alphabets of Omniglot; the long one is in results/ and the README."""
    data = ["--data", f"folder:{real_data / 'omniglot-small1'}", "--held-out", "Latin", "--rotate"]
    out = str(tmp_path / "run")
    assert main(["train", *data, "--rounds", "150", "--width", "16", "--out", out, "--workers", "2"]) == 0
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
