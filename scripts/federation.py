"""A federation on this machine: a superlink and two nodes as processes, a training, a new node that adapts.

Each node has its own folder of real images, and nobody else reads it. Whatever is started is ended.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from flwr.app import Message
from flwr.common.serde import message_to_proto  # what a message is on the wire
from flwr.supercore.task_identity import TaskIdentity
from local_federation import LocalFederation
from PIL import Image

from mglib import Recipe, Run, adapt_to_folder, load_federation
from mglib.federated import Round
from mglib.flower.messages import Order, pack_update
from mglib.flower.node import own_node
from mglib.training import with_provenance
from mglib.training.algorithms import client_update, network_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book"))
from studies.bench.report import machine

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "results" / "flower"


def main() -> int:
    """Run the federation; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="PATH/<node>/<class>/<image>; by default glyphs are drawn")
    parser.add_argument("--nodes", type=int, default=2, help="that train; one more is the new one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="write results/flower: what travelled, how long it took")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="federation-") as name:
        folder = Path(name)
        images = options.images or draw_glyphs(folder / "images", options.nodes + 1)
        *training_nodes, new = sorted(place for place in images.iterdir() if place.is_dir())[: options.nodes + 1]
        if len(training_nodes) < options.nodes:
            parser.error(f"{images} holds {len(training_nodes) + 1} nodes; it takes {options.nodes + 1}")
        count = str(len(training_nodes))
        sizes = ["--rounds", str(options.rounds), "--nodes-per-round", count, "--quorum", count, "--width", "16"]
        with LocalFederation(folder) as federation:
            print(f"the superlink listens at {federation.address}")
            federation.superlink()
            for place in training_nodes:
                federation.node(place.name, f"folder:{place}")
                print(f"the node {place.name} waits, with its own images")
            out, lines, times = folder / "run", [], []
            training = federation.train("--data", f"folder:{images}", *sizes, "--out", str(out))
            while training.poll() is None:
                time.sleep(0.2)
                known = (out / "metrics.jsonl").read_text().splitlines() if (out / "metrics.jsonl").exists() else []
                for line in known[len(lines) :]:
                    metrics = json.loads(line)
                    times.append(time.monotonic())
                    print(f"round {metrics['round']}: loss {metrics['loss']:.3f}, from {', '.join(metrics['nodes'])}")
                lines = known
            if training.returncode:
                print(training.stdout.read(), file=sys.stderr)
                return 1
        own, batch = adapt_to_folder(Run(out), one_of_each(new, folder / "support"))
        right = sum(own(batch.images).logits.argmax(1) == batch.labels)
        print(f"{new.name}, a new node, adapted to {len(batch.labels)} images and names {int(right)} of them right")
        if options.record:
            record(Run(out), training_nodes, times, options)
    print("all processes have ended")
    return 0


def draw_glyphs(folder: Path, scripts: int) -> Path:
    """Write images of the glyph federation as PATH/<script>/<character>/<k>.png and return PATH."""
    nodes = [node for node in load_federation("glyphs").train if node.name.endswith("writer1")]
    for node in nodes[:scripts]:
        for label in range(6):
            place = folder / node.name.split("/")[0] / f"character{label:02}"
            place.mkdir(parents=True)
            for number, example in enumerate(node.examples_by_class[label]):
                Image.fromarray(node.images[example, 0].numpy()).save(place / f"{number:02}.png")
    return folder


def one_of_each(node: Path, folder: Path) -> Path:
    """Copy one image of five of a node's classes into a folder to adapt on, and return it."""
    for place in sorted(place for place in node.iterdir() if place.is_dir())[:5]:
        (folder / place.name).mkdir(parents=True)
        image = sorted(place.iterdir())[0]
        (folder / place.name / image.name).write_bytes(image.read_bytes())
    return folder


def record(run: Run, nodes: list[Path], times: list[float], options: argparse.Namespace) -> None:
    """Write what travels between superlink and node in a round, by name and size, and the seconds a round takes."""
    recipe, net, params = run.load()
    order = Order(params, recipe, Round(1, recipe.rounds, recipe.seed), 0)
    own = own_node({"data": f"folder:{nodes[0]}"}, recipe)
    answer = client_update(recipe, net)(params, own, 0, order.round)
    wire = {
        "down": described(order.pack()),
        "up": described(pack_update(answer)),
        "images_bytes": int(own.images.nbytes),
        "parameter_bytes": sum(p.nbytes for p in network_of(recipe)[1].values()),
    }
    seconds = [after - before for before, after in itertools.pairwise(times)]
    rounds = {"seconds_a_round": seconds, "median": statistics.median(seconds), "nodes": len(nodes)}
    command = f"python scripts/federation.py --record --nodes {len(nodes)} --rounds {options.rounds}"
    command += " --images PATH" if options.images else ""
    RECORDS.mkdir(parents=True, exist_ok=True)
    for name, content in (("wire", wire), (f"rounds-{len(nodes)}", rounds)):
        recipe_alone = Recipe(**{**recipe.__dict__, "data": "folder:images"})
        text = json.dumps(
            with_provenance({**content, "command": command, "machine": machine()}, recipe_alone), indent=2
        )
        (RECORDS / f"{name}.json").write_text(text + "\n")


def described(content) -> dict:
    """Return what records hold: names, types and shapes of arrays, names of numbers; and their bytes in all."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    arrays = {
        name: {"dtype": array.dtype, "shape": list(array.shape)}
        for record in content.array_records.values()
        for name, array in record.items()
    }
    numbers = {
        key: {name: type(value).__name__ for name, value in record.items()}
        for key, record in (*content.metric_records.items(), *content.config_records.items())
    }
    message = Message(content=content, message_type="train", dst_node_id=1)
    return {"arrays": arrays, "numbers": numbers, "bytes": len(message_to_proto(message).SerializeToString())}


if __name__ == "__main__":
    sys.exit(main())
