"""Chapter 13: the theorem holds on hills that the chapter never saw, its checks can fail, its measurement is right."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from chapters import RESULTS, defined_in

import mglib
from figures.ch13 import show_bounds, show_circulation, show_fans, show_gradient_sizes, show_moves, show_walks
from studies import convergence
from studies.convergence import ConvergenceSetting, dealt, gradient_sizes, gradients_at, train_and_probe

CHAPTER = "13_does_it_converge"
NAMES = (
    *("vector", "WAVES", "HEIGHTS", "THETA", "PHI", "ONE", "Hills", "Place", "value", "times", "slope", "norm"),
    *("lengths", "H", "RHO", "G", "smoothness", "local_steps", "drift", "kappa", "terms", "mean_value"),
    *("after_a_round", "slack", "gradient_sizes", "work", "gate_loss", "surrogate", "draw", "phases", "nodes"),
)


@pytest.fixture(scope="module")
def chapter():
    """The chapter's definitions, with hills of other phases in place of its own."""
    held = defined_in(CHAPTER, *NAMES)
    generator = torch.Generator().manual_seed(77)
    places = []
    for index in range(5):
        middle = 2 * torch.randn(3, generator=generator).double()
        off = 0.5 * torch.randn(3, generator=generator).double()
        rates = {"alpha": 0.3, "beta": 0.15}
        places.append(held["Place"](f"n{index}", held["Hills"](middle), held["Hills"](middle + off), **rates))
    # The chapter's functions read these names where they were executed.
    inside = held["slack"].__globals__
    inside["nodes"] = places
    held["mean_value"].__defaults__ = (places,)
    _, _, inside["LAMBDA"] = held["smoothness"](held["H"], held["RHO"], held["G"], 0.3, 0.15)
    return held | {"places": places, "LAMBDA": inside["LAMBDA"]}


@pytest.fixture(scope="module")
def points():
    return 8 * torch.rand(400, 2, generator=torch.Generator().manual_seed(5)).double() - 4


def test_the_smoothness_of_two_stages_bounds_what_is_seen(chapter, points):
    M, N, smooth = chapter["smoothness"](chapter["H"], chapter["RHO"], chapter["G"], 0.3, 0.15)
    others = points + 0.01 * torch.randn(400, 2, generator=torch.Generator().manual_seed(6)).double()
    gap = (points - others).norm(dim=-1)
    for node in chapter["places"]:
        assert (chapter["norm"](node.jacobian(points)) <= M).all()
        assert (chapter["norm"](node.jacobian(points) - node.jacobian(others)) <= N * gap).all()
        change = (chapter["slope"](node, points) - chapter["slope"](node, others)).norm(dim=-1)
        assert (change <= smooth * gap).all()
    steepest = max(
        float(((chapter["slope"](n, points) - chapter["slope"](n, others)).norm(dim=-1) / gap).max())
        for n in chapter["places"]
    )
    assert steepest > chapter["H"], "the losses' own constant does not do: the lemma has something to say"


def test_the_smoothness_without_a_second_stage_is_mamls(chapter):
    assert np.isclose(chapter["smoothness"](2.0, 3.0, 5.0, 0.1, 0.0)[-1], 2.0 * 1.2**2 + 0.1 * 3.0 * 5.0)


@pytest.mark.parametrize(("steps", "sampled"), [(1, 5), (1, 1), (4, 5), (4, 2), (25, 1)])
@pytest.mark.parametrize("u", [0.02, 0.5])
def test_a_round_obeys_the_theorem_on_other_hills(chapter, points, steps, sampled, u):
    assert chapter["slack"](points, steps, sampled, u).min() > -1e-12


def lowest(chapter):
    """Return the bottom of a valley of F, found by small steps of all nodes."""
    p = chapter["vector"](0.3, -0.2)
    for _ in range(4000):
        p = p - 0.2 * sum(chapter["slope"](node, p) for node in chapter["places"]) / 5
    assert sum(chapter["slope"](node, p) for node in chapter["places"]).norm() < 1e-12
    return p[None]


@pytest.mark.parametrize(("steps", "sampled", "needed"), [(1, 5, False), (5, 5, True), (1, 2, True)])
def test_the_theorem_fails_without_its_floor(chapter, steps, sampled, needed):
    bottom = lowest(chapter)
    assert chapter["slack"](bottom, steps, sampled, 0.5) > -1e-12
    broken = chapter["slack"](bottom, steps, sampled, 0.5, keep_floor=False)
    assert bool(broken < -1e-12) == needed


