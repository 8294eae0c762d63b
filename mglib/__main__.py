"""The command line: `python -m mglib train | evaluate | adapt | predict | export | bench`."""

import importlib
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from mglib.experiments import (
    NodeNetwork,
    Recipe,
    Run,
    adapt_to_folder,
    evaluate_run,
    export_network,
    train,
    with_provenance,
)
from mglib.nets import macs_ratio

Positional = tyro.conf.Positional


def train_command(
    recipe: Annotated[Recipe, tyro.conf.arg(name="")],
    out: Path | None = None,
    resume: bool = False,
    workers: int = 2,
    device: str = "cpu",
) -> None:
    """Meta-train on a federation and leave the run in a folder.

    Args:
        recipe: what to train, on what, and how.
        out: the run's folder; by default runs/ and the data's and method's names, budget and seed.
        resume: go on with the run in the folder, to the same bits as if it had never stopped.
        workers: processes that compute the nodes' updates, one thread each; the result does not depend on it.
        device: cpu, or cuda where there is one.
    """
    out = out or default_folder(recipe)
    started = time.monotonic()
    with tqdm(total=recipe.rounds, unit="round", disable=not sys.stderr.isatty()) as bar:

        def show(metrics: dict) -> None:
            bar.update(metrics["round"] + 1 - bar.n)
            bar.set_postfix({name: f"{metrics[name]:.2f}" for name in ("loss", "accuracy", "macs_ratio")})

        train(recipe, out, resume=resume, workers=workers, device=device, on_round=show)
    print(f"{out}: {recipe.rounds} rounds, {time.monotonic() - started:.0f} s in this session")


def default_folder(recipe: Recipe) -> Path:
    """Return where a run goes that names no folder: one for each data set, method, budget and seed."""
    name, _, path = recipe.data.partition(":")
    data = (path or name).rstrip("/").rpartition("/")[2]
    return Path("runs") / f"{data}-{recipe.method}-budget{recipe.budget:g}-seed{recipe.seed}"


def evaluate_command(
    run: Positional[Path],
    data: str | None = None,
    nodes: tuple[str, ...] = (),
    split: Literal["test", "validation"] = "test",
    tasks: int = 400,
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Adapt to tasks from nodes that training never saw, and report how the queries went.

    Args:
        run: folder of a finished training.
        data: another data set, every node of which is new; by default the run's own and its held-out nodes.
        nodes: draw tasks from these of the nodes alone.
        split: the run's test nodes, or its validation nodes, to choose settings by.
        tasks: number of tasks.
        ways: classes in a task; by default as trained.
        shots: labelled examples a class; by default as trained.
        queries: scored examples a class; by default as trained.
        seed: of the tasks drawn.
        device: cpu, or cuda where there is one.
        json_: print one JSON object.
    """
    evaluation = evaluate_run(
        Run(run),
        data=data,
        nodes=nodes,
        split=split,
        tasks=tasks,
        ways=ways,
        shots=shots,
        queries=queries,
        seed=seed,
        device=device,
        progress=lambda scores: tqdm(scores, total=tasks, unit="task", disable=not sys.stderr.isatty()),
    )
    if json_:
        print(json.dumps(with_provenance(evaluation, Recipe.load(Run(run).recipe_file)), indent=2))
        return
    print(
        f"{tasks} tasks of {evaluation['ways']} classes, {evaluation['shots']} example(s) each, from nodes never seen:"
    )
    print(f"  {', '.join(evaluation['nodes'])}")
    print(f"accuracy after one step  {evaluation['accuracy']:.1%} ± {evaluation['ci95']:.1%}")
    print(f"accuracy before it       {evaluation['accuracy_zero_step']:.1%}")
    print(f"MACs, gates included     {evaluation['macs_ratio']:.1%} of the dense network's")


def adapt_command(
    run: Positional[Path], support: Path, out: Path, invert: bool | None = None, freeze: bool = True
) -> None:
    """Make a small network of your own from a few labelled images: FOLDER/<class>/<image>.

    Args:
        run: folder of a finished training.
        support: folder with one sub-folder of images a class, or one image a class, named after it.
        out: folder for the adapted network.
        invert: turn dark on light into light on dark; by default if most of the images is bright, as in training.
        freeze: leave out the filters that none of these images opens; --no-freeze keeps them all.
    """
    whole, batch = adapt_to_folder(Run(run), support, invert=invert, frozen=False)
    own = whole.without_unopened(batch.images) if freeze else whole
    own.save(out)
    size = (out / "network.safetensors").stat().st_size
    share = 1 - own.parameter_bytes / whole.parameter_bytes
    print(f"{out}: tells apart {', '.join(own.classes)}")
    if own.kept:
        print(f"filters kept, of {own.recipe.width}: {', '.join(map(str, own.kept))}")
    print(f"{size:,} bytes on disk; parameters {own.parameter_bytes:,} bytes, {share:.1%} saved by freezing")
    ratio = float(macs_ratio(own.net.costs, own(batch.images).gates, len(batch.labels)).mean())
    print(f"MACs on these images, gates included: {ratio:.1%} of the dense network's, {1 - ratio:.1%} saved")


def predict_command(
    network: Positional[Path],
    images: Positional[tuple[Path, ...]],
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Name the class of images with a network that `adapt` made.

    Args:
        network: folder that `adapt` wrote.
        images: image files.
        json_: print one JSON object.
    """
    own = NodeNetwork.load(network)
    prediction = own.skipping(own.read(images))
    probabilities = prediction.logits[:, : len(own.classes)].softmax(1)
    ratios = macs_ratio(own.net.costs, prediction.gates, len(images))
    rows = [
        {
            "image": str(image),
            "class": own.classes[int(p.argmax())],
            "probability": float(p.max()),
            "macs_ratio": float(r),
        }
        for image, p, r in zip(images, probabilities, ratios, strict=True)
    ]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['image']}: {row['class']} ({row['probability']:.0%}, {row['macs_ratio']:.0%} of the dense MACs)")


