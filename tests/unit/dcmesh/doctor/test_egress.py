"""The doctor's hops of an egress gateway: faults of the host's name, and of its port."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from components.mesh.egress_import import host_service
from components.mesh.host_names import headless, slice_of
from dcmesh.doctor import channel
from dcmesh.doctor.egress import NAMES, PORTS, judge_name, judge_policies, judge_port
from dcmesh.doctor.hops import HOPS
from dcmesh.doctor.walk import walk
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.egress import name_for
from dcmesh.model.link import ServiceAccount
from tests.unit.statuses import DB0, DB_EXPORT, importer

LINK = WalkedLink(
    export=DB_EXPORT.model_copy(update={"by_gateway": True}),
    host=DB0,
    consumer_site="dc2",
    account=ServiceAccount("out", "egress"),
    consumer_side=None,
    source_side=None,
)
CLUSTER = "outbound|3306||db-0.db.wookie.dc1.dcmesh"
ADDRESS, PORT = "10.43.0.9", 20001

Objects = dict[str, Any]


def named(name: str, namespace: str, **labels: str) -> Objects:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


def in_dns() -> Objects:
    """Return the objects that give the host its name."""
    mark = {"kubernetes.io/service-name": "db", "endpointslice.kubernetes.io/managed-by": "dcmesh"}
    return {
        "service": named(name_for(DB0), "out") | {"spec": host_service(DB_EXPORT, [PORT]) | {"clusterIP": ADDRESS}},
        "headless": named("db", "wookie") | {"spec": headless([3306])},
        "slices": [named(name_for(DB0), "wookie", **mark) | slice_of(DB0, [3306], ADDRESS)],
    }


def at_gateway() -> Objects:
    """Return the objects that route its port."""
    listener = {"name": f"0.0.0.0_{PORT}", "active_state": {"listener": {"cluster": CLUSTER}}}
    return {
        "service": in_dns()["service"],
        "listeners": [listener],
        "policies": [named("dcmesh-egress", "out")],
        "left_out": lambda: "",
    }


def test_where_all_is_well_nothing_is_found() -> None:
    assert [*judge_name(LINK, **in_dns())] == []
    assert [*judge_port(LINK, **at_gateway())] == []


def foreign(found: Objects) -> None:
    mark = {"kubernetes.io/service-name": "db"}
    found["slices"].append(named("theirs", "wookie", **mark) | slice_of(DB0, [3306], "10.42.0.1"))


def elsewhere(found: Objects) -> None:
    found["slices"][0]["endpoints"][0]["addresses"] = ["10.43.0.8"]


def rerouted(found: Objects) -> None:
    found["listeners"][0]["active_state"]["listener"]["cluster"] = "outbound|3306||other"


Change = Callable[[Objects], Any]
NAME_FINDINGS: list[tuple[str, str, Change]] = [
    ("egress-service-missing", f"no Service out/{name_for(DB0)}", lambda found: found.update(service=None)),
    ("egress-name-missing", "no Service wookie/db", lambda found: found.update(headless=None)),
    ("egress-name-missing", f"no EndpointSlice wookie/{name_for(DB0)}", lambda found: found["slices"].clear()),
    ("egress-name-elsewhere", f"10.43.0.8; Service out/{name_for(DB0)}: {ADDRESS}", elsewhere),
    ("egress-name-claimed", "EndpointSlice wookie/theirs: 10.42.0.1", foreign),
]
PORT_FINDINGS: list[tuple[str, str, Change]] = [
    ("egress-port-missing", f"no listener 0.0.0.0_{PORT}", lambda found: found["listeners"].clear()),
    ("egress-port-elsewhere", f"leads to outbound|3306||other instead of {CLUSTER}", rerouted),
    ("egress-open", "no NetworkPolicy out/dcmesh-egress", lambda found: found["policies"].clear()),
]


@pytest.mark.parametrize(("finding", "evidence", "change"), NAME_FINDINGS)
def test_what_is_wrong_with_the_name(finding: str, evidence: str, change: Change) -> None:
    objects = in_dns()
    change(objects)
    (found,) = judge_name(LINK, **objects)
    assert found.id == finding
    assert evidence in found.evidence
    assert found.fix.endswith(".")


@pytest.mark.parametrize(("finding", "evidence", "change"), PORT_FINDINGS)
def test_what_is_wrong_with_the_port(finding: str, evidence: str, change: Change) -> None:
    objects = at_gateway()
    change(objects)
    (found,) = judge_port(LINK, **objects)
    assert found.id == finding
    assert evidence in found.evidence
    assert found.fix.endswith(".")


def test_what_istiod_has_left_out_is_said_where_the_port_is_missing() -> None:
    (found,) = judge_port(LINK, **at_gateway() | {"listeners": [], "left_out": lambda: "3"})
    assert f"; istiod has left out servers of the Gateway out/{name_for(DB0)}: 3" in found.evidence


@pytest.mark.parametrize(
    ("namespace", "spec", "found"),
    [
        ("out", {"action": "DENY", "rules": [{}]}, ["egress-denied"]),
        ("istio-system", {"action": "CUSTOM"}, ["egress-denied"]),
        ("out", {"action": "DENY", "selector": {"matchLabels": {"app": "other"}}}, []),
        ("other", {"action": "DENY"}, []),
        ("out", {}, []),
    ],
)
def test_a_policy_that_may_deny_its_clients(namespace: str, spec: Objects, found: list[str]) -> None:
    policy = named("theirs", namespace) | {"spec": spec}
    assert [one.id for one in judge_policies(LINK, [policy])] == found


def test_every_finding_has_been_seen() -> None:
    seen = {finding for finding, *_ in (*NAME_FINDINGS, *PORT_FINDINGS)} | {"egress-denied"}
    assert seen == {kind.id for hop in (NAMES, PORTS) for kind in hop.kinds}


def test_a_link_has_the_hops_of_its_own_way() -> None:
    by_gateway = {step.hop for step in walk(LINK).steps}
    by_sidecar = {step.hop for step in walk(WalkedLink(**{**vars(LINK), "export": DB_EXPORT})).steps}
    assert by_gateway - by_sidecar == {"egress name", "egress port"}
    assert by_sidecar - by_gateway == {"name", "virtual address", "consumer's capture", "listener"}
    assert by_gateway | by_sidecar == {hop.name for hop in HOPS}


@pytest.mark.parametrize("follows", [DB0, "other"])
def test_a_database_that_follows_by_the_egress_gateway_is_asked(follows: str) -> None:
    """Its namespace is not the egress gateway's."""
    server = SimpleNamespace(
        namespace="wookie-dr", pod="db-0", unknown="", down="", source=follows, follows=(DB0,), running=True
    )
    side: Any = SimpleNamespace(unreachable="", site=importer(""), ask=lambda *_: [server])
    found = [*channel.HOP.look(replace(LINK, consumer_side=side))]
    assert [finding.id for finding in found] == ([] if follows == DB0 else ["channel-astray"])
