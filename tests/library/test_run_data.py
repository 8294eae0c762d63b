"""What training found out about its data stays with the run: polarity, size, seed, place, and which nodes it had."""

import dataclasses
import json
import os
import shutil
import warnings

import numpy as np
import pytest
import torch
from image_files import pixels_of, write_image
from PIL import Image
from small_data import small_recipe, write_alphabets

from mglib.flower import own_node
from mglib.tasks import Federation, Node, glyph_federation, load_federation
from mglib.training import Recipe, Run, adapt_to_folder, evaluate, evaluate_run, set_up, train
from mglib.training.experiment import data_of


@pytest.fixture
def folder(tmp_path):
    return write_alphabets(tmp_path / "nodes", examples=5)


@pytest.fixture
def photos(tmp_path):
    """Dark photographs in colour, as nodes of six classes."""
    generator = np.random.default_rng(0)
    for place in (f"alphabet{node}/class{label}" for node in range(4) for label in range(6)):
        for example in range(5):
            file = write_image(tmp_path / "photos" / place / f"{example}.png")
            Image.fromarray(generator.integers(0, 120, (14, 14, 3), dtype=np.uint8)).save(file)
    return tmp_path / "photos"


def turn(root):
    """Make dark images bright and bright ones dark."""
    for file in root.rglob("*.png"):
        Image.fromarray(255 - pixels_of(file)).save(file)
    return root


def trained(folder, out, **changes):
    train(small_recipe(folder, rounds=1, width=2, depth=1, **changes), out)
    return Run(out)


def support_of(node, target, **options):
    for label in range(3):
        shutil.copytree(sorted(path for path in node.iterdir())[label], target / f"c{label}", **options)
    return target


# --- polarity ------------------------------------------------------------------------------------------------------


