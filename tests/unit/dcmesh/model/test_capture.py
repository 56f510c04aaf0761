"""Which settings make a link bypass a sidecar, where they are set, and how to change them."""

import json
from typing import Any

import pytest

from dcmesh.model.capture import Rules, past_inbound, past_outbound
from tests.unit.doctors import APPS, CORE, VIP, Pair, playing

Found = dict[str, Any]
TRAFFIC = "traffic.sidecar.istio.io/"
CONFIG_MAP = f"{CORE}/istio-system/configmaps/istio-sidecar-injector"
SERVERS = f"{CORE}/wookie/pods"


def annotated(**annotations: str) -> Found:
    """Return a pod without Istio's init container, as with Istio's CNI plugin. Only its annotations can be seen."""
    names = {"mode": "sidecar.istio.io/interceptionMode", "reroute": "istio.io/reroute-virtual-interfaces"}
    known = {names.get(name, f"{TRAFFIC}{name}"): value for name, value in annotations.items()}
    return {"metadata": {"namespace": "wookie", "name": "db-0", "annotations": known}, "spec": {}}


def started(*more: str, container: str = "istio-init") -> Found:
    """Return a pod whose init container has these arguments beside those of Istio 1.31."""
    usual = [
        "istio-iptables",
        "-p",
        "15001",
        "-m",
        "REDIRECT",
        "-i",
        "*",
        "-x",
        "",
        "-b",
        "*",
        "-d",
        "15090,15021,15020",
    ]
    init = {"name": container, "args": [*usual, *more, "--log_output_level=default:info"]}
    return {"metadata": {"namespace": "wookie", "name": "db-0"}, "spec": {"initContainers": [init]}}


@pytest.mark.parametrize(
    ("pod", "setting", "wanted"),
    [
        (annotated(), None, ""),
        (annotated(excludeInboundPorts="22, 3306"), "excludeInboundPorts", "22"),
        (annotated(excludeInboundPorts="3306"), "excludeInboundPorts", ""),
        (annotated(excludeInboundPorts="33060"), None, ""),
        (annotated(includeInboundPorts=""), "includeInboundPorts", "3306"),
        (annotated(includeInboundPorts="8080"), "includeInboundPorts", "8080,3306"),
        (annotated(includeInboundPorts="8080,3306"), None, ""),
        # what is excluded counts only where all else is included
        (annotated(includeInboundPorts="3306", excludeInboundPorts="3306"), None, ""),
        (annotated(excludeInterfaces="eth0,net1"), "excludeInterfaces", "net1"),
        (annotated(excludeInterfaces="net1"), None, ""),
        (annotated(kubevirtInterfaces="eth0"), "kubevirtInterfaces", ""),
        (annotated(reroute="eth0", kubevirtInterfaces="net1"), "istio.io/reroute-virtual-interfaces", ""),
        (annotated(mode="NONE"), "sidecar.istio.io/interceptionMode", "REDIRECT"),
        (annotated(mode="TPROXY"), None, ""),
        (annotated(excludeOutboundPorts="3306", excludeOutboundIPRanges="0.0.0.0/0"), None, ""),
        (started(), None, ""),
        (started("-d", "15090,15021,3306,15020"), "excludeInboundPorts", ""),
        (started("-b", "8080", container="istio-validation"), "includeInboundPorts", "8080,3306"),
    ],
)
def test_what_leads_a_port_past_the_sidecar(pod: Found, setting: str | None, wanted: str) -> None:
    past = past_inbound(Rules(pod), 3306)
    assert (past and (past[0].annotation.removeprefix(TRAFFIC), past[1])) == (setting and (setting, wanted))


