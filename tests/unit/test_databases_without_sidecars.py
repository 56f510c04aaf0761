"""Databases that lose their sidecars, depending on the last `up`'s state. The whole program runs under mocks."""

from typing import Any

from tests.unit.configurations import stack
from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine
from tests.unit.program import run_program
from tests.unit.test_program import NEW, left_by


def by_gateways() -> dict[str, Any]:
    """Return a pair with gateways at both ends, on the clusters of the stack `dev`."""
    raw = stack("mariadb-gateways")
    for site, there in zip(raw["sites"], stack_dev()["sites"], strict=True):
        site["cluster"] = there["cluster"]
    return raw


def injected(engine: Engine, site: str) -> bool:
    """Tell whether the pods of a site's database get sidecars."""
    (servers,) = [of for of in engine.kind("StatefulSet") if of.name.startswith(site)]
    return "sidecar.istio.io/inject" not in servers.spec["template"]["metadata"]["labels"]


def test_pods_keep_their_sidecars_until_nothing_stands_that_refuses_those_without() -> None:
    """Pulumi deletes the PeerAuthentication last. Until then, its own site's pods would refuse a restarted pod."""
    strict = {
        "urn:pulumi:dev::dcmesh::kubernetes:security.istio.io/v1:PeerAuthentication::"
        "dc1.export.db-peerauthentication-db-strict": {
            "outputs": {"metadata": {"name": "db-strict", "namespace": "wookie"}}
        }
    }
    state = left_by(NEW, told="dcmesh-gateway")
    engine = run_program(Engine(state=state | strict), by_gateways())
    assert (injected(engine, "dc1"), injected(engine, "dc2")) == (True, False)
    assert [line for line in engine.warnings if "sidecar: false takes effect with the next `pulumi up`" in line]
    engine = run_program(Engine(state=state), by_gateways())
    assert not injected(engine, "dc1")
    assert not [line for line in engine.warnings if "sidecar" in line]
