"""Chapters 0 and 10 in a real JupyterLab: they run down to their explorer, which computes under the reader's hand."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from rendered import ROOT

CHAPTERS = ("00_metagater_in_one_page", "10_one_step_on_a_new_node")
TOKEN = "explorer"  # of a server on this machine, for the length of this test
PATIENCE = 600_000  # milliseconds: chapter 0 trains a network
CAPTION = re.compile(r"(.+), task (\d+), steps (\d+): (\d+) of 25 queries right, ([\d.]+) %")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the address of a JupyterLab that shows the chapters, with what they need beside them."""
    tmp_path = tmp_path_factory.mktemp("lab")
    for chapter in CHAPTERS:
        shutil.copy(ROOT / "book" / f"{chapter}.ipynb", tmp_path)
    settings = tmp_path / "settings" / "overrides.json"
    settings.parent.mkdir()
    every_cell = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}  # also those out of sight
    settings.write_text(json.dumps(every_cell))
    home = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    environment = os.environ | home | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "book")])}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    command += [
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={tmp_path}",
        f"--LabApp.app_settings_dir={settings.parent}",
    ]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        yield wait_for_server(server, tmp_path / "log")
    finally:
        server.terminate()
        server.wait(30)


def asked(address: str, what: str):
    """Return what the server answers, from JSON; None while it cannot: it is starting, or one of its kernels is."""
    try:
        with urllib.request.urlopen(f"{address}/api/{what}?token={TOKEN}", timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, TimeoutError):
        return None


def wait_for_server(server, log) -> str:
    """Return the server's address once it answers."""
    for _ in range(600):
        found = re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text())
        if found and asked(address := f"http://127.0.0.1:{found[1]}", "status"):
            return address
        assert server.poll() is None, log.read_text()[-2000:]
        time.sleep(0.2)
    pytest.fail(f"JupyterLab does not answer: {log.read_text()[-2000:]}")


def wait_for_kernel(address: str, chapter: str) -> None:
    """Wait until the notebook's kernel is connected: what is run before that is lost."""
    for _ in range(600):
        sessions = asked(address, "sessions") or []
        kernels = [session["kernel"] for session in sessions if session["path"] == f"{chapter}.ipynb"]
        if kernels and kernels[0]["connections"] and kernels[0]["execution_state"] == "idle":
            return
        time.sleep(0.2)
    pytest.fail(f"no kernel is connected: {sessions}")


@pytest.mark.browser
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_in_jupyterlab_the_chapter_s_explorer_computes(chapter, browser, lab, record_property):
    """Every control brings another answer. Its milliseconds are recorded alone: they say how busy the machine is.

    test_explorer.py holds what an answer may take beside the library's ten steps.
    """
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab}/lab/tree/{chapter}.ipynb?token={TOKEN}&reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    wait_for_kernel(lab, chapter)
    cells = json.loads((ROOT / "book" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    (place,) = (n for n, cell in enumerate(cells) if "Explorer(" in "".join(cell["source"]))
    page.locator(".jp-Notebook .jp-Cell").nth(place).locator(".jp-InputPrompt").click()
    for command in ("notebook:run-all-above", "runmenu:run"):  # what follows trains for longer than anybody waits here
        page.locator(".lm-MenuBar-item", has_text="Run").first.click()
        page.locator(f'.lm-Menu-item[data-command="{command}"]').click()
    explorer = page.locator(".mg-explorer:has(.mg-kernel)")
    explorer.wait_for(state="attached")
    explorer.scroll_into_view_if_needed()
    caption = explorer.locator(".mg-kernel figcaption")
    assert caption.is_visible()
    assert not explorer.locator(".mg-no-kernel").is_visible()
    seen, milliseconds = [read(caption)], []

    def after(act) -> None:
        act()
        last = seen[-1]
        page.wait_for_function(
            "old => document.querySelector('.mg-kernel figcaption')?.textContent != old", arg=last.string
        )
        seen.append(read(caption))
        took = explorer.locator(".mg-kernel", has_text="computed in").last.inner_text()
        milliseconds.append(int(re.search(r"computed in (\d+) ms", took)[1]))

    after(lambda: explorer.locator("select").nth(0).select_option(index=1))  # the node
    explorer.locator("[role=slider]").focus()
    after(lambda: page.keyboard.press("ArrowLeft"))
    after(lambda: explorer.locator("select").nth(0).select_option(index=0))
    after(lambda: explorer.get_by_role("button", name="draw a task").click())
    explorer.locator("[role=slider]").focus()
    after(lambda: page.keyboard.press("ArrowRight"))
    after(lambda: explorer.locator("select").nth(1).select_option(index=0))  # α is nought
    explorer.locator("[role=slider]").focus()
    for _ in range(3):
        after(lambda: page.keyboard.press("ArrowRight"))
    after(lambda: explorer.locator("select").nth(2).select_option(index=0))  # β as well: nothing adapts
    explorer.locator("[role=slider]").focus()
    after(lambda: page.keyboard.press("Home"))
    assert seen[-1].group(4, 5) == seen[-2].group(4, 5), "without rates ten steps are none"
    assert {int(each[3]) for each in seen} == {0, 1, 2, 5, 10}
    assert {each[2] for each in seen} == {"1", "2"}
    assert len({each[1] for each in seen}) == 2
    assert len({(each[4], each[5]) for each in seen}) >= 4, f"the numbers do not follow: {seen}"
    record_property("milliseconds_in_the_kernel", milliseconds)
    print("milliseconds in the kernel:", milliseconds)
    page.close()


def read(caption) -> re.Match:
    """Return what a caption says: the whole text; node, task, steps, right answers, MACs."""
    found = CAPTION.search(caption.text_content())
    assert found, caption.text_content()
    return found
