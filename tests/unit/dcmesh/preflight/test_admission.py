"""Pods that a cluster would refuse."""

from typing import Any

import pytest

from components.databases.mariadb import copies, fetch
from components.mesh import gateway
from components.mesh.egress_gateway import LABELS, PROBE_LABELS
from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.plan import plan_of
from dcmesh.model.security_contexts import CONFINED
from dcmesh.model.settings import Settings
from dcmesh.preflight import admission
from dcmesh.preflight.admission import Sample, samples
from dcmesh.preflight.parallel import AT_ONCE
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import stack
from tests.unit.servers import KubernetesAPI

WHY = 'pods "dcmesh-would-be" is forbidden: '
POD_SECURITY = f'{WHY}violates PodSecurity "restricted:latest": seccompProfile'


def settings_of(name: str = "mariadb-gateways", **site: Any) -> Settings:
    """Return an example whose sites also have these settings."""
    raw = stack(name)
    raw["sites"] = [one | site for one in raw["sites"]]
    return Settings.model_validate(raw)


def found(api: ApiClient, settings: Settings, number: int = 1, *standing: str) -> list[Finding]:
    """Return the findings of one of the sites.

    Args:
        api: the site's cluster.
        settings: the configuration.
        number: the index of the site.
        standing: the names of the resources in the stack's state.
    """
    site = settings.sites[number]
    held = {f"urn:pulumi:s::dcmesh::kubernetes:x::{name}": ("", "") for name in standing}
    known = SiteInState(identity="", kubeconfig="", objects=held)
    plan = plan_of(settings, {}).site(site.name)
    return list(admission.not_let_in(Allowed(api), settings, site, "s", plan, "dcmesh-gateway", known))


def refuse(server: KubernetesAPI, namespace: str, message: str, status: int = 403) -> None:
    server.objects[f"POST /api/v1/namespaces/{namespace}/pods"] = (status, message)


def test_a_cluster_that_lets_all_in_or_has_not_the_namespaces_yet(server: KubernetesAPI, api: ApiClient) -> None:
    settings = settings_of()
    assert found(api, settings) == []
    for sample in samples(settings, settings.sites[1], "s", plan_of(settings, {}).site("dc2"), "dcmesh-gateway"):
        server.objects[f"POST /api/v1/namespaces/{sample.namespace}/pods"] = {}
    assert found(api, settings) == []


@pytest.mark.parametrize(
    ("message", "cure"),
    [
        (POD_SECURITY, "set `podSecurity: restricted` of the site"),
        (f"{WHY}failed quota: q: must specify limits.cpu for: c0", "give the namespace a LimitRange"),
        (f"{WHY}exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4", "raise the quota"),
        (f"{WHY}[maximum cpu usage per Container is 1, but limit is 2, a]", "have whoever runs the cluster let it in"),
        (f"{WHY}cpu max limit to request ratio per Pod is 2, but a", "have whoever runs the cluster let it in"),
    ],
)
def test_what_the_api_server_itself_refuses_is_said_in_its_words_with_a_cure(
    server: KubernetesAPI, api: ApiClient, message: str, cure: str
) -> None:
    refuse(server, "wookie-dr", message)
    (finding,) = found(api, settings_of())
    assert type(finding) is Finding
    said = f's.workloads[0].namespace: "wookie-dr" would not let in mariadb in dc2 ({message}): {cure}'
    assert finding.line().startswith(said)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ('admission webhook "k" denied the request: violates PodSecurity "a"', 400),
        ('admission webhook "k" denied the request: exceeded quota: a', 403),
        (f"{WHY}ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", 422),
        ("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", 401),
        (f"{WHY}unable to validate against any security context constraint", 403),
        ('Internal error occurred: failed calling webhook "i": context deadline exceeded', 500),
        ('admission webhook "k" does not support dry run', 400),
        ("Pod is invalid", 422),
        ("a gateway's time-out", 504),
    ],
)
def test_all_else_that_is_said_is_a_warning(server: KubernetesAPI, api: ApiClient, message: str, status: int) -> None:
    """The pod is a sample. A policy engine may let the real one in, and must not block a failover."""
    refuse(server, "wookie-dr", message, status)
    (remark,) = found(api, settings_of())
    assert isinstance(remark, Remark)
    assert f"may not let in mariadb in dc2; a dry run of a pod like it ended so: {message}" in remark.line()


def test_what_is_said_is_cut_and_obeyed_by_no_terminal(server: KubernetesAPI, api: ApiClient) -> None:
    refuse(server, "wookie-dr", 'admission webhook "k" denied the request: \x1b[2J' + "a" * 9999)
    (remark,) = found(api, settings_of())
    assert "\x1b" not in remark.line()
    assert len(remark.line()) < 700


