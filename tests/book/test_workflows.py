"""The workflows of GitHub Actions can be read, ask for no more rights than they need, end, and pin what they use."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
OFFICIAL = re.compile(r"actions/[\w-]+@v\d+")


def read(name: str) -> dict:
    """Return a workflow; YAML 1.1 reads the key `on` as the truth value."""
    workflow = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps(workflow: dict) -> list[dict]:
    """Return the steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_three():
    assert list(WORKFLOWS) == ["pages.yml", "test.yml", "weekly.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_is_bounded_and_modest(name):
    workflow = read(name)
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "env", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    assert "secrets." not in WORKFLOWS[name].read_text(encoding="utf-8")
    for job_name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 90, job_name
        assert job["runs-on"] == "ubuntu-latest"
        extra = job.get("permissions", {})
        assert extra == ({"pages": "write", "id-token": "write"} if (name, job_name) == ("pages.yml", "deploy") else {})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_github_s_own_actions_are_used_at_a_major_version(name):
    used = [step["uses"] for step in steps(read(name)) if "uses" in step]
    assert used
    assert [action for action in used if not OFFICIAL.fullmatch(action)] == []
    assert all(("uses" in step) != ("run" in step) for step in steps(read(name)))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_is_made_can_be_made(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    runs = "\n".join(step.get("run", "") for step in steps(read(name)))
    targets = re.findall(r"\bmake (\w+)", runs)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"{name}: make {target}"
    assert targets or "deploy" in name


def test_they_start_when_they_should():
    assert set(read("test.yml")["on"]) == {"push", "pull_request"}
    pages = read("pages.yml")
    assert set(pages["on"]) == {"workflow_run", "workflow_dispatch"}
    assert pages["on"]["workflow_run"]["workflows"] == [read("test.yml")["name"]]
    for needed in ("event == 'push'", "conclusion == 'success'"):  # no pull request's code, nor what fails its tests
        assert needed in pages["jobs"]["build"]["if"]
    assert set(read("weekly.yml")["on"]) == {"schedule", "workflow_dispatch"}
    assert "make links" in WORKFLOWS["weekly.yml"].read_text(encoding="utf-8")
