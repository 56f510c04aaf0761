"""A site that is gone according to `failover.without`: nothing asks it, and nothing in it is changed."""

from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.lost_site import untouched
from dcmesh.config.environment import Environment
from dcmesh.model.plan import plan_of
from dcmesh.preflight import readiness
from dcmesh.sites_in_outputs import parse_outputs
from dcmesh.sites_in_state import SiteInState
from dcmesh.status.sites import ask_site
from dcmesh.trust.rotation import OtherSites, read_others
from dcmesh.user_files import read_file
from tests.unit.configurations import stack
from tests.unit.conftest import settings_of
from tests.unit.engine import Engine
from tests.unit.program import program_of
from tests.unit.servers import kubeconfig

FAILOVER = {"primary": "dc2", "failover": {"without": "dc1", "at": "0-1-7"}}


@pytest.fixture
def raw() -> dict[str, Any]:
    """Two sites that can change roles, of which dc1 is gone."""
    return {**stack("mariadb-switchover"), **FAILOVER}


@pytest.fixture
def engine(raw: dict[str, Any]) -> Engine:
    """The same, with another database of dc1's own."""
    raw["sites"][0]["workloads"].append({"kind": "mariadb", "namespace": "reports"})
    for site in raw["sites"]:
        site["cluster"] = "k3d"
    return program_of(raw)


def test_its_provider_skips_what_it_cannot_reach_and_the_others_does_not(engine: Engine) -> None:
    skips = {one.name: one.inputs.get("skipUpdateUnreachable") for one in engine.kind("kubernetes")}
    assert skips == {"dc1-cluster-kubernetes": "true", "dc2-cluster-kubernetes": None}


def test_nothing_of_it_changes() -> None:
    given = pulumi.ResourceOptions(ignore_changes=["spec.volumeClaimTemplates"], protect=True)
    args = pulumi.ResourceTransformationArgs(
        resource=None,  # type: ignore[arg-type]
        type_="kubernetes:core/v1:ConfigMap",
        name="role",
        props={"data": {"primary": "dc2"}},
        opts=given,
    )
    opts = untouched(args).opts
    assert opts.protect
    assert "*" in (opts.ignore_changes or [])


def test_nobody_asks_for_its_certificates(engine: Engine) -> None:
    guards = {one.name: [*one.request.hooks.before_update] for one in engine.kind("Secret") if "cacerts" in one.name}
    assert guards == {"dc1-istio-cacerts": [], "dc2-istio-cacerts": ["dc2-certificates-allowed"]}
    assert {one.name for one in engine.kind("Command") if one.name.endswith("-certificates")} == {"dc2-certificates"}
    assert engine.outputs["certificates"].keys() == {"dc1", "dc2"}


def test_no_probe_of_its_hosts_runs_anew(engine: Engine) -> None:
    """The Job is not removed either, because `--target` would not allow that."""
    ignored = {job.name: list(job.request.ignoreChanges) for job in engine.kind("Job")}
    assert ignored == {
        "dc1-imports.wookie.db-job": ["*"],
        "dc2-imports.wookie-dr.db-job": ["*"],
    }


def test_no_rollout_is_waited_for_in_it(engine: Engine) -> None:
    """Its Commands stay in the state, or are added by a new dcmesh, but they do not ask a dead cluster."""
    commands = {one.name: one.inputs["create"] for one in engine.kind("Command") if one.name.endswith("-rolled-out")}
    assert [commands.pop(f"dc1.{name}-rolled-out") for name in ("wookie", "reports")] == [":", ":"]
    assert [*commands] == ["dc2.wookie-dr-rolled-out"]
    assert commands["dc2.wookie-dr-rolled-out"].endswith(" wait-for-rollout dc2 wookie-dr db")


def test_the_switchover_needs_nothing_of_it(engine: Engine) -> None:
    """`--target` needs nothing of it either: no resource of the lost site comes before the Command."""
    command = engine.asked["dc1.wookie-dc2.wookie-dr-switchover"]
    words = "--site dc2/wookie-dr/db --other dc1 --primary dc2 --without dc1 --at 0-1-7"
    assert command.inputs["create"].endswith(f" -m dcmesh switchover {words}")
    assert command.inputs["environment"].keys() == {"DCMESH_KUBECONFIG"}
    assert not [name for name in command.dependencies if name.startswith("dc1") and name != f"{command.name}-begun"]
    assert "dc1.wookie-rolled-out" not in engine.before(command.name)


def test_preflight_asks_it_nothing_and_goes_by_the_state(raw: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig({"dc1": "http://127.0.0.1:1"}))
    raw["sites"][0]["cluster"] = {"kubeconfig": str(file)}
    held = {"dc1": SiteInState(identity="uid", kubeconfig="")}
    environment = Environment("dcmesh", "dev", lambda _: {}, read_file)
    settings = settings_of(raw)
    assert readiness.require_ready(settings, plan_of(settings, {}), environment, held) == ([], {"dc1": "uid"})


def test_its_kubeconfig_is_used_for_nothing(raw: dict[str, Any]) -> None:
    told = {"sites": {"dc1": {}, "dc2": {}}, "kubeconfigs": {"dc1": "one", "dc2": "two"}}
    outputs = {"organization/dcmesh/dev": told}
    assert read_others(settings_of(raw), "dcmesh", "dev", outputs.__getitem__) == OtherSites(
        kubeconfigs={"dc2": "two"}, bundles={}, unseen={"dc1": "failover.without names it"}
    )


def test_the_status_asks_it_nothing_and_says_so(engine: Engine) -> None:
    dc1, dc2 = parse_outputs({**engine.outputs, "kubeconfigs": {"dc1": "", "dc2": ""}})
    assert [exports for exports in dc2.accounts.values() if exports] == [], "no host of dc1 is asked"
    status = ask_site(dc1, 60)
    (problem,) = status.own_problems
    assert problem.text == ("dc1: is not asked: failover.without names it. Remove that once dc1 is back")
    assert status.facts == ()
