"""What freezing costs: the whole adapted network beside the frozen one."""

import dataclasses

import pytest

from mglib.nets import make_net
from mglib.tasks import load_federation
from mglib.training import Run, evaluate
from mglib.training.algorithms import final_objective, stages_of
from studies.frozen import score_frozen
from studies.leaks import RUNS


def test_what_freezing_costs_is_measured_on_queries_it_never_saw():
    glyph_nodes = load_federation("glyphs").test
    recipe, net, params = Run(RUNS / "gated-50").load()
    objective, stages = final_objective(recipe, net), stages_of(recipe, net)
    plain = list(evaluate(objective, params, glyph_nodes, stages, tasks=6))
    scores = list(evaluate(objective, params, glyph_nodes, stages, tasks=6, scored_by=score_frozen))
    for score, of_whole in zip(scores, plain, strict=True):
        assert score.node == of_whole.node
        assert score.accuracy == pytest.approx(of_whole.accuracy)
        assert score.macs_ratio == pytest.approx(of_whole.macs_ratio)
        assert 1 - score.agreement <= score.missed + 1e-6, "only a query that misses a filter is answered otherwise"
        assert abs(score.accuracy_frozen - score.accuracy) <= 1 - score.agreement + 1e-6
        assert 0 < score.removed < 0.3
        assert 0 < score.bytes_saved < 0.5
        assert score.macs_ratio_frozen < score.macs_ratio_unskipped < 1
    dense = make_net(0, gated=False)
    with pytest.raises(ValueError, match="nothing to freeze"):
        score_frozen(dataclasses.replace(objective, net=dense[0]), dense[1], None, stages)
