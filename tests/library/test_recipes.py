"""Recipes on disk and what they say of the data: they come back whole, old ones too, and name the dealing."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mglib.commands.training import default_folder
from mglib.federated.config import FederationConfig
from mglib.meta.config import AdaptationConfig
from mglib.nets.config import NetworkConfig
from mglib.tasks.config import DataConfig
from mglib.training import Recipe, set_up


@pytest.mark.parametrize(("field", "value"), [("new_nodes", "unseen"), ("nodes", (0, 1, 2)), ("classes_per_node", 0)])
def test_a_dealing_that_makes_no_sense_names_the_field_and_the_value(field, value):
    with pytest.raises(ValueError, match=rf"`{field}` \(=.*{re.escape(str(value))}"):
        Recipe(**{field: value})


def test_a_recipe_comes_back_as_it_was_written(tmp_path):
    recipe = Recipe(data="folder:x", new_nodes="unseen-sets", nodes=(9, 2, 3), classes_per_node=4, validation=("a",))
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe


def test_fields_that_a_recipe_did_not_have_when_it_was_written_take_their_defaults(tmp_path):
    for missing in dataclasses.fields(Recipe):
        fields = dataclasses.asdict(Recipe(data="cifar10", held_out=("cat",), width=8))
        del fields[missing.name]
        (tmp_path / "recipe.json").write_text(json.dumps(fields))
        default = {missing.name: missing.default}
        assert Recipe.load(tmp_path / "recipe.json") == Recipe(
            **{"data": "cifar10", "held_out": ("cat",), "width": 8, **default}
        )


@pytest.mark.parametrize("name", ["dense", "gated-50"])
def test_recipes_of_committed_runs_still_say_what_they_said(name):
    file = Path(__file__).resolve().parents[2] / "results" / "runs" / "glyphs" / name / "recipe.json"
    recipe = Recipe.load(file)
    for field, value in Recipe.of_today(json.loads(file.read_text())).items():
        assert getattr(recipe, field) == (tuple(value) if isinstance(value, list) else value)
    assert (recipe.new_nodes, recipe.nodes, recipe.classes_per_node) == ("unseen-classes", None, None)


def test_a_recipe_asks_for_another_dealing_even_by_its_default(tmp_path):
    stored = Recipe(new_nodes="unseen-sets", nodes=(9, 2, 3), channels=1)
    assert Recipe(new_nodes="unseen-sets").differences(stored) == "nodes=None where it has (9, 2, 3)"
    assert Recipe(nodes=(9, 2, 3)).differences(stored) == "new_nodes='unseen-classes' where it has 'unseen-sets'"


def test_a_recipe_says_what_its_nodes_hold_and_how_many_images_they_need(tmp_path):
    for index in range(6):
        for example in range(66):
            file = tmp_path / f"class{index}" / f"{example}.png"
            file.parent.mkdir(exist_ok=True)
            Image.new("RGB", (12, 12), (40 * index, example, 90)).save(file)
    recipe = Recipe(
        data=f"folder:{tmp_path}",
        new_nodes="unseen-sets",
        nodes=(5, 0, 2),
        classes_per_node=4,
        ways=3,
        queries=8,
        image_size=12,
        width=4,
        depth=2,
    )
    federation = set_up(recipe).federation
    assert (len(federation.train), len(federation.test), federation.new_nodes) == (5, 2, "unseen-sets")
    with pytest.raises(ValueError, match=r"66 images of class 'class\d' give the \d nodes .* at least 60 are needed"):
        set_up(dataclasses.replace(recipe, queries=59))
    with pytest.raises(ValueError, match=r"`nodes_per_round` \(=6\) is more than the 5 .*`nodes` deals"):
        set_up(dataclasses.replace(recipe, nodes_per_round=6))


@pytest.mark.parametrize(
    ("data", "folder"),
    [("glyphs", "glyphs"), ("folder:/a/own/", "own"), ("folder:own", "own"), ("cifar-fs:/a/cifar100", "cifar100")],
)
def test_a_run_is_named_after_its_data_not_after_where_they_lie(data, folder):
    assert default_folder(Recipe(data=data)).name == f"{folder}-metagater-budget0.5-seed0"


NUMBERS = {kind: [f.name for f in dataclasses.fields(Recipe) if f.type in (kind, kind | None)] for kind in (int, float)}


def test_numbers_of_other_libraries_are_kept_as_pythons_own():
    own = Recipe(
        **{name: getattr(Recipe(), name) or 1 for names in NUMBERS.values() for name in names if name != "noise"},
        nodes=(9, 2, 3), held_out=("a",), rotate=True,
    )  # fmt: skip
    numpys = {name: np.int64(getattr(own, name)) for name in NUMBERS[int]}
    numpys |= {name: np.float64(getattr(own, name)) for name in NUMBERS[float]}
    recipe = Recipe(**numpys, nodes=list(np.array([9, 2, 3])), held_out=["a"], rotate=np.True_)
    assert recipe == own
    assert recipe.dumps() == own.dumps()
    assert Recipe(ways=torch.tensor(5)).ways == 5
    assert Recipe(penalty=torch.tensor(0.5)).penalty == 0.5


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [(float, value, "a finite number") for value in (float("nan"), float("inf"), np.float32("-inf"), True, "0.5")]
    + [(int, value, "a whole number") for value in (True, 5.0, np.float64(5), "5")],
)
def test_what_is_no_such_number_is_refused_by_every_field(kind, value, wanted):
    for name in NUMBERS[kind]:
        with pytest.raises(ValueError, match=rf"`{name}` \(=.*\) must be {wanted}"):
            Recipe(**{name: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("held_out", "Latin", "a tuple, such as ('Latin',)"),
        ("rotate", "False", "True or False"),
        ("seed", 2**63, "63"),
        ("held_out", [1], "a text"),
        ("data", None, "a text"),
    ],
)
def test_what_a_field_cannot_hold_is_refused_with_what_it_can(field, value, message):
    message = message.replace("63", str(2**63 - 1))
    with pytest.raises(ValueError, match=rf"`{field}` \(=.*\) must be .*{re.escape(message)}"):
        Recipe(**{field: value})


def test_the_largest_seed_makes_a_network_and_draws_nodes():
    recipe = Recipe(seed=2**63 - 1, image_size=14, width=4, depth=2, queries=1, rounds=1)
    *_, last = set_up(recipe).rounds()
    assert last.round.index == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aggregation": "mode"}, "`aggregation` (='mode') must be one of mean, clipped"),
        ({"method": "fedavg"}, "`method` (='fedavg') must be one of metagater, joint"),
        ({"trim_fraction": 0.5}, "`trim_fraction` (=0.5) must be in [0, 0.5)"),
        ({"trim_fraction": 0.2}, "`trim_fraction` (=0.2) is for the aggregations"),
        ({"clip_norm": 0.2}, "`clip_norm` (=0.2) is for the aggregation 'clipped', and for privacy"),
        ({"noise": 0.1}, "`noise` (=0.1) is for privacy"),
        ({"tasks_per_step": 2**70}, "`tasks_per_step` (=1180591620717411303424) must be a whole number from 1 to"),
        ({"quorum": 5}, "`quorum` (=5) must be at most the 4 nodes of a round"),
        ({"method": "maml", "gate_bias": 2.0}, "`gate_bias` (=2.0) is of no use: 'maml' learns no gates"),
    ],
)
def test_what_means_nothing_is_refused_with_the_reason(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(**changes)


def test_an_older_file_is_read_where_it_says_no_more_than_a_recipe():
    gone = {"attack": "none", "compression": "none", "batch": 25, "kept": 0.1, "architecture": "conv", "depth": None}
    fields = dataclasses.asdict(Recipe(width=8)) | gone
    assert Recipe.loads(json.dumps(fields)) == Recipe(width=8)
    for name, value in (("attack", "drift"), ("architecture", "residual")):
        with pytest.raises(ValueError, match=rf"`{name}` \(='{value}'\) is no setting of a recipe"):
            Recipe.loads(json.dumps(fields | {name: value}))
    with pytest.raises(ValueError, match="a recipe has no setting `run`"):
        Recipe.loads(json.dumps(fields | {"run": "anything"}))


def test_each_room_checks_its_own_settings_without_the_others():
    for config, field in ((DataConfig, "channels"), (NetworkConfig, "depth"), (AdaptationConfig, "ways")):
        with pytest.raises(ValueError, match=f"`{field}`"):
            config(**{field: 0})
    with pytest.raises(ValueError, match="`rounds`"):
        FederationConfig(rounds=0)
