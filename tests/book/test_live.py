"""The network in the page: in headless Chromium it says, opens and learns what Python says, opens and learns."""

import base64
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from torch.func import functional_call

import mglib
from mglib.meta import adapt
from mglib.meta.adapt import start_of_rates
from mglib.nets import Objective, macs_ratio
from mglib.params import PRICE, of_network, save
from mglib.tasks import fonts
from mglib.training import Recipe, Run
from mglib.training.algorithms import stages_of
from pad import SOURCE, START, export_live
from pad.__main__ import main
from pad.drawings import DrawingSettings, character_lines, shake
from pad.strokes import centred, rasterise
from studies.leaks import RUNS

TASKS, QUERIES = 50, 5  # 250 support drawings and 250 queries
PROGRAM = """async ([source, argument]) => {
  const url = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
  const live = await import(url);
  return (%s)(live, argument);
}"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


def in_page(page, code, argument):
    return page.evaluate(PROGRAM % code, [SOURCE.read_text(), argument])


@pytest.fixture(scope="module")
def drawings():
    """Five characters a task and six drawings of each, as strokes, by hands of a script that nobody trained on."""
    generator, tasks = np.random.default_rng(0), []
    lines = [
        character_lines(characters, fonts.covering_faces(characters)[0]) for characters in ("აბგდევზთი", "אבגדהוזחט")
    ]
    for number in range(TASKS):
        script = lines[number % 2]
        chosen = generator.choice(sorted(script), 5, replace=False)
        tasks.append([[shake(script[c], DrawingSettings(), generator)[0] for _ in range(2)] for c in chosen])
    return tasks


@pytest.fixture(scope="module")
def images(drawings):
    """(task, character, drawing, pixel), 0 to 1."""
    return np.array([[[rasterise(centred(s)) for s in both] for both in task] for task in drawings], float).reshape(
        TASKS, 5, 2, -1
    ) / 255  # fmt: skip


@pytest.fixture(scope="module", params=["fixed", "learnt"])
def run(request, tmp_path_factory):
    """The pad's start, and one that has learnt rates and a price, here drawn by chance."""
    if request.param == "fixed":
        return START
    recipe, net, params = START.load()
    generator = torch.Generator().manual_seed(0)
    rates = start_of_rates(stages_of(recipe, net))
    params |= {name: torch.randn((), generator=generator) for name in rates} | {PRICE: torch.tensor(0.7)}
    folder = tmp_path_factory.mktemp("learnt")
    dataclasses.replace(recipe, learn_rates=True, price="dual").save(folder / "recipe.json")
    save(folder / "params.safetensors", params)
    return Run(folder)


@pytest.fixture(scope="module")
def python(run, images):
    """Logits, gates and MACs of the queries before and after adaptation, in double precision."""
    recipe, net, params = run.load()
    experiment = mglib.set_up(dataclasses.replace(recipe, data="glyphs"))  # for the stages; its images are not used
    net, params = net.double(), {name: value.double() for name, value in params.items()}
    objective, told = Objective(net, recipe.budget, recipe.penalty), []
    for task in images:
        support, query = (torch.tensor(task[:, k]).view(5, 1, 28, 28) for k in (0, 1))
        own = adapt(objective, params, mglib.Batch(support, torch.arange(5)), experiment.stages)
        for each in (params, own):
            each = of_network(each)
            with torch.no_grad():
                statistics = functional_call(net, each, (support,)).statistics
                answer = functional_call(net, each, (query, statistics))
            macs = macs_ratio(net.costs, answer.gates).numpy()
            told.append((answer.logits.numpy(), torch.cat(answer.gates, 1).numpy(), macs))
    return told


@pytest.fixture(scope="module")
def javascript(run, page, images):
    code = """(live, [model, tasks]) => {
      const net = live.loadModel(model), told = [];
      for (const task of tasks) {
        const support = task.map(([first]) => first), query = task.map(([_, second]) => second);
        const own = net.adapt(support, [0, 1, 2, 3, 4]);
        for (const each of [net, own]) {
          const statistics = each.statistics(support);
          told.push(query.map((image) => {
            const skipped = each.predict(image, statistics), whole = each.predict(image, statistics, {skip: false});
            return {logits: [...skipped.logits], whole: [...whole.logits], macs: skipped.macs,
                    gates: skipped.gates.flatMap((gate) => [...gate])};
          }));
        }
      }
      return told;
    }"""
    return in_page(page, code, [export_live(run), images.tolist()])


def test_the_page_says_what_python_says_and_opens_what_python_opens(python, javascript):
    gates_differ, changed = 0, 0
    for (logits, gates, macs), answers in zip(python, javascript, strict=True):
        np.testing.assert_allclose([answer["logits"] for answer in answers], logits, atol=1e-4)
        np.testing.assert_allclose([answer["macs"] for answer in answers], macs, rtol=1e-9)
        gates_differ += int((np.array([answer["gates"] for answer in answers]) != gates).sum())
    for before, after in zip(javascript[::2], javascript[1::2], strict=True):
        changed += before[0]["logits"] != after[0]["logits"]
    assert gates_differ == 0
    assert changed == TASKS, "adaptation changes what is said"


def test_what_is_skipped_changes_nothing(javascript):
    for answers in javascript:
        for answer in answers:
            np.testing.assert_allclose(answer["logits"], answer["whole"], atol=1e-12)


