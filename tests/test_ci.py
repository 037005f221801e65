"""The hosted workflow calls the checks of the house, may only read, and pins what it uses."""

import re

import pytest
import yaml

from tests.servers import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


@pytest.fixture(scope="module")
def workflow():
    # BaseLoader: in YAML 1.1 the key `on` would be read as true.
    return yaml.load(WORKFLOW.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - strings only


def commands(job):
    return [step["run"] for step in job["steps"] if "run" in step]


def test_every_push_and_pull_request_is_checked_and_each_week_the_rest(workflow):
    assert {"push", "pull_request", "schedule"} <= set(workflow["on"])
    (each,) = workflow["on"]["schedule"]
    assert re.fullmatch(r"[0-9]+ [0-9]+ \* \* [0-6]", each["cron"])

    check, weekly = workflow["jobs"]["check"], workflow["jobs"]["weekly"]

    assert commands(check)[-1] == ".ci/run"
    assert "'push'" in check["if"]
    assert "'pull_request'" in check["if"]
    assert commands(weekly)[-1] == ".ci/weekly"
    assert "'schedule'" in weekly["if"]


def test_what_the_workflow_calls_can_be_run(workflow):
    called = [commands(job)[-1] for job in workflow["jobs"].values()]

    assert called
    for command in called:
        assert (ROOT / command).stat().st_mode & 0o111, command


def test_the_workflow_may_read_the_repository_and_nothing_else(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        checkouts = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert [step["with"]["persist-credentials"] for step in checkouts] == ["false"]
    assert "secrets." not in WORKFLOW.read_text()


def test_every_action_is_pinned_by_its_commit_with_its_version_beside_it():
    used = re.findall(r"uses: (.+)", WORKFLOW.read_text())

    assert used
    for each in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[0-9.]+", each), each


def test_the_weekly_check_calls_scripts_that_are_there():
    called = set(re.findall(r"\bscripts/[\w.]+", (ROOT / ".ci" / "weekly").read_text()))

    assert {"scripts/debian13.sh", "scripts/canary.sh"} <= called
    for script in called:
        assert (ROOT / script).stat().st_mode & 0o111, script
