"""Build the book into _build/html and fail on anything that a reader would stumble over.

``--no-execute`` renders the outputs that the notebooks hold; without it every chapter is executed whose code, or what
it reads, has changed since it was. Warnings, failing cells and a missing start page end the build with exit code 1.
``--links`` renders nothing: it asks the places elsewhere that the book links to whether they are still there, which
needs a network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
HTML = BUILD / "html"


def settings(environment: Mapping[str, str] = os.environ) -> dict:
    """Return _config.yml, on GitHub Actions with the address of the repository that the build runs in.

    Thus the buttons of a fork's pages (Binder, Colab, source, issues) lead to the fork.
    """
    read = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    server, repository = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    if server and repository:
        read["repository"]["url"] = f"{server}/{repository}"
    return read


def config(executed: Path | None) -> Path:
    """Write the settings to build with into the build folder and return their path.

    executed: the folder of executed copies whose outputs are rendered; None: those that the notebooks hold.
    """
    built = settings()
    if executed:
        built["sphinx"]["config"]["executed_notebooks"] = str(executed)
    copy = BUILD / "config.yml"
    copy.write_text(yaml.safe_dump(built, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return copy


def jupyter_book(settings_path: Path, *options: str) -> int:
    """Run Jupyter Book on every page and return its exit code."""
    start = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(ROOT)]
    command += ["--all", "--keep-going", "--config", str(settings_path), *options]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode


def write_start_page(first: str) -> None:
    """Replace the bare redirect of Jupyter Book by one that has a title and a link to click on."""
    title = settings()["title"]
    (HTML / "index.html").write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={first}.html">
<link rel="icon" href="data:,">
<title>{title}</title>
</head>
<body><p><a href="{first}.html">{title}</a></p></body>
</html>
""",
        encoding="utf-8",
    )


def problems() -> list[str]:
    """Return what is wrong with the built pages, apart from what Sphinx has already said."""
    found = []
    if not (HTML / "index.html").is_file():
        found.append(f"{HTML / 'index.html'} is missing")
    for name in contents():
        if not (HTML / f"{name}.html").is_file():
            found.append(f"_toc.yml names {name}, but {HTML / name}.html is missing")
    return found


def contents() -> list[str]:
    """Return the documents of _toc.yml in order, without the ends of their names."""
    return documents(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))


def documents(entry: object) -> list[str]:
    """Return the documents that a table of contents names, the root first."""
    if isinstance(entry, list):
        return [name for item in entry for name in documents(item)]
    if not isinstance(entry, dict):
        return []
    own = [Path(entry[key]).with_suffix("").as_posix() for key in ("root", "file") if key in entry]
    return own + [name for value in entry.values() for name in documents(value)]


def notebooks_of(names: list[str]) -> list[Path]:
    """Return the notebooks among documents of _toc.yml."""
    paths = (ROOT / f"{name}.ipynb" for name in names)
    return [path for path in paths if path.is_file()]


def main() -> int:
    """Build and check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-execute", action="store_true", help="render the notebooks' committed outputs")
    parser.add_argument("--links", action="store_true", help="check the links to other places instead of rendering")
    arguments = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    if arguments.links:
        return 1 if jupyter_book(config(None), "--builder", "linkcheck") else 0
    executed = None
    if not arguments.no_execute:
        from executed import EXECUTED, bring_up_to_date

        executed = EXECUTED
        if not bring_up_to_date(notebooks_of(contents())):
            print("The book was not built.", file=sys.stderr)
            return 1
    # A warning about a page is printed only when the page is read, so every build reads every page.
    for folder in (HTML, BUILD / ".doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    status = jupyter_book(config(executed), "--warningiserror", "--nitpick")
    first = contents()[0]
    if (HTML / "index.html").is_file() and first != "index":
        write_start_page(first)
    found = problems()
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if status or found:
        print("The book was not built.", file=sys.stderr)
        return 1
    print(f"The book lies in {HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
