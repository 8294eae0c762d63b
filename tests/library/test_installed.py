"""The library installed from its wheel, away from the checkout: all that the README says of it works there."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from small_data import write_alphabets

ROOT = Path(__file__).resolve().parents[2]
BUILD = "from setuptools import build_meta; build_meta.build_{kind}({folder!r})"
COMMANDS = """
import sys
import mglib
from mglib.__main__ import main

if __name__ == "__main__":  # the worker processes read this file too
    data, sizes = sys.argv[1], "--image-size 16 --width 4 --depth 2 --ways 3 --queries 4 --rounds 2 --nodes-per-round 2"
    print(mglib.__file__)
    for command in (
        f"train --data folder:{data} {sizes} --out run --workers 2",
        "evaluate run --tasks 2 --json",
        "adapt run --support support --out mine",
        f"predict mine {data}/alphabet3/character0/0.png --json",
        "export mine --out mine.onnx",
    ):
        assert main(command.split()) == 0, command
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is made of nothing but that."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "mglib", source / "mglib", ignore=unwanted)
    for path in (*ROOT.glob("LICENSE*"), ROOT / "pyproject.toml", ROOT / "README.md"):
        shutil.copy(path, source)
    python(sys.executable, "-c", BUILD.format(kind="sdist", folder=str(dist)), cwd=source)
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(source / "unpacked", filter="data")
    (unpacked,) = (source / "unpacked").iterdir()
    python(sys.executable, "-c", BUILD.format(kind="wheel", folder=str(dist)), cwd=unpacked)
    (wheel,) = dist.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The Python of an environment that holds the wheel and, from elsewhere, the packages it asks for."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    own = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [sys.executable, "-m", "pip", "--python", str(own), "install", "--no-deps", "--no-index", "--no-compile"]
    python(*install, str(built[1]), cwd=environment)
    (packages,) = environment.rglob("site-packages")
    # A path in a .pth file gives the packages, but runs none of their own .pth files: no editable mglib.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(own)


def python(*command, cwd):
    """Run a program that must succeed, as if the checkout were nowhere; return what it prints."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(list(command), cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_what_is_built_carries_all_files_and_both_licences(built):
    with tarfile.open(built[0]) as sdist, zipfile.ZipFile(built[1]) as wheel:
        files = {"sdist": {name.partition("/")[2] for name in sdist.getnames()}, "wheel": set(wheel.namelist())}
    library = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mglib").rglob("*") if path.is_file()}
    library = {name for name in library if "__pycache__" not in name}
    assert ".c" in {Path(name).suffix for name in library}
    for kind, names in files.items():
        assert library <= names, kind
        assert {"LICENSE", "LICENSE-text"} <= {Path(name).name for name in names}, kind


def test_the_commands_work_away_from_the_checkout(installed, tmp_path):
    write_alphabets(tmp_path / "data", size=16)
    for name in ("character0", "character2"):
        shutil.copytree(tmp_path / "data" / "alphabet3" / name, tmp_path / "support" / name)
    (tmp_path / "commands.py").write_text(COMMANDS)
    said = python(installed, "commands.py", str(tmp_path / "data"), cwd=tmp_path)
    assert Path(said.splitlines()[0]).is_relative_to(Path(installed).parent.parent)
    assert json.loads(re.search(r"^\{.*?^\}", said, re.DOTALL | re.MULTILINE)[0])["versions"]["mglib"]
    assert {"run", "mine", "mine.onnx"} <= {path.name for path in tmp_path.iterdir()}


def test_the_readmes_python_lines_run_as_a_file(installed, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    data, support = write_alphabets(tmp_path / "data"), tmp_path / "support"
    for name in ("character0", "character2"):
        shutil.copytree(data / "alphabet3" / name, support / name)
    small = "rounds=2, width=4, image_size=14, ways=3, queries=4, nodes_per_round=2"
    changes = {"folder:PATH": f"folder:{data}", "rounds=600": small, "tasks=100": "tasks=3"}
    changes |= {'"FOLDER"': repr(str(support)), '"picture.png"': repr(str(support / "character0" / "0.png"))}
    for before, after in changes.items():
        assert example.count(before) == 1
        example = example.replace(before, after)
    assert example.count("workers=2") == 1
    (tmp_path / "lines.py").write_text(example)
    said = python(installed, "lines.py", cwd=tmp_path)
    assert "'accuracy'" in said
    assert re.search(r"^character[02] \[\d, \d, \d, \d\]$", said, re.MULTILINE)