@pytest.mark.parametrize(
    "answer", [TimeoutError("timed out"), ConnectionResetError("reset"), (500, 'failed calling webhook "i": deadline')]
)
@pytest.mark.parametrize("standing", [(), ("dc2-egress.dcmesh-egress.db-0.db.wookie.svc.cluster.local-service",)])
def test_who_does_not_answer_dry_runs_alone_keeps_no_up_waiting(
    server: KubernetesAPI, api: ApiClient, answer: Exception | tuple[int, str], standing: tuple[str, ...]
) -> None:
    """Reads do not pass webhooks, so the cluster answers these. Not every pod is tried then."""
    asked = []

    def silent(pod: dict[str, Any]) -> tuple[int, str]:
        asked.append(pod)
        if isinstance(answer, Exception):
            raise answer
        return answer

    settings = settings_of()
    one = settings.sites[1].workloads[0]
    settings.sites[1].workloads[:] = [one.model_copy(update={"namespace": f"n{n}"}) for n in range(40)]
    plan = plan_of(settings_of(), {}).site("dc2")
    for sample in samples(settings, settings.sites[1], "s", plan, "dcmesh-gateway"):
        server.objects[f"POST /api/v1/namespaces/{sample.namespace}/pods"] = silent
    known = SiteInState(
        identity="", kubeconfig="", objects={f"urn:pulumi:s::dcmesh::kubernetes:x::{of}": ("", "") for of in standing}
    )
    remarks = [*admission.not_let_in(Allowed(api), settings, settings.sites[1], "s", plan, "dcmesh-gateway", known)]
    assert remarks
    assert all(isinstance(one, Remark) for one in remarks)
    assert "a dry run of a pod like it ended so: " in remarks[0].line()
    assert 1 <= len(asked) <= AT_ONCE


def test_a_service_account_that_is_not_there_yet_is_left_out(server: KubernetesAPI, api: ApiClient) -> None:
    """The API server looks for the account before it asks webhooks."""
    asked = []

    def answer(pod: dict[str, Any]) -> Any:
        asked.append(account := pod["spec"].get("serviceAccountName"))
        missing = f'{WHY}error looking up service account a/{account}: serviceaccount "{account}" not found'
        return (403, missing if account else POD_SECURITY)

    server.objects["POST /api/v1/namespaces/wookie-dr/pods"] = answer
    (finding,) = found(api, settings_of())
    assert type(finding) is Finding
    assert asked == ["db", None]
    refuse(server, "wookie-dr", f"{WHY}error looking up service account a/default")
    assert found(api, settings_of()) == []


def test_who_may_not_ask_is_told_so(server: KubernetesAPI, api: ApiClient) -> None:
    refuse(server, "wookie-dr", 'pods is forbidden: User "u" cannot create resource "pods"')
    (remark,) = found(api, settings_of())
    assert isinstance(remark, Remark)
    assert "cannot be asked whether it lets mariadb in" in remark.line()
    assert "allow the kubeconfig's user to create pods" in remark.line()


def test_what_stands_is_not_refused(server: KubernetesAPI, api: ApiClient) -> None:
    """A Job is replaced with a change, so this is a warning. The other pods run already."""
    refuse(server, "wookie-dr", POD_SECURITY)
    assert found(api, settings_of(), 1, "dc2.wookie-dr-statefulset") == []
    refuse(server, "dcmesh-egress", POD_SECURITY)
    gateway = "dc2-egress.dcmesh-egress"
    first, second = found(api, settings_of(), 1, "dc2.wookie-dr-statefulset")
    assert {type(first), type(second)} == {Finding}
    standing = [f"{gateway}.db-0.db.wookie.svc.cluster.local-service", f"{gateway}-release"]
    (remark,) = found(api, settings_of(), 1, "dc2.wookie-dr-statefulset", *standing)
    assert isinstance(remark, Remark)
    assert "the probe" in remark.line()


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_sidecars_init_container_is_known_before_there_is_an_istiod(
    server: KubernetesAPI, api: ApiClient, level: str
) -> None:
    label = {"pod-security.kubernetes.io/enforce": level}
    server.objects["/api/v1/namespaces/wookie-dr"] = {"metadata": {"labels": label}}
    probe, mariadb = found(api, settings_of("mariadb"))
    assert isinstance(probe, Remark)  # It is not known whether a namespace is exempt, nor when there will be an istiod.
    assert probe.line().startswith('s.imports[0].namespace: "wookie-dr" would not let in the probe in dc2')
    assert "docs/locked-down.md" in probe.line()
    assert mariadb.path == "s.workloads[0].namespace"
    settings = settings_of("mariadb")
    settings.istio.values.istiod["cni"] = {"enabled": True}
    assert found(api, settings) == []


