"""Whether this tree trains to the same bits as another commit: sixteen short recipes, trained by both on this machine.

No digest is kept from one machine for another: other processors have other last digits.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = {"rounds": 5, "queries": 3, "width": 12}
RECIPES = (
    {},
    {"shots": 5, "steps": 2, "budget": 0.25, "anneal_share": 0.1},
    {"method": "metagater-named", "batch": 10},
    {"method": "joint", "second_order": False},
    {"method": "gates-first", "estimator": "gumbel"},
    {"method": "gates-fixed", "depth": 2},
    {"method": "static-mask", "aggregation": "median"},
    {"method": "random-gates", "server": "average", "node_learning_rate": 0.01},
    {"method": "maml", "local_steps": 2, "tasks_per_step": 2, "channels": 3},
    {"method": "anil", "aggregation": "krum", "nodes_per_round": 7},
    {"method": "reptile", "steps": 3, "rotate": True},
    {"method": "pfedme", "steps": 3, "seed": 5},
    {"method": "fedavg", "held_out": ["Greek"], "validation": ["Lao"]},
    {"method": "gated-fedavg", "aggregation": "trimmed"},
    {"privacy": "server", "noise": 0.5, "aggregation": "mean"},
    {"privacy": "node", "noise": 0.1},
)
TRAIN = """
import hashlib, json, sys
from pathlib import Path
import mglib
try:
    from studies.recipes import Recipe, set_up
except ImportError:  # an older commit, whose library had the studies' methods
    from mglib import Recipe, set_up
assert Path(mglib.__file__).is_relative_to(Path.cwd()), mglib.__file__
for fields in json.load(sys.stdin):
    *_, last = set_up(Recipe.loads(json.dumps(fields))).rounds()
    digest = hashlib.sha256()
    for name in sorted(last.params):
        digest.update(name.encode() + last.params[name].contiguous().numpy().tobytes())
    print(digest.hexdigest(), flush=True)
"""


def digests(tree: Path) -> list[str]:
    """Return a digest of what each recipe's training ends in, by the library that lies in `tree`."""
    asked = json.dumps([{**SMALL, **changes} for changes in RECIPES])
    environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'book'}"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        cwd=tree,
        input=asked,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.split()


def main() -> int:
    """Compare this tree with a commit; return 1 if a recipe ends in other bits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="the other commit")
    commit = parser.parse_args().commit
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(other), commit], check=True)
        try:
            before, after = digests(other), digests(ROOT)
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    for changes, one, another in zip(RECIPES, before, after, strict=True):
        print(f"{'same bits ' if one == another else 'other bits'}  {changes}")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main())
