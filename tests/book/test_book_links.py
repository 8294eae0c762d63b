"""Every link leads somewhere: within the book, into the repository, to the sources cited; nothing foreign is loaded."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import rendered
from rendered import DOCUMENTS, PAGES, ROOT, Page

BOOK = ROOT / "book"
SOURCES = sorted(
    path for kind in ("ipynb", "md") for path in BOOK.rglob(f"*.{kind}") if ".ipynb_checkpoints" not in path.parts
)
WRITTEN = [document for document in DOCUMENTS if document.startswith("book/")]  # an index is made by Sphinx
CITATION = re.compile(r"bibliography\.md#([\w-]+)")


@cache
def parsed(path: Path) -> Page:
    """Return what a rendered page says of itself."""
    return Page(path.read_text(encoding="utf-8"))


def own_links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield the links of a page that stay within the book: as written, the file, the anchor."""
    for link in parsed(page).links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc and link != "#":
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            yield link, target, unquote(parts.fragment)


@pytest.mark.parametrize("page_name", PAGES)
def test_links_within_the_book_lead_to_a_page_and_a_place_on_it(rendered_book, page_name):
    dead = []
    for link, target, anchor in own_links(rendered_book / page_name):
        if not target.is_file():
            dead.append(f"{link}: no such file")
        elif anchor and anchor not in parsed(target).anchors:
            dead.append(f"{link}: {target.name} has no element #{anchor}")
    assert not dead, "\n".join([f"{page_name} has dead links:", *dead])


@pytest.mark.parametrize("page_name", PAGES)
def test_page_names_no_foreign_resource(rendered_book, page_name):
    page = rendered_book / page_name
    local = [r for r in parsed(page).loaded if r and not r.startswith(("data:", "#"))]
    assert [r for r in local if urlsplit(r).netloc] == []
    assert [r for r in local if not (page.parent / urlsplit(r).path).resolve().is_file()] == []


# --- into the repository -------------------------------------------------------------------------------------------


def repository_places(page: Path) -> dict[str, list[str]]:
    """Return the paths in the repository that a page's buttons name, by what the button does."""
    settings = rendered.build_book.settings()
    url, branch = settings["repository"]["url"], settings["repository"]["branch"]
    name = urlsplit(url).path.strip("/")
    starts = {
        "binder": f"https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/",
        "colab": f"https://colab.research.google.com/github/{name}/blob/{branch}/",
        "edit": f"{url}/edit/{branch}/",
    }
    links = parsed(page).links
    return {does: [link.removeprefix(s) for link in links if link.startswith(s)] for does, s in starts.items()}


@pytest.mark.parametrize("document", WRITTEN)
def test_buttons_name_the_source_where_it_lies_in_the_repository(rendered_book, document):
    places = repository_places(rendered_book / f"{document}.html")
    source = next(path for path in SOURCES if path.relative_to(ROOT).with_suffix("").as_posix() == document)
    name = source.relative_to(ROOT).as_posix()
    wanted = [name] if source.suffix == ".ipynb" else []
    assert places == {"binder": wanted, "colab": wanted, "edit": [name]}
    tracked = subprocess.run(["git", "ls-files", "--", name], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:  # not so where the book was unpacked from an archive
        assert tracked.stdout.split() == [name], f"{name} is not in the repository yet: git add {name}"


@pytest.mark.parametrize("document", WRITTEN)
def test_the_download_button_hands_out_the_source(rendered_book, document):
    page = rendered_book / f"{document}.html"
    downloads = [target for link, target, _ in own_links(page) if "_sources/" in link]
    name = Path(document).name
    assert [path.name.removesuffix(".txt") for path in downloads] in ([f"{name}.ipynb", f"{name}.py"], [f"{name}.md"])
    for script in downloads[1:]:
        compile(script.read_text(encoding="utf-8"), script, "exec")
    source = ROOT / Path(document).parent / downloads[0].name.removesuffix(".txt")
    assert downloads[0].read_text(encoding="utf-8") == source.read_text(encoding="utf-8")


def test_other_addresses_of_the_repository_are_those_of_the_settings():
    """One address, in _config.yml; where another file has to repeat it, it is the same."""
    url = rendered.build_book.settings(environment={})["repository"]["url"]
    name = urlsplit(url).path.strip("/")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CITATION.cff", *SOURCES]:
        owner_like = re.findall(
            rf"github\.com/([\w-]+/{re.escape(name.split('/')[1])})\b", path.read_text(encoding="utf-8")
        )
        assert set(owner_like) <= {name}, path


def test_a_fork_s_pages_lead_to_the_fork():
    actions = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "reader/fork"}
    assert rendered.build_book.settings(actions)["repository"]["url"] == "https://github.com/reader/fork"


# --- sources cited -------------------------------------------------------------------------------------------------


def prose(path: Path) -> str:
    """Return the text of a page's source without its code."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_every_entry_is_cited():
    cited = {key for path in SOURCES if path.stem != "bibliography" for key in CITATION.findall(prose(path))}
    entries = set(re.findall(r"^@\w+\{([^,\s]+)", (BOOK / "references.bib").read_text(encoding="utf-8"), flags=re.M))
    assert not entries - cited, f"references.bib has {sorted(entries - cited)}, which no page cites"


def test_a_dead_link_is_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<h1 id="here">A</h1><a href="#here">a</a><a href="other.html#x">b</a><a href="https://a.b">c</a>')
    (_, same, here), (_, other, _) = own_links(page)
    assert here in parsed(same).anchors
    assert not other.is_file()
