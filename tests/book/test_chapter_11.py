"""Chapter 11: its arithmetic is the library's, and what it says of winners and goals follows from the rows alone."""

import re

import numpy as np
import pytest
from chapters import defined_in, outputs_of, prose_of

from figures.ch11 import draw_duels, show_family, show_resamples, show_tasks_apart, show_trials
from figures.ch11_tables import show_cost_frontier, show_traffic, show_verdicts
from studies import TABLES, holm
from studies.lines import verdict
from studies.methods import METHODS
from studies.reproduce import chosen, keep_trial
from studies.statistics import bootstrap_interval, resampled_means

CHAPTER = "11_against_its_relatives"


def row(method="anil", **more):
    base = {"data": "glyphs", "method": method, "budget": 0.5, "accuracy": 0.8, "difference": 0.0, "p": 1.0}
    return base | {"difference_ci95": 0.01, "macs_ratio": 0.5, "seeds": 5, "ci95": 0.01, **more}


def test_the_two_level_bootstrap_is_the_librarys():
    two_level = defined_in(CHAPTER, "two_level")["two_level"]
    generator = np.random.default_rng(3)
    differences = generator.normal(0, 1, (5, 1)) + generator.normal(0, 3, (5, 80))
    ours, _ = bootstrap_interval(two_level(differences, 4000, generator))
    theirs, _ = bootstrap_interval(resampled_means(differences[None])[0])
    assert ours == pytest.approx(theirs, rel=0.06)
    bag, _ = bootstrap_interval(two_level(differences.reshape(1, -1), 4000, generator))
    assert bag < 0.7 * ours


def test_the_correction_is_the_librarys():
    step_down = defined_in(CHAPTER, "step_down")["step_down"]
    for seed in range(20):
        values = np.random.default_rng(seed).uniform(0, 0.2, 6)
        np.testing.assert_allclose(step_down(values), holm(list(values)))


@pytest.mark.parametrize("seed", range(8))
def test_the_best_trial_is_the_one_that_the_library_takes(seed, tmp_path):
    generator = np.random.default_rng(seed)
    path, search = tmp_path / "trials.json", [{"rate": rate} for rate in range(4)]
    trials = [
        {"settings": one, "accuracy": generator.uniform(), "macs_ratio": generator.uniform(0.45, 0.6)} for one in search
    ]
    for trial in trials:
        keep_trial(path, trial)
    assert defined_in(CHAPTER, "best_of")["best_of"](trials, 0.5)["settings"] == chosen(path, search, 0.5)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"difference": None, "p": None}, "not measured yet"),
        ({"p": None}, "one seed, so no p"),
        ({"difference": 0.1, "p": 0.06}, "not told apart"),
        ({"difference": 0.1, "p": 0.01}, "better"),
        ({"difference": -0.1, "p": 0.01}, "worse"),
    ],
)
def test_a_verdict_follows_from_difference_and_p(more, word):
    assert verdict(row(**more)) == word


@pytest.mark.parametrize(
    ("difference", "half", "word"),
    [(-0.03, 0.005, "met"), (-0.03, 0.02, "open"), (0.01, 0.02, "missed"), (None, None, "not measured yet")],
)
def test_a_goal_is_met_or_missed_where_the_whole_interval_says_so(difference, half, word):
    judged = row("slim", difference=difference, difference_ci95=half)
    assert defined_in(CHAPTER, "reached")["reached"](judged, 0.02) == word


@pytest.mark.parametrize(
    ("others", "word"),
    [
        ([(-0.03, 0.001), (-0.1, 0.04)], "met"),
        ([(-0.03, 0.001), (-0.1, 0.06)], "missed"),
        ([(-0.03, 0.001), (0.1, 0.001)], "missed"),
        ([(-0.03, 0.001), (-0.1, None)], "not measured yet"),
    ],
)
def test_metagater_leads_where_every_other_method_is_worse(others, word):
    leads_all = defined_in(CHAPTER, "leads_all")["leads_all"]
    rows = [row("metagater", difference=None, p=None), row("dense", budget=1.0, difference=0.1, p=0.001)]
    rows += [row(difference=difference, p=p) for difference, p in others]
    assert leads_all(rows) == word


def test_every_method_of_the_table_has_its_traits():
    held = defined_in(CHAPTER, "traits_of", "DIRECTIONS", "GATES")
    named = {"fedavg", "fedavg-10", "gated-fedavg", "metagater-named"}
    two = {"metagater", "metagater-named", "first-order"}
    for name in {each.method for each in TABLES["baselines"].compared} | {"metagater"}:
        gates, stages, second_order, names = held["traits_of"](METHODS[name])
        assert (names, stages) == (name in named, name in two), name
        assert gates is not False or not METHODS[name].gated
        assert second_order == (name not in {"first-order", "fomaml", "reptile", "pfedme"} | (named - two)), name


