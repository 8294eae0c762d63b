"""Each method does what defines it, and nothing else."""

import dataclasses

import pytest
import torch
from one_round import FIRST, adapted, after_a_round, close, drawn, moved, slope, trained
from small_data import small_recipe

from mglib.federated import FedAdam, average
from mglib.meta import adapt
from mglib.nets import Objective
from mglib.training import Run, evaluate, set_up, train
from mglib.training.algorithms import ALGORITHMS


@pytest.fixture(scope="module")
def experiment_of(folder):
    recipe = small_recipe(folder, budget=0.5)

    def make(method, **changes):
        return set_up(dataclasses.replace(recipe, method=method, **changes))

    return make


@pytest.mark.parametrize("method", ALGORITHMS)
def test_every_method_trains_and_its_finished_run_adapts_to_a_new_node(experiment_of, method, tmp_path):
    experiment = experiment_of(method, steps=2)
    params = train(experiment.recipe, tmp_path / "run")
    assert params.keys() == dict(experiment.net.named_parameters()).keys()
    assert all(value.isfinite().all() for value in params.values())
    _, _, loaded = Run(tmp_path / "run").load()
    scores = evaluate(
        experiment.objective, loaded, experiment.federation.test, experiment.stages, tasks=2, ways=3, queries=4
    )
    assert all(0 < score.macs_ratio <= 1.1 for score in scores)


def test_joint_takes_one_step_on_both_from_the_same_point(experiment_of):
    joint, two = experiment_of("joint"), experiment_of("metagater", gate_learning_rate=0.4)
    assert [stage.parameters for stage in joint.stages] == [joint.initial.keys()]
    ours, theirs = adapted(joint, joint.initial), adapted(two, two.initial)
    gates = joint.net.gate_names()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours.keys() - gates)
    assert any(not torch.equal(ours[name], theirs[name]) for name in gates)


def test_fixed_gates_are_learnt_in_training_and_left_alone_by_a_new_node(experiment_of):
    experiment = experiment_of("gates-fixed")
    gates = experiment.net.gate_names()
    after = trained(experiment)
    assert moved(experiment.initial, after) & gates
    assert not moved(after, adapted(experiment, after)) & gates


def test_gates_first_is_the_other_order(experiment_of):
    first, usual = experiment_of("gates-first").stages, experiment_of("metagater").stages
    assert [stage.parameters for stage in first] == [stage.parameters for stage in reversed(usual)]


def test_first_order_is_the_query_gradient_where_the_step_lands(experiment_of):
    experiment = experiment_of("metagater", second_order=False)
    task = drawn(experiment)
    there = adapt(Objective(experiment.net, 1.0, 1.0), experiment.initial, task.support, experiment.stages)
    gradient = slope(experiment, there, task.query)
    rate = experiment.recipe.client_learning_rate
    expected = {name: value - rate * gradient[name] for name, value in experiment.initial.items()}
    close(after_a_round(experiment), expected)
    exact = after_a_round(experiment_of("metagater"))
    assert any(not torch.allclose(exact[name], expected[name], atol=1e-4) for name in expected)


def test_local_steps_are_taken_one_after_the_other_and_averaged_by_weight(experiment_of):
    once, thrice = experiment_of("maml"), experiment_of("maml", local_steps=3)
    nodes, draws = once.federation.train, FIRST.generator(1)
    params, update = once.initial, once.client_update()
    for _ in range(3):
        direction, _ = update.direction(Objective(once.net, 1.0, 1.0), params, nodes[0], draws)
        params = {name: value - once.recipe.client_learning_rate * direction[name] for name, value in params.items()}
    close(after_a_round(thrice), params)
    assert isinstance(client_server(experiment_of("maml")), FedAdam)
    assert client_server(experiment_of("maml", server="average")) == average


def test_tasks_of_a_step_start_from_one_point_and_are_averaged(experiment_of):
    experiment = experiment_of("maml", tasks_per_step=3)
    update, node, draws = experiment.client_update(), experiment.federation.train[0], FIRST.generator(1)
    objective, start = Objective(experiment.net, 1.0, 1.0), experiment.initial
    slopes = [update.direction(objective, start, node, draws)[0] for _ in range(3)]
    rate = experiment.recipe.client_learning_rate
    expected = {name: value - rate * sum(slope[name] for slope in slopes) / 3 for name, value in start.items()}
    close(after_a_round(experiment), expected)


def client_server(experiment):
    from mglib.training.algorithms import server_update

    return server_update(experiment.recipe)
