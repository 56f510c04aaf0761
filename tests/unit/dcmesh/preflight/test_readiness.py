"""Preflight: each finding and the good case, against a fake of the cluster's API."""

import base64
import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from dcmesh.config import ConfigError
from dcmesh.config.environment import Environment
from dcmesh.model.cacerts import ISTIOS
from dcmesh.model.istio import SCOPE
from dcmesh.model.link import Link
from dcmesh.model.name_constraints import bound as bound_to_domain
from dcmesh.model.ownership_marks import MADE_BY, OURS
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.readiness import require_ready
from dcmesh.sites_in_state import SiteInState
from dcmesh.stacks import NoStackError
from dcmesh.user_files import read_file
from tests.unit import certificates
from tests.unit.servers import KUBE_SYSTEM, VERSION, KubernetesAPI, kubeconfig, nobody

Raw = dict[str, Any]
Objects = dict[str, Any]

NAMESPACES = "/api/v1/namespaces"
CACERTS = f"{NAMESPACES}/istio-system/secrets/cacerts"
ISTIOD = "/apis/apps/v1/namespaces/istio-system/deployments/istiod-stable"
MESH = f"{NAMESPACES}/istio-system/configmaps/istio-stable"
SHOP, DR = f"{NAMESPACES}/shop", f"{NAMESPACES}/dr"
MYSQL, REPLICA = f"{SHOP}/serviceaccounts/mysql", f"{DR}/serviceaccounts/replica"
KUBERNETES = f"{NAMESPACES}/default/services/kubernetes"
NODES = "/api/v1/nodes"

LINK = Link.model_validate(
    {
        "site": "dc1",
        "gateway": {"addresses": ["192.0.2.1"]},
        "exports": [
            {
                "name": "stock",
                "namespace": "depot",
                "hosts": [f"pxc-{n}.db.depot.svc.cluster.local" for n in range(2)],
                "port": 3306,
                "protocol": "TCP",
                "identity": "spiffe://cluster.local/ns/depot/sa/mysql",
                "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "replica"}],
                "probe": "greeting",
            }
        ],
    }
)


def mesh(**changes: Any) -> Objects:
    """Return the ConfigMap of an istiod with everything that dcmesh needs, except for these changes."""
    settings = {
        "trustDomain": "cluster.local",
        "defaultConfig": {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}},
        "enableAutoMtls": True,
    }
    return {"data": {"mesh": yaml.safe_dump(settings | changes)}}


def istiod(version: str | None, *, image: str = "docker.io/istio/pilot:1.31.0") -> Objects:
    """Return the Deployment of an istiod, labelled with a version or not."""
    template = {"metadata": {}, "spec": {"containers": [{"name": "discovery", "image": image}]}}
    labels = {"app.kubernetes.io/version": version} if version else {}
    return {"metadata": {"labels": labels}, "spec": {"selector": {}, "template": template}}


def secret(*keys: str) -> Objects:
    return {"metadata": {}, "data": dict.fromkeys(keys, "")}


def node(pod_range: str | None = "10.42.0.0/24", *addresses: str) -> Objects:
    return {
        "metadata": {"name": "n1"},
        "spec": {"podCIDR": pod_range},
        "status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]},
    }


def nodes(*items: Objects) -> Objects:
    return {"items": list(items)}


def cluster_ip(address: str) -> Objects:
    return {"spec": {"clusterIP": address}}


def bound() -> Objects:
    """Return the Deployment of an istiod that binds Gateways to their namespace."""
    found = istiod("1.31.0")
    found["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": SCOPE, "value": "true"}]
    return {"items": [found]}


ISTIODS = ISTIOD.rpartition("/")[0]
LABELS = {"metadata": {"labels": {"istio-injection": "enabled"}}}
LABELLED = {"metadata": {"labels": {"istio.io/rev": "stable", "team": "data"}}}
THERE = {"metadata": {}}

GOOD: Objects = {
    **KUBE_SYSTEM,
    "/version/": VERSION,
    CACERTS: secret("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem", "ca.crt"),
    ISTIOD: istiod("1.31.0"),
    ISTIODS: bound(),
    MESH: mesh(),
    SHOP: LABELLED,
    DR: LABELLED,
    MYSQL: THERE,
    REPLICA: THERE,
    NODES: nodes(node("10.42.0.0/24", "192.0.2.10"), node("fd00::/64", "2001:db8::1")),
    KUBERNETES: cluster_ip("10.43.0.1"),
}
"""A cluster that has everything that `raw` needs."""


def outside(certified: Sequence[str] = ()) -> Environment:
    """Return the inputs of preflight for a stack that has given these sites their certificates, or was never up."""

    def read_stack(name: str) -> dict[str, Any]:
        if not certified:
            raise NoStackError(name)
        return {"certificates": dict.fromkeys(certified)}

    return Environment("dcmesh", "dc2", read_stack, read_file)


((_, namespace),) = KUBE_SYSTEM.items()
UID = namespace["metadata"]["uid"]


def checked(
    raw: Raw, links: Mapping[str, Link], environment: Environment, held: Mapping[str, SiteInState]
) -> tuple[list[str], dict[str, str]]:
    """Look at every existing cluster of a configuration."""
    settings = Settings.model_validate(raw)
    return require_ready(settings, plan_of(settings, links), environment, held)