def test_a_node_does_not_drift_further_than_the_lemma_says(chapter, points):
    rate = 0.5 / (9 * chapter["LAMBDA"])
    delta, factors = chapter["drift"](9, rate * chapter["LAMBDA"])
    assert delta < 0.3
    for node in chapter["places"]:
        path, mean = chapter["local_steps"](node, points, 9, rate)
        here = chapter["slope"](node, points)
        assert ((path[-1] - points).norm(dim=-1) <= factors[-1] * rate * here.norm(dim=-1) + 1e-12).all()
        assert ((mean - here).norm(dim=-1) <= delta * here.norm(dim=-1) + 1e-12).all()


def test_the_chapters_slope_is_the_librarys_meta_gradient(chapter, points):
    node = chapter["places"][0]
    stages = (mglib.Stage("t", frozenset({"theta"}), 0.3), mglib.Stage("p", frozenset({"phi"}), 0.15))

    def loss_fn(params, hills):
        return hills.loss(torch.cat([params["theta"], params["phi"]])), {}

    for p in points[:10]:
        gradient, _ = mglib.meta_gradient(loss_fn, {"theta": p[:1], "phi": p[1:]}, node, stages)
        torch.testing.assert_close(torch.cat([gradient["theta"], gradient["phi"]]), chapter["slope"](node, p))


def test_the_straight_through_field_is_no_gradient(chapter):
    loop = chapter["vector"](0.2, 0.5, 1.8, 0.5, 1.8, 2.5, 0.2, 2.5).reshape(4, 2)
    assert chapter["work"](chapter["surrogate"], loop) > 0.4
    assert abs(chapter["work"](lambda p: chapter["slope"](chapter["places"][0], p), loop)) < 1e-3


# --- the measurement ------------------------------------------------------------------------------------------------


def test_the_estimate_of_the_squared_gradient_is_right_on_average(chapter):
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(6, 1, 300, generator=generator).double()
    estimates = []
    for _ in range(200):
        noisy = truth + 2 * torch.randn(6, 4, 300, generator=generator).double()
        estimates.append(gradient_sizes(noisy))
        assert chapter["gradient_sizes"](noisy) == estimates[-1]
    mean = {name: np.mean([each[name] for each in estimates]) for name in estimates[0]}
    squared = float(truth.mean(0).square().sum())
    assert mean["squared_norm"] == pytest.approx(squared, rel=0.1)
    assert mean["dissimilarity"] == pytest.approx(float((truth - truth.mean(0)).square().sum(2).mean()), rel=0.1)
    assert mean["squared_norm_of_mean"] > 1.5 * squared


def small_nodes():
    """Two scripts, two writers each, six characters of ten examples."""
    generator = torch.Generator().manual_seed(1)
    nodes = []
    for script in ("Greek", "Lao"):
        for writer in (1, 2):
            images = torch.randint(0, 256, (60, 1, 28, 28), generator=generator, dtype=torch.uint8)
            names = tuple(f"{script}/{letter}" for letter in "abcdef")
            nodes.append(mglib.Node(f"{script}/writer{writer}", names, images, torch.arange(6).repeat_interleave(10)))
    return nodes


def content(nodes):
    return sorted(image.numpy().tobytes() for node in nodes for image in node.images)


def test_dealing_moves_images_and_loses_none():
    nodes = small_nodes()
    scripts, mixed, five = (dealt(nodes, way) for way in ("scripts", "mixed", "five"))
    assert content(scripts) == content(mixed) == content(nodes)
    assert [node.name for node in scripts] == ["Greek", "Lao"]
    assert all(len(node.classes) == 12 for node in mixed)
    assert all(len(node.classes) == 5 and len(node.labels) == 50 for node in five)
    for node, again in zip(mixed, dealt(nodes, "mixed"), strict=True):
        assert torch.equal(node.images, again.images)


def test_gradients_of_tasks_are_the_librarys():
    recipe = mglib.Recipe(width=4, depth=2, queries=2, image_size=28, channels=1)
    net, params = mglib.training.algorithms.network_of(recipe)
    objective, stages = mglib.Objective(net, 0.5, 1.0), mglib.training.algorithms.stages_of(recipe, net)
    tasks = [[n.sample_task(5, 1, 2, np.random.default_rng(k)) for k in range(2)] for n in small_nodes()[:2]]
    gradients, means = gradients_at(objective, params, tasks, stages)
    expected, metrics = mglib.meta_gradient(objective, params, tasks[1][0], stages)
    flat = torch.cat([value.flatten() for value in expected.values()])
    torch.testing.assert_close(gradients[1, 0], flat, rtol=1e-3, atol=1e-5)
    assert gradients.shape == (2, 2, len(flat))
    assert set(means) == set(metrics)