@pytest.mark.parametrize(
    ("pod", "setting", "wanted"),
    [
        (annotated(), None, ""),
        (annotated(includeOutboundIPRanges=""), "includeOutboundIPRanges", "241.0.0.0/8"),
        (annotated(includeOutboundIPRanges="10.0.0.0/8"), "includeOutboundIPRanges", "10.0.0.0/8,241.0.0.0/8"),
        (annotated(includeOutboundIPRanges="241.0.0.0/8"), None, ""),
        (annotated(includeOutboundIPRanges="", includeOutboundPorts="3306"), None, ""),
        (annotated(excludeOutboundIPRanges="10.0.0.0/8,240.0.0.0/4"), "excludeOutboundIPRanges", "10.0.0.0/8"),
        (annotated(excludeOutboundIPRanges="fd00::/8"), None, ""),
        # an excluded range counts for included ports too
        (annotated(excludeOutboundIPRanges=f"{VIP}/32", includeOutboundPorts="3306"), "excludeOutboundIPRanges", ""),
        (annotated(excludeOutboundPorts="3306", includeOutboundPorts="3306"), "excludeOutboundPorts", ""),
        (annotated(excludeInterfaces="eth0"), "excludeInterfaces", ""),
        (annotated(kubevirtInterfaces="eth0"), None, ""),
        (annotated(mode="NONE"), "sidecar.istio.io/interceptionMode", "REDIRECT"),
        (annotated(excludeInboundPorts="3306"), None, ""),
        (started("-o", "3306"), "excludeOutboundPorts", ""),
        (started("-i", "", "-q", "3306"), None, ""),
    ],
)
def test_what_leads_an_address_past_the_sidecar(pod: Found, setting: str | None, wanted: str) -> None:
    past = past_outbound(Rules(pod), VIP, 3306)
    assert (past and (past[0].annotation.removeprefix(TRAFFIC), past[1])) == (setting and (setting, wanted))


def owned(pair: Pair, **annotations: str) -> None:
    """Make a StatefulSet whose template has annotations, with a pod that was made from another template."""
    known = {f"{TRAFFIC}{name}": value for name, value in annotations.items()}
    pod = pair.edit("dc1", SERVERS)
    pod["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True}
    ]
    pod["spec"]["initContainers"] = [
        *started("-d", "15090,3306,15020")["spec"]["initContainers"],
        {"name": "istio-proxy"},
    ]
    stateful_set = {"metadata": {"namespace": "wookie", "name": "db"}, "spec": {"replicas": 1}}
    stateful_set["spec"]["template"] = {"metadata": {"annotations": known}}  # type: ignore[index]
    pair.exporter.objects[f"{APPS}/wookie/statefulsets/db"] = stateful_set


def seen_and_fix(pair: Pair) -> tuple[str, str]:
    ((_, finding),) = pair.diagnosis().findings
    assert finding.id == "inbound-not-captured"
    return finding.evidence, finding.fix


def mesh_wide(pair: Pair, ports: str) -> None:
    values = {"global": {"proxy": {"excludeInboundPorts": ports}}}
    pair.exporter.objects[CONFIG_MAP] = {"data": {"values": json.dumps(values)}}


def test_an_annotation_of_the_template_is_taken_out_there() -> None:
    with playing() as pair:
        owned(pair, excludeInboundPorts="3306")
        seen, fix = seen_and_fix(pair)
        assert seen == (
            f'pod wookie/db-0, port 3306: annotation {TRAFFIC}excludeInboundPorts: "3306" '
            "in the pod template of StatefulSet wookie/db"
        )
        patch = (
            f'{{"spec": {{"template": {{"metadata": {{"annotations": {{"{TRAFFIC}excludeInboundPorts": null}}}}}}}}}}'
        )
        assert f"`kubectl patch statefulset -n wookie db --type=merge --patch '{patch}'`" in fix


def test_what_holds_for_the_mesh_is_overruled_at_the_workload() -> None:
    with playing() as pair:
        owned(pair)
        mesh_wide(pair, "3306")
        seen, fix = seen_and_fix(pair)
        assert 'global.proxy.excludeInboundPorts: "3306" of istiod\'s values' in seen
        assert "(ConfigMap istio-system/istio-sidecar-injector)" in seen
        assert f'"{TRAFFIC}excludeInboundPorts": ""' in fix


def test_an_annotation_cannot_just_go_where_the_mesh_says_the_same() -> None:
    with playing() as pair:
        owned(pair, excludeInboundPorts="3306")
        mesh_wide(pair, "3306")
        assert f'"{TRAFFIC}excludeInboundPorts": ""' in seen_and_fix(pair)[1]


def test_what_nothing_says_any_more_ends_with_the_pod() -> None:
    with playing() as pair:
        owned(pair)
        assert "`kubectl delete pod -n wookie db-0`" in seen_and_fix(pair)[1]
