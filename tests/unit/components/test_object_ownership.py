"""Overrule: others' changes of the program's own objects can be reverted, and others' objects are not taken over."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from components.object_ownership import Overrule
from dcmesh.kube.lookup import resource_of
from dcmesh.model.ownership_marks import MADE_BY
from tests.unit.configurations import stack
from tests.unit.engine import Engine
from tests.unit.program import run_program
from tests.unit.servers import KubernetesAPI, kubeconfig, kubernetes_api, nobody

STACK = "organization/dcmesh/test"
FORCE = {"pulumi.com/patchForce": "true", MADE_BY: STACK}


@pytest.fixture(scope="module", params=["dev", "mariadb-switchover", "pxc-switchover"])
def engine(request: pytest.FixtureRequest) -> Engine:
    raw = stack(request.param)
    for site in raw["sites"]:
        site["cluster"] = "k3d"
    return run_program(Engine(), {**raw, "monitoring": {"prometheus": "operator"}})


def test_every_object_is_taken_back(engine: Engine) -> None:
    objects = [resource for resource in engine.in_kubernetes() if resource.kind != "Release"]
    assert len(objects) > 20
    for resource in objects:
        of_others = resource.kind.endswith("Patch")
        marks = {"pulumi.com/patchForce": "true"} if of_others else FORCE
        assert resource.inputs["metadata"]["annotations"].items() >= marks.items(), resource.name


def test_what_an_object_says_to_pulumi_besides_is_kept(engine: Engine) -> None:
    job = next(job for job in engine.kind("Job") if "LinkProbe" in {part.kind for part in engine.parents(job.name)})
    assert job.inputs["metadata"]["annotations"] == {**FORCE, "pulumi.com/replaceUnready": "true"}


def test_pods_do_not_know(engine: Engine) -> None:
    """A change of their template would restart all of them."""
    for resource in engine.kind("StatefulSet", "Deployment", "Job"):
        annotations = resource.spec["template"].get("metadata", {}).get("annotations", {})
        assert not annotations.keys() & FORCE.keys(), resource.name


# --- while istiod is away --------------------------------------------------------------------------------------------


def test_istios_objects_alone_are_tried_again(engine: Engine) -> None:
    for resource in engine.in_kubernetes():
        site = resource.name.partition("-")[0].partition(".")[0]
        tried = [hook for hook in resource.request.hooks.on_error if hook.endswith("istiod-away")]
        assert tried == ([f"{site}-istiod-away"] if "istio.io/" in resource.inputs.get("apiVersion", "") else [])


# --- what is there already -------------------------------------------------------------------------------------------

ENTRY = "/apis/networking.istio.io/v1/namespaces/dr/serviceentries/dc1.stock"
NAMESPACE = "/api/v1/namespaces/wookie"
INPUTS: dict[str, dict[str, Any]] = {
    ENTRY: {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "dc1.stock", "namespace": "dr"},
    },
    NAMESPACE: {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "wookie"}},
}


@pytest.fixture
def cluster() -> Iterator[KubernetesAPI]:
    with kubernetes_api() as server:
        yield server


def create(
    inputs: dict[str, Any],
    server: str | None,
    *,
    dry_run: bool = False,
    secret: bool = False,
    held: tuple[str, str] = ("", "another"),
) -> str:
    """Return why an object may not be created; empty if it may. Without a server, the cluster does not exist yet."""

    async def ask() -> str:
        known = pulumi.Output.from_input(kubeconfig({"there": server}) if server else "")
        metadata = pulumi.Output.secret(inputs["metadata"]) if secret else inputs["metadata"]
        try:
            args = pulumi.ResourceHookArgs("urn", "", "name", "type", new_inputs={**inputs, "metadata": metadata})
            await Overrule("dc2", known, STACK, {"urn": held})._before_create(args)
        except pulumi.RunError as error:
            return str(error)
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pulumi.runtime.is_dry_run", lambda: dry_run)
        said = Engine().run(lambda: pulumi.export("said", pulumi.Output.from_input(ask()))).outputs["said"]
    return str(said)


def made(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", **metadata}}


@pytest.mark.parametrize("path", INPUTS)
@pytest.mark.parametrize(
    ("there", "may"),
    [
        (404, True),
        (made(), False),
        (made(managedFields=[{"manager": "pulumi-kubernetes-1a2b3c4d"}]), False),
        (made(annotations={MADE_BY: "organization/dcmesh/another"}), False),
        (made(annotations={MADE_BY: STACK}), True),
        (made(labels={"app.kubernetes.io/managed-by": "dcmesh"}), True),
        (made(labels={"app.kubernetes.io/managed-by": "pulumi"}), False),
    ],
    ids=[
        "not there",
        "somebody's",
        "a Pulumi's",
        "another stack's",
        "a killed run's",
        "handed over",
        "not handed over",
    ],
)
def test_nothing_is_created_over_what_is_somebody_elses(
    cluster: KubernetesAPI, path: str, there: Any, may: bool
) -> None:
    cluster.objects[path] = there
    said = create(INPUTS[path], f"http://127.0.0.1:{cluster.server_port}")
    assert cluster.asked == [path]
    assert bool(said) is not may
    if said:
        shown, command = {
            ENTRY: ("ServiceEntry dr/dc1.stock", "serviceentries.networking.istio.io dc1.stock --namespace dr"),
            NAMESPACE: ("Namespace wookie", "namespaces wookie"),
        }[path]
        assert said.startswith(f"dc2: {shown} is there already, and this stack has not made it: it was left as it is.")
        assert said.endswith(f"`kubectl label {command} app.kubernetes.io/managed-by=dcmesh`")


@pytest.mark.parametrize(("status", "asked"), [(503, 5), (401, 5), (429, 5), (403, 1)])
def test_an_api_server_that_is_restarted_is_asked_again(
    cluster: KubernetesAPI, monkeypatch: pytest.MonkeyPatch, status: int, asked: int
) -> None:
    monkeypatch.setattr("dcmesh.kube.lookup.time.sleep", lambda _: None)
    cluster.objects[ENTRY] = status
    said = create(INPUTS[ENTRY], f"http://127.0.0.1:{cluster.server_port}")
    assert said.startswith(f"dc2: ServiceEntry dr/dc1.stock cannot be looked for: {status}")
    assert cluster.asked == [ENTRY] * asked


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_cluster_that_does_not_answer_stops_an_up_but_no_preview(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr("dcmesh.kube.lookup.PAUSES", (0,))
    with nobody() as port:
        said = create(INPUTS[ENTRY], f"http://127.0.0.1:{port}", dry_run=dry_run)
    assert said.startswith("dc2: ServiceEntry dr/dc1.stock cannot be looked for: ") is not dry_run
    assert bool(said) is not dry_run


@pytest.mark.parametrize("path", INPUTS)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("renamed", [False, True])
def test_what_a_preview_replaces_is_still_there(
    cluster: KubernetesAPI, path: str, dry_run: bool, renamed: bool
) -> None:
    """This also holds if 0.1.0 made it, or a stack of another name.

    An `up` has deleted it by then. New names are looked for.
    """
    cluster.objects[path] = made(managedFields=[{"manager": "pulumi-kubernetes-1a2b3c4d"}])
    metadata = INPUTS[path]["metadata"]
    held = (metadata.get("namespace", ""), "before" if renamed else metadata["name"])
    said = create(INPUTS[path], f"http://127.0.0.1:{cluster.server_port}", dry_run=dry_run, held=held)
    assert bool(said) is not (dry_run and not renamed)


def test_a_cluster_that_is_still_to_be_made_has_nothing() -> None:
    assert create(INPUTS[ENTRY], None, dry_run=True) == ""


def test_an_object_with_a_secret_in_it_is_looked_for_too(cluster: KubernetesAPI) -> None:
    """If one annotation is a secret, Pulumi makes the whole metadata a secret."""
    cluster.objects[ENTRY] = made()
    assert "is there already" in create(INPUTS[ENTRY], f"http://127.0.0.1:{cluster.server_port}", secret=True)


def test_every_kind_is_looked_for_where_the_api_has_it(engine: Engine) -> None:
    """Exceptions are releases, which Helm checks, and parts of objects that others make."""
    known = {
        "AuthorizationPolicy": "authorizationpolicies",
        "ConfigMap": "configmaps",
        "DestinationRule": "destinationrules",
        "EnvoyFilter": "envoyfilters",
        "Gateway": "gateways",
        "PeerAuthentication": "peerauthentications",
        "PerconaXtraDBCluster": "perconaxtradbclusters",
        "ServiceEntry": "serviceentries",
        "StatefulSet": "statefulsets",
    }
    for resource in engine.in_kubernetes():
        if resource.kind == "Release" or resource.kind.endswith("Patch"):
            continue
        looking = [hook for hook in resource.request.hooks.before_create if hook.endswith("-not-there-yet")]
        assert len(looking) == 1, resource.name
        kind = resource.inputs["kind"]
        assert resource_of(kind) == known.get(kind, f"{kind.lower()}s"), kind
