"""examples/gitops: the files that a pipeline runs exist, with the versions that CI runs."""

from typing import Any

import yaml

from dcmesh.model import support
from tests.unit.configurations import ROOT

OPERATOR = [*yaml.safe_load_all((ROOT / "examples/gitops/operator.yaml").read_text())]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / "examples/gitops/workflow.yaml").read_text())


def steps(job: str) -> dict[str, dict[str, Any]]:
    """Return the steps of a job of the workflow, by name."""
    return {step.get("name", step.get("uses")): step for step in WORKFLOW["jobs"][job]["steps"]}


def test_a_pull_request_is_previewed_and_a_merge_runs_up() -> None:
    preview, up = steps("preview"), steps("up")
    assert "pulumi preview --stack dc1" in preview["Preview"]["run"]
    assert not [name for name, step in preview.items() if "pulumi up" in step.get("run", "")]
    assert "pulumi up --stack dc1 --yes" in up["Up"]["run"]
    assert "pull_request" in WORKFLOW["jobs"]["preview"]["if"]
    assert WORKFLOW["jobs"]["up"]["if"] == "github.event_name == 'push'"


def test_a_preview_of_a_fork_has_no_credentials() -> None:
    """It would run the fork's program with the credentials."""
    assert "head.repo.full_name == github.repository" in WORKFLOW["jobs"]["preview"]["if"]


def test_an_up_is_never_killed_by_the_next_and_no_preview_takes_its_place() -> None:
    """GitHub cancels a waiting run of a group when another run of the group comes."""
    assert WORKFLOW["jobs"]["up"]["concurrency"] == {"group": "dc1", "cancel-in-progress": False}
    assert "concurrency" not in WORKFLOW
    assert "concurrency" not in WORKFLOW["jobs"]["preview"]


def test_status_is_asked_without_the_passphrase() -> None:
    told = {name for name, step in steps("up").items() if "PULUMI_CONFIG_PASSPHRASE" in step.get("env", {})}
    assert told == {"Up"}


def test_pipelines_have_the_version_that_ci_runs() -> None:
    tried = support.PULUMI_CLI.tried
    for job in WORKFLOW["jobs"]:
        assert steps(job)["pulumi/actions@v6"]["with"]["pulumi-version"] == tried
    (stack,) = [found for found in OPERATOR if found["kind"] == "Stack"]
    assert stack["spec"]["workspaceTemplate"]["spec"]["image"].endswith(f":{tried}")


def test_who_deletes_the_operators_object_deletes_no_gateway() -> None:
    (stack,) = [found for found in OPERATOR if found["kind"] == "Stack"]
    assert stack["spec"]["destroyOnFinalize"] is False
