"""The files of .github: they name every list of pins, run what `.ci/run` runs, and ask for what a fault needs."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import yaml

from infra.local.settings import PROJECT

GITHUB = PROJECT / ".github"
ACTION = re.compile(r"[\w-]+/[\w-]+@(v[0-9]+|[0-9a-f]{40})")


def loaded(name: str) -> Any:
    return yaml.safe_load((GITHUB / name).read_text("utf-8"))


def folders(pattern: str) -> set[str]:
    """The folders of the files of that name, as dependabot writes them."""
    roots = ("functions", "infra", "layers", "tests")
    found = {file.parent for root in roots for file in (PROJECT / root).rglob(pattern)} | {
        file.parent for file in PROJECT.glob(pattern)
    }
    return {f"/{folder.relative_to(PROJECT)}" for folder in found if "node_modules" not in folder.parts}


def test_dependabot_watches_every_list_of_pins() -> None:
    watched: dict[str, set[str]] = {}
    for update in loaded("dependabot.yml")["updates"]:
        watched.setdefault(update["package-ecosystem"], set()).update(
            update.get("directories") or [update["directory"]]
        )
    assert watched == {
        "pip": folders("requirements*.txt"),
        "npm": folders("package.json"),
        "github-actions": {"/"},
    }
    assert len(watched["pip"]) > 3


def test_dependabot_leaves_to_bump_what_bump_takes() -> None:
    ignored = {rule["dependency-name"] for update in loaded("dependabot.yml")["updates"]
               for rule in update.get("ignore", [])}  # fmt: skip
    bump = (PROJECT / "layers/chromium/bump.py").read_text("utf-8")
    taken = re.search(r'^PACKAGE = "(.*)"\nWHEELS = \((.*)\)$', bump, re.MULTILINE)
    assert taken is not None
    assert ignored == {taken[1], *re.findall(r'"(.+?)"', taken[2])}


def test_the_workflow_runs_the_command_of_ci_on_the_oldest_python() -> None:
    workflow = loaded("workflows/ci.yml")
    [job] = workflow["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    oldest = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    assert oldest == f">={job['strategy']['matrix']['python'][0]}"
    assert workflow["permissions"] == {"contents": "read"}


def test_every_action_has_a_pinned_version() -> None:
    used = [
        step["uses"]
        for file in (GITHUB / "workflows").iterdir()
        for job in yaml.safe_load(file.read_text("utf-8"))["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert len(used) >= 3
    assert [name for name in used if not ACTION.fullmatch(name)] == []


def test_the_issue_template_asks_for_id_report_verdict_and_versions() -> None:
    fields = {item["id"]: item for item in loaded("ISSUE_TEMPLATE/bug.yml")["body"] if "id" in item}
    required = {name for name, item in fields.items() if item.get("validations", {}).get("required")}
    assert {"job", "report", "verdict", "versions"} <= required
    api = json.loads((PROJECT / "functions/api/openapi.json").read_text("utf-8"))
    verdicts = api["components"]["schemas"]["Report"]["properties"]["verdict"]["enum"]
    assert fields["verdict"]["attributes"]["options"][: len(verdicts)] == verdicts
