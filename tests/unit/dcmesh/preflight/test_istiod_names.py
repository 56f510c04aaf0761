"""Names of an existing istiod, and an intermediate that signs only for one trust domain and for names below `svc`."""

import pytest
import yaml
from pydantic import TypeAdapter

from dcmesh.kube.api import ApiClient
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model.settings import Istio, Trust
from dcmesh.preflight.istiod_names import not_signed
from tests.unit.conftest import settings_of, stack_dev
from tests.unit.servers import KubernetesAPI

ISTIO_SYSTEM = "namespaces/istio-system"
ADAPTER: TypeAdapter[Trust] = TypeAdapter(Trust)


def names(
    server: KubernetesAPI, api: ApiClient, address: str, host: str, trust: dict[str, str] | None = None
) -> list[str]:
    """Return the findings for an istiod that proxies reach by this address, and that has hosts of its own."""
    config = {"defaultConfig": {"discoveryAddress": address}} if address else {}
    variables = [{"name": "ISTIOD_CUSTOM_HOST", "value": host}] if host else []
    container = {"name": "discovery", "image": "pilot:1.31.0", "env": variables}
    server.objects[f"/api/v1/{ISTIO_SYSTEM}/configmaps/istio"] = {"data": {"mesh": yaml.safe_dump(config)}}
    server.objects[f"/apis/apps/v1/{ISTIO_SYSTEM}/deployments/istiod"] = {
        "spec": {"template": {"spec": {"containers": [container]}}}
    }
    raw = stack_dev()
    raw["sites"][0]["trustDomain"] = "dc1.dcmesh"
    istio, source = Istio.model_validate({"existing": {"revision": "default"}}), ADAPTER.validate_python(trust or {})
    settings = settings_of(raw).model_copy(update={"istio": istio, "trust": source})
    cluster = ClusterReader.of(api, frozenset())
    of_others = list(not_signed(cluster, settings, settings.sites[1], "sites[1]"))
    assert of_others == [], "intermediates for the first trust domain are not bound"
    return [finding.line() for finding in not_signed(cluster, settings, settings.sites[0], "sites[0]")]


@pytest.mark.parametrize(
    ("address", "host"),
    [("", ""), ("istiod.istio-system.svc:15012", ""), ("", "istiod-a.istio-system.svc, istiod.other.svc")],
)
def test_names_below_svc_are_signed(server: KubernetesAPI, api: ApiClient, address: str, host: str) -> None:
    assert names(server, api, address, host) == []


@pytest.mark.parametrize(
    ("address", "host", "name"),
    [
        ("istiod.istio-system.svc.cluster.local:15012", "", "istiod.istio-system.svc.cluster.local"),
        ("", "istiod.istio-system.svc,istiod.corp.test", "istiod.corp.test"),
    ],
)
def test_another_name_is_not(server: KubernetesAPI, api: ApiClient, address: str, host: str, name: str) -> None:
    (line,) = names(server, api, address, host)
    assert line.startswith('sites[0].trustDomain: "dc1.dcmesh" has dcmesh bind the intermediate')
    assert f"istiod in dc1 is also {name}: " in line
    assert names(server, api, address, host, {"source": "existing"}) == []
