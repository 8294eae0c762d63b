"""Each baseline does what defines it, and nothing else."""

import dataclasses

import numpy as np
import pytest
import torch
from one_round import FIRST, adapted, after_a_round, close, drawn, moved, slope, trained
from small_data import small_recipe

from mglib.meta import adapt
from mglib.meta.adapt import differentiate
from mglib.nets import Objective
from mglib.params import detach
from mglib.tasks import Batch
from mglib.training import evaluate
from studies.baselines import ALGORITHMS, ClassifierUpdate, MetaUpdate, fast_gradient, own_params
from studies.counting import fast_adapt
from studies.recipes import Recipe, set_up


@pytest.fixture(scope="module")
def experiment_of(folder):
    recipe = small_recipe(folder, Recipe, budget=0.5)

    def make(method, **changes):
        return set_up(dataclasses.replace(recipe, method=method, **changes))

    return make


@pytest.mark.parametrize("method", ALGORITHMS)
def test_every_method_trains_and_adapts_to_a_new_node(experiment_of, method):
    experiment = experiment_of(method, steps=2)
    params = own_params(trained(experiment))
    assert all(value.isfinite().all() for value in params.values())
    nodes = experiment.federation.test
    scores = evaluate(experiment.objective, params, nodes, experiment.stages, tasks=2, ways=3, queries=4)
    assert all(0 < score.macs_ratio <= 1.1 for score in scores)


@pytest.mark.parametrize("method", ["metagater", "maml"])
@pytest.mark.parametrize("noisy", [False, True], ids=["closed form", "autograd"])
def test_the_fast_steps_are_the_clear_ones(experiment_of, method, noisy):
    experiment = experiment_of(method, steps=2)
    support, stages = drawn(experiment).support, experiment.stages
    start = detach(experiment.initial, requires_grad=True)

    def objective():
        noise = torch.Generator().manual_seed(0) if noisy else None
        return dataclasses.replace(experiment.objective, noise=noise)

    gradient, metrics = fast_gradient(objective(), start, support)
    _, clear, told = differentiate(objective(), start, support)
    adapted = fast_adapt(objective(), start, support, stages)
    close(adapted, adapt(objective(), start, support, stages))
    close(gradient, clear)
    close(metrics, told)
    assert not any(value.requires_grad for value in (*gradient.values(), *adapted.values()))


def test_a_static_mask_is_learnt_sees_no_input_and_costs_nothing(experiment_of):
    experiment = experiment_of("static-mask", penalty=5.0, server_learning_rate=0.1, rounds=12)
    after = trained(experiment)
    gates = experiment.net.gate_names()
    weights = {name for name in gates if name.endswith("weight")}
    assert moved(experiment.initial, after) & gates
    assert not moved(experiment.initial, after) & weights
    images = torch.rand(9, 1, 14, 14)
    for gate in experiment.net.eval()(images).gates:
        assert torch.equal(gate, gate[:1].expand_as(gate))
    prediction = torch.func.functional_call(experiment.net, after, (images,))
    assert all(torch.equal(gate, gate[:1].expand_as(gate)) for gate in prediction.gates)
    assert any((gate == 0).any() for gate in prediction.gates), "nothing was closed"
    assert not any(cost.gate_macs for cost in experiment.net.costs)
    assert not moved(after, adapted(experiment, after)) & gates


def test_random_gates_look_at_the_input_cost_about_the_budget_and_are_never_learnt(experiment_of):
    experiment = experiment_of("random-gates", width=32)
    gates = experiment.net.gate_names()
    images = experiment.federation.train[0].images.float() / 255
    prediction = torch.func.functional_call(experiment.net, experiment.initial, (images,))
    assert any(not torch.equal(gate, gate[:1].expand_as(gate)) for gate in prediction.gates)
    task = drawn(experiment)
    _, metrics = experiment.objective(experiment.initial, task.query)
    assert float(metrics["macs_ratio"]) == pytest.approx(experiment.recipe.budget, abs=0.15)
    after = trained(experiment)
    assert not moved(experiment.initial, after) & gates
    assert not moved(after, adapted(experiment, after)) & gates
    other = experiment_of("random-gates", width=32, seed=1)
    assert any(not torch.equal(experiment.initial[name], other.initial[name]) for name in gates)


def test_gates_start_where_the_recipe_says(experiment_of):
    for method, bias, expected in (("metagater", None, 1.0), ("metagater", 0.3, 0.3), ("static-mask", None, 0.1)):
        experiment = experiment_of(method, gate_bias=bias)
        biases = [experiment.initial[name] for name in experiment.net.gate_names() if name.endswith("bias")]
        assert biases
        assert all((value == torch.tensor(expected)).all() for value in biases)
    with pytest.raises(ValueError, match="gate_bias"):
        Recipe(gate_bias=0.0)


