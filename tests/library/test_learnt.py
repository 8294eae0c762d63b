"""What is learnt beside the network, rates of adaptation and the price of the budget, and how it travels."""

import dataclasses

import pytest
import torch
from small_data import small_recipe, stopped_after, support_of

from mglib import Recipe
from mglib.federated import Round, Update
from mglib.federated.aggregation import average
from mglib.meta.adapt import differentiate
from mglib.params import META, PRICE, RATE, of_network
from mglib.training import NodeNetwork, Run, adapt_to_folder, set_up, train
from mglib.training.algorithms import DualAscent, final_objective

LEARNT = {"learn_rates": True, "price": "dual", "budget": 0.5, "rounds": 12}


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    train(small_recipe(folder, **LEARNT), out)
    return Run(out)


@pytest.mark.parametrize("price", ["dual", "signed"])
@pytest.mark.parametrize("budget", [0.12, 0.5, 0.75])
@pytest.mark.parametrize("eager", [0.1, 1.0])  # nats at which nodes spend half of what they would for nothing
def test_the_price_makes_nodes_spend_their_budget(budget, eager, price):
    """Nodes that spend the less the higher the price, and take their time over it."""
    keeper = DualAscent(average, Recipe(budget=budget, price=price))
    params, state, spent = {PRICE: torch.zeros(())}, {}, 1.0
    for index in range(600):
        wanted = 1 / (1 + float(params[PRICE]) / eager)
        spent += 0.05 * (wanted - spent)
        update = Update("node", params, 1.0, {"macs_ratio": spent}, index)
        params, state = keeper(params, state, [update], Round(index, 600, 0))
    assert spent == pytest.approx(budget, abs=0.01)


@pytest.mark.parametrize("price", ["dual", "signed"])
def test_nodes_within_their_budget_pay_nothing_or_are_paid(price):
    """Nodes that spend 30 % of the MACs unless they are paid for more."""
    keeper = DualAscent(average, Recipe(budget=0.5, price=price))
    params, state, spent = {PRICE: torch.tensor(2.0)}, {}, 0.3
    for index in range(300, 600):
        spent += 0.05 * (0.3 - min(0.0, float(params[PRICE])) - spent)
        update = Update("node", params, 1.0, {"macs_ratio": spent}, index)
        params, state = keeper(params, state, [update], Round(index, 600, 0))
    if price == "dual":
        assert (float(params[PRICE]), spent) == (0, 0.3)
    else:
        assert float(params[PRICE]) < 0
        assert spent == pytest.approx(0.5, abs=0.01)


def test_nodes_that_hide_their_macs_leave_the_price_to_others():
    keeper, first = DualAscent(average, Recipe(budget=0.5, price="dual")), Round(5, 10, 0)
    params = {PRICE: torch.tensor(0.0)}
    told, hidden = (Update("node", params, 1.0, metrics) for metrics in ({"macs_ratio": 0.9}, {}))
    alone, _ = keeper(params, {}, [told], first)
    assert alone[PRICE] > 0
    assert keeper(params, {}, [told, hidden], first)[0] == alone
    assert keeper(params, {}, [hidden], first)[0] == params


def test_the_price_is_of_a_bounded_step_and_of_a_running_mean():
    keeper, late = DualAscent(average, Recipe(budget=0.5, price="dual")), Round(9, 10, 0)
    params = {PRICE: torch.tensor(0.0)}

    def after(spent, state):
        return keeper(params, state, [Update("node", params, 1.0, {"macs_ratio": spent})], late)

    _, first = after(100.0, {})
    assert float(first["price.spent"]) == pytest.approx(2 / 0.5 - 1), "no network spends more than twice a dense one"
    assert float(first["price.multiplier"]) == pytest.approx(DualAscent.RATE * DualAscent.MOST)
    priced, second = after(0.5, first)
    assert float(second["price.spent"]) == pytest.approx(DualAscent.MEMORY * 3)
    step = DualAscent.RATE * DualAscent.MOST + DualAscent.GAIN * DualAscent.MEMORY * 3
    assert float(priced[PRICE]) == pytest.approx(step)


def test_rates_and_price_are_learnt_and_saved(run):
    recipe, net, params = run.load()
    rates = {name for name in params if name.startswith(RATE)}
    assert rates == {RATE + name for name, _ in net.named_parameters()}
    assert all(params[name] != 0 for name in rates)
    assert {name for name in params if name.startswith(META)} == rates | {PRICE}
    assert of_network(params).keys() == dict(net.named_parameters()).keys()
    assert recipe.learn_rates


def test_a_resumed_training_learns_the_same_rates_and_price(folder, run, tmp_path):
    recipe = small_recipe(folder, **LEARNT)
    stopped_after(recipe, tmp_path / "run", 10)
    params = train(recipe, tmp_path / "run", resume=True)
    expected = run.load()[2]
    assert params.keys() == expected.keys()
    assert all(torch.equal(params[name], expected[name]) for name in expected)


def test_a_new_node_adapts_at_the_learnt_rates(folder, run, tmp_path):
    shots = support_of(folder / "alphabet3", tmp_path / "shots", range(3))
    network, support = adapt_to_folder(run, shots, frozen=False)
    recipe, net, params = run.load()
    rate = 0.4 * torch.exp(torch.log(torch.tensor(10.0)) * torch.tanh(params[f"{RATE}head.bias"] / 2.302585))
    _, gradient, _ = differentiate(final_objective(recipe, net), params, support)
    torch.testing.assert_close(network.params["head.bias"], params["head.bias"] - rate * gradient["head.bias"])
    network.save(tmp_path / "own")
    again = NodeNetwork.load(tmp_path / "own")
    assert again.params.keys() == dict(net.named_parameters()).keys()
    smaller, _ = adapt_to_folder(run, shots)
    assert smaller(support.images).logits.argmax(1).tolist() == network(support.images).logits.argmax(1).tolist()


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "dual", "method": "maml"},
        {"price": "dual", "privacy": "server", "noise": 0.1},
        {"price": "dual", "privacy": "node"},
        {"price": "signed", "method": "maml"},
    ],
)
def test_a_price_that_nothing_could_set_is_refused(wrong):
    with pytest.raises(ValueError, match="`price`"):
        Recipe(**wrong)


def test_recipes_from_before_keep_what_they_said(folder):
    recipe = small_recipe(folder)
    old = {name: value for name, value in dataclasses.asdict(recipe).items() if name not in ("price", "learn_rates")}
    assert type(recipe)(**old) == recipe
    assert set_up(recipe).initial.keys() == dict(set_up(recipe).net.named_parameters()).keys()
