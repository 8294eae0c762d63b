"""bench scale: the model adds up what it was given, and real rounds are what its error is taken from."""

import pytest

from studies.bench.scale import Costs, measure, report_of

COSTS = Costs(sampling=0.01, making=0.001, computing=0.02, step=0.005, adding=0.0005, packing=0.002, message=1000)


def test_a_simulated_round_is_the_sum_of_its_pieces():
    assert COSTS.simulated(100) == pytest.approx(0.01 + 0.005 + 100 * (0.001 + 0.02 + 0.0005))
    assert COSTS.memory(100) == 103_000


def test_a_round_elsewhere_waits_for_the_slowest_device_or_for_the_link():
    slow = COSTS.distributed(100, slower=50, device_rate=1e3, link_rate=1e9)
    assert slow == pytest.approx(0.01 + 50 * 0.022 + 2.0 + 0.005 + 0.05)
    narrow = COSTS.distributed(100, slower=1, device_rate=1e9, link_rate=1e4)
    assert narrow == pytest.approx(0.01 + 100 * (0.002 + 0.2) + 0.005 + 0.05)


def test_the_report_says_how_far_the_model_is_off_and_misses_when_it_is():
    right = {4: (COSTS.simulated(4), 10**8), 100: (COSTS.simulated(100), 10**8)}
    report = report_of(COSTS, right, 3)
    assert [goal.met for goal in report.goals] == [True, True]
    assert report.goals[0].measured == pytest.approx(0)
    wrong = {**right, 100: (2 * COSTS.simulated(100), 2 * 10**8)}
    report = report_of(COSTS, wrong, 3)
    assert [goal.met for goal in report.goals] == [False, False]
    assert report.goals[0].measured == pytest.approx(0.5)


def test_rounds_among_a_million_devices_are_run_for_it(bench_recipe):
    report = measure(quick=True, recipe=bench_recipe)
    assert [row.setting["devices"] for row in report.rows] == [10**6, 10**6]
    costs = Costs(**report.notes["costs"])
    assert all(cost > 0 for cost in (costs.sampling, costs.making, costs.computing, costs.packing, costs.message))
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in report.rows)
    assert len(report.goals) == 2
