"""Chapter 2: the reader's gate is the library's, in values and gradients, and its figures say what the data say."""

import re

import pytest
import torch
from chapters import defined_in

import mglib
from figures.ch02 import show_choices, show_estimates, show_missing_gradient
from figures.ch02_path import show_gate_path
from mglib.nets import gates as library_gates

CHAPTER = "02_a_gate_on_every_filter"


def from_chapter(*names):
    found = defined_in(CHAPTER, *names)
    return [found[name] for name in names]


def random_logits(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()


def two_derivatives(gate, logits):
    weights = torch.linspace(-1, 2, logits.numel(), dtype=logits.dtype).reshape(logits.shape)
    (first,) = torch.autograd.grad((weights * gate**2).sum(), logits, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), logits)
    return first.detach(), second


@pytest.mark.parametrize("grid", [1, 2, 4])
def test_the_gate_head_is_the_librarys(grid):
    (head,) = from_chapter("GateHead")
    ours, theirs = head(3, 8, grid).double(), library_gates.GateHead(3, 8, grid).double()
    inputs = random_logits(5, 3, 9, 9)
    assert torch.equal(ours(inputs), theirs(inputs)), "both start with every logit at the bias"
    with torch.no_grad():
        ours.linear.weight.copy_(random_logits(*ours.linear.weight.shape))
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(inputs), theirs(inputs))
    assert ours(inputs).std(0).min() > 0


def test_the_gated_layer_is_the_librarys_in_maps_gates_and_gradients():
    gated_conv, straight_through = from_chapter("GatedConv", "straight_through", "GateHead", "step")[:2]
    ours, theirs = gated_conv(3, 8, straight_through).double(), library_gates.GatedConv(3, 8, gated=True).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(random_logits(*parameter.shape))
    theirs.load_state_dict(ours.state_dict())
    inputs = random_logits(6, 3, 10, 10)
    (maps, gate), (their_maps, their_gate, _) = ours(inputs), theirs(inputs, None, None)
    torch.testing.assert_close(maps, their_maps)
    assert torch.equal(gate, their_gate)
    assert 0 < gate.mean() < 1
    gradients, theirs = (
        torch.autograd.grad(values.square().sum(), list(layer.parameters()))
        for values, layer in ((maps, ours), (their_maps, theirs))
    )
    for one, other in zip(gradients, theirs, strict=True):
        assert one.any()
        torch.testing.assert_close(one, other)


def test_straight_through_is_the_librarys_to_the_second_derivative():
    (straight_through,) = from_chapter("straight_through")
    logits = random_logits(40, 7)
    ours, theirs = straight_through(logits), mglib.straight_through(logits)
    assert torch.equal(ours, theirs)
    assert set(ours.unique().tolist()) == {0.0, 1.0}
    for one, other in zip(two_derivatives(ours, logits), two_derivatives(theirs, logits), strict=True):
        assert torch.equal(one, other)


def test_the_gumbel_gate_is_the_librarys_draw_for_draw():
    gumbel, _ = from_chapter("gumbel", "straight_through")
    logits = random_logits(40, 7).detach().float().requires_grad_()
    ours, theirs = (draw(logits, torch.Generator().manual_seed(5)) for draw in (gumbel, mglib.gumbel))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, mglib.straight_through(logits)), "no noise in it"
    for one, other in zip(two_derivatives(ours, logits), two_derivatives(theirs, logits), strict=True):
        assert torch.equal(one, other)


def test_the_score_function_has_the_exact_gradient_of_two_gates_as_its_mean():
    (score_function,) = from_chapter("score_function")
    table = torch.tensor([[0.3, 1.1], [0.9, -0.4]], dtype=torch.float64)  # loss of each pair of choices
    logits = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    p, q = torch.sigmoid(logits)
    mean = sum(table[i, j] * (p if i else 1 - p) * (q if j else 1 - q) for i in (0, 1) for j in (0, 1))
    (exact,) = torch.autograd.grad(mean, logits)
    many = logits.detach().expand(200_000, 2).clone().requires_grad_()

    def loss(gate):
        return table[gate[:, 0].long(), gate[:, 1].long()]

    value = score_function(loss, many, torch.Generator().manual_seed(0))
    (draws,) = torch.autograd.grad(value.sum(), many)
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact).abs() < 4 * error).all()
    assert error.max() < 0.05 * exact.abs().max()


def a_path(open_first=3):
    gates = [torch.zeros(32), torch.ones(32)]
    gates[0][:open_first] = 1
    maps = [gate[:, None, None] * torch.rand(32, size, size) for gate, size in zip(gates, (14, 7), strict=True)]
    return [torch.rand(28, 28), maps, gates, torch.tensor([0.25, 0.5]), torch.rand(3, 28, 28)]


def test_the_path_says_what_is_open_what_it_costs_and_whether_the_answer_is_right():
    for label, verdict in ((1, "right"), (2, "wrong")):
        alt = show_gate_path(*a_path(), torch.tensor([0.1, 0.7, 0.2]), label).alt
        assert "3 of 32 in layer 1 at 25% of its multiply-accumulates, 32 of 32 in layer 2 at 50%" in alt
        assert f"The answer is {verdict}." in alt


def test_the_path_draws_an_outline_for_each_closed_filter():
    def outlines(open_first):
        svg = show_gate_path(*a_path(open_first), torch.tensor([0.1, 0.7, 0.2]), 1).svg
        return len(re.findall("opacity: 0.45", svg))

    assert [outlines(count) for count in (0, 3, 32)] == [32, 29, 0]


def test_the_path_refuses_layers_that_do_not_fit_each_other():
    image, maps, gates, macs, support = a_path()
    with pytest.raises(ValueError, match="2 layers of maps, 1 of gates, 2 of MACs"):
        show_gate_path(image, maps, gates[:1], macs, support, torch.ones(3) / 3, 0)


def test_estimates_are_told_by_bias_and_spread_and_noise_is_drawn_only_where_it_is():
    logits, exact = torch.linspace(-2, 2, 5), torch.full((5,), -0.5)
    quiet = torch.full((30, 5), -0.25)
    noisy = exact + torch.tensor([-1.0, 1.0]).repeat(15)[:, None]
    figure = show_estimates(logits, {"quiet": quiet, "noisy": noisy}, exact, 2)
    assert "quiet, bias 0.25 and spread 0.00; noisy, bias 0.00 and spread 1.00" in figure.alt
    assert "negative, at most 0.50 in size" in figure.alt
    dots = sorted(path.count("M ") for path in re.findall(r'<path d="([^"]*)"[^>]*stroke-linecap: round', figure.svg))
    assert dots == [5, 60]


def test_the_missing_gradient_is_told_with_its_numbers():
    logits = torch.linspace(-3, 3, 61)
    cliff = torch.where(logits > 0, 0.9, 0.1)
    bump = torch.sigmoid(logits) * (1 - torch.sigmoid(logits))
    alt = show_missing_gradient(logits, (cliff, 0 * logits), (torch.sigmoid(logits), bump)).alt
    assert "0.10 where the gate is closed and 0.90 where it is open" in alt
    assert "a bump of height 0.25" in alt


def test_choices_are_sorted_by_need_and_told_at_their_end():
    needed = torch.tensor([0, 1, 0, 1])
    history = torch.zeros(60, 4)
    history[:, 1] = history[:, 3] = 1
    history[:30, 0] = 1
    alt = show_choices({"mine": history, "none": 1 - history}, needed).alt
    assert "mine, 100% of the needed and 0% of the others; none, 0% of the needed and 100% of the others" in alt
    assert "each of 4 gates, of which 2 are needed" in alt
