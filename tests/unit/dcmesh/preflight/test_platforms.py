"""Clusters in which a link cannot work: refused for a new site, and reported for an existing one."""

import pytest

from dcmesh.preflight.platforms import GROUP, MANAGED
from tests.unit.servers import KubernetesAPI

from .test_readiness import (
    KUBERNETES,
    LINK,
    NODES,
    UID,
    Objects,
    Raw,
    SiteInState,
    checked,
    look,
    outside,
)

STANDS = {"dc2": SiteInState(identity=UID, kubeconfig="")}


def test_googles_managed_mesh_is_refused(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects |= {GROUP: {"kind": "APIGroup"}, MANAGED: {"items": [{"metadata": {"name": "asm-managed"}}]}}
    (line,) = look(raw)
    assert line.startswith('sites[0].cluster: "there" has Google\'s managed Cloud Service Mesh')
    (told,) = checked(raw, {"dc1": LINK}, outside(["dc2"]), STANDS)[0]
    assert "managed Cloud Service Mesh" in told


@pytest.mark.parametrize("objects", [{GROUP: {"kind": "APIGroup"}, MANAGED: {"items": []}}, {MANAGED: 403}])
def test_one_that_is_not_there_is_not_missed(raw: Raw, cluster: KubernetesAPI, objects: Objects) -> None:
    """There is no message either if the user may not ask for it."""
    cluster.objects |= objects
    assert checked(raw, {"dc1": LINK}, outside(), {})[0] == []


def ipv6(*ranges: str) -> Objects:
    spec = {"podCIDR": ranges[0], "podCIDRs": list(ranges)} if ranges else {}
    node = {"metadata": {"name": "n1"}, "spec": spec, "status": {"addresses": []}}
    return {KUBERNETES: {"spec": {"clusterIP": "fd00::1"}}, NODES: {"items": [node]}}


def test_pods_with_ipv6_alone_reach_no_virtual_address(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects |= ipv6("fd00:1::/64")
    (line,) = look(raw)
    assert line.startswith('sites[0].vipRange: "241.0.0.0/8" is a range of IPv4, and the pods of dc2 have IPv6 alone')
    (told,) = checked(raw, {"dc1": LINK}, outside(["dc2"]), STANDS)[0]
    assert "IPv6 alone" in told
    del raw["sites"][0]["imports"]
    assert look(raw) == []


def test_pods_of_both_kinds_do_and_of_others_it_is_not_known(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects |= ipv6("fd00:1::/64", "10.42.0.0/24")
    assert checked(raw, {"dc1": LINK}, outside(), {})[0] == []
    cluster.objects |= ipv6()
    (told,) = checked(raw, {"dc1": LINK}, outside(), {})[0]
    assert "the pods of dc2 may have IPv6 alone" in told
