"""Pods that a cluster would not let in."""

from typing import Any

import pytest

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.allowed import Allowed
from dcmesh.kube.api import ApiClient, ApiException
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight import admission
from dcmesh.preflight.admission import samples
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import stack
from tests.unit.servers import KubernetesAPI

WHY = 'pods "dcmesh-would-be" is forbidden: '
POD_SECURITY = f'{WHY}violates PodSecurity "restricted:latest": seccompProfile'


def settings_of(name: str = "mariadb-gateways", **site: Any) -> Settings:
    """Return an example whose sites have these settings as well."""
    raw = stack(name)
    raw["sites"] = [one | site for one in raw["sites"]]
    return Settings.model_validate(raw)


def found(api: ApiClient, settings: Settings, number: int = 1, *standing: str) -> list[Finding]:
    """Return what is found in one of the sites.

    Args:
        api: its cluster.
        settings: the configuration.
        number: which of its sites.
        standing: the names of the resources that the stack's state has.
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
    for sample in samples(settings.sites[1], "s", plan_of(settings, {}).site("dc2"), "dcmesh-gateway"):
        server.objects[f"POST /api/v1/namespaces/{sample.namespace}/pods"] = {}
    assert found(api, settings) == []


@pytest.mark.parametrize(
    ("message", "status", "cure"),
    [
        (POD_SECURITY, 403, "set `podSecurity: restricted` of the site"),
        (f"{WHY}failed quota: q: must specify limits.cpu for: c0", 403, "give the namespace a LimitRange"),
        (f"{WHY}exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4", 403, "raise the quota"),
        ('admission webhook "k" denied the request: no', 400, "have whoever runs the cluster let it in"),
    ],
)
def test_what_is_refused_is_said_in_the_clusters_words_with_a_cure(
    server: KubernetesAPI, api: ApiClient, message: str, status: int, cure: str
) -> None:
    refuse(server, "wookie-dr", message, status)
    (line,) = [one.line() for one in found(api, settings_of())]
    assert line.startswith(f's.workloads[0].namespace: "wookie-dr" would not let in mariadb in dc2 ({message}): {cure}')


@pytest.mark.parametrize(
    ("message", "status"),
    [(f"{WHY}error looking up service account a/default", 403), ('Internal error: failed calling webhook "i"', 500)],
)
def test_what_says_nothing_of_the_pod_itself_is_no_finding(
    server: KubernetesAPI, api: ApiClient, message: str, status: int
) -> None:
    refuse(server, "wookie-dr", message, status)
    assert found(api, settings_of()) == []


def test_who_may_not_ask_is_told_so(server: KubernetesAPI, api: ApiClient) -> None:
    refuse(server, "wookie-dr", 'pods is forbidden: User "u" cannot create resource "pods"')
    (remark,) = found(api, settings_of())
    assert isinstance(remark, Remark)
    assert "cannot be asked whether it lets mariadb in" in remark.line()
    refuse(server, "wookie-dr", "no such user", 401)
    with pytest.raises(ApiException):
        found(api, settings_of())


def test_what_stands_is_not_refused(server: KubernetesAPI, api: ApiClient) -> None:
    """A Job comes anew with a change: it is a warning. The other pods run."""
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
    assert probe.line().startswith('s.imports[0].namespace: "wookie-dr" would not let in the probe in dc2')
    assert "docs/locked-down.md" in probe.line()
    assert mariadb.path == "s.workloads[0].namespace"
    settings = settings_of("mariadb")
    settings.istio.values.istiod["cni"] = {"enabled": True}
    assert found(api, settings) == []


@pytest.mark.parametrize("restricted", [None, "restricted"])
def test_samples_have_what_the_pods_will_have(restricted: str | None) -> None:
    settings = settings_of(podSecurity=restricted)
    plan = plan_of(settings, {})
    of = {
        one.what: one
        for n, site in enumerate(settings.sites)
        for one in samples(site, f"sites[{n}]", plan.site(site.name), "dcmesh-gateway")
    }
    assert of.keys() == {"the gateway", "the egress gateway", "the probe", "mariadb"}
    for what, sample in of.items():
        profile = sample.pod["spec"].get("securityContext", sample.containers[0]["securityContext"])
        assert ("seccompProfile" in profile) == (what == "the probe" or restricted is not None)
        assert sample.pod["labels"] == {"sidecar.istio.io/inject": "false"}
