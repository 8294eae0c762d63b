"""Odd inputs to the public calls and commands: each ends in a result or in a clear error, and leaves nothing half made.

`make fuzz` gives ten thousand; the tests alone give a few dozen. MGLIB_FUZZ_INPUTS and MGLIB_FUZZ_SEED say how many and
which; the counts of how they ended go to the file that MGLIB_FUZZ_OUT names.
"""

import dataclasses
import datetime
import io
import json
import math
import os
import shutil
import signal
import tempfile
import traceback
import warnings
from collections import Counter, defaultdict
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from small_data import small_recipe

import mglib
from mglib import params as parameters
from mglib.__main__ import main
from mglib.federated import Refusal, RoundFailed
from mglib.tasks import load_images, load_nodes, read_support

INPUTS = int(os.environ.get("MGLIB_FUZZ_INPUTS", "60"))
SEED = int(os.environ.get("MGLIB_FUZZ_SEED", "0"))
PATIENCE = 60  # seconds after which an input counts as a hang
ENDS: dict[str, Counter] = defaultdict(Counter)
LIBRARY = str(Path(mglib.__file__).parent)


def inputs(share):
    """Give the test its share of all inputs, the same ones for the same seed."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    many = settings(max_examples=max(2, round(share * INPUTS)), database=None, suppress_health_check=checks)
    return lambda test: seed(SEED)(many(test))


@contextmanager
def no_hang():
    """Fail if the body takes longer than anybody would wait."""

    def stop(*_):
        raise AssertionError(f"no end after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ends(subject, call, *arguments, **options):
    """Call, and count how it ended; what it returned, or None if it refused with an error that the library raised."""
    with no_hang(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = call(*arguments, **options)
        except (ValueError, TypeError, OSError, RoundFailed) as error:
            check_refusal(error)
            ENDS[subject][type(error).__name__] += 1
            return None
    ENDS[subject]["a result"] += 1
    return result


def check_refusal(error):
    """Fail unless the library itself raised the error, and says why."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = last.filename.startswith(LIBRARY) and last.line.startswith("raise")
    unknown = "unexpected keyword argument" in str(error)  # Python's own word for a field that does not exist
    assert str(error), "an error that says nothing"
    assert ours or unknown or isinstance(error, OSError), "an error from the depths, not a refusal"


@pytest.fixture(scope="module", autouse=True)
def record():
    """Write how the inputs ended, where a file is named for it."""
    yield
    if path := os.environ.get("MGLIB_FUZZ_OUT"):
        total = sum(sum(counts.values()) for counts in ENDS.values())
        about = {"inputs": total, "seed": SEED, "date": datetime.date.today().isoformat(), "torch": torch.__version__}
        Path(path).write_text(json.dumps({**about, "ends": ENDS}, indent=2) + "\n")


@pytest.fixture(scope="module")
def federation(folder):
    recipe = small_recipe(folder)
    return mglib.load_federation(recipe.data, image_size=14, held_out=recipe.held_out, validation=recipe.validation)


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A finished run and a network adapted from it, to be copied and harmed."""
    root = tmp_path_factory.mktemp("finished")
    mglib.train(small_recipe(folder, rounds=1), root / "run")
    network = mglib.NodeNetwork.adapted(*_task_of(root / "run", folder))
    network.save(root / "network")
    return root


def _task_of(run, folder):
    recipe, net, params = mglib.Run(run).load()
    node = load_nodes(f"folder:{folder}", image_size=14, channels=1)[3]
    task = node.sample_task(3, 1, 1, np.random.default_rng(0))
    return recipe, net, params, task.support, task.classes


# Values that a caller might give for anything: what was meant, its neighbours, and what was not meant at all.
COUNTS = st.integers(-1, 8) | st.sampled_from(
    [np.int64(3), np.float64(2.0), True, 2.5, 2**70, math.nan, "3", None, [2]]
)
SHARES = st.floats(0, 1) | st.sampled_from(
    [0, 1, -0.1, 1.5, math.nan, math.inf, np.float32(0.5), "0.5", None, [0.5], True]
)
CHOICES = "metagater maml fedavg joint adam average krum mean none gumbel straight-through half opened"
WORDS = st.sampled_from([*CHOICES.split(), "", "µ"]) | st.text(max_size=8) | st.none()
NAMES = st.lists(st.sampled_from(["alphabet0", "alphabet3", "x"]), max_size=3).map(tuple) | st.sampled_from(
    ["alphabet3", None, 3, ["alphabet3"], (1,)]
)
FIELDS = [field.name for field in dataclasses.fields(mglib.Recipe) if field.name not in ("data", "rounds")]


def values(name):
    """Return the strategy of a recipe's field, by the kind of its default."""
    default = mglib.Recipe.__dataclass_fields__[name].default
    if isinstance(default, tuple):
        return NAMES
    if isinstance(default, str):
        return WORDS
    return COUNTS if isinstance(default, int) and not isinstance(default, bool) else SHARES | COUNTS | st.booleans()


