"""Fixtures that the tests share, above all for what a machine may lack: real images, a browser, the rendered book."""

import contextlib
import functools
import http.server
import importlib.util
import json
import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from rendered import CHECKS, DOCUMENTS, HTML, WIDE

# Seconds, roughly, of what takes longest; of the notebooks, results/run_times.json says.
SECONDS = {
    "test_flower_nodes.py": 200,
    "test_flower_superlink.py": 190,
    "test_flower.py": 60,
    "test_book_pages.py": 120,
    "test_faults.py": 110,
    "test_experiments.py": 80,
    "test_book_figures.py": 80,
    "test_pad.py": 60,
    "test_reproduce.py": 60,
    "test_command_line.py": 40,
    "test_explorer_in_lab.py": 70,
}
PATIENCE = 240_000  # milliseconds for a page on a busy machine; what is quick is not waited for
SLOW = ("test_installed.py", "test_fuzz.py", "test_combinations.py")
settings.register_profile("busy machine", deadline=None)  # what a single example takes says nothing there
settings.load_profile("busy machine")
TIMES = Path(__file__).resolve().parent.parent / "results" / "run_times.json"


def pytest_collection_modifyitems(items):
    """Begin with the files and notebooks that take longest: none of them is left to one worker at the end."""
    seconds = SECONDS | {f"{name}.ipynb": entry["seconds"] for name, entry in json.loads(TIMES.read_text()).items()}
    items.sort(key=lambda item: -seconds.get(item.path.name, 0))
    for item in items:
        if item.path.name in (*SLOW, *SECONDS):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep torch to one thread: results do not depend on the number of cores, and tests may run side by side."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def threads():
    """Return a way to set torch's threads, which are as before in the end."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Let every process that a test starts hear Ctrl-C: what a script starts in the background is deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def nbval_rules():
    """Return book/conftest.py, which says how nbval compares, as a module."""
    import nbval.kernel

    path = Path(__file__).resolve().parent.parent / "book" / "conftest.py"
    spec = importlib.util.spec_from_file_location("nbval_rules", path)
    kept = nbval.kernel.start_new_kernel
    spec.loader.exec_module(rules := importlib.util.module_from_spec(spec))
    nbval.kernel.start_new_kernel = kept
    return rules


@pytest.fixture
def full_disk():
    """Return a block in which no file of this process grows beyond some bytes."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited(bytes_left: int):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder of a few small alphabets."""
    from small_data import write_alphabets

    return write_alphabets(tmp_path_factory.mktemp("alphabets"))


@pytest.fixture
def alphabets(tmp_path) -> Path:
    """Return such a folder for one test alone, which may change it."""
    from small_data import write_alphabets

    return write_alphabets(tmp_path / "alphabets")


@pytest.fixture(scope="session")
def rendered_book() -> Path:
    """Return the folder of the rendered book."""
    if not (HTML / "index.html").is_file():
        lacking("no rendered book in _build/html: run `make html`")
    return HTML


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser."""
    from make_pdf import BROWSERS, browser_path

    found, named = browser_path(), os.environ.get("MGLIB_CHROMIUM")
    if named and not found:
        lacking(f"no browser: MGLIB_CHROMIUM={named} is no program")
    if not found:
        lacking(f"no browser: MGLIB_CHROMIUM is not set and none of {', '.join(BROWSERS)} is on the PATH")
    return found


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line in the terminal for each."""

    def log_message(self, format, *args):
        """Say nothing."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Answers side by side, and says nothing when the browser has left before the answer was through."""

    def handle_error(self, request, client_address):
        """Say nothing: what a page misses is seen in the page."""


@pytest.fixture(scope="module")
def origins(rendered_book):
    """Return the two addresses of the book: from disk, and from a server on this machine."""
    handler = functools.partial(QuietHandler, directory=str(rendered_book))
    with QuietServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {"file": rendered_book.as_uri(), "http": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(chromium):
    """Return one browser for all tests of a file."""
    from make_pdf import FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tab(browser):
    """Return one page for all visits of a file: in a page that is kept, an address opens in half the time."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def visit(tab, origins):
    """Return a function that opens a page, ready for pageChecks, and the list of everything that goes wrong on it."""
    from make_pdf import settle

    wrong, allowed = [], []

    def check_request(request):
        if not request.url.startswith((*allowed, "data:", "blob:")):
            wrong.append(f"request to another place: {request.url}")

    listeners = {
        "request": check_request,
        "requestfailed": lambda request: wrong.append(f"request failed: {request.url}: {request.failure}"),
        "response": lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"),
        "console": lambda message: message.type == "error" and wrong.append(f"console: {message.text}"),
        "pageerror": lambda error: wrong.append(f"JavaScript error: {error}"),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)

    def open_page(path: str, origin: str = "http", theme: str = "light", viewport: dict = WIDE):
        allowed[:] = [origins[origin]]
        tab.set_viewport_size(viewport)
        tab.emulate_media(color_scheme=theme)
        tab.goto(f"{origins[origin]}/{path}", wait_until="load")
        if path == "index.html":  # it sends the reader on at once
            tab.wait_for_url(f"**/{DOCUMENTS[0]}.html")
        settle(tab)
        tab.evaluate(CHECKS)
        return tab, wrong

    yield open_page
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    tab.evaluate("location.protocol == 'about:' || localStorage.clear()")  # the theme that a reader chose
    tab.goto("about:blank")


@pytest.fixture(params=[False, True], ids=["mouse", "finger"])
def alone(browser, request):
    """Return a function that shows a figure by itself: on a wide page for a mouse, on a phone's for a finger."""
    size = {"width": 390, "height": 844} if request.param else WIDE
    context = browser.new_context(viewport=size, has_touch=request.param)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def show(figure):
        page.set_content(f"<article>{figure._repr_html_()}</article>")
        page.add_style_tag(path=Path(__file__).resolve().parent.parent / "assets" / "book.css")
        return page

    yield show
    assert not wrong
    context.close()
