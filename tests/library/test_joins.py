"""Where rooms meet: what one of them leaves, the others take, and what has no effect or would mislead is refused."""

import shutil
from dataclasses import replace

import pytest
import torch
from small_data import small_recipe, support_of, write_alphabets

import mglib
from mglib.__main__ import main
from mglib.fast import has_closed_form
from mglib.fast.compiled import library
from mglib.federated import Round, Update
from mglib.figure import Figure, new_drawing
from mglib.nets import Objective, freeze, make_net
from mglib.params import PRICE
from mglib.tasks import Batch, load_federation
from mglib.training import Recipe, Run, adapt_to_folder, evaluate_run, set_up, train
from mglib.training.algorithms import server_update

SIZES = {"ways": 3, "width": 4, "depth": 2, "image_size": 8}


@pytest.fixture
def folder(tmp_path):
    return write_alphabets(tmp_path / "nodes", examples=5)


@pytest.mark.parametrize(("aggregation", "price"), [("mean", True), ("median", False), ("trimmed", False)])
def test_one_node_that_lies_sets_a_price_only_where_means_are_trusted(aggregation, price):
    recipe = Recipe(price="dual", budget=0.5, aggregation=aggregation, rounds=10)
    server, params = server_update(recipe), {"p": torch.zeros(2), PRICE: torch.zeros(())}
    told = (0.5, 0.5, 0.5, 2.0)
    updates = [Update(str(i), params, 1.0, {"macs_ratio": spent}, 9) for i, spent in enumerate(told)]
    after, _ = server(params, {}, updates, Round(9, 10, 0))  # the last, when the budget is the recipe's
    assert (after[PRICE] > 0) == price


def test_a_loss_of_ones_own_has_no_closed_form():
    class Smoothed(Objective):
        def score(self, prediction, labels, price=None):
            loss, metrics = super().score(prediction, labels, price)
            return loss + prediction.logits.logsumexp(1).mean(), metrics

    net, _ = make_net(0, **SIZES)
    assert has_closed_form(Objective(net))
    assert not has_closed_form(Smoothed(net))


def test_what_is_learnt_beside_the_network_does_not_keep_it_from_freezing(folder, tmp_path):
    train(small_recipe(folder, rounds=1, learn_rates=True, price="signed"), tmp_path / "run")
    recipe, net, params = Run(tmp_path / "run").load()
    assert PRICE in params
    batch = Batch(torch.rand(3, 1, recipe.image_size, recipe.image_size), torch.arange(3))
    small = freeze(net, params, Objective(net).predict(params, batch))
    assert PRICE not in small.params


def test_a_penalty_beside_a_price_that_follows_is_refused():
    with pytest.raises(ValueError, match=r"`penalty.*is of no use"):
        Recipe(price="dual", penalty=2.0)


@pytest.mark.parametrize("method", ["joint", "gates-fixed", "maml"])
def test_a_rate_of_the_gates_without_a_stage_of_theirs_is_refused(method):
    with pytest.raises(ValueError, match=f"`gate_learning_rate.*{method}' has no stage of the gates"):
        Recipe(method=method, gate_learning_rate=2.0)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--root-certificates", "ca.crt"], "root_certificates"),
        (["--deadline", "5"], "deadline"),
        (["--engine", "flower", "--superlink", "127.0.0.1:1", "--workers", "3"], "workers"),
    ],
)
def test_an_option_of_the_other_engine_is_refused(options, name, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "run"), *options]) == 2
    assert f"`{name}` is of no use" in capsys.readouterr().err


def test_drawn_glyphs_are_not_inverted():
    with pytest.raises(ValueError, match="glyphs are drawn light on dark"):
        load_federation("glyphs", invert=True)


def test_a_copy_of_a_training_node_is_not_tested_on(folder):
    shutil.copytree(folder / "alphabet0", folder / "copy")
    with pytest.raises(ValueError, match="'copy' is held out, but a training node holds its images"):
        load_federation(f"folder:{folder}", held_out=("copy",))


def test_a_run_on_a_federation_of_ones_own_keeps_its_polarity(folder, tmp_path):
    federation = load_federation(f"folder:{folder}", held_out=("alphabet3",), invert=True, image_size=14)
    recipe = replace(small_recipe(folder, rounds=1), data="glyphs")
    train(recipe, tmp_path / "run", federation=federation)
    support = support_of(folder / "alphabet3", tmp_path / "own", range(recipe.ways))
    with pytest.warns(UserWarning, match="--invert False"):  # dark, as the runs, and bright once they are turned
        network, _ = adapt_to_folder(tmp_path / "run", support)
    assert network.inverted


def test_a_network_is_not_written_among_the_images_it_is_adapted_to(folder, tmp_path, capsys):
    support = folder / "alphabet0"
    assert main(["adapt", str(tmp_path), "--support", str(support), "--out", str(support / "own")]) == 2
    assert "lies in the data" in capsys.readouterr().err


def test_fewer_ways_are_scored_among_the_classes_of_the_task(folder, tmp_path):
    train(small_recipe(folder, rounds=1, ways=5), tmp_path / "run")
    run = Run(tmp_path / "run")
    params = run.load()[2]
    assert evaluate_run(run, tasks=8, ways=2)["accuracy_zero_step"] == pytest.approx(0.5, abs=0.25)
    params["head.bias"][:] = torch.tensor([0.0, 0.0, 99.0, 0.0, 0.0])  # a class that no task of two has
    run.finish(params)
    assert evaluate_run(run, tasks=8, ways=2)["accuracy_zero_step"] > 0.2


def test_no_more_workers_start_than_a_round_has_nodes(folder, monkeypatch):
    asked = []

    class Engine:
        def __init__(self, update, nodes, workers):
            asked.append(workers)
            raise RuntimeError

    monkeypatch.setattr("mglib.training.experiment.LocalEngine", Engine)
    recipe = small_recipe(folder, nodes_per_round=2)
    with pytest.raises(RuntimeError):
        next(set_up(recipe).rounds(workers=64))
    assert asked == [2]


def test_the_compiler_may_be_named_with_options(monkeypatch, tmp_path):
    monkeypatch.setenv("MGLIB_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "cc -O1")
    assert library.__wrapped__(torch.float32) is not None


def test_pictures_are_a_room_of_the_library_and_saved_by_name(tmp_path):
    assert "show_training" in dir(mglib.show)
    Figure(new_drawing(1, 1)[0], "", "nothing").save(str(tmp_path / "figure.svg"))
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").startswith("<svg")