CHANGES = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: values(name) for name in names})
)


@inputs(0.3)
@given(changes=CHANGES)
def test_a_recipe_is_made_or_refused(folder, changes):
    recipe = ends("Recipe", lambda: small_recipe(folder, **changes))
    if recipe is not None:
        assert mglib.Recipe.loads(recipe.dumps()) == recipe


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "x"]), inner, max_size=3),
    max_leaves=6,
)


@inputs(0.1)
@given(text=JSON.map(json.dumps) | st.text(max_size=40))
def test_a_recipes_text_is_read_or_refused(text):
    ends("Recipe.loads", mglib.Recipe.loads, text)


@inputs(0.02)
@given(changes=CHANGES)
def test_a_recipe_that_was_made_trains_a_round_or_is_refused(federation, folder, changes):
    changes = {"rounds": 1, "width": 4, **changes}

    def first_round():
        experiment = mglib.set_up(small_recipe(folder, **changes), federation)
        return next(experiment.rounds())

    ends("set_up and a round", first_round)


KINDS = {
    "I;16": "PNG TIFF",
    "I": "TIFF",
    "F": "TIFF",
    "CMYK": "TIFF JPEG",
    "LA": "PNG",
    "RGBA": "PNG WEBP",
    "P": "PNG GIF",
}


