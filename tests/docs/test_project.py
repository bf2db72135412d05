"""The project's outside: its links, its workflows, what it reads from the environment."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from .pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))

_VARIABLE = re.compile(
    r"""\bAITOEARN_[A-Z_]+\b|(?:environ(?:\.get)?[\[(]|getenv\(|envvar=)["']([A-Z_]+)["']"""
)

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def variables_in(text: str) -> set[str]:
    return {found[1] or found[0] for found in _VARIABLE.finditer(text)}


def steps_of(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_every_environment_variable_is_on_its_page() -> None:
    sources = (ROOT / "aitoearn_async").rglob("*.py")
    read = set[str]().union(*(variables_in(path.read_text(encoding="utf-8")) for path in sources))
    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    ours = {name for name in read if name.startswith("AITOEARN_")}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == ours
    assert read <= set(re.findall(r"`(\w+)`", page))


def test_the_project_says_where_to_find_it() -> None:
    urls = PROJECT["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert all(url.startswith("https://") for url in urls.values())
    site = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE/config.yml").read_text(encoding="utf-8"))
    assert site["contact_links"][0]["url"].startswith(urls["Documentation"])


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.yml")), ids=lambda path: path.stem)
def test_what_the_forge_reads_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


@each_workflow
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_one_version_in_all_workflows() -> None:
    used = {
        tuple(action.split("@"))
        for path in WORKFLOWS
        for action in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    }
    assert len({name for name, _ in used}) == len(used)


@each_workflow
def test_a_job_may_do_only_what_it_names(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())


@each_workflow
def test_no_job_keeps_the_token_of_a_checkout(path: Path) -> None:
    checkouts = [step for step in steps_of(path) if "actions/checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each_workflow
def test_scripts_of_workflows_are_there(path: Path) -> None:
    for step in steps_of(path):
        for python, script in re.findall(r"(python |-f )?(\.ci/[\w.-]+)", step.get("run", "")):
            assert (ROOT / script).stat().st_mode & (0o444 if python else 0o111), script


def test_only_the_job_that_publishes_can_sign() -> None:
    jobs = yaml.safe_load((GITHUB / "workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job["permissions"]] == ["publish"]
    assert jobs["publish"]["needs"] == "test"
    assert jobs["test"]["needs"] == "build"
    assert jobs["publish"]["environment"]["name"] == "pypi"


def test_the_wheel_is_tried_with_the_test_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    test = readme.partition('```python title="test_film.py"\n')[2].partition("```")[0]
    assert test.strip()
    assert test in (ROOT / ".ci/try-wheel").read_text(encoding="utf-8")


def test_new_releases_are_tried_each_night() -> None:
    """By sessions that exist, on the Python that each of them is for."""
    workflow = yaml.safe_load((GITHUB / "workflows/releases.yml").read_text(encoding="utf-8"))
    assert workflow[True]["schedule"], "YAML takes `on` for a word of its own"
    tried = workflow["jobs"]["tests"]["strategy"]["matrix"]["include"]
    pythons, sessions = nox_sessions()
    wanted = {
        **{f"tests-{python}": python for python in pythons},
        "lowest": pythons[0],
        "pre-releases": pythons[-2],
    }
    assert {"lowest", "pre-releases"} <= sessions
    assert {"lowest", "pre-releases"} < {each["session"] for each in tried}
    for each in tried:
        assert each["python"] == wanted[each["session"]]


def nox_sessions() -> tuple[list[str], set[str]]:
    """Read which Pythons the sessions are for, and what those are called that have a name."""
    text = (ROOT / ".ci/noxfile.py").read_text(encoding="utf-8")
    (pythons,) = re.findall(r"^PYTHONS = (\[.*\])$", text, re.MULTILINE)
    named = re.findall(r"@nox\.session\(name=\"([\w-]+)\"", text)
    plain = re.findall(r"^@nox\.session.*\ndef (\w+)", text, re.MULTILINE)
    return json.loads(pythons), {*named, *plain}
