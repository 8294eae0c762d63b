"""The study of networks: gates that decide for groups of filters are gates like others."""

import pytest
import torch

from mglib.fast import has_closed_form
from mglib.nets import Objective, make_net
from mglib.tasks import Batch
from studies.networks import PARTS, GroupGatedNet, grouped
from studies.recipes import Recipe, set_up

SIZES = {"ways": 3, "width": 6, "depth": 2, "image_size": 8, "channels": 1}


def test_a_gate_of_a_group_answers_like_as_many_gates_that_agree():
    torch.manual_seed(0)
    net, whole = GroupGatedNet(3, **SIZES), make_net(0, **SIZES)[0]
    params = {name: torch.randn(value.shape) for name, value in net.named_parameters()}
    spread = {n: v.repeat_interleave(3, 0) if n in net.gate_names() else v for n, v in params.items()}
    batch = Batch(torch.randn(20, 1, 8, 8), torch.arange(20) % 3)
    ours, theirs = (Objective(one).predict(own, batch) for one, own in ((net, params), (whole, spread)))
    torch.testing.assert_close(ours.logits, theirs.logits)
    assert 0 < torch.cat(ours.gates).mean() < 1
    for gate, other in zip(ours.gates, theirs.gates, strict=True):
        torch.testing.assert_close(gate, other)
        assert (gate.unflatten(1, (2, 3)).std(2) == 0).all()  # a group opens as one
    assert [3 * cost.gate_macs for cost in net.costs] == [cost.gate_macs for cost in whole.costs]
    assert not has_closed_form(Objective(net))  # the derivatives written out know one gate a filter


def test_groups_need_a_whole_number_of_filters():
    with pytest.raises(ValueError, match="groups of 4"):
        GroupGatedNet(4, **SIZES)


def test_grouped_gates_start_as_the_others_and_train():
    recipe = Recipe(width=8, depth=2, rounds=3, queries=3, learn_rates=True, price="signed", gate_learning_rate=5.0)
    plain = set_up(recipe)
    assert grouped(plain, 1) is plain
    experiment = grouped(plain, 4)
    backbone = plain.initial.keys() - plain.net.gate_names()
    assert all(torch.equal(experiment.initial[name], plain.initial[name]) for name in backbone)
    gates = {name: experiment.initial[name] for name in experiment.net.gate_names()}
    *_, last = experiment.rounds()
    assert all(last.params[name].shape == value.shape for name, value in gates.items())
    assert all((last.params[name] != value).any() for name, value in gates.items())


def test_the_parts_of_groups_differ_in_their_groups_alone():
    parts = {name: changes for name, changes in PARTS.items() if "group" in changes}
    assert {tuple(changes) for changes in parts.values()} == {("group", "cost", "seed")}
    assert {changes["group"] for changes in parts.values()} == {1, 4, 12}
