"""The benchmark of inference: what it reports, not how fast it was."""

import json

import pytest
import torch

from mglib.fast import SkippingNet
from studies.bench import batches, inference
from studies.bench.gated import Case, MaskedNet, check_equal, gated_net, images_for


@pytest.fixture(scope="module")
def report():
    threads = torch.get_num_threads()
    report = inference.measure(quick=True)
    assert torch.get_num_threads() == threads
    return report


def test_every_network_stands_beside_the_slim_and_the_dense_one(report):
    pairs = {(row.what, row.against) for row in report.rows}
    assert pairs == {
        *((what, against) for against in ("slim", "dense") for what in ("skipping", "slicing", "masked")),
        *((f"{net}, compiled", net) for net in ("slim", "dense")),
        *(("skipping", f"{net}, compiled") for net in ("slim", "dense")),
        ("dense", "slim"),
    }
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in report.rows)


def test_the_goals_are_the_three_that_were_set(report):
    assert [(goal.name, goal.target) for goal in report.goals] == [
        ("skipping over slim, worst case", "at most 1.2"),
        ("skipping over dense, worst case", "at most 0.5"),
        ("share of the saved MACs that is saved time, worst case", "at least 0.8"),
    ]
    worst = max(row.ratio for row in report.rows if (row.what, row.against) == ("skipping", "slim"))
    assert report.goals[0].measured == worst
    assert all("of the slim net's time for the slim net" in goal.note for goal in report.goals)


def test_the_report_is_one_json_object_with_the_parts_of_the_time(report):
    again = json.loads(json.dumps(report.as_dict()))
    assert again["rows"][0]["setting"]["width"] == 64
    for case in again["notes"]["cases"]:
        assert sum(case["parts"].values()) == pytest.approx(1)
        assert case["macs"]["skipping"] < case["macs"]["dense"] < case["macs"]["masked"]


def test_the_cases_hold_what_the_goals_and_the_frontier_are_about():
    cases = inference.all_cases()
    assert len(cases) == len(set(cases))
    goals = {(c.width, c.image_size, c.batch) for c in cases if c.open == 0.5 and c.patterns == "per input"}
    assert goals == {(w, s, b) for w in (32, 64, 128, 256) for s in (28, 56, 84) for b in (1, 16)}
    for width in (64, 128):
        shares = {c.open for c in cases if (c.width, c.image_size, c.batch, c.threads) == (width, 84, 1, 1)}
        assert shares == {0.125, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_gates_open_the_stated_share_and_differ_from_input_to_input(share):
    case = Case(32, 28, 1, open=share)
    net, params, statistics = gated_net(case)
    gates = torch.cat(check_equal(net, params, statistics, images_for(case, 64, seed=1)), 1)
    assert gates.mean() == pytest.approx(share, abs=0.05)
    assert len(gates.unique(dim=0)) == (1 if share == 1 else 64)


def test_shared_patterns_are_one_for_all_inputs():
    case = Case(32, 28, 1, patterns="shared")
    net, params, statistics = gated_net(case)
    gates = torch.cat(check_equal(net, params, statistics, images_for(case, 64, seed=1)), 1)
    assert (gates == gates[0]).all()
    assert gates.mean() == 0.5


def test_the_masked_network_that_is_timed_answers_as_the_others():
    case = Case(16, 28, 4)
    net, params, statistics = gated_net(case)
    images = images_for(case, 4, seed=1)
    logits, gates = MaskedNet(case, params, statistics)(images)
    skipped = SkippingNet(net, params, statistics)(images)
    torch.testing.assert_close(logits, skipped.logits, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(*pair) for pair in zip(gates, skipped.gates, strict=True))


def test_nothing_is_timed_that_answers_otherwise(monkeypatch):
    case = Case(8, 28, 1)
    net, params, statistics = gated_net(case)

    def otherwise(net, params, statistics):
        return SkippingNet(net, {n: v + 1.0 if "gate" in n else v for n, v in params.items()}, statistics)

    monkeypatch.setattr("studies.bench.gated.SkippingNet", otherwise)
    with pytest.raises(RuntimeError, match="opens other filters"):
        check_equal(net, params, statistics, images_for(case, 8, seed=1))


def test_a_batch_is_timed_on_one_thread_and_on_two():
    threads = torch.get_num_threads()
    report = batches.measure(quick=True)
    assert torch.get_num_threads() == threads
    over_slim = {row.setting["threads"]: row for row in report.rows if (row.what, row.against) == ("skipping", "slim")}
    assert over_slim.keys() == {1, 2}
    (gain,) = report.notes["one thread over two"]
    assert gain["skipping"] == over_slim[1].seconds / over_slim[2].seconds
    assert [goal.measured for goal in report.goals] == [over_slim[2].ratio, gain["skipping"]]
