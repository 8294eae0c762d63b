"""bench target: all ways train on the same tasks to the same accuracy; only their gradients are computed otherwise."""

import dataclasses

import pytest
import torch

from mglib.training import set_up
from studies.bench import peers, queries, target
from studies.bench.target import NESTED, OURS, measure, race, rounds_of

pytest.importorskip("higher")
pytest.importorskip("torchopt")


@pytest.fixture
def recipe(bench_recipe, monkeypatch):
    monkeypatch.setattr(target, "TASKS", 4)  # what is known after two rounds is not looked at
    return dataclasses.replace(bench_recipe, validation=("alphabet0",), nodes_per_round=2, rounds=4)


@pytest.mark.parametrize(
    ("method", "peer"), [("maml", peers.nested), ("maml", peers.with_higher), ("metagater", peers.nested)]
)
def test_a_peer_s_rounds_end_where_ours_do(recipe, method, peer):
    experiment = set_up(dataclasses.replace(recipe, method=method))
    ours, theirs = (list(rounds_of(experiment, each))[-1].params for each in (None, peer))
    moved = max(float((ours[name] - start).abs().max()) for name, start in experiment.initial.items())
    apart = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    assert apart < 0.05 * moved, "the same course up to rounding, which Adam's first steps enlarge"


def test_a_way_stops_when_it_has_reached_the_target_and_the_others_go_on(recipe, monkeypatch):
    experiment, said = set_up(recipe), iter([0.9, 0.1, 0.9])
    monkeypatch.setattr(target, "EVERY", 1)
    monkeypatch.setattr(target, "accuracy_of", lambda experiment, result: next(said))
    ways = {OURS: rounds_of(experiment, None), NESTED: rounds_of(experiment, peers.nested)}
    courses = race(experiment, ways, 0.8, 4)
    assert [(course.rounds, course.reached) for course in courses.values()] == [(1, True), (2, True)]
    assert all(course.seconds > 0 for course in courses.values())


def test_the_report_compares_with_the_fastest_peer(recipe):
    report = measure(quick=True, recipe=recipe)
    plain, gated = report.goals
    assert [goal.target for goal in report.goals] == ["at most 0.5"] * 2
    rivals = {row.against.split(", ")[1]: row.against_seconds for row in report.rows if "plain" in row.what}
    assert {"higher", "torchopt"} < rivals.keys()
    assert plain.measured == pytest.approx(report.rows[0].seconds / min(rivals.values()))
    assert gated.measured == pytest.approx(report.rows[-1].ratio)
    assert torch.get_num_threads() == 1


def test_fewer_queries_train_and_are_held_against_the_usual_number(recipe, monkeypatch):
    asked = []

    def watched(training, peer):
        asked.append((training.recipe.method, training.recipe.queries))
        return rounds_of(training, peer)

    monkeypatch.setattr(queries, "rounds_of", watched)
    report = queries.measure(quick=True, recipe=recipe, counts=(3, 2, 1))
    assert asked == [(method, count) for method in ("maml", "metagater") for count in (3, 2, 1)]
    assert [(row.what[0], row.against[0]) for row in report.rows] == [("2", "3"), ("1", "3")] * 2
    for goal, rows in zip(report.goals, (report.rows[:2], report.rows[2:]), strict=True):
        assert goal.measured == min(row.ratio for row in rows)
    assert {course["rounds"] for kind in report.notes["courses"].values() for course in kind.values()} == {2}
