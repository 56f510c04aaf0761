"""The pods that an export's selector finds, and those that it should find."""

from typing import Any

from dcmesh.config.errors import Remark
from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.model.link import POD_NAME
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.missing_rights import unseen
from dcmesh.preflight.selectors import misled
from dcmesh.sites_in_state import SiteInState
from tests.unit.configurations import stack
from tests.unit.servers import KubernetesAPI

PODS = "/api/v1/namespaces/wookie/pods"
GATEWAY, POD = "existing-database", "dc1"
AT = "sites[0].exports[0]"


def pod(name: str, owner: str = "db-pxc", phase: str = "Running", **labels: str) -> dict[str, Any]:
    owners = [{"kind": "StatefulSet", "name": owner, "controller": True}] if owner else []
    metadata = {"name": name, "namespace": "wookie", "labels": {POD_NAME: name, **labels}, "ownerReferences": owners}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase}}


def lines(api: ApiClient, example: str, *there: str) -> list[tuple[bool, str]]:
    settings = Settings.model_validate(stack(example))
    known = SiteInState(identity="", kubeconfig="", objects={f"urn::{name}": ("", name) for name in there})
    plan = plan_of(settings, {}).site("dc1")
    allowed = Allowed(api)
    found = [*misled(allowed, settings.sites[0], "sites[0]", plan, known), *unseen(allowed, "sites[0]", "dc1")]
    return [(not isinstance(one, Remark), one.line()) for one in found]


def test_a_pod_with_anothers_label_is_named(server: KubernetesAPI, api: ApiClient) -> None:
    """The gateway would lead to both."""
    own = [pod(f"db-pxc-{n}") for n in range(3)]
    server.objects[PODS] = {"items": own}
    assert lines(api, GATEWAY) == []
    copied = pod("debug", owner="", **{POD_NAME: "db-pxc-1"})
    server.objects[PODS] = {"items": [*own, copied]}
    ((stops, line),) = lines(api, GATEWAY)
    assert stops
    assert line.startswith(
        f'{AT}.statefulSet: "db-pxc" has the pod db-pxc-1, and pod wookie/debug of dc1 has its label'
    )
    assert f"kubectl label pod -n wookie debug {POD_NAME}-" in line
    ((stops, _),) = lines(api, GATEWAY, "dc1.db-pxc-0.db-pxc.wookie.dc1.dcmesh-gateway.dcmesh-gateway")
    assert not stops, "it exists already"
    copied["status"]["phase"] = "Succeeded"
    assert lines(api, GATEWAY) == []


def test_a_pod_by_a_label_is_one_pod(server: KubernetesAPI, api: ApiClient) -> None:
    label, place = "cnpg.io/instanceName", "/api/v1/namespaces/ledger/pods"
    first, second = (pod(f"pg-{n}", owner="", **{label: f"pg-{n}"}) for n in (1, 2))
    server.objects[place] = {"items": [first, second]}
    assert lines(api, "operators-database") == []
    server.objects[place] = {"items": [first, pod("copy", owner="", **{label: "pg-1"})]}
    (several, none) = lines(api, "operators-database")
    rest = "in namespace ledger of dc1, and must be one pod's alone: name others, or use another `podLabel`"
    assert several == (True, f'{AT}.pods[0]: "pg-1" is the value of the label {label} of 2 pods, copy pg-1, {rest}')
    assert none == (True, f'{AT}.pods[1]: "pg-2" is the value of the label {label} of no pod {rest}')
    ((stops, _), _) = lines(api, "operators-database", "dc1.pg-1.pg.ledger.dc1.dcmesh-gateway.dcmesh-gateway")
    assert not stops, "it exists already, and a pod may just be being replaced"


def test_pods_that_may_not_be_listed_are_told_and_not_judged(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects["/api/v1/namespaces/ledger/pods"] = 403
    ((stops, line),) = lines(api, "operators-database")
    assert not stops
    assert line.startswith(
        'sites[0].name: "dc1" was looked at in part, for its kubeconfig\'s user may not read all of it (403'
    )


def test_a_pod_without_its_label_is_named(server: KubernetesAPI, api: ApiClient) -> None:
    server.objects[PODS] = {"items": [pod("db-pxc-0", **{POD_NAME: ""})]}
    ((stops, line),) = lines(api, GATEWAY)
    assert stops
    assert f"has the pod db-pxc-0 without the label {POD_NAME}=db-pxc-0" in line


def test_labels_of_policies_are_those_of_all_pods_and_of_no_others(server: KubernetesAPI, api: ApiClient) -> None:
    (export, *_) = Settings.model_validate(stack(POD)).sites[0].exports
    selector, name = dict(getattr(export, "selector")), export.stateful_set_name  # noqa: B009 - of one kind alone
    place = f"/api/v1/namespaces/{export.namespace}/pods"
    own = [pod(f"{name}-{n}", owner=name, **selector) for n in range(2)]
    server.objects[place] = {"items": own}
    assert lines(api, POD) == []
    server.objects[place] = {"items": [*own, pod("backup-1", owner="backup", **selector)]}
    ((stops, line),) = lines(api, POD)
    assert stops
    assert f"are labels of backup-1 too, in namespace {export.namespace} of dc1" in line
    server.objects[place] = {"items": [*own, pod(f"{name}-2", owner=name)]}
    ((stops, line),) = lines(api, POD)
    assert stops
    assert f"are not labels of {name}-2, in namespace" in line


def test_a_pod_on_its_way_out_is_there_until_its_next_is(server: KubernetesAPI, api: ApiClient) -> None:
    """Otherwise each restart of a database would stop an `up`."""
    label = "cnpg.io/instanceName"
    first, second = (pod(f"pg-{n}", owner="", **{label: f"pg-{n}"}) for n in (1, 2))
    second["metadata"]["deletionTimestamp"] = "2026-11-30T05:00:00Z"
    server.objects["/api/v1/namespaces/ledger/pods"] = {"items": [first, second]}
    assert lines(api, "operators-database") == []