def test_one_step_names_drawings_of_characters_that_nobody_trained_on(run, javascript):
    right = [
        np.mean([np.argmax(answer["logits"]) == label for label, answer in enumerate(answers)])
        for answers in javascript
    ]
    assert np.mean(right[1::2]) > (0.8 if run == START else 0.4), "rates drawn by chance are worse ones"
    assert np.mean(right[::2]) < 0.4, "before the step it is chance"


def test_the_slopes_are_those_of_autograd(run, page, images):
    code = """(live, [model, images]) => {
      const { loss, gradient } = live.loadModel(model).lossGradient(images, [0, 1, 2, 3, 4]);
      const lists = Object.entries(gradient).map(([name, values]) => [name, [...values]]);
      return { loss, gradient: Object.fromEntries(lists) };
    }"""
    told = in_page(page, code, [export_live(run), images[0][:, 0].tolist()])
    recipe, net, params = run.load()
    price = {name: params[name] for name in params if name == PRICE}
    leaves = {name: value.double().requires_grad_() for name, value in of_network(params).items()}
    objective = Objective(net.double(), recipe.budget, recipe.penalty)
    support = mglib.Batch(torch.tensor(images[0][:, 0]).view(5, 1, 28, 28), torch.arange(5))
    loss, _ = objective(leaves | price, support)
    slopes = torch.autograd.grad(loss, list(leaves.values()))
    assert told["loss"] == pytest.approx(loss.item(), abs=1e-9)
    assert set(told["gradient"]) == set(leaves)
    for name, slope in zip(leaves, slopes, strict=True):
        np.testing.assert_allclose(told["gradient"][name], slope.flatten().numpy(), atol=1e-9, err_msg=name)


def test_the_page_draws_the_pixels_that_python_draws(page, drawings, images):
    code = """(live, tasks) => tasks.map((task) => task.map((both) => both.map(
      (strokes) => [...live.rasterise(live.centred(strokes))])))"""
    strokes = [[[[stroke.tolist() for stroke in s] for s in both] for both in task] for task in drawings[:10]]
    theirs = np.array(in_page(page, code, strokes))
    assert np.abs(theirs - images[:10]).max() <= 1 / 255 + 1e-9
    assert (theirs == images[:10]).mean() > 0.9999
    with pytest.raises(Exception, match="empty drawing"):
        in_page(page, "(live) => live.centred([])", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("new Uint8Array(784)", "image 1 is a Uint8Array: need Array or Float32Array or Float64Array"),
        ("new Uint8ClampedArray(784)", "image 1 is a Uint8ClampedArray"),
        ("new BigInt64Array(784)", "image 1 is a BigInt64Array"),
        ("null", "image 1 is a Null"),
        ("'7'.repeat(784)", "image 1 is a String"),
        ("new Float64Array(783)", "image 1 has 783 pixels: need 28 × 28"),
        ("[]", "image 1 has 0 pixels"),
        ("Array(784)", "image 1 holds undefined: need finite numbers"),
        ("Array(784).fill('0')", "image 1 holds 0: need finite numbers"),
        ("new Float32Array(784).fill(NaN)", "image 1 holds NaN"),
        ("new Float64Array(784).with(783, Infinity)", "image 1 holds Infinity"),
    ],
)
def test_what_is_no_image_is_refused_in_the_page_too(page, change, message):
    code = """(live, model) => {
      const net = live.loadModel(model), good = new Float64Array(784).fill(0.5), wrong = %s, told = [];
      const statistics = net.statistics([good]), images = [good, wrong];
      for (const call of [() => net.statistics(images), () => net.adapt(images, [0, 1]),
                          () => net.lossGradient(images, [0, 1]), () => net.predict(wrong, statistics)]) {
        try { call(); told.push("nothing"); } catch (error) { told.push(error.message); }
      }
      return told;
    }"""
    *batches, alone = in_page(page, code % change, export_live(START))
    assert all(told.startswith(message) for told in batches), batches
    assert alone.startswith(message.replace("image 1", "image 0"))


def test_labels_that_name_no_image_or_class_are_refused(page):
    code = """(live, [model, labels]) => {
      const images = [0, 1].map(() => new Float32Array(784));
      try { live.loadModel(model).adapt(images, labels); } catch (error) { return error.message; }
    }"""
    for labels in ([0], [0, 5], [0, -1], [0, 0.5], [0, "1"]):
        assert "whole numbers from 0 to 4" in in_page(page, code, [export_live(START), labels])
    assert in_page(page, code, [export_live(START), [0, 4]]) is None


def test_the_export_is_small_and_holds_every_parameter(tmp_path, capsys):
    assert main(["export", str(START.folder), "--out", str(tmp_path / "own.json")]) == 0
    text = (tmp_path / "own.json").read_text()
    assert len(text) <= 300_000
    assert f"{len(text):,} bytes" in capsys.readouterr().out
    _, _, params = START.load()
    for name, value in json.loads(text)["params"].items():
        there = np.frombuffer(base64.b64decode(value), "<f4")
        np.testing.assert_array_equal(there, params[name].flatten().numpy())


def test_a_network_that_the_script_does_not_know_is_refused(tmp_path, capsys):
    assert main(["export", str(RUNS / "dense"), "--out", str(tmp_path / "own.json")]) == 2
    assert "maml" in capsys.readouterr().err
    shutil.copytree(START, tmp_path / "run")
    recipe = dataclasses.replace(Recipe.load(START.recipe_file), steps=3)
    recipe.save(tmp_path / "run" / "recipe.json")
    with pytest.raises(ValueError, match="steps 3: the page's script knows metagater with one step"):
        export_live(tmp_path / "run")