def look(
    raw: Raw,
    link: Link | None = LINK,
    certified: Sequence[str] = (),
    objects: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> list[str]:
    """Return the findings as lines, for sites that have certificates and objects according to the state."""
    held = {site: SiteInState(identity=UID, kubeconfig="", objects=objects) for site in certified}
    try:
        checked(raw, {link.site: link} if link else {}, outside(certified), held)
    except ConfigError as error:
        heading, *lines = str(error).splitlines()
        assert heading == "the configuration is wrong, nothing was changed:"
        return [line.removeprefix("  ") for line in lines]
    return []


def remarks(raw: Raw) -> list[str]:
    """Return the warnings."""
    return checked(raw, {"dc1": LINK}, outside(), {})[0]


def test_nothing_is_found_where_all_is_there(raw: Raw, cluster: KubernetesAPI) -> None:
    assert look(raw) == []
    assert set(GOOD) <= set(cluster.asked), "otherwise a finding below would prove less"


class Together(dict[str, Any]):
    """Objects, two of which are shown only when both are asked for at the same time."""

    both = threading.Barrier(2, timeout=10)

    def get(self, path: str, default: Any = None) -> Any:
        if path in (SHOP, DR):
            self.both.wait()
        return super().get(path, default)


def test_exports_and_imports_are_looked_at_side_by_side(raw: Raw, cluster: KubernetesAPI) -> None:
    """A distant API server takes its time for each of them."""
    cluster.objects = Together(GOOD)
    assert look(raw) == []


FINDINGS: dict[str, tuple[Objects, str]] = {
    "old Kubernetes": (
        {"/version/": VERSION | {"minor": "31"}},
        'sites[0].cluster: "there" runs Kubernetes 1.31: 1.32 is the oldest supported',
    ),
    "old istiod": (
        {ISTIOD: istiod("1.28.10", image="pilot:1.28.10")},
        'istio.existing.revision: "stable" runs Istio 1.28.10 in dc2: 1.30 is the oldest supported, upgrade it',
    ),
    "no cacerts": (
        {CACERTS: 404},
        'trust.source: "existing" says that dc2 has the Secret istio-system/cacerts, which does not exist: create it',
    ),
    "part of cacerts": (
        {CACERTS: secret("ca-cert.pem", "root-cert.pem")},
        'trust.source: "existing" names a Secret of dc2 that lacks ca-key.pem, cert-chain.pem',
    ),
    "empty cacerts": (
        {CACERTS: {"metadata": {}, "data": None}},
        'trust.source: "existing" names a Secret of dc2 that lacks '
        "ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem",
    ),
    "no istiod": (
        {MESH: 404},
        'istio.existing.revision: "stable" has no istiod in dc2: '
        "check `kubectl get pods -n istio-system -L istio.io/rev`",
    ),
    "no DNS capture": (
        {MESH: mesh(defaultConfig={"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "false"}})},
        'istio.existing.revision: "stable" does not capture DNS: set '
        'meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE to "true" in dc2 and restart the workloads',
    ),
    "DNS capture unset": (
        {MESH: mesh(defaultConfig={})},
        'istio.existing.revision: "stable" does not capture DNS: set '
        'meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE to "true" in dc2 and restart the workloads',
    ),
    "no mutual TLS": (
        {MESH: mesh(enableAutoMtls=False)},
        'istio.existing.revision: "stable" has meshConfig.enableAutoMtls off in dc2: the gateway\'s hosts need it',
    ),
    "another trust domain": (
        {MESH: mesh(trustDomain="example.com")},
        'sites[0].trustDomain: "cluster.local" is not that of the mesh that is there: set it to example.com',
    ),
    "no namespace of an export": (
        {SHOP: 404},
        'sites[0].exports[0].namespace: "shop" does not exist: `kubectl create namespace shop`',
    ),
    "no namespace of an import": (
        {DR: 404},
        'sites[0].imports[0].namespace: "dr" does not exist: `kubectl create namespace dr`',
    ),
    "namespace without labels": (
        {SHOP: {"metadata": {}}},
        'sites[0].exports[0].namespace: "shop" gets no sidecars: '
        "`kubectl label namespace shop istio.io/rev=stable`, then restart its pods",
    ),
    "namespace of another revision": (
        {DR: {"metadata": {"labels": {"istio.io/rev": "canary"}}}},
        'sites[0].imports[0].namespace: "dr" gets no sidecars: '
        "`kubectl label namespace dr istio.io/rev=stable`, then restart its pods",
    ),
    "no service account of an export": (
        {MYSQL: 404},
        'sites[0].exports[0].serviceAccount: "mysql" does not exist: '
        "`kubectl create serviceaccount mysql --namespace shop`",
    ),
    "no service account of an import": (
        {REPLICA: 404},
        'sites[0].imports[0].serviceAccount: "replica" does not exist: '
        "`kubectl create serviceaccount replica --namespace dr`",
    ),
    "a Service of the imported name": (
        {f"{NAMESPACES}/depot/services/db": cluster_ip("10.43.0.9")},
        'sites[0].imports[0].export: "stock" has hosts of Service depot/db, and dc2 has a Service of that name: '
        "its own pods would answer; rename one of them",
    ),
    "a namespace in the ambient mesh": (
        {DR: {"metadata": {"labels": {"istio.io/dataplane-mode": "ambient"}}}},
        'sites[0].imports[0].namespace: "dr" is in the ambient mesh, where pods have no sidecars: export by '
        "`termination: gateway`, import by `egress: gateway`",
    ),
    "virtual addresses among the pods'": (
        {NODES: nodes(node("241.1.0.0/24"))},
        'sites[0].vipRange: "241.0.0.0/8" overlaps the pod range of node n1, 241.1.0.0/24: choose another range',
    ),
    "virtual addresses among the nodes'": (
        {NODES: nodes(node(None, "241.0.0.7"))},
        'sites[0].vipRange: "241.0.0.0/8" overlaps the address of node n1, 241.0.0.7/32: choose another range',
    ),
    "virtual addresses among the Services'": (
        {KUBERNETES: cluster_ip("241.0.0.1")},
        'sites[0].vipRange: "241.0.0.0/8" overlaps the address of Service default/kubernetes, 241.0.0.1/32: '
        "choose another range",
    ),
}


@pytest.mark.parametrize(("objects", "line"), FINDINGS.values(), ids=FINDINGS)
def test_one_thing_wrong_is_one_finding(raw: Raw, cluster: KubernetesAPI, objects: Objects, line: str) -> None:
    cluster.objects |= objects
    assert look(raw) == [line]


def test_aliases_of_a_mesh_that_is_there(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["sites"][0]["trustDomainAlias"] = "b.test"
    (line,) = look(raw)
    assert line.startswith('sites[0].trustDomainAlias: "b.test" is not among meshConfig.trustDomainAliases in dc2')
    cluster.objects[MESH] = mesh(trustDomainAliases=["b.test", "c.test"])
    assert look(raw) == []
    raw["sites"][0]["exports"][0]["consumers"][0]["trustDomains"] = ["dc1.test"]
    (line,) = look(raw)
    assert line.startswith('sites[0].exports[0].name: "orders" is of pods whose own callers may be of c.test')


@pytest.mark.parametrize("domains", [{"trustDomain": "b.test"}, {"trustDomainAlias": "b.test"}])
def test_a_mesh_that_is_there_keeps_its_trust_domain(raw: Raw, cluster: KubernetesAPI, domains: Raw) -> None:
    """It may also have the one that the site is to have next."""
    cluster.objects[MESH] = mesh(trustDomain="b.test")
    raw["sites"][0] |= domains
    assert look(raw) == []


TAGS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def injected_by(**labels: str) -> Objects:
    keys = {"injection": "istio-injection", "rev": "istio.io/rev"}
    return {"metadata": {"labels": {keys[key]: value for key, value in labels.items()}}}


@pytest.mark.parametrize(
    ("labels", "more", "refused"),
    [
        ({"injection": "enabled", "rev": "stable"}, " istio-injection-", False),
        ({"injection": "disabled", "rev": "stable"}, " istio-injection-", False),
        ({"injection": "enabled"}, " istio-injection-", True),
        ({"rev": "prod-canary"}, "", True),
        ({"rev": "unknown"}, "", True),
    ],
)
def test_a_namespace_whose_sidecars_are_another_istiods(
    raw: Raw, cluster: KubernetesAPI, labels: dict[str, str], more: str, refused: bool
) -> None:
    """Labels are read as Istio reads them: with istio-injection it ignores others, and a revision may be a tag.

    Before, dcmesh accepted namespaces with the label of the revision itself only.
    """
    tags = {"prod-stable": "stable", "prod-canary": "canary"}
    webhooks = [{"metadata": {"labels": {"istio.io/tag": tag, "istio.io/rev": rev}}} for tag, rev in tags.items()]
    cluster.objects |= {TAGS: {"items": webhooks}, SHOP: injected_by(**labels), DR: injected_by(rev="prod-stable")}
    label = f"`kubectl label namespace shop istio.io/rev=stable{more}`, then restart its pods"
    said = [f'sites[0].exports[0].namespace: "shop" gets no sidecars: {label}']
    assert look(raw) == said * refused
    assert refused or remarks(raw) == said


def test_certificates_as_cert_manager_writes_them(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects[CACERTS] = secret("tls.crt", "tls.key", "ca.crt")
    assert look(raw) == []
    cluster.objects[CACERTS] = secret("tls.crt", "ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem")
    (line,) = look(raw)
    assert line == 'trust.source: "existing" names a Secret of dc2 that lacks ca.crt, tls.key'


def test_an_intermediate_that_may_sign_for_other_sites_is_warned_of(raw: Raw, cluster: KubernetesAPI) -> None:
    root = certificates.authority("root")
    plain = certificates.authority("dc2", root)
    chains = {False: plain.pem, True: bound_to_domain(plain.pem, root.key_pem, "dc2.test")}
    for bound, chain in chains.items():
        data = {"cert-chain.pem": base64.b64encode(chain.encode()).decode()}
        cluster.objects[CACERTS] = {"metadata": {}, "data": secret(*ISTIOS.keys)["data"] | data}
        assert remarks(raw) == []
        cluster.objects[MESH] = mesh(trustDomain="dc2.test")
        said = "\n".join(remarks(raw | {"sites": [raw["sites"][0] | {"trustDomain": "dc2.test"}]}))
        assert "is let in by dc1 as one of cluster.local, and dc2 has the trust domain dc2.test" in said
        assert ("gives dc2 an intermediate whose name constraints do not bind it to dc2.test" in said) is not bound
        cluster.objects[MESH] = mesh()


def test_all_that_is_wrong_comes_at_once(raw: Raw, cluster: KubernetesAPI) -> None:
    together = ["old Kubernetes", "old istiod", "part of cacerts", "no istiod", "no namespace of an export"]
    together += ["namespace of another revision", "no service account of an import", "a Service of the imported name"]
    together += ["virtual addresses among the pods'"]
    for name in together:
        cluster.objects |= FINDINGS[name][0]
    assert sorted(look(raw)) == sorted(FINDINGS[name][1] for name in together)


@pytest.mark.parametrize("objects", [{DR: 404}, {SHOP: 404}], ids=["dr", "shop"])
def test_a_namespace_that_is_not_there_is_not_missed_twice(raw: Raw, cluster: KubernetesAPI, objects: Objects) -> None:
    """There are no findings for its labels or accounts as well."""
    cluster.objects |= objects | {MYSQL: 404 if SHOP in objects else THERE, REPLICA: 404 if DR in objects else THERE}
    assert len(look(raw)) == 1


# --- versions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def our_own(raw: Raw, cluster: KubernetesAPI) -> Callable[..., None]:
    """Let dcmesh's own Istio run, with one version in the cluster and one in the configuration."""

    def have(running: str, **wanted: str) -> None:
        cluster.objects[ISTIOD.removesuffix("-stable")] = istiod(running, image=f"pilot:{running}")
        for namespace in (DR, SHOP):
            cluster.objects[namespace] = {"metadata": {"labels": {"istio.io/rev": "default"}}}
        raw["istio"] = wanted

    return have


def warnings(raw: Raw) -> list[str]:
    return checked(raw, {LINK.site: LINK}, outside(), {})[0]


@pytest.mark.parametrize("minor", ["32", "32+", "37"])
def test_supported_versions(raw: Raw, cluster: KubernetesAPI, minor: str) -> None:
    cluster.objects["/version/"] = VERSION | {"minor": minor}
    assert warnings(raw) == []


def test_a_newer_kubernetes_is_warned_of(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects["/version/"] = VERSION | {"minor": "38"}
    assert warnings(raw) == [
        'sites[0].cluster: "there" runs Kubernetes 1.38, which was not tried with dcmesh: the newest that was is 1.37.2'
    ]


def test_a_kubernetes_that_the_istiod_is_not_made_for_is_warned_of(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["istio"]["version"] = "1.30.4"
    cluster.objects |= {"/version/": VERSION | {"minor": "37"}, ISTIOD: istiod("1.30.4", image="pilot:1.30.4")}
    assert warnings(raw) == [
        'sites[0].cluster: "there" runs Kubernetes 1.37, which Istio 1.30 is not made for: it is for 1.32 to 1.36'
    ]


@pytest.mark.parametrize(
    ("running", "version", "said"),
    [
        ("1.29.1", "1.30.4", "ended on 2026-10-15: lead it up to 1.30, then to 1.31"),
        ("1.32.0", "1.32.0", "was not tried with dcmesh: the newest that was is 1.31.0"),
    ],
)
def test_an_istiod_that_has_ended_or_is_newer_is_warned_of(
    raw: Raw, cluster: KubernetesAPI, running: str, version: str, said: str
) -> None:
    raw["istio"]["version"] = version
    cluster.objects |= {"/version/": VERSION | {"minor": "35"}, ISTIOD: istiod(running, image=f"pilot:{running}")}
    first, *_ = warnings(raw)
    assert first == f'istio.existing.revision: "stable" runs Istio {running} in dc2, which {said}'


def test_a_gateway_of_another_version_than_the_istiod_is_warned_of(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects |= {"/version/": VERSION | {"minor": "35"}, ISTIOD: istiod("1.30.4", image="pilot:1.30.4")}
    said = "is the gateway's chart's, and dc2 runs istiod 1.30.4: set a 1.30 version"
    assert warnings(raw) == [f'istio.version: "1.31.0" {said}']


def test_a_gateway_that_is_far_from_the_istiod_is_refused(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects |= {"/version/": VERSION | {"minor": "31"}, ISTIOD: istiod("1.29.1", image="pilot:1.29.1")}
    said = "is the gateway's chart's, and dc2 runs istiod 1.29.1: set a 1.30 version"
    assert look(raw) == [f'istio.version: "1.31.0" {said}']


@pytest.mark.parametrize("label", [None, "1.31.0"])
def test_an_istiod_is_known_by_its_image(raw: Raw, cluster: KubernetesAPI, label: str | None) -> None:
    """The label has the chart's version only."""
    cluster.objects[ISTIOD] = istiod(label, image="mirror:5000/pilot:1.28.3@sha256:0123")
    assert look(raw) == [FINDINGS["old istiod"][1].replace("1.28.10", "1.28.3")]


@pytest.mark.parametrize("answer", [404, istiod(None, image="mirror:5000/pilot"), istiod("latest", image="x:2.0")])
def test_of_an_istiod_whose_version_is_not_known_nothing_is_said(
    raw: Raw, cluster: KubernetesAPI, answer: Objects | int
) -> None:
    cluster.objects[ISTIOD] = answer
    assert warnings(raw) == []


@pytest.mark.parametrize(
    ("running", "wanted", "first"),
    [
        ("1.29.1", "1.31.0", "Set 1.30.4 first, run `pulumi up` and restart the workloads' pods"),
        ("1.31.0", "1.33.0", "Set 1.32.x first, run `pulumi up` and restart the workloads' pods"),
        ("1.33.1", "1.31.0", "Set 1.32.x first, run `pulumi up` and restart the workloads' pods"),
        ("1.27.1", "1.31.0", "Upgrade it to 1.29 by Helm, one after another, first"),
    ],
)
def test_istio_is_changed_by_one_minor_version_at_a_time(
    raw: Raw, our_own: Callable[..., None], running: str, wanted: str, first: str
) -> None:
    our_own(running, version=wanted)
    assert look(raw) == [
        f'istio.version: "{wanted}" is more than one minor version from {running}, which dc2 runs: Istio is changed by '
        f"one at a time. {first} (docs/support.md)"
    ]


def test_a_version_that_nobody_has_written_is_called_the_default(raw: Raw, our_own: Callable[..., None]) -> None:
    our_own("1.29.1")
    (said,) = look(raw)
    assert said.startswith('istio.version: "1.31.0" is the default, and is more than one minor version from 1.29.1')


@pytest.mark.parametrize("running", ["1.29.8", "1.30.4", "1.31.0"])
def test_one_step_of_istio_is_nothing_to_speak_of(raw: Raw, our_own: Callable[..., None], running: str) -> None:
    our_own(running, version="1.30.5")
    assert warnings(raw) == []


def test_an_istio_that_was_not_tried_is_warned_of_whatever_the_cluster_is() -> None:
    raw = {"istio": {"version": "1.32.1"}, "sites": [{"name": "dc1", "cluster": "k3d"}]}
    assert checked(raw, {}, outside(), {})[0] == [
        'istio.version: "1.32.1" was not tried with dcmesh: the newest that was is 1.31.0'
    ]


# --- what is right in other ways ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        mesh(defaultConfig={"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": True}}),
        {"data": {"mesh": "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}"}},
    ],
    ids=["a bool", "the rest by default"],
)
def test_mesh_that_does(raw: Raw, cluster: KubernetesAPI, settings: Objects) -> None:
    cluster.objects[MESH] = settings
    assert look(raw) == []


@pytest.mark.parametrize("labels", [{"istio.io/rev": "default"}, {"istio-injection": "enabled"}], ids=str)
def test_default_revision_injects_by_either_label(raw: Raw, cluster: KubernetesAPI, labels: dict[str, str]) -> None:
    """The name of its ConfigMap has no revision."""
    raw["istio"] = {"existing": {}}
    cluster.objects |= {SHOP: {"metadata": {"labels": labels}}, DR: {"metadata": {"labels": labels}}}
    cluster.objects[MESH.removesuffix("-stable")] = cluster.objects.pop(MESH)
    assert look(raw) == []


def test_istio_of_our_own_injects_by_its_label_and_has_no_mesh_yet(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["istio"] = {}
    cluster.objects |= {MESH: 404, DR: {"metadata": {"labels": {"istio-injection": "enabled"}}}}
    assert look(raw) == [
        'sites[0].exports[0].namespace: "shop" gets no sidecars: '
        "`kubectl label namespace shop istio-injection=enabled`, then restart its pods"
    ]


def managers(*names: str, **labels: str) -> dict[str, Any]:
    """Return a namespace that these managers have made or changed."""
    return {"metadata": {"labels": labels, "managedFields": [{"manager": name} for name in names]}}


def of_stack(name: str) -> dict[str, Any]:
    """Return an object that a stack of dcmesh has made."""
    made = managers("pulumi-kubernetes-1a2b3c4d")
    made["metadata"]["annotations"] = {MADE_BY: name}
    return made


@pytest.mark.parametrize(
    ("namespace", "found"),
    [
        (404, False),
        (managers("kubectl-create"), True),
        (managers("kubectl-create", "helm"), True),
        (managers(), True),
        (managers("pulumi-kubernetes-1a2b3c4d"), False),  # An interrupted `up` may have left it, for example.
        (managers("pulumi-kubernetes-1a2b3c4d", "kubectl-label"), False),
        (managers("kubectl-create", **{"app.kubernetes.io/managed-by": "dcmesh"}), False),
        (managers("kubectl-create", **{"app.kubernetes.io/managed-by": "pulumi"}), True),
        (of_stack("organization/dcmesh/dc2"), False),
        (of_stack("organization/dcmesh/another"), True),
        (managers("helm", **{"app.kubernetes.io/managed-by": "Helm"}), True),
    ],
)
def test_somebody_elses_namespace_is_not_taken_over(
    raw: Raw, cluster: KubernetesAPI, namespace: Any, found: bool
) -> None:
    cluster.objects["/api/v1/namespaces/wookie"] = cluster.objects["/api/v1/namespaces/pxc-operator"] = namespace
    raw["sites"][0]["workloads"] = [
        {"kind": "hello", "namespace": "other"},
        {"kind": "pxc", "namespace": "wookie"},
    ]
    wanted = ("pxc.namespace", "pxc-operator"), ("sites[0].workloads[1].namespace", "wookie")
    advice = (
        '{}: "{}" exists already in dc2, and this stack has not made it: name another. If this stack is to take it '
        "over, and `pulumi destroy` to delete it with all that is in it: `kubectl label namespace {} "
        "app.kubernetes.io/managed-by=dcmesh`"
    )
    assert look(raw, certified=["dc2"]) == [advice.format(path, name, name) for path, name in wanted if found]


@pytest.mark.parametrize(("manager", "found"), [("kubectl-edit", True), ("pulumi-kubernetes-1a2b3c4d", False)])
def test_a_foreign_sidecar_is_not_taken_over(raw: Raw, cluster: KubernetesAPI, manager: str, found: bool) -> None:
    namespace = raw["sites"][0]["imports"][0]["namespace"]
    place = f"/apis/networking.istio.io/v1/namespaces/{namespace}/sidecars/default"
    cluster.objects[place] = {"metadata": {"managedFields": [{"manager": manager}]}}
    advice = (
        f'sites[0].imports[0].namespace: "{namespace}" has a Sidecar `default` in dc2 that this stack has not made: '
        "import into a namespace of its own, or delete that"
    )
    assert look(raw) == ([advice] if found else [])


def test_a_stack_that_was_renamed_knows_its_own_again(raw: Raw, cluster: KubernetesAPI) -> None:
    """Until the next `up` its objects have the old name in their annotation."""
    old = "organization/dcmesh/before"
    cluster.objects["/api/v1/namespaces/wookie"] = {"metadata": {"annotations": {MADE_BY: old}}}
    raw["sites"][0]["workloads"] = [{"kind": "hello", "namespace": "wookie"}]
    held = {"dc2": SiteInState(identity=UID, kubeconfig="", stacks=frozenset({old}))}
    links = {LINK.site: LINK}
    checked(raw, links, outside(["dc2"]), held)
    with pytest.raises(ConfigError, match="wookie"):
        checked(raw, links, outside(["dc2"]), {"dc2": SiteInState(identity=UID, kubeconfig="")})


# --- names that both sites have --------------------------------------------------------------------------------------

DEPOT = f"{NAMESPACES}/depot"
ENTRIES = "/apis/networking.istio.io/v1/serviceentries"
STOCK, ORDERS = "pxc-1.db.depot.svc.cluster.local", "orders-1.orders.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("namespace", "named", "found"),
    [
        (managers("kubectl-create"), False, True),
        (managers("kubectl-create", **{"istio.io/rev": "stable"}), True, False),
        (managers("pulumi-kubernetes-1a2b3c4d"), False, False),
        (of_stack("organization/dcmesh/dc2"), False, False),
        (of_stack("organization/dcmesh/another"), False, True),
        (managers("kubectl-create", **{"app.kubernetes.io/managed-by": "dcmesh"}), False, False),
    ],
    ids=["somebody's", "named here", "Pulumi's", "ours", "another stack's", "left to dcmesh"],
)
def test_a_namespace_of_the_importing_site_is_no_place_for_hosts_of_another(
    raw: Raw, cluster: KubernetesAPI, namespace: Any, named: bool, found: bool
) -> None:
    cluster.objects[DEPOT] = namespace
    if named:
        raw["sites"][0]["imports"][0]["namespace"] = "depot"
        cluster.objects[f"{DEPOT}/serviceaccounts/replica"] = THERE
    line = 'sites[0].imports[0].export: "stock" has hosts of namespace depot, and dc2 has a namespace of that name'
    said = look(raw)
    assert [text[: len(line)] for text in said] == [line] * found
    assert all("`kubectl label namespace depot app.kubernetes.io/managed-by=dcmesh`" in text for text in said)


def entry(
    host: str, *, name: str = "theirs", namespace: str = "team", manager: str = "kubectl", **spec: Any
) -> Objects:
    metadata = {"name": name, "namespace": namespace, "managedFields": [{"manager": manager}]}
    return {"metadata": metadata, "spec": {"hosts": ["else.example", host], **spec}}


@pytest.mark.parametrize(
    ("there", "claims"),
    [
        (entry(STOCK), "imports"),
        (entry(STOCK.upper()), "imports"),
        (entry(STOCK, exportTo=["dr"]), "imports"),
        (entry(STOCK, namespace="dr", exportTo=["."]), "imports"),
        (entry(STOCK, exportTo=[".", "dcmesh-gateway"]), None),
        (entry(STOCK, manager="pulumi-kubernetes-1a2b3c4d"), None),
        (entry("pxc-9.db.depot.svc.cluster.local"), None),
        (entry(ORDERS), "exports"),
        (entry(ORDERS, exportTo=["dcmesh-gateway"]), "exports"),
        (entry(ORDERS, namespace="shop", exportTo=["."]), None),
    ],
)
def test_a_foreign_entry_with_a_host_of_a_link_is_named(
    raw: Raw, cluster: KubernetesAPI, there: Objects, claims: str | None
) -> None:
    cluster.objects[ENTRIES] = {"items": [there]}
    what = {"imports": f'imports[0].export: "stock" has the host {STOCK}'}
    what["exports"] = f'exports[0].name: "orders" has the host {ORDERS}'
    of = f"{there['metadata']['namespace']}/theirs"
    said = (
        f", which the ServiceEntry {of} in dc2 has as well, and this stack has not made that: whoever connects may be"
    )
    said += " led elsewhere; delete it, or take the host out of it"
    assert look(raw) == ([f"sites[0].{what[claims]}{said}"] if claims else [])


STANDING = (
    ("dc2.export.orders-serviceentry-orders.orders-1", ORDERS),
    ("dc2-imports.dr.dc1.stock-serviceentry-pxc-0", STOCK),
)
"""Resources of existing imports, and a host of each."""


@pytest.mark.parametrize(("resource", "host"), STANDING)
def test_what_is_joined_already_is_gone_on_with(raw: Raw, cluster: KubernetesAPI, resource: str, host: str) -> None:
    """Otherwise anybody in the cluster could block a failover."""
    cluster.objects[ENTRIES] = {"items": [entry(host)]}
    (refusal,) = look(raw)
    urn = f"urn:pulumi:test::dcmesh::kubernetes:networking.istio.io/v1:ServiceEntry::{resource}"
    held = {"dc2": SiteInState(identity=UID, kubeconfig="", objects={urn: ("dr", "x")})}
    warnings, _ = checked(raw, {LINK.site: LINK}, outside(["dc2"]), held)
    assert warnings == [refusal]


def test_a_name_that_came_later_stops_no_import_that_stands(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects[DEPOT] = {"metadata": {"name": "depot"}}
    (refusal,) = look(raw)
    urn = f"urn:pulumi:test::dcmesh::kubernetes:networking.istio.io/v1:ServiceEntry::{STANDING[1][0]}"
    held = {"dc2": SiteInState(identity=UID, kubeconfig="", objects={urn: ("dr", "x")})}
    warnings, _ = checked(raw, {LINK.site: LINK}, outside(["dc2"]), held)
    assert warnings == [refusal]


def test_entries_of_which_no_list_is_there_are_not_missed(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects[ENTRIES] = 404
    assert look(raw) == []


def test_hosts_of_a_site_of_the_same_stack_are_looked_for_too(raw: Raw, cluster: KubernetesAPI, tmp_path: Path) -> None:
    (site,) = raw["sites"]
    export = site.pop("exports")[0]
    consumer = {"site": "dc2", "namespace": "dr", "serviceAccount": "replica"}
    raw["sites"].append(
        {**site, "name": "dc1", "imports": [], "exports": [export | {"consumers": [consumer], "namespace": "depot"}]}
    )
    site["imports"][0]["export"] = "orders"
    cluster.objects |= {DEPOT: LABELLED, f"{DEPOT}/serviceaccounts/mysql": THERE, f"{DEPOT}/services/orders": THERE}
    assert look(raw) == [
        'sites[0].imports[0].export: "orders" has hosts of Service depot/orders, and dc2 has a Service of that name: '
        "its own pods would answer; rename one of them"
    ]


def test_namespaces_of_our_own_workloads_are_not_there_yet(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["sites"][0]["workloads"] = [
        {"kind": "hello", "namespace": "shop"},
        {"kind": "hello-client", "namespace": "dr"},
    ]
    cluster.objects |= dict.fromkeys((SHOP, DR, MYSQL, REPLICA), 404)
    assert look(raw) == []


def test_a_quota_without_room_for_what_is_added_to_a_database_that_runs(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["sites"][0]["workloads"] = [
        {"kind": "mariadb", "namespace": "data", "image": "mariadb:10.11", "firstCopy": "backup"}
    ]
    servers = {"spec": {"template": {"spec": {"containers": [{"name": "mariadb"}]}}}}
    cluster.objects["/apis/apps/v1/namespaces/data/statefulsets/db"] = servers
    why = 'pods "dcmesh-would-be" is forbidden: failed quota: q: must specify limits.cpu for: c0,c1,c2'
    cluster.objects["POST /api/v1/namespaces/data/pods"] = (403, why)
    (line,) = [line for line in look(raw) if ".firstCopy" in line]
    assert line.startswith('sites[0].workloads[0].firstCopy: "backup" adds a container to the pods of data/db')


@pytest.mark.parametrize(
    ("service", "found"),
    [(managers("pulumi-kubernetes-1a2b3c4d", "kube-controller"), False), (managers("helm"), True)],
)
def test_somebody_elses_gateway_is_not_taken_over(raw: Raw, cluster: KubernetesAPI, service: Any, found: bool) -> None:
    """The Gateway in Istio's own samples for several clusters has this name."""
    raw["sites"][0]["gateway"] = {"namespace": "istio-system"}
    cluster.objects["/api/v1/namespaces/istio-system/services/istio-eastwestgateway"] = service
    advice = (
        'sites[0].exports[0].name: "orders" needs the gateway istio-system/istio-eastwestgateway, and dc2 has a '
        "Service of that name that this stack has not made: rename that"
    )
    assert look(raw) == [advice] * found
    raw["sites"][0]["exports"] = []
    assert look(raw) == []


def test_somebody_elses_namespace_is_not_taken_over_for_the_gateway(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects[f"{NAMESPACES}/dcmesh-gateway"] = managers("kubectl")
    (line,) = look(raw)
    assert line.startswith('sites[0].gateway.namespace: "dcmesh-gateway" exists already in dc2')


OPERATORS = f"{NAMESPACES}/operators"


@pytest.mark.parametrize(
    ("labels", "lines"),
    [
        (LABELLED, []),
        (404, ['"operators" does not exist in dc2: name where the operator runs, or remove `existing`']),
        (
            {"metadata": {}},
            [
                '"operators" gets no sidecars: '
                "`kubectl label namespace operators istio.io/rev=stable`, then restart its pods"
            ],
        ),
    ],
    ids=["in the mesh", "not there", "without sidecar"],
)
def test_an_existing_operator_must_be_in_the_mesh(
    raw: Raw, cluster: KubernetesAPI, labels: Any, lines: list[str]
) -> None:
    cluster.objects[OPERATORS] = labels
    raw["pxc"] = {"existing": True, "namespace": "operators"}
    assert look(raw) == [], "no cluster, no operator"
    raw["sites"][0]["workloads"] = [{"kind": "pxc", "namespace": "orders"}]
    assert look(raw) == [f"pxc.namespace: {line}" for line in lines]


def test_ranges_that_no_virtual_address_is_taken_from(raw: Raw, cluster: KubernetesAPI) -> None:
    del raw["sites"][0]["imports"]
    cluster.objects[KUBERNETES] = cluster_ip("241.0.0.1")
    assert look(raw) == []


def test_another_range_is_free(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["sites"][0]["vipRange"] = "100.64.0.0/16"
    cluster.objects |= FINDINGS["virtual addresses among the Services'"][0]
    assert look(raw) == []


def test_hosts_of_an_import_that_is_pending_are_not_known(raw: Raw, cluster: KubernetesAPI) -> None:
    cluster.objects |= FINDINGS["a Service of the imported name"][0]
    assert look(raw, link=None) == []


# --- clusters that do not answer ---------------------------------------------------------------------------------


def test_cluster_that_is_not_reached(raw: Raw, tmp_path: Path) -> None:
    with nobody() as port:
        (tmp_path / "dc2").write_text(kubeconfig({"there": f"http://127.0.0.1:{port}"}))
        (line,) = look(raw)
    assert line.startswith(f'sites[0].cluster: "there" cannot be reached: 127.0.0.1:{port}: Failed to establish a new ')
    assert line.endswith("Connection refused: check the VPN, the address and the credentials")


def test_cluster_whose_credentials_a_program_does_not_give(raw: Raw, cluster: KubernetesAPI, tmp_path: Path) -> None:
    known = yaml.safe_load(cluster.kubeconfig())
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}
    known["users"][0]["user"] = {"exec": program}
    (tmp_path / "dc2").write_text(yaml.safe_dump(known))
    (line,) = look(raw)
    assert "cannot be reached: false gives no credentials: exec: process returned 1: check the VPN" in line
    assert cluster.asked == []


def test_cluster_is_named_by_its_file_where_it_is_the_current_context(raw: Raw, tmp_path: Path) -> None:
    raw["sites"][0]["cluster"] = {"kubeconfig": f"{tmp_path}/dc2"}
    (line,) = look(raw)
    assert " cannot be reached: " in line, "the current context of the file leads nowhere"
    assert line.startswith(f'sites[0].cluster: "{tmp_path}'[:40])


@pytest.mark.parametrize(
    ("part", "broken", "reason"),
    [
        ("clusters", [], "Expected object with name there in kube-config/clusters list"),
        (
            "clusters",
            [{"name": "there", "cluster": {"server": "https://127.0.0.1", "certificate-authority": "/no"}}],
            "/no",
        ),
        ("users", [{"name": "u", "user": {"client-certificate": "/no", "client-key": "/no"}}], "/no"),
    ],
    ids=["no such cluster", "no such authority", "no such certificate"],
)
def test_kubeconfig_that_names_what_is_not_there(
    raw: Raw, tmp_path: Path, part: str, broken: list[Objects], reason: str
) -> None:
    contents = yaml.safe_load(kubeconfig({"there": "https://127.0.0.1:1"})) | {part: broken}
    (tmp_path / "dc2").write_text(yaml.safe_dump(contents))
    (line,) = look(raw)
    assert line.startswith('sites[0].cluster: "there" cannot be used (')
    assert reason in line


@pytest.mark.parametrize("path", [*KUBE_SYSTEM, "/version/", CACERTS, MESH, SHOP, MYSQL, NODES])
def test_cluster_that_refuses(raw: Raw, cluster: KubernetesAPI, path: str) -> None:
    cluster.objects[path] = 401
    assert look(raw) == ['sites[0].cluster: "there" refuses to answer (401 Unauthorized): check the credentials']


@pytest.mark.parametrize("path", [*KUBE_SYSTEM, MESH])
def test_what_all_checks_need_is_said_alone(raw: Raw, cluster: KubernetesAPI, path: str) -> None:
    cluster.objects |= {path: 403, REPLICA: 404}
    (line,) = look(raw)
    assert line.startswith('sites[0].cluster: "there" cannot be looked at (403')
    assert line.endswith("allow the kubeconfig's user to read that")


@pytest.mark.parametrize("path", [ENTRIES, ISTIOD, NODES])
def test_a_list_that_may_not_be_read_is_told_once(raw: Raw, cluster: KubernetesAPI, path: str) -> None:
    """It is reported once for the checks that ask for objects, and for those that ask for paths."""
    cluster.objects[path] = 403
    (line,) = warnings(raw)
    assert line.startswith(
        'sites[0].name: "dc2" was looked at in part, for its kubeconfig\'s user may not read all of it (403'
    )


@pytest.mark.parametrize("path", ["/version/", CACERTS, SHOP, MYSQL])
def test_what_may_not_be_read_is_one_finding_and_stops_no_other(raw: Raw, cluster: KubernetesAPI, path: str) -> None:
    cluster.objects |= {path: 403, REPLICA: 404}
    refused, other = sorted(look(raw))
    assert refused.startswith('sites[0].cluster: "there" cannot be looked at (403')
    assert refused.endswith("allow the kubeconfig's user to read that")
    assert other.startswith('sites[0].imports[0].serviceAccount: "replica" does not exist')


def test_every_cluster_is_looked_at(raw: Raw, cluster: KubernetesAPI, tmp_path: Path) -> None:
    """An unreachable cluster does not hide the findings of another."""
    other = copy.deepcopy(raw["sites"][0]) | {"name": "dc3"}
    other["cluster"]["kubeconfig"] = f"{tmp_path}/dc3"
    raw["sites"].insert(0, other)
    cluster.objects |= {SHOP: 404, REPLICA: 404}
    with nobody() as port:
        (tmp_path / "dc3").write_text(kubeconfig({"there": f"http://127.0.0.1:{port}"}))
        first, *others = look(raw)
    assert first.startswith('sites[0].cluster: "there" cannot be reached')
    assert [line.partition(":")[0] for line in others] == [
        "sites[1].exports[0].namespace",
        "sites[1].imports[0].serviceAccount",
    ]


@pytest.mark.parametrize("made_by", [{"create": "a", "kubeconfig": "b", "delete": "c"}, "k3d"])
def test_nothing_is_asked_of_a_cluster_that_is_to_be_made(raw: Raw, cluster: KubernetesAPI, made_by: Any) -> None:
    raw["sites"].append(copy.deepcopy(raw["sites"][0]) | {"name": "dc3", "cluster": made_by})
    assert look(raw) == []
    asked = list(cluster.asked)
    del raw["sites"][0]
    cluster.objects.clear()
    assert look(raw) == []
    assert cluster.asked == asked


# --- the Secret `cacerts` that dcmesh would write ----------------------------------------------------------------

MESH_ROOT = f"{NAMESPACES}/istio-system/configmaps/istio-ca-root-cert"
WRITTEN = {
    "generated": {"source": "generated"},
    "stack": {"source": "stack", "stack": "organization/dcmesh/trust"},
    "provided": certificates.provided(),
}


@pytest.fixture(params=WRITTEN)
def writes(request: pytest.FixtureRequest, raw: Raw) -> str:
    """Let dcmesh write the certificates, from each of the sources, and return the source."""
    raw["trust"] = WRITTEN[request.param]
    return str(request.param)


def given(source: str) -> str:
    """Return the findings for a mesh that has no `cacerts`."""
    return (
        f'trust.source: "{source}" would give dc2 the Secret istio-system/cacerts, which its Istio has not: at '
        "istiod's next start its whole mesh would change roots. Set `existing`, with a Secret that you make, or "
        "`provided`, with an intermediate under the present root (docs/production.md)"
    )


def test_a_mesh_with_a_root_of_its_own_is_never_given_another(raw: Raw, cluster: KubernetesAPI, writes: str) -> None:
    """It does not matter who has installed its Istio."""
    self_signed = certificates.authority("self-signed")
    cluster.objects |= {CACERTS: 404, MESH_ROOT: {"data": {"root-cert.pem": self_signed.pem}}}
    assert look(raw) == [given(writes)]
    raw["istio"] = {}
    cluster.objects |= {ISTIODS: {"items": [istiod("1.31.0")]}, DR: LABELS, SHOP: LABELS}
    assert look(raw) == [given(writes)]


def test_a_mesh_may_be_given_what_goes_on_under_its_root(raw: Raw, cluster: KubernetesAPI) -> None:
    raw["trust"] = WRITTEN["provided"]
    cluster.objects |= {CACERTS: 404, MESH_ROOT: {"data": {"root-cert.pem": certificates.root().pem}}}
    assert look(raw) == []
    another = certificates.authority("another")
    cluster.objects[MESH_ROOT] = {"data": {"root-cert.pem": certificates.root().pem + another.pem}}
    assert look(raw) == [given("provided")], "another root is trusted no more"
    raw["trust"] = certificates.provided(rootCert=certificates.root().pem + another.pem)
    cluster.objects[MESH_ROOT] = {"data": {"root-cert.pem": another.pem}}
    assert look(raw) == [given("provided")], "the issuing root is not trusted yet"


def test_a_cluster_without_istio_is_given_its_certificates(raw: Raw, cluster: KubernetesAPI, writes: str) -> None:
    raw["istio"] = {}
    cluster.objects |= {CACERTS: 404, ISTIODS: {"items": []}, DR: LABELS, SHOP: LABELS}
    assert look(raw) == []


def test_certificates_of_somebody_else_are_not_replaced(raw: Raw, cluster: KubernetesAPI, writes: str) -> None:
    said = (
        f'trust.source: "{writes}" would replace the Secret istio-system/cacerts of dc2, which dcmesh has not made: '
        "set `existing`, or hand the Secret over to dcmesh by `kubectl label secret cacerts --namespace "
        "istio-system app.kubernetes.io/managed-by=dcmesh`"
    )
    assert look(raw) == [said]
    raw["istio"] = {}
    cluster.objects |= {DR: LABELS, SHOP: LABELS}
    assert look(raw, certified=["dc1"]) == [said]


def test_certificates_that_dcmesh_has_made_are_its_own(raw: Raw, cluster: KubernetesAPI, writes: str) -> None:
    cluster.objects[CACERTS] = {"metadata": {"labels": {**OURS, "team": "data"}}, "data": {}}
    assert look(raw) == []


@pytest.mark.parametrize("secret", [secret("ca-cert.pem"), 404], ids=["without a label", "lost"])
def test_certificates_that_the_stack_has_given_before_are_its_own(
    raw: Raw, cluster: KubernetesAPI, writes: str, secret: Objects | int
) -> None:
    """0.1.0 labelled nothing. If they are lost, `up --refresh` restores them."""
    cluster.objects[CACERTS] = secret
    assert look(raw, certified=["dc2"]) == []


# --- volumes ---------------------------------------------------------------------------------------------------------

CLASS = "/apis/storage.k8s.io/v1/storageclasses/fast"
CLAIMS = f"{NAMESPACES}/bank/persistentvolumeclaims"
EXPANDABLE = {"metadata": {"name": "fast"}, "provisioner": "example.com/disk", "allowVolumeExpansion": True}


def claim(size: str) -> Objects:
    return {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": size}}}}


@pytest.fixture(params=[{"kind": "mariadb", "name": "sql", "replicas": 2}, {"kind": "pxc", "name": "sql"}])
def with_database(request: pytest.FixtureRequest, raw: Raw, cluster: KubernetesAPI) -> Callable[..., list[str]]:
    """Return the findings for a stack with a database of 2Gi whose volumes exist already."""
    first = {"mariadb": "data-sql", "pxc": "datadir-sql-pxc"}[request.param["kind"]]

    def volumes(*sizes: str, storage_class: Any = EXPANDABLE, **more: str) -> list[str]:
        raw["sites"][0]["workloads"] = [{"namespace": "bank", "storage": {"size": "2Gi", **more}, **request.param}]
        there = {f"{CLAIMS}/{first}-{ordinal}": claim(size) for ordinal, size in enumerate(sizes)}
        cluster.objects = {**GOOD, **there, CLASS: storage_class}
        return look(raw)

    return volumes


def test_volumes_that_are_right_or_can_grow_are(with_database: Callable[..., list[str]]) -> None:
    assert with_database() == []
    assert with_database("2Gi", "2048Mi", storageClass="fast") == []
    assert with_database("1Gi", "2Gi") == []
    assert with_database("1Gi", storage_class=403) == [], "the API server tells users who may not ask"


@pytest.mark.parametrize("storage_class", [404, {**EXPANDABLE, "allowVolumeExpansion": None}])
def test_volumes_whose_class_does_not_let_them_grow_are_found(
    with_database: Callable[..., list[str]], storage_class: Any
) -> None:
    assert with_database("2Gi", storage_class=storage_class) == []
    (said,) = with_database("2Gi", "1536Mi", storage_class=storage_class)
    assert said == (
        'sites[0].workloads[0].storage.size: "2Gi" is more than the 1536Mi of a volume there, and its StorageClass '
        "fast does not let it grow: set allowVolumeExpansion there, if its driver can do that, or put the size back"
    )


def test_volumes_that_would_shrink_or_change_their_class_are_found(with_database: Callable[..., list[str]]) -> None:
    (said,) = with_database("2Gi", "3Gi")
    assert said.startswith('sites[0].workloads[0].storage.size: "2Gi" is less than the 3Gi of a volume there')
    (said,) = with_database("2Gi", storageClass="slow")
    assert (
        said
        == 'sites[0].workloads[0].storage.storageClass: "slow" is not the class of the volumes there: put fast back'
    )