@st.composite
def image_bytes(draw):
    """Bytes of an image file of any mode, whole or harmed."""
    mode = draw(st.sampled_from(["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "I", "F", "CMYK"]))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    kind = draw(st.sampled_from(KINDS.get(mode, "PNG BMP TIFF").split()))
    pixels = np.random.default_rng(draw(st.integers(0, 9))).integers(0, draw(st.sampled_from([2, 256])), size[::-1])
    image = (
        Image.fromarray(pixels.astype(np.uint8)).convert(mode)
        if mode != "I;16"
        else Image.fromarray(pixels.astype(np.uint16))
    )
    buffer = io.BytesIO()
    image.save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.sampled_from([len(content), len(content), len(content) // 2, 4, 0]))])


ENDINGS = st.sampled_from([".png", ".jpg", ".tif", ".gif", ".webp", ".bmp", ".pgm", ".txt", "", ".PNG"])


@inputs(0.15)
@given(content=image_bytes(), ending=ENDINGS, size=COUNTS | st.just(14), channels=st.sampled_from([None, 1, 3, 2, "1"]))
def test_an_image_file_is_read_or_refused_by_name(content, ending, size, channels):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"image{ending}"
        path.write_bytes(content)
        images = ends("load_images", load_images, [path], size, channels)
        assert images is None or images.dtype == torch.uint8


PATHS = (
    "a/b/1.png a/b/2.png a/c/1.png a/1.png b/1.png c/x/y/1.png 1.png b/note.txt .hidden/1.png train/a/1.png é/ü/1.png"
)
PLACES = st.lists(st.sampled_from([*PATHS.split(), "test/a/1.png", "d/2.pgm"]), max_size=8, unique=True)


@inputs(0.1)
@given(places=PLACES, content=image_bytes(), read=st.sampled_from(["federation", "nodes", "support"]))
def test_a_folder_is_read_or_refused_by_name(places, content, read):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        root.mkdir()
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(content)
        calls = {
            "federation": lambda: mglib.load_federation(f"folder:{root}", image_size=14),
            "nodes": lambda: load_nodes(f"folder:{root}", image_size=14),
            "support": lambda: read_support(root, 14),
        }
        ends(f"folder as {read}", calls[read])


DTYPES = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.uint8,
    torch.int64,
    torch.bool,
    torch.complex64,
]


@st.composite
def tensors(draw):
    """Images of any type, size and layout."""
    shape = draw(
        st.sampled_from([(2, 1, 14, 14), (0, 1, 14, 14), (1, 3, 14, 14), (2, 1, 13, 14), (1, 14, 14), (14,), ()])
    )
    images = (torch.rand(shape) * 255).to(draw(st.sampled_from(DTYPES)))
    layout = draw(st.sampled_from(["plain", "channels last", "expanded", "strided", "sparse", "grad"]))
    if layout == "channels last" and images.ndim == 4:
        return images.to(memory_format=torch.channels_last)
    if layout == "expanded" and images.ndim == 4 and len(images):
        return images[:1].expand(3, *shape[1:])
    if layout == "strided" and images.ndim == 4:
        return images.repeat(1, 1, 1, 2)[..., ::2]
    if layout == "sparse" and images.ndim == 4 and images.dtype == torch.float32:
        return images.to_sparse()
    if layout == "grad" and images.is_floating_point():
        return images.requires_grad_()
    return images


@inputs(0.1)
@given(images=tensors() | st.sampled_from([None, 3, "image", [[0.0]], np.zeros((1, 1, 14, 14), np.float32)]))
def test_a_network_answers_or_refuses_and_skipping_alike(finished, images):
    network = mglib.NodeNetwork.load(finished / "network")
    masked = ends("a network", network, images)
    skipped = ends("a network that skips", network.skipping, images)
    assert (masked is None) == (skipped is None)
    if masked is not None:
        torch.testing.assert_close(skipped.logits, masked.logits, rtol=1e-3, atol=1e-3, equal_nan=True)


@inputs(0.04)
@given(
    name=st.sampled_from(["all", "", None]),
    rate=SHARES,
    steps=COUNTS,
    which=st.sampled_from([["w"], [], ["x"], "w", None]),
    kind=st.sampled_from(["both", "loss alone", "vector", "number", "none"]),
)
def test_a_meta_gradient_is_taken_or_refused(name, rate, steps, which, kind):
    def loss_fn(params, batch):
        loss = (params["w"] * batch).square().sum()
        answers = {
            "both": (loss, {}),
            "loss alone": loss,
            "vector": (params["w"] * batch, {}),
            "number": (1.0, {}),
            "none": None,
        }
        return answers[kind]

    def gradient():
        stage = mglib.Stage(name, frozenset(which), rate, steps) if which is not None else None
        task = mglib.Task("n", ("a",), torch.ones(3), torch.ones(3))
        return mglib.meta_gradient(loss_fn, {"w": torch.ones(3)}, task, [stage] if stage else [])

    if isinstance(steps, int) and steps > 8:
        steps = 8
    ends("meta_gradient", gradient)


@st.composite
def answers(draw):
    """What a node might send back."""
    value = draw(
        st.sampled_from(
            [torch.ones(3), torch.ones(2), torch.full((3,), math.nan), torch.ones(3).double(), None, "w", 3]
        )
    )
    params = draw(st.sampled_from([{"w": value}, {"x": value}, {}, None, [value], {3: value}]))
    weight = draw(st.sampled_from([1.0, 0, -1, math.nan, math.inf, None, "1", True, 10**400]))
    metrics = draw(
        st.sampled_from([{"loss": 1.0}, {}, {"loss": math.nan}, {"loss": None}, {"loss": "1"}, None, {3: 1.0}])
    )
    update = mglib.Update("n", params, weight, metrics)
    return draw(st.sampled_from([update, update, update, None, 3, Refusal("n", "no"), "update", RuntimeError("no")]))


@inputs(0.05)
@given(answer=answers(), quorum=st.sampled_from([1, 2, 3, 0]))
def test_a_bad_answer_is_refused_and_the_others_go_on(answer, quorum):
    def update(params, node, position, round):
        if node == "bad":
            if isinstance(answer, Exception):
                raise answer
            return answer
        return mglib.Update(node, {"w": params["w"] + 1}, 1.0, {"loss": 1.0})

    def train():
        engine = mglib.LocalEngine(update, ["good", "bad"])
        return list(
            mglib.run_rounds(
                engine, {"w": torch.zeros(3)}, mglib.average, rounds=2, nodes_per_round=2, seed=0, quorum=quorum
            )
        )

    results = ends("run_rounds", train)
    if quorum == 1:
        assert len(results) == 2


@inputs(0.06)
@given(data=st.data())
def test_a_damaged_folder_is_read_or_refused_by_name(finished, data):
    which = data.draw(st.sampled_from(["run", "network"]))
    file = data.draw(st.sampled_from(["recipe.json", {"run": "params", "network": "network"}[which] + ".safetensors"]))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / which
        shutil.copytree(finished / which, copy)
        content = bytearray((copy / file).read_bytes())
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, min(400, len(content) - 1)))] = data.draw(st.integers(0, 255))
        content = content[: data.draw(st.sampled_from([len(content), len(content) - 1, 100, 0]))]
        (copy / file).write_bytes(bytes(content))
        load = mglib.Run(copy).load if which == "run" else lambda: mglib.NodeNetwork.load(copy)
        ends(f"a damaged {which}", load)
        ends("params.load", parameters.load, copy / file)


WORDS_OF_COMMANDS = st.sampled_from(
    [
        "--rounds",
        "1",
        "-1",
        "0",
        "nan",
        "--budget",
        "0.5",
        "--seed",
        "99999999999999999999",
        "--method",
        "maml",
        "none",
        "--width",
        "4",
        "--shots",
        "--queries",
        "2",
        "--workers",
        "--json",
        "--tasks",
        "--split",
        "test",
        "--bogus",
        "--held-out",
        "alphabet3",
        "--nodes",
        "--invert",
        "--help",
        "é",
        "--image-size",
        "14",
        "--device",
        "cuda:9",
    ]
)
SMALL = [
    "--image-size=14",
    "--width=4",
    "--depth=2",
    "--ways=3",
    "--queries=2",
    "--rounds=1",
    "--nodes-per-round=2",
    "--workers=1",
]


@inputs(0.08)
@given(data=st.data(), extra=st.lists(WORDS_OF_COMMANDS, max_size=3))
def test_a_command_ends_in_a_result_or_one_clear_line(finished, folder, data, extra):
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out"
        run, network, image = finished / "run", finished / "network", folder / "alphabet0" / "character0" / "0.png"
        some = data.draw(st.sampled_from([str(run), str(network), str(image), str(folder), str(out), "", "\0"]))
        command = data.draw(
            st.sampled_from(
                [
                    ["train", "--data", f"folder:{folder}", *SMALL, "--out", str(out)],
                    ["train", "--data", f"folder:{some}", *SMALL, "--out", str(out)],
                    ["train", "--data", some, *SMALL, "--out", str(out)],
                    ["evaluate", some, "--tasks=2"],
                    ["adapt", some, "--support", str(folder / "alphabet3"), "--out", str(out)],
                    ["adapt", str(run), "--support", some, "--out", str(out)],
                    ["predict", some, str(image)],
                    ["predict", str(network), some],
                    [some],
                    [],
                ]
            )
        )
        said, told = io.StringIO(), io.StringIO()

        def call():
            with redirect_stderr(said), redirect_stdout(told):
                try:
                    return main([*command, *extra])
                except SystemExit as stop:
                    return stop.code or 0

        code = ends("a command", call)
        assert code in (0, 1, 2), said.getvalue()
        assert "Traceback" not in said.getvalue()
        assert code == 0 or said.getvalue().strip()
        if code == 2:
            assert not out.exists(), f"left behind: {[str(path) for path in out.rglob('*')]}"
