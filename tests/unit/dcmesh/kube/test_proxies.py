"""Data of a cluster's mesh: its Secret `cacerts` in both forms, and its trust domain."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dcmesh.kube.proxies import MeshCluster
from dcmesh.model.certificates import Bundle
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api

ISTIO = "/api/v1/namespaces/istio-system"
SECRET = f"{ISTIO}/secrets/cacerts"


@pytest.fixture
def server() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as found:
        found.objects = {}
        yield found


def secret(**pems: str) -> dict[str, Any]:
    return {"metadata": {}, "data": {key: base64.b64encode(pem.encode()).decode() for key, pem in pems.items()}}


@pytest.mark.parametrize(
    "data",
    [
        {"cert-chain.pem": "chain", "root-cert.pem": "roots", "ca.crt": "of nobody"},
        {"tls.crt": "chain", "ca.crt": "roots", "root-cert.pem": "of nobody"},
    ],
)
def test_the_bundle_is_what_istiod_reads(server: KubernetesAPI, data: dict[str, str]) -> None:
    cluster = MeshCluster("dc1", kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"}))
    assert cluster.bundle() is None
    server.objects[SECRET] = secret(**data)
    assert cluster.bundle() == Bundle(chain="chain", root="roots")


@pytest.mark.parametrize(("revision", "name"), [("default", "istio"), ("stable", "istio-stable")])
def test_the_trust_domain_is_the_meshs_or_istios_own(server: KubernetesAPI, revision: str, name: str) -> None:
    cluster = MeshCluster("dc1", kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"}))
    assert cluster.trust_domains(revision) == ()
    place = f"{ISTIO}/configmaps/{name}"
    server.objects[place] = {"data": {"mesh": yaml.safe_dump({"rootNamespace": "istio-system"})}}
    assert cluster.trust_domains(revision) == ("cluster.local",)
    server.objects[place] = {
        "data": {"mesh": yaml.safe_dump({"trustDomain": "dc1.dcmesh", "trustDomainAliases": ["old"]})}
    }
    assert cluster.trust_domains(revision) == ("dc1.dcmesh", "old")


@pytest.mark.parametrize("data", [None, {}, {"mesh": "trustDomain: {"}, {"mesh": "dc1.dcmesh"}])
def test_a_mesh_configuration_that_cannot_be_read_has_istios_own(server: KubernetesAPI, data: object) -> None:
    """istiod itself falls back to its defaults too. So nothing is signed for another trust domain."""
    server.objects[f"{ISTIO}/configmaps/istio"] = {"data": data}
    cluster = MeshCluster("dc1", kubeconfig({"there": f"http://127.0.0.1:{server.server_port}"}))
    assert cluster.trust_domains("default") == ("cluster.local",)