def images():
    return np.random.default_rng(0).uniform(size=(5, 28, 28))


def figures():
    reference = row("metagater", name="ours", difference=None, p=None)
    rows = [row(name="a", difference=0.02, p=0.01), row(name="b", difference=-0.1, p=None, difference_ci95=0.02)]
    rows.append(row(name="c", accuracy=None, difference=None, p=None, macs_ratio=None))
    trial = {"accuracy": 0.7, "within": True, "chosen": True}
    means = np.random.default_rng(0).normal(0.01, 0.001, 200)
    panel = {"lines": {"ours": [row(), row(macs_ratio=0.25, ci95=None)]}, "dots": {"b": row(macs_ratio=0.4)}}
    wire = {"name": "a", "rounds": 50.0, "planned": 600, "bytes_a_round": 1e5}
    task = {"support": images(), "query": images(), "scores": {"ours": 0.9, "slim": 0.4}}
    return {
        "verdicts": (show_verdicts("glyphs", rows, reference), r"a: \+2\.0 ± 1\.0.*c: not measured yet"),
        "family": (show_family({"down": {"A": (True, "mask"), "B": (False, False)}}, ("x", "y")), r"A \(x, y: mask\)"),
        "trials": (show_trials({"A": [trial, {**trial, "accuracy": 0.6, "chosen": False}]}), "60% to 70%, chosen 70%"),
        "duels": (draw_duels("B", [3, 0, -1, 90], 23.0, None, 40, 30.0), "2 tasks won, 1 tied, 1 lost"),
        "resamples": (show_resamples({"all": {"means": means, "dots": [0.01]}}), r"95 % from 0\.\d+ to 1\.\d+"),
        "frontier": (show_cost_frontier({"glyphs": panel}), "best of the others, b: 80% at 0.40"),
        "no dots": (show_cost_frontier({"glyphs": panel | {"dots": {}}}), "80% at 0.25"),
        "traffic": (show_traffic("glyphs", [wire, {**wire, "name": "b", "rounds": None}]), "b: not in 600, 60 mega"),
        "tasks": (show_tasks_apart([task]), "ours 90%, slim 40%"),
    }


def test_a_difference_beyond_the_axis_is_said_in_words():
    figure, _ = figures()["verdicts"]
    assert ">−10.0<" in figure.svg
    assert "+2.0" not in figure.svg.replace(figure.alt, "")


@pytest.mark.parametrize(("name", "drawn"), figures().items())
def test_a_figure_says_what_its_data_say(name, drawn):
    figure, said = drawn
    assert re.search(said, figure.alt), figure.alt


PROSE = prose_of(CHAPTER).replace("−", "-")
PRINTED = "\n".join(out.get("text", "") for out in outputs_of(CHAPTER))


def stars(label):
    """How often a method is told apart from MetaGater in the table of the three data sets."""
    return re.search(rf"^{label} .*$", PRINTED, re.M)[0].count("*")


def test_what_the_prose_tells_apart_the_table_tells_apart():
    assert [stars(label) for label in ("… first-order", "Reptile", "pFedMe")] == [3, 3, 3]
    equal = ("MAML, slimmer", "ANIL", "Per-FedAvg", "a learnt mask", "MAML, dense")
    assert [stars(label) for label in equal] == [0] * 5


def test_the_prose_counts_goals_as_they_are_printed():
    short, long = (re.search(rf"^{length} rounds .*\n(?:  .*\n){{5}}", PRINTED, re.M)[0] for length in ("600", "1,500"))
    assert "  0 met, 7 open, 5 missed" in short
    assert "**no goal is met** on any data set: of twelve, seven are open and five missed" in PROSE
    assert "after 600 rounds none of twelve is met and seven are open" in PROSE
    goals = {line[2]: line.split()[-3:] for line in long.splitlines()[1:5]}
    assert goals == {
        "1": ["open", "open", "open"],
        "2": ["missed", "open", "missed"],
        "3": ["missed", "missed", "missed"],
        "4": ["met", "open", "met"],
    }
    said = "goal 4 is **met** on glyphs and CIFAR-10 and just open on Omniglot; goal 2 is missed on glyphs and CIFAR-10"
    assert f"{said}, and goal 3 everywhere; five stay open" in PROSE


def printed_at_length():
    """What is printed of 1,500 rounds, by data set, MACs and rival: "+1.9 ± 1.0*", and its MACs if off the budget."""
    found, data = {}, None
    for line in PRINTED.splitlines():
        if head := re.match(r"(\w+), MetaGater( with names|) at (\d+)%:", line):
            data = head[1], head[3] + head[2]
        elif data and (told := re.match(r"  (\S.*?) +([+-]\d+\.\d ± \d+\.\d\*?) +\d+ pairs(?:, (\d+\.\d)%)?", line)):
            found[*data, told[1]] = told[2], told[3]
    return found