def samples_of(settings: Settings) -> dict[str, Sample]:
    """Return a sample of each kind."""
    plan = plan_of(settings, {})
    return {
        one.what: one
        for n, site in enumerate(settings.sites)
        for one in samples(settings, site, f"sites[{n}]", plan.site(site.name), "dcmesh-gateway")
    }


@pytest.mark.parametrize("restricted", [None, "restricted"])
def test_samples_have_what_the_pods_will_have(restricted: str | None) -> None:
    of = samples_of(settings_of(podSecurity=restricted))
    assert of.keys() == {"the gateway", "the egress gateway", "the probe", "mariadb"}
    for what, sample in of.items():
        profile = {**sample.pod["spec"]["securityContext"], **sample.containers[0]["securityContext"]}
        assert ("seccompProfile" in profile) == (what == "the probe" or restricted is not None)
    assert {what: sample.pod["labels"] for what, sample in of.items()} == {
        "the gateway": {**gateway.labels_in("dcmesh-gateway"), "sidecar.istio.io/inject": "true"},
        "the egress gateway": {**LABELS, "sidecar.istio.io/inject": "true"},
        "the probe": {**PROBE_LABELS, "sidecar.istio.io/inject": "false"},
        "mariadb": {"app": "db", "sidecar.istio.io/inject": "false"},
    }
    assert {what: sample.pod["spec"]["serviceAccountName"] for what, sample in of.items()} == {
        "the gateway": "istio-eastwestgateway",
        "the egress gateway": "egress",
        "the probe": "default",
        "mariadb": "db",
    }


def test_an_istiod_that_is_there_fills_in_a_gateways_own_container() -> None:
    """Without a container of this name, istiod's webhook would add one that has no security context: refused."""
    of = samples_of(settings_of())
    for what in ("the gateway", "the egress gateway"):
        assert [container["name"] for container in of[what].pod["spec"]["containers"]] == ["istio-proxy"]


def test_samples_have_the_images_that_are_set() -> None:
    raw = stack("mariadb-gateways") | {"images": {"probe": "r.example/probe:1"}}
    raw["sites"] = [
        one | {"workloads": [w | {"image": "r.example/db:1"} for w in one["workloads"]]} for one in raw["sites"]
    ]
    of = samples_of(Settings.model_validate(raw))
    assert {what: sample.containers[0]["image"] for what, sample in of.items()} == {
        "the gateway": "auto",
        "the egress gateway": "auto",
        "the probe": "r.example/probe:1",
        "mariadb": "r.example/db:1",
    }
    assert of["mariadb"].pod["spec"]["initContainers"][0]["image"] == "r.example/db:1"


def test_a_database_that_serves_backups_has_two_more_containers() -> None:
    raw = stack("mariadb-gateways")
    settings = Settings.model_validate(raw)
    plain = samples_of(settings)["mariadb"].pod["spec"]
    assert [len(plain[containers]) for containers in ("initContainers", "containers")] == [1, 1]
    for site in settings.sites:
        site.workloads[:] = [one.model_copy(update={"first_copy": "backup"}) for one in site.workloads]
    spec = samples_of(settings)["mariadb"].pod["spec"]
    image = {"image": settings.sites[1].workloads[0].image}
    for sample, real in zip(
        [*spec["initContainers"][:1], *spec["containers"][1:]], [fetch(image, []), copies(image, [])], strict=True
    ):
        assert sample["image"] == real["image"]
        assert sample.get("resources") == real.get("resources")
        assert sample["securityContext"].items() >= CONFINED.items()
    assert spec["initContainers"][1:] == [one | {"name": "i1"} for one in plain["initContainers"]]
    assert spec["containers"][:1] == plain["containers"]


def test_an_egress_gateway_of_several_imports_is_asked_about_once() -> None:
    settings = settings_of()
    settings.sites[1].imports.append(settings.sites[1].imports[0])
    plan = plan_of(settings, {}).site("dc2")
    asked = [one.what for one in samples(settings, settings.sites[1], "s", plan, "dcmesh-gateway")]
    assert asked.count("the egress gateway") == 1


def test_gateways_have_the_values_that_are_set() -> None:
    settings = settings_of()
    given: dict[str, Any] = {
        "resources": {"limits": {"cpu": "500m", "memory": None}},
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containerSecurityContext": {"runAsUser": 5},
    }
    settings.istio.values.gateway.update(given)
    of = samples_of(settings)
    for what in ("the gateway", "the egress gateway"):
        spec = of[what].pod["spec"]
        assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
        (container,) = spec["containers"]
        assert container["securityContext"] == {"runAsUser": 5}
        limits = {"cpu": "500m", "memory": "1Gi"}
        assert container["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": limits}
    settings.istio.values.gateway["resources"] = "a text"
    assert samples_of(settings)["the gateway"].containers[0]["resources"]["limits"]["cpu"] == "2"
