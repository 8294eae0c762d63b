"""Write requirements.lock: one version of every package, for every platform and Python that pyproject.toml allows.

The file is a list of constraints for pip. Versions that it holds already stay as long as they fit; ``--upgrade`` asks
for the newest, except of torch and torchvision.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
# torchvision's compiled parts fit one build of torch, which its metadata does not say: the pair is moved by hand.
PAIR = ("torch==2.14.1", "torchvision==0.29.1")
HEADER = "# Written by `make lock` from pyproject.toml. Use with: pip install -c requirements.lock ...\n"


def compile_lock(upgrade: bool) -> str:
    """Return the lock's text."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "book", "--extra", "test"]
    command += ["--universal", "--python-version", "3.11", "--fork-strategy", "fewest", "--no-annotate", "--no-header"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--constraint", "-", "--quiet"]
    command += ["--output-file", str(LOCK)] + ["--upgrade"] * upgrade
    subprocess.run(command, cwd=ROOT, input="\n".join(PAIR), text=True, check=True, stdout=subprocess.DEVNULL)
    return LOCK.read_text(encoding="utf-8")


def main() -> int:
    """Write the lock; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="take the newest versions that pyproject.toml allows, except of torch and torchvision",
    )
    text = compile_lock(parser.parse_args().upgrade)
    LOCK.write_text(
        HEADER + "".join(line for line in text.splitlines(True) if not line.startswith("#")), encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