def test_bright_photos_adapted_to_a_photo_run_keep_their_pixels(photos, tmp_path):
    run = trained(photos, tmp_path / "run")
    own = turn(support_of(photos / "alphabet3", tmp_path / "own"))
    network, support = adapt_to_folder(run, own)
    assert not network.inverted
    first = np.asarray(Image.open(own / "c0" / "0.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal((support.images[0] * 255).round().numpy(), first)
    assert adapt_to_folder(run, own, invert=True)[0].inverted


def test_a_run_on_ink_on_paper_inverts_what_it_adapts_to(folder, tmp_path):
    run = trained(turn(folder), tmp_path / "run")
    assert Recipe.load(run.recipe_file).invert is True
    own = support_of(folder / "alphabet3", tmp_path / "own")
    assert adapt_to_folder(run, own)[0].inverted
    with pytest.warns(UserWarning, match=r"own are bright once they are inverted.* pass --invert False"):
        network, _ = adapt_to_folder(run, turn(own))
    assert network.inverted
    with pytest.warns(UserWarning, match="once they are inverted"):
        adapt_to_folder(run, own, invert=True)


def test_a_run_on_drawn_images_looks_at_what_it_adapts_to(tmp_path):
    train(Recipe(width=2, depth=1, queries=4, rounds=1), tmp_path / "run")
    assert Recipe.load(Run(tmp_path / "run").recipe_file).invert is False
    own = support_of(write_alphabets(tmp_path / "dark") / "alphabet0", tmp_path / "own")
    dark, _ = adapt_to_folder(Run(tmp_path / "run"), own)
    bright, _ = adapt_to_folder(Run(tmp_path / "run"), turn(own))
    assert (dark.inverted, bright.inverted) == (False, True)
    with pytest.warns(UserWarning, match="pass --invert True"):
        adapt_to_folder(Run(tmp_path / "run"), own, invert=False)


@pytest.mark.parametrize("bright", [["alphabet1"], ["alphabet0", "alphabet1", "alphabet2"]])
def test_a_node_alone_and_in_process_see_the_same_bytes(folder, bright):
    for name in bright:
        turn(folder / name)
    experiment = set_up(small_recipe(folder))
    assert experiment.recipe.invert is (len(bright) == 3)
    for node in experiment.federation.train:
        alone = own_node({"data": f"folder:{folder / node.name}"}, experiment.recipe)
        assert torch.equal(alone.images, node.images)
    undecided = own_node(
        {"data": f"folder:{folder / 'alphabet1'}"}, dataclasses.replace(experiment.recipe, invert=None)
    )
    assert torch.equal(undecided.images, node.images) is (len(bright) == 3)


def test_other_data_are_read_as_the_run_was(folder, photos, tmp_path):
    run = trained(photos, tmp_path / "run", channels=1)
    first, second = (evaluate_run(run, data=f"folder:{path}", tasks=2) for path in (folder, folder))
    assert first == second
    with pytest.warns(UserWarning, match="most pixels of folder:.* are bright: if they are dark ink"):
        assert evaluate_run(run, data=f"folder:{turn(folder)}", tasks=2) != first, "bright images were turned for it"


def test_photos_are_not_inverted_unless_asked_for(photos):
    with pytest.warns(UserWarning, match="bright, but have colour, so they stay"):
        kept = load_federation(f"folder:{turn(photos)}", image_size=14)
    assert kept.train[0].images.float().mean() > 127
    asked = load_federation(f"folder:{photos}", image_size=14, invert=True)
    assert (asked.inverted, kept.inverted) == (True, False)
    assert torch.equal(asked.train[0].images, 255 - kept.train[0].images)


def old_run(run):
    """Make a run one from before: without what is stored of the data today."""
    fields = json.loads(run.recipe_file.read_text())
    run.recipe_file.write_text(json.dumps({k: v for k, v in fields.items() if k not in ("invert", "data_seed")}))
    run.nodes_file.unlink()
    return run


def test_a_run_from_before_is_evaluated_as_it_was(folder, tmp_path):
    run = trained(turn(folder), tmp_path / "run")
    today = evaluate_run(run, tasks=3)
    before = old_run(run)
    assert load_federation(**data_of(Recipe.load(before.recipe_file))).inverted
    assert evaluate_run(before, tasks=3) == today
    train(small_recipe(folder, rounds=1, width=2, depth=1), before.folder, resume=True)


# --- seeds ---------------------------------------------------------------------------------------------------------


def few_glyphs(settings, **options):
    """A glyph federation of two small scripts in place of all."""
    few = dataclasses.replace(settings, examples=1, writers=1, held_out_writers=1)
    return glyph_federation(
        few, scripts=("Ogham", "Georgian"), held_out=("Georgian",), validation=(), cache=options["cache"]
    )


def test_the_data_seed_draws_the_glyphs_and_the_seed_does_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MGLIB_CACHE", str(tmp_path))
    monkeypatch.setattr("mglib.tasks.datasets.glyph_federation", few_glyphs)
    recipes = (Recipe(image_size=8, **seeds) for seeds in ({}, {"data_seed": 1}, {"seed": 1}))
    first, other, same = (load_federation(**data_of(recipe)) for recipe in recipes)
    assert torch.equal(first.train[0].images, same.train[0].images)
    assert not torch.equal(first.train[0].images, other.train[0].images)


def test_the_data_seed_draws_the_split_and_the_seed_does_not(tmp_path):
    folder = write_alphabets(tmp_path, alphabets=9, characters=1, examples=1)

    def held_out(**seeds):
        return [node.name for node in load_federation(**data_of(Recipe(data=f"folder:{folder}", **seeds))).test]

    assert held_out() == held_out(seed=1) == held_out(data_seed=0)
    assert held_out() != held_out(data_seed=1)


# --- a federation that changes -------------------------------------------------------------------------------------


@pytest.fixture
def eight(tmp_path):
    """Eight nodes of which the recipe names none, and a run that was stopped after its first checkpoint."""
    folder = write_alphabets(tmp_path / "eight", alphabets=8, characters=3, examples=5)
    recipe = small_recipe(folder, held_out=(), validation=(), rounds=11, width=2, depth=1)

    def stop(metrics):
        if metrics["round"] == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", on_round=stop)
    return folder, recipe, Run(tmp_path / "run")


def test_a_copied_node_is_told_and_neither_trained_nor_held_out(eight):
    folder, recipe, run = eight
    shutil.copytree(folder / "alphabet0", folder / "copy")
    with pytest.raises(ValueError, match=r"not what the run .* was begun on: copy is new; undo that"):
        train(recipe, run.folder, resume=True)
    shutil.rmtree(folder / "copy")
    train(recipe, run.folder, resume=True)
    before = evaluate_run(run, tasks=4)
    for name in ("copy", "another", "third"):
        shutil.copytree(folder / "alphabet0", folder / name)
    with pytest.warns(UserWarning, match="another is new, copy is new, third is new; none of them"):
        assert evaluate_run(run, tasks=4) == before
    assert sorted(run.nodes["train"] | run.nodes["test"]) == [f"alphabet{number}" for number in range(8)]


def test_a_run_that_names_no_nodes_asks_for_no_images(tmp_path):
    assert Run(tmp_path).changes(None) == {}


def test_held_out_nodes_gone_or_changed_are_refused_by_name(eight):
    folder, recipe, run = eight
    train(recipe, run.folder, resume=True)
    gone, changed = sorted(run.nodes["test"])
    shutil.rmtree(folder / gone)
    turn(folder / changed / "character0")
    with pytest.raises(ValueError, match=rf"held out: {gone} is gone, {changed} holds other images"):
        evaluate_run(run, tasks=2)
    with pytest.raises(ValueError, match=rf"held out: {changed} holds"):
        evaluate_run(run, tasks=2, nodes=[changed])


def test_trained_nodes_that_changed_are_told(eight):
    folder, recipe, run = eight
    train(recipe, run.folder, resume=True)
    first, second, *_ = sorted(run.nodes["train"])
    turn(folder / first / "character0")
    shutil.rmtree(folder / second)
    with pytest.warns(UserWarning, match=rf"{first} holds other images, {second} is gone"):
        evaluation = evaluate_run(run, tasks=2)
    assert sorted(evaluation["nodes"]) == sorted(run.nodes["test"])


def test_a_trained_node_under_another_path_is_not_new(eight):
    folder, recipe, run = eight
    train(recipe, run.folder, resume=True)
    node = min(run.nodes["train"])
    shutil.copytree(folder / node, folder.parent / "elsewhere" / "stranger")
    with pytest.raises(ValueError, match=rf"was trained on: stranger \({node}\)"):
        evaluate_run(run, data=f"folder:{folder.parent / 'elsewhere'}", tasks=2)


# --- where the data lie --------------------------------------------------------------------------------------------


def test_a_relative_path_is_stored_so_that_any_folder_reads_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = dataclasses.replace(small_recipe(folder, rounds=1, width=2, depth=1), data="folder:./nodes")
    train(recipe, tmp_path / "run")
    assert Recipe.load(tmp_path / "run" / "recipe.json").data == f"folder:{folder}"
    train(dataclasses.replace(recipe, data="folder:nodes"), tmp_path / "run", resume=True)
    monkeypatch.chdir("/")
    assert evaluate_run(Run(tmp_path / "run"), tasks=2)["nodes"] == ["alphabet3"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert set_up(dataclasses.replace(recipe, data="folder:~/nodes")).recipe.data == f"folder:{folder}"


@pytest.mark.parametrize("out", [".", "runs/own", "../nodes/alphabet0"])
def test_a_run_does_not_go_into_its_own_data(folder, monkeypatch, out):
    monkeypatch.chdir(folder)
    before = sorted(os.walk(folder))
    with pytest.raises(ValueError, match=rf"`out` \({folder}.*\) lies in the data \({folder}\)"):
        train(dataclasses.replace(small_recipe(folder), data="folder:."), folder / out)
    assert sorted(os.walk(folder)) == before


# --- whose nodes are meant -----------------------------------------------------------------------------------------


def test_a_run_on_a_federation_of_ones_own_asks_for_it_and_knows_glyphs_as_new(tmp_path):
    own = Federation("own", [node_of("a"), node_of("b")], (), [node_of("c"), node_of("d")], image_size=20, channels=1)
    run = Run(tmp_path / "run")
    train(Recipe(width=2, queries=3, rounds=1, nodes_per_round=2), run.folder, federation=own)
    with pytest.raises(ValueError, match=r"were passed to it: pass them as `federation`"):
        evaluate_run(run, tasks=2)
    assert evaluate_run(run, tasks=3, federation=own)["nodes"] == ["c", "d"]
    assert evaluate_run(run, tasks=2, data="glyphs", nodes=["Lao/writer1"])["nodes"] == ["Lao/writer1"]
    with pytest.raises(ValueError, match="held out no validation nodes"):
        evaluate_run(run, tasks=2, federation=own, split="validation")


def test_a_record_names_the_nodes_that_gave_a_task(folder, tmp_path):
    run = trained(folder, tmp_path / "run", held_out=("alphabet0", "alphabet3"), nodes_per_round=1)
    assert evaluate_run(run, tasks=2)["nodes"] == ["alphabet0", "alphabet3"]
    other = write_alphabets(tmp_path / "other", seed=1)
    assert evaluate_run(run, tasks=2, data=f"folder:{other}")["nodes"] == ["alphabet0", "alphabet1"]


def test_a_run_of_dark_ink_reads_glyphs_as_they_are_and_warns_of_light_ink(folder, tmp_path):
    run = trained(turn(folder), tmp_path / "run")
    assert Recipe.load(run.recipe_file).invert
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_run(run, tasks=2, data="glyphs")
    with pytest.warns(UserWarning, match=r"are bright once they are inverted: .* then, turn them"):
        evaluate_run(run, tasks=2, data=f"folder:{write_alphabets(tmp_path / 'light', seed=1)}")


# --- data that do not fit ------------------------------------------------------------------------------------------


def node_of(name, size=20, classes=5, examples=4):
    images = torch.randint(0, 256, (classes * examples, 1, size, size), dtype=torch.uint8)
    names = tuple(f"{name}/{label}" for label in range(classes))
    return Node(name, names, images, torch.arange(classes).repeat_interleave(examples))


@pytest.mark.parametrize("size", [20, 64])
def test_own_tensors_bring_their_size(size):
    nodes = [node_of(name, size) for name in ("a", "b", "c")]
    federation = Federation("own", nodes[:2], (), nodes[2:], image_size=size, channels=1)
    recipe = Recipe(width=2, queries=3, rounds=1, nodes_per_round=2)
    experiment = set_up(recipe, federation)
    assert experiment.recipe.image_size == size
    *_, last = experiment.rounds()
    tasks = {"tasks": 2, "queries": 3}
    assert len(list(evaluate(experiment.objective, last.params, federation.test, experiment.stages, **tasks))) == 2


def test_nodes_without_tensors_or_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"node 'b' has \(1, 24, 24\)"):
        Federation("own", [node_of("a"), node_of("b", 24)], (), [node_of("c")], image_size=20, channels=1)
    with pytest.raises(ValueError, match="node 'd': images and labels must be tensors, not list, Tensor"):
        Node("d", ("x",), [[0]], torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize(("split", "name"), [("test", "alphabet3"), ("validation", "alphabet2")])
def test_a_held_out_node_too_small_is_told_before_training(folder, tmp_path, split, name):
    for file in (folder / name).glob("*/[1-4].png"):
        file.unlink()
    numbers = rf"node '{name}' cannot give a task of 3 ways: 0 of its 6 classes hold at least 5 examples"
    with pytest.raises(ValueError, match=rf"{numbers}.*it is a node of {split}: ask for fewer `ways`"):
        train(small_recipe(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_too_small_for_any_task_is_named(folder):
    for file in (folder / "alphabet0" / "character4").glob("[1-4].png"):
        file.unlink()
    with pytest.warns(UserWarning, match=r"1 classes are in no task, which takes 5 .*: alphabet0/character4 .*\(1\)"):
        set_up(small_recipe(folder))


def flat(folder, classes, examples=5):
    write_alphabets(folder / "all", alphabets=1, characters=classes, examples=examples)
    return folder / "all" / "alphabet0"


def test_too_few_nodes_say_what_the_folder_was_taken_for(tmp_path):
    parts = write_alphabets(tmp_path / "parts", alphabets=2, examples=5)
    for number, name in enumerate(("train", "test")):
        (parts / f"alphabet{number}").rename(parts / name)
    recipe = Recipe(data=f"folder:{parts}", queries=4)
    with pytest.raises(ValueError, match=r"`nodes_per_round` \(=4\).* 1 training nodes; .*test 1 \(.*: 6 classes\)"):
        set_up(recipe)
    alone = dataclasses.replace(recipe, data=f"folder:{flat(tmp_path, 14)}")
    told = r"train 1 \(train1: 9 classes\), test 1 \(test1: 5 classes\).*--new-nodes unseen-sets --nodes 8 2 4"
    with pytest.raises(ValueError, match=told):
        set_up(alone)
    with pytest.raises(ValueError, match=r"0 classes for validation, .* asks 5 nodes; ask for none \(0\).*unseen-sets"):
        set_up(dataclasses.replace(alone, nodes=(20, 5, 8)))


def test_lists_in_a_recipe_are_tuples(folder, tmp_path):
    lists = small_recipe(folder, rounds=1, width=2, depth=1, held_out=["alphabet3"], validation=["alphabet2"])
    assert lists == small_recipe(folder, rounds=1, width=2, depth=1)
    assert Recipe(nodes=[9, 2, 3]).nodes == (9, 2, 3)
    train(lists, tmp_path / "run")
    with warnings.catch_warnings():
        train(lists, tmp_path / "run", resume=True)
