"""Pods of a site that asks for `restricted`, and the images of all pods."""

from typing import Any

from components.pod_policy import restricted_pod
from dcmesh.model.security_contexts import NOBODY
from tests.unit.configurations import stack
from tests.unit.engine import Engine, Resource
from tests.unit.program import run_program, site_of


def pods(engine: Engine) -> dict[str, dict[str, Any]]:
    """Return the pod spec of each resource that makes pods."""
    made = engine.kind("StatefulSet", "Deployment", "Job")
    return {resource.name: resource.spec["template"]["spec"] for resource in made}


def lacking(pod: dict[str, Any]) -> list[str]:
    """Return what a pod's containers lack for `restricted`, according to Kubernetes' documentation."""
    own, found = pod.get("securityContext", {}), list[str]()
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = own | container.get("securityContext", {})
        wanted = {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        found += [key for key, value in wanted.items() if context.get(key) != value]
        found += ["runAsUser"] if not context.get("runAsUser") else []
    return found


def releases(engine: Engine, site: str) -> dict[str, dict[str, Any]]:
    """Return the values of the Helm releases of a site."""
    made: list[Resource] = engine.kind("Release")
    return {of.raw["name"]: of.raw["values"] for of in made if site_of(of) == site}


def joined() -> dict[str, Any]:
    """Return the demo with databases that have no sidecars."""
    raw, other = stack("dev"), stack("mariadb-gateways")
    for site, more in zip(raw["sites"], other["sites"], strict=True):
        for key in ("workloads", "exports", "imports"):
            site[key] = [*site.get(key, []), *more.get(key, [])]
    return raw


def test_all_pods_of_the_site_satisfy_it_and_those_of_the_other_are_as_they_were() -> None:
    before = run_program(Engine(), joined())
    raw = joined()
    raw["sites"][1]["podSecurity"] = "restricted"
    after = run_program(Engine(), raw)
    dc2 = {name: pod for name, pod in pods(after).items() if name.startswith("dc2")}
    assert {name: lacking(pod) for name, pod in dc2.items()} == {name: [] for name in dc2}
    assert any(lacking(pods(before)[name]) for name in dc2), "otherwise this would prove nothing"
    assert {n: p for n, p in pods(after).items() if n not in dc2} == {
        n: p for n, p in pods(before).items() if n not in dc2
    }
    assert releases(after, "dc1") == releases(before, "dc1")
    values, profile = releases(after, "dc2"), {"type": "RuntimeDefault"}
    assert values["istiod"]["seccompProfile"] == profile
    assert values["istiod"]["global"]["proxy"]["seccompProfile"] == profile
    assert values["dcmesh-egress"]["securityContext"]["seccompProfile"] == profile
    assert "seccompProfile" not in releases(before, "dc2")["istiod"]


def test_images_and_the_secrets_to_pull_them_by() -> None:
    raw = joined()
    raw["images"] = {"probe": "r.test/probe", "hello": "r.test/hello", "pullSecrets": ["r"]}
    for workload in raw["sites"][0]["workloads"] + raw["sites"][1]["workloads"]:
        workload |= {"image": "r.test/mariadb"} if workload["kind"] == "mariadb" else {}
    made = pods(run_program(Engine(), raw))
    assert made
    for pod in made.values():
        assert pod["imagePullSecrets"] == [{"name": "r"}]
        assert all(of["image"].startswith("r.test/") for of in pod["containers"] + pod.get("initContainers", []))
    assert not any("imagePullSecrets" in pod for pod in pods(run_program(Engine(), joined())).values())


def test_what_a_pod_says_itself_stays() -> None:
    own = {"runAsUser": 999, "fsGroup": 999}
    pod = restricted_pod({"securityContext": own, "containers": [{"name": "a"}]})
    assert pod["securityContext"] == own | {"seccompProfile": {"type": "RuntimeDefault"}}
    assert "runAsUser" not in pod["containers"][0]["securityContext"]
    (other,) = restricted_pod({"containers": [{"name": "a"}]})["containers"]
    assert other["securityContext"]["runAsUser"] == NOBODY
