"""Which of others' Gateways and routes affect the links of an egress gateway."""

from typing import Any

import pytest

from dcmesh.foreign.consumer import at_consumer
from dcmesh.foreign.egress import at_egress
from dcmesh.foreign.objects import Foreign, IstioObjects
from dcmesh.model.egress import LABELS, name_for
from dcmesh.model.facts import State
from dcmesh.model.link import ServiceAccount
from tests.unit.dcmesh.foreign.test_gateway import NEW, OLD, OWN, Found, of
from tests.unit.statuses import DB0, DB_EXPORT

ACCOUNT = ServiceAccount("out", "egress")
EXPORT = DB_EXPORT.model_copy(update={"hosts": (DB0,), "by_gateway": True})
KNOWN, PORT = "db-0.db.wookie.dc1.dcmesh", 20001


def gateway(port: int, since: str = NEW, namespace: str = "tenant", selector: Found | None = None) -> Found:
    servers = [{"port": {"number": port, "protocol": "TCP"}, "hosts": ["*"]}]
    return of("theirs", namespace, {"selector": selector or {}, "servers": servers}, since)


def found(*gateways: Found, scoped: bool = False, **more: Any) -> list[Foreign]:
    own = of(name_for(DB0), "out", {"selector": LABELS, "servers": [{"port": {"number": PORT}, "hosts": [KNOWN]}]}, OWN)
    cluster = IstioObjects(gateways=[own, *gateways], scoped=scoped, gateway_labels={}, **more)
    return list(at_egress("dc2", ACCOUNT, [EXPORT], cluster))


@pytest.mark.parametrize(
    ("there", "severity", "does"),
    [
        (gateway(PORT, OLD), State.CRITICAL, f"is older than dcmesh's own for {DB0}, which istiod leaves out"),
        (gateway(PORT), State.WARNING, "to itself once dcmesh's own Gateway is written anew"),
        (gateway(PORT, selector=dict(LABELS)), State.WARNING, "by its selector app=dcmesh-egress"),
        (gateway(PORT, namespace="out"), State.WARNING, "without a selector, so at every gateway"),
    ],
)
def test_a_gateway_at_a_hosts_port(there: Found, severity: State, does: str) -> None:
    (one,) = found(there)
    assert (one.kind, one.hosts, one.severity) == ("Gateway", (DB0,), severity)
    assert does in one.does
    assert "kubectl delete gateway.networking.istio.io -n" in one.cure


def test_a_gateway_that_does_not_touch_it() -> None:
    assert found() == []
    assert found(gateway(PORT + 1)) == []
    assert found(gateway(PORT, selector={"istio": "ingressgateway"})) == []
    assert found(gateway(PORT, OLD), scoped=True) == []
    assert [one.severity for one in found(gateway(PORT, OLD, "out"), scoped=True)] == [State.CRITICAL]


def way(host: str, namespace: str = "tenant", gateways: str = "theirs", **more: Any) -> Found:
    return of("way", namespace, {"gateways": [gateways], "tcp": [{"route": [{"destination": {"host": host}}]}], **more})


def test_a_gateway_at_another_port_that_leads_to_a_host_is_named() -> None:
    (one,) = found(gateway(PORT + 1), services=[way(KNOWN)])
    assert (one.hosts, one.severity) == ((DB0,), State.WARNING)
    assert "the other site takes them for the egress gateway" in one.does
    assert found(gateway(PORT + 1), services=[way("db")]) == [], "a short name is of the namespace beside it"


@pytest.mark.parametrize(
    ("service", "met"),
    [
        (way("elsewhere.example", "out", name_for(DB0), hosts=[KNOWN]), True),
        # `./` restricts it to its own namespace.
        (way("elsewhere.example", "tenant", f"out/{name_for(DB0)}", hosts=[KNOWN]), False),
        (way("elsewhere.example", "out", "mesh", hosts=[KNOWN]), False),  # for sidecars
    ],
)
def test_a_route_of_its_port(service: Found, met: bool) -> None:
    there = IstioObjects(services=[service], gateway_labels={})
    assert [one.kind for one in at_consumer("dc2", ACCOUNT, EXPORT, there)] == (["VirtualService"] if met else [])
