"""A lost state: an `up` is refused where new keys would do harm, with the way to go on. Everything else is allowed."""

import pytest

from dcmesh.model.ownership_marks import MADE_BY, OURS
from tests.unit.servers import KubernetesAPI

from .test_readiness import (
    CACERTS,
    DR,
    ISTIODS,
    LABELLED,
    LABELS,
    NAMESPACES,
    SHOP,
    Objects,
    Raw,
    istiod,
    look,
)

OWN = "organization/dcmesh/dc2"


def of(stack: str) -> Objects:
    return {"metadata": {"annotations": {MADE_BY: stack}, "labels": OURS}, "data": {}}


@pytest.fixture
def generated(raw: Raw) -> Raw:
    """A stack that makes the root itself."""
    raw["trust"] = {"source": "generated"}
    return raw


def test_another_root_is_refused(generated: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects[CACERTS] = of(OWN)
    (line,) = look(generated)
    assert line.startswith('trust.source: "generated" would give dc2 another root: this stack made its Secret')
    assert "set `provided`, with what that Secret has: docs/production.md" in line


@pytest.mark.parametrize("certified", [["dc2"], []], ids=["in the state", "of another stack"])
def test_a_root_that_is_in_the_state_is_none_too_many(
    generated: Raw, cluster: KubernetesAPI, certified: list[str]
) -> None:
    cluster.objects[CACERTS] = of(OWN if certified else "organization/dcmesh/another")
    assert look(generated, certified=certified) == []


def test_an_intermediate_that_is_there_already_is_none_too_many(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["trust"] = {"source": "stack", "stack": "organization/dcmesh/trust"}
    cluster.objects[CACERTS] = of(OWN)
    assert look(raw) == []


@pytest.mark.parametrize("kind", ["mariadb", "pxc"])
def test_a_database_would_get_other_passwords(raw: Raw, cluster: KubernetesAPI, kind: str) -> None:
    cluster.objects[f"{NAMESPACES}/bank"] = of(OWN)
    raw["sites"][0]["workloads"] = [{"kind": kind, "namespace": "bank"}]
    (line,) = look(raw)
    assert line.startswith('sites[0].workloads[0].namespace: "bank" has a database of this stack\'s in dc2')
    assert look(raw, certified=["dc2"]) == []
    raw["sites"][0]["workloads"] = [{"kind": "hello", "namespace": "bank"}]
    assert look(raw) == [], "it has no password"


@pytest.mark.parametrize(("kind", "servers"), [("mariadb", "db"), ("pxc", "db-pxc")])
def test_a_database_that_a_backup_does_not_have_yet(raw: Raw, cluster: KubernetesAPI, kind: str, servers: str) -> None:
    """It was made after the backup. An `up` that was killed may have left nothing but the namespace."""
    cluster.objects[f"{NAMESPACES}/bank"] = of(OWN)
    raw["sites"][0]["workloads"] = [{"kind": kind, "namespace": "bank", "name": "db"}]
    assert look(raw, certified=["dc2"]) == []
    cluster.objects[f"/apis/apps/v1/namespaces/bank/statefulsets/{servers}"] = {}
    (line,) = look(raw, certified=["dc2"])
    assert line.startswith('sites[0].workloads[0].namespace: "bank" has a database of this stack\'s in dc2')
    assert look(raw, certified=["dc2"], objects={"urn:...::dc2.bank-namespace": ("", "bank")}) == []


def test_what_is_being_deleted_is_not_taken_for_lost(raw: Raw, cluster: KubernetesAPI) -> None:
    found = of(OWN)
    found["metadata"]["deletionTimestamp"] = "2026-11-30T09:00:00Z"
    cluster.objects[f"{NAMESPACES}/bank"] = found
    raw["sites"][0]["workloads"] = [{"kind": "mariadb", "namespace": "bank"}]
    assert look(raw) == []


def test_of_helms_releases_those_of_the_stack_are_named(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["istio"] = {}
    cluster.objects |= {DR: LABELS, SHOP: LABELS, ISTIODS: {"items": [istiod("1.31.0")]}}
    records = [{"metadata": {"labels": {"name": name, "owner": "helm"}}} for name in ("istiod", "kiali", "istio-base")]
    cluster.objects[f"{NAMESPACES}/istio-system"] = of(OWN)
    cluster.objects[f"{NAMESPACES}/istio-system/secrets?labelSelector=owner=helm"] = {"items": records}
    (line,) = look(raw)
    assert "(istio-base,istiod, in namespace istio-system)" in line
    forget = "kubectl delete secret --namespace istio-system --selector 'owner=helm,name in (istio-base,istiod)'"
    assert f"`{forget}`" in line
    assert look(raw, certified=["dc2"]) == []
    cluster.objects[f"{NAMESPACES}/istio-system"] = of("organization/dcmesh/another")
    assert look(raw) == [], "Helm's own check refuses it"
    cluster.objects[f"{NAMESPACES}/istio-system"] = 403
    raw["istio"] = {"existing": {"revision": "stable"}}
    cluster.objects |= {DR: LABELLED, SHOP: LABELLED}
    assert look(raw) == [], "an Istio that is somebody else's needs no right to read its namespace"
