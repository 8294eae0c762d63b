"""bench rounds: what its report holds, and that a round costs what is sampled, however many nodes there are."""

import dataclasses
from concurrent.futures import Future

import pytest
from test_federated import START, Descend

from mglib.federated import LocalEngine, Update, average, run_rounds
from mglib.training import set_up
from studies.bench import rounds
from studies.bench.rounds import Measured, digest_of, measure, on_workers, report_of, timed_rounds
from studies.bench.virtual import VirtualNodes, virtual_federation


@pytest.fixture
def made(monkeypatch):
    """The positions of all virtual nodes that are made, in order."""
    positions, make = [], VirtualNodes.__getitem__

    def counted(self, position):
        positions.append(position)
        return make(self, position)

    monkeypatch.setattr(VirtualNodes, "__getitem__", counted)
    return positions


@pytest.mark.parametrize("count", [10**2, 10**5, 10**8])
def test_a_round_makes_the_nodes_it_samples_and_no_other(bench_recipe, made, count):
    with timed_rounds(bench_recipe, count, workers=1) as states:
        before = len(made)
        assert before <= 1, "setting up looks at one node, not at all"
        for passed in range(1, 5):
            next(states)
            assert len(made) - before == passed * bench_recipe.nodes_per_round
    assert len(set(made[before:])) > bench_recipe.nodes_per_round


def test_what_goes_to_a_worker_does_not_grow_with_the_number_of_nodes(bench_recipe, monkeypatch):
    packed = []

    class Executor:
        def __init__(self, workers, context, initializer, arguments):
            packed.append(arguments[0])

        def submit(self, work):
            """Nothing starts, and is done at once."""
            done = Future()
            done.set_result(work())
            return done

        def shutdown(self, **options):
            """There is nothing to end."""

    monkeypatch.setattr("mglib.federated.engines.ProcessPoolExecutor", Executor)
    for count in (10**2, 10**5):
        LocalEngine(Descend(), virtual_federation(bench_recipe, count).train, workers=2)
    small, large = (len(sent) for sent in packed)
    assert small > 10_000, "the images are in it"
    assert abs(large - small) < 10


class Touchy:
    """A hundred million nodes that remember who was asked for."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 10**8

    def __getitem__(self, position):
        self.asked.append(position)
        return position


def test_the_round_asks_for_no_node_but_those_sampled():
    nodes = Touchy()
    engine = LocalEngine(lambda params, node, position, round: Update(str(node), params, 1.0, {}), nodes)
    results = list(run_rounds(engine, START, average, rounds=4, nodes_per_round=5, seed=0))
    assert nodes.asked == [int(update.node) for result in results for update in result.updates]


def test_the_report_holds_every_goal_and_ratio(bench_recipe):
    seen = []

    def progress(items):
        for item in items:
            seen.append(item)
            yield item

    report = measure(quick=True, progress=progress, recipe=bench_recipe)
    assert len(seen) == report.notes["rounds"] + rounds.WARM_UP
    names = [row.what for row in report.rows]
    assert names == [
        "a round, 100000 nodes",
        "what is not the nodes' computing, 100 nodes",
        "what is not the nodes' computing, 100000 nodes",
        "one worker",
    ]
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in report.rows)
    assert [goal.target for goal in report.goals] == [
        *("at most 1.1", "at most 0.1", "at most 0.05", "at least 1.6", "at most 0.2")
    ]
    assert all(peak > 10**7 for peak in report.notes["peak_bytes"].values())
    assert list(report.notes["predicted"]) == ["2", "4", "16"]
    assert report.goals[0].measured == report.rows[0].ratio
    assert report.goals[3].measured == report.rows[3].ratio


def test_goals_compare_the_largest_federation_with_the_smallest(bench_recipe):
    measured = {
        (100, 1): Measured(1.0, 0.02, 100, "same"),
        (1000, 1): Measured(1.5, 0.04, 500, "other"),
        (10000, 1): Measured(1.2, 0.03, 105, "third"),
        (100, 2): Measured(0.5, 0.01, 100, "same"),
    }
    report = report_of(bench_recipe, measured, rounds=9)
    *first, model = report.goals
    assert [round(goal.measured, 9) for goal in first] == [1.2, 0.05, 0.04, 2.0]
    assert [goal.met for goal in first] == [False, True, True, True]
    slower = report.notes["a node of two workers' over one alone"]
    predicted = on_workers(report.notes["parts"], bench_recipe.nodes_per_round, 2, slower)
    assert model.measured == pytest.approx(1 - predicted / 0.5), "its parts are a real network's, its rounds are not"
    assert not model.met
    assert report.goals[3].note == "99% of the workers' time is the nodes' computing, each 1.01 of its time alone"
    assert [row.ratio for row in report.rows if row.what.startswith("what")] == pytest.approx([0.02, 0.04, 0.03])


def test_two_workers_that_end_in_other_bits_are_no_result(bench_recipe):
    measured = {
        (100, 1): Measured(1.0, 0.02, 1, "one"),
        (1000, 1): Measured(1.0, 0.02, 1, "third"),
        (100, 2): Measured(0.5, 0.01, 1, "other"),
    }
    with pytest.raises(RuntimeError, match="different parameters"):
        report_of(bench_recipe, measured, rounds=9)


def test_virtual_nodes_end_in_the_same_bits_with_two_workers(bench_recipe):
    digests = set()
    for workers in (1, 2):
        with timed_rounds(bench_recipe, 10**5, workers) as states:
            digests.add(digest_of([next(states) for _ in range(3)][-1].params))
    assert len(digests) == 1


def test_virtual_nodes_too_small_for_the_tasks_are_refused(bench_recipe):
    with pytest.raises(ValueError, match="cannot give a task of 9 ways"):
        set_up(dataclasses.replace(bench_recipe, ways=9), virtual_federation(bench_recipe, 10**5))


def test_workers_share_the_nodes_and_one_process_does_the_rest():
    parts = {"sampling": 1.0, "the server's step": 2.0, "making a node": 10.0, "a node's computing": 100.0}
    parts |= {"parameters to bytes": 0.5, "bytes to parameters": 0.25}
    assert on_workers(parts, 5, 1) == 3 + 5 * 110
    assert on_workers(parts, 5, 2) == 3 + 0.5 + 5 * 0.25 + 3 * 110.75
    assert on_workers(parts, 5, 2, slower=2) == on_workers(parts, 5, 2) + 3 * 100
    assert on_workers(parts, 5, 8) == on_workers(parts, 5, 5), "a worker without a node helps nobody"