def export_command(network: Positional[Path], out: Path) -> None:
    """Write a network that `adapt` made to an ONNX file: images in; logits and each layer's gates out.

    Args:
        network: folder that `adapt` wrote.
        out: the file.
    """
    own = NodeNetwork.load(network)
    written, outputs = export_network(own, out)
    side = own.recipe.image_size
    print(f"{out}: {written:,} bytes, tells apart {', '.join(own.classes)}")
    print(f"in: images, float32 (batch, {own.recipe.channels}, {side}, {side}), from 0 (background) to 1 (ink)")
    print(f"out: {', '.join(outputs)}")


def bench_command(
    what: Positional[Literal["meta-step", "inference", "rounds"]],
    quick: bool = False,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Time the library side by side with what else could be used, in one run, and report ratios.

    Args:
        what: meta-step: the gradient of training; inference: gates that skip; rounds: many nodes.
        quick: a few small cases and few rounds, to see that it works; its figures mean little.
        json_: print one JSON object.
    """
    benchmark = importlib.import_module(f"mglib.bench.{what.replace('-', '_')}")
    report = benchmark.measure(quick=quick, progress=lambda done: tqdm(done, disable=not sys.stderr.isatty()))
    if json_:
        print(json.dumps(report.as_dict(), indent=2))
        return
    for row in report.rows:
        setting = ", ".join(f"{name} {value}" for name, value in row.setting.items())
        print(f"{1e3 * row.seconds:10.3f} ms {row.ratio:6.2f} × {row.against}: {row.what} ({setting})")
    for goal in report.goals:
        print(f"{'met   ' if goal.met else 'missed'} {goal.name}: {goal.measured:.3g}, aimed for {goal.target}")


COMMANDS = {
    "train": train_command,
    "evaluate": evaluate_command,
    "adapt": adapt_command,
    "predict": predict_command,
    "export": export_command,
    "bench": bench_command,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 2 with one line that says why where the input or the disk refuses, 130 if stopped."""
    warnings.showwarning = _show_warning
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m mglib", args=arguments, config=(tyro.conf.OmitArgPrefixes,)
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; train --resume goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
