"""Fixtures that the tests share, above all for what a machine may lack: real images, a browser, the rendered book."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep torch to one thread: results do not depend on the number of cores, and tests may run side by side."""
    import torch

    torch.set_num_threads(1)


def lacking(reason: str) -> None:
    """Skip the test for want of something, or fail it where nothing may be skipped."""
    if os.environ.get("MGLIB_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (MGLIB_REQUIRE_ALL=1 allows no skip)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real images."""
    named = os.environ.get("MGLIB_TEST_DATA")
    if not named:
        lacking("no real images: MGLIB_TEST_DATA names no folder")
    path = Path(named)
    if not path.is_dir():
        lacking(f"no real images: MGLIB_TEST_DATA={named} is not a folder")
    return path


@pytest.fixture(scope="session")
def rendered_book() -> Path:
    """Return the folder of the rendered book."""
    if not (HTML / "index.html").is_file():
        lacking("no rendered book in _build/html: run `make html`")
    return HTML


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser."""
    named = os.environ.get("MGLIB_CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if named and not found:
        lacking(f"no browser: MGLIB_CHROMIUM={named} is no program")
    if not found:
        lacking(f"no browser: MGLIB_CHROMIUM is not set and none of {', '.join(CHROMIUM_NAMES)} is on the PATH")
    return found