RIVALS = {
    "dense network, twice the work": "MAML, dense",
    "slim network, same cost": "MAML, slimmer",
    "mask that no input changes": "a learnt mask",
    "gates that stay fixed": "MetaGater, gates fixed",
    "FedAvg that knows names, ten steps": "FedAvg, ten steps",
}


@pytest.mark.parametrize("rival", [*RIVALS, "first-order MetaGater, 600 rounds"])
def test_the_short_answer_is_what_the_tables_print(rival):
    cells = re.search(rf"\| {rival} \|([^|]*)\|([^|]*)\|([^|]*)\|", PROSE).groups()
    said = [cell.strip(" *") + "*" * ("**" in cell) for cell in cells]
    if rival in RIVALS:
        shown, data = printed_at_length(), ("glyphs", "omniglot", "cifar10")
        assert said == [shown[name, "50", RIVALS[rival]][0] for name in data]
    else:
        row = re.search(r"^… first-order +(.*)$", PRINTED, re.M)[1]
        assert said == re.findall(r"[+-]\d+\.\d ± \d+\.\d\*?", row)


def test_the_prose_tells_apart_at_length_what_is_printed_with_a_star():
    found = {row: said.endswith("*") for row, (said, _) in printed_at_length().items()}
    slim, dense, mask, fixed = "MAML, slimmer", "MAML, dense", "a learnt mask", "MetaGater, gates fixed"
    assert all(found["glyphs", *row] for row in (("50", slim), ("25", slim), ("50", mask)))
    assert "leads the slim network by 1.3 ± 0.4 and by 2.8 ± 0.9 points, both told apart from zero" in PROSE
    one, ten = "FedAvg, one step", "FedAvg, ten steps"
    assert {row[2] for row, star in found.items() if star and row[:2] == ("omniglot", "50")} == {one, ten}
    assert found["omniglot", "25", slim]
    assert "**On Omniglot gates beat a slim network at a quarter of the MACs**, by 2.5 ± 1.5 points." in PROSE
    assert all(found[data, "50", label] for data in ("glyphs", "omniglot", "cifar10") for label in (one, ten))
    assert "With one step it is behind MetaGater on all three data sets, by 3.1 ± 1.0, 12.2 ± 4.4 and 8.6" in PROSE
    assert "With ten steps it stays ahead on glyphs, by 2.1 ± 0.6" in PROSE
    assert [found["cifar10", "50", label] for label in (slim, dense, fixed, mask)] == [True, True, False, False]
    assert "**On CIFAR-10 gates lose.**" in PROSE
    assert not found["glyphs", "50", fixed]
    names = {
        data: found[data, "50 with names", "MAML with names, slimmer"] for data in ("glyphs", "omniglot", "cifar10")
    }
    assert names == {"glyphs": True, "omniglot": True, "cifar10": False}
    assert "On glyphs MetaGater is 1.4 ± 0.3 ahead of the slim network, told apart and less than two points" in PROSE
    assert not found["glyphs", "50 with names", ten]
    assert "MetaGater is not told apart from FedAvg with ten steps on glyphs, which is at +0.1 ± 0.3" in PROSE
    assert [found[data, "50 with names", "MAML with names, dense"] for data in names] == [True, False, True]
    assert "0.8 ± 0.3, 0.0 ± 0.5 and 0.7 ± 0.4 ahead, told apart on glyphs and CIFAR-10" in PROSE
    assert "**The second stage is not shown to pay on any of the three data sets**" in PROSE


def test_goal_two_asks_for_more_than_the_dense_network_has():
    half = re.search(r"^a half +(.*)$", PRINTED, re.M)[1]
    leads = [
        [float(number) for number in re.findall(r"[+-]?\d+\.\d", each)] for each in re.split(r"\*? +(?=[+-])", half)
    ]
    (glyphs, _), _, (photographs, around) = leads
    assert glyphs < 2
    assert photographs + around < 2
    assert "So on glyphs (on average) and on CIFAR-10, a lead of two points over the slim network would beat" in PROSE


def test_the_rows_off_their_budget_are_the_ones_that_the_prose_names():
    off = {(*row, spent) for row, (_, spent) in printed_at_length().items() if spent}
    whole = {"MAML, slimmer", "MAML with names, slimmer", "FedAvg, one step", "FedAvg, ten steps"}  # filters
    assert {row for row in off if row[2] not in whole} == set()
    rest = {(data, budget.split()[0], spent) for data, budget, label, spent in off if label in whole}
    assert rest == {("cifar10", "50", "48.1")}
    assert "Every row of gated networks is within a point of it, at half and at a quarter of the MACs." in PROSE
    assert "spend 48.1 % on CIFAR-10 where half was allowed" in PROSE
