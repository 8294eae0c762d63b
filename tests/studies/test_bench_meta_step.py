"""The benchmark of the meta-step: what it compares is equal, and what it reports is whole."""

import json

import pytest
import torch

from studies.bench import meta_step, peak_bytes
from studies.bench.meta_step import NESTED, OURS, PLAIN, TWO_STAGE, Case, check_equal, goals_of, measure_case
from studies.bench.peers import PACKAGES
from studies.bench.report import Report


@pytest.fixture(scope="module")
def measured():
    return measure_case(Case(width=4, image_size=12, channels=1), rounds=2)


def test_every_peer_stands_beside_plain_maml(measured):
    rows, _ = measured
    against = {row.against for row in rows}
    assert {f"{PLAIN}, {name}" for name in (*PACKAGES, NESTED)} <= against
    assert f"{TWO_STAGE}, {NESTED}" in against
    assert not any(f"{TWO_STAGE}, {name}" in against for name in PACKAGES)


def test_every_row_has_a_ratio_and_tells_its_setting(measured):
    for row in measured[0]:
        assert row.as_dict()["ratio"] > 0
        assert row.setting == {"width": 4, "pixels": 12, "shots": 1, "threads": 1}


def test_the_report_is_one_json_object(measured):
    rows, found = measured
    report = json.loads(json.dumps(Report(rows, goals_of(found), {"cases": found}).as_dict()))
    assert {"machine", "versions", "threads", "commit", "rows", "goals"} <= report.keys()
    assert {"what", "seconds", "against", "against_seconds", "ratio"} <= report["rows"][0].keys()
    assert [goal.keys() >= {"name", "target", "measured", "met"} for goal in report["goals"]] == [True] * 4


@pytest.mark.parametrize("method", [PLAIN, TWO_STAGE])
def test_all_ways_to_a_gradient_agree_in_double_precision(method):
    candidates = Case(width=6, image_size=14, channels=3, shots=2).candidates(method, torch.float64)
    gradients = {name: function() for name, function in candidates.items()}
    assert check_equal(gradients) < meta_step.TOLERANCE
    name = "layers.1.conv.weight"
    gradients[OURS][name] = gradients[OURS][name] * (1 + 1e-5)
    with pytest.raises(ArithmeticError, match=name):
        check_equal(gradients)


def test_a_missing_peer_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr("studies.bench.peers.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"higher, torchopt are not installed: pip install -e '\.\[bench\]'"):
        Case(width=4, image_size=8, channels=1).candidates(PLAIN)


def test_peak_memory_counts_what_lives_at_once():
    def one_after_another():
        for _ in range(5):
            torch.zeros(1000)

    def together():
        return [torch.zeros(1000) for _ in range(5)]

    def by_autograd():
        start = torch.zeros(1000, requires_grad=True)
        ((start * 2) * (start * 3)).sum().backward()

    assert peak_bytes(one_after_another) <= 2 * 4000
    assert peak_bytes(together) == 5 * 4000
    assert peak_bytes(by_autograd) > 3 * 4000


def test_arithmetic_is_that_of_the_formula():
    convolve = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert meta_step.arithmetic(lambda: convolve(torch.zeros(2, 3, 10, 10))) == 2 * 100 * 9 * 3 * 8