def test_named_metagater_goes_down_the_sum_of_both_gradients(experiment_of):
    experiment, weight = experiment_of("metagater-named", classifier_weight=2.0, batch=10), 2.0
    update, node, start = experiment.client_update(), experiment.federation.train[0], experiment.initial
    objective = Objective(experiment.net, 1.0, 1.0)
    both, _ = update.direction(objective, start, node, np.random.default_rng(5))
    draws = np.random.default_rng(5)
    own = own_params(start)
    meta, _ = MetaUpdate.direction(update, objective, own, node, draws)
    named, _ = ClassifierUpdate.direction(update, objective, start, node, draws)
    for name in start:
        torch.testing.assert_close(both[name], meta.get(name, 0) + weight * named.get(name, torch.zeros(())))
    assert named.keys() - meta.keys() == {"classifier.weight", "classifier.bias"}


def test_anil_adapts_the_head_and_trains_everything(experiment_of):
    experiment = experiment_of("anil")
    after = trained(experiment)
    assert moved(experiment.initial, after) == experiment.initial.keys()
    assert moved(after, adapted(experiment, after)) == {"head.weight", "head.bias"}


def batches(experiment):
    """The batches of `steps` descents on one task, drawn as a node draws them."""
    recipe, generator = experiment.recipe, FIRST.generator(1)
    task = experiment.federation.train[0].sample_task(recipe.ways, recipe.shots, recipe.queries, generator)
    images = torch.cat([task.support.images, task.query.images])
    labels = torch.cat([task.support.labels, task.query.labels])
    chosen = [torch.from_numpy(generator.permutation(len(labels))[: recipe.batch]) for _ in range(recipe.steps)]
    return [Batch(images[rows], labels[rows]) for rows in chosen]


@pytest.mark.parametrize("method", ["reptile", "pfedme"])
def test_reptile_moves_towards_where_descent_leads_and_pfedme_by_its_proximal_step(experiment_of, method):
    rate, pull, eta = 0.2, 3.0, 0.25
    changes = dict(steps=3, batch=6, backbone_learning_rate=rate, client_learning_rate=eta)
    experiment = experiment_of(method, **changes, **({"proximal_weight": pull} if method == "pfedme" else {}))
    start = inner = experiment.initial
    for batch in batches(experiment):
        gradient = slope(experiment, inner, batch)
        if method == "pfedme":  # of loss + λ/2 ‖p̃ − p‖²
            gradient = {name: gradient[name] + pull * (inner[name] - start[name]) for name in gradient}
        inner = {name: inner[name] - rate * gradient[name] for name in inner}
    factor = eta * (pull if method == "pfedme" else 1.0)
    close(after_a_round(experiment), {name: start[name] - factor * (start[name] - inner[name]) for name in start})


@pytest.mark.parametrize("method", ["fedavg", "gated-fedavg"])
def test_fedavg_trains_a_classifier_of_named_classes_and_leaves_the_head_for_new_nodes(experiment_of, method):
    experiment = experiment_of(method, batch=10, local_steps=2, rounds=6)
    names = experiment.client_update().classes
    assert experiment.initial["classifier.weight"].shape[0] == len(names) == 12
    after = trained(experiment)
    assert {"classifier.weight", "classifier.bias"} <= moved(experiment.initial, after)
    assert not after["head.weight"].any()
    assert not after["head.bias"].any()
    # A node's classes are rows of their own: another node's rows are pushed down and never up.
    node = experiment.federation.train[0]
    bias = after_a_round(experiment)["classifier.bias"]
    others = [place for place, name in enumerate(names) if name not in node.classes]
    assert (bias[others] <= 0).all()
    assert (bias > 0).any()


def test_after_fedavg_the_first_step_makes_the_head_of_centred_class_means(experiment_of):
    experiment = experiment_of("fedavg", backbone_learning_rate=1.0)
    params = own_params(trained(experiment))
    task = experiment.federation.test[0].sample_task(3, 2, 2, np.random.default_rng(0))
    after = adapt(experiment.objective, params, task.support, experiment.stages)
    features = {}
    hook = experiment.net.head.register_forward_pre_hook(lambda _, inputs: features.update(seen=inputs[0]))
    experiment.objective(params, task.support)
    hook.remove()
    seen = features["seen"].detach()
    means = torch.stack([seen[task.support.labels == label].mean(0) for label in range(3)])
    torch.testing.assert_close(after["head.weight"], (means - means.mean(0)) / 3, rtol=1e-4, atol=1e-6)
    assert moved(params, after) <= {"head.weight", "head.bias"}