def test_a_measurement_repeats_itself_and_a_shorter_one_is_its_beginning():
    federation = mglib.Federation("small", small_nodes(), (), small_nodes()[:0], image_size=28, channels=1)
    setting = ConvergenceSetting(nodes_per_round=1, rounds=4, probe_every=2, probe_tasks=2, queries=2, seeds=(0,))
    longer = train_and_probe(setting, 0, federation)
    assert [probe["round"] for probe in longer] == [0, 2, 4]
    shorter = train_and_probe(dataclasses.replace(setting, rounds=2), 0, federation)
    assert shorter == longer[:2]
    record = convergence.measure_convergence(setting, federation)
    assert record["seeds"]["0"] == longer
    assert record["recipe"]["nodes_per_round"] == 1


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"dealing": "fair"}, "dealing"),
        ({"probe_tasks": 3}, "must be even"),
        ({"probe_every": 0}, "probe_every"),
        ({"seeds": ()}, "seeds"),
    ],
)
def test_a_setting_that_cannot_be_measured_is_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        ConvergenceSetting(**wrong)


@pytest.mark.parametrize("name", ["baseline", "steps-2", "steps-5", "nodes-1", "nodes-9", "mixed", "five"])
def test_a_result_file_holds_what_its_setting_says(name):
    record = json.loads((RESULTS / "convergence" / f"{name}.json").read_text())
    fields = record["setting"] | {"seeds": tuple(record["setting"]["seeds"])}
    setting = ConvergenceSetting(**fields)
    assert list(record["seeds"]) == [str(seed) for seed in setting.seeds]
    expected = dataclasses.asdict(setting.recipe(setting.seeds[0]))
    absent = dataclasses.asdict(mglib.Recipe())  # a field that recipes did not have then had its default
    assert json.loads(json.dumps(absent)) | mglib.Recipe.of_today(record["recipe"]) == json.loads(json.dumps(expected))
    for probes in record["seeds"].values():
        assert [probe["round"] for probe in probes] == list(range(0, setting.rounds + 1, setting.probe_every))


# --- the pictures ---------------------------------------------------------------------------------------------------


def plane():
    line = torch.linspace(-1, 1, 20)
    return line, line, line[None, :] ** 2 + line[:, None] ** 2


def test_the_pictures_say_what_they_show():
    walks = {
        "one": torch.tensor([[1.0, 1.0], [0.0, 0.0]]),
        "two": torch.tensor([[1.0, 1.0], [0.0, 0.25]]),
        "three": torch.tensor([[1.0, 1.0], [0.5, 0.0]]),
    }
    assert "two ends 0.250 from the cross" in show_walks(plane(), walks, torch.zeros(2)).alt
    moved = torch.tensor([[0.5, 0.0]]), torch.tensor([[0.1, 0.0]]), torch.tensor([[0.1, 0.3]])
    assert "0.50 to 0.50 away" in show_moves(plane(), *moved).alt
    fans = {"A": torch.tensor([[0.0, 0.0], [0.0, 0.3]]), "B": torch.tensor([[0.0, 0.0], [0.4, 0.0]])}
    assert "75% to 80%" in show_fans(torch.zeros(2), fans, [0.4, 0.5]).alt
    assert "cover 75% of the way" in show_fans(torch.zeros(2), fans, [0.4, 0.4 / 0.75]).alt
    panel = {"measured": [1.0, 0.5], "bound": [4.0, 1.0], "now": [1.0, 0.1], "floor": 0.2}
    assert "2.0 to 4.0 times" in show_bounds({"all": panel, "some": panel}).alt
    loop = torch.tensor([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
    assert "adds up to 0.48" in show_circulation(plane(), loop, loop, loop, 0.48).alt
    line = {"rounds": [0, 30], "seeds": [[2.0, 1.0], [4.0, 0.0]], "mean": [3.0, 0.5]}
    assert "Steps, five: 3.00 at first, 0.50 at the end" in show_gradient_sizes({"Steps": {"five": line}}, "size").alt
